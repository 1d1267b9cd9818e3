//! State that survives a power cut: parameters, the optimiser's memory and what belongs to it, in a
//! key-value store.
//!
//! A checkpoint is numbers and floats. The floats are the parameters and the optimiser's memory;
//! the numbers are the optimiser's own [`State`], the random numbers' and the caller's, such as the
//! place in the data. To go on, make everything with the same settings as before, [`load`], and
//! [`restore`](State::restore): every later step has the same bits as without the break.
//!
//! The [`Store`] keeps small values under keys, and each write of one is all or nothing; on flash,
//! the crate `sequential-storage` does that (`tests/tests/checkpoint.rs` has the twenty lines that
//! join the two, and cuts the power at every write and erasure). A checkpoint is larger than a
//! value, so it is written in pieces, under keys that the checkpoint before does not use; last
//! comes the head, which makes it valid. At any time the head names a complete checkpoint.
//!
//! ```text
//! key 0             head: "SCNT", version u16, generation u32, how many numbers u32, how many floats u32, CRC-32 of all that
//!                   and of the pieces
//! keys 1 + i        pieces of 256 bytes of an even generation, i = 0, 1, ...: the numbers as u64, then the floats
//! keys 32768 + i    the same of an odd one
//! ```
//! All is little-endian. The bytes are the same on every machine, so a run begun on a desktop goes
//! on on a device, and back.
//!
//! ```
//! use secant::checkpoint::{self, State, Store};
//! use secant::optim::{Adam, AdamConfig};
//!
//! # #[derive(Default)]
//! # struct Map(std::collections::BTreeMap<u16, Vec<u8>>);
//! # impl Store for Map {
//! #     type Error = core::convert::Infallible;
//! #     fn write(&mut self, key: u16, value: &[u8]) -> Result<(), Self::Error> {
//! #         self.0.insert(key, value.to_vec());
//! #         Ok(())
//! #     }
//! #     fn read(&mut self, key: u16, value: &mut [u8]) -> Result<Option<usize>, Self::Error> {
//! #         Ok(self.0.get(&key).map(|found| {
//! #             let length = found.len().min(value.len());
//! #             value[..length].copy_from_slice(&found[..length]);
//! #             found.len()
//! #         }))
//! #     }
//! # }
//! # let mut store = Map::default();
//! let (mut w, mut memory) = ([1.0], [0.0; Adam::memory_len(1)]);
//! let mut adam = Adam::new(AdamConfig::DEFAULT, 1, &mut memory)?;
//! adam.step(1.0, &mut w, &[0.5])?;
//! let mut numbers = [0; Adam::NUMBERS];
//! adam.numbers(&mut numbers)?;
//! checkpoint::save(&mut store, &numbers, &[&w, adam.memory()])?;
//!
//! // Later, perhaps elsewhere.
//! let (mut v, mut memory) = ([0.0], [0.0; Adam::memory_len(1)]);
//! let mut again = Adam::new(AdamConfig::DEFAULT, 1, &mut memory)?;
//! let floats = &mut [&mut v[..], again.memory_mut()];
//! checkpoint::load(&mut store, &mut numbers, floats)?.expect("there is one");
//! again.restore(&numbers)?;
//! assert_eq!((v, again), (w, adam));
//! # Ok::<(), Box<dyn core::error::Error>>(())
//! ```

use core::fmt;

use crate::error::ConfigError;
use crate::random::Random;

/// What something that takes part in a run knows beside the memory that the caller keeps for it.
pub trait State {
    /// How many numbers it is.
    const NUMBERS: usize;

    /// Writes the state to the first [`NUMBERS`](Self::NUMBERS) of `numbers`.
    ///
    /// # Errors
    /// [`ConfigError::TooShort`] when there are fewer.
    fn numbers(&self, numbers: &mut [u64]) -> Result<(), ConfigError>;

    /// Takes on the state in the first [`NUMBERS`](Self::NUMBERS) of `numbers`; the settings stay
    /// as they are.
    ///
    /// # Errors
    /// [`ConfigError`] when there are fewer, or they are no state; nothing has changed then.
    fn restore(&mut self, numbers: &[u64]) -> Result<(), ConfigError>;
}

/// Writes a state of `needed` numbers, zeros where there are fewer.
pub(crate) fn put(
    needed: usize,
    values: impl IntoIterator<Item = u64>,
    numbers: &mut [u64],
) -> Result<(), ConfigError> {
    let given = numbers.len();
    let numbers = numbers.get_mut(..needed).ok_or(too_short(needed, given))?;
    let values = values.into_iter().chain(core::iter::repeat(0));
    for (number, value) in numbers.iter_mut().zip(values) {
        *number = value;
    }
    Ok(())
}

/// The first `N` of a state of `needed` numbers, and the others of it.
pub(crate) fn take<const N: usize>(
    needed: usize,
    numbers: &[u64],
) -> Result<(&[u64; N], &[u64]), ConfigError> {
    let given = numbers.len();
    numbers
        .get(..needed)
        .and_then(|numbers| numbers.split_first_chunk::<N>())
        .ok_or(too_short(needed, given))
}

/// A number that was a `u32`.
pub(crate) fn small(number: u64) -> Result<u32, ConfigError> {
    u32::try_from(number).map_err(|_| ConfigError::NotAState)
}

const fn too_short(needed: usize, found: usize) -> ConfigError {
    ConfigError::TooShort {
        slice: "numbers",
        needed,
        found,
    }
}

impl State for Random {
    /// The position in the stream.
    const NUMBERS: usize = 1;

    fn numbers(&self, numbers: &mut [u64]) -> Result<(), ConfigError> {
        put(Self::NUMBERS, [self.position()], numbers)
    }

    fn restore(&mut self, numbers: &[u64]) -> Result<(), ConfigError> {
        let ([position], _) = take::<1>(Self::NUMBERS, numbers)?;
        self.seek(*position);
        Ok(())
    }
}

/// Keeps values of at most [`PIECE_LEN`] bytes under keys.
pub trait Store {
    /// What can go wrong.
    type Error;

    /// Replaces the value of a key. A power cut on the way leaves the old value or the new one.
    fn write(&mut self, key: u16, value: &[u8]) -> Result<(), Self::Error>;

    /// Copies the value of a key to the beginning of `value` and returns its length; `None` if
    /// there is none.
    fn read(&mut self, key: u16, value: &mut [u8]) -> Result<Option<usize>, Self::Error>;
}

/// Bytes of the largest value.
pub const PIECE_LEN: usize = 256;
/// Most bytes of a checkpoint: 8 a number, 4 a float.
pub const MOST_BYTES: usize = (ODD as usize - 1) * PIECE_LEN;

const VERSION: u16 = 2;
const MAGIC: [u8; 4] = *b"SCNT";
const HEAD_KEY: u16 = 0;
const EVEN: u16 = 1;
const ODD: u16 = 1 << 15;
const HEAD_LEN: usize = 4 + 2 + 4 + 4 + 4 + 4;

/// Why a checkpoint was not written or read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum CheckpointError<E> {
    /// The store failed.
    Store(E),
    /// The store holds something else, or a newer version.
    Format,
    /// It does not fit, or is not of the size that was asked for. Sizes are in bytes, 8 a number
    /// and 4 a float.
    Length {
        /// What it should be, or at most.
        expected: usize,
        /// What it is.
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
                write!(f, "the checkpoint has {found} bytes, not {expected}")
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
    numbers: u32,
    floats: u32,
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
            .chain(self.numbers.to_le_bytes())
            .chain(self.floats.to_le_bytes())
            .chain(self.crc.to_le_bytes());
        for (byte, field) in bytes.iter_mut().zip(fields) {
            *byte = field;
        }
        bytes
    }

    fn parse(bytes: &[u8]) -> Option<Head> {
        let (magic, rest) = bytes.split_first_chunk::<4>()?;
        let (version, rest) = rest.split_first_chunk::<2>()?;
        if *magic != MAGIC || u16::from_le_bytes(*version) != VERSION {
            return None;
        }
        let mut fields = rest
            .as_chunks::<4>()
            .0
            .iter()
            .map(|field| u32::from_le_bytes(*field));
        Some(Head {
            generation: fields.next()?,
            numbers: fields.next()?,
            floats: fields.next()?,
            crc: fields.next()?,
        })
    }

    /// Bytes of all pieces.
    fn len(&self) -> usize {
        (self.numbers as usize)
            .saturating_mul(8)
            .saturating_add((self.floats as usize).saturating_mul(4))
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

/// Writes a checkpoint of `numbers` and of `parts`, one after the other; returns which it is,
/// counted from 0.
///
/// Until the last write the checkpoint before stays valid; both must have room in the store.
///
/// # Errors
/// [`CheckpointError::Store`] when a write fails, [`CheckpointError::Length`] for more than
/// [`MOST_BYTES`], [`CheckpointError::Format`] when the store holds something else under key 0.
pub fn save<S: Store>(
    store: &mut S,
    numbers: &[u64],
    parts: &[&[f32]],
) -> Result<u32, CheckpointError<S::Error>> {
    let floats: usize = parts.iter().map(|part| part.len()).sum();
    let length = 8 * numbers.len() + 4 * floats;
    if length > MOST_BYTES {
        return Err(CheckpointError::Length {
            expected: MOST_BYTES,
            found: length,
        });
    }
    let generation = head(store)?.map_or(0, |head| head.generation.wrapping_add(1));
    let mut new = Head {
        generation,
        numbers: numbers.len() as u32,
        floats: floats as u32,
        crc: 0,
    };
    let (mut crc, mut key) = (new.checksum(), new.first_key());
    let floats = parts.iter().flat_map(|part| part.iter());
    let mut bytes = numbers
        .iter()
        .flat_map(|number| number.to_le_bytes())
        .chain(floats.flat_map(|float| float.to_le_bytes()));
    let mut left = length;
    while left > 0 {
        let mut piece = [0; PIECE_LEN];
        let count = left.min(PIECE_LEN);
        for (target, byte) in piece.iter_mut().zip(bytes.by_ref()) {
            *target = byte;
        }
        let piece = piece.get(..count).unwrap_or(&[]);
        crc.update(piece);
        store.write(key, piece).map_err(CheckpointError::Store)?;
        key = key.wrapping_add(1);
        left -= count;
    }
    new.crc = !crc.0;
    store
        .write(HEAD_KEY, &new.bytes())
        .map_err(CheckpointError::Store)?;
    Ok(generation)
}

/// Reads the last complete checkpoint into `numbers` and `parts`, and returns which it is; `None`
/// if there is none.
///
/// # Errors
/// [`CheckpointError`]; `numbers` and `parts` are as before then, since the checksum is checked
/// first.
pub fn load<S: Store>(
    store: &mut S,
    numbers: &mut [u64],
    parts: &mut [&mut [f32]],
) -> Result<Option<u32>, CheckpointError<S::Error>> {
    let Some(head) = head(store)? else {
        return Ok(None);
    };
    let floats: usize = parts.iter().map(|part| part.len()).sum();
    let (expected, found) = (8 * numbers.len() + 4 * floats, head.len());
    if (numbers.len(), floats) != (head.numbers as usize, head.floats as usize) {
        return Err(CheckpointError::Length { expected, found });
    }
    let mut crc = head.checksum();
    pieces(store, &head, |bytes| crc.update(bytes))?;
    if !crc.0 != head.crc {
        return Err(CheckpointError::Damaged);
    }
    // All pieces but the last are as long as 32 numbers or 64 floats, so none is cut in two.
    let mut numbers = numbers.iter_mut();
    let mut floats = parts.iter_mut().flat_map(|part| part.iter_mut());
    pieces(store, &head, |bytes| {
        let (wide, _) = bytes.as_chunks::<8>();
        let taken = numbers.len().min(wide.len());
        for (number, bytes) in numbers.by_ref().take(taken).zip(wide) {
            *number = u64::from_le_bytes(*bytes);
        }
        let (rest, _) = bytes.get(8 * taken..).unwrap_or(&[]).as_chunks::<4>();
        for bytes in rest {
            if let Some(float) = floats.next() {
                *float = f32::from_le_bytes(*bytes);
            }
        }
    })?;
    Ok(Some(head.generation))
}

/// Reads all pieces in order.
fn pieces<S: Store>(
    store: &mut S,
    head: &Head,
    mut visit: impl FnMut(&[u8]),
) -> Result<(), CheckpointError<S::Error>> {
    let (mut key, mut left) = (head.first_key(), head.len());
    while left > 0 {
        let mut piece = [0; PIECE_LEN];
        let length = left.min(PIECE_LEN);
        match store.read(key, &mut piece) {
            Err(error) => return Err(CheckpointError::Store(error)),
            Ok(Some(found)) if found == length => visit(piece.get(..length).unwrap_or(&[])),
            Ok(_) => return Err(CheckpointError::Damaged),
        }
        key = key.wrapping_add(1);
        left -= length;
    }
    Ok(())
}
