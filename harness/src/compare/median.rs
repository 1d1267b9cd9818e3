//! The median of numbers that may be infinite, as times to a target are where a run never got
//! there, and an interval of it.
//!
//! Of `n` independent values, the `k`-th smallest is above the true median with the probability
//! that a coin shows heads less than `k` times in `n` throws, whatever the distribution. So the
//! true median lies
//!
//! ```text
//! from x_(k) to x_(n + 1 - k)   with a probability of at least 1 - 2 P(B(n, 1/2) < k)
//! ```
//!
//! and the interval takes the largest `k` for which that is 95 % or more; five values or fewer have
//! none. An infinite value counts as larger than all others, and nothing more need be known of it.
//!
//! Source: W. R. Thompson, *On confidence ranges for the median and other expectation distributions
//! for populations of unknown distribution form*, Ann. Math. Statist. 7 (1936), 122-128.

use statrs::distribution::{Binomial, DiscreteCDF};

use super::verdict::LEVEL;

/// The middle one, or the mean of the middle two: infinite where one of them is; a NaN of none.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => values[n / 2],
        n => 0.5 * (values[n / 2 - 1] + values[n / 2]),
    }
}

/// The 95 % interval of the median; either end may be infinite. None with five values or fewer.
pub fn interval(mut values: Vec<f64>) -> Option<[f64; 2]> {
    values.sort_by(f64::total_cmp);
    let n = values.len();
    let coin = Binomial::new(0.5, n as u64).ok()?;
    let kept = |k: &usize| 2.0 * coin.cdf(*k as u64 - 1) <= LEVEL;
    let k = (1..=n / 2).take_while(kept).last()?;
    Some([values[k - 1], values[n - k]])
}

#[cfg(test)]
mod tests {
    use super::*;
    use secant::Random;

    #[test]
    fn a_target_that_half_of_the_runs_miss_is_not_reached() {
        assert_eq!(median(vec![1.0, f64::INFINITY]), f64::INFINITY);
        assert_eq!(median(vec![3.0, f64::INFINITY, 1.0]), 3.0);
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), 2.5);
        assert!(median(vec![]).is_nan());
    }

    /// Which order statistics a table of the sign test gives (Conover 1999, table A3).
    #[test]
    fn the_interval_has_the_published_order_statistics() {
        for (n, k) in [
            (6, 1),
            (8, 1),
            (9, 2),
            (10, 2),
            (12, 3),
            (15, 4),
            (20, 6),
            (30, 10),
        ] {
            let values: Vec<f64> = (1..=n).rev().map(f64::from).collect();
            let ends = [f64::from(k), f64::from(n + 1 - k)];
            assert_eq!(interval(values), Some(ends), "{n}");
        }
        for n in 0..6 {
            assert_eq!(interval(vec![1.0; n]), None);
        }
        assert!(interval(vec![1.0; 10_000]).is_some());
        let mut values = vec![1.0, 2.0, 3.0, 4.0, 5.0];
        values.push(f64::INFINITY);
        assert_eq!(interval(values), Some([1.0, f64::INFINITY]));
        assert_eq!(interval(vec![f64::INFINITY; 6]), Some([f64::INFINITY; 2]));
    }

    /// Times of a skewed distribution, a quarter of which is never reached.
    #[test]
    fn the_interval_holds_the_median_as_often_as_promised() {
        let mut random = Random::new(36, 0);
        let mut draw = || {
            let u = f64::from(random.uniform());
            if u < 0.75 {
                -(1.0 - u).ln()
            } else {
                f64::INFINITY
            }
        };
        for n in [6, 10, 20, 31] {
            let tries = 4000;
            let missed = (0..tries).filter(|_| {
                let [low, high] = interval((0..n).map(|_| draw()).collect()).unwrap();
                !(low..=high).contains(&2f64.ln())
            });
            let share = missed.count() as f64 / f64::from(tries);
            assert!(share <= 0.05 + 0.011, "{n}: {share}");
        }
    }
}
