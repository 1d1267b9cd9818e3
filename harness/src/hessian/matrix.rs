//! Products of the Hessian with vectors, over a fixed sample of the training samples.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::engine::Engine;
use crate::model::Net;

/// Which matrix.
pub use secant::Curvature;

/// What is looked at: a network, its loss over some samples, and weights.
pub struct Subject<'a> {
    /// The network.
    pub network: &'a Net,
    /// Computes on the training samples.
    pub engine: Engine,
    /// The samples that the mean loss is over.
    pub indices: Vec<u32>,
    /// The weights of the trained layers.
    pub parameters: Vec<f32>,
    /// Is called after each product.
    pub progress: Box<dyn FnMut() + 'a>,
    /// What products and gradients have cost.
    pub times: Times,
}

/// How many, and how long they took.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct Times {
    /// With a matrix.
    pub products: (u32, Duration),
    /// Of all samples.
    pub gradients: (u32, Duration),
}

impl Times {
    /// Mean seconds of one.
    pub fn mean((count, all): (u32, Duration)) -> f64 {
        all.as_secs_f64() / f64::from(count)
    }
}

impl std::ops::AddAssign for Times {
    fn add_assign(&mut self, other: Times) {
        let sum = |a: &mut (u32, Duration), b: (u32, Duration)| {
            (a.0, a.1) = (a.0 + b.0, a.1.saturating_add(b.1));
        };
        sum(&mut self.products, other.products);
        sum(&mut self.gradients, other.gradients);
    }
}

fn add(to: &mut (u32, Duration), since: Instant) {
    to.0 += 1;
    to.1 += since.elapsed();
}

impl Subject<'_> {
    /// Mean loss and gradient.
    pub fn gradient(&mut self, gradient: &mut [f32]) -> f64 {
        let since = Instant::now();
        let metrics = self
            .engine
            .gradient(&self.parameters, &self.indices, None, gradient);
        add(&mut self.times.gradients, since);
        metrics.mean_loss()
    }

    /// **Overwrites** `product` with the matrix times `vector`. Products are computed in single
    /// precision, so they are good to about seven digits of the largest eigenvalue.
    pub fn multiply(&mut self, curvature: Curvature, vector: &[f64], product: &mut [f64]) {
        // A vector of length 1 is of a good size in single precision, whatever n.
        let single: Vec<f32> = vector.iter().map(|x| *x as f32).collect();
        let mut out = vec![0.0f32; single.len()];
        let since = Instant::now();
        self.engine.curvature_product(
            curvature,
            &self.parameters,
            &self.indices,
            &single,
            &mut out,
        );
        add(&mut self.times.products, since);
        for (target, x) in product.iter_mut().zip(&out) {
            *target = f64::from(*x);
        }
        (self.progress)();
    }
}
