//! The sections of the report, in their order.

mod agreement;
mod convergence;
mod failures;
mod machine;
mod memory;
mod time;
mod traffic;

use super::document::{Document, Section};
use crate::results::Results;

/// The report of `results`; a section without rows is left out.
pub fn document(results: &Results) -> Document {
    let rest: [Option<Section>; 6] = [
        time::section(&results.step),
        memory::section(&results.memory),
        traffic::section(&results.communication),
        convergence::section(&results.convergence),
        agreement::section(&results.agreement),
        failures::section(&results.failures),
    ];
    Document {
        title: match results.program.trim() {
            "" => "Benchmark".to_owned(),
            program => format!("Benchmark of {program}"),
        },
        sections: [Some(machine::section(results))]
            .into_iter()
            .chain(rest)
            .flatten()
            .collect(),
    }
}

/// Rows with the same key together, keys and rows in the order in which they come.
fn groups<T, K: PartialEq>(rows: &[T], key: impl Fn(&T) -> K) -> Vec<Vec<&T>> {
    let mut groups: Vec<(K, Vec<&T>)> = Vec::new();
    for row in rows {
        let key = key(row);
        match groups.iter_mut().find(|(known, _)| *known == key) {
            Some((_, group)) => group.push(row),
            None => groups.push((key, vec![row])),
        }
    }
    groups.into_iter().map(|(_, group)| group).collect()
}

/// The place of each row's key among the different keys.
fn places<'a, T, K: PartialEq>(rows: &'a [T], key: impl Fn(&'a T) -> K) -> Vec<usize> {
    let mut known = Vec::new();
    let place = |row: &'a T| {
        let key = key(row);
        known
            .iter()
            .position(|other| *other == key)
            .unwrap_or_else(|| {
                known.push(key);
                known.len() - 1
            })
    };
    rows.iter().map(place).collect()
}

/// A method and its rank, if it has one.
fn ranked(method: &str, rank: Option<usize>) -> String {
    rank.map_or(method.to_owned(), |rank| format!("{method}, rank {rank}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_keep_the_order_of_their_first_rows() {
        let rows = ["b1", "a1", "b2"];
        let groups = groups(&rows, |row| row.chars().next());
        assert_eq!(groups, [vec![&"b1", &"b2"], vec![&"a1"]]);
    }

    #[test]
    fn rows_with_one_key_have_one_place() {
        assert_eq!(places(&["b", "a", "b"], |row| *row), [0, 1, 0]);
    }

    #[test]
    fn nothing_measured_leaves_only_the_machine() {
        let document = document(&Results::default());
        assert_eq!(document.title, "Benchmark");
        assert_eq!(document.sections.len(), 1);
    }
}
