//! How many samples a step takes.

use std::fmt;
use std::num::NonZeroUsize;

use serde::{Serialize, Serializer};

/// Training samples a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Batch {
    /// This many; an epoch's last step takes what is left.
    Size(NonZeroUsize),
    /// All of them.
    Full,
}

impl Batch {
    /// Samples a step when there are `count` in all.
    pub fn size(self, count: usize) -> usize {
        match self {
            Batch::Size(size) => size.get().min(count).max(1),
            Batch::Full => count.max(1),
        }
    }
}

impl std::str::FromStr for Batch {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "full" => Ok(Batch::Full),
            _ => match text.parse() {
                Ok(size) => Ok(Batch::Size(size)),
                Err(_) => Err("expected a number of samples, at least 1, or 'full'".to_owned()),
            },
        }
    }
}

impl fmt::Display for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Batch::Size(size) => size.fmt(f),
            Batch::Full => f.write_str("full"),
        }
    }
}

impl Serialize for Batch {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Batch::Size(size) => size.serialize(serializer),
            Batch::Full => serializer.serialize_str("full"),
        }
    }
}
