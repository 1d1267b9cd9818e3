//! The Hessian of the mean loss at given weights: its spectrum, and what that does to training.
//!
//! ```text
//! Lanczos from a random start     largest and smallest eigenvalues of the Hessian H, with vectors;
//!                                 of the Gauss-Newton matrix G; of M H, M being the optimiser's metric
//! stochastic Lanczos quadrature   the density of what Lanczos did not resolve
//! Hutchinson                      the trace, with its standard error
//! dense, for small networks       every eigenvalue (--exact)
//! ```
//!
//! H and G are those of the mean loss of a fixed sample of the training samples, without dropout and
//! without weight decay. All random vectors follow from the seed.

pub mod along;
pub mod answers;
pub mod exact;
pub mod figures;
pub mod looks;
mod matrix;
pub mod metrics;
pub mod point;
pub mod show;
pub mod spectrum;

use std::num::NonZeroUsize;

use secant::Random;
use serde::Serialize;

use crate::data::elements::Targets;
use crate::data::split::sample;

pub use matrix::{Curvature, Subject, Times};
pub use point::Point;
pub use spectrum::Place;

/// Streams of random numbers under the seed, beside those of a run.
mod stream {
    pub const SAMPLES: u64 = 0x4e55;
    pub const START: u64 = 0x4e56;
    pub const PROBES: u64 = 0x4e57;
    pub const TRACE: u64 = 0x4e58;
    pub const METRIC: u64 = 0x4e59;
}

/// How closely to look.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Settings {
    /// Training samples that the mean loss is over.
    pub samples: NonZeroUsize,
    /// Steps of Lanczos.
    pub lanczos: NonZeroUsize,
    /// Random vectors of the density.
    pub probes: NonZeroUsize,
    /// Whether to find every eigenvalue.
    pub exact: bool,
    /// Whether to look through the metric of each optimiser as well.
    pub metrics: bool,
    /// Of the random vectors and of the choice of the samples.
    pub seed: u64,
}

impl Settings {
    /// The samples that the loss is the mean of: from `pool`, a part of those with these targets,
    /// from each class in proportion.
    pub fn choose(&self, targets: &Targets, pool: &[u32]) -> Vec<u32> {
        let mut random = Random::new(self.seed, stream::SAMPLES);
        let chosen = sample(&targets.select(pool), self.samples.get(), &mut random);
        chosen.into_iter().map(|i| pool[i as usize]).collect()
    }

    /// Products with H or G that one look takes, as far as is known beforehand.
    pub fn products(&self, n: usize, with_metric: bool) -> u64 {
        let (k, probes) = (self.lanczos.get() as u64, self.probes.get() as u64);
        let k = k.min(n as u64);
        let metrics = u64::from(with_metric) + if self.metrics { metrics::COUNT } else { 0 };
        let estimates = probes * k + u64::from(point::TRACE_PROBES);
        let rest = if self.exact { n as u64 } else { estimates };
        2 * k + rest + metrics * (2 * k + u64::from(metrics::PROBES) + 1)
    }

    /// Bytes that a look needs beside the network's: the basis of Lanczos, twice in a metric, known
    /// vectors, and a dense matrix.
    pub fn memory(&self, n: usize) -> u64 {
        let (n, k) = (n as u64, self.lanczos.get() as u64);
        let vectors = (2 * k + point::MOST_KNOWN as u64 + 12).saturating_mul(n);
        let dense = if self.exact {
            n.saturating_mul(n) * 3 / 2
        } else {
            0
        };
        vectors.saturating_add(dense).saturating_mul(8)
    }
}
