//! What can be done with a run: evaluate it, ask it about a sample, list its layers, export it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use secant_tests::program::command;
use serde_json::Value;
use tempfile::TempDir;

fn secant(folder: &Path, words: &[&str]) -> Output {
    command(env!("CARGO_BIN_EXE_secant-under-test"), folder, words)
        .output()
        .unwrap()
}

fn text(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn json(folder: &Path, words: &[&str]) -> Value {
    let output = secant(folder, words);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{words:?}: {said}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// A short run on the built-in set, and what `train` said of it.
fn run(folder: &TempDir) -> (PathBuf, Value) {
    let said = json(
        folder.path(),
        &[
            "train",
            "--data",
            "synthetic",
            "--limit",
            "640",
            "--epochs",
            "1",
            "--seed",
            "3",
            "--out",
            "run",
            "--convolution",
            "direct",
            "--json",
        ],
    );
    (folder.path().join("run"), said)
}

#[test]
fn a_run_is_evaluated_predicted_and_summed_up() {
    let folder = TempDir::new().unwrap();
    let (run, trained) = run(&folder);
    let here = folder.path();
    // One sample at a time, and blocks: the accuracy that training has told.
    let one = json(here, &["evaluate", "run", "--lanes", "1", "--json"]);
    let accuracy = one["accuracy"].as_f64().unwrap();
    assert_eq!(accuracy, trained["test_accuracy"].as_f64().unwrap());
    let loss = one["log_loss"].as_f64().unwrap();
    assert!((loss - trained["test_loss"].as_f64().unwrap()).abs() < 1e-5);
    let blocks = json(here, &["evaluate", "run", "--json"]);
    assert!((blocks["log_loss"].as_f64().unwrap() - loss).abs() < 1e-4);
    let rows = one["confusion"].as_array().unwrap();
    let count = |row: &Value| {
        row.as_array()
            .unwrap()
            .iter()
            .map(|n| n.as_u64().unwrap())
            .sum::<u64>()
    };
    assert_eq!(
        rows.iter().map(count).sum::<u64>(),
        one["samples"].as_u64().unwrap()
    );
    let table = text(&secant(here, &["evaluate", "run"]));
    assert!(
        table.lines().all(|line| line.chars().count() <= 80),
        "{table}"
    );
    assert!(table.contains("Mistaken most often"), "{table}");

    // The class that is said is the one of the largest probability, and they add up to one.
    let said = json(here, &["predict", "run", "--index", "7", "--json"]);
    let classes = said["classes"].as_array().unwrap();
    let sum: f64 = classes
        .iter()
        .map(|class| class["probability"].as_f64().unwrap())
        .sum();
    assert!((sum - 1.0).abs() < 1e-5 && classes.len() == 10);
    assert!(text(&secant(here, &["predict", "run", "--index", "7"])).contains("The data says: "));

    let summary = json(here, &["summary", "run", "--json"]);
    assert_eq!(summary["parameters"], 5258);
    assert_eq!(
        summary["layers"][0]["output"],
        serde_json::json!([8, 26, 26])
    );
    // By hand, without the row and the column that the pool drops: 9 x 8 x 24 x 24 and so on.
    assert_eq!(
        summary["multiply_accumulates"],
        9 * 8 * 24 * 24 + 8 * 9 * 16 * 10 * 10 + 4000
    );

    for (format, files) in [
        ("onnx", &["network.onnx"][..]),
        ("rust", &["network.rs"]),
        ("c", &["network.c", "network.h"]),
        ("npz", &["network.npz"]),
    ] {
        assert!(
            secant(here, &["export", "run", "--format", format])
                .status
                .success()
        );
        for file in files {
            assert!(fs::metadata(run.join(file)).unwrap().len() > 100, "{file}");
        }
    }
}

#[test]
fn what_is_no_run_is_refused_in_one_line() {
    let folder = TempDir::new().unwrap();
    let (run, _) = run(&folder);
    let here = folder.path();
    fs::create_dir(here.join("empty")).unwrap();
    let refused = |words: &[&str], expected: &str| {
        let output = secant(here, words);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{words:?}: {said}");
        assert!(said.contains(expected), "{words:?}: {said}");
        assert!(output.stdout.is_empty(), "{words:?}");
    };
    refused(&["evaluate", "nowhere"], "expected the folder of a run");
    refused(&["evaluate", "empty"], "cannot read its config.json");
    refused(&["predict", "run", "--index", "99999999"], "there are");
    refused(&["predict", "run"], "<IMAGE>");
    refused(&["predict", "run", "run/config.json"], "PNG");
    refused(
        &["summary", "micor"],
        "neither a run's folder nor a network",
    );
    refused(
        &["export", "run", "--format", "c", "--out", "9.c"],
        "C identifier",
    );
    refused(&["evaluate", "run", "--lanes", "3"], "expected 1 or 16");
    // What cannot be told is not done.
    if let Ok(full) = fs::OpenOptions::new().write(true).open("/dev/full") {
        let status = command(
            env!("CARGO_BIN_EXE_secant-under-test"),
            here,
            ["summary", "seed"],
        )
        .stdout(full)
        .status();
        assert_eq!(status.unwrap().code(), Some(3));
    }
    // A model and a configuration that do not belong together, and a damaged one.
    let config = fs::read_to_string(run.join("config.json")).unwrap();
    fs::write(
        run.join("config.json"),
        config.replace("conv8k3", "conv9k3"),
    )
    .unwrap();
    refused(&["evaluate", "run"], "model.safetensors");
    fs::write(run.join("config.json"), &config[..config.len() / 2]).unwrap();
    refused(&["evaluate", "run"], "config.json is not one of a run");
    fs::write(run.join("config.json"), &config).unwrap();
    fs::remove_file(run.join("model.safetensors")).unwrap();
    fs::remove_file(run.join("best.safetensors")).unwrap();
    refused(&["export", "run", "--format", "onnx"], "model.safetensors");
}

/// Numbers from a column of a table: the run knows which, and the error is that of training.
#[test]
fn a_regression_is_evaluated_in_its_own_units() {
    let folder = TempDir::new().unwrap();
    let here = folder.path();
    let row = |i: u32| {
        let (a, b) = (i % 17, i % 23);
        format!("{a},{b},{}\n", 100 * a + 7 * b * b)
    };
    let table: String = (0..300).map(row).collect();
    fs::write(here.join("table.csv"), format!("a,b,price\n{table}")).unwrap();
    let words = [
        "train",
        "--data",
        "table.csv",
        "--predict",
        "price",
        "--epochs",
        "3",
        "--out",
        "run",
        "--json",
    ];
    let trained = json(here, &words);
    let one = json(here, &["evaluate", "run", "--json"]);
    let found = one["rmse"][0].as_f64().unwrap();
    let expected = trained["test_rmse"].as_f64().unwrap();
    assert!(
        (found - expected).abs() < 1e-5 * expected,
        "{found} {expected}"
    );
    let said = json(here, &["predict", "run", "--index", "0", "--json"]);
    assert_eq!(said["numbers"].as_array().unwrap().len(), 1);
    assert!(said["truth"].is_string());
}
