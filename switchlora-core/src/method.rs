//! The methods: everything that differs between them, one row each.
//!
//! A method has a name, layers (with factors or without), an optimizer, default settings and a cost. A new method is a new
//! variant of [`Method`], a row in each function here, and one file with its planner.

use crate::baselines::{GaLore, GaLoreConfig, Muon, ReLora, ReLoraConfig};
use crate::config_error::{ConfigError, insist};
use crate::cost::{Cost, LinearShape, ModelShape};
use crate::linear::FactorInit;
use crate::optimizer::{MethodOptimizer, check_layer_rate};
use crate::planner::Planner;
use crate::replay::Recorded;
use crate::step::MuonConfig;
use crate::switching::{SwitchLoraConfig, SwitchSchedule, Switching};
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
    /// Every weight is trained, by AdamW.
    Full,
    /// Every weight is trained, those of layers by orthogonal steps.
    Muon,
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

/// Peak learning rates of the two groups of parameters.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LearningRates {
    /// Of factors, and of the weights of layers without factors.
    pub layers: f64,
    /// Of everything else, which every method trains in full: embeddings, norms, head.
    pub others: f64,
}

/// A name that is no method's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no method is called {0}: expected full, muon, lora, relora, galore or switchlora")]
pub struct UnknownMethod(String);

fn unknown(name: &str) -> UnknownMethod {
    UnknownMethod(name.to_owned())
}

impl Method {
    /// Every method, in the order of the tables.
    pub const ALL: [Self; 6] = [
        Self::Full,
        Self::Muon,
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
            Self::Full => "Every weight, by AdamW",
            Self::Muon => "Every weight, by orthogonal steps",
            Self::Lora => "Low-rank factors beside frozen weights",
            Self::ReLora => "Low-rank factors that are merged and restarted every so many updates",
            Self::GaLore => "Every weight, by gradients projected to a low rank",
            Self::SwitchLora => "Low-rank factors whose vectors are switched",
        }
    }

    /// The rank of its layers, when factors have the rank `rank`; `None` for layers without factors.
    pub fn rank(self, rank: usize) -> Option<usize> {
        match self {
            Self::Full | Self::Muon | Self::GaLore => None,
            Self::Lora | Self::ReLora | Self::SwitchLora => Some(rank),
        }
    }

    /// The largest rank at which every layer of `model` has vectors to switch; `None` for a method that does not switch.
    pub fn largest_rank(self, model: &ModelShape) -> Option<usize> {
        let narrowest = model.narrowest().filter(|_| self.switches())?;
        Some(narrowest.shorter_side().saturating_sub(1))
    }

    /// Checks that every layer of `model` has vectors to switch at this rank, if the method switches.
    ///
    /// # Errors
    ///
    /// The narrowest layer has none.
    pub fn validate_rank(self, rank: usize, model: &ModelShape) -> Result<(), ConfigError> {
        match model.narrowest() {
            Some(shape) if self.switches() && rank >= shape.shorter_side() => {
                let layer = "the narrowest layer".to_owned();
                Err(ConfigError::NothingToSwitch { layer, rank, shape })
            }
            _ => Ok(()),
        }
    }

    /// Whether the rank means anything to it.
    pub fn uses_rank(self) -> bool {
        !matches!(self, Self::Full | Self::Muon)
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
            Self::Full | Self::Muon | Self::GaLore | Self::SwitchLora => FactorInit::SwitchLora,
        }
    }

    /// Its default peak learning rates, measured on the State of the Union addresses: near the best that were found, on
    /// the side on which nothing diverges.
    pub fn learning_rates(self) -> LearningRates {
        let (layers, others) = match self {
            Self::Full | Self::ReLora => (1e-3, 1e-2),
            Self::Muon => (3e-3, 3e-2),
            Self::Lora | Self::GaLore | Self::SwitchLora => (1e-2, 1e-2),
        };
        LearningRates { layers, others }
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
            Self::Muon => Cost::muon(shape),
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
    /// Its layers, their switches, and AdamW; GaLore has [an AdamW of its own](GaLoreConfig::adamw).
    pub layers: SwitchLoraConfig,
    /// ReLoRA's restarts.
    pub relora: ReLoraConfig,
    /// GaLore's projections.
    pub galore: GaLoreConfig,
    /// Muon's steps.
    pub muon: MuonConfig,
    /// Factor of the learning rate for factors, and for the weights of layers without factors; 1 unless given. See
    /// [`MethodOptimizer::with_layer_rate`].
    pub layer_rate: f64,
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
            muon: MuonConfig::default(),
            layer_rate: 1.0,
        })
    }

    /// Checks every setting that the method uses.
    ///
    /// # Errors
    ///
    /// The first field that is out of its range.
    pub fn validate(&self) -> Result<(), ConfigError> {
        self.layers.validate()?;
        check_layer_rate(self.layer_rate)?;
        match self.method {
            Method::Full | Method::Lora | Method::SwitchLora => Ok(()),
            Method::ReLora => {
                ReLoraConfig::validate_layers(&self.layers)?;
                self.relora.validate()
            }
            Method::GaLore => self.galore.validate(),
            Method::Muon => self.muon.validate(),
        }
    }

    /// Checks that the method can train every layer of `model`: see [`Method::validate_rank`].
    ///
    /// # Errors
    ///
    /// The narrowest layer has no vectors to switch.
    pub fn validate_for(&self, model: &ModelShape) -> Result<(), ConfigError> {
        let rank = self.layers.rank.unwrap_or_default();
        self.method.validate_rank(rank, model)
    }

    /// The same settings in full rank, with one learning rate: the phase of a training before the method begins.
    pub fn full_rank(&self) -> Self {
        Self {
            method: Method::Full,
            layer_rate: 1.0,
            layers: SwitchLoraConfig {
                rank: None,
                schedule: SwitchSchedule::Never,
                ..self.layers.clone()
            },
            ..self.clone()
        }
    }

    /// The method's optimizer; put it inside a [`ClipGradNorm`](crate::ClipGradNorm).
    ///
    /// # Panics
    ///
    /// If a setting that the method uses is out of its range; with the message of [`validate`](Self::validate).
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
        // Here too: the optimizer of one method checks its own settings, not those of the layers.
        insist("an optimizer", self.validate());
        let method: Box<dyn Planner<_>> = match self.method {
            Method::Full | Method::Lora | Method::SwitchLora => {
                Box::new(Switching::new(self.layers.clone(), recorded.draws))
            }
            Method::ReLora => Box::new(ReLora::new(self.relora, &self.layers, recorded)),
            Method::GaLore => Box::new(GaLore::new(self.galore, recorded)),
            Method::Muon => Box::new(Muon::new(self.muon, self.layers.adamw)),
        };
        MethodOptimizer::new(method).with_layer_rate(self.layer_rate)
    }
}
