//! Converts a model for another training method. The function it computes stays the same.

use super::llama::LlamaForCausalLm;
use burn::tensor::backend::Backend;
use rand_chacha::ChaCha8Rng;
use switchlora_core::{Purpose, SwitchLoraConfig, SwitchLoraLinear, stream};

impl<B: Backend> LlamaForCausalLm<B> {
    /// Merges the factors of every projection, if it has any, and adapts the projection for `method`. New factors are drawn
    /// from `seed`.
    ///
    /// The parameters of projections get new ids, so they need a new optimizer.
    pub fn adapted(mut self, method: &SwitchLoraConfig, seed: u64) -> Self {
        let mut number = 0;
        let mut adapt = |layer: &mut SwitchLoraLinear<B>| {
            number += 1;
            let random = &mut stream(seed, Purpose::WarmStart, number, 0);
            *layer = adapted(layer, method, random);
        };
        for block in &mut self.model.layers {
            let (attention, mlp) = (&mut block.self_attn, &mut block.mlp);
            adapt(&mut attention.q_proj);
            adapt(&mut attention.k_proj);
            adapt(&mut attention.v_proj);
            adapt(&mut attention.o_proj);
            adapt(&mut mlp.gate_proj);
            adapt(&mut mlp.up_proj);
            adapt(&mut mlp.down_proj);
        }
        self
    }
}

fn adapted<B: Backend>(
    layer: &SwitchLoraLinear<B>,
    method: &SwitchLoraConfig,
    random: &mut ChaCha8Rng,
) -> SwitchLoraLinear<B> {
    let [d_input, d_output] = layer.weight.dims();
    let config = method.linear(d_input, d_output);
    config.adapt_from(layer.clone().merge(), random)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::LlamaConfig;
    use burn::tensor::{Int, Tensor};
    use switchlora_core::{SwitchSchedule, lora_layers};

    type TestBackend = burn_ndarray::NdArray;

    #[test]
    fn a_model_computes_the_same_whatever_its_layers_become() {
        let device = Default::default();
        let mut config = LlamaConfig::preset("tiny").unwrap();
        (config.num_hidden_layers, config.vocab_size) = (2, 50);
        let method = |rank| SwitchLoraConfig::new(rank, SwitchSchedule::Never).unwrap();
        let model = |rank| LlamaForCausalLm::<TestBackend>::new(&config, &method(rank), 3, &device);
        let tokens = Tensor::<TestBackend, 2, Int>::from_data([[3, 1, 4, 1, 5, 9, 2, 6]], &device);
        let logits = |model: &LlamaForCausalLm<TestBackend>| -> Vec<f32> {
            let logits = model.logits(model.hidden(tokens.clone()));
            logits.into_data().iter::<f32>().collect()
        };
        for (before, after) in [(None, Some(4)), (Some(4), Some(6)), (Some(4), None)] {
            let start = model(before);
            let expected = logits(&start);
            let adapted = start.adapted(&method(after), 7);
            let layers = lora_layers::<TestBackend, _>(&adapted);
            assert_eq!(layers.len(), if after.is_some() { 14 } else { 0 });
            assert!(layers.iter().all(|layer| Some(layer.rank()) == after));
            // Rounding of the weights that absorb the factors, through two blocks.
            let found = logits(&adapted);
            assert!(
                found
                    .iter()
                    .zip(&expected)
                    .all(|(f, e)| (f - e).abs() < 1e-4)
            );
        }
    }
}
