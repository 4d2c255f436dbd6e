//! NVRTC, called as `cubecl-cuda` calls it.

use super::architecture::Architecture;
use cudarc::nvrtc::{result, sys};
use std::ffi::{CStr, CString, c_char};
use std::io::Write;
use std::path::PathBuf;

/// NVRTC with the headers of CUDA.
pub struct Compiler {
    includes: Vec<PathBuf>,
}

impl Compiler {
    /// None, with a line on stderr, if a part is missing.
    ///
    /// # Panics
    ///
    /// If a part is missing and `SWITCHLORA_NVRTC` is set.
    pub fn find() -> Option<Self> {
        let required = std::env::var_os("SWITCHLORA_NVRTC").map(PathBuf::from);
        let include = folder(required.clone()).join("include");
        // SAFETY: it loads a library and calls nothing in it.
        let library = unsafe { sys::is_culib_present() };
        let missing = match (library, include.join("cuda_runtime.h").exists()) {
            (true, true) => {
                // As in `CudaContext::compile_kernel`.
                let includes = [include.clone(), include.join("cccl")];
                let includes = includes.into_iter().filter(|folder| folder.exists());
                return Some(Self {
                    includes: includes.collect(),
                });
            }
            (false, _) => "libnvrtc.so is not where the loader searches (LD_LIBRARY_PATH)".into(),
            (true, false) => format!("{} has no cuda_runtime.h", include.display()),
        };
        assert!(required.is_none(), "{missing}");
        // Not by a macro, whose output the test harness would hide.
        let _ = writeln!(
            std::io::stderr(),
            "left out, no kernel is compiled for CUDA: {missing}"
        );
        None
    }

    /// The PTX of a source, or what NVRTC says against it. NVRTC also assembles it, since an `sm_` architecture is named.
    pub fn ptx(&self, source: &str, architecture: Architecture) -> Result<String, String> {
        let text = CString::new(source).map_err(|error| error.to_string())?;
        let mut options = vec![format!("--gpu-architecture={}", architecture.name())];
        let includes = self.includes.iter();
        options.extend(includes.map(|folder| format!("--include-path={}", folder.display())));
        options.push("-lineinfo".into());
        let failed = |error: result::NvrtcError| format!("{error:?}");
        let program = result::create_program(&text, None).map_err(failed)?;
        // SAFETY: the program exists until it is destroyed below, and `text` until after that.
        unsafe {
            let compiled = match result::compile_program(program, &options) {
                Ok(()) => result::get_ptx(program).map_err(failed),
                Err(_) => match result::get_program_log(program) {
                    Ok(log) => Err(format!("{}\n{source}", string(&log))),
                    Err(error) => Err(failed(error)),
                },
            };
            result::destroy_program(program).map_err(failed)?;
            compiled.map(|ptx| string(&ptx))
        }
    }
}

/// The folder of CUDA: the one that is required, or where `cubecl-cuda` looks for it.
fn folder(required: Option<PathBuf>) -> PathBuf {
    let named = || std::env::var_os("CUDA_PATH").map(PathBuf::from);
    let folder = required.or_else(named);
    folder.unwrap_or_else(|| "/usr/local/cuda".into())
}

/// The text of a string of C.
fn string(bytes: &[c_char]) -> String {
    let bytes: Vec<u8> = bytes.iter().map(|byte| *byte as u8).collect();
    let text = CStr::from_bytes_until_nul(&bytes).unwrap_or_default();
    text.to_string_lossy().into_owned()
}
