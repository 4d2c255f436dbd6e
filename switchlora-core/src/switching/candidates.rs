//! The candidate vectors of a layer: how the spare ones are drawn, which of them enter its rows, and those that are made
//! for a switch in their place.

use super::config::SwitchLoraConfig;
use super::origin::Candidates;
use super::walk::{Exchange, LayerSwitch, Source};
use crate::init::uniform;
use crate::layers::{LayerMatrix, LoraLayer};
use crate::planner::Update;
use crate::random::{Purpose, stream, stream_from};
use crate::record::HeldVectors;
use crate::step::Pool;
use burn::tensor::backend::Backend;
use burn::tensor::{Int, Tensor, TensorData};
use rand::Rng;
use switchlora_ops::matmul;

/// Draws `spare` candidates for each side of layer number `index`.
pub(super) fn draw<B: Backend>(
    config: &SwitchLoraConfig,
    index: usize,
    layer: &LoraLayer<B>,
    spare: usize,
) -> [Pool<B>; 2] {
    let device = layer.a.value.device();
    drawn(config, index, layer, [(0, spare); 2]).map(|vectors| {
        Pool::new(
            HeldVectors::exact(vectors),
            config.pools,
            config.pool_precision,
            &device,
        )
    })
}

/// Candidates of A and B of layer number `index`, `[count, length]`: for each side, `count` from the one of this number on.
fn drawn<B: Backend>(
    config: &SwitchLoraConfig,
    index: usize,
    layer: &LoraLayer<B>,
    [a, b]: [(u64, usize); 2],
) -> [TensorData; 2] {
    let [n, m] = layer.shape();
    let bounds = config.factors.bounds(n, m, layer.rank());
    let of = |purpose, (first, count): (u64, usize), length, bound| {
        let first = u128::from(first) * length as u128;
        let random = &mut stream_from(config.seed, purpose, index as u64, first);
        uniform(count, length, bound, random)
    };
    [
        of(Purpose::CandidatesA, a, n, bounds.a),
        of(Purpose::CandidatesB, b, m, bounds.b),
    ]
}

/// The vectors that enter A and B of layer number `index`, `[count, length]`, where they are not those of its pools.
pub(super) fn made<B: Backend>(
    config: &SwitchLoraConfig,
    index: usize,
    switch: &LayerSwitch,
    update: &Update<'_, B>,
) -> [Option<Tensor<B, 2>>; 2] {
    let layer = &update.layers.lora[index];
    match config.candidates {
        Candidates::Drawn => [None, None],
        Candidates::Gradient => {
            let [n, m] = layer.shape();
            let bounds = config.factors.bounds(n, m, layer.rank());
            let (seed, number) = (config.seed, update.number);
            let random = &mut stream(seed, Purpose::Mixtures, index as u64, number);
            let mut of = |matrix: &LayerMatrix<B>, count: usize, bound: f64| {
                let moments = update.moments.get(&matrix.id).filter(|_| count > 0)?;
                // The norm of a vector of uniform numbers.
                let norm = bound * (matrix.value.dims()[1] as f64 / 3.0).sqrt();
                Some(leading(moments.first.clone(), count, norm, random))
            };
            let a = of(&layer.a, switch.a.rows.len(), bounds.a);
            let b = of(&layer.b, switch.b.rows.len(), bounds.b);
            [(a, bounds.a), (b, bounds.b)]
                .map(|(vectors, bound)| Some(without_zeros(vectors?, bound, random)))
        }
        Candidates::Fresh => {
            let device = layer.a.value.device();
            let sides = [&switch.a, &switch.b].map(|side| (side.number, side.rows.len()));
            drawn(config, index, layer, sides).map(|vectors| {
                let any = vectors.num_elements() > 0;
                any.then(|| Tensor::from_data(vectors, &device))
            })
        }
    }
}

/// Vectors of the length `norm` along the leading directions of `moment: [rank, length]`, `[count, length]`.
///
/// A mixture of all rows with random weights has each singular direction in proportion to its singular value; the
/// product with `momentᵀ moment` makes that the cube.
fn leading<B: Backend>(
    moment: Tensor<B, 2>,
    count: usize,
    norm: f64,
    random: &mut impl Rng,
) -> Tensor<B, 2> {
    let rank = moment.dims()[0];
    let weights = Tensor::from_data(uniform(count, rank, 1.0, random), &moment.device());
    let mixed = matmul(weights, moment.clone()); // [count, length]
    let again = matmul(mixed, moment.clone().transpose()); // [count, rank]
    // Moments are small, and their cubes may be zero in f32.
    let again = unit(again);
    unit(matmul(again, moment)) * norm
}

/// The vectors `[count, length]` with a drawn one in the place of each that is zero, which would never learn beside a
/// counterpart of zero: moments are zero where no gradient has come yet.
fn without_zeros<B: Backend>(
    vectors: Tensor<B, 2>,
    bound: f64,
    random: &mut impl Rng,
) -> Tensor<B, 2> {
    let [count, length] = vectors.dims();
    let drawn = uniform(count, length, bound, random);
    let drawn = Tensor::<B, 2>::from_data(drawn, &vectors.device()).cast(vectors.dtype());
    let is_zero = vectors.clone().abs().max_dim(1).equal_elem(0.0); // [count, 1]
    vectors.mask_where(is_zero.expand([count, length]), drawn)
}

/// Each row divided by its norm; a row of zeros stays.
fn unit<B: Backend>(rows: Tensor<B, 2>) -> Tensor<B, 2> {
    let largest = rows.clone().abs().max_dim(1).clamp_min(f32::MIN_POSITIVE);
    let rows = rows / largest;
    let norms = rows.clone().square().sum_dim(1).sqrt(); // [rows, 1]
    rows / norms.clamp_min(f32::MIN_POSITIVE)
}

/// The vectors that enter the rows of `exchange`, `[rows, length]`, where `outgoing: [rows, length]` leave.
pub(super) fn incoming<B: Backend>(
    pool: &mut Pool<B>,
    exchange: &Exchange,
    outgoing: &Tensor<B, 2>,
) -> Tensor<B, 2> {
    let device = outgoing.device();
    let positions: Vec<usize> = exchange.stores.iter().map(|store| store.0).collect();
    let fresh = pool.read(&positions, &device);
    if positions.len() == exchange.rows.len() {
        return fresh;
    }
    // A short pool came round within this update: some rows receive a vector that another row has just given up.
    let order = exchange.incoming.iter().map(|source| match *source {
        Source::Pool(position) => {
            let index = positions.iter().position(|&p| p == position);
            index.unwrap_or_default() as i64
        }
        Source::Outgoing(j) => (positions.len() + j) as i64,
    });
    let order: Vec<i64> = order.collect();
    let order = Tensor::<B, 1, Int>::from_data(order.as_slice(), &device);
    Tensor::cat(vec![fresh, outgoing.clone()], 0).select(0, order)
}
