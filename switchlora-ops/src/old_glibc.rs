//! The length of a vector, in place of glibc's: for programs that start on older systems than the one they were built on.
//!
//! CubeCL and the charts of the bench call `f32::hypot` and `f64::hypot`, which call `hypotf` and `hypot` of the C library.
//! Linked on a new system, a program asks for those of glibc 2.35 and then does not start with an older one. They are the
//! only functions of that kind. A library must not replace functions of the C library in the programs of others, so that
//! this is a feature of its own, which `cargo xtask bundle` turns on.

/// Returns the square root of `x * x + y * y`. In f64 the squares do not overflow, and the result is rounded once more.
#[unsafe(no_mangle)]
extern "C" fn hypotf(x: f32, y: f32) -> f32 {
    let (x, y) = (f64::from(x), f64::from(y));
    // Infinite even if the other side is not a number.
    if x.is_infinite() || y.is_infinite() {
        return f32::INFINITY;
    }
    (x * x + y * y).sqrt() as f32
}

/// The same in f64, where the squares could overflow: the longer side is taken out of the root.
#[unsafe(no_mangle)]
extern "C" fn hypot(x: f64, y: f64) -> f64 {
    let (x, y) = (x.abs(), y.abs());
    if x.is_infinite() || y.is_infinite() {
        return f64::INFINITY;
    }
    let (long, short) = if x < y { (y, x) } else { (x, y) };
    if long == 0.0 && short == 0.0 {
        return 0.0;
    }
    let ratio = short / long;
    long * (1.0 + ratio * ratio).sqrt()
}

#[cfg(test)]
mod tests {
    use std::hint::black_box;

    #[test]
    fn the_length_of_a_vector_does_not_overflow_and_is_that_of_f64() {
        for (x, y, length) in [
            (3.0_f32, 4.0_f32, 5.0),
            (-1e30, 0.0, 1e30),
            (1e-30, 0.0, 1e-30),
        ] {
            assert_eq!(black_box(x).hypot(y), length);
        }
        for (x, y, length) in [
            (3.0_f64, 4.0_f64, 5.0),
            (0.0, -0.0, 0.0),
            (-1e300, 0.0, 1e300),
            (f64::NAN, f64::NEG_INFINITY, f64::INFINITY),
        ] {
            assert_eq!(black_box(x).hypot(y), length);
        }
        for number in [1.0, 0.0] {
            assert!(black_box(f64::NAN).hypot(number).is_nan());
            assert!(black_box(number).hypot(f64::NAN).is_nan());
        }
        assert_eq!(black_box(f32::INFINITY).hypot(f32::NAN), f32::INFINITY);
        assert!(black_box(0.0_f32).hypot(f32::NAN).is_nan());
    }
}
