//! What is wrong with a configuration: a setting, the memory lent for it, or the length of a slice.

use core::fmt;

/// A mistake in the use of an optimiser. It is found before anything is evaluated or changed.
///
/// ```
/// use secant::ConfigError;
/// use secant::optim::{Adam, AdamConfig};
///
/// let config = AdamConfig { beta2: 1.5, ..AdamConfig::DEFAULT };
/// let error = Adam::new(config, 1, &mut [0.0; Adam::memory_len(1)]).unwrap_err();
/// assert_eq!(error.to_string(), "beta2 must be in [0, 1), not 1.5");
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum ConfigError {
    /// A setting is out of range.
    OutOfRange {
        /// The field that holds it.
        field: &'static str,
        /// Where it must be, such as "in [0, 1)".
        range: &'static str,
        /// Its value.
        found: f64,
    },
    /// A slice is shorter than what is needed of it.
    TooShort {
        /// The slice.
        slice: &'static str,
        /// Elements needed at least.
        needed: usize,
        /// Elements it has.
        found: usize,
    },
    /// A slice does not have the length that the optimiser was made for.
    WrongLength {
        /// The slice.
        slice: &'static str,
        /// Elements expected.
        expected: usize,
        /// Elements it has.
        found: usize,
    },
    /// The numbers given to [`State::restore`](crate::checkpoint::State::restore) are not those of
    /// such a state.
    NotAState,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::OutOfRange {
                field,
                range,
                found,
            } => {
                // Most settings are f32, whose own shortest form is the one that was written.
                let short = found as f32;
                if f64::from(short) == found {
                    write!(f, "{field} must be {range}, not {short}")
                } else {
                    write!(f, "{field} must be {range}, not {found}")
                }
            }
            Self::TooShort {
                slice,
                needed,
                found,
            } => write!(f, "{slice}: length {found}, at least {needed} needed"),
            Self::WrongLength {
                slice,
                expected,
                found,
            } => write!(f, "{slice}: length {found}, expected {expected}"),
            Self::NotAState => f.write_str("the numbers are not a saved state of this kind"),
        }
    }
}

impl core::error::Error for ConfigError {}

/// Refuses a setting that is not `inside` its range.
pub(crate) fn check_range(
    field: &'static str,
    found: impl Into<f64>,
    range: &'static str,
    inside: bool,
) -> Result<(), ConfigError> {
    if inside {
        return Ok(());
    }
    Err(ConfigError::OutOfRange {
        field,
        range,
        found: found.into(),
    })
}

/// Refuses a slice that is not `expected` long.
pub(crate) fn check_length(
    slice: &'static str,
    expected: usize,
    found: usize,
) -> Result<(), ConfigError> {
    if found == expected {
        return Ok(());
    }
    Err(ConfigError::WrongLength {
        slice,
        expected,
        found,
    })
}

/// Cuts memory to the length needed, and refuses memory that is shorter.
pub(crate) fn check_memory<R>(memory: &mut [R], needed: usize) -> Result<&mut [R], ConfigError> {
    let found = memory.len();
    memory.get_mut(..needed).ok_or(ConfigError::TooShort {
        slice: "memory",
        needed,
        found,
    })
}

/// The first `n` elements and the rest, without a panic: lengths were checked before.
pub(crate) fn split<R>(memory: &mut [R], n: usize) -> (&mut [R], &mut [R]) {
    memory.split_at_mut_checked(n).unwrap_or_default()
}
