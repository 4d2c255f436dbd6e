//! What the parameters that are trained must be.

use crate::state_error::StateError;
use burn::module::{Module, ModuleVisitor, Param, ParamId};
use burn::tensor::backend::Backend;
use burn::tensor::{DType, Tensor};
use hashbrown::HashMap;

/// Checks that each parameter of `module` that is trained has an id of its own, and that all have the same dtype, f32 or f64.
///
/// # Errors
///
/// The first one for which it does not hold.
pub(crate) fn check_trained<B: Backend, M: Module<B>>(module: &M) -> Result<(), StateError> {
    let mut check = Check::default();
    module.visit(&mut check);
    match check.wrong {
        Some(wrong) => Err(wrong),
        None => Ok(()),
    }
}

#[derive(Default)]
struct Check {
    /// Names of the modules entered, the innermost last.
    stack: Vec<String>,
    /// Path of each parameter seen.
    seen: HashMap<ParamId, String>,
    /// The dtype of the first one.
    dtype: Option<DType>,
    wrong: Option<StateError>,
}

impl<B: Backend> ModuleVisitor<B> for Check {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.stack.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.stack.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
        if self.wrong.is_some() || !param.is_require_grad() {
            return;
        }
        let (path, found) = (self.stack.join("."), param.val().dtype());
        let first = *self.dtype.get_or_insert(found);
        self.wrong = match (found, self.seen.get(&param.id)) {
            (DType::QFloat(_), _) => Some(StateError::Quantized { path }),
            (_, Some(first)) => Some(StateError::Shared {
                first: first.clone(),
                second: path,
            }),
            (DType::F32 | DType::Flex32 | DType::F64, None) if found == first => {
                self.seen.insert(param.id, path);
                None
            }
            _ => Some(StateError::Dtype { path, found }),
        };
    }
}
