//! The spare candidate vectors of a layer: how they are drawn, and which of them enter its rows.

use super::config::SwitchLoraConfig;
use super::walk::{Exchange, Source};
use crate::init::uniform;
use crate::layers::LoraLayer;
use crate::random::{Purpose, stream};
use crate::step::Pool;
use burn::tensor::backend::Backend;
use burn::tensor::{Int, Tensor};

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
        Pool::new(uniform(spare, length, bound, random), config.pools, &device)
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
