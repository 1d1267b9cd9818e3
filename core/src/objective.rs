//! The one trait between a problem and an optimiser.
//!
//! A problem is a number of variables and a function that writes the gradient and returns the
//! value. A closure is enough:
//!
//! ```
//! use secant::objective::{self, Objective};
//!
//! // f(x) = (x0 - 1)^2 + 10 (x1 + 2)^2
//! let mut bowl = objective::from_fn(2, |x: &[f64], gradient: &mut [f64]| {
//!     let (a, b) = (x[0] - 1.0, x[1] + 2.0);
//!     gradient[0] = 2.0 * a;
//!     gradient[1] = 20.0 * b;
//!     a * a + 10.0 * b * b
//! });
//! let mut gradient = [0.0; 2];
//! assert_eq!(bowl.value_and_gradient(&[1.0, -2.0], &mut gradient), 0.0);
//! ```
//!
//! Where the problem has data of its own, implement [`Objective`] for a struct. Curvature is a
//! trait of its own, [`HessianProduct`], so that asking for Newton's method without it is a compile
//! error.

use crate::real::Real;

/// A differentiable function of `dimension()` real variables, to be minimised.
///
/// A function that cannot be evaluated at a point returns a NaN or an infinity; every optimiser
/// treats both as "not there, come closer" and never fails on them.
pub trait Objective<R: Real> {
    /// The number of variables, n. Must not change while an optimiser runs.
    fn dimension(&self) -> usize;

    /// Returns f(x) and **overwrites** `gradient` with its gradient. Both slices have length n.
    fn value_and_gradient(&mut self, x: &[R], gradient: &mut [R]) -> R;

    /// Returns f(x) alone. `scratch`, of length n, may be overwritten with anything.
    ///
    /// The default computes the gradient into `scratch`. Override it where the value alone is
    /// cheaper: trust-region methods ask for it at points that they may reject. It must be the same
    /// value, bit for bit, as [`value_and_gradient`](Self::value_and_gradient) returns.
    fn value(&mut self, x: &[R], scratch: &mut [R]) -> R {
        self.value_and_gradient(x, scratch)
    }
}

/// An [`Objective`] whose second derivatives can be multiplied by a vector, without forming the
/// matrix.
pub trait HessianProduct<R: Real>: Objective<R> {
    /// **Overwrites** `product` with H(x) v, H being the matrix of second derivatives. All slices
    /// have length n.
    fn hessian_product(&mut self, x: &[R], v: &[R], product: &mut [R]);

    /// **Overwrites** `product` with G(x) v, G being a positive semidefinite approximation to H:
    /// for a sum of squares with the Jacobian J, G = J' J, the Gauss-Newton matrix. The default is
    /// the exact product.
    fn gauss_newton_product(&mut self, x: &[R], v: &[R], product: &mut [R]) {
        self.hessian_product(x, v, product);
    }
}

impl<R: Real, T: Objective<R> + ?Sized> Objective<R> for &mut T {
    fn dimension(&self) -> usize {
        (**self).dimension()
    }
    fn value_and_gradient(&mut self, x: &[R], gradient: &mut [R]) -> R {
        (**self).value_and_gradient(x, gradient)
    }
    fn value(&mut self, x: &[R], scratch: &mut [R]) -> R {
        (**self).value(x, scratch)
    }
}

impl<R: Real, T: HessianProduct<R> + ?Sized> HessianProduct<R> for &mut T {
    fn hessian_product(&mut self, x: &[R], v: &[R], product: &mut [R]) {
        (**self).hessian_product(x, v, product);
    }
    fn gauss_newton_product(&mut self, x: &[R], v: &[R], product: &mut [R]) {
        (**self).gauss_newton_product(x, v, product);
    }
}

/// An [`Objective`] made of a closure; see [`from_fn`].
#[derive(Debug, Clone, Copy)]
pub struct FromFn<F> {
    dimension: usize,
    function: F,
}

/// The function of `dimension` variables that `function(x, gradient) -> value` computes.
pub fn from_fn<R, F>(dimension: usize, function: F) -> FromFn<F>
where
    R: Real,
    F: FnMut(&[R], &mut [R]) -> R,
{
    FromFn {
        dimension,
        function,
    }
}

impl<F> FromFn<F> {
    /// Adds `product(x, v, out)`, which overwrites `out` with the Hessian at x times v.
    ///
    /// ```
    /// use secant::objective::{self, HessianProduct};
    ///
    /// let mut bowl = objective::from_fn(1, |x: &[f32], gradient: &mut [f32]| {
    ///     gradient[0] = 6.0 * x[0];
    ///     3.0 * x[0] * x[0]
    /// })
    /// .with_hessian_product(|_x: &[f32], v: &[f32], out: &mut [f32]| out[0] = 6.0 * v[0]);
    /// let mut product = [0.0];
    /// bowl.hessian_product(&[1.0], &[2.0], &mut product);
    /// assert_eq!(product, [12.0]);
    /// ```
    pub fn with_hessian_product<R, H>(self, product: H) -> FromFnWithHessian<F, H>
    where
        R: Real,
        H: FnMut(&[R], &[R], &mut [R]),
    {
        FromFnWithHessian {
            function: self,
            product,
        }
    }
}

impl<R: Real, F: FnMut(&[R], &mut [R]) -> R> Objective<R> for FromFn<F> {
    fn dimension(&self) -> usize {
        self.dimension
    }
    fn value_and_gradient(&mut self, x: &[R], gradient: &mut [R]) -> R {
        (self.function)(x, gradient)
    }
}

/// An [`Objective`] and its Hessian product made of two closures; see
/// [`FromFn::with_hessian_product`].
#[derive(Debug, Clone, Copy)]
pub struct FromFnWithHessian<F, H> {
    function: FromFn<F>,
    product: H,
}

impl<R: Real, F: FnMut(&[R], &mut [R]) -> R, H> Objective<R> for FromFnWithHessian<F, H> {
    fn dimension(&self) -> usize {
        self.function.dimension
    }
    fn value_and_gradient(&mut self, x: &[R], gradient: &mut [R]) -> R {
        self.function.value_and_gradient(x, gradient)
    }
}

impl<R, F, H> HessianProduct<R> for FromFnWithHessian<F, H>
where
    R: Real,
    F: FnMut(&[R], &mut [R]) -> R,
    H: FnMut(&[R], &[R], &mut [R]),
{
    fn hessian_product(&mut self, x: &[R], v: &[R], product: &mut [R]) {
        (self.product)(x, v, product);
    }
}
