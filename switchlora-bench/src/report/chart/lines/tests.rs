use super::*;

fn line(points: &[(f64, f64)]) -> Line {
    Line {
        name: "flex".to_owned(),
        colour: 0,
        stroke: 0,
        points: points.to_vec(),
        dots: Vec::new(),
    }
}

fn lines(lines: Vec<Line>, logarithmic: bool) -> Lines {
    Lines {
        caption: "Loss".to_owned(),
        x: "update",
        y: "loss (nats a token)",
        logarithmic,
        limit: None,
        lines,
    }
}

#[test]
fn nothing_to_draw_makes_no_figure() {
    let nothing = line(&[(1.0, f64::NAN), (f64::INFINITY, 1.0)]);
    assert!(lines(vec![nothing], false).figure().is_none());
    assert!(lines(vec![line(&[])], false).figure().is_none());
    assert!(lines(vec![line(&[(1.0, 0.0)])], true).figure().is_none());
}

#[test]
fn one_point_is_drawn_as_xml() {
    for logarithmic in [false, true] {
        let chart = lines(vec![line(&[(1.0, 4.0)])], logarithmic);
        let svg = chart.figure().unwrap().svg(false);
        assert!(roxmltree::Document::parse(&svg).is_ok());
        assert!(svg.contains("circle"));
    }
}

#[test]
fn powers_of_ten_are_the_labels_of_a_logarithmic_axis() {
    let chart = lines(vec![line(&[(1.0, 2e-7), (2.0, 3e-4)])], true);
    let svg = chart.figure().unwrap().svg(false);
    for label in ["1e-7", "1e-6", "1e-5", "1e-4", "1e-3"] {
        assert!(svg.contains(&format!("\n{label}\n")), "{label}");
    }
}

#[test]
fn an_axis_is_never_empty() {
    for value in [0.0, 3.0, -3.0, 1e11] {
        let range = range([value].into_iter(), 0.05);
        assert!(range.start <= value && value <= range.end && range.start < range.end);
    }
}

#[test]
fn a_number_that_is_none_makes_a_gap() {
    let runs = runs(&[(1.0, 4.0), (2.0, f64::NAN), (3.0, 3.0), (4.0, 2.0)]);
    assert_eq!(runs, [vec![(1.0, 4.0)], vec![(3.0, 3.0), (4.0, 2.0)]]);
}

#[test]
fn a_thin_line_keeps_its_ends() {
    let points: Vec<_> = (0..1999).map(|x| (f64::from(x), 0.0)).collect();
    let thin = thinned(&points);
    assert!(thin.len() <= MOST_POINTS + 1);
    assert_eq!((thin.first(), thin.last()), (points.first(), points.last()));
}

#[test]
fn there_is_a_stroke_for_any_number_of_lines() {
    let stroke = |stroke| {
        let line = Line {
            stroke,
            ..line(&[(1.0, 4.0)])
        };
        lines(vec![line], false).figure().unwrap().series[0].dash
    };
    assert_eq!(stroke(0), SOLID);
    assert_eq!(stroke(6), (24, 12));
}
