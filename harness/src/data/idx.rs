//! Reads the IDX files that MNIST-like data sets come in, plain or gzipped.
//!
//! ```text
//! offset  size  meaning
//! 0       2     zero
//! 2       1     type of the elements: 08 u8, 09 i8, 0b i16, 0c i32, 0d f32, 0e f64
//! 3       1     rank r, the number of dimensions
//! 4       4 r   the dimensions, big-endian u32
//! 4+4r    ...   the elements, big-endian, last dimension fastest, to the end of the file
//! ```
//!
//! Samples have 2 to 4 dimensions ([`Array::into_samples`] says what they mean), labels one; labels
//! of floats are numbers to predict. Reading stops one byte after the promised end, and is not begun
//! where the headers of samples and labels contradict each other or promise more than `--memory`
//! allows: a small gzip file may unpack to terabytes. A gzip file is known by its first two bytes,
//! not by its name.
//!
//! Files are known by the words in their names, which dots, hyphens and underscores separate:
//! `train`, or `t10k` or `test`; `images`, `signals`, `samples` or `data`, or `labels` or
//! `targets`; `idx1` to `idx4`. So `train-images-idx3-ubyte`, `train-images.idx3-ubyte` and
//! `emnist-letters-train-images-idx3-ubyte.gz` are all found. They are looked for in the folder, in
//! its folder `raw`, and in the folder `raw` of each of its folders, as torchvision makes them.

use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use flate2::bufread::MultiGzDecoder;
use sha2::{Digest, Sha256};

use super::array::{self, Array, Cells, MAX_ELEMENTS};
use super::dataset::hex;
use super::error::DataError;
use super::files;
use super::labels::{self, Labels};
use super::pieces::{Piece, Pieces};
use crate::memory;

/// Names of the classes of Fashion-MNIST, by label.
pub const FASHION_MNIST_CLASSES: [&str; 10] = [
    "T-shirt/top",
    "trouser",
    "pullover",
    "dress",
    "coat",
    "sandal",
    "shirt",
    "sneaker",
    "bag",
    "ankle boot",
];

/// SHA-256 of the 10,000 test labels of Fashion-MNIST, as bytes: tells it from other sets of its
/// shape.
const FASHION_MNIST_TEST_LABELS: &str =
    "3d0e6c6ea990b53b6f8f500a41cac93881d981b315f84578b7d915342ade01e9";

/// What a file may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    TrainSamples,
    TrainLabels,
    TestSamples,
    TestLabels,
}

/// The files of a data set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Files {
    train: (PathBuf, PathBuf),
    test: Option<(PathBuf, PathBuf)>,
}

/// The files of the data set at `path`: in that folder, or those whose names begin with the last
/// part of `path`, as `FOLDER/emnist-letters`. `None` if there are no training samples.
///
/// # Errors
/// A file that lacks its other half, or more than one that could be meant.
pub fn find(path: &Path) -> Result<Option<Files>, DataError> {
    let (folder, prefix) = match (path.is_dir(), path.parent(), path.file_name()) {
        (false, Some(folder), Some(prefix)) if !path.exists() => (folder, prefix.to_string_lossy()),
        _ => (path, "".into()),
    };
    let folder = if folder.as_os_str().is_empty() {
        Path::new(".")
    } else {
        folder
    };
    let mut folders = vec![folder.to_owned(), folder.join("raw")];
    folders.extend(files::folders(folder).iter().map(|inner| inner.join("raw")));
    let mut found: Vec<(Role, PathBuf)> = Vec::new();
    for folder in folders {
        found.extend(files::files(&folder).into_iter().filter_map(|path| {
            let name = path.file_name()?.to_string_lossy().into_owned();
            let role = role(&name)?;
            name.starts_with(prefix.as_ref()).then_some((role, path))
        }));
        if !found.is_empty() {
            break;
        }
    }
    let one = |role: Role| files::only(path, role.words(), pick(&found, role));
    let (train, labels) = (one(Role::TrainSamples)?, one(Role::TrainLabels)?);
    let (test, test_labels) = (one(Role::TestSamples)?, one(Role::TestLabels)?);
    let Some(train) = train else {
        if let Some((_, path)) = found.first() {
            return Err(lacks(path, "train-images-idx3-ubyte"));
        }
        return Ok(None);
    };
    let Some(labels) = labels else {
        return Err(lacks(&train, "train-labels-idx1-ubyte"));
    };
    let test = match (test, test_labels) {
        (Some(test), Some(labels)) => Some((test, labels)),
        (None, None) => None,
        (Some(test), None) => return Err(lacks(&test, "t10k-labels-idx1-ubyte")),
        (None, Some(labels)) => return Err(lacks(&labels, "t10k-images-idx3-ubyte")),
    };
    Ok(Some(Files {
        train: (train, labels),
        test,
    }))
}

impl Role {
    fn words(self) -> &'static str {
        match self {
            Role::TrainSamples => "file of training samples",
            Role::TrainLabels => "file of training labels",
            Role::TestSamples => "file of test samples",
            Role::TestLabels => "file of test labels",
        }
    }
}

fn role(name: &str) -> Option<Role> {
    let name = name.to_ascii_lowercase();
    let words: Vec<&str> = name.split(['-', '.', '_']).collect();
    let any = |wanted: &[&str]| words.iter().any(|word| wanted.contains(word));
    if !any(&["idx1", "idx2", "idx3", "idx4"]) {
        return None;
    }
    let samples = any(&["images", "signals", "samples", "data"]);
    let labels = any(&["labels", "targets"]);
    match (any(&["train"]), any(&["t10k", "test"]), samples, labels) {
        (true, false, true, false) => Some(Role::TrainSamples),
        (true, false, false, true) => Some(Role::TrainLabels),
        (false, true, true, false) => Some(Role::TestSamples),
        (false, true, false, true) => Some(Role::TestLabels),
        _ => None,
    }
}

/// The files of a role; of a file that lies there both plain and gzipped, the plain one.
fn pick(found: &[(Role, PathBuf)], role: Role) -> Vec<PathBuf> {
    let files: Vec<&PathBuf> = found
        .iter()
        .filter(|(other, _)| *other == role)
        .map(|(_, path)| path)
        .collect();
    let plain = |path: &Path| path.with_extension("");
    files
        .iter()
        .filter(|path| {
            path.extension().is_none_or(|ending| ending != "gz") || !files.contains(&&plain(path))
        })
        .map(|path| (*path).clone())
        .collect()
}

fn lacks(beside: &Path, name: &str) -> DataError {
    DataError::new(
        beside.parent().unwrap_or(beside),
        format!(
            "expected a file like {name} or {name}.gz, found none; 'secant data fetch' gets Fashion-MNIST's"
        ),
    )
}

/// Reads the files.
///
/// # Errors
/// The first file that is not what it should be.
pub fn read_set(files: &Files) -> Result<Pieces, DataError> {
    let mut pieces = Pieces {
        name: None,
        names: Vec::new(),
        train: piece(&files.train)?,
        test: files.test.as_ref().map(piece).transpose()?,
        notes: Vec::new(),
    };
    if let Some(Labels::Numbers(labels)) = pieces.test.as_ref().map(|test| &test.labels) {
        let bytes: Result<Vec<u8>, _> = labels.iter().map(|&label| u8::try_from(label)).collect();
        if bytes.is_ok_and(|bytes| hex(&Sha256::digest(bytes)) == FASHION_MNIST_TEST_LABELS) {
            pieces.name = Some("fashion-mnist".to_owned());
            pieces.names = FASHION_MNIST_CLASSES.map(str::to_owned).to_vec();
        }
    }
    Ok(pieces)
}

fn piece((path, labels_path): &(PathBuf, PathBuf)) -> Result<Piece, DataError> {
    let count = |path: &Path| header(path).map(|header| header.dimensions[0]);
    if let (Ok(samples), Ok(labels)) = (count(path), count(labels_path))
        && samples != labels
        && samples > 0
    {
        return Err(DataError::new(labels_path, labels::wanted(samples, labels)));
    }
    let (shape, elements) = read(path)?.into_samples(path)?;
    Ok(Piece {
        path: path.clone(),
        labels_path: labels_path.clone(),
        shape,
        elements,
        labels: read(labels_path)?.into_labels(labels_path)?,
    })
}

/// Reads the IDX file at `path`, plain or gzipped.
///
/// # Errors
/// The file cannot be read, or is not exactly as its header says.
pub fn read(path: &Path) -> Result<Array, DataError> {
    decoded(path, decode)
}

/// What the header of the IDX file at `path` says.
fn header(path: &Path) -> Result<Header, DataError> {
    decoded(path, |stream, failure| Header::read(stream, failure))
}

/// What `decode` makes of the file at `path`, unpacked; its second argument says what a failing read
/// means.
fn decoded<T>(
    path: &Path,
    decode: impl Fn(&mut dyn Read, &dyn Fn(io::Error) -> String) -> Result<T, String>,
) -> Result<T, DataError> {
    let mut file = files::open(path)?;
    let mut start = Vec::with_capacity(2);
    let fail = |error: io::Error| DataError::read(path, &error);
    file.by_ref()
        .take(2)
        .read_to_end(&mut start)
        .map_err(fail)?;
    let gzipped = start == [0x1f, 0x8b];
    let mut bytes = BufReader::with_capacity(1 << 16, io::Cursor::new(start).chain(file));
    let decoded = if gzipped {
        decode(&mut MultiGzDecoder::new(bytes), &|error| {
            format!("expected a whole gzip file, found a damaged one ({error})")
        })
    } else {
        decode(&mut bytes, &|error| format!("cannot be read: {error}"))
    };
    decoded.map_err(|problem| DataError::new(path, problem))
}

/// The header of an IDX file.
struct Header {
    /// Type of the elements.
    kind: u8,
    /// Bytes of an element.
    width: u64,
    dimensions: Vec<u64>,
    /// Number of elements.
    count: u64,
}

/// Reads so many bytes, or as many as there are.
fn bytes(
    stream: &mut dyn Read,
    wanted: u64,
    failure: &dyn Fn(io::Error) -> String,
) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let read = stream.take(wanted).read_to_end(&mut bytes);
    read.map_err(failure)?;
    Ok(bytes)
}

impl Header {
    /// Reads the header. It is read as far as it goes, so that a wrong kind of file is told from a
    /// cut one.
    fn read(
        stream: &mut dyn Read,
        failure: &dyn Fn(io::Error) -> String,
    ) -> Result<Header, String> {
        let header = bytes(stream, 4, failure)?;
        if let &[a, b, ..] = header.as_slice()
            && [a, b] != [0, 0]
        {
            return Err(format!(
                "expected an IDX file (starting with the bytes 00 00), found {a:02x} {b:02x}"
            ));
        }
        let &[_, _, kind, rank] = header.as_slice() else {
            return Err(format!(
                "expected an IDX header of at least 8 bytes, found only {} bytes",
                header.len()
            ));
        };
        let width = match kind {
            0x08 | 0x09 => 1,
            0x0b => 2,
            0x0c | 0x0d => 4,
            0x0e => 8,
            _ => {
                return Err(format!(
                    "expected elements of type 08, 09, 0b, 0c, 0d or 0e, found type {kind:02x}"
                ));
            }
        };
        if !(1..=4).contains(&rank) {
            return Err(format!("expected 1 to 4 dimensions, found {rank}"));
        }
        let expected = 4 * u64::from(rank);
        let fields = bytes(stream, expected, failure)?;
        if (fields.len() as u64) < expected {
            return Err(format!(
                "expected an IDX header of {} bytes, found only {} bytes",
                4 + expected,
                4 + fields.len()
            ));
        }
        let dimensions: Vec<u64> = fields
            .as_chunks()
            .0
            .iter()
            .map(|&size| u64::from(u32::from_be_bytes(size)))
            .collect();
        let Some(count) = array::count(&dimensions) else {
            return Err(format!(
                "expected at most {MAX_ELEMENTS} elements, found a header that promises {}",
                array::product(&dimensions)
            ));
        };
        Ok(Header {
            kind,
            width,
            dimensions,
            count,
        })
    }
}

/// Decodes an IDX stream from its first byte to its end; `failure` says what a failing read means.
fn decode(stream: &mut dyn Read, failure: &dyn Fn(io::Error) -> String) -> Result<Array, String> {
    let header = Header::read(stream, failure)?;
    let sizes = array::product(&header.dimensions);
    let expected = header.count * header.width;
    // Elements of several bytes become numbers, which lie beside them for a while.
    let whole = if header.width == 1 {
        expected
    } else {
        3 * expected
    };
    memory::check(whole, &format!("an array of {sizes}"))?;
    let elements = bytes(stream, expected + 1, failure)?;
    let found = elements.len() as u64;
    if found < expected {
        return Err(format!(
            "expected {expected} bytes of elements ({sizes}), found only {found}: the file is truncated"
        ));
    }
    if found > expected {
        return Err(format!(
            "expected {expected} bytes of elements ({sizes}), found more: the file does not fit its header"
        ));
    }
    let dimensions = header.dimensions.into_iter();
    Ok(Array {
        dimensions: dimensions.map(|size| size as usize).collect(),
        cells: cells(header.kind, elements),
    })
}

fn cells(kind: u8, mut bytes: Vec<u8>) -> Cells {
    fn map<const N: usize, T>(bytes: &[u8], number: impl Fn([u8; N]) -> T) -> Vec<T> {
        bytes.as_chunks().0.iter().map(|&b| number(b)).collect()
    }
    match kind {
        0x09 => Cells::I8(map(&bytes, i8::from_be_bytes)),
        0x0b => Cells::I16(map(&bytes, i16::from_be_bytes)),
        0x0c => Cells::I64(map(&bytes, |b| i64::from(i32::from_be_bytes(b)))),
        0x0d => Cells::F32(map(&bytes, f32::from_be_bytes)),
        0x0e => Cells::F32(map(&bytes, |b| f64::from_be_bytes(b) as f32)),
        _ => {
            bytes.shrink_to_fit();
            Cells::U8(bytes)
        }
    }
}
