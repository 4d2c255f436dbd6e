//! The kernels that the source code of `cube` defines, and how many variants each has.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What makes a function a kernel, up to its options.
const MARK: &str = "#[cube(launch_unchecked";

/// Path and number of variants of each kernel.
pub fn kernels() -> BTreeMap<String, usize> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/cube");
    let mut kernels = BTreeMap::new();
    for file in files(&root) {
        let module = module_of(file.strip_prefix(&root).unwrap());
        let text = std::fs::read_to_string(&file).unwrap();
        let (all, known) = (text.matches("#[cube(launch"), text.matches(MARK));
        assert_eq!(all.count(), known.count(), "{}: a new kind", file.display());
        for kernel in text.split(MARK).skip(1) {
            let (options, kernel) = kernel.split_once(")]").unwrap();
            // Indices of 32 and of 64 bits.
            let addresses = match options {
                "" => 1,
                ", address_type = \"dynamic\"" => 2,
                options => panic!("how many variants does `{options}` make?"),
            };
            let (_, signature) = kernel.split_once("fn ").unwrap();
            let (signature, _) = signature.split_once(") {").unwrap();
            let end = signature.find(['<', '(']).unwrap();
            kernels.insert(
                format!("{module}::{}", &signature[..end]),
                addresses * variants(signature),
            );
        }
    }
    kernels
}

/// The number of variants that launches choose from: the product of the choices for each generic and comptime argument.
fn variants(signature: &str) -> usize {
    let (generics, arguments) = signature.split_once('(').unwrap();
    let generics = generics.split_once('<').map_or("", |(_, all)| all);
    let generics = generics.trim_end_matches('>').split(',').filter_map(|one| {
        let (_, bound) = one.split_once(':')?;
        Some(match bound.trim() {
            // Numbers per vector: 1, 2, 4.
            "Size" => 3,
            // f32, bf16.
            "Float" => 2,
            // i32, i64.
            "Numeric" => 2,
            bound => panic!("how many types can `{bound}` be?"),
        })
    });
    let arguments = arguments.split("#[comptime]").skip(1).map(|argument| {
        let argument = argument.split(',').next().unwrap();
        match argument.split_once(':').unwrap().1.trim() {
            // Units per row: 32, 64, 128, 256.
            "usize" => 4,
            "bool" => 2,
            // Two flags.
            "Mode" => 4,
            argument => panic!("how many values can `{argument}` have?"),
        }
    });
    generics.chain(arguments).product()
}

/// The module path of a file below `cube`.
fn module_of(file: &Path) -> String {
    let file = file.with_extension("");
    let names = file.iter().map(|name| name.to_str().unwrap());
    let names: Vec<&str> = names.filter(|name| *name != "mod").collect();
    names.join("::")
}

/// All files below a folder, without the tests and this module.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let paths = paths.filter(|path| !path.ends_with("tests") && !path.ends_with("nvrtc"));
    let files = paths.flat_map(|path| match path.is_dir() {
        true => files(&path),
        false => vec![path],
    });
    files.collect()
}
