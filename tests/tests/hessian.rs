//! `secant hessian`: what it finds, what it refuses, and that a search which was stopped goes on.

use std::fs;
use std::path::Path;
use std::process::{Output, Stdio};
use std::thread::sleep;
use std::time::Instant;

use secant_harness::lock::FolderLock;
use secant_tests::draw::Draw;
use secant_tests::program::{command, ends};
use serde_json::{Value, json};

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
    let error = ends(&run(folder, words), 2);
    // Options that cannot be read have a hint below.
    let hint = "\n\nFor more information, try '--help'.\n";
    let line = error.strip_suffix(hint).unwrap_or(&error);
    assert_eq!(line.lines().count(), 1, "{words}: {error}");
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

/// A search along a run, in three places.
const SEARCH: &str = "--samples 40 --lanczos 15 --probes 1 --at initial,50%,final --json";

fn search() -> String {
    format!("hessian {SMALL} --optimizer adam {SEARCH}")
}

/// What was found, without how long it took.
fn found(text: &str) -> Value {
    let mut record: Value = serde_json::from_str(text).unwrap();
    let own = record.as_object_mut().unwrap();
    for key in ["seconds_a_product", "seconds_a_gradient", "answers"] {
        own.remove(key).unwrap();
    }
    record
}

/// Killed at random moments, it leaves a folder that goes on, to the same end; and nothing that it
/// had begun to write.
#[test]
fn a_search_that_was_killed_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let begun = Instant::now();
    let whole = found(&ok(at, &format!("{} --out whole", search())));
    let time = begun.elapsed();
    let kills = match std::env::var_os("SECANT_EXHAUSTIVE") {
        Some(_) => 20,
        None => 3,
    };
    let mut draw = Draw::new(1);
    for kill in 0..kills {
        let out = format!("out{}", kill / 2);
        let words = format!("{} --out {out}", search());
        let words = words.split(' ').map(|word| word.replace('_', " "));
        let mut child = command(PROGRAM, at, words)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        sleep(time.mul_f32(0.55 + 0.45 * draw.symmetric()));
        child.kill().unwrap();
        child.wait().unwrap();
        if kill % 2 == 0 && kill + 1 < kills {
            // Every other folder is killed twice.
            continue;
        }
        let end = found(&ok(at, &format!("{} --out {out}", search())));
        assert_eq!(end, whole, "kill {kill}");
        for folder in [at.join(&out), at.join(&out).join("looks")] {
            let names = fs::read_dir(folder).unwrap().flatten();
            let names = names.map(|file| file.file_name().into_string().unwrap());
            let left: Vec<String> = names.filter(|name| name.contains("tmp")).collect();
            assert!(left.is_empty(), "{left:?}");
        }
    }
}

/// Looks that are done are not made again; those of anything else are, and so are damaged ones.
#[test]
fn only_looks_of_the_same_search_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let first = ok(at, &format!("{} --out out", search()));
    let looks =
        ["initial", "50percent", "final"].map(|place| at.join(format!("out/looks/{place}.bin")));
    let read = || looks.each_ref().map(|file| fs::read(file).unwrap());
    let kept = read();
    // Down to the seconds, which no second look has alike; on another number of threads, too.
    let second = ok(at, &format!("{} --out out --threads 2", search()));
    assert_eq!(first, second);
    assert_eq!(kept, read());
    // A byte more, less, or another one, and an empty file: that look is made again.
    let whole = found(&first);
    for (number, change) in [
        (|bytes: &mut Vec<u8>| bytes.push(0)) as fn(&mut Vec<u8>),
        |bytes| bytes.truncate(bytes.len() - 1),
        |bytes| bytes[40] ^= 1,
        |bytes| *bytes.last_mut().unwrap() ^= 128,
        Vec::clear,
    ]
    .into_iter()
    .enumerate()
    {
        let mut bytes = kept[1].clone();
        change(&mut bytes);
        fs::write(&looks[1], &bytes).unwrap();
        let again = ok(at, &format!("{} --out out", search()));
        assert_eq!(found(&again), whole, "change {number}");
        assert_ne!(again, first, "its seconds are its own");
        let now = read();
        assert!(now[0] == kept[0] && now[2] == kept[2] && now[1] != bytes);
        fs::write(&looks[1], &kept[1]).unwrap();
    }
    // The look of another place under this one's name.
    fs::write(&looks[1], &kept[0]).unwrap();
    assert_eq!(found(&ok(at, &format!("{} --out out", search()))), whole);
    for (number, other) in [
        "--samples 41",
        "--seed 1",
        "--learning-rate 0.01",
        "--batch 20",
        "--probes 2",
    ]
    .iter()
    .enumerate()
    {
        let words = format!("{} {other} --out", search());
        let fresh = found(&ok(at, &format!("{words} fresh{number}")));
        assert_ne!(fresh, whole, "{other}");
        assert_eq!(found(&ok(at, &format!("{words} out"))), fresh, "{other}");
    }
}

#[test]
fn two_programs_do_not_share_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    ok(at, &format!("train {SMALL} --out run"));
    for (words, out) in [(search(), "along"), ("hessian run".to_owned(), "of-run")] {
        fs::create_dir(at.join(out)).unwrap();
        let lock = FolderLock::take(&at.join(out)).unwrap();
        refused(
            at,
            &format!("{words} --out {out}"),
            "another secant is at work",
        );
        assert_eq!(fs::read_dir(at.join(out)).unwrap().count(), 0);
        drop(lock);
        ok(
            at,
            &format!("{words} --samples 20 --lanczos 5 --probes 1 --out {out}"),
        );
    }
}

/// The loss is that of the run: with the weights of its classes.
#[test]
fn classes_count_as_they_did_in_the_run() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let weights = "--class-weights 1,3,1,1,0.5,1,1,2,1,1";
    let look = "--samples 50 --lanczos 15 --probes 1 --seed 3 --json --at initial,final";
    ok(
        at,
        &format!("train {SMALL} --optimizer adam --seed 3 {weights} --out run"),
    );
    let read = |words: &str| -> Value { serde_json::from_str(&ok(at, words)).unwrap() };
    let one = read(&format!("hessian run {look}"));
    let along = read(&format!(
        "hessian {SMALL} --optimizer adam {weights} {look}"
    ));
    let plain = read(&format!("hessian {SMALL} --optimizer adam {look}"));
    assert_eq!(one["class_weights"], along["class_weights"]);
    for key in ["loss", "hessian", "gauss_newton", "trace"] {
        for point in 0..2 {
            assert_eq!(
                one["points"][point][key], along["points"][point][key],
                "{key}"
            );
        }
        assert_ne!(one["points"][0][key], plain["points"][0][key], "{key}");
    }
    // Factors of 2 double the loss and all eigenvalues.
    let config = at.join("run/config.json");
    let mut edited: Value = serde_json::from_slice(&fs::read(&config).unwrap()).unwrap();
    let mut with = |weights: Value| {
        edited["class_weights"] = weights;
        fs::write(&config, edited.to_string()).unwrap();
    };
    with(json!(vec![1.0; 10]));
    let single = read(&format!("hessian run {look}"));
    with(json!(vec![2.0; 10]));
    let double = read(&format!("hessian run {look}"));
    for key in [
        "/loss",
        "/hessian/largest",
        "/hessian/smallest",
        "/gauss_newton/largest",
    ] {
        let value = |record: &Value| number(record["points"][1].pointer(key).unwrap());
        assert_eq!(value(&double), 2.0 * value(&single), "{key}");
    }
    with(json!("balanced"));
    let balanced = read(&format!("hessian run {look}"));
    assert_eq!(balanced["class_weights"].as_array().unwrap().len(), 10);
    for (wrong, why) in [
        (json!([1.0, 2.0]), "10 numbers"),
        (json!(vec![-1.0; 10]), "config.json"),
        (json!("even"), "config.json"),
        (json!(7), "config.json"),
    ] {
        with(wrong);
        refused(at, "hessian run", why);
    }
    refused(
        at,
        &format!("hessian run {weights}"),
        "--class-weights: says what",
    );
}

/// Each in one line, with the code of a run that failed, and before any look.
#[test]
fn runs_that_come_to_nothing_are_told_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let small = SMALL.replace("tanh", "relu");
    let diverges = "--optimizer sgd --learning-rate 1e38 --schedule constant --warm-up 0 --batch 4";
    let words = format!("hessian {small} {diverges} --at 90% --out out");
    let error = ends(&run(at, &words), 1);
    let last = error.lines().last().unwrap();
    assert!(last.starts_with("secant: the run diverged"), "{error}");
    // Best weights that are not there.
    ok(at, &format!("train {SMALL} --keep last --out run"));
    refused(at, "hessian run --at initial,best", "best.safetensors");
    assert!(!at.join("run/hessian").exists(), "nothing was written");
    refused(at, "hessian --data nowhere", "nowhere");
}
