//! Starts every kernel in every variant: through the functions that a training calls, with sizes chosen so that a launch
//! takes each of its branches.

use super::architecture::Architecture;
use super::runtime::{Backend, Launched, NoDevice, Virtual};
use crate::cube::add_product::{add_thin_product, add_thin_products};
use crate::cube::attention::{Sizes, merge, probabilities, probabilities_and_gradient, split};
use crate::cube::cross_entropy::losses_of_chunk;
use crate::cube::sums::sum;
use crate::kernels::{EmbeddingBackward, Kernels, RmsNormBackward, SwiGluBackward};
use crate::operations::{AdamW, RmsNorm, Rows, SwiGlu};
use crate::primitive::primitive;
use crate::{AdamWRows, Attention, AttentionTables, Heads, Moments, Precision};
use burn::tensor::{DType, Int, Tensor};
use cubecl::Runtime;
use cubecl::future::block_on;

/// Lengths of rows for 32, 64, 128 and 256 units. Odd, so that they are read number by number.
const LENGTHS: [usize; 4] = [3, 255, 511, 1023];
/// Numbers that a unit can read at once.
const VECTORS: [usize; 3] = [1, 2, 4];

/// Every variant of every kernel, for a compute capability.
pub fn launched_on(architecture: Architecture) -> Vec<Launched> {
    let device = Virtual(architecture);
    launch_all(On(&device));
    let client = NoDevice::client(&device);
    block_on(client.sync()).unwrap();
    let mut launched = client.info().lock().unwrap().clone();
    launched.sort_by(|a, b| (&a.path, &a.variant).cmp(&(&b.path, &b.variant)));
    launched.dedup_by(|a, b| a.path == b.path && a.variant == b.variant);
    launched
}

fn launch_all(on: On) {
    for size in VECTORS {
        on.elementwise(3 * size);
        on.adamw([5, 3 * size]);
        for length in LENGTHS {
            on.norm(length * size);
        }
    }
    for length in LENGTHS {
        for dtype in [DType::F32, DType::BF16] {
            on.softmax(length, dtype);
        }
        for integers in [DType::I32, DType::I64] {
            on.embedding(length, integers);
            for dtype in [DType::F32, DType::BF16] {
                on.losses(length, dtype, integers);
            }
        }
    }
    for precision in Precision::ALL {
        on.heads(precision);
    }
}

/// Tensors with undefined values on a device.
struct On<'a>(&'a Virtual);

impl On<'_> {
    fn tensor<const D: usize>(&self, shape: [usize; D], dtype: DType) -> Tensor<Backend, D> {
        Tensor::empty(shape, (self.0, dtype))
    }

    fn matrix(&self, shape: [usize; 2]) -> Tensor<Backend, 2> {
        self.tensor(shape, DType::F32)
    }

    fn integers(&self, count: usize, dtype: DType) -> Tensor<Backend, 1, Int> {
        Tensor::empty([count], (self.0, dtype))
    }

    /// What has one unit per vector or number.
    fn elementwise(&self, columns: usize) {
        let matrix = |rows| self.matrix([rows, columns]);
        Kernels.swiglu(matrix(5), matrix(5));
        Kernels.swiglu_backward(matrix(5), matrix(5), matrix(5));
        let rows = Kernels.gather_rows(&matrix(5), &[1, 4]);
        for judged in [false, true] {
            let verdict = || judged.then(|| self.tensor([1], DType::F32));
            Kernels.scatter_rows(matrix(5), &[1, 4], rows.clone(), verdict());
            add_thin_product(matrix(5), self.matrix([2, 5]), matrix(2), verdict());
            let pair = || [self.matrix([2, 5]), matrix(2)];
            add_thin_products(matrix(5), [pair(), pair()], 0.5, verdict());
        }
        for squares in [false, true] {
            sum(primitive(matrix(1)), squares, 1.0);
        }
    }

    fn norm(&self, columns: usize) {
        let matrix = || self.matrix([5, columns]);
        let weight = || self.tensor([columns], DType::F32);
        Kernels.rms_norm(matrix(), weight(), 1e-5);
        Kernels.rms_norm_backward(matrix(), weight(), 1e-5, matrix());
    }

    /// Both kernels in all modes, writing to the memory of all arguments and to that of none.
    fn adamw(&self, shape: [usize; 2]) {
        let alike = AdamWRows {
            beta_1: 0.9,
            beta_2: 0.999,
            gradient_scale: 1.0,
            rates: vec![0.01],
            epsilons: vec![1e-8],
            remaining: vec![1.0],
            reset: vec![],
            frozen: vec![],
        };
        let by_row = AdamWRows {
            reset: vec![0],
            ..alike.clone()
        };
        let flags = [false, true];
        let flags =
            flags.map(|first| flags.map(|then| [(first, then, false), (first, then, true)]));
        for (fresh, judged, shared) in flags.into_iter().flatten().flatten() {
            for rows in [&alike, &by_row] {
                let parameter = self.matrix(shape);
                let moments = (!fresh).then(|| Moments {
                    first: self.matrix(shape),
                    second: self.matrix(shape),
                });
                let verdict = judged.then(|| self.tensor([1], DType::F32));
                let _held = shared.then(|| (parameter.clone(), moments.clone()));
                Kernels.adamw(parameter, self.matrix(shape), moments, rows, verdict);
            }
        }
    }

    fn softmax(&self, length: usize, dtype: DType) {
        // The second has more scores than 32 bits can count.
        for sequences in [1, (1 << 32) / (length * length) + 1] {
            let scores = || self.tensor([sequences, 1, length, length], dtype);
            probabilities(scores());
            probabilities_and_gradient(scores(), scores());
        }
    }

    /// As many tokens as columns: one kernel has a row of tokens, another a row of columns.
    fn embedding(&self, length: usize, integers: DType) {
        let tokens = self.integers(length, integers);
        Kernels.embedding_backward(tokens, 7, self.matrix([length, length]));
    }

    fn losses(&self, vocabulary: usize, dtype: DType, integers: DType) {
        for gradient in [None, Some(1.0)] {
            let logits = self.tensor([5, vocabulary], dtype);
            losses_of_chunk(logits, self.integers(5, integers), gradient);
        }
    }

    fn heads(&self, precision: Precision) {
        let heads = Heads {
            queries: 4,
            keys: 2,
            head_dim: 6,
        };
        let (tokens, length) = (10, 5);
        let attention = Attention {
            q: self.matrix([tokens, heads.queries * heads.head_dim]),
            k: self.matrix([tokens, heads.keys * heads.head_dim]),
            v: self.matrix([tokens, heads.keys * heads.head_dim]),
            tables: AttentionTables {
                cos: self.matrix([length, heads.head_dim / 2]),
                sin: self.matrix([length, heads.head_dim / 2]),
                later: None,
            },
            heads,
        };
        let sizes = Sizes::new(&attention);
        let heads = split(&attention, precision, sizes);
        merge(heads, &attention, sizes);
    }
}
