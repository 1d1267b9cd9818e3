//! What a step of each deterministic method costs as the number of variables grows.
//!
//! The objective is a chain of Rosenbrock's valleys, whose value, gradient and Hessian products
//! cost a few operations a variable: what is timed is the method, not the problem. Seconds are
//! those that the processor spent on the thread.

use std::hint::black_box;

use cpu_time::ThreadTime;
use secant::ConfigError;
use secant::objective::{self, HessianProduct};
use secant::optim::{
    Bfgs, BfgsConfig, GradientDescent, GradientDescentConfig, Lbfgs, LbfgsConfig, Newton, NewtonCg,
    NewtonCgConfig, NewtonConfig, Stopping, ldl, ldl_solve,
};
use serde::Serialize;

use crate::chart::{Axis, Chart, Joined, Point, Scale, Series, Style};

/// Sizes for methods whose step costs as much as the variables are many. All of them leave the
/// first cache, none of them the last one, so that what is fitted is the method and not the memory.
const LONG: &[usize] = &[1 << 12, 1 << 13, 1 << 14, 1 << 15, 1 << 16];

/// Sizes for methods that keep a matrix.
const SHORT: &[usize] = &[128, 192, 256, 384, 512, 768, 1024];

/// Steps before the timing, in which histories fill.
const WARM: usize = 12;

/// A method's cost.
#[derive(Debug, Clone, Serialize)]
pub struct Curve {
    /// The method.
    pub name: &'static str,
    /// Variables, seconds a step, bytes of memory.
    pub points: Vec<Cost>,
    /// p of `seconds = c n^p`, fitted to the three largest sizes.
    pub exponent: f64,
    /// The same of the memory.
    pub memory_exponent: f64,
}

/// The cost at one size.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Cost {
    /// Variables.
    pub n: usize,
    /// A step, the fastest of some.
    pub seconds: f64,
    /// The method's own memory.
    pub bytes: usize,
}

/// The chain: `sum_i (1 - x_i)^2 + 10 (x_i+1 - x_i^2)^2`.
fn chain(n: usize) -> impl HessianProduct<f64> {
    let function = |x: &[f64], g: &mut [f64]| {
        g.fill(0.0);
        let mut value = 0.0;
        for i in 0..x.len() - 1 {
            let (a, b) = (1.0 - x[i], x[i + 1] - x[i] * x[i]);
            value += a * a + 10.0 * b * b;
            g[i] -= 2.0 * a + 40.0 * x[i] * b;
            g[i + 1] += 20.0 * b;
        }
        value
    };
    let product = |x: &[f64], v: &[f64], out: &mut [f64]| {
        out.fill(0.0);
        for i in 0..x.len() - 1 {
            let own = 2.0 + 120.0 * x[i] * x[i] - 40.0 * x[i + 1];
            let off = -40.0 * x[i];
            out[i] += own * v[i] + off * v[i + 1];
            out[i + 1] += off * v[i] + 20.0 * v[i + 1];
        }
    };
    objective::from_fn(n, function).with_hessian_product(product)
}

/// Where the chain starts.
fn start(n: usize) -> Vec<f64> {
    (0..n)
        .map(|i| if i % 2 == 0 { -1.2 } else { 1.0 })
        .collect()
}

/// Seconds of a step: the fastest, of as many as fit a while.
fn fastest<E>(mut step: impl FnMut() -> Result<(), E>) -> Result<f64, E> {
    for _ in 0..WARM {
        step()?;
    }
    let (mut best, begun) = (f64::INFINITY, ThreadTime::now());
    for done in 0..40 {
        let since = ThreadTime::now();
        step()?;
        best = best.min(since.elapsed().as_secs_f64());
        if done >= 5 && begun.elapsed().as_secs_f64() > 1.0 {
            break;
        }
    }
    Ok(best)
}

/// The slope of the logarithms over the last three points.
fn exponent(points: &[Cost], value: impl Fn(&Cost) -> f64) -> f64 {
    let last = &points[points.len().saturating_sub(3)..];
    let count = last.len() as f64;
    let logs = || {
        last.iter()
            .map(|cost| ((cost.n as f64).ln(), value(cost).ln()))
    };
    let x = logs().map(|(x, _)| x).sum::<f64>() / count;
    let y = logs().map(|(_, y)| y).sum::<f64>() / count;
    let cross: f64 = logs().map(|(a, b)| (a - x) * (b - y)).sum();
    let square: f64 = logs().map(|(a, _)| (a - x) * (a - x)).sum();
    cross / square
}

fn curve<E>(
    name: &'static str,
    sizes: &[usize],
    memory_len: fn(usize) -> usize,
    mut seconds: impl FnMut(usize, &mut [f64]) -> Result<f64, E>,
) -> Result<Curve, E> {
    let mut points = Vec::new();
    for &n in sizes {
        let mut memory = vec![0.0; memory_len(n)];
        let seconds = seconds(n, &mut memory)?;
        let bytes = 8 * memory.len();
        points.push(Cost { n, seconds, bytes });
    }
    Ok(Curve {
        name,
        exponent: exponent(&points, |cost| cost.seconds),
        memory_exponent: exponent(&points, |cost| cost.bytes as f64),
        points,
    })
}

/// Measures a step of gradient descent, L-BFGS with 8 pairs, BFGS, Newton-CG with at most 20
/// products and Newton, and Newton's dense solve alone. Takes about a minute.
///
/// # Errors
/// [`ConfigError`] cannot come of settings that are right.
pub fn run() -> Result<Vec<Curve>, ConfigError> {
    let stopping = Stopping::never();
    let descent = curve(
        "gradient descent",
        LONG,
        GradientDescent::<f64>::memory_len,
        |n, memory| {
            let config = GradientDescentConfig {
                stopping,
                ..GradientDescentConfig::default()
            };
            let mut method = GradientDescent::new(config, n, memory)?;
            let (mut chain, mut x) = (chain(n), start(n));
            fastest(|| method.step(&mut chain, &mut x).map(drop))
        },
    );
    let lbfgs = curve("L-BFGS", LONG, Lbfgs::<8, f64>::memory_len, |n, memory| {
        let config = LbfgsConfig {
            stopping,
            ..LbfgsConfig::classic()
        };
        let mut method = Lbfgs::<8, f64>::new(config, n, memory)?;
        let (mut chain, mut x) = (chain(n), start(n));
        fastest(|| method.step(&mut chain, &mut x).map(drop))
    });
    let bfgs = curve("BFGS", SHORT, Bfgs::<f64>::memory_len, |n, memory| {
        let config = BfgsConfig {
            stopping,
            ..BfgsConfig::default()
        };
        let mut method = Bfgs::new(config, n, memory)?;
        let (mut chain, mut x) = (chain(n), start(n));
        fastest(|| method.step(&mut chain, &mut x).map(drop))
    });
    let newton_cg = curve(
        "Newton-CG",
        LONG,
        NewtonCg::<f64>::memory_len,
        |n, memory| {
            let damped = NewtonCgConfig::damped();
            let config = NewtonCgConfig {
                stopping,
                max_products: 20,
                ..damped
            };
            let mut method = NewtonCg::new(config, n, memory)?;
            let (mut chain, mut x) = (chain(n), start(n));
            fastest(|| {
                // It would have converged soon.
                x.copy_from_slice(&start(n));
                method.objective_changed();
                method.step(&mut chain, &mut x).map(drop)
            })
        },
    );
    let newton = curve("Newton", SHORT, Newton::<f64>::memory_len, |n, memory| {
        let config = NewtonConfig {
            stopping,
            ..NewtonConfig::default()
        };
        let mut method = Newton::new(config, n, memory)?;
        let (mut chain, mut x) = (chain(n), start(n));
        fastest(|| {
            x.copy_from_slice(&start(n));
            method.objective_changed();
            method.step(&mut chain, &mut x).map(drop)
        })
    });
    let solve = curve(
        "dense solve alone",
        SHORT,
        |n| n * n,
        |n, memory| {
            // Positive definite: what is off the diagonal adds up to less than it.
            memory
                .iter_mut()
                .enumerate()
                .for_each(|(i, h)| *h = 1.0 / (1 + i % 97 + n) as f64);
            let (diagonal, mut pivots) = (vec![2.0; n], vec![0.0; n]);
            let mut x = start(n);
            fastest(|| {
                let inertia = ldl(memory, &diagonal, &mut pivots)?;
                x.copy_from_slice(&start(n));
                ldl_solve(memory, &pivots, &mut x)?;
                black_box((inertia, &x));
                Ok(())
            })
        },
    );
    Ok(vec![descent?, lbfgs?, newton_cg?, bfgs?, newton?, solve?])
}

/// The curves in one figure.
pub fn figure(curves: &[Curve], subtitle: &str) -> Chart {
    let axis = |label: &str, column: &str| Axis::new(label, column, Scale::Log);
    let line = |(i, curve): (usize, &Curve)| Series {
        name: curve.name.to_owned(),
        remark: format!(
            "n^{:.2}, memory n^{:.2}",
            curve.exponent, curve.memory_exponent
        ),
        style: Style::of(i),
        joined: Joined::Lines,
        points: curve
            .points
            .iter()
            .map(|c| Point::new(c.n as f64, c.seconds))
            .collect(),
        taken: None,
    };
    Chart {
        name: "scaling",
        title: "What a step costs".to_owned(),
        subtitle: subtitle.to_owned(),
        x: axis("variables", "n"),
        y: axis("seconds a step", "seconds"),
        // The frame then holds all of it.
        ideal: 1e9,
        series: curves.iter().enumerate().map(line).collect(),
        targets: Vec::new(),
    }
}
