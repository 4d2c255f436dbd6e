//! How much the vectors of a layer still gain, as their moments show it.
//!
//! The gain of row `i` is the mean of `|m| / (1 - b1^t) / sqrt(v / (1 - b2^t))` over the entries of `A_i` and of `B_i`:
//! near 1 where the gradients of the last updates agree, near 0 where they only are noise.

use crate::layers::LayerMatrix;
use crate::planner::Update;
use crate::record::read_all;
use crate::step::AdamWConfig;
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

/// The rows of each layer, those that gain least first; in their own order where nothing is known yet. A vector whose moment
/// is zero has just been reset: it counts as one that gains most. Waits for the device.
pub(super) fn orders<B: Backend>(update: &Update<'_, B>, adamw: &AdamWConfig) -> Vec<Vec<usize>> {
    let layers = &update.layers.lora;
    let sides = layers.iter().map(|layer| {
        let a = shares(&layer.a, update)?;
        let b = shares(&layer.b, update)?;
        Some([a, b])
    });
    let sides: Vec<_> = sides.collect();
    let known = sides.iter().flatten().flatten().cloned();
    let mut read = read_all(known).into_iter();
    let mut next = |matrix: &LayerMatrix<B>| -> Option<Vec<f64>> {
        let counts = update.counts.get(&matrix.id)?;
        let shares = read.next()?;
        let corrected = shares.iter::<f32>().enumerate().map(|(row, share)| {
            let count = counts.get(row).or(counts.first()).copied();
            let t = count.unwrap_or_default().max(1) as i32;
            let correction = (1.0 - adamw.beta_2.powi(t)).sqrt() / (1.0 - adamw.beta_1.powi(t));
            match share {
                0.0 => 1.0,
                share => f64::from(share) * correction,
            }
        });
        Some(corrected.collect())
    };
    let orders = layers.iter().zip(&sides).map(|(layer, known)| {
        let mut rows: Vec<usize> = (0..layer.rank()).collect();
        let gains = known.as_ref().map(|_| [next(&layer.a), next(&layer.b)]);
        if let Some([Some(a), Some(b)]) = gains {
            rows.sort_by(|&i, &j| (a[i] + b[i]).total_cmp(&(a[j] + b[j])));
        }
        rows
    });
    orders.collect()
}

/// The mean of `|m| / sqrt(v)` of each row of a factor, `[1, rank]`.
fn shares<B: Backend>(matrix: &LayerMatrix<B>, update: &Update<'_, B>) -> Option<Tensor<B, 2>> {
    let moments = update.moments.get(&matrix.id)?;
    let root = moments.second.clone().sqrt().clamp_min(f32::MIN_POSITIVE);
    let shares = (moments.first.clone().abs() / root).mean_dim(1); // [rank, 1]
    Some(shares.transpose())
}
