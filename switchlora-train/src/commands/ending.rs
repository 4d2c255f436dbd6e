//! The end of a run: its summary, where its files are, and a sample of text.

use crate::advice::advice;
use crate::backend::{Job, run_on};
use crate::checkpoint::Evaluation;
use crate::durable;
use crate::generation::{Sampling, generate};
use crate::learner::{Outcome, Progress, Session, duration};
use crate::model::Classifier;
use crate::model_source::ModelSource;
use crate::say::{flush, say};
use crate::signals::INTERRUPTED;
use crate::training::Setup;
use anyhow::{Result, anyhow};
use burn::module::AutodiffModule;
use burn::tensor::backend::AutodiffBackend;
use serde_json::{Value, json};
use std::path::Path;
use std::time::{Duration, Instant};

/// How long the last lines of a run that was asked to stop may take to be printed.
const LAST_LINES: Duration = Duration::from_secs(2);

/// Name of the summary.
pub(super) const SUMMARY: &str = "summary.json";

/// The summary of the run in `folder`; null if there is none, or it is damaged.
pub(super) fn summary_of(folder: &Path) -> Value {
    let summary = std::fs::read(folder.join(SUMMARY)).unwrap_or_default();
    serde_json::from_slice(&summary).unwrap_or_default()
}

/// The number of updates after which the run in `folder` has come to its end; `None` if its summary does not say so.
pub(super) fn concluded(folder: &Path) -> Option<u64> {
    let summary = summary_of(folder);
    let status = summary["status"].as_str();
    let steps = summary["steps"].as_u64();
    steps.filter(|_| matches!(status, Some("finished" | "diverged")))
}

/// All updates are done, and the model is of no use.
#[derive(Debug, thiserror::Error)]
#[error(
    "the training diverged: after all {steps} updates the validation loss is {loss}. {best}Lower --lr (it was {lr:.1e}) or \
     lengthen --warmup in a new run"
)]
struct Diverged {
    steps: u64,
    loss: f64,
    lr: f64,
    /// Which checkpoint is of use, as a sentence.
    best: String,
}

/// Writes the summary, prints it, and prints a sample of text. Calls `saved` when nothing is left to be saved. Returns the
/// exit status.
pub(super) fn finish(
    session: &Session,
    ended: Outcome,
    started: Instant,
    saved: impl FnOnce(),
) -> Result<u8> {
    let out = session.out.display();
    let again = session.setup.again(&session.out);
    let seconds = started.elapsed().as_secs_f64();
    let conclude = |progress: &Progress, status: &str| {
        let summary = summary(session, progress, status, seconds);
        write_file(&session.out.join(SUMMARY), &format!("{summary:#}\n"))
    };
    let progress = match ended {
        Outcome::Failed(error, progress) => {
            // On a full disk this fails as well. The error that ended the run matters more.
            let _ = conclude(&progress, "failed");
            return Err(error);
        }
        Outcome::Interrupted(progress) => {
            conclude(&progress, "interrupted")?;
            say(match progress.step {
                0 => format!("interrupted before the first update; start again with: {again}"),
                step if step >= session.setup.experiment.steps => format!(
                    "interrupted in the evaluation after the last update, {step}; everything is saved, go on with: {again}"
                ),
                step => format!(
                    "interrupted after update {step}; everything is saved, go on with: {again}"
                ),
            });
            flush(Some(LAST_LINES));
            return Ok(INTERRUPTED);
        }
        Outcome::Finished(progress) => progress,
    };
    if let Some(diverged) = diverged(session, &progress) {
        conclude(&progress, "diverged")?;
        return Err(diverged.into());
    }
    conclude(&progress, "finished")?;
    saved();
    let tokens = match session.setup.task {
        // Texts have different lengths.
        Some(_) => String::new(),
        None => {
            let each = session.setup.experiment.tokens_per_update();
            format!(" ({} tokens)", progress.step * each)
        }
    };
    say(format!(
        "finished {} updates{tokens} in {}",
        progress.step,
        duration(seconds)
    ));
    if let Some(Evaluation { loss, score, .. }) = progress.evaluation {
        say(match score {
            Some(score) => format!("validation loss {loss:.4}, score {score:.4}"),
            None => format!("validation loss {loss:.4}, perplexity {:.2}", loss.exp()),
        });
    }
    if progress.skipped > 0 {
        let skipped = progress.skipped;
        say(format!(
            "{skipped} updates skipped: their loss or gradients were not finite"
        ));
    }
    // Asked to stop while the last checkpoint was written: everything is done but the sample.
    let writes = session.setup.model.classifier.is_none();
    if writes && !session.interrupter.should_stop() {
        let sample = Sample(session.clone());
        let text = run_on(session.backend, session.device, sample)??;
        say(format!("\nsample:\n{}\n", text.trim()));
    }
    say(format!("run directory: {out}"));
    flush(session.interrupter.should_stop().then_some(LAST_LINES));
    Ok(0)
}

/// Why a run of which all updates are done has failed all the same; `None` if it has not.
fn diverged(session: &Session, progress: &Progress) -> Option<Diverged> {
    let loss = progress.evaluation?.loss;
    let classifier = session.setup.model.classifier.as_ref();
    let best = match (progress.best, classifier) {
        (Some(Evaluation { step, loss, .. }), None) => format!(
            "The best checkpoint is that of update {step}, with a perplexity of {:.2}. ",
            loss.exp()
        ),
        (Some(Evaluation { step, loss, .. }), Some(_)) => {
            format!("The best checkpoint is that of update {step}, with a loss of {loss:.4}. ")
        }
        (None, _) => String::new(),
    };
    // The loss of numbers is their mean square, in whatever unit.
    let useful = match classifier.is_some_and(Classifier::is_regression) {
        true => loss.is_finite(),
        false => loss.exp().is_finite(),
    };
    (!useful).then(|| Diverged {
        steps: progress.step,
        loss,
        lr: session.setup.experiment.lr.unwrap_or_default(),
        best,
    })
}

fn summary(session: &Session, progress: &Progress, status: &str, seconds: f64) -> Value {
    let experiment = &session.setup.experiment;
    let cost = session.setup.cost(session.processes.size());
    let from = session.from.as_ref().map_or(0, |from| from.state.step);
    let writes = session.setup.model.classifier.is_none();
    let evaluation_of_text = progress.evaluation.filter(|_| writes);
    json!({
        "status": status,
        "method": experiment.method.name(),
        "model": experiment.model,
        "rank": experiment.rank,
        "backend": session.backend.name(),
        "total_parameters": cost.total_parameters,
        "trainable_parameters": cost.trainable_parameters,
        "steps": progress.step,
        "tokens": session.setup.task.is_none().then(|| progress.step * experiment.tokens_per_update()),
        "train_loss": progress.loss,
        "validation_loss": progress.evaluation.map(|e| e.loss),
        "validation_perplexity": evaluation_of_text.map(|e| e.loss.exp()),
        "validation_score": progress.evaluation.and_then(|e| e.score),
        "best": progress.best,
        "skipped": progress.skipped,
        "recent_skips": progress.recent_skips,
        "resumed_from": from,
        "seconds": seconds,
        "updates_per_second": (progress.step - from) as f64 / seconds,
    })
}

/// Writes a file of the run directory atomically.
pub(super) fn write_file(path: &Path, content: &str) -> Result<()> {
    durable::write(path, content.as_bytes()).map_err(|reason| {
        let what = advice(&reason);
        anyhow!("cannot write {}: {reason}; {what}", path.display())
    })
}

/// Generates a few sentences with the trained model.
struct Sample(Session);

impl Job for Sample {
    type Output = Result<String>;

    fn run<B: AutodiffBackend>(self, device: B::Device) -> Result<String> {
        let source = ModelSource::open(&self.0.out)?;
        let model = source.load_merged::<B>(&device)?.valid();
        let Setup {
            experiment,
            tokenizer,
            ..
        } = &*self.0.setup;
        let ends = source.text_ends(tokenizer);
        let sampling = Sampling {
            temperature: 0.8,
            top_p: 0.95,
            seed: experiment.seed,
            max_tokens: 96,
        };
        let mut text = String::new();
        let write = |piece: &str| text.push_str(piece);
        generate(&model, tokenizer, &ends, "", sampling, write)?;
        Ok(text)
    }
}
