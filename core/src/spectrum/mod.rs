//! The spectrum of a symmetric matrix that is known by its products with vectors: of a Hessian,
//! above all.
//!
//! * [`Lanczos`]: the extreme eigenvalues with their eigenvectors, each with a bound on its error.
//! * [`density`]: how many eigenvalues lie where (stochastic Lanczos quadrature).
//! * [`trace`]: their sum, with its standard error (Hutchinson).
//! * [`tridiagonal`]: all eigenvalues of a small tridiagonal matrix, which the others need.
//!
//! A product is a closure `FnMut(&[R], &mut [R])` that **overwrites** its second argument with the
//! matrix times its first. Memory comes from the caller; random vectors come from
//! [`Random`], so that every result has the same bits on every target, if the product
//! has.
//!
//! Eigenvectors that are known already can be taken out of what is estimated: [`Known`].

mod density;
mod lanczos;
mod trace;
mod tridiagonal;

pub use density::{Node, density};
pub use lanczos::{Ending, Lanczos};
pub use trace::{Trace, trace};
pub use tridiagonal::tridiagonal;

use crate::error::ConfigError;
use crate::random::Random;
use crate::real::Real;
use crate::vector;

/// Eigenvalues with their eigenvectors: the part of a matrix that needs no estimate.
///
/// Probes are projected off these vectors, so the error of an estimate comes from the rest of the
/// spectrum alone. Hessians of networks have few large eigenvalues and many small ones; with the
/// large ones known, the estimates of trace and moments are better by orders of magnitude. (This is
/// the idea of Hutch++, R. Meyer and others, SOSA 2021; vectors from [`Lanczos`] save its sketch.)
#[derive(Debug, Clone, Copy)]
pub struct Known<'a, R> {
    /// The eigenvalues.
    pub values: &'a [R],
    /// Their eigenvectors, orthonormal, one after the other, each of length n.
    pub vectors: &'a [R],
}

impl<R: Real> Known<'_, R> {
    /// Nothing is known.
    pub const NOTHING: Self = Known {
        values: &[],
        vectors: &[],
    };

    /// Takes out of `x` what lies along the known eigenvectors.
    fn project(&self, x: &mut [R]) {
        for v in self.vectors.chunks_exact(x.len().max(1)) {
            vector::axpy(-vector::dot(v, x), v, x);
        }
    }

    /// Dimensions that are left of n.
    fn rest(&self, n: usize) -> R {
        R::of(n.saturating_sub(self.values.len()) as f64)
    }

    fn check(&self, n: usize) -> Result<(), ConfigError> {
        let expected = self.values.len().saturating_mul(n);
        crate::error::check_length("vectors", expected, self.vectors.len())
    }
}

/// Fills `x` with -1 and 1, each as likely (Rademacher's distribution): of all probes with
/// independent elements those with the least variance of `x' A x`. Takes one word for 32 elements.
pub fn signs<R: Real>(random: &mut Random, x: &mut [R]) {
    for block in x.chunks_mut(32) {
        let bits = random.next_u32();
        for (i, x) in block.iter_mut().enumerate() {
            *x = if bits >> i & 1 == 1 { R::ONE } else { -R::ONE };
        }
    }
}
