//! How large the weights of a new model are.

use super::config::LlamaConfig;
use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// How the weights of a new model are drawn: normal numbers, whose standard deviation follows from this.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
#[value(rename_all = "lowercase")]
pub enum WeightInit {
    /// The model's `initializer_range` for every matrix, as in Hugging Face's programs and the paper's.
    #[default]
    Range,
    /// `1 / sqrt(inputs)` for projections, divided by `sqrt(2 layers)` where they write to the residual stream (o and
    /// down); `initializer_range` for embeddings and head.
    Scaled,
}

/// Where a projection writes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// To a value inside attention or MLP.
    Inside,
    /// To the residual stream.
    Residual,
}

impl WeightInit {
    /// The standard deviation of the weights of a projection.
    pub(super) fn deviation(self, model: &LlamaConfig, d_input: usize, place: Place) -> f64 {
        let by_inputs = (d_input as f64).sqrt().recip();
        match (self, place) {
            (Self::Range, _) => model.initializer_range,
            (Self::Scaled, Place::Inside) => by_inputs,
            // Attention and MLP of each layer add to it.
            (Self::Scaled, Place::Residual) => {
                by_inputs / (2.0 * model.num_hidden_layers as f64).sqrt()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::LlamaForCausalLm;
    use burn::tensor::Tensor;
    use burn_ndarray::NdArray;
    use switchlora_core::{SwitchLoraConfig, SwitchSchedule};

    /// The standard deviation of a matrix of numbers around 0.
    fn deviation(weight: Tensor<NdArray, 2>) -> f64 {
        f64::from(weight.square().mean().sqrt().into_scalar())
    }

    #[test]
    fn weights_are_as_large_as_their_inputs_and_their_depth_say_and_the_rest_as_ever() {
        let config = LlamaConfig::preset("tiny").expect("a preset");
        let method = SwitchLoraConfig::new(None, SwitchSchedule::Never).expect("valid");
        let model = |init| {
            LlamaForCausalLm::<NdArray>::drawn(&config, &method, init, 3, &Default::default())
        };
        let (range, scaled) = (model(WeightInit::Range), model(WeightInit::Scaled));
        // Deviations of 16,000 numbers and more, known to half a percent.
        let near = |found: f64, expected: f64| {
            assert!(
                (found / expected - 1.0).abs() < 0.03,
                "{found} is not {expected}"
            );
        };
        let of = |model: &LlamaForCausalLm<NdArray>| {
            let layer = &model.model.layers[1];
            let (attention, mlp) = (&layer.self_attn, &layer.mlp);
            let weights = [
                &attention.q_proj,
                &attention.o_proj,
                &mlp.up_proj,
                &mlp.down_proj,
            ];
            weights.map(|linear| deviation(linear.weight.val()))
        };
        for found in of(&range) {
            near(found, 0.02);
        }
        let [q, o, up, down] = of(&scaled);
        near(q, 128f64.powf(-0.5));
        near(o, (128.0 * 8.0f64).powf(-0.5));
        near(up, 128f64.powf(-0.5));
        near(down, (352.0 * 8.0f64).powf(-0.5));
        near(deviation(scaled.model.embed_tokens.weight.val()), 0.02);
    }
}
