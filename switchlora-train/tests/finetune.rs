//! Fine-tuning as a person does it: tasks of GLUE and of one's own, seeds, resume, predictions, and wrong data.

mod program;

use program::{Place, stderr, stdout};
use serde_json::Value;
use std::fs;
use std::ops::Range;

/// A sentence, and whether it says that things are good.
fn sentence(i: usize) -> (String, usize) {
    let good = i.is_multiple_of(2) || i.is_multiple_of(5);
    let word = if good { "good" } else { "bad" };
    (
        format!("report {} of the states is {word}", i * 13 % 50),
        usize::from(good),
    )
}

/// Files of CoLA, MRPC and STS-B as GLUE lays them out, with made examples; and files of other tasks.
fn place() -> Place {
    let place = Place::new();
    let write = |name: &str, text: String| {
        let path = place.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    let lines =
        |range: Range<usize>, line: fn(usize) -> String| range.map(line).collect::<String>();
    for (file, range) in [("train", 0..90), ("dev", 90..130)] {
        let cola = |i| {
            let (text, label) = sentence(i);
            format!("made\t{label}\t\t{text}\n")
        };
        write(&format!("glue/CoLA/{file}.tsv"), lines(range.clone(), cola));
        let mrpc = |i| {
            let ((one, _), (other, _)) = (sentence(i), sentence(i + i % 2));
            format!("{}\t{i}\t{i}\t\"{one}\t{other}\n", usize::from(i % 2 == 0))
        };
        let header = "\u{feff}Quality\t#1 ID\t#2 ID\t#1 String\t#2 String\n";
        write(
            &format!("glue/MRPC/{file}.tsv"),
            format!("{header}{}", lines(range.clone(), mrpc)),
        );
        let stsb = |i| {
            let (text, label) = sentence(i);
            format!("{i}\t{text}\t{text}\t{}\n", label * 4)
        };
        let header = "index\tsentence1\tsentence2\tscore\n";
        write(
            &format!("glue/STS-B/{file}.tsv"),
            format!("{header}{}", lines(range.clone(), stsb)),
        );
        let csv = |i| {
            let (text, label) = sentence(i);
            format!("\"{text}, they say\",{}\n", ["poor", "fine"][label])
        };
        write(
            &format!("{file}.csv"),
            format!("text,verdict\n{}", lines(range.clone(), csv)),
        );
        let pairs = |i| {
            let (text, label) = sentence(i);
            format!(
                "{{\"prompt\": \"{text}? \", \"answer\": \"{}\"}}\n",
                ["no", "yes"][label]
            )
        };
        write(&format!("{file}.jsonl"), lines(range, pairs));
    }
    place
}

const COLA: &str = "finetune --task cola --data glue --model model.json --lr 3e-3 --epochs 3";

fn results(place: &Place, out: &str) -> Value {
    serde_json::from_slice(&fs::read(place.path(&format!("{out}/results.json"))).unwrap()).unwrap()
}

#[test]
fn a_task_is_learnt_once_for_each_seed_and_finished_runs_are_not_repeated() {
    let place = place();
    let output = place.run(&format!("{COLA} --epochs 8 --seeds 1,2 --out cola"));
    assert!(output.status.success(), "{}", stderr(&output));
    let said = stdout(&output);
    for part in [
        "seed 1: last epoch (8)",
        "best epoch (",
        "matthews: last epoch",
        "of 2 seeds",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let found = results(&place, "cola");
    for seed in [0, 1] {
        let best = found["seeds"][seed]["best"]["scores"]["matthews"]
            .as_f64()
            .unwrap();
        assert!(best > 0.9, "the word decides: {found}");
    }
    // Again: nothing is trained, and the results are the same.
    let journal = place.journal("cola/seed-2");
    let again = place.run(&format!(
        "{COLA} --epochs 8 --seeds 1,2 --out cola --resume"
    ));
    assert!(again.status.success(), "{}", stderr(&again));
    assert_eq!(
        (journal, found.clone()),
        (place.journal("cola/seed-2"), results(&place, "cola"))
    );
    // A checkpoint of a classifier says what it is of.
    for (command, part) in [
        ("generate cola/seed-1", "classifies texts"),
        ("eval cola/seed-1 --data text.txt", "classifies texts"),
        (
            "finetune --task mrpc --data nowhere --model cola/seed-1 --out x",
            "nowhere",
        ),
        ("predict cola/seed-1 --task rte --data glue", "entailment"),
    ] {
        let output = place.run(command);
        assert!(!output.status.success(), "{command}");
        let said = stderr(&output);
        assert!(
            said.contains(part) && said.lines().count() == 1,
            "{command}: {said}"
        );
    }
    let predicted = place.run("predict cola/seed-1 --task cola --data glue --out p.tsv");
    assert!(predicted.status.success(), "{}", stderr(&predicted));
    let last = found["seeds"][0]["last"]["scores"]["matthews"]
        .as_f64()
        .unwrap();
    assert!(
        stdout(&predicted).contains(&format!("matthews {last:.4}")),
        "{}",
        stdout(&predicted)
    );
    let file = fs::read_to_string(place.path("p.tsv")).unwrap();
    assert_eq!(
        (file.lines().count(), file.lines().next()),
        (41, Some("index\tprediction"))
    );
}

#[test]
fn every_method_learns_every_kind_of_task() {
    let place = place();
    let cases = [
        "--task cola --data glue --method full",
        "--task mrpc --data glue --method lora",
        "--task stsb --data glue --method switchlora",
        "--task stsb --data glue/STS-B --method galore",
        "--task mrpc --data glue --method switchlora --plain",
        "--task custom --data train.csv --validation dev.csv --first text --label verdict",
        "--task text --data train.jsonl --validation dev.jsonl --method lora",
    ];
    for (number, flags) in cases.into_iter().enumerate() {
        let command = format!("finetune {flags} --model model.json --epochs 2 --out {number}");
        let output = place.run(&command);
        assert!(output.status.success(), "{flags}: {}", stderr(&output));
        let lines = place.journal(&format!("{number}/seed-1"));
        let lines = lines
            .iter()
            .map(|line| serde_json::from_str::<Value>(line).unwrap());
        let losses: Vec<f64> = lines
            .filter_map(|l| (l["kind"] == "eval").then(|| l["loss"].as_f64().unwrap()))
            .collect();
        assert_eq!(losses.len(), 2, "{flags}");
        assert!(
            losses.iter().all(|loss| loss.is_finite()),
            "{flags}: {losses:?}"
        );
    }
    // The names of a custom task's labels stay: alphabetical, as the file has them.
    let output = place.run(
        "predict 5/seed-1 --task custom --data dev.csv --first text --label verdict --out p.tsv",
    );
    assert!(output.status.success(), "{}", stderr(&output));
    let file = fs::read_to_string(place.path("p.tsv")).unwrap();
    assert!(
        file.lines()
            .skip(1)
            .all(|line| line.ends_with("\tfine") || line.ends_with("\tpoor")),
        "{file}"
    );
    // Texts that nobody has labelled.
    fs::write(
        place.path("new.jsonl"),
        "{\"text\": \"one\"}\n{\"text\": \"two\"}\n",
    )
    .unwrap();
    let output =
        place.run("predict 5/seed-1 --task custom --data new.jsonl --first text --out q.tsv");
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(
        stdout(&output).contains("nothing to compare"),
        "{}",
        stdout(&output)
    );
    assert_eq!(
        fs::read_to_string(place.path("q.tsv"))
            .unwrap()
            .lines()
            .count(),
        3
    );
    let asked = "predict 5/seed-1 --task custom --data new.jsonl --first text --label verdict";
    assert_eq!(place.run(asked).status.code(), Some(2));
    let output = place.run("generate 6/seed-1 --prompt report --max-tokens 3");
    assert!(output.status.success(), "{}", stderr(&output));
}

#[test]
fn a_run_that_lost_its_last_epoch_ends_as_if_it_had_not() {
    let place = place();
    for flags in [
        "--method full",
        "--method switchlora --interval 10 --accumulation 2",
        "--plain --method lora",
    ] {
        for out in ["whole", "parts"] {
            let _ = fs::remove_dir_all(place.path(out));
            let output = place.run(&format!("{COLA} {flags} --out {out}"));
            assert!(output.status.success(), "{flags}: {}", stderr(&output));
        }
        let newest = program::sorted(&place.path("parts/seed-1/checkpoints"))
            .pop()
            .unwrap();
        fs::remove_dir_all(newest).unwrap();
        fs::remove_file(place.path("parts/seed-1/summary.json")).unwrap();
        let output = place.run(&format!("{COLA} {flags} --out parts --resume"));
        assert!(output.status.success(), "{flags}: {}", stderr(&output));
        assert_eq!(
            place.journal("whole/seed-1"),
            place.journal("parts/seed-1"),
            "{flags}"
        );
        assert_eq!(
            place.checkpoint("whole/seed-1"),
            place.checkpoint("parts/seed-1"),
            "{flags}"
        );
        assert_eq!(
            results(&place, "whole"),
            results(&place, "parts"),
            "{flags}"
        );
    }
}

#[test]
fn a_run_that_was_interrupted_in_its_evaluation_is_evaluated_when_it_goes_on() {
    let place = place();
    for out in ["whole", "parts"] {
        let output = place.run(&format!("{COLA} --out {out}"));
        assert!(output.status.success(), "{}", stderr(&output));
    }
    // The last state was saved, and its evaluation, which came before, had not been done.
    let journal = place.path("parts/seed-1/metrics.jsonl");
    let lines = fs::read_to_string(&journal).unwrap();
    let steps = 18;
    let last = format!("\"step\":{steps}");
    let kept = |line: &&str| !(line.contains("\"kind\":\"eval\"") && line.contains(&last));
    let kept: String = lines
        .lines()
        .filter(kept)
        .map(|line| format!("{line}\n"))
        .collect();
    assert!(kept.len() < lines.len(), "{lines}");
    fs::write(&journal, kept).unwrap();
    fs::remove_file(place.path("parts/seed-1/summary.json")).unwrap();
    let output = place.run(&format!("{COLA} --out parts --resume"));
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(results(&place, "whole"), results(&place, "parts"));
}

#[test]
fn a_folder_of_other_settings_is_refused_and_seeds_come_to_those_that_are_there() {
    let place = place();
    let run = |flags: &str| place.run(&format!("{COLA} {flags} --out cola"));
    assert!(run("--seeds 1").status.success());
    for (flags, parts) in [
        (
            "--resume --method lora",
            &["method", "seed-1", "choose another --out"][..],
        ),
        ("--resume --lr 1e-4", &["lr"]),
        ("--resume --epochs 4", &["steps"]),
        ("--resume --task mrpc", &["task.name"]),
        ("--resume --model nano", &["model"]),
        ("--resume --seeds 1,2,1", &["--seeds has 1 twice"]),
        (
            "--resume --label x",
            &["--label means nothing to task cola"],
        ),
    ] {
        let output = run(flags);
        assert_eq!(
            output.status.code(),
            Some(2),
            "{flags}: {}",
            stderr(&output)
        );
        let said = stderr(&output);
        assert!(
            parts.iter().all(|part| said.contains(part)),
            "{flags}: {said}"
        );
    }
    // Where it is computed, and in which order, makes no other setting.
    let output = run("--seeds 2 --resume --recompute layers");
    assert!(output.status.success(), "{}", stderr(&output));
    let seeds = results(&place, "cola");
    let seeds: Vec<_> = seeds["seeds"]
        .as_array()
        .unwrap()
        .iter()
        .map(|seed| seed["seed"].as_u64())
        .collect();
    assert_eq!(seeds, [Some(1), Some(2)]);
    // What is finished does not need the model that it began with.
    let model = place.path("model.json");
    let sizes = fs::read(&model).unwrap();
    fs::remove_file(&model).unwrap();
    let output = run("--seeds 1,2 --resume");
    assert!(output.status.success(), "{}", stderr(&output));
    fs::write(model, sizes).unwrap();
    // A folder whose runs were deleted is begun again.
    fs::remove_dir_all(place.path("cola/seed-1")).unwrap();
    fs::remove_dir_all(place.path("cola/seed-2")).unwrap();
    let output = run("--resume");
    assert!(output.status.success(), "{}", stderr(&output));
    // Before the work.
    for (out, part) in [
        ("text.txt", "text.txt exists"),
        ("cola", "cola is a folder"),
        ("none/p.tsv", "the folder none does not exist"),
        ("text.txt --split test", "text.txt is no folder"),
    ] {
        let command = format!("predict cola/seed-1 --task cola --data glue --out {out}");
        let refused = place.run(&command);
        assert_eq!(refused.status.code(), Some(2), "{command}");
        assert!(stderr(&refused).contains(part), "{}", stderr(&refused));
        assert_eq!(refused.stdout, b"", "{command}");
    }
}

#[test]
fn seeds_that_were_trained_on_different_texts_have_no_mean() {
    let place = place();
    let run = |seeds: &str| {
        place.run(&format!(
            "{COLA} --epochs 1 --out cola --resume --seeds {seeds}"
        ))
    };
    let output = run("1");
    assert!(output.status.success(), "{}", stderr(&output));
    for file in ["train", "dev"] {
        let path = place.path(&format!("glue/CoLA/{file}.tsv"));
        let text = fs::read_to_string(&path).unwrap();
        fs::write(
            &path,
            text.replace("made\t1", "made\t2")
                .replace("made\t0", "made\t1")
                .replace("made\t2", "made\t0"),
        )
        .unwrap();
        // What is finished is not shown as the result of other texts.
        let finished = run("1");
        assert_eq!(finished.status.code(), Some(2), "{}", stdout(&finished));
        let said = stderr(&finished);
        assert!(
            said.contains("the texts are not those that cola/seed-1"),
            "{said}"
        );
        let output = run("2");
        assert_eq!(output.status.code(), Some(1), "{}", stdout(&output));
        let said = stderr(&output);
        let seeds = "seeds 1 and 2 in cola were trained on different texts";
        assert!(said.contains(seeds), "{said}");
        fs::write(&path, text).unwrap();
        fs::remove_dir_all(place.path("cola/seed-2")).unwrap();
    }
}

#[cfg(unix)]
#[test]
fn an_interrupt_between_two_seeds_ends_with_its_status_and_goes_on() {
    let place = place();
    let command = |seeds: &str| format!("{COLA} --epochs 1 --seeds {seeds} --out cola");
    let mut child = place
        .program(&command("1,2,3,4,5,6,7,8,9,10,11,12"))
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let summary = place.path("cola/seed-1/summary.json");
    program::wait_until(|| summary.exists());
    // SAFETY: the call takes numbers, and nobody has waited for the process.
    unsafe { libc::kill(child.id() as i32, libc::SIGINT) };
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(!place.path("cola/results.json").exists());
    let again = place.run(&format!("{} --resume", command("1,2")));
    assert!(again.status.success(), "{}", stderr(&again));
}

#[test]
fn numbers_of_any_size_are_learnt_and_a_large_loss_is_no_divergence() {
    let place = place();
    let rows: String = (0..60)
        .map(|i| format!("{},{}\n", sentence(i).0, 1000 * (i % 9)))
        .collect();
    fs::write(place.path("large.csv"), format!("text,value\n{rows}")).unwrap();
    let output = place.run(
        "finetune --task custom --regression --data large.csv --validation large.csv --first text --label value \
         --model model.json --epochs 1 --seeds 1,2 --out large",
    );
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(
        results(&place, "large")["seeds"].as_array().unwrap().len(),
        2
    );
    let summary = fs::read(place.path("large/seed-1/summary.json")).unwrap();
    let summary: Value = serde_json::from_slice(&summary).unwrap();
    assert!(summary["validation_loss"].as_f64().unwrap() > 1e4);
    assert_eq!(summary["validation_perplexity"], Value::Null);
}

#[test]
fn patience_ends_a_run_that_gets_no_better() {
    let place = place();
    let output = place.run(&format!(
        "{COLA} --epochs 30 --lr 1e-9 --patience 2 --out cola"
    ));
    assert!(output.status.success(), "{}", stderr(&output));
    let found = results(&place, "cola");
    let (last, best) = (
        &found["seeds"][0]["last"]["epoch"],
        &found["seeds"][0]["best"]["epoch"],
    );
    assert_eq!(
        last.as_u64().unwrap(),
        best.as_u64().unwrap() + 2,
        "{found}"
    );
    // It has finished: nothing is left to go on with.
    let journal = place.journal("cola/seed-1");
    let again = place.run(&format!(
        "{COLA} --epochs 30 --lr 1e-9 --patience 2 --out cola --resume"
    ));
    assert!(again.status.success(), "{}", stderr(&again));
    assert_eq!(journal, place.journal("cola/seed-1"));
}

#[test]
fn a_fine_tuning_starts_from_a_run_and_from_a_folder_alike() {
    let place = place();
    for command in [
        "train --model model.json --data text.txt --steps 12 --batch-size 2 --sequence-length 24 --rank 8 --out base",
        "export base --out folder",
    ] {
        let output = place.run(command);
        assert!(output.status.success(), "{command}: {}", stderr(&output));
    }
    for model in ["base", "folder", "model.json"] {
        let command = format!(
            "finetune --task cola --data glue --model {model} --epochs 1 --out {model}-cola"
        );
        let output = place.run(&command);
        assert!(output.status.success(), "{command}: {}", stderr(&output));
    }
    let [base, folder, random] = ["base", "folder", "model.json"]
        .map(|model| place.journal(&format!("{model}-cola/seed-1")));
    assert_eq!(base, folder);
    assert_ne!(base, random);
    let table = place.run("glue --model base --model random=model.json --data glue --tasks cola,mrpc --seeds 1,2 --epochs 1 --out table");
    assert!(table.status.success(), "{}", stderr(&table));
    let said = stdout(&table);
    for part in [
        "| base |",
        "| random |",
        "| majority class |",
        "cola (matthews)",
        "mrpc (f1 and accuracy)",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(
        fs::read_to_string(place.path("table/glue.md"))
            .unwrap()
            .contains("Last epoch")
    );
}

#[test]
fn conversations_are_written_by_the_chat_template_of_the_folder() {
    let place = place();
    for command in [
        "train --model model.json --data text.txt --steps 2 --batch-size 2 --sequence-length 24 --rank 8 --out base",
        "export base --out folder",
    ] {
        let output = place.run(command);
        assert!(output.status.success(), "{command}: {}", stderr(&output));
    }
    let line = |i: usize| {
        let (text, label) = sentence(i);
        let answer = ["no", "yes"][label];
        format!(
            "{{\"messages\": [{{\"role\": \"user\", \"content\": \"{text}?\"}}, {{\"role\": \"assistant\", \
             \"content\": \"{answer}\"}}]}}\n"
        )
    };
    fs::write(
        place.path("chat.jsonl"),
        (0..40).map(line).collect::<String>(),
    )
    .unwrap();
    let command = "finetune --task text --data chat.jsonl --validation chat.jsonl --model folder --epochs 12 --lr 1e-2";
    let without = place.run(&format!("{command} --out without"));
    assert!(
        stderr(&without).contains("no chat template"),
        "{}",
        stderr(&without)
    );
    let template = "{% for message in messages %}\n{{ message.role }}: {{ message.content }}{{ eos_token }}\n{% endfor %}\n\
                    {% if add_generation_prompt %}assistant: {% endif %}";
    fs::write(place.path("folder/chat_template.jinja"), template).unwrap();
    let output = place.run(&format!("{command} --out with"));
    assert!(output.status.success(), "{}", stderr(&output));
    // Yes or no, and the end: a question of one bit, once the form is learnt.
    let found = results(&place, "with");
    let loss = found["seeds"][0]["last"]["loss"].as_f64().unwrap();
    assert!(loss < 0.7, "{found}");
}

#[test]
fn wrong_data_and_wrong_flags_are_one_line_that_says_where() {
    let place = place();
    fs::create_dir_all(place.path("wrong/CoLA")).unwrap();
    fs::write(
        place.path("wrong/CoLA/train.tsv"),
        "made\t1\t\tfine\nmade\t7\t\tnot a label\n",
    )
    .unwrap();
    fs::write(place.path("wrong/CoLA/dev.tsv"), "made\t1\t\tfine\n").unwrap();
    fs::write(place.path("floats.csv"), "text,verdict\na,0.5\nb,1.5\n").unwrap();
    let cases = [
        (
            "--task cola --data wrong",
            &["train.tsv", "line 2", "7"][..],
        ),
        ("--task rte --data glue", &["RTE"]),
        ("--task cola --data nowhere", &["nowhere"]),
        (
            "--task custom --data train.csv --first text --label verdict",
            &["--validation"],
        ),
        (
            "--task custom --data train.csv --validation dev.csv --first text --label nothing",
            &["nothing", "verdict"],
        ),
        (
            "--task custom --data floats.csv --validation floats.csv --first text --label verdict",
            &["floats.csv", "line 2", "regression"],
        ),
        ("--task nothing --data glue", &["cola", "custom"]),
        ("--task cola --data glue --batch-size 0", &["batch-size"]),
        ("--task cola --data glue --epochs 0", &["--epochs"]),
        (
            "--task cola --data glue --sequence-length 65",
            &["65", "64"],
        ),
        ("--task cola --data glue --resume", &["--out"]),
    ];
    for (flags, parts) in cases {
        let output = place.run(&format!("finetune {flags} --model model.json"));
        // A wrong label is in the data, everything else in the arguments.
        let status = if flags.ends_with("--data wrong") || flags.contains("floats.csv") {
            1
        } else {
            2
        };
        assert_eq!(
            output.status.code(),
            Some(status),
            "{flags}: {}",
            stderr(&output)
        );
        let said = stderr(&output);
        for part in parts {
            assert!(said.contains(part), "{flags}: {part}: {said}");
        }
        assert!(!said.contains("panicked"), "{flags}: {said}");
        assert_eq!(
            said.lines()
                .filter(|line| line.starts_with("error: "))
                .count(),
            1,
            "{flags}: {said}"
        );
    }
    let taken =
        place.run("finetune --task cola --data glue --model model.json --epochs 1 --out glue");
    assert!(
        stderr(&taken).contains("choose another --out"),
        "{}",
        stderr(&taken)
    );
}
