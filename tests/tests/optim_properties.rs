//! What must hold for any problem, well-behaved or not.

use std::ops::ControlFlow;

use proptest::prelude::*;
use secant::line_search::conditions::{ApproximateWolfe, Armijo, StrongWolfe, WeakWolfe};
use secant::line_search::{LineSearch, MoreThuente, Probe, Slope};
use secant::objective::{self, Objective};
use secant::optim::{
    Bfgs, BfgsConfig, Curvature, GradientDescent, GradientDescentConfig, Lbfgs, LbfgsB,
    LbfgsConfig, OwlQn, Scaling, SecantCondition, StepRule, Stopping, Verdict,
};
use secant::optim::{Initial, Pair, two_loop};
use secant::vector::dot;

/// `x' A x / 2 - b . x + weight sum x^4 / 4`, `A = F' F + shift I`: definite for a positive shift,
/// indefinite for others.
#[derive(Debug, Clone)]
struct Quartic {
    n: usize,
    a: Vec<f64>,
    b: Vec<f64>,
    weight: f64,
}

impl Objective<f64> for Quartic {
    fn dimension(&self) -> usize {
        self.n
    }
    fn value_and_gradient(&mut self, x: &[f64], gradient: &mut [f64]) -> f64 {
        let mut value = 0.0;
        for i in 0..self.n {
            let product = dot(&self.a[i * self.n..(i + 1) * self.n], x);
            let cube = self.weight * x[i] * x[i] * x[i];
            gradient[i] = product - self.b[i] + cube;
            value += x[i] * (0.5 * product - self.b[i] + 0.25 * cube);
        }
        value
    }
}

fn quartic(
    shifts: std::ops::Range<f64>,
    weights: std::ops::Range<f64>,
) -> impl Strategy<Value = (Quartic, Vec<f64>)> {
    (2usize..20, shifts, weights).prop_flat_map(|(n, shift, weight)| {
        let numbers = |k| prop::collection::vec(-1.0f64..1.0, k);
        (numbers(n * n), numbers(n), numbers(n)).prop_map(move |(f, b, start)| {
            let a = (0..n * n)
                .map(|k| {
                    let (i, j) = (k / n, k % n);
                    let product: f64 = (0..n).map(|l| f[l * n + i] * f[l * n + j]).sum();
                    product + if i == j { shift } else { 0.0 }
                })
                .collect();
            (
                Quartic { n, a, b, weight },
                start.iter().map(|x| 3.0 * x).collect(),
            )
        })
    })
}

const M: usize = 5;

fn forever(config: LbfgsConfig<f64>) -> LbfgsConfig<f64> {
    LbfgsConfig {
        stopping: Stopping {
            max_iterations: 40,
            ..Stopping::default()
        },
        ..config
    }
}

/// Runs step by step, calling `check` with the optimiser and the point before and after each step.
fn steps(
    config: LbfgsConfig<f64>,
    problem: &mut Quartic,
    start: &[f64],
    mut check: impl FnMut(&Lbfgs<'_, M, f64>, &[f64], &[f64], Option<Verdict<f64>>),
) {
    let mut memory = vec![0.0; Lbfgs::<M, f64>::memory_len(problem.n)];
    let mut lbfgs = Lbfgs::<M, f64>::new(config, problem.n, &mut memory).expect("valid settings");
    let mut x = start.to_vec();
    loop {
        let before = x.clone();
        let step = lbfgs.step(problem, &mut x).expect("valid lengths");
        if step.step_length > 0.0 {
            check(&lbfgs, &before, &x, step.verdict);
        }
        if step.termination.is_some() {
            return;
        }
    }
}

fn h_times(pairs: &[Pair<'_, f64>], initial: Initial<'_, f64>, q: &[f64]) -> Vec<f64> {
    let mut result = q.to_vec();
    two_loop(pairs, initial, &mut result, &mut [0.0; M]);
    result
}

fn configurations() -> [LbfgsConfig<f64>; 4] {
    [
        LbfgsConfig::default(),
        LbfgsConfig::classic(),
        LbfgsConfig {
            curvature: Curvature::damp(),
            ..LbfgsConfig::classic()
        },
        LbfgsConfig {
            scaling: Scaling::Scalar,
            curvature: Curvature::cautious(),
            ..LbfgsConfig::default()
        },
    ]
    .map(forever)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    /// `H y = s` for the newest pair; H symmetric; `q . H q > 0`; and H is the dense BFGS matrix of
    /// the same pairs.
    #[test]
    fn the_inverse_hessian_is_what_it_should_be((problem, start) in quartic(-2.0..2.0, 0.1..1.0)) {
        for config in configurations() {
            steps(config, &mut problem.clone(), &start, |lbfgs, before, after, _| {
                let pairs = lbfgs.pairs();
                let Some(newest) = pairs.last() else { return };
                let initial = lbfgs.initial();
                let size = |x: &[f64]| dot(x, x).sqrt();
                let hy = h_times(&pairs, initial, newest.y);
                let error: Vec<f64> = hy.iter().zip(newest.s).map(|(a, b)| a - b).collect();
                // Through H0 and every pair: relative to the longest of the vectors that cancel.
                assert!(size(&error) <= 1e-7 * size(newest.s).max(size(newest.y) * 1e-3), "H y = s: {error:?}");
                let (hb, ha) = (h_times(&pairs, initial, before), h_times(&pairs, initial, after));
                let (left, right) = (dot(after, &hb), dot(before, &ha));
                assert!((left - right).abs() <= 1e-7 * (size(after) * size(&hb)).max(size(before) * size(&ha)), "{left} {right}");
                assert!(dot(after, &ha) > 0.0 || size(after) == 0.0);
            });
        }
    }

    /// The ring keeps exactly the newest M accepted pairs, oldest first, and each `s` is the step
    /// that was made.
    #[test]
    fn the_ring_keeps_the_newest_pairs((problem, start) in quartic(0.1..2.0, 0.0..1.0)) {
        for config in configurations() {
            let mut made: Vec<Vec<f64>> = Vec::new();
            steps(config, &mut problem.clone(), &start, |lbfgs, before, after, verdict| {
                if matches!(verdict, Some(Verdict::Accepted | Verdict::Damped { .. })) {
                    made.push(after.iter().zip(before).map(|(a, b)| a - b).collect());
                }
                let kept: Vec<Vec<f64>> = lbfgs.pairs().iter().map(|pair| pair.s.to_vec()).collect();
                // A restart empties the ring; what it holds is still the newest.
                assert_eq!(kept, made[made.len() - kept.len()..]);
                assert!(kept.len() <= M);
            });
        }
    }

    /// Armijo and the condition on the slope hold at every step, up to the rounding error of the
    /// value.
    #[test]
    fn wolfe_holds_at_every_step((problem, start) in quartic(-2.0..2.0, 0.1..1.0), strong in any::<bool>()) {
        let search = MoreThuente { slope: if strong { Slope::Strong } else { Slope::Weak }, ..MoreThuente::default() };
        let config = forever(LbfgsConfig { line_search: LineSearch::MoreThuente(search), ..LbfgsConfig::default() });
        let mut oracle = problem.clone();
        steps(config, &mut problem.clone(), &start, |_, before, after, _| {
            let s: Vec<f64> = after.iter().zip(before).map(|(a, b)| a - b).collect();
            let mut gradient = vec![0.0; s.len()];
            let value = oracle.value_and_gradient(before, &mut gradient);
            let old = Probe { step: 0.0, value, slope: dot(&gradient, &s) };
            let value = oracle.value_and_gradient(after, &mut gradient);
            let new = Probe { step: 1.0, value, slope: dot(&gradient, &s) };
            let (c1, c2) = (search.c1, search.c2);
            // Slopes are recomputed from a rounded step, hence the slack.
            let slack = 8.0 * f64::EPSILON * old.value.abs() + 1e-12 * old.slope.abs();
            assert!(new.value <= old.value + c1 * old.slope + slack, "{old:?} {new:?}");
            assert!(new.slope >= c2 * old.slope - slack, "{old:?} {new:?}");
            if strong {
                assert!(new.slope <= c2 * old.slope.abs() + slack, "{old:?} {new:?}");
            }
        });
    }

    /// On a convex problem every method finds the same minimum; with bounds and L1, points where no
    /// condition is left.
    #[test]
    fn methods_agree((problem, start) in quartic(0.5..2.0, 0.0..1.0)) {
        let n = problem.n;
        let mut memory = vec![0.0; Lbfgs::<M, f64>::memory_len(n) + n * n];
        let mut x = start.clone();
        let mut lbfgs = Lbfgs::<M, f64>::new(LbfgsConfig::default(), n, &mut memory).expect("valid");
        let first = lbfgs.minimize(&mut problem.clone(), &mut x).expect("valid");
        prop_assert!(first.termination.is_converged(), "{}", first);
        let mut y = start.clone();
        let mut memory = vec![0.0; Bfgs::<f64>::memory_len(n)];
        let mut bfgs = Bfgs::new(BfgsConfig::default(), n, &mut memory).expect("valid");
        let second = bfgs.minimize(&mut problem.clone(), &mut y).expect("valid");
        prop_assert!(second.termination.is_converged());
        prop_assert!((first.value - second.value).abs() <= 1e-8 * first.value.abs().max(1.0));
        if let Some(h) = bfgs.inverse_hessian() {
            for i in 0..n {
                for j in 0..n {
                    prop_assert_eq!(h[i * n + j], h[j * n + i]);
                }
            }
        }

        let mut gradient = vec![0.0; n];
        let (lower, upper) = (vec![-0.2; n], vec![0.1; n]);
        let mut z = start.clone();
        let mut memory = vec![0.0; LbfgsB::<M, f64>::memory_len(n)];
        let mut bounded = LbfgsB::<M, f64>::new(LbfgsConfig::default(), &lower, &upper, &mut memory).expect("valid");
        let report = bounded.minimize(&mut problem.clone(), &mut z).expect("valid");
        prop_assert!(report.termination.is_converged(), "{}", report);
        problem.clone().value_and_gradient(&z, &mut gradient);
        for j in 0..n {
            prop_assert!(z[j] >= -0.2 && z[j] <= 0.1);
            // What a variable promises that moves by its size, but no farther than to its bound.
            let room = if gradient[j] > 0.0 { z[j] + 0.2 } else { 0.1 - z[j] };
            prop_assert!(gradient[j].abs() * room.min(1.0) <= 1.001e-5);
        }

        let weight = 0.5;
        let mut z = start.clone();
        let mut memory = vec![0.0; OwlQn::<M, f64>::memory_len(n)];
        let mut owl = OwlQn::<M, f64>::new(LbfgsConfig::default(), weight, 1..n, n, &mut memory).expect("valid");
        let report = owl.minimize(&mut problem.clone(), &mut z).expect("valid");
        prop_assert!(report.termination.is_converged(), "{}", report);
        problem.clone().value_and_gradient(&z, &mut gradient);
        prop_assert!(gradient[0].abs() <= 1e-4);
        for j in 1..n {
            if z[j] == 0.0 {
                prop_assert!(gradient[j].abs() <= weight + 1e-4);
            } else {
                prop_assert!((gradient[j] + weight * z[j].signum()).abs() <= 1e-4);
            }
        }
    }
}

/// With plain differences of gradients, a full BFGS and an L-BFGS whose ring is not full build the
/// same matrix from the same pairs and the same H0.
#[test]
fn dense_bfgs_equals_the_two_loops() {
    let a: [f64; 9] = [4.0, 1.0, 0.0, 1.0, 3.0, 1.0, 0.0, 1.0, 2.0];
    let mut bowl = objective::from_fn(3, move |x: &[f64], g: &mut [f64]| {
        let mut value = 0.0;
        for i in 0..3 {
            let product = dot(&a[3 * i..3 * i + 3], x);
            g[i] = product - 1.0;
            value += x[i] * (0.5 * product - 1.0);
        }
        value
    });
    let config = BfgsConfig {
        secant: SecantCondition::Gradients,
        ..BfgsConfig::default()
    };
    let mut memory = [0.0; Bfgs::<f64>::memory_len(3)];
    let mut bfgs = Bfgs::new(config, 3, &mut memory).expect("valid");
    let mut x = [3.0, -2.0, 1.0];
    let mut points = vec![x.to_vec()];
    bfgs.minimize_with(&mut bowl, &mut x, |step, x| {
        points.push(x.to_vec());
        if step.iteration == 3 {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    })
    .expect("valid");
    let mut gradients = Vec::new();
    for point in &points {
        let mut g = vec![0.0; 3];
        bowl.value_and_gradient(point, &mut g);
        gradients.push(g);
    }
    let difference = |list: &[Vec<f64>], k: usize| {
        (0..3)
            .map(|j| list[k + 1][j] - list[k][j])
            .collect::<Vec<f64>>()
    };
    let (s, y): (Vec<_>, Vec<_>) = (0..3)
        .map(|k| (difference(&points, k), difference(&gradients, k)))
        .unzip();
    let pairs: Vec<Pair<f64>> = s.iter().zip(&y).map(|(s, y)| Pair::new(s, y)).collect();
    let scale = dot(&s[0], &y[0]) / dot(&y[0], &y[0]);
    let h = bfgs.inverse_hessian().expect("three pairs");
    for j in 0..3 {
        let mut column = [0.0; 3];
        column[j] = 1.0;
        two_loop(&pairs, Initial::Scalar(scale), &mut column, &mut [0.0; 3]);
        for i in 0..3 {
            assert!(
                (h[3 * i + j] - column[i]).abs() <= 1e-10,
                "{i} {j}: {} {}",
                h[3 * i + j],
                column[i]
            );
        }
    }
}

/// The conditions, one row a case: step, value, slope; then Armijo, weak Wolfe, strong Wolfe,
/// approximate Wolfe. The start has value 1 and slope -1; c1 = delta = 0.1, c2 = sigma = 0.5,
/// slack = 0.01.
#[test]
fn conditions_accept_and_reject() {
    let start = Probe {
        step: 0.0,
        value: 1.0,
        slope: -1.0,
    };
    let nan = f64::NAN;
    for (step, value, slope, expected) in [
        (1.0, 0.5, 0.0, [true, true, true, true]),
        (1.0, 0.9, -0.5, [true, true, true, true]),
        (1.0, 0.91, -0.5, [false, false, false, true]),
        (1.0, 0.5, -0.6, [true, false, false, false]),
        (1.0, 0.5, 0.5, [true, true, true, true]),
        (1.0, 0.5, 0.6, [true, true, false, true]),
        (1.0, 0.5, 0.9, [true, true, false, false]),
        (1.0, 1.005, 0.1, [false, false, false, true]),
        (1.0, 1.02, 0.1, [false, false, false, false]),
        (0.01, 0.999, -0.99, [true, false, false, false]),
        (1.0, nan, 0.0, [false, false, false, false]),
        (1.0, 0.5, nan, [false, false, false, false]),
        (1.0, f64::NEG_INFINITY, 0.0, [false, false, false, false]),
        (1.0, 0.5, f64::INFINITY, [false, false, false, false]),
    ] {
        let trial = Probe { step, value, slope };
        let found = [
            Armijo { c1: 0.1 }.holds(&start, &trial),
            WeakWolfe { c1: 0.1, c2: 0.5 }.holds(&start, &trial),
            StrongWolfe { c1: 0.1, c2: 0.5 }.holds(&start, &trial),
            ApproximateWolfe {
                delta: 0.1,
                sigma: 0.5,
                slack: 0.01,
            }
            .holds(&start, &trial),
        ];
        assert_eq!(found, expected, "{trial:?}");
    }
}

/// Fixed steps are the heavy ball's recursion; Armijo's grow until they suit the function.
#[test]
fn gradient_descent_remembers_its_last_step() {
    let descend = |config, curvatures: [f64; 2], x: &mut [f64]| {
        let mut bowl = objective::from_fn(2, move |x: &[f64], g: &mut [f64]| {
            (g[0], g[1]) = (curvatures[0] * x[0], curvatures[1] * x[1]);
            0.5 * (g[0] * x[0] + g[1] * x[1])
        });
        let mut memory = vec![f64::NAN; GradientDescent::<f64>::memory_len(2)];
        let mut descent = GradientDescent::new(config, 2, &mut memory).unwrap();
        descent.minimize(&mut bowl, x).unwrap()
    };
    let (rate, momentum) = (0.1, 0.5);
    for count in 1..=3 {
        let config = GradientDescentConfig {
            step: StepRule::Fixed { rate, momentum },
            stopping: Stopping {
                max_iterations: count,
                ..Stopping::never()
            },
        };
        let mut x = [1.0, -2.0];
        assert_eq!(descend(config, [1.0, 4.0], &mut x).iterations, count);
        for (x, (start, curvature)) in x.into_iter().zip([(1.0, 1.0), (-2.0, 4.0)]) {
            let (mut last, mut now) = (start, start);
            for _ in 0..count {
                (last, now) = (now, now - rate * curvature * now + momentum * (now - last));
            }
            assert!(
                (x - now).abs() < 1e-14,
                "{count} steps: {x}, expected {now}"
            );
        }
    }
    let mut x = [1.0, 1.0];
    let report = descend(GradientDescentConfig::default(), [1e-4, 1e-4], &mut x);
    assert!(
        report.iterations < 40 && x[0].abs() < 1e-2,
        "{report}: {x:?}"
    );
}
