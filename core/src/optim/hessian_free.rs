//! Hessian-free optimisation: stochastic Newton-CG on the damped Gauss-Newton matrix.

use crate::checkpoint::{self, State};
use crate::error::{ConfigError, check_length, check_memory, check_range, split};
use crate::math;
use crate::objective::HessianProduct;
use crate::vector;

/// The settings of [`HessianFree`].
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct HessianFreeConfig {
    /// Share of the solution `p` that a step goes, in (0, 1]. Default 1; less averages over more
    /// batches.
    pub learning_rate: f32,
    /// The first `l`, positive. Default 0.1; useful 0.001 to 10. It adapts itself within tens of steps.
    pub damping: f32,
    /// Most iterations of conjugate gradients a step, at least 1. Default 16.
    pub iterations: u32,
    /// Conjugate gradients end where one iteration lowers the model by less than this share of all
    /// that it has been lowered, in [0, 1). Default 0.005.
    pub progress: f32,
    /// How much of the last `p` the next solution begins from, in [0, 1]. Default 0.95; 0 begins
    /// from nothing and saves a product.
    pub keep: f32,
}

impl HessianFreeConfig {
    /// The default settings, for constants.
    pub const DEFAULT: HessianFreeConfig = HessianFreeConfig {
        learning_rate: 1.0,
        damping: 0.1,
        iterations: 16,
        progress: 5e-3,
        keep: 0.95,
    };

    /// Refuses what is out of range.
    fn check(&self) -> Result<(), ConfigError> {
        let rate = self.learning_rate;
        let inside = rate > 0.0 && rate <= 1.0;
        check_range("learning_rate", rate, "in (0, 1]", inside)?;
        let inside = (LEAST..=MOST).contains(&self.damping);
        check_range("damping", self.damping, "in [1e-10, 1e10]", inside)?;
        let some = self.iterations > 0;
        check_range("iterations", self.iterations, "at least 1", some)?;
        let inside = (0.0..1.0).contains(&self.progress);
        check_range("progress", self.progress, "in [0, 1)", inside)?;
        let inside = (0.0..=1.0).contains(&self.keep);
        check_range("keep", self.keep, "in [0, 1]", inside)
    }
}

impl Default for HessianFreeConfig {
    fn default() -> HessianFreeConfig {
        HessianFreeConfig::DEFAULT
    }
}

/// Bounds of the damping.
const LEAST: f32 = 1e-10;
const MOST: f32 = 1e10;

/// Iterations over which progress is averaged.
const WINDOW: usize = 3;

/// What a step of [`HessianFree`] found.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct HessianFreeStep {
    /// The objective before the step.
    pub loss: f32,
    /// The decrease along `p` over the one that the model foresaw; a NaN where there was no `p`.
    pub ratio: f32,
    /// The damping of the step.
    pub damping: f32,
    /// Products with the matrix.
    pub products: u32,
    /// Whether the parameters have moved.
    pub moved: bool,
}

/// Hessian-free optimisation: each step solves for Newton's step on a batch, by a few iterations of
/// conjugate gradients on the damped Gauss-Newton matrix G, which is never formed.
///
/// ```text
/// g, f  = gradient and value at w                                   (of a batch)
/// p     = k p                            the last one's beginning; 0 if the model is no lower there
/// (G + l I) p = -g                       conjugate gradients, at most `iterations` of them
/// ratio = (f(w + p) - f) / (g.p + p.Gp / 2)
/// ratio > 3/4: l = 2/3 l;     ratio < 1/4: l = 3/2 l                (Levenberg and Marquardt)
/// ratio > 0:   w = w + r s p;            else l = 4 l, p = 0 and w stays
/// ```
///
/// with learning rate `r` and the schedule's factor `s`. The ratio judges the whole p, so a falling
/// schedule does not pass for a good model. G may be that of fewer samples than the gradient:
/// [`gauss_newton_product`](HessianProduct::gauss_newton_product) says what it is.
///
/// A step costs a gradient, a value, and at most `iterations + 1` products.
///
/// Source: J. Martens, *Deep learning via Hessian-free optimization*, ICML 2010; R. Byrd, G. Chin,
/// W. Neveitt and J. Nocedal, *On the use of stochastic Hessian information in optimization
/// methods for machine learning*, SIAM J. Optim. 21 (2011), for products of a part of the batch.
/// Without its preconditioner, line search and choice among earlier iterates.
///
/// ```
/// use secant::objective;
/// use secant::optim::{HessianFree, HessianFreeConfig};
///
/// // Half of (x - 1)^2 + 100 (y + 2)^2.
/// let mut bowl = objective::from_fn(2, |x: &[f32], g: &mut [f32]| {
///     (g[0], g[1]) = (x[0] - 1.0, 100.0 * (x[1] + 2.0));
///     0.5 * (g[0] * g[0] + g[1] * g[1] / 100.0)
/// })
/// .with_hessian_product(|_: &[f32], v: &[f32], product: &mut [f32]| {
///     (product[0], product[1]) = (v[0], 100.0 * v[1]);
/// });
/// let mut memory = [0.0; HessianFree::memory_len(2)];
/// let mut method = HessianFree::new(HessianFreeConfig::DEFAULT, 2, &mut memory)?;
/// let mut x = [0.0; 2];
/// for _ in 0..20 {
///     method.step(1.0, &mut bowl, &mut x)?;
/// }
/// assert!((x[0] - 1.0).abs() < 1e-3 && (x[1] + 2.0).abs() < 1e-3, "{x:?}");
/// # Ok::<(), secant::ConfigError>(())
/// ```
#[derive(Debug, PartialEq)]
pub struct HessianFree<'m> {
    config: HessianFreeConfig,
    steps: u32,
    damping: f32,
    /// p, g, r, d, and a product.
    memory: &'m mut [f32],
}

/// The parts of the memory.
struct Parts<'a> {
    solution: &'a mut [f32],
    gradient: &'a mut [f32],
    residual: &'a mut [f32],
    direction: &'a mut [f32],
    product: &'a mut [f32],
}

impl Parts<'_> {
    fn new(n: usize, memory: &mut [f32]) -> Parts<'_> {
        let (solution, memory) = split(memory, n);
        let (gradient, memory) = split(memory, n);
        let (residual, memory) = split(memory, n);
        let (direction, product) = split(memory, n);
        Parts {
            solution,
            gradient,
            residual,
            direction,
            product,
        }
    }
}

impl<'m> HessianFree<'m> {
    /// Before the first step on `n` parameters. `memory` needs [`memory_len(n)`](Self::memory_len)
    /// floats; what they are does not matter.
    ///
    /// # Errors
    /// [`ConfigError`] when the memory is too short or a setting is out of range.
    pub fn new(
        config: HessianFreeConfig,
        n: usize,
        memory: &'m mut [f32],
    ) -> Result<HessianFree<'m>, ConfigError> {
        config.check()?;
        let memory = check_memory(memory, HessianFree::memory_len(n))?;
        memory.fill(0.0);
        Ok(HessianFree {
            config,
            steps: 0,
            damping: config.damping,
            memory,
        })
    }

    /// Floats of memory for `n` parameters: `5 n`.
    pub const fn memory_len(n: usize) -> usize {
        n.saturating_mul(5)
    }

    /// The number of parameters.
    const fn dimension(&self) -> usize {
        self.memory.len() / HessianFree::memory_len(1)
    }

    /// The settings.
    pub const fn config(&self) -> &HessianFreeConfig {
        &self.config
    }

    /// Steps taken.
    pub const fn steps(&self) -> u32 {
        self.steps
    }

    /// The damping of the next step.
    pub const fn damping(&self) -> f32 {
        self.damping
    }

    /// The solution `p` of the last step; zero where it was of no use.
    pub fn solution(&self) -> &[f32] {
        self.memory.get(..self.dimension()).unwrap_or_default()
    }

    /// What a checkpoint needs beside [`State::numbers`]: [`solution`](Self::solution).
    pub fn memory(&self) -> &[f32] {
        self.solution()
    }

    /// The same, to be loaded from a checkpoint.
    pub fn memory_mut(&mut self) -> &mut [f32] {
        let n = self.dimension();
        self.memory.get_mut(..n).unwrap_or_default()
    }

    /// Forgets everything but the settings.
    pub fn reset(&mut self) {
        self.steps = 0;
        self.damping = self.config.damping;
        self.memory.fill(0.0);
    }

    /// One step on the batch that `objective` stands for: moves `parameters`. `factor` is the
    /// schedule's. Where the value or the gradient is not finite, nothing changes.
    ///
    /// # Errors
    /// [`ConfigError`] when a length is wrong; nothing has changed then.
    pub fn step(
        &mut self,
        factor: f32,
        objective: &mut impl HessianProduct<f32>,
        parameters: &mut [f32],
    ) -> Result<HessianFreeStep, ConfigError> {
        let n = self.dimension();
        check_length("parameters", n, parameters.len())?;
        check_length("objective", n, objective.dimension())?;
        let mut parts = Parts::new(n, self.memory);
        let loss = objective.value_and_gradient(parameters, parts.gradient);
        let mut report = HessianFreeStep {
            loss,
            ratio: f32::NAN,
            damping: self.damping,
            products: 0,
            moved: false,
        };
        if !(loss.is_finite() && vector::norm_max(parts.gradient).is_finite()) {
            return Ok(report);
        }
        self.steps = self.steps.saturating_add(1);
        let mut solver = Solver {
            damping: self.damping,
            objective,
            point: parameters,
            products: 0,
        };
        let lowered = solver.solve(&self.config, &mut parts);
        report.products = solver.products;
        // The model without its damping.
        let square = vector::dot(parts.solution, parts.solution);
        let foreseen = math::fma(0.5 * self.damping, square, lowered);
        if !(foreseen > 0.0 && foreseen.is_finite()) {
            // At a stationary point, or the products are of no use: nothing to be learned.
            parts.solution.fill(0.0);
            return Ok(report);
        }
        vector::add_scaled(1.0, parameters, parts.solution, parts.direction);
        let reached = objective.value(parts.direction, parts.product);
        report.ratio = (loss - reached) / foreseen;
        report.moved = report.ratio > 0.0;
        let change = if !report.moved {
            4.0
        } else if report.ratio > 0.75 {
            2.0 / 3.0
        } else if report.ratio < 0.25 {
            1.5
        } else {
            1.0
        };
        self.damping = (self.damping * change).clamp(LEAST, MOST);
        if report.moved {
            let length = self.config.learning_rate * factor;
            vector::axpy(length, parts.solution, parameters);
        } else {
            parts.solution.fill(0.0);
        }
        Ok(report)
    }
}

/// Conjugate gradients on `(G + l I) p = -g`.
struct Solver<'a, O> {
    damping: f32,
    objective: &'a mut O,
    point: &'a [f32],
    products: u32,
}

impl<O: HessianProduct<f32>> Solver<'_, O> {
    /// **Overwrites** `product` with `(G + l I) vector`, and returns its product with `vector`.
    fn multiply(&mut self, vector: &[f32], product: &mut [f32]) -> f32 {
        self.products = self.products.saturating_add(1);
        self.objective
            .gauss_newton_product(self.point, vector, product);
        vector::axpy_dot(self.damping, vector, vector, product)
    }

    /// Solves for the solution, from a share of what it is. Returns by how much the damped model
    /// `g.p + p.(G + l I) p / 2` is lower there than at 0.
    fn solve(&mut self, config: &HessianFreeConfig, parts: &mut Parts<'_>) -> f32 {
        let Parts {
            solution,
            gradient,
            residual,
            direction,
            product,
        } = parts;
        let mut lowered = 0.0;
        vector::scale(config.keep, solution);
        vector::negate(gradient, residual);
        if vector::norm_max(solution) > 0.0 {
            let curvature = self.multiply(solution, product);
            lowered = -math::fma(0.5, curvature, vector::dot(gradient, solution));
            vector::axpy(-1.0, product, residual);
        }
        if !(lowered > 0.0 && lowered.is_finite()) {
            lowered = 0.0;
            solution.fill(0.0);
            vector::negate(gradient, residual);
        }
        vector::copy(residual, direction);
        let mut square = vector::dot(residual, residual);
        let mut window = [f32::INFINITY; WINDOW];
        for i in 0..config.iterations as usize {
            let curvature = self.multiply(direction, product);
            let length = square / curvature;
            if !(curvature > 0.0 && length.is_finite()) {
                break;
            }
            vector::axpy(length, direction, solution);
            let gain = 0.5 * length * square;
            lowered += gain;
            if let Some(place) = window.get_mut(i % WINDOW) {
                *place = gain;
            }
            let gained: f32 = window.iter().sum();
            if gained < WINDOW as f32 * config.progress * lowered {
                break;
            }
            vector::axpy(-length, product, residual);
            let next = vector::dot(residual, residual);
            if !(next > 0.0 && next.is_finite()) {
                break;
            }
            vector::scale(next / square, direction);
            vector::axpy(1.0, residual, direction);
            square = next;
        }
        lowered
    }
}

#[cfg(feature = "defmt")]
impl defmt::Format for HessianFree<'_> {
    /// All but the vectors.
    fn format(&self, f: defmt::Formatter<'_>) {
        defmt::write!(
            f,
            "HessianFree {{ steps: {}, damping: {} }}",
            self.steps,
            self.damping
        );
    }
}

impl State for HessianFree<'_> {
    /// Steps, and the damping.
    const NUMBERS: usize = 2;

    fn numbers(&self, numbers: &mut [u64]) -> Result<(), ConfigError> {
        let values = [u64::from(self.steps), u64::from(self.damping.to_bits())];
        checkpoint::put(Self::NUMBERS, values, numbers)
    }

    fn restore(&mut self, numbers: &[u64]) -> Result<(), ConfigError> {
        let ([steps, damping], _) = checkpoint::take::<2>(Self::NUMBERS, numbers)?;
        let damping = f32::from_bits(checkpoint::small(*damping)?);
        if !(LEAST..=MOST).contains(&damping) {
            return Err(ConfigError::NotAState);
        }
        self.steps = checkpoint::small(*steps)?;
        self.damping = damping;
        Ok(())
    }
}
