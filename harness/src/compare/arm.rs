//! One side of a comparison: an optimiser, its settings, and how a text names them.

use std::num::NonZeroUsize;

use secant::network::Init;
use secant::optim::Form;

use super::args::CompareArgs;
use super::protocol::Protocol;
use crate::config::{Batch, ScheduleName};
use crate::optimizers::{
    AdamSettings, FlatLbfgsSettings, LayerLbfgsSettings, LbfgsSeedSettings, Net, Optimizer,
    default_rate,
};

/// An optimiser with its settings.
#[derive(Debug, Clone)]
pub struct Arm {
    /// As the user wrote it.
    pub name: String,
    /// Its settings.
    pub optimizer: Optimizer,
    /// Images a step.
    pub batch: usize,
    /// How the initial weights are drawn.
    pub init: Init,
    /// Passes over the training images.
    pub epochs: f64,
    /// Whether tuning may change the settings.
    pub tuned: bool,
    /// Whether the rate follows the batch until it is set.
    auto_rate: bool,
}

/// Adam as a strong baseline. Tuned on `micro` (rate 0.012, beta2 0.99, warm-up 0.1 for an epoch at batch 32); the rate of
/// larger networks falls faster than the layer-wise method's, as tuning on `seed` showed (0.0015 at batch 16).
fn strong_adam(network: &Net) -> AdamSettings {
    let size = default_rate(network, 32) / 0.0101;
    AdamSettings {
        learning_rate: 0.012 * size * size.sqrt(),
        schedule: ScheduleName::Linear,
        warm_up: 0.1,
        beta1: 0.9,
        beta2: 0.99,
        epsilon: 1e-8,
        weight_decay: 0.0,
        decoupled: false,
        nesterov: true,
    }
}

impl Arm {
    /// Reads `NAME[:KEY=VALUE]...`, for runs of `epochs` passes.
    pub fn parse(text: &str, epochs: f64, args: &CompareArgs) -> Result<Arm, String> {
        let network = &args.model.network;
        let mut parts = text.split(':');
        let name = parts.next().unwrap_or_default();
        let layer = |form| Optimizer::LayerLbfgs(LayerLbfgsSettings::defaults(form, network, 32));
        let (optimizer, batch) = match name {
            "adam" => (Optimizer::Adam(strong_adam(network)), 32),
            "adam-plain" if args.protocol == Some(Protocol::DeepObs) => (
                Optimizer::Adam(AdamSettings {
                    learning_rate: Protocol::DEEPOBS_ADAM_RATE,
                    schedule: ScheduleName::Constant,
                    warm_up: 0.0,
                    beta2: 0.999,
                    nesterov: false,
                    ..strong_adam(network)
                }),
                128,
            ),
            "adam-plain" => (
                Optimizer::Adam(AdamSettings {
                    learning_rate: 1e-3,
                    schedule: ScheduleName::Constant,
                    warm_up: 0.0,
                    beta2: 0.999,
                    weight_decay: 2.5e-3,
                    nesterov: false,
                    ..strong_adam(network)
                }),
                64,
            ),
            "lbfgs" => (layer(Form::Element), 32),
            "lbfgs-row" => (layer(Form::Row), 32),
            "lbfgs-factored" => (layer(Form::Factored), 32),
            "lbfgs-flat" => (
                Optimizer::FlatLbfgs(FlatLbfgsSettings::defaults(network)),
                32,
            ),
            "lbfgs-seed" => (Optimizer::LbfgsSeed(LbfgsSeedSettings::default()), 64),
            _ => {
                return Err(format!(
                    "--optimizers: expected adam, adam-plain, lbfgs, lbfgs-row, lbfgs-factored, lbfgs-flat or lbfgs-seed, found '{name}'"
                ));
            }
        };
        let mut arm = Arm {
            name: text.to_owned(),
            optimizer,
            batch,
            init: args.init.into(),
            epochs,
            tuned: args.tune > 0,
            auto_rate: true,
        };
        if let Some(Batch::Size(size)) = args.batch {
            arm.set_batch(size.get(), network);
        }
        for part in parts {
            let found = part.split_once('=').ok_or_else(|| {
                format!("--optimizers: expected KEY=VALUE after '{name}:', found '{part}'")
            })?;
            arm.set(found.0, found.1, network)
                .map_err(|error| format!("--optimizers: '{text}': {error}"))?;
        }
        Ok(arm)
    }

    /// The batch as a configuration has it.
    pub fn batch(&self) -> Batch {
        Batch::Size(NonZeroUsize::new(self.batch).unwrap_or(NonZeroUsize::MIN))
    }

    /// Another batch; the layer-wise method's rate follows it, unless it has been set.
    pub fn set_batch(&mut self, batch: usize, network: &Net) {
        self.batch = batch.max(1);
        if let (true, Optimizer::LayerLbfgs(settings)) = (self.auto_rate, &mut self.optimizer) {
            settings.learning_rate = default_rate(network, self.batch);
        }
    }

    /// The learning rate.
    pub fn rate(&mut self) -> Option<&mut f32> {
        match &mut self.optimizer {
            Optimizer::Adam(settings) => Some(&mut settings.learning_rate),
            Optimizer::LayerLbfgs(settings) => Some(&mut settings.learning_rate),
            Optimizer::FlatLbfgs(settings) => Some(&mut settings.learning_rate),
            Optimizer::LbfgsSeed(settings) => Some(&mut settings.learning_rate),
            Optimizer::Lbfgs(_) => None,
        }
    }

    fn set(&mut self, key: &str, value: &str, network: &Net) -> Result<(), String> {
        let number = || match value.parse::<f32>() {
            Ok(x) if x.is_finite() && x >= 0.0 => Ok(x),
            _ => Err(format!(
                "{key}: expected a number, at least 0, found '{value}'"
            )),
        };
        let whole = || {
            value
                .parse::<u32>()
                .map_err(|_| format!("{key}: expected a whole number, found '{value}'"))
        };
        let yes = || match value {
            "yes" | "on" | "true" => Ok(true),
            "no" | "off" | "false" => Ok(false),
            _ => Err(format!("{key}: expected yes or no, found '{value}'")),
        };
        let below_one = || match number()? {
            x if x < 1.0 => Ok(x),
            x => Err(format!("{key}: expected a number below 1, found {x}")),
        };
        match (key, &mut self.optimizer) {
            ("init", _) => {
                self.init = Init::from_name(value).ok_or_else(|| {
                    let names = Init::ALL.map(Init::name).join(", ");
                    format!("{key}: expected one of {names}, found '{value}'")
                })?;
            }
            ("tune", _) => self.tuned &= yes()?,
            ("batch", _) => self.set_batch(whole()?.max(1) as usize, network),
            ("rate-factor", _) => {
                let factor = number()?;
                if let Some(rate) = self.rate() {
                    *rate *= factor;
                }
            }
            ("learning-rate", _) => {
                let value = number()?;
                self.auto_rate = false;
                if let Some(rate) = self.rate() {
                    *rate = value;
                }
            }
            ("warm-up", Optimizer::Adam(s)) => s.warm_up = below_one()?,
            ("warm-up", Optimizer::LayerLbfgs(s)) => s.warm_up = below_one()?,
            ("beta1", Optimizer::Adam(s)) => s.beta1 = below_one()?,
            ("beta1", Optimizer::LayerLbfgs(s)) => s.beta1 = below_one()?,
            ("beta2", Optimizer::Adam(s)) => s.beta2 = below_one()?,
            ("beta2", Optimizer::LayerLbfgs(s)) => s.beta2 = below_one()?,
            ("weight-decay", Optimizer::Adam(s)) => s.weight_decay = number()?,
            ("weight-decay", Optimizer::LayerLbfgs(s)) => s.weight_decay = number()?,
            ("nesterov", Optimizer::Adam(s)) => s.nesterov = yes()?,
            ("schedule", Optimizer::Adam(AdamSettings { schedule, .. }))
            | ("schedule", Optimizer::LayerLbfgs(LayerLbfgsSettings { schedule, .. })) => {
                *schedule = match value {
                    "constant" => ScheduleName::Constant,
                    "linear" => ScheduleName::Linear,
                    "cosine" => ScheduleName::Cosine,
                    _ => {
                        return Err(format!(
                            "{key}: expected constant, linear or cosine, found '{value}'"
                        ));
                    }
                }
            }
            ("history", Optimizer::LayerLbfgs(s)) => s.history = whole()?.min(16) as usize,
            ("damping", Optimizer::LayerLbfgs(s)) => s.damping = number()?,
            ("keep", Optimizer::LayerLbfgs(s)) => s.keep = below_one()?,
            ("refresh", Optimizer::LayerLbfgs(s)) => s.refresh_every = whole()?.max(1),
            ("guard", Optimizer::LayerLbfgs(s)) => s.guard = yes()?,
            ("pair-every", Optimizer::FlatLbfgs(s)) => s.pair_every = whole()?.max(1),
            ("share", Optimizer::FlatLbfgs(s)) => s.share = below_one()?,
            ("history", Optimizer::LbfgsSeed(s)) => s.history = whole()?.clamp(1, 100) as usize,
            ("inner", Optimizer::LbfgsSeed(s)) => s.inner = whole()?.max(1),
            ("accumulate", Optimizer::LbfgsSeed(s)) => s.accumulate = yes()?,
            ("across-batches", Optimizer::LbfgsSeed(s)) => s.across_batches = yes()?,
            ("line-search", Optimizer::LbfgsSeed(s)) => s.line_search = yes()?,
            _ => return Err(format!("has no setting '{key}'")),
        }
        Ok(())
    }
}
