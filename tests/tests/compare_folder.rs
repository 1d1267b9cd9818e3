//! What a comparison's folder must survive: files of other runs, damage, kills, two programs at
//! once.
//!
//! `SECANT_EXHAUSTIVE=1` makes as many tries as `docs/compare.md` states.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use secant::Random;
use secant_tests::program::{self, signal};
use serde_json::Value;
use tempfile::TempDir;

const PROGRAM: &str = env!("CARGO_BIN_EXE_secant-under-test");

/// A comparison of a second or less.
const QUICK: &str = "--limit 300 --epochs 1 --model conv4k3,relu,pool4,linear10 --evaluations 3 \
                     --optimizers adam,lbfgs --seeds 3 --targets 0.2 --jobs 2";

fn command(program: &Path, folder: &TempDir, words: &str) -> Command {
    program::command(program, folder, words.split_whitespace())
}

fn run(folder: &TempDir, words: &str) -> Output {
    command(Path::new(PROGRAM), folder, words).output().unwrap()
}

/// The result of a comparison that must succeed.
fn result(output: &Output) -> Value {
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("no JSON: {error}"))
}

/// Takes out what may differ from one time to the next.
fn timeless(value: &mut Value) {
    match value {
        Value::Object(map) => {
            for key in [
                "seconds",
                "train_seconds",
                "seconds_interval",
                "ratio_seconds",
                "command",
                "jobs",
                "machine",
                "build",
                "isa",
            ] {
                map.shift_remove(key);
            }
            map.values_mut().for_each(timeless);
        }
        Value::Array(items) => items.iter_mut().for_each(timeless),
        _ => {}
    }
}

fn without_times(mut value: Value) -> Value {
    timeless(&mut value);
    value
}

/// Tries of a test that chance decides: `few`, or as many as are promised.
fn tries(few: u32, all: u32) -> u32 {
    match std::env::var_os("SECANT_EXHAUSTIVE") {
        None => few,
        Some(_) => all,
    }
}

/// Images of 8 x 8 pixels of three classes, as IDX files; `labels` and `pixels` seed them.
fn write_data(folder: &Path, [pixels, labels]: [u64; 2]) {
    fs::create_dir_all(folder).unwrap();
    for (part, count, seed) in [("train", 120u32, 0), ("t10k", 60, 1)] {
        let mut images = [2051, count, 8, 8].map(u32::to_be_bytes).concat();
        let mut classes = [2049, count].map(u32::to_be_bytes).concat();
        let mut random = Random::new(pixels, seed);
        images.extend((0..count * 64).map(|_| random.below(256) as u8));
        let mut random = Random::new(labels, seed);
        classes.extend((0..count).map(|i| {
            if i < 3 {
                i as u8
            } else {
                random.below(3) as u8
            }
        }));
        fs::write(folder.join(format!("{part}-images-idx3-ubyte")), images).unwrap();
        fs::write(folder.join(format!("{part}-labels-idx1-ubyte")), classes).unwrap();
    }
}

const SMALL: &str = "--data d --epochs 1 --model conv4k3,relu,linear3 --evaluations 2 --batch 16 \
                     --optimizers adam,lbfgs --seeds 2 --targets 0.2 --jobs 2 --json";

/// The files of finished runs whose name begins with `start`.
fn kept(folder: &TempDir, start: &str) -> Vec<PathBuf> {
    let files = fs::read_dir(folder.path().join("c/runs")).unwrap();
    let mut files: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
    files.retain(|path| {
        let name = path.file_name().unwrap().to_string_lossy();
        name.starts_with(start)
    });
    files.sort();
    files
}

#[test]
fn no_run_is_taken_for_another() {
    type Change = fn(&TempDir);
    let nothing: Change = |_| ();
    // Words to replace, or to add; what else happens between; whether all runs must be made anew.
    let cases: &[(&str, &str, &str, Change, bool)] = &[
        (
            "other labels",
            "",
            "",
            |f| write_data(&f.path().join("d"), [1, 9]),
            true,
        ),
        (
            "other pixels",
            "",
            "",
            |f| write_data(&f.path().join("d"), [9, 2]),
            true,
        ),
        (
            "data of the same name elsewhere",
            "--data d",
            "--data e/d",
            |f| write_data(&f.path().join("e/d"), [1, 9]),
            true,
        ),
        (
            "other test labels",
            "",
            "",
            |f| {
                let path = f.path().join("d/t10k-labels-idx1-ubyte");
                let mut bytes = fs::read(&path).unwrap();
                bytes[30] = (bytes[30] + 1) % 3;
                fs::write(path, bytes).unwrap();
            },
            true,
        ),
        ("a limit", "", "--limit 100", nothing, true),
        (
            "another rate",
            "adam,lbfgs",
            "adam:learning-rate=0.02,lbfgs:learning-rate=0.02",
            nothing,
            true,
        ),
        ("another batch", "--batch 16", "--batch 32", nothing, true),
        ("other weights", "", "--init he", nothing, true),
        ("another network", "conv4k3", "conv5k3", nothing, true),
        ("another loss", "", "--loss smoothed:0.1", nothing, true),
        (
            "another convolution",
            "",
            "--convolution direct",
            nothing,
            true,
        ),
        (
            "other evaluations",
            "--evaluations 2",
            "--evaluations 3",
            nothing,
            true,
        ),
        (
            "another validation part",
            "",
            "--validation 0.3",
            nothing,
            true,
        ),
        ("another length", "--epochs 1", "--epochs 2", nothing, true),
        ("class weights", "", "--class-weights 1,2,3", nothing, true),
        ("other seeds", "", "--seed 5", nothing, true),
        ("runs side by side", "--jobs 2", "--jobs 1", nothing, true),
        ("another order", "adam,lbfgs", "lbfgs,adam", nothing, false),
        (
            "a file cut off",
            "",
            "",
            |f| {
                for path in kept(f, "") {
                    let bytes = fs::read(&path).unwrap();
                    fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
                }
            },
            true,
        ),
        (
            "an empty file",
            "",
            "",
            |f| {
                kept(f, "")
                    .iter()
                    .for_each(|path| fs::write(path, "").unwrap())
            },
            true,
        ),
        (
            "an edited file",
            "",
            "",
            |f| {
                for path in kept(f, "") {
                    let text = fs::read_to_string(&path).unwrap();
                    let at = text.find("\"test_accuracy\":").unwrap() + 16;
                    let end = at + text[at..].find(',').unwrap();
                    fs::write(&path, format!("{}-1e308{}", &text[..at], &text[end..])).unwrap();
                }
            },
            true,
        ),
        (
            "a history taken out",
            "",
            "",
            |f| {
                for path in kept(f, "") {
                    let text = fs::read_to_string(&path).unwrap();
                    let at = text.find("\"history\":[").unwrap() + 11;
                    let end = at + text[at..].find(']').unwrap();
                    fs::write(&path, format!("{}{}", &text[..at], &text[end..])).unwrap();
                }
            },
            true,
        ),
        (
            "another seed's file",
            "",
            "",
            |f| {
                for name in ["adam", "lbfgs"] {
                    let first = &kept(f, &format!("{name}-s0"))[0];
                    fs::copy(first, &kept(f, &format!("{name}-s1"))[0]).unwrap();
                }
            },
            false,
        ),
        (
            "another optimiser's file",
            "",
            "",
            |f| {
                for seed in ["s0", "s1"] {
                    let first = &kept(f, &format!("adam-{seed}"))[0];
                    fs::copy(first, &kept(f, &format!("lbfgs-{seed}"))[0]).unwrap();
                }
            },
            false,
        ),
    ];
    for (what, old, new, change, all) in cases {
        let folder = TempDir::new().unwrap();
        write_data(&folder.path().join("d"), [1, 2]);
        let before = result(&run(&folder, &format!("compare {SMALL} --out c")));
        change(&folder);
        let words = match old.is_empty() {
            true => format!("{SMALL} {new}"),
            false => SMALL.replace(old, new),
        };
        let after = result(&run(&folder, &format!("compare {words} --out c --force")));
        let fresh = result(&run(&folder, &format!("compare {words} --out fresh")));
        assert_eq!(
            without_times(after["runs"].clone()),
            without_times(fresh["runs"].clone()),
            "{what}"
        );
        if *all {
            let times = |result: &Value| -> Vec<Value> {
                let runs = result["runs"].as_array().unwrap().iter();
                runs.map(|run| run["seconds"].clone()).collect()
            };
            let before = times(&before);
            let served = times(&after).iter().filter(|t| before.contains(t)).count();
            assert_eq!(served, 0, "{what}");
        }
    }
}

#[test]
fn another_build_or_instruction_set_makes_its_own_runs() {
    let folder = TempDir::new().unwrap();
    write_data(&folder.path().join("d"), [1, 2]);
    let words = format!("compare {SMALL} --out c");
    result(&run(&folder, &words));
    assert_eq!(kept(&folder, "").len(), 4);
    // The same program, for all that it does.
    let other = folder.path().join("other");
    let mut bytes = fs::read(PROGRAM).unwrap();
    bytes.push(0);
    fs::write(&other, bytes).unwrap();
    fs::set_permissions(&other, fs::metadata(PROGRAM).unwrap().permissions()).unwrap();
    result(&command(&other, &folder, &words).output().unwrap());
    assert_eq!(kept(&folder, "").len(), 8);
    let mut baseline = command(Path::new(PROGRAM), &folder, &words);
    let once = result(&baseline.env("SECANT_ISA", "baseline").output().unwrap());
    assert_eq!(kept(&folder, "").len(), 12);
    assert_eq!(once["runs"][0]["isa"], "baseline");
}

#[test]
fn another_result_is_not_replaced_unasked() {
    let folder = TempDir::new().unwrap();
    write_data(&folder.path().join("d"), [1, 2]);
    result(&run(&folder, &format!("compare {SMALL} --tune 2 --out c")));
    assert!(folder.path().join("c/trials.svg").exists());
    let before = fs::read(folder.path().join("c/compare.json")).unwrap();
    let refused = run(&folder, &format!("compare {SMALL} --out c"));
    let error = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(2), "{error}");
    assert!(
        error.contains("holds another comparison (tune 2)"),
        "{error}"
    );
    assert_eq!(
        fs::read(folder.path().join("c/compare.json")).unwrap(),
        before
    );
    result(&run(&folder, &format!("compare {SMALL} --out c --force")));
    for name in ["trials.svg", "trials.csv", "rate.svg", "tuning.csv"] {
        assert!(!folder.path().join("c").join(name).exists(), "{name}");
    }
}

#[test]
fn tuning_tells_what_it_took() {
    let folder = TempDir::new().unwrap();
    write_data(&folder.path().join("d"), [1, 2]);
    let words = SMALL
        .replace("--json", "--tune 4 --out c")
        .replace("--batch 16", "");
    let output = run(&folder, &format!("compare {words}"));
    let shown = String::from_utf8(output.stdout).unwrap();
    assert!(shown.contains("Tuning: "), "{shown}");
    for line in shown.lines().filter(|line| !line.starts_with("Files")) {
        assert!(line.chars().count() <= 80, "{line}");
    }
    let markdown = fs::read_to_string(folder.path().join("c/compare.md")).unwrap();
    assert!(
        markdown.contains("| optimiser | epochs | taken |"),
        "{markdown}"
    );
    let table = fs::read_to_string(folder.path().join("c/tuning.csv")).unwrap();
    assert_eq!(table.lines().count(), 1 + 2 * 4);
    assert_eq!(table.matches(",true,").count(), 2, "{table}");
}

#[test]
fn a_record_holds_what_a_reader_asks_for() {
    let folder = TempDir::new().unwrap();
    write_data(&folder.path().join("d"), [1, 2]);
    let result = result(&run(&folder, &format!("compare {SMALL} --out c")));
    for key in [
        "version",
        "build",
        "command",
        "jobs",
        "limit",
        "validation",
        "method",
    ] {
        assert!(result.get(key).is_some(), "{key}");
    }
    assert_eq!(result["machine"]["isa"], result["runs"][0]["isa"]);
    assert_eq!(result["complete"], true);
    for record in result["runs"].as_array().unwrap() {
        // 60 test samples; what is right stands on the diagonal.
        let rows: Vec<Vec<u64>> = serde_json::from_value(record["confusion"].clone()).unwrap();
        let all: u64 = rows.iter().flatten().sum();
        let right: u64 = (0..3).map(|class| rows[class][class]).sum();
        assert_eq!((rows.len(), all), (3, 60));
        let accuracy = record["test_accuracy"].as_f64().unwrap();
        assert!((accuracy - right as f64 / 60.0).abs() < 1e-12);
        for (class, row) in rows.iter().enumerate() {
            let share = record["class_accuracy"][class].as_f64().unwrap();
            let count: u64 = row.iter().sum();
            assert!((share * count as f64 - row[class] as f64).abs() < 1e-9);
        }
        assert_eq!(record["settings"]["batch"], 16);
        assert_eq!(record["settings"]["seed"], record["seed"]);
        assert_eq!(record["clock"], "cpu");
    }
    let read = |name: &str| fs::read_to_string(folder.path().join("c").join(name)).unwrap();
    assert_eq!(read("runs.csv").lines().count(), 1 + 4);
    let points = result["runs"].as_array().unwrap().iter();
    let points: usize = points
        .map(|run| run["history"].as_array().unwrap().len())
        .sum();
    assert_eq!(read("evaluations.csv").lines().count(), 1 + points);
}

#[test]
fn a_baseline_is_held_against_seed_by_seed() {
    let folder = TempDir::new().unwrap();
    write_data(&folder.path().join("d"), [1, 2]);
    let words = SMALL.replace("--seeds 2", "--seeds 4");
    result(&run(
        &folder,
        &format!("compare {words} --out a --save-baseline first"),
    ));
    let same = result(&run(
        &folder,
        &format!("compare {words} --out b --baseline first"),
    ));
    for change in same["changes"].as_array().unwrap() {
        let difference = &change["difference"];
        assert_eq!(
            (&difference["mean"], &difference["seeds"]),
            (&0.0.into(), &4.into())
        );
        assert_eq!(difference["verdict"], "no difference shown");
        assert_eq!(change["same"], true);
    }
    // A baseline that was better everywhere: the verdict says so, and needs no equal settings.
    let path = folder.path().join("runs/baselines/first.json");
    let text = fs::read_to_string(&path).unwrap();
    let mut better: Value = serde_json::from_str(&text).unwrap();
    for row in better["table"].as_array_mut().unwrap() {
        for (i, value) in row["values"].as_array_mut().unwrap().iter_mut().enumerate() {
            *value = (value.as_f64().unwrap() + 3.0 + 0.01 * i as f64).into();
        }
    }
    fs::write(path.with_file_name("better.json"), better.to_string()).unwrap();
    let worse = result(&run(
        &folder,
        &format!("compare {words} --out b --baseline better"),
    ));
    assert_eq!(worse["changes"][1]["difference"]["verdict"], "worse");
    // Fewer seeds, other settings, no optimiser in common, a file that is cut off.
    let again = |more: &str| run(&folder, &format!("compare {words} --baseline first {more}"));
    let output = run(
        &folder,
        &format!(
            "compare {} --out f --baseline first",
            words.replace("--seeds 4", "--seeds 2")
        ),
    );
    let few = result(&output);
    assert_eq!(few["changes"][0]["same"], true);
    assert_eq!(
        few["changes"][0]["difference"]["verdict"],
        "too few seeds to tell"
    );
    let markdown = fs::read_to_string(folder.path().join("f/compare.md")).unwrap();
    assert!(markdown.contains("| the same |"), "{markdown}");
    let page = fs::read_to_string(folder.path().join("f/report.html")).unwrap();
    assert!(page.contains("Since the reference"));
    let output = again("--validation 0.25 --out g");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(
        error.contains("The reference has validation 0.1, not 0.25."),
        "{error}"
    );
    assert_eq!(result(&output)["changes"][0]["difference"]["seeds"], 4);
    let output = run(
        &folder,
        &format!(
            "compare {} --out h --baseline first",
            words.replace("adam,lbfgs", "sgd,adamw")
        ),
    );
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(error.contains("none of these optimisers"), "{error}");
    assert!(result(&output)["changes"].is_null());
    fs::write(path.with_file_name("cut.json"), &text[..text.len() / 2]).unwrap();
    for (name, said) in [
        ("cut", "not a result of secant compare"),
        ("none", "No such file"),
    ] {
        let words = words.replace("--seeds 4", &format!("--seeds 4 --baseline {name}"));
        let refused = run(&folder, &format!("compare {words} --out i"));
        let error = String::from_utf8_lossy(&refused.stderr);
        assert_eq!(refused.status.code(), Some(2), "{error}");
        assert!(error.contains(said), "{error}");
    }
    write_data(&folder.path().join("d"), [1, 9]);
    let refused = run(
        &folder,
        &format!("compare {words} --out e --baseline first"),
    );
    let error = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(2), "{error}");
    assert!(error.contains("it is of other data"), "{error}");
}

#[test]
fn seeds_are_added_until_enough_is_known() {
    let folder = TempDir::new().unwrap();
    write_data(&folder.path().join("d"), [1, 2]);
    let words = SMALL.replace("--seeds 2", "--seeds auto --most-seeds 12");
    let count = |width: &str| {
        let out = format!("compare {words} --width {width} --out w{width}");
        let result = result(&run(&folder, &out));
        let difference = &result["table"][1]["difference"];
        let seeds = difference["seeds"].as_u64().unwrap();
        assert_eq!(result["seeds"].as_array().unwrap().len() as u64, seeds);
        let [low, high] = [0, 1].map(|end| difference["interval"][end].as_f64().unwrap());
        (seeds, high - low)
    };
    let (seeds, width) = count("1000");
    assert!(seeds == 5 && width <= 1000.0, "{seeds}, {width}");
    let (seeds, width) = count("0.001");
    assert!(seeds == 12 && width > 0.001, "{seeds}, {width}");
}

#[test]
fn events_tell_of_every_run() {
    let folder = TempDir::new().unwrap();
    write_data(&folder.path().join("d"), [1, 2]);
    let told = |words: &str| -> Vec<Value> {
        result(&run(
            &folder,
            &format!("compare {SMALL} --out c --events e.jsonl {words}"),
        ));
        let text = fs::read_to_string(folder.path().join("e.jsonl")).unwrap();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    };
    let count =
        |events: &[Value], what: &str| events.iter().filter(|event| event["event"] == what).count();
    let events = told("");
    assert_eq!((count(&events, "start"), count(&events, "done")), (4, 4));
    let text = fs::read_to_string(folder.path().join("c/evaluations.csv")).unwrap();
    assert_eq!(count(&events, "evaluation"), text.lines().count() - 1);
    let again = told("");
    assert_eq!((again.len(), count(&again, "done")), (4, 4));
    assert!(again.iter().all(|event| event["kept"] == true));
}

#[test]
fn an_optimiser_from_outside_runs_beside_the_rest() {
    let example = Path::new(PROGRAM)
        .with_file_name("examples")
        .join("own_optimizer");
    if !example.exists() {
        println!("skipped: the examples are not built (cargo test builds them with all tests)");
        return;
    }
    let folder = TempDir::new().unwrap();
    write_data(&folder.path().join("d"), [1, 2]);
    let words = SMALL.replace("adam,lbfgs", "adam,sign:learning-rate=0.01");
    let output = command(
        &example,
        &folder,
        &format!("compare {words} --tune 2 --out c"),
    );
    let result = result(&{ output }.output().unwrap());
    let record = &result["runs"][1]["optimizer"];
    assert_eq!(record["name"], "sign");
    assert!(record["learning_rate"].as_f64().unwrap() > 0.0);
}

#[test]
fn a_reader_that_is_full_or_gone_is_no_panic() {
    let folder = TempDir::new().unwrap();
    write_data(&folder.path().join("d"), [1, 2]);
    let words = format!("compare {SMALL} --out c");
    if Path::new("/dev/full").exists() {
        let full = fs::OpenOptions::new()
            .write(true)
            .open("/dev/full")
            .unwrap();
        let output = command(Path::new(PROGRAM), &folder, &words)
            .stdout(full)
            .stderr(Stdio::piped())
            .output()
            .unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(3), "{error}");
        assert!(error.contains("cannot write to standard output"), "{error}");
        assert!(!error.contains("panicked"), "{error}");
    }
    let mut child = command(Path::new(PROGRAM), &folder, &words)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{error}");
    assert!(!error.contains("panicked"), "{error}");
}

#[cfg(unix)]
#[test]
fn a_comparison_that_is_killed_goes_on_to_the_same_table() {
    let folder = TempDir::new().unwrap();
    let words = format!("compare --data synthetic {QUICK} --json --out");
    // From the moment at which the runs begin, an undisturbed comparison takes `span`.
    let start = |out: &str| {
        let mut command = command(Path::new(PROGRAM), &folder, &format!("{words} {out}"));
        let command = command.stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let runs = folder.path().join(out).join("runs");
        while !runs.exists() && child.try_wait().unwrap().is_none() {
            sleep(Duration::from_millis(1));
        }
        child
    };
    let child = start("whole");
    let begun = Instant::now();
    let undisturbed = without_times(result(&child.wait_with_output().unwrap()));
    let span = begun.elapsed().as_micros() as u32;
    let mut random = Random::new(200, 0);
    let (mut killed, mut within) = (0, 0);
    for k in 0..tries(5, 200) {
        let out = format!("{words} c{k}");
        let mut child = start(&format!("c{k}"));
        sleep(Duration::from_micros(u64::from(random.below(span))));
        signal(&child, "KILL");
        killed += u32::from(!child.wait().unwrap().success());
        let path = folder.path().join(format!("c{k}/runs"));
        let kept = fs::read_dir(path).map_or(0, Iterator::count);
        within += u32::from((1..6).contains(&kept));
        let resumed = without_times(result(&run(&folder, &out)));
        assert_eq!(resumed, undisturbed, "try {k}");
        let left = fs::read_dir(folder.path().join(format!("c{k}/runs"))).unwrap();
        for file in left {
            let name = file.unwrap().file_name().into_string().unwrap();
            assert!(name.ends_with(".json"), "{name}");
        }
        fs::remove_dir_all(folder.path().join(format!("c{k}"))).unwrap();
    }
    println!("{killed} killed, {within} of them between the first run's end and the last's");
}

#[cfg(unix)]
#[test]
fn an_interrupted_tuning_leaves_an_earlier_table_alone() {
    let folder = TempDir::new().unwrap();
    let words = format!("compare --data synthetic {QUICK} --out c");
    assert!(run(&folder, &words).status.success());
    let before = fs::read(folder.path().join("c/compare.json")).unwrap();
    let tuned = format!("{words} --tune 50 --force");
    let child = command(Path::new(PROGRAM), &folder, &tuned)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Until tuning has made a run.
    let runs = folder.path().join("c/runs");
    while fs::read_dir(&runs).unwrap().count() < 8 {
        sleep(Duration::from_millis(10));
    }
    signal(&child, "INT");
    let output = child.wait_with_output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(130), "{error}");
    assert!(
        error.contains("interrupted before there was a table"),
        "{error}"
    );
    assert_eq!(
        fs::read(folder.path().join("c/compare.json")).unwrap(),
        before
    );
}

#[cfg(unix)]
#[test]
fn of_two_at_once_in_one_folder_one_works() {
    let folder = TempDir::new().unwrap();
    let compare = format!("compare --data synthetic {QUICK} --seeds 6 --json --out");
    let train = "train --data synthetic --limit 300 --epochs 12 --json --out";
    let undisturbed = without_times(result(&run(&folder, &format!("{compare} whole"))));
    let mut refused = 0;
    for k in 0..tries(4, 100) {
        for words in [compare.as_str(), train] {
            let words = format!("{words} two{k}");
            let start = || {
                let mut command = command(Path::new(PROGRAM), &folder, &words);
                let command = command.stdout(Stdio::piped()).stderr(Stdio::piped());
                command.spawn().unwrap()
            };
            let pair = [start(), start()];
            let outputs = pair.map(|child| child.wait_with_output().unwrap());
            let mut done = 0;
            for output in &outputs {
                let error = String::from_utf8_lossy(&output.stderr);
                match output.status.code() {
                    Some(0) => {
                        done += 1;
                        let own = without_times(result(output));
                        assert!(words.starts_with("train") || own == undisturbed, "try {k}");
                    }
                    // Or, for 'train', the other one is done already.
                    Some(2) => {
                        refused += 1;
                        let one = error.contains("another secant is at work in this folder");
                        assert!(one || error.contains("already holds a run"), "{error}");
                    }
                    code => panic!("{code:?}: {error}"),
                }
            }
            assert!(done >= 1, "try {k}");
            assert!(
                done == 1 || words.starts_with("compare"),
                "try {k}: both trained"
            );
            fs::remove_dir_all(folder.path().join(format!("two{k}"))).unwrap();
        }
    }
    println!("{refused} refused");
}
