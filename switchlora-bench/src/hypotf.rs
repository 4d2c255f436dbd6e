//! The length of a vector in f32, in place of glibc's.
//!
//! The dashed lines of the charts compute it with `f32::hypot`, which calls `hypotf` of the C library. Linked on a new
//! system, a program asks for the `hypotf` of glibc 2.35 and then does not start with an older one. It is the only
//! function of that kind.

/// Returns the square root of `x * x + y * y`. In f64 the squares do not overflow, and the result is rounded once more.
#[unsafe(no_mangle)]
extern "C" fn hypotf(x: f32, y: f32) -> f32 {
    let (x, y) = (f64::from(x), f64::from(y));
    (x * x + y * y).sqrt() as f32
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_length_of_a_vector_is_that_of_f64() {
        for (x, y, length) in [
            (3.0_f32, 4.0_f32, 5.0),
            (-1e30, 0.0, 1e30),
            (1e-30, 0.0, 1e-30),
        ] {
            assert_eq!(std::hint::black_box(x).hypot(y), length);
        }
    }
}
