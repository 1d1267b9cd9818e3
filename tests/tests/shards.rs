//! A comparison in shards: the parts together are the whole, whatever happens on the way.
//!
//! `SECANT_EXHAUSTIVE=1` makes as many tries as `docs/cluster.md` states.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Output;
use std::thread::sleep;
use std::time::Duration;

use secant::Random;
use secant_tests::program;
use tempfile::TempDir;

const PROGRAM: &str = env!("CARGO_BIN_EXE_secant-under-test");

/// A comparison of a second or two, tuning included.
const QUICK: &str = "--data synthetic --limit 300 --epochs 1 --model conv4k3,relu,pool4,linear10 \
                     --evaluations 3 --optimizers adam,lbfgs --seeds 3 --targets 0.2 --tune 2 \
                     --jobs 1";

fn run(folder: &TempDir, words: &str) -> Output {
    let words = words.split_whitespace();
    program::command(PROGRAM, folder, words).output().unwrap()
}

fn good(output: Output) -> String {
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The one line of a command that must fail, and its exit status.
fn failure(output: Output) -> (Option<i32>, String) {
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "{error}");
    let lines: Vec<&str> = error
        .lines()
        .filter(|l| l.starts_with("secant: "))
        .collect();
    assert_eq!(lines.len(), 1, "{error}");
    (output.status.code(), lines[0].to_owned())
}

/// Every shard, as often as it takes: with tuning twice.
fn shards(folder: &TempDir, count: usize, out: &str) {
    for _ in 0..2 {
        for index in 1..=count {
            let words = format!("compare {QUICK} --shard {index}/{count} --out {out}");
            good(run(folder, &words));
        }
    }
}

/// The files of a result, the folder's name and the program's taken out.
fn files(folder: &Path, name: &str) -> BTreeMap<String, String> {
    let entries = fs::read_dir(folder.join(name)).unwrap().flatten();
    let files = entries.filter(|entry| entry.path().is_file());
    let read = |path: &Path| fs::read_to_string(path).unwrap().replace(name, "NAME");
    files
        .map(|file| {
            let own = file.file_name().to_string_lossy().into_owned();
            (own, read(&file.path()))
        })
        .collect()
}

/// A table without its columns of seconds.
fn without_seconds(csv: &str) -> Vec<Vec<String>> {
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    let timed: Vec<bool> = reader
        .headers()
        .unwrap()
        .iter()
        .map(|name| name.contains("seconds"))
        .collect();
    let rows = reader.records().map(|row| {
        let row = row.unwrap();
        let cells = row.iter().zip(&timed).filter(|(_, timed)| !**timed);
        cells.map(|(cell, _)| cell.to_owned()).collect()
    });
    rows.collect()
}

#[test]
fn shards_put_together_are_one_comparison() {
    let folder = TempDir::new().unwrap();
    shards(&folder, 4, "cmp-parts");
    good(run(&folder, "merge cmp-parts --out cmp-joined"));
    good(run(&folder, &format!("compare {QUICK} --out cmp-single")));
    let (joined, single) = (
        files(folder.path(), "cmp-joined"),
        files(folder.path(), "cmp-single"),
    );
    let names = |files: &BTreeMap<String, String>| files.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&joined), names(&single));
    for table in ["runs.csv", "evaluations.csv", "tuning.csv", "compare.csv"] {
        let (found, expected) = (
            without_seconds(&joined[table]),
            without_seconds(&single[table]),
        );
        assert_eq!(found, expected, "{table}");
        assert!(!found.is_empty());
    }
    // From the same finished runs a comparison on one machine writes the same bytes.
    fs::create_dir(folder.path().join("cmp-again")).unwrap();
    let from = folder.path().join("cmp-joined/runs");
    let to = folder.path().join("cmp-again/runs");
    fs::create_dir(&to).unwrap();
    for file in fs::read_dir(from).unwrap().flatten() {
        fs::copy(file.path(), to.join(file.file_name())).unwrap();
    }
    good(run(&folder, &format!("compare {QUICK} --out cmp-again")));
    let again = files(folder.path(), "cmp-again");
    for (name, text) in &joined {
        // The command of the shards was run in another folder.
        let text = text.replace("cmp-parts", "NAME");
        assert!(text == again[name], "{name} differs");
    }
    assert_eq!(names(&joined), names(&again));
}

#[test]
fn what_is_missing_or_foreign_is_said() {
    let folder = TempDir::new().unwrap();
    let shard = |index: u32, more: &str| {
        run(
            &folder,
            &format!("compare {QUICK} --shard {index}/2 --out cmp-parts {more}"),
        )
    };
    let said = good(shard(1, ""));
    assert!(
        said.contains("wait for the tuning of other shards"),
        "{said}"
    );
    let (status, line) = failure(run(&folder, "merge cmp-parts --out cmp-joined"));
    assert_eq!(status, Some(1));
    assert!(line.contains("are missing (tuning of "), "{line}");
    assert!(!folder.path().join("cmp-joined/compare.json").exists());

    // Other settings, data, and folders without shards.
    good(shard(2, "--evaluations 2"));
    let (status, line) = failure(run(&folder, "merge cmp-parts --out cmp-joined"));
    assert_eq!(status, Some(2));
    assert!(
        line.ends_with("are not of one comparison: another 'evaluations'"),
        "{line}"
    );
    good(shard(2, "--limit 200"));
    let (status, line) = failure(run(&folder, "merge cmp-parts --out cmp-joined"));
    assert_eq!(status, Some(2));
    assert!(line.contains("are not of one comparison: "), "{line}");
    fs::create_dir(folder.path().join("empty")).unwrap();
    let (status, line) = failure(run(&folder, "merge empty --out cmp-joined"));
    assert_eq!(status, Some(2));
    assert!(line.contains("no shard is there"), "{line}");
    fs::write(folder.path().join("cmp-parts/shard-2-of-2/shard.json"), "{").unwrap();
    let (status, line) = failure(run(&folder, "merge cmp-parts --out cmp-joined"));
    assert_eq!(status, Some(2));
    assert!(line.contains("found something else"), "{line}");

    for words in [
        "--shard 3/2 --out p",
        "--shard 1/2",
        "--shard 1/2 --seeds auto --out p",
    ] {
        assert_eq!(
            run(&folder, &format!("compare {words}")).status.code(),
            Some(2),
            "{words}"
        );
    }
}

/// SIGKILL at a random moment to one of two shards that work at the same time; then both go on.
#[test]
fn a_killed_shard_goes_on() {
    let tries = std::env::var_os("SECANT_EXHAUSTIVE").map_or(3, |_| 50);
    let expected = TempDir::new().unwrap();
    good(run(&expected, &format!("compare {QUICK} --out cmp-single")));
    let expected = files(expected.path(), "cmp-single");
    let mut random = Random::new(9, 0);
    for attempt in 0..tries {
        let folder = TempDir::new().unwrap();
        let mut children: Vec<_> = (1..=2)
            .map(|index| {
                let words = format!("compare {QUICK} --shard {index}/2 --out cmp-parts");
                let mut command = program::command(PROGRAM, &folder, words.split_whitespace());
                command
                    .stdout(std::process::Stdio::null())
                    .stderr(std::process::Stdio::null())
                    .spawn()
                    .unwrap()
            })
            .collect();
        sleep(Duration::from_millis(u64::from(random.below(600))));
        children[(attempt % 2) as usize].kill().unwrap();
        for child in &mut children {
            child.wait().unwrap();
        }
        shards(&folder, 2, "cmp-parts");
        good(run(&folder, "merge cmp-parts --out cmp-joined"));
        let joined = files(folder.path(), "cmp-joined");
        for table in ["runs.csv", "tuning.csv"] {
            let found = without_seconds(&joined[table]);
            assert_eq!(
                found,
                without_seconds(&expected[table]),
                "{table}, try {attempt}"
            );
        }
        let runs = folder.path().join("cmp-joined/runs");
        let count = fs::read_dir(runs).unwrap().count();
        assert_eq!(count, 2 * 2 * 3 + 2 * 3, "each run once");
    }
}
