//! Stochastic gradient descent with momentum.

use crate::arch::{Kernel, Simd, dispatch};
use crate::checkpoint::{self, State};
use crate::error::{ConfigError, check_length, check_memory, check_range};
use crate::optim::adam::{Decay, flush};

/// The settings of [`Sgd`].
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct SgdConfig {
    /// Learning rate `r`, at least 0. Default 0.01, useful 1e-3 to 1; momentum makes the steps
    /// `1 / (1 - b)` times longer.
    pub learning_rate: f32,
    /// Momentum `b`, in [0, 1). Default 0.9; 0 is plain gradient descent.
    pub momentum: f32,
    /// Nesterov's momentum: looks one step of momentum ahead. Default off.
    pub nesterov: bool,
    /// Weight decay `d`, at least 0. Default 0.
    pub weight_decay: f32,
    /// Where weight decay enters.
    pub decay: Decay,
}

impl SgdConfig {
    /// The default settings, for constants.
    pub const DEFAULT: SgdConfig = SgdConfig {
        learning_rate: 0.01,
        momentum: 0.9,
        nesterov: false,
        weight_decay: 0.0,
        decay: Decay::Coupled,
    };

    /// Refuses what is out of range.
    fn check(&self) -> Result<(), ConfigError> {
        let from_zero = |field, x: f32| {
            let inside = x >= 0.0 && x.is_finite();
            check_range(field, x, "at least 0 and finite", inside)
        };
        from_zero("learning_rate", self.learning_rate)?;
        let inside = (0.0..1.0).contains(&self.momentum);
        check_range("momentum", self.momentum, "in [0, 1)", inside)?;
        from_zero("weight_decay", self.weight_decay)
    }
}

impl Default for SgdConfig {
    fn default() -> SgdConfig {
        SgdConfig::DEFAULT
    }
}

/// Stochastic gradient descent with momentum, Nesterov's too, and weight decay of both kinds.
///
/// ```text
/// g = g + d w                 coupled weight decay, d > 0: L2 regularisation
/// w = w - r s d w             decoupled weight decay, instead
/// v = b v + g                 velocity, from 0 on
/// u = v                       or, with Nesterov's momentum:
/// u = g + b v
/// w = w - r s u
/// ```
///
/// with learning rate `r` and the schedule's factor `s`. Velocities smaller than 2^-100 become
/// zero, since subnormal numbers are slow on many cores.
///
/// Sources: B. Polyak, *Some methods of speeding up the convergence of iteration methods*, 1964;
/// I. Sutskever and others, *On the importance of initialization and momentum in deep learning*,
/// ICML 2013, in the form of PyTorch's `SGD` without dampening.
///
/// ```
/// use secant::optim::{Sgd, SgdConfig};
///
/// let config = SgdConfig { learning_rate: 0.1, nesterov: true, ..SgdConfig::DEFAULT };
/// let mut memory = [0.0; Sgd::memory_len(2)];
/// let mut sgd = Sgd::new(config, 2, &mut memory)?;
/// let mut w = [1.0, -2.0];
/// for _ in 0..100 {
///     let gradient = w; // of half the sum of squares
///     sgd.step(1.0, &mut w, &gradient)?;
/// }
/// assert!(w.iter().all(|w| w.abs() < 0.01));
/// # Ok::<(), secant::ConfigError>(())
/// ```
#[derive(Debug, PartialEq)]
pub struct Sgd<'m> {
    config: SgdConfig,
    steps: u32,
    velocity: &'m mut [f32],
}

impl<'m> Sgd<'m> {
    /// Before the first step on `n` parameters. `memory` needs [`memory_len(n)`](Self::memory_len)
    /// floats; what they are does not matter.
    ///
    /// # Errors
    /// [`ConfigError`] when the memory is too short or a setting is out of range.
    pub fn new(config: SgdConfig, n: usize, memory: &'m mut [f32]) -> Result<Sgd<'m>, ConfigError> {
        config.check()?;
        let velocity = check_memory(memory, Sgd::memory_len(n))?;
        velocity.fill(0.0);
        Ok(Sgd {
            config,
            steps: 0,
            velocity,
        })
    }

    /// Floats of memory for `n` parameters: the velocities.
    pub const fn memory_len(n: usize) -> usize {
        n
    }

    /// The settings.
    pub const fn config(&self) -> &SgdConfig {
        &self.config
    }

    /// Steps taken.
    pub const fn steps(&self) -> u32 {
        self.steps
    }

    /// One step: moves `parameters` along `gradient`. `factor` is the schedule's. Costs two fused
    /// operations a weight and two for weight decay.
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
    ) -> Result<SgdPart<'a>, ConfigError> {
        check_length("parameters", self.velocity.len(), parameters.len())?;
        check_length("gradient", self.velocity.len(), gradient.len())?;
        self.steps = self.steps.saturating_add(1);
        let rate = self.config.learning_rate * factor;
        let (coupled, decoupled) = match self.config.decay {
            Decay::Decoupled => (0.0, rate * self.config.weight_decay),
            _ => (self.config.weight_decay, 0.0),
        };
        Ok(SgdPart {
            rate,
            momentum: self.config.momentum,
            nesterov: self.config.nesterov,
            coupled,
            decoupled,
            parameters,
            gradient,
            velocity: self.velocity,
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
    ) -> Result<impl Iterator<Item = SgdPart<'a>>, ConfigError> {
        let whole = self.whole(factor, parameters, gradient)?;
        let len = len.max(1);
        let weights = whole.parameters.chunks_mut(len);
        let weights = weights.zip(whole.gradient.chunks(len));
        Ok(weights.zip(whole.velocity.chunks_mut(len)).map(
            move |((parameters, gradient), velocity)| SgdPart {
                parameters,
                gradient,
                velocity,
                ..whole
            },
        ))
    }

    /// Forgets everything but the settings.
    pub fn reset(&mut self) {
        self.steps = 0;
        self.velocity.fill(0.0);
    }

    /// The velocities: what a checkpoint needs beside [`State::numbers`].
    pub const fn memory(&self) -> &[f32] {
        self.velocity
    }

    /// The velocities, to be loaded from a checkpoint.
    pub const fn memory_mut(&mut self) -> &mut [f32] {
        self.velocity
    }
}

#[cfg(feature = "defmt")]
impl defmt::Format for Sgd<'_> {
    /// All but the velocities.
    fn format(&self, f: defmt::Formatter<'_>) {
        defmt::write!(
            f,
            "Sgd {{ config: {}, steps: {} }}",
            self.config,
            self.steps
        );
    }
}

impl State for Sgd<'_> {
    /// Steps.
    const NUMBERS: usize = 1;

    fn numbers(&self, numbers: &mut [u64]) -> Result<(), ConfigError> {
        checkpoint::put(Self::NUMBERS, [u64::from(self.steps)], numbers)
    }

    fn restore(&mut self, numbers: &[u64]) -> Result<(), ConfigError> {
        let ([steps], _) = checkpoint::take::<1>(Self::NUMBERS, numbers)?;
        self.steps = checkpoint::small(*steps)?;
        Ok(())
    }
}

/// A part of a step of [`Sgd`]: see [`Sgd::parts`].
#[derive(Debug)]
#[must_use = "without it the step is not done"]
pub struct SgdPart<'a> {
    rate: f32,
    momentum: f32,
    nesterov: bool,
    coupled: f32,
    decoupled: f32,
    parameters: &'a mut [f32],
    gradient: &'a [f32],
    velocity: &'a mut [f32],
}

impl SgdPart<'_> {
    /// Moves its parameters.
    pub fn apply(self) {
        dispatch(self);
    }
}

impl Kernel for SgdPart<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        // The factors of `g` and `v` in `u`.
        let (fresh, kept) = if self.nesterov {
            (1.0, self.momentum)
        } else {
            (0.0, 1.0)
        };
        let weights = self.parameters.iter_mut().zip(self.gradient);
        for ((w, g), v) in weights.zip(self.velocity) {
            let g = simd.fma_f32(self.coupled, *w, *g);
            let new = flush(simd.fma_f32(self.momentum, *v, g));
            *v = new;
            let u = simd.fma_f32(kept, new, fresh * g);
            let decayed = simd.fma_f32(-self.decoupled, *w, *w);
            *w = simd.fma_f32(-self.rate, u, decayed);
        }
    }
}
