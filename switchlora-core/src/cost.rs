//! What a method costs, in closed form: parameters, bytes kept and bytes sent.
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
//! Everything that is trained besides the adapted layers (embeddings, norms, head) counts as in the first column.
//!
//! ```
//! use switchlora_core::cost::{CostMethod, LinearShape, ModelShape};
//!
//! let model = ModelShape {
//!     linears: vec![LinearShape { d_input: 2048, d_output: 2048 }],
//!     other_parameters: 0,
//! };
//! assert_eq!(CostMethod::Full.cost(&model, 0).trainable_parameters, 2048 * 2048);
//! assert_eq!(CostMethod::SwitchLora.cost(&model, 512).trainable_parameters, 512 * 4096);
//! ```

use std::iter::Sum;
use std::ops::Add;

use serde::{Deserialize, Serialize};
use switchlora_ops::Precision;

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

/// What the closed forms need to know about a model.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelShape {
    /// The layers that get adapters.
    pub linears: Vec<LinearShape>,
    /// Every other parameter, trained in full by all methods: embeddings, norms, head.
    pub other_parameters: u64,
}

/// A way to train the model's adapted layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CostMethod {
    /// Every weight is trained.
    Full,
    /// The weight is frozen, `A` and `B` are trained.
    Lora,
    /// LoRA whose adapters are merged and restarted now and then; it costs what LoRA costs.
    ReLora,
    /// Full gradients, with moments of rank `r`.
    GaLore,
    /// LoRA whose vectors are exchanged with spare candidates.
    SwitchLora,
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
    /// Bytes of AdamW's two moments, of SwitchLoRA's step counts (one per LoRA vector) and of GaLore's projections.
    pub moment_bytes: u64,
    /// Bytes of SwitchLoRA's spare candidates, on the device or in host memory.
    pub pool_bytes: u64,
    /// The payload of one all-reduce of the gradients; a ring of `p` replicas sends `2 (p - 1) / p` times that from each.
    pub all_reduce_bytes: u64,
}

impl CostMethod {
    /// Every method, in the order of the tables.
    pub const ALL: [Self; 5] = [
        Self::Full,
        Self::Lora,
        Self::ReLora,
        Self::GaLore,
        Self::SwitchLora,
    ];

    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Lora => "lora",
            Self::ReLora => "relora",
            Self::GaLore => "galore",
            Self::SwitchLora => "switchlora",
        }
    }

    /// Whether the cost depends on the rank.
    pub fn uses_rank(self) -> bool {
        self != Self::Full
    }

    /// The cost of training `model` at `rank`, which [`Full`](Self::Full) ignores.
    ///
    /// Rank 0 is adapters without parameters; whether it makes sense is the caller's to say. The caller also keeps the sizes
    /// such that the number of bytes fits in 64 bits.
    pub fn cost(self, model: &ModelShape, rank: usize) -> Cost {
        let adapted: Cost = model
            .linears
            .iter()
            .map(|linear| self.linear(*linear, rank as u64))
            .sum();
        adapted + Cost::adamw(model.other_parameters, model.other_parameters)
    }

    fn linear(self, shape: LinearShape, rank: u64) -> Cost {
        let (n, m) = (shape.d_input as u64, shape.d_output as u64);
        let (small, large) = (m.min(n), m.max(n));
        let adapters = rank * (m + n);
        let lora = Cost::adamw(m * n + adapters, adapters);
        let full = Cost::adamw(m * n, m * n);
        match self {
            Self::Full => full,
            Self::Lora | Self::ReLora => lora,
            // A projection to the full rank saves nothing: the moments are then those of the weight itself.
            Self::GaLore if rank >= small => full,
            Self::GaLore => Cost {
                moment_bytes: NUMBER * rank * (2 * large + small),
                ..full
            },
            Self::SwitchLora => Cost {
                moment_bytes: lora.moment_bytes + NUMBER * 2 * rank,
                pool_bytes: NUMBER * small.saturating_sub(rank) * (m + n),
                ..lora
            },
        }
    }
}

impl Cost {
    /// `total` parameters, of which AdamW trains `trainable`.
    fn adamw(total: u64, trainable: u64) -> Self {
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

    /// The same with frozen weights, which are all parameters that are not trained, resting in another type than f32.
    pub fn with_frozen(self, precision: Precision) -> Self {
        let frozen = self.total_parameters - self.trainable_parameters;
        let saved = match precision {
            Precision::F32 => 0,
            Precision::Bf16 => NUMBER / 2,
        };
        Self {
            weight_bytes: self.weight_bytes - saved * frozen,
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

impl Sum for Cost {
    fn sum<I: Iterator<Item = Self>>(costs: I) -> Self {
        costs.fold(Self::default(), Add::add)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn one(d_input: usize, d_output: usize, other_parameters: u64) -> ModelShape {
        ModelShape {
            linears: vec![LinearShape { d_input, d_output }],
            other_parameters,
        }
    }

    proptest! {
        #[test]
        fn live_and_spare_vectors_together_fill_min_m_n_slots_a_side(n in 1usize..300, m in 1usize..300, r in 1usize..300) {
            let cost = CostMethod::SwitchLora.cost(&one(n, m, 0), r);
            let live = cost.trainable_parameters * 4;
            let slots = m.min(n).max(r); // a rank above min(m, n) has no spare vectors
            prop_assert_eq!(live + cost.pool_bytes, (slots * (m + n) * 4) as u64);
            prop_assert_eq!(cost.pool_bytes == 0, r >= m.min(n));
        }

        #[test]
        fn exchanging_the_sides_of_a_layer_changes_no_cost(n in 1usize..300, m in 1usize..300, r in 1usize..300) {
            for method in CostMethod::ALL {
                prop_assert_eq!(method.cost(&one(n, m, 7), r), method.cost(&one(m, n, 7), r));
            }
        }

        #[test]
        fn weights_gradients_and_traffic_are_four_bytes_a_parameter(n in 1usize..300, m in 1usize..300, r in 0usize..300) {
            for method in CostMethod::ALL {
                let cost = method.cost(&one(n, m, 11), r);
                prop_assert_eq!(cost.weight_bytes, 4 * cost.total_parameters);
                prop_assert_eq!(cost.gradient_bytes, 4 * cost.trainable_parameters);
                prop_assert_eq!(cost.all_reduce_bytes, cost.gradient_bytes);
            }
        }

        #[test]
        fn frozen_weights_in_bf16_take_half_and_nothing_else_changes(n in 1usize..300, m in 1usize..300, r in 0usize..300) {
            for method in CostMethod::ALL {
                let cost = method.cost(&one(n, m, 11), r);
                let halved = cost.with_frozen(Precision::Bf16);
                let frozen = cost.total_parameters - cost.trainable_parameters;
                prop_assert_eq!(halved, Cost { weight_bytes: cost.weight_bytes - 2 * frozen, ..cost });
                prop_assert_eq!(cost.with_frozen(Precision::F32), cost);
            }
        }

        #[test]
        fn switchlora_costs_lora_and_its_step_counts_and_pools(n in 1usize..300, m in 1usize..300, r in 0usize..300) {
            let (lora, switch) = (CostMethod::Lora.cost(&one(n, m, 5), r), CostMethod::SwitchLora.cost(&one(n, m, 5), r));
            prop_assert_eq!(switch.moment_bytes, lora.moment_bytes + 8 * r as u64);
            prop_assert_eq!(switch.state_bytes(), lora.state_bytes() + 8 * r as u64 + switch.pool_bytes);
            prop_assert_eq!(CostMethod::ReLora.cost(&one(n, m, 5), r), lora);
        }
    }

    #[test]
    fn a_layer_of_3_inputs_and_5_outputs_at_rank_2_costs_what_the_closed_forms_say() {
        let model = one(3, 5, 10);
        let full = CostMethod::Full.cost(&model, 2);
        assert_eq!((full.total_parameters, full.trainable_parameters), (25, 25));
        assert_eq!(
            (full.moment_bytes, full.pool_bytes, full.state_bytes()),
            (200, 0, 400)
        );

        let galore = CostMethod::GaLore.cost(&model, 2);
        assert_eq!(
            galore,
            Cost {
                moment_bytes: 4 * (2 * (2 * 5 + 3) + 2 * 10),
                ..full
            }
        );
        assert_eq!(CostMethod::GaLore.cost(&model, 3), full);

        let switch = CostMethod::SwitchLora.cost(&model, 2);
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
