//! The pieces of each stage, most telling first.

use super::piece::{Kind, Piece};
use super::stage::Stage;
use std::path::PathBuf;
use switchlora_train::backend::BackendKind;
use switchlora_train::model::{LlamaConfig, LlamaConfigError};

/// What to measure.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The backend, never `auto`.
    pub backend: BackendKind,
    /// Whether it multiplies bf16.
    pub bf16: bool,
    /// Presets or config.json files, smallest first.
    pub models: Vec<String>,
    /// Small batches, few updates, the preset `tiny`: for a rehearsal.
    pub quick: bool,
    /// Python program with PyTorch.
    pub python: String,
    /// Folder of the authors' runs.
    pub golden: Option<PathBuf>,
}

/// A model with the batch that it is measured with.
struct Load {
    model: String,
    /// Its name in names of pieces.
    name: String,
    /// Flags of the batch size and the sequence length.
    batch: String,
    /// Tokens of a sequence.
    length: usize,
    /// An eighth of the hidden size.
    small_rank: usize,
    /// Too large to hold several methods at once.
    alone: bool,
}

impl Load {
    fn new(model: &str, quick: bool) -> Result<Self, LlamaConfigError> {
        let config = LlamaConfig::resolve(model)?;
        let alone = config.hidden_size > 1024;
        let sequences = match (quick, alone) {
            (true, _) => 2,
            (false, true) => 16,
            (false, false) => 32,
        };
        let length = if quick { 64 } else { 256 };
        let length = length.min(config.max_position_embeddings);
        let name = PathBuf::from(model);
        let name = name.file_stem().unwrap_or_default().to_string_lossy();
        // Names of pieces are names of folders.
        let clean = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
        Ok(Self {
            model: model.to_owned(),
            name: name.chars().map(clean).collect(),
            batch: format!("--batch-size {sequences} --sequence-length {length}"),
            length,
            small_rank: (config.hidden_size / 8).max(1),
            alone,
        })
    }
}

/// Numbers models of the same name, as files called config.json are.
fn tell_apart(loads: &mut [Load]) {
    for later in 1..loads.len() {
        let (before, rest) = loads.split_at_mut(later);
        let name = rest[0].name.clone();
        let mut number = 2;
        while before.iter().any(|load| load.name == rest[0].name) {
            rest[0].name = format!("{name}-{number}");
            number += 1;
        }
    }
}

impl Asked {
    /// Every piece of `stage`, in order.
    ///
    /// # Errors
    ///
    /// A model cannot be read.
    pub fn pieces(&self, stage: Stage) -> Result<Vec<Piece>, LlamaConfigError> {
        let loads = self.models.iter();
        let mut loads: Vec<Load> = loads
            .map(|model| Load::new(model, self.quick))
            .collect::<Result<_, _>>()?;
        tell_apart(&mut loads);
        Ok(match stage {
            Stage::Correct => self.correct(),
            Stage::Speed => self.speed(&loads),
            Stage::Peer => self.peer(&loads),
            Stage::Memory => self.memory(&loads),
            Stage::Learn => self.learn(),
            Stage::Tune => self.tune(),
        })
    }

    fn precisions(&self) -> &'static [&'static str] {
        match self.bf16 {
            true => &["bf16", "f32"],
            false => &["f32"],
        }
    }

    fn correct(&self) -> Vec<Piece> {
        let stage = Stage::Correct;
        let backend = self.backend;
        // Products of shapes that nothing else has: each is compiled for seconds on CUDA.
        let rounds = if self.quick { 1 } else { 3 };
        let operations = format!("operations --json --backend {backend} --rounds {rounds}");
        let mut pieces = vec![Piece::new(
            stage,
            "operations",
            Kind::Operations,
            &operations,
        )];
        if let Some(golden) = &self.golden {
            let parity = format!("parity --backend {backend} --golden");
            let parity = Piece::new(stage, "parity", Kind::Parity, &parity);
            pieces.push(parity.word(golden.to_string_lossy()));
        }
        if backend != BackendKind::Flex {
            for precision in self.precisions().iter().rev() {
                let both = if *precision == "f32" {
                    "f32"
                } else {
                    "f32,bf16"
                };
                let agreement = format!(
                    "run --suite agreement --quick --models tiny --precision {both} \
                     --methods full,muon,lora,relora,galore,switchlora --backends flex,{backend}"
                );
                let name = format!("agreement-{precision}");
                pieces.push(self.suite(stage, name, &agreement));
            }
        }
        pieces
    }

    fn speed(&self, loads: &[Load]) -> Vec<Piece> {
        let stage = Stage::Speed;
        let backend = self.backend;
        let updates = if self.quick { 2 } else { 10 };
        let steps = |load: &Load, name: String, precision: &str, flags: &str| {
            let (model, batch) = (&load.model, &load.batch);
            let line = format!(
                "run --suite step --backends {backend} --models {model} {batch} --updates {updates} \
                 --precision {precision} {flags}"
            );
            self.suite(stage, name, &line)
        };
        let (mut pieces, mut last) = (Vec::new(), Vec::new());
        for (index, load) in loads.iter().enumerate() {
            let name = &load.name;
            for precision in self.precisions() {
                let all = "full,lora,switchlora,galore";
                let together: Vec<&str> = match load.alone {
                    true => all.split(',').collect(),
                    false => vec![all],
                };
                for methods in together {
                    let one = if load.alone {
                        format!("-{methods}")
                    } else {
                        String::new()
                    };
                    let flags = format!("--methods {methods}");
                    pieces.push(steps(
                        load,
                        format!("{name}-{precision}{one}"),
                        precision,
                        &flags,
                    ));
                }
            }
            let precision = self.precisions()[0];
            let flags = format!("--methods lora,switchlora --rank {}", load.small_rank);
            pieces.push(steps(
                load,
                format!("{name}-{precision}-eighth"),
                precision,
                &flags,
            ));
            if index == 0 {
                let flags = "--methods full,switchlora";
                let name = format!("{name}-{precision}-composed");
                let composed = steps(load, name, precision, flags);
                // On a GPU, Burn tries every variant of its products first, which takes minutes.
                last.push(composed.with("SWITCHLORA_PLAIN", "1"));
                pieces.extend(self.kernels(load, precision));
            }
        }
        pieces.extend(last);
        pieces
    }

    /// The launches and the largest kernels of an update. CPUs have none.
    fn kernels(&self, load: &Load, precision: &str) -> Vec<Piece> {
        if self.backend.is_cpu() {
            return Vec::new();
        }
        let kernels = |method: &str| {
            let (model, batch, backend) = (&load.model, &load.batch, self.backend);
            let line = format!(
                "kernels --json --backend {backend} --model {model} {batch} --precision {precision} \
                 --method {method}"
            );
            let name = format!("{}-{precision}-kernels-{method}", load.name);
            Piece::new(Stage::Speed, name, Kind::Kernels, &line)
        };
        ["full", "switchlora"].map(kernels).into()
    }

    fn peer(&self, loads: &[Load]) -> Vec<Piece> {
        let backend = self.backend;
        let updates = if self.quick { 2 } else { 10 };
        let mut pieces = Vec::new();
        for (index, load) in loads.iter().filter(|load| !load.alone).enumerate() {
            let mut peer = |name: String, precision: &str, flags: &str| {
                let (model, batch) = (&load.model, &load.batch);
                let line = format!(
                    "step --json --backend {backend} --model {model} {batch} --updates {updates} \
                     --precision {precision} --methods full,lora,switchlora --peer {flags} --python"
                );
                let piece = Piece::new(Stage::Peer, name, Kind::Step, &line);
                pieces.push(piece.word(&self.python));
            };
            let name = &load.name;
            for precision in self.precisions() {
                peer(format!("{name}-{precision}"), precision, "");
            }
            if index == 0 && !self.quick {
                let precision = self.precisions()[0];
                peer(
                    format!("{name}-{precision}-compiled"),
                    precision,
                    "--compile",
                );
            }
        }
        pieces
    }

    fn memory(&self, loads: &[Load]) -> Vec<Piece> {
        let stage = Stage::Memory;
        let backend = self.backend;
        let mut pieces = Vec::new();
        let Some(load) = loads.iter().rev().find(|load| !load.alone) else {
            return pieces;
        };
        let (model, name, batch) = (&load.model, &load.name, &load.batch);
        for frozen in self.precisions().iter().rev() {
            let methods = match *frozen {
                "f32" => "full,lora,switchlora,galore",
                _ => "lora,switchlora",
            };
            let line = format!(
                "run --suite memory --backends {backend} --models {model} {batch} --methods {methods} \
                 --frozen {frozen}"
            );
            pieces.push(self.suite(stage, format!("{name}-frozen-{frozen}"), &line));
        }
        if self.quick {
            return pieces;
        }
        for load in loads.iter().rev().take(2) {
            for method in ["full", "switchlora"] {
                pieces.extend(self.batches(load, method));
            }
        }
        pieces
    }

    /// One update with a batch, and with twice the batch if that fits, and so on.
    fn batches(&self, load: &Load, method: &str) -> Vec<Piece> {
        let (backend, model, length) = (self.backend, &load.model, load.length);
        let precision = self.precisions()[0];
        let mut before = None;
        let piece = |sequences: usize| {
            // The time of a switch is measured with a second optimizer, whose moments a training has not.
            let line = format!(
                "step --json --backend {backend} --model {model} --precision {precision} --updates 1 --no-switch-time \
                 --methods {method} --batch-size {sequences} --sequence-length {length}"
            );
            let name = format!("{}-{method}-{sequences}", load.name);
            let mut piece = Piece::new(Stage::Memory, name, Kind::Step, &line);
            piece.after = before.replace(piece.name.clone());
            piece
        };
        [64, 128, 256, 512, 1024].map(piece).into()
    }

    fn learn(&self) -> Vec<Piece> {
        let (backend, precision) = (self.backend, self.precisions()[0]);
        let size = match self.quick {
            true => "--quick --models tiny",
            false => "--models 60m --batch-size 32 --sequence-length 256 --steps 300",
        };
        let line = format!(
            "run --suite convergence --backends {backend} --precision {precision} \
             --methods full,lora,switchlora {size}"
        );
        vec![self.suite(Stage::Learn, "embedded-text", &line)]
    }

    fn tune(&self) -> Vec<Piece> {
        if self.backend.is_cpu() {
            return Vec::new();
        }
        let of = |precision: &&str| {
            let line = format!(
                "variants --json --backend {} --precision {precision}",
                self.backend
            );
            let line = match self.quick {
                true => format!("{line} --products 128x96x64,96x64x128tn"),
                false => line,
            };
            Piece::new(
                Stage::Tune,
                format!("products-{precision}"),
                Kind::Variants,
                &line,
            )
        };
        self.precisions().iter().map(of).collect()
    }

    /// A benchmark with its results in the folder of the piece.
    fn suite(&self, stage: Stage, name: impl Into<String>, line: &str) -> Piece {
        let piece = Piece::new(stage, name, Kind::Suite, line);
        let folder = piece.folder().join("suite");
        piece.word("--out").word(folder.to_string_lossy())
    }
}
