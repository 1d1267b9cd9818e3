//! The IDX reader and the loader over it: good files, every kind of wrong file, and where files are
//! looked for.

use std::ffi::OsString;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use byteorder::{BigEndian, WriteBytesExt};
use flate2::{Compression, write::GzEncoder};
use secant::Affine;
use secant_harness::data::array::Cells;
use secant_harness::data::elements::{Elements, Targets};
use secant_harness::data::open::{self as dataset, Location};
use secant_harness::data::predict::Predict;
use secant_harness::data::{idx, scaling};
use tempfile::TempDir;

/// An IDX file with the given type byte and dimensions, followed by `elements`.
fn idx_bytes(kind: u8, dimensions: &[u32], elements: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0, kind, dimensions.len() as u8];
    for &dimension in dimensions {
        bytes.write_u32::<BigEndian>(dimension).unwrap();
    }
    bytes.extend_from_slice(elements);
    bytes
}

fn scaling_of(pixels: &[u8]) -> Affine {
    let shape = secant::network::Shape::vector(1);
    scaling::per_channel(&Elements::U8(pixels.to_vec()), shape)[0]
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn write(folder: &TempDir, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.path().join(name);
    fs::write(&path, bytes).unwrap();
    path
}

/// Reads `bytes` as a file of rank 3 and returns the message, which must be one line that names the
/// file.
fn refusal(bytes: &[u8]) -> String {
    let folder = TempDir::new().unwrap();
    let path = write(&folder, "some-file", bytes);
    let error = idx::read(&path).unwrap_err();
    let message = error.to_string();
    let rest = message
        .strip_prefix(&format!("{}: ", path.display()))
        .expect("starts with the file's name");
    assert!(!rest.contains('\n'), "one line: {rest}");
    rest.to_owned()
}

#[test]
fn plain_and_gzipped_files_read_alike() {
    let elements: Vec<u8> = (0..2 * 3 * 5).map(|i| (i * 7) as u8).collect();
    let bytes = idx_bytes(8, &[2, 3, 5], &elements);
    let folder = TempDir::new().unwrap();
    for (name, content) in [("plain", bytes.clone()), ("zipped", gzip(&bytes))] {
        let read = idx::read(&write(&folder, name, &content)).unwrap();
        assert_eq!(read.dimensions, [2, 3, 5], "{name}");
        assert_eq!(read.cells, Cells::U8(elements.clone()), "{name}");
    }
}

#[test]
fn an_empty_array_is_read_as_one() {
    let folder = TempDir::new().unwrap();
    let read = idx::read(&write(&folder, "empty", &idx_bytes(8, &[0, 28, 28], &[]))).unwrap();
    assert_eq!(
        (read.dimensions, read.cells),
        (vec![0, 28, 28], Cells::U8(vec![]))
    );
}

#[test]
fn each_wrong_file_says_what_was_expected_and_what_was_found() {
    let elements = [0u8; 24];
    let table: &[(&str, Vec<u8>, &str)] = &[
        (
            "empty",
            vec![],
            "expected an IDX header of at least 8 bytes, found only 0 bytes",
        ),
        (
            "cut header",
            idx_bytes(8, &[2, 3, 4], &[])[..9].to_vec(),
            "expected an IDX header of 16 bytes, found only 9 bytes",
        ),
        (
            "picture",
            b"\x89PNG\r\n\x1a\n0123456789".to_vec(),
            "expected an IDX file (starting with the bytes 00 00), found 89 50",
        ),
        (
            "text of two bytes",
            b"no".to_vec(),
            "expected an IDX file (starting with the bytes 00 00), found 6e 6f",
        ),
        (
            "floats",
            idx_bytes(13, &[2, 3, 4], &elements),
            "expected 96 bytes of elements (2 x 3 x 4), found only 24: the file is truncated",
        ),
        (
            "unknown type",
            idx_bytes(7, &[2, 3, 4], &elements),
            "expected elements of type 08, 09, 0b, 0c, 0d or 0e, found type 07",
        ),
        (
            "truncated",
            idx_bytes(8, &[2, 3, 4], &elements[..23]),
            "expected 24 bytes of elements (2 x 3 x 4), found only 23: the file is truncated",
        ),
        (
            "oversized",
            idx_bytes(8, &[2, 3, 4], &[0; 25]),
            "expected 24 bytes of elements (2 x 3 x 4), found more: the file does not fit its header",
        ),
        (
            "promises too much",
            idx_bytes(8, &[0x1000_0000, 28, 28], &elements),
            "expected at most 1073741824 elements, found a header that promises 268435456 x 28 x 28",
        ),
        (
            "promises more than 2^64",
            idx_bytes(8, &[u32::MAX, u32::MAX, u32::MAX], &elements),
            "expected at most 1073741824 elements, found a header that promises 4294967295 x 4294967295 x 4294967295",
        ),
        (
            "promises nothing, of samples that are too large",
            idx_bytes(14, &[0, 0x4b00_0001, u32::MAX, 4], &[]),
            "expected at most 1073741824 elements, found a header that promises 0 x 1258291201 x 4294967295 x 4",
        ),
        (
            "promises the most allowed",
            idx_bytes(8, &[1 << 10, 1 << 10, 1 << 10], &elements),
            "expected 1073741824 bytes of elements (1024 x 1024 x 1024), found only 24: the file is truncated",
        ),
    ];
    for (name, bytes, expected) in table {
        assert_eq!(&refusal(bytes), expected, "{name}");
        if bytes.len() > 2 {
            assert_eq!(&refusal(&gzip(bytes)), expected, "{name}, gzipped");
        }
    }
}

#[test]
fn every_prefix_of_a_gzip_file_is_refused() {
    let whole = gzip(&idx_bytes(8, &[2, 3, 4], &(0..24).collect::<Vec<u8>>()));
    for length in 2..whole.len() {
        let message = refusal(&whole[..length]);
        assert!(
            message.starts_with("expected a whole gzip file, found a damaged one"),
            "{length}: {message}"
        );
    }
}

#[test]
fn a_flipped_bit_in_a_gzip_file_never_passes() {
    let elements: Vec<u8> = (0..24).map(|i| (i * i) as u8).collect();
    let whole = gzip(&idx_bytes(8, &[2, 3, 4], &elements));
    let folder = TempDir::new().unwrap();
    for bit in 0..whole.len() * 8 {
        let mut bytes = whole.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        // A few bits mean nothing (the header's time, padding); for all others the checksum or the
        // reader objects.
        if let Ok(read) = idx::read(&write(&folder, "flipped", &bytes)) {
            assert_eq!(read.cells, Cells::U8(elements.clone()), "bit {bit}");
        }
    }
}

#[test]
fn a_gzip_bomb_stops_at_the_promised_length() {
    // 256 MiB of zeros behind a header that promises 24 bytes.
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(&idx_bytes(8, &[2, 3, 4], &[])).unwrap();
    let zeros = vec![0; 1 << 20];
    for _ in 0..256 {
        encoder.write_all(&zeros).unwrap();
    }
    let bomb = encoder.finish().unwrap();
    // Other work may have had the processor: the best of some tries counts.
    let fastest = (0..10).map(|_| {
        let started = std::time::Instant::now();
        assert!(refusal(&bomb).contains("found more"));
        started.elapsed()
    });
    let fastest = fastest.min().unwrap().as_millis();
    assert!(fastest < 100, "reads on past the promised end");
}

#[test]
fn a_missing_file_is_an_error_with_its_name() {
    let error = idx::read(Path::new("no/such/file")).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("no/such/file: cannot be opened: "),
        "{error}"
    );
}

/// Writes a small data set of `train` and `test` images whose pixels all equal their label.
fn write_set(folder: &TempDir, train: u32, test: u32) {
    for (prefix, count) in [("train", train), ("t10k", test)] {
        let labels: Vec<u8> = (0..count).map(|i| (i % 10) as u8).collect();
        let pixels: Vec<u8> = labels.iter().flat_map(|&label| [label; 784]).collect();
        let images = idx_bytes(8, &[count, 28, 28], &pixels);
        write(
            folder,
            &format!("{prefix}-images-idx3-ubyte.gz"),
            &gzip(&images),
        );
        write(
            folder,
            &format!("{prefix}-labels-idx1-ubyte"),
            &idx_bytes(8, &[count], &labels),
        );
    }
}

#[test]
fn a_folder_loads_and_a_limit_cuts_only_the_training_images() {
    let folder = TempDir::new().unwrap();
    write_set(&folder, 40, 20);
    let location = Location::Path(folder.path().to_owned());
    let whole = dataset::load(&location, None, &Predict::Labels).unwrap();
    assert_eq!((whole.train.len(), whole.test.len()), (40, 20));
    assert_eq!(
        whole.name,
        folder.path().file_name().unwrap().to_str().unwrap(),
        "not taken for Fashion-MNIST"
    );
    let cut = dataset::load(&location, Some(30), &Predict::Labels).unwrap();
    assert_eq!(
        (cut.train.len(), cut.train.elements.len(), cut.test.len()),
        (30, 30 * 784, 20)
    );
    assert_eq!(
        dataset::load(&location, Some(41), &Predict::Labels)
            .unwrap()
            .train,
        whole.train
    );
}

#[test]
fn files_that_do_not_fit_together_are_refused() {
    let set = |replace: &str, bytes: Vec<u8>| {
        let folder = TempDir::new().unwrap();
        write_set(&folder, 40, 20);
        write(&folder, replace, &bytes);
        let location = Location::Path(folder.path().to_owned());
        dataset::load(&location, None, &Predict::Labels)
            .unwrap_err()
            .to_string()
            .replace(&folder.path().display().to_string(), "F")
    };
    assert_eq!(
        set("train-labels-idx1-ubyte", idx_bytes(8, &[39], &[0; 39])),
        "F/train-labels-idx1-ubyte: expected 40 labels, one for each sample beside it, found 39"
    );
    assert_eq!(
        set(
            "t10k-images-idx3-ubyte",
            idx_bytes(8, &[20, 32, 32], &[0; 20 * 1024])
        ),
        "F/t10k-images-idx3-ubyte: expected samples of 1 x 28 x 28 as in train-images-idx3-ubyte.gz, found 1 x 32 x 32"
    );
    assert_eq!(
        set("train-images-idx3-ubyte", idx_bytes(8, &[0, 28, 28], &[])),
        "F/train-images-idx3-ubyte: expected at least one sample, found none"
    );
}

#[test]
fn a_folder_that_lacks_a_file_says_which() {
    let folder = TempDir::new().unwrap();
    write_set(&folder, 10, 10);
    fs::remove_file(folder.path().join("t10k-images-idx3-ubyte.gz")).unwrap();
    let error = dataset::load(
        &Location::Path(folder.path().to_owned()),
        None,
        &Predict::Labels,
    )
    .unwrap_err()
    .to_string();
    assert!(error.ends_with("expected a file like t10k-images-idx3-ubyte or t10k-images-idx3-ubyte.gz, found none; 'secant data fetch' gets Fashion-MNIST's"), "{error}");
    let error = dataset::load(
        &Location::Path("no/such/folder".into()),
        None,
        &Predict::Labels,
    )
    .unwrap_err()
    .to_string();
    assert!(
        error.starts_with("no/such/folder: expected a folder or file"),
        "{error}"
    );
}

#[test]
fn the_order_of_places_is_the_documented_one() {
    let (full, other, empty) = (
        TempDir::new().unwrap(),
        TempDir::new().unwrap(),
        TempDir::new().unwrap(),
    );
    write_set(&full, 10, 10);
    write_set(&other, 10, 10);
    let folders = [empty.path(), full.path(), other.path()];
    let folder = |dir: &TempDir| Location::Path(dir.path().to_owned());
    let environment = |value: &str| Some(OsString::from(value));

    assert_eq!(
        dataset::locate(Some("given".as_ref()), environment("named"), &folders),
        Location::Path("given".into())
    );
    assert_eq!(
        dataset::locate(None, environment("named"), &folders),
        Location::Path("named".into())
    );
    assert_eq!(
        dataset::locate(None, environment(""), &folders),
        folder(&full),
        "an empty variable counts as unset"
    );
    assert_eq!(dataset::locate(None, None, &folders), folder(&full));
    assert_eq!(
        dataset::locate(None, None, &[empty.path()]),
        Location::Synthetic { fallback: true }
    );
    let chosen = Location::Synthetic { fallback: false };
    assert_eq!(
        dataset::locate(Some("synthetic".as_ref()), None, &folders),
        chosen
    );
    assert_eq!(
        dataset::locate(None, environment("synthetic"), &folders),
        chosen
    );
}

#[test]
fn normalised_pixels_have_mean_zero_and_variance_one() {
    let pixels: Vec<u8> = (0..10_000u32).map(|i| (i * i % 251) as u8).collect();
    let Affine { scale, offset } = scaling_of(&pixels);
    let values = pixels
        .iter()
        .map(|&p| f64::from(p) * f64::from(scale) + f64::from(offset));
    let (sum, squares) = values.fold((0.0, 0.0), |(s, q), x| (s + x, q + x * x));
    let count = pixels.len() as f64;
    assert!((sum / count).abs() < 1e-6, "{}", sum / count);
    assert!((squares / count - 1.0).abs() < 1e-6, "{}", squares / count);
    // Nothing to divide by: every pixel maps to (almost) zero and none to infinity.
    let flat = scaling_of(&[7; 100]);
    assert!((7.0 * flat.scale + flat.offset).abs() < 1e-6);
    assert!(scaling_of(&[]).scale.is_finite());
}

#[test]
fn the_real_images_load_where_they_are_installed() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let folders = dataset::STANDARD_FOLDERS.map(|folder| root.join(folder));
    let folders = folders.each_ref().map(PathBuf::as_path);
    let location = dataset::locate(None, std::env::var_os("SECANT_DATA"), &folders);
    if matches!(location, Location::Synthetic { .. }) {
        println!("skipped: Fashion-MNIST is not installed (data/fetch.sh gets it)");
        return;
    }
    let set = dataset::load(&location, None, &Predict::Labels).unwrap();
    assert_eq!(
        (set.name.as_str(), set.train.len(), set.test.len()),
        ("fashion-mnist", 60_000, 10_000)
    );
    // Mean .2860406 and deviation .3530242 of pixels over 255, as the data set's users know them.
    let Affine { scale, offset } = set.scalings[0];
    assert!(
        (255.0 / f64::from(scale) / 255.0 / 255.0 - 0.353_024_2).abs() < 1e-6,
        "{scale}"
    );
    assert!(
        (-f64::from(offset) / f64::from(scale) / 255.0 - 0.286_040_6).abs() < 1e-6,
        "{offset}"
    );
    assert!(matches!(set.train.targets, Targets::Classes(_)));
    assert_eq!(set.train.targets.counts(10), [6_000; 10]);
}
