//! `secant hessian`: what it finds, and what it refuses.

use std::fs;
use std::path::Path;
use std::process::Output;

use secant_tests::program::command;
use serde_json::Value;

const PROGRAM: &str = env!("CARGO_BIN_EXE_secant-under-test");

fn run(folder: &Path, words: &str) -> Output {
    let words = words.split(' ').filter(|word| !word.is_empty());
    command(PROGRAM, folder, words.map(|word| word.replace('_', " ")))
        .output()
        .unwrap()
}

fn ok(folder: &Path, words: &str) -> String {
    let output = run(folder, words);
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{words}: {error}");
    String::from_utf8(output.stdout).unwrap()
}

/// One line, and the code of wrong options.
fn refused(folder: &Path, words: &str, why: &str) {
    let output = run(folder, words);
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{words}: {error}");
    assert!(error.contains(why), "{words}: {error}");
}

const SMALL: &str = "--data synthetic --limit 300 --model conv2k5s3_tanh_linear10 --epochs 1";

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or(f64::NAN)
}

/// What is found by products against every eigenvalue of the dense matrix, of which as many are
/// negative as there are weights in the convolution: on those of the last layer the loss is convex.
#[test]
fn estimates_agree_with_every_eigenvalue() {
    let folder = tempfile::tempdir().unwrap();
    let look = format!("hessian {SMALL} --optimizer adam --samples 60 --at 50%,final --json");
    let read = |words: &str| -> Value { serde_json::from_str(&ok(folder.path(), words)).unwrap() };
    let exact = read(&format!("{look} --exact --out exact"));
    let found = read(&format!("{look} --probes 8 --out found --threads 2"));
    assert_eq!(found["points"].as_array().unwrap().len(), 2);
    for at in 0..2 {
        let (exact, found) = (&exact["points"][at], &found["points"][at]);
        for end in ["largest", "smallest"] {
            let (a, b) = (
                number(&exact["hessian"][end]),
                number(&found["hessian"][end]),
            );
            let size = number(&exact["hessian"]["largest"]);
            assert!((a - b).abs() < 1e-4 * size, "{end}: {a} {b}");
        }
        let (a, b) = (number(&exact["trace"]), number(&found["trace"]));
        let error = number(&found["trace_error"]);
        assert!(
            (a - b).abs() < 4.0 * error,
            "trace {a}, estimated {b} +- {error}"
        );
        for power in 0..4 {
            let moment = |point: &Value| number(&point["moments"][power]);
            let (a, b) = (moment(exact), moment(found));
            assert!((a - b).abs() < 0.02 * a.abs(), "moment {power}: {a} {b}");
        }
        let count = |point: &Value| number(&point["negative"]["count"]);
        // The weights before the last layer bound it; Lanczos resolves some of them.
        assert_eq!(count(exact), 52.0);
        assert!((1.0..=52.0).contains(&count(found)), "{}", count(found));
        assert!(
            number(&found["gauss_newton"]["smallest"]) > -number(&found["gauss_newton"]["floor"])
        );
        assert!(
            number(&exact["hessian"]["condition"]) >= 0.99 * number(&found["hessian"]["condition"])
        );
        assert!(number(&found["stability"]["limit"]) > 0.0);
        let shares = found["vectors"][0]["layers"].as_array().unwrap();
        let sum: f64 = shares.iter().map(|share| number(&share[1])).sum();
        assert!((sum - 1.0).abs() < 1e-9);
    }
    for file in [
        "hessian.json",
        "spectrum-50percent.svg",
        "spectrum-final.csv",
        "sharpness.svg",
    ] {
        assert!(folder.path().join("found").join(file).is_file(), "{file}");
    }
}

/// A run's folder has what it takes to look at its first and its last weights, and looking along the
/// same run finds the same, whatever the number of threads.
#[test]
fn a_folder_and_a_run_along_show_the_same() {
    let folder = tempfile::tempdir().unwrap();
    ok(
        folder.path(),
        &format!("train {SMALL} --optimizer lbfgs --seed 3 --out run"),
    );
    let look = "--samples 50 --lanczos 20 --probes 1 --seed 3 --json";
    let read = |words: &str| -> Value { serde_json::from_str(&ok(folder.path(), words)).unwrap() };
    let one = read(&format!(
        "hessian run {look} --at initial,best,final --threads 1"
    ));
    let along =
        format!("hessian {SMALL} --optimizer lbfgs {look} --at initial,best,final --threads 2");
    let other = read(&along);
    assert_eq!(one["points"].as_array().unwrap().len(), 3);
    for at in 0..3 {
        for key in ["loss", "hessian", "gauss_newton", "trace", "moments"] {
            assert_eq!(one["points"][at][key], other["points"][at][key], "{key}");
        }
    }
    let text = ok(
        folder.path(),
        &format!("hessian run {}", look.replace("--json", "")),
    );
    for words in [
        "1. Too expensive?",
        "2. Not positive definite?",
        "3. Ill-conditioned?",
    ] {
        assert!(text.contains(words), "{text}");
    }
    assert!(
        text.lines().skip(1).all(|line| line.chars().count() <= 80),
        "{text}"
    );
}

#[test]
fn what_cannot_be_looked_at_is_refused_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    refused(at, "hessian nowhere", "expected the folder of a run");
    fs::create_dir(at.join("empty")).unwrap();
    refused(at, "hessian empty", "config.json");
    ok(at, &format!("train {SMALL} --out run"));
    refused(at, "hessian run --samples 0", "--samples");
    refused(at, "hessian run --lanczos 0", "--lanczos");
    refused(
        at,
        "hessian run --at 10%",
        "first, best and last weights only",
    );
    refused(
        at,
        "hessian run --every 5",
        "first, best and last weights only",
    );
    refused(
        at,
        "hessian run --at elsewhere",
        "expected initial, best, final",
    );
    refused(
        at,
        "hessian --data synthetic --model lenet --exact",
        "at most 6000",
    );
    // Weights that are not finite: the last float of the file.
    let file = at.join("run/model.safetensors");
    let whole = fs::read(&file).unwrap();
    let mut bytes = whole.clone();
    let end = bytes.len();
    bytes[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
    fs::write(&file, &bytes).unwrap();
    refused(at, "hessian run", "NaN");
    fs::remove_file(&file).unwrap();
    // The best weights would do, and what else is there when they are not?
    fs::remove_file(at.join("run/best.safetensors")).unwrap();
    refused(at, "hessian run", "model.safetensors");
    assert!(!at.join("run/hessian").exists(), "nothing was written");
}
