//! Stochastic L-BFGS over all parameters at once, on top of Adam's diagonal: for comparison with the layer-wise form.
//!
//! ```text
//! M, V = Adam's moments;   D = look-ahead of M (Nesterov) or M, bias-corrected
//! H0   = diag(r / (sqrt(V / (1 - b2^t)) + e))             Adam's step, as a matrix
//! w    = w - s two_loop(D; pairs, H0)                     s: the schedule's factor
//! ```
//!
//! With no pairs this *is* [`Adam`], bit for bit. A pair is made every [`pair_every`](FlatLbfgsConfig::pair_every) steps, from
//! both gradients on the **same** samples: `s = w - a` for the anchor `a`, the point of the last pair, and
//! `y = g(w) - g(a)`, which costs one more gradient. With `B0 = H0^-1` it is damped (Powell) so that `s.y >= c s.B0 s`:
//!
//! ```text
//! if s.y < c s.B0 s:  theta = (1 - c) s.B0 s / (s.B0 s - s.y);   y = theta y + (1 - theta) B0 s
//! ```
//!
//! Source: R. Byrd, S. Hansen, J. Nocedal, Y. Singer, *A stochastic quasi-Newton method for large-scale optimization*, SIAM J.
//! Optim. 26 (2016), for pairs apart from steps; M. Powell, 1978, for the damping.

use heapless::Vec;

use super::adam::{Adam, AdamConfig, AdamStep};
use super::pair::{Skip, Verdict};
use super::termination::Misuse;
use super::two_loop::{Initial, Pair, two_loop};
use crate::arch::{Kernel, Simd, dispatch};
use crate::checkpoint::{self, State};
use crate::math;
use crate::vector;

/// Settings of [`FlatLbfgs`].
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct FlatLbfgsConfig {
    /// Adam's settings; coupled weight decay only enters the gradient's moments.
    pub adam: AdamConfig,
    /// Steps between pairs, at least 1. Default 16.
    pub pair_every: u32,
    /// The damping's `c`, in (0, 1). Default 0.5; 1 would accept nothing but `B0` itself.
    pub share: f32,
}

impl Default for FlatLbfgsConfig {
    fn default() -> FlatLbfgsConfig {
        FlatLbfgsConfig {
            adam: AdamConfig {
                nesterov: true,
                beta2: 0.98,
                ..AdamConfig::default()
            },
            pair_every: 16,
            share: 0.5,
        }
    }
}

/// Flat stochastic L-BFGS with at most `M` pairs. The caller keeps the memory: [`FlatLbfgs::memory_len`] floats, zero before
/// the first step.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct FlatLbfgs<const M: usize> {
    config: FlatLbfgsConfig,
    adam: Adam,
    /// `1 / s.y` of each slot, and the slots from oldest to newest.
    rho: [f32; M],
    order: Vec<usize, M>,
    accepted: u32,
    damped: u32,
    skipped: u32,
}

impl<const M: usize> FlatLbfgs<M> {
    /// The optimiser before its first step.
    pub const fn new(config: FlatLbfgsConfig) -> FlatLbfgs<M> {
        FlatLbfgs {
            config,
            adam: Adam::new(config.adam),
            rho: [0.0; M],
            order: Vec::new(),
            accepted: 0,
            damped: 0,
            skipped: 0,
        }
    }

    /// Floats of memory for `n` parameters: two moments, the anchor, a direction, a diagonal, and M pairs.
    pub const fn memory_len(n: usize) -> usize {
        (5 + 2 * M) * n
    }

    /// Pairs accepted, damped and skipped so far.
    pub const fn verdicts(&self) -> (u32, u32, u32) {
        (self.accepted, self.damped, self.skipped)
    }

    /// Whether the next step wants the gradient of its batch at the [`anchor`](FlatLbfgs::anchor), too.
    pub const fn wants_anchor_gradient(&self) -> bool {
        let every = if self.config.pair_every == 0 {
            1
        } else {
            self.config.pair_every
        };
        let steps = self.adam.steps();
        M > 0 && steps > 0 && steps.is_multiple_of(every)
    }

    /// The point of the last pair, n floats in the memory. Empty if the memory is too short.
    pub fn anchor<'m>(&self, n: usize, memory: &'m [f32]) -> &'m [f32] {
        memory.get(2 * n..3 * n).unwrap_or(&[])
    }

    /// One step. `anchor_gradient` is the gradient of the same batch at the anchor, or none: then no pair is made. Returns the
    /// verdict on the pair, if there was one.
    ///
    /// # Errors
    /// [`Misuse`] when a length is wrong; nothing has changed then.
    pub fn step(
        &mut self,
        factor: f32,
        parameters: &mut [f32],
        gradient: &[f32],
        anchor_gradient: Option<&[f32]>,
        memory: &mut [f32],
    ) -> Result<Option<Verdict<f32>>, Misuse> {
        let n = parameters.len();
        for found in [gradient.len(), anchor_gradient.map_or(n, <[f32]>::len)] {
            if found != n {
                return Err(Misuse::WrongDimension { expected: n, found });
            }
        }
        let (needed, given) = (FlatLbfgs::<M>::memory_len(n), memory.len());
        if given < needed {
            return Err(Misuse::MemoryTooShort { needed, given });
        }
        let (m, rest) = memory.split_at_mut(n);
        let (v, rest) = rest.split_at_mut(n);
        let (anchor, rest) = rest.split_at_mut(n);
        let (direction, rest) = rest.split_at_mut(n);
        let (diagonal, pairs) = rest.split_at_mut(n);
        let pairs = &mut pairs[..2 * M * n];
        let verdict = anchor_gradient.map(|other| {
            // `diagonal` becomes the pair's y, `direction` its s, until they are used as what their names say.
            self.learn(
                parameters, gradient, anchor, other, v, direction, diagonal, pairs,
            )
        });
        if anchor_gradient.is_some() || self.adam.steps() == 0 {
            vector::copy(parameters, anchor);
        }
        let step = self.adam.begin_step(factor);
        if self.order.is_empty() {
            step.apply(parameters, gradient, m, v);
            return Ok(verdict);
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
        let views: Vec<Pair<'_, f32>, M> = self
            .order
            .iter()
            .map(|slot| Pair {
                s: &pairs[2 * slot * n..][..n],
                y: &pairs[(2 * slot + 1) * n..][..n],
                scale: 1.0,
                rho: self.rho[*slot],
            })
            .collect();
        let mut coefficients = [0.0; M];
        two_loop(
            &views,
            Initial::Diagonal(diagonal),
            direction,
            &mut coefficients,
        );
        dispatch(Move {
            step,
            factor,
            direction,
            parameters,
        });
        Ok(verdict)
    }

    /// Makes a pair of the way from the anchor; uses `s` and `y` as scratch.
    fn learn(
        &mut self,
        parameters: &[f32],
        gradient: &[f32],
        anchor: &[f32],
        other: &[f32],
        v: &[f32],
        s: &mut [f32],
        y: &mut [f32],
        pairs: &mut [f32],
    ) -> Verdict<f32> {
        let n = parameters.len();
        vector::add_scaled(-1.0, parameters, anchor, s);
        vector::add_scaled(-1.0, gradient, other, y);
        let second = self.adam.second_correction();
        let (epsilon, rate) = (self.config.adam.epsilon, self.config.adam.learning_rate);
        let stiffness = |v: f32| (math::sqrt(second * v) + epsilon) / rate;
        let mut sbs = 0.0;
        for (s, v) in s.iter().zip(v) {
            sbs = math::fma(stiffness(*v) * s, *s, sbs);
        }
        let sy = vector::dot(s, y);
        let mut skip = |why| {
            self.skipped += 1;
            Verdict::Skipped(why)
        };
        if !(sbs.is_finite() && sy.is_finite()) {
            return skip(Skip::NotFinite);
        }
        if sbs <= 0.0 {
            return skip(Skip::NoStep);
        }
        let share = self.config.share;
        let mut verdict = Verdict::Accepted;
        if sy < share * sbs {
            let theta = (1.0 - share) * sbs / (sbs - sy);
            for ((y, s), v) in y.iter_mut().zip(&*s).zip(v) {
                *y = math::fma(theta, *y, (1.0 - theta) * stiffness(*v) * s);
            }
            verdict = Verdict::Damped { theta };
        }
        let sy = vector::dot(s, y);
        if !(sy > 0.0 && sy.is_finite()) {
            return skip(Skip::NotFinite);
        }
        let slot = if self.order.is_full() {
            self.order.remove(0)
        } else {
            self.order.len()
        };
        vector::copy(s, &mut pairs[2 * slot * n..][..n]);
        vector::copy(y, &mut pairs[(2 * slot + 1) * n..][..n]);
        self.rho[slot] = 1.0 / sy;
        // There is room: one was taken out if it was full.
        let _ = self.order.push(slot);
        match verdict {
            Verdict::Damped { .. } => self.damped += 1,
            _ => self.accepted += 1,
        }
        verdict
    }
}

impl<const M: usize> State for FlatLbfgs<M> {
    /// Adam's; pairs accepted, damped and skipped; the slot of the oldest pair and the number of pairs; `1 / s.y` of each slot.
    const NUMBERS: usize = Adam::NUMBERS + 5 + M;

    fn numbers(&self, numbers: &mut [u64]) -> Result<(), Misuse> {
        let mut adam = [0; Adam::NUMBERS];
        self.adam.numbers(&mut adam)?;
        // Slots are used in turn, so that the first and their number say all of the order.
        let own = [
            u64::from(self.accepted),
            u64::from(self.damped),
            u64::from(self.skipped),
            self.order.first().copied().unwrap_or(0) as u64,
            self.order.len() as u64,
        ];
        let rho = self.rho.iter().map(|rho| u64::from(rho.to_bits()));
        checkpoint::put(
            Self::NUMBERS,
            adam.into_iter().chain(own).chain(rho),
            numbers,
        )
    }

    fn restore(&mut self, numbers: &[u64]) -> Result<(), Misuse> {
        let (adam, rest) = checkpoint::take::<{ Adam::NUMBERS }>(Self::NUMBERS, numbers)?;
        let (own, rho) = checkpoint::take::<5>(5 + M, rest)?;
        let number = |value: u64| u32::try_from(value).map_err(|_| checkpoint::NO_STATE);
        let [accepted, damped, skipped, first, count] = *own;
        let verdicts = (number(accepted)?, number(damped)?, number(skipped)?);
        if count > M as u64 || (count > 0 && first >= M as u64) {
            return Err(checkpoint::NO_STATE);
        }
        self.adam.restore(adam)?;
        (self.accepted, self.damped, self.skipped) = verdicts;
        self.order = (first..first + count)
            .map(|slot| slot as usize % M.max(1))
            .collect();
        for (target, rho) in self.rho.iter_mut().zip(rho) {
            *target = f32::from_bits(*rho as u32);
        }
        Ok(())
    }
}

/// Updates the moments, and writes Adam's `u` to `direction` and `H0 = rate / divisor` to `diagonal`.
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
        let mut flat = FlatLbfgs::<4>::new(config);
        let mut adam = Adam::new(config.adam);
        let (mut a, mut b) = ([0.0; N], [0.0; N]);
        let mut moments = [0.0; Adam::memory_len(N)];
        let mut memory = [0.0; FlatLbfgs::<4>::memory_len(N)];
        let (mut noise_a, mut noise_b) = (Random::new(1, 0), Random::new(1, 0));
        for step in 0..1000 {
            let factor = 1.0 - step as f32 / 1000.0;
            let g = slope(&a, &mut noise_a);
            adam.step(factor, &mut a, &g, &mut moments).unwrap();
            let g = slope(&b, &mut noise_b);
            flat.step(factor, &mut b, &g, None, &mut memory).unwrap();
            assert_eq!(a.map(f32::to_bits), b.map(f32::to_bits), "step {step}");
        }
    }

    #[test]
    fn pairs_are_made_counted_and_lead_to_the_minimum() {
        let mut config = FlatLbfgsConfig::default();
        config.adam.learning_rate = 0.02;
        let mut flat = FlatLbfgs::<4>::new(config);
        let mut w = [0.0; N];
        let mut memory = [0.0; FlatLbfgs::<4>::memory_len(N)];
        let mut noise = Random::new(1, 0);
        for step in 0..400 {
            let factor = 1.0 - step as f32 / 400.0;
            let mut same = noise;
            let g = slope(&w, &mut noise);
            let other = flat.wants_anchor_gradient().then(|| {
                let mut anchor = [0.0; N];
                anchor.copy_from_slice(flat.anchor(N, &memory));
                slope(&anchor, &mut same)
            });
            flat.step(
                factor,
                &mut w,
                &g,
                other.as_ref().map(|g| &g[..]),
                &mut memory,
            )
            .unwrap();
        }
        let (accepted, damped, skipped) = flat.verdicts();
        assert_eq!(accepted + damped + skipped, 24);
        assert!(accepted + damped > 0);
        for w in w {
            assert!((w - 1.0).abs() < 0.02, "{w}");
        }
    }
}
