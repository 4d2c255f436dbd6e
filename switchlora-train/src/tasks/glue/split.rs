//! The splits of a GLUE task.

use super::{GlueTask, UnknownName};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A part of a GLUE task's examples. MNLI has two of its dev and test splits: texts of the same sources as in its
/// training split (matched), and of others (mismatched).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GlueSplit {
    /// The training split.
    Train,
    /// The validation split of every task but MNLI.
    Dev,
    /// The matched validation split of MNLI.
    DevMatched,
    /// The mismatched validation split of MNLI.
    DevMismatched,
    /// The test split of every task but MNLI. Its labels are not published.
    Test,
    /// The matched test split of MNLI.
    TestMatched,
    /// The mismatched test split of MNLI.
    TestMismatched,
}

use GlueSplit::{Dev, DevMatched, DevMismatched, Test, TestMatched, TestMismatched, Train};

impl GlueSplit {
    const NAMES: [&str; 7] = [
        "train",
        "dev",
        "dev_matched",
        "dev_mismatched",
        "test",
        "test_matched",
        "test_mismatched",
    ];

    /// The name, which is the name of its file in GLUE without `.tsv`.
    pub fn name(self) -> &'static str {
        Self::NAMES[self as usize]
    }

    /// Whether its labels are not published.
    pub fn is_test(self) -> bool {
        matches!(self, Test | TestMatched | TestMismatched)
    }
}

impl fmt::Display for GlueSplit {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for GlueSplit {
    type Err = UnknownName;

    fn from_str(name: &str) -> Result<Self, UnknownName> {
        let all = [
            Train,
            Dev,
            DevMatched,
            DevMismatched,
            Test,
            TestMatched,
            TestMismatched,
        ];
        let split = all.into_iter().find(|split| split.name() == name);
        split.ok_or_else(|| UnknownName {
            what: "split",
            found: name.to_owned(),
            known: &Self::NAMES,
        })
    }
}

impl GlueTask {
    /// The splits of the task.
    pub fn splits(self) -> &'static [GlueSplit] {
        match self {
            Self::Mnli => &[
                Train,
                DevMatched,
                DevMismatched,
                TestMatched,
                TestMismatched,
            ],
            _ => &[Train, Dev, Test],
        }
    }

    /// The validation splits: two for MNLI, the matched one first.
    pub fn dev_splits(self) -> &'static [GlueSplit] {
        match self {
            Self::Mnli => &[DevMatched, DevMismatched],
            _ => &[Dev],
        }
    }

    /// The test splits: two for MNLI, the matched one first.
    pub fn test_splits(self) -> &'static [GlueSplit] {
        match self {
            Self::Mnli => &[TestMatched, TestMismatched],
            _ => &[Test],
        }
    }
}
