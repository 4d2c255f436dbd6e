//! The same bits on any number of processes.

use crate::launch::{alone, mpirun, signal, spawn, trained, updates, with_task};
use crate::program::{Place, stderr, stdout, train_arguments, wait_until};

#[test]
fn one_two_and_four_processes_write_the_same_checkpoints() {
    let methods = [
        "full",
        "lora",
        "switchlora",
        "relora --cycle 5",
        "galore --gap 5",
        "muon",
        "switchlora --plain",
        "relora --cycle 5 --plain --recompute layers",
    ];
    let cases = methods.map(|method| ("flex", method)).into_iter();
    for (backend, method) in cases.chain([("ndarray", "switchlora"), ("ndarray", "full")]) {
        let place = Place::new();
        let flags = format!("--backend {backend} --method {method}");
        for (processes, accumulation) in [(1, 4), (2, 2), (4, 1)] {
            let share = format!("{flags} --accumulation {accumulation} --out {processes}");
            trained(&place, processes, &share);
        }
        for other in ["2", "4"] {
            assert_eq!(place.journal("1"), place.journal(other), "{flags}");
            assert_eq!(place.checkpoint("1"), place.checkpoint(other), "{flags}");
        }
    }
}

#[test]
fn a_fine_tuning_on_two_processes_has_the_bits_of_one() {
    let place = with_task();
    for method in ["full", "switchlora --plain"] {
        for (processes, accumulation) in [(1, 2), (2, 1)] {
            let arguments = format!(
                "finetune --task cola --data glue --model model.json --method {method} --epochs 2 --batch-size 4 \
                 --backend flex --accumulation {accumulation} --out {processes}"
            );
            let _alone = alone();
            let _ = std::fs::remove_dir_all(place.path(&processes.to_string()));
            let output = mpirun(&place, processes, &arguments).output().unwrap();
            assert!(output.status.success(), "{method}: {}", stderr(&output));
        }
        assert_eq!(
            place.journal("1/seed-1"),
            place.journal("2/seed-1"),
            "{method}"
        );
        assert_eq!(
            place.checkpoint("1/seed-1"),
            place.checkpoint("2/seed-1"),
            "{method}"
        );
    }
}

#[test]
fn any_number_of_micro_batches_that_four_processes_share_gives_the_bits_of_one() {
    let place = Place::new();
    let flags = "--eval-every 5 --warm-start 3";
    trained(&place, 1, &format!("{flags} --accumulation 12 --out 1"));
    trained(&place, 2, &format!("{flags} --accumulation 6 --out 2"));
    trained(&place, 4, &format!("{flags} --accumulation 3 --out 4"));
    for other in ["2", "4"] {
        assert_eq!(place.journal("1"), place.journal(other));
        assert_eq!(place.checkpoint("1"), place.checkpoint(other));
    }
}

#[test]
fn a_run_that_stops_on_some_processes_goes_on_with_the_same_bits_on_others() {
    let place = Place::new();
    let flags = "--steps 4000 --checkpoint-every 0 --eval-every 0";
    trained(&place, 1, &format!("{flags} --accumulation 4 --out whole"));
    let _alone = alone();
    for (processes, resume) in [(4, ""), (1, "--resume"), (2, "--resume")] {
        let flags = train_arguments(&format!("{flags} --out parts {resume}"));
        let before = updates(&place, "parts");
        let child = spawn(mpirun(&place, processes, &flags));
        // Until mpirun has passed the signal on, a fast machine makes a thousand updates.
        wait_until(|| updates(&place, "parts") > before);
        signal(child.id() as i32, libc::SIGINT);
        let output = child.wait_with_output().unwrap();
        let said = stdout(&output);
        assert!(
            said.contains("everything is saved"),
            "{said}{}",
            stderr(&output)
        );
    }
    let last = train_arguments(&format!("{flags} --out parts --resume"));
    assert!(mpirun(&place, 4, &last).output().unwrap().status.success());
    assert_eq!(place.journal("parts"), place.journal("whole"));
    assert_eq!(place.checkpoint("parts"), place.checkpoint("whole"));
}

#[test]
fn three_processes_train_like_one_within_rounding_and_say_how_they_share() {
    let place = Place::new();
    let output = trained(&place, 3, "--accumulation 2 --out 3");
    let share = "an update has 6 micro-batches of 2 sequences, 2 on each";
    assert!(stdout(&output).contains(share), "{}", stdout(&output));
    trained(&place, 1, "--accumulation 6 --out 1");
    let loss = |run: &str| {
        let last: serde_json::Value =
            serde_json::from_str(place.journal(run).last().unwrap()).unwrap();
        last["loss"].as_f64().unwrap()
    };
    assert!(
        (loss("1") - loss("3")).abs() < 1e-4,
        "{} {}",
        loss("1"),
        loss("3")
    );
}

#[test]
fn gradients_in_bf16_train_nearly_the_same() {
    let place = Place::new();
    trained(&place, 2, "--out exact");
    trained(&place, 2, "--reduce bf16 --out rounded");
    let losses = |run: &str| -> Vec<f64> {
        let lines = place.journal(run).into_iter();
        let values = lines.map(|line| serde_json::from_str::<serde_json::Value>(&line).unwrap());
        values.map(|line| line["loss"].as_f64().unwrap()).collect()
    };
    let (exact, rounded) = (losses("exact"), losses("rounded"));
    assert_ne!(exact, rounded);
    for (exact, rounded) in exact.into_iter().zip(rounded) {
        assert!((exact - rounded).abs() < 0.02 * exact, "{exact} {rounded}");
    }
}
