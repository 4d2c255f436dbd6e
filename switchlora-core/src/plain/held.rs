//! The factors that an optimizer holds for the plain weights of a module.

use super::weights::Named;
use crate::init::uniform;
use crate::layers::{LayerMatrix, Layers, LoraLayer};
use crate::random::{Purpose, stream};
use crate::record::{FactorsRecord, read_all};
use crate::state_error::StateError;
use crate::step::{Factor, Factors};
use crate::switching::SwitchLoraConfig;
use burn::module::{Module, ModuleVisitor, Param, ParamId};
use burn::optim::GradientsParams;
use burn::tensor::Tensor;
use burn::tensor::backend::{AutodiffBackend, Backend};
use hashbrown::HashMap;
use switchlora_ops::matmul;

/// The factors of each named weight.
#[derive(Clone, Debug)]
pub(crate) struct HeldFactors<B: Backend> {
    /// By the id of the weight.
    pub all: HashMap<ParamId, Factors<B>>,
    /// Path of each layer and id of its weight, in the order of the walk.
    order: Vec<(String, ParamId)>,
}

impl<B: Backend> Default for HeldFactors<B> {
    fn default() -> Self {
        Self {
            all: HashMap::new(),
            order: Vec::new(),
        }
    }
}

impl<B: Backend> HeldFactors<B> {
    /// Gives each weight that the rule names its factors, and adds it to the `layers` of the module.
    ///
    /// A weight that is new to the optimizer gets new factors, whatever its path, as a parameter gets new moments.
    ///
    /// # Errors
    ///
    /// The rule cannot be followed, or the factors of a weight have another rank or another size than it needs now.
    pub fn prepare(
        &mut self,
        named: Vec<Named<B>>,
        config: &SwitchLoraConfig,
        layers: &mut Layers<B>,
    ) -> Result<(), StateError> {
        // All of them first: after an error everything is as it was.
        for weight in &named {
            let known = self.all.get(&weight.id);
            known.map_or(Ok(()), |factors| factors.check(weight))?;
        }
        let mut old = std::mem::take(&mut self.all);
        self.order.clear();
        for (index, weight) in named.into_iter().enumerate() {
            let known = old.remove(&weight.id);
            let fresh = || Factors::drawn(&weight, config, index as u64);
            let factors = known.unwrap_or_else(fresh);
            layers.lora.push(factors.layer(&weight));
            layers.plain.retain(|plain| plain.id != weight.id);
            self.order.push((weight.layer().to_owned(), weight.id));
            self.all.insert(weight.id, factors);
        }
        Ok(())
    }

    /// The ids of the factors, in the order of the walk.
    pub fn ids(&self) -> Vec<ParamId> {
        let factors = self.order.iter().filter_map(|(_, id)| self.all.get(id));
        factors.flat_map(|f| [f.a.id, f.b.id]).collect()
    }

    /// A remark if not one of the weights has a gradient among the others: what this most likely means is that they were lost.
    pub fn without_gradients(&self, gradients: &GradientsParams) -> Option<String> {
        let mut factors = self
            .all
            .values()
            .flat_map(|factors| [&factors.a, &factors.b]);
        let lost = !self.all.is_empty()
            && !gradients.is_empty()
            && factors.all(|factor| gradients.get::<B, 2>(factor.id).is_none());
        lost.then(|| {
            format!(
                "none of the {} named weights has a gradient: those that were projected belong to factor_ids, and are lost in \
                 Burn's GradientsAccumulator, which walks the module",
                self.all.len()
            )
        })
    }

    /// Puts the gradients of the factors in the place of the weights' own.
    pub fn project<A, M>(&self, module: &M, gradients: &mut GradientsParams)
    where
        A: AutodiffBackend<InnerBackend = B>,
        M: Module<A>,
    {
        module.visit(&mut Project {
            held: self,
            gradients,
        });
    }

    /// The factors as plain data.
    pub fn save(&self) -> Vec<FactorsRecord> {
        let all = self.order.iter();
        let all: Vec<_> = all.map(|(path, id)| (path, &self.all[id])).collect();
        let tensors = all
            .iter()
            .flat_map(|(_, f)| [f.a.value.clone(), f.b.value.clone()]);
        let mut read = read_all(tensors).into_iter();
        let mut next = || read.next().expect("two factors of each weight were read");
        let records = all.into_iter().map(|(path, factors)| FactorsRecord {
            path: path.clone(),
            a_id: factors.a.id.serialize(),
            b_id: factors.b.id.serialize(),
            a: next(),
            b: next(),
            scale: factors.scale,
        });
        records.collect()
    }

    /// The recorded factors of the named weights at the same paths, on `device`.
    ///
    /// # Errors
    ///
    /// A weight is not in the record, or a recorded one is not named.
    pub fn load(
        records: Vec<FactorsRecord>,
        named: &[Named<B>],
        device: &B::Device,
    ) -> Result<Self, StateError> {
        let mut held = Self::default();
        for record in records {
            let weight = named.iter().find(|weight| weight.layer() == record.path);
            let Some(weight) = weight else {
                return Err(StateError::NotInModule { path: record.path });
            };
            let factor = |id: &str, data| Factor {
                id: ParamId::deserialize(id),
                value: Tensor::from_data(data, device),
            };
            let factors = Factors {
                a: factor(&record.a_id, record.a),
                b: factor(&record.b_id, record.b),
                scale: record.scale,
                outputs_first: weight.outputs_first,
            };
            held.order.push((record.path, weight.id));
            held.all.insert(weight.id, factors);
        }
        match named.iter().find(|w| !held.all.contains_key(&w.id)) {
            Some(weight) => Err(StateError::NotInState {
                path: weight.layer().to_owned(),
            }),
            None => Ok(held),
        }
    }
}

impl<B: Backend> Factors<B> {
    /// The factors that weight number `index` starts with; the weight itself stays what it is.
    fn drawn(weight: &Named<B>, config: &SwitchLoraConfig, index: u64) -> Self {
        let (size, rank) = (weight.size(), weight.rank);
        let device = weight.value.device();
        let bounds = config.factors.bounds(size.d_input, size.d_output, rank);
        let random = &mut stream(config.seed, Purpose::Factors, index, 0);
        let mut factor = |length, bound| Factor {
            id: ParamId::new(),
            value: Tensor::from_data(uniform(rank, length, bound, random), &device),
        };
        Self {
            a: factor(size.d_input, bounds.a),
            b: factor(size.d_output, bounds.b),
            scale: config.alpha / rank as f64,
            outputs_first: weight.outputs_first,
        }
    }

    /// Checks that these are factors of `weight`.
    fn check(&self, weight: &Named<B>) -> Result<(), StateError> {
        let text = |rank, n, m| format!("factors of rank {rank} for {n} inputs and {m} outputs");
        let [rank, n] = self.a.value.dims();
        let found = text(rank, n, self.b.value.dims()[1]);
        let size = weight.size();
        let expected = text(weight.rank, size.d_input, size.d_output);
        match found == expected && self.b.value.dims()[0] == rank {
            true => Ok(()),
            false => Err(StateError::layer(weight.layer(), found, expected)),
        }
    }

    /// The layer as methods see it; its weight is the plain one.
    fn layer(&self, weight: &Named<B>) -> LoraLayer<B> {
        let value = weight.value.clone();
        let matrix = |factor: &Factor<B>| LayerMatrix {
            id: factor.id,
            value: factor.value.clone(),
        };
        LoraLayer {
            path: weight.layer().to_owned(),
            weight: LayerMatrix {
                id: weight.id,
                value: match self.outputs_first {
                    true => value.transpose(),
                    false => value,
                },
            },
            a: matrix(&self.a),
            b: matrix(&self.b),
            scale: self.scale,
            trained: weight.trained,
        }
    }

    /// The gradients of A and B from that of the weight, which is as the weight is in the module.
    fn project(&self, gradient: Tensor<B, 2>) -> [Tensor<B, 2>; 2] {
        // [d_input, d_output]
        let gradient = match self.outputs_first {
            true => gradient.transpose(),
            false => gradient,
        };
        // A part of a batch may have been computed on another device.
        let device = gradient.device();
        let on = |factor: &Factor<B>| factor.value.clone().to_device(&device);
        let a = matmul(on(&self.b), gradient.clone().transpose()) * self.scale;
        let b = matmul(on(&self.a), gradient) * self.scale;
        [a, b]
    }
}

/// Projects the gradients of the weights with factors.
struct Project<'a, B: Backend> {
    held: &'a HeldFactors<B>,
    gradients: &'a mut GradientsParams,
}

impl<B: AutodiffBackend> ModuleVisitor<B> for Project<'_, B::InnerBackend> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
        let Some(factors) = self.held.all.get(&param.id) else {
            return;
        };
        let gradient = self.gradients.remove::<B::InnerBackend, D>(param.id);
        let Some(gradient) = gradient else {
            return;
        };
        let rows = gradient.dims()[0];
        let columns = gradient.shape().num_elements() / rows.max(1);
        let projected = factors.project(gradient.reshape([rows, columns]));
        for (id, part) in [factors.a.id, factors.b.id].into_iter().zip(projected) {
            // Of a part of the batch that was projected before.
            let before = self.gradients.remove::<B::InnerBackend, 2>(id);
            let sum = match before {
                Some(before) => before.to_device(&part.device()) + part,
                None => part,
            };
            self.gradients.register(id, sum);
        }
    }
}
