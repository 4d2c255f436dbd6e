//! Uninitialized memory for the results of kernels. A kernel writes every element, so filling it with zeros would be a wasted pass.

use pulp::Simd;
use std::mem::MaybeUninit;

/// Memory for elements that a kernel writes.
pub(super) struct Output(Vec<f32>);

impl Output {
    /// Allocates memory for `length` elements.
    pub fn new(length: usize) -> Self {
        Self(Vec::with_capacity(length))
    }

    /// The uninitialized elements. `length` is the one given to [`new`](Self::new).
    pub fn elements(&mut self, length: usize) -> &mut [MaybeUninit<f32>] {
        &mut self.0.spare_capacity_mut()[..length]
    }

    /// The initialized elements.
    ///
    /// # Safety
    ///
    /// The first `length` elements have been written.
    pub unsafe fn written(mut self, length: usize) -> Vec<f32> {
        assert!(length <= self.0.capacity());
        // SAFETY: the capacity is large enough, as asserted, and the caller has written the elements.
        unsafe { self.0.set_len(length) };
        self.0
    }
}

/// The elements as initialized memory.
///
/// # Safety
///
/// All elements have been written.
pub(super) unsafe fn written(elements: &mut [MaybeUninit<f32>]) -> &mut [f32] {
    let (start, length) = (elements.as_mut_ptr(), elements.len());
    // SAFETY: the same memory, which the caller has written.
    unsafe { std::slice::from_raw_parts_mut(start.cast(), length) }
}

/// Writes the first elements of a vector to memory that is shorter than the vector.
#[inline(always)]
pub(super) fn write_rest<S: Simd>(simd: S, rest: &mut [MaybeUninit<f32>], values: S::f32s) {
    /// Lanes of the longest vector, AVX-512.
    const MOST: usize = 16;
    let mut last = [0.0; MOST];
    let last = &mut last[..rest.len()];
    simd.partial_store_f32s(last, values);
    for (rest, last) in rest.iter_mut().zip(last) {
        rest.write(*last);
    }
}
