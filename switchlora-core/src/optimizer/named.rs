//! An optimizer on plain weights that a rule names.

use super::MethodOptimizer;
use crate::layers::{Layers, LoraLayer};
use crate::plain::{Named, Weights};
use crate::state_error::StateError;
use burn::module::{AutodiffModule, Module, ParamId};
use burn::optim::GradientsParams;
use burn::tensor::backend::AutodiffBackend;

impl<M: AutodiffModule<B>, B: AutodiffBackend> MethodOptimizer<M, B> {
    /// The same optimizer for a module whose layers are plain: it trains the weights that `weights` names, besides any
    /// [`SwitchLoraLinear`](crate::SwitchLoraLinear) with factors of its own. The ranks are those of the rule, whatever the rank
    /// of the configuration.
    ///
    /// A method with factors holds those of the named weights, which start by its configuration with the weights as they are.
    /// GaLore projects the gradients of the named weights to their ranks, Muon makes their steps orthogonal, and without a
    /// method ([`Method::Full`](crate::Method::Full)) only the [layers' learning rate](Self::with_layer_rate) distinguishes
    /// them. A rule that cannot be followed is an error of [`try_prepare`](Self::try_prepare).
    ///
    /// ```
    /// use burn::backend::Autodiff;
    /// use burn::nn::transformer::{TransformerEncoder, TransformerEncoderConfig};
    /// use burn_flex::Flex;
    /// use switchlora_core::{ClipGradNorm, SwitchLoraConfig, SwitchSchedule, Weights};
    ///
    /// type B = Autodiff<Flex>;
    /// let model: TransformerEncoder<B> = TransformerEncoderConfig::new(32, 64, 4, 2).init(&Default::default());
    /// let method = SwitchLoraConfig::new(Some(8), SwitchSchedule::decaying(40.0, 0.1, 1000)).unwrap();
    /// let mut optimizer = method.optimizer::<_, B>().on_weights(Weights::linear(8));
    /// optimizer.try_prepare(&model).unwrap();
    /// let optimizer = ClipGradNorm::new(1.0, optimizer);
    /// ```
    pub fn on_weights(self, weights: Weights) -> Self {
        Self {
            weights: Some(weights),
            ..self
        }
    }

    /// Adds the named weights to the `layers` of a module: those with factors, or those without.
    pub(super) fn place(
        &mut self,
        mut layers: Layers<B::InnerBackend>,
        named: Vec<Named<B::InnerBackend>>,
    ) -> Result<Layers<B::InnerBackend>, StateError> {
        let Some(weights) = &self.weights else {
            return Ok(layers);
        };
        let config = self.host.method.factors();
        let of_layer =
            |layer: &LoraLayer<_>, id| [layer.weight.id, layer.a.id, layer.b.id].contains(&id);
        let named: Vec<_> = match config {
            Some(_) => named
                .into_iter()
                .filter(|weight| !layers.lora.iter().any(|layer| of_layer(layer, weight.id)))
                .collect(),
            None => named,
        };
        if self.placed.replace(named.len()) != Some(named.len()) {
            self.remarks[0].push(weights.remark(&named));
        }
        match config {
            Some(config) => self.held.prepare(named, config, &mut layers)?,
            None => named.iter().for_each(|weight| layers.add(weight.plain())),
        }
        Ok(layers)
    }

    /// Makes the factors that [`project`](Self::project) needs, if any weights are named. Everything else waits for the first
    /// update, after which memory is free again that its candidates can take.
    ///
    /// # Errors
    ///
    /// As [`try_prepare`](Self::try_prepare).
    pub fn try_hold(&mut self, module: &M) -> Result<(), StateError> {
        match self.weights {
            Some(_) => self.try_prepare(module),
            None => Ok(()),
        }
    }

    /// Puts what the update takes in the place of the gradients of named weights: the gradients of their
    /// [factors](Self::factor_ids), which are much smaller.
    ///
    /// `part` is the module or a part of it. The projection is linear, so gradients may be projected as they come, before they
    /// are added up or sent, and each update does it for those that are not. Nothing changes before the optimizer has seen the
    /// module, by [`try_hold`](Self::try_hold) or an update.
    ///
    /// Projected gradients belong to no parameter of the module. Burn's `GradientsAccumulator`, which walks the module, loses
    /// them: add them up by their [ids](Self::factor_ids), or give it the gradients as they are.
    pub fn project<N: Module<B>>(
        &self,
        part: &N,
        mut gradients: GradientsParams,
    ) -> GradientsParams {
        self.held.project::<B, N>(part, &mut gradients);
        gradients
    }

    /// The ids of the gradients of held factors, `[rank, d_input]` and `[rank, d_output]` of one weight after the other. They
    /// belong to no parameter of the module. Each process draws ids of its own, unless all have loaded the same record; the
    /// order is the same for all.
    pub fn factor_ids(&self) -> Vec<ParamId> {
        self.held.ids()
    }

    /// The named weights with the factors that the optimizer holds for them, in the order of the walk, as for layers with
    /// factors; but `weight` is the module's plain one, `W + s AᵀB`. Empty for a method without factors.
    ///
    /// # Errors
    ///
    /// As [`try_prepare`](Self::try_prepare), which it does too.
    pub fn held_layers(
        &mut self,
        module: &M,
    ) -> Result<Vec<LoraLayer<B::InnerBackend>>, StateError> {
        let layers = self.find_layers(module)?.lora;
        let held = |layer: &LoraLayer<_>| self.held.all.contains_key(&layer.weight.id);
        Ok(layers.into_iter().filter(held).collect())
    }
}
