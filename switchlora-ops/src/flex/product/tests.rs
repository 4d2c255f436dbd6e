//! Laws of products: any number of threads, any layout, in f32 and in bf16.

use super::terms::{Placed, as_uninit};
#[cfg(target_arch = "x86_64")]
use super::tiles;
use super::{Multiplier, Product, rounded};
use crate::Precision;
use crate::flex::matrix::Matrix;
use ::half::bf16;
use proptest::prelude::*;
use rayon::ThreadPoolBuilder;

/// Integers, so that sums of products are exact in any order.
fn numbers(count: usize, step: usize) -> Vec<f32> {
    (0..count).map(|i| (i * step % 7) as f32 - 3.0).collect()
}

/// Adds the product, element by element.
fn add(sum: &mut [f32], left: Matrix<'_>, right: Matrix<'_>) {
    for row in 0..left.rows {
        for column in 0..right.columns {
            let products = (0..left.columns).map(|k| at(left, row, k) * at(right, k, column));
            sum[row * right.columns + column] += products.sum::<f32>();
        }
    }
}

#[test]
fn any_number_of_threads_computes_every_element_of_every_product_once() {
    // The numbers are exact in bf16.
    for precision in [Precision::F32, Precision::Bf16] {
        every_element_once(precision);
    }
}

fn every_element_once(precision: Precision) {
    let (m, k, n) = (211, 190, 193);
    let (left, right, base) = (numbers(m * k, 5), numbers(k * n, 3), numbers(m * n, 2));
    let (left, right) = (Matrix::new(&left, m, k), Matrix::new(&right, k, n));
    let mut once = base.clone();
    add(&mut once, left, right);
    let mut twice = once.clone();
    add(&mut twice, left, right);
    let mut inner = vec![0.0; k * k];
    add(&mut inner, left.t(), left);
    for threads in [1, 2, 3, 5, 8, 16] {
        let pool = ThreadPoolBuilder::new().num_threads(threads).build();
        let mut itself = once.clone();
        let found = pool.unwrap().install(|| {
            let (base, product) = (Matrix::new(&base, m, n), Product::new(left, right, 1.0));
            let multiplier = Multiplier::keeping(precision, &[left, left.t()], &[right]);
            multiplier.compute(&mut [product.clone().onto(&mut itself, n)]);
            let products = vec![
                Some(product.clone().plus_matrix(base)),
                Some(Product::new(left.t(), left, 1.0)),
                None,
                Some(product.plus(left, right, 1.0).plus_matrix(base)),
            ];
            multiplier.computed(products)
        });
        let expected = [Some(&once), Some(&inner), None, Some(&twice)];
        let found: Vec<_> = found.iter().map(Option::as_ref).collect();
        assert!(found == expected && itself == twice, "{threads} threads");
    }
}

/// A matrix stored by rows, by columns, or with gaps between its elements.
fn lying(elements: &[f32], rows: usize, columns: usize, how: usize) -> Matrix<'_> {
    match how {
        0 => Matrix::new(elements, rows, columns),
        1 => Matrix::new(elements, columns, rows).t(),
        _ => Matrix {
            data: elements,
            rows,
            columns,
            row_stride: 2,
            column_stride: 2 * rows + 1,
        },
    }
}

fn at(matrix: Matrix<'_>, row: usize, column: usize) -> f32 {
    matrix.data[row * matrix.row_stride + column * matrix.column_stride]
}

fn rounded_to_bf16(value: f32) -> f64 {
    bf16::from_f32(value).to_f64()
}

/// A way to compute products in bf16.
type Way = fn(&[Placed<'_>], &[usize], usize);

/// Every way that this CPU supports.
fn ways_of_bf16() -> Vec<(&'static str, Way)> {
    let mut ways: Vec<(&str, Way)> = vec![("rounded", rounded::compute)];
    #[cfg(target_arch = "x86_64")]
    if tiles::are_here() {
        ways.push(("tiles", |products, works, threads| {
            tiles::compute(products, &tiles::Kept::default(), works, threads);
        }));
    }
    ways
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(120))]

    #[test]
    fn a_product_in_bf16_is_the_sum_of_products_of_rounded_numbers(
        m in 1usize..80, k in 0usize..70, more in 0usize..3, n in 1usize..80,
        left_lies in 0usize..3, right_lies in 0usize..3, threads in 1usize..4,
        onto: bool, factor in prop_oneof![Just(1.0f32), -2f32..2.0], seed: u32,
    ) {
        // Sometimes more than one step along the sum.
        let k = k + 500 * more;
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_mul(1664525).wrapping_add(1013904223);
            (state >> 8) as f32 / (1 << 23) as f32 - 1.0
        };
        let mut numbers = |count: usize| (0..count).map(|_| next()).collect::<Vec<f32>>();
        let of_left = numbers(2 * (m * k + m + k));
        let of_right = numbers(2 * (k * n + k + n));
        let left = lying(&of_left, m, k, left_lies);
        let right = lying(&of_right, k, n, right_lies);
        let stride = n + 3;
        let before = numbers(m * stride);
        for (name, compute) in ways_of_bf16() {
            let mut place = before.clone();
            let product = Product::new(left, right, factor);
            let placed = match onto {
                true => product.onto(&mut place, stride),
                false => product.into(as_uninit(&mut place), stride),
            };
            compute(&[placed], &[m * k * n], threads);
            for (index, (found, before)) in place.iter().zip(&before).enumerate() {
                let (row, column) = (index / stride, index % stride);
                if column >= n {
                    prop_assert_eq!(found, before, "an element outside of the product has changed");
                    continue;
                }
                let products = (0..k).map(|k| {
                    // The smaller operand takes the factor.
                    let [of_left, of_right] = if m < n { [factor, 1.0] } else { [1.0, factor] };
                    let left = rounded_to_bf16(of_left * at(left, row, k));
                    left * rounded_to_bf16(of_right * at(right, k, column))
                });
                let added = if onto { f64::from(*before) } else { 0.0 };
                let expected = added + products.sum::<f64>();
                // Sums of up to a thousand terms around one, in f32.
                let difference = (f64::from(*found) - expected).abs();
                prop_assert!(difference < 3e-4, "{name} {row} {column}: {found} {expected}");
            }
        }
    }
}

#[test]
fn what_is_infinite_or_not_a_number_stays_so_in_bf16() {
    for (_, compute) in ways_of_bf16() {
        let products = [f32::INFINITY, f32::NAN].map(|value| {
            let (left, right, mut place) = ([1.0, value, 1.0], [1.0; 3], [0.0]);
            let (left, right) = (Matrix::new(&left, 1, 3), Matrix::new(&right, 3, 1));
            compute(
                &[Product::new(left, right, 1.0).onto(&mut place, 1)],
                &[3],
                1,
            );
            place[0]
        });
        assert!(products[0] == f32::INFINITY && products[1].is_nan());
    }
}
