//! Reads the IDX files that MNIST-like data sets come in, plain or gzipped.
//!
//! ```text
//! offset  size  meaning
//! 0       2     zero
//! 2       1     type of the elements (0x08: unsigned byte, the only one accepted here)
//! 3       1     rank r, the number of dimensions
//! 4       4 r   the dimensions, big-endian u32
//! 4+4r    ...   the elements, last dimension fastest, to the end of the file
//! ```
//!
//! Nothing that a file says is trusted: memory grows with the bytes that were really there, never with what a header
//! promises, and reading stops one byte after the promised end, so a small gzip file that unpacks to terabytes costs
//! at most [`MAX_ELEMENTS`]. A gzip file is known by its first two bytes, not by its name.

use std::fmt;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use byteorder::{BigEndian, ReadBytesExt};
use flate2::bufread::MultiGzDecoder;

/// The most elements that a file may hold: 2^30, twenty times the training images of Fashion-MNIST.
pub const MAX_ELEMENTS: u64 = 1 << 30;

const UNSIGNED_BYTE: u8 = 0x08;

/// An array of unsigned bytes with its dimensions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Idx {
    /// Sizes, slowest dimension first; as many as were asked for.
    pub dimensions: Vec<usize>,
    /// The elements, last dimension fastest; as many as the product of `dimensions`.
    pub elements: Vec<u8>,
}

/// A file that could not be used, as one line that names it.
#[derive(Debug, thiserror::Error)]
#[error("{}: {problem}", path.display())]
pub struct IdxError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub problem: Problem,
}

/// What is wrong with a file: what was expected, and what was found.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// The file cannot be opened.
    #[error("cannot be opened: {0}")]
    Open(#[source] io::Error),
    /// Reading failed part-way.
    #[error("cannot be read: {0}")]
    Read(#[source] io::Error),
    /// The file starts like gzip and does not go on like it, or its checksum is wrong.
    #[error("expected a whole gzip file, found a damaged one ({0})")]
    Gzip(#[source] io::Error),
    /// The file ends inside its header.
    #[error("expected an IDX header of {expected} bytes, found only {found} bytes")]
    HeaderTruncated {
        /// Bytes of a header with this rank.
        expected: u64,
        /// Bytes that were there.
        found: u64,
    },
    /// The first two bytes are not zero.
    #[error("expected an IDX file (starting with the bytes 00 00), found {:02x} {:02x}", found[0], found[1])]
    Magic {
        /// The first two bytes.
        found: [u8; 2],
    },
    /// The elements are not unsigned bytes.
    #[error("expected elements of type 0x08 (unsigned byte), found type {}", TypeName(*found))]
    ElementType {
        /// The type byte.
        found: u8,
    },
    /// The number of dimensions is not the one that was asked for.
    #[error("expected {expected} dimension(s), found {found}")]
    Rank {
        /// As asked for.
        expected: u8,
        /// As in the header.
        found: u8,
    },
    /// The header promises more than [`MAX_ELEMENTS`].
    #[error(
        "expected at most {MAX_ELEMENTS} elements, found a header that promises {}",
        Product(found)
    )]
    TooLarge {
        /// Dimensions as in the header.
        found: Vec<u32>,
    },
    /// The file ends before its last element.
    #[error(
        "expected {expected} bytes of elements ({}), found only {found}: the file is truncated",
        Product(dimensions)
    )]
    Truncated {
        /// Dimensions as in the header.
        dimensions: Vec<u32>,
        /// Product of the dimensions.
        expected: u64,
        /// Bytes that were there.
        found: u64,
    },
    /// The file goes on after its last element.
    #[error(
        "expected {expected} bytes of elements ({}), found more: the file does not fit its header",
        Product(dimensions)
    )]
    Oversized {
        /// Dimensions as in the header.
        dimensions: Vec<u32>,
        /// Product of the dimensions.
        expected: u64,
    },
}

/// Shows dimensions as `60000 x 28 x 28`.
struct Product<'a>(&'a [u32]);

impl fmt::Display for Product<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, dimension) in self.0.iter().enumerate() {
            write!(f, "{}{dimension}", if i == 0 { "" } else { " x " })?;
        }
        Ok(())
    }
}

/// Shows a type byte with its name where the format gives it one.
struct TypeName(u8);

impl fmt::Display for TypeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.0 {
            0x09 => " (signed byte)",
            0x0b => " (16-bit integer)",
            0x0c => " (32-bit integer)",
            0x0d => " (32-bit float)",
            0x0e => " (64-bit float)",
            _ => "",
        };
        write!(f, "{:#04x}{name}", self.0)
    }
}

/// Reads the IDX file at `path`, plain or gzipped, which must have `rank` dimensions of unsigned bytes.
///
/// # Errors
/// [`IdxError`] when the file cannot be read, or is not exactly as its header says.
pub fn read(path: &Path, rank: u8) -> Result<Idx, IdxError> {
    open_and_decode(path, rank).map_err(|problem| IdxError {
        path: path.to_owned(),
        problem,
    })
}

fn open_and_decode(path: &Path, rank: u8) -> Result<Idx, Problem> {
    let mut file = File::open(path).map_err(Problem::Open)?;
    let mut start = Vec::with_capacity(2);
    file.by_ref()
        .take(2)
        .read_to_end(&mut start)
        .map_err(Problem::Read)?;
    let gzipped = start == [0x1f, 0x8b];
    let bytes = BufReader::with_capacity(1 << 16, io::Cursor::new(start).chain(file));
    if gzipped {
        decode(MultiGzDecoder::new(bytes), rank, Problem::Gzip)
    } else {
        decode(bytes, rank, Problem::Read)
    }
}

/// Decodes an IDX stream from its first byte to its end; `failure` names what a failing read means.
fn decode(
    mut stream: impl Read,
    rank: u8,
    failure: fn(io::Error) -> Problem,
) -> Result<Idx, Problem> {
    // The header is read as far as it goes, so that a wrong kind of file is told from a cut one.
    let expected = 4 + 4 * u64::from(rank);
    let mut header = Vec::new();
    stream
        .by_ref()
        .take(expected)
        .read_to_end(&mut header)
        .map_err(failure)?;
    let found = header.len() as u64;
    if let &[a, b, ..] = header.as_slice()
        && [a, b] != [0, 0]
    {
        return Err(Problem::Magic { found: [a, b] });
    }
    if let Some(&kind) = header.get(2)
        && kind != UNSIGNED_BYTE
    {
        return Err(Problem::ElementType { found: kind });
    }
    if let Some(&other) = header.get(3)
        && other != rank
    {
        return Err(Problem::Rank {
            expected: rank,
            found: other,
        });
    }
    if found < expected {
        return Err(Problem::HeaderTruncated { expected, found });
    }

    let mut fields = &header[4..];
    let mut dimensions = Vec::with_capacity(usize::from(rank));
    for _ in 0..rank {
        dimensions.push(fields.read_u32::<BigEndian>().map_err(Problem::Read)?);
    }
    let product = dimensions
        .iter()
        .try_fold(1u64, |product, &d| product.checked_mul(u64::from(d)));
    let expected = match product {
        Some(product) if product <= MAX_ELEMENTS => product,
        _ => return Err(Problem::TooLarge { found: dimensions }),
    };

    let mut elements = Vec::new();
    stream
        .by_ref()
        .take(expected + 1)
        .read_to_end(&mut elements)
        .map_err(failure)?;
    let found = elements.len() as u64;
    if found < expected {
        return Err(Problem::Truncated {
            dimensions,
            expected,
            found,
        });
    }
    if found > expected {
        return Err(Problem::Oversized {
            dimensions,
            expected,
        });
    }
    elements.shrink_to_fit();
    Ok(Idx {
        dimensions: dimensions.into_iter().map(|d| d as usize).collect(),
        elements,
    })
}
