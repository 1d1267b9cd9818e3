//! What each stochastic optimiser does unless told otherwise.

use secant::optim::Form;

use super::{FlatLbfgsSettings, LayerLbfgsSettings, Net, default_rate};
use crate::config::ScheduleName;

impl LayerLbfgsSettings {
    /// The default settings for `network` and batches of `batch` images.
    pub fn defaults(form: Form, network: &Net, batch: usize) -> LayerLbfgsSettings {
        LayerLbfgsSettings {
            form,
            history: 8,
            learning_rate: default_rate(network, batch),
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
}

impl FlatLbfgsSettings {
    /// The default settings for `network`: those of a strong Adam, and a pair every 16 steps.
    pub fn defaults(network: &Net) -> FlatLbfgsSettings {
        FlatLbfgsSettings {
            learning_rate: 0.75 * default_rate(network, 32),
            schedule: ScheduleName::Linear,
            warm_up: 0.05,
            beta2: 0.98,
            pair_every: 16,
            share: 0.5,
        }
    }
}
