//! `switchlora-train`: pre-trains LLaMA models with SwitchLoRA.

use std::process::ExitCode;

fn main() -> ExitCode {
    switchlora_train::commands::main()
}
