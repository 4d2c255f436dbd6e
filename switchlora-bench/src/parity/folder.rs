//! A folder of golden runs: model, tokens and runs of the authors' program.

use super::error::GoldenError;
use super::log::RunLog;
use super::tensors::TensorFile;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use switchlora_core::{Method, MethodConfig};
use switchlora_train::model::LlamaConfig;

/// Runs to replay by default, in this order.
const USUAL: [&str; 7] = [
    "switchlora",
    "switchlora_fixed",
    "lora",
    "full",
    "galore",
    "galore_clip",
    "relora_initA",
];

/// The model and the tokens, which all runs of a folder share.
#[derive(Clone, Debug)]
pub struct Golden {
    folder: PathBuf,
    /// Model configuration, with as many positions as a sequence has tokens.
    pub config: LlamaConfig,
    /// All token ids, `[updates, batch, sequence]`.
    tokens: Vec<i32>,
    /// Updates, sequences per batch, tokens per sequence.
    shape: [usize; 3],
}

/// One run of a folder.
#[derive(Clone, Debug)]
pub struct GoldenRun {
    /// Name, with which its file names begin.
    pub name: String,
    /// Path of the log.
    pub path: PathBuf,
    /// The log.
    pub log: RunLog,
    /// The method with the run's settings.
    pub config: MethodConfig,
    /// Whether GaLore's projections are computed here, or read from the run.
    pub own_projections: bool,
    /// Whether the model is plain and the optimizer holds the factors.
    pub plain: bool,
    /// Number of updates to replay: the number of logged losses, or fewer if there are fewer tokens.
    pub updates: usize,
    /// Path of the state file by number of updates.
    pub states: BTreeMap<usize, PathBuf>,
}

impl GoldenRun {
    /// The same run with a plain model, whose optimizer holds the factors; `None` for a method that trains all weights alike.
    pub fn on_plain_weights(&self) -> Option<Self> {
        self.config.method.uses_rank().then(|| Self {
            plain: true,
            ..self.clone()
        })
    }

    /// Its name in a report.
    pub fn title(&self) -> String {
        match self.plain {
            true => format!("{} (plain weights)", self.name),
            false => self.name.clone(),
        }
    }

    /// For GaLore: the same run with projections computed here. It ends at the second refresh: the signs of singular
    /// vectors are arbitrary, and from there on they are combined with moments of the first projection.
    pub fn with_own_projections(&self) -> Option<Self> {
        let gap = self.config.galore.gap as usize;
        (self.config.method == Method::GaLore).then(|| Self {
            name: format!("{} (own projections)", self.name),
            own_projections: true,
            updates: self.updates.min(gap + 1),
            states: BTreeMap::new(),
            ..self.clone()
        })
    }
}

impl Golden {
    /// Reads the model configuration and the tokens.
    ///
    /// # Errors
    ///
    /// `config.json` or `tokens.safetensors` is missing or wrong.
    pub fn open(folder: impl AsRef<Path>) -> Result<Self, GoldenError> {
        let folder = folder.as_ref().to_path_buf();
        let mut config = LlamaConfig::from_file(folder.join("config.json"))?;
        let file = TensorFile::open(&folder.join("tokens.safetensors"))?;
        let (tokens, shape) = file.integers("tokens")?;
        let wrong = |found: String, expected: String| {
            Err(GoldenError::tensor(&file.path, "tokens", found, expected))
        };
        let &[updates, batch, sequence] = shape else {
            let expected = "I32 [updates, batch, sequence]".to_owned();
            return wrong(format!("I32 {shape:?}"), expected);
        };
        if updates == 0 || batch == 0 || sequence < 2 {
            let expected = "at least 1 update, 1 sequence and 2 tokens".to_owned();
            return wrong(format!("I32 {shape:?}"), expected);
        }
        let known = |token: i32| usize::try_from(token).is_ok_and(|id| id < config.vocab_size);
        if let Some(token) = tokens.iter().find(|&&token| !known(token)) {
            let expected = format!("0 to {}, as config.json says", config.vocab_size - 1);
            return wrong(format!("I32 with the token {token}"), expected);
        }
        // More positions would only take memory.
        config.max_position_embeddings = sequence;
        Ok(Self {
            config,
            tokens: tokens.to_vec(),
            shape: [updates, batch, sequence],
            folder,
        })
    }

    /// The default runs that the folder holds, or all SwitchLoRA runs if it holds none of them.
    ///
    /// # Errors
    ///
    /// The folder holds no run, or cannot be read.
    pub fn runs(&self) -> Result<Vec<String>, GoldenError> {
        let usual = USUAL.into_iter().filter(|run| self.log(run).is_file());
        let mut runs: Vec<String> = usual.map(str::to_owned).collect();
        if runs.is_empty() {
            let names = self.file_names()?;
            let names = names.iter().filter_map(|name| name.strip_suffix(".json"));
            let switching = names.filter(|run| {
                let log = RunLog::open(&self.log(run), run);
                log.is_ok_and(|log| log.method() == Method::SwitchLora)
            });
            runs = switching.map(str::to_owned).collect();
            runs.sort();
        }
        if runs.is_empty() {
            let path = self.folder.clone();
            return Err(GoldenError::NoRuns { path });
        }
        Ok(runs)
    }

    /// Reads one run.
    ///
    /// # Errors
    ///
    /// Its log is missing or wrong, or the folder cannot be read.
    pub fn run(&self, name: &str) -> Result<GoldenRun, GoldenError> {
        let path = self.log(name);
        let log = RunLog::open(&path, name)?;
        let states = self.file_names()?.into_iter().filter_map(|file| {
            let number = file.strip_prefix(name)?.strip_prefix("_step")?;
            let number = number.strip_suffix(".safetensors")?;
            Some((number.parse().ok()?, self.folder.join(&file)))
        });
        let rank = match log.method() {
            Method::ReLora if log.rank.is_none() => Some(self.recorded_rank(name)?),
            _ => log.rank,
        };
        Ok(GoldenRun {
            name: name.to_owned(),
            config: log.config(&path, rank)?,
            own_projections: false,
            plain: false,
            updates: log.loss.len().min(self.shape[0]),
            states: states.collect(),
            path,
            log,
        })
    }

    /// Rank of the factors that a ReLoRA run starts with.
    fn recorded_rank(&self, name: &str) -> Result<usize, GoldenError> {
        let file = self.restarts(name)?;
        let linear = self.config.linears().into_iter().next();
        let factor = linear.map_or_else(String::new, |l| format!("start.{}.lora_A", l.name));
        let rank = file.shape(&factor).and_then(|shape| shape.first().copied());
        let expected = "F32 [rank, inputs]";
        rank.ok_or_else(|| GoldenError::tensor(&file.path, &factor, "missing", expected))
    }

    /// The factors A with which a ReLoRA run starts and restarts.
    pub(super) fn restarts(&self, run: &str) -> Result<TensorFile, GoldenError> {
        TensorFile::open(&self.tensors(&format!("{run}_A")))
    }

    /// The projections of a GaLore run.
    pub(super) fn projections(&self, run: &str) -> Result<TensorFile, GoldenError> {
        TensorFile::open(&self.tensors(&format!("{run}_proj")))
    }

    /// The initial tensors of a run: `RUN_init`, else those shared by all runs of its kind.
    pub(super) fn start(&self, run: &GoldenRun) -> Result<TensorFile, GoldenError> {
        let own = self.tensors(&format!("{}_init", run.name));
        let shared = match run.log.method() {
            _ if own.is_file() => own,
            Method::SwitchLora => self.tensors("switchlora_init"),
            Method::Lora => self.tensors("lora_init"),
            Method::Full | Method::Muon | Method::GaLore | Method::ReLora => {
                self.tensors("base_init")
            }
        };
        TensorFile::open(&shared)
    }

    /// The initial tensors of every run, before layers are adapted.
    pub(super) fn base(&self) -> Result<TensorFile, GoldenError> {
        TensorFile::open(&self.tensors("base_init"))
    }

    /// Gradients of the first update and logits of the first sequence, if the folder holds them.
    pub(super) fn gradients(&self, run: &GoldenRun) -> Result<Option<TensorFile>, GoldenError> {
        let path = self.tensors(&format!("{}_step0_grads", run.name));
        path.is_file().then(|| TensorFile::open(&path)).transpose()
    }

    /// Sequences per batch and tokens per sequence.
    pub fn batch_shape(&self) -> [usize; 2] {
        [self.shape[1], self.shape[2]]
    }

    /// Token ids of an update, `[batch, sequence]`.
    pub(super) fn batch(&self, update: usize) -> &[i32] {
        let [_, batch, sequence] = self.shape;
        &self.tokens[update * batch * sequence..][..batch * sequence]
    }

    fn log(&self, run: &str) -> PathBuf {
        self.folder.join(format!("{run}.json"))
    }

    fn tensors(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.safetensors"))
    }

    fn file_names(&self) -> Result<Vec<String>, GoldenError> {
        let failed = |reason| GoldenError::Read {
            path: self.folder.clone(),
            reason,
            expected: "a folder of golden numbers",
        };
        let entries = fs::read_dir(&self.folder).map_err(failed)?;
        let names = entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
        names.collect::<Result<_, _>>().map_err(failed)
    }
}
