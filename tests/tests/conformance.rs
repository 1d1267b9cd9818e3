//! L-BFGS with its default settings on problems with known answers, held against the reference
//! implementation.
//!
//! Every run is printed into a table whose snapshot is in `tests/snapshots`, so that a change of
//! behaviour is read in review: `SECANT_UPDATE_SNAPSHOTS=1 cargo test -p secant-tests --test
//! conformance` writes it anew.

use std::fmt::Write;

use secant::objective::Objective;
use secant::optim::{Lbfgs, LbfgsConfig, Report, Stopping, Termination};
use secant_tests::problems::{self, Number, Problem, Reference};
use secant_tests::snapshot;

/// Pairs.
const M: usize = 10;

fn solve<R: Number>(problem: &mut Problem<R>) -> (Report<R>, Vec<R>) {
    let n = problem.start.len();
    let stopping = Stopping {
        // In f32 below what most problems allow: the run goes on until the rounding error.
        gradient_tolerance: R::of(1e-5),
        max_iterations: 5000,
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

/// Every problem of the reference's first table is solved, with at most 0.9 of its evaluations in
/// the geometric mean and at most twice as many on any one.
#[test]
fn evaluations_against_the_reference() {
    let (mut logarithms, mut count) = (0.0, 0.0);
    for mut problem in problems::table::<f64>() {
        let (report, x) = solve(&mut problem);
        assert_eq!(
            report.termination,
            Termination::GradientConverged,
            "{}",
            problem.name
        );
        assert!(
            report.gradient_norm <= 1e-5 * secant::vector::norm2(&x).max(1.0),
            "{}",
            problem.name
        );
        let Reference::Evaluations(reference) = problem.reference else {
            panic!("{} is in the first table", problem.name)
        };
        let ratio = f64::from(report.evaluations) / f64::from(reference);
        println!("{:27} {ratio:5.2}", problem.name);
        assert!(
            ratio <= 2.0,
            "{}: {} evaluations, reference {reference}",
            problem.name,
            report.evaluations
        );
        logarithms += ratio.ln();
        count += 1.0;
    }
    let mean = f64::exp(logarithms / count);
    println!("geometric mean              {mean:5.3}");
    assert!(mean <= 0.9, "geometric mean of the ratios {mean}");
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
const F32_ACCURACY: [(&str, f64); 2] = [
    // The gradient is a sum of cancelling terms: noise from 1e-4 on.
    ("Osborne 1", 1e-4),
    // Stops on a plateau in any precision.
    ("DIXON3DQ", 1e-3),
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
