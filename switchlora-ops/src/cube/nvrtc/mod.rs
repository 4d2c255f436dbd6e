//! Every kernel of ours compiled to PTX with NVRTC, as on a GPU but without one.
//!
//! [`runtime`] is a CubeCL runtime without a device: its launches go through the same code as those of burn-cuda, and its
//! server takes down the CUDA source of each kernel instead of running it. [`launches`] starts the kernels in every variant,
//! [`sources`] counts in the source code what there is to find, and [`compiler`] turns each source into PTX.
//!
//! `libnvrtc.so` is loaded from where the loader searches (`LD_LIBRARY_PATH`). The headers are in `include` of the folder
//! that `SWITCHLORA_NVRTC` names, or of `CUDA_PATH`, or of `/usr/local/cuda`. Without them, the tests that compile pass and
//! say so, unless `SWITCHLORA_NVRTC` is set.

mod architecture;
mod compiler;
mod launches;
mod runtime;
mod sources;

use architecture::Architecture;
use compiler::Compiler;
use launches::launched_on;
use std::collections::{BTreeMap, BTreeSet};

#[test]
fn every_kernel_is_launched_in_every_variant() {
    for architecture in Architecture::ALL {
        let mut found = BTreeMap::<String, BTreeSet<String>>::new();
        for kernel in launched_on(architecture) {
            let mut variant = kernel.variant;
            // In which argument's memory a result is written is not a variant that the source code shows.
            for position in 0..9 {
                variant = variant.replace(&format!("inplace: Some({position})"), "inplace: None");
            }
            found.entry(kernel.path).or_default().insert(variant);
        }
        let found = found.into_iter();
        let found: BTreeMap<_, _> = found.map(|(path, of)| (path, of.len())).collect();
        assert_eq!(found, sources::kernels(), "{architecture:?}");
    }
}

#[test]
fn every_kernel_compiles_for_compute_capability_8_0() {
    all_compile(Architecture::Sm80);
}

#[test]
fn every_kernel_compiles_for_compute_capability_9_0a() {
    all_compile(Architecture::Sm90);
}

#[test]
fn every_kernel_compiles_for_compute_capability_12_0a() {
    all_compile(Architecture::Sm120);
}

/// Requires PTX of every variant of every kernel. Lists all that have none.
fn all_compile(architecture: Architecture) {
    let Some(compiler) = Compiler::find() else {
        return;
    };
    let mut wrong = vec![];
    for kernel in launched_on(architecture) {
        let compiled = kernel.source.and_then(|source| {
            let ptx = compiler.ptx(&source, architecture)?;
            match ptx.contains(&format!(".entry {}", kernel.entry)) {
                true => Ok(()),
                false => Err(format!("no entry {}", kernel.entry)),
            }
        });
        if let Err(message) = compiled {
            wrong.push(format!("{}: {message}\n{}", kernel.path, kernel.variant));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}
