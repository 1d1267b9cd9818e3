//! Hessian-free optimisation against dense solves, its damping, what it refuses to follow; pairs of
//! the flat L-BFGS from products.

use secant::objective::{HessianProduct, Objective};
use secant::optim::{
    FlatLbfgs, FlatLbfgsConfig, HessianFree, HessianFreeConfig, HessianFreeStep, IterateAverages,
    Verdict,
};
use secant_tests::dense::{distance, solve};
use secant_tests::draw::Draw;

/// `f = (x - c)' A (x - c) / 2`, whose products are `factor` times too large.
struct Bowl {
    a: Vec<f64>,
    centre: Vec<f64>,
    factor: f64,
    /// What the value is at any other point than the first.
    elsewhere: Option<f32>,
    asked: u32,
}

impl Bowl {
    /// A random positive definite matrix.
    fn new(n: usize, draw: &mut Draw) -> Bowl {
        let roots: Vec<f64> = (0..n * n).map(|_| f64::from(draw.symmetric())).collect();
        let mut a = vec![0.0; n * n];
        for i in 0..n {
            for j in 0..n {
                let row = |i: usize| &roots[i * n..(i + 1) * n];
                a[i * n + j] = row(i).iter().zip(row(j)).map(|(x, y)| x * y).sum();
            }
            a[i * n + i] += 0.1;
        }
        Bowl {
            a,
            centre: (0..n).map(|_| f64::from(draw.symmetric())).collect(),
            factor: 1.0,
            elsewhere: None,
            asked: 0,
        }
    }

    fn multiply(&self, v: &[f64]) -> Vec<f64> {
        let rows = self.a.chunks_exact(v.len());
        rows.map(|row| row.iter().zip(v).map(|(a, v)| a * v).sum())
            .collect()
    }

    fn gradient(&self, x: &[f32]) -> (f64, Vec<f64>) {
        let pairs = x.iter().zip(&self.centre);
        let away: Vec<f64> = pairs.map(|(x, c)| f64::from(*x) - c).collect();
        let g = self.multiply(&away);
        (
            0.5 * g.iter().zip(&away).map(|(g, x)| g * x).sum::<f64>(),
            g,
        )
    }

    /// `-(A + damping I)^-1 g`.
    fn newton(&self, x: &[f32], damping: f64) -> Vec<f64> {
        let n = x.len();
        let mut a = self.a.clone();
        (0..n).for_each(|i| a[i * n + i] += damping);
        let (_, g) = self.gradient(x);
        solve(a, g.into_iter().map(|g| -g).collect())
    }
}

impl Objective<f32> for Bowl {
    fn dimension(&self) -> usize {
        self.centre.len()
    }
    fn value_and_gradient(&mut self, x: &[f32], gradient: &mut [f32]) -> f32 {
        let (value, g) = self.gradient(x);
        for (target, g) in gradient.iter_mut().zip(g) {
            *target = g as f32;
        }
        value as f32
    }
    fn value(&mut self, x: &[f32], _scratch: &mut [f32]) -> f32 {
        self.elsewhere.unwrap_or(self.gradient(x).0 as f32)
    }
}

impl HessianProduct<f32> for Bowl {
    fn hessian_product(&mut self, _x: &[f32], v: &[f32], product: &mut [f32]) {
        self.asked += 1;
        let v: Vec<f64> = v.iter().map(|v| f64::from(*v)).collect();
        for (target, value) in product.iter_mut().zip(self.multiply(&v)) {
            *target = (self.factor * value) as f32;
        }
    }
}

/// Conjugate gradients to the end.
const WHOLE: HessianFreeConfig = HessianFreeConfig {
    damping: 1.0,
    iterations: 300,
    progress: 0.0,
    ..HessianFreeConfig::DEFAULT
};

/// Steps of `config` from 0, each with where it began.
fn steps(
    config: HessianFreeConfig,
    bowl: &mut Bowl,
    count: usize,
) -> Vec<(Vec<f32>, HessianFreeStep)> {
    let n = bowl.dimension();
    let mut memory = vec![f32::NAN; HessianFree::memory_len(n)];
    let mut method = HessianFree::new(config, n, &mut memory).unwrap();
    let mut x = vec![0.0; n];
    let each = (0..count).map(|_| {
        let before = x.clone();
        (before, method.step(1.0, bowl, &mut x).unwrap())
    });
    let mut each: Vec<_> = each.collect();
    let end = each.last().map(|(_, step)| *step).unwrap();
    each.push((x, end));
    each
}

#[test]
fn a_step_is_that_of_the_dense_solve_wherever_it_begins_from() {
    let mut draw = Draw::new(4);
    for n in [1, 2, 7, 16, 33, 60] {
        for keep in [0.0, 0.95] {
            let mut bowl = Bowl::new(n, &mut draw);
            let course = steps(HessianFreeConfig { keep, ..WHOLE }, &mut bowl, 4);
            for pair in course.windows(2) {
                let ((before, step), (after, _)) = (&pair[0], &pair[1]);
                let newton = bowl.newton(before, f64::from(step.damping));
                let moved: Vec<f32> = after.iter().zip(before).map(|(a, b)| a - b).collect();
                let off = distance(&moved, &newton);
                assert!(off < 2e-3, "{n} variables, keep {keep}: off by {off}");
                assert!((step.ratio - 1.0).abs() < 1e-2, "{n}: {step:?}");
            }
        }
    }
}

#[test]
fn the_damping_falls_with_a_good_model_and_rises_with_a_bad_one() {
    let mut draw = Draw::new(5);
    let mut bowl = Bowl::new(20, &mut draw);
    let dampings = |bowl: &mut Bowl| -> Vec<f32> {
        let course = steps(WHOLE, bowl, 4);
        course.iter().map(|(_, step)| step.damping).collect()
    };
    let falls = dampings(&mut bowl);
    for pair in falls[..4].windows(2) {
        assert!((pair[1] / pair[0] - 2.0 / 3.0).abs() < 1e-6, "{falls:?}");
    }
    // Curvature that is seen ten times too small: steps end beyond the minimum. In the first one
    // the loss rises, and nothing moves.
    bowl.factor = 0.1;
    let low = HessianFreeConfig {
        damping: 1e-3,
        ..WHOLE
    };
    let course = steps(low, &mut bowl, 12);
    let (start, first) = &course[0];
    assert!(first.ratio <= 0.0 && !first.moved, "{first:?}");
    assert_eq!(&course[1].0, start);
    assert!((course[1].1.damping / first.damping - 4.0).abs() < 1e-6);
    let settled = &course[11].1;
    assert!(
        settled.moved && settled.damping > 10.0 * first.damping,
        "{settled:?}"
    );
    // A little too small: it moves, and a ratio under a quarter raises the damping by half.
    bowl.factor = 0.55;
    let course = steps(
        HessianFreeConfig {
            damping: 1e-6,
            ..WHOLE
        },
        &mut bowl,
        2,
    );
    let (first, second) = (course[0].1, course[1].1);
    assert!(
        first.moved && (0.0..0.25).contains(&first.ratio),
        "{first:?}"
    );
    assert!((second.damping / first.damping - 1.5).abs() < 1e-6);
}

#[test]
fn products_are_counted_and_end_where_they_gain_little() {
    let mut draw = Draw::new(6);
    let mut bowl = Bowl::new(60, &mut draw);
    for (iterations, keep) in [(1, 0.0), (3, 0.0), (3, 0.95)] {
        let config = HessianFreeConfig {
            iterations,
            keep,
            ..WHOLE
        };
        bowl.asked = 0;
        let course = steps(config, &mut bowl, 3);
        let told: u32 = course[..3].iter().map(|(_, step)| step.products).sum();
        // One more where a step begins from the last solution, which the first one does not.
        let begun = if keep > 0.0 { 2 } else { 0 };
        assert_eq!((told, bowl.asked), (3 * iterations + begun, told));
    }
    let few = HessianFreeConfig {
        progress: 0.05,
        ..WHOLE
    };
    let (_, step) = &steps(few, &mut bowl, 1)[0];
    assert!((3..60).contains(&step.products), "{step:?}");
}

#[test]
fn what_is_of_no_use_moves_nothing() {
    let mut draw = Draw::new(7);
    for end in [f32::NAN, f32::INFINITY, 1e9] {
        let mut bowl = Bowl::new(7, &mut draw);
        bowl.elsewhere = Some(end);
        let course = steps(WHOLE, &mut bowl, 30);
        assert!(course.iter().all(|(x, step)| x == &[0.0; 7] && !step.moved));
        let damping = course[29].1.damping;
        assert!(damping > 1e9 && damping <= 1e10, "{damping}");
    }
    // Products that are not finite, or of a matrix that is not positive semidefinite.
    for factor in [f64::NAN, f64::INFINITY, -1e6] {
        let mut bowl = Bowl::new(7, &mut draw);
        bowl.factor = factor;
        let course = steps(WHOLE, &mut bowl, 3);
        assert!(course.iter().all(|(x, _)| x == &[0.0; 7]), "{factor}");
    }
    // A stationary point, and a gradient that is not finite.
    let mut bowl = Bowl::new(7, &mut draw);
    bowl.centre.fill(0.0);
    let (_, step) = &steps(WHOLE, &mut bowl, 3)[2];
    assert!(!step.moved && step.ratio.is_nan() && step.damping == WHOLE.damping);
    bowl.a[3] = f64::NAN;
    let (_, step) = &steps(WHOLE, &mut bowl, 3)[2];
    assert!(!step.moved && step.loss.is_nan() && step.products == 0);
}

#[test]
fn lengths_that_do_not_fit_are_refused() {
    let default = HessianFreeConfig::DEFAULT;
    let mut memory = [0.0; HessianFree::memory_len(3) - 1];
    assert!(HessianFree::new(default, 3, &mut memory).is_err());
    let mut memory = [0.0; HessianFree::memory_len(3)];
    let mut method = HessianFree::new(default, 3, &mut memory).unwrap();
    let mut bowl = Bowl::new(3, &mut Draw::new(1));
    assert!(method.step(1.0, &mut bowl, &mut [0.0; 2]).is_err());
    let mut bowl = Bowl::new(4, &mut Draw::new(1));
    assert!(method.step(1.0, &mut bowl, &mut [0.0; 3]).is_err());
    assert!(IterateAverages::new(1, 3, &mut [0.0; 8]).is_err());
}

#[test]
fn averages_are_those_of_each_window() {
    let mut draw = Draw::new(8);
    for every in [1, 2, 5] {
        let n = 19;
        let mut memory = vec![f32::NAN; IterateAverages::memory_len(n)];
        let mut averages = IterateAverages::new(every, n, &mut memory).unwrap();
        let mut iterates: Vec<Vec<f32>> = Vec::new();
        for k in 1..=4 * every {
            iterates.push((0..n).map(|_| draw.symmetric()).collect());
            let ended = averages.add(iterates.last().unwrap()).unwrap();
            assert_eq!(ended, k % every == 0 && k > every, "{k} of {every}");
            if !ended {
                continue;
            }
            let mean = |window: &[Vec<f32>], j: usize| {
                let sum: f64 = window.iter().map(|w| f64::from(w[j])).sum();
                sum / f64::from(every)
            };
            let (k, every) = (k as usize, every as usize);
            for j in 0..n {
                let now = mean(&iterates[k - every..k], j);
                let before = mean(&iterates[k - 2 * every..k - every], j);
                assert!((f64::from(averages.point()[j]) - now).abs() < 1e-6);
                assert!((f64::from(averages.step()[j]) - (now - before)).abs() < 1e-6);
            }
        }
        assert!(averages.add(&[0.0]).is_err());
    }
}

/// On a quadratic function the difference of two gradients is a product with its Hessian: both
/// sources of a pair make the same steps.
#[test]
fn a_pair_of_a_product_is_that_of_two_gradients() {
    let mut draw = Draw::new(9);
    let n = 33;
    let mut bowl = Bowl::new(n, &mut draw);
    let config = FlatLbfgsConfig::default();
    let mut memories = [0; 2].map(|_| vec![0.0; FlatLbfgs::<4>::memory_len(n)]);
    let [first, second] = &mut memories;
    let mut by_gradients = FlatLbfgs::<4>::new(config, n, first).unwrap();
    let mut by_products = FlatLbfgs::<4>::new(config, n, second).unwrap();
    let (mut x, mut z) = (vec![0.0f32; n], vec![0.0f32; n]);
    let [mut g, mut other, mut product] = [0; 3].map(|_| vec![0.0f32; n]);
    assert!(matches!(
        by_products.observe_product(&x, &g),
        Ok(Verdict::Skipped(_))
    ));
    assert!(by_products.observe_product(&x[1..], &g).is_err());
    assert!(by_products.observe_product(&x, &g[1..]).is_err());
    for _ in 0..100 {
        bowl.value_and_gradient(&x, &mut g);
        if by_gradients.wants_anchor_gradient() {
            let anchor = by_gradients.anchor().to_vec();
            bowl.value_and_gradient(&anchor, &mut other);
            by_gradients.observe(&x, &g, &other).unwrap();
            let step: Vec<f32> = x.iter().zip(&anchor).map(|(x, a)| x - a).collect();
            bowl.hessian_product(&x, &step, &mut product);
            by_products.observe_product(&step, &product).unwrap();
        }
        let _ = by_gradients.step(1.0, &mut x, &g).unwrap();
        bowl.value_and_gradient(&z, &mut g);
        let _ = by_products.step(1.0, &mut z, &g).unwrap();
    }
    let expected: Vec<f64> = x.iter().map(|x| f64::from(*x)).collect();
    let off = distance(&z, &expected);
    assert!(off < 1e-3, "off by {off}");
    assert!(x.iter().any(|x| x.abs() > 0.05), "it has moved");
    let (accepted, damped, _) = by_products.verdicts();
    assert!(accepted + damped > 3);
}
