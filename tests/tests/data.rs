//! Data sets of any shape through the program: each format trains, and wrong files say so in one
//! line.

use std::fs;
use std::path::Path;
use std::process::Output;

use secant_tests::program::command;
use secant_tests::small_set;
use tempfile::TempDir;

fn secant(folder: &TempDir, words: &str) -> Output {
    command(
        env!("CARGO_BIN_EXE_secant-under-test"),
        folder,
        words.split_whitespace(),
    )
    .output()
    .unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Writes the set of 3 x 20 x 14 in one format.
type Write = fn(&Path, &[small_set::Part; 2]) -> std::io::Result<()>;

#[test]
fn every_format_trains() {
    let parts = small_set::draw(60, 30);
    let formats: [(&str, Write); 4] = [
        ("idx", small_set::write_idx),
        ("npy", small_set::write_npy),
        ("csv", small_set::write_csv),
        ("png", small_set::write_png),
    ];
    for (format, write) in formats {
        let folder = TempDir::new().unwrap();
        let data = folder.path().join("set");
        fs::create_dir(&data).unwrap();
        write(&data, &parts).unwrap();
        let words = "train --data set --epochs 1 --batch 8 --threads 1 --json --out out";
        let output = secant(&folder, words);
        assert!(output.status.success(), "{format}: {}", said(&output));
        let record: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(record["dataset"]["classes"], 3, "{format}");
        assert_eq!(record["dataset"]["test"], 30, "{format}");
        assert!(folder.path().join("out/model.safetensors").exists());
    }
}

#[test]
fn wrong_files_are_refused_in_one_line() {
    let parts = small_set::draw(12, 6);
    let refused = |change: &dyn Fn(&Path), words: &str| {
        let folder = TempDir::new().unwrap();
        let data = folder.path().join("set");
        fs::create_dir(&data).unwrap();
        small_set::write_idx(&data, &parts).unwrap();
        change(&data);
        let output = secant(&folder, &format!("train --data set --epochs 1 {words}"));
        let said = said(&output);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert_eq!(said.trim_end().lines().count(), 1, "{said}");
        said
    };
    let images = "train-images-idx4-ubyte";
    let edit = |name: &'static str, edit: fn(&mut Vec<u8>)| {
        move |folder: &Path| {
            let mut bytes = fs::read(folder.join(name)).unwrap();
            edit(&mut bytes);
            fs::write(folder.join(name), bytes).unwrap();
        }
    };
    let line = refused(&edit(images, |bytes| bytes[0] = 1), "");
    assert!(line.contains("expected an IDX file"), "{line}");
    let line = refused(&edit(images, |bytes| bytes.truncate(500)), "");
    assert!(line.contains("the file is truncated"), "{line}");
    let missing = |folder: &Path| fs::remove_file(folder.join("train-labels-idx1-ubyte")).unwrap();
    let line = refused(&missing, "");
    assert!(line.contains("train-labels-idx1-ubyte"), "{line}");
    let other = |folder: &Path| {
        let mut labels = vec![0, 0, 8, 1, 0, 0, 0, 11];
        labels.extend([0; 11]);
        fs::write(folder.join("train-labels-idx1-ubyte"), labels).unwrap();
    };
    let line = refused(&other, "");
    assert!(line.contains("expected 12 labels"), "{line}");
    let line = refused(&|_| (), "--model conv4k3,relu,linear10");
    assert!(line.contains("end it with linear3"), "{line}");
}

#[test]
fn size_knows_signals() {
    let folder = TempDir::new().unwrap();
    let output = secant(&folder, "size --shape 3x1x64 --classes 4 --json");
    assert!(output.status.success(), "{}", said(&output));
    let output = secant(&folder, "size --shape 3x64 --classes 4");
    assert_eq!(output.status.code(), Some(2));
    assert!(said(&output).contains("as in 3x1x64"));
}

/// Counts by hand: three pictures of two classes, one of them set aside.
#[test]
fn a_data_set_is_counted_and_drawn() {
    let folder = TempDir::new().unwrap();
    let words = |words: &str| {
        let program = env!("CARGO_BIN_EXE_secant-under-test");
        let output = secant_tests::program::command(program, &folder, words.split_whitespace());
        let output = { output }.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{words}: {said}");
        String::from_utf8(output.stdout).unwrap()
    };
    fs::write(
        folder.path().join("train.csv"),
        "a,b,label\n1,10,no\n2,10,yes\n3,10,yes\n6,10,no\n",
    )
    .unwrap();
    fs::write(folder.path().join("test.csv"), "a,b,label\n5,-7.5,yes\n").unwrap();
    let text = words("data info . --json");
    let info: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(info["train"]["samples"], 4);
    let first = &info["train"]["channels"][0];
    assert_eq!(
        (&first["smallest"], &first["largest"]),
        (&1.0.into(), &6.0.into())
    );
    assert_eq!(first["mean"], 3.0);
    let deviation = first["deviation"].as_f64().unwrap();
    assert!((deviation - 3.5_f64.sqrt()).abs() < 1e-12);
    assert_eq!(info["train"]["channels"][1]["deviation"], 0.0);
    assert_eq!(info["test"]["channels"][1]["mean"], -7.5);
    let classes: Vec<_> = info["classes"].as_array().unwrap().iter().collect();
    assert_eq!(classes.len(), 2);
    for class in classes {
        assert_eq!(class["train"], 2);
        assert_eq!(class["test"], u8::from(class["name"] == "yes"));
    }
    let table = words("data info synthetic");
    assert!(
        table.lines().all(|line| line.chars().count() <= 80),
        "{table}"
    );
    let drawn = words("data preview synthetic");
    assert_eq!(drawn.matches("training sample").count(), 10);
    words("data preview synthetic --count 3 --out sheet.png");
    let sheet = fs::File::open(folder.path().join("sheet.png")).unwrap();
    let reader = png::Decoder::new(std::io::BufReader::new(sheet))
        .read_info()
        .unwrap();
    let about = reader.info();
    assert_eq!((about.width, about.height), (3 * 30 + 2, 10 * 30 + 2));
}
