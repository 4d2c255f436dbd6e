//! Forward and backward pass of a micro-batch.
//!
//! A model that recomputes its layers has a graph for each of them instead of one graph of the whole: the forward pass
//! keeps the input of each layer and no graph, and the backward pass builds the graph of a layer when it comes to it. Each
//! number is computed by the same operations from the same numbers, so the gradients have the same bits.

use super::each::{Places, Projection};
use super::sum::added;
use crate::data::TokenBatch;
use crate::model::{LlamaForCausalLm, Recompute};
use burn::module::AutodiffModule;
use burn::optim::GradientsParams;
use burn::tensor::Tensor;
use burn::tensor::backend::{AutodiffBackend, Backend};
use switchlora_ops::{AttentionTables, in_pool};

/// The loss `[1]` of a batch.
pub(crate) fn loss<B: Backend>(model: &LlamaForCausalLm<B>, batch: TokenBatch<B>) -> Tensor<B, 1> {
    let model = model.clone();
    in_pool::<B, _>(move || model.loss(batch.inputs, batch.targets))
}

/// The loss `[1]` of a batch, and a classifier's scores `[targets, labels]`.
pub(super) fn judged<B: Backend>(
    model: &LlamaForCausalLm<B>,
    batch: TokenBatch<B>,
) -> (Tensor<B, 1>, Option<Tensor<B, 2>>) {
    let model = model.clone();
    in_pool::<B, _>(move || model.judged(batch.inputs, batch.targets))
}

/// A forward pass whose gradients are still to be computed.
pub(crate) struct Pass<B: AutodiffBackend> {
    loss: Tensor<B, 1>,
    /// `None` if the graph of the loss is that of the whole model.
    layers: Option<Layers<B>>,
}

/// Where the graph of a model is cut.
struct Layers<B: AutodiffBackend> {
    /// The embeddings of the tokens, `[tokens, hidden]`.
    embedded: Tensor<B, 2>,
    /// The input of each layer, `[tokens, hidden]`.
    inputs: Vec<Tensor<B::InnerBackend, 2>>,
    /// The output of the last layer, with which the graph of the loss begins, `[tokens, hidden]`.
    output: Tensor<B, 2>,
    tables: AttentionTables<B>,
}

impl<B: AutodiffBackend> Pass<B> {
    /// The forward pass of a batch.
    pub fn forward(model: &LlamaForCausalLm<B>, batch: TokenBatch<B>) -> Self {
        let model = model.clone();
        in_pool::<B, _>(move || match model.recompute {
            Recompute::Nothing => Self {
                loss: model.loss(batch.inputs, batch.targets),
                layers: None,
            },
            Recompute::Layers => Self::by_layers(&model, batch),
        })
    }

    fn by_layers(model: &LlamaForCausalLm<B>, batch: TokenBatch<B>) -> Self {
        let [_, length] = batch.inputs.dims();
        let embedded = model.model.embed(batch.inputs); // [tokens, hidden]
        let tables = model.positions.valid().tables(length);
        let mut inputs = Vec::with_capacity(model.model.layers.len());
        let mut x = embedded.clone().inner();
        for layer in &model.model.layers {
            inputs.push(x.clone());
            x = layer.valid().forward(x, &tables);
        }
        let output = Tensor::from_inner(x).require_grad();
        Self {
            loss: model.loss_of(output.clone(), batch.targets),
            layers: Some(Layers {
                embedded,
                inputs,
                output,
                tables: model.positions.tables(length),
            }),
        }
    }

    /// The mean cross-entropy of the batch, `[1]`, in nats a token.
    pub fn loss(&self) -> Tensor<B::InnerBackend, 1> {
        self.loss.clone().inner()
    }

    /// The gradients of the loss of `model`, which must be the one of the forward pass, as `projection` keeps them.
    pub fn backward<P: Projection<B> + Sync>(
        self,
        model: &LlamaForCausalLm<B>,
        projection: &P,
    ) -> GradientsParams {
        let model = model.clone();
        in_pool::<B, _>(move || {
            let Some(layers) = self.layers else {
                let gradients = GradientsParams::from_grads(self.loss.backward(), &model);
                return projection.project(&model, gradients);
            };
            let mut gradients = self.loss.backward();
            let dy = layers.output.grad_remove(&mut gradients);
            let sum = GradientsParams::from_grads(gradients, &model);
            match dy {
                Some(dy) => layers.backward(&model, dy, sum, projection),
                None => sum,
            }
        })
    }
}

impl<B: AutodiffBackend> Layers<B> {
    /// Adds the gradients of layers and embedding to `sum`, from that of the last layer's output, `dy: [tokens, hidden]`. What
    /// `projection` leaves of a layer's is all that is kept while the layer before is computed.
    fn backward(
        self,
        model: &LlamaForCausalLm<B>,
        mut dy: Tensor<B::InnerBackend, 2>,
        mut sum: GradientsParams,
        projection: &impl Projection<B>,
    ) -> GradientsParams {
        let factors = projection.ids();
        for (layer, x) in model.model.layers.iter().zip(self.inputs).rev() {
            let x = Tensor::from_inner(x).require_grad();
            let y = layer.forward(x.clone(), &self.tables);
            let mut gradients = seeded(y, dy).backward();
            let Some(dx) = x.grad_remove(&mut gradients) else {
                return sum;
            };
            dy = dx;
            let gradients = GradientsParams::from_grads(gradients, layer);
            let gradients = projection.project(layer, gradients);
            let places = Places {
                module: layer,
                factors: &factors,
            };
            sum = added::<B, _>(sum, gradients, &places);
        }
        let gradients = seeded(self.embedded, dy).backward();
        let table = &model.model.embed_tokens;
        let gradients = GradientsParams::from_grads(gradients, table);
        let places = Places {
            module: table,
            factors: &[],
        };
        added::<B, _>(sum, gradients, &places)
    }
}

/// A number whose gradient with respect to `y` is `dy`, exactly.
fn seeded<B: AutodiffBackend>(y: Tensor<B, 2>, dy: Tensor<B::InnerBackend, 2>) -> Tensor<B, 1> {
    (y * Tensor::from_inner(dy)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Targets;
    use crate::model::LlamaConfig;
    use burn::backend::Autodiff;
    use burn::module::{Module, ModuleVisitor, Param};
    use burn::tensor::TensorData;
    use burn_flex::Flex;
    use burn_ndarray::NdArray;
    use proptest::prelude::*;
    use switchlora_core::{Precision, SwitchLoraConfig, SwitchSchedule};

    #[derive(Clone, Debug)]
    struct Case {
        layers: usize,
        keys: usize,
        tied: bool,
        rank: Option<usize>,
        precision: Precision,
        frozen: Precision,
        tokens: [usize; 2],
        seed: u64,
    }

    fn case() -> impl Strategy<Value = Case> {
        let precision = || prop_oneof![3 => Just(Precision::F32), 1 => Just(Precision::Bf16)];
        let shape = (1usize..4, 1usize..3, any::<bool>(), [1usize..4, 1usize..8]);
        let method = (prop::option::of(1usize..5), precision(), precision());
        (shape, method, any::<u64>()).prop_map(|(shape, method, seed)| {
            let (layers, keys, tied, tokens) = shape;
            let (rank, precision, frozen) = method;
            Case {
                layers,
                keys,
                tied,
                rank,
                precision,
                frozen,
                tokens,
                seed,
            }
        })
    }

    /// The gradient of each parameter, bit for bit, in the order of the model's walk; `None` for frozen ones.
    struct Bits<'a>(&'a GradientsParams, Vec<Option<Vec<u32>>>);

    impl<B: AutodiffBackend> ModuleVisitor<B> for Bits<'_> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
            let gradient = self.0.get::<B::InnerBackend, D>(param.id);
            let bits = |data: TensorData| data.iter::<f32>().map(f32::to_bits).collect();
            self.1
                .push(gradient.map(|gradient| bits(gradient.into_data())));
        }
    }

    /// The loss and the gradients, bit for bit.
    fn computed<B: AutodiffBackend>(
        case: &Case,
        recompute: Recompute,
    ) -> (Vec<u32>, Vec<Option<Vec<u32>>>) {
        let device = Default::default();
        let config = LlamaConfig {
            vocab_size: 11,
            hidden_size: 12,
            intermediate_size: 14,
            num_hidden_layers: case.layers,
            num_attention_heads: 2,
            num_key_value_heads: case.keys,
            max_position_embeddings: 8,
            tie_word_embeddings: case.tied,
            ..LlamaConfig::preset("tiny").unwrap()
        };
        let mut method = SwitchLoraConfig::new(case.rank, SwitchSchedule::Never).unwrap();
        (method.precision, method.frozen) = (case.precision, case.frozen);
        let model = LlamaForCausalLm::<B>::new(&config, &method, case.seed, &device);
        let model = model.recomputing(recompute);
        let [rows, length] = case.tokens;
        let ids = |step: u64| {
            let ids = (1..=(rows * length) as u64).map(|i| (i * step % 11) as i64);
            let ids = TensorData::new(ids.collect(), [rows, length]);
            Tensor::from_data(ids, &device)
        };
        let batch = TokenBatch {
            inputs: ids(case.seed % 97),
            targets: Targets::Next(ids(case.seed % 89 + 1)),
        };
        let pass = Pass::forward(&model, batch);
        let loss: Vec<f32> = pass.loss().into_data().iter().collect();
        let gradients = pass.backward(&model, &());
        let mut bits = Bits(&gradients, Vec::new());
        Module::<B>::visit(&model, &mut bits);
        (loss.into_iter().map(f32::to_bits).collect(), bits.1)
    }

    fn equal<B: AutodiffBackend>(case: &Case) {
        let kept = computed::<B>(case, Recompute::Nothing);
        assert_eq!(kept, computed::<B>(case, Recompute::Layers));
        // Of each layer, at least its two norms.
        let found = kept.1.iter().flatten().count();
        assert!(found > 2 * case.layers, "{found} gradients");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn layers_that_are_recomputed_give_the_same_loss_and_gradients_bit_for_bit(case in case()) {
            equal::<Autodiff<Flex>>(&case);
            if case.precision == Precision::F32 && case.frozen == Precision::F32 {
                equal::<Autodiff<NdArray>>(&case);
            }
        }
    }
}
