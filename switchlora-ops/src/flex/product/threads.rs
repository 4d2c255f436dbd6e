//! Assignment of the parts of products to threads.

use super::parts::{Part, divide};
use super::terms::Placed;
use rayon::prelude::*;
use std::cmp::Reverse;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The parts of all products, with the index of the product. Largest first, so that the small ones fill the gaps at the end.
pub(super) fn all_parts(
    products: &[Placed<'_>],
    works: &[usize],
    threads: usize,
    units: [usize; 2],
) -> Vec<(usize, Part)> {
    let counts = divide(works, threads);
    let parts = products.iter().zip(works.iter().zip(counts)).enumerate();
    let parts = parts.flat_map(|(number, (placed, (work, count)))| {
        let parts = Part::all(placed.product.shape(), count, units);
        parts.map(move |part| (work / count, number, part))
    });
    let mut parts: Vec<_> = parts.collect();
    parts.sort_by_key(|&(work, ..)| Reverse(work));
    let parts = parts.into_iter().map(|(_, number, part)| (number, part));
    parts.collect()
}

/// Calls `work` once with each item, on `threads` threads, in order.
pub(super) fn each<T: Sync>(threads: usize, items: &[T], work: impl Fn(&T) + Sync) {
    let next = AtomicUsize::new(0);
    let take = |_| {
        while let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) {
            work(item);
        }
    };
    match threads.min(items.len()) {
        0 | 1 => take(0),
        threads => (0..threads).into_par_iter().with_max_len(1).for_each(take),
    }
}
