//! The commit of a planned update: the only place where a method's writes meet the decision about the update.
//!
//! It walks over the module once. Each parameter gets its planned writes, then AdamW if it has a gradient. A refused update
//! leaves parameters, moments and pools exactly as they were.

use super::adamw::AdamW;
use super::factors::{Factor, Factors};
use super::groups::Group;
use super::guard::Guard;
use super::plan::{Plan, RowPlan, StepCounts, WeightWrite};
use super::pool::Pools;
use burn::module::{AutodiffModule, ModuleMapper, Param, ParamId};
use burn::optim::GradientsParams;
use burn::tensor::Tensor;
use burn::tensor::backend::AutodiffBackend;
use hashbrown::{HashMap, HashSet};
use switchlora_ops::{
    Moments, adamw, add_product, add_products, gather_rows, matmul, scatter_rows,
};

/// Carries out one planned update.
pub(crate) struct Commit<'a, B: AutodiffBackend> {
    pub adamw: AdamW,
    pub learning_rate: f64,
    /// Parameters of layers, and the factor of the learning rate for them.
    pub layers: (&'a HashSet<ParamId>, f64),
    /// The group of each parameter of the module; without one it is of the usual one.
    pub groups: HashMap<ParamId, Group>,
    pub gradients: GradientsParams,
    pub guard: Guard<B::InnerBackend>,
    pub moments: &'a mut HashMap<ParamId, Moments<B::InnerBackend>>,
    pub counts: &'a mut HashMap<ParamId, Vec<u32>>,
    /// Factors of plain weights, by the id of the weight.
    pub factors: &'a mut HashMap<ParamId, Factors<B::InnerBackend>>,
    /// Names of the modules entered, the innermost last; empty before and after.
    pub path: Vec<String>,
    /// Of the parameter that the walk is at.
    pub here: Here,
}

/// How the parameter that the walk is at is trained.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Here {
    /// Factor of the learning rate, without that of layers.
    rate: f64,
    weight_decay: f64,
}

/// A matrix of one parameter, `[rows, columns]`.
type Matrix<B> = Tensor<<B as AutodiffBackend>::InnerBackend, 2>;

impl<B: AutodiffBackend> Commit<'_, B> {
    /// The module after the update.
    pub fn run<M: AutodiffModule<B>>(
        mut self,
        module: M,
        mut plan: Plan<B::InnerBackend>,
        pools: &mut Pools<B::InnerBackend>,
    ) -> M {
        pools.write(std::mem::take(&mut plan.pools), &self.guard);
        module.map(&mut Walk {
            commit: &mut self,
            plan,
        })
    }

    /// Comes to a parameter of `dimensions` dimensions.
    fn arrive(&mut self, id: ParamId, dimensions: usize) {
        let group = self.groups.get(&id).copied().unwrap_or_default();
        let decays = dimensions > 1 || !self.adamw.config.decay_matrices_only;
        let usual = if decays {
            self.adamw.config.weight_decay
        } else {
            0.0
        };
        self.here = Here {
            rate: group.rate,
            weight_decay: group.weight_decay.unwrap_or(usual),
        };
    }

    /// AdamW with this decay.
    fn adamw(&self, weight_decay: f64) -> AdamW {
        let mut adamw = self.adamw;
        adamw.config.weight_decay = weight_decay;
        adamw
    }

    /// The learning rate of a parameter, here or among the factors of the weight here.
    fn rate(&self, id: ParamId) -> f64 {
        let (layers, factor) = self.layers;
        let rate = self.learning_rate * self.here.rate;
        match layers.contains(&id) {
            true => rate * factor,
            false => rate,
        }
    }

    /// `weight` after the decay of an update.
    fn decayed(&self, id: ParamId, weight: Matrix<B>) -> Matrix<B> {
        match self.rate(id) * self.here.weight_decay {
            0.0 => weight,
            decay => self.guard.scale_matrix(weight, 1.0 - decay),
        }
    }

    /// `parameter` after a step relative to its learning rate, both `[rows, columns]`.
    fn stepped(&self, id: ParamId, parameter: Matrix<B>, step: Matrix<B>) -> Matrix<B> {
        let step = self.guard.choose(step * self.rate(id), Tensor::zeros_like);
        self.decayed(id, parameter) - step
    }

    /// `weight: [d_input, d_output]` after its planned write; in place if nobody else holds it.
    fn weight(
        &mut self,
        id: ParamId,
        weight: Matrix<B>,
        write: WeightWrite<B::InnerBackend>,
    ) -> Matrix<B> {
        match write {
            WeightWrite::AddProduct { left, right } => self.add(weight, left, right),
            WeightWrite::AddProducts { pairs, scale } => {
                add_products(weight, pairs, scale, self.guard.verdict())
            }
            WeightWrite::Project {
                gradient,
                projection,
                scale,
            } => {
                let on_inputs = weight.dims()[0] <= weight.dims()[1];
                let low = match on_inputs {
                    true => matmul(projection.clone(), gradient), // [rank, d_output]
                    false => matmul(projection.clone(), gradient.transpose()), // [rank, d_input]
                };
                let without_decay = RowPlan::default();
                let start = low.zeros_like();
                let adamw = self.adamw(0.0);
                let step = self.rows(id, start, Some(low), without_decay, &adamw) * scale;
                let (left, right) = match on_inputs {
                    true => (projection, step),
                    false => (step, projection),
                };
                let weight = self.decayed(id, weight);
                self.add(weight, left, right)
            }
            WeightWrite::Step { step } => self.stepped(id, weight, step),
        }
    }

    /// `weight` after its factors have moved, which takes the writes to their rows out of `rows`. What a switch or a restart
    /// exchanges changes nothing: see [`Factors`].
    fn through_factors(
        &mut self,
        weight: Matrix<B>,
        factors: Factors<B::InnerBackend>,
        rows: &mut HashMap<ParamId, RowPlan<B::InnerBackend>>,
    ) -> (Matrix<B>, Factors<B::InnerBackend>) {
        let (a, before_a) = self.factor(factors.a, rows);
        let (b, before_b) = self.factor(factors.b, rows);
        let factors = Factors { a, b, ..factors };
        if before_a.is_none() && before_b.is_none() {
            return (weight, factors);
        }
        let a = before_a.unwrap_or_else(|| factors.a.value.clone());
        let b = before_b.unwrap_or_else(|| factors.b.value.clone());
        (factors.follow(weight, [a, b]), factors)
    }

    /// A factor after its move, and what it was between the exchange of its rows and its step; `None` if it took no step.
    fn factor(
        &mut self,
        Factor { id, value }: Factor<B::InnerBackend>,
        rows: &mut HashMap<ParamId, RowPlan<B::InnerBackend>>,
    ) -> (Factor<B::InnerBackend>, Option<Matrix<B>>) {
        let mut plan = rows.remove(&id).unwrap_or_default();
        let gradient = self.gradients.remove::<B::InnerBackend, 2>(id);
        let value = self.exchanged(value, &mut plan);
        let steps = gradient.is_some() || plan.step.is_some();
        let before = steps.then(|| value.clone());
        let adamw = self.adamw(self.here.weight_decay);
        let value = self.rows(id, value, gradient, plan, &adamw);
        (Factor { id, value }, before)
    }

    /// `weight + leftᵀ right`, if the update happens; in place if nobody else holds the weight.
    fn add(&self, weight: Matrix<B>, left: Matrix<B>, right: Matrix<B>) -> Matrix<B> {
        add_product(weight, left, right, self.guard.verdict())
    }

    /// `parameter: [rows, columns]` with its replaced rows, which are taken out of `plan`.
    fn exchanged(&self, parameter: Matrix<B>, plan: &mut RowPlan<B::InnerBackend>) -> Matrix<B> {
        match plan.replaced.take() {
            Some((rows, values)) => self.guard.write_rows(parameter, &rows, values),
            None => parameter,
        }
    }

    /// `parameter: [rows, columns]` after the planned writes to its rows and AdamW.
    fn rows(
        &mut self,
        id: ParamId,
        mut parameter: Matrix<B>,
        gradient: Option<Matrix<B>>,
        mut plan: RowPlan<B::InnerBackend>,
        constants: &AdamW,
    ) -> Matrix<B> {
        let number = parameter.dims()[0];
        parameter = self.exchanged(parameter, &mut plan);
        if let Some(step) = plan.step.take() {
            let frozen = &plan.frozen;
            // They do not decay either.
            let kept = (!frozen.is_empty() && self.here.weight_decay != 0.0)
                .then(|| gather_rows(&parameter, frozen));
            let moved = self.stepped(id, parameter, step);
            return match kept {
                Some(kept) => scatter_rows(moved, frozen, kept, None),
                None => moved,
            };
        }
        self.check(id, parameter.dims());
        let rate = self.rate(id);
        let counts = self.counts.entry(id).or_insert_with(|| vec![0]);
        // A count for all rows says the same of each.
        if counts.len() == 1 && plan.counts != StepCounts::Shared {
            *counts = vec![counts[0]; number];
        }
        plan.zeroed_counts.iter().for_each(|&row| counts[row] = 0);
        let moments = plan.moments.take().or_else(|| self.moments.remove(&id));
        let moments = moments.map(|moments| Moments {
            first: self.guard.zero_rows(moments.first, &plan.zeroed_first),
            second: moments.second,
        });
        let Some(gradient) = gradient else {
            if let Some(moments) = moments {
                let rows = &plan.zeroed_moments;
                let zeroed = Moments {
                    first: self.guard.zero_rows(moments.first, rows),
                    second: self.guard.zero_rows(moments.second, rows),
                };
                self.moments.insert(id, zeroed);
            }
            return parameter;
        };
        counts.iter_mut().for_each(|count| *count += 1);
        let scale = self.guard.scale();
        let rows = constants.rows(rate, scale, number, counts, plan);
        let verdict = self.guard.verdict();
        let (parameter, moments) = adamw(parameter, gradient, moments, &rows, verdict);
        self.moments.insert(id, moments);
        parameter
    }

    /// Checks that the state of a parameter is that of a parameter of this shape.
    ///
    /// # Panics
    ///
    /// If it is not: the state was loaded for another model, or the parameter has been replaced under its old id.
    fn check(&self, id: ParamId, expected: [usize; 2]) {
        let moments = self.moments.get(&id).map(|moments| moments.first.dims());
        let counts = self.counts.get(&id).map_or(1, Vec::len);
        let found = moments.unwrap_or(expected);
        assert!(
            found == expected && [1, expected[0]].contains(&counts),
            "the optimizer has moments of {found:?} and {counts} step counts for parameter {}, this update needs moments \
             of {expected:?}: the state is of another model or another configuration",
            self.path.join("."),
        );
    }
}

/// The walk over the module.
struct Walk<'c, 'a, B: AutodiffBackend> {
    commit: &'c mut Commit<'a, B>,
    plan: Plan<B::InnerBackend>,
}

impl<B: AutodiffBackend> ModuleMapper<B> for Walk<'_, '_, B> {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.commit.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.commit.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<B, D>>) -> Param<Tensor<B, D>> {
        let (id, tensor, mapper) = param.consume();
        let trained = tensor.is_require_grad();
        let shape = tensor.dims();
        let rows = if D > 1 { shape[0] } else { 1 };
        let matrix = [rows, shape.iter().product::<usize>() / rows.max(1)];
        let write = self.plan.weights.remove(&id);
        self.commit.arrive(id, D);
        let updated = if let Some(factors) = self.commit.factors.remove(&id) {
            let (weight, rows) = (tensor.inner().reshape(matrix), &mut self.plan.rows);
            let (weight, factors) = self.commit.through_factors(weight, factors, rows);
            self.commit.factors.insert(id, factors);
            weight
        } else if let Some(write) = write {
            self.commit
                .weight(id, tensor.inner().reshape(matrix), write)
        } else {
            let gradient = self.commit.gradients.remove::<B::InnerBackend, D>(id);
            let plan = self.plan.rows.remove(&id);
            if gradient.is_none() && plan.is_none() {
                return Param::from_mapped_value(id, tensor, mapper);
            }
            let parameter = tensor.inner().reshape(matrix);
            let gradient = gradient.map(|gradient| gradient.reshape(matrix));
            let adamw = self.commit.adamw(self.commit.here.weight_decay);
            let plan = plan.unwrap_or_default();
            self.commit.rows(id, parameter, gradient, plan, &adamw)
        };
        let tensor = Tensor::from_inner(updated.reshape(shape)).set_require_grad(trained);
        Param::from_mapped_value(id, tensor, mapper)
    }
}
