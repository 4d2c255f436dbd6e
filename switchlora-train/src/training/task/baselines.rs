//! The predictions that a model must beat.

use super::{Task, Texts, largest};
use crate::metrics::{Metric, Scores};
use crate::tasks::{Example, Label};
use rand::Rng;
use switchlora_core::{Purpose, stream};

/// Random predictions that are averaged.
const DRAWS: usize = 200;

/// What needs no model: the predictions that a model must beat.
#[derive(Clone, Debug)]
pub struct Baselines {
    /// The class that is most frequent among the examples to train on, for every text; of numbers their mean.
    pub majority: Scores,
    /// Labels of the examples to train on, drawn at random: the mean over many draws.
    pub random: Scores,
}

impl Task {
    /// The baselines of a task that classifies.
    pub fn baselines(&self) -> Option<Baselines> {
        let [Texts::Labelled(train), Texts::Labelled(held_out)] = &self.texts else {
            return None;
        };
        let width = self.labels.len().max(1);
        let number = |example: &Example| match example.label {
            Label::Class(class) => class as f32,
            Label::Value(value) => value as f32,
            Label::Unknown => 0.0,
        };
        let numbers: Vec<f32> = train.iter().map(number).collect();
        // A class as scores, a number as it is.
        let output = |number: f32| -> Vec<f32> {
            match self.labels.is_empty() {
                true => vec![number],
                false => (0..width)
                    .map(|class| f32::from(u8::from(class as f32 == number)))
                    .collect(),
            }
        };
        let constant = match self.labels.is_empty() {
            true => numbers.iter().sum::<f32>() / numbers.len().max(1) as f32,
            false => {
                let count = |class: usize| numbers.iter().filter(|&&n| n == class as f32).count();
                let counts: Vec<f32> = (0..width).map(|class| count(class) as f32).collect();
                largest(&counts) as f32
            }
        };
        let judge = |outputs: Vec<f32>| self.judge(&outputs).unwrap_or_default();
        let all = |number: f32| (0..held_out.len()).flat_map(|_| output(number)).collect();
        let random = &mut stream(0, Purpose::Draw, 0, 0);
        let mut draw = || numbers[random.random_range(0..numbers.len())];
        let draws: Vec<Scores> = (0..DRAWS)
            .map(|_| judge((0..held_out.len()).flat_map(|_| output(draw())).collect()))
            .collect();
        let mean = |&metric: &Metric| {
            let values = draws.iter().filter_map(|scores| scores.get(metric));
            (metric, values.sum::<f64>() / draws.len() as f64)
        };
        Some(Baselines {
            majority: judge(all(constant)),
            random: self.metrics.iter().map(mean).collect(),
        })
    }
}
