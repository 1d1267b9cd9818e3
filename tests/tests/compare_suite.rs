//! `secant compare --suite`: several comparisons, one summary.

use std::fs;
use std::process::{Command, Output, Stdio};
use std::thread::sleep;
use std::time::Duration;

use secant_tests::program::{self, signal};
use serde_json::Value;
use tempfile::TempDir;

const PROGRAM: &str = env!("CARGO_BIN_EXE_secant-under-test");

const PROBLEMS: [&str; 5] = ["micro", "micro-5000", "lenet", "seed-12000", "garments"];

/// A suite of a few seconds, on the built-in set in place of Fashion-MNIST.
const QUICK: &str = "compare --suite small --data synthetic --limit 200 --evaluations 3 --json";

fn command(folder: &TempDir, words: &str) -> Command {
    program::command(PROGRAM, folder, words.split_whitespace())
}

fn run(folder: &TempDir, words: &str) -> Output {
    command(folder, words).output().unwrap()
}

fn error(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The summary of a suite that must succeed.
fn summary(output: &Output) -> Value {
    assert!(output.status.success(), "{}", error(output));
    serde_json::from_slice(&output.stdout).expect("exactly one JSON value")
}

/// A summary without what depends on the clock.
fn timeless(mut summary: Value) -> Value {
    for key in ["command", "standings"] {
        summary[key] = Value::Null;
    }
    for time in summary["times"].as_array_mut().unwrap() {
        time["seconds"] = Value::Null;
        time["ratio_seconds"] = Value::Null;
    }
    summary
}

#[test]
fn a_suite_scores_what_its_comparisons_found() {
    let folder = TempDir::new().unwrap();
    // One that learns, one that learns less, and one whose every run diverges.
    let words = QUICK.replace("--limit 200", "--limit 1200");
    let wild = "sgd:learning-rate=1e30";
    let words = format!("{words} --optimizers adam,adam:rate-factor=0.1,{wild} --seeds 2 --out s");
    let output = run(&folder, &words);
    let found = summary(&output);
    assert_eq!(found["complete"], true);
    assert_eq!(found["problems"], 15);
    let times = found["times"].as_array().unwrap();
    assert_eq!(times.len(), 45);
    // Every time is that of its own comparison.
    for time in times {
        let name = time["problem"].as_str().unwrap();
        let text = fs::read_to_string(folder.path().join("s").join(name).join("compare.json"));
        let result: Value = serde_json::from_str(&text.unwrap()).unwrap();
        let rows = result["table"].as_array().unwrap();
        let row = rows.iter().find(|row| row["name"] == time["optimizer"]);
        let mut targets = row.unwrap()["targets"].as_array().unwrap().iter();
        let own = targets.find(|own| own["target"] == time["target"]).unwrap();
        for key in ["gradient_epochs", "seconds", "reached"] {
            assert_eq!(time[key], own[key], "{name}: {key}");
        }
    }
    // The score by its definition, from the file of times.
    let solved = |name: &str, key: &str| -> Vec<f64> {
        let own = times.iter().filter(|time| time["optimizer"] == name);
        own.map(|time| time[key].as_f64().unwrap_or(f64::INFINITY))
            .collect()
    };
    let mut scores = Vec::new();
    for standing in found["standings"].as_array().unwrap() {
        let name = standing["optimizer"].as_str().unwrap();
        for (score, key) in [("score", "seconds"), ("score_epochs", "gradient_epochs")] {
            let own = solved(name, key);
            let mut sum = 0.0;
            for (p, time) in own.iter().enumerate() {
                let best = ["adam", "adam:rate-factor=0.1", wild]
                    .map(|other| solved(other, key)[p])
                    .into_iter()
                    .fold(f64::INFINITY, f64::min);
                if time.is_finite() {
                    sum += (4.0 - time / best).max(0.0) / 3.0;
                }
            }
            let score = standing[score].as_f64().unwrap();
            assert!((score - sum / 15.0).abs() < 1e-9, "{name}: {score}");
            scores.push(score);
        }
    }
    assert!(scores[0] > 0.0 && scores[0] > scores[2], "{scores:?}");
    assert_eq!(scores[4..], [0.0, 0.0], "every run of it diverged");

    let read = |name: &str| fs::read_to_string(folder.path().join("s").join(name)).unwrap();
    let options = roxmltree::ParsingOptions {
        allow_dtd: true,
        ..roxmltree::ParsingOptions::default()
    };
    let page = read("report.html");
    roxmltree::Document::parse_with_options(&page, options).expect("well-formed");
    assert!(page.contains("id=\"profile-seconds\"") && page.contains("id=\"profile-epochs\""));
    assert_eq!(read("suite.csv").lines().count(), 46);
    assert!(read("suite.md").contains("| micro-5000 |"));
    // The profile's figure ends at the share of what is reached in four times the least.
    let profile = read("profile-seconds.csv");
    let last = profile
        .lines()
        .rfind(|line| line.starts_with("adam,"))
        .unwrap();
    let cells: Vec<&str> = last.split(',').collect();
    let ratios = solved("adam", "ratio_seconds");
    let within = ratios.iter().filter(|ratio| **ratio <= 4.0).count() as f64;
    assert_eq!(cells[1], "4");
    assert!((cells[2].parse::<f64>().unwrap() - within / 0.15).abs() < 1e-9);

    // Again: the very same, seconds included, so nothing was run.
    assert_eq!(run(&folder, &words).stdout, output.stdout);
}

#[cfg(unix)]
#[test]
fn an_interrupted_suite_goes_on_and_takes_no_foreign_run() {
    let folder = TempDir::new().unwrap();
    let words = format!("{QUICK} --optimizers adam,lbfgs --seeds 1 --jobs 1 --out");
    let undisturbed = timeless(summary(&run(&folder, &format!("{words} whole"))));
    for (name, code) in [("INT", Some(130)), ("KILL", None)] {
        let out = folder.path().join(name);
        let mut child = command(&folder, &format!("{words} {name}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // Until the third problem is under way.
        while !out.join("lenet/runs").exists() && child.try_wait().unwrap().is_none() {
            sleep(Duration::from_millis(1));
        }
        signal(&child, name);
        assert_eq!(child.wait().unwrap().code(), code, "{name}");
        assert!(!out.join("suite.json").exists());
        // A run of another problem under the name of one of this, and one that is cut off.
        let kept = |problem: &str| {
            let mut files: Vec<_> = fs::read_dir(out.join(problem).join("runs"))
                .unwrap()
                .map(|file| file.unwrap().path())
                .collect();
            files.sort();
            files
        };
        let (micro, few) = (kept("micro"), kept("micro-5000"));
        assert_eq!((micro.len(), few.len()), (2, 2));
        fs::copy(&few[0], &micro[0]).unwrap();
        let whole = fs::read(&few[1]).unwrap();
        fs::write(&few[1], &whole[..whole.len() / 2]).unwrap();
        let resumed = run(&folder, &format!("{words} {name}"));
        assert_eq!(timeless(summary(&resumed)), undisturbed);
        let told = error(&resumed);
        assert_eq!(
            told.matches("damaged, or of another run").count(),
            2,
            "{told}"
        );
    }
}

#[test]
fn a_folder_holds_one_suite() {
    let folder = TempDir::new().unwrap();
    let words = format!("{QUICK} --optimizers adam --seeds 1 --out s");
    let start = || {
        let mut command = command(&folder, &words);
        let command = command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().unwrap()
    };
    let outputs = [start(), start()].map(|child| child.wait_with_output().unwrap());
    let codes = outputs.each_ref().map(|output| output.status.code());
    assert!(codes.contains(&Some(0)), "{codes:?}");
    for output in outputs {
        let refused = error(&output).contains("another secant is at work in this folder");
        assert!(output.status.success() || (output.status.code() == Some(2) && refused));
    }
    assert!(
        PROBLEMS
            .iter()
            .all(|name| folder.path().join("s").join(name).is_dir())
    );

    // Another suite in the folder, a comparison in it, a suite in a comparison's.
    let quick = "compare --data synthetic --limit 200 --epochs 1 --model linear10 --seeds 1";
    let plain = run(&folder, &format!("{quick} --out c"));
    assert!(plain.status.success(), "{}", error(&plain));
    for (words, said) in [
        (
            words.replace("adam", "sgd"),
            "holds another comparison (optimizers",
        ),
        (
            words.replace("--seeds 1", "--seeds 1 --seed 5"),
            "(seeds with 0)",
        ),
        (format!("{quick} --out s"), "holds a suite"),
        (words.replace("--out s", "--out c"), "holds a comparison"),
        (
            words.replace("--seeds", "--epochs 3 --seeds"),
            "cannot be used with",
        ),
    ] {
        let output = run(&folder, &words);
        assert_eq!(output.status.code(), Some(2), "{words}");
        assert!(error(&output).contains(said), "{words}: {}", error(&output));
    }
    // More of the same goes on.
    let more = run(&folder, &words.replace("adam", "adam,sgd"));
    assert_eq!(summary(&more)["standings"].as_array().unwrap().len(), 2);
}
