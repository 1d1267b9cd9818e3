//! Situations that fool optimisers: scales, offsets, plateaus, functions without a minimum, starts
//! and settings that make no sense. Each must end with a status that is true.

use std::ops::ControlFlow;

use secant::ConfigError;
use secant::line_search::{HagerZhang, LineSearch, MoreThuente};
use secant::objective::{self, HessianProduct, Objective};
use secant::optim::{
    Bfgs, BfgsConfig, Curvature, FirstStep, GradientDescent, GradientDescentConfig, Lbfgs, LbfgsB,
    LbfgsConfig, NewtonCg, NewtonCgConfig, OwlQn, Report, Safeguard, SecantCondition, Skip,
    Stopping, Termination, Verdict,
};
use secant::{Real, derivatives};

const M: usize = 8;

fn lbfgs_with<R: Real>(
    stopping: Stopping<R>,
    x: &mut [R],
    function: impl FnMut(&[R], &mut [R]) -> R,
) -> Report<R> {
    let n = x.len();
    let config = LbfgsConfig {
        stopping,
        ..LbfgsConfig::default()
    };
    let mut memory = vec![R::ZERO; Lbfgs::<M, R>::memory_len(n)];
    let mut lbfgs = Lbfgs::<M, R>::new(config, n, &mut memory).expect("valid settings");
    let mut function = objective::from_fn(n, function);
    lbfgs.minimize(&mut function, x).expect("valid lengths")
}

fn lbfgs<R: Real>(x: &mut [R], function: impl FnMut(&[R], &mut [R]) -> R) -> Report<R> {
    lbfgs_with(Stopping::default(), x, function)
}

fn bounded(
    [lower, upper]: [&[f64]; 2],
    x: &mut [f64],
    function: impl FnMut(&[f64], &mut [f64]) -> f64,
) -> Report<f64> {
    let mut memory = vec![0.0; LbfgsB::<M, f64>::memory_len(x.len())];
    let config = LbfgsConfig::default();
    let mut lbfgs = LbfgsB::<M, f64>::new(config, lower, upper, &mut memory).expect("valid");
    let mut function = objective::from_fn(x.len(), function);
    lbfgs.minimize(&mut function, x).expect("valid lengths")
}

fn rosenbrock(x: &[f64], g: &mut [f64]) -> f64 {
    let (a, b) = (1.0 - x[0], x[1] - x[0] * x[0]);
    g[0] = -2.0 * a - 400.0 * x[0] * b;
    g[1] = 200.0 * b;
    a * a + 100.0 * b * b
}

fn near(x: f64, wanted: f64, tolerance: f64, report: &Report<f64>) {
    assert!(
        (x - wanted).abs() <= tolerance,
        "{x} instead of {wanted}: {report}"
    );
}

/// A large x must not hide a large gradient.
#[test]
fn a_large_x_hides_nothing() {
    let infinity = [f64::INFINITY];
    let mut x = [1e6];
    let report = bounded([&[1e-12], &infinity], &mut x, |x, g| {
        g[0] = 1.0 - 1.0 / (x[0] * x[0]);
        x[0] + 1.0 / x[0]
    });
    assert!(report.termination.is_converged(), "{report}");
    near(x[0], 1.0, 1e-4, &report);

    let mut x = [1e4];
    let report = bounded([&[0.0], &infinity], &mut x, |x, g| {
        let l = libm::log(x[0] / 2.0);
        g[0] = 2.0 * l / x[0];
        l * l
    });
    assert!(report.termination.is_converged(), "{report}");
    near(x[0], 2.0, 1e-4, &report);

    let mut x = [1.7e9 + 100.0, -1.2, 1.0];
    let report = lbfgs(&mut x, |x, g| {
        let d = x[0] - 1.7e9;
        g[0] = 2e-4 * d;
        1e-4 * d * d + rosenbrock(&x[1..], &mut g[1..])
    });
    let ended = report.termination;
    assert!(
        ended.is_converged() || ended == Termination::NoiseLevel,
        "{report}"
    );
    near(x[0], 1.7e9, 1e-6, &report);
    near(x[1], 1.0, 1e-4, &report);
}

/// Neither the units of f and x nor a constant change where a run ends.
#[test]
fn scales_and_offsets_do_not_matter() {
    let mut plain = [-1.2, 1.0];
    let evaluations = lbfgs(&mut plain, rosenbrock).evaluations;
    for offset in [1e3, -1e3, 1e6, -1e6] {
        let mut x = [-1.2, 1.0];
        let report = lbfgs(&mut x, |x, g| rosenbrock(x, g) + offset);
        assert!(report.termination.is_converged(), "{offset}: {report}");
        near(x[0], 1.0, 1e-3, &report);
        assert!(
            report.evaluations.abs_diff(evaluations) <= 3,
            "{offset}: {report}"
        );
    }
    for factor in [1e-10, 1e-6, 1e6, 1e10] {
        let mut x = [-1.2, 1.0];
        let report = lbfgs(&mut x, |x, g| {
            let value = factor * rosenbrock(x, g);
            g.iter_mut().for_each(|g| *g *= factor);
            value
        });
        assert!(
            report.termination.is_converged(),
            "f times {factor}: {report}"
        );
        near(x[0], 1.0, 1e-3, &report);

        let mut x = [-1.2 * factor, factor];
        let report = lbfgs(&mut x, |x, g| {
            let value = rosenbrock(&[x[0] / factor, x[1] / factor], g);
            g.iter_mut().for_each(|g| *g /= factor);
            value
        });
        let ended = report.termination;
        let known = ended.is_converged() || ended == Termination::NoiseLevel;
        assert!(known, "x times {factor}: {report}");
        near(x[0] / factor, 1.0, 1e-3, &report);
    }
}

/// A start that is nearly solved costs a few evaluations, and is said to be solved.
#[test]
fn a_warm_start_is_cheap() {
    for offset in [0.0, 5.0] {
        let mut x = [1.0 + 1e-8, 1.0 + 2e-8];
        let report = lbfgs(&mut x, |x, g| rosenbrock(x, g) + offset);
        assert!(report.termination.is_converged(), "{report}");
        assert!(report.evaluations <= 6, "{report}");
    }
}

/// Plateaus on both sides: a first step that is too long ends on one.
#[test]
fn plateaus_are_not_taken_for_minima() {
    for target in [0.5, 1.0, 2.1, 3.0, 4.5] {
        for start in [-6.0, -4.0, -2.4423, -1.0, 0.3, 2.0, 4.0, 6.0] {
            for offset in [0.0, 1000.0, -1000.0] {
                let mut x = [start];
                let report = lbfgs(&mut x, |x, g| {
                    let s = 5.0 / (1.0 + libm::exp(-x[0]));
                    let square = target * target;
                    g[0] = (1.0 / s - square / (s * s * s)) * s * (1.0 - s / 5.0);
                    libm::log(s) + square / (2.0 * s * s) + offset
                });
                let least = libm::log(target) + 0.5 + offset;
                let context = format!("{target} from {start}, {offset}: {report} at {}", x[0]);
                assert!(report.value <= least + 1e-6, "{context}");
            }
        }
    }
}

/// What falls without end is said to.
#[test]
fn no_minimum_is_said() {
    type Function = fn(&[f64], &mut [f64]) -> f64;
    let functions: [(&str, Function, [f64; 2]); 4] = [
        (
            "a slope",
            |x, g| {
                g.copy_from_slice(&[1.0, -2.0]);
                x[0] - 2.0 * x[1]
            },
            [0.0, 0.0],
        ),
        (
            "a hill",
            |x, g| {
                g.copy_from_slice(&[-2.0 * x[0], -2.0 * x[1]]);
                -x[0] * x[0] - x[1] * x[1]
            },
            [1.0, 0.5],
        ),
        (
            "a logarithm",
            |x, g| {
                g.copy_from_slice(&[-1.0 / x[0], 0.0]);
                -libm::log(x[0])
            },
            [1.0, 0.5],
        ),
        (
            "a cubic",
            |x, g| {
                g.copy_from_slice(&[3.0 * x[0] * x[0], 2.0 * x[1]]);
                x[0] * x[0] * x[0] + x[1] * x[1]
            },
            [-1.0, 0.5],
        ),
    ];
    for (name, function, start) in functions {
        let mut x = start;
        let report = lbfgs(&mut x, function);
        assert_eq!(
            report.termination,
            Termination::Unbounded,
            "{name}: {report}"
        );
        assert!(
            report.value.is_finite() && x.iter().all(|x| x.is_finite()),
            "{name}: {report}"
        );

        let mut x = start;
        let mut memory = [0.0; Bfgs::<f64>::memory_len(2)];
        let mut bfgs = Bfgs::new(BfgsConfig::default(), 2, &mut memory).expect("valid");
        let mut objective = objective::from_fn(2, function);
        let report = bfgs.minimize(&mut objective, &mut x).expect("valid");
        assert_eq!(
            report.termination,
            Termination::Unbounded,
            "BFGS, {name}: {report}"
        );
    }
    // Within bounds there is a minimum, and f32 counts in other sizes.
    let mut x = [0.0, 0.0];
    let report = bounded([&[-1e9, -1e9], &[1e9, 1e9]], &mut x, |x, g| {
        g.copy_from_slice(&[1.0, -2.0]);
        x[0] - 2.0 * x[1]
    });
    assert_eq!(
        report.termination,
        Termination::GradientConverged,
        "{report}"
    );
    assert_eq!(x, [-1e9, 1e9]);
    let mut x = [0.0f32];
    let report = lbfgs(&mut x, |x, g| {
        g[0] = -1.0;
        -x[0]
    });
    assert_eq!(report.termination, Termination::Unbounded, "{report}");
    // A quadratic whose minimum is far away and far down.
    let mut x = [0.0f32];
    let report = lbfgs(&mut x, |x, g| {
        g[0] = 2e-4 * x[0] - 3.4e5;
        1e-4 * x[0] * x[0] - 3.4e5 * x[0]
    });
    assert!(report.termination != Termination::Unbounded, "{report}");
    assert!((x[0] - 1.7e9).abs() <= 1e3, "{report}");
    // A start beyond where a variable may run to, from where the way leads back.
    fn parabola<R: Real>(x: &[R], g: &mut [R]) -> R {
        g[0] = x[0] + x[0];
        x[0] * x[0]
    }
    let (mut wide, mut narrow) = ([1e150f64], [-1e18f32]);
    for report in [
        lbfgs(&mut wide, parabola),
        bounded([&[-1e308], &[1e308]], &mut [1e150], parabola),
    ] {
        assert!(report.termination.is_converged(), "{report}");
    }
    let report = lbfgs(&mut narrow, parabola);
    assert!(report.termination.is_converged(), "{report}");
}

/// The bell exp(-|x|^2 / 2), with products.
fn bell() -> impl HessianProduct<f64> {
    let value = |x: &[f64]| libm::exp(-0.5 * (x[0] * x[0] + x[1] * x[1]));
    objective::from_fn(2, move |x: &[f64], g: &mut [f64]| {
        let e = value(x);
        g.copy_from_slice(&[-x[0] * e, -x[1] * e]);
        e
    })
    .with_hessian_product(move |x: &[f64], v: &[f64], product: &mut [f64]| {
        let (e, along) = (value(x), x[0] * v[0] + x[1] * v[1]);
        for j in 0..2 {
            product[j] = e * (x[j] * along - v[j]);
        }
    })
}

type Minimise<'a> = dyn FnMut(&mut NewtonCg<'_, f64>, &mut [f64]) -> Report<f64> + 'a;

/// Newton's method knows the curvature, so it says what a small gradient is.
#[test]
fn newton_names_a_maximum_and_a_saddle() {
    let saddle = || {
        objective::from_fn(2, |x: &[f64], g: &mut [f64]| {
            g.copy_from_slice(&[x[0], -x[1]]);
            0.5 * (x[0] * x[0] - x[1] * x[1])
        })
        .with_hessian_product(|_: &[f64], v: &[f64], product: &mut [f64]| {
            product.copy_from_slice(&[v[0], -v[1]]);
        })
    };
    for config in [NewtonCgConfig::default(), NewtonCgConfig::damped()] {
        let run = |objective: &mut Minimise<'_>, start: [f64; 2]| {
            let mut memory = [0.0; NewtonCg::<f64>::memory_len(2)];
            let mut newton = NewtonCg::new(config, 2, &mut memory).expect("valid");
            let mut x = start;
            objective(&mut newton, &mut x).termination
        };
        for start in [[1e-9, 0.0], [0.0, 0.0], [1e-9, -1e-10]] {
            let ended = run(
                &mut |newton, x| newton.minimize(&mut bell(), x).expect("valid"),
                start,
            );
            assert_eq!(ended, Termination::SaddleOrMaximum, "{start:?}");
        }
        let ended = run(
            &mut |newton, x| newton.minimize(&mut saddle(), x).expect("valid"),
            [0.0, 0.0],
        );
        assert_eq!(ended, Termination::SaddleOrMaximum);
    }
}

/// MARATOSB: a valley so narrow and bent that steps are short; the start is near its highest place.
#[test]
fn damped_newton_follows_a_narrow_valley() {
    let mut maratos = objective::from_fn(2, |x: &[f64], g: &mut [f64]| {
        let c = x[0] * x[0] + x[1] * x[1] - 1.0;
        g.copy_from_slice(&[1.0 + 4e6 * c * x[0], 4e6 * c * x[1]]);
        x[0] + 1e6 * c * c
    })
    .with_hessian_product(|x: &[f64], v: &[f64], product: &mut [f64]| {
        let c = x[0] * x[0] + x[1] * x[1] - 1.0;
        let along = x[0] * v[0] + x[1] * v[1];
        for j in 0..2 {
            product[j] = 4e6 * c * v[j] + 8e6 * along * x[j];
        }
    });
    for config in [NewtonCgConfig::default(), NewtonCgConfig::damped()] {
        let mut memory = [0.0; NewtonCg::<f64>::memory_len(2)];
        let mut newton = NewtonCg::new(config, 2, &mut memory).expect("valid");
        let mut x = [1.1, 0.1];
        let report = newton.minimize(&mut maratos, &mut x).expect("valid");
        assert!(report.termination.is_converged(), "{report}");
        near(report.value, -1.000_000_062_5, 1e-9, &report);
    }
}

/// Values that are wrong by a little: the run ends in noise, and a wrong gradient does not.
#[test]
fn noise_is_told_from_a_wrong_gradient() {
    // A sum of 5000 terms in f32, one after the other: it errs by far more than its last digit.
    let sum = |x: &[f32], g: &mut [f32]| {
        let mut value = 0.0f32;
        for (i, (x, g)) in x.iter().zip(g).enumerate() {
            let d = x - 1.0 / (1.0 + i as f32);
            value += 3.0 + d * d * (1.0 + (i % 7) as f32);
            *g = 2.0 * d * (1.0 + (i % 7) as f32);
        }
        value
    };
    let tight = Stopping {
        gradient_tolerance: 1e-9,
        ..Stopping::default()
    };
    let report = lbfgs_with(tight, &mut [0.5f32; 5000], sum);
    let ended = report.termination;
    assert!(
        ended.is_converged() || ended == Termination::NoiseLevel,
        "{report}"
    );

    // Noise that only the caller can know of.
    let mut turn = 0u32;
    let noisy = |x: &[f64], g: &mut [f64]| {
        let value = rosenbrock(x, g);
        turn = turn.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        value + 1e-4 * f64::from(turn) / f64::from(u32::MAX)
    };
    let stated = Stopping {
        noise: 1e-4,
        gradient_tolerance: 1e-12,
        ..Stopping::default()
    };
    let report = lbfgs_with(stated, &mut [-1.2, 1.0], noisy);
    assert_eq!(report.termination, Termination::NoiseLevel, "{report}");
    assert!(report.value <= 1e-2, "{report}");

    for component in [0, 1] {
        let report = lbfgs(&mut [-1.2, 1.0], |x, g| {
            let value = rosenbrock(x, g);
            g[component] = -g[component];
            value
        });
        assert_eq!(
            report.termination,
            Termination::LineSearchFailed,
            "{report}"
        );
    }
}

#[test]
fn the_callback_sees_every_step() {
    let mut memory = [0.0; Lbfgs::<M, f64>::memory_len(2)];
    let config = LbfgsConfig::default();
    let mut lbfgs = Lbfgs::<M, f64>::new(config, 2, &mut memory).expect("valid settings");
    let (mut steps, mut last) = (0, None);
    let mut x = [-1.2, 1.0];
    let mut valley = objective::from_fn(2, rosenbrock);
    let report = lbfgs
        .minimize_with(&mut valley, &mut x, |step, _| {
            steps += 1;
            assert_eq!(step.iteration, steps);
            last = step.termination;
            ControlFlow::Continue(())
        })
        .expect("valid lengths");
    assert_eq!((steps, last), (report.iterations, Some(report.termination)));

    // One who stops on the last step does not change why it was the last.
    let report = lbfgs
        .minimize_with(&mut valley, &mut [-1.2, 1.0], |step, _| {
            if step.termination.is_some() {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        })
        .expect("valid lengths");
    assert_eq!(report.termination, Termination::GradientConverged);

    let mut memory = [0.0; NewtonCg::<f64>::memory_len(2)];
    let mut newton = NewtonCg::new(NewtonCgConfig::default(), 2, &mut memory).expect("valid");
    let mut last = None;
    let mut difference = [0.0; 4];
    let mut valley = derivatives::with_products(valley, &mut difference).expect("enough");
    let report = newton
        .minimize_with(&mut valley, &mut [-1.2, 1.0], |step, _| {
            last = step.termination;
            ControlFlow::Continue(())
        })
        .expect("valid lengths");
    assert_eq!(last, Some(report.termination));
}

#[test]
fn other_rules_to_stop() {
    let stop = |stopping| lbfgs_with(stopping, &mut [-1.2, 1.0], rosenbrock);
    let report = stop(Stopping {
        target_value: Some(0.5),
        ..Stopping::never()
    });
    assert_eq!(report.termination, Termination::TargetReached);
    assert!(report.value <= 0.5 && report.termination.is_converged());
    let report = stop(Stopping {
        relative_gradient: 1e-3,
        ..Stopping::never()
    });
    assert_eq!(report.termination, Termination::GradientConverged);
    assert!(
        report.gradient_norm <= 1e-3 * 232.9 && report.gradient_norm > 1e-7,
        "{report}"
    );
    let report = stop(Stopping {
        max_iterations: 0,
        ..Stopping::default()
    });
    assert_eq!(
        (report.termination, report.evaluations),
        (Termination::IterationLimit, 1)
    );
    assert!(Stopping::<f64>::default().max_iterations >= 10_000);
}

/// A rule that no run could mean is refused, by every method.
#[test]
fn senseless_rules_are_refused() {
    for wrong in [f64::NAN, -1e-5, f64::INFINITY, -0.5] {
        let rule = |field| {
            let mut stopping = Stopping::<f64>::default();
            match field {
                "gradient_tolerance" => stopping.gradient_tolerance = wrong,
                "relative_gradient" => stopping.relative_gradient = wrong,
                "step_tolerance" => stopping.step_tolerance = wrong,
                "value_tolerance" => stopping.value_tolerance = wrong,
                _ => stopping.noise = wrong,
            }
            stopping
        };
        let fields = [
            "gradient_tolerance",
            "relative_gradient",
            "step_tolerance",
            "value_tolerance",
            "noise",
        ];
        for field in fields {
            let stopping = rule(field);
            let lbfgs = LbfgsConfig {
                stopping,
                ..LbfgsConfig::default()
            };
            let refused = |error: Option<ConfigError>| {
                let named =
                    matches!(error, Some(ConfigError::OutOfRange { field: f, .. }) if f == field);
                assert!(named, "{field} = {wrong}: {error:?}");
            };
            let memory = &mut [0.0; 200];
            refused(Lbfgs::<M, f64>::new(lbfgs, 1, memory).err());
            refused(OwlQn::<2, f64>::new(lbfgs, 1.0, 0..1, 1, memory).err());
            refused(LbfgsB::<2, f64>::new(lbfgs, &[0.0], &[1.0], memory).err());
            let config = BfgsConfig {
                stopping,
                ..BfgsConfig::default()
            };
            refused(Bfgs::new(config, 1, memory).err());
            let config = NewtonCgConfig {
                stopping,
                ..NewtonCgConfig::default()
            };
            refused(NewtonCg::new(config, 1, memory).err());
            let config = GradientDescentConfig {
                stopping,
                ..GradientDescentConfig::default()
            };
            refused(GradientDescent::new(config, 1, memory).err());
        }
    }
    let stopping = Stopping {
        target_value: Some(f64::NAN),
        ..Stopping::default()
    };
    let config = LbfgsConfig {
        stopping,
        ..LbfgsConfig::default()
    };
    assert!(Lbfgs::<M, f64>::new(config, 1, &mut [0.0; 200]).is_err());
}

/// Starts that are no numbers are never evaluated, bounds that hold no number are refused.
#[test]
fn no_number_no_run() {
    let mut evaluations = 0;
    let mut x = [f64::NAN, 1.0];
    let report = bounded([&[0.0, 0.0], &[1.0, 1.0]], &mut x, |_, g| {
        evaluations += 1;
        g.fill(1.0);
        1.0
    });
    assert_eq!(
        (report.termination, evaluations),
        (Termination::NotFinite, 0)
    );
    assert!(x[0].is_nan(), "a NaN is not a bound");
    for start in [f64::NAN, f64::INFINITY] {
        let report = lbfgs(&mut [start, 1.0], |x, g| {
            g.copy_from_slice(&[0.0, x[1]]);
            0.5 * x[1] * x[1]
        });
        assert_eq!(report.termination, Termination::NotFinite);
    }
    // An infinite start has a nearest point in the box.
    let report = bounded([&[0.0], &[1.0]], &mut [f64::INFINITY], |x, g| {
        g[0] = 2.0 * x[0];
        x[0] * x[0]
    });
    assert!(report.termination.is_converged(), "{report}");
    let infinity = f64::INFINITY;
    for (lower, upper) in [
        (infinity, infinity),
        (-infinity, -infinity),
        (f64::NAN, 1.0),
        (0.0, f64::NAN),
        (1.0, 0.0),
    ] {
        let mut memory = [0.0; LbfgsB::<2, f64>::memory_len(1)];
        let (lower, upper) = ([lower], [upper]);
        let refused =
            LbfgsB::<2, f64>::new(LbfgsConfig::default(), &lower, &upper, &mut memory).is_err();
        assert!(refused, "{lower:?} {upper:?}");
    }
}

/// No variable, one variable, all of them fixed; one pair, no pair.
#[test]
fn the_smallest_sizes() {
    fn run<const M: usize>() {
        for n in [0usize, 1, 2] {
            let mut memory = vec![0.0; LbfgsB::<M, f64>::memory_len(n)];
            let (lower, upper) = (vec![-1.0; n], vec![0.25; n]);
            let config = LbfgsConfig::default();
            let mut lbfgs = LbfgsB::<M, f64>::new(config, &lower, &upper, &mut memory).expect("ok");
            let mut square = objective::from_fn(n, |x: &[f64], g: &mut [f64]| {
                for (g, x) in g.iter_mut().zip(x) {
                    *g = 2.0 * (x - 0.5);
                }
                x.iter().map(|x| (x - 0.5) * (x - 0.5)).sum()
            });
            let mut x = vec![0.0; n];
            let report = lbfgs.minimize(&mut square, &mut x).expect("ok");
            assert!(
                report.termination.is_converged(),
                "M = {M}, n = {n}: {report}"
            );
            assert_eq!(x, upper);

            let mut memory = vec![0.0; OwlQn::<M, f64>::memory_len(n)];
            let mut owl = OwlQn::<M, f64>::new(config, 0.5, 0..n, n, &mut memory).expect("ok");
            let mut x = vec![2.0; n];
            let report = owl.minimize(&mut square, &mut x).expect("ok");
            assert!(
                report.termination.is_converged(),
                "M = {M}, n = {n}: {report}"
            );
            assert!(x.iter().all(|x| (x - 0.25).abs() < 1e-4), "{x:?}");

            let mut memory = vec![0.0; Lbfgs::<M, f64>::memory_len(n)];
            let mut lbfgs = Lbfgs::<M, f64>::new(config, n, &mut memory).expect("ok");
            let mut x = vec![2.0; n];
            let report = lbfgs.minimize(&mut square, &mut x).expect("ok");
            assert!(
                report.termination.is_converged(),
                "M = {M}, n = {n}: {report}"
            );
        }
    }
    run::<0>();
    run::<1>();
    run::<3>();
    let report = bounded([&[0.5, -1.0], &[0.5, -1.0]], &mut [7.0, 7.0], rosenbrock);
    assert_eq!(
        (report.termination, report.evaluations),
        (Termination::GradientConverged, 1)
    );
}

/// Values of minus infinity, wherever they come, count as "not there".
#[test]
fn minus_infinity_is_no_minimum() {
    let mut x = [2.0];
    let report = lbfgs(&mut x, |x, g| {
        g[0] = 2.0 * x[0];
        if x[0] < 0.5 {
            f64::NEG_INFINITY
        } else {
            x[0] * x[0]
        }
    });
    assert!(report.value.is_finite() && x[0] >= 0.5, "{report}");
    let report = lbfgs(&mut [2.0], |_, g| {
        g[0] = 1.0;
        f64::NEG_INFINITY
    });
    assert_eq!(report.termination, Termination::NotFinite);
}

/// Hager and Zhang's search finds the ends of the same functions.
#[test]
fn another_search_says_the_same() {
    for search in [
        LineSearch::HagerZhang(HagerZhang::default()),
        LineSearch::MoreThuente(MoreThuente {
            c2: 0.9,
            ..MoreThuente::default()
        }),
    ] {
        let config = LbfgsConfig {
            line_search: search,
            ..LbfgsConfig::default()
        };
        let mut memory = [0.0; Lbfgs::<M, f64>::memory_len(1)];
        let mut lbfgs = Lbfgs::<M, f64>::new(config, 1, &mut memory).expect("valid settings");
        let mut slope = objective::from_fn(1, |x: &[f64], g: &mut [f64]| {
            g[0] = 1.0;
            x[0]
        });
        let report = lbfgs
            .minimize(&mut slope, &mut [0.0])
            .expect("valid lengths");
        assert_eq!(report.termination, Termination::Unbounded, "{report}");
    }
}

/// The checker names the component that is wrong, and finds nothing where nothing is.
#[test]
fn the_checker_names_the_wrong_component() {
    let mut memory = [0.0; 9];
    for component in 0..3 {
        for factor in [1.0, 1.001, -1.0, 0.0, f64::NAN] {
            let mut function = objective::from_fn(3, |x: &[f64], g: &mut [f64]| {
                g[0] = libm::cos(x[0]) * x[1];
                g[1] = libm::sin(x[0]) + 3.0 * x[1] * x[1];
                g[2] = 1e6 * libm::exp(x[2]);
                g[component] *= factor;
                libm::sin(x[0]) * x[1] + x[1] * x[1] * x[1] + 1e6 * libm::exp(x[2])
            });
            let x = [0.3, -0.7, 1.1];
            let check = derivatives::check_gradient(&mut function, &x, &mut memory).expect("ok");
            if factor == 1.0 {
                assert!(check.is_right(), "{check:?}");
            } else if component == 2 || factor != 1.001 {
                assert!(!check.is_right(), "{component} {factor}: {check:?}");
                assert_eq!(check.component, component, "{factor}: {check:?}");
            }
        }
    }
    let mut valley = objective::from_fn(2, rosenbrock);
    assert_eq!(valley.dimension(), 2);
    let mut short = [0.0; 5];
    assert!(derivatives::check_gradient(&mut valley, &[0.3, 0.1], &mut short).is_err());
}

/// A gradient that changes so much that only the square of the change overflows, and pairs that are
/// forgotten.
#[test]
fn a_change_whose_square_overflows_is_no_pair() {
    let config = LbfgsConfig {
        line_search: LineSearch::Fixed,
        secant: SecantCondition::Gradients,
        first_step: FirstStep::Length(1.0),
        ..LbfgsConfig::default()
    };
    for (slope, expected) in [
        (1e25, Verdict::Skipped(Skip::NotFinite)),
        (1e15, Verdict::Accepted),
    ] {
        let mut wall = objective::from_fn(1, |x: &[f32], g: &mut [f32]| {
            g[0] = if x[0] == 0.0 { -1.0 } else { slope };
            -x[0]
        });
        let mut memory = vec![f32::NAN; Lbfgs::<2>::memory_len(1)];
        let mut lbfgs = Lbfgs::<2>::new(config, 1, &mut memory).unwrap();
        let step = lbfgs.step(&mut wall, &mut [0.0]).unwrap();
        assert_eq!(step.verdict, Some(expected));
        let stored = usize::from(expected == Verdict::Accepted);
        assert_eq!(lbfgs.pairs().len(), stored);
        lbfgs.forget_pairs();
        assert!(lbfgs.pairs().is_empty());
    }
}

/// The values and the points that a run goes through.
fn way(config: LbfgsConfig<f64>) -> (Report<f64>, Vec<(f64, [f64; 2])>) {
    let mut memory = vec![0.0; Lbfgs::<M, f64>::memory_len(2)];
    let mut lbfgs = Lbfgs::<M, f64>::new(config, 2, &mut memory).expect("valid settings");
    let mut x = [-1.2, 1.0];
    let mut way = vec![(rosenbrock(&x, &mut [0.0; 2]), x)];
    let mut valley = objective::from_fn(2, rosenbrock);
    let report = lbfgs.minimize_with(&mut valley, &mut x, |step, x| {
        way.push((step.value, [x[0], x[1]]));
        ControlFlow::Continue(())
    });
    (report.expect("valid lengths"), way)
}

/// A run ends with the first step that changes no more than it may, by value and by length.
#[test]
fn the_first_small_change_ends_a_run() {
    let with = |stopping| LbfgsConfig {
        stopping,
        ..LbfgsConfig::default()
    };
    let (_, points) = way(with(Stopping {
        gradient_tolerance: 1e-9,
        ..Stopping::never()
    }));
    assert!(points.len() > 20);
    let changes: Vec<[f64; 2]> = points
        .windows(2)
        .map(|pair| {
            let [(before, from), (value, to)] = [pair[0], pair[1]];
            let lengths = (0..2).map(|j| (to[j] - from[j]).abs() / to[j].abs().max(1.0));
            [
                (value - before).abs() / value.abs().max(1.0),
                lengths.fold(0.0, f64::max),
            ]
        })
        .collect();
    let rules = [Termination::ValueConverged, Termination::StepConverged];
    for (rule, expected) in rules.into_iter().enumerate() {
        for change in changes.iter().take(changes.len() - 1) {
            let tolerance = change[rule] * (1.0 + 1e-9);
            let first = changes.iter().position(|change| change[rule] <= tolerance);
            let mut stopping = Stopping::never();
            match rule {
                0 => stopping.value_tolerance = tolerance,
                _ => stopping.step_tolerance = tolerance,
            }
            let (report, _) = way(with(stopping));
            let ended = (report.termination, report.iterations as usize);
            assert_eq!(ended, (expected, first.unwrap() + 1), "{report}");
        }
    }
    // Newton's methods have the same rule.
    let mut memory = [0.0; NewtonCg::<f64>::memory_len(2)];
    let config = NewtonCgConfig {
        stopping: Stopping {
            value_tolerance: 1e-3,
            ..Stopping::never()
        },
        ..NewtonCgConfig::default()
    };
    let mut newton = NewtonCg::new(config, 2, &mut memory).expect("valid");
    let mut difference = [0.0; 4];
    let valley = objective::from_fn(2, rosenbrock);
    let mut valley = derivatives::with_products(valley, &mut difference).expect("enough");
    let report = newton
        .minimize(&mut valley, &mut [-1.2, 1.0])
        .expect("valid");
    assert_eq!(report.termination, Termination::ValueConverged, "{report}");
}

/// What the settings of mini-batches need is as long as it is documented to be, and enough.
#[test]
fn mini_batches_take_less_memory() {
    type Small<'m> = Lbfgs<'m, 3, f64>;
    let n = 7;
    assert_eq!(Small::memory_len(n), (2 * 3 + 6) * n);
    assert_eq!(Small::mini_batch_memory_len(n), (2 * 3 + 4) * n);
    let mut memory = vec![0.0; Small::mini_batch_memory_len(n)];
    assert!(Small::new(LbfgsConfig::mini_batch(), n, &mut memory).is_ok());
    assert!(Small::new(LbfgsConfig::mini_batch(), n, &mut memory[1..]).is_err());
    assert!(Small::new(LbfgsConfig::classic(), n, &mut memory).is_err());
}

/// Why a pair is left out: its curvature is weak, or negative.
#[test]
fn a_pair_that_is_left_out_says_why() {
    let config = LbfgsConfig {
        line_search: LineSearch::Fixed,
        secant: SecantCondition::Gradients,
        first_step: FirstStep::Length(1.0),
        curvature: Curvature::Skip { epsilon: 0.1 },
        ..LbfgsConfig::default()
    };
    for (along, expected) in [
        (0.2, Verdict::Accepted),
        (0.01, Verdict::Skipped(Skip::WeakCurvature)),
        (-0.01, Verdict::Skipped(Skip::NegativeCurvature)),
    ] {
        // One step of length 1, across which the gradient changes by (along, 1).
        let mut bend = objective::from_fn(2, |x: &[f64], g: &mut [f64]| {
            g.copy_from_slice(&[-1.0 + along * x[0], x[0]]);
            -x[0]
        });
        let mut memory = vec![0.0; Lbfgs::<2, f64>::memory_len(2)];
        let mut lbfgs = Lbfgs::<2, f64>::new(config, 2, &mut memory).unwrap();
        let step = lbfgs.step(&mut bend, &mut [0.0, 0.0]).unwrap();
        assert_eq!(step.verdict, Some(expected));
    }
}

/// No step of Newton's method leaves its region, however far off the model's minimum lies.
#[test]
fn newtons_first_step_ends_at_the_edge() {
    for curvature in [0.05, 0.0, -2.0] {
        let mut bowl = objective::from_fn(2, |x: &[f64], g: &mut [f64]| {
            g.copy_from_slice(&[curvature * x[0] - 3.0, curvature * x[1] + 4.0]);
            0.5 * curvature * (x[0] * x[0] + x[1] * x[1]) - 3.0 * x[0] + 4.0 * x[1]
        })
        .with_hessian_product(|_: &[f64], v: &[f64], product: &mut [f64]| {
            product.copy_from_slice(&[curvature * v[0], curvature * v[1]]);
        });
        let config = NewtonCgConfig {
            safeguard: Safeguard::TrustRegion { radius: 0.5 },
            stopping: Stopping {
                max_iterations: 1,
                ..Stopping::never()
            },
            ..NewtonCgConfig::default()
        };
        let mut memory = [0.0; NewtonCg::<f64>::memory_len(2)];
        let mut newton = NewtonCg::new(config, 2, &mut memory).expect("valid");
        let mut x = [0.0; 2];
        let report = newton.minimize(&mut bowl, &mut x).expect("valid");
        // Downhill along (3, -4) / 5.
        near(x[0], 0.3, 1e-12, &report);
        near(x[1], -0.4, 1e-12, &report);
    }
}

/// A valley whose floor is flat is a minimum: rounding errors are not negative curvature.
#[test]
fn a_flat_floor_is_no_saddle() {
    let normal = [0.3, 1.1, 0.75];
    let along = |x: &[f64]| -> f64 { normal.iter().zip(x).map(|(a, x)| a * x).sum() };
    let mut floor = objective::from_fn(3, |x: &[f64], g: &mut [f64]| {
        for (g, a) in g.iter_mut().zip(normal) {
            *g = a * along(x);
        }
        0.5 * along(x) * along(x)
    })
    .with_hessian_product(|_: &[f64], v: &[f64], product: &mut [f64]| {
        for (product, a) in product.iter_mut().zip(normal) {
            *product = a * along(v);
        }
    });
    let mut memory = [0.0; NewtonCg::<f64>::memory_len(3)];
    let mut newton = NewtonCg::new(NewtonCgConfig::default(), 3, &mut memory).expect("valid");
    // The method probes along (1, -1/2, 1/3), which is along the floor but for 3e-17.
    let report = newton.minimize(&mut floor, &mut [0.0; 3]).expect("valid");
    assert_eq!(report.termination, Termination::GradientConverged);
}
