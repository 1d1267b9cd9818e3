//! `secant compare` as a person or a script meets it.

use std::fs;
use std::iter;
use std::process::Output;

use secant_tests::program;
use serde_json::Value;
use tempfile::TempDir;

fn compare(folder: &TempDir, words: &str) -> Output {
    secant(folder, "compare", words)
}

fn secant(folder: &TempDir, command: &str, words: &str) -> Output {
    let words = words.split(' ').filter(|word| !word.is_empty());
    let words = iter::once(command).chain(words);
    program::command(env!("CARGO_BIN_EXE_secant-under-test"), folder, words)
        .output()
        .unwrap()
}

const QUICK: &str = "--data synthetic --limit 300 --epochs 1 --model conv4k5s3,relu,linear10 --evaluations 3 --out c";

#[test]
fn runs_are_paired_counted_and_not_made_twice() {
    let folder = TempDir::new().unwrap();
    let words = format!(
        "{QUICK} --optimizers adam,lbfgs,lbfgs-seed,lbfgs-flat --seeds 2 --targets 0.1,1 --json"
    );
    let output = compare(&folder, &words);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let result: Value = serde_json::from_slice(&output.stdout).expect("exactly one JSON value");
    let runs = result["runs"].as_array().unwrap();
    assert_eq!(runs.len(), 8);
    for seed in 0..2 {
        let of_seed = runs.iter().filter(|run| run["seed"] == seed);
        let initial: Vec<&Value> = of_seed.map(|run| &run["sha256"]["initial"]).collect();
        assert_eq!(initial.len(), 4);
        assert!(initial.iter().all(|sha| *sha == initial[0]), "same weights");
    }
    let names: Vec<&str> = runs[..4]
        .iter()
        .map(|run| run["optimizer"]["name"].as_str().unwrap())
        .collect();
    assert_eq!(
        names,
        ["adam", "lbfgs", "lbfgs-seed", "lbfgs-flat"],
        "interleaved"
    );
    assert_eq!(runs[1]["gradient_epochs"], 1.0);
    assert_eq!(
        runs[2]["gradient_epochs"], 10.0,
        "every gradient is counted"
    );
    let table = result["table"].as_array().unwrap();
    assert!(table[0]["difference"].is_null());
    assert_eq!(table[1]["difference"]["verdict"], "too few seeds to tell");
    assert_eq!(table[1]["targets"][0]["reached"], 2);
    assert!(
        table[1]["targets"][1]["gradient_epochs"].is_null(),
        "not reached"
    );
    for name in [
        "compare.json",
        "compare.md",
        "compare.csv",
        "accuracy-epochs.svg",
        "loss-seconds.svg",
    ] {
        let text = fs::read_to_string(folder.path().join("c").join(name)).unwrap();
        assert!(!text.is_empty(), "{name}");
    }

    // Again: the very same result, seconds included, so nothing was run.
    let again = compare(&folder, &words);
    assert_eq!(again.stdout, output.stdout);
    // One seed more: the old runs stay.
    let more = compare(
        &folder,
        &words.replace("--seeds 2", "--seeds 3 --reference c/compare.json"),
    );
    let more: Value = serde_json::from_slice(&more.stdout).unwrap();
    assert_eq!(more["runs"].as_array().unwrap()[..8], runs[..]);
}

#[test]
fn runs_of_several_lengths_are_compared_length_by_length() {
    let folder = TempDir::new().unwrap();
    let words = format!("{QUICK} --optimizers adam,lbfgs --seeds 2 --targets 0.05,0.9999 --json")
        .replace("--epochs 1", "--epochs 0.5,1,3 --validation 0.2");
    let output = compare(&folder, &words);
    let result: Value = serde_json::from_slice(&output.stdout).unwrap();
    let table = result["table"].as_array().unwrap();
    let epochs: Vec<f64> = table
        .iter()
        .map(|row| row["epochs"].as_f64().unwrap())
        .collect();
    assert_eq!(epochs, [0.5, 0.5, 1.0, 1.0, 3.0, 3.0]);
    for pair in table.chunks(2) {
        assert!(pair[0]["difference"].is_null(), "the first of its length");
        assert_eq!(pair[1]["difference"]["seeds"], 2);
    }
    // 240 samples in batches of 32: 8 steps an epoch.
    for (run, epochs) in result["runs"].as_array().unwrap().iter().zip(epochs) {
        assert_eq!(run["iterations"].as_f64().unwrap(), (8.0 * epochs).ceil());
    }
    // Neither target lies between the accuracies of the lengths.
    let lengths = result["lengths"].as_array().unwrap();
    assert_eq!(lengths.len(), 4);
    assert!(lengths.iter().all(|row| row["gradient_epochs"].is_null()));
    let markdown = fs::read_to_string(folder.path().join("c/compare.md")).unwrap();
    assert!(markdown.contains("out of range"), "{markdown}");
    assert!(folder.path().join("c/accuracy-lengths.svg").exists());
}

#[test]
fn tuning_gives_each_the_same_budget() {
    let folder = TempDir::new().unwrap();
    let output = compare(
        &folder,
        &format!("{QUICK} --optimizers adam,lbfgs-row --seeds 1 --tune 3 --json"),
    );
    let result: Value = serde_json::from_slice(&output.stdout).unwrap();
    for (name, tuning) in ["adam", "lbfgs-row"]
        .iter()
        .zip(result["tuning"].as_array().unwrap())
    {
        assert_eq!(tuning["name"], *name);
        let trials = tuning["trials"].as_array().unwrap();
        assert_eq!(trials.len(), 3);
        let best = tuning["best"].as_u64().unwrap() as usize;
        for trial in trials {
            let accuracy = |trial: &Value| trial["validation_accuracy"].as_f64().unwrap();
            assert!(accuracy(trial) <= accuracy(&trials[best]));
        }
        let run = result["runs"]
            .as_array()
            .unwrap()
            .iter()
            .find(|run| run["optimizer"]["name"] == *name);
        assert_eq!(
            run.unwrap()["optimizer"]["learning_rate"],
            trials[best]["learning_rate"]
        );
    }
    assert!(folder.path().join("c/trials.svg").exists());
}

/// Values and products count as gradients: a value as one of each sample, a product with the
/// Gauss-Newton matrix as two, with the Hessian as three.
#[test]
fn products_are_counted_in_gradient_epochs() {
    let folder = TempDir::new().unwrap();
    // 270 samples to train on, 10 steps of 27: 27 + 27 + 2 * 27 a step; 10 steps and a product of 54.
    let free = "hessian-free:batch=27:iterations=1:warm-start=0:product-samples=27";
    let flat = "lbfgs-flat:batch=27:pairs=products:pair-every=5:product-samples=54";
    let words = format!("{QUICK} --optimizers adam:batch=27,{free},{flat} --seeds 1 --json");
    let output = compare(&folder, &words);
    let result: Value = serde_json::from_slice(&output.stdout).unwrap();
    let counted = [0, 1, 2].map(|arm| result["runs"][arm]["gradient_epochs"].as_f64().unwrap());
    assert_eq!(counted, [1.0, 4.0, 1.0 + 3.0 * 54.0 / 270.0]);
}

#[test]
fn a_name_means_the_same_as_in_train() {
    let folder = TempDir::new().unwrap();
    let names = "adam adam-classic adam-plain adamw sgd lbfgs lbfgs:history=3:guard=no lbfgs-row lbfgs-factored \
                 lbfgs-armijo lbfgs-flat lbfgs-flat:pairs=products lbfgs-seed hessian-free";
    let names: Vec<&str> = names.split_whitespace().collect();
    let optimizers = names.join(",");
    let output = compare(
        &folder,
        &format!("{QUICK} --optimizers {optimizers} --seeds 1 --json"),
    );
    let result: Value = serde_json::from_slice(&output.stdout).unwrap();
    let common = QUICK.replace(
        "--evaluations 3 --out c",
        "--validation 0.1 --tolerance 0 --json",
    );
    for (name, compared) in names.iter().zip(result["runs"].as_array().unwrap()) {
        let output = secant(&folder, "train", &format!("{common} --optimizer {name}"));
        let trained: Value = serde_json::from_slice(&output.stdout).unwrap();
        for key in ["optimizer", "sha256", "iterations", "test_loss"] {
            assert_eq!(trained[key], compared[key], "{name}: {key}");
        }
    }
}

#[test]
fn what_is_wrong_is_told_in_one_line() {
    let folder = TempDir::new().unwrap();
    for (words, said) in [
        (
            "--optimizers sdg",
            "expected adam, adam-classic, adam-plain, adamw, sgd, lbfgs",
        ),
        ("--optimizers lbfgs:speed=3", "has no setting 'speed'"),
        (
            "--optimizers lbfgs:history=x",
            "history x: expected a whole number from 0 to 16",
        ),
        // As 'secant train' refuses them.
        (
            "--optimizers lbfgs:history=99",
            "--optimizers: 'lbfgs:history=99': history 99: lbfgs keeps 0 to 16 pairs",
        ),
        (
            "--optimizers adam:history=5",
            "history is an option of lbfgs, lbfgs-row",
        ),
        (
            "--optimizers adam:learning-rate=0",
            "learning-rate 0: expected a number above 0",
        ),
        (
            "--optimizers adam:decoupled=yes",
            "decoupled needs weight-decay",
        ),
        (
            "--optimizers lbfgs:refresh=0",
            "refresh 0: expected a whole number, at least 1",
        ),
        ("--targets 2", "expected a number above 0, at most 1"),
        ("--epochs 0", "expected a number above 0"),
        ("--epochs 1,2,1", "--epochs: 1 is there twice"),
        ("--optimizers adam,lbfgs,adam", "'adam' is there twice"),
        ("--targets 0.5,0.5", "--targets: 0.5 is there twice"),
        (
            "--seed 18446744073709551615",
            "--seed 18446744073709551615: 5 seeds from there on go beyond",
        ),
        (
            "--seed 1000001 --tune 2",
            "seed 1000003 is one of tuning's own",
        ),
        ("--validation 1", "expected a number above 0 and below 1"),
        ("--validation 0.9999", "it leaves 10 samples to train on"),
        (
            "--optimizers adam:batch=0",
            "batch 0: expected a number of samples",
        ),
        ("--threads 2", "--timing exclusive makes one at a time"),
        ("--timing exclusive --jobs 2", "makes one run at a time"),
        (
            "--optimizers lbfgs:init=zero",
            "init zero: expected one of he, lecun",
        ),
        (
            "--protocol deepobs --tune 2",
            "--tune needs validation samples",
        ),
        ("--protocol deepobs --model micro", "cannot be used with"),
        ("--reference none.json", "--reference none.json"),
    ] {
        let output = compare(&folder, &format!("--data synthetic {words}"));
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{words}: {error}");
        assert!(error.contains(said), "{words}: {error}");
    }
}
