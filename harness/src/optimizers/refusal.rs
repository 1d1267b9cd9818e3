//! Why a setting is refused, in the same words for every command.

use super::values::listed;

/// Why a setting is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// The optimiser has no such setting.
    Foreign {
        /// The setting.
        key: String,
        /// Optimisers that have it.
        owners: Vec<String>,
        /// The optimiser.
        chosen: String,
        /// What it has.
        known: Vec<&'static str>,
    },
    /// The value is not one of the setting.
    Wrong {
        /// The setting.
        key: String,
        /// The value.
        value: String,
        /// What was expected.
        why: String,
    },
    /// The setting does nothing without another one.
    Missing {
        /// The setting.
        key: &'static str,
        /// The other.
        other: &'static str,
    },
}

impl Refusal {
    /// In words; `option` makes what the user wrote of a setting's name.
    pub fn describe(&self, option: impl Fn(&str) -> String) -> String {
        match self {
            Refusal::Foreign {
                key,
                owners,
                chosen,
                known,
            } if owners.is_empty() => format!(
                "{chosen} has no setting '{key}'; it has {}",
                listed(known, "and")
            ),
            Refusal::Foreign {
                key,
                owners,
                chosen,
                ..
            } => format!(
                "{} is an option of {}, not of {chosen}",
                option(key),
                listed(owners, "and")
            ),
            Refusal::Wrong { key, value, why } => format!("{} {value}: {why}", option(key)),
            Refusal::Missing { key, other } => {
                format!("{} needs {}", option(key), option(other))
            }
        }
    }
}
