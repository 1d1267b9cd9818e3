//! `data/fetch.sh` with stand-ins for the network: where it looks, what it believes, what it leaves behind.
#![cfg(unix)]

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use flate2::{Compression, write::GzEncoder};
use secant_harness::dataset::{FILES, hex};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

/// A copy of the script that expects four tiny files, with a PATH whose `apt-get` and `curl` the test decides.
struct Fixture {
    root: TempDir,
}

impl Fixture {
    fn new() -> Self {
        let root = TempDir::new().unwrap();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../data/fetch.sh");
        for folder in ["data", "bin", "installed", "served"] {
            fs::create_dir(root.path().join(folder)).unwrap();
        }
        fs::copy(script, root.path().join("data/fetch.sh")).unwrap();
        let sums = FILES.map(|name| format!("{}  {name}\n", hex(&Sha256::digest(content(name)))));
        fs::write(root.path().join("data/SHA256SUMS"), sums.concat()).unwrap();
        let fixture = Self { root };
        fixture.command("apt-get", "echo 'E: no such package' >&2; exit 100");
        fixture.command("curl", "echo 'curl: no network' >&2; exit 6");
        fixture
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// Puts a shell script into the PATH.
    fn command(&self, name: &str, body: &str) {
        let path = self.path("bin").join(name);
        fs::write(&path, format!("#!/bin/sh\n{body}\n")).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// Writes the four files into a folder, as they should be.
    fn fill(&self, folder: &str) {
        for name in FILES {
            fs::write(
                self.path(folder).join(format!("{name}.gz")),
                gzip(&content(name)),
            )
            .unwrap();
        }
    }

    fn fetch(&self) -> Output {
        let path = format!(
            "{}:{}",
            self.path("bin").display(),
            std::env::var("PATH").unwrap()
        );
        Command::new("sh")
            .arg(self.path("data/fetch.sh"))
            .env("PATH", path)
            .env("SECANT_PACKAGE_DIR", self.path("installed"))
            .env("SECANT_DATA_URL", "http://example.invalid/fashion")
            .output()
            .unwrap()
    }

    fn succeeds(&self, words: &str) {
        let output = self.fetch();
        let messages = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success() && messages.contains(words),
            "{messages}"
        );
        for name in FILES {
            let found =
                fs::read(self.path("data/fashion-mnist").join(format!("{name}.gz"))).unwrap();
            assert_eq!(found, gzip(&content(name)));
        }
        assert_eq!(
            fs::read_dir(self.path("data/fashion-mnist"))
                .unwrap()
                .count(),
            4,
            "nothing but the four files"
        );
    }

    fn fails(&self, words: &str) {
        let output = self.fetch();
        let messages = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{messages}");
        assert!(messages.contains(words), "{messages}");
        assert!(
            !self.path("data/fashion-mnist").exists(),
            "nothing is left behind"
        );
    }
}

fn content(name: &str) -> Vec<u8> {
    name.repeat(100).into_bytes()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// `curl ... --output FILE URL` that serves the folder `served`.
const CURL: &str = r#"
for last; do
    if [ "${previous:-}" = --output ]; then file=$last; fi
    previous=$last
done
case $last in
    http://example.invalid/fashion/*) cp "$(dirname "$0")/../served/${last##*/}" "$file" ;;
    *) exit 3 ;;
esac"#;

#[test]
fn an_installed_package_comes_first() {
    let fixture = Fixture::new();
    fixture.fill("installed");
    fixture.command("apt-get", "exit 99");
    fixture.succeeds("(from the installed package)");
    fixture.succeeds("already in");
}

#[test]
fn the_network_comes_last() {
    let fixture = Fixture::new();
    fixture.fill("served");
    fixture.command("curl", CURL);
    fixture.succeeds("(from http://example.invalid/fashion)");
}

#[test]
fn a_wrong_file_is_never_used() {
    let fixture = Fixture::new();
    fixture.fill("served");
    fixture.fill("installed");
    fs::write(
        fixture.path("installed/t10k-labels-idx1-ubyte.gz"),
        gzip(b"something else"),
    )
    .unwrap();
    fixture.command("curl", CURL);
    // The wrong one in the package sends it on to the network; a wrong one there as well ends it.
    fixture.succeeds("not the expected content");
    fs::remove_dir_all(fixture.path("data/fashion-mnist")).unwrap();
    fs::write(
        fixture.path("served/train-images-idx3-ubyte.gz"),
        b"<html>404</html>",
    )
    .unwrap();
    fixture.fails("train-images-idx3-ubyte.gz: not the expected content");
}

#[test]
fn a_damaged_copy_is_replaced() {
    let fixture = Fixture::new();
    fixture.fill("installed");
    fixture.succeeds("(from the installed package)");
    fs::write(
        fixture.path("data/fashion-mnist/t10k-images-idx3-ubyte.gz"),
        b"half",
    )
    .unwrap();
    fixture.succeeds("(from the installed package)");
}

#[test]
fn without_any_source_it_says_what_to_do() {
    Fixture::new().fails("Install Debian's package dataset-fashion-mnist");
    let fixture = Fixture::new();
    fixture.fill("installed");
    fs::remove_file(fixture.path("installed/train-labels-idx1-ubyte.gz")).unwrap();
    fixture.fails("no train-labels-idx1-ubyte.gz");
}
