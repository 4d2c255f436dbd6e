//! Processes of which each keeps the moments of a part of the parameters.

use crate::launch::{errors, train, trained};
use crate::program::{Place, stderr};

/// The newest checkpoint of a run, its experiment as if all had all moments.
fn checkpoint(place: &Place, run: &str) -> Vec<(String, Vec<u8>)> {
    let mut files = place.checkpoint(run);
    files.retain(|(name, _)| name != "SHA256SUMS");
    for (name, content) in &mut files {
        if name == "state.json" {
            let text = String::from_utf8(std::mem::take(content)).unwrap();
            assert!(text.contains(r#""moments": ""#));
            *content = text
                .replace(r#""moments": "divided""#, r#""moments": "whole""#)
                .into_bytes();
        }
    }
    files
}

#[test]
fn divided_moments_give_the_bits_of_whole_ones() {
    let methods = [
        "full",
        "lora",
        "switchlora",
        "switchlora --config variants.toml",
        "switchlora --config warmup.toml --candidates fresh --recompute layers --warm-start 5",
        "relora --cycle 5",
        "galore --gap 5",
        "muon",
    ];
    for method in methods {
        let place = Place::new();
        let variants = "[switch]\northogonal = true\n[adamw]\nweight_decay = 0.1\n";
        std::fs::write(place.path("variants.toml"), variants).unwrap();
        std::fs::write(place.path("warmup.toml"), "[switch]\nwarmup = 3\n").unwrap();
        let flags = format!("--method {method}");
        trained(&place, 1, &format!("{flags} --accumulation 4 --out whole"));
        for (processes, accumulation) in [(2, 2), (4, 1)] {
            let share =
                format!("--moments divided --accumulation {accumulation} --out {processes}");
            trained(&place, processes, &format!("{flags} {share}"));
            let run = processes.to_string();
            assert_eq!(place.journal("whole"), place.journal(&run), "{method}");
            assert_eq!(
                checkpoint(&place, "whole"),
                checkpoint(&place, &run),
                "{method}"
            );
        }
    }
}

#[test]
fn in_bf16_divided_and_whole_moments_have_the_same_bits() {
    let place = Place::new();
    trained(&place, 2, "--reduce bf16 --out whole");
    trained(&place, 2, "--reduce bf16 --moments divided --out divided");
    assert_eq!(place.journal("whole"), place.journal("divided"));
    assert_eq!(checkpoint(&place, "whole"), checkpoint(&place, "divided"));
}

#[test]
fn a_run_goes_on_with_moments_divided_among_any_number_of_processes() {
    for method in ["switchlora", "galore --gap 3", "muon"] {
        let place = Place::new();
        std::fs::write(place.path("fixed.toml"), "[switch]\nfixed = true\n").unwrap();
        // Nothing depends on the number of updates, which changes.
        let flags = format!("--method {method} --lr-decay constant --warmup 2");
        let parts = [
            (4, "--config fixed.toml --steps 4 --moments divided"),
            (2, "--steps 6 --resume"),
            (1, "--steps 8 --resume"),
            (2, "--steps 9 --moments whole --resume"),
            (4, "--steps 12 --moments divided --resume"),
        ];
        for (processes, part) in parts {
            trained(&place, processes, &format!("{flags} {part} --out parts"));
        }
        trained(
            &place,
            1,
            &format!("{flags} --config fixed.toml --accumulation 4 --out whole"),
        );
        assert_eq!(
            checkpoint(&place, "whole"),
            checkpoint(&place, "parts"),
            "{method}"
        );
    }
}

#[test]
fn what_needs_all_moments_is_refused_where_they_are_divided() {
    let place = Place::new();
    std::fs::write(place.path("gain.toml"), "[switch]\nselection = \"gain\"\n").unwrap();
    std::fs::write(
        place.path("gradient.toml"),
        "[switch]\ncandidates = \"gradient\"\n",
    )
    .unwrap();
    for flags in ["--plain", "--config gain.toml", "--config gradient.toml"] {
        let output = train(&place, 2, &format!("{flags} --moments divided"));
        let errors = errors(&output);
        let clear =
            errors.len() == 1 && errors[0].contains("moments is \"divided\", expected whole");
        assert!(clear, "{flags}: {}", stderr(&output));
        assert_eq!(output.status.code(), Some(2), "{flags}");
    }
}
