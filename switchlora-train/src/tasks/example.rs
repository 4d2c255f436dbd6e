//! One example of a task: one or two texts and a label.

/// One or two texts and their label.
#[derive(Clone, Debug, PartialEq)]
pub struct Example {
    /// The first text. It may be empty.
    pub first: String,
    /// The second text, for tasks of pairs.
    pub second: Option<String>,
    /// The label.
    pub label: Label,
}

/// The label of an example, or a prediction of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Label {
    /// Index of a class in the list of label names, counted from 0.
    Class(usize),
    /// A finite number, for regression.
    Value(f64),
    /// Not published: the test splits of GLUE.
    Unknown,
}
