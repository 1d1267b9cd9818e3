//! Reads NumPy's arrays: `.npy` files, and `.npz` archives of them.
//!
//! ```text
//! offset  size  meaning
//! 0       6     93 'NUMPY'
//! 6       2     version, 1 to 3
//! 8       2     length h of the header, little-endian (4 bytes from version 2 on)
//! ...     h     a Python dictionary: {'descr': '<f4', 'fortran_order': False, 'shape': (80, 6, 100), }
//! ...           the elements, to the end of the file
//! ```
//!
//! The arrays are called as Keras calls them, `x_train`, `y_train`, `x_test`, `y_test` (or
//! `train_images`, `train_labels`, ...; `x` and `y` where there is no test part), in files of those
//! names or in the one archive of a folder. Labels of integers or texts are classes, those of
//! floats are numbers to predict, and so are several integers a sample.
//!
//! The format is read here because the crates for it parse the dictionary with a whole grammar of
//! Python's literals, which needs a C compiler to build.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use zip::ZipArchive;

use super::array::{self, Array, Cells, MAX_ELEMENTS};
use super::error::{DataError, quoted};
use super::files;
use super::labels::Labels;
use super::pieces::{Piece, Pieces};
use super::predict::Predict;
use crate::memory;

/// Names of the arrays, in lower case.
const TRAIN: [&[&str]; 2] = [
    &["x_train", "train_images", "x"],
    &["y_train", "train_labels", "y"],
];
const TEST: [&[&str]; 2] = [&["x_test", "test_images"], &["y_test", "test_labels"]];

/// Where the arrays are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Files {
    /// `.npy` files in this folder.
    Folder(PathBuf),
    /// This `.npz` file.
    Archive(PathBuf),
}

/// The arrays of the folder or file `path`, if it has training samples.
///
/// # Errors
/// More than one archive.
pub fn find(path: &Path) -> Result<Option<Files>, DataError> {
    if path.is_file() {
        let archive = files::has_ending(path, "npz");
        return Ok(archive.then(|| Files::Archive(path.to_owned())));
    }
    let arrays = files::ending(path, "npy");
    if one_of(&arrays, TRAIN[0]).is_some() {
        return Ok(Some(Files::Folder(path.to_owned())));
    }
    let archive = files::only(path, ".npz file", files::ending(path, "npz"))?;
    Ok(archive.map(Files::Archive))
}

/// The first file that has one of `names`, earlier names first.
fn one_of<'a>(paths: &'a [PathBuf], names: &[&str]) -> Option<&'a PathBuf> {
    let stem = |path: &PathBuf| path.file_stem().map(|s| s.to_ascii_lowercase());
    names
        .iter()
        .find_map(|name| paths.iter().find(|p| stem(p).is_some_and(|s| s == *name)))
}

/// Reads the arrays; labels only if they are wanted.
///
/// # Errors
/// The first array that is missing or not what it should be.
pub fn read_set(files: &Files, predict: &Predict) -> Result<Pieces, DataError> {
    let labelled = *predict != Predict::Input;
    let (train, test) = match files {
        Files::Folder(folder) => {
            let paths = files::ending(folder, "npy");
            let mut read = |names: &[&str]| match one_of(&paths, names) {
                Some(path) => read(path).map(|array| Some((path.clone(), array))),
                None => Ok(None),
            };
            pair_up(folder, ".npy", labelled, &mut read)?
        }
        Files::Archive(path) => {
            let mut archive = open(path)?;
            let mut read = |names: &[&str]| member(path, &mut archive, names);
            pair_up(path, "", labelled, &mut read)?
        }
    };
    Ok(Pieces {
        name: None,
        names: Vec::new(),
        train,
        test,
        notes: Vec::new(),
    })
}

/// An array with the path to name it by, if it is there.
type Found = Option<(PathBuf, Array)>;

/// Reads the arrays of both parts.
fn pair_up(
    source: &Path,
    ending: &str,
    labelled: bool,
    read: &mut dyn FnMut(&[&str]) -> Result<Found, DataError>,
) -> Result<(Piece, Option<Piece>), DataError> {
    let lacks = |name: &str| {
        DataError::new(
            source,
            format!("expected an array {name}{ending}, found none of that name"),
        )
    };
    let mut piece = |[samples, labels]: [&[&str]; 2]| -> Result<Option<Piece>, DataError> {
        if !labelled {
            let Some((path, array)) = read(samples)? else {
                return Ok(None);
            };
            let (shape, elements) = array.into_samples(&path)?;
            return Ok(Some(Piece {
                labels: Labels::Names(Vec::new()),
                labels_path: path.clone(),
                path,
                shape,
                elements,
            }));
        }
        let (samples, labels) = match (read(samples)?, read(labels)?) {
            (Some(found), Some(labels)) => (found, labels),
            (None, None) => return Ok(None),
            (None, Some(_)) => return Err(lacks(samples[0])),
            (Some(_), None) => return Err(lacks(labels[0])),
        };
        let (shape, elements) = samples.1.into_samples(&samples.0)?;
        Ok(Some(Piece {
            labels: labels.1.into_labels(&labels.0)?,
            path: samples.0,
            labels_path: labels.0,
            shape,
            elements,
        }))
    };
    let train = piece(TRAIN)?.ok_or_else(|| lacks(TRAIN[0][0]))?;
    Ok((train, piece(TEST)?))
}

/// Reads the `.npy` file at `path`.
///
/// # Errors
/// The file cannot be read, or is not exactly as its header says.
pub fn read(path: &Path) -> Result<Array, DataError> {
    let file = files::open(path)?;
    decode(BufReader::new(file)).map_err(|problem| DataError::new(path, problem))
}

fn open(path: &Path) -> Result<ZipArchive<BufReader<File>>, DataError> {
    let file = files::open(path)?;
    ZipArchive::new(BufReader::new(file)).map_err(|error| {
        DataError::new(
            path,
            format!("expected a whole zip archive, found a damaged one ({error})"),
        )
    })
}

/// Reads the first of the arrays `names` that the archive has.
fn member(
    path: &Path,
    archive: &mut ZipArchive<BufReader<File>>,
    names: &[&str],
) -> Result<Found, DataError> {
    let wanted = |name: &str| format!("{name}.npy");
    let found = names.iter().find_map(|name| {
        archive
            .file_names()
            .flatten()
            .find(|found| found.eq_ignore_ascii_case(&wanted(name)))
            .map(|found| found.into_owned())
    });
    let Some(name) = found else { return Ok(None) };
    // As `folder/mnist.npz/x_train.npy`, so that messages name both.
    let path = path.join(&name);
    let member = archive.by_name(&name).map_err(|error| {
        DataError::new(
            &path,
            format!("expected an array stored plain or deflated, found none ({error})"),
        )
    })?;
    let array = decode(member).map_err(|problem| DataError::new(&path, problem))?;
    Ok(Some((path, array)))
}

/// Decodes a stream from its first byte to its end.
fn decode(mut stream: impl Read) -> Result<Array, String> {
    let mut take = |wanted: u64| -> Result<Vec<u8>, String> {
        let mut bytes = Vec::new();
        let read = stream.by_ref().take(wanted).read_to_end(&mut bytes);
        read.map_err(|error| format!("cannot be read: {error}"))?;
        Ok(bytes)
    };
    let start = take(8)?;
    if !start.starts_with(b"\x93NUMPY") || start.len() < 8 {
        return Err(
            "expected a file of NumPy (starting with 93 'NUMPY'), found another".to_owned(),
        );
    }
    let version = start[6];
    if !(1..=3).contains(&version) {
        return Err(format!(
            "expected version 1, 2 or 3 of NumPy's format, found {version}"
        ));
    }
    let width = if version == 1 { 2 } else { 4 };
    let mut length = [0; 4];
    let field = take(width)?;
    if (field.len() as u64) < width {
        return Err("expected a header, found the end of the file".to_owned());
    }
    length[..field.len()].copy_from_slice(&field);
    let length = u64::from(u32::from_le_bytes(length));
    // A header of numbers is some hundred bytes long.
    let bytes = take(length.min(1 << 16))?;
    if (bytes.len() as u64) < length {
        return Err(format!(
            "expected a header of {length} bytes, found only {}",
            bytes.len()
        ));
    }
    let header = String::from_utf8_lossy(&bytes);
    let header = Header::parse(&header).ok_or_else(|| {
        format!(
            "expected a header with descr, fortran_order and shape, found {}",
            quoted(&header)
        )
    })?;
    let (kind, width) = header.kind()?;
    let sizes = array::product(&header.shape);
    let too_large = || {
        format!("expected at most {MAX_ELEMENTS} elements, found a header that promises {sizes}")
    };
    let count = array::count(&header.shape).ok_or_else(too_large)?;
    let expected = count.checked_mul(width).ok_or_else(too_large)?;
    let whole = if width == 1 { expected } else { 3 * expected };
    memory::check(whole, &format!("an array of {sizes}"))?;
    let elements = take(expected.saturating_add(1))?;
    let found = elements.len() as u64;
    if found != expected {
        let found = if found < expected {
            format!("only {found}: the file is truncated")
        } else {
            "more: the file does not fit its header".to_owned()
        };
        return Err(format!(
            "expected {expected} bytes of elements ({sizes}), found {found}"
        ));
    }
    let cells = cells(kind, width as usize, header.big_endian, elements)?;
    let dimensions: Vec<usize> = header.shape.iter().map(|&size| size as usize).collect();
    Ok(if header.fortran_order && dimensions.len() > 1 {
        Array::from_fortran(dimensions, cells)
    } else {
        Array { dimensions, cells }
    })
}

/// What the dictionary says.
struct Header {
    /// As in `<f4`: kind and size of an element.
    descr: String,
    big_endian: bool,
    fortran_order: bool,
    shape: Vec<u64>,
}

impl Header {
    fn parse(text: &str) -> Option<Header> {
        let value = |key: &str| -> Option<&str> {
            let after = text.split_once(&format!("'{key}'"))?.1;
            Some(after.trim_start().strip_prefix(':')?.trim_start())
        };
        let descr = value("descr")?;
        let descr = match descr.strip_prefix('\'') {
            Some(descr) => descr.split_once('\'')?.0,
            // A list of fields: no single type.
            None => descr.split_once(']')?.0,
        };
        let shape = value("shape")?.strip_prefix('(')?.split_once(')')?.0;
        let sizes = shape.split(',').map(str::trim).filter(|s| !s.is_empty());
        Some(Header {
            big_endian: descr.starts_with('>'),
            descr: descr.to_owned(),
            fortran_order: value("fortran_order")?.starts_with("True"),
            shape: sizes
                .map(|size| size.trim_end_matches('L').parse().ok())
                .collect::<Option<_>>()?,
        })
    }

    /// The letter of the kind and the bytes of an element.
    fn kind(&self) -> Result<(u8, u64), String> {
        let name = self.descr.trim_start_matches(['<', '>', '|', '=']);
        let known = match name {
            "b1" | "u1" | "i1" | "u2" | "i2" | "u4" | "i4" | "u8" | "i8" | "f4" | "f8" => {
                let width = name[1..].parse().ok();
                width.map(|width| (name.as_bytes()[0], width))
            }
            _ => name
                .strip_prefix('U')
                .and_then(|length| length.parse::<u64>().ok()?.checked_mul(4))
                .map(|width| (b'U', width)),
        };
        known.ok_or_else(|| {
            format!(
                "expected elements of type u1, u2, u4, u8, i1, i2, i4, i8, f4, f8, b1 or text, found {}",
                quoted(&self.descr)
            )
        })
    }
}

fn cells(kind: u8, width: usize, big_endian: bool, mut bytes: Vec<u8>) -> Result<Cells, String> {
    fn map<const N: usize, T>(bytes: &[u8], number: impl Fn([u8; N]) -> T) -> Vec<T> {
        bytes.as_chunks().0.iter().map(|&b| number(b)).collect()
    }
    let unit = if kind == b'U' { 4 } else { width };
    if big_endian {
        bytes.chunks_exact_mut(unit).for_each(<[u8]>::reverse);
    }
    Ok(match (kind, width) {
        (b'U', 0) => return Err("expected texts, found empty ones".to_owned()),
        (b'U', _) => Cells::Text(bytes.chunks_exact(width).map(text).collect()),
        (b'i', 1) => Cells::I8(map(&bytes, i8::from_le_bytes)),
        (b'i', 2) => Cells::I16(map(&bytes, i16::from_le_bytes)),
        (b'i', 4) => Cells::I64(map(&bytes, |b| i64::from(i32::from_le_bytes(b)))),
        (b'i', _) => Cells::I64(map(&bytes, i64::from_le_bytes)),
        (b'u', 2) => Cells::I64(map(&bytes, |b| i64::from(u16::from_le_bytes(b)))),
        (b'u', 4) => Cells::I64(map(&bytes, |b| i64::from(u32::from_le_bytes(b)))),
        (b'u', 8) => {
            let values = map(&bytes, u64::from_le_bytes);
            let values: Result<_, _> = values.into_iter().map(i64::try_from).collect();
            Cells::I64(values.map_err(|_| "expected numbers below 2^63, found a greater one")?)
        }
        (b'f', 4) => Cells::F32(map(&bytes, f32::from_le_bytes)),
        (b'f', _) => Cells::F32(map(&bytes, |b| f64::from_le_bytes(b) as f32)),
        _ => {
            bytes.shrink_to_fit();
            Cells::U8(bytes)
        }
    })
}

/// A text of NumPy: characters of four bytes, filled up with zeros.
fn text(bytes: &[u8]) -> String {
    let characters = bytes.as_chunks().0.iter().map(|&b| u32::from_le_bytes(b));
    characters
        .take_while(|&character| character != 0)
        .map(|character| char::from_u32(character).unwrap_or(char::REPLACEMENT_CHARACTER))
        .collect()
}
