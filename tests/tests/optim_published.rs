//! Counts that other implementations publish for their own sample problems.

use secant::line_search::{LineSearch, MoreThuente, Slope};
use secant::objective::{self, Objective};
use secant::optim::{Lbfgs, LbfgsB, LbfgsConfig, Report, Stopping};
use secant_tests::problems;

/// The sample of liblbfgs: paired Rosenbrock, n = 100, m = 6, strong Wolfe. It takes 37 iterations
/// to 1.283e-15.
#[test]
fn the_sample_of_liblbfgs() {
    let mut problem = problems::all::<f64>()
        .into_iter()
        .find(|problem| problem.name == "Rosenbrock, paired 100")
        .expect("in the collection");
    let search = MoreThuente {
        c2: 0.9,
        slope: Slope::Strong,
        ..MoreThuente::default()
    };
    let config = LbfgsConfig {
        line_search: LineSearch::MoreThuente(search),
        stopping: Stopping {
            target_value: Some(1.283e-15),
            ..Stopping::never()
        },
        ..LbfgsConfig::classic()
    };
    let mut memory = vec![0.0; Lbfgs::<6, f64>::memory_len(100)];
    let mut lbfgs = Lbfgs::<6, f64>::new(config, 100, &mut memory).expect("valid settings");
    let mut x = problem.start.clone();
    let report = lbfgs.minimize(&mut problem, &mut x).expect("valid lengths");
    assert!(report.termination.is_converged(), "{report}");
    assert!(report.iterations <= 37, "{report}");
}

/// The function of the drivers of L-BFGS-B.
fn driver(n: usize) -> impl Objective<f64> {
    objective::from_fn(n, move |x: &[f64], g: &mut [f64]| {
        g.fill(0.0);
        let d = x[0] - 1.0;
        let mut value = d * d;
        g[0] = 2.0 * d;
        for i in 1..n {
            let t = x[i] - x[i - 1] * x[i - 1];
            value += 4.0 * t * t;
            g[i] += 8.0 * t;
            g[i - 1] -= 16.0 * x[i - 1] * t;
        }
        value
    })
}

/// Odd variables (counting from 1) at least 1, even ones at least -100, all at most 100; from 3.
fn drive<const M: usize>(n: usize) -> Report<f64> {
    let lower: Vec<f64> = (0..n)
        .map(|i| if i % 2 == 0 { 1.0 } else { -100.0 })
        .collect();
    let upper = vec![100.0; n];
    let stopping = Stopping {
        gradient_tolerance: 1e-10,
        ..Stopping::default()
    };
    let config = LbfgsConfig {
        stopping,
        ..LbfgsConfig::default()
    };
    let mut memory = vec![0.0; LbfgsB::<M, f64>::memory_len(n)];
    let mut lbfgs =
        LbfgsB::<M, f64>::new(config, &lower, &upper, &mut memory).expect("valid settings");
    let mut x = vec![3.0; n];
    let report = lbfgs
        .minimize(&mut driver(n), &mut x)
        .expect("valid lengths");
    assert!(x.iter().zip(&lower).all(|(x, lower)| x >= lower));
    report
}

/// L-BFGS-B takes 46 iterations and 53 evaluations with n = 25 and m = 5, and 49 and 58 with n =
/// 1000 and m = 10.
#[test]
fn the_drivers_of_lbfgsb() {
    for (report, evaluations) in [(drive::<5>(25), 53), (drive::<10>(1000), 58)] {
        println!("{report}");
        assert!(report.termination.is_converged(), "{report}");
        assert!(report.evaluations <= evaluations, "{report}");
        assert!(report.value < 1e-13, "{report}");
    }
}
