//! The deterministic methods with their default settings on problems with known answers, held
//! against reference implementations: L-BFGS, and with bounds and an L1 penalty.
//!
//! Every run is printed into a table whose snapshot is in `tests/snapshots`, so that a change of
//! behaviour is read in review: `SECANT_UPDATE_SNAPSHOTS=1 cargo test -p secant-tests --test
//! conformance` writes it anew.

use std::fmt::Write;

use std::ops::ControlFlow;

use secant::objective::{self, Objective};
use secant::optim::{Lbfgs, LbfgsB, LbfgsConfig, OwlQn, Report, Scaling, Stopping, Termination};
use secant_tests::problems::bounded::{self, Bounded, Penalised};
use secant_tests::problems::{self, Number, Problem, Reference, unseen};
use secant_tests::snapshot;

/// Pairs.
const M: usize = 10;

/// What the problems with bounds take, at most, over the reference.
const BOUNDS_MEAN: f64 = 0.7;

fn solve<R: Number>(problem: &mut Problem<R>) -> (Report<R>, Vec<R>) {
    let n = problem.start.len();
    let stopping = Stopping {
        // In f32 below what most problems allow: the run goes on until the rounding error.
        gradient_tolerance: R::of(1e-5),
        ..Stopping::default()
    };
    let config = LbfgsConfig {
        stopping,
        ..LbfgsConfig::default()
    };
    let mut memory = vec![R::ZERO; Lbfgs::<M, R>::memory_len(n)];
    let mut lbfgs = Lbfgs::<M, R>::new(config, n, &mut memory).expect("the settings are valid");
    let mut x = problem.start.clone();
    let report = lbfgs.minimize(problem, &mut x).expect("the lengths agree");
    assert_eq!(
        report.evaluations, problem.evaluations,
        "{}: evaluations are counted",
        problem.name
    );
    (report, x)
}

/// Evaluations until the reference's own rule holds, `|g| <= 1e-5 max(1, |x|)`.
fn by_the_references_rule<const M: usize>(
    config: LbfgsConfig<f64>,
    problem: &mut Problem<f64>,
) -> Option<u32> {
    let n = problem.start.len();
    let stopping = Stopping {
        max_iterations: 50_000,
        ..Stopping::never()
    };
    let config = LbfgsConfig { stopping, ..config };
    let mut memory = vec![0.0; Lbfgs::<M, f64>::memory_len(n)];
    let mut lbfgs = Lbfgs::<M, f64>::new(config, n, &mut memory).expect("the settings are valid");
    let (mut x, mut reached) = (problem.start.clone(), None);
    lbfgs
        .minimize_with(problem, &mut x, |step, x| {
            if step.gradient_norm <= 1e-5 * secant::vector::norm2(x).max(1.0) {
                reached = Some(step.evaluations);
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        })
        .expect("the lengths agree");
    reached
}

fn table<R: Number>(problems: Vec<Problem<R>>) -> String {
    let mut text = String::from(
        "problem                          n  iterations  evaluations  reference             f        |g|  status\n",
    );
    for mut problem in problems {
        let (report, _) = solve(&mut problem);
        let reference = match problem.reference {
            Reference::Evaluations(nf) => nf.to_string(),
            Reference::Fails => "fails".into(),
            Reference::None => "-".into(),
        };
        writeln!(
            text,
            "{:27} {:>6} {:>11} {:>12} {:>10} {:>13.5e} {:>10.1e}  {}",
            problem.name,
            problem.start.len(),
            report.iterations,
            report.evaluations,
            reference,
            report.value.to_f64(),
            report.gradient_norm.to_f64(),
            report.termination
        )
        .expect("writing to a string");
    }
    text
}

#[test]
fn the_table_in_f64_is_the_snapshot() {
    snapshot::check("conformance_f64.txt", &table(problems::all::<f64>()));
}

#[test]
fn the_table_in_f32_is_the_snapshot() {
    snapshot::check("conformance_f32.txt", &table(problems::all::<f32>()));
}

/// The geometric mean of the ratios over the reference (six pairs), on its first table and by its
/// own rule, for five, six and ten pairs; no problem takes more than 2.3 times as many.
#[test]
fn evaluations_against_the_reference() {
    fn mean<const M: usize>(text: &mut String) -> f64 {
        let (mut logarithms, mut count) = (0.0, 0.0);
        for mut problem in problems::table::<f64>() {
            let Reference::Evaluations(reference) = problem.reference else {
                panic!("{} is in the first table", problem.name)
            };
            let reached = by_the_references_rule::<M>(LbfgsConfig::default(), &mut problem);
            let reached = reached.unwrap_or_else(|| panic!("{} is not solved", problem.name));
            let ratio = f64::from(reached) / f64::from(reference);
            let name = problem.name;
            writeln!(
                text,
                "{M:5}  {name:27} {reached:>8} {reference:>10} {ratio:>6.2}"
            )
            .expect("writing to a string");
            assert!(
                ratio <= 2.3,
                "{name}: {reached} evaluations, reference {reference}"
            );
            logarithms += ratio.ln();
            count += 1.0;
        }
        let mean = f64::exp(logarithms / count);
        writeln!(text, "{M:5}  geometric mean {mean:>39.3}").expect("writing to a string");
        mean
    }
    let mut text = String::from("pairs  problem                     reached  reference  ratio\n");
    let means = [
        mean::<5>(&mut text),
        mean::<6>(&mut text),
        mean::<10>(&mut text),
    ];
    snapshot::check("conformance_reference.txt", &text);
    for (mean, most) in means.into_iter().zip([0.97, 0.93, 0.88]) {
        assert!(mean <= most, "geometric mean of the ratios {mean}");
    }
}

/// Problems that came after the settings: the geometric mean of the ratios over scipy's L-BFGS-B
/// with as many pairs, by the same rule.
#[test]
fn unseen_problems_against_scipy() {
    fn add<const M: usize>(text: &mut String, column: usize) -> f64 {
        let mut ratios = Vec::new();
        for (mut problem, references) in unseen::unseen::<f64>() {
            let name = problem.name;
            let reached = by_the_references_rule::<M>(LbfgsConfig::default(), &mut problem);
            let reached = reached.unwrap_or_else(|| panic!("{name} is not solved"));
            let reference = references[column];
            let ratio = f64::from(reached) / f64::from(reference);
            writeln!(
                text,
                "{M:5}  {name:27} {reached:>8} {reference:>10} {ratio:>6.2}"
            )
            .expect("writing to a string");
            if reference > 0 {
                ratios.push(ratio);
            }
        }
        let mean = mean_of(&ratios);
        writeln!(text, "{M:5}  geometric mean {mean:>39.3}").expect("writing to a string");
        mean
    }
    let mut text = String::from("pairs  problem                     reached      scipy  ratio\n");
    let means = [
        add::<5>(&mut text, 0),
        add::<6>(&mut text, 1),
        add::<8>(&mut text, 2),
        add::<10>(&mut text, 3),
    ];
    snapshot::check("conformance_unseen.txt", &text);
    for mean in means {
        assert!(mean <= 0.82, "geometric mean of the ratios {mean}");
    }
}

/// The gradients of all problems are those of their values.
#[test]
fn gradients_are_those_of_the_values() {
    let others = unseen::unseen::<f64>()
        .into_iter()
        .map(|(problem, _)| problem);
    for mut problem in problems::all::<f64>().into_iter().chain(others) {
        let n = problem.start.len();
        if n > 100 {
            continue;
        }
        let mut random = bounded::Lehmer::new(n as u64 + 11);
        let x: Vec<f64> = (problem.start.iter())
            .map(|x| x + 0.01 * random.draw())
            .collect();
        let (mut gradient, mut scratch) = (vec![0.0; n], vec![0.0; n]);
        problem.value_and_gradient(&x, &mut gradient);
        for j in 0..n {
            // Four points, each slope good to h^4.
            let h = 1e-3 * x[j].abs().max(1e-2);
            let mut at = |steps: f64| {
                let mut moved = x.clone();
                moved[j] += steps * h;
                problem.value_and_gradient(&moved, &mut scratch)
            };
            let slope = (8.0 * (at(1.0) - at(-1.0)) - (at(2.0) - at(-2.0))) / (12.0 * h);
            let size = secant::vector::norm_max(&gradient).max(1.0);
            assert!(
                (slope - gradient[j]).abs() <= 1e-6 * size,
                "{}, variable {j}: {} instead of {slope}",
                problem.name,
                gradient[j]
            );
        }
    }
}

/// The diagonal of H0 must not collapse: on two long valleys it takes about what a scalar takes.
#[test]
fn the_diagonal_does_not_collapse() {
    for (name, most) in [("EXTROSNB", 1.5), ("GENROSE", 1.1)] {
        let run = |scaling| {
            let mut problem = problems::all::<f64>()
                .into_iter()
                .find(|problem| problem.name == name)
                .expect("in the collection");
            let config = LbfgsConfig {
                scaling,
                ..LbfgsConfig::default()
            };
            let reached = by_the_references_rule::<M>(config, &mut problem);
            f64::from(reached.expect("it is solved"))
        };
        let (diagonal, scalar) = (run(Scaling::Diagonal), run(Scaling::Scalar));
        assert!(
            diagonal <= most * scalar,
            "{name}: {diagonal} instead of {scalar}"
        );
    }
}

/// The first evaluation within `1e-6 max(1, |least|)` of the least value.
fn first_near(values: &[f64], least: f64) -> Option<usize> {
    let near = |value: &f64| *value <= least + 1e-6 * least.abs().max(1.0);
    values.iter().position(near).map(|i| i + 1)
}

/// To the end, so that what counts is when the values were near the least one.
fn to_the_end() -> LbfgsConfig<f64> {
    LbfgsConfig {
        stopping: Stopping {
            gradient_tolerance: 1e-8,
            ..Stopping::default()
        },
        ..LbfgsConfig::default()
    }
}

fn solve_bounded(problem: &Bounded) -> (Report<f64>, Option<usize>) {
    let n = problem.start.len();
    let mut values = Vec::new();
    let mut function = objective::from_fn(n, |x: &[f64], g: &mut [f64]| {
        for (j, x) in x.iter().enumerate() {
            let inside = *x >= problem.lower[j] && *x <= problem.upper[j];
            assert!(inside, "{}: evaluated at x[{j}] = {x}", problem.name);
        }
        let value = (problem.function)(x, g);
        values.push(value);
        value
    });
    let mut memory = vec![0.0; LbfgsB::<M, f64>::memory_len(n)];
    let (lower, upper) = (&problem.lower, &problem.upper);
    let mut lbfgs = LbfgsB::<M, f64>::new(to_the_end(), lower, upper, &mut memory).expect("valid");
    let mut x = problem.start.clone();
    let report = lbfgs.minimize(&mut function, &mut x).expect("valid");
    (report, first_near(&values, problem.least))
}

fn solve_penalised(problem: &Penalised) -> (Report<f64>, Option<usize>) {
    let (n, weight) = (problem.dimension, problem.weight);
    let mut values = Vec::new();
    let mut function = objective::from_fn(n, |x: &[f64], g: &mut [f64]| {
        let value = (problem.function)(x, g);
        values.push(value + weight * secant::vector::norm1(x));
        value
    });
    let mut memory = vec![0.0; OwlQn::<M, f64>::memory_len(n)];
    let mut owl = OwlQn::<M, f64>::new(to_the_end(), weight, 0..n, n, &mut memory).expect("valid");
    let mut x = vec![0.0; n];
    let report = owl.minimize(&mut function, &mut x).expect("valid");
    (report, first_near(&values, problem.least))
}

/// A line of the table, and the ratio of evaluations. The reference stays where HS 25 starts, whose
/// gradient is all but zero there; it does not count.
fn against_scipy(
    text: &mut String,
    name: &str,
    report: &Report<f64>,
    near: Option<usize>,
    reference: u32,
) -> Option<f64> {
    let near = near.unwrap_or_else(|| panic!("{name}: the least value is not reached: {report}"));
    let ratio = near as f64 / f64::from(reference);
    let (evaluations, value, ended) = (report.evaluations, report.value, report.termination);
    writeln!(
        text,
        "{name:27} {near:>6} {reference:>6} {ratio:>6.2} {evaluations:>6} {value:>13.5e}  {ended}"
    )
    .expect("writing to a string");
    assert!(
        ended.is_converged() || ended == Termination::NoiseLevel,
        "{name}: {report}"
    );
    (name != "HS 25").then_some(ratio)
}

fn mean_of(ratios: &[f64]) -> f64 {
    f64::exp(ratios.iter().map(|ratio| ratio.ln()).sum::<f64>() / ratios.len() as f64)
}

const HEAD: &str =
    "problem                       near  scipy  ratio    all             f  status\n";

/// With bounds: the geometric mean over scipy's L-BFGS-B is at most .7, and none takes more than
/// twice as many evaluations.
#[test]
fn bounds_against_the_reference() {
    let mut text = String::from(HEAD);
    let mut ratios = Vec::new();
    for problem in bounded::bounded() {
        let (report, near) = solve_bounded(&problem);
        ratios.extend(against_scipy(
            &mut text,
            problem.name,
            &report,
            near,
            problem.reference,
        ));
    }
    let mean = mean_of(&ratios);
    writeln!(text, "geometric mean {mean:>33.3}").expect("writing to a string");
    snapshot::check("conformance_bounds.txt", &text);
    assert!(mean <= BOUNDS_MEAN, "geometric mean of the ratios {mean}");
    assert!(ratios.iter().all(|ratio| *ratio <= 2.0), "{ratios:?}");
}

/// With L1: the geometric mean over scipy's L-BFGS-B on split variables is at most .8, and none
/// takes more evaluations.
#[test]
fn l1_against_the_reference() {
    let mut text = String::from(HEAD);
    let mut ratios = Vec::new();
    for problem in bounded::penalised() {
        let (report, near) = solve_penalised(&problem);
        ratios.extend(against_scipy(
            &mut text,
            problem.name,
            &report,
            near,
            problem.reference,
        ));
    }
    let mean = mean_of(&ratios);
    writeln!(text, "geometric mean {mean:>33.3}").expect("writing to a string");
    snapshot::check("conformance_l1.txt", &text);
    assert!(mean <= 0.8, "geometric mean of the ratios {mean}");
    assert!(ratios.iter().all(|ratio| *ratio <= 1.0), "{ratios:?}");
}

/// In f32 every run ends with a status that says why, at the default tolerance and at such that
/// rounding does not allow.
#[test]
fn f32_runs_end_converged_or_in_noise() {
    let others = unseen::unseen::<f32>()
        .into_iter()
        .map(|(problem, _)| problem);
    for mut problem in problems::all::<f32>().into_iter().chain(others) {
        let n = problem.start.len();
        for tolerance in [1e-4, 1e-5, 1e-7] {
            if tolerance < 1e-6 && n > 1000 {
                continue; // beyond the limit of iterations
            }
            let config = LbfgsConfig {
                stopping: Stopping {
                    gradient_tolerance: tolerance,
                    ..Stopping::default()
                },
                ..LbfgsConfig::default()
            };
            let mut memory = vec![0.0; Lbfgs::<M, f32>::memory_len(n)];
            let mut lbfgs = Lbfgs::<M, f32>::new(config, n, &mut memory).expect("valid");
            let mut x = problem.start.clone();
            let report = lbfgs.minimize(&mut problem, &mut x).expect("valid");
            let ended = report.termination;
            assert!(
                ended.is_converged() || ended == Termination::NoiseLevel,
                "{} to {tolerance}: {report}",
                problem.name
            );
        }
    }
}

/// Where the least value is known, it is reached, up to what the stopping rule lets stand.
#[test]
fn least_values_are_reached() {
    for mut problem in problems::all::<f64>() {
        let (report, _) = solve(&mut problem);
        let Some(least) = problem.least else { continue };
        // These stop on a plateau: |g| is small long before f is.
        let slack = match problem.name {
            "DIXON3DQ" => 2.2e-3,
            "DQRTIC" => 0.1,
            _ => 1e-6 + 1e-5 * least.abs(),
        };
        assert!(
            report.value <= least + slack,
            "{}: {} instead of {least}",
            problem.name,
            report.value
        );
    }
}

/// What f32 allows: how far the value may stay above the least one, relative to the value at the
/// start, where that is not 1e-6.
const F32_ACCURACY: [(&str, f64); 3] = [
    // The gradient is a sum of cancelling terms: noise from 1e-4 on.
    ("Osborne 1", 1e-4),
    // Stops on a plateau in any precision.
    ("DIXON3DQ", 1e-3),
    // Variables of sizes from 1e-2 to 1e4 in an exponent: ends in noise.
    ("Meyer", 1e-5),
];

#[test]
fn f32_reaches_what_it_can() {
    for mut problem in problems::all::<f32>() {
        let n = problem.start.len();
        let x = problem.start.clone();
        let start = f64::from(problem.value_and_gradient(&x, &mut vec![0.0; n]));
        problem.evaluations = 0;
        let (report, x) = solve(&mut problem);
        assert!(
            x.iter().all(|x| x.is_finite()) && report.value.is_finite(),
            "{}",
            problem.name
        );
        let Some(least) = problem.least else { continue };
        let allowed = F32_ACCURACY
            .iter()
            .find(|(name, _)| *name == problem.name)
            .map_or(1e-6, |row| row.1);
        let error = (f64::from(report.value) - least) / start.max(least.abs()).max(1.0);
        assert!(
            error <= allowed,
            "{}: {error:e} above the least value, {}",
            problem.name,
            report.termination
        );
    }
}
