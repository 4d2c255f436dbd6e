//! How a layer tells its scale to the visitor that looks for layers.
//!
//! `s = alpha / rank` belongs to the layer: the optimizer must not compute it again from a configuration of its own, which
//! may be another one. Burn shows parameters to visitors, not constants, and a parameter would have to be read from the
//! device. So a layer that is visited first enters and leaves a module without parameters whose name holds the scale and
//! whose container type no derived module has. Visitors that look at parameters do not notice it.

use burn::module::ModuleVisitor;
use burn::tensor::backend::Backend;

/// The container type of the announcement. Those of Burn are `Struct:Name`, `Enum:Name`, `Vec`, `Tuple` and `Array`.
const CONTAINER: &str = "switchlora_core::SwitchLoraLinear";
const PREFIX: &str = "scale=";

/// Announces a layer and its scale.
pub(super) fn announce<B: Backend>(scale: f64, visitor: &mut impl ModuleVisitor<B>) {
    // The shortest decimal that is parsed back to the same number.
    let name = format!("{PREFIX}{scale}");
    visitor.enter_module(&name, CONTAINER);
    visitor.exit_module(&name, CONTAINER);
}

/// The scale that a layer announces by entering a module of this name and container type.
pub(crate) fn announced(name: &str, container: &str) -> Option<f64> {
    match container == CONTAINER {
        true => name.strip_prefix(PREFIX)?.parse().ok(),
        false => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn_flex::Flex;
    use proptest::prelude::*;

    struct Heard(Vec<f64>);

    impl ModuleVisitor<Flex> for Heard {
        fn enter_module(&mut self, name: &str, container: &str) {
            self.0.extend(announced(name, container));
        }
    }

    proptest! {
        #[test]
        fn a_scale_is_heard_to_the_last_bit(bits: u64) {
            let scale = f64::from_bits(bits);
            let mut heard = Heard(Vec::new());
            announce::<Flex>(scale, &mut heard);
            let [found] = heard.0[..] else { panic!("{:?}", heard.0) };
            prop_assert!(found.to_bits() == bits || (found.is_nan() && scale.is_nan()));
        }
    }

    #[test]
    fn no_other_module_is_taken_for_an_announcement() {
        assert_eq!(announced("scale=0.5", "Struct:SwitchLoraLinear"), None);
        assert_eq!(announced("weight", CONTAINER), None);
    }
}
