//! Newton's method with a dense Hessian: right where the Hessian is positive definite, and shown to
//! go wrong where it is not.

use secant::objective::{self, HessianProduct, Objective};
use secant::optim::{
    Inertia, Newton, NewtonCg, NewtonCgConfig, NewtonConfig, Report, Termination, ldl, ldl_solve,
};
use secant_tests::draw::Draw;
use secant_tests::{problems, snapshot};

/// `f = x' A x / 2 - b' x` of a dense symmetric A, row-major.
fn quadratic(a: Vec<f64>, b: Vec<f64>) -> impl HessianProduct<f64> {
    let n = b.len();
    let multiply = move |x: &[f64], y: &mut [f64]| {
        for (row, y) in a.chunks_exact(n).zip(y) {
            *y = row.iter().zip(x).map(|(a, x)| a * x).sum();
        }
    };
    let value = {
        let multiply = multiply.clone();
        move |x: &[f64], g: &mut [f64]| {
            multiply(x, g);
            let mut value = 0.0;
            for j in 0..n {
                value += x[j] * (0.5 * g[j] - b[j]);
                g[j] -= b[j];
            }
            value
        }
    };
    objective::from_fn(n, value)
        .with_hessian_product(move |_: &[f64], v: &[f64], out: &mut [f64]| multiply(v, out))
}

fn run(config: NewtonConfig<f64>, f: &mut impl HessianProduct<f64>, x: &mut [f64]) -> Report<f64> {
    let mut memory = vec![f64::NAN; Newton::<f64>::memory_len(x.len())];
    Newton::new(config, x.len(), &mut memory)
        .unwrap()
        .minimize(f, x)
        .unwrap()
}

/// A random symmetric matrix with its eigenvalues moved by `shift`.
fn symmetric(n: usize, shift: f64, draw: &mut Draw) -> Vec<f64> {
    let mut a = vec![0.0; n * n];
    for i in 0..n {
        for j in 0..=i {
            let x = f64::from(draw.symmetric());
            (a[i * n + j], a[j * n + i]) = (x, x);
        }
        a[i * n + i] += shift;
    }
    a
}

#[test]
fn factors_solve_and_count_negative_eigenvalues() {
    let mut draw = Draw::new(1);
    for n in [1, 2, 7, 16, 33, 60] {
        for shift in [0.0, 3.0 * n as f64] {
            let a = symmetric(n, shift, &mut draw);
            let diagonal: Vec<f64> = (0..n).map(|i| a[i * n + i]).collect();
            let (mut matrix, mut pivots) = (a.clone(), vec![0.0; n]);
            let inertia = ldl(&mut matrix, &diagonal, &mut pivots).unwrap();
            // By Lanczos, which knows nothing of factors.
            let mut memory = vec![0.0; secant::spectrum::Lanczos::<f64>::memory_len(n, n)];
            let mut lanczos = secant::spectrum::Lanczos::new(n, n, &mut memory).unwrap();
            let start: Vec<f64> = (0..n).map(|i| 1.0 + (i as f64).sin()).collect();
            let product = |x: &[f64], y: &mut [f64]| {
                for (row, y) in a.chunks_exact(n).zip(y) {
                    *y = row.iter().zip(x).map(|(a, x)| a * x).sum();
                }
            };
            let _ = lanczos.run(&start, product).unwrap();
            let negative = lanczos.values().iter().filter(|x| **x < 0.0).count();
            match negative {
                0 => assert_eq!(inertia, Inertia::PositiveDefinite, "{n}, {shift}"),
                _ => assert_eq!(inertia, Inertia::Indefinite(negative), "{n}, {shift}"),
            }
            assert!(shift == 0.0 || negative == 0);
            let solution: Vec<f64> = (0..n).map(|_| f64::from(draw.symmetric())).collect();
            let mut x = vec![0.0; n];
            product(&solution, &mut x);
            ldl_solve(&matrix, &pivots, &mut x).unwrap();
            // Without pivoting an indefinite matrix may lose some digits.
            let most = if negative == 0 { 1e-13 } else { 1e-7 };
            for (x, s) in x.iter().zip(&solution) {
                assert!((x - s).abs() < most, "{n}, {shift}: {x} {s}");
            }
        }
    }
    assert_eq!(
        ldl(&mut [0.0, 1.0, 1.0, 0.0], &[0.0; 2], &mut [0.0; 2]),
        Ok(Inertia::Breakdown)
    );
    assert!(ldl(&mut [0.0; 4], &[0.0; 2], &mut [0.0; 1]).is_err());
    assert!(ldl_solve(&[0.0; 4], &[1.0; 2], &mut [0.0; 3]).is_err());
}

#[test]
fn a_convex_quadratic_takes_one_step() {
    for n in [1, 5, 40] {
        let mut draw = Draw::new(n as u64);
        let a = symmetric(n, 2.0 * n as f64, &mut draw);
        let b: Vec<f64> = (0..n).map(|_| f64::from(draw.symmetric())).collect();
        for config in [NewtonConfig::pure(), NewtonConfig::default()] {
            let mut x = vec![0.7; n];
            let report = run(config, &mut quadratic(a.clone(), b.clone()), &mut x);
            assert!(report.termination.is_converged(), "{report}");
            assert_eq!(report.iterations, 1, "{report}");
        }
    }
}

/// On an indefinite Hessian the bare step goes to the saddle, and up; what the seed's formula says
/// and leaves out. Shifted, it goes down.
#[test]
fn on_an_indefinite_hessian_the_bare_step_goes_up() {
    // x^4 / 4 - x^2 / 2 + y^2: from x = 0.1 the curvature along x is negative.
    let wells = || {
        objective::from_fn(2, |x: &[f64], g: &mut [f64]| {
            (g[0], g[1]) = (x[0].powi(3) - x[0], 2.0 * x[1]);
            x[0].powi(4) / 4.0 - x[0] * x[0] / 2.0 + x[1] * x[1]
        })
        .with_hessian_product(|x: &[f64], v: &[f64], out: &mut [f64]| {
            (out[0], out[1]) = ((3.0 * x[0] * x[0] - 1.0) * v[0], 2.0 * v[1]);
        })
    };
    let mut memory = vec![0.0; Newton::<f64>::memory_len(2)];
    let mut newton = Newton::new(NewtonConfig::pure(), 2, &mut memory).unwrap();
    let mut x = [0.1, 0.0];
    let mut values = vec![wells().value_and_gradient(&x, &mut [0.0; 2])];
    for _ in 0..2 {
        values.push(newton.step(&mut wells(), &mut x).unwrap().value);
        assert_eq!(newton.inertia(), Some(Inertia::Indefinite(1)));
    }
    assert!(
        values.windows(2).all(|pair| pair[1] > pair[0]),
        "each step goes up: {values:?}"
    );
    assert!(x[0].abs() < 1e-6, "to the saddle");
    let mut x = [0.1, 0.0];
    let report = run(NewtonConfig::default(), &mut wells(), &mut x);
    assert!(
        report.termination.is_converged() && (x[0] - 1.0).abs() < 1e-4,
        "{report}"
    );
    assert!(report.value < values[0]);
    // Undamped but shifted: down as well here; damped but not shifted: a line search saves it.
    for config in [
        NewtonConfig {
            line_search: None,
            ..NewtonConfig::default()
        },
        NewtonConfig {
            shift: false,
            ..NewtonConfig::default()
        },
    ] {
        let mut x = [0.1, 0.0];
        let report = run(config, &mut wells(), &mut x);
        assert!(
            report.termination.is_converged() && (x[0].abs() - 1.0).abs() < 1e-4,
            "{report}"
        );
    }
}

#[test]
fn a_singular_hessian_ends_the_bare_method_and_not_the_other() {
    // (x - y)^2 + (x - y)^4: nothing changes along (1, 1).
    let ditch = || {
        objective::from_fn(2, |x: &[f64], g: &mut [f64]| {
            let d = x[0] - x[1];
            g[0] = 2.0 * d + 4.0 * d.powi(3);
            g[1] = -g[0];
            d * d + d.powi(4)
        })
        .with_hessian_product(|x: &[f64], v: &[f64], out: &mut [f64]| {
            let d = x[0] - x[1];
            out[0] = (2.0 + 12.0 * d * d) * (v[0] - v[1]);
            out[1] = -out[0];
        })
    };
    let mut x = [1.0, 0.0];
    let report = run(NewtonConfig::pure(), &mut ditch(), &mut x);
    assert_eq!(report.termination, Termination::LineSearchFailed);
    assert_eq!(x, [1.0, 0.0], "nothing has moved");
    let report = run(NewtonConfig::default(), &mut ditch(), &mut x);
    assert!(report.termination.is_converged(), "{report}");
    assert!((x[0] - x[1]).abs() < 1e-4);
}

#[test]
fn what_is_not_finite_ends_it() {
    let broken = || {
        objective::from_fn(1, |x: &[f64], g: &mut [f64]| {
            g[0] = 1.0;
            x[0]
        })
        .with_hessian_product(|_: &[f64], _: &[f64], out: &mut [f64]| out[0] = f64::NAN)
    };
    for config in [NewtonConfig::pure(), NewtonConfig::default()] {
        let mut x = [2.0];
        let report = run(config, &mut broken(), &mut x);
        assert_eq!(
            report.termination,
            Termination::LineSearchFailed,
            "{report}"
        );
        assert_eq!(x, [2.0]);
    }
    let mut x = [f64::INFINITY];
    assert_eq!(
        run(NewtonConfig::pure(), &mut broken(), &mut x).termination,
        Termination::NotFinite
    );
}

/// How Newton's methods fare on the small test problems. A change of any decision that they take
/// shows here first.
#[test]
fn iterations_and_evaluations_are_those_of_the_snapshot() {
    let mut table = format!(
        "{:<30} {:>3}  {:<13} {:>10} {:>11}  {:>11}  status\n",
        "problem", "n", "method", "iterations", "evaluations", "f"
    );
    for which in 0..problems::table::<f64>().len() {
        for method in ["trust region", "damped", "dense"] {
            let mut problem = problems::table::<f64>().swap_remove(which);
            let (n, mut x) = (problem.dimension(), problem.start.clone());
            if n > 20 {
                continue;
            }
            let newton_cg = |config, problem: &mut _, x: &mut [f64]| {
                let mut memory = vec![f64::NAN; NewtonCg::<f64>::memory_len(n)];
                let mut method = NewtonCg::new(config, n, &mut memory).unwrap();
                method.minimize(problem, x).unwrap()
            };
            let report = match method {
                "trust region" => newton_cg(NewtonCgConfig::default(), &mut problem, &mut x),
                "damped" => newton_cg(NewtonCgConfig::damped(), &mut problem, &mut x),
                _ => run(NewtonConfig::default(), &mut problem, &mut x),
            };
            let Report {
                iterations,
                evaluations,
                value,
                termination,
                ..
            } = report;
            let line = format!(
                "{:<30} {n:>3}  {method:<13} {iterations:>10} {evaluations:>11}  {value:>11.5e}  {termination}",
                problem.name
            );
            table += line.trim_end();
            table += "\n";
        }
    }
    snapshot::check("newton.txt", &table);
}
