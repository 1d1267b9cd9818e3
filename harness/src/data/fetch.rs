//! The four files of Fashion-MNIST, put into a folder: copied from Debian's package where that is
//! installed, else downloaded by the program `curl`.
//!
//! The program itself has no network code. An HTTPS client would be 28 crates (`ureq` 3), one with C
//! and assembly, and certificates under a licence that no other crate here has, for something that is
//! done once; `curl` stands on every Linux, macOS and Windows of today.
//!
//! A file gets its name only when what it unpacks to has the SHA-256 that stands here (gzip writes
//! the same content in more than one way).

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use flate2::read::MultiGzDecoder;
use sha2::{Digest, Sha256};

use super::dataset::hex;
use crate::error::Error;
use crate::export::write_whole;

/// Name without `.gz`, length and SHA-256 of what is packed.
const FILES: [(&str, u64, &str); 4] = [
    (
        "train-images-idx3-ubyte",
        47_040_016,
        "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    ),
    (
        "train-labels-idx1-ubyte",
        60_008,
        "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    ),
    (
        "t10k-images-idx3-ubyte",
        7_840_016,
        "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    ),
    (
        "t10k-labels-idx1-ubyte",
        10_008,
        "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    ),
];

/// Where Debian's package `dataset-fashion-mnist` puts them.
const INSTALLED: &str = "/usr/share/datasets/fashion-mnist";

/// Where they are in public; tried in turn.
const HOMES: [&str; 2] = [
    "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion",
    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com",
];

/// Bytes of a packed file, at most: a tenth more than the largest has.
const LARGEST: u64 = 30_000_000;

/// Other places than these, for tests and for networks of one's own.
#[derive(Debug, Default)]
pub struct Places {
    /// `SECANT_PACKAGE_DIR`
    pub installed: Option<OsString>,
    /// `SECANT_DATA_URL`, several separated by spaces
    pub homes: Option<String>,
}

/// Puts the files into `folder`, and says where they come from; `say` is told what is tried.
///
/// # Errors
/// [`Error::Run`] when they are not to be had, [`Error::Output`] when they cannot be written.
pub fn fashion_mnist(
    folder: &Path,
    places: &Places,
    say: &mut dyn FnMut(&str),
) -> Result<String, Error> {
    let there = |(name, length, sum): &(&str, u64, &str)| {
        let file = File::open(folder.join(format!("{name}.gz")));
        file.is_ok_and(|file| is_right(file, *length, sum))
    };
    if FILES.iter().all(there) {
        return Ok("it was there already".to_owned());
    }
    let installed = places.installed.clone().unwrap_or(INSTALLED.into());
    let installed = PathBuf::from(installed);
    if installed.is_dir() {
        say(&format!("Copying from {} ...", installed.display()));
        let copy = |name: &str| {
            let file = File::open(installed.join(name)).map_err(|error| error.to_string())?;
            let mut bytes = Vec::new();
            let read = file.take(LARGEST).read_to_end(&mut bytes);
            read.map_err(|error| error.to_string())?;
            Ok(bytes)
        };
        if take(folder, copy, say)? {
            return Ok("from the installed package".to_owned());
        }
    }
    let homes = places.homes.clone().unwrap_or(HOMES.join(" "));
    for home in homes.split_whitespace() {
        say(&format!("Downloading from {home} ..."));
        if take(folder, |name| download(&format!("{home}/{name}")), say)? {
            return Ok(format!("from {home}"));
        }
    }
    Err(Error::Run(format!(
        "Fashion-MNIST is not to be had: install curl, or Debian's package dataset-fashion-mnist, and \
         run this again; or put the four files ({}.gz, ...) into {} by hand",
        FILES[0].0,
        folder.display()
    )))
}

/// Writes the four files, each as soon as it is right; whether all came.
fn take(
    folder: &Path,
    get: impl Fn(&str) -> Result<Vec<u8>, String>,
    say: &mut dyn FnMut(&str),
) -> Result<bool, Error> {
    for (name, length, sum) in &FILES {
        let packed = format!("{name}.gz");
        let path = folder.join(&packed);
        if File::open(&path).is_ok_and(|file| is_right(file, *length, sum)) {
            continue;
        }
        let bytes = match get(&packed) {
            Ok(bytes) => bytes,
            Err(why) => {
                say(&format!("  {packed}: not to be had: {why}"));
                return Ok(false);
            }
        };
        if !is_right(&bytes[..], *length, sum) {
            say(&format!(
                "  {packed}: not the expected content (SHA-256), not used"
            ));
            return Ok(false);
        }
        fs::create_dir_all(folder).map_err(|source| Error::Output {
            path: folder.to_owned(),
            source,
        })?;
        write_whole(&path, &bytes)?;
    }
    Ok(true)
}

/// Whether a packed file holds what it should.
fn is_right(packed: impl Read, length: u64, sum: &str) -> bool {
    let mut content = MultiGzDecoder::new(packed).take(length + 1);
    let (mut hash, mut piece, mut count) = (Sha256::new(), vec![0; 1 << 16], 0);
    loop {
        match content.read(&mut piece) {
            Ok(0) => break,
            Ok(n) => {
                hash.update(&piece[..n]);
                count += n as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return false,
        }
    }
    count == length && hex(&hash.finalize()) == sum
}

/// What stands at an address, by `curl`.
fn download(address: &str) -> Result<Vec<u8>, String> {
    let largest = LARGEST.to_string();
    let done = Command::new("curl")
        .args(["--fail", "--silent", "--show-error", "--location"])
        .args(["--retry", "2", "--connect-timeout", "20"])
        .args(["--max-filesize", &largest, "--", address])
        .stdin(Stdio::null())
        .output();
    match done {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err("the program 'curl' is not installed".to_owned())
        }
        Err(error) => Err(format!("curl: {error}")),
        Ok(done) if done.status.success() => Ok(done.stdout),
        Ok(done) => {
            let said = String::from_utf8_lossy(&done.stderr);
            let last = said.trim().lines().last().unwrap_or("curl failed");
            Err(last.to_owned())
        }
    }
}
