//! `data/fetch.sh` and `secant data fetch` with stand-ins for the network: where it looks, what it believes, what it leaves
//! behind.
#![cfg(unix)]

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use flate2::{Compression, write::GzEncoder};
use secant_harness::data::dataset::hex;
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use zip::write::SimpleFileOptions;

/// The files of Fashion-MNIST, without the `.gz` that each ends in.
const FILES: [&str; 4] = [
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
];

/// The files of a set of time series.
const SERIES: [&str; 2] = ["GunPoint_TRAIN.ts", "GunPoint_TEST.ts"];

/// A copy of the script that expects tiny files, with a PATH whose `apt-get`, `curl` and `pip3` the
/// test decides.
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
        let sum = |name: &&str| format!("{}  {name}\n", hex(&Sha256::digest(content(name))));
        let sums: String = FILES.iter().chain(&SERIES).map(sum).collect();
        fs::write(root.path().join("data/SHA256SUMS"), sums).unwrap();
        let fixture = Self { root };
        fixture.command("apt-get", "echo 'E: no such package' >&2; exit 100");
        fixture.command("curl", "echo 'curl: no network' >&2; exit 6");
        fixture.command("pip3", "echo 'ERROR: no network' >&2; exit 1");
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

    /// Writes the Python package, with these contents of the series.
    fn pack(&self, contents: [&[u8]; 2]) {
        let file = fs::File::create(self.path("served/aeon.whl")).unwrap();
        let mut wheel = zip::ZipWriter::new(file);
        for (name, content) in SERIES.iter().zip(contents) {
            let name = format!("aeon/datasets/data/GunPoint/{name}");
            wheel
                .start_file(name, SimpleFileOptions::default())
                .unwrap();
            wheel.write_all(content).unwrap();
        }
        wheel.finish().unwrap();
    }

    fn fetch(&self, words: &[&str]) -> Output {
        let path = format!(
            "{}:{}",
            self.path("bin").display(),
            std::env::var("PATH").unwrap()
        );
        Command::new("sh")
            .arg(self.path("data/fetch.sh"))
            .args(words)
            .env("PATH", path)
            .env("SECANT_PACKAGE_DIR", self.path("installed"))
            .env("SECANT_DATA_URL", "http://example.invalid/fashion")
            .output()
            .unwrap()
    }

    fn succeeds(&self, words: &str) {
        let output = self.fetch(&[]);
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
        let output = self.fetch(&[]);
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

/// `pip3 download ... --dest DIR PACKAGE` that serves the folder `served`.
const PIP: &str = r#"
for word; do
    if [ "${previous:-}" = --dest ]; then folder=$word; fi
    previous=$word
done
[ "$1" = download ] && cp "$(dirname "$0")/../served/aeon.whl" "$folder/aeon-1.6.0-py3-none-any.whl""#;

#[test]
fn time_series_come_out_of_the_python_package() {
    let fixture = Fixture::new();
    fixture.pack(SERIES.map(content).each_ref().map(Vec::as_slice));
    fixture.command("pip3", PIP);
    let output = fixture.fetch(&["gun-point"]);
    let messages = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{messages}");
    for name in SERIES {
        let found = fs::read(fixture.path("data/gun-point").join(name)).unwrap();
        assert_eq!(found, content(name));
    }
    let files = fs::read_dir(fixture.path("data/gun-point")).unwrap();
    assert_eq!(files.count(), 2, "nothing but the two files");
    // What is there is not fetched again, into another folder it is.
    fixture.command("pip3", "exit 99");
    let output = fixture.fetch(&["gun-point"]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("already in"));
    fixture.command("pip3", PIP);
    let other = fixture.path("other");
    let output = fixture.fetch(&["gun-point", other.to_str().unwrap()]);
    assert!(output.status.success() && other.join(SERIES[0]).exists());
}

#[test]
fn wrong_time_series_are_never_used() {
    let fixture = Fixture::new();
    let said = |words: &[&str], status: i32| {
        let output = fixture.fetch(words);
        assert_eq!(output.status.code(), Some(status));
        assert!(!fixture.path("data/gun-point").exists());
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    assert!(said(&["gun-point"], 1).contains("not to be had: ERROR: no network"));
    fixture.pack([&content(SERIES[0]), b"something else"]);
    fixture.command("pip3", PIP);
    assert!(said(&["gun-point"], 1).contains("GunPoint_TEST.ts is not the expected content"));
    assert!(said(&["italy-power-demand"], 1).contains("holds no ItalyPowerDemand_TRAIN.ts"));
    assert!(said(&["gun-point", "a", "b"], 2).starts_with("usage: "));
    assert!(said(&["a", "b"], 2).starts_with("usage: "));
}

/// `secant data fetch set`, with the fixture's `curl` and with `installed` in place of the package.
fn by_the_program(fixture: &Fixture, installed: &Path) -> (Option<i32>, String) {
    let path = format!(
        "{}:{}",
        fixture.path("bin").display(),
        std::env::var("PATH").unwrap()
    );
    let output = Command::new(env!("CARGO_BIN_EXE_secant-under-test"))
        .args(["data", "fetch", "set"])
        .current_dir(fixture.root.path())
        .env("PATH", path)
        .env("SECANT_PACKAGE_DIR", installed)
        .env("SECANT_DATA_URL", "http://a.invalid/x http://b.invalid/y")
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(said).unwrap())
}

#[test]
fn the_program_says_what_is_not_to_be_had_and_leaves_nothing() {
    let fixture = Fixture::new();
    let nowhere = fixture.path("nowhere");
    for (curl, why) in [
        ("echo 'curl: no network' >&2; exit 6", "curl: no network"),
        ("echo something else", "not the expected content"),
        ("printf '\\037\\213\\010\\000'", "not the expected content"),
    ] {
        fixture.command("curl", curl);
        let (status, said) = by_the_program(&fixture, &nowhere);
        assert_eq!(status, Some(1), "{said}");
        for part in [why, "a.invalid", "b.invalid", "by hand"] {
            assert!(said.contains(part), "{part}: {said}");
        }
        assert!(!fixture.path("set").exists(), "nothing is left behind");
    }
    // Files that are not the real ones are refused, wherever they come from.
    fixture.fill("installed");
    let (status, said) = by_the_program(&fixture, &fixture.path("installed"));
    assert_eq!(status, Some(1), "{said}");
    assert!(!fixture.path("set").exists());
}

#[test]
fn the_program_fetches_the_real_files() {
    let real = Path::new("/usr/share/datasets/fashion-mnist");
    if !real.is_dir() {
        println!("skipped: Fashion-MNIST is not installed");
        return;
    }
    let fixture = Fixture::new();
    let nowhere = fixture.path("nowhere");
    let whole = || {
        let read = |folder: &Path, name| fs::read(folder.join(format!("{name}.gz"))).unwrap();
        let own = fixture.path("set");
        assert!(
            FILES
                .iter()
                .all(|name| read(&own, name) == read(real, name))
        );
        assert_eq!(fs::read_dir(own).unwrap().count(), 4);
    };
    // A server that has them, the second one of two.
    let serve = format!(
        "for a; do :; done; echo \"$a\" >> {}; case $a in *a.invalid*) exit 22 ;; esac\n\
         cat {}/\"${{a##*/}}\"",
        fixture.path("asked").display(),
        real.display()
    );
    fixture.command("curl", &serve);
    let (status, said) = by_the_program(&fixture, &nowhere);
    assert_eq!(status, Some(0), "{said}");
    assert!(
        said.contains("Fashion-MNIST is in set (from http://b.invalid/y)"),
        "{said}"
    );
    whole();
    // Nothing to do; then one file is damaged, and only that one is fetched again.
    fixture.command("curl", "exit 1");
    let (status, said) = by_the_program(&fixture, &nowhere);
    assert_eq!(status, Some(0), "{said}");
    assert!(said.contains("was there already"), "{said}");
    let labels = fixture.path("set/t10k-labels-idx1-ubyte.gz");
    fs::write(&labels, &fs::read(&labels).unwrap()[..100]).unwrap();
    let (status, said) = by_the_program(&fixture, &nowhere);
    assert_eq!(status, Some(1), "{said}");
    fs::remove_file(fixture.path("asked")).unwrap();
    fixture.command("curl", &serve);
    assert_eq!(by_the_program(&fixture, &nowhere).0, Some(0));
    let asked = fs::read_to_string(fixture.path("asked")).unwrap();
    assert!(
        asked
            .lines()
            .all(|line| line.ends_with("t10k-labels-idx1-ubyte.gz")),
        "{asked}"
    );
    whole();
    // The package is looked for first.
    fs::remove_dir_all(fixture.path("set")).unwrap();
    fixture.command("curl", "exit 1");
    let (status, said) = by_the_program(&fixture, real);
    assert_eq!(status, Some(0), "{said}");
    assert!(said.contains("from the installed package"), "{said}");
    whole();
    // Where no folder can be.
    fs::remove_dir_all(fixture.path("set")).unwrap();
    fs::write(fixture.path("set"), "a file").unwrap();
    let (status, said) = by_the_program(&fixture, real);
    assert_eq!(status, Some(3), "{said}");
    assert_eq!(fs::read(fixture.path("set")).unwrap(), b"a file");
}
