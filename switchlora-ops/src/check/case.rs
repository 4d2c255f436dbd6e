//! An operation with sizes for its inputs.

use super::numbers::tokens_of;
use crate::operations::Model;
use crate::{Adapter, Attention, AttentionTables, Heads, Precision, Projection};
use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};
use std::fmt::{Display, Formatter, Result};

/// An operation with its sizes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Case {
    Embedding {
        tokens: usize,
        width: usize,
        vocabulary: usize,
    },
    RmsNorm {
        tokens: usize,
        width: usize,
    },
    SwiGlu {
        tokens: usize,
        width: usize,
    },
    Attention {
        batch: usize,
        length: usize,
        heads: Heads,
    },
    CrossEntropy {
        tokens: usize,
        width: usize,
        vocabulary: usize,
        tied: bool,
    },
    Linear {
        tokens: usize,
        n: usize,
        m: usize,
        transposed: bool,
    },
    /// Output dimension and rank of each projection. Rank 0 is a full weight; a projection with 0 outputs is left out.
    Projections {
        tokens: usize,
        n: usize,
        each: [(usize, usize); 4],
    },
}

impl Case {
    /// Whether the operation has matrix products, whose operands may be bf16.
    pub(crate) fn has_products(self) -> bool {
        !matches!(
            self,
            Self::Embedding { .. } | Self::RmsNorm { .. } | Self::SwiGlu { .. }
        )
    }

    /// The size of results below which an error is relative to this size: terms of a sum may cancel.
    pub(crate) fn least(self) -> f64 {
        match self {
            // Two terms of size 1 / sqrt(epsilon).
            Self::RmsNorm { width: 1, .. } => 300.0,
            _ => 1e-3,
        }
    }

    /// Shapes of the trained inputs, and of the frozen inputs.
    pub(crate) fn shapes(self) -> (Vec<[usize; 2]>, Vec<[usize; 2]>) {
        match self {
            Self::Embedding {
                width, vocabulary, ..
            } => (vec![[vocabulary, width]], vec![]),
            Self::RmsNorm { tokens, width } => (vec![[tokens, width], [1, width]], vec![]),
            Self::SwiGlu { tokens, width } => (vec![[tokens, width]; 2], vec![]),
            Self::Attention {
                batch,
                length,
                heads,
            } => {
                let tokens = batch * length;
                let keys = [tokens, heads.keys * heads.head_dim];
                (
                    vec![[tokens, heads.queries * heads.head_dim], keys, keys],
                    vec![],
                )
            }
            Self::CrossEntropy {
                tokens,
                width,
                vocabulary,
                tied,
            } => {
                let head = if tied {
                    [vocabulary, width]
                } else {
                    [width, vocabulary]
                };
                (vec![[tokens, width], head], vec![])
            }
            Self::Linear {
                tokens,
                n,
                m,
                transposed,
            } => {
                let weight = if transposed { [m, n] } else { [n, m] };
                (vec![[tokens, n], weight], vec![])
            }
            Self::Projections { tokens, n, each } => {
                let each = each.into_iter().filter(|(m, _)| *m > 0);
                let (mut trained, mut frozen) = (vec![[tokens, n]], vec![]);
                for (m, rank) in each {
                    match rank {
                        0 => trained.push([n, m]),
                        _ => {
                            trained.extend([[rank, n], [rank, m]]);
                            frozen.push([n, m]);
                        }
                    }
                }
                (trained, frozen)
            }
        }
    }

    /// The output of the operation, with products in `precision`.
    pub(crate) fn apply<B: Backend>(
        self,
        by: &dyn Model<B>,
        precision: Precision,
        inputs: &[Tensor<B, 2>],
    ) -> Tensor<B, 2> {
        let device = inputs[0].device();
        let input = |i: usize| inputs[i].clone();
        match self {
            Self::Embedding {
                tokens, vocabulary, ..
            } => by.embedding(input(0), tokens_of::<B>(tokens, vocabulary, &device)),
            Self::RmsNorm { width, .. } => by.rms_norm(input(0), input(1).reshape([width]), 1e-5),
            Self::SwiGlu { .. } => by.swiglu(input(0), input(1)),
            Self::Attention { length, heads, .. } => {
                let half = heads.head_dim / 2;
                let table = |of: fn(f64) -> f64| {
                    let angle = |i: usize| (i / half) as f64 * 0.7 / (i % half + 1) as f64;
                    let values: Vec<f64> = (0..length * half).map(|i| of(angle(i))).collect();
                    let data = TensorData::new(values, [length, half]);
                    Tensor::from_data(
                        data.convert_dtype(inputs[0].dtype()),
                        (&device, inputs[0].dtype()),
                    )
                };
                let tables = AttentionTables {
                    cos: table(f64::cos),
                    sin: table(f64::sin),
                    later: None,
                };
                let (q, k, v) = (input(0), input(1), input(2));
                by.causal_attention(
                    Attention {
                        q,
                        k,
                        v,
                        tables,
                        heads,
                    },
                    precision,
                )
            }
            Self::CrossEntropy {
                tokens,
                vocabulary,
                tied,
                ..
            } => {
                let targets = tokens_of::<B>(tokens, vocabulary, &device);
                let head = if tied { input(1).transpose() } else { input(1) };
                by.linear_cross_entropy(input(0), head, targets, precision)
                    .unsqueeze()
            }
            Self::Linear { transposed, .. } => {
                let weight = if transposed {
                    input(1).transpose()
                } else {
                    input(1)
                };
                let full = vec![Projection::full(weight)];
                by.projections(input(0), full, precision).remove(0)
            }
            Self::Projections { each, .. } => {
                let mut trained = inputs.iter().cloned();
                let x = trained.next().unwrap();
                let frozen = self.shapes().0.len();
                let mut frozen = inputs[frozen..].iter().cloned();
                let mut next = || trained.next().unwrap();
                let each = each.into_iter().filter(|(m, _)| *m > 0);
                let projections = each.map(|(_, rank)| match rank {
                    0 => Projection::full(next()),
                    _ => Projection {
                        adapter: Some(Adapter {
                            a: next(),
                            b: next(),
                            scale: 0.3,
                        }),
                        weight: frozen.next().unwrap(),
                    },
                });
                let outputs = by.projections(x, projections.collect(), precision);
                Tensor::cat(outputs, 1)
            }
        }
    }
}

impl Display for Case {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match *self {
            Self::Embedding {
                tokens,
                width,
                vocabulary,
            } => write!(f, "embedding of {tokens} tokens, [{vocabulary}, {width}]"),
            Self::RmsNorm { tokens, width } => write!(f, "rms_norm of [{tokens}, {width}]"),
            Self::SwiGlu { tokens, width } => write!(f, "swiglu of [{tokens}, {width}]"),
            Self::Attention {
                batch,
                length,
                heads,
            } => {
                let Heads {
                    queries,
                    keys,
                    head_dim,
                } = heads;
                write!(
                    f,
                    "causal_attention of {batch} x {length} tokens, {queries} heads of {head_dim} over {keys}"
                )
            }
            Self::CrossEntropy {
                tokens,
                width,
                vocabulary,
                tied,
            } => {
                let tied = if tied { ", tied" } else { "" };
                write!(
                    f,
                    "linear_cross_entropy of [{tokens}, {width}], {vocabulary} classes{tied}"
                )
            }
            Self::Linear {
                tokens,
                n,
                m,
                transposed,
            } => {
                let transposed = if transposed { ", transposed" } else { "" };
                write!(f, "linear of [{tokens}, {n}] to {m}{transposed}")
            }
            Self::Projections { tokens, n, each } => {
                write!(f, "projections of [{tokens}, {n}] to")?;
                for (m, rank) in each {
                    write!(f, " {m} (rank {rank})")?;
                }
                Ok(())
            }
        }
    }
}
