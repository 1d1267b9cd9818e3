//! Learning-rate schedules by name.

use secant::optim::{Decline, Schedule};
use serde::Serialize;

/// A [`Schedule`] as records show it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
#[derive(clap::ValueEnum)]
pub enum ScheduleName {
    /// The factor stays 1.
    Constant,
    /// It falls evenly to 0.
    Linear,
    /// It falls to 0 like half a cosine.
    Cosine,
}

impl ScheduleName {
    /// The schedule with this warm-up.
    pub fn with_warm_up(self, warm_up: f32) -> Schedule {
        let decline = match self {
            ScheduleName::Constant => Decline::Constant,
            ScheduleName::Linear => Decline::Linear,
            ScheduleName::Cosine => Decline::Cosine,
        };
        Schedule { decline, warm_up }
    }
}
