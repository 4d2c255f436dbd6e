//! The plan as a table, for people.

use super::cost::{Plan, PlanRow};
use super::units::{bytes, millions};
use crate::model::LlamaConfig;
use std::fmt;
use switchlora_core::{PoolPrecision, Precision};

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
        let header = HEADER.map(str::to_owned).to_vec();
        let mut table: Vec<Vec<String>> = std::iter::once(header)
            .chain(self.rows.iter().map(|row| row.cells().to_vec()))
            .collect();
        if self.batch.is_some() {
            table[0].extend(["activations", "peak", "process"].map(str::to_owned));
            for (line, row) in table[1..].iter_mut().zip(&self.rows) {
                let batch = [row.activation_bytes, row.peak_bytes, row.process_bytes];
                line.extend(batch.map(|of| bytes(of.unwrap_or(0))));
            }
        }
        let widths: Vec<usize> = (0..table[0].len())
            .map(|column| {
                table
                    .iter()
                    .map(|line| line[column].len())
                    .max()
                    .unwrap_or(0)
            })
            .collect();
        for line in &table {
            write!(f, "{:<width$}", line[0], width = widths[0])?;
            for (cell, width) in line.iter().zip(&widths).skip(1) {
                write!(f, "  {cell:>width$}")?;
            }
            writeln!(f)?;
        }
        let frozen = match self.frozen {
            Precision::F32 => None,
            Precision::Bf16 => Some("frozen weights are bf16, "),
        };
        let pools = match self.pool_precision {
            _ if !self.candidates.has_pools() => None,
            PoolPrecision::F32 => None,
            PoolPrecision::Bf16 => Some("pools bf16, "),
            PoolPrecision::Int8 => Some("pools 8-bit integers, "),
        };
        let smaller: String = [frozen, pools].into_iter().flatten().collect();
        let numbers = match smaller.is_empty() {
            true => "all numbers are f32".to_owned(),
            false => format!("{smaller}all other numbers f32"),
        };
        let divided = match self.processes {
            1 => String::new(),
            processes => format!(", `optimizer` is divided among {processes} processes"),
        };
        let batch = match self.batch {
            None => "activations come on top".to_owned(),
            Some(batch) => format!(
                "`peak` is the most of an update of {} x {} tokens, with `activations` kept for its backward pass, and `process` \
                 the memory of the process then, on a CPU",
                batch.size, batch.sequence_length
            ),
        };
        write!(
            f,
            "\n`state` is weights, gradients, optimizer and pools: {numbers}{divided}; {batch}. An update all-reduces `traffic`."
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
