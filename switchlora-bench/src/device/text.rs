//! What a piece found, in a line or a few.

use super::piece::Kind;
use crate::kernels::KernelReport;
use crate::operations::OperationRow;
use crate::results::{Results, StepRow};
use serde::de::DeserializeOwned;
use serde_json::Value;
use switchlora_core::Precision;

/// The text of what was found; empty if nothing was.
pub(super) fn found(
    kind: Kind,
    printed: &[Value],
    results: Option<&Results>,
    said: &str,
) -> String {
    match kind {
        Kind::Operations => operations(printed),
        Kind::Parity => parity(printed),
        Kind::Suite => results.map(suite).unwrap_or_default(),
        Kind::Step => step(printed, said),
        Kind::Kernels => {
            let reports = printed.iter().filter_map(parsed::<KernelReport>);
            reports.map(|report| report.to_string()).collect()
        }
        Kind::Variants => variants(printed),
    }
}

fn parsed<T: DeserializeOwned>(printed: &Value) -> Option<T> {
    T::deserialize(printed).ok()
}

fn operations(printed: &[Value]) -> String {
    let rows: Vec<OperationRow> = printed.iter().filter_map(parsed).collect();
    if rows.is_empty() {
        return String::new();
    }
    let wrong: Vec<&OperationRow> = rows.iter().filter(|row| !row.passes).collect();
    let mut text = format!("{} cases, {} wrong", rows.len(), wrong.len());
    for precision in Precision::ALL {
        let errors = rows.iter().filter(|row| row.precision == precision);
        let errors = errors.map(|row| row.ours.unwrap_or(f64::INFINITY));
        if let Some(largest) = errors.reduce(f64::max) {
            text += &format!("; {precision}: largest error {largest:.1e}");
        }
    }
    for row in wrong.iter().take(20) {
        let number = |error: Option<f64>| error.map_or("-".to_owned(), |e| format!("{e:.1e}"));
        let (ours, composed) = (number(row.ours), number(row.composed));
        let (precision, case) = (row.precision, &row.case);
        text += &format!("\nFAIL {precision} {case}: {ours}, composed {composed}");
    }
    text
}

fn parity(printed: &[Value]) -> String {
    let passes = |run: &&Value| run["pass"].as_bool() == Some(true);
    let good = printed.iter().filter(passes).count();
    let mut text = format!("{good} of {} runs within their tolerances", printed.len());
    for run in printed.iter().filter(|run| !passes(run)) {
        let name = run["run"].as_str().unwrap_or_default();
        text += &format!(
            "\n{name}: {}",
            run["deviation"].as_str().unwrap_or_default()
        );
    }
    match printed.is_empty() {
        true => String::new(),
        false => text,
    }
}

fn suite(results: &Results) -> String {
    let mut parts = Vec::new();
    if !results.agreement.is_empty() {
        let agree = results.agreement.iter().filter(|row| row.agrees).count();
        let largest = results.agreement.iter().map(|row| row.largest);
        let largest = largest.fold(0.0, f64::max);
        let equal = results.agreement.iter().all(|row| row.switches_equal);
        let switches = if equal { "equal" } else { "NOT equal" };
        let total = results.agreement.len();
        parts.push(format!(
            "{agree} of {total} trainings agree, losses within {largest:.1e}, switches {switches}"
        ));
    }
    parts.extend(results.step.iter().map(speed));
    for row in &results.memory {
        let gigabytes = |bytes: u64| bytes as f64 / 1e9;
        let (method, frozen) = (&row.method, &row.frozen);
        let (state, peak) = (gigabytes(row.measured_state), gigabytes(row.measured_peak));
        let planned = gigabytes(row.weights + row.moments + row.candidates);
        parts.push(format!(
            "{method} (frozen {frozen}) {state:.2} GB, planned {planned:.2}, peak {peak:.2}"
        ));
    }
    for curve in &results.convergence {
        let loss = curve.evaluations.last().map_or(f64::NAN, |last| last.1);
        let seconds = curve.seconds.last().copied().unwrap_or_default();
        let updates = curve.losses.len();
        let method = &curve.method;
        parts.push(format!(
            "{method} loss {loss:.3} after {updates} updates, {seconds:.0} s"
        ));
    }
    for failure in &results.failures {
        parts.push(format!("{}: {}", failure.cell, failure.reason));
    }
    parts.join("\n")
}

/// `switchlora r192: 85.2 ms, 96000 tokens/s, 23 % of a large product`.
fn speed(row: &StepRow) -> String {
    let rank = row.rank.map_or(String::new(), |rank| format!(" r{rank}"));
    let (method, update, tokens) = (&row.method, row.update_ms, row.tokens_per_second);
    let share = of_a_large_product(row);
    format!(
        "{method}{rank}: {update:.2} ms (forward {:.2}, backward {:.2}, optimizer {:.2}, switch {:.2}; host {:.2}), \
         {tokens:.0} tokens/s, {share}",
        row.forward_ms, row.backward_ms, row.optimizer_ms, row.switch_ms, row.host_ms,
    )
}

/// The rate of an update's matrix products beside that of one large product: `23 % of 191.0 TFLOP/s`.
pub(super) fn of_a_large_product(row: &StepRow) -> String {
    let share = row.floor_percent();
    let share = share.map_or("-".to_owned(), |share| format!("{share:.0}"));
    let gigaflops = 2.0 * row.peak_gmacs_per_second;
    match gigaflops < 1e3 {
        true => format!("{share} % of {gigaflops:.0} GFLOP/s"),
        false => format!("{share} % of {:.1} TFLOP/s", gigaflops / 1e3),
    }
}

fn step(printed: &[Value], said: &str) -> String {
    let mut parts = Vec::new();
    parts.extend(
        said.lines()
            .find(|line| line.starts_with("compared with "))
            .map(str::to_owned),
    );
    for row in printed {
        let word = |key: &str| row[key].as_str().unwrap_or_default().to_owned();
        let (backend, method) = (word("backend"), word("method"));
        let update = row["update_ms"].as_f64().unwrap_or(f64::NAN);
        let tokens = row["tokens_per_second"].as_f64().unwrap_or(f64::NAN);
        let peer = printed.iter().find(|other| {
            backend != "pytorch"
                && other["backend"] == "pytorch"
                && other["method"] == row["method"]
        });
        let ratio = peer.and_then(|peer| peer["update_ms"].as_f64());
        let ratio = ratio.map_or(String::new(), |peer| {
            format!(", {:.2} of PyTorch's time", update / peer)
        });
        parts.push(format!(
            "{backend} {method}: {update:.2} ms, {tokens:.0} tokens/s{ratio}"
        ));
    }
    match printed.is_empty() {
        true => String::new(),
        false => parts.join("\n"),
    }
}

/// The fastest variants of each product.
fn variants(printed: &[Value]) -> String {
    let mut lines: Vec<String> = Vec::new();
    let products = printed.chunk_by(|a, b| a["product"] == b["product"]);
    for rows in products {
        let time = |row: &&Value| row["milliseconds"].as_f64();
        let mut rows: Vec<&Value> = rows.iter().filter(|row| time(row).is_some()).collect();
        rows.sort_by(|a, b| {
            time(a)
                .unwrap_or(f64::MAX)
                .total_cmp(&time(b).unwrap_or(f64::MAX))
        });
        let best = rows.iter().take(3).map(|row| {
            let number = |key: &str| row[key].as_f64().unwrap_or(f64::NAN);
            let name = row["variant"].as_str().unwrap_or_default();
            format!(
                "{name} {:.3} ms ({:.0} TFLOP/s)",
                number("milliseconds"),
                number("teraflops")
            )
        });
        let best: Vec<String> = best.collect();
        if let Some(product) = rows.first().and_then(|row| row["product"].as_str()) {
            lines.push(format!("{product}: {}", best.join(", ")));
        }
    }
    lines.join("\n")
}
