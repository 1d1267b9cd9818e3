//! Adam.

use crate::arch::{Kernel, Simd, dispatch};
use crate::checkpoint::{self, State};
use crate::error::{ConfigError, check_length, check_memory, check_range, split};
use crate::math;

/// Where weight decay enters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Decay {
    /// Added to the gradient, so that the moments see it: what `weight_decay` of PyTorch's `Adam`
    /// does.
    #[default]
    Coupled,
    /// Taken from the weights, apart from the gradient: AdamW.
    Decoupled,
}

/// The settings of [`Adam`].
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct AdamConfig {
    /// Learning rate `r`, at least 0: about how far a weight moves per step. Default 1e-3, useful
    /// 1e-4 to 2e-2.
    pub learning_rate: f32,
    /// Decay `b1` of the first moment, in [0, 1). Default 0.9.
    pub beta1: f32,
    /// Decay `b2` of the second moment, in [0, 1). Default 0.999; short runs gain from 0.98 to
    /// 0.99.
    pub beta2: f32,
    /// `e`, added to the root, positive. Default 1e-8.
    pub epsilon: f32,
    /// Weight decay `d`, at least 0. Default 0.
    pub weight_decay: f32,
    /// Where weight decay enters.
    pub decay: Decay,
    /// Nesterov's momentum (Dozat, 2016): looks one step of momentum ahead. Default off.
    pub nesterov: bool,
}

impl AdamConfig {
    /// The default settings, for constants.
    pub const DEFAULT: AdamConfig = AdamConfig {
        learning_rate: 1e-3,
        beta1: 0.9,
        beta2: 0.999,
        epsilon: 1e-8,
        weight_decay: 0.0,
        decay: Decay::Coupled,
        nesterov: false,
    };

    /// Refuses what is out of range.
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let from_zero = |field, x: f32| {
            let inside = x >= 0.0 && x.is_finite();
            check_range(field, x, "at least 0 and finite", inside)
        };
        let share = |field, x: f32| check_range(field, x, "in [0, 1)", (0.0..1.0).contains(&x));
        from_zero("learning_rate", self.learning_rate)?;
        share("beta1", self.beta1)?;
        share("beta2", self.beta2)?;
        let inside = self.epsilon > 0.0 && self.epsilon.is_finite();
        check_range("epsilon", self.epsilon, "positive and finite", inside)?;
        from_zero("weight_decay", self.weight_decay)
    }
}

impl Default for AdamConfig {
    fn default() -> AdamConfig {
        AdamConfig::DEFAULT
    }
}

/// Adam: adaptive moments, with weight decay of both kinds and Nesterov's momentum.
///
/// ```text
/// t = t + 1
/// g = g + d w                               coupled weight decay, d > 0: L2 regularisation
/// w = w - r s d w                           decoupled weight decay, instead
/// m = b1 m + (1 - b1) g                     first moment
/// v = b2 v + (1 - b2) g^2                   second moment, element by element
/// u = m / (1 - b1^t)                        or, with Nesterov's momentum:
/// u = b1 m / (1 - b1^t) + (1 - b1) g
/// w = w - r s u / (sqrt(v / (1 - b2^t)) + e)
/// ```
///
/// with learning rate `r`, the schedule's factor `s` and a small `e`. Moments smaller than 2^-100
/// become zero: they are far below `e`, and would turn into subnormal numbers, which are slow on
/// many cores.
///
/// Sources: D. Kingma and J. Ba, *Adam*, ICLR 2015; for decoupled decay I. Loshchilov and
/// F. Hutter, *Decoupled weight decay regularization*, ICLR 2019.
///
/// ```
/// use secant::optim::{Adam, AdamConfig};
///
/// let config = AdamConfig { learning_rate: 0.1, ..AdamConfig::DEFAULT };
/// let mut memory = [0.0; Adam::memory_len(2)];
/// let mut adam = Adam::new(config, 2, &mut memory)?;
/// let mut w = [1.0, -2.0];
/// for _ in 0..200 {
///     let gradient = w; // of half the sum of squares
///     adam.step(1.0, &mut w, &gradient)?;
/// }
/// assert!(w.iter().all(|w| w.abs() < 0.01));
/// # Ok::<(), secant::ConfigError>(())
/// ```
#[derive(Debug, PartialEq)]
pub struct Adam<'m> {
    clock: Clock,
    /// First moments, then second moments.
    memory: &'m mut [f32],
}

impl<'m> Adam<'m> {
    /// Adam for `n` parameters, before its first step. `memory` needs
    /// [`memory_len(n)`](Self::memory_len) floats; what they are does not matter.
    ///
    /// # Errors
    /// [`ConfigError`] when the memory is too short or a setting is out of range.
    pub fn new(
        config: AdamConfig,
        n: usize,
        memory: &'m mut [f32],
    ) -> Result<Adam<'m>, ConfigError> {
        config.check()?;
        let memory = check_memory(memory, Adam::memory_len(n))?;
        memory.fill(0.0);
        let clock = Clock::new(config);
        Ok(Adam { clock, memory })
    }

    /// Floats of memory for `n` parameters: the first moments and the second.
    pub const fn memory_len(n: usize) -> usize {
        n.saturating_mul(2)
    }

    /// The settings.
    pub const fn config(&self) -> &AdamConfig {
        &self.clock.config
    }

    /// Steps taken.
    pub const fn steps(&self) -> u32 {
        self.clock.steps
    }

    /// One step: moves `parameters` along `gradient`. `factor` is the schedule's.
    ///
    /// # Errors
    /// [`ConfigError`] when a length is wrong; nothing has changed then.
    pub fn step(
        &mut self,
        factor: f32,
        parameters: &mut [f32],
        gradient: &[f32],
    ) -> Result<(), ConfigError> {
        self.whole(factor, parameters, gradient)?.apply();
        Ok(())
    }

    /// A step that is one part.
    fn whole<'a>(
        &'a mut self,
        factor: f32,
        parameters: &'a mut [f32],
        gradient: &'a [f32],
    ) -> Result<AdamPart<'a>, ConfigError> {
        let n = self.memory.len() / 2;
        check_length("parameters", n, parameters.len())?;
        check_length("gradient", n, gradient.len())?;
        let (m, v) = split(self.memory, n);
        let step = self.clock.begin_step(factor);
        Ok(AdamPart {
            step,
            parameters,
            gradient,
            m,
            v,
        })
    }

    /// One [`step`](Self::step) as parts of `len` parameters each, the last one shorter, that may be
    /// applied in any order and by several threads. The step is done once all of them were applied,
    /// with the same bits.
    ///
    /// # Errors
    /// [`ConfigError`] when a length is wrong; nothing has changed then.
    pub fn parts<'a>(
        &'a mut self,
        factor: f32,
        parameters: &'a mut [f32],
        gradient: &'a [f32],
        len: usize,
    ) -> Result<impl Iterator<Item = AdamPart<'a>>, ConfigError> {
        let AdamPart {
            step,
            parameters,
            gradient,
            m,
            v,
        } = self.whole(factor, parameters, gradient)?;
        let len = len.max(1);
        let moments = m.chunks_mut(len).zip(v.chunks_mut(len));
        let weights = parameters.chunks_mut(len).zip(gradient.chunks(len));
        Ok(weights
            .zip(moments)
            .map(move |((parameters, gradient), (m, v))| AdamPart {
                step,
                parameters,
                gradient,
                m,
                v,
            }))
    }

    /// Multiplies `vector` by the diagonal matrix that stands before the momentum in a step, the
    /// rate left out: `1 / (sqrt(v / (1 - b2^t)) + e)`. A loss looks to Adam as if its Hessian were
    /// multiplied by it.
    ///
    /// # Errors
    /// [`ConfigError`] when the length is wrong.
    pub fn precondition(&self, vector: &mut [f32]) -> Result<(), ConfigError> {
        let n = self.memory.len() / 2;
        check_length("vector", n, vector.len())?;
        let (correction, epsilon) = (self.clock.second_correction(), self.clock.config.epsilon);
        let moments = self.memory.get(n..).unwrap_or_default();
        for (x, v) in vector.iter_mut().zip(moments) {
            *x /= math::sqrt(correction * v) + epsilon;
        }
        Ok(())
    }

    /// Forgets everything but the settings.
    pub fn reset(&mut self) {
        self.clock = Clock::new(self.clock.config);
        self.memory.fill(0.0);
    }

    /// The moments: what a checkpoint needs beside [`State::numbers`].
    pub const fn memory(&self) -> &[f32] {
        self.memory
    }

    /// The moments, to be loaded from a checkpoint.
    pub const fn memory_mut(&mut self) -> &mut [f32] {
        self.memory
    }
}

#[cfg(feature = "defmt")]
impl defmt::Format for Adam<'_> {
    /// All but the moments.
    fn format(&self, f: defmt::Formatter<'_>) {
        self.clock.format(f);
    }
}

impl State for Adam<'_> {
    /// Steps, and the powers of the decays.
    const NUMBERS: usize = Clock::NUMBERS;

    fn numbers(&self, numbers: &mut [u64]) -> Result<(), ConfigError> {
        self.clock.numbers(numbers)
    }

    fn restore(&mut self, numbers: &[u64]) -> Result<(), ConfigError> {
        self.clock.restore(numbers)
    }
}

/// What Adam knows beside the moments. The optimisers built on it keep their own moments.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub(super) struct Clock {
    pub config: AdamConfig,
    pub steps: u32,
    /// `b1^t` and `b2^t`.
    powers: [f64; 2],
}

impl Clock {
    /// Before the first step.
    pub const fn new(config: AdamConfig) -> Clock {
        Clock {
            config,
            steps: 0,
            powers: [1.0; 2],
        }
    }

    /// `1 / (1 - b2^t)` of the last step; 1 before the first.
    pub fn second_correction(&self) -> f32 {
        if self.steps == 0 {
            1.0
        } else {
            (1.0 / (1.0 - self.powers[1])) as f32
        }
    }

    /// `(1 - b2^t) / (1 - b1^t)^2` of the last step: the factor that makes `m^2` comparable with
    /// `v`, both freed of their bias; 1 before the first.
    pub fn squared_mean_factor(&self) -> f32 {
        if self.steps == 0 {
            return 1.0;
        }
        let first = 1.0 - self.powers[0];
        ((1.0 - self.powers[1]) / (first * first)) as f32
    }

    /// Counts a step and gives its constants.
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
        self.steps = self.steps.saturating_add(1);
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

impl State for Clock {
    /// Steps, and the powers of the decays.
    const NUMBERS: usize = 3;

    fn numbers(&self, numbers: &mut [u64]) -> Result<(), ConfigError> {
        let [first, second] = self.powers.map(f64::to_bits);
        let values = [u64::from(self.steps), first, second];
        checkpoint::put(Self::NUMBERS, values, numbers)
    }

    fn restore(&mut self, numbers: &[u64]) -> Result<(), ConfigError> {
        let ([steps, first, second], _) = checkpoint::take::<3>(Self::NUMBERS, numbers)?;
        self.steps = checkpoint::small(*steps)?;
        self.powers = [f64::from_bits(*first), f64::from_bits(*second)];
        Ok(())
    }
}

/// The constants of one step.
#[derive(Debug, Clone, Copy)]
pub(super) struct AdamStep {
    pub beta1: f32,
    pub beta2: f32,
    /// `1 - b1` and `1 - b2`.
    pub new1: f32,
    pub new2: f32,
    /// Factors of `m` and of `g` in `u`.
    pub first: f32,
    pub fresh: f32,
    /// `1 / (1 - b2^t)`.
    pub second: f32,
    pub epsilon: f32,
    pub rate: f32,
    pub coupled: f32,
    pub decoupled: f32,
}

/// Smaller moments become zero.
pub(super) const LEAST: f32 = 7.888_609e-31; // 2^-100

/// Zero instead of a number that may become subnormal.
#[inline(always)]
pub(super) fn flush(x: f32) -> f32 {
    if x > -LEAST && x < LEAST { 0.0 } else { x }
}

impl AdamStep {
    /// Updates the moments of one weight `w` with the gradient `g`; returns `u` and the divisor
    /// `sqrt(v / (1 - b2^t)) + e`.
    #[inline(always)]
    pub fn moments<S: Simd>(
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

    /// Updates the parameters and their moments: four slices of one length.
    pub fn apply(&self, parameters: &mut [f32], gradient: &[f32], m: &mut [f32], v: &mut [f32]) {
        dispatch(AdamPart {
            step: *self,
            parameters,
            gradient,
            m,
            v,
        });
    }
}

/// A part of a step of [`Adam`]: see [`Adam::parts`].
#[derive(Debug)]
#[must_use = "without it the step is not done"]
pub struct AdamPart<'a> {
    step: AdamStep,
    parameters: &'a mut [f32],
    gradient: &'a [f32],
    m: &'a mut [f32],
    v: &'a mut [f32],
}

impl AdamPart<'_> {
    /// Moves its parameters.
    pub fn apply(self) {
        dispatch(self);
    }
}

impl Kernel for AdamPart<'_> {
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

#[cfg(test)]
mod tests {
    use super::*;

    /// With decays that are powers of two every value is exact.
    const EXACT: AdamConfig = AdamConfig {
        learning_rate: 0.5,
        beta1: 0.5,
        beta2: 0.25,
        epsilon: 0.125,
        weight_decay: 0.25,
        decay: Decay::Coupled,
        nesterov: false,
    };

    #[test]
    fn corrections_of_the_bias_have_these_values() {
        let mut clock = Clock::new(EXACT);
        assert_eq!(clock.second_correction(), 1.0);
        assert_eq!(clock.squared_mean_factor(), 1.0);
        // b1^t is 1/2, then 1/4; b2^t is 1/4, then 1/16.
        let expected = [
            (4.0 / 3.0, 3.0),
            (16.0 / 15.0, 5.0 / 3.0),
            (64.0 / 63.0, 9.0 / 7.0),
        ];
        for (second, squared) in expected {
            let step = clock.begin_step(1.0);
            assert_eq!(clock.second_correction(), second);
            assert_eq!(clock.squared_mean_factor(), squared);
            assert_eq!(step.second, second);
        }
        assert_eq!(clock.steps, 3);
    }

    #[test]
    fn constants_of_a_step_have_these_values() {
        let mut clock = Clock::new(EXACT);
        let _ = clock.begin_step(1.0);
        let step = clock.begin_step(0.5);
        assert_eq!(
            (step.beta1, step.new1, step.beta2, step.new2),
            (0.5, 0.5, 0.25, 0.75)
        );
        assert_eq!(
            (step.first, step.fresh, step.second),
            (4.0 / 3.0, 0.0, 16.0 / 15.0)
        );
        assert_eq!((step.epsilon, step.rate), (0.125, 0.25));
        assert_eq!((step.coupled, step.decoupled), (0.25, 0.0));
        let mut clock = Clock::new(AdamConfig {
            decay: Decay::Decoupled,
            nesterov: true,
            ..EXACT
        });
        let step = clock.begin_step(0.5);
        assert_eq!((step.first, step.fresh), (1.0, 0.5));
        assert_eq!((step.coupled, step.decoupled), (0.0, 0.0625));
    }

    #[test]
    fn a_count_of_steps_at_its_end_stays_there() {
        let mut clock = Clock::new(EXACT);
        clock.restore(&[u64::from(u32::MAX), 0, 0]).unwrap();
        let step = clock.begin_step(1.0);
        assert_eq!((clock.steps, step.first, step.second), (u32::MAX, 1.0, 1.0));
    }
}
