//! Sums and maxima over the units of a cube, in a fixed order.
//!
//! They use shared memory, so that they do not depend on the number of units per warp, which differs between devices.

use cubecl::prelude::*;

/// Returns to each unit the sum of `value` over all units. `units` is a power of two, `room` has one number per unit.
#[cube]
pub(super) fn sum_of_cube(
    value: f32,
    room: &mut SharedMemory<f32>,
    #[comptime] units: usize,
) -> f32 {
    let unit = UNIT_POS as usize;
    room[unit] = value;
    sync_cube();
    #[unroll]
    for step in 0..comptime!(units.ilog2()) {
        let half = comptime!(units >> (step + 1));
        if unit < half {
            let other = room[unit + half];
            room[unit] += other;
        }
        sync_cube();
    }
    let sum = room[0];
    sync_cube();
    sum
}

/// Returns to each unit the maximum of `value` over all units. `units` is a power of two, `room` has one number per unit.
#[cube]
pub(super) fn most_of_cube(
    value: f32,
    room: &mut SharedMemory<f32>,
    #[comptime] units: usize,
) -> f32 {
    let unit = UNIT_POS as usize;
    room[unit] = value;
    sync_cube();
    #[unroll]
    for step in 0..comptime!(units.ilog2()) {
        let half = comptime!(units >> (step + 1));
        if unit < half {
            let other = room[unit + half];
            room[unit] = max(room[unit], other);
        }
        sync_cube();
    }
    let most = room[0];
    sync_cube();
    most
}

/// The sum of the elements of a vector.
#[cube]
pub(super) fn sum_of_vector<N: Size>(vector: Vector<f32, N>) -> f32 {
    let mut sum = 0.0f32;
    #[unroll]
    for i in 0..N::value() {
        sum += vector[i];
    }
    sum
}
