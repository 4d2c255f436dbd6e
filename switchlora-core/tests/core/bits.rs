//! The parameters of a module to the last bit.

use burn::backend::Autodiff;
use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::Tensor;
use burn_flex::Flex;

type B = Autodiff<Flex>;

/// The bits of each parameter, in the order of the module's fields.
pub fn parameters<M: Module<B>>(module: &M) -> Vec<Vec<u32>> {
    struct All(Vec<Vec<u32>>);
    impl ModuleVisitor<B> for All {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
            let values = param.val().into_data();
            self.0
                .push(values.iter::<f32>().map(f32::to_bits).collect());
        }
    }
    let mut all = All(Vec::new());
    module.visit(&mut all);
    all.0
}
