//! The optimisers by name, the same for every command: one file each, one line each in
//! [`REGISTRY`].

mod adam;
mod flat_lbfgs;
mod hessian_free;
mod layer_lbfgs;
mod lbfgs;
mod lbfgs_seed;
mod refusal;
pub mod schedule;
pub mod settings;
mod sgd;
pub mod step;
pub mod tuning;
pub mod values;

pub use lbfgs::{CurvatureName, LineSearchName, ScalingName};
pub use lbfgs_seed::Slip;
pub use refusal::Refusal;

use std::num::NonZeroUsize;
use std::sync::{Arc, PoisonError, RwLock};

use serde::{Serialize, Serializer};

use crate::batch::Batch;
use crate::model::Net;
use settings::{Context, Entry, Serves, Settings};
use values::listed;

/// What an optimiser of another crate needs: `use secant_harness::optimizers::own::*`.
pub mod own {
    pub use super::register;
    pub use super::schedule::ScheduleName;
    pub use super::settings::{Entry, Keys, Settings, names, set};
    pub use super::step::{BatchLoss, By, Scheduled, Stepped, Stepper};
    pub use super::tuning::{BETA2, DECAY, MOMENTUM, RATE, Tunable, WARM_UP};
    pub use super::values::{not_negative, positive, share, yes};
    pub use crate::model::Net;
    pub use secant::ConfigError;

    /// What [`Settings::start`] returns.
    pub type Started<'m> = Result<Box<dyn Stepper + 'm>, ConfigError>;
}

/// Every optimiser of this program.
pub static REGISTRY: &[&Entry] = &[
    &adam::ADAM,
    &adam::ADAM_CLASSIC,
    &adam::ADAM_PLAIN,
    &adam::ADAMW,
    &sgd::SGD,
    &layer_lbfgs::LBFGS,
    &layer_lbfgs::LBFGS_ROW,
    &layer_lbfgs::LBFGS_FACTORED,
    &lbfgs::LBFGS_ARMIJO,
    &lbfgs::LBFGS_FULL,
    &flat_lbfgs::LBFGS_FLAT,
    &hessian_free::HESSIAN_FREE,
    &lbfgs_seed::LBFGS_SEED,
];

/// Optimisers of programs that are built on this one.
static OWN: RwLock<Vec<&'static Entry>> = RwLock::new(Vec::new());

/// Makes an optimiser of your own known, to every command alike, before [`crate::cli::main`] is
/// called: `examples/own-optimizer` is a whole program.
///
/// # Errors
/// A phrase that says which name is there already.
pub fn register(entry: &'static Entry) -> Result<(), String> {
    let taken = all().any(|other| other.name == entry.name);
    if taken || entry.name.is_empty() || entry.name.contains([':', ',', ' ']) {
        return Err(format!(
            "an optimiser '{}' is there already, or no option can name it",
            entry.name
        ));
    }
    let mut own = OWN.write().unwrap_or_else(PoisonError::into_inner);
    own.push(entry);
    Ok(())
}

/// Every optimiser, those of [`register`] too.
fn all() -> impl Iterator<Item = &'static Entry> {
    let own = OWN.read().unwrap_or_else(PoisonError::into_inner).clone();
    REGISTRY.iter().copied().chain(own)
}

/// Names with a line on each, no name twice.
pub fn named() -> impl Iterator<Item = &'static Entry> {
    all().filter(|entry| entry.serves != Serves::FullBatches)
}

/// An optimiser and its settings.
#[derive(Debug, Clone)]
pub struct Optimizer {
    name: &'static str,
    settings: Arc<dyn Settings>,
}

impl Optimizer {
    /// The name on the command line and in records.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Its settings.
    pub fn settings(&self) -> &dyn Settings {
        &*self.settings
    }
}

/// `{name, settings...}`.
impl Serialize for Optimizer {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Named<'a> {
            name: &'static str,
            #[serde(flatten)]
            settings: Erased<'a>,
        }
        struct Erased<'a>(&'a dyn Settings);
        impl Serialize for Erased<'_> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                erased_serde::serialize(self.0, serializer)
            }
        }
        Named {
            name: self.name,
            settings: Erased(self.settings()),
        }
        .serialize(serializer)
    }
}

/// An optimiser as a text names it: `NAME[:KEY=VALUE]...`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// The name, which is in the registry.
    name: &'static str,
    /// Settings, in the order in which they take effect.
    pub settings: Vec<(String, String)>,
}

impl std::str::FromStr for Choice {
    type Err = String;

    fn from_str(text: &str) -> Result<Choice, String> {
        let mut parts = text.split(':');
        let name = parts.next().unwrap_or_default();
        let entry = named().find(|entry| entry.name == name).ok_or_else(|| {
            let names: Vec<&str> = named().map(|entry| entry.name).collect();
            format!("expected {}, found '{name}'", listed(&names, "or"))
        })?;
        let settings = parts.map(|part| match part.split_once('=') {
            Some((key, value)) => Ok((key.to_owned(), value.to_owned())),
            None => Err(format!(
                "expected KEY=VALUE after '{name}:', found '{part}'"
            )),
        });
        Ok(Choice {
            name: entry.name,
            settings: settings.collect::<Result<_, _>>()?,
        })
    }
}

/// As it is read.
impl std::fmt::Display for Choice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)?;
        let mut settings = self.settings.iter();
        settings.try_for_each(|(key, value)| write!(f, ":{key}={value}"))
    }
}

impl Choice {
    /// The name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Takes out the last value of a setting that belongs to the run, not to the optimiser.
    pub fn take(&mut self, key: &str) -> Option<String> {
        let last = self.settings.iter().rfind(|(name, _)| name == key);
        let last = last.map(|(_, value)| value.clone());
        self.settings.retain(|(name, _)| name != key);
        last
    }

    /// Takes out `batch`, the samples a step, which belongs to the run.
    ///
    /// # Errors
    /// [`Refusal::Wrong`] when it is no number of samples.
    pub fn take_batch(&mut self) -> Result<Option<Batch>, Refusal> {
        let Some(value) = self.take("batch") else {
            return Ok(None);
        };
        match value.parse() {
            Ok(batch) => Ok(Some(batch)),
            Err(why) => Err(Refusal::Wrong {
                key: "batch".to_owned(),
                value,
                why,
            }),
        }
    }

    /// Samples a step, unless told otherwise.
    pub fn default_batch(&self) -> Batch {
        let entry = named().find(|entry| entry.name == self.name);
        let size = entry.and_then(|entry| NonZeroUsize::new(entry.batch));
        Batch::Size(size.unwrap_or(NonZeroUsize::MIN))
    }

    /// What serves batches of this kind under the name.
    pub fn entry(&self, batch: Batch) -> &'static Entry {
        let mut own = all().filter(|entry| entry.name == self.name);
        let fits = |entry: &&Entry| match entry.serves {
            Serves::Any => true,
            Serves::MiniBatches => batch != Batch::Full,
            Serves::FullBatches => batch == Batch::Full,
        };
        own.find(fits).unwrap_or(REGISTRY[0])
    }

    /// The optimiser with its default settings and those of the choice.
    ///
    /// # Errors
    /// [`Refusal`] when it has no such setting, or not with such a value.
    pub fn resolve(&self, network: &Net, batch: Batch) -> Result<Optimizer, Refusal> {
        let entry = self.entry(batch);
        let mut settings = (entry.defaults)(&Context { network, batch });
        for (key, value) in &self.settings {
            if !(entry.keys)().contains(&key.as_str()) {
                return Err(foreign(entry, key));
            }
            settings.set(key, value).map_err(|why| Refusal::Wrong {
                key: key.clone(),
                value: value.clone(),
                why,
            })?;
        }
        match settings.missing() {
            Some([key, other]) => Err(Refusal::Missing { key, other }),
            None => Ok(Optimizer {
                name: entry.name,
                settings: Arc::from(settings),
            }),
        }
    }
}

/// The refusal of a setting that `chosen` does not have.
fn foreign(chosen: &Entry, key: &str) -> Refusal {
    let label = |entry: &Entry| match entry.serves {
        Serves::FullBatches => format!("{} with --batch full", entry.name),
        _ => entry.name.to_owned(),
    };
    let owners = all().filter(|entry| (entry.keys)().contains(&key));
    Refusal::Foreign {
        key: key.to_owned(),
        owners: owners.map(label).collect(),
        chosen: label(chosen),
        known: (chosen.keys)(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Model;

    /// Every entry, on a batch that it serves.
    fn entries() -> impl Iterator<Item = (&'static Entry, Batch)> {
        let all = REGISTRY.iter().copied();
        all.map(|entry| match entry.serves {
            Serves::FullBatches => (entry, Batch::Full),
            _ => (entry, Batch::Size(NonZeroUsize::new(entry.batch).unwrap())),
        })
    }

    #[test]
    fn every_entry_is_found_and_tuned_by_settings_that_it_has() {
        let network = "micro".parse::<Model>().unwrap().network;
        for (entry, batch) in entries() {
            let mut choice: Choice = entry.name.parse().unwrap();
            assert!(std::ptr::eq(choice.entry(batch), entry), "{}", entry.name);
            assert!(choice.resolve(&network, batch).is_ok());
            let keys = (entry.keys)();
            for tunable in entry.tuning {
                let value = (tunable.draw)(&mut secant::Random::new(0, 0));
                let pair = (tunable.key.to_owned(), value.to_string());
                choice.settings.push(pair);
            }
            assert!(choice.resolve(&network, batch).is_ok(), "{}", entry.name);
            for (k, key) in keys.iter().enumerate() {
                assert!(!keys[..k].contains(key), "{}: {key} twice", entry.name);
                choice.settings = vec![((*key).to_owned(), "?".to_owned())];
                let refused = choice.resolve(&network, batch).unwrap_err();
                assert!(matches!(refused, Refusal::Wrong { .. }), "{refused:?}");
            }
        }
    }

    #[test]
    fn a_text_sets_what_it_names() {
        let network = "micro".parse::<Model>().unwrap().network;
        let mut choice: Choice = "adam:learning-rate=0.5:rate-factor=2:batch=7"
            .parse()
            .unwrap();
        let seven = NonZeroUsize::new(7).map(Batch::Size);
        assert_eq!(choice.take_batch(), Ok(seven));
        let optimizer = choice.resolve(&network, choice.default_batch()).unwrap();
        assert_eq!(
            (optimizer.name(), optimizer.settings().rate()),
            ("adam", 1.0)
        );
        let record = serde_json::to_string(&optimizer).unwrap();
        assert!(
            record.starts_with("{\"name\":\"adam\",\"learning_rate\":1.0,\"schedule\":\"linear\""),
            "{record}"
        );
    }
}
