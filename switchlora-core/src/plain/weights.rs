//! Which weights of a module a method trains by its own rule.

use crate::config_error::ConfigError;
use crate::cost::LinearShape;
use crate::layers::PlainWeight;
use crate::state_error::StateError;
use burn::module::{Module, ModuleVisitor, Param, ParamId};
use burn::tensor::backend::{AutodiffBackend, Backend};
use burn::tensor::{DType, Tensor};
use hashbrown::HashMap;
use std::fmt::{Debug, Formatter, Result as FormatResult};
use std::sync::Arc;

/// Container types of the modules whose weights are `[d_input, d_output]`.
const LINEAR: [&str; 2] = ["Struct:Linear", "Struct:SwitchLoraLinear"];

/// The rank for a parameter with this path and shape.
type Rule = dyn Fn(&str, &[usize]) -> Option<usize> + Send + Sync;

/// A rule that names the weights of a module which a method trains: through factors that the optimizer holds (SwitchLoRA,
/// LoRA, ReLoRA), by projected gradients (GaLore) or by orthogonal steps (Muon). Everything else is trained by AdamW.
///
/// ```
/// use switchlora_core::Weights;
///
/// // Linear layers, except the last one, which is the output layer of most models.
/// let linear = Weights::linear(16);
/// // The matrices of an encoder and its convolutions, at ranks of their own.
/// let some = Weights::matching(|path, shape| match shape.len() {
///     2 if path.starts_with("encoder.") && path.ends_with(".weight") => Some(16),
///     4 => Some(8),
///     _ => None,
/// });
/// # let _ = (linear, some);
/// ```
#[derive(Clone)]
pub struct Weights {
    rule: Option<Arc<Rule>>,
    rank: usize,
}

impl Weights {
    /// The weight of every [`Linear`](burn::nn::Linear), at rank `rank`, except the last one in the order of the module's
    /// fields, which is the output layer of most models.
    ///
    /// Where the output layer is no `Linear` (a tied embedding, say) or is not the last field, use
    /// [`matching`](Self::matching). A linear layer whose shorter side is not above the rank is trained in full: factors would
    /// save nothing.
    pub fn linear(rank: usize) -> Self {
        Self { rule: None, rank }
    }

    /// The parameters for which `rule` returns a rank, given their path (`encoder.layers.0.mha.query.weight`) and shape.
    ///
    /// A parameter of more than two dimensions is a matrix whose rows are its first dimension: a convolution is
    /// `[outputs, inputs x width x height]`. Parameters of one dimension are not asked for.
    pub fn matching(
        rule: impl Fn(&str, &[usize]) -> Option<usize> + Send + Sync + 'static,
    ) -> Self {
        Self {
            rule: Some(Arc::new(rule)),
            rank: 0,
        }
    }

    /// The named weights of `module`, in the order of the walk.
    ///
    /// # Errors
    ///
    /// The rule names nothing, a rank is 0 or above the shorter side of its matrix, a weight is quantized, or two modules
    /// share it, of which an update would change one.
    pub(crate) fn of<B: Backend, M: Module<B>>(
        &self,
        module: &M,
    ) -> Result<Vec<Named<B>>, StateError> {
        let mut matrices = Matrices::<B> {
            names: Vec::new(),
            containers: Vec::new(),
            found: Vec::new(),
        };
        module.visit(&mut matrices);
        let mut found = matrices.found;
        let all = found.len();
        let shared = shared(&found);
        match &self.rule {
            None => {
                found.retain(|matrix| matrix.is_linear);
                found.pop();
                found.retain(|matrix| self.rank < matrix.size().shorter_side());
                found.iter_mut().for_each(|matrix| matrix.rank = self.rank);
            }
            Some(rule) => found.retain_mut(|matrix| {
                let rank = rule(&matrix.path, &matrix.shape);
                matrix.rank = rank.unwrap_or_default();
                rank.is_some()
            }),
        }
        if found.is_empty() {
            let rule = match self.rule {
                None => format!("of linear layers at rank {}", self.rank),
                Some(_) => "given".to_owned(),
            };
            return Err(StateError::NothingNamed { rule, all });
        }
        found.iter().try_for_each(Named::check)?;
        match found.iter().find_map(|weight| shared.get(&weight.id)) {
            Some([first, second]) => Err(StateError::Shared {
                first: first.clone(),
                second: second.clone(),
            }),
            None => Ok(found),
        }
    }

    /// What a person should know of the weights that the rule has named.
    pub(crate) fn remark<B: Backend>(&self, named: &[Named<B>]) -> String {
        let ranks = || named.iter().map(|weight| weight.rank);
        let rank = match (ranks().min().unwrap_or(0), ranks().max().unwrap_or(0)) {
            (least, most) if least == most => format!("rank {least}"),
            (least, most) => format!("ranks {least} to {most}"),
        };
        let (number, rule) = (named.len(), "the rule for plain weights names");
        match (named.first(), named.last()) {
            (Some(first), Some(last)) => {
                let (first, last) = (first.layer(), last.layer());
                format!("{rule} {number} of the module, from {first} to {last}, at {rank}")
            }
            _ => format!("{rule} none that has no factors of its own in the module"),
        }
    }
}

impl Debug for Weights {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> FormatResult {
        match self.rule {
            None => write!(formatter, "Weights::linear({})", self.rank),
            Some(_) => formatter.write_str("Weights::matching(..)"),
        }
    }
}

/// A weight that a rule has named.
#[derive(Clone, Debug)]
pub(crate) struct Named<B: Backend> {
    /// Path of the parameter in the module, its own name included.
    pub path: String,
    pub id: ParamId,
    /// As in the module.
    pub shape: Vec<usize>,
    /// As a matrix: `[d_input, d_output]`, or `[d_output, d_input]` if the outputs come first.
    pub value: Tensor<B, 2>,
    /// The rank of its factors or projections.
    pub rank: usize,
    /// Whether the rows of the matrix are outputs.
    pub outputs_first: bool,
    /// Whether it is trained at all.
    pub trained: bool,
    is_linear: bool,
}

impl<B: Backend> Named<B> {
    /// Inputs and outputs.
    pub fn size(&self) -> LinearShape {
        let [rows, columns] = self.value.dims();
        match self.outputs_first {
            true => LinearShape {
                d_input: columns,
                d_output: rows,
            },
            false => LinearShape {
                d_input: rows,
                d_output: columns,
            },
        }
    }

    /// Path of the layer: that of the module whose weight it is.
    pub fn layer(&self) -> &str {
        match self.path.rsplit_once('.') {
            Some((layer, "weight")) => layer,
            _ => &self.path,
        }
    }

    /// The weight as one that is trained without factors.
    pub fn plain(&self) -> PlainWeight {
        PlainWeight {
            path: self.layer().to_owned(),
            id: self.id,
            shape: self.value.dims(),
            rank: Some(self.rank),
        }
    }

    fn check(&self) -> Result<(), StateError> {
        let path = || self.layer().to_owned();
        if matches!(self.value.dtype(), DType::QFloat(_)) {
            return Err(StateError::Quantized { path: path() });
        }
        if self.rank == 0 {
            return Err(ConfigError::ZeroRank.into());
        }
        match self.rank > self.size().shorter_side() {
            true => Err(StateError::Rank {
                path: path(),
                rank: self.rank,
                shape: self.size(),
            }),
            false => Ok(()),
        }
    }
}

impl<B: AutodiffBackend> Named<B> {
    /// The same weight without autodiff.
    pub fn inner(self) -> Named<B::InnerBackend> {
        Named {
            value: self.value.inner(),
            path: self.path,
            id: self.id,
            shape: self.shape,
            rank: self.rank,
            outputs_first: self.outputs_first,
            trained: self.trained,
            is_linear: self.is_linear,
        }
    }
}

/// The parameters that are in more than one place, with the modules of two.
fn shared<B: Backend>(all: &[Named<B>]) -> HashMap<ParamId, [String; 2]> {
    let mut seen = HashMap::new();
    let again = all.iter().filter_map(|weight| {
        let first = seen.insert(weight.id, weight)?;
        let places = [first, weight].map(|weight| weight.layer().to_owned());
        Some((weight.id, places))
    });
    again.collect()
}

/// Collects every parameter of at least two dimensions.
struct Matrices<B: Backend> {
    /// Names of the modules entered, the innermost last.
    names: Vec<String>,
    /// Their container types.
    containers: Vec<String>,
    found: Vec<Named<B>>,
}

impl<B: Backend> ModuleVisitor<B> for Matrices<B> {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.names.push(name.to_owned());
        self.containers.push(container.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.names.pop();
        self.containers.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
        if D < 2 {
            return;
        }
        let value = param.val();
        let shape = value.dims();
        let name = self.names.last().map_or("", String::as_str);
        let container = self.containers.last().map_or("", String::as_str);
        let rows = shape[0];
        self.found.push(Named {
            path: self.names.join("."),
            id: param.id,
            shape: shape.to_vec(),
            is_linear: name == "weight" && LINEAR.contains(&container),
            trained: value.is_require_grad(),
            value: value.reshape([rows, shape.iter().product::<usize>() / rows.max(1)]),
            rank: 0,
            outputs_first: D > 2,
        });
    }
}
