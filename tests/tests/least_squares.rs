//! Levenberg-Marquardt on the certified problems of NIST and on the Moré-Garbow-Hillstrom set, held
//! against MINPACK; bounds, robust losses, covariance and statuses against oracles of their own.
//!
//! `SECANT_UPDATE_SNAPSHOTS=1 cargo test -p secant-tests --test least_squares` writes the tables
//! anew; `tests/peers/scipy_lm.py` writes MINPACK's numbers.

use std::fmt::Write;
use std::ops::ControlFlow;

use secant::Random;
use secant::least_squares::{
    self, Differences, FitReport, FitStatus, LevenbergMarquardt, LevenbergMarquardtConfig, Matrix,
    Residuals, Robust,
};
use secant_tests::dense;
use secant_tests::draw::Draw;
use secant_tests::problems::nist::certified;
use secant_tests::problems::squares::all;
use secant_tests::problems::{Number, Problem};
use secant_tests::snapshot;

fn fit<R: Number, P: Residuals<R>>(
    config: LevenbergMarquardtConfig<R>,
    problem: &mut P,
    x: &mut [R],
) -> FitReport<R> {
    let (n, m) = (problem.variables(), problem.count());
    let mut memory = vec![R::NAN; LevenbergMarquardt::<R>::memory_len(n, m)];
    let mut method = LevenbergMarquardt::new(config, n, m, &mut memory).expect("valid settings");
    method.fit(problem, x).expect("lengths agree")
}

fn solve<R: Number>(problem: &mut Problem<R>) -> (FitReport<R>, Vec<R>) {
    let mut x = problem.start.clone();
    let report = fit(LevenbergMarquardtConfig::default(), problem, &mut x);
    assert_eq!(report.evaluations, problem.evaluations, "{}", problem.name);
    (report, x)
}

/// Whether all was had that can be.
fn is_done<R>(report: &FitReport<R>) -> bool {
    report.is_converged() || report.status == Some(FitStatus::NoiseLevel)
}

/// Correct digits of the worst estimate.
fn digits<R: Number>(x: &[R], certified: &[f64]) -> f64 {
    let error = |(x, y): (&R, &f64)| ((x.to_f64() - y) / y).abs();
    let worst = x.iter().zip(certified).map(error).fold(1e-16, f64::max);
    -worst.log10()
}

/// Evaluations of MINPACK with both of its scalings, and the digits or the sum of squares.
fn minpack(name: &str) -> [(u32, String); 2] {
    let text = include_str!("../data/minpack.txt");
    let beginning = format!("{name}|");
    let line = text.lines().find_map(|line| line.strip_prefix(&beginning));
    let mut fields = line.expect("MINPACK was run on it").split('|');
    [(); 2].map(|()| {
        let words: Vec<&str> = fields.next().expect("two runs").split(' ').collect();
        (words[0].parse().expect("a count"), words[2].to_owned())
    })
}

/// The table of the problems that `keep` names, and the evaluations of Secant and MINPACK.
fn table<R: Number>(title: &str, keep: impl Fn(usize) -> bool) -> (String, Vec<[f64; 3]>) {
    let mut text = format!(
        "{title:30}Secant                   MINPACK            MINPACK, x_scale=\"jac\"\n\
         problem                 n   m  eval  jac      quality  eval      quality  eval      quality  status\n"
    );
    let estimates: Vec<Vec<f64>> = certified().into_iter().map(|c| c.estimates).collect();
    let mut counts = Vec::new();
    for (k, (name, mut problem)) in all::<R>().into_iter().enumerate() {
        if !keep(k) {
            continue;
        }
        let (report, x) = solve(&mut problem);
        let quality = estimates.get(k / 2).map_or_else(
            || format!("{:.6e}", 2.0 * report.value.to_f64()),
            |certified| format!("{:.1}", digits(&x, certified)),
        );
        let [one, jac] = minpack(&name);
        writeln!(
            text,
            "{name:22}{:>3} {:>3}  {:>4} {:>4} {quality:>12}  {:>4} {:>12}  {:>4} {:>12}  {}",
            x.len(),
            problem.count(),
            report.evaluations,
            report.jacobians,
            one.0,
            one.1,
            jac.0,
            jac.1,
            report.status.expect("it has ended"),
        )
        .expect("writing to a string");
        counts.push([report.evaluations, one.0, jac.0].map(f64::from));
    }
    let total = |i: usize| counts.iter().map(|row| row[i]).sum::<f64>();
    let mean = |i: usize| {
        let sum: f64 = counts.iter().map(|row| (row[0] / row[i]).ln()).sum();
        (sum / counts.len() as f64).exp()
    };
    writeln!(
        text,
        "total evaluations: {}, MINPACK {} and {} with jac\n\
         geometric mean over MINPACK: {:.3} and {:.3}",
        total(0),
        total(1),
        total(2),
        mean(1),
        mean(2)
    )
    .expect("writing to a string");
    (text, counts)
}

const NIST: usize = 54;

/// All 27 problems from both starts, to six digits of every estimate, with fewer evaluations than
/// MINPACK needs at its own tolerances, in total and in the geometric mean.
#[test]
fn certified_problems_to_six_digits() {
    let certified = certified();
    assert_eq!(certified.len(), 27);
    for (k, (name, mut problem)) in all::<f64>().into_iter().take(NIST).enumerate() {
        let (report, x) = solve(&mut problem);
        let answer = &certified[k / 2];
        assert!(is_done(&report), "{name}: {report}");
        let digits = digits(&x, &answer.estimates);
        assert!(digits >= 6.0, "{name}: {digits} digits, {report}");
        // Lanczos1 has none but the rounding of its data: its sum ends where steps are short.
        let error = 2.0 * report.value - answer.squares;
        let slack = 1e-6 * answer.squares
            + if answer.name == "Lanczos1" {
                1e-16
            } else {
                0.0
            };
        assert!(error.abs() <= slack, "{name}: sum of squares {report}");
    }
    let (text, counts) = table::<f64>("NIST StRD, f64", |k| k < NIST);
    snapshot::check("least_squares_nist_f64.txt", &text);
    for other in [1, 2] {
        let total = |i: usize| counts.iter().map(|row| row[i]).sum::<f64>();
        assert!(total(0) <= 0.4 * total(other));
        let mean: f64 = counts.iter().map(|row| (row[0] / row[other]).ln()).sum();
        assert!(mean <= counts.len() as f64 * 0.9f64.ln());
    }
}

/// The starts, a little off, lead to the same answers: no start was met by luck.
#[test]
fn certified_problems_from_nearby_starts() {
    let certified = certified();
    let mut draw = Draw::new(11);
    for (k, (name, mut problem)) in all::<f64>().into_iter().take(NIST).enumerate() {
        for x in &mut problem.start {
            *x *= 1.0 + 0.02 * f64::from(draw.symmetric());
        }
        let (report, x) = solve(&mut problem);
        let digits = digits(&x, &certified[k / 2].estimates);
        assert!(
            digits >= 6.0 && is_done(&report),
            "{name}: {digits} digits, {report}"
        );
    }
}

/// In f32 the data themselves have seven digits. What is reached is in the snapshot; no run ends
/// but by convergence or at the noise level.
#[test]
fn certified_problems_in_f32() {
    let certified = certified();
    let (mut sum, mut count) = (0.0, 0.0);
    for (k, (name, mut problem)) in all::<f32>().into_iter().take(NIST).enumerate() {
        let (report, x) = solve(&mut problem);
        assert!(is_done(&report), "{name}: {report}");
        let answer = &certified[k / 2];
        // A tenth of a standard deviation, or three digits.
        for (j, x) in x.iter().enumerate() {
            let error = (f64::from(*x) - answer.estimates[j]).abs();
            let allowed = (0.1 * answer.deviations[j]).max(1e-3 * answer.estimates[j].abs());
            assert!(error <= allowed, "{name}: b{} = {x}, {report}", j + 1);
        }
        sum += digits(&x, &answer.estimates);
        count += 1.0;
    }
    assert!(sum / count >= 4.0, "{} digits on average", sum / count);
    let (text, _) = table::<f32>("NIST StRD, f32", |k| k < NIST);
    snapshot::check("least_squares_nist_f32.txt", &text);
}

#[test]
fn more_garbow_hillstrom() {
    for (name, mut problem) in all::<f64>().into_iter().skip(NIST) {
        let least = problem.least;
        let (report, _) = solve(&mut problem);
        assert!(is_done(&report), "{name}: {report}");
        if let Some(least) = least {
            let value = 2.0 * report.value;
            assert!(value <= least * (1.0 + 1e-6) + 1e-12, "{name}: {report}");
        }
    }
    let (text, _) = table::<f64>("More-Garbow-Hillstrom", |k| k >= NIST);
    snapshot::check("least_squares_mgh_f64.txt", &text);
}

/// The derivatives of every problem are those of its residuals.
#[test]
fn derivatives_of_the_problems() {
    for (name, mut problem) in all::<f64>() {
        let (n, m) = (problem.start.len(), problem.count());
        let mut columns = vec![0.0; m * n];
        let x: Vec<f64> = problem.start.iter().map(|x| x * 1.01 + 1e-3).collect();
        problem.jacobian(&x, &mut Matrix::new(m, &mut columns));
        let (mut right, mut left) = (vec![0.0; m], vec![0.0; m]);
        for j in 0..n {
            let h = 1e-5 * x[j].abs().max(1e-3);
            let mut at = |value: f64, out: &mut [f64]| {
                let mut x = x.clone();
                x[j] = value;
                problem.residuals(&x, out);
            };
            at(x[j] + h, &mut right);
            at(x[j] - h, &mut left);
            let column = &columns[j * m..(j + 1) * m];
            let size = column.iter().fold(0.0f64, |most, c| most.max(c.abs()));
            for i in 0..m {
                let slope = (right[i] - left[i]) / (2.0 * h);
                let noise = 1e-15 * (right[i].abs() + left[i].abs() + 1e3) / h;
                let error = (slope - column[i]).abs();
                assert!(
                    error <= 1e-5 * size + noise,
                    "{name}: row {i}, column {j}: {} and {slope}",
                    column[i]
                );
            }
        }
    }
}

/// Standard deviations are the certified ones.
#[test]
fn covariance_is_certified() {
    for answer in certified() {
        let mut problem = answer.problem::<f64>(1);
        let (n, m) = (problem.variables(), problem.count());
        let mut memory = vec![f64::NAN; LevenbergMarquardt::<f64>::memory_len(n, m)];
        let config = LevenbergMarquardtConfig::default();
        let mut method = LevenbergMarquardt::new(config, n, m, &mut memory).expect("valid");
        let mut x = answer.estimates.clone();
        let mut matrix = vec![f64::NAN; n * n];
        // At the certified estimates of Lanczos1, the residuals are rounding errors.
        if answer.name == "Lanczos1" {
            continue;
        }
        method.fit(&mut problem, &mut x).expect("lengths agree");
        let covariance = method
            .covariance(&mut problem, &x, &mut matrix)
            .expect("lengths agree");
        assert_eq!(covariance.rank, n, "{}", answer.name);
        assert_eq!(covariance.degrees_of_freedom, m - n);
        for j in 0..n {
            let (found, certified) = (matrix[j * n + j].sqrt(), answer.deviations[j]);
            let error = (found - certified).abs() / certified;
            assert!(
                error <= 1e-5,
                "{}: {found}, certified {certified}",
                answer.name
            );
            for i in 0..n {
                assert_eq!(matrix[j * n + i].to_bits(), matrix[i * n + j].to_bits());
            }
        }
    }
}

/// Of x0 + x1 and x2 the data know something, of x0 and x1 apart nothing; x3 is in no residual.
#[test]
fn covariance_says_what_is_open() {
    let mut problem = least_squares::from_fn(4, 6, |x: &[f64], r: &mut [f64]| {
        for (i, r) in r.iter_mut().enumerate() {
            let t = i as f64;
            *r = x[0] + x[1] + 1e-9 * t * x[2] - [1.0, 2.1, 2.9, 4.2, 4.9, 6.1][i];
        }
    })
    .with_jacobian(|_: &[f64], jacobian: &mut Matrix<f64>| {
        for i in 0..6 {
            jacobian.set_row(i, &[1.0, 1.0, 1e-9 * i as f64, 0.0]);
        }
    });
    let mut memory = vec![0.0; LevenbergMarquardt::<f64>::memory_len(4, 6)];
    let config = LevenbergMarquardtConfig::default();
    let mut method = LevenbergMarquardt::new(config, 4, 6, &mut memory).expect("valid");
    let mut x = [0.0; 4];
    let report = method.fit(&mut problem, &mut x).expect("lengths agree");
    assert!(report.is_converged(), "{report}");
    let mut matrix = [0.0; 16];
    let covariance = method
        .covariance(&mut problem, &x, &mut matrix)
        .expect("lengths agree");
    assert_eq!((covariance.rank, covariance.degrees_of_freedom), (2, 4));
    for j in [0, 1, 3] {
        assert_eq!(matrix[5 * j], f64::INFINITY);
    }
    // A line through six points: the slope's variance is s^2 / sum (t - mean)^2.
    let expected = covariance.variance / 17.5 * 1e18;
    assert!((matrix[10] / expected - 1.0).abs() < 1e-9);
    assert!(matrix[1].is_nan() && matrix[2].is_nan());
}

/// A variable at its bound counts as known: the other's deviation is that of a fit without it.
#[test]
fn covariance_of_a_held_variable() {
    let y = [1.0, 2.5, 2.0, 4.5];
    let mut line = least_squares::from_fn(2, 4, |x: &[f64], r: &mut [f64]| {
        for (i, r) in r.iter_mut().enumerate() {
            *r = x[0] * (i + 1) as f64 + x[1] - y[i];
        }
    });
    let mut memory = vec![0.0; LevenbergMarquardt::<f64>::memory_len(2, 4)];
    let config = LevenbergMarquardtConfig {
        differences: Differences::Central,
        ..LevenbergMarquardtConfig::default()
    };
    let mut method = LevenbergMarquardt::new(config, 2, 4, &mut memory)
        .and_then(|method| method.with_bounds(&[-5.0, 0.5], &[5.0, 9.0]))
        .expect("valid");
    let mut x = [0.0, 3.0];
    let report = method.fit(&mut line, &mut x).expect("lengths agree");
    assert!(is_done(&report) && x[1] == 0.5, "{x:?}, {report}");
    // sum i (y_i - 1/2) / sum i^2 = 25 / 30.
    assert!((x[0] - 25.0 / 30.0).abs() < 1e-7, "{x:?}");
    let mut matrix = [f64::NAN; 4];
    let covariance = method.covariance(&mut line, &x, &mut matrix);
    let covariance = covariance.expect("lengths agree");
    assert_eq!((covariance.rank, covariance.degrees_of_freedom), (1, 3));
    assert_eq!(matrix[1..], [0.0; 3]);
    let squares: f64 = (0..4)
        .map(|i| (x[0] * (i + 1) as f64 + 0.5 - y[i]).powi(2))
        .sum();
    assert!((matrix[0] / (squares / 3.0 / 30.0) - 1.0).abs() < 1e-8);
}

/// The unit of the residuals changes no bit, those of the variables neither rules nor answer.
#[test]
fn units_change_nothing() {
    for name in ["Thurber", "MGH09", "Gauss3", "Nelson"] {
        let certified = certified();
        let answer = certified
            .iter()
            .find(|c| c.name == name)
            .expect("it is one");
        let mut plain = answer.problem::<f64>(0);
        let (report, x) = solve(&mut plain);
        for (unit, shout) in [(0, 100), (1, -100), (-1, 0)] {
            let unit = |j: usize| 2f64.powi(unit * [7, -12, 3, 0, 30, -21, 5, -2][j % 8]);
            let n = x.len();
            let mut scaled = Scaled {
                problem: answer.problem::<f64>(0),
                units: (0..n).map(unit).collect(),
                shout: 2f64.powi(shout),
            };
            let mut y: Vec<f64> = (0..n).map(|j| plain.start[j] * unit(j)).collect();
            let other = fit(LevenbergMarquardtConfig::default(), &mut scaled, &mut y);
            let y = scaled.inner(&y);
            if unit(0) == 1.0 {
                assert_eq!(
                    (other.status, other.evaluations),
                    (report.status, report.evaluations)
                );
                assert!(
                    x.iter().zip(&y).all(|(x, y)| x.to_bits() == y.to_bits()),
                    "{name}"
                );
            } else {
                // The order of the columns is another, and with it the rounding.
                assert!(is_done(&other), "{name}: {other}");
                assert!(
                    digits(&y, &answer.estimates) >= 6.0,
                    "{name}: {y:?}, {other}"
                );
                let ratio = f64::from(other.evaluations) / f64::from(report.evaluations);
                assert!((0.5..2.0).contains(&ratio), "{name}: {other} and {report}");
            }
        }
    }
}

struct Scaled {
    problem: Problem<f64>,
    units: Vec<f64>,
    shout: f64,
}

impl Scaled {
    fn inner(&self, x: &[f64]) -> Vec<f64> {
        x.iter()
            .zip(&self.units)
            .map(|(x, unit)| x / unit)
            .collect()
    }
}

impl Residuals<f64> for Scaled {
    fn variables(&self) -> usize {
        self.problem.variables()
    }
    fn count(&self) -> usize {
        self.problem.count()
    }
    fn residuals(&mut self, x: &[f64], residuals: &mut [f64]) {
        let x = self.inner(x);
        self.problem.residuals(&x, residuals);
        residuals.iter_mut().for_each(|r| *r *= self.shout);
    }
    fn jacobian(&mut self, x: &[f64], jacobian: &mut Matrix<f64>) -> bool {
        let x = self.inner(x);
        self.problem.jacobian(&x, jacobian);
        for j in 0..self.units.len() {
            let factor = self.shout / self.units[j];
            jacobian.column_mut(j).iter_mut().for_each(|d| *d *= factor);
        }
        true
    }
}

/// Differences do nearly as well as derivatives.
#[test]
fn differences_reach_the_certified_answers() {
    for differences in [Differences::Forward, Differences::Central] {
        let config = LevenbergMarquardtConfig {
            differences,
            ..LevenbergMarquardtConfig::default()
        };
        for answer in certified() {
            let mut problem = answer.problem::<f64>(1);
            let (n, m) = (problem.variables(), problem.count());
            let mut count = 0;
            let mut x = problem.start.clone();
            let report = {
                let mut values = least_squares::from_fn(n, m, |x: &[f64], r: &mut [f64]| {
                    count += 1;
                    problem.residuals(x, r);
                });
                fit(config, &mut values, &mut x)
            };
            assert_eq!(report.evaluations, count);
            let digits = digits(&x, &answer.estimates);
            // Lanczos1 and 2 have residuals of 1e-13 and 1e-6, and lose what differences lose.
            let enough = if matches!(differences, Differences::Forward) {
                3.0
            } else {
                5.0
            };
            assert!(digits >= enough, "{}: {digits}, {report}", answer.name);
        }
    }
}

/// Random linear problems in random boxes, against the conditions of optimality and against the
/// best of all choices of variables at bounds.
#[test]
fn bounds_against_every_choice_of_active_variables() {
    let mut random = Random::new(5, 0);
    let mut draw = move || f64::from(random.normal());
    for case in 0..200 {
        let (n, m) = (1 + case % 4, 2 + case % 7);
        if m < n {
            continue;
        }
        let a: Vec<f64> = (0..m * n).map(|_| draw()).collect();
        let b: Vec<f64> = (0..m).map(|_| 2.0 * draw()).collect();
        let lower: Vec<f64> = (0..n).map(|_| -0.3 * draw().abs()).collect();
        let upper: Vec<f64> = (0..n).map(|j| lower[j] + 0.5 * draw().abs()).collect();
        let residual =
            |x: &[f64], i: usize| (0..n).map(|j| a[j * m + i] * x[j]).sum::<f64>() - b[i];
        let value = |x: &[f64]| (0..m).map(|i| residual(x, i).powi(2)).sum::<f64>();

        let (low, high) = (lower.clone(), upper.clone());
        let inside = move |x: &[f64]| (0..n).all(|j| low[j] <= x[j] && x[j] <= high[j]);
        let exact = case % 2 == 0;
        let mut problem = Linear {
            a: &a,
            b: &b,
            n,
            exact,
            inside: &inside,
        };
        let mut memory = vec![f64::NAN; LevenbergMarquardt::<f64>::memory_len(n, m)];
        let config = LevenbergMarquardtConfig::default();
        let mut method = LevenbergMarquardt::new(config, n, m, &mut memory)
            .and_then(|method| method.with_bounds(&lower, &upper))
            .expect("valid");
        let mut x: Vec<f64> = (0..n).map(|_| 3.0 * draw()).collect();
        let report = method.fit(&mut problem, &mut x).expect("lengths agree");
        assert!(inside(&x), "case {case}");
        assert!((2.0 * report.value - value(&x)).abs() <= 1e-12 * (1.0 + value(&x)));

        let best = every_face(n, m, &a, &b, &lower, &upper, &value);
        let slack = if exact { 1e-9 } else { 1e-7 };
        assert!(
            value(&x) <= best + slack * (1.0 + best),
            "case {case}: {} instead of {best}, {report}",
            value(&x)
        );
        assert!(is_done(&report), "case {case}: {report}");
    }
}

struct Linear<'a> {
    a: &'a [f64],
    b: &'a [f64],
    n: usize,
    exact: bool,
    inside: &'a dyn Fn(&[f64]) -> bool,
}

impl Residuals<f64> for Linear<'_> {
    fn variables(&self) -> usize {
        self.n
    }
    fn count(&self) -> usize {
        self.b.len()
    }
    fn residuals(&mut self, x: &[f64], residuals: &mut [f64]) {
        assert!((self.inside)(x), "evaluated outside: {x:?}");
        let m = self.b.len();
        for (i, r) in residuals.iter_mut().enumerate() {
            *r = (0..self.n).map(|j| self.a[j * m + i] * x[j]).sum::<f64>() - self.b[i];
        }
    }
    fn jacobian(&mut self, _: &[f64], jacobian: &mut Matrix<f64>) -> bool {
        for j in 0..if self.exact { self.n } else { 0 } {
            let m = self.b.len();
            let column = &self.a[j * m..(j + 1) * m];
            jacobian.column_mut(j).copy_from_slice(column);
        }
        self.exact
    }
}

/// The least value over all faces of the box, each solved by its normal equations.
fn every_face(
    n: usize,
    m: usize,
    a: &[f64],
    b: &[f64],
    lower: &[f64],
    upper: &[f64],
    value: &dyn Fn(&[f64]) -> f64,
) -> f64 {
    let mut best = f64::INFINITY;
    for face in 0..3usize.pow(n as u32) {
        let state: Vec<usize> = (0..n).map(|j| face / 3usize.pow(j as u32) % 3).collect();
        let mut x: Vec<f64> = (0..n)
            .map(|j| [0.0, lower[j], upper[j]][state[j]])
            .collect();
        let free: Vec<usize> = (0..n).filter(|&j| state[j] == 0).collect();
        let dot = |j: usize, k: usize| (0..m).map(|i| a[j * m + i] * a[k * m + i]).sum::<f64>();
        let (mut matrix, mut right) = (Vec::new(), Vec::new());
        for &j in &free {
            matrix.extend(free.iter().map(|&k| dot(j, k)));
            let terms = (0..m).map(|i| {
                let known = (0..n).map(|k| a[k * m + i] * x[k]).sum::<f64>();
                a[j * m + i] * (b[i] - known)
            });
            right.push(terms.sum::<f64>());
        }
        for (&j, found) in free.iter().zip(dense::solve(matrix, right)) {
            x[j] = found;
        }
        if (0..n).all(|j| lower[j] <= x[j] && x[j] <= upper[j]) {
            best = best.min(value(&x));
        }
    }
    best
}

/// A nonlinear problem at a corner, on a face, with a fixed variable, inside, and from outside the
/// box: the projected gradient is zero at the answer.
#[test]
fn bounds_on_a_curved_valley() {
    let boxes = [
        ([-2.0, -2.0], [0.5, 2.0]),
        ([-2.0, 0.5], [0.25, 2.0]),
        ([0.75, -1.0], [0.75, 9.0]),
        ([1.5, -1.0], [f64::INFINITY, 2.0]),
        ([-9.0, -9.0], [9.0, 9.0]),
    ];
    for (lower, upper) in boxes {
        for start in [
            [-1.2, 1.0],
            [30.0, -40.0],
            lower,
            [upper[0].min(5.0), upper[1]],
        ] {
            let mut problem = least_squares::from_fn(2, 2, |x: &[f64], r: &mut [f64]| {
                assert!((0..2).all(|j| lower[j] <= x[j] && x[j] <= upper[j]));
                valley(x, r);
            });
            let mut memory = vec![0.0; LevenbergMarquardt::<f64>::memory_len(2, 2)];
            let config = LevenbergMarquardtConfig::default();
            let mut method = LevenbergMarquardt::new(config, 2, 2, &mut memory)
                .and_then(|method| method.with_bounds(&lower, &upper))
                .expect("valid");
            let mut x = start;
            let report = method.fit(&mut problem, &mut x).expect("lengths agree");
            assert!(is_done(&report), "{lower:?} {start:?}: {report}");
            assert!(report.evaluations < 150, "{report}");
            let bend = 100.0 * (x[1] - x[0] * x[0]);
            let gradient = [-2.0 * x[0] * bend - (1.0 - x[0]), bend];
            for j in 0..2 {
                let projected = x[j] - (x[j] - gradient[j]).max(lower[j]).min(upper[j]);
                let size = gradient.iter().fold(1.0f64, |most, g| most.max(g.abs()));
                assert!(
                    projected.abs() < 1e-4 * size,
                    "{lower:?} {start:?}: {x:?}, {gradient:?}, {report}"
                );
            }
        }
    }
}

/// A line through twenty points, five of them wild.
fn line(i: usize) -> (f64, f64) {
    let t = i as f64 / 4.0;
    let wiggle = ((i * 7) % 5) as f64 / 50.0 - 0.04;
    let wild = if i % 4 == 1 { 30.0 + i as f64 } else { 0.0 };
    (t, 2.0 - 0.5 * t + wiggle + wild)
}

#[test]
fn robust_losses_ignore_wild_points() {
    for robust in [
        Robust::Huber { scale: 0.1 },
        Robust::Cauchy { scale: 0.1 },
        Robust::Squares,
    ] {
        let mut problem = least_squares::from_fn(2, 20, |x: &[f64], r: &mut [f64]| {
            for (i, r) in r.iter_mut().enumerate() {
                let (t, y) = line(i);
                *r = x[0] + x[1] * t - y;
            }
        });
        let config = LevenbergMarquardtConfig {
            robust,
            differences: Differences::Central,
            ..LevenbergMarquardtConfig::default()
        };
        let mut x = [0.0, 0.0];
        let report = fit(config, &mut problem, &mut x);
        assert!(report.is_converged(), "{robust:?}: {report}");
        // The loss as it is defined, and that no neighbour is lower.
        let loss = |x: [f64; 2]| -> f64 {
            let rho = |i: usize| {
                let (t, y) = line(i);
                let r = x[0] + x[1] * t - y;
                let z = (r / 0.1f64).powi(2);
                match robust {
                    Robust::Huber { .. } if z > 1.0 => 0.01 * (2.0 * z.sqrt() - 1.0),
                    Robust::Cauchy { .. } => 0.01 * z.ln_1p(),
                    _ => r * r,
                }
            };
            0.5 * (0..20).map(rho).sum::<f64>()
        };
        assert!((report.value - loss(x)).abs() <= 1e-12 * loss(x));
        for (j, h) in [(0, 1e-4), (0, -1e-4), (1, 1e-4), (1, -1e-4)] {
            let mut other = x;
            other[j] += h;
            assert!(loss(other) > loss(x), "{robust:?}: lower at {other:?}");
        }
        let near = (x[0] - 2.0).abs() < 0.1 && (x[1] + 0.5).abs() < 0.1;
        assert_eq!(near, robust != Robust::Squares, "{robust:?}: {x:?}");
    }
}

/// Huber's estimate of the deviation stays near that of the data without the wild points.
#[test]
fn robust_covariance_is_of_the_noise() {
    let deviation = |robust: Robust<f64>, wild: bool| {
        let mut random = Random::new(3, 0);
        let noise: Vec<f64> = (0..200).map(|_| f64::from(random.normal())).collect();
        let mut problem = least_squares::from_fn(1, 200, |x: &[f64], r: &mut [f64]| {
            for (i, r) in r.iter_mut().enumerate() {
                let far = if wild && i % 20 == 0 { 1e3 } else { 0.0 };
                *r = x[0] - noise[i] - far;
            }
        });
        let config = LevenbergMarquardtConfig {
            robust,
            ..LevenbergMarquardtConfig::default()
        };
        let mut memory = vec![0.0; LevenbergMarquardt::<f64>::memory_len(1, 200)];
        let mut method = LevenbergMarquardt::new(config, 1, 200, &mut memory).expect("valid");
        let (mut x, mut matrix) = ([0.0], [0.0]);
        let report = method.fit(&mut problem, &mut x).expect("lengths agree");
        assert!(is_done(&report), "{report}");
        let found = method.covariance(&mut problem, &x, &mut matrix);
        assert_eq!(found.expect("lengths agree").rank, 1);
        matrix[0].sqrt()
    };
    let clean = deviation(Robust::Squares, false);
    assert!((clean * 200f64.sqrt() - 1.0).abs() < 0.15);
    let huber = deviation(Robust::Huber { scale: 1.345 }, false);
    assert!((huber / clean - 1.0).abs() < 0.15, "{huber} and {clean}");
    let wild = deviation(Robust::Huber { scale: 1.345 }, true);
    assert!(wild < 1.3 * clean, "{wild} and {clean}");
    assert!(deviation(Robust::Squares, true) > 10.0 * clean);
}

fn valley(x: &[f64], r: &mut [f64]) {
    (r[0], r[1]) = (10.0 * (x[1] - x[0] * x[0]), 1.0 - x[0]);
}

/// Whatever the k-th evaluation returns, the run goes on, and its value belongs to its point.
#[test]
fn a_bad_evaluation_ends_no_run() {
    for bad in [f64::NAN, f64::INFINITY, -1e300] {
        for k in 2..40 {
            let mut count = 0;
            let mut problem = least_squares::from_fn(2, 2, |x: &[f64], r: &mut [f64]| {
                count += 1;
                valley(x, r);
                if count == k {
                    r[0] = bad;
                }
            })
            .with_jacobian(|x: &[f64], jacobian: &mut Matrix<f64>| {
                jacobian.set_row(0, &[-20.0 * x[0], 10.0]);
                jacobian.set_row(1, &[-1.0, 0.0]);
            });
            let mut x = [-1.2, 1.0];
            let report = fit(LevenbergMarquardtConfig::default(), &mut problem, &mut x);
            assert!(report.is_converged(), "{bad} at {k}: {report}");
            let mut r = [0.0; 2];
            valley(&x, &mut r);
            assert_eq!(report.value, 0.5 * (r[0] * r[0] + r[1] * r[1]));
            assert!(report.value < 1e-15, "{bad} at {k}: {report}");
        }
    }
}

#[test]
fn statuses() {
    let config = LevenbergMarquardtConfig::<f64>::default();
    let run = |config, start: [f64; 2], f: fn(&[f64], &mut [f64])| {
        let mut x = start;
        let report = fit(config, &mut least_squares::from_fn(2, 2, f), &mut x);
        (report.status, report.evaluations, x)
    };
    // Not finite: the start, the residuals there, the derivatives there.
    let (status, evaluations, x) = run(config, [f64::NAN, 1.0], valley);
    assert_eq!((status, evaluations), (Some(FitStatus::NotFinite), 0));
    assert!(x[0].is_nan() && x[1] == 1.0);
    let (status, evaluations, _) = run(config, [0.0, 1.0], |x, r| r.fill(1.0 / x[0]));
    assert_eq!((status, evaluations), (Some(FitStatus::NotFinite), 1));
    let mut steep = least_squares::from_fn(1, 1, |x: &[f64], r: &mut [f64]| r[0] = x[0])
        .with_jacobian(|_: &[f64], jacobian: &mut Matrix<f64>| jacobian.set(0, 0, f64::INFINITY));
    let report = fit(config, &mut steep, &mut [1.0]);
    assert_eq!(report.status, Some(FitStatus::NotFinite));
    // Nothing to be done.
    let (status, _, x) = run(config, [3.0, 4.0], |_, r| r.fill(2.0));
    assert_eq!((status, x), (Some(FitStatus::Flat), [3.0, 4.0]));
    let (status, evaluations, _) = run(config, [1.0, 1.0], valley);
    assert_eq!(status, Some(FitStatus::ZeroResiduals));
    assert_eq!(evaluations, 1);
    // Limits are kept exactly where derivatives are given.
    for most in 1..12 {
        let limited = LevenbergMarquardtConfig {
            max_evaluations: most,
            ..config
        };
        let mut problem = all::<f64>().swap_remove(0).1;
        let report = fit(limited, &mut problem, &mut [500.0, 0.0001]);
        assert_eq!(report.status, Some(FitStatus::EvaluationLimit));
        assert_eq!(report.evaluations, most);
    }
    // A wrong Jacobian is not called convergence.
    for factor in [-1.0, -0.01] {
        let mut wrong = least_squares::from_fn(2, 2, valley).with_jacobian(
            move |x: &[f64], jacobian: &mut Matrix<f64>| {
                jacobian.set_row(0, &[-20.0 * x[0] * factor, 10.0 * factor]);
                jacobian.set_row(1, &[-factor, 0.0]);
            },
        );
        let mut x = [-1.2, 1.0];
        let report = fit(config, &mut wrong, &mut x);
        assert_eq!(report.status, Some(FitStatus::NoDecrease), "{report}");
        assert_eq!(x, [-1.2, 1.0]);
    }
    // Noise in the seventh digit, against tolerances beyond it.
    let mut count = 0u32;
    let mut noisy = least_squares::from_fn(2, 3, |x: &[f64], r: &mut [f64]| {
        count += 1;
        let noise = 1e-7 * f64::from(count * 2_654_435 % 1000) / 1000.0;
        r.copy_from_slice(&[x[0] - 1.0 + noise, x[1] * x[0] - 2.0 - noise, x[1] - 3.0]);
    })
    .with_jacobian(|x: &[f64], jacobian: &mut Matrix<f64>| {
        jacobian.set_row(0, &[1.0, 0.0]);
        jacobian.set_row(1, &[x[1], x[0]]);
        jacobian.set_row(2, &[0.0, 1.0]);
    });
    let tight = LevenbergMarquardtConfig {
        gradient_tolerance: 0.0,
        offset_tolerance: 0.0,
        step_tolerance: 0.0,
        ..config
    };
    let report = fit(tight, &mut noisy, &mut [0.5, 0.5]);
    assert_eq!(report.status, Some(FitStatus::NoiseLevel), "{report}");
    assert!(report.evaluations < 200, "{report}");
}

#[test]
fn callbacks_see_every_step() {
    let mut memory = vec![0.0; LevenbergMarquardt::<f64>::memory_len(2, 2)];
    let config = LevenbergMarquardtConfig::default();
    let mut method = LevenbergMarquardt::new(config, 2, 2, &mut memory).expect("valid");
    let mut problem = least_squares::from_fn(2, 2, valley);
    let mut x = [-1.2, 1.0];
    let (mut seen, mut last) = (0, f64::INFINITY);
    let report = method
        .fit_with(&mut problem, &mut x, |step, x| {
            seen += 1;
            assert_eq!(step.iterations, seen);
            let mut r = [0.0; 2];
            valley(x, &mut r);
            assert!((step.value - 0.5 * (r[0] * r[0] + r[1] * r[1])).abs() <= 1e-15 * step.value);
            assert!(step.value < last);
            last = step.value;
            ControlFlow::Continue(())
        })
        .expect("lengths agree");
    assert_eq!(report.iterations, seen);
    // Stopped after the third, and run on from there step by step.
    let mut y = [-1.2, 1.0];
    let stopped = method
        .fit_with(&mut problem, &mut y, |step, _| match step.iterations {
            3 => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        })
        .expect("lengths agree");
    assert_eq!(stopped.status, Some(FitStatus::StoppedByCaller));
    assert_eq!(stopped.iterations, 3);
    let again = method.step(&mut problem, &mut y).expect("lengths agree");
    assert_eq!(again, stopped);
    method.reset();
    let mut z = [-1.2, 1.0];
    while method
        .step(&mut problem, &mut z)
        .expect("lengths agree")
        .status
        .is_none()
    {}
    assert_eq!(z.map(f64::to_bits), x.map(f64::to_bits));
}

#[test]
fn sizes_at_the_edge() {
    let config = LevenbergMarquardtConfig::<f32>::default();
    // No variables, no residuals, fewer residuals than variables.
    let mut nothing = least_squares::from_fn(0, 2, |_: &[f32], r: &mut [f32]| r.fill(1.0));
    assert!(fit(config, &mut nothing, &mut []).is_converged());
    let mut empty = least_squares::from_fn(2, 0, |_: &[f32], _: &mut [f32]| {});
    let report = fit(config, &mut empty, &mut [1.0, 2.0]);
    assert!(report.is_converged() && report.value == 0.0, "{report}");
    let mut wide = least_squares::from_fn(3, 1, |x: &[f32], r: &mut [f32]| {
        r[0] = x[0] + 2.0 * x[1] * x[1] - x[2] - 7.0;
    });
    let mut x = [1.0, 1.0, 1.0];
    let report = fit(config, &mut wide, &mut x);
    assert!(report.value < 1e-10, "{report}");
    // Magnitudes whose squares are no numbers of the type.
    for size in [1e-30f32, 1e30] {
        let mut huge = least_squares::from_fn(2, 3, move |x: &[f32], r: &mut [f32]| {
            r[0] = size * (x[0] - 1.0);
            r[1] = size * (x[1] * x[0] - 2.0);
            r[2] = size * (x[1] - 2.5);
        });
        let mut x = [3.0, 3.0];
        let report = fit(config, &mut huge, &mut x);
        assert!(is_done(&report), "{size}: {report}");
        let (a, b) = (x[0], x[1]);
        let slopes = [(a - 1.0) + b * (a * b - 2.0), a * (a * b - 2.0) + (b - 2.5)];
        assert!(slopes.iter().all(|g| g.abs() < 1e-2), "{size}: {slopes:?}");
    }
}

#[test]
fn settings_are_checked() {
    let default = LevenbergMarquardtConfig::<f32>::default();
    let mut memory = [0.0; 200];
    let mut refused = |config: LevenbergMarquardtConfig<f32>| {
        LevenbergMarquardt::new(config, 2, 3, &mut memory)
            .expect_err("out of range")
            .to_string()
    };
    for wrong in [f32::NAN, -1e-3, 1.0, f32::INFINITY] {
        let config = LevenbergMarquardtConfig {
            step_tolerance: wrong,
            ..default
        };
        assert!(refused(config).starts_with("step_tolerance must be in [0, 1)"));
    }
    for scale in [0.0, f32::NAN, f32::INFINITY] {
        let config = LevenbergMarquardtConfig {
            robust: Robust::Huber { scale },
            ..default
        };
        assert!(refused(config).starts_with("scale must be positive"));
    }
    let config = LevenbergMarquardtConfig {
        radius: 0.0,
        ..default
    };
    assert!(refused(config).starts_with("radius must be positive"));
    let (needed, mut short) = (LevenbergMarquardt::<f32>::memory_len(2, 3), [0.0; 20]);
    assert_eq!(needed, 6 + 9 + 12 + 36);
    assert!(LevenbergMarquardt::new(default, 2, 3, &mut short).is_err());
    let infinity = f32::INFINITY;
    for (lower, upper) in [
        (vec![1.0, 0.0], vec![0.0, 1.0]),
        (vec![f32::NAN, 0.0], vec![1.0, 1.0]),
        (vec![infinity, 0.0], vec![infinity, 1.0]),
        (vec![0.0], vec![1.0]),
    ] {
        let method = LevenbergMarquardt::new(default, 2, 3, &mut memory).expect("valid");
        assert!(method.with_bounds(&lower, &upper).is_err());
    }
    let mut method = LevenbergMarquardt::new(default, 2, 3, &mut memory).expect("valid");
    let mut other = least_squares::from_fn(2, 4, |_: &[f32], _: &mut [f32]| {});
    assert!(method.fit(&mut other, &mut [0.0; 2]).is_err());
    assert!(method.fit(&mut other, &mut [0.0; 3]).is_err());
}
