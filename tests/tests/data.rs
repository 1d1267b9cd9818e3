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
