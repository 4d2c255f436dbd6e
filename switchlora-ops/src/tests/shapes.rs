//! Arguments that do not fit each other are refused on every backend, before a kernel sees them.

use crate::check::optimizer::alike;
use crate::{
    AdamWRows, Adapter, Precision, Projection, adamw, add_product, linear_cross_entropy, matmul,
    projections, rms_norm, scatter_rows, swiglu,
};
use burn::backend::Autodiff;
use burn::tensor::backend::Backend;
use burn::tensor::{DType, Int, Tensor};
use burn_ndarray::NdArray;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// In f32, which is not the default of a device whose backend was used with f64 first.
fn ones<B: Backend>(shape: [usize; 2]) -> Tensor<B, 2> {
    Tensor::ones(shape, (&Default::default(), DType::F32))
}

fn refused<B: Backend>() {
    let weight = |entries| Tensor::<B, 1>::ones([entries], (&Default::default(), DType::F32));
    let targets = |count| Tensor::<B, 1, Int>::zeros([count], &Default::default());
    let adapter = |a, b| Projection {
        weight: ones::<B>([6, 5]),
        adapter: Some(Adapter {
            a: ones(a),
            b: ones(b),
            scale: 1.0,
        }),
    };
    let f32 = Precision::F32;
    let other = |shape| ones::<B>(shape).cast(DType::F64);
    let cases: [(&str, &dyn Fn()); 18] = [
        ("norm", &|| drop(rms_norm(ones([4, 6]), weight(3), 1e-6))),
        ("few rows of up", &|| {
            drop(swiglu(ones::<B>([8, 16384]), ones([1, 16384])))
        }),
        ("narrow up", &|| {
            drop(swiglu(ones::<B>([8, 5]), ones([8, 4])))
        }),
        ("targets", &|| {
            drop(linear_cross_entropy(
                ones::<B>([4, 6]),
                ones([6, 9]),
                targets(3),
                f32,
            ));
        }),
        ("head", &|| {
            drop(linear_cross_entropy(
                ones::<B>([4, 6]),
                ones([5, 9]),
                targets(4),
                f32,
            ));
        }),
        ("rank", &|| {
            drop(projections(
                ones([4, 6]),
                vec![adapter([2, 6], [3, 5])],
                f32,
            ))
        }),
        ("factor", &|| {
            drop(projections(
                ones([4, 6]),
                vec![adapter([2, 5], [2, 5])],
                f32,
            ))
        }),
        ("product", &|| drop(matmul(ones::<B>([4, 6]), ones([5, 4])))),
        ("sum", &|| {
            drop(add_product(
                ones::<B>([4, 6]),
                ones([2, 4]),
                ones([2, 5]),
                None,
            ))
        }),
        ("gradient", &|| {
            drop(adamw(ones::<B>([4, 6]), ones([3, 6]), None, &alike(), None))
        }),
        ("written", &|| {
            drop(scatter_rows(ones::<B>([4, 6]), &[1], ones([1, 5]), None))
        }),
        ("rates", &|| {
            let rates = AdamWRows {
                rates: vec![0.1; 3],
                ..alike()
            };
            drop(adamw(ones::<B>([4, 6]), ones([4, 6]), None, &rates, None))
        }),
        ("dtype of norm", &|| {
            drop(rms_norm(other([4, 6]), weight(6), 1e-6))
        }),
        ("dtype of up", &|| drop(swiglu(ones([8, 5]), other([8, 5])))),
        ("dtype of head", &|| {
            let head = other([6, 9]);
            drop(linear_cross_entropy(ones([4, 6]), head, targets(4), f32))
        }),
        ("dtype of factors", &|| {
            drop(projections(
                other([4, 6]),
                vec![adapter([2, 6], [2, 5])],
                f32,
            ))
        }),
        ("dtype of gradient", &|| {
            drop(adamw(ones([4, 6]), other([4, 6]), None, &alike(), None))
        }),
        ("dtype of written", &|| {
            drop(scatter_rows(ones([4, 6]), &[1], other([1, 6]), None))
        }),
    ];
    for (name, case) in cases {
        let refusal = catch_unwind(AssertUnwindSafe(case)).unwrap_err();
        let text = refusal.downcast_ref::<String>().map_or("", String::as_str);
        assert!(
            text.contains("do not match") || text.contains("are to be written"),
            "{name}: {text}"
        );
    }
}

#[test]
fn shapes_and_dtypes_that_do_not_match_are_refused() {
    refused::<NdArray>();
    refused::<Autodiff<NdArray>>();
    #[cfg(feature = "flex")]
    refused::<burn_flex::Flex>();
}

/// The gradient of a frozen weight that requires one.
fn gradient_of_frozen<B: Backend>() -> bool {
    type A<B> = Autodiff<B>;
    let matrix = |shape| ones::<A<B>>(shape).require_grad();
    let (weight, a, b) = (matrix([6, 5]), matrix([2, 6]), matrix([2, 5]));
    let projection = Projection {
        weight: weight.clone(),
        adapter: Some(Adapter {
            a: a.clone(),
            b,
            scale: 0.5,
        }),
    };
    let y = projections(ones([4, 6]), vec![projection], Precision::F32).swap_remove(0);
    let gradients = y.sum().backward();
    assert!(a.grad(&gradients).is_some());
    weight.grad(&gradients).is_some()
}

#[test]
fn a_frozen_weight_has_no_gradient_even_if_it_requires_one() {
    assert!(!gradient_of_frozen::<NdArray>());
    assert!(!gradient_of_frozen::<NdArray<f64>>());
    #[cfg(feature = "flex")]
    assert!(!gradient_of_frozen::<burn_flex::Flex>());
}
