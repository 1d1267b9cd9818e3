//! Layer-wise stochastic L-BFGS, with a learning-rate schedule and the guard.

use secant::ConfigError;
use secant::optim::{
    Decay, Guard, GuardAction, GuardConfig, LayerLbfgs, LayerLbfgsConfig, LayerPart, Schedule,
    SecondMoment,
};
use serde::{Serialize, Serializer};

use super::schedule::ScheduleName;
use super::settings::{Context, DeviceMemory, Entry, Keys, Serves, Settings, names, set};
use super::step::{BatchLoss, Snapshot, Stepped, Stepper, momentum_limit};
use super::tuning::{BETA2, RATE, WARM_UP};
use super::values::{count, name, not_negative, pairs, positive, share, yes};
use crate::batch::Batch;
use crate::engine::LANES;
use crate::model::Net;

/// Parameters that are moved in about the time that it takes threads to meet.
const LEAST: usize = 4 * 1024;

/// A second moment for each element.
pub const LBFGS: Entry = Entry {
    name: "lbfgs",
    about: "Stochastic L-BFGS, layer by layer; with --batch full the deterministic one",
    serves: Serves::MiniBatches,
    batch: 32,
    benched: true,
    keys: || names(KEYS),
    tuning: &[RATE, BETA2, WARM_UP],
    defaults: |context| Box::new(LayerLbfgsSettings::new(SecondMoment::Element, context)),
};

/// A second moment for each row.
pub const LBFGS_ROW: Entry = Entry {
    name: "lbfgs-row",
    about: "The same with one second moment a row: less memory than adam",
    serves: Serves::Any,
    defaults: |context| Box::new(LayerLbfgsSettings::new(SecondMoment::Row, context)),
    ..LBFGS
};

/// A second moment for each row and each column.
pub const LBFGS_FACTORED: Entry = Entry {
    name: "lbfgs-factored",
    about: "The same with second moments of rows and columns",
    serves: Serves::Any,
    defaults: |context| Box::new(LayerLbfgsSettings::new(SecondMoment::Factored, context)),
    ..LBFGS
};

/// Most pairs a layer that can be chosen.
const LARGEST_PAIRS: usize = 16;

/// Samples that a full batch counts as, for the rate.
const FULL: usize = 1024;

/// Settings of the layer-wise L-BFGS; see [`LayerLbfgsConfig`] for their meaning.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LayerLbfgsSettings {
    #[serde(serialize_with = "form_name")]
    pub form: SecondMoment,
    /// Pairs a layer, 0 to [`LARGEST_PAIRS`].
    pub history: usize,
    pub learning_rate: f32,
    pub schedule: ScheduleName,
    pub warm_up: f32,
    pub beta1: f32,
    pub beta2: f32,
    pub epsilon: f32,
    pub damping: f32,
    pub keep: f32,
    pub refresh_every: u32,
    pub weight_decay: f32,
    pub decoupled: bool,
    /// Whether the guard watches.
    pub guard: bool,
}

fn form_name<S: Serializer>(form: &SecondMoment, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(form.name())
}

/// Calls `$body` with the constant `$m` equal to the run-time number `$history`, which is 0 to 16.
macro_rules! with_pairs {
    ($history:expr, $m:ident => $body:expr) => {
        with_pairs!(@ $history, $m => $body; 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15)
    };
    (@ $history:expr, $m:ident => $body:expr; $($number:literal)*) => {
        match $history {
            $($number => { const $m: usize = $number; $body })*
            _ => { const $m: usize = LARGEST_PAIRS; $body }
        }
    };
}

/// The learning rate that suits `network` at `batch` samples a step; see
/// [`LayerLbfgs::learning_rate`].
pub(super) fn default_rate(network: &Net, batch: usize) -> f32 {
    LayerLbfgs::<8>::learning_rate(network, batch)
}

const KEYS: Keys<LayerLbfgsSettings> = &[
    ("learning-rate", |s, text| {
        positive(text).map(|x| s.learning_rate = x)
    }),
    ("rate-factor", |s, text| {
        positive(text).map(|x| s.learning_rate *= x)
    }),
    ("schedule", |s, text| name(text).map(|x| s.schedule = x)),
    ("warm-up", |s, text| share(text).map(|x| s.warm_up = x)),
    ("beta1", |s, text| share(text).map(|x| s.beta1 = x)),
    ("beta2", |s, text| share(text).map(|x| s.beta2 = x)),
    ("epsilon", |s, text| positive(text).map(|x| s.epsilon = x)),
    ("weight-decay", |s, text| {
        not_negative(text).map(|x| s.weight_decay = x)
    }),
    ("decoupled", |s, text| yes(text).map(|x| s.decoupled = x)),
    ("history", |s, text| {
        pairs(text, s.name(), 0..=LARGEST_PAIRS).map(|m| s.history = m)
    }),
    ("damping", |s, text| {
        not_negative(text).map(|x| s.damping = x)
    }),
    ("keep", |s, text| share(text).map(|x| s.keep = x)),
    ("refresh", |s, text| {
        count(text).map(|k| s.refresh_every = k)
    }),
    ("guard", |s, text| yes(text).map(|x| s.guard = x)),
];

impl LayerLbfgsSettings {
    fn new(form: SecondMoment, context: &Context<'_>) -> LayerLbfgsSettings {
        let batch = match context.batch {
            Batch::Size(size) => size.get(),
            Batch::Full => FULL,
        };
        LayerLbfgsSettings {
            form,
            history: 8,
            learning_rate: default_rate(context.network, batch),
            schedule: ScheduleName::Linear,
            warm_up: 0.1,
            beta1: 0.9,
            beta2: 0.98,
            epsilon: 1e-8,
            damping: 0.3,
            keep: 0.9,
            refresh_every: 20,
            weight_decay: 0.0,
            decoupled: false,
            guard: true,
        }
    }

    fn name(&self) -> &'static str {
        match self.form {
            SecondMoment::Row => LBFGS_ROW.name,
            SecondMoment::Factored => LBFGS_FACTORED.name,
            _ => LBFGS.name,
        }
    }

    fn own_memory_len(&self, network: &Net) -> usize {
        with_pairs!(self.history, M => LayerLbfgs::<M>::memory_len(network, self.form))
    }
}

impl Settings for LayerLbfgsSettings {
    fn set(&mut self, key: &str, value: &str) -> Result<(), String> {
        set(KEYS, self, key, value)
    }

    fn missing(&self) -> Option<[&'static str; 2]> {
        let idle = self.decoupled && self.weight_decay == 0.0;
        idle.then_some(["decoupled", "weight-decay"])
    }

    fn rate(&self) -> f32 {
        self.learning_rate
    }

    /// The gradient, the guard's copy, and the optimiser's own.
    fn memory_len(&self, network: &Net) -> usize {
        let n = network.parameter_count();
        n + Guard::memory_len(n) + self.own_memory_len(network)
    }

    fn start<'m>(
        &self,
        network: &'m Net,
        _same_objective: bool,
        memory: &'m mut [f32],
    ) -> Result<Box<dyn Stepper + 'm>, ConfigError> {
        let n = network.parameter_count();
        let config = LayerLbfgsConfig {
            second_moment: self.form,
            learning_rate: self.learning_rate,
            beta1: self.beta1,
            beta2: self.beta2,
            epsilon: self.epsilon,
            damping: self.damping,
            keep: self.keep,
            refresh_every: self.refresh_every,
            weight_decay: self.weight_decay,
            decay: if self.decoupled {
                Decay::Decoupled
            } else {
                Decay::Coupled
            },
            ..LayerLbfgsConfig::DEFAULT
        };
        let (gradient, memory) = memory.split_at_mut(n);
        let (saved, memory) = memory.split_at_mut(Guard::memory_len(n));
        let guard = Guard::new(GuardConfig::default(), n, saved)?;
        Ok(with_pairs!(self.history, M => Box::new(Running {
            lbfgs: LayerLbfgs::<M>::new(config, network, memory)?,
            guard: self.guard.then_some(guard),
            network,
            schedule: self.schedule.with_warm_up(self.warm_up),
            gradient,
        })))
    }

    /// With one lane the gradient's memory serves as scratch: `LayerLbfgs::train_step`.
    fn device(&self, network: &Net, lanes: usize) -> Option<DeviceMemory> {
        let n = network.parameter_count();
        Some(DeviceMemory {
            gradient: n,
            optimizer: self.own_memory_len(network),
            workspace: if lanes == 1 {
                network.workspace_len(lanes)
            } else {
                with_pairs!(self.history, M => LayerLbfgs::<M>::workspace_len(network, lanes))
            },
        })
    }
}

struct Running<'m, const M: usize> {
    lbfgs: LayerLbfgs<'m, M>,
    guard: Option<Guard<'m>>,
    network: &'m Net,
    schedule: Schedule,
    gradient: &'m mut [f32],
}

impl<const M: usize> Stepper for Running<'_, M> {
    fn step(
        &mut self,
        loss: &mut BatchLoss<'_>,
        (step, steps): (u32, u32),
        parameters: &mut [f32],
    ) -> Result<Stepped, ConfigError> {
        let Running {
            lbfgs,
            network,
            gradient,
            ..
        } = self;
        let tally = if lbfgs.wants_inputs() {
            let workspace = LayerLbfgs::<M>::workspace_len(network, LANES);
            loss.gradient_observed(parameters, gradient, workspace, &mut |inputs, scratch| {
                // What is not finite shows in the loss, too.
                let _ = lbfgs.observe(&inputs, scratch);
            })
        } else {
            loss.gradient(parameters, gradient)
        };
        let stepped = Stepped {
            loss: tally.mean_loss(),
            ended: None,
        };
        let mut factor = self.schedule.factor(step, steps);
        if let Some(guard) = &mut self.guard {
            if let GuardAction::RolledBack(_) = guard.check(stepped.loss, parameters)? {
                self.lbfgs.reset();
                return Ok(stepped);
            }
            factor *= guard.factor();
        }
        // The inputs were shown if they were wanted.
        let engine = loss.engine();
        let len = engine.part_len(parameters.len(), LEAST);
        let (_, parts) = self.lbfgs.parts(factor, parameters, self.gradient, len)?;
        engine.share(parts, LayerPart::apply);
        Ok(stepped)
    }

    fn recover(&mut self, loss: f64, parameters: &mut [f32]) -> Result<bool, ConfigError> {
        let Some(guard) = &mut self.guard else {
            return Ok(false);
        };
        let action = guard.finish(loss, parameters)?;
        let taken_back = matches!(action, GuardAction::RolledBack(_));
        if taken_back {
            self.lbfgs.reset();
        }
        Ok(taken_back)
    }

    fn rollbacks(&self) -> u32 {
        self.guard.as_ref().map_or(0, Guard::rollbacks)
    }

    fn snapshot(&self) -> Option<Snapshot<'_>> {
        let own = Snapshot::default().with(&self.lbfgs, [self.lbfgs.memory()]);
        Some(match &self.guard {
            Some(guard) => own.with(guard, [guard.memory()]),
            None => own,
        })
    }

    fn restore(&mut self, snapshot: &Snapshot<'_>) -> Result<(), ConfigError> {
        let mut reader = snapshot.reader();
        reader.state(&mut self.lbfgs)?;
        reader.memory(self.lbfgs.memory_mut())?;
        if let Some(guard) = &mut self.guard {
            reader.state(guard)?;
            reader.memory(guard.memory_mut())?;
        }
        reader.end()
    }

    fn precondition(&mut self, vector: &mut [f32]) -> bool {
        self.lbfgs.precondition(vector).is_ok()
    }

    /// Its momentum is Adam's with Nesterov's, in the metric.
    fn stability_limit(&self, (step, steps): (u32, u32)) -> Option<f64> {
        let config = self.lbfgs.config();
        let guard = self.guard.as_ref().map_or(1.0, Guard::factor);
        let rate = config.learning_rate * self.schedule.factor(step, steps) * guard;
        let limit = momentum_limit(f64::from(config.beta1), true, true);
        (rate > 0.0).then(|| limit / f64::from(rate))
    }
}
