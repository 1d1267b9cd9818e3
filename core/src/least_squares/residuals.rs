//! The one trait between a fit and its method: residuals, and their derivatives.

use super::matrix::Matrix;
use crate::real::Real;

/// A vector of residuals r(x), whose sum of squares is to be least.
///
/// A closure is enough ([`from_fn`]). Residuals that cannot be computed at a point are written as
/// NaN or infinity; the method takes that for "not there, come closer".
pub trait Residuals<R: Real> {
    /// The number of variables, n. Must not change during a run.
    fn variables(&self) -> usize;

    /// The number of residuals, m. Must not change during a run. There may be fewer than variables.
    fn count(&self) -> usize;

    /// **Overwrites** `residuals`, of length m, with r(x).
    fn residuals(&mut self, x: &[R], residuals: &mut [R]);

    /// Writes the derivatives `dr_i / dx_j` at x into row i and column j of `jacobian`, which is
    /// zero on entry, and returns true.
    ///
    /// The default returns false: then the derivatives are estimated by
    /// [`Differences`](super::Differences). Good derivatives save evaluations and digits.
    fn jacobian(&mut self, x: &[R], jacobian: &mut Matrix<R>) -> bool {
        let _ = (x, jacobian);
        false
    }
}

impl<R: Real, T: Residuals<R> + ?Sized> Residuals<R> for &mut T {
    fn variables(&self) -> usize {
        (**self).variables()
    }
    fn count(&self) -> usize {
        (**self).count()
    }
    fn residuals(&mut self, x: &[R], residuals: &mut [R]) {
        (**self).residuals(x, residuals);
    }
    fn jacobian(&mut self, x: &[R], jacobian: &mut Matrix<R>) -> bool {
        (**self).jacobian(x, jacobian)
    }
}

/// [`Residuals`] made of a closure; see [`from_fn`].
#[derive(Debug, Clone, Copy)]
pub struct FromFn<F> {
    variables: usize,
    count: usize,
    function: F,
}

/// The `count` residuals of `variables` variables that `function(x, residuals)` writes. Derivatives
/// are estimated by differences, unless [`FromFn::with_jacobian`] adds them.
pub fn from_fn<R, F>(variables: usize, count: usize, function: F) -> FromFn<F>
where
    R: Real,
    F: FnMut(&[R], &mut [R]),
{
    FromFn {
        variables,
        count,
        function,
    }
}

impl<F> FromFn<F> {
    /// Adds `jacobian(x, matrix)`, which writes the derivatives into the matrix, zero on entry.
    pub fn with_jacobian<R, J>(self, jacobian: J) -> FromFnWithJacobian<F, J>
    where
        R: Real,
        J: FnMut(&[R], &mut Matrix<R>),
    {
        FromFnWithJacobian {
            function: self,
            jacobian,
        }
    }
}

impl<R: Real, F: FnMut(&[R], &mut [R])> Residuals<R> for FromFn<F> {
    fn variables(&self) -> usize {
        self.variables
    }
    fn count(&self) -> usize {
        self.count
    }
    fn residuals(&mut self, x: &[R], residuals: &mut [R]) {
        (self.function)(x, residuals);
    }
}

/// [`Residuals`] and their derivatives made of two closures; see [`FromFn::with_jacobian`].
#[derive(Debug, Clone, Copy)]
pub struct FromFnWithJacobian<F, J> {
    function: FromFn<F>,
    jacobian: J,
}

impl<R, F, J> Residuals<R> for FromFnWithJacobian<F, J>
where
    R: Real,
    F: FnMut(&[R], &mut [R]),
    J: FnMut(&[R], &mut Matrix<R>),
{
    fn variables(&self) -> usize {
        self.function.variables
    }
    fn count(&self) -> usize {
        self.function.count
    }
    fn residuals(&mut self, x: &[R], residuals: &mut [R]) {
        (self.function.function)(x, residuals);
    }
    fn jacobian(&mut self, x: &[R], jacobian: &mut Matrix<R>) -> bool {
        (self.jacobian)(x, jacobian);
        true
    }
}
