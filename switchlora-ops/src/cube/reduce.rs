//! Sums and maxima over the units of a cube, in an order that does not depend on which is first.
//!
//! Through shared memory: how many units march in step differs between devices, and nothing here has to know.

use cubecl::prelude::*;

/// The sum of `value` over all `units`, a power of two, in each of them. `room` holds one number for each.
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

/// The largest `value` of all `units`, a power of two, in each of them. `room` holds one number for each.
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
