//! The differences as comma-separated values, and their means as a table.

use super::Around;
use anyhow::Result;

/// A row for each branch: variant, seed, update after which it begins, vectors exchanged, and the difference of each update
/// in nats a token.
///
/// # Errors
///
/// Never for branches of one length.
pub fn csv(all: &[Around]) -> Result<Vec<u8>> {
    let branches = all.iter().flat_map(|row| &row.branches);
    let updates = branches.map(|branch| branch.differences.len()).max();
    let mut writer = csv::Writer::from_writer(Vec::new());
    let names = ["variant", "seed", "at", "vectors"].map(str::to_owned);
    let columns = (0..updates.unwrap_or(0)).map(|update| format!("update {update}"));
    writer.write_record(names.into_iter().chain(columns))?;
    for row in all {
        for branch in &row.branches {
            let numbers = [branch.seed, branch.at, branch.vectors as u64].map(|n| n.to_string());
            // An f32 near 4 has no more digits.
            let differences = branch.differences.iter().map(|value| format!("{value:.7}"));
            let cells = [row.variant.clone()].into_iter().chain(numbers);
            writer.write_record(cells.chain(differences))?;
        }
    }
    Ok(writer.into_inner()?)
}

/// Mean differences in thousandths of a nat, in windows that double. `updates` is the length of a branch.
pub fn table(all: &[Around], updates: usize) -> String {
    let mut windows = Vec::new();
    let mut begin = 1;
    while begin < updates {
        let end = (2 * begin).max(begin + 4).min(updates);
        windows.push(begin..end);
        begin = end;
    }
    let mut text = String::from("| variant | vectors |");
    for window in &windows {
        text += &format!(" updates {} to {} |", window.start, window.end - 1);
    }
    text += "\n| --- | ---: |";
    text += &" ---: |".repeat(windows.len());
    for row in all {
        text += &format!("\n| {} | {:.0} |", row.variant, row.vectors());
        for window in &windows {
            let (mean, error) = row.mean(window.clone());
            text += &match error {
                Some(error) => format!(" {:+.2} ± {:.2} |", 1e3 * mean, 1e3 * error),
                None => format!(" {:+.2} |", 1e3 * mean),
            };
        }
    }
    text += "\n\nLoss with the switch minus loss without it, in thousandths of a nat a token, mean and standard error.\n";
    text
}
