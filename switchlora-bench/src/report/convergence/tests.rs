use super::*;
use crate::report::example::curve;

#[test]
fn the_final_loss_is_the_mean_of_the_last_tenth() {
    let final_loss = |losses: &[f64]| {
        let mut curve = curve("flex", "full");
        curve.losses = losses.to_vec();
        curve.final_loss()
    };
    let losses: Vec<f64> = (0..20).map(f64::from).collect();
    assert_eq!(final_loss(&losses), Some(18.5));
    assert_eq!(final_loss(&[3.0]), Some(3.0));
    assert_eq!(final_loss(&[]), None);
    assert!(final_loss(&[1.0, f64::NAN]).unwrap().is_nan());
}

#[test]
fn a_name_says_only_what_differs() {
    let (a, mut b) = (curve("flex", "full"), curve("flex", "lora"));
    (b.lr, b.precision) = (a.lr, a.precision.clone());
    assert_eq!(name(&a, &[&a, &b]), "flex, full");
    b.lr = 0.02;
    assert_eq!(
        name(&b, &[&a, &b]),
        "flex, lora, rank 8, learning rate 2e-2"
    );
}

#[test]
fn losses_that_are_no_numbers_are_counted() {
    let mut curve = curve("flex", "full");
    curve.losses = vec![4.0, f64::NAN, 3.0, f64::INFINITY];
    let said = gaps(&[&curve]).concat();
    assert!(
        said.contains("2 of 4 losses") && said.contains("at update 2"),
        "{said}"
    );
}

#[test]
fn an_evaluation_stands_at_the_end_of_its_update() {
    let mut curve = curve("flex", "full");
    curve.seconds = vec![0.5, 1.0];
    curve.evaluations = vec![(0, 4.0), (2, 3.0), (9, 2.0)];
    assert_eq!(dots(&curve, false), [(0.0, 4.0), (2.0, 3.0), (9.0, 2.0)]);
    let by_seconds = dots(&curve, true);
    assert_eq!(by_seconds[..2], [(0.0, 4.0), (1.0, 3.0)]);
    assert!(by_seconds[2].0.is_nan());
}
