//! The plan as a table, for people.

use super::cost::{Plan, PlanRow};
use super::units::{bytes, millions};
use crate::model::LlamaConfig;
use std::fmt;
use switchlora_core::Precision;

impl fmt::Display for Plan {
    /// Writes the plan as a table of aligned columns, without a line end.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let LlamaConfig {
            hidden_size,
            num_hidden_layers,
            ..
        } = self.config;
        let parameters = millions(self.config.num_parameters());
        write!(
            f,
            "{}: {parameters} parameters, {num_hidden_layers} layers, hidden size {hidden_size}",
            self.model
        )?;
        if let Some(rank) = self.rank {
            write!(f, ", rank {rank}")?;
        }
        writeln!(f, "\n")?;
        let table: Vec<[String; COLUMNS]> = std::iter::once(HEADER.map(str::to_owned))
            .chain(self.rows.iter().map(PlanRow::cells))
            .collect();
        let widths: [usize; COLUMNS] = std::array::from_fn(|column| {
            table
                .iter()
                .map(|line| line[column].len())
                .max()
                .unwrap_or(0)
        });
        for line in &table {
            write!(f, "{:<width$}", line[0], width = widths[0])?;
            for (cell, width) in line.iter().zip(widths).skip(1) {
                write!(f, "  {cell:>width$}")?;
            }
            writeln!(f)?;
        }
        let numbers = match self.frozen {
            Precision::F32 => "All numbers are f32",
            Precision::Bf16 => "Frozen weights are bf16, all other numbers f32",
        };
        write!(
            f,
            "\n{numbers}; activations come on top. `state` is weights, gradients, optimizer and pools; an update all-reduces `traffic`."
        )
    }
}

const COLUMNS: usize = 10;
const HEADER: [&str; COLUMNS] = [
    "method",
    "trainable",
    "total",
    "weights",
    "gradients",
    "optimizer",
    "pools",
    "state",
    "traffic",
    "traffic saved",
];

impl PlanRow {
    pub(super) fn cells(&self) -> [String; COLUMNS] {
        let cost = &self.cost;
        [
            self.method.name().to_owned(),
            millions(cost.trainable_parameters),
            millions(cost.total_parameters),
            bytes(cost.weight_bytes),
            bytes(cost.gradient_bytes),
            bytes(cost.moment_bytes),
            bytes(cost.pool_bytes),
            bytes(self.state_bytes),
            bytes(cost.all_reduce_bytes),
            format!("{} %", self.traffic_saving_percent.round() as i64),
        ]
    }
}
