//! Checks that switches, slots, next rows and freezes equal the log exactly.

use super::error::GoldenError;
use super::folder::GoldenRun;
use super::log::LoggedSwitch;
use super::tensors::TensorFile;
use std::fmt::Debug;
use switchlora_core::{Exchange, LayerState, LayerSwitch, SideState, replay};

/// Number of comparisons, and the first deviation.
#[derive(Clone, Debug, Default)]
pub(super) struct Bookkeeping {
    /// Number of pairs of a layer and an update compared with the log.
    pub entries: u64,
    /// The first deviation.
    pub deviation: Option<String>,
}

type States = [(String, LayerState)];

impl Bookkeeping {
    /// Compares the switches of the last update with the log.
    pub fn compare(
        &mut self,
        run: &GoldenRun,
        update: usize,
        before: &States,
        after: &States,
        switches: &[LayerSwitch],
    ) {
        let Some(logged) = run.log.switch.get(update) else {
            let moved = switches.iter().find(|layer| layer.count > 0);
            return self.same(
                || "switches".to_owned(),
                &moved.map(|layer| &layer.path),
                &None,
            );
        };
        for (path, logged) in run.log.layers.iter().zip(logged) {
            let at = |what: &str| format!("update {update}, {path}: {what}");
            let layer = after.iter().position(|(ours, _)| ours == path);
            let (Some(layer), Some(logged)) = (layer, logged) else {
                continue;
            };
            let ours = switches.get(layer).cloned().unwrap_or_default();
            let ours = logged_form(&ours, &before[layer].1, &after[layer].1);
            self.entries += 1;
            self.same(
                || at("rows, slots saved and loaded of A"),
                &ours.a,
                &logged.a,
            );
            self.same(
                || at("rows, slots saved and loaded of B"),
                &ours.b,
                &logged.b,
            );
            let walks = [
                ("next row of A, before and after", ours.a_ptr, logged.a_ptr),
                ("next row of B, before and after", ours.b_ptr, logged.b_ptr),
            ];
            for (what, ours, logged) in walks {
                self.same_if_logged(|| at(what), ours, logged);
            }
            let freezes = [
                ("freezes of A", ours.fixed_a, &logged.fixed_a),
                ("freezes of B", ours.fixed_b, &logged.fixed_b),
            ];
            for (what, ours, logged) in freezes {
                self.same_if_logged(|| at(what), ours, logged.clone());
            }
            self.same_if_logged(|| at("rows exchanged"), ours.n, logged.n);
        }
    }

    /// Compares slots, next rows and freezes with those in a state file.
    ///
    /// Skips layers that never switch, and tensors that the file does not have.
    ///
    /// # Errors
    ///
    /// A tensor of the file has the wrong dtype.
    pub fn compare_state(
        &mut self,
        update: usize,
        ours: &States,
        file: &TensorFile,
    ) -> Result<(), GoldenError> {
        let switching = ours.iter().filter(|(_, layer)| !layer.a.spare.is_empty());
        for (path, layer) in switching {
            for (name, side) in [("A", &layer.a), ("B", &layer.b)] {
                let numbers = [
                    (format!("selected_{name}_indices"), side.live.clone()),
                    (format!("candidate_{name}_index"), vec![side.row]),
                    (format!("fixed_{name}_steps"), side.frozen.clone()),
                ];
                for (what, ours) in numbers {
                    let key = format!("{path}.{what}");
                    if !file.has(&key) {
                        continue;
                    }
                    let theirs = file.integers(&key)?.0;
                    let ours: Vec<i64> = ours.into_iter().map(i64::from).collect();
                    let theirs: Vec<i64> = theirs.iter().copied().map(i64::from).collect();
                    self.same(|| format!("after {update} updates: {key}"), &ours, &theirs);
                }
            }
        }
        Ok(())
    }

    fn same_if_logged<T: PartialEq + Debug>(
        &mut self,
        what: impl Fn() -> String,
        ours: Option<T>,
        logged: Option<T>,
    ) {
        if logged.is_some() {
            self.same(what, &ours, &logged);
        }
    }

    fn same<T: PartialEq + Debug>(&mut self, what: impl Fn() -> String, ours: &T, theirs: &T) {
        if ours != theirs && self.deviation.is_none() {
            self.deviation = Some(format!("{} is {ours:?}, expected {theirs:?}", what()));
        }
    }
}

/// Converts the switches of a layer to the form of the log.
fn logged_form(switch: &LayerSwitch, before: &LayerState, after: &LayerState) -> LoggedSwitch {
    let exchanges = |exchange: &Exchange, before: &SideState, after: &SideState| {
        let [saved, loaded] = replay::slots(exchange, before, after);
        let rows = exchange.rows.iter().zip(saved.into_iter().zip(loaded));
        let rows = rows.map(|(&row, (saved, loaded))| [row as i64, saved.into(), loaded.into()]);
        rows.collect()
    };
    let freezes = |frozen: &[u32]| Some(frozen.iter().copied().map(i64::from).collect());
    LoggedSwitch {
        u: None,
        n: Some(switch.count),
        a: exchanges(&switch.a, &before.a, &after.a),
        b: exchanges(&switch.b, &before.b, &after.b),
        a_ptr: Some([before.a.row.into(), after.a.row.into()]),
        b_ptr: Some([before.b.row.into(), after.b.row.into()]),
        fixed_a: freezes(&after.a.frozen),
        fixed_b: freezes(&after.b.frozen),
    }
}
