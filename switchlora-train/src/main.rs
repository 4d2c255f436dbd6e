//! `switchlora-train`: pre-trains LLaMA models with SwitchLoRA.

use std::process::ExitCode;
use switchlora_train::memory::Allocator;

#[global_allocator]
static ALLOCATOR: Allocator = Allocator;

fn main() -> ExitCode {
    switchlora_train::commands::main()
}
