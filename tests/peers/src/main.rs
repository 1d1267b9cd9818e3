//! Evaluations to convergence of Secant's L-BFGS and of argmin's, with m = 10, on the problems of
//! the conformance tests.
//!
//! `cargo run --release` in this folder; `scipy_lbfgsb.py` prints the column of scipy's L-BFGS-B.
//! Converged means `|g| <= 1e-5 max(1, |x|)`: for Secant at an iterate, for the others at *any*
//! point that they evaluate, which is generous to them.

// What the tests alone use is not used here.
#[allow(dead_code)]
#[path = "../../src/problems/mod.rs"]
mod problems;

use std::cell::RefCell;
use std::ops::ControlFlow;
use std::rc::Rc;

use argmin::core::{CostFunction, Error, Executor, Gradient};
use argmin::solver::linesearch::MoreThuenteLineSearch;
use argmin::solver::quasinewton::LBFGS;
use problems::Problem;
use secant::objective::Objective;
use secant::optim::{Lbfgs, LbfgsConfig, Stopping};

const M: usize = 10;
const MOST: u32 = 20_000;

/// A problem as argmin wants it: value and gradient apart. Each point is counted once.
#[derive(Clone)]
struct Counted {
    shared: Rc<RefCell<Shared>>,
}

struct Shared {
    problem: Problem<f64>,
    last: Vec<f64>,
    gradient: Vec<f64>,
    value: f64,
    converged_at: Option<u32>,
}

impl Shared {
    fn evaluate(&mut self, x: &[f64]) -> Result<(), Error> {
        if x == self.last {
            return Ok(());
        }
        if self.converged_at.is_some() || self.problem.evaluations >= MOST {
            return Err(Error::msg("done"));
        }
        self.last = x.to_vec();
        self.value = self.problem.value_and_gradient(x, &mut self.gradient);
        let norm = secant::vector::norm2(&self.gradient);
        if norm <= 1e-5 * secant::vector::norm2(x).max(1.0) {
            self.converged_at = Some(self.problem.evaluations);
        }
        Ok(())
    }
}

impl CostFunction for Counted {
    type Param = Vec<f64>;
    type Output = f64;
    fn cost(&self, x: &Vec<f64>) -> Result<f64, Error> {
        let mut shared = self.shared.borrow_mut();
        shared.evaluate(x)?;
        Ok(shared.value)
    }
}

impl Gradient for Counted {
    type Param = Vec<f64>;
    type Gradient = Vec<f64>;
    fn gradient(&self, x: &Vec<f64>) -> Result<Vec<f64>, Error> {
        let mut shared = self.shared.borrow_mut();
        shared.evaluate(x)?;
        Ok(shared.gradient.clone())
    }
}

fn argmin(problem: Problem<f64>) -> Option<u32> {
    let start = problem.start.clone();
    let n = start.len();
    let shared = Shared { problem, last: Vec::new(), gradient: vec![0.0; n], value: 0.0, converged_at: None };
    let counted = Counted { shared: Rc::new(RefCell::new(shared)) };
    let solver = LBFGS::new(MoreThuenteLineSearch::new(), M);
    // Ends with our error once the point is good enough; other errors are failures of its own.
    let _ = Executor::new(counted.clone(), solver)
        .configure(|state| state.param(start).max_iters(u64::from(MOST)))
        .run();
    let converged_at = counted.shared.borrow().converged_at;
    converged_at
}

fn secant(problem: &mut Problem<f64>) -> Option<u32> {
    let n = problem.start.len();
    let stopping = Stopping { max_evaluations: MOST, ..Stopping::never() };
    let mut memory = vec![0.0; Lbfgs::<M, f64>::memory_len(n)];
    let config = LbfgsConfig { stopping, ..LbfgsConfig::default() };
    let mut lbfgs = Lbfgs::<M, f64>::new(config, n, &mut memory).ok()?;
    let (mut x, mut converged_at) = (problem.start.clone(), None);
    lbfgs
        .minimize_with(problem, &mut x, |step, x| {
            if step.gradient_norm <= 1e-5 * secant::vector::norm2(x).max(1.0) {
                converged_at = Some(step.evaluations);
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        })
        .ok()?;
    converged_at
}

fn main() {
    let show = |count: Option<u32>| count.map_or("fails".into(), |count| count.to_string());
    println!("{:27} {:>6} {:>8} {:>8}", "problem", "n", "secant", "argmin");
    for (mut problem, again) in problems::all::<f64>().into_iter().zip(problems::all::<f64>()) {
        let n = problem.start.len();
        let ours = secant(&mut problem);
        println!("{:27} {:>6} {:>8} {:>8}", problem.name, n, show(ours), show(argmin(again)));
    }
}
