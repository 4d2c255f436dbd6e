//! Memory that a kernel writes whole before anyone reads it: filling it with zeros first would be a pass too many.

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
