//! What a report says, before it is written in a form: sections of paragraphs, tables and figures.
//!
//! Every string is plain text. The form that writes it escapes it.

/// A whole report.
#[derive(Debug)]
pub struct Document {
    /// The heading of all.
    pub title: String,
    /// The parts below it, the first without a heading of its own.
    pub sections: Vec<Section>,
}

/// What stands under one heading.
#[derive(Debug)]
pub struct Section {
    /// The heading; none for what opens the report.
    pub title: Option<&'static str>,
    /// The contents, from top to bottom.
    pub blocks: Vec<Block>,
}

impl Section {
    /// A section with a heading.
    pub fn new(title: &'static str, blocks: Vec<Block>) -> Self {
        Self {
            title: Some(title),
            blocks,
        }
    }
}

/// One piece of a section.
#[derive(Debug)]
pub enum Block {
    /// A heading below the section's.
    Heading(String),
    /// A paragraph.
    Text(String),
    /// Something to type, as it stands.
    Code(String),
    /// Rows of cells.
    Table(Table),
    /// A chart; Markdown leaves it out.
    Figure(Figure),
}

/// Rows of cells under named columns.
#[derive(Debug)]
pub struct Table {
    /// The columns, from left to right.
    pub columns: Vec<Column>,
    /// The cells of each row, one for each column.
    pub rows: Vec<Vec<String>>,
}

/// The name of a column, and what its cells are.
#[derive(Clone, Copy, Debug)]
pub enum Column {
    /// Words.
    Text(&'static str),
    /// Numbers, aligned to the right.
    Number(&'static str),
    /// [`YES`] or [`NO`].
    Verdict(&'static str),
}

impl Column {
    /// What stands above the column.
    pub fn name(self) -> &'static str {
        match self {
            Self::Text(name) | Self::Number(name) | Self::Verdict(name) => name,
        }
    }
}

/// A verdict that holds.
pub const YES: &str = "yes";
/// A verdict that does not.
pub const NO: &str = "no";

/// A verdict as the cell of a table.
pub fn verdict(holds: bool) -> String {
    if holds { YES } else { NO }.to_owned()
}

/// A chart.
#[derive(Debug)]
pub struct Figure {
    /// What it shows, and in which units.
    pub caption: String,
    /// What the colours mean.
    pub legend: Vec<Key>,
    /// The drawing, an `svg` element.
    pub svg: String,
}

/// One entry of a legend.
#[derive(Debug)]
pub struct Key {
    /// What is drawn so.
    pub name: String,
    /// Its colour, as `#rrggbb`.
    pub colour: String,
    /// How it is drawn.
    pub mark: Mark,
}

/// How something is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// A filled bar.
    Bar,
    /// A line, in dashes if there are gaps.
    Line {
        /// Length of a dash.
        dash: u32,
        /// Length of a gap.
        gap: u32,
    },
    /// A tick across a bar, in the colour of the text.
    Tick,
}
