//! What a person should know of the layers that the method has found.

use super::config::SwitchLoraConfig;
use super::walk::Sides;
use crate::config_error::named;
use crate::layers::{Layers, LoraLayer, frozen_beside_factors};
use burn::tensor::backend::Backend;

/// One line for each thing that is not as the configuration suggests. `origins` says which layers the optimizer knew
/// already, if it knew any.
pub(super) fn remarks<B: Backend>(
    config: &SwitchLoraConfig,
    layers: &Layers<B>,
    origins: Option<&[Option<usize>]>,
) -> Vec<String> {
    let lora = &layers.lora;
    if lora.is_empty() {
        let wanted = config.rank.is_some() || config.schedule.interval().is_some();
        let plain = "the module has no layer with factors: every parameter is trained by AdamW";
        return wanted.then(|| plain.to_owned()).into_iter().collect();
    }
    let mut remarks = Vec::new();
    let mut still = lora.iter().filter(|layer| !layer.trained);
    if let Some(first) = still.next() {
        remarks.push(format!(
            "{} of {} layers have factors that require no gradients and stay as they are, the first is {}",
            1 + still.count(),
            lora.len(),
            named(&first.path)
        ));
    }
    if config.schedule.interval().is_some() {
        let wide = |layer: &&LoraLayer<B>| layer.rank() >= layer.size().shorter_side();
        let why = "its rank leaves no vector to switch with";
        remarks.extend(never_switch(lora.iter().filter(wide), why));
        let alone = |layer: &&LoraLayer<B>| layer.rank() == 1 && config.sides == Sides::Both;
        let why = "with a rank of 1 both sides have no vector but each other's counterpart";
        remarks.extend(never_switch(lora.iter().filter(alone), why));
    } else if config.rank.is_none() {
        remarks.push(frozen_beside_factors(lora));
    }
    let fresh = origins.into_iter().flatten().zip(lora);
    let mut fresh = fresh.filter(|(origin, _)| origin.is_none());
    if let Some((_, layer)) = fresh.next() {
        let (first, more) = (named(&layer.path), 1 + fresh.count());
        remarks.push(format!(
            "{more} of {} layers have factors that the optimizer has not trained before and start fresh, the first is {first}",
            lora.len()
        ));
    }
    remarks
}

fn never_switch<'a, B: Backend>(
    mut layers: impl Iterator<Item = &'a LoraLayer<B>>,
    why: &str,
) -> Option<String> {
    let (first, more) = (layers.next()?, layers.count());
    let others = match more {
        0 => String::new(),
        more => format!(" (and {more} more)"),
    };
    Some(format!(
        "{}{others} never switches: {why}",
        named(&first.path)
    ))
}
