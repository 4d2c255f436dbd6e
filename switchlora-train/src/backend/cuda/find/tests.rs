//! Machines made of empty files.

use super::super::version::Version;
use super::*;
use std::collections::HashMap;
use std::ffi::OsString;
use std::fs;
use tempfile::TempDir;

/// A machine with these files, with a driver for CUDA 12.9.
fn machine(files: &[&str]) -> (TempDir, Environment) {
    let root = tempfile::tempdir().unwrap();
    for file in files {
        put(root.path(), file, "");
    }
    let environment = Environment {
        variables: HashMap::new(),
        root: root.path().to_path_buf(),
        driver: Version::from_text("12.9"),
    };
    (root, environment)
}

fn put(root: &Path, file: &str, text: &str) {
    let file = root.join(file);
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(file, text).unwrap();
}

/// Sets a variable to a folder of the machine.
fn set(environment: &mut Environment, variable: &str, folder: &str) {
    let folder = environment.root.join(folder).into_os_string();
    environment
        .variables
        .insert(OsString::from(variable), folder);
}

/// What is found without the loader's and Python's help: NVRTC and `CUDA_PATH`, without the machine's root.
fn found(environment: &Environment) -> [Option<String>; 2] {
    shown(environment, &find(environment, None, Vec::new))
}

fn shown(environment: &Environment, found: &Found) -> [Option<String>; 2] {
    let root = environment.root.canonicalize().unwrap();
    let short = |path: &Path| {
        let path = path.canonicalize().unwrap();
        path.strip_prefix(&root).unwrap().display().to_string()
    };
    let nvrtc = found.nvrtc.as_ref().map(|nvrtc| short(&nvrtc.file));
    let path = found.cuda_path(&environment.root);
    [nvrtc, path.map(|path| short(&path))]
}

fn both(nvrtc: &str, path: &str) -> [Option<String>; 2] {
    [nvrtc, path].map(|text| Some(text.to_owned()))
}

#[test]
fn an_installers_folders_are_found_and_a_newer_cuda_than_the_drivers_is_passed_over() {
    let (_root, environment) = machine(&[
        "usr/local/cuda-12.4/lib64/libnvrtc.so.12.4.127",
        "usr/local/cuda-12.4/include/cuda_runtime.h",
        "usr/local/cuda-13.0/targets/x86_64-linux/lib/libnvrtc.so.13.0.48",
        "usr/local/cuda-13.0/targets/x86_64-linux/include/cuda_runtime.h",
        "usr/local/cuda-12.4/lib64/libnvrtc-builtins.so.12.4",
    ]);
    for (folder, version, number) in [
        ("12.4", "12.4", 12040),
        ("13.0/targets/x86_64-linux", "13.0", 13000),
    ] {
        let file = format!("usr/local/cuda-{folder}/include/cuda_runtime_api.h");
        put(
            &environment.root,
            &file,
            &format!("#define CUDART_VERSION  {number}\n"),
        );
        assert_eq!(Version::from_number(number).to_string(), version);
    }
    let old = both(
        "usr/local/cuda-12.4/lib64/libnvrtc.so.12.4.127",
        "usr/local/cuda-12.4",
    );
    assert_eq!(found(&environment), old);
    let newer = Environment {
        driver: Version::from_text("13.0"),
        ..environment
    };
    let new = both(
        "usr/local/cuda-13.0/targets/x86_64-linux/lib/libnvrtc.so.13.0.48",
        "usr/local/cuda-13.0/targets/x86_64-linux",
    );
    assert_eq!(found(&newer), new);
}

#[test]
fn debians_folders_are_found() {
    let (_root, environment) = machine(&[
        &format!(
            "usr/lib/{}-linux-gnu/libnvrtc.so.12.2.140",
            std::env::consts::ARCH
        ),
        "usr/include/cuda_runtime.h",
    ]);
    let [nvrtc, path] = found(&environment);
    assert!(nvrtc.unwrap().ends_with("libnvrtc.so.12.2.140"));
    assert_eq!(path.as_deref(), Some("usr"));
}

#[test]
fn what_the_user_named_comes_first_even_if_only_one_part_is_there() {
    let (_root, mut environment) = machine(&[
        "usr/local/cuda/lib64/libnvrtc.so.12.4.1",
        "usr/local/cuda/include/cuda_runtime.h",
        "mine/lib/libnvrtc.so.12",
        "headers/include/cuda_runtime.h",
    ]);
    set(&mut environment, "CUDA_HOME", "mine");
    assert_eq!(
        found(&environment),
        both("mine/lib/libnvrtc.so.12", "usr/local/cuda")
    );
    set(&mut environment, "CUDA_PATH", "headers");
    assert_eq!(
        found(&environment),
        both("mine/lib/libnvrtc.so.12", "headers")
    );
}

#[test]
fn the_packages_of_python_for_cuda_13_are_found() {
    let packages = "venv/lib/python3.11/site-packages/nvidia/cu13";
    let files = [
        "lib/libnvrtc.so.13",
        "lib/libnvrtc-builtins.so.13.0",
        "include/cuda_runtime.h",
    ];
    let files = files.map(|file| format!("{packages}/{file}"));
    let (_root, mut environment) = machine(&files.each_ref().map(String::as_str));
    set(&mut environment, "VIRTUAL_ENV", "venv");
    assert_eq!(found(&environment), both(&files[0], packages));
    let version = find(&environment, None, Vec::new).nvrtc.unwrap().version;
    assert_eq!(version, Version::from_text("13.0"));
}

#[test]
fn the_packages_of_python_for_cuda_12_become_one_folder_of_headers() {
    let nvidia = "venv/lib/python3.11/site-packages/nvidia";
    let files = [
        "cuda_nvrtc/lib/libnvrtc.so.12",
        "cuda_runtime/include/cuda_runtime.h",
        "cuda_nvcc/include/crt/mma.h",
        "cuda_cccl/include/cuda/barrier",
    ];
    let files = files.map(|file| format!("{nvidia}/{file}"));
    let (_root, mut environment) = machine(&files.each_ref().map(String::as_str));
    set(&mut environment, "VIRTUAL_ENV", "venv");
    let found = find(&environment, None, Vec::new);
    assert!(
        found
            .nvrtc
            .as_ref()
            .unwrap()
            .file
            .ends_with("cuda_nvrtc/lib/libnvrtc.so.12")
    );
    let path = found.cuda_path(&environment.root).unwrap();
    let headers = headers_of(&path).expect("cuda_runtime.h");
    assert!(headers.lacks().is_empty(), "{headers:?}");
    // The same again, by another program.
    assert_eq!(found.cuda_path(&environment.root), Some(path));
    // Without a folder to write to, the kernels that need no more are left.
    let alone = found.cuda_path(Path::new("/no/such/folder")).unwrap();
    assert!(alone.ends_with("nvidia/cuda_runtime"));
}

#[test]
fn a_program_started_by_this_one_finds_the_packages_beside_its_cuda_path() {
    let nvidia = "anywhere/site-packages/nvidia";
    let nvrtc = format!("{nvidia}/cuda_nvrtc/lib/libnvrtc.so.12");
    let runtime = format!("{nvidia}/cuda_runtime");
    let (_root, mut environment) = machine(&[&nvrtc, &format!("{runtime}/include/cuda_runtime.h")]);
    set(&mut environment, "CUDA_PATH", &runtime);
    assert_eq!(found(&environment), both(&nvrtc, &runtime));
}

#[test]
fn python_is_asked_only_with_a_driver_and_if_nothing_else_fits() {
    let nvidia = "python/nvidia/cu13";
    let (nvrtc, header) = (
        format!("{nvidia}/lib/libnvrtc.so.13"),
        format!("{nvidia}/include/cuda_runtime.h"),
    );
    let (_root, environment) = machine(&[&nvrtc, &header]);
    let python = || vec![environment.root.join("python")];
    let asked = find(&environment, None, python);
    assert_eq!(shown(&environment, &asked), both(&nvrtc, nvidia));
    let loaders = Nvrtc {
        file: PathBuf::from("libnvrtc.so.12"),
        version: Version::from_text("12.8"),
    };
    put(&environment.root, "opt/cuda/include/cuda_runtime.h", "");
    let never = || -> Vec<PathBuf> { panic!("asked") };
    let unasked = find(&environment, Some(loaders.clone()), never);
    assert_eq!(unasked.nvrtc, Some(loaders));
    let without = Environment {
        driver: None,
        ..environment
    };
    assert!(find(&without, None, never).nvrtc.is_none());
}

#[test]
fn what_is_missing_says_what_to_install_and_where_it_was_looked_for() {
    let (_root, mut environment) = machine(&["opt/cuda/readme"]);
    environment.driver = None;
    set(&mut environment, "CUDA_PATH", "no/such/folder");
    let missing = find(&environment, None, Vec::new).missing();
    assert_eq!(missing.len(), 3, "{missing:?}");
    for line in &missing[1..] {
        assert!(
            line.contains(": install")
                && line.contains("opt/cuda")
                && line.contains("no/such/folder"),
            "{line}"
        );
    }
    put(
        &environment.root,
        "no/such/folder/include/cuda_runtime.h",
        "",
    );
    let missing = find(&environment, None, Vec::new).missing();
    assert_eq!(missing.len(), 2, "{missing:?}");
}

#[test]
fn a_version_that_the_runtime_does_not_know_is_not_taken() {
    let (_root, environment) = machine(&[
        "opt/cuda/lib64/libnvrtc.so.14.0.1",
        "opt/cuda/lib64/libnvrtc.so.11.8.89",
    ]);
    assert!(find(&environment, None, Vec::new).nvrtc.is_none());
}

#[test]
fn the_description_warns_of_what_may_not_work() {
    let (_root, mut environment) = machine(&[
        "opt/cuda/lib64/libnvrtc.so.13.0.1",
        "opt/cuda/include/cuda_runtime.h",
    ]);
    put(
        &environment.root,
        "opt/cuda/include/cuda_runtime_api.h",
        "#define CUDART_VERSION 12080\n",
    );
    let line = find(&environment, None, Vec::new).description().unwrap();
    for part in [
        "NVRTC 13.0",
        "headers 12.8",
        "different versions",
        "driver is older (CUDA 12.9)",
        "mma.h",
    ] {
        assert!(line.contains(part), "{line}");
    }
    environment.driver = None;
    let line = find(&environment, None, Vec::new).description().unwrap();
    assert!(!line.contains("driver"), "{line}");
}
