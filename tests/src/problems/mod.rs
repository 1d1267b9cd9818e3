//! Test problems with known answers: the Moré-Garbow-Hillstrom set, and problems of CUTEst.
//!
//! Every problem is written once over [`Number`], so that it runs in `f32` and in `f64`. Sums of
//! squares are written as residuals with their gradients (which also gives Gauss-Newton products),
//! the rest as value and gradient.
//!
//! Sources: J. Moré, B. Garbow, K. Hillstrom, *Testing unconstrained optimization software*, ACM
//! Trans. Math. Softw. 7 (1981); N. Gould, D. Orban, Ph. Toint, *CUTEst*, Comput. Optim. Appl. 60
//! (2015).

pub mod bounded;
mod chains;
mod data;
mod dense;
mod fits;
pub mod nist;
mod small;
pub mod squares;
pub mod unseen;

use secant::Real;
use secant::objective::{HessianProduct, Objective};

/// [`Real`] with the functions that test problems need, from `libm`: a run has the same bits on
/// every machine.
pub trait Number: Real {
    /// e to the power of self.
    fn exp(self) -> Self;
    /// The natural logarithm.
    fn ln(self) -> Self;
    /// The sine.
    fn sin(self) -> Self;
    /// The cosine.
    fn cos(self) -> Self;
    /// The arc tangent.
    fn atan(self) -> Self;
    /// self to the power of y.
    fn pow(self, y: Self) -> Self;
}

macro_rules! number {
    ($type:ident, $exp:ident, $ln:ident, $sin:ident, $cos:ident, $atan:ident, $pow:ident) => {
        impl Number for $type {
            fn exp(self) -> Self {
                libm::$exp(self)
            }
            fn ln(self) -> Self {
                libm::$ln(self)
            }
            fn sin(self) -> Self {
                libm::$sin(self)
            }
            fn cos(self) -> Self {
                libm::$cos(self)
            }
            fn atan(self) -> Self {
                libm::$atan(self)
            }
            fn pow(self, y: Self) -> Self {
                libm::$pow(self, y)
            }
        }
    };
}
number!(f32, expf, logf, sinf, cosf, atanf, powf);
number!(f64, exp, log, sin, cos, atan, pow);

/// Shorthand for literals.
fn c<R: Real>(value: f64) -> R {
    R::of(value)
}

/// Value and gradient of a function; overwrites the gradient, which is zero on entry.
type Smooth<R> = Box<dyn Fn(&[R], &mut [R]) -> R + Send + Sync>;
/// Residual i and its gradient; the row is zero on entry.
type Residual<R> = Box<dyn Fn(usize, &[R], &mut [R]) -> R + Send + Sync>;

enum Kind<R> {
    Smooth(Smooth<R>),
    Squares {
        residuals: usize,
        residual: Residual<R>,
    },
}

/// What a problem is held against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reference {
    /// Evaluations of the reference L-BFGS (Fortran, double precision, m = 6).
    Evaluations(u32),
    /// The reference fails here: the only demand is to fail well.
    Fails,
    /// Not in the published table.
    None,
}

/// A problem: a function, where to start, and what is known of the answer.
pub struct Problem<R> {
    /// Its usual name.
    pub name: &'static str,
    /// The usual start.
    pub start: Vec<R>,
    /// The least value known, if one is.
    pub least: Option<f64>,
    /// What the reference implementation did.
    pub reference: Reference,
    /// Evaluations made so far.
    pub evaluations: u32,
    kind: Kind<R>,
    row: Vec<R>,
}

impl<R: Number> Problem<R> {
    fn new(name: &'static str, start: Vec<f64>, least: f64, kind: Kind<R>) -> Self {
        let row = vec![R::ZERO; start.len()];
        let start = start.into_iter().map(R::of).collect();
        let least = if least.is_nan() { None } else { Some(least) };
        Self {
            name,
            start,
            least,
            reference: Reference::None,
            evaluations: 0,
            kind,
            row,
        }
    }

    fn smooth(
        name: &'static str,
        start: Vec<f64>,
        least: f64,
        function: impl Fn(&[R], &mut [R]) -> R + Send + Sync + 'static,
    ) -> Self {
        Self::new(name, start, least, Kind::Smooth(Box::new(function)))
    }

    fn squares(
        name: &'static str,
        start: Vec<f64>,
        least: f64,
        residuals: usize,
        residual: impl Fn(usize, &[R], &mut [R]) -> R + Send + Sync + 'static,
    ) -> Self {
        Self::new(
            name,
            start,
            least,
            Kind::Squares {
                residuals,
                residual: Box::new(residual),
            },
        )
    }

    fn reference(mut self, evaluations: u32) -> Self {
        self.reference = Reference::Evaluations(evaluations);
        self
    }

    fn hard(mut self) -> Self {
        self.reference = Reference::Fails;
        self
    }

    /// Whether it is a sum of squares, so that Gauss-Newton products exist.
    pub fn is_sum_of_squares(&self) -> bool {
        matches!(self.kind, Kind::Squares { .. })
    }
}

impl<R: Number> Objective<R> for Problem<R> {
    fn dimension(&self) -> usize {
        self.start.len()
    }

    fn value_and_gradient(&mut self, x: &[R], gradient: &mut [R]) -> R {
        self.evaluations += 1;
        gradient.fill(R::ZERO);
        match &self.kind {
            Kind::Smooth(function) => function(x, gradient),
            Kind::Squares {
                residuals,
                residual,
            } => {
                let mut value = R::ZERO;
                for i in 0..*residuals {
                    self.row.fill(R::ZERO);
                    let r = residual(i, x, &mut self.row);
                    value += r * r;
                    for (g, &slope) in gradient.iter_mut().zip(&self.row) {
                        *g += c::<R>(2.0) * r * slope;
                    }
                }
                value
            }
        }
    }
}

/// The Hessian product by a central difference of gradients: good to about a third of the digits.
impl<R: Number> HessianProduct<R> for Problem<R> {
    fn hessian_product(&mut self, x: &[R], v: &[R], product: &mut [R]) {
        let evaluations = self.evaluations;
        let size = secant::vector::norm2(x).larger(R::ONE)
            / secant::vector::norm2(v).larger(R::MIN_POSITIVE);
        let h = size * R::EPSILON.pow(c(1.0 / 3.0));
        let shifted = |sign: R| {
            x.iter()
                .zip(v)
                .map(|(&x, &v)| x + sign * h * v)
                .collect::<Vec<_>>()
        };
        let mut below = vec![R::ZERO; x.len()];
        self.value_and_gradient(&shifted(-R::ONE), &mut below);
        self.value_and_gradient(&shifted(R::ONE), product);
        for (p, b) in product.iter_mut().zip(below) {
            *p = (*p - b) / (c::<R>(2.0) * h);
        }
        self.evaluations = evaluations;
    }

    fn gauss_newton_product(&mut self, x: &[R], v: &[R], product: &mut [R]) {
        let Kind::Squares {
            residuals,
            residual,
        } = &self.kind
        else {
            self.hessian_product(x, v, product);
            return;
        };
        product.fill(R::ZERO);
        for i in 0..*residuals {
            self.row.fill(R::ZERO);
            residual(i, x, &mut self.row);
            let along = secant::vector::dot(&self.row, v);
            secant::vector::axpy(c::<R>(2.0) * along, &self.row, product);
        }
    }
}

/// The first table of the reference: all of them must be solved.
pub fn table<R: Number>() -> Vec<Problem<R>> {
    vec![
        small::rosenbrock().reference(45),
        small::beale().reference(15),
        small::brown_badly_scaled().reference(25),
        fits::bard().reference(24),
        fits::box_three_dimensional().reference(10),
        fits::kowalik_osborne().reference(35),
        fits::osborne1().reference(147),
        chains::powell_singular(5000).reference(72),
        chains::wood(4000).reference(114),
        dense::variably_dimensioned(200).reference(42),
        small::cube().reference(47),
        small::sineval().reference(95),
        chains::dixon3dq(10_000).reference(2142),
        chains::engval1(5000).reference(18),
    ]
}

/// The second table: the reference fails on them.
pub fn hard<R: Number>() -> Vec<Problem<R>> {
    vec![
        fits::brown_dennis().hard(),
        fits::jennrich_sampson().hard(),
        fits::meyer().hard(),
        chains::freudenstein_roth(5000).hard(),
    ]
}

/// Problems beyond the two tables.
pub fn more<R: Number>() -> Vec<Problem<R>> {
    vec![
        small::freudenstein_roth(),
        small::powell_badly_scaled(),
        small::helical_valley(),
        small::himmelblau(),
        small::booth(),
        fits::gaussian(),
        fits::gulf(),
        fits::biggs_exp6(),
        fits::osborne2(),
        fits::watson(6),
        fits::watson(12),
        dense::penalty1(10),
        dense::penalty2(10),
        dense::variably_dimensioned(10),
        dense::trigonometric(10),
        dense::brown_almost_linear(10),
        dense::discrete_integral(50),
        dense::chebyquad(8),
        dense::hilbert(10),
        dense::linear_full_rank(20),
        chains::rosenbrock(100),
        chains::rosenbrock(1000),
        chains::chained_rosenbrock(25),
        chains::powell_singular(40),
        chains::wood(40),
        chains::discrete_boundary_value(50),
        chains::broyden_tridiagonal(500),
        chains::broyden_banded(500),
        chains::dixon3dq(100),
        chains::tridia(1000),
        chains::arwhead(1000),
        chains::bdqrtic(1000),
        chains::dqdrtic(1000),
        chains::dqrtic(1000),
        chains::edensch(1000),
        chains::liarwhd(1000),
        chains::nondia(1000),
        chains::nondquar(100),
        chains::cragglvy(1000),
        chains::engval1(100),
        chains::power(100),
        chains::quartic_chain(1000),
        chains::extrosnb(100),
        chains::genrose(500),
    ]
}

/// Every problem.
pub fn all<R: Number>() -> Vec<Problem<R>> {
    let mut problems = table();
    problems.extend(hard());
    problems.extend(more());
    problems
}
