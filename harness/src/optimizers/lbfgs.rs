//! L-BFGS, on mini-batches or on all samples at once.
//!
//! On mini-batches each step evaluates its batch where it stands, searches along the quasi-Newton
//! direction until Armijo's condition holds on the *same* batch, and makes its pair of the two
//! gradients there: differences between batches never pass for curvature. The pairs of earlier
//! batches stay.

use secant::ConfigError;
use secant::line_search::{Backtracking, LineSearch, MoreThuente};
use secant::optim::{
    Curvature, FirstStep, Lbfgs, LbfgsConfig, Scaling, Stopping, Termination, two_loop,
};
use serde::Serialize;

use super::settings::{DeviceMemory, Entry, Keys, Serves, Settings, TwoLoops, names, set};
use super::step::{BatchLoss, Snapshot, Stepped, Stepper};
use super::tuning::RATE;
use super::values::{name, pairs, positive};
use crate::batch::Batch;
use crate::model::Net;

/// With a line search on each batch.
pub const LBFGS_ARMIJO: Entry = Entry {
    name: "lbfgs-armijo",
    about: "Limited-memory BFGS with a line search on each mini-batch",
    serves: Serves::Any,
    batch: 512,
    benched: true,
    keys: || names(KEYS),
    tuning: &[RATE],
    defaults: |context| Box::new(LbfgsSettings::new(LBFGS_ARMIJO.name, context.batch)),
};

/// The deterministic method: what `lbfgs` is on all samples at once.
pub const LBFGS_FULL: Entry = Entry {
    name: "lbfgs",
    about: "Limited-memory BFGS on all samples at once",
    serves: Serves::FullBatches,
    defaults: |context| Box::new(LbfgsSettings::new(LBFGS_FULL.name, context.batch)),
    ..LBFGS_ARMIJO
};

/// Most pairs that can be chosen.
const LARGEST_HISTORY: usize = 32;

/// Settings of L-BFGS.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LbfgsSettings {
    /// The name that it was chosen by.
    #[serde(skip)]
    pub name: &'static str,
    /// Pairs kept, 1 to [`LARGEST_HISTORY`].
    pub history: usize,
    /// What ends a line search.
    pub line_search: LineSearchName,
    /// What becomes of a pair with too little curvature.
    pub curvature: CurvatureName,
    /// The matrix that the pairs start from.
    pub scaling: ScalingName,
    /// Length of the first step, before there are pairs.
    pub first_step: f32,
}

/// Names for `--line-search`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LineSearchName {
    /// Enough decrease: nearly always one evaluation a step
    Armijo,
    /// Enough decrease and a flatter slope: better pairs, for full batches
    Wolfe,
}

/// Names for `--curvature`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum CurvatureName {
    /// Leave it out
    Skip,
    /// Keep it, damped (Powell)
    Damp,
}

/// Names for `--scaling`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum ScalingName {
    /// A multiple of the identity, from the newest pair
    Scalar,
    /// A diagonal that learns from every pair
    Diagonal,
}

/// Calls `$body` with the constant `$m` equal to the run-time number `$history`, which is 1 to 32.
macro_rules! with_history {
    ($history:expr, $m:ident => $body:expr) => {
        with_history!(@ $history, $m => $body;
            1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16
            17 18 19 20 21 22 23 24 25 26 27 28 29 30 31)
    };
    (@ $history:expr, $m:ident => $body:expr; $($number:literal)*) => {
        match $history {
            $($number => { const $m: usize = $number; $body })*
            _ => { const $m: usize = LARGEST_HISTORY; $body }
        }
    };
}

const KEYS: Keys<LbfgsSettings> = &[
    ("learning-rate", |s, text| {
        positive(text).map(|x| s.first_step = x)
    }),
    ("rate-factor", |s, text| {
        positive(text).map(|x| s.first_step *= x)
    }),
    ("history", |s, text| {
        pairs(text, s.name, 1..=LARGEST_HISTORY).map(|m| s.history = m)
    }),
    ("line-search", |s, text| {
        name(text).map(|x| s.line_search = x)
    }),
    ("curvature", |s, text| name(text).map(|x| s.curvature = x)),
    ("scaling", |s, text| name(text).map(|x| s.scaling = x)),
];

impl LbfgsSettings {
    fn new(name: &'static str, batch: Batch) -> LbfgsSettings {
        let (line_search, curvature, scaling) = match batch {
            Batch::Full => (
                LineSearchName::Wolfe,
                CurvatureName::Skip,
                ScalingName::Diagonal,
            ),
            Batch::Size(_) => (
                LineSearchName::Armijo,
                CurvatureName::Damp,
                ScalingName::Scalar,
            ),
        };
        LbfgsSettings {
            name,
            history: 10,
            line_search,
            curvature,
            scaling,
            first_step: 0.1,
        }
    }
}

impl Settings for LbfgsSettings {
    fn set(&mut self, key: &str, value: &str) -> Result<(), String> {
        set(KEYS, self, key, value)
    }

    fn rate(&self) -> f32 {
        self.first_step
    }

    fn memory_len(&self, network: &Net) -> usize {
        with_history!(self.history, M => Lbfgs::<M>::memory_len(network.parameter_count()))
    }

    fn two_loops(&self, network: &Net) -> Vec<TwoLoops> {
        vec![TwoLoops {
            count: 1,
            pairs: self.history,
            length: network.parameter_count(),
        }]
    }

    fn start<'m>(
        &self,
        network: &'m Net,
        same_objective: bool,
        memory: &'m mut [f32],
    ) -> Result<Box<dyn Stepper + 'm>, ConfigError> {
        let config = LbfgsConfig {
            line_search: match self.line_search {
                LineSearchName::Armijo => LineSearch::Backtracking(Backtracking::default()),
                LineSearchName::Wolfe => LineSearch::MoreThuente(MoreThuente::default()),
            },
            curvature: match self.curvature {
                CurvatureName::Skip => Curvature::skip(),
                CurvatureName::Damp => Curvature::damp(),
            },
            scaling: match self.scaling {
                ScalingName::Scalar => Scaling::Scalar,
                ScalingName::Diagonal => Scaling::Diagonal,
            },
            first_step: FirstStep::Length(self.first_step),
            stopping: Stopping::never(),
            ..LbfgsConfig::classic()
        };
        Ok(with_history!(self.history, M => Box::new(Running {
            lbfgs: Lbfgs::<M>::new(config, network.parameter_count(), memory)?,
            same_objective,
            value: None,
        })))
    }

    /// Its memory holds the gradients as well.
    fn device(&self, network: &Net, lanes: usize) -> Option<DeviceMemory> {
        Some(DeviceMemory {
            gradient: 0,
            optimizer: self.memory_len(network),
            workspace: network.workspace_len(lanes),
        })
    }
}

struct Running<'m, const M: usize> {
    lbfgs: Lbfgs<'m, M>,
    same_objective: bool,
    /// The loss where the last step ended.
    value: Option<f64>,
}

impl<const M: usize> Stepper for Running<'_, M> {
    fn step(
        &mut self,
        loss: &mut BatchLoss<'_>,
        _progress: (u32, u32),
        parameters: &mut [f32],
    ) -> Result<Stepped, ConfigError> {
        if !self.same_objective {
            self.lbfgs.objective_changed();
            self.value = None;
        }
        let step = self.lbfgs.step(loss, parameters)?;
        let before = self
            .value
            .or(loss.first_loss())
            .unwrap_or(f64::from(step.value));
        self.value = Some(f64::from(step.value));
        let ended = match step.termination {
            // The next batch is another function, which may well have a way down from here, also
            // where this one has none, or no gradient at all.
            Some(ended) if !self.same_objective && ended != Termination::NotFinite => None,
            ended => ended,
        };
        Ok(Stepped {
            loss: before,
            ended,
        })
    }

    fn snapshot(&self) -> Option<Snapshot<'_>> {
        let mut own = Snapshot::default().with(&self.lbfgs, self.lbfgs.memory());
        let value = self.value.unwrap_or(0.0).to_bits();
        own.numbers.extend([u64::from(self.value.is_some()), value]);
        Some(own)
    }

    fn restore(&mut self, snapshot: &Snapshot<'_>) -> Result<(), ConfigError> {
        let mut reader = snapshot.reader();
        reader.state(&mut self.lbfgs)?;
        for part in self.lbfgs.memory_mut() {
            reader.memory(part)?;
        }
        let [known, value] = *reader.numbers()?;
        self.value = (known != 0).then_some(f64::from_bits(value));
        reader.end()
    }

    /// The two-loop recursion over the pairs. A step of length 1 along it is stable up to 2, but the
    /// line search chooses the length.
    fn precondition(&mut self, vector: &mut [f32]) -> bool {
        let pairs = self.lbfgs.pairs();
        two_loop(&pairs, self.lbfgs.initial(), vector, &mut [0.0; M]);
        !pairs.is_empty()
    }

    fn stability_limit(&self, _progress: (u32, u32)) -> Option<f64> {
        (!self.lbfgs.pairs().is_empty()).then_some(2.0)
    }
}
