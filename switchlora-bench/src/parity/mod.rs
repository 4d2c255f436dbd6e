//! Replays runs of the authors' program from a folder of golden numbers and compares every number there is.
//!
//! A folder holds `config.json` (the model), `tokens.safetensors` (`tokens`, i32 `[updates, batch, sequence]`), and for each
//! run `RUN.json` (its settings, losses, gradient norms and switches), a start, and any states `RUN_stepK.safetensors` after
//! K updates. A run of GaLore has its projections in `RUN_proj`, one of ReLoRA its factors A in `RUN_A`. The draws that round the numbers of switches are taken from the log, so both programs make the same choices.
//!
//! ```no_run
//! use switchlora_bench::parity::{Golden, Replay};
//! use switchlora_train::backend::{BackendKind, run_on};
//!
//! let golden = Golden::open("golden")?;
//! let run = golden.run("switchlora")?;
//! let report = run_on(BackendKind::Flex, 0, Replay::new(&golden, &run, "flex"))??;
//! assert!(report.pass, "{:?}", report.deviation);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod difference;
mod error;
mod folder;
mod gradients;
mod layout;
mod log;
mod moments;
mod plain;
mod replay;
mod report;
mod start;
mod state;
mod switches;
mod tensors;
mod tolerance;

pub use difference::Difference;
pub use error::GoldenError;
pub use folder::{Golden, GoldenRun};
pub use log::{LoggedReset, LoggedSwitch, RunLog};
pub use replay::Replay;
pub use report::{RunReport, StateReport};
pub use tolerance::Tolerance;
