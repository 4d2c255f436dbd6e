//! Plans of the paper's models, as table and as JSON.

use super::{Batch, Plan, PlanError, PlanRow, units};
use crate::experiment::{Method, Precision};
use crate::model::{LlamaConfig, Recompute};
use serde_json::json;

fn plan(model: &str, rank: usize) -> Plan {
    let config = LlamaConfig::preset(model).expect("a preset");
    Plan::new(model, &config, Some(rank), &Method::ALL).expect("a plan")
}

fn row(plan: &Plan, method: Method) -> PlanRow {
    plan.rows
        .iter()
        .find(|row| row.method == method)
        .expect("every method has a row")
        .clone()
}

#[test]
fn the_1b_model_at_rank_512_has_the_papers_numbers() {
    let plan = plan("1b", 512);
    let (full, switch) = (row(&plan, Method::Full), row(&plan, Method::SwitchLora));
    assert_eq!(
        (full.cells()[1].as_str(), full.cost.trainable_parameters),
        ("1,339.5 M", 1_339_492_352)
    );
    assert_eq!(
        (switch.cells()[1].as_str(), switch.cost.trainable_parameters),
        ("609.7 M", 609_720_320)
    );
    assert_eq!(switch.cells()[9], "54 %");
    assert_eq!(full.cells()[9], "0 %");
}

#[test]
fn the_350m_model_at_rank_256_has_the_papers_numbers() {
    let plan = plan("350m", 256);
    assert_eq!(
        row(&plan, Method::Full).cells()[1..3],
        ["368.2 M", "368.2 M"]
    );
    assert_eq!(row(&plan, Method::SwitchLora).cells()[1], "185.4 M");
}

#[test]
fn the_table_is_aligned_and_has_a_line_for_each_method() {
    let text = plan("7b", 1024).to_string();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(
        lines[0],
        "7b: 6,739.2 M parameters, 32 layers, hidden size 4096, rank 1024"
    );
    let table = &lines[2..9];
    assert!(
        table.iter().all(|line| line.len() == table[0].len()),
        "{text}"
    );
    assert!(table[6].starts_with("switchlora  "), "{text}");
}

#[test]
fn json_has_the_exact_numbers_under_the_command_lines_names() {
    let value = plan("1b", 512).to_json();
    assert_eq!(
        (
            &value["model"],
            &value["rank"],
            &value["config"]["hidden_size"]
        ),
        (&json!("1b"), &json!(512), &json!(2048))
    );
    let rows = value["rows"].as_array().expect("rows");
    for (row, method) in rows.iter().zip(Method::ALL) {
        assert_eq!(row["method"], method.name());
    }
    assert_eq!(rows[5]["trainable_parameters"], 609_720_320);
    assert_eq!(rows[0]["state_bytes"], 16u64 * 1_339_492_352);
    assert_eq!(rows[0].get("process_bytes"), None);
}

#[test]
fn a_micro_batch_shows_its_memory_and_that_of_a_process() {
    let batch = Batch {
        size: 4,
        sequence_length: 256,
        recompute: Recompute::Layers,
        precision: Precision::F32,
    };
    let in_bf16 = Batch {
        precision: Precision::Bf16,
        ..batch
    };
    // What was measured, docs/memory.md.
    for (batch, measured) in [(batch, 1038e6), (in_bf16, 1200e6)] {
        let plan = plan("60m", 128).with_batch(batch);
        let row = row(&plan, Method::Full);
        let (peak, process) = (row.peak_bytes.unwrap(), row.process_bytes.unwrap());
        assert!((process as f64 / measured - 1.0).abs() < 0.1 && process > peak);
        let text = plan.to_string();
        assert!(text.contains(&units::bytes(process)), "{text}");
    }
}

#[test]
fn a_rank_that_no_projection_has_or_that_is_missing_is_refused() {
    let config = LlamaConfig::preset("tiny").expect("a preset");
    let message = |rank, methods: &[Method]| {
        Plan::new("tiny", &config, rank, methods).map_err(|error| error.to_string())
    };
    assert!(message(None, &[Method::Full]).is_ok());
    assert_eq!(
        message(None, &Method::ALL).expect_err("no rank"),
        "method `lora` has no rank: expected 1 to 127; give --rank"
    );
    // A method that switches needs a vector to switch with in the narrowest projection, of 128 x 128.
    for (rank, methods, most) in [
        (0, &[Method::Lora][..], 352),
        (353, &[Method::Lora, Method::GaLore], 352),
        (usize::MAX, &[Method::Lora], 352),
        (0, &Method::ALL, 127),
        (128, &[Method::SwitchLora], 127),
        (usize::MAX, &Method::ALL, 127),
    ] {
        let found = message(Some(rank), methods).expect_err("no such rank");
        assert!(found.starts_with(&format!("rank is {rank}")), "{found}");
        assert!(found.contains(&format!("expected 1 to {most}")), "{found}");
    }
    for (rank, method) in [(127, Method::SwitchLora), (352, Method::ReLora)] {
        assert!(message(Some(rank), &[method]).is_ok());
    }
    let broken = LlamaConfig {
        hidden_size: 0,
        ..config
    };
    assert!(matches!(
        Plan::new("broken", &broken, Some(4), &[]),
        Err(PlanError::Model(_))
    ));
}

#[test]
fn processes_that_divide_the_optimizer_need_less_of_it_and_of_nothing_else() {
    let (whole, divided) = (plan("60m", 128), plan("60m", 128).with_processes(4));
    for (whole, divided) in whole.rows.iter().zip(&divided.rows) {
        let (whole, divided) = (whole.cost, divided.cost);
        assert_eq!(divided.moment_bytes, whole.moment_bytes.div_ceil(4));
        let saved = whole.state_bytes() - divided.state_bytes();
        assert_eq!(saved, whole.moment_bytes - divided.moment_bytes);
        assert_eq!(divided.all_reduce_bytes, whole.all_reduce_bytes);
    }
    let said = "`optimizer` is divided among 4 processes";
    assert!(divided.to_string().contains(said));
    assert!(!whole.to_string().contains("divided"));
}
