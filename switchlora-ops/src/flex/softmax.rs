//! Softmax over a row, in place.

use super::exponential::exponential;
use multiversion::multiversion;

/// Numbers that are computed together; what is left at the end of a row takes as long one by one.
const LANES: usize = 32;

/// Turns `x` into `e^(x - max)` and gives the maximum and the sum, both not-a-number if any of it is (or is infinite).
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx2+fma", "x86_64+avx2+fma"))]
pub(super) fn exponentials(x: &mut [f32]) -> (f32, f32) {
    let mut most = [f32::NEG_INFINITY; LANES];
    let (chunks, rest) = x.as_chunks::<LANES>();
    for chunk in chunks {
        for (most, value) in most.iter_mut().zip(chunk) {
            *most = if *value > *most { *value } else { *most };
        }
    }
    let all = most.iter().chain(rest);
    let most = all.fold(
        f32::NEG_INFINITY,
        |most, &value| if value > most { value } else { most },
    );

    let mut sums = [0.0; LANES];
    let (chunks, rest) = x.as_chunks_mut::<LANES>();
    for chunk in chunks {
        for (sum, value) in sums.iter_mut().zip(chunk) {
            *value = exponential(*value - most);
            *sum += *value;
        }
    }
    let mut sum: f32 = sums.iter().sum();
    for value in rest {
        *value = exponential(*value - most);
        sum += *value;
    }
    (most, sum)
}

/// Softmax of the first `visible` of `x`; the others become zero.
pub(super) fn softmax(x: &mut [f32], visible: usize) {
    let (seen, later) = split(x, visible, f32::NEG_INFINITY);
    let (_, sum) = exponentials(seen);
    super::reduce::scale_block(seen, 1.0 / sum);
    later.fill(0.0);
}

/// `p (dp - p·dp)` over the first `visible`, written over `dp`; the others become zero.
pub(super) fn softmax_backward(p: &[f32], dp: &mut [f32], visible: usize) {
    let (seen, later) = split(dp, visible, 0.0);
    backward_row(&p[..seen.len()], seen);
    later.fill(0.0);
}

/// What is visible, filled up with `fill` to whole vectors where there is room, and the rest.
fn split(x: &mut [f32], visible: usize, fill: f32) -> (&mut [f32], &mut [f32]) {
    let end = visible.next_multiple_of(LANES).min(x.len());
    x[visible..end].fill(fill);
    x.split_at_mut(end)
}

#[multiversion(targets("x86_64+avx512f+avx512vl+avx512dq+avx2+fma", "x86_64+avx2+fma"))]
fn backward_row(p: &[f32], dp: &mut [f32]) {
    const LANES: usize = 16;
    let mut sums = [0.0; LANES];
    let ((left, left_rest), (right, right_rest)) =
        (p.as_chunks::<LANES>(), dp.as_chunks::<LANES>());
    for (left, right) in left.iter().zip(right) {
        for (sum, (p, dp)) in sums.iter_mut().zip(left.iter().zip(right)) {
            *sum += p * dp;
        }
    }
    let rest = left_rest.iter().zip(right_rest);
    let product = sums.iter().sum::<f32>() + rest.map(|(p, dp)| p * dp).sum::<f32>();
    for (dp, p) in dp.iter_mut().zip(p) {
        *dp = p * (*dp - product);
    }
}
