//! AdamW on the device: one vector of the parameter per unit.

use cubecl::prelude::*;

/// Values per row: rate, epsilon, remaining factor, gradient factor, and whether moments are kept (1) or set to zero (0).
pub(super) const FIELDS: usize = 5;

/// Variants of the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Mode {
    /// There are no moments yet: they count as zero.
    pub fresh: bool,
    /// There is a verdict.
    pub judged: bool,
}

/// The decay of both moments, see [`AdamWRows::betas`](crate::AdamWRows).
#[derive(CubeType, CubeLaunch, Clone, Copy)]
pub(super) struct Decay {
    beta_1: f32,
    beta_2: f32,
    new: f32,
    square: f32,
}

/// The values of one row, see [`FIELDS`].
#[derive(CubeType, CubeLaunch, Clone, Copy)]
pub(super) struct Row {
    rate: f32,
    epsilon: f32,
    remaining: f32,
    gradient: f32,
    kept: f32,
}

/// An update with the same values for all rows.
#[cube(launch_unchecked)]
pub(super) fn update_alike<N: Size>(
    gradient: &Array<Vector<f32, N>>,
    parameter: &Array<Vector<f32, N>>,
    first: &Array<Vector<f32, N>>,
    second: &Array<Vector<f32, N>>,
    verdict: &Array<f32>,
    to_parameter: &mut Array<Vector<f32, N>>,
    to_first: &mut Array<Vector<f32, N>>,
    to_second: &mut Array<Vector<f32, N>>,
    decay: Decay,
    row: Row,
    work: usize,
    #[comptime] mode: Mode,
) {
    if ABSOLUTE_POS < work {
        let at = ABSOLUTE_POS;
        let (mean, square) =
            moments_at::<N>(gradient, first, second, verdict, at, decay, row, mode);
        let moved = moved_at::<N>(parameter, verdict, mean, square, at, row, mode);
        to_parameter[at] = moved;
        to_first[at] = mean;
        to_second[at] = square;
    }
}

/// An update with separate values for each row of `columns` vectors.
#[cube(launch_unchecked)]
pub(super) fn update_rows<N: Size>(
    gradient: &Array<Vector<f32, N>>,
    parameter: &Array<Vector<f32, N>>,
    first: &Array<Vector<f32, N>>,
    second: &Array<Vector<f32, N>>,
    verdict: &Array<f32>,
    rows: &Array<f32>,
    to_parameter: &mut Array<Vector<f32, N>>,
    to_first: &mut Array<Vector<f32, N>>,
    to_second: &mut Array<Vector<f32, N>>,
    decay: Decay,
    columns: usize,
    work: usize,
    #[comptime] mode: Mode,
) {
    if ABSOLUTE_POS < work {
        let at = ABSOLUTE_POS;
        let fields = at / columns * FIELDS;
        let row = Row {
            rate: rows[fields],
            epsilon: rows[fields + 1],
            remaining: rows[fields + 2],
            gradient: rows[fields + 3],
            kept: rows[fields + 4],
        };
        let (mean, square) =
            moments_at::<N>(gradient, first, second, verdict, at, decay, row, mode);
        let moved = moved_at::<N>(parameter, verdict, mean, square, at, row, mode);
        to_parameter[at] = moved;
        to_first[at] = mean;
        to_second[at] = square;
    }
}

/// The factor of the gradient, negative if the update is refused.
#[cube]
fn factor_of(verdict: &Array<f32>, #[comptime] mode: Mode) -> f32 {
    let mut factor = 1.0f32;
    if comptime!(mode.judged) {
        factor = verdict[0];
    }
    factor
}

/// Both moments after the update.
#[cube]
fn moments_at<N: Size>(
    gradient: &Array<Vector<f32, N>>,
    first: &Array<Vector<f32, N>>,
    second: &Array<Vector<f32, N>>,
    verdict: &Array<f32>,
    at: usize,
    decay: Decay,
    row: Row,
    #[comptime] mode: Mode,
) -> (Vector<f32, N>, Vector<f32, N>) {
    let factor = factor_of(verdict, mode);
    // False of a verdict that is not a number.
    let accepted = factor >= 0.0f32;
    // Zero is assigned, not multiplied: the gradient may be infinite or NaN.
    let mut slope = Vector::<f32, N>::new(0.0f32);
    if row.gradient != 0.0f32 && accepted {
        slope = gradient[at] * Vector::new(row.gradient * factor);
    }
    let mut mean = slope * Vector::new(decay.new);
    let mut square = slope * slope * Vector::new(decay.square);
    if comptime!(!mode.fresh) {
        if !accepted {
            mean = first[at];
            square = second[at];
        } else if row.kept != 0.0f32 {
            mean += first[at] * Vector::new(decay.beta_1);
            square += second[at] * Vector::new(decay.beta_2);
        }
    }
    (mean, square)
}

/// The parameter after the update.
#[cube]
fn moved_at<N: Size>(
    parameter: &Array<Vector<f32, N>>,
    verdict: &Array<f32>,
    mean: Vector<f32, N>,
    square: Vector<f32, N>,
    at: usize,
    row: Row,
    #[comptime] mode: Mode,
) -> Vector<f32, N> {
    let mut moved = parameter[at];
    if factor_of(verdict, mode) >= 0.0f32 {
        let root = Vector::<f32, N>::sqrt(square) + Vector::new(row.epsilon);
        moved = moved * Vector::new(row.remaining) - mean * Vector::new(row.rate) / root;
    }
    moved
}
