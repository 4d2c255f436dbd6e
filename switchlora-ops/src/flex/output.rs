//! Memory that a kernel writes whole before anyone reads it: filling it with zeros first would be a pass too many.

use pulp::Simd;
use std::mem::MaybeUninit;

/// Elements to be written.
pub(super) struct Output(Vec<f32>);

impl Output {
    /// Room for `length` elements.
    pub fn new(length: usize) -> Self {
        Self(Vec::with_capacity(length))
    }

    /// The elements, none of which has a value yet. `length` is that of [`new`](Self::new).
    pub fn elements(&mut self, length: usize) -> &mut [MaybeUninit<f32>] {
        &mut self.0.spare_capacity_mut()[..length]
    }

    /// The elements with their values.
    ///
    /// # Safety
    ///
    /// All of the first `length` elements have been written.
    pub unsafe fn written(mut self, length: usize) -> Vec<f32> {
        assert!(length <= self.0.capacity());
        // SAFETY: the memory is there, and the caller has written it.
        unsafe { self.0.set_len(length) };
        self.0
    }
}

/// Elements that have been written, as such.
///
/// # Safety
///
/// All of them have been.
pub(super) unsafe fn written(elements: &mut [MaybeUninit<f32>]) -> &mut [f32] {
    let (start, length) = (elements.as_mut_ptr(), elements.len());
    // SAFETY: the same memory, and it has values.
    unsafe { std::slice::from_raw_parts_mut(start.cast(), length) }
}

/// Writes the first numbers of a vector where there is no room for all of them.
#[inline(always)]
pub(super) fn write_rest<S: Simd>(simd: S, rest: &mut [MaybeUninit<f32>], values: S::f32s) {
    /// The numbers of the longest vector there is.
    const MOST: usize = 16;
    let mut last = [0.0; MOST];
    let last = &mut last[..rest.len()];
    simd.partial_store_f32s(last, values);
    for (rest, last) in rest.iter_mut().zip(last) {
        rest.write(*last);
    }
}
