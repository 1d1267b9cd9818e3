//! The Moré-Garbow-Hillstrom set for nonlinear least squares: its 35 problems, those written as
//! residuals elsewhere included, in the dimensions of MINPACK's test program.

use secant::Real;
use secant::least_squares::{Matrix, Residuals};

use super::{Kind, Number, Problem, c, dense, fits, nist, small};

impl<R: Number> Residuals<R> for Problem<R> {
    fn variables(&self) -> usize {
        self.start.len()
    }

    /// # Panics
    /// When the problem is not a sum of squares.
    fn count(&self) -> usize {
        match self.kind {
            Kind::Squares { residuals, .. } => residuals,
            Kind::Smooth(_) => panic!("{} is not a sum of squares", self.name),
        }
    }

    fn residuals(&mut self, x: &[R], residuals: &mut [R]) {
        self.evaluations += 1;
        let Kind::Squares { residual, .. } = &self.kind else {
            return;
        };
        for (i, r) in residuals.iter_mut().enumerate() {
            *r = residual(i, x, &mut self.row);
        }
    }

    fn jacobian(&mut self, x: &[R], jacobian: &mut Matrix<R>) -> bool {
        let Kind::Squares { residual, .. } = &self.kind else {
            return false;
        };
        for i in 0..jacobian.rows() {
            self.row.fill(R::ZERO);
            residual(i, x, &mut self.row);
            jacobian.set_row(i, &self.row);
        }
        true
    }
}

/// The set, in the order of its publication.
pub fn more_garbow_hillstrom<R: Number>() -> Vec<Problem<R>> {
    vec![
        small::rosenbrock(),
        small::freudenstein_roth(),
        small::powell_badly_scaled(),
        small::brown_badly_scaled(),
        small::beale(),
        fits::jennrich_sampson(),
        small::helical_valley(),
        fits::bard(),
        fits::gaussian(),
        fits::meyer(),
        fits::gulf(),
        fits::box_three_dimensional(),
        powell_singular(4),
        wood(),
        fits::kowalik_osborne(),
        fits::brown_dennis(),
        fits::osborne1(),
        fits::biggs_exp6(),
        fits::osborne2(),
        fits::watson(6),
        fits::watson(12),
        rosenbrock(12),
        powell_singular(20),
        penalty1(10),
        dense::penalty2(10),
        variably_dimensioned(10),
        trigonometric(10),
        dense::brown_almost_linear(10),
        boundary_value(10),
        dense::discrete_integral(10),
        broyden_tridiagonal(10),
        broyden_banded(10),
        dense::linear_full_rank(5),
        linear_rank_1(5, false),
        linear_rank_1(5, true),
        dense::chebyquad(8),
    ]
}

fn repeat(pattern: &[f64], n: usize) -> Vec<f64> {
    pattern.iter().copied().cycle().take(n).collect()
}

fn rosenbrock<R: Number>(n: usize) -> Problem<R> {
    let start = repeat(&[-1.2, 1.0], n);
    Problem::<R>::squares("Rosenbrock, extended", start, 0.0, n, |i, x, row| {
        let a = i / 2 * 2;
        if i == a {
            row[a] = c::<R>(-20.0) * x[a];
            row[a + 1] = c(10.0);
            c::<R>(10.0) * (x[a + 1] - x[a] * x[a])
        } else {
            row[a] = -R::ONE;
            R::ONE - x[a]
        }
    })
}

fn powell_singular<R: Number>(n: usize) -> Problem<R> {
    let name = if n == 4 {
        "Powell singular"
    } else {
        "Powell, extended"
    };
    let start = repeat(&[3.0, -1.0, 0.0, 1.0], n);
    Problem::<R>::squares(name, start, 0.0, n, |i, x, row| {
        let a = i / 4 * 4;
        let (p, q, r, s) = (x[a], x[a + 1], x[a + 2], x[a + 3]);
        let (root5, root10) = (c::<R>(5f64.sqrt()), c::<R>(10f64.sqrt()));
        match i % 4 {
            0 => {
                (row[a], row[a + 1]) = (R::ONE, c(10.0));
                p + c::<R>(10.0) * q
            }
            1 => {
                (row[a + 2], row[a + 3]) = (root5, -root5);
                root5 * (r - s)
            }
            2 => {
                let d = q - c::<R>(2.0) * r;
                (row[a + 1], row[a + 2]) = (c::<R>(2.0) * d, c::<R>(-4.0) * d);
                d * d
            }
            _ => {
                let d = p - s;
                let slope = c::<R>(2.0) * root10 * d;
                (row[a], row[a + 3]) = (slope, -slope);
                root10 * d * d
            }
        }
    })
}

fn wood<R: Number>() -> Problem<R> {
    let start = vec![-3.0, -1.0, -3.0, -1.0];
    Problem::<R>::squares("Wood", start, 0.0, 6, |i, x, row| {
        let (root90, root10) = (c::<R>(90f64.sqrt()), c::<R>(10f64.sqrt()));
        match i {
            0 => {
                (row[0], row[1]) = (c::<R>(-20.0) * x[0], c(10.0));
                c::<R>(10.0) * (x[1] - x[0] * x[0])
            }
            1 => {
                row[0] = -R::ONE;
                R::ONE - x[0]
            }
            2 => {
                (row[2], row[3]) = (c::<R>(-2.0) * root90 * x[2], root90);
                root90 * (x[3] - x[2] * x[2])
            }
            3 => {
                row[2] = -R::ONE;
                R::ONE - x[2]
            }
            4 => {
                (row[1], row[3]) = (root10, root10);
                root10 * (x[1] + x[3] - c(2.0))
            }
            _ => {
                (row[1], row[3]) = (R::ONE / root10, -R::ONE / root10);
                (x[1] - x[3]) / root10
            }
        }
    })
}

fn penalty1<R: Number>(n: usize) -> Problem<R> {
    let start = (1..=n).map(|i| i as f64).collect();
    Problem::<R>::squares("Penalty I", start, 7.087_651e-5, n + 1, |i, x, row| {
        let root = c::<R>(1e-5f64.sqrt());
        if i < x.len() {
            row[i] = root;
            return root * (x[i] - R::ONE);
        }
        let mut sum = -c::<R>(0.25);
        for (row, &x) in row.iter_mut().zip(x) {
            *row = c::<R>(2.0) * x;
            sum += x * x;
        }
        sum
    })
}

fn variably_dimensioned<R: Number>(n: usize) -> Problem<R> {
    let start = (1..=n).map(|i| 1.0 - i as f64 / n as f64).collect();
    Problem::<R>::squares("Variably dimensioned", start, 0.0, n + 2, |i, x, row| {
        let n = x.len();
        if i < n {
            row[i] = R::ONE;
            return x[i] - R::ONE;
        }
        let mut sum = R::ZERO;
        for (j, &x) in x.iter().enumerate() {
            sum += c::<R>(j as f64 + 1.0) * (x - R::ONE);
        }
        let squared = i > n;
        for (j, row) in row.iter_mut().enumerate() {
            let slope = if squared { c::<R>(2.0) * sum } else { R::ONE };
            *row = c::<R>(j as f64 + 1.0) * slope;
        }
        if squared { sum * sum } else { sum }
    })
}

fn trigonometric<R: Number>(n: usize) -> Problem<R> {
    let start = vec![1.0 / n as f64; n];
    Problem::<R>::squares("Trigonometric", start, f64::NAN, n, |i, x, row| {
        let weight = c::<R>(i as f64 + 1.0);
        let mut value = c::<R>(x.len() as f64) + weight * (R::ONE - x[i].cos()) - x[i].sin();
        for (row, &x) in row.iter_mut().zip(x) {
            value += -x.cos();
            *row = x.sin();
        }
        row[i] += weight * x[i].sin() - x[i].cos();
        value
    })
}

/// Elements beyond either end are zero.
fn neighbour<R: Real>(x: &[R], j: Option<usize>) -> R {
    j.and_then(|j| x.get(j)).copied().unwrap_or(R::ZERO)
}

fn boundary_value<R: Number>(n: usize) -> Problem<R> {
    let h = 1.0 / (n as f64 + 1.0);
    let t = move |j: usize| (j as f64 + 1.0) * h;
    let start = (0..n).map(|j| t(j) * (t(j) - 1.0)).collect();
    Problem::<R>::squares(
        "Discrete boundary value",
        start,
        0.0,
        n,
        move |i, x, row| {
            let base = x[i] + c(t(i) + 1.0);
            row[i] = c::<R>(2.0) + c::<R>(1.5 * h * h) * base * base;
            for j in [i.checked_sub(1), Some(i + 1)].into_iter().flatten() {
                if let Some(row) = row.get_mut(j) {
                    *row = -R::ONE;
                }
            }
            c::<R>(2.0) * x[i] - neighbour(x, i.checked_sub(1)) - neighbour(x, Some(i + 1))
                + c::<R>(0.5 * h * h) * base * base * base
        },
    )
}

fn broyden_tridiagonal<R: Number>(n: usize) -> Problem<R> {
    Problem::<R>::squares("Broyden tridiagonal", vec![-1.0; n], 0.0, n, |i, x, row| {
        row[i] = c::<R>(3.0) - c::<R>(4.0) * x[i];
        if i > 0 {
            row[i - 1] = -R::ONE;
        }
        if i + 1 < x.len() {
            row[i + 1] = c(-2.0);
        }
        (c::<R>(3.0) - c::<R>(2.0) * x[i]) * x[i]
            - neighbour(x, i.checked_sub(1))
            - c::<R>(2.0) * neighbour(x, Some(i + 1))
            + R::ONE
    })
}

fn broyden_banded<R: Number>(n: usize) -> Problem<R> {
    Problem::<R>::squares("Broyden banded", vec![-1.0; n], 0.0, n, |i, x, row| {
        let mut value = x[i] * (c::<R>(2.0) + c::<R>(5.0) * x[i] * x[i]) + R::ONE;
        row[i] = c::<R>(2.0) + c::<R>(15.0) * x[i] * x[i];
        for j in i.saturating_sub(5)..(i + 2).min(x.len()) {
            if j != i {
                value += -x[j] * (R::ONE + x[j]);
                row[j] = -R::ONE - c::<R>(2.0) * x[j];
            }
        }
        value
    })
}

/// `i (1 x_1 + 2 x_2 + ...) - 1`; with zeros, the first and last residuals and variables drop out.
fn linear_rank_1<R: Number>(n: usize, zeros: bool) -> Problem<R> {
    let m = 10;
    let (name, least) = if zeros {
        ("Linear, rank 1, zeros", 3.6470588235294117)
    } else {
        ("Linear, rank 1", 2.142857142857143)
    };
    Problem::<R>::squares(name, vec![1.0; n], least, m, move |i, x, row| {
        let mut value = -R::ONE;
        if zeros && (i == 0 || i + 1 == m) {
            return value;
        }
        let weight = if zeros { i } else { i + 1 };
        for j in 0..n {
            if zeros && (j == 0 || j + 1 == n) {
                continue;
            }
            row[j] = c((weight * (j + 1)) as f64);
            value += row[j] * x[j];
        }
        value
    })
}

/// NIST's problems from both starts, named `NAME 1` and `NAME 2`, then [`more_garbow_hillstrom`].
pub fn all<R: Number>() -> Vec<(String, Problem<R>)> {
    let mut problems = Vec::new();
    for certified in nist::certified() {
        for start in 0..2 {
            let name = format!("{} {}", certified.name, start + 1);
            problems.push((name, certified.problem(start)));
        }
    }
    let set = more_garbow_hillstrom().into_iter();
    problems.extend(set.map(|problem| (problem.name.to_owned(), problem)));
    problems
}
