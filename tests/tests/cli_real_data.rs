//! Short runs on the real Fashion-MNIST, where it is installed: both optimisers learn, and counts
//! are what they should be.

use std::path::{Path, PathBuf};
use std::process::Command;

use secant_harness::data::open::STANDARD_FOLDERS;
use serde_json::Value;
use tempfile::TempDir;

/// The folder with the data, if there is one.
fn data() -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent()?;
    let named = std::env::var_os("SECANT_DATA").map(PathBuf::from);
    let standard = STANDARD_FOLDERS.map(|folder| root.join(folder));
    let found = named
        .into_iter()
        .chain(standard)
        .find(|folder| folder.is_dir());
    if found.is_none() {
        println!("skipped: Fashion-MNIST is not installed (data/fetch.sh gets it)");
    }
    found
}

fn train(data: &Path, words: &str) -> Value {
    let folder = TempDir::new().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_secant-under-test"))
        .args(["train", "--json", "--data"])
        .arg(data)
        .args(words.split(' '))
        .current_dir(&folder)
        .env_remove("SECANT_ISA")
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn adam_learns() {
    let Some(data) = data() else { return };
    let record = train(&data, "--limit 15000 --epochs 2 --validation 0");
    assert_eq!(record["dataset"]["name"], "fashion-mnist");
    assert_eq!(
        (&record["dataset"]["train"], &record["dataset"]["test"]),
        (&15_000.into(), &10_000.into())
    );
    assert_eq!(
        (&record["iterations"], &record["gradient_epochs"]),
        (&470.into(), &2.0.into())
    );
    let accuracy = record["test_accuracy"].as_f64().unwrap();
    assert!((0.80..0.95).contains(&accuracy), "{accuracy}");
    assert_eq!(record["collapsed"], false);
}

#[test]
fn lbfgs_learns() {
    let Some(data) = data() else { return };
    let record = train(
        &data,
        "--optimizer lbfgs --limit 15000 --epochs 3 --validation 0.2",
    );
    assert_eq!(
        (
            &record["dataset"]["train"],
            &record["dataset"]["validation"]
        ),
        (&12_000.into(), &3_000.into())
    );
    let accuracy = record["test_accuracy"].as_f64().unwrap();
    assert!((0.70..0.95).contains(&accuracy), "{accuracy}");
    assert_eq!(record["collapsed"], false);
}
