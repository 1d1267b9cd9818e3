//! What can go wrong around a run, each kind once: docs/reliability.md lists them. Every failure is
//! one line that says what to do, with a documented status.

use std::fs;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use flate2::{Compression, write::GzEncoder};
use secant_tests::program::{command, ends, refusal};
use serde_json::Value;
use tempfile::TempDir;

fn secant(folder: &Path, words: &str) -> Command {
    let words = words.split(' ').filter(|word| !word.is_empty());
    command(env!("CARGO_BIN_EXE_secant-under-test"), folder, words)
}

fn run(folder: &Path, words: &str) -> Output {
    secant(folder, words).output().unwrap()
}

/// The one line of a refusal.
fn refuses(folder: &Path, words: &str) -> String {
    refusal(&run(folder, words), words)
}

fn pipe(path: &Path) {
    let made = Command::new("mkfifo").arg(path).status().unwrap();
    assert!(made.success());
}

/// A run of a second or less.
const QUICK: &str =
    "train --data synthetic --limit 300 --epochs 2 --threads 1 --model pool4,linear10";

#[test]
fn pipes_devices_and_folders_are_no_data() {
    let folder = TempDir::new().unwrap();
    let at = folder.path();
    pipe(&at.join("pipe"));
    pipe(&at.join("pipe.csv"));
    fs::create_dir(at.join("tables")).unwrap();
    pipe(&at.join("tables/train.csv"));
    for (data, found) in [
        ("pipe", "found a pipe, socket or device"),
        ("pipe.csv", "found a pipe, socket or device"),
        ("/dev/zero", "found a pipe, socket or device"),
        ("tables", "found no file in the folder"),
    ] {
        let said = refuses(at, &format!("train --data {data}"));
        assert!(said.contains(found), "{data}: {said}");
    }
    for (weights, found) in [
        ("pipe", "expected a file, found a pipe, socket or device"),
        (
            "/dev/zero",
            "expected a file, found a pipe, socket or device",
        ),
        ("tables", "expected a file, found a folder"),
        ("nowhere", "cannot be opened"),
    ] {
        let said = refuses(at, &format!("{QUICK} --weights {weights}"));
        assert!(said.contains("--weights") && said.contains(found), "{said}");
    }
}

/// An IDX file of bytes.
fn idx(dimensions: &[u32], elements: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0, 8, dimensions.len() as u8];
    bytes.extend(dimensions.iter().flat_map(|d| d.to_be_bytes()));
    bytes.extend(elements);
    bytes
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// 20 images of 4 x 4 pixels, in two classes.
fn images(folder: &Path) {
    let pixels: Vec<u8> = (0..320)
        .map(|i| (i / 16 % 2 * 100 + i % 16) as u8)
        .collect();
    let labels: Vec<u8> = (0..20).map(|i| i % 2).collect();
    let write = |name: &str, bytes: Vec<u8>| fs::write(folder.join(name), bytes).unwrap();
    write(
        "train-images-idx3-ubyte.gz",
        gzip(&idx(&[20, 4, 4], &pixels)),
    );
    write("train-labels-idx1-ubyte.gz", gzip(&idx(&[20], &labels)));
}

#[test]
fn what_is_no_file_does_not_hide_the_file_beside_it() {
    let folder = TempDir::new().unwrap();
    let at = folder.path();
    images(at);
    let words = "train --data . --epochs 1 --batch 4 --out out --force";
    ends(&run(at, words), 0);
    fs::create_dir(at.join("train-images-idx3-ubyte")).unwrap();
    ends(&run(at, words), 0);
    pipe(&at.join("train-labels-idx1-ubyte"));
    ends(&run(at, words), 0);
}

#[test]
fn memory_is_bounded_by_what_is_needed() {
    let folder = TempDir::new().unwrap();
    let at = folder.path();
    // Few parameters, and maps of 65,536 channels.
    let wide = "train --data synthetic --limit 300 --memory 2G --threads 2";
    let mut command = secant(at, wide);
    command.args(["--model", "conv65536k1 globalavgpool linear10"]);
    let said = ends(&command.output().unwrap(), 2);
    assert!(said.contains(" GB of memory, 2.0 GB may be used"), "{said}");
    assert!(!at.join("runs").exists(), "refused before anything is made");
    // The same for every size that is too small, and none for one that is not.
    let said = refuses(at, &format!("{QUICK} --memory 100k"));
    assert!(said.contains("--memory allows more"), "{said}");
    ends(&run(at, &format!("{QUICK} --memory 200M")), 0);
    let said = ends(&run(at, &format!("{QUICK} --memory much")), 2);
    assert!(said.contains("expected a number of bytes"), "{said}");
    // An archive is unpacked as far as both headers agree, and memory allows.
    images(at);
    let promised = gzip(&idx(&[1 << 20, 32, 32], &[0; 64]));
    fs::write(at.join("train-images-idx3-ubyte.gz"), &promised).unwrap();
    let said = refuses(at, "train --data .");
    assert!(said.contains("expected 1048576 labels"), "{said}");
    let labels = gzip(&idx(&[1 << 20], &[0; 64]));
    fs::write(at.join("train-labels-idx1-ubyte.gz"), labels).unwrap();
    let said = refuses(at, "train --data . --memory 500M");
    assert!(
        said.contains("an array of 1048576 x 32 x 32 needs 1.1 GB"),
        "{said}"
    );
    let said = refuses(at, "train --data . --memory 5G");
    assert!(said.contains("the file is truncated"), "{said}");
}

#[test]
fn many_small_files_are_counted_together() {
    let folder = TempDir::new().unwrap();
    let at = folder.path();
    let mut image = Vec::new();
    let mut encoder = png::Encoder::new(&mut image, 200, 200);
    encoder.set_color(png::ColorType::Grayscale);
    let mut writer = encoder.write_header().unwrap();
    writer.write_image_data(&[7; 200 * 200]).unwrap();
    writer.finish().unwrap();
    for i in 0..4 {
        let class = at.join(format!("set/{}", i % 2));
        fs::create_dir_all(&class).unwrap();
        fs::write(class.join(format!("{i}.png")), &image).unwrap();
    }
    let said = refuses(at, "train --data set --memory 130k");
    assert!(
        said.contains("set: reading 4 images needs 160.0 kB of memory, 130.0 kB may be used"),
        "{said}"
    );
    let said = ends(&run(at, "train --data set --memory 170k"), 2);
    assert!(!said.contains("images"), "{said}");
}

#[test]
fn the_speed_of_a_network_that_does_not_fit_is_not_measured() {
    let folder = TempDir::new().unwrap();
    // Half a terabyte of maps.
    let layers = "conv65536k1,".to_owned() + &"depthwise1,".repeat(20) + "globalavgpool,linear10";
    let words = format!("bench --threads 8 --model {layers}");
    let said = ends(&run(folder.path(), &words), 2);
    let last = said.lines().last().unwrap();
    assert!(
        last.contains("--model: measuring it needs") && last.contains("the system has"),
        "{said}"
    );
}

#[test]
fn weights_that_are_not_finite_are_named() {
    let folder = TempDir::new().unwrap();
    let at = folder.path();
    ends(&run(at, &format!("{QUICK} --out out")), 0);
    let good = fs::read(at.join("out/model.safetensors")).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&good).unwrap();
    for (name, place) in [("1.weight", 3), ("1.bias", 9)] {
        let tensor = tensors.tensor(name).unwrap();
        let begin = tensor.data().as_ptr() as usize - good.as_ptr() as usize;
        for value in [f32::NAN, f32::INFINITY] {
            let mut bad = good.clone();
            bad[begin + 4 * place..][..4].copy_from_slice(&value.to_le_bytes());
            fs::write(at.join("bad.safetensors"), bad).unwrap();
            let said = refuses(at, &format!("{QUICK} --weights bad.safetensors"));
            let expected = format!("tensor {name} holds {value} as its element {place}");
            assert!(
                said.contains("bad.safetensors") && said.contains(&expected),
                "{said}"
            );
        }
    }
}

#[test]
fn names_of_files_need_not_be_text() {
    let folder = TempDir::new().unwrap();
    let at = folder.path();
    ends(&run(at, &format!("{QUICK} --out out")), 0);
    let name = std::ffi::OsStr::from_bytes(b"mod\xffel.safetensors");
    fs::copy(at.join("out/model.safetensors"), at.join(name)).unwrap();
    let mut command = secant(at, &format!("{QUICK} --out again --weights"));
    ends(&command.arg(name).output().unwrap(), 0);
    let config = fs::read(at.join("again/config.json")).unwrap();
    let config: Value = serde_json::from_slice(&config).unwrap();
    assert_eq!(config["start"]["file"], "mod\u{fffd}el.safetensors");
    // A folder whose name holds what no text may hold.
    let odd = at.join("a\u{1}b\nc");
    fs::create_dir(&odd).unwrap();
    images(&odd);
    let mut command = secant(at, "train --epochs 2 --batch 4 --out odd --data");
    ends(&command.arg(&odd).output().unwrap(), 0);
    let curves = fs::read_to_string(at.join("odd/curves.svg")).unwrap();
    assert!(!curves.contains('\u{1}'), "no XML");
}

/// No thread can be started: stacks of this size fit nowhere.
#[test]
fn fewer_threads_than_asked_for_do_all_the_work() {
    let folder = TempDir::new().unwrap();
    let at = folder.path();
    let words = QUICK.replace("--threads 1", "--threads 8");
    let mut command = secant(at, &format!("{words} --json --out few"));
    let few = command.env("RUST_MIN_STACK", (1_u64 << 46).to_string());
    let few = few.output().unwrap();
    ends(&few, 0);
    let all = run(at, &format!("{words} --json --out all"));
    ends(&all, 0);
    let sum = |output: &Output| {
        let record: Value = serde_json::from_slice(&output.stdout).unwrap();
        record["sha256"]["final"].clone()
    };
    assert!(sum(&all).is_string());
    assert_eq!(sum(&few), sum(&all));
}

/// A run that goes on for long, in its first epochs.
fn begun(folder: &Path, out: &str) -> Child {
    let words = format!("{QUICK} --tolerance 0 --out {out}");
    let mut command = secant(folder, &words.replace("--epochs 2", "--epochs 1000000"));
    let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let mut child = child.unwrap();
    while !folder.join(out).join("config.json").exists() {
        assert!(child.try_wait().unwrap().is_none());
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    // The signals are watched before the first step.
    std::thread::sleep(std::time::Duration::from_millis(300));
    child
}

#[test]
fn signals_end_a_run_with_the_documented_status() {
    let folder = TempDir::new().unwrap();
    let at = folder.path();
    let help = String::from_utf8(run(at, "train --help").stdout).unwrap();
    for (signal, status) in [("INT", 130), ("TERM", 143)] {
        let mut child = begun(at, signal);
        let id = child.id().to_string();
        let sent = Command::new("kill").args(["-s", signal, &id]).status();
        assert!(sent.unwrap().success());
        assert_eq!(child.wait().unwrap().code(), Some(status));
        assert!(at.join(signal).join("model.safetensors").exists());
        assert!(
            help.contains(&status.to_string()),
            "{status} is not documented"
        );
    }
    for status in ["129", "134", "137"] {
        assert!(help.contains(status), "{status} is not documented");
    }
}

/// Data at the edge of what there is to learn: told or trained, never a panic.
#[test]
fn data_without_anything_to_learn() {
    let folder = TempDir::new().unwrap();
    let at = folder.path();
    let table = |name: &str, rows: &[&str]| {
        fs::write(at.join(name), format!("a,b,label\n{}\n", rows.join("\n"))).unwrap();
    };
    table("one_sample.csv", &["1,2,x"]);
    table("two_samples.csv", &["1,2,x", "2,3,y"]);
    table(
        "one_class.csv",
        &["1,2,x", "2,3,x", "3,4,x", "4,5,x", "5,5,x", "6,5,x"],
    );
    table(
        "constant.csv",
        &[
            "1,7,x", "1,7,y", "1,7,x", "1,7,y", "1,7,x", "1,7,y", "1,7,x", "1,7,y",
        ],
    );
    table(
        "huge.csv",
        &[
            "1e38,-1e38,x",
            "-1e38,1e38,y",
            "1e38,1e38,x",
            "3e38,-3e38,y",
            "0,0,x",
            "0,1,y",
        ],
    );
    table(
        "tiny.csv",
        &[
            "1e-45,1e-40,x",
            "2e-45,1e-39,y",
            "0,0,x",
            "1e-44,3e-40,y",
            "0,0,x",
            "0,1e-42,y",
        ],
    );
    let mut ends_of = Vec::new();
    for name in [
        "one_sample",
        "two_samples",
        "one_class",
        "constant",
        "huge",
        "tiny",
    ] {
        for optimizer in ["adam", "lbfgs", "lbfgs-armijo"] {
            let words = format!(
                "train --data {name}.csv --epochs 3 --batch 2 --optimizer {optimizer} --out out --force"
            );
            let output = run(at, &words);
            let said = String::from_utf8(output.stderr.clone()).unwrap();
            assert!(!said.contains("panicked"), "{name}: {said}");
            let status = output.status.code().unwrap();
            assert!((0..=2).contains(&status), "{name}: {status}");
            if optimizer == "adam" {
                ends_of.push((name, status));
            }
        }
    }
    assert_eq!(
        ends_of,
        [
            ("one_sample", 2),
            ("two_samples", 2),
            ("one_class", 0),
            ("constant", 0),
            ("huge", 0),
            ("tiny", 0)
        ]
    );
}
