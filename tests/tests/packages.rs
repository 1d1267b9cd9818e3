//! What would be published: files and metadata of both packages. (`tests/reliability packages` builds
//! and installs them.)

use std::path::Path;
use std::process::Command;

use serde_json::Value;

fn cargo(words: &[&str]) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let output = Command::new(env!("CARGO"))
        .args(words)
        .current_dir(folder)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{words:?}: {said}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn packages_have_what_a_reader_wants() {
    let metadata = cargo(&[
        "metadata",
        "--offline",
        "--no-deps",
        "--format-version",
        "1",
    ]);
    let metadata: Value = serde_json::from_str(&metadata).unwrap();
    for name in ["secant", "secant-harness"] {
        let packages = metadata["packages"].as_array().unwrap();
        let package = packages.iter().find(|package| package["name"] == name);
        let package = package.unwrap();
        for field in [
            "description",
            "license",
            "documentation",
            "readme",
            "rust_version",
        ] {
            assert!(package[field].is_string(), "{name}: {field}");
        }
        // As many as the registry takes, and as long.
        for field in ["keywords", "categories"] {
            let words = package[field].as_array().unwrap();
            assert!((1..=5).contains(&words.len()), "{name}: {field}");
            assert!(
                words
                    .iter()
                    .all(|word| word.as_str().unwrap().len() <= 25 || field != "keywords")
            );
        }
        // The registry takes it: no list of registries forbids it.
        assert!(package["publish"].is_null(), "{name}");

        let list = cargo(&[
            "package",
            "--offline",
            "--allow-dirty",
            "--list",
            "-p",
            name,
        ]);
        let files: Vec<_> = list.lines().map(|line| line.replace('\\', "/")).collect();
        for file in [
            "README.md",
            "LICENSE-MIT",
            "LICENSE-APACHE",
            "Cargo.toml",
            "src/lib.rs",
        ] {
            assert!(files.iter().any(|found| found == file), "{name}: {file}");
        }
        if name == "secant" {
            assert!(files.iter().any(|found| found == "examples/motions.bin"));
        }
    }
}
