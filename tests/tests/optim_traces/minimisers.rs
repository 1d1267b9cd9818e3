//! The deterministic methods, with each line search and each setting that changes their way.

use std::fmt::Write;
use std::ops::ControlFlow;

use secant::line_search::{Backtracking, HagerZhang, LineSearch, MoreThuente, Slope};
use secant::objective::{self, HessianProduct};
use secant::optim::{
    Bfgs, BfgsConfig, Curvature, CurvatureMatrix, FirstStep, GradientDescent,
    GradientDescentConfig, Lbfgs, LbfgsB, LbfgsConfig, Newton, NewtonCg, NewtonCgConfig,
    NewtonConfig, OwlQn, Report, Safeguard, Scaling, SecantCondition, Step, StepRule, Stopping,
};
use secant::{ConfigError, Real};
use secant_tests::problems::{self, Number, bounded};

use crate::{Trace, check};

/// Iterations that a run may take: the first ones tell methods apart.
const MOST: u32 = 60;

fn stopping<R: Real>() -> Stopping<R> {
    Stopping {
        max_iterations: MOST,
        ..Stopping::default()
    }
}

/// Runs a method, which shows each of its steps, and takes down where it comes through.
fn traced<R: Real>(
    run: impl FnOnce(
        &mut dyn FnMut(&Step<R>, &[R]) -> ControlFlow<()>,
    ) -> Result<Report<R>, ConfigError>,
) -> (Report<R>, Trace) {
    let mut trace = Trace::default();
    let report = run(&mut |step, x| {
        trace.add(x);
        trace.add(&[step.value, step.gradient_norm, step.step_length]);
        ControlFlow::Continue(())
    });
    (report.expect("the lengths agree"), trace)
}

fn searches<R: Real>() -> Vec<(&'static str, LineSearch<R>)> {
    let exact = |slope| MoreThuente {
        c2: R::of(0.1),
        slope,
        ..MoreThuente::default()
    };
    vec![
        (
            "Moré-Thuente",
            LineSearch::MoreThuente(MoreThuente::default()),
        ),
        (
            "Moré-Thuente, strong",
            LineSearch::MoreThuente(exact(Slope::Strong)),
        ),
        ("Moré-Thuente, 3", {
            let max_evaluations = 3;
            LineSearch::MoreThuente(MoreThuente {
                max_evaluations,
                ..exact(Slope::Weak)
            })
        }),
        ("Hager-Zhang", LineSearch::HagerZhang(HagerZhang::default())),
        (
            "backtracking",
            LineSearch::Backtracking(Backtracking::default()),
        ),
        ("fixed", LineSearch::Fixed),
    ]
}

fn lbfgs<R: Real>() -> Vec<(String, LbfgsConfig<R>)> {
    let default = || LbfgsConfig {
        stopping: stopping(),
        ..LbfgsConfig::default()
    };
    let mut configs: Vec<_> = (searches().into_iter())
        .map(|(name, line_search)| {
            (
                format!("L-BFGS, {name}"),
                LbfgsConfig {
                    line_search,
                    ..default()
                },
            )
        })
        .collect();
    let mut add = |name: &str, config| configs.push((format!("L-BFGS, {name}"), config));
    add(
        "classic",
        LbfgsConfig {
            stopping: stopping(),
            ..LbfgsConfig::classic()
        },
    );
    add(
        "scalar",
        LbfgsConfig {
            scaling: Scaling::Scalar,
            ..default()
        },
    );
    add(
        "gradients",
        LbfgsConfig {
            secant: SecantCondition::Gradients,
            ..default()
        },
    );
    add(
        "damped",
        LbfgsConfig {
            curvature: Curvature::damp(),
            line_search: LineSearch::Backtracking(Backtracking::default()),
            ..default()
        },
    );
    add(
        "long first step",
        LbfgsConfig {
            first_step: FirstStep::Length(R::of(100.0)),
            ..default()
        },
    );
    configs
}

fn descent<R: Real>() -> Vec<(&'static str, GradientDescentConfig<R>)> {
    let fixed = |rate, momentum| GradientDescentConfig {
        step: StepRule::Fixed {
            rate: R::of(rate),
            momentum: R::of(momentum),
        },
        stopping: stopping(),
    };
    vec![
        (
            "descent, Armijo",
            GradientDescentConfig {
                stopping: stopping(),
                ..GradientDescentConfig::default()
            },
        ),
        ("descent, fixed", fixed(1e-4, 0.0)),
        ("descent, momentum", fixed(1e-4, 0.9)),
    ]
}

fn newton<R: Real>() -> Vec<(&'static str, NewtonConfig<R>)> {
    let line_search = Some(LineSearch::Backtracking(Backtracking::default()));
    vec![
        (
            "Newton",
            NewtonConfig {
                stopping: stopping(),
                ..NewtonConfig::default()
            },
        ),
        (
            "Newton, backtracking",
            NewtonConfig {
                line_search,
                stopping: stopping(),
                ..NewtonConfig::default()
            },
        ),
        (
            "Newton, pure",
            NewtonConfig {
                stopping: stopping(),
                ..NewtonConfig::pure()
            },
        ),
    ]
}

fn newton_cg<R: Real>() -> Vec<(&'static str, NewtonCgConfig<R>)> {
    let region = |radius| Safeguard::TrustRegion {
        radius: R::of(radius),
    };
    let default = || NewtonCgConfig {
        stopping: stopping(),
        ..NewtonCgConfig::default()
    };
    let damped = || NewtonCgConfig {
        stopping: stopping(),
        ..NewtonCgConfig::damped()
    };
    let gauss_newton = CurvatureMatrix::GaussNewton;
    vec![
        ("Newton-CG", default()),
        (
            "Newton-CG, small region",
            NewtonCgConfig {
                safeguard: region(0.01),
                ..default()
            },
        ),
        (
            "Newton-CG, Gauss-Newton",
            NewtonCgConfig {
                curvature: gauss_newton,
                ..default()
            },
        ),
        (
            "Newton-CG, two products",
            NewtonCgConfig {
                max_products: 2,
                ..default()
            },
        ),
        ("Newton-CG, damped", damped()),
        (
            "Newton-CG, damped, Gauss-Newton",
            NewtonCgConfig {
                curvature: gauss_newton,
                ..damped()
            },
        ),
    ]
}

struct Table(String);

impl Table {
    fn new() -> Table {
        Table(format!(
            "{:<28} {:<32} {:>5} {:>11}  {:<12}  status\n",
            "problem", "method", "steps", "evaluations", "sum"
        ))
    }

    fn add<R: Real>(&mut self, problem: &str, method: &str, (report, trace): (Report<R>, Trace)) {
        let Report {
            iterations,
            evaluations,
            termination,
            ..
        } = report;
        writeln!(
            self.0,
            "{problem:<28} {method:<32} {iterations:>5} {evaluations:>11}  {}  {termination}",
            trace.short()
        )
        .expect("writing to a string");
    }
}

/// Every method from `start`.
fn all_methods<R: Real, F: HessianProduct<R>>(
    table: &mut Table,
    name: &str,
    start: &[R],
    mut f: impl FnMut() -> F,
) {
    let n = start.len();
    for (method, config) in lbfgs::<R>() {
        let (mut memory, mut x) = (
            vec![R::of(f64::NAN); Lbfgs::<4, R>::memory_len(n)],
            start.to_vec(),
        );
        let mut lbfgs = Lbfgs::<4, R>::new(config, n, &mut memory).unwrap();
        table.add(
            name,
            &method,
            traced(|each| lbfgs.minimize_with(&mut f(), &mut x, each)),
        );
    }
    for (search, line_search) in searches().into_iter().take(4) {
        let config = BfgsConfig {
            line_search,
            stopping: stopping(),
            ..BfgsConfig::default()
        };
        let (mut memory, mut x) = (
            vec![R::of(f64::NAN); Bfgs::<R>::memory_len(n)],
            start.to_vec(),
        );
        let mut bfgs = Bfgs::new(config, n, &mut memory).unwrap();
        table.add(
            name,
            &format!("BFGS, {search}"),
            traced(|each| bfgs.minimize_with(&mut f(), &mut x, each)),
        );
    }
    for (method, config) in descent() {
        let (mut memory, mut x) = (
            vec![R::of(f64::NAN); GradientDescent::<R>::memory_len(n)],
            start.to_vec(),
        );
        let mut descent = GradientDescent::new(config, n, &mut memory).unwrap();
        table.add(
            name,
            method,
            traced(|each| descent.minimize_with(&mut f(), &mut x, each)),
        );
    }
    for (method, config) in newton() {
        let (mut memory, mut x) = (
            vec![R::of(f64::NAN); Newton::<R>::memory_len(n)],
            start.to_vec(),
        );
        let mut newton = Newton::new(config, n, &mut memory).unwrap();
        table.add(
            name,
            method,
            traced(|each| newton.minimize_with(&mut f(), &mut x, each)),
        );
    }
    for (method, config) in newton_cg() {
        let (mut memory, mut x) = (
            vec![R::of(f64::NAN); NewtonCg::<R>::memory_len(n)],
            start.to_vec(),
        );
        let mut newton_cg = NewtonCg::new(config, n, &mut memory).unwrap();
        table.add(
            name,
            method,
            traced(|each| newton_cg.minimize_with(&mut f(), &mut x, each)),
        );
    }
}

/// The small problems of the collection whose products are to be had.
fn small<R: Number>(table: &mut Table, names: &[&str]) {
    for name in names {
        let problem = || {
            problems::all::<R>()
                .into_iter()
                .find(|problem| problem.name == *name)
                .expect("in the collection")
        };
        let start = problem().start;
        all_methods(table, name, &start, problem);
    }
}

/// `sum over j of a_j (s_j (x_j - 1)^2 - cos 3 x_j)`, infinite where a coordinate is above 2: saddles, maxima
/// and a cliff on the way.
fn cliff<R: Number>() -> impl HessianProduct<R> {
    let factor = |j: usize| R::of([1.0, 30.0, 0.02][j]);
    let three = R::of(3.0);
    objective::from_fn(3, move |x: &[R], g: &mut [R]| {
        let mut value = R::ZERO;
        for (j, (x, g)) in x.iter().zip(g).enumerate() {
            let away = *x - R::ONE;
            value += factor(j) * (away * away - (three * *x).cos());
            *g = factor(j) * (away + away + three * (three * *x).sin());
        }
        if x.iter().any(|x| *x > R::of(2.0)) {
            R::INFINITY
        } else {
            value
        }
    })
    .with_hessian_product(move |x: &[R], v: &[R], out: &mut [R]| {
        for (j, out) in out.iter_mut().enumerate() {
            *out = factor(j) * (R::of(2.0) + R::of(9.0) * (three * x[j]).cos()) * v[j];
        }
    })
}

#[test]
fn in_f64() {
    check("traces_f64.txt", || {
        let mut table = Table::new();
        small::<f64>(
            &mut table,
            &[
                "Rosenbrock",
                "Beale",
                "Kowalik-Osborne",
                "Freudenstein-Roth",
                "Brown badly scaled",
            ],
        );
        all_methods(&mut table, "cliff", &[-2.9, 0.1, -1.3], cliff::<f64>);
        all_methods(
            &mut table,
            "cliff, from its edge",
            &[1.999, 1.9, 1.0],
            cliff::<f64>,
        );
        table.0
    });
}

#[test]
fn in_f32() {
    check("traces_f32.txt", || {
        let mut table = Table::new();
        small::<f32>(
            &mut table,
            &["Helical valley", "Bard", "Box three-dimensional"],
        );
        all_methods(&mut table, "cliff", &[-2.9, 0.1, -1.3], cliff::<f32>);
        table.0
    });
}

#[test]
fn with_bounds_and_with_a_penalty() {
    check("traces_constrained.txt", || {
        let mut table = Table::new();
        for problem in bounded::bounded() {
            let n = problem.start.len();
            if n > 100 {
                continue;
            }
            for (method, config) in lbfgs::<f64>() {
                let mut function =
                    objective::from_fn(n, |x: &[f64], g: &mut [f64]| (problem.function)(x, g));
                let (mut memory, mut x) = (
                    vec![f64::NAN; LbfgsB::<4, f64>::memory_len(n)],
                    problem.start.clone(),
                );
                let method = method.replace("L-BFGS", "L-BFGS-B");
                let mut lbfgs =
                    LbfgsB::<4, f64>::new(config, &problem.lower, &problem.upper, &mut memory)
                        .unwrap();
                table.add(
                    problem.name,
                    &method,
                    traced(|each| lbfgs.minimize_with(&mut function, &mut x, each)),
                );
            }
        }
        for problem in bounded::penalised() {
            let (n, weight) = (problem.dimension, problem.weight);
            for (method, config) in lbfgs::<f64>() {
                let mut function =
                    objective::from_fn(n, |x: &[f64], g: &mut [f64]| (problem.function)(x, g));
                let (mut memory, mut x) =
                    (vec![f64::NAN; OwlQn::<4, f64>::memory_len(n)], vec![0.0; n]);
                let method = method.replace("L-BFGS", "OWL-QN");
                // The first coordinate is free.
                let mut owl = OwlQn::<4, f64>::new(config, weight, 1..n, n, &mut memory).unwrap();
                table.add(
                    problem.name,
                    &method,
                    traced(|each| owl.minimize_with(&mut function, &mut x, each)),
                );
            }
        }
        table.0
    });
}
