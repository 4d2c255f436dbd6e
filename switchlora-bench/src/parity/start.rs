//! The model and the optimizer as the authors' program had them before its first update.

use super::error::GoldenError;
use super::folder::{Golden, GoldenRun};
use super::layout::transposed;
use super::log::LoggedReset;
use super::plain::start_with;
use super::tensors::TensorFile;
use burn::optim::Optimizer;
use burn::tensor::TensorData;
use burn::tensor::backend::AutodiffBackend;
use std::collections::BTreeMap;
use std::sync::Arc;
use switchlora_core::replay::{Recorded, Restart};
use switchlora_core::{ClipGradNorm, LayerRecord, LoraLayer, Method, MethodOptimizer};
use switchlora_train::model::{LlamaForCausalLm, import, projection_weights};
use switchlora_train::training::Optim;

/// Endings of the names of a model's parameters; tensors of other names are the method's bookkeeping.
const PARAMETERS: [&str; 4] = [".weight", ".bias", ".lora_A", ".lora_B"];

/// Whether a tensor is a parameter of the model, by its name. A tied head is not one.
pub(super) fn is_parameter(golden: &Golden, name: &str) -> bool {
    let tied = golden.config.tie_word_embeddings && name == "lm_head.weight";
    !tied && !name.starts_with("adam.") && PARAMETERS.iter().any(|end| name.ends_with(end))
}

/// The model of a run with the weights of its start.
pub(super) fn model<B: AutodiffBackend>(
    golden: &Golden,
    run: &GoldenRun,
    device: &B::Device,
) -> Result<(LlamaForCausalLm<B>, TensorFile), GoldenError> {
    let start = golden.start(run)?;
    let base = match run.config.method {
        // Its start holds the factors alone; B is zero, so the weights are those from before the wrapping.
        Method::Lora => Some(golden.base()?),
        _ => None,
    };
    let holder = |name: &str| match &base {
        Some(base) if !start.has(name) => base,
        _ => &start,
    };
    check(golden, run, &holder)?;
    let files = base.iter().chain([&start]);
    let names = files.flat_map(|file| file.names().map(move |name| (name, file)));
    let mut tensors = BTreeMap::new();
    for (name, file) in names.filter(|(name, _)| is_parameter(golden, name)) {
        let shape = file.shape(name).unwrap_or_default();
        let values = file.floats(name, shape)?.to_vec();
        tensors.insert(name.to_owned(), TensorData::new(values, shape));
    }
    if let (Method::ReLora, Some(rank)) = (run.config.method, run.config.layers.rank) {
        let file = golden.restarts(&run.name)?;
        for linear in golden.config.linears() {
            let [n, m] = [linear.shape.d_input, linear.shape.d_output];
            let a = file.floats(&format!("start.{}.lora_A", linear.name), &[rank, n])?;
            let a = TensorData::new(a.to_vec(), [rank, n]);
            tensors.insert(format!("{}.lora_A", linear.name), a);
            let b = TensorData::zeros::<f32, _>([m, rank]);
            tensors.insert(format!("{}.lora_B", linear.name), b);
        }
    }
    let model = LlamaForCausalLm::new(&golden.config, &run.config.layers, 0, device);
    let model = import::<B, _>(model, tensors).map_err(|reason| GoldenError::Fit {
        path: start.path.clone(),
        reason,
    })?;
    Ok((model, start))
}

/// The big tensors have the shapes that the configuration says, so that a wrong one cannot ask for all of the memory.
fn check<'a>(
    golden: &Golden,
    run: &GoldenRun,
    holder: &impl Fn(&str) -> &'a TensorFile,
) -> Result<(), GoldenError> {
    let config = &golden.config;
    let holds = |name: String, shape: [usize; 2]| holder(&name).floats(&name, &shape).map(drop);
    let embedding = "model.embed_tokens.weight".to_owned();
    holds(embedding, [config.vocab_size, config.hidden_size])?;
    for linear in config.linears() {
        let [n, m] = [linear.shape.d_input, linear.shape.d_output];
        holds(format!("{}.weight", linear.name), [m, n])?;
        if let (Method::SwitchLora | Method::Lora, Some(rank)) =
            (run.config.method, run.config.layers.rank)
        {
            holds(format!("{}.lora_A", linear.name), [rank, n])?;
            holds(format!("{}.lora_B", linear.name), [m, rank])?;
        }
    }
    Ok(())
}

/// The optimizer of a run with what was drawn or computed in it.
pub(super) fn optimizer<B: AutodiffBackend>(
    golden: &Golden,
    run: &GoldenRun,
    model: &LlamaForCausalLm<B>,
    layers: &[LoraLayer<B>],
    start: &TensorFile,
) -> Result<Optim<B>, GoldenError> {
    let mut recorded = Recorded::default();
    let optimizer = match run.config.method {
        Method::Full | Method::Lora | Method::SwitchLora => switching(run, model, layers, start)?,
        Method::ReLora => {
            recorded.restarts = Some(Arc::new(restarts(golden, run)?));
            let mut optimizer = method(run, recorded);
            if run.plain {
                optimizer.prepare(model);
                let mut record = optimizer.to_record();
                start_with(&mut record, layers);
                optimizer = optimizer.load_record(record);
            }
            optimizer
        }
        Method::GaLore => {
            if !run.own_projections {
                let gap = run.config.galore.gap;
                recorded.projections = Some(Arc::new(projections(golden, run, gap)?));
            }
            method(run, recorded)
        }
        Method::Muon => run.config.optimizer(),
    };
    Ok(ClipGradNorm::new(run.log.max_norm(), optimizer))
}

/// The optimizer of a run before it has any state.
fn method<B: AutodiffBackend>(
    run: &GoldenRun,
    recorded: Recorded,
) -> MethodOptimizer<LlamaForCausalLm<B>, B> {
    let optimizer = run.config.replay(recorded);
    let rank = match run.config.method {
        Method::GaLore => run.config.galore.rank,
        _ => run.config.layers.rank.unwrap_or_default(),
    };
    match run.plain {
        true => optimizer.on_weights(projection_weights(rank)),
        false => optimizer,
    }
}

/// The projections of each refresh, `[rank, min(n, m)]`.
fn projections(
    golden: &Golden,
    run: &GoldenRun,
    gap: u64,
) -> Result<Vec<BTreeMap<String, TensorData>>, GoldenError> {
    let file = golden.projections(&run.name)?;
    let rank = run.log.rank.unwrap_or_default();
    let refreshes = (0..run.updates).step_by(gap.max(1) as usize);
    let refresh = |update: usize| {
        let linears = golden.config.linears().into_iter().map(|linear| {
            let [n, m] = [linear.shape.d_input, linear.shape.d_output];
            let name = format!("step{update}.{}", linear.name);
            // There, the side of the outputs has its vectors as columns.
            let projection = match n <= m {
                true => file.floats(&name, &[rank, n])?.to_vec(),
                false => transposed(file.floats(&name, &[m, rank])?, m, rank),
            };
            let projection = TensorData::new(projection, [rank, n.min(m)]);
            Ok((linear.name, projection))
        });
        linears.collect()
    };
    refreshes.map(refresh).collect()
}

/// What each layer starts again with at each restart.
fn restarts(
    golden: &Golden,
    run: &GoldenRun,
) -> Result<Vec<BTreeMap<String, Restart>>, GoldenError> {
    let file = golden.restarts(&run.name)?;
    let rank = run.config.layers.rank.unwrap_or_default();
    let restart = |reset: &LoggedReset| {
        let layers = golden.config.linears().into_iter().map(|linear| {
            let [n, m] = [linear.shape.d_input, linear.shape.d_output];
            let name = format!("after_update{}.{}.lora_A", reset.after_update, linear.name);
            let a = TensorData::new(file.floats(&name, &[rank, n])?.to_vec(), [rank, n]);
            let kept = |side: &str, moment: &str| {
                let key = format!("{}.lora_{side}.weight.{moment}", linear.name);
                reset
                    .kept_flat_indices
                    .get(&key)
                    .cloned()
                    .unwrap_or_default()
            };
            let kept_a = ["exp_avg", "exp_avg_sq"].map(|moment| kept("A", moment));
            // There, B is `[m, rank]`.
            let turned = |entry: usize| entry % rank * m + entry / rank;
            let kept_b = ["exp_avg", "exp_avg_sq"]
                .map(|moment| kept("B", moment).into_iter().map(turned).collect());
            let kept = [kept_a, kept_b];
            Ok((linear.name, Restart { a, kept }))
        });
        layers.collect()
    };
    run.log.resets.iter().map(restart).collect()
}

/// The optimizer with the candidates of the run's start and the draws of its log, and with the factors of `layers` if it
/// holds them.
fn switching<B: AutodiffBackend>(
    run: &GoldenRun,
    model: &LlamaForCausalLm<B>,
    layers: &[LoraLayer<B>],
    start: &TensorFile,
) -> Result<MethodOptimizer<LlamaForCausalLm<B>, B>, GoldenError> {
    let mut fresh = method::<B>(run, Recorded::default());
    fresh.prepare(model);
    let mut record = fresh.to_record();
    start_with(&mut record, layers);
    for layer in &mut record.layers {
        load_candidates(layer, start)?;
    }
    let paths = record.layers.iter().map(|layer| &layer.path);
    let recorded = Recorded {
        draws: Some(Arc::new(draws(run, paths)?)),
        ..Recorded::default()
    };
    let mut optimizer = method(run, recorded).load_record(record);
    optimizer.prepare(model);
    Ok(optimizer)
}

/// The logged draws in the order of our walk.
fn draws<'a>(
    run: &GoldenRun,
    paths: impl Iterator<Item = &'a String>,
) -> Result<Vec<Vec<f64>>, GoldenError> {
    let mut draws = vec![Vec::new(); run.log.switch.len()];
    if draws.is_empty() {
        return Ok(draws);
    }
    for path in paths {
        let index = run.log.layers.iter().position(|logged| logged == path);
        let index = index.ok_or_else(|| {
            let found = run.log.layers.len();
            let expected = format!("also {path}, which config.json has");
            GoldenError::value(&run.path, "layers", format_args!("{found} paths"), expected)
        })?;
        for (draws, logged) in draws.iter_mut().zip(&run.log.switch) {
            // A layer that never switches has no draw; 1 never rounds up.
            let draw = logged[index].as_ref().and_then(|logged| logged.u);
            draws.push(draw.unwrap_or(1.0));
        }
    }
    match run.log.layers.len() == draws[0].len() {
        true => Ok(draws),
        false => Err(GoldenError::value(
            &run.path,
            "layers",
            format_args!("{} paths", run.log.layers.len()),
            format_args!("the {} projections of config.json", draws[0].len()),
        )),
    }
}

/// Row `k` of the file is slot `k`, live ones included; a pool keeps the spare ones, in the order of its positions.
fn load_candidates(layer: &mut LayerRecord, start: &TensorFile) -> Result<(), GoldenError> {
    let slots = layer.state.a.live.len() + layer.state.a.spare.len();
    let sides = [
        ("A", &layer.state.a.spare, &mut layer.candidates_a),
        ("B", &layer.state.b.spare, &mut layer.candidates_b),
    ];
    for (side, spare, candidates) in sides {
        let Some(candidates) = candidates else {
            continue;
        };
        let length = candidates.shape[1];
        let name = format!("{}.candidates_{side}", layer.path);
        let rows = start.floats(&name, &[slots, length])?;
        let rows = spare
            .iter()
            .flat_map(|&slot| &rows[slot as usize * length..][..length]);
        *candidates = TensorData::new(rows.copied().collect::<Vec<f32>>(), [spare.len(), length]);
    }
    Ok(())
}
