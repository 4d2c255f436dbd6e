//! The candidate vectors of a layer: how the spare ones are drawn, which of them enter its rows, and those that are
//! taken from the gradient in their place.

use super::config::SwitchLoraConfig;
use super::walk::{Exchange, Source};
use crate::init::uniform;
use crate::layers::LoraLayer;
use crate::random::{Purpose, stream};
use crate::record::HeldVectors;
use crate::step::Pool;
use burn::tensor::backend::Backend;
use burn::tensor::{Int, Tensor};
use rand::Rng;
use switchlora_ops::matmul;

/// Vectors of the length `norm` along the leading directions of `moment: [rank, length]`, `[count, length]`.
///
/// A mixture of all rows with random weights has each singular direction in proportion to its singular value; the
/// product with `momentᵀ moment` makes that the cube.
pub(super) fn leading<B: Backend>(
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

/// Each row divided by its norm; a row of zeros stays.
fn unit<B: Backend>(rows: Tensor<B, 2>) -> Tensor<B, 2> {
    let largest = rows.clone().abs().max_dim(1).clamp_min(f32::MIN_POSITIVE);
    let rows = rows / largest;
    let norms = rows.clone().square().sum_dim(1).sqrt(); // [rows, 1]
    rows / norms.clamp_min(f32::MIN_POSITIVE)
}

/// Draws `spare` candidates for each side of layer number `index`.
pub(super) fn draw<B: Backend>(
    config: &SwitchLoraConfig,
    index: usize,
    layer: &LoraLayer<B>,
    spare: usize,
) -> [Pool<B>; 2] {
    let [n, m] = layer.shape();
    let bounds = config.factors.bounds(n, m, layer.rank());
    let device = layer.a.value.device();
    let pool = |purpose, length, bound| {
        let random = &mut stream(config.seed, purpose, index as u64, 0);
        let vectors = uniform(spare, length, bound, random);
        Pool::new(
            HeldVectors::exact(vectors),
            config.pools,
            config.pool_precision,
            &device,
        )
    };
    [
        pool(Purpose::CandidatesA, n, bounds.a),
        pool(Purpose::CandidatesB, m, bounds.b),
    ]
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
