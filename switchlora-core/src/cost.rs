//! The cost of a method in closed form: parameters, bytes kept and bytes sent.
//!
//! A layer maps `n` inputs to `m` outputs; `r` is the rank; every number is an f32 of 4 bytes. Per adapted layer, in numbers:
//!
//! | | full | lora, relora | galore | switchlora |
//! |---|---|---|---|---|
//! | trained, gradients, sent | `m n` | `r (m + n)` | `m n` | `r (m + n)` |
//! | weights | `m n` | `m n + r (m + n)` | `m n` | `m n + r (m + n)` |
//! | optimizer state | `2 m n` | `2 r (m + n)` | `2 r max(m, n) + r min(m, n)` | `2 r (m + n) + 2 r` |
//! | candidate pools | 0 | 0 | 0 | `(min(m, n) - r) (m + n)` |
//!
//! Frozen weights and candidate pools may be kept in bf16, at half the bytes; pools in 8 bits, at a quarter and 4 bytes more
//! for each vector. Fresh candidates need no pools.
//!
//! Where the optimizer holds the factors beside plain weights, gradients are `m n` and the rest of the state is the same.
//!
//! Everything that is trained besides the adapted layers (embeddings, norms, head) counts as in the first column.
//!
//! ```
//! use switchlora_core::Method;
//! use switchlora_core::cost::{LinearShape, ModelShape};
//!
//! let model = ModelShape {
//!     linears: vec![LinearShape { d_input: 2048, d_output: 2048 }],
//!     other_parameters: 0,
//! };
//! assert_eq!(Method::Full.cost(&model, 0).trainable_parameters, 2048 * 2048);
//! assert_eq!(Method::SwitchLora.cost(&model, 512).trainable_parameters, 512 * 4096);
//! ```

use std::ops::Add;

use serde::{Deserialize, Serialize};
use switchlora_ops::Precision;

use crate::step::PoolPrecision;

/// Bytes of one number: weights, gradients and moments are f32, step counts u32.
const NUMBER: u64 = 4;

/// The size of one adapted linear layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinearShape {
    /// Inputs of the layer, `n`.
    pub d_input: usize,
    /// Outputs of the layer, `m`.
    pub d_output: usize,
}

impl LinearShape {
    /// `min(n, m)`: the slots of LoRA vectors on each side. A rank of as many leaves none to switch with.
    pub fn shorter_side(self) -> usize {
        self.d_input.min(self.d_output)
    }

    /// Entries of the weight, `m n`.
    fn parameters(self) -> u64 {
        self.d_input as u64 * self.d_output as u64
    }

    /// Entries of one LoRA vector of each side, `m + n`.
    fn vectors(self) -> u64 {
        self.d_input as u64 + self.d_output as u64
    }
}

/// The sizes of a model that the closed forms need.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelShape {
    /// The layers that get adapters.
    pub linears: Vec<LinearShape>,
    /// Every other parameter, trained in full by all methods: embeddings, norms, head.
    pub other_parameters: u64,
}

impl ModelShape {
    /// SwitchLoRA's spare vectors, both sides of all layers together.
    pub fn spare_vectors(&self, rank: usize) -> u64 {
        let linears = self.linears.iter();
        let spare = linears.map(|linear| 2 * linear.shorter_side().saturating_sub(rank) as u64);
        spare.sum()
    }

    /// The layer with the shortest side, if there is any layer.
    pub fn narrowest(&self) -> Option<LinearShape> {
        let linears = self.linears.iter().copied();
        linears.min_by_key(|linear| linear.shorter_side())
    }
}

/// Parameters and bytes of one training replica, activations not included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cost {
    /// All parameters of the model, adapters included, candidate pools not.
    pub total_parameters: u64,
    /// The parameters that get a gradient.
    pub trainable_parameters: u64,
    /// Bytes of all parameters.
    pub weight_bytes: u64,
    /// Bytes of all gradients at the end of a backward pass.
    pub gradient_bytes: u64,
    /// Bytes of AdamW's two moments, of Muon's velocities, of SwitchLoRA's step counts (one per LoRA vector) and of
    /// GaLore's projections.
    pub moment_bytes: u64,
    /// Bytes of SwitchLoRA's spare candidates, on the device or in host memory.
    pub pool_bytes: u64,
    /// The payload of one all-reduce of the gradients; a ring of `p` replicas sends `2 (p - 1) / p` times that from each.
    pub all_reduce_bytes: u64,
}

impl Cost {
    /// `total` parameters, of which AdamW trains `trainable`.
    pub(crate) fn adamw(total: u64, trainable: u64) -> Self {
        Self {
            total_parameters: total,
            trainable_parameters: trainable,
            weight_bytes: NUMBER * total,
            gradient_bytes: NUMBER * trainable,
            moment_bytes: NUMBER * 2 * trainable,
            pool_bytes: 0,
            all_reduce_bytes: NUMBER * trainable,
        }
    }

    /// A layer trained in full.
    pub(crate) fn full(shape: LinearShape) -> Self {
        let weight = shape.parameters();
        Self::adamw(weight, weight)
    }

    /// A layer trained in full, with a velocity in place of two moments.
    pub(crate) fn muon(shape: LinearShape) -> Self {
        Self {
            moment_bytes: NUMBER * shape.parameters(),
            ..Self::full(shape)
        }
    }

    /// A layer trained through factors of rank `rank`.
    pub(crate) fn lora(shape: LinearShape, rank: usize) -> Self {
        let factors = rank as u64 * shape.vectors();
        Self::adamw(shape.parameters() + factors, factors)
    }

    /// A layer trained by gradients projected to `rank`. A projection to the full rank saves nothing: the moments are then
    /// those of the weight itself.
    pub(crate) fn galore(shape: LinearShape, rank: usize) -> Self {
        let (n, m) = (shape.d_input as u64, shape.d_output as u64);
        let (short, long, rank) = (m.min(n), m.max(n), rank as u64);
        let full = Self::full(shape);
        match rank >= short {
            true => full,
            false => Self {
                moment_bytes: NUMBER * rank * (2 * long + short),
                ..full
            },
        }
    }

    /// A layer trained through factors whose vectors are switched.
    pub(crate) fn switchlora(shape: LinearShape, rank: usize) -> Self {
        let spare = shape.shorter_side().saturating_sub(rank);
        let lora = Self::lora(shape, rank);
        Self {
            moment_bytes: lora.moment_bytes + NUMBER * 2 * rank as u64,
            pool_bytes: NUMBER * spare as u64 * shape.vectors(),
            ..lora
        }
    }

    /// The same with the frozen weights, which are all parameters that are not trained, kept in `precision`. Not of
    /// [plain weights](Self::with_plain_weights), of which none is frozen.
    pub fn with_frozen(self, precision: Precision) -> Self {
        let frozen = self
            .total_parameters
            .saturating_sub(self.trainable_parameters);
        let saved = match precision {
            Precision::F32 => 0,
            Precision::Bf16 => NUMBER / 2,
        };
        Self {
            weight_bytes: self.weight_bytes - saved * frozen,
            ..self
        }
    }

    /// The same with the spare candidates, of which there are `vectors`, kept in these [pools](crate::Candidates::pools), if
    /// they are kept.
    pub fn with_pools(self, pools: Option<PoolPrecision>, vectors: u64) -> Self {
        let numbers = self.pool_bytes / NUMBER;
        Self {
            pool_bytes: match pools {
                Some(precision) if numbers > 0 => precision.bytes(numbers, vectors),
                _ => 0,
            },
            ..self
        }
    }

    /// The same with orthogonal steps for the factors, which take one velocity in place of two moments and the step
    /// counts. AdamW trains `others` parameters. Before [plain weights](Self::with_plain_weights).
    pub fn with_orthogonal_factors(self, others: u64) -> Self {
        let factors = self.trainable_parameters - others;
        Self {
            moment_bytes: NUMBER * (2 * others + factors),
            ..self
        }
    }

    /// The same with factors that the optimizer holds beside plain weights: they are part of its state, the weights get
    /// gradients too, and only the gradients of the factors are sent. AdamW trains `others` parameters.
    ///
    /// See [`MethodOptimizer::on_weights`](crate::MethodOptimizer::on_weights).
    pub fn with_plain_weights(self, others: u64) -> Self {
        let factors = self.trainable_parameters - others;
        let total = self.total_parameters - factors;
        Self {
            total_parameters: total,
            weight_bytes: self.weight_bytes - NUMBER * factors,
            gradient_bytes: NUMBER * total,
            moment_bytes: self.moment_bytes + NUMBER * factors,
            ..self
        }
    }

    /// The same of one of so many processes that divide the optimizer's state: each has about as much, those with a large
    /// embedding more.
    pub fn with_moments_among(self, processes: u64) -> Self {
        Self {
            moment_bytes: self.moment_bytes.div_ceil(processes.max(1)),
            ..self
        }
    }

    /// Bytes of weights, gradients, optimizer state and pools together.
    pub fn state_bytes(&self) -> u64 {
        self.weight_bytes + self.gradient_bytes + self.moment_bytes + self.pool_bytes
    }

    /// How many percent less gradient traffic this is than `reference`; negative when it is more.
    pub fn traffic_saving_percent(&self, reference: &Self) -> f64 {
        match reference.all_reduce_bytes {
            0 => 0.0,
            bytes => 100.0 * (1.0 - self.all_reduce_bytes as f64 / bytes as f64),
        }
    }
}

impl Add for Cost {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            total_parameters: self.total_parameters + other.total_parameters,
            trainable_parameters: self.trainable_parameters + other.trainable_parameters,
            weight_bytes: self.weight_bytes + other.weight_bytes,
            gradient_bytes: self.gradient_bytes + other.gradient_bytes,
            moment_bytes: self.moment_bytes + other.moment_bytes,
            pool_bytes: self.pool_bytes + other.pool_bytes,
            all_reduce_bytes: self.all_reduce_bytes + other.all_reduce_bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::method::Method;

    fn one(d_input: usize, d_output: usize, other_parameters: u64) -> ModelShape {
        ModelShape {
            linears: vec![LinearShape { d_input, d_output }],
            other_parameters,
        }
    }

    proptest! {
        #[test]
        fn live_and_spare_vectors_together_fill_min_m_n_slots_a_side(n in 1usize..300, m in 1usize..300, r in 1usize..300) {
            let cost = Method::SwitchLora.cost(&one(n, m, 0), r);
            let live = cost.trainable_parameters * 4;
            let slots = m.min(n).max(r); // a rank above min(m, n) has no spare vectors
            prop_assert_eq!(live + cost.pool_bytes, (slots * (m + n) * 4) as u64);
            prop_assert_eq!(cost.pool_bytes == 0, r >= m.min(n));
        }

        #[test]
        fn exchanging_the_sides_of_a_layer_changes_no_cost(n in 1usize..300, m in 1usize..300, r in 1usize..300) {
            for method in Method::ALL {
                prop_assert_eq!(method.cost(&one(n, m, 7), r), method.cost(&one(m, n, 7), r));
            }
        }

        #[test]
        fn weights_gradients_and_traffic_are_four_bytes_a_parameter(n in 1usize..300, m in 1usize..300, r in 0usize..300) {
            for method in Method::ALL {
                let cost = method.cost(&one(n, m, 11), r);
                prop_assert_eq!(cost.weight_bytes, 4 * cost.total_parameters);
                prop_assert_eq!(cost.gradient_bytes, 4 * cost.trainable_parameters);
                prop_assert_eq!(cost.all_reduce_bytes, cost.gradient_bytes);
            }
        }

        #[test]
        fn frozen_weights_in_bf16_take_half_and_nothing_else_changes(n in 1usize..300, m in 1usize..300, r in 0usize..300) {
            for method in Method::ALL {
                let cost = method.cost(&one(n, m, 11), r);
                let halved = cost.with_frozen(Precision::Bf16);
                let frozen = cost.total_parameters - cost.trainable_parameters;
                prop_assert_eq!(halved, Cost { weight_bytes: cost.weight_bytes - 2 * frozen, ..cost });
                prop_assert_eq!(cost.with_frozen(Precision::F32), cost);
            }
        }

        #[test]
        fn candidates_in_fewer_bits_take_less_and_nothing_else_changes(n in 1usize..300, m in 1usize..300, r in 0usize..300) {
            for method in Method::ALL {
                let cost = method.cost(&one(n, m, 11), r);
                let vectors = one(n, m, 11).spare_vectors(r);
                let pools = |precision| cost.with_pools(Some(precision), vectors);
                prop_assert_eq!(pools(PoolPrecision::Bf16), Cost { pool_bytes: cost.pool_bytes / 2, ..cost });
                prop_assert_eq!(pools(PoolPrecision::F32), cost);
                prop_assert_eq!(cost.with_pools(None, vectors), Cost { pool_bytes: 0, ..cost });
                let scales = if cost.pool_bytes == 0 { 0 } else { 4 * vectors };
                prop_assert_eq!(pools(PoolPrecision::Int8), Cost { pool_bytes: cost.pool_bytes / 4 + scales, ..cost });
            }
        }

        #[test]
        fn orthogonal_factors_have_one_number_of_state_for_each_parameter(n in 1usize..300, m in 1usize..300, r in 0usize..300) {
            for method in [Method::Lora, Method::SwitchLora] {
                let cost = method.cost(&one(n, m, 11), r);
                let orthogonal = cost.with_orthogonal_factors(11);
                let factors = cost.trainable_parameters - 11;
                prop_assert_eq!(orthogonal, Cost { moment_bytes: 4 * factors + 8 * 11, ..cost });
            }
            let muon = Method::Muon.cost(&one(n, m, 11), r);
            prop_assert_eq!(muon.moment_bytes, (4 * n * m + 8 * 11) as u64);
        }

        #[test]
        fn plain_weights_cost_as_many_gradients_as_full_rank_and_send_as_little_as_factors(n in 1usize..300, m in 1usize..300, r in 0usize..300) {
            let full = Method::Full.cost(&one(n, m, 11), r);
            for method in [Method::Lora, Method::ReLora, Method::SwitchLora] {
                let layers = method.cost(&one(n, m, 11), r);
                let plain = layers.with_plain_weights(11);
                prop_assert_eq!((plain.weight_bytes, plain.gradient_bytes), (full.weight_bytes, full.gradient_bytes));
                prop_assert_eq!(plain.all_reduce_bytes, layers.all_reduce_bytes);
                let more = plain.gradient_bytes - layers.gradient_bytes.min(plain.gradient_bytes);
                let less = layers.gradient_bytes - layers.gradient_bytes.min(plain.gradient_bytes);
                prop_assert_eq!(plain.state_bytes() + less, layers.state_bytes() + more);
            }
        }

        #[test]
        fn switchlora_costs_lora_and_its_step_counts_and_pools(n in 1usize..300, m in 1usize..300, r in 0usize..300) {
            let (lora, switch) = (Method::Lora.cost(&one(n, m, 5), r), Method::SwitchLora.cost(&one(n, m, 5), r));
            prop_assert_eq!(switch.moment_bytes, lora.moment_bytes + 8 * r as u64);
            prop_assert_eq!(switch.state_bytes(), lora.state_bytes() + 8 * r as u64 + switch.pool_bytes);
            prop_assert_eq!(Method::ReLora.cost(&one(n, m, 5), r), lora);
        }
    }

    #[test]
    fn a_layer_of_3_inputs_and_5_outputs_at_rank_2_costs_what_the_closed_forms_say() {
        let model = one(3, 5, 10);
        let full = Method::Full.cost(&model, 2);
        assert_eq!((full.total_parameters, full.trainable_parameters), (25, 25));
        assert_eq!(
            (full.moment_bytes, full.pool_bytes, full.state_bytes()),
            (200, 0, 400)
        );

        let galore = Method::GaLore.cost(&model, 2);
        assert_eq!(
            galore,
            Cost {
                moment_bytes: 4 * (2 * (2 * 5 + 3) + 2 * 10),
                ..full
            }
        );
        assert_eq!(Method::GaLore.cost(&model, 3), full);

        let switch = Method::SwitchLora.cost(&model, 2);
        assert_eq!(
            (switch.total_parameters, switch.trainable_parameters),
            (15 + 16 + 10, 16 + 10)
        );
        assert_eq!(
            (switch.moment_bytes, switch.pool_bytes),
            (8 * 26 + 4 * 4, 4 * (3 + 5))
        );
    }
}
