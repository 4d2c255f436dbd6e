//! A comparison and a spectrum as a person makes them, on a model and a text that take seconds.
#![cfg(feature = "flex")]

mod as_train;
mod place;
mod spectrum;

use place::{Place, said};
use serde_json::Value;
use std::fs;
use std::path::Path;

fn picture(path: &Path) {
    let svg = fs::read_to_string(path).unwrap();
    let parsed = roxmltree::Document::parse(&svg).unwrap();
    assert_eq!(parsed.root_element().tag_name().name(), "svg");
}

#[test]
fn a_comparison_runs_every_variant_says_so_goes_on_where_it_was_and_repeats() {
    let place = Place::new();
    place.grid(2);
    let output = place.compare();
    assert!(output.status.success(), "{}", said(&output));
    // Eight variants: two trainings of the search, then two seeds.
    let lines = said(&output);
    let ended = lines.lines().filter(|line| line.contains("perplexity"));
    assert_eq!(ended.count(), 32, "{lines}");
    assert!(
        lines.contains("[32/32]") && lines.contains("min left"),
        "{lines}"
    );
    // Both searches of `full` begin with the same training, which runs once.
    assert_eq!(place.trials().len(), 31);
    let read = || fs::read(place.path("out/compare.json")).unwrap();
    let comparison: Value = serde_json::from_slice(&read()).unwrap();
    let rows = comparison["summary"].as_array().unwrap();
    let names: Vec<_> = rows
        .iter()
        .map(|row| row["variant"].as_str().unwrap())
        .collect();
    assert_eq!(
        names,
        [
            "full",
            "one rate",
            "muon",
            "lora",
            "relora",
            "galore",
            "switchlora",
            "warm"
        ]
    );
    for row in rows {
        assert_eq!(row["seeds"], 2);
        assert!(row["perplexity"].as_f64().unwrap() > 1.0 && row["deviation"].is_number());
        assert_eq!(row["at_edge"], true); // of two trainings, any
        assert!(row["effective_rank"].as_f64().unwrap() >= 1.0);
        assert!(row["milliseconds"].as_f64().unwrap() > 0.0);
    }
    // The change of LoRA has no more directions than its rank of 4, in weights of 32.
    let lora = rows[3]["directions_percent"].as_f64().unwrap();
    assert!(lora <= 12.5, "{lora}");
    assert!(rows[0]["directions_percent"].as_f64().unwrap() > 50.0);
    // The order of the data is the same for all: the first losses are that of the same weights.
    let runs = comparison["runs"].as_array().unwrap();
    let first = |run: &Value| run["curve"]["losses"][0].as_f64().unwrap();
    for run in &runs[1..8] {
        assert!((first(run) - first(&runs[0])).abs() < 1e-4);
    }
    for chart in ["loss", "loss-by-time", "validation", "spectrum"] {
        picture(&place.path(&format!("out/{chart}.svg")));
    }
    let table = String::from_utf8(output.stdout).unwrap();
    assert!(
        table.contains("| switchlora |") && table.contains(" ± "),
        "{table}"
    );

    // Interrupted after some: only what is missing is run, and the result is the same but for the clock.
    let trials = place.trials();
    let lost = trials
        .iter()
        .find(|path| path.to_string_lossy().contains("galore-seed1"));
    fs::remove_file(lost.unwrap()).unwrap();
    let again = place.compare();
    assert!(again.status.success(), "{}", said(&again));
    assert_eq!(place.trials().len(), 31);
    let repeated: Value = serde_json::from_slice(&read()).unwrap();
    for (was, is) in runs.iter().zip(repeated["runs"].as_array().unwrap()) {
        assert_eq!(was["curve"]["losses"], is["curve"]["losses"]);
        assert_eq!(was["changes"], is["changes"]);
    }
}

#[test]
fn a_grid_that_cannot_be_run_is_one_line_and_a_failed_training_names_itself() {
    let place = Place::new();
    place.grid(2);
    let grid = fs::read_to_string(place.path("grid.toml")).unwrap();
    fs::write(
        place.path("grid.toml"),
        grid.replace("lr = 3e-3", "lr = -3e-3"),
    )
    .unwrap();
    let output = place.compare();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        said(&output).trim_end().lines().count(),
        1,
        "{}",
        said(&output)
    );
    assert!(
        said(&output).contains("variant `full`: lr"),
        "{}",
        said(&output)
    );
    place.grid(0);
    fs::write(place.path("text.txt"), "too short").unwrap();
    let output = place.compare();
    assert_eq!(output.status.code(), Some(1));
    let said = said(&output);
    assert!(said.contains("full, lr 3e-3, seed 1"), "{said}");
}

#[test]
fn comparisons_of_two_lengths_become_one_table_and_one_figure() {
    let place = Place::new();
    let text = |steps: u64| {
        let variants = "[[variant]]\nname = \"full\"\nmethod = \"full\"\n[[variant]]\nname = \"muon\"\nmethod = \"muon\"\n";
        let keys = "model = \"model.json\"\ndata = [\"text.txt\"]\nbatch_size = 2\nsequence_length = 24\neval_sequences = 8";
        format!("seeds = [1]\n[experiment]\nlr = 3e-3\nsteps = {steps}\n{keys}\n{variants}")
    };
    for (folder, steps) in [("long", 6), ("short", 3)] {
        fs::write(place.path("grid.toml"), text(steps)).unwrap();
        let output = place.bench(&["compare", "grid.toml", "--backend", "flex", "--out", folder]);
        assert!(output.status.success(), "{}", said(&output));
        let trainings = fs::read_to_string(place.path(&format!("{folder}/trainings.csv"))).unwrap();
        let lines: Vec<_> = trainings.lines().collect();
        assert!(lines[0].starts_with("variant,role,seed,lr,projection_lr,updates,tokens,loss,"));
        assert!(
            lines[2].starts_with(&format!("muon,reported,1,0.003,0.003,{steps},")),
            "{trainings}"
        );
    }
    let output = place.bench(&["lengths", "long", "short", "--out", "both"]);
    assert!(output.status.success(), "{}", said(&output));
    let table = String::from_utf8(output.stdout).unwrap();
    let rows: Vec<_> = table
        .lines()
        .filter(|line| line.starts_with("| "))
        .collect();
    assert_eq!(rows[0], "| variant | 144 tokens | 288 tokens |");
    assert!(
        rows[2].starts_with("| full | ")
            && rows[3].contains("(+0.0 %)") | rows[2].contains("(+0.0 %)")
    );
    picture(&place.path("both/lengths.svg"));
    let part = "long and long both have trainings of 288 tokens";
    place.refused(&["lengths", "long", "long"], part);

    // Another validation text is another scale.
    place.text("other.txt", 89);
    let other = text(9).replace("text.txt", "other.txt");
    fs::write(place.path("grid.toml"), &other).unwrap();
    let run = |out| place.bench(&["compare", "grid.toml", "--backend", "flex", "--out", out]);
    assert!(run("other").status.success());
    let part = "short and other are judged by different validation text";
    place.refused(&["lengths", "short", "other"], part);
    let report = fs::read_to_string(place.path("other/compare.md")).unwrap();
    assert!(
        report.contains("the same tokens in the same order"),
        "{report}"
    );
    let mixed = other + "data = [\"text.txt\"]\n";
    fs::write(place.path("grid.toml"), mixed).unwrap();
    assert!(run("mixed").status.success());
    let report = fs::read_to_string(place.path("mixed/compare.md")).unwrap();
    assert!(report.contains("do not read the same tokens"), "{report}");
    let muon = report
        .lines()
        .find(|line| line.starts_with("| muon"))
        .unwrap();
    assert_eq!(muon.split(" | ").nth(5), Some("–"), "{muon}");
}

#[test]
fn what_a_switch_costs_is_measured_from_one_state_on_the_same_batches() {
    let place = Place::new();
    let variants = "[[variant]]\nname = \"as it is\"\n[[variant]]\nname = \"again\"\n\
                    [[variant]]\nname = \"kept\"\nswitch = { keep_second_moments = true }\n";
    let keys = "model = \"model.json\"\ndata = [\"text.txt\"]\nrank = 10\nsteps = 20\nbatch_size = 2\nsequence_length = 24";
    let grid = |more: &str| format!("seeds = [1]\n[experiment]\n{keys}\n{variants}{more}");
    fs::write(place.path("grid.toml"), grid("")).unwrap();
    let around = [
        "around",
        "grid.toml",
        "--backend",
        "flex",
        "--at",
        "4",
        "9",
        "--updates",
        "9",
        "--out",
        "out",
    ];
    let output = place.bench(&around);
    assert!(output.status.success(), "{}", said(&output));
    let written = fs::read_to_string(place.path("out/around.csv")).unwrap();
    let rows: Vec<Vec<&str>> = written
        .lines()
        .map(|line| line.split(',').collect())
        .collect();
    assert_eq!(
        rows[0][..5],
        ["variant", "seed", "at", "vectors", "update 0"]
    );
    assert_eq!(rows.len(), 1 + 3 * 2);
    let of = |variant: &str| -> Vec<&[&str]> {
        let rows = rows.iter().filter(|row| row[0] == variant);
        rows.map(|row| &row[1..]).collect()
    };
    // The same switch twice is the same. Another reset shows when the counterparts move again, after five updates.
    assert_eq!(of("as it is"), of("again"));
    for ((plain, kept), at) in of("as it is").iter().zip(of("kept")).zip(["4", "9"]) {
        assert_eq!(plain[..2], ["1", at]);
        assert!(plain[2].parse::<u64>().unwrap() > 0);
        let (plain, kept) = (&plain[3..], &kept[3..]);
        // The loss of the update that switches is computed before it, and a switch does not change what the layer
        // computes.
        assert_eq!(plain[0], "0.0000000");
        assert_eq!(plain[..6], kept[..6]);
        assert_ne!(plain[8], kept[8]);
    }
    let part = "around.csv is there: give another folder with --out";
    place.refused(&around, part);
    fs::remove_file(place.path("out/around.csv")).unwrap();
    fs::write(
        place.path("grid.toml"),
        grid("[[variant]]\nname = \"other\"\nrank = 3\n"),
    )
    .unwrap();
    let part = "variant `other`: only the keys of [switch] may differ";
    place.refused(&around, part);
    fs::write(place.path("grid.toml"), grid("")).unwrap();
    let warm = grid("").replace("rank = 10", "rank = 10\nwarm_start = 4");
    fs::write(place.path("warm.toml"), warm).unwrap();
    let part = "nothing switches after update 4: the first 4 are in full rank";
    let warm = ["around", "warm.toml", "--at", "4", "9", "--updates", "9"];
    place.refused(&warm, part);
    let part = "80 updates after update 19";
    place.refused(&["around", "grid.toml", "--at", "19"], part);
}
