//! Random sizes: one, odd ones, powers of two, and long rows.

use super::case::Case;
use super::numbers::Random;
use super::optimizer::OptimizerCase;
use crate::Heads;

/// Numbers that follow from a seed.
struct Draw(Random);

impl Draw {
    fn below(&mut self, bound: usize) -> usize {
        self.0.next() as usize % bound
    }

    fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    /// A size up to a few hundred.
    fn size(&mut self) -> usize {
        let most = 300;
        let random = 1 + self.below(most);
        self.of(&[1, 2, 3, 17, 31, 64, 96, 129, 256, random, random])
    }
}

/// A case of each operation of a model.
pub(super) fn cases(seed: u64) -> Vec<Case> {
    let mut draw = Draw(Random(seed));
    let heads = Heads {
        queries: 6,
        keys: draw.of(&[1, 2, 3, 6]),
        head_dim: 2 * draw.of(&[1, 3, 8, 32]),
    };
    let projection = |draw: &mut Draw| (draw.size(), draw.of(&[0, 1, 8, 31, 64]));
    let mut all = vec![
        Case::Embedding {
            tokens: draw.size(),
            width: draw.size(),
            vocabulary: draw.of(&[1, 7, 1000, 32_000]),
        },
        Case::RmsNorm {
            tokens: draw.of(&[1, 3, 149, 5000]),
            width: draw.of(&[2, 69, 512, 1031, 5461]),
        },
        Case::SwiGlu {
            tokens: draw.size(),
            width: draw.of(&[1, 69, 512, 5461]),
        },
        Case::Attention {
            batch: draw.of(&[1, 3]),
            length: draw.of(&[1, 7, 128, 257, 1030]),
            heads,
        },
        Case::CrossEntropy {
            tokens: draw.size(),
            width: draw.size(),
            vocabulary: draw.of(&[2, 89, 1031, 32_000]),
            tied: draw.below(2) == 0,
        },
        Case::Linear {
            tokens: draw.size(),
            n: draw.size(),
            m: draw.size(),
            transposed: draw.below(2) == 0,
        },
    ];
    let (tokens, n) = (draw.size(), draw.size());
    let each = [(); 4].map(|()| projection(&mut draw));
    all.push(Case::Projections { tokens, n, each });
    all
}

/// A case of each operation of an optimizer.
pub(super) fn optimizer_cases(seed: u64) -> Vec<OptimizerCase> {
    let mut draw = Draw(Random(!seed));
    let mut shape = || [draw.size(), draw.of(&[1, 12, 64, 333, 1031])];
    let [adamw, rows] = [shape(), shape()];
    let terms = draw.of(&[1, 2, 16, 20]);
    let mut all: Vec<_> = [false, true]
        .into_iter()
        .flat_map(|by_row| {
            [None, Some(0.5), Some(-1.0)].map(|verdict| OptimizerCase::AdamW {
                shape: adamw,
                by_row,
                verdict,
            })
        })
        .collect();
    all.push(OptimizerCase::RowsAndSums { shape: rows, terms });
    all
}
