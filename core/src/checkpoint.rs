//! State that survives a power cut: parameters, the optimiser's memory and the counters of a run, in a key-value store.
//!
//! The [`Store`] keeps small values under keys, and each write of one is all or nothing; on flash, the crate
//! `sequential-storage` does that (`tests/tests/checkpoint.rs` has the twenty lines that join the two, and cuts the power at
//! every write and erasure). A checkpoint is larger than a value, so it is written in pieces, under keys that the checkpoint
//! before does not use; last comes the head, which makes it valid. At any time the head names a complete checkpoint.
//!
//! ```text
//! key 0             head: "SCNT", version u16, generation u32, number of floats u32, four counters u64, CRC-32 of all that
//!                   and of the floats; little-endian
//! keys 1 + i        pieces of 64 floats of an even generation, i = 0, 1, ...
//! keys 32768 + i    the same of an odd one
//! ```
//! The bytes are the same on every machine, so a run begun on a desktop goes on on a device, and back.

use core::fmt;

/// Keeps values of at most [`PIECE_LEN`] bytes under keys.
pub trait Store {
    /// What can go wrong.
    type Error;

    /// Replaces the value of a key. A power cut on the way leaves the old value or the new one.
    fn write(&mut self, key: u16, value: &[u8]) -> Result<(), Self::Error>;

    /// Copies the value of a key to the beginning of `value` and returns its length; `None` if there is none.
    fn read(&mut self, key: u16, value: &mut [u8]) -> Result<Option<usize>, Self::Error>;
}

/// Numbers that belong to a run: for example the optimiser's steps, the [position](crate::Random::position) of the random
/// numbers, the place in the data.
pub type Counters = [u64; 4];

/// Floats of a piece.
const PIECE: usize = 64;
/// Bytes of the largest value.
pub const PIECE_LEN: usize = 4 * PIECE;
/// Most floats of a checkpoint.
pub const MOST_FLOATS: usize = (ODD as usize - 1) * PIECE;

const VERSION: u16 = 1;
const MAGIC: [u8; 4] = *b"SCNT";
const HEAD_KEY: u16 = 0;
const EVEN: u16 = 1;
const ODD: u16 = 1 << 15;
const HEAD_LEN: usize = 4 + 2 + 4 + 4 + 4 * 8 + 4;

/// Why a checkpoint was not written or read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum CheckpointError<E> {
    /// The store failed.
    Store(E),
    /// The store holds something else, or a newer version.
    Format,
    /// The checkpoint holds another number of floats.
    Length {
        /// Floats asked for.
        expected: usize,
        /// Floats that it holds.
        found: usize,
    },
    /// The checksum does not match.
    Damaged,
}

impl<E: fmt::Display> fmt::Display for CheckpointError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CheckpointError::Store(error) => write!(f, "the store failed: {error}"),
            CheckpointError::Format => f.write_str("the store holds no checkpoint of this version"),
            CheckpointError::Length { expected, found } => {
                write!(f, "the checkpoint holds {found} floats, not {expected}")
            }
            CheckpointError::Damaged => f.write_str("the checkpoint's checksum does not match"),
        }
    }
}

impl<E: fmt::Debug + fmt::Display> core::error::Error for CheckpointError<E> {}

/// CRC-32 (IEEE 802.3), without a table.
#[derive(Clone, Copy)]
struct Crc(u32);

impl Crc {
    fn update(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 ^= u32::from(*byte);
            for _ in 0..8 {
                self.0 = (self.0 >> 1) ^ (0xedb8_8320 & (self.0 & 1).wrapping_neg());
            }
        }
    }
}

struct Head {
    generation: u32,
    floats: u32,
    counters: Counters,
    crc: u32,
}

impl Head {
    /// All but the checksum.
    fn bytes(&self) -> [u8; HEAD_LEN] {
        let mut bytes = [0; HEAD_LEN];
        let fields = MAGIC
            .into_iter()
            .chain(VERSION.to_le_bytes())
            .chain(self.generation.to_le_bytes())
            .chain(self.floats.to_le_bytes())
            .chain(self.counters.into_iter().flat_map(u64::to_le_bytes))
            .chain(self.crc.to_le_bytes());
        for (byte, field) in bytes.iter_mut().zip(fields) {
            *byte = field;
        }
        bytes
    }

    fn parse(bytes: &[u8]) -> Option<Head> {
        let mut rest = bytes;
        let mut take = |n: usize| -> Option<u64> {
            let (field, others) = rest.split_at_checked(n)?;
            rest = others;
            let fold = |sum: u64, byte: &u8| sum << 8 | u64::from(*byte);
            Some(field.iter().rev().fold(0, fold))
        };
        let magic = take(4)? as u32;
        let version = take(2)? as u16;
        if magic != u32::from_le_bytes(MAGIC) || version != VERSION {
            return None;
        }
        let (generation, floats) = (take(4)? as u32, take(4)? as u32);
        let counters = [take(8)?, take(8)?, take(8)?, take(8)?];
        let crc = take(4)? as u32;
        Some(Head {
            generation,
            floats,
            counters,
            crc,
        })
    }

    /// A checksum that has seen the head.
    fn checksum(&self) -> Crc {
        let mut crc = Crc(u32::MAX);
        let bytes = self.bytes();
        crc.update(bytes.get(..HEAD_LEN - 4).unwrap_or(&[]));
        crc
    }

    fn first_key(&self) -> u16 {
        if self.generation.is_multiple_of(2) {
            EVEN
        } else {
            ODD
        }
    }
}

fn head<S: Store>(store: &mut S) -> Result<Option<Head>, CheckpointError<S::Error>> {
    let mut bytes = [0; HEAD_LEN];
    match store.read(HEAD_KEY, &mut bytes) {
        Err(error) => Err(CheckpointError::Store(error)),
        Ok(None) => Ok(None),
        Ok(Some(HEAD_LEN)) => Head::parse(&bytes).map(Some).ok_or(CheckpointError::Format),
        Ok(Some(_)) => Err(CheckpointError::Format),
    }
}

/// Writes a checkpoint of `parts`, one after the other, and `counters`; returns its number, counted from 0.
///
/// Until the last write the checkpoint before stays valid; both must have room in the store.
///
/// # Errors
/// [`CheckpointError::Store`] when a write fails, [`CheckpointError::Length`] for more than [`MOST_FLOATS`],
/// [`CheckpointError::Format`] when the store holds something else under key 0.
pub fn save<S: Store>(
    store: &mut S,
    counters: &Counters,
    parts: &[&[f32]],
) -> Result<u32, CheckpointError<S::Error>> {
    let floats = parts.iter().map(|part| part.len()).sum();
    if floats > MOST_FLOATS {
        return Err(CheckpointError::Length {
            expected: MOST_FLOATS,
            found: floats,
        });
    }
    let generation = head(store)?.map_or(0, |head| head.generation.wrapping_add(1));
    let mut new = Head {
        generation,
        floats: floats as u32,
        counters: *counters,
        crc: 0,
    };
    let (mut crc, mut key) = (new.checksum(), new.first_key());
    let mut values = parts.iter().flat_map(|part| part.iter());
    let mut left = floats;
    while left > 0 {
        let mut piece = [0; PIECE_LEN];
        let count = left.min(PIECE);
        for (bytes, value) in piece
            .as_chunks_mut::<4>()
            .0
            .iter_mut()
            .zip(values.by_ref().take(count))
        {
            *bytes = value.to_le_bytes();
        }
        let bytes = piece.get(..4 * count).unwrap_or(&[]);
        crc.update(bytes);
        store.write(key, bytes).map_err(CheckpointError::Store)?;
        key = key.wrapping_add(1);
        left -= count;
    }
    new.crc = !crc.0;
    store
        .write(HEAD_KEY, &new.bytes())
        .map_err(CheckpointError::Store)?;
    Ok(generation)
}

/// Reads the last complete checkpoint into `parts` and returns its counters; `None` if there is none.
///
/// # Errors
/// [`CheckpointError`]; `parts` are as before then, since the checksum is checked first.
pub fn load<S: Store>(
    store: &mut S,
    parts: &mut [&mut [f32]],
) -> Result<Option<Counters>, CheckpointError<S::Error>> {
    let Some(head) = head(store)? else {
        return Ok(None);
    };
    let expected = parts.iter().map(|part| part.len()).sum();
    let found = head.floats as usize;
    if expected != found {
        return Err(CheckpointError::Length { expected, found });
    }
    let mut crc = head.checksum();
    pieces(store, &head, |bytes| crc.update(bytes))?;
    if !crc.0 != head.crc {
        return Err(CheckpointError::Damaged);
    }
    let mut values = parts.iter_mut().flat_map(|part| part.iter_mut());
    pieces(store, &head, |bytes| {
        for (value, bytes) in values
            .by_ref()
            .take(bytes.len() / 4)
            .zip(bytes.as_chunks::<4>().0)
        {
            *value = f32::from_le_bytes(*bytes);
        }
    })?;
    Ok(Some(head.counters))
}

/// Reads all pieces in order.
fn pieces<S: Store>(
    store: &mut S,
    head: &Head,
    mut visit: impl FnMut(&[u8]),
) -> Result<(), CheckpointError<S::Error>> {
    let (mut key, mut left) = (head.first_key(), head.floats as usize);
    while left > 0 {
        let mut piece = [0; PIECE_LEN];
        let length = 4 * left.min(PIECE);
        match store.read(key, &mut piece) {
            Err(error) => return Err(CheckpointError::Store(error)),
            Ok(Some(found)) if found == length => visit(piece.get(..length).unwrap_or(&[])),
            Ok(_) => return Err(CheckpointError::Damaged),
        }
        key = key.wrapping_add(1);
        left -= length / 4;
    }
    Ok(())
}
