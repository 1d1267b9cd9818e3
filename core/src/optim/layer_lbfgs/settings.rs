//! The settings of the layer-wise L-BFGS, and what became of a refresh.

use crate::error::{ConfigError, check_range};
use crate::optim::adam::{AdamConfig, Decay};

/// Which second moments scale a step of [`LayerLbfgs`](super::LayerLbfgs).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum SecondMoment {
    /// One per row: the least memory, less than Adam's.
    Row,
    /// One per element.
    #[default]
    Element,
    /// One per row and one per column.
    Factored,
}

impl SecondMoment {
    /// All of them.
    pub const ALL: [SecondMoment; 3] = [
        SecondMoment::Row,
        SecondMoment::Element,
        SecondMoment::Factored,
    ];

    /// The name in records.
    pub const fn name(self) -> &'static str {
        match self {
            SecondMoment::Row => "row",
            SecondMoment::Element => "element",
            SecondMoment::Factored => "factored",
        }
    }
}

/// The settings of [`LayerLbfgs`](super::LayerLbfgs).
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct LayerLbfgsConfig {
    /// What a step is scaled by. Default [`SecondMoment::Element`].
    pub second_moment: SecondMoment,
    /// Learning rate `r`, at least 0. Default 0.01, right for some thousand parameters and 32
    /// samples per batch; larger networks need less: see
    /// [`learning_rate`](super::LayerLbfgs::learning_rate).
    pub learning_rate: f32,
    /// Decay `b1` of the momentum, in [0, 1). Default 0.9.
    pub beta1: f32,
    /// Decay `b2` of the second moment, in [0, 1). Default 0.98.
    pub beta2: f32,
    /// `e`, added to the root, positive. Default 1e-8.
    pub epsilon: f32,
    /// Damping `lambda` of the second moment of the inputs, in units of its mean eigenvalue,
    /// positive. Default 0.3; results are flat from 0.1 to 1. Large values make the metric the
    /// identity.
    pub damping: f32,
    /// Share of the past in a refreshed second moment, at most, in [0, 1). Default 0.9.
    pub keep: f32,
    /// Steps between refreshes, at least 1. Default 20.
    pub refresh_every: u32,
    /// How many of the first steps have a refresh each. Default 10.
    pub refresh_first: u32,
    /// Weight decay `d`, at least 0. Default 0.
    pub weight_decay: f32,
    /// Where weight decay enters. Default [`Decay::Coupled`].
    pub decay: Decay,
    /// Seed of the directions that the sketch starts from. Default 0.
    pub seed: u64,
}

impl LayerLbfgsConfig {
    /// The default settings, for constants.
    pub const DEFAULT: LayerLbfgsConfig = LayerLbfgsConfig {
        second_moment: SecondMoment::Element,
        learning_rate: 0.01,
        beta1: 0.9,
        beta2: 0.98,
        epsilon: 1e-8,
        damping: 0.3,
        keep: 0.9,
        refresh_every: 20,
        refresh_first: 10,
        weight_decay: 0.0,
        decay: Decay::Coupled,
        seed: 0,
    };

    /// What Adam does with the preconditioned gradient.
    pub(super) const fn adam(&self) -> AdamConfig {
        AdamConfig {
            learning_rate: self.learning_rate,
            beta1: self.beta1,
            beta2: self.beta2,
            epsilon: self.epsilon,
            weight_decay: self.weight_decay,
            decay: self.decay,
            nesterov: true,
        }
    }

    /// Refuses what is out of range.
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        self.adam().check()?;
        let inside = self.damping > 0.0 && self.damping.is_finite();
        check_range("damping", self.damping, "positive and finite", inside)?;
        let inside = (0.0..1.0).contains(&self.keep);
        check_range("keep", self.keep, "in [0, 1)", inside)?;
        let every = self.refresh_every;
        check_range("refresh_every", every, "at least 1", every > 0)
    }
}

impl Default for LayerLbfgsConfig {
    fn default() -> LayerLbfgsConfig {
        LayerLbfgsConfig::DEFAULT
    }
}

/// What became of the refresh of one layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[must_use = "only `Updated` means that the layer has new pairs"]
#[non_exhaustive]
pub enum Refresh {
    /// The pairs are new.
    Updated,
    /// There are no pairs to refresh: m = 0.
    NoPairs,
    /// An input, or a sum over inputs, is not finite; the old pairs stay.
    NotFinite,
    /// The scratch is shorter than [`scratch_len`](super::LayerLbfgs::scratch_len); the old pairs
    /// stay.
    ScratchTooShort {
        /// Floats needed.
        needed: usize,
        /// Floats given.
        found: usize,
    },
    /// The inputs are not those of a layer of the optimiser's network.
    OtherNetwork,
}
