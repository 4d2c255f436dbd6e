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
    assert!(lines(vec![nothing], false).draw().is_none());
    assert!(lines(vec![line(&[])], false).draw().is_none());
    assert!(lines(vec![line(&[(1.0, 0.0)])], true).draw().is_none());
}

#[test]
fn one_point_is_drawn_as_xml() {
    for logarithmic in [false, true] {
        let mut chart = lines(vec![line(&[(1.0, 4.0)])], logarithmic);
        chart.scale();
        let svg = chart.svg().unwrap();
        assert!(roxmltree::Document::parse(&svg).is_ok());
        assert!(svg.contains("circle"));
    }
}

#[test]
fn powers_of_ten_are_the_labels_of_a_logarithmic_axis() {
    let mut chart = lines(vec![line(&[(1.0, 2e-7), (2.0, 3e-4)])], true);
    chart.scale();
    let svg = chart.svg().unwrap();
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
