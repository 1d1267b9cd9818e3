//! Derivatives by differences, and a check of those that are written by hand.
//!
//! The steps are the theory's: with the relative rounding error `e = EPSILON` of a value, a forward
//! difference errs least with a step of `e^(1/2)` and then by about as much, a central one with
//! `e^(1/3)` and by `e^(2/3)`; both relative to the size `max(1, |x_j|)` of the variable. In `f32`
//! that leaves four digits of a gradient: enough to find a mistake, and for a coarse fit.
//!
//! Source: J. Nocedal and S. Wright, *Numerical Optimization*, 2nd ed. (2006), section 8.1.

use crate::error::{ConfigError, check_length, check_memory, split};
use crate::objective::{HessianProduct, Objective};
use crate::real::Real;
use crate::vector;

/// A step of about `share max(1, |x|)` that leads to a number exactly.
fn step<R: Real>(x: R, share: R) -> R {
    let there = x + share * R::ONE.larger(x.abs());
    there - x
}

/// `EPSILON^(1/3)`.
fn cube_root_of_epsilon<R: Real>() -> R {
    R::of(libm::cbrt(R::EPSILON.to_f64()))
}

/// **Overwrites** `gradient` with forward differences, and returns f(x). `n + 1` evaluations; `x`
/// is changed in between and is as it was afterwards.
///
/// ```
/// let mut gradient = [0.0; 2];
/// let value = secant::derivatives::forward(
///     |x: &[f64]| x[0] * x[0] + 3.0 * x[1], &mut [2.0, 1.0], &mut gradient);
/// assert_eq!(value, 7.0);
/// assert!((gradient[0] - 4.0).abs() < 1e-6 && (gradient[1] - 3.0).abs() < 1e-6);
/// ```
pub fn forward<R: Real>(mut function: impl FnMut(&[R]) -> R, x: &mut [R], gradient: &mut [R]) -> R {
    let value = function(x);
    let share = R::EPSILON.sqrt();
    for (j, g) in gradient.iter_mut().enumerate() {
        let Some(&here) = x.get(j) else { break };
        let h = step(here, share);
        put(x, j, here + h);
        *g = (function(x) - value) / h;
        put(x, j, here);
    }
    value
}

/// **Overwrites** `gradient` with central differences. `2 n` evaluations; `x` is changed in between
/// and is as it was afterwards.
///
/// ```
/// let mut gradient = [0.0; 1];
/// secant::derivatives::central(|x: &[f64]| x[0].exp(), &mut [1.0], &mut gradient);
/// assert!((gradient[0] - 1f64.exp()).abs() < 1e-9);
/// ```
pub fn central<R: Real>(mut function: impl FnMut(&[R]) -> R, x: &mut [R], gradient: &mut [R]) {
    let share = cube_root_of_epsilon();
    for (j, g) in gradient.iter_mut().enumerate() {
        *g = along(&mut function, x, j, share);
    }
}

fn put<R: Real>(x: &mut [R], j: usize, value: R) {
    if let Some(x) = x.get_mut(j) {
        *x = value;
    }
}

/// The central difference in variable j.
fn along<R: Real>(function: &mut impl FnMut(&[R]) -> R, x: &mut [R], j: usize, share: R) -> R {
    let Some(&here) = x.get(j) else { return R::NAN };
    let h = step(here, share);
    put(x, j, here + h);
    let above = function(x);
    put(x, j, here - h);
    let below = function(x);
    put(x, j, here);
    (above - below) / (h + h)
}

/// An [`Objective`] whose gradient is made of central differences; see [`from_values`].
#[derive(Debug)]
pub struct FromValues<'m, F, R> {
    function: F,
    point: &'m mut [R],
}

/// The objective that `function(x) -> value` computes, of as many variables as there are numbers of
/// `memory`. A gradient takes `2 n + 1` evaluations of the function. Its error of `EPSILON^(2/3)`
/// is the least tolerance that makes sense, and with bounds the differences may look beyond them.
///
/// ```
/// use secant::derivatives::from_values;
/// use secant::optim::{Lbfgs, LbfgsConfig};
///
/// let mut point = [0.0; 2];
/// let mut valley = from_values(&mut point, |x: &[f64]| {
///     (1.0 - x[0]).powi(2) + 100.0 * (x[1] - x[0] * x[0]).powi(2)
/// });
/// let mut memory = [0.0; Lbfgs::<6, f64>::memory_len(2)];
/// let mut lbfgs = Lbfgs::<6, f64>::new(LbfgsConfig::default(), 2, &mut memory)?;
/// let mut x = [-1.2, 1.0];
/// let report = lbfgs.minimize(&mut valley, &mut x)?;
/// assert!(report.termination.is_converged() && (x[0] - 1.0).abs() < 1e-4);
/// # Ok::<(), secant::ConfigError>(())
/// ```
pub fn from_values<R: Real, F: FnMut(&[R]) -> R>(
    memory: &mut [R],
    function: F,
) -> FromValues<'_, F, R> {
    FromValues {
        function,
        point: memory,
    }
}

impl<R: Real, F: FnMut(&[R]) -> R> Objective<R> for FromValues<'_, F, R> {
    fn dimension(&self) -> usize {
        self.point.len()
    }
    fn value_and_gradient(&mut self, x: &[R], gradient: &mut [R]) -> R {
        vector::copy(x, self.point);
        central(&mut self.function, self.point, gradient);
        (self.function)(x)
    }
    fn value(&mut self, x: &[R], _scratch: &mut [R]) -> R {
        (self.function)(x)
    }
}

/// An [`Objective`] with products by differences of its gradients; see [`with_products`].
#[derive(Debug)]
pub struct WithProducts<'m, O, R> {
    objective: O,
    point: &'m mut [R],
    gradient: &'m mut [R],
}

/// Gives an objective the products with its Hessian that [`NewtonCg`](crate::optim::NewtonCg) asks
/// for,
///
/// ```text
/// H(x) v = (g(x + h v) - g(x - h v)) / (2 h)     h = EPSILON^(1/3) max(1, |x|) / |v|
/// ```
///
/// at two gradients each, which the optimiser does not count. `memory` holds two numbers for each
/// variable.
///
/// # Errors
/// [`ConfigError`] when the memory is too short.
///
/// ```
/// use secant::objective::{self, HessianProduct};
///
/// let bowl = objective::from_fn(2, |x: &[f64], g: &mut [f64]| {
///     (g[0], g[1]) = (6.0 * x[0], x[1]);
///     3.0 * x[0] * x[0] + 0.5 * x[1] * x[1]
/// });
/// let mut memory = [0.0; 4];
/// let mut bowl = secant::derivatives::with_products(bowl, &mut memory)?;
/// let mut product = [0.0; 2];
/// bowl.hessian_product(&[1.0, 1.0], &[1.0, 2.0], &mut product);
/// assert!((product[0] - 6.0).abs() < 1e-8 && (product[1] - 2.0).abs() < 1e-8);
/// # Ok::<(), secant::ConfigError>(())
/// ```
pub fn with_products<R: Real, O: Objective<R>>(
    objective: O,
    memory: &mut [R],
) -> Result<WithProducts<'_, O, R>, ConfigError> {
    let n = objective.dimension();
    let memory = check_memory(memory, 2 * n)?;
    let (point, gradient) = split(memory, n);
    Ok(WithProducts {
        objective,
        point,
        gradient,
    })
}

impl<R: Real, O: Objective<R>> Objective<R> for WithProducts<'_, O, R> {
    fn dimension(&self) -> usize {
        self.objective.dimension()
    }
    fn value_and_gradient(&mut self, x: &[R], gradient: &mut [R]) -> R {
        self.objective.value_and_gradient(x, gradient)
    }
    fn value(&mut self, x: &[R], scratch: &mut [R]) -> R {
        self.objective.value(x, scratch)
    }
}

impl<R: Real, O: Objective<R>> HessianProduct<R> for WithProducts<'_, O, R> {
    fn hessian_product(&mut self, x: &[R], v: &[R], product: &mut [R]) {
        let length = vector::norm2(v);
        if length == R::ZERO {
            product.fill(R::ZERO);
            return;
        }
        let h = cube_root_of_epsilon::<R>() * R::ONE.larger(vector::norm2(x)) / length;
        vector::add_scaled(h, x, v, self.point);
        self.objective.value_and_gradient(self.point, product);
        vector::add_scaled(-h, x, v, self.point);
        self.objective.value_and_gradient(self.point, self.gradient);
        vector::axpy(-R::ONE, self.gradient, product);
        vector::scale(R::HALF / h, product);
    }
}

/// What [`check_gradient`] found in the component that agrees least.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct GradientCheck<R> {
    /// Which one.
    pub component: usize,
    /// What the objective says.
    pub analytic: R,
    /// The central difference.
    pub numeric: R,
    /// How far the two may be apart, by the error of the difference.
    pub allowed: R,
}

impl<R: Real> GradientCheck<R> {
    /// Whether the gradient is right, as far as differences can tell.
    pub fn is_right(&self) -> bool {
        (self.analytic - self.numeric).abs() <= self.allowed
    }
}

/// Holds every component of an objective's gradient at `x` against central differences, and returns
/// the one that agrees least. `4 n + 1` evaluations; `memory` holds three numbers for each
/// variable.
///
/// The error of a difference is judged by a second one of twice the step: the two differ by three
/// times the first one's truncation. Rounding adds `EPSILON |f| / h`. Ten times their sum is
/// allowed. Choose a point where nothing is zero by symmetry, such as one drawn at random.
///
/// # Errors
/// [`ConfigError`] when a length is wrong.
///
/// ```
/// use secant::{derivatives, objective};
///
/// let mut wrong = objective::from_fn(3, |x: &[f64], g: &mut [f64]| {
///     g.copy_from_slice(&[2.0 * x[0], 3.0 * x[1] * x[1], 5.0 * x[2]]); // not 5 but 4
///     x[0] * x[0] + x[1].powi(3) + 2.0 * x[2] * x[2]
/// });
/// let check = derivatives::check_gradient(&mut wrong, &[0.3, -0.7, 1.1], &mut [0.0; 9])?;
/// assert!(!check.is_right());
/// assert_eq!(check.component, 2);
/// # Ok::<(), secant::ConfigError>(())
/// ```
pub fn check_gradient<R: Real>(
    objective: &mut impl Objective<R>,
    x: &[R],
    memory: &mut [R],
) -> Result<GradientCheck<R>, ConfigError> {
    let n = objective.dimension();
    check_length("x", n, x.len())?;
    let memory = check_memory(memory, 3 * n)?;
    let (gradient, memory) = split(memory, n);
    let (point, scratch) = split(memory, n);
    vector::copy(x, point);
    let value = objective.value_and_gradient(x, gradient);
    let mut function = |x: &[R]| objective.value_and_gradient(x, scratch);
    let share = cube_root_of_epsilon::<R>();
    let mut worst = GradientCheck {
        component: 0,
        analytic: R::ZERO,
        numeric: R::ZERO,
        allowed: R::ZERO,
    };
    let mut largest = -R::ONE;
    for (j, &analytic) in gradient.iter().enumerate() {
        let numeric = along(&mut function, point, j, share);
        let coarse = along(&mut function, point, j, R::of(2.0) * share);
        let size = R::ONE.larger(x.get(j).copied().unwrap_or(R::ZERO).abs());
        let rounding = R::EPSILON * (value.abs() / (share * size) + numeric.abs() / share);
        let allowed =
            R::of(10.0) * ((coarse - numeric).abs() / R::of(3.0) + rounding) + R::MIN_POSITIVE;
        let excess = (analytic - numeric).abs() / allowed;
        // What is no number agrees least of all.
        if excess > largest || excess.is_nan() && !largest.is_nan() {
            largest = excess;
            worst = GradientCheck {
                component: j,
                analytic,
                numeric,
                allowed,
            };
        }
    }
    Ok(worst)
}
