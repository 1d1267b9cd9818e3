//! The program as a person or a script meets it: output, files, exit status.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use safetensors::SafeTensors;
use secant_harness::digest::sha256;
use secant_tests::program::command;
use serde_json::Value;
use tempfile::TempDir;

/// The program in an empty folder.
fn secant(folder: &TempDir, words: &str) -> Command {
    let words = words.split(' ').filter(|word| !word.is_empty());
    command(env!("CARGO_BIN_EXE_secant-under-test"), folder, words)
}

fn run(folder: &TempDir, words: &str) -> Output {
    secant(folder, words).output().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// A run that must end well.
fn succeed(folder: &TempDir, words: &str) -> Output {
    let output = run(folder, words);
    assert!(output.status.success(), "{words}: {}", stderr(&output));
    output
}

/// A command that must end with `status`; returns the one line that it says.
fn fail(folder: &TempDir, words: &str, status: i32) -> String {
    let output = run(folder, words);
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(status), "{words}: {said}");
    assert!(!said.contains("panicked"), "{said}");
    said
}

/// What `--json` printed.
fn json(output: &Output) -> Value {
    let text = stdout(output);
    assert_eq!(text.matches('\n').count(), 1, "one line");
    serde_json::from_str(&text).expect("exactly one JSON value")
}

/// A run of a second or less.
const QUICK: &str =
    "train --data synthetic --limit 300 --epochs 2 --threads 1 --model pool4,linear10";

#[test]
fn help_teaches_and_typos_get_a_hint() {
    let folder = TempDir::new().unwrap();
    for words in [
        "--help",
        "help",
        "help train",
        "train --help",
        "train -h",
        "--version",
    ] {
        let output = succeed(&folder, words);
        assert!(stderr(&output).is_empty());
        assert!(
            stdout(&output)
                .lines()
                .all(|line| line.chars().count() <= 100),
            "{words}: a line over 100 columns"
        );
    }
    let help = stdout(&succeed(&folder, "train --help"));
    for part in [
        "Examples:",
        "Exit status:",
        "SECANT_ISA",
        "5,258",
        "[default: 0.2]",
        "--max-iter <N>",
    ] {
        assert!(help.contains(part), "no {part}");
    }

    assert!(fail(&folder, "", 2).contains("Usage:"));
    assert!(fail(&folder, "tarin", 2).contains("'train'"));
    assert!(fail(&folder, "train --epoch 3", 2).contains("--epochs"));
    assert!(fail(&folder, "train --optimizer adm", 2).contains("adam"));
    assert!(fail(&folder, "train --model micor", 2).contains("did you mean 'micro'?"));
    assert!(fail(&folder, "train --schedule linaer", 2).contains("linear"));
    for (words, expected) in [
        (
            "train --validation 1",
            "expected a number from 0 to below 1",
        ),
        (
            "train --validation -0.1",
            "expected a number from 0 to below 1",
        ),
        ("train --learning-rate 0", "expected a number above 0"),
        ("train --learning-rate nan", "expected a number above 0"),
        ("train --tolerance -1", "expected a number, at least 0"),
        (
            "train --batch 0",
            "expected a number of samples, at least 1, or 'full'",
        ),
        (
            "train --history x --optimizer lbfgs",
            "--history x: expected a whole number from 0 to 16",
        ),
        ("train --threads 0", "expected a number from 1 to 256"),
        ("train --epochs 0", "0 is not in 1.."),
        ("train --limit 0", "invalid value '0'"),
        (
            "train --history 5",
            "--history is an option of lbfgs, lbfgs-row, lbfgs-factored, lbfgs-armijo, \
             lbfgs with --batch full and lbfgs-seed, not of adam",
        ),
        (
            "train --no-guard",
            "--no-guard is an option of lbfgs, lbfgs-row and lbfgs-factored, not of adam",
        ),
        (
            "train --optimizer lbfgs --batch full --schedule linear",
            "not of lbfgs with --batch full",
        ),
        (
            "train --optimizer lbfgs --scaling scalar",
            "an option of lbfgs-armijo and lbfgs with --batch full, not of lbfgs",
        ),
        (
            "train --optimizer lbfgs-seed --line-search armijo",
            "not of lbfgs-seed",
        ),
        (
            "train --optimizer lbfgs-flat --decoupled",
            "not of lbfgs-flat",
        ),
        (
            "train --optimizer lbfgs --repair inner",
            "--repair is an option of lbfgs-seed, not of lbfgs",
        ),
        (
            "train --optimizer lbfgs --history 17",
            "--history 17: lbfgs keeps 0 to 16 pairs",
        ),
        (
            "train --optimizer lbfgs-armijo --history 0",
            "--history 0: lbfgs-armijo keeps 1 to 32 pairs",
        ),
        (
            "train --optimizer lbfgs --nesterov",
            "--nesterov is an option of adam",
        ),
        ("train --decoupled", "--decoupled needs --weight-decay"),
        (
            "train --optimizer lbfgs:speed=3",
            "lbfgs has no setting 'speed'; it has learning-rate",
        ),
        (
            "train --optimizer lbfgs:speed",
            "expected KEY=VALUE after 'lbfgs:', found 'speed'",
        ),
        (
            "train --optimizer adam:batch=0",
            "--batch 0: expected a number of samples, at least 1, or 'full'",
        ),
        ("train --force", "--out"),
    ] {
        assert!(
            fail(&folder, words, 2).contains(expected),
            "{words}: no '{expected}'"
        );
    }
    assert_eq!(
        fs::read_dir(&folder).unwrap().count(),
        0,
        "none of these touches the disk"
    );
}

#[test]
fn without_data_it_says_so_and_trains_on_the_built_in_set() {
    let folder = TempDir::new().unwrap();
    if Path::new("/usr/share/datasets/fashion-mnist").exists() {
        println!("skipped: Fashion-MNIST is installed, so there is no lack of data");
        return;
    }
    let output = succeed(&folder, &QUICK.replace("--data synthetic ", ""));
    assert!(stderr(&output).contains("'secant data fetch' gets the real images"));
    assert!(stdout(&output).starts_with(
        "synthetic: 240 training, 60 validation and 10000 test samples from built-in\n"
    ));
}

#[test]
fn wrong_data_is_one_line_and_status_2() {
    let folder = TempDir::new().unwrap();
    assert_eq!(
        fail(&folder, "train --data nowhere", 2),
        "secant: nowhere: expected a folder or file with data, found neither; 'secant data fetch' gets Fashion-MNIST, and \
         --data synthetic does without\n"
    );
    let data = folder.path().join("data/fashion-mnist");
    fs::create_dir_all(&data).unwrap();
    // An empty folder holds nothing to be wrong about; a truncated file does.
    fs::write(
        data.join("train-images-idx3-ubyte"),
        [0, 0, 8, 3, 0, 0, 0, 1, 0, 0, 0, 28, 0, 0, 0, 28, 7],
    )
    .unwrap();
    fs::write(
        data.join("train-labels-idx1-ubyte"),
        [0, 0, 8, 1, 0, 0, 0, 1, 7],
    )
    .unwrap();
    assert_eq!(
        fail(&folder, "train", 2),
        "secant: data/fashion-mnist/train-images-idx3-ubyte: expected 784 bytes of elements (1 x 28 x 28), found only \
         1: the file is truncated\n"
    );
    let output = secant(&folder, "train")
        .env("SECANT_DATA", "elsewhere")
        .output()
        .unwrap();
    assert!(
        stderr(&output).starts_with("secant: elsewhere: expected a folder"),
        "the environment comes first"
    );
    assert!(
        !folder.path().join("runs").exists(),
        "no folder for a run that never began"
    );
}

#[test]
fn a_run_leaves_four_whole_files() {
    let folder = TempDir::new().unwrap();
    let output = succeed(&folder, &format!("{QUICK} --out out --seed 7"));
    let text = stdout(&output);
    for part in [
        "\n    2 ",
        "\ntrain  ",
        "\nvalidation  ",
        "\ntest  ",
        "stopped: all epochs done.",
        "The run's files are in out.",
    ] {
        assert!(text.contains(part), "no '{part}' in {text}");
    }
    let out = folder.path().join("out");
    let mut names: Vec<_> = fs::read_dir(&out)
        .unwrap()
        .map(|file| file.unwrap().file_name())
        .collect();
    names.sort();
    assert_eq!(
        names,
        [
            "best.safetensors",
            "config.json",
            "config.toml",
            "curves.svg",
            "metrics.csv",
            "model.safetensors",
            "result.json",
            "weights.bin"
        ]
    );

    let config: Value =
        serde_json::from_slice(&fs::read(out.join("config.json")).unwrap()).unwrap();
    assert_eq!(config["model"]["spec"], "pool4 linear10");
    assert_eq!(
        (&config["seed"], &config["limit"], &config["init"]),
        (&7.into(), &300.into(), &"pytorch".into())
    );
    assert_eq!(config["optimizer"]["name"], "adam-classic");
    assert!(config["isa"].is_string() && config["threads"].is_u64() && config["batch"].is_u64());

    let metrics = fs::read_to_string(out.join("metrics.csv")).unwrap();
    let lines: Vec<_> = metrics.lines().collect();
    assert_eq!(
        lines[0],
        "epoch,iteration,gradient_epochs,seconds,train_loss,validation_loss,validation_accuracy"
    );
    assert_eq!(lines.len(), 3);
    assert!(lines[2].starts_with("2,8,2,"));

    let curves = fs::read_to_string(out.join("curves.svg")).unwrap();
    assert!(curves.starts_with("<svg") && curves.contains("accuracy (%)"));

    let model = fs::read(out.join("model.safetensors")).unwrap();
    let (_, metadata) = SafeTensors::read_metadata(&model).unwrap();
    let about: Value =
        serde_json::from_str(&metadata.metadata().as_ref().unwrap()["secant"]).unwrap();
    assert_eq!(about["model"], "pool4 linear10");
    let tensors = SafeTensors::deserialize(&model).unwrap();
    assert_eq!(tensors.tensor("1.weight").unwrap().shape(), [10, 49]);
    assert_eq!(tensors.tensor("1.bias").unwrap().shape(), [10]);
    assert_eq!(tensors.len(), 2);
}

#[test]
fn json_is_one_object_with_exactly_the_documented_keys() {
    let folder = TempDir::new().unwrap();
    let output = succeed(&folder, &format!("{QUICK} --out out --json --batch 100"));
    let record = json(&output);
    let keys = |value: &Value| {
        value
            .as_object()
            .unwrap()
            .keys()
            .map(String::as_str)
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(
        keys(&record),
        "version build machine dataset model parameters optimizer loss seed threads isa epochs iterations gradient_epochs \
         seconds clock stop_reason train_loss train_loss_samples validation_accuracy test_loss test_accuracy class_accuracy \
         confusion collapsed best_epoch sha256 history settings"
    );
    assert_eq!(
        keys(&record["dataset"]),
        "name source shape classes class_names sha256 train validation test"
    );
    assert_eq!(keys(&record["sha256"]), "initial final");
    assert_eq!(
        keys(&record["history"][0]),
        "epoch iteration gradient_epochs train_seconds seconds train_loss validation_loss validation_accuracy"
    );
    assert!(keys(&record["optimizer"]).starts_with("name "));
    assert_eq!(
        (&record["epochs"], &record["iterations"]),
        (&2.into(), &6.into()),
        "three batches of 240 samples"
    );
    assert_eq!(record["gradient_epochs"], 2.0);
    assert_eq!(record["stop_reason"], "epochs");
    assert_eq!(record["parameters"], 500);
    let history = record["history"].as_array().unwrap();
    assert_eq!(history.len(), 2);
    assert_eq!(
        history[1]["validation_accuracy"],
        record["validation_accuracy"]
    );
    assert!(history[1]["train_seconds"].as_f64() < history[1]["seconds"].as_f64());

    // The hash is that of the weights as they lie in the file: one layer, weights before biases.
    let model = fs::read(folder.path().join("out/model.safetensors")).unwrap();
    let tensors = SafeTensors::deserialize(&model).unwrap();
    let numbers = |name: &str| {
        let data = tensors.tensor(name).unwrap().data();
        data.chunks_exact(4)
            .map(|b| f32::from_le_bytes(b.try_into().unwrap()))
            .collect::<Vec<f32>>()
    };
    assert_eq!(
        record["sha256"]["final"],
        sha256(&[numbers("1.weight"), numbers("1.bias")].concat())
    );
}

#[test]
fn the_same_seed_gives_the_same_bits_on_any_number_of_threads() {
    let folder = TempDir::new().unwrap();
    let words = "train --data synthetic --limit 400 --max-iter 7 --batch 50 --json --model";
    for model in ["micro", "conv4k5s2 relu dropout0.3 linear10"] {
        for optimizer in ["adam", "lbfgs", "lbfgs-armijo"] {
            let model = model.replace(' ', ",");
            let words = format!("{words} {model} --optimizer {optimizer}");
            let record = |more: &str| json(&succeed(&folder, &format!("{words} {more}")));
            let first = record("--threads 1 --seed 3");
            assert_eq!(
                (&first["iterations"], &first["stop_reason"]),
                (&7.into(), &"max_iterations".into())
            );
            for threads in [1, 2, 5] {
                let again = record(&format!("--threads {threads} --seed 3"));
                for key in [
                    "sha256",
                    "gradient_epochs",
                    "test_loss",
                    "test_accuracy",
                    "validation_accuracy",
                ] {
                    assert_eq!(
                        first[key], again[key],
                        "{model}, {optimizer}, {threads} threads: {key}"
                    );
                }
            }
            let other = record("--seed 4");
            assert_ne!(first["sha256"]["initial"], other["sha256"]["initial"]);
            assert_ne!(first["sha256"]["final"], other["sha256"]["final"]);
        }
    }
}

#[test]
fn seeds_not_optimisers_decide_the_initial_weights() {
    let folder = TempDir::new().unwrap();
    let initial = |more: &str| {
        json(&succeed(&folder, &format!("{QUICK} --json {more}")))["sha256"]["initial"].clone()
    };
    let first = initial("");
    assert_eq!(first, initial("--optimizer lbfgs --batch 30"));
    assert_ne!(first, initial("--init he"));
    assert_ne!(first, initial("--seed 1"));
}

#[test]
fn every_gradient_is_counted() {
    let folder = TempDir::new().unwrap();
    // Without a line search: one gradient an image and epoch.
    let adam = json(&succeed(
        &folder,
        &format!("{QUICK} --json --validation 0 --batch 7"),
    ));
    assert_eq!(adam["gradient_epochs"], 2.0);
    assert_eq!(adam["dataset"]["train"], 300);
    assert_eq!(adam["dataset"]["validation"], 0);
    assert!(adam["validation_accuracy"].is_null());
    assert_eq!(adam["iterations"], 2 * 43, "the last batch is kept");
    // With Armijo's: at least two evaluations of each mini-batch, a whole number of them for
    // batches of one size.
    let lbfgs = json(&succeed(
        &folder,
        &format!("{QUICK} --json --validation 0 --batch 50 --optimizer lbfgs-armijo"),
    ));
    let evaluations = lbfgs["gradient_epochs"].as_f64().unwrap() * 6.0;
    assert!(
        (evaluations - evaluations.round()).abs() < 1e-9 && evaluations >= 24.0,
        "{evaluations}"
    );
    // Full batch: one evaluation at the start, then at least one a step.
    let full = json(&succeed(
        &folder,
        &format!("{QUICK} --json --validation 0 --batch full --optimizer lbfgs --epochs 5"),
    ));
    let evaluations = full["gradient_epochs"].as_f64().unwrap();
    assert!(
        evaluations >= 6.0 && evaluations.fract() == 0.0,
        "{evaluations}"
    );
    assert_eq!(full["iterations"], 5);
}

#[test]
fn full_batch_lbfgs_lowers_the_loss_in_every_step() {
    let folder = TempDir::new().unwrap();
    let words = "train --data synthetic --limit 500 --epochs 25 --batch full --optimizer lbfgs --json --model conv4k5s3,relu,linear10";
    let record = json(&succeed(&folder, words));
    let losses: Vec<f64> = record["history"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| r["train_loss"].as_f64().unwrap())
        .collect();
    assert!(
        losses.windows(2).all(|pair| pair[1] < pair[0]),
        "{losses:?}"
    );
    assert!(losses[losses.len() - 1] < 0.5 * losses[0], "{losses:?}");
}

#[test]
fn a_tolerance_stops_the_run() {
    let folder = TempDir::new().unwrap();
    let record = json(&succeed(
        &folder,
        &format!("{QUICK} --json --epochs 50 --tolerance 0.5"),
    ));
    assert_eq!(record["stop_reason"], "tolerance");
    let history = record["history"].as_array().unwrap();
    let losses: Vec<f64> = history
        .iter()
        .map(|r| r["train_loss"].as_f64().unwrap())
        .collect();
    let small: Vec<bool> = losses
        .windows(2)
        .map(|pair| (pair[1] - pair[0]).abs() < 0.5)
        .collect();
    assert!(
        small.last() == Some(&true) && small[..small.len() - 1].iter().all(|small| !small),
        "{losses:?}"
    );
}

#[test]
fn a_saved_model_is_fine_tuned() {
    let folder = TempDir::new().unwrap();
    let network = "--model conv4k5s3,relu,linear10";
    let quick = QUICK.replacen("--model pool4,linear10", network, 1);
    succeed(&folder, &format!("{quick} --out first"));
    let weights = "--weights first/model.safetensors";
    for optimizer in ["adam", "lbfgs", "lbfgs-row", "lbfgs-armijo"] {
        let words = format!("{quick} {weights} --freeze 2 --optimizer {optimizer} --json");
        let record = json(&succeed(&folder, &format!("{words} --out {optimizer}")));
        let first = fs::read(folder.path().join("first/weights.bin")).unwrap();
        let second = fs::read(folder.path().join(optimizer).join("weights.bin")).unwrap();
        let frozen = 4 * (4 * 25 + 4);
        assert_eq!(first[..frozen], second[..frozen], "{optimizer}");
        assert_ne!(first[frozen..], second[frozen..], "{optimizer}");
        assert_eq!(
            record["parameters"].as_u64().unwrap(),
            first.len() as u64 / 4
        );
        let config = fs::read(folder.path().join(optimizer).join("config.json")).unwrap();
        let config: Value = serde_json::from_slice(&config).unwrap();
        assert_eq!(config["start"]["frozen_layers"], 2);
        assert_eq!(config["start"]["sha256"], record["sha256"]["initial"]);
    }
    // Without --freeze the run goes on where the other one ended.
    let record = json(&succeed(
        &folder,
        &format!("{quick} {weights} --json --out on"),
    ));
    assert_ne!(record["sha256"]["initial"], record["sha256"]["final"]);
    for (more, code, what) in [
        ("--freeze 2", 2, "--weights"),
        ("--weights nowhere", 2, "cannot be opened"),
        ("--weights first/config.json", 2, "not a model.safetensors"),
        (&format!("{weights} --freeze 3"), 2, "left to train"),
        (
            &format!("{weights} --model micro"),
            2,
            "'conv4k5s3 relu linear10'",
        ),
        (&format!("{weights} --init he"), 2, "--init"),
    ] {
        let said = stderr(&{
            let output = run(&folder, &format!("{quick} {more} --out other"));
            assert_eq!(output.status.code(), Some(code), "{more}");
            output
        });
        assert!(said.contains(what), "{more}: {said}");
    }
}

#[test]
fn a_diverging_run_says_so_and_saves_no_model() {
    let folder = TempDir::new().unwrap();
    let words = format!(
        "{QUICK} --model conv4k5s3,relu,linear10 --out out --learning-rate 1e30 --schedule constant"
    );
    let words = words.replacen("--model pool4,linear10 ", "", 1);
    for more in ["", " --json --force"] {
        let output = run(&folder, &format!("{words}{more}"));
        assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
        assert!(stderr(&output).contains("diverged"), "{}", stderr(&output));
        assert!(stderr(&output).contains("no model was saved"));
        assert!(folder.path().join("out/metrics.csv").exists());
        assert!(!folder.path().join("out/model.safetensors").exists());
        if !more.is_empty() {
            let record = json(&output);
            assert_eq!(
                (&record["stop_reason"], &record["collapsed"]),
                (&"diverged".into(), &true.into())
            );
            assert!(record["train_loss"].is_null());
        }
    }
}

#[test]
fn an_earlier_run_is_not_overwritten_unless_forced() {
    let folder = TempDir::new().unwrap();
    fs::create_dir(folder.path().join("out")).unwrap();
    succeed(&folder, &format!("{QUICK} --out out"));
    let before = fs::read(folder.path().join("out/model.safetensors")).unwrap();
    let said = fail(&folder, &format!("{QUICK} --out out --seed 1"), 2);
    assert_eq!(
        said,
        "secant: --out out: already holds a run; choose another folder, or replace it with --force\n"
    );
    assert_eq!(
        fs::read(folder.path().join("out/model.safetensors")).unwrap(),
        before
    );
    succeed(&folder, &format!("{QUICK} --out out --seed 1 --force"));
    assert_ne!(
        fs::read(folder.path().join("out/model.safetensors")).unwrap(),
        before
    );

    fs::write(folder.path().join("file"), "mine").unwrap();
    let said = fail(&folder, &format!("{QUICK} --out file --force"), 2);
    assert_eq!(
        said,
        "secant: --out file: expected a folder, found a file\n"
    );
    let said = fail(&folder, &format!("{QUICK} --out file/below"), 3);
    assert!(
        said.starts_with("secant: cannot write file/below: "),
        "{said}"
    );
}

#[test]
fn runs_get_folders_of_their_own() {
    let folder = TempDir::new().unwrap();
    let words = "train --data synthetic --limit 20 --epochs 1 --seed 12 --model";
    for _ in 0..3 {
        succeed(&folder, &format!("{words} pool7,linear10"));
    }
    succeed(&folder, &format!("{words} micro"));
    let names = fs::read_dir(folder.path().join("runs")).unwrap();
    let names: Vec<_> = names
        .map(|name| name.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(names.len(), 4);
    assert_eq!(
        names
            .iter()
            .filter(|name| name.contains("-custom-adam-classic-s12"))
            .count(),
        3,
        "{names:?}"
    );
    assert_eq!(
        names
            .iter()
            .filter(|name| name.ends_with("-micro-adam-classic-s12"))
            .count(),
        1,
        "{names:?}"
    );
}

#[test]
fn the_instruction_set_can_be_forced_and_changes_no_bit() {
    let folder = TempDir::new().unwrap();
    let words = "train --data synthetic --limit 60 --max-iter 3 --batch 20 --validation 0 --json --model conv4k5s3,relu,linear10";
    let with = |isa: &str| {
        secant(&folder, words)
            .env("SECANT_ISA", isa)
            .output()
            .unwrap()
    };
    let base = json(&with("baseline"));
    assert_eq!(base["isa"], "baseline");
    let fast = json(&with(""));
    assert_eq!(
        base["sha256"], fast["sha256"],
        "baseline and {}",
        fast["isa"]
    );
    let output = with("avx3");
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(
        stderr(&output),
        "secant: SECANT_ISA: expected one of baseline, neon, avx2, avx512, found 'avx3'\n"
    );
    for isa in ["avx512", "neon", "avx2"] {
        let output = with(isa);
        match output.status.code() {
            Some(0) => assert_eq!(base["sha256"], json(&output)["sha256"]),
            Some(2) => assert!(
                stderr(&output).contains("this machine has no"),
                "{}",
                stderr(&output)
            ),
            other => panic!("{isa}: {other:?}"),
        }
    }
}

#[cfg(unix)]
mod unix {
    use super::*;
    use std::io::{BufRead, BufReader, Read};
    use std::os::unix::fs::PermissionsExt;

    /// A run that would take hours.
    const ENDLESS: &str = "train --data synthetic --limit 3000 --epochs 1000000 --tolerance 0 --model pool4,linear10 --out out";

    fn send(signal: &str, process: u32) {
        assert!(
            Command::new("kill")
                .args([signal, &process.to_string()])
                .status()
                .unwrap()
                .success()
        );
    }

    #[test]
    fn an_interrupted_run_keeps_what_was_done() {
        for (signal, status, more) in [
            ("-INT", 130, ""),
            ("-TERM", 143, ""),
            ("-INT", 130, " --json"),
        ] {
            let folder = TempDir::new().unwrap();
            let mut child = secant(&folder, &format!("{ENDLESS}{more}"))
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap();
            // Wait for the third epoch, wherever the lines go, and keep on reading so that the pipe
            // never fills.
            let (mut out, mut err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
            let (lines, rest): (Box<dyn Read + Send>, &mut (dyn Read + Send)) = if more.is_empty() {
                (Box::new(out), &mut err)
            } else {
                (Box::new(err), &mut out)
            };
            let mut lines = BufReader::new(lines).lines();
            assert!(
                lines
                    .by_ref()
                    .any(|line| line.unwrap().starts_with("    3 ")),
                "no third epoch"
            );
            send(signal, child.id());
            let last = lines.map(Result::unwrap).collect::<Vec<_>>().join("\n");
            let mut other = String::new();
            rest.read_to_string(&mut other).unwrap();
            let status_found = child.wait().unwrap().code();
            assert_eq!(status_found, Some(status), "{last}{other}");
            assert!(
                format!("{last}{other}").contains("interrupted"),
                "{last}{other}"
            );
            for name in [
                "config.json",
                "metrics.csv",
                "model.safetensors",
                "curves.svg",
            ] {
                assert!(
                    folder.path().join("out").join(name).exists(),
                    "{signal}: no {name}"
                );
            }
            if !more.is_empty() {
                let record: Value = serde_json::from_str(&other).expect("one JSON object");
                assert_eq!(record["stop_reason"], "interrupted");
                assert_eq!(record["history"].as_array().unwrap().len() as u64, {
                    let metrics =
                        fs::read_to_string(folder.path().join("out/metrics.csv")).unwrap();
                    metrics.lines().count() as u64 - 1
                });
            }
        }
    }

    #[test]
    fn a_reader_that_goes_away_is_no_panic() {
        let folder = TempDir::new().unwrap();
        let mut child = secant(&folder, &format!("{QUICK} --out out --epochs 40"))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut first = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut first)
            .unwrap();
        assert!(first.starts_with("synthetic: "));
        let mut said = String::new();
        child
            .stderr
            .take()
            .unwrap()
            .read_to_string(&mut said)
            .unwrap();
        assert_eq!(said, "");
        assert!(child.wait().unwrap().success());
        assert!(
            folder.path().join("out/model.safetensors").exists(),
            "the run goes on: its result is its files"
        );
        // The same for the help text, and for both streams at once.
        let script = format!(
            "{} train --help | head -n 1",
            env!("CARGO_BIN_EXE_secant-under-test")
        );
        let output = Command::new("sh").args(["-c", &script]).output().unwrap();
        assert_eq!(
            (stdout(&output).lines().count(), stderr(&output).as_str()),
            (1, "")
        );
    }

    #[test]
    fn a_json_object_that_cannot_be_written_is_an_error() {
        let Ok(full) = fs::OpenOptions::new().write(true).open("/dev/full") else {
            println!("skipped: there is no /dev/full here");
            return;
        };
        let folder = TempDir::new().unwrap();
        let output = secant(&folder, &format!("{QUICK} --json"))
            .stdout(full)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(3));
        assert!(stderr(&output).contains("secant: cannot write to standard output: "));
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_found_before_training() {
        let folder = TempDir::new().unwrap();
        let locked = folder.path().join("locked");
        fs::create_dir(&locked).unwrap();
        fs::set_permissions(&locked, fs::Permissions::from_mode(0o555)).unwrap();
        if fs::write(locked.join("probe"), "").is_ok() {
            println!("skipped: this user may write everywhere");
            return;
        }
        for out in ["locked", "locked/below"] {
            let output = run(&folder, &format!("{QUICK} --out {out}"));
            assert_eq!(output.status.code(), Some(3));
            assert_eq!(stdout(&output), "", "not a word of training before");
            assert!(
                stderr(&output).starts_with(&format!("secant: cannot write {out}")),
                "{}",
                stderr(&output)
            );
        }
    }
}

#[test]
fn shells_and_manuals_know_every_command() {
    let folder = TempDir::new().unwrap();
    let help = succeed(&folder, "--help");
    let help = String::from_utf8(help.stdout).unwrap();
    let (_, list) = help.split_once("Commands:\n").unwrap();
    let (list, _) = list.split_once("\n\n").unwrap();
    let starts = list.lines().filter(|line| !line.starts_with("   "));
    let commands: Vec<_> = starts
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help")
        .collect();
    assert!(commands.len() > 10, "{commands:?}");
    let bash = succeed(&folder, "completions bash").stdout;
    fs::write(folder.path().join("script"), &bash).unwrap();
    let bash = String::from_utf8(bash).unwrap();
    let checked = Command::new("bash")
        .arg("-n")
        .arg(folder.path().join("script"))
        .status();
    assert!(checked.is_ok_and(|status| status.success()));
    for name in commands {
        assert!(bash.contains(&format!("secant__subcmd__{name}")), "{name}");
        let page = succeed(&folder, &format!("man {name}")).stdout;
        let page = String::from_utf8(page).unwrap();
        assert!(page.contains(&format!(".TH secant-{name} 1")), "{page}");
    }
    assert_eq!(run(&folder, "man nothing").status.code(), Some(2));
    assert_eq!(run(&folder, "completions nothing").status.code(), Some(2));
}
