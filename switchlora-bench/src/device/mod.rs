//! Measures one device in one command, within a given time: `switchlora-bench device`.
//!
//! People reach a GPU for half an hour, on a machine without Rust and without a network. The [stages](Stage) come most
//! telling first; each is a list of [pieces](Piece), and a piece is a command of this program in its own process, so that
//! one that fails or hangs does not stop the next, and each can be repeated by hand. The outcome of a piece is kept at once:
//!
//! ```text
//! device-results/BACKEND-DEVICE/
//!   machine.json              card, driver and date
//!   cubecl.toml, kernels/     compiled and tuned kernels, shared by all pieces
//!   STAGE/PIECE/outcome.json  what the piece found
//!   STAGE/PIECE/stderr.txt    what it said
//!   report.md                 the tables
//! ```

mod machine;
mod outcome;
mod piece;
mod plan;
mod report;
mod run;
mod stage;
mod text;

pub use machine::Card;
pub use outcome::{End, Outcome};
pub use piece::{Kind, Piece};
pub use plan::Asked;
pub use report::of as report;
pub use run::{Verdict, run};
pub use stage::Stage;
