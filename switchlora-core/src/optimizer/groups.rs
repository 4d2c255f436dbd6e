//! Learning rates and decays of parts of a module.

use super::MethodOptimizer;
use crate::config_error::{ConfigError, in_range, insist};
use crate::state_error::StateError;
use crate::step::{Group, Groups};
use burn::module::{AutodiffModule, ParamId};
use burn::tensor::backend::AutodiffBackend;
use hashbrown::HashMap;

/// Checks the factor of the learning rate for layers.
pub(crate) fn check_layer_rate(factor: f64) -> Result<(), ConfigError> {
    let held = (1e-30..=1e30).contains(&factor);
    in_range("layer_rate", factor, held, "1e-30 to 1e30")
}

impl<M: AutodiffModule<B>, B: AutodiffBackend> MethodOptimizer<M, B> {
    /// The same optimizer with a learning rate of its own for layers: `factor` times that of everything else.
    ///
    /// Layers are the [`SwitchLoraLinear`](crate::SwitchLoraLinear)s of the module and the weights that
    /// [`on_weights`](Self::on_weights) names: their factors, or the weights themselves if they have no factors.
    /// Embeddings, norms, biases and other parameters are everything else.
    ///
    /// # Panics
    ///
    /// If the factor is not in the range that [`MethodConfig::layer_rate`](crate::MethodConfig::layer_rate) allows.
    pub fn with_layer_rate(self, factor: f64) -> Self {
        insist("an optimizer", check_layer_rate(factor));
        Self {
            layer_rate: factor,
            ..self
        }
    }

    /// The same optimizer with parameter groups: `rule` returns the group of each parameter of the module, given its path
    /// (`model.layers.0.input_layernorm.weight`) and shape. Factors that the optimizer holds are of the group of their weight.
    ///
    /// Without a rule, matrices decay and vectors (the weights of norms, biases) do not, unless
    /// [`AdamWConfig::decay_matrices_only`](crate::AdamWConfig::decay_matrices_only) is off. A group out of range is an error
    /// of [`try_prepare`](Self::try_prepare).
    ///
    /// ```
    /// use burn::backend::Autodiff;
    /// use burn::nn::transformer::TransformerEncoder;
    /// use burn_flex::Flex;
    /// use switchlora_core::{AdamWConfig, Group, MethodOptimizer, SwitchLoraConfig, SwitchSchedule};
    ///
    /// type B = Autodiff<Flex>;
    /// let mut method = SwitchLoraConfig::new(None, SwitchSchedule::Never).unwrap();
    /// method.adamw.weight_decay = 0.1;
    /// let optimizer: MethodOptimizer<TransformerEncoder<B>, B> = method.optimizer();
    /// // The first layers learn slowly, the last ones do not decay.
    /// let optimizer = optimizer.with_groups(|path, _shape| match path {
    ///     path if path.starts_with("layers.0.") => Group { rate: 0.1, ..Group::default() },
    ///     path if path.starts_with("layers.5.") => Group { weight_decay: Some(0.0), ..Group::default() },
    ///     _ => Group::default(),
    /// });
    /// # let _ = optimizer;
    /// ```
    pub fn with_groups(
        self,
        rule: impl Fn(&str, &[usize]) -> Group + Send + Sync + 'static,
    ) -> Self {
        Self {
            groups: Some(Groups::new(rule)),
            ..self
        }
    }

    /// The group of each parameter of `module`, if there is a rule.
    pub(super) fn groups_of(&self, module: &M) -> Result<HashMap<ParamId, Group>, StateError> {
        let groups = self.groups.as_ref().map(|groups| groups.of(module));
        groups.unwrap_or_else(|| Ok(HashMap::new()))
    }
}
