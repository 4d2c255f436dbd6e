//! The tables of one device, or of several side by side.

use super::machine::Card;
use super::outcome::{End, Outcome};
use super::stage::Stage;
use super::text::of_a_large_product;
use anyhow::{Context, Result, bail};
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

/// A folder of results.
struct Folder {
    card: Card,
    outcomes: Vec<Outcome>,
}

/// The Markdown of the results in `folders`.
///
/// # Errors
///
/// A folder has no results, or a file in it is damaged.
pub fn of(folders: &[PathBuf]) -> Result<String> {
    let read = folders.iter().map(|folder| Folder::read(folder));
    let folders: Vec<Folder> = read.collect::<Result<_>>()?;
    let mut text = String::from(
        "# Devices\n\n| | card | driver | memory | program | date |\n|---|---|---|---|---|---|\n",
    );
    for (number, folder) in folders.iter().enumerate() {
        let Card {
            backend,
            name,
            driver,
            memory_bytes,
            program,
            date,
            ..
        } = &folder.card;
        let driver = driver.as_deref().unwrap_or("-");
        let memory = memory_bytes.map_or("-".to_owned(), |bytes| format!("{} GiB", bytes >> 30));
        writeln!(
            text,
            "| {} | {name}, {backend} | {driver} | {memory} | {program} | {date} |",
            number + 1
        )?;
    }
    speed(&mut text, &folders)?;
    memory(&mut text, &folders)?;
    for stage in Stage::ALL {
        pieces(&mut text, stage, &folders)?;
    }
    Ok(text)
}

impl Folder {
    fn read(folder: &Path) -> Result<Self> {
        let machine = folder.join("machine.json");
        let card = fs::read(&machine).with_context(|| {
            format!("no results in {}: expected machine.json", folder.display())
        })?;
        let card = serde_json::from_slice(&card)
            .with_context(|| format!("{} is damaged", machine.display()))?;
        let mut outcomes = Vec::new();
        for stage in Stage::ALL {
            let Ok(entries) = fs::read_dir(folder.join(stage.name())) else {
                continue;
            };
            for entry in entries.flatten() {
                let path = entry.path().join("outcome.json");
                // A piece that is being measured has none yet.
                let Ok(text) = fs::read(&path) else { continue };
                let Ok(outcome) = serde_json::from_slice::<Outcome>(&text) else {
                    bail!(
                        "{} is damaged: remove it, and measure again",
                        path.display()
                    );
                };
                outcomes.push((
                    entry.metadata().and_then(|data| data.modified()).ok(),
                    outcome,
                ));
            }
        }
        // In the order in which they were measured.
        outcomes.sort_by(|(a, first), (b, second)| (first.stage, a).cmp(&(second.stage, b)));
        let outcomes = outcomes.into_iter().map(|(_, outcome)| outcome).collect();
        Ok(Self { card, outcomes })
    }

    fn of(&self, stage: Stage) -> impl Iterator<Item = &Outcome> {
        self.outcomes
            .iter()
            .filter(move |outcome| outcome.stage == stage)
    }
}

/// The times of an update of every device.
fn speed(text: &mut String, folders: &[Folder]) -> Result<()> {
    let mut rows = String::new();
    for (number, folder) in folders.iter().enumerate() {
        for outcome in folder.of(Stage::Speed) {
            let composed = match outcome.name.ends_with("composed") {
                true => " (composed)",
                false => "",
            };
            for row in outcome.results.iter().flat_map(|results| &results.step) {
                let rank = row.rank.map_or("-".to_owned(), |rank| rank.to_string());
                writeln!(
                    rows,
                    "| {} | {} | {} x {} | {} | {}{composed} | {rank} | {:.2} | {:.0} | {} |",
                    number + 1,
                    row.model,
                    row.batch_size,
                    row.sequence_length,
                    row.precision,
                    row.method,
                    row.update_ms,
                    row.tokens_per_second,
                    of_a_large_product(row),
                )?;
            }
        }
    }
    if !rows.is_empty() {
        text.push_str(
            "\n## Time of an update\n\nThe last column is the rate of the update's matrix products beside that of one large \
             product by Burn on the same card.\n\n\
             | device | model | batch | precision | method | rank | ms | tokens/s | of a large product |\n\
             |---|---|---|---|---|---|---|---|---|\n",
        );
        text.push_str(&rows);
    }
    Ok(())
}

/// The memory of a training on every device.
fn memory(text: &mut String, folders: &[Folder]) -> Result<()> {
    let mut rows = String::new();
    for (number, folder) in folders.iter().enumerate() {
        let outcomes = folder.of(Stage::Memory);
        for row in
            outcomes.flat_map(|outcome| outcome.results.iter().flat_map(|results| &results.memory))
        {
            let gigabytes = |bytes: u64| format!("{:.2}", bytes as f64 / 1e9);
            let planned = gigabytes(row.weights + row.moments + row.candidates);
            let driver = row.driver_bytes.map_or("-".to_owned(), gigabytes);
            writeln!(
                rows,
                "| {} | {} | {} | {} | {planned} | {} | {} | {driver} |",
                number + 1,
                row.model,
                row.method,
                row.frozen,
                gigabytes(row.measured_state),
                gigabytes(row.measured_peak),
            )?;
        }
    }
    if !rows.is_empty() {
        text.push_str(
            "\n## Memory of a training, GB\n\n\
             | device | model | method | frozen weights | planned state | state | pools | driver |\n\
             |---|---|---|---|---|---|---|---|\n",
        );
        text.push_str(&rows);
    }
    Ok(())
}

/// Every piece of a stage in words.
fn pieces(text: &mut String, stage: Stage, folders: &[Folder]) -> Result<()> {
    let of = |(number, folder): (usize, &Folder)| {
        let outcomes = folder.of(stage).cloned();
        outcomes
            .map(|outcome| (number + 1, outcome))
            .collect::<Vec<_>>()
    };
    let all: Vec<(usize, Outcome)> = folders.iter().enumerate().flat_map(of).collect();
    if all.is_empty() {
        return Ok(());
    }
    writeln!(text, "\n## Stage {stage}")?;
    let (measured, others): (Vec<_>, Vec<_>) = all.into_iter().partition(|(_, outcome)| {
        outcome.seconds > 0.0 || outcome.end == End::Absent && outcome.stage == Stage::Peer
    });
    for (number, outcome) in measured {
        let Outcome {
            name,
            end,
            seconds,
            command,
            text: found,
            ..
        } = outcome;
        let verdict = match end {
            End::Right if stage == Stage::Correct => "PASS",
            End::Wrong if stage == Stage::Correct => "FAIL",
            other => other.word(),
        };
        writeln!(
            text,
            "\n- **{name}** ({number}): {verdict}, {seconds:.0} s. `{command}`\n"
        )?;
        for line in found.lines() {
            writeln!(text, "       {line}")?;
        }
    }
    if !others.is_empty() {
        let names = others
            .iter()
            .map(|(number, outcome)| format!("{} ({number})", outcome.name));
        let names: Vec<String> = names.collect();
        writeln!(
            text,
            "\nNot begun, or after one that did not end well: {}.",
            names.join(", ")
        )?;
    }
    Ok(())
}
