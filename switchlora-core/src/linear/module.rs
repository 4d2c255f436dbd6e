//! The layer as a module of Burn.
//!
//! Written by hand and not derived for two reasons: [visiting](Module::visit) a layer announces its scale, and a record is
//! loaded as a whole ([`record`](super::record)), not field by field.

use super::layer::SwitchLoraLinear;
use super::record::SwitchLoraLinearRecord;
use super::scale::announce;
use burn::module::{
    AutodiffModule, Content, Devices, DisplaySettings, HasAutodiffModule, Module, ModuleDisplay,
    ModuleDisplayDefault, ModuleMapper, ModuleVisitor,
};
use burn::tensor::backend::{AutodiffBackend, Backend};
use std::fmt::{Display, Formatter, Result as FormatResult};

/// The container type of the layer's parameters, as `derive(Module)` names it.
const CONTAINER: &str = "Struct:SwitchLoraLinear";

/// Shows one field to a visitor.
fn show<B: Backend>(field: &str, parameter: &impl Module<B>, visitor: &mut impl ModuleVisitor<B>) {
    visitor.enter_module(field, CONTAINER);
    parameter.visit(visitor);
    visitor.exit_module(field, CONTAINER);
}

/// Changes one field by a mapper.
fn change<B: Backend, M: Module<B>>(
    field: &str,
    parameter: M,
    mapper: &mut impl ModuleMapper<B>,
) -> M {
    mapper.enter_module(field, CONTAINER);
    let parameter = parameter.map(mapper);
    mapper.exit_module(field, CONTAINER);
    parameter
}

impl<B: Backend> Module<B> for SwitchLoraLinear<B> {
    type Record = SwitchLoraLinearRecord<B>;

    fn collect_devices(&self, devices: Devices<B>) -> Devices<B> {
        let devices = self.weight.collect_devices(devices);
        let devices = self.lora_a.collect_devices(devices);
        let devices = self.lora_b.collect_devices(devices);
        self.bias.collect_devices(devices)
    }

    fn fork(self, device: &B::Device) -> Self {
        Self {
            weight: self.weight.fork(device),
            lora_a: self.lora_a.fork(device),
            lora_b: self.lora_b.fork(device),
            bias: self.bias.fork(device),
            ..self
        }
    }

    fn to_device(self, device: &B::Device) -> Self {
        Self {
            weight: self.weight.to_device(device),
            lora_a: self.lora_a.to_device(device),
            lora_b: self.lora_b.to_device(device),
            bias: self.bias.to_device(device),
            ..self
        }
    }

    fn visit<V: ModuleVisitor<B>>(&self, visitor: &mut V) {
        announce(self.scale, visitor);
        show("weight", &self.weight, visitor);
        show("lora_a", &self.lora_a, visitor);
        show("lora_b", &self.lora_b, visitor);
        show("bias", &self.bias, visitor);
    }

    fn map<R: ModuleMapper<B>>(self, mapper: &mut R) -> Self {
        Self {
            weight: change("weight", self.weight, mapper),
            lora_a: change("lora_a", self.lora_a, mapper),
            lora_b: change("lora_b", self.lora_b, mapper),
            bias: change("bias", self.bias, mapper),
            ..self
        }
    }

    /// The layer of the record: its rank, scale and precision, and which of its parameters are trained.
    ///
    /// # Panics
    ///
    /// Where [`try_load_record`](SwitchLoraLinear::try_load_record) returns an error, with its message.
    fn load_record(self, record: Self::Record) -> Self {
        match self.try_load_record(record) {
            Ok(layer) => layer,
            Err(reason) => panic!("cannot load a record into a SwitchLoraLinear: {reason}"),
        }
    }

    fn into_record(self) -> Self::Record {
        SwitchLoraLinearRecord::of(self)
    }
}

impl<B: AutodiffBackend> AutodiffModule<B> for SwitchLoraLinear<B> {
    type InnerModule = SwitchLoraLinear<B::InnerBackend>;

    fn valid(&self) -> Self::InnerModule {
        SwitchLoraLinear {
            weight: self.weight.valid(),
            lora_a: self.lora_a.valid(),
            lora_b: self.lora_b.valid(),
            bias: self.bias.valid(),
            scale: self.scale,
            precision: self.precision,
        }
    }

    fn from_inner(module: Self::InnerModule) -> Self {
        Self {
            weight: AutodiffModule::from_inner(module.weight),
            lora_a: AutodiffModule::from_inner(module.lora_a),
            lora_b: AutodiffModule::from_inner(module.lora_b),
            bias: AutodiffModule::from_inner(module.bias),
            scale: module.scale,
            precision: module.precision,
        }
    }
}

impl<B: AutodiffBackend> HasAutodiffModule<B> for SwitchLoraLinear<B::InnerBackend> {
    type TrainModule = SwitchLoraLinear<B>;
}

impl<B: Backend> Display for SwitchLoraLinear<B> {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> FormatResult {
        formatter.write_str(&ModuleDisplay::format(self, DisplaySettings::default()))
    }
}

impl<B: Backend> ModuleDisplayDefault for SwitchLoraLinear<B> {
    fn content(&self, content: Content) -> Option<Content> {
        content
            .set_top_level_type("SwitchLoraLinear")
            .add("weight", &self.weight)
            .add("lora_a", &self.lora_a)
            .add("lora_b", &self.lora_b)
            .add("bias", &self.bias)
            .add("scale", &self.scale)
            .add_debug_attribute("precision", &self.precision)
            .optional()
    }

    fn num_params(&self) -> usize {
        Module::num_params(self)
    }
}

impl<B: Backend> ModuleDisplay for SwitchLoraLinear<B> {
    fn custom_settings(&self) -> Option<DisplaySettings> {
        DisplaySettings::new()
            .with_new_line_after_attribute(false)
            .optional()
    }

    fn custom_content(&self, content: Content) -> Option<Content> {
        let [d_input, d_output] = self.weight.dims();
        let content = content
            .add("d_input", &d_input)
            .add("d_output", &d_output)
            .add("bias", &self.bias.is_some());
        match self.rank() {
            Some(rank) => content.add("rank", &rank).add("scale", &self.scale),
            None => content,
        }
        .optional()
    }
}
