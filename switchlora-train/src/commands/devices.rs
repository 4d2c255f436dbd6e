//! `devices`: the devices of each backend on this machine.

use crate::backend::{BackendKind, cuda, device_names};
use crate::say::answer;
use anyhow::Result;
use clap::Args;
use serde_json::json;
use std::process::ExitCode;

/// Arguments of `devices`.
#[derive(Args, Debug)]
pub struct DevicesArgs {
    /// Print JSON: one object per line and backend.
    #[arg(long)]
    json: bool,
}

/// Prints the devices of each backend, or why it has none.
///
/// # Errors
///
/// Never: a backend that does not work is a line of the list.
pub fn run(args: DevicesArgs) -> Result<ExitCode> {
    let auto = BackendKind::Auto.choose().ok().map(|choice| choice.backend);
    for backend in BackendKind::PREFERRED {
        let name = backend.name();
        let found = backend.choose().map(|_| device_names(backend));
        if args.json {
            let (devices, reason) = match found {
                Ok(devices) => (devices, None),
                Err(error) => (Vec::new(), Some(error.to_string())),
            };
            let auto = auto == Some(backend);
            let parts = parts(backend);
            answer(
                json!({"backend": name, "devices": devices, "auto": auto, "reason": reason, "parts": parts}),
            )?;
            continue;
        }
        let mark = if auto == Some(backend) {
            "  (auto)"
        } else {
            ""
        };
        match found {
            Ok(devices) => {
                for (number, device) in devices.iter().enumerate() {
                    answer(format_args!("{name:<8} --device {number}  {device}{mark}"))?;
                }
            }
            Err(error) => answer(format_args!("{name:<8} {error}"))?,
        }
        if let Some(parts) = parts(backend) {
            answer(format_args!("{name:<8} with {parts}"))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// What a backend's runtime works with on this machine.
fn parts(backend: BackendKind) -> Option<String> {
    match backend {
        BackendKind::Cuda => cuda::description(),
        _ => None,
    }
}
