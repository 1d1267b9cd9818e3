//! Flat stochastic L-BFGS: over all parameters at once, on top of Adam's diagonal.

use heapless::Vec;

use super::adam::{AdamConfig, AdamStep, Clock};
use super::freshness::Freshness;
use super::pair::{Skip, Verdict};
use super::two_loop::{Initial, Pair, two_loop};
use crate::arch::single::{piece, piece_mut};
use crate::arch::{Kernel, Simd, dispatch};
use crate::checkpoint::{self, State};
use crate::error::{ConfigError, check_length, check_memory, check_range, split};
use crate::math;
use crate::vector;

/// The settings of [`FlatLbfgs`].
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct FlatLbfgsConfig {
    /// Adam's settings, with a positive learning rate. Coupled weight decay only enters the
    /// gradient's moments. Default: Nesterov's momentum and `beta2` 0.98.
    pub adam: AdamConfig,
    /// Steps between pairs, at least 1. Default 16.
    pub pair_every: u32,
    /// The damping's `c`, in (0, 1). Default 0.5; 1 would accept nothing but `B0` itself.
    pub share: f32,
}

impl FlatLbfgsConfig {
    /// The default settings, for constants.
    pub const DEFAULT: FlatLbfgsConfig = FlatLbfgsConfig {
        adam: AdamConfig {
            nesterov: true,
            beta2: 0.98,
            ..AdamConfig::DEFAULT
        },
        pair_every: 16,
        share: 0.5,
    };
}

impl Default for FlatLbfgsConfig {
    fn default() -> FlatLbfgsConfig {
        FlatLbfgsConfig::DEFAULT
    }
}

/// Flat stochastic L-BFGS with at most `M` pairs. [`LayerLbfgs`](super::LayerLbfgs) is better and
/// cheaper; this form is here for comparison.
///
/// ```text
/// m, v = Adam's moments;   d = look-ahead of m (Nesterov) or m, bias-corrected
/// H0   = diag(r / (sqrt(v / (1 - b2^t)) + e))             Adam's step, as a matrix
/// w    = w - s two_loop(d; pairs, H0)                     s: the schedule's factor
/// ```
///
/// With no pairs this *is* [`Adam`](super::Adam), bit for bit. A pair is made every
/// [`pair_every`](FlatLbfgsConfig::pair_every) steps, from two gradients on the **same** samples:
/// `s = w - a` for the anchor `a`, the point of the last pair, and `y = g(w) - g(a)`, which costs
/// one more gradient. With `B0 = H0^-1` it is damped (Powell) so that `s.y >= c s.B0 s`:
///
/// ```text
/// if s.y < c s.B0 s:  theta = (1 - c) s.B0 s / (s.B0 s - s.y);   y = theta y + (1 - theta) B0 s
/// ```
///
/// Sources: R. Byrd, S. Hansen, J. Nocedal and Y. Singer, *A stochastic quasi-Newton method for
/// large-scale optimization*, SIAM J. Optim. 26 (2016), for pairs apart from steps; M. Powell,
/// 1978, for the damping.
///
/// ```
/// use secant::optim::{FlatLbfgs, FlatLbfgsConfig, Freshness};
///
/// // Half of the sum of c (x - target)^2, whose target differs from batch to batch.
/// let gradient_at = |x: &[f32], batch: u32| {
///     let noise = if batch % 2 == 0 { 0.01 } else { -0.01 };
///     [x[0] - 1.0 - noise, 30.0 * (x[1] + 2.0 - noise)]
/// };
/// let mut config = FlatLbfgsConfig::DEFAULT;
/// config.adam.learning_rate = 0.05;
/// let mut memory = [0.0; FlatLbfgs::<4>::memory_len(2)];
/// let mut lbfgs = FlatLbfgs::<4>::new(config, 2, &mut memory)?;
/// let mut x = [0.0; 2];
/// for batch in 0..200 {
///     let gradient = gradient_at(&x, batch);
///     if lbfgs.wants_anchor_gradient() {
///         let other = gradient_at(lbfgs.anchor(), batch);
///         lbfgs.observe(&x, &gradient, &other)?;
///     }
///     let factor = 1.0 - batch as f32 / 200.0;
///     assert_eq!(lbfgs.step(factor, &mut x, &gradient)?, Freshness::Current);
/// }
/// assert!((x[0] - 1.0).abs() < 0.05 && (x[1] + 2.0).abs() < 0.05, "{x:?}");
/// # Ok::<(), secant::ConfigError>(())
/// ```
#[derive(Debug, PartialEq)]
pub struct FlatLbfgs<'m, const M: usize> {
    config: FlatLbfgsConfig,
    pairs: Pairs<M>,
    clock: Clock,
    /// Both moments, the anchor, a direction, a diagonal, then s and y of each slot.
    memory: &'m mut [f32],
}

/// What is known of the pairs beside their vectors.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
struct Pairs<const M: usize> {
    /// `1 / s.y` of each slot.
    rho: [f32; M],
    /// The slots, from oldest to newest.
    order: Vec<usize, M>,
    accepted: u32,
    damped: u32,
    skipped: u32,
    /// Whether a pair was observed since the last step.
    observed: bool,
}

impl<const M: usize> Pairs<M> {
    const fn new() -> Pairs<M> {
        Pairs {
            rho: [0.0; M],
            order: Vec::new(),
            accepted: 0,
            damped: 0,
            skipped: 0,
            observed: false,
        }
    }
}

impl<const M: usize> Pairs<M> {
    /// The two-loop recursion with `H0 = diagonal`; `pairs` has s and y of each slot.
    fn multiply(&self, pairs: &[f32], diagonal: &[f32], vector: &mut [f32]) {
        let n = vector.len();
        let mut views: Vec<Pair<'_, f32>, M> = Vec::new();
        for slot in &self.order {
            // There is room, since there are no more slots.
            let _ = views.push(Pair {
                s: piece(pairs, 2 * slot, n).unwrap_or_default(),
                y: piece(pairs, 2 * slot + 1, n).unwrap_or_default(),
                scale: 1.0,
                rho: self.rho.get(*slot).copied().unwrap_or_default(),
            });
        }
        let initial = Initial::Diagonal(diagonal);
        two_loop(&views, initial, vector, &mut [0.0; M]);
    }
}

/// The parts of the memory.
struct Parts<'a> {
    m: &'a mut [f32],
    v: &'a mut [f32],
    anchor: &'a mut [f32],
    direction: &'a mut [f32],
    diagonal: &'a mut [f32],
    pairs: &'a mut [f32],
}

impl Parts<'_> {
    fn new(n: usize, memory: &mut [f32]) -> Parts<'_> {
        let (m, memory) = split(memory, n);
        let (v, memory) = split(memory, n);
        let (anchor, memory) = split(memory, n);
        let (direction, memory) = split(memory, n);
        let (diagonal, pairs) = split(memory, n);
        Parts {
            m,
            v,
            anchor,
            direction,
            diagonal,
            pairs,
        }
    }
}

impl<'m, const M: usize> FlatLbfgs<'m, M> {
    /// The optimiser of `n` parameters, before its first step. `memory` needs
    /// [`memory_len(n)`](Self::memory_len) floats; what they are does not matter.
    ///
    /// # Errors
    /// [`ConfigError`] when the memory is too short or a setting is out of range.
    pub fn new(
        config: FlatLbfgsConfig,
        n: usize,
        memory: &'m mut [f32],
    ) -> Result<FlatLbfgs<'m, M>, ConfigError> {
        let FlatLbfgsConfig {
            adam,
            pair_every,
            share,
        } = config;
        adam.check()?;
        let rate = adam.learning_rate;
        check_range("adam.learning_rate", rate, "positive", rate > 0.0)?;
        check_range("pair_every", pair_every, "at least 1", pair_every > 0)?;
        check_range("share", share, "in (0, 1)", share > 0.0 && share < 1.0)?;
        let memory = check_memory(memory, FlatLbfgs::<M>::memory_len(n))?;
        memory.fill(0.0);
        Ok(FlatLbfgs {
            config,
            pairs: Pairs::new(),
            clock: Clock::new(adam),
            memory,
        })
    }

    /// Floats of memory for `n` parameters: two moments, the anchor, a direction, a diagonal, and
    /// M pairs.
    pub const fn memory_len(n: usize) -> usize {
        n.saturating_mul(5 + 2 * M)
    }

    /// The number of parameters.
    const fn dimension(&self) -> usize {
        self.memory.len() / FlatLbfgs::<M>::memory_len(1)
    }

    /// The settings.
    pub const fn config(&self) -> &FlatLbfgsConfig {
        &self.config
    }

    /// Steps taken.
    pub const fn steps(&self) -> u32 {
        self.clock.steps
    }

    /// Pairs accepted, damped and skipped so far.
    pub const fn verdicts(&self) -> (u32, u32, u32) {
        (self.pairs.accepted, self.pairs.damped, self.pairs.skipped)
    }

    /// Whether a pair is due before the next step: compute the gradient of its batch at the
    /// [`anchor`](Self::anchor), too, and hand both to [`observe`](Self::observe).
    pub const fn wants_anchor_gradient(&self) -> bool {
        let steps = self.clock.steps;
        M > 0 && steps > 0 && steps.is_multiple_of(self.config.pair_every)
    }

    /// The point of the last pair.
    pub fn anchor(&self) -> &[f32] {
        let n = self.dimension();
        self.memory.get(2 * n..3 * n).unwrap_or_default()
    }

    /// Makes a pair of the way from the anchor to `parameters`, which become the next anchor.
    /// `gradient` and `anchor_gradient` are the gradients of one batch at both points.
    ///
    /// # Errors
    /// [`ConfigError`] when a length is wrong; nothing has changed then.
    pub fn observe(
        &mut self,
        parameters: &[f32],
        gradient: &[f32],
        anchor_gradient: &[f32],
    ) -> Result<Verdict<f32>, ConfigError> {
        let n = self.dimension();
        check_length("parameters", n, parameters.len())?;
        check_length("gradient", n, gradient.len())?;
        check_length("anchor_gradient", n, anchor_gradient.len())?;
        let verdict = if self.clock.steps == 0 {
            // There is no anchor yet.
            Verdict::Skipped(Skip::NoStep)
        } else {
            let parts = Parts::new(n, self.memory);
            vector::add_scaled(-1.0, parameters, parts.anchor, parts.direction);
            vector::add_scaled(-1.0, gradient, anchor_gradient, parts.diagonal);
            self.learn()
        };
        vector::copy(parameters, Parts::new(n, self.memory).anchor);
        Ok(self.count(verdict))
    }

    /// Makes a pair of a step `s` and its product `y = H s` with a curvature matrix, damped as
    /// those of [`observe`](Self::observe), which it stands in for:
    /// [`IterateAverages`](super::IterateAverages) has such steps.
    ///
    /// # Errors
    /// [`ConfigError`] when a length is wrong; nothing has changed then.
    pub fn observe_product(
        &mut self,
        step: &[f32],
        product: &[f32],
    ) -> Result<Verdict<f32>, ConfigError> {
        let n = self.dimension();
        check_length("step", n, step.len())?;
        check_length("product", n, product.len())?;
        let verdict = if self.clock.steps == 0 {
            // There is no H0 yet.
            Verdict::Skipped(Skip::NoStep)
        } else {
            let parts = Parts::new(n, self.memory);
            vector::copy(step, parts.direction);
            vector::copy(product, parts.diagonal);
            self.learn()
        };
        Ok(self.count(verdict))
    }

    fn count(&mut self, verdict: Verdict<f32>) -> Verdict<f32> {
        let count = match verdict {
            Verdict::Accepted => &mut self.pairs.accepted,
            Verdict::Damped { .. } => &mut self.pairs.damped,
            Verdict::Skipped(_) => &mut self.pairs.skipped,
        };
        *count = count.saturating_add(1);
        self.pairs.observed = true;
        verdict
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
    ) -> Result<Freshness, ConfigError> {
        let n = self.dimension();
        check_length("parameters", n, parameters.len())?;
        check_length("gradient", n, gradient.len())?;
        let freshness = match (self.wants_anchor_gradient(), self.pairs.observed) {
            (true, false) if self.pairs.order.is_empty() => Freshness::Missing,
            (true, false) => Freshness::Stale,
            _ => Freshness::Current,
        };
        self.pairs.observed = false;
        let first = self.clock.steps == 0;
        let step = self.clock.begin_step(factor);
        let Parts {
            m,
            v,
            anchor,
            direction,
            diagonal,
            pairs,
        } = Parts::new(n, self.memory);
        if first {
            vector::copy(parameters, anchor);
        }
        if self.pairs.order.is_empty() {
            step.apply(parameters, gradient, m, v);
            return Ok(freshness);
        }
        dispatch(Aim {
            step,
            rate: self.config.adam.learning_rate,
            parameters,
            gradient,
            m,
            v,
            direction,
            diagonal,
        });
        self.pairs.multiply(pairs, diagonal, direction);
        dispatch(Move {
            step,
            factor,
            direction,
            parameters,
        });
        Ok(freshness)
    }

    /// Multiplies `vector` by the matrix that stands before the momentum in a step, the rate left
    /// out: the two-loop recursion on Adam's diagonal. A loss looks to this method as if its Hessian
    /// were multiplied by it.
    ///
    /// # Errors
    /// [`ConfigError`] when the length is wrong.
    pub fn precondition(&mut self, vector: &mut [f32]) -> Result<(), ConfigError> {
        let n = self.dimension();
        check_length("vector", n, vector.len())?;
        let (correction, epsilon) = (self.clock.second_correction(), self.config.adam.epsilon);
        let rate = self.config.adam.learning_rate;
        // It holds nothing between two steps.
        let Parts {
            v, diagonal, pairs, ..
        } = Parts::new(n, self.memory);
        for (d, v) in diagonal.iter_mut().zip(v) {
            *d = rate / (math::sqrt(correction * *v) + epsilon);
        }
        self.pairs.multiply(pairs, diagonal, vector);
        vector::scale(1.0 / rate, vector);
        Ok(())
    }

    /// Forgets everything but the settings.
    pub fn reset(&mut self) {
        self.clock = Clock::new(self.config.adam);
        self.pairs = Pairs::new();
        self.memory.fill(0.0);
    }

    /// All memory: what a checkpoint needs beside [`State::numbers`].
    pub const fn memory(&self) -> &[f32] {
        self.memory
    }

    /// All memory, to be loaded from a checkpoint.
    pub const fn memory_mut(&mut self) -> &mut [f32] {
        self.memory
    }

    /// Judges the pair and stores it: s stands where the direction does, y where the diagonal does,
    /// which hold nothing between two steps.
    fn learn(&mut self) -> Verdict<f32> {
        let n = self.dimension();
        let Parts {
            v,
            direction: s,
            diagonal: y,
            pairs,
            ..
        } = Parts::new(n, self.memory);
        let second = self.clock.second_correction();
        let (epsilon, rate) = (self.config.adam.epsilon, self.config.adam.learning_rate);
        let stiffness = |v: f32| (math::sqrt(second * v) + epsilon) / rate;
        let mut sbs = 0.0;
        for (s, v) in s.iter().zip(&*v) {
            sbs = math::fma(stiffness(*v) * s, *s, sbs);
        }
        let sy = vector::dot(s, y);
        if !(sbs.is_finite() && sy.is_finite()) {
            return Verdict::Skipped(Skip::NotFinite);
        }
        if sbs <= 0.0 {
            return Verdict::Skipped(Skip::NoStep);
        }
        let share = self.config.share;
        let mut verdict = Verdict::Accepted;
        if sy < share * sbs {
            let theta = (1.0 - share) * sbs / (sbs - sy);
            for ((y, s), v) in y.iter_mut().zip(&*s).zip(&*v) {
                *y = math::fma(theta, *y, (1.0 - theta) * stiffness(*v) * s);
            }
            verdict = Verdict::Damped { theta };
        }
        let sy = vector::dot(s, y);
        if !(sy > 0.0 && sy.is_finite()) {
            return Verdict::Skipped(Skip::NotFinite);
        }
        let Pairs { rho, order, .. } = &mut self.pairs;
        let slot = if order.is_full() && !order.is_empty() {
            order.remove(0)
        } else {
            order.len()
        };
        // There is room, unless M = 0.
        let _ = order.push(slot);
        vector::copy(s, piece_mut(pairs, 2 * slot, n).unwrap_or_default());
        vector::copy(y, piece_mut(pairs, 2 * slot + 1, n).unwrap_or_default());
        if let Some(rho) = rho.get_mut(slot) {
            *rho = 1.0 / sy;
        }
        verdict
    }
}

#[cfg(feature = "defmt")]
impl<const M: usize> defmt::Format for FlatLbfgs<'_, M> {
    /// All but the vectors.
    fn format(&self, f: defmt::Formatter<'_>) {
        defmt::write!(f, "{} {}", self.clock, self.pairs);
    }
}

impl<const M: usize> State for FlatLbfgs<'_, M> {
    /// Adam's; pairs accepted, damped and skipped; the slot of the oldest pair and the number of
    /// pairs; `1 / s.y` of each slot.
    const NUMBERS: usize = Clock::NUMBERS + 5 + M;

    fn numbers(&self, numbers: &mut [u64]) -> Result<(), ConfigError> {
        let mut clock = [0; Clock::NUMBERS];
        self.clock.numbers(&mut clock)?;
        // Slots are used in turn, so that the first and their number say all of the order.
        let pairs = &self.pairs;
        let own = [
            u64::from(pairs.accepted),
            u64::from(pairs.damped),
            u64::from(pairs.skipped),
            pairs.order.first().copied().unwrap_or(0) as u64,
            pairs.order.len() as u64,
        ];
        let rho = pairs.rho.iter().map(|rho| u64::from(rho.to_bits()));
        let values = clock.into_iter().chain(own).chain(rho);
        checkpoint::put(Self::NUMBERS, values, numbers)
    }

    fn restore(&mut self, numbers: &[u64]) -> Result<(), ConfigError> {
        let (clock, rest) = checkpoint::take::<{ Clock::NUMBERS }>(Self::NUMBERS, numbers)?;
        let (own, rho) = checkpoint::take::<5>(5 + M, rest)?;
        let [accepted, damped, skipped, first, count] = *own;
        let mut pairs = Pairs {
            accepted: checkpoint::small(accepted)?,
            damped: checkpoint::small(damped)?,
            skipped: checkpoint::small(skipped)?,
            ..Pairs::new()
        };
        if count > M as u64 || (count > 0 && first >= M as u64) {
            return Err(ConfigError::NotAState);
        }
        self.clock.restore(clock)?;
        for slot in first..first + count {
            // There is room for M.
            let _ = pairs.order.push(slot as usize % M.max(1));
        }
        for (target, rho) in pairs.rho.iter_mut().zip(rho) {
            *target = f32::from_bits(*rho as u32);
        }
        self.pairs = pairs;
        Ok(())
    }
}

/// Updates the moments, and writes Adam's `u` to `direction` and `H0 = rate / divisor` to
/// `diagonal`.
struct Aim<'a> {
    step: AdamStep,
    rate: f32,
    parameters: &'a [f32],
    gradient: &'a [f32],
    m: &'a mut [f32],
    v: &'a mut [f32],
    direction: &'a mut [f32],
    diagonal: &'a mut [f32],
}

impl Kernel for Aim<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let moments = self.m.iter_mut().zip(self.v.iter_mut());
        let aim = self.direction.iter_mut().zip(self.diagonal.iter_mut());
        let weights = self.parameters.iter().zip(self.gradient);
        for (((w, g), (m, v)), (direction, diagonal)) in weights.zip(moments).zip(aim) {
            let (u, root) = self.step.moments(simd, *w, *g, m, v);
            (*direction, *diagonal) = (u, self.rate / root);
        }
    }
}

/// Goes `factor` times the direction, after decoupled weight decay.
struct Move<'a> {
    step: AdamStep,
    factor: f32,
    direction: &'a [f32],
    parameters: &'a mut [f32],
}

impl Kernel for Move<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        for (w, d) in self.parameters.iter_mut().zip(self.direction) {
            let decayed = simd.fma_f32(-self.step.decoupled, *w, *w);
            *w = simd.fma_f32(-self.factor, *d, decayed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optim::adam::Adam;
    use crate::random::Random;

    const N: usize = 37;

    /// Half of `sum c_i (w_i - 1)^2` with curvatures from 1 to 100.
    fn slope(w: &[f32; N], noise: &mut Random) -> [f32; N] {
        core::array::from_fn(|i| {
            (1.0 + i as f32 * 99.0 / 36.0) * (w[i] - 1.0) + 0.01 * (noise.uniform() - 0.5)
        })
    }

    #[test]
    fn an_empty_history_is_adam_bit_for_bit() {
        let config = FlatLbfgsConfig::default();
        let (mut a, mut b) = ([0.0; N], [0.0; N]);
        let mut moments = [0.0; Adam::memory_len(N)];
        let mut memory = [f32::NAN; FlatLbfgs::<4>::memory_len(N)];
        let mut flat = FlatLbfgs::<4>::new(config, N, &mut memory).unwrap();
        let mut adam = Adam::new(config.adam, N, &mut moments).unwrap();
        let (mut noise_a, mut noise_b) = (Random::new(1, 0), Random::new(1, 0));
        for step in 0..1000 {
            let factor = 1.0 - step as f32 / 1000.0;
            let g = slope(&a, &mut noise_a);
            adam.step(factor, &mut a, &g).unwrap();
            let g = slope(&b, &mut noise_b);
            let freshness = flat.step(factor, &mut b, &g).unwrap();
            let due = step > 0 && step % 16 == 0;
            assert_eq!(freshness == Freshness::Missing, due, "step {step}");
            assert_eq!(a.map(f32::to_bits), b.map(f32::to_bits), "step {step}");
        }
    }

    /// A pair along which the function curves down is moved towards the diagonal D until `s . y` is
    /// the share of `s . D^-1 s` that the settings name; the matrix then takes y to s.
    #[test]
    fn a_damped_pair_has_the_curvature_that_is_asked_for() {
        let config = FlatLbfgsConfig::default();
        let rate = f64::from(config.adam.learning_rate);
        let mut memory = [0.0; FlatLbfgs::<4>::memory_len(N)];
        let mut flat = FlatLbfgs::<4>::new(config, N, &mut memory).unwrap();
        let (mut w, g) = (
            [0.5; N],
            core::array::from_fn::<f32, N, _>(|i| 0.1 + i as f32),
        );
        let _ = flat.step(1.0, &mut w, &g).unwrap();
        let mut d = [1.0; N];
        flat.precondition(&mut d).unwrap();
        let s: [f32; N] = core::array::from_fn(|i| 0.01 * (1 + i % 3) as f32);
        let y = s.map(|s| -2.0 * s);
        let Verdict::Damped { theta } = flat.observe_product(&s, &y).unwrap() else {
            panic!("it curves down");
        };
        let (mut sbs, mut damped, mut curvature) = (0.0, [0.0; N], 0.0);
        for i in 0..N {
            let (theta, s) = (f64::from(theta), f64::from(s[i]));
            let bs = s / (rate * f64::from(d[i]));
            let y = theta * f64::from(y[i]) + (1.0 - theta) * bs;
            (sbs, curvature) = (sbs + s * bs, curvature + s * y);
            damped[i] = y as f32;
        }
        let asked = f64::from(config.share) * sbs;
        assert!(
            (curvature - asked).abs() < 1e-4 * asked,
            "{curvature} {asked}"
        );
        flat.precondition(&mut damped).unwrap();
        for (found, s) in damped.iter().zip(&s) {
            let found = rate * f64::from(*found);
            assert!(
                (found - f64::from(*s)).abs() < 1e-4 * f64::from(*s),
                "{found} {s}"
            );
        }
    }

    #[test]
    fn pairs_are_made_counted_and_lead_to_the_minimum() {
        let mut config = FlatLbfgsConfig::default();
        config.adam.learning_rate = 0.02;
        let mut w = [0.0; N];
        let mut memory = [0.0; FlatLbfgs::<4>::memory_len(N)];
        let mut flat = FlatLbfgs::<4>::new(config, N, &mut memory).unwrap();
        let mut noise = Random::new(1, 0);
        for step in 0..400 {
            let factor = 1.0 - step as f32 / 400.0;
            let mut same = noise;
            let g = slope(&w, &mut noise);
            if flat.wants_anchor_gradient() {
                let anchor = flat.anchor().try_into().unwrap();
                flat.observe(&w, &g, &slope(&anchor, &mut same)).unwrap();
            }
            assert_eq!(flat.step(factor, &mut w, &g), Ok(Freshness::Current));
        }
        let (accepted, damped, skipped) = flat.verdicts();
        assert_eq!(accepted + damped + skipped, 24);
        assert!(accepted + damped > 0);
        for w in w {
            assert!((w - 1.0).abs() < 0.02, "{w}");
        }
    }
}
