//! Adam: adaptive moments (Kingma and Ba, ICLR 2015), with weight decay both ways and Nesterov's momentum.
//!
//! ```text
//! t = t + 1
//! g = g + d w                               coupled weight decay, d > 0: L2 regularisation
//! w = w - r s d w                           decoupled weight decay (Loshchilov and Hutter, ICLR 2019), instead
//! m = b1 m + (1 - b1) g                     first moment
//! v = b2 v + (1 - b2) g^2                   second moment, element by element
//! u = m / (1 - b1^t)                        or, with Nesterov's momentum:
//! u = b1 m / (1 - b1^t) + (1 - b1) g
//! w = w - r s u / (sqrt(v / (1 - b2^t)) + e)
//! ```
//! with learning rate `r`, the schedule's factor `s` and a small `e`. Moments of a size below 2^-100 become zero: they are far
//! below `e`, and subnormal numbers, which they would turn into, are slow on many cores.

use crate::arch::{Kernel, Simd, dispatch};
use crate::checkpoint::{self, State};
use crate::optim::Misuse;

/// Where weight decay enters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Decay {
    /// Added to the gradient, so that the moments see it: what `weight_decay` of PyTorch's `Adam` does.
    #[default]
    Coupled,
    /// Taken from the weights apart from the gradient: AdamW.
    Decoupled,
}

/// Adam's settings.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct AdamConfig {
    /// Learning rate `r`: about how far a weight moves in a step. Default 1e-3, useful 1e-4 to 2e-2.
    pub learning_rate: f32,
    /// Decay `b1` of the first moment, in [0, 1). Default 0.9.
    pub beta1: f32,
    /// Decay `b2` of the second moment, in [0, 1). Default 0.999; short runs gain from 0.98 to 0.99.
    pub beta2: f32,
    /// Added to the root `e`, above 0. Default 1e-8.
    pub epsilon: f32,
    /// Weight decay `d`, at least 0. Default 0.
    pub weight_decay: f32,
    /// Where weight decay enters.
    pub decay: Decay,
    /// Nesterov's momentum (Dozat, 2016): looks one step of momentum ahead. Default off.
    pub nesterov: bool,
}

impl Default for AdamConfig {
    fn default() -> AdamConfig {
        AdamConfig {
            learning_rate: 1e-3,
            beta1: 0.9,
            beta2: 0.999,
            epsilon: 1e-8,
            weight_decay: 0.0,
            decay: Decay::Coupled,
            nesterov: false,
        }
    }
}

/// Adam's own state beside the moments, which the caller keeps.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Adam {
    config: AdamConfig,
    steps: u32,
    /// `b1^t` and `b2^t`.
    powers: [f64; 2],
}

impl Adam {
    /// Adam before its first step; the moments must be zero.
    pub const fn new(config: AdamConfig) -> Adam {
        Adam {
            config,
            steps: 0,
            powers: [1.0; 2],
        }
    }

    /// Floats of memory for `n` parameters: the first moments, then the second.
    pub const fn memory_len(n: usize) -> usize {
        2 * n
    }

    /// The settings.
    pub const fn config(&self) -> &AdamConfig {
        &self.config
    }

    /// Steps taken.
    pub const fn steps(&self) -> u32 {
        self.steps
    }

    /// One step: updates `parameters` along `gradient`, and the moments in `memory`. `factor` is the schedule's.
    ///
    /// # Errors
    /// [`Misuse`] when the gradient is not as long as the parameters or the memory shorter than [`Adam::memory_len`]; nothing
    /// has changed then.
    pub fn step(
        &mut self,
        factor: f32,
        parameters: &mut [f32],
        gradient: &[f32],
        memory: &mut [f32],
    ) -> Result<(), Misuse> {
        let n = parameters.len();
        if gradient.len() != n {
            return Err(Misuse::WrongDimension {
                expected: n,
                found: gradient.len(),
            });
        }
        if memory.len() < Adam::memory_len(n) {
            return Err(Misuse::MemoryTooShort {
                needed: Adam::memory_len(n),
                given: memory.len(),
            });
        }
        let (m, v) = memory[..2 * n].split_at_mut(n);
        self.begin_step(factor).apply(parameters, gradient, m, v);
        Ok(())
    }

    /// `1 / (1 - b2^t)` of the last step; 1 before the first.
    pub(super) fn second_correction(&self) -> f32 {
        if self.steps == 0 {
            1.0
        } else {
            (1.0 / (1.0 - self.powers[1])) as f32
        }
    }

    /// `(1 - b2^t) / (1 - b1^t)^2` of the last step: the factor of `m^2` in terms of `v`, when both are to be compared without their
    /// bias; 1 before the first.
    pub(super) fn squared_mean_factor(&self) -> f32 {
        if self.steps == 0 {
            return 1.0;
        }
        let first = 1.0 - self.powers[0];
        ((1.0 - self.powers[1]) / (first * first)) as f32
    }

    /// Counts a step and gives its constants, with which [`AdamStep::apply`] may update the parameters piece by piece: by
    /// several threads, or between other duties.
    pub fn begin_step(&mut self, factor: f32) -> AdamStep {
        let AdamConfig {
            learning_rate,
            beta1,
            beta2,
            epsilon,
            weight_decay,
            decay,
            nesterov,
        } = self.config;
        self.steps += 1;
        self.powers[0] *= f64::from(beta1);
        self.powers[1] *= f64::from(beta2);
        let first = 1.0 / (1.0 - self.powers[0]);
        let rate = learning_rate * factor;
        AdamStep {
            beta1,
            beta2,
            new1: 1.0 - beta1,
            new2: 1.0 - beta2,
            first: (if nesterov {
                f64::from(beta1) * first
            } else {
                first
            }) as f32,
            fresh: if nesterov { 1.0 - beta1 } else { 0.0 },
            second: (1.0 / (1.0 - self.powers[1])) as f32,
            epsilon,
            rate,
            coupled: if decay == Decay::Coupled {
                weight_decay
            } else {
                0.0
            },
            decoupled: if decay == Decay::Decoupled {
                rate * weight_decay
            } else {
                0.0
            },
        }
    }
}

impl State for Adam {
    /// Steps, and the powers of the decays.
    const NUMBERS: usize = 3;

    fn numbers(&self, numbers: &mut [u64]) -> Result<(), Misuse> {
        let [first, second] = self.powers.map(f64::to_bits);
        let values = [u64::from(self.steps), first, second];
        checkpoint::put(Self::NUMBERS, values, numbers)
    }

    fn restore(&mut self, numbers: &[u64]) -> Result<(), Misuse> {
        let ([steps, first, second], _) = checkpoint::take::<3>(Self::NUMBERS, numbers)?;
        self.steps = u32::try_from(*steps).map_err(|_| checkpoint::NO_STATE)?;
        self.powers = [f64::from_bits(*first), f64::from_bits(*second)];
        Ok(())
    }
}

/// The constants of one step.
#[derive(Debug, Clone, Copy)]
pub struct AdamStep {
    pub(super) beta1: f32,
    pub(super) beta2: f32,
    /// `1 - b1` and `1 - b2`.
    pub(super) new1: f32,
    pub(super) new2: f32,
    /// Factors of `m` and of `g` in `u`.
    pub(super) first: f32,
    pub(super) fresh: f32,
    /// `1 / (1 - b2^t)`.
    pub(super) second: f32,
    pub(super) epsilon: f32,
    pub(super) rate: f32,
    pub(super) coupled: f32,
    pub(super) decoupled: f32,
}

/// Moments of a smaller size become zero.
pub(super) const LEAST: f32 = 7.888_609e-31; // 2^-100

/// Zero instead of a number that may become subnormal.
#[inline(always)]
pub(super) fn flush(x: f32) -> f32 {
    if x > -LEAST && x < LEAST { 0.0 } else { x }
}

impl AdamStep {
    /// Updates the moments of one weight `w` with the gradient `g`; returns `u` and the divisor `sqrt(v / (1 - b2^t)) + e`.
    #[inline(always)]
    pub(super) fn moments<S: Simd>(
        &self,
        simd: S,
        w: f32,
        g: f32,
        m: &mut f32,
        v: &mut f32,
    ) -> (f32, f32) {
        let g = simd.fma_f32(self.coupled, w, g);
        let new_m = flush(simd.fma_f32(self.beta1, *m, self.new1 * g));
        let new_v = simd.fma_f32(self.beta2, *v, self.new2 * g * g);
        let new_v = if new_v < LEAST { 0.0 } else { new_v };
        (*m, *v) = (new_m, new_v);
        let u = simd.fma_f32(self.fresh, g, self.first * new_m);
        (u, simd.sqrt_f32(self.second * new_v) + self.epsilon)
    }

    /// Updates a piece of the parameters: four slices of one length (what is longer stays as it is).
    pub fn apply(&self, parameters: &mut [f32], gradient: &[f32], m: &mut [f32], v: &mut [f32]) {
        dispatch(Apply {
            step: *self,
            parameters,
            gradient,
            m,
            v,
        });
    }
}

struct Apply<'a> {
    step: AdamStep,
    parameters: &'a mut [f32],
    gradient: &'a [f32],
    m: &'a mut [f32],
    v: &'a mut [f32],
}

impl Kernel for Apply<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let step = self.step;
        let moments = self.m.iter_mut().zip(self.v.iter_mut());
        for ((w, g), (m, v)) in self.parameters.iter_mut().zip(self.gradient).zip(moments) {
            let (u, root) = step.moments(simd, *w, *g, m, v);
            let decayed = simd.fma_f32(-step.decoupled, *w, *w);
            *w = simd.fma_f32(-step.rate, u / root, decayed);
        }
    }
}
