//! The training methods, and everything that follows from the name of one.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use switchlora_core::FactorInit;
use switchlora_core::cost::{Cost, CostMethod, ModelShape};

/// Training method.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    /// Every weight.
    Full,
    /// Low-rank factors beside frozen weights.
    Lora,
    /// Low-rank factors that are merged and restarted every `cycle` updates.
    ReLora,
    /// Every weight, by gradients projected to a low rank.
    GaLore,
    /// Low-rank factors whose vectors are switched.
    #[default]
    SwitchLora,
}

impl Method {
    /// Every method.
    pub const ALL: [Self; 5] = [
        Self::Full,
        Self::Lora,
        Self::ReLora,
        Self::GaLore,
        Self::SwitchLora,
    ];

    /// The method in the closed forms of costs.
    fn closed_form(self) -> CostMethod {
        match self {
            Self::Full => CostMethod::Full,
            Self::Lora => CostMethod::Lora,
            Self::ReLora => CostMethod::ReLora,
            Self::GaLore => CostMethod::GaLore,
            Self::SwitchLora => CostMethod::SwitchLora,
        }
    }

    /// Cost of training `model` at `rank`, in closed form.
    pub fn cost(self, model: &ModelShape, rank: usize) -> Cost {
        self.closed_form().cost(model, rank)
    }

    /// The name on command lines and in files.
    pub fn name(self) -> &'static str {
        self.closed_form().name()
    }

    /// One line of help.
    pub fn summary(self) -> &'static str {
        match self {
            Self::Full => "Every weight",
            Self::Lora => "Low-rank factors beside frozen weights",
            Self::ReLora => "Low-rank factors that are merged and restarted every so many updates",
            Self::GaLore => "Every weight, by gradients projected to a low rank",
            Self::SwitchLora => "Low-rank factors whose vectors are switched",
        }
    }

    /// Whether the method has a rank.
    pub fn uses_rank(self) -> bool {
        self.closed_form().uses_rank()
    }

    /// Rank of the layers when the factors have rank `rank`; `None` for layers without factors.
    pub fn rank(self, rank: usize) -> Option<usize> {
        match self {
            Self::Full | Self::GaLore => None,
            Self::Lora | Self::ReLora | Self::SwitchLora => Some(rank),
        }
    }

    /// Initial distribution of the factors.
    pub fn factors(self) -> FactorInit {
        match self {
            Self::Lora | Self::ReLora => FactorInit::Lora,
            Self::Full | Self::GaLore | Self::SwitchLora => FactorInit::SwitchLora,
        }
    }

    /// Whether the weights beside the factors are frozen.
    pub fn freezes(self) -> bool {
        self.rank(1).is_some()
    }

    /// Default peak learning rate. Factors take a higher one than weights (measured on the embedded text).
    pub fn learning_rate(self) -> f64 {
        match self {
            Self::Full | Self::ReLora => 3e-3,
            Self::Lora | Self::GaLore | Self::SwitchLora => 1e-2,
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Method {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|method| method.name() == name);
        let known = || Self::ALL.map(Self::name).join(", ");
        found.ok_or_else(|| format!("method {name} is unknown; choose among {}", known()))
    }
}
