//! What the file of an optimiser provides: an [`Entry`] for the registry, and its [`Settings`].

use std::fmt::Debug;

use secant::ConfigError;

use super::step::Stepper;
use super::tuning::Tunable;
use crate::batch::Batch;
use crate::model::Net;

/// An optimiser that can be chosen by name.
pub struct Entry {
    /// The name on the command line and in records.
    pub name: &'static str,
    /// A line for the help.
    pub about: &'static str,
    /// The batches that it serves; two entries of one name share them out.
    pub serves: Serves,
    /// Samples a step, unless told otherwise.
    pub batch: usize,
    /// Whether `secant bench` times its step: not where another one makes the same step.
    pub benched: bool,
    /// Names of its settings.
    pub keys: fn() -> Vec<&'static str>,
    /// What tuning draws, in this order.
    pub tuning: &'static [Tunable],
    /// The settings unless told otherwise.
    pub defaults: fn(&Context<'_>) -> Box<dyn Settings>,
}

impl Entry {
    /// An optimiser of batches of 32 with nothing to tune; what is otherwise can be set.
    pub const fn new(
        name: &'static str,
        about: &'static str,
        keys: fn() -> Vec<&'static str>,
        defaults: fn(&Context<'_>) -> Box<dyn Settings>,
    ) -> Entry {
        Entry {
            name,
            about,
            serves: Serves::Any,
            batch: 32,
            benched: false,
            keys,
            tuning: &[],
            defaults,
        }
    }
}

/// Batches that an optimiser serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Serves {
    /// All.
    Any,
    /// Parts of the samples.
    MiniBatches,
    /// All samples at once.
    FullBatches,
}

/// What default settings depend on.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// The network, frozen layers known.
    pub network: &'a Net,
    /// Samples a step.
    pub batch: Batch,
}

/// The settings of an optimiser, and what can be made of them.
pub trait Settings: Debug + Send + Sync + erased_serde::Serialize {
    /// Changes the setting `key`, which is one of [`Entry::keys`].
    ///
    /// # Errors
    /// A phrase that says what was expected.
    fn set(&mut self, key: &str, value: &str) -> Result<(), String>;

    /// Two settings of which the first does nothing without the second, if the first is on and the
    /// second off.
    fn missing(&self) -> Option<[&'static str; 2]> {
        None
    }

    /// The learning rate, or the length of the first step.
    fn rate(&self) -> f32;

    /// Floats of memory for `network`, the gradients that it keeps among them.
    fn memory_len(&self, network: &Net) -> usize;

    /// The optimiser before its first step. `memory` has [`Settings::memory_len`] floats;
    /// `same_objective` says that every step will minimise the very same function, as with full
    /// batches and no dropout.
    ///
    /// # Errors
    /// [`ConfigError`] when a setting is out of range.
    fn start<'m>(
        &self,
        network: &'m Net,
        same_objective: bool,
        memory: &'m mut [f32],
    ) -> Result<Box<dyn Stepper + 'm>, ConfigError>;

    /// Whether it asks for products with curvature matrices, whose workspace is longer.
    fn wants_products(&self) -> bool {
        false
    }

    /// The two-loop recursions of a step.
    fn two_loops(&self, network: &Net) -> Vec<TwoLoops> {
        let _ = network;
        Vec::new()
    }

    /// What a device needs to train `network` with it, `lanes` samples at a time; none where the
    /// method needs a heap, or nobody has said.
    fn device(&self, network: &Net, lanes: usize) -> Option<DeviceMemory> {
        let _ = (network, lanes);
        None
    }
}

/// Floats that training on a device takes beside the parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeviceMemory {
    /// Gradients that the caller keeps.
    pub gradient: usize,
    /// The optimiser's memory.
    pub optimizer: usize,
    /// The workspace of the passes.
    pub workspace: usize,
}

/// Two-loop recursions of one size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TwoLoops {
    /// How many a step.
    pub count: usize,
    /// Pairs of each.
    pub pairs: usize,
    /// Length of a pair's vectors.
    pub length: usize,
}

/// The settings of `S` by name, with what reads and stores the value of each.
pub type Keys<S> = &'static [(&'static str, fn(&mut S, &str) -> Result<(), String>)];

/// [`Settings::set`] by a table.
pub fn set<S>(keys: Keys<S>, settings: &mut S, key: &str, value: &str) -> Result<(), String> {
    match keys.iter().find(|(name, _)| *name == key) {
        Some((_, store)) => store(settings, value),
        None => Err("no such setting".to_owned()),
    }
}

/// [`Entry::keys`] of a table.
pub fn names<S>(keys: Keys<S>) -> Vec<&'static str> {
    keys.iter().map(|(name, _)| *name).collect()
}
