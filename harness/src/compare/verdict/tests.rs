//! Against values from elsewhere, and the level by simulation.

use super::*;
use secant::Random;

fn close(a: f64, b: f64, tolerance: f64) {
    assert!((a - b).abs() < tolerance, "{a} is not {b}");
}

#[test]
fn differences_without_skewness_give_students_test() {
    // scipy.stats.ttest_1samp([1, 2, 3, 4, 5], 0).pvalue; the interval 3 +- 2.776445 sqrt(1/2).
    let paired = paired(&[1.0, 2.0, 3.0, 4.0, 5.0], 0.05);
    close(paired.mean, 3.0, 1e-12);
    // No skewness: both tests are one.
    close(paired.p, 0.013_235_599_563, 1e-9);
    let [low, high] = paired.interval.unwrap();
    close(low, 3.0 - 2.776_445_105_2 * 0.5f64.sqrt(), 1e-8);
    close(high, 3.0 + 2.776_445_105_2 * 0.5f64.sqrt(), 1e-8);
}

#[test]
fn the_interval_leaves_out_zero_exactly_where_the_test_refuses_it() {
    let mut random = Random::new(3, 0);
    let (mut inside, mut outside) = (0, 0);
    for n in [3, 4, 5, 8, 12, 30] {
        for _ in 0..2000 {
            let values: Vec<f64> = (0..n)
                .map(|_| 0.7 - exponential(&mut random) * f64::from(random.uniform()))
                .collect();
            let paired = paired(&values, LEVEL);
            let [low, high] = paired.interval.unwrap();
            assert!(low <= paired.mean && paired.mean <= high);
            let zero_inside = low <= 0.0 && 0.0 <= high;
            assert_eq!(zero_inside, paired.p >= LEVEL, "{values:?}: {paired:?}");
            if zero_inside {
                inside += 1;
            } else {
                outside += 1;
            }
        }
    }
    assert!(inside > 500 && outside > 500, "{inside}, {outside}");
}

#[test]
fn hall_and_its_inverse_belong_together() {
    for skewness in [-2.5, -0.3, -1e-6, 0.0, 1e-12, 0.4, 1.7] {
        for n in [3.0, 5.0, 30.0] {
            for t in [-5.0, -2.0, 0.0, 0.1, 3.0] {
                let w = inverse_hall(t, skewness, n);
                close(hall(w, skewness, n), t, 1e-6);
            }
        }
    }
}

#[test]
fn what_cannot_be_judged_is_not() {
    for differences in [&[][..], &[1.0], &[1.0, 2.0], &[1.0, 2.0, f64::INFINITY]] {
        let paired = paired(differences, LEVEL);
        assert_eq!((paired.p, paired.interval), (1.0, None), "{differences:?}");
    }
    let same = paired(&[0.25; 6], LEVEL);
    assert_eq!((same.p, same.interval), (1.0 / 32.0, Some([0.25, 0.25])));
    assert_eq!(paired(&[0.0; 6], LEVEL).p, 1.0);
    // Differences of decimal fractions that should be equal and are not to the last bit.
    let nearly = paired(&[0.1 + 0.2, 0.3, 0.3], LEVEL);
    assert_eq!(nearly.p, 0.25);
}

#[test]
fn holms_correction_as_it_is_published() {
    // R: p.adjust(c(0.01, 0.04, 0.03, 0.005), "holm").
    let corrected = holm(&[0.01, 0.04, 0.03, 0.005]);
    for (own, published) in corrected.iter().zip([0.03, 0.06, 0.06, 0.02]) {
        close(*own, published, 1e-12);
    }
    assert_eq!(holm(&[0.9, 0.8]), [1.0, 1.0]);
    assert!(holm(&[]).is_empty());
}

fn exponential(random: &mut Random) -> f64 {
    -(1.0 - f64::from(random.uniform())).ln()
}

/// How the accuracies of an arm scatter about its mean, 0. Accuracies are skewed to the left.
#[derive(Debug, Clone, Copy)]
enum Scatter {
    /// Normal.
    Normal,
    /// Exponential: many good runs, and some that fall far behind.
    Exponential,
    /// Log-normal, sigma 1: far heavier still.
    LogNormal,
    /// Normal of deviation 0.2, and one run in twenty lost by 10.
    Collapses,
    /// Gamma of shape 4 (skewness 1); the first arm with half of the others' deviation, so that
    /// the differences are skewed, not only the accuracies.
    UnequalGamma,
}

impl Scatter {
    fn draw(self, random: &mut Random, first: bool) -> f64 {
        match self {
            Scatter::Normal => f64::from(random.normal()),
            Scatter::Exponential => 1.0 - exponential(random),
            Scatter::LogNormal => 0.5f64.exp() - f64::from(random.normal()).exp(),
            Scatter::Collapses => {
                let lost = if random.uniform() < 0.05 { 10.0 } else { 0.0 };
                0.2 * f64::from(random.normal()) - lost + 0.5
            }
            Scatter::UnequalGamma => {
                let sum: f64 = (0..4).map(|_| exponential(random)).sum();
                (4.0 - sum) * if first { 0.5 } else { 1.0 }
            }
        }
    }
}

/// The share of `tables` tables of `arms` arms and `n` seeds with at least one verdict, where all
/// but the first arm are better by `shift`.
fn found(scatter: Scatter, arms: usize, n: usize, shift: f64, tables: u32) -> f64 {
    let mut random = Random::new(19, (arms * 100 + n) as u64);
    let mut declared = 0;
    for _ in 0..tables {
        let first: Vec<f64> = (0..n).map(|_| scatter.draw(&mut random, true)).collect();
        let p: Vec<f64> = (1..arms)
            .map(|_| {
                let own = first
                    .iter()
                    .map(|first| scatter.draw(&mut random, false) + shift - first);
                paired(&own.collect::<Vec<_>>(), LEVEL).p
            })
            .collect();
        declared += u32::from(holm(&p).iter().any(|p| *p < LEVEL));
    }
    f64::from(declared) / f64::from(tables)
}

/// The level with `tables` tables a case: 5.5 %, and three deviations of the simulation itself.
fn holds_its_level(tables: u32) {
    let most = 0.055 + 3.0 * (0.055 * 0.945 / f64::from(tables)).sqrt();
    for scatter in [
        Scatter::Normal,
        Scatter::Exponential,
        Scatter::LogNormal,
        Scatter::Collapses,
        Scatter::UnequalGamma,
    ] {
        for arms in [2, 8] {
            for n in [3, 5, 10, 20, 30] {
                let share = found(scatter, arms, n, 0.0, tables);
                println!(
                    "{scatter:?}, {arms} arms, {n} seeds: {:.2} %",
                    100.0 * share
                );
                assert!(
                    share <= most,
                    "{scatter:?}, {arms} arms, {n} seeds: {share}"
                );
            }
        }
    }
}

#[test]
fn false_verdicts_are_as_rare_as_promised() {
    holds_its_level(1000);
}

/// A difference of two of the arms' own deviations, 1.4 of the differences'.
#[test]
fn true_differences_are_found() {
    for (n, least) in [(5, 0.42), (10, 0.88), (20, 0.99)] {
        let share = found(Scatter::Normal, 2, n, 2.0, 1000);
        assert!(share >= least, "{n} seeds: {share}");
    }
}

/// `SECANT_EXHAUSTIVE=1 cargo test --release -p secant-harness --lib exhaustive -- --nocapture`
/// prints what `docs/compare.md` states.
#[test]
fn exhaustive_level_and_power() {
    if std::env::var_os("SECANT_EXHAUSTIVE").is_none() {
        eprintln!("skipped: set SECANT_EXHAUSTIVE=1 to simulate 40,000 tables a case");
        return;
    }
    holds_its_level(40_000);
    for shift in [1.0, 2.0, 4.0] {
        for arms in [2, 8] {
            for n in [3, 5, 10, 20] {
                let share = found(Scatter::Normal, arms, n, shift, 20_000);
                println!(
                    "shift {shift}, {arms} arms, {n} seeds: {:.0} %",
                    100.0 * share
                );
            }
        }
    }
}
