//! The methods: everything that differs between them, one row each.
//!
//! A method has a name, layers (with factors or without), an optimizer, default settings and a cost. A new method is a new
//! variant of [`Method`], a row in each function here, and one file with its planner.

use crate::baselines::{GaLore, GaLoreConfig, ReLora, ReLoraConfig};
use crate::cost::{Cost, LinearShape, ModelShape};
use crate::linear::FactorInit;
use crate::optimizer::MethodOptimizer;
use crate::replay::Recorded;
use crate::switching::{ConfigError, SwitchLoraConfig, SwitchSchedule, Switching};
use burn::module::AutodiffModule;
use burn::tensor::backend::AutodiffBackend;
use serde::{Deserialize, Serialize};

/// How a model is trained.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    Hash,
    Serialize,
    Deserialize,
    strum::Display,
    strum::EnumString,
    strum::IntoStaticStr,
)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase", parse_err_ty = UnknownMethod, parse_err_fn = unknown)]
pub enum Method {
    /// Every weight is trained.
    Full,
    /// The weights are frozen, factors of low rank beside them are trained.
    Lora,
    /// LoRA whose factors are merged into the weights and start again every so many updates.
    ReLora,
    /// Every weight is trained, by gradients projected to a low rank.
    GaLore,
    /// LoRA whose vectors are switched.
    #[default]
    SwitchLora,
}

/// A name that is no method's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no method is called {0}: expected full, lora, relora, galore or switchlora")]
pub struct UnknownMethod(String);

fn unknown(name: &str) -> UnknownMethod {
    UnknownMethod(name.to_owned())
}

impl Method {
    /// Every method, in the order of the tables.
    pub const ALL: [Self; 5] = [
        Self::Full,
        Self::Lora,
        Self::ReLora,
        Self::GaLore,
        Self::SwitchLora,
    ];

    /// Its name on the command line and in files, which is also parsed.
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// What it trains, in one line.
    pub fn summary(self) -> &'static str {
        match self {
            Self::Full => "Every weight",
            Self::Lora => "Low-rank factors beside frozen weights",
            Self::ReLora => "Low-rank factors that are merged and restarted every so many updates",
            Self::GaLore => "Every weight, by gradients projected to a low rank",
            Self::SwitchLora => "Low-rank factors whose vectors are switched",
        }
    }

    /// The rank of its layers, when factors have the rank `rank`; `None` for layers without factors.
    pub fn rank(self, rank: usize) -> Option<usize> {
        match self {
            Self::Full | Self::GaLore => None,
            Self::Lora | Self::ReLora | Self::SwitchLora => Some(rank),
        }
    }

    /// Whether the rank means anything to it.
    pub fn uses_rank(self) -> bool {
        self != Self::Full
    }

    /// Whether the weights beside its factors are frozen.
    pub fn freezes(self) -> bool {
        self.rank(1).is_some()
    }

    /// Whether it switches vectors.
    pub fn switches(self) -> bool {
        self == Self::SwitchLora
    }

    /// The default start of its factors.
    pub fn factors(self) -> FactorInit {
        match self {
            Self::Lora | Self::ReLora => FactorInit::Lora,
            Self::Full | Self::GaLore | Self::SwitchLora => FactorInit::SwitchLora,
        }
    }

    /// Its default peak learning rate, measured on the State of the Union addresses: factors take a higher one than weights.
    pub fn learning_rate(self) -> f64 {
        match self {
            Self::Full | Self::ReLora => 3e-3,
            Self::Lora | Self::GaLore | Self::SwitchLora => 1e-2,
        }
    }

    /// The cost of training `model` at `rank`, which [`Full`](Self::Full) ignores.
    ///
    /// Rank 0 means adapters without parameters. The caller keeps the sizes such that the number of bytes fits in 64 bits.
    pub fn cost(self, model: &ModelShape, rank: usize) -> Cost {
        let others = Cost::adamw(model.other_parameters, model.other_parameters);
        let layers = model.linears.iter();
        layers.fold(others, |cost, &shape| cost + self.layer_cost(shape, rank))
    }

    fn layer_cost(self, shape: LinearShape, rank: usize) -> Cost {
        match self {
            Self::Full => Cost::full(shape),
            Self::Lora | Self::ReLora => Cost::lora(shape, rank),
            Self::GaLore => Cost::galore(shape, rank),
            Self::SwitchLora => Cost::switchlora(shape, rank),
        }
    }
}

/// A method with all of its settings.
#[derive(Clone, Debug, PartialEq)]
pub struct MethodConfig {
    /// The method.
    pub method: Method,
    /// Its layers, their switches, and AdamW.
    pub layers: SwitchLoraConfig,
    /// ReLoRA's restarts.
    pub relora: ReLoraConfig,
    /// GaLore's projections.
    pub galore: GaLoreConfig,
}

impl MethodConfig {
    /// The method at `rank` with the defaults of its authors; `schedule` is that of the switches, if it has any.
    ///
    /// # Errors
    ///
    /// A rank of 0, or an interval below `2 N`.
    pub fn new(method: Method, rank: usize, schedule: SwitchSchedule) -> Result<Self, ConfigError> {
        let schedule = match method.switches() {
            true => schedule,
            false => SwitchSchedule::Never,
        };
        Ok(Self {
            method,
            layers: SwitchLoraConfig {
                factors: method.factors(),
                ..SwitchLoraConfig::new(method.rank(rank), schedule)?
            },
            relora: ReLoraConfig::default(),
            galore: GaLoreConfig::new(rank)?,
        })
    }

    /// Checks every setting that the method uses.
    ///
    /// # Errors
    ///
    /// The first field that is out of its range.
    pub fn validate(&self) -> Result<(), ConfigError> {
        self.layers.validate()?;
        match self.method {
            Method::Full | Method::Lora | Method::SwitchLora => Ok(()),
            Method::ReLora => self.relora.validate(),
            Method::GaLore => self.galore.validate(),
        }
    }

    /// The same settings in full rank: the phase of a training before the method begins.
    pub fn full_rank(&self) -> Self {
        Self {
            method: Method::Full,
            layers: SwitchLoraConfig {
                rank: None,
                schedule: SwitchSchedule::Never,
                ..self.layers.clone()
            },
            ..self.clone()
        }
    }

    /// The method's optimizer; put it inside a [`ClipGradNorm`](crate::ClipGradNorm).
    pub fn optimizer<M: AutodiffModule<B>, B: AutodiffBackend>(&self) -> MethodOptimizer<M, B> {
        self.replay(Recorded::default())
    }

    /// The optimizer that makes the recorded choices of another run.
    #[doc(hidden)]
    pub fn replay<M, B>(&self, recorded: Recorded) -> MethodOptimizer<M, B>
    where
        M: AutodiffModule<B>,
        B: AutodiffBackend,
    {
        MethodOptimizer::new(match self.method {
            Method::Full | Method::Lora | Method::SwitchLora => {
                Box::new(Switching::new(self.layers.clone(), recorded.draws))
            }
            Method::ReLora => Box::new(ReLora::new(self.relora, &self.layers, recorded)),
            Method::GaLore => Box::new(GaLore::new(self.galore, recorded)),
        })
    }
}
