//! Adapters for a model that has none: what it computes stays what it was.

use super::llama::LlamaForCausalLm;
use burn::nn::Linear;
use burn::tensor::backend::Backend;
use switchlora_core::{
    FactorInit, Purpose, SwitchLoraConfig, SwitchLoraLinear, SwitchLoraLinearConfig, stream,
};

impl<B: Backend> LlamaForCausalLm<B> {
    /// Gives every projection the adapters of `method`: its weight `W0` becomes `W = W0 - s B A`, so that the model computes
    /// what it did (within f32's rounding; within bf16's where the frozen weights rest in that).
    ///
    /// The factors are those that a [new](Self::new) model of the same seed would have. Without a rank nothing changes.
    pub fn adapt(mut self, method: &SwitchLoraConfig, factors: FactorInit, seed: u64) -> Self {
        if method.rank.is_none() {
            return self;
        }
        // The stream of the embedding is the first, that of a projection's weight comes before that of its factors.
        let mut number = 1;
        let mut adapt = |projection: &mut SwitchLoraLinear<B>| {
            number += 2;
            let [d_input, d_output] = projection.weight.dims();
            let config: SwitchLoraLinearConfig = method.linear(d_input, d_output);
            let linear = Linear {
                weight: projection.weight.clone(),
                bias: projection.bias.clone(),
            };
            let mut random = stream(seed, Purpose::Weights, number, 0);
            *projection = config.with_factors(factors).adapt_from(linear, &mut random);
        };
        for layer in &mut self.model.layers {
            let (attention, mlp) = (&mut layer.self_attn, &mut layer.mlp);
            [
                &mut attention.q_proj,
                &mut attention.k_proj,
                &mut attention.v_proj,
                &mut attention.o_proj,
                &mut mlp.gate_proj,
                &mut mlp.up_proj,
                &mut mlp.down_proj,
            ]
            .into_iter()
            .for_each(&mut adapt);
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{LlamaConfig, export, import};
    use switchlora_core::SwitchSchedule;

    type TestBackend = burn_ndarray::NdArray;

    #[test]
    fn a_plain_model_that_is_adapted_is_the_new_model_of_the_same_seed() {
        let config = LlamaConfig {
            vocab_size: 19,
            ..LlamaConfig::preset("tiny").unwrap()
        };
        let method = |rank| SwitchLoraConfig::new(rank, SwitchSchedule::Never).unwrap();
        let device = Default::default();
        for factors in [FactorInit::SwitchLora, FactorInit::Lora] {
            let new = |rank| {
                LlamaForCausalLm::<TestBackend>::new(&config, &method(rank), factors, 5, &device)
            };
            let blank = LlamaForCausalLm::blank(&config, &method(Some(3)), &device);
            let weights = export::<TestBackend, _>(&new(None));
            let plain = import::<TestBackend, _>(blank, weights.clone()).unwrap();
            assert_eq!(export::<TestBackend, _>(&plain), weights);
            let adapted = plain.adapt(&method(Some(3)), factors, 5);
            // To the last bit: the same numbers were subtracted from the same weights.
            assert_eq!(
                export::<TestBackend, _>(&adapted),
                export::<TestBackend, _>(&new(Some(3)))
            );
        }
    }
}
