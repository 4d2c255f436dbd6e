//! Parameter groups: learning rates and decays by a rule.

use crate::config_error::{ConfigError, in_range};
use crate::state_error::StateError;
use burn::module::{Module, ModuleVisitor, Param, ParamId};
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;
use hashbrown::HashMap;
use std::fmt::{Debug, Formatter, Result as FormatResult};
use std::sync::Arc;

/// How the parameters of a group are trained.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Group {
    /// Factor of the learning rate, beside that of [layers](crate::MethodOptimizer::with_layer_rate); 0 for parameters that
    /// take no steps. Factors still switch, which leaves the product as it is.
    pub rate: f64,
    /// Decoupled weight decay; `None` for that of the [AdamW](crate::AdamWConfig).
    pub weight_decay: Option<f64>,
}

impl Default for Group {
    /// The learning rate and the decay of everything else.
    fn default() -> Self {
        Self {
            rate: 1.0,
            weight_decay: None,
        }
    }
}

impl Group {
    fn validate(&self) -> Result<(), ConfigError> {
        let (rate, decay) = (self.rate, self.weight_decay.unwrap_or_default());
        let held = rate == 0.0 || (1e-30..=1e30).contains(&rate);
        in_range("rate", rate, held, "0 or 1e-30 to 1e30")?;
        let held = (0.0..=1e3).contains(&decay);
        in_range("weight_decay", decay, held, "0 to 1000")
    }
}

/// The group of a parameter with this path and shape.
type Rule = dyn Fn(&str, &[usize]) -> Group + Send + Sync;

/// A rule that puts each parameter of a module into a group.
#[derive(Clone)]
pub(crate) struct Groups(Arc<Rule>);

impl Debug for Groups {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> FormatResult {
        formatter.write_str("Groups(..)")
    }
}

impl Groups {
    pub fn new(rule: impl Fn(&str, &[usize]) -> Group + Send + Sync + 'static) -> Self {
        Self(Arc::new(rule))
    }

    /// The group of each parameter of `module`.
    ///
    /// # Errors
    ///
    /// A rate or a decay is out of its range.
    pub fn of<B: Backend, M: Module<B>>(
        &self,
        module: &M,
    ) -> Result<HashMap<ParamId, Group>, StateError> {
        let mut walk = Walk {
            rule: &*self.0,
            names: Vec::new(),
            found: HashMap::new(),
            wrong: None,
        };
        module.visit(&mut walk);
        match walk.wrong {
            Some((path, reason)) => Err(StateError::Group { path, reason }),
            None => Ok(walk.found),
        }
    }
}

struct Walk<'a> {
    rule: &'a Rule,
    /// Names of the modules entered, the innermost last.
    names: Vec<String>,
    found: HashMap<ParamId, Group>,
    /// The path of a parameter whose group cannot be used, and why.
    wrong: Option<(String, ConfigError)>,
}

impl<B: Backend> ModuleVisitor<B> for Walk<'_> {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.names.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.names.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
        let path = self.names.join(".");
        let group = (self.rule)(&path, &param.dims());
        match group.validate() {
            // A parameter that two modules share is of the group of the first.
            Ok(()) => _ = self.found.entry(param.id).or_insert(group),
            Err(reason) => _ = self.wrong.get_or_insert((path, reason)),
        }
    }
}
