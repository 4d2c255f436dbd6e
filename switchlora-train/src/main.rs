//! `switchlora-train`: pre-trains LLaMA models with SwitchLoRA.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: switchlora_train::memory::Allocator = switchlora_train::memory::ALLOCATOR;

fn main() -> ExitCode {
    switchlora_train::commands::main()
}
