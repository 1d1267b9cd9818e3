//! The L-BFGS of the experiment behind this project, as wrong as it was, for comparison; each slip
//! can be repaired.
//!
//! For each mini-batch it made ten iterations of L-BFGS: a two-loop direction, a step of a fixed
//! length along it, a gradient at the new point, a pair. The history went on from batch to batch,
//! so the first pair of a batch took the difference of two batches for curvature; and the gradient
//! was never cleared between the evaluations of a batch, so it was the sum of all gradients so far
//! in the batch.
//!
//! ```text
//! for i in 0 .. inner:
//!     g = gradient of the batch at w           (not cleared: plus all earlier ones of the batch)
//!     y = g - g_before;  s = t d;  keep the pair if y.s > 1e-10   (g_before may be of another batch)
//!     d = -two_loop(g),  H0 = s.y / y.y
//!     t = rate  (at the very first iteration of all: rate * min(1, 1/|g|_1));   w += t d
//! ```

use std::borrow::Cow;
use std::collections::VecDeque;

use secant::ConfigError;
use secant::optim::{Initial, Pair, two_loop};
use secant::vector;
use serde::Serialize;

use super::settings::{DeviceMemory, Entry, Keys, Serves, Settings, TwoLoops, names, set};
use super::step::{BatchLoss, Snapshot, Stepped, Stepper};
use super::tuning::RATE;
use super::values::{count, name, pairs, positive, yes};
use crate::model::Net;

/// The original experiment's.
pub const LBFGS_SEED: Entry = Entry {
    name: "lbfgs-seed",
    about: "L-BFGS as the experiment behind this project ran it, slips included",
    serves: Serves::Any,
    batch: 64,
    benched: true,
    keys: || names(KEYS),
    tuning: &[RATE],
    defaults: |_| Box::new(LbfgsSeedSettings::default()),
};

/// Most pairs that can be chosen.
const LARGEST_HISTORY: usize = 100;

/// Slips by name, each with its repair.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Slip {
    /// Ten iterations a batch: make one
    Inner,
    /// Gradients that add up over a batch's iterations: clear them
    Accumulate,
    /// Pairs that span two batches: make none
    AcrossBatches,
    /// A fixed step: search along the line (Armijo)
    LineSearch,
}

/// Settings, each of the last four a slip that can be repaired.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LbfgsSeedSettings {
    /// Step length; 0.01 in the experiment.
    pub learning_rate: f32,
    /// Pairs kept; 10.
    pub history: usize,
    /// Iterations a batch; 10. 1 is the repair.
    pub inner: u32,
    /// Gradients of a batch add up over its iterations; yes. No is the repair.
    pub accumulate: bool,
    /// Pairs may span two batches; yes. The repair forgets the last gradient when the batch
    /// changes.
    pub across_batches: bool,
    /// Armijo's line search from step 1 instead of a fixed step; no. Yes is the repair.
    pub line_search: bool,
}

impl Default for LbfgsSeedSettings {
    fn default() -> LbfgsSeedSettings {
        LbfgsSeedSettings {
            learning_rate: 0.01,
            history: 10,
            inner: 10,
            accumulate: true,
            across_batches: true,
            line_search: false,
        }
    }
}

const KEYS: Keys<LbfgsSeedSettings> = &[
    ("learning-rate", |s, text| {
        positive(text).map(|x| s.learning_rate = x)
    }),
    ("rate-factor", |s, text| {
        positive(text).map(|x| s.learning_rate *= x)
    }),
    ("history", |s, text| {
        pairs(text, LBFGS_SEED.name, 1..=LARGEST_HISTORY).map(|m| s.history = m)
    }),
    ("inner", |s, text| count(text).map(|k| s.inner = k)),
    ("accumulate", |s, text| yes(text).map(|x| s.accumulate = x)),
    ("across-batches", |s, text| {
        yes(text).map(|x| s.across_batches = x)
    }),
    ("repair", |s, text| name(text).map(|slip| s.repair(slip))),
];

impl LbfgsSeedSettings {
    fn repair(&mut self, slip: Slip) {
        match slip {
            Slip::Inner => self.inner = 1,
            Slip::Accumulate => self.accumulate = false,
            Slip::AcrossBatches => self.across_batches = false,
            Slip::LineSearch => self.line_search = true,
        }
    }
}

impl Settings for LbfgsSeedSettings {
    fn set(&mut self, key: &str, value: &str) -> Result<(), String> {
        set(KEYS, self, key, value)
    }

    fn rate(&self) -> f32 {
        self.learning_rate
    }

    /// It is no part of the library, and takes from the heap what it needs.
    fn memory_len(&self, _network: &Net) -> usize {
        0
    }

    fn two_loops(&self, network: &Net) -> Vec<TwoLoops> {
        vec![TwoLoops {
            count: self.inner as usize,
            pairs: self.history,
            length: network.parameter_count(),
        }]
    }

    fn device(&self, _network: &Net, _lanes: usize) -> Option<DeviceMemory> {
        None
    }

    fn start<'m>(
        &self,
        network: &'m Net,
        _same_objective: bool,
        _memory: &'m mut [f32],
    ) -> Result<Box<dyn Stepper + 'm>, ConfigError> {
        let n = network.parameter_count();
        Ok(Box::new(Running {
            settings: self.clone(),
            pairs: VecDeque::new(),
            scale: 1.0,
            gradient: vec![0.0; n],
            before: None,
            direction: vec![0.0; n],
            fresh: vec![0.0; n],
            length: 0.0,
        }))
    }
}

struct Running {
    settings: LbfgsSeedSettings,
    /// Steps and changes, oldest first.
    pairs: VecDeque<(Vec<f32>, Vec<f32>)>,
    scale: f32,
    /// The gradient that the method sees.
    gradient: Vec<f32>,
    /// The one of the iteration before.
    before: Option<Vec<f32>>,
    direction: Vec<f32>,
    /// A gradient as computed.
    fresh: Vec<f32>,
    /// Step length of the iteration before.
    length: f32,
}

impl Running {
    /// Takes in the pair of the last step.
    fn learn(&mut self) {
        if let Some(before) = &self.before {
            let y: Vec<f32> = self
                .gradient
                .iter()
                .zip(before)
                .map(|(g, b)| g - b)
                .collect();
            let s: Vec<f32> = self.direction.iter().map(|d| self.length * d).collect();
            let sy = vector::dot(&s, &y);
            if sy > 1e-10 {
                if self.pairs.len() == self.settings.history {
                    self.pairs.pop_front();
                }
                self.scale = sy / vector::dot(&y, &y);
                self.pairs.push_back((s, y));
            }
        }
    }

    fn turn(&mut self) {
        vector::negate(&self.gradient, &mut self.direction);
        let pairs: Vec<Pair<'_, f32>> = self.pairs.iter().map(|(s, y)| Pair::new(s, y)).collect();
        let mut coefficients = vec![0.0; pairs.len()];
        two_loop(
            &pairs,
            Initial::Scalar(self.scale),
            &mut self.direction,
            &mut coefficients,
        );
    }
}

impl Stepper for Running {
    fn step(
        &mut self,
        loss: &mut BatchLoss<'_>,
        _progress: (u32, u32),
        parameters: &mut [f32],
    ) -> Result<Stepped, ConfigError> {
        if !self.settings.across_batches {
            self.before = None;
        }
        let mut first = None;
        let mut start = vec![0.0; parameters.len()];
        for i in 0..self.settings.inner {
            let value = loss.gradient(parameters, &mut self.fresh).mean_loss();
            first.get_or_insert(value);
            if !value.is_finite() {
                break;
            }
            if i > 0 && self.settings.accumulate {
                vector::axpy(1.0, &self.fresh, &mut self.gradient);
            } else {
                vector::copy(&self.fresh, &mut self.gradient);
            }
            let very_first = self.length == 0.0;
            self.learn();
            self.turn();
            self.before = Some(self.gradient.clone());
            self.length = if very_first {
                let norm = vector::norm1(&self.gradient);
                self.settings.learning_rate * if norm > 1.0 { 1.0 / norm } else { 1.0 }
            } else {
                self.settings.learning_rate
            };
            if self.settings.line_search {
                let slope = f64::from(vector::dot(&self.gradient, &self.direction));
                vector::copy(parameters, &mut start);
                self.length = if self.pairs.is_empty() {
                    self.length
                } else {
                    1.0
                };
                for _ in 0..20 {
                    vector::copy(&start, parameters);
                    vector::axpy(self.length, &self.direction, parameters);
                    let trial = loss.gradient(parameters, &mut self.fresh).mean_loss();
                    if trial <= value + 1e-4 * f64::from(self.length) * slope {
                        break;
                    }
                    self.length *= 0.5;
                }
            } else {
                vector::axpy(self.length, &self.direction, parameters);
            }
        }
        Ok(Stepped {
            loss: first.unwrap_or(f64::NAN),
            ended: None,
        })
    }

    fn snapshot(&self) -> Option<Snapshot<'_>> {
        let mut floats = vec![&self.direction];
        floats.extend(&self.before);
        floats.extend(self.pairs.iter().flat_map(|(s, y)| [s, y]));
        Some(Snapshot {
            numbers: vec![
                u64::from(self.scale.to_bits()),
                u64::from(self.length.to_bits()),
                u64::from(self.before.is_some()),
                self.pairs.len() as u64,
            ],
            floats: floats.into_iter().map(Cow::from).collect(),
        })
    }

    fn restore(&mut self, snapshot: &Snapshot<'_>) -> Result<(), ConfigError> {
        let n = self.direction.len();
        let mut reader = snapshot.reader();
        let [scale, length, before, pairs] = *reader.numbers()?;
        if pairs > self.settings.history as u64 {
            return Err(ConfigError::NotAState);
        }
        let float = |bits: u64| u32::try_from(bits).map(f32::from_bits);
        let not_a_state = |_| ConfigError::NotAState;
        self.scale = float(scale).map_err(not_a_state)?;
        self.length = float(length).map_err(not_a_state)?;
        reader.memory(&mut self.direction)?;
        let mut part = || {
            let mut part = vec![0.0; n];
            reader.memory(&mut part).map(|()| part)
        };
        self.before = (before != 0).then(&mut part).transpose()?;
        self.pairs = (0..pairs)
            .map(|_| Ok((part()?, part()?)))
            .collect::<Result<_, ConfigError>>()?;
        reader.end()
    }
}
