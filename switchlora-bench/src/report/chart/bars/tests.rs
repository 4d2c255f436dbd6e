use super::*;

fn bar(parts: &[f64], tick: Option<f64>) -> Bar {
    Bar {
        name: "flex <lora> & \"rank\" 8".to_owned(),
        parts: parts.to_vec(),
        tick,
        end: "3.00".to_owned(),
    }
}

fn bars(bars: Vec<Bar>) -> Bars {
    Bars {
        caption: "Time".to_owned(),
        axis: "time (ms)",
        parts: &["forward", "backward"],
        tick: Some("measured"),
        bars,
    }
}

#[test]
fn parts_follow_each_other() {
    assert_eq!(
        bar(&[1.0, 2.0], None).spans(),
        [(0, 0.0, 1.0), (1, 1.0, 3.0)]
    );
}

#[test]
fn what_is_no_length_is_not_drawn() {
    let bar = bar(&[f64::NAN, -1.0, 2.0, f64::INFINITY], Some(f64::NAN));
    assert_eq!(bar.spans(), [(2, 0.0, 2.0)]);
    assert_eq!(bar.extent(), 2.0);
    assert!(
        bars(vec![super::tests::bar(&[0.0, f64::NAN], Some(0.0))])
            .figure()
            .is_none()
    );
    assert!(bars(Vec::new()).figure().is_none());
}

#[test]
fn the_drawing_is_xml_with_its_axis_and_names() {
    let chart = bars(vec![bar(&[1.0, 2.0], Some(2.5))]);
    let svg = chart.figure().unwrap().svg(false);
    let texts = roxmltree::Document::parse(&svg).unwrap();
    let texts: Vec<_> = texts.descendants().filter_map(|node| node.text()).collect();
    assert!(
        texts
            .iter()
            .any(|text| text.trim() == "flex <lora> & \"rank\" 8")
    );
    assert!(texts.iter().any(|text| text.trim() == "time (ms)"));
}
