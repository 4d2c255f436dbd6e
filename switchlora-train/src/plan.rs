//! What training a model would cost, method by method: the table behind `plan`.
//!
//! The closed forms are [`switchlora_core::cost`]'s; here they meet a model, a rank and a reader.
//!
//! ```
//! use switchlora_train::{model::config::LlamaConfig, plan::Plan};
//! use switchlora_core::cost::CostMethod;
//!
//! let plan = Plan::new("1b", &LlamaConfig::resolve("1b")?, Some(512), &CostMethod::ALL)?;
//! println!("{plan}");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::fmt;

use serde::Serialize;
use serde_json::{Value, json};
use switchlora_core::Precision;
use switchlora_core::cost::{Cost, CostMethod};

use crate::model::config::{LlamaConfig, LlamaConfigError};

/// The cost of each method on one model.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Plan {
    /// What the user calls the model: a preset or a file.
    pub model: String,
    /// The model.
    pub config: LlamaConfig,
    /// Rank of the adapters and of GaLore's moments; nothing where no method has one.
    pub rank: Option<usize>,
    /// What frozen weights rest in.
    pub frozen: Precision,
    /// One row a method, in the order they were asked for.
    pub rows: Vec<PlanRow>,
}

/// One method's line.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PlanRow {
    /// The method.
    pub method: CostMethod,
    /// What it costs.
    #[serde(flatten)]
    pub cost: Cost,
    /// Bytes of weights, gradients, optimizer state and pools together.
    pub state_bytes: u64,
    /// How many percent fewer bytes of gradients are exchanged than in full training; negative when more.
    pub traffic_saving_percent: f64,
}

/// Why there is no plan.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// The model itself is wrong.
    #[error(transparent)]
    Model(#[from] LlamaConfigError),
    /// A method that has a rank got none.
    #[error("method `{method}` has no rank: expected 1 to {most}; give --rank", method = method.name())]
    MissingRank {
        /// The first such method.
        method: CostMethod,
        /// The largest rank.
        most: usize,
    },
    /// Rank 0, or one that no weight of the model has.
    #[error(
        "rank is {rank}: expected 1 to {most}, the width of the model's largest projection; change --rank"
    )]
    Rank {
        /// What was asked for.
        rank: usize,
        /// The largest rank.
        most: usize,
    },
}

impl Plan {
    /// The cost of each of `methods` on `config`, which the user calls `model`.
    pub fn new(
        model: &str,
        config: &LlamaConfig,
        rank: Option<usize>,
        methods: &[CostMethod],
    ) -> Result<Self, PlanError> {
        config.validate()?;
        let most = config.hidden_size.max(config.intermediate_size);
        match (rank, methods.iter().find(|method| method.uses_rank())) {
            (Some(rank), _) if !(1..=most).contains(&rank) => {
                return Err(PlanError::Rank { rank, most });
            }
            (None, Some(&method)) => return Err(PlanError::MissingRank { method, most }),
            _ => {}
        }
        let shape = config.shape();
        let full = CostMethod::Full.cost(&shape, 0);
        let row = |&method: &CostMethod| {
            let cost = method.cost(&shape, rank.unwrap_or(0));
            PlanRow {
                method,
                cost,
                state_bytes: cost.state_bytes(),
                traffic_saving_percent: cost.traffic_saving_percent(&full),
            }
        };
        Ok(Self {
            model: model.to_owned(),
            config: config.clone(),
            rank,
            frozen: Precision::F32,
            rows: methods.iter().map(row).collect(),
        })
    }

    /// The same with frozen weights resting in another type than f32.
    pub fn with_frozen(mut self, precision: Precision) -> Self {
        self.frozen = precision;
        for row in &mut self.rows {
            row.cost = row.cost.with_frozen(precision);
            row.state_bytes = row.cost.state_bytes();
        }
        self
    }

    /// The plan for programs: `model`, `config`, `rank`, and in `rows` the exact numbers.
    pub fn to_json(&self) -> Value {
        json!(self)
    }
}

impl fmt::Display for Plan {
    /// The plan for people, as a table of aligned columns without a line end.
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
    fn cells(&self) -> [String; COLUMNS] {
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

/// `1,339.5 M`.
pub fn millions(count: u64) -> String {
    format!("{} M", tenths(count as f64 / 1e6))
}

/// `4.2 GiB`, or `97.5 MiB` below one GiB.
pub fn bytes(count: u64) -> String {
    const MIB: f64 = (1u64 << 20) as f64;
    match count as f64 / MIB {
        mib if mib < 1024.0 => format!("{} MiB", tenths(mib)),
        mib => format!("{} GiB", tenths(mib / 1024.0)),
    }
}

/// One decimal, and a comma before every three digits.
fn tenths(value: f64) -> String {
    let text = format!("{value:.1}");
    let whole = text.len() - 2;
    let mut grouped = String::new();
    for (index, digit) in text.char_indices() {
        if index > 0 && index < whole && (whole - index) % 3 == 0 {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(model: &str, rank: usize) -> Plan {
        let config = LlamaConfig::preset(model).expect("a preset");
        Plan::new(model, &config, Some(rank), &CostMethod::ALL).expect("a plan")
    }

    fn row(plan: &Plan, method: CostMethod) -> PlanRow {
        plan.rows
            .iter()
            .find(|row| row.method == method)
            .expect("every method has a row")
            .clone()
    }

    #[test]
    fn the_1b_model_at_rank_512_has_the_papers_numbers() {
        let plan = plan("1b", 512);
        let (full, switch) = (
            row(&plan, CostMethod::Full),
            row(&plan, CostMethod::SwitchLora),
        );
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
            row(&plan, CostMethod::Full).cells()[1..3],
            ["368.2 M", "368.2 M"]
        );
        assert_eq!(row(&plan, CostMethod::SwitchLora).cells()[1], "185.4 M");
    }

    #[test]
    fn the_table_is_aligned_and_has_a_line_for_each_method() {
        let text = plan("7b", 1024).to_string();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines[0],
            "7b: 6,739.2 M parameters, 32 layers, hidden size 4096, rank 1024"
        );
        let table = &lines[2..8];
        assert!(
            table.iter().all(|line| line.len() == table[0].len()),
            "{text}"
        );
        assert!(table[5].starts_with("switchlora  "), "{text}");
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
        for (row, method) in rows.iter().zip(CostMethod::ALL) {
            assert_eq!(row["method"], method.name());
        }
        assert_eq!(rows[4]["trainable_parameters"], 609_720_320);
        assert_eq!(rows[0]["state_bytes"], 16u64 * 1_339_492_352);
    }

    #[test]
    fn a_rank_that_no_projection_has_or_that_is_missing_is_refused() {
        let config = LlamaConfig::preset("tiny").expect("a preset");
        let message = |rank, methods: &[CostMethod]| {
            Plan::new("tiny", &config, rank, methods).map_err(|error| error.to_string())
        };
        assert!(message(None, &[CostMethod::Full]).is_ok());
        assert_eq!(
            message(None, &CostMethod::ALL).expect_err("no rank"),
            "method `lora` has no rank: expected 1 to 352; give --rank"
        );
        for rank in [0, 353, usize::MAX] {
            assert!(
                message(Some(rank), &CostMethod::ALL)
                    .expect_err("no such rank")
                    .starts_with(&format!("rank is {rank}: expected 1 to 352"))
            );
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
    fn units_are_megabytes_below_a_gigabyte_and_numbers_have_commas() {
        assert_eq!(
            (millions(0), millions(999_949), millions(1_234_567_890_123)),
            ("0.0 M".into(), "1.0 M".into(), "1,234,567.9 M".into())
        );
        assert_eq!(
            (bytes(0), bytes(1 << 30), bytes(1023 << 20)),
            ("0.0 MiB".into(), "1.0 GiB".into(), "1,023.0 MiB".into())
        );
    }
}
