//! Whether two optimisers differ: a test and an interval for the mean of paired differences.
//!
//! Runs of one seed share split, initial weights and order of samples, so what is tested is their
//! difference `d_s`, seed by seed. With mean `m`, standard deviation `s` and `n` seeds:
//!
//! ```text
//! t  = sqrt(n) m / s                                                   Student
//! u  = sqrt(n) (((1 + g W / 3)^3 - 1) / g + g / (6 n)),   W = m / s    Hall
//! p  = the larger of both two-sided tail probabilities of Student's t, n - 1 degrees of freedom
//! ```
//!
//! `g` is the adjusted sample skewness. Hall's transformation takes the skewness out of `t`, which
//! declares too much where differences are skewed and seeds few; on differences that are not, the
//! larger of both p-values errs on the side of caution. The interval holds the means that neither
//! test refuses, so it is the hull of both intervals and leaves out 0 exactly where `p` is under
//! one minus its level. Several p-values of one table are corrected by Holm's method, so that the
//! chance of even one false verdict in the table is what is promised.
//!
//! How often verdicts are false where there is no difference, and how many true ones are found, is
//! simulated in the tests below; `docs/compare.md` has the table.
//!
//! Sources: P. Hall, *On the removal of skewness by transformation*, J. R. Statist. Soc. B 54
//! (1992), 221-228; S. Holm, *A simple sequentially rejective multiple test procedure*, Scand. J.
//! Statist. 6 (1979), 65-70.

use statrs::distribution::{ContinuousCDF, StudentsT};

/// The chance of a false verdict that is accepted, all rows of a table together.
pub const LEVEL: f64 = 0.05;

/// Fewest seeds that can tell: the skewness needs three.
pub const FEWEST: usize = 3;

/// What is known of the mean of paired differences.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Paired {
    /// The mean.
    pub mean: f64,
    /// The means that the test does not refuse; none with fewer than [`FEWEST`] pairs.
    pub interval: Option<[f64; 2]>,
    /// The probability of a difference as clear as this where there is none.
    pub p: f64,
}

/// Tests paired differences, and gives the interval of confidence `1 - level`.
///
/// Differences that are all the same leave no deviation to judge by: their p-value is that of so
/// many equal signs, `2^(1-n)`. Fewer than [`FEWEST`], or such as are not finite, tell nothing.
pub fn paired(differences: &[f64], level: f64) -> Paired {
    let n = differences.len() as f64;
    let mean = differences.iter().sum::<f64>() / n;
    let nothing = Paired {
        mean,
        interval: None,
        p: 1.0,
    };
    if differences.len() < FEWEST || !mean.is_finite() {
        return nothing;
    }
    let moment = |power: i32| {
        differences
            .iter()
            .map(|d| (d - mean).powi(power))
            .sum::<f64>()
            / n
    };
    let (second, third) = (moment(2), moment(3));
    let deviation = (second * n / (n - 1.0)).sqrt();
    let largest = differences.iter().fold(0f64, |a, d| a.max(d.abs()));
    if deviation <= 1e-12 * largest || deviation == 0.0 {
        return Paired {
            interval: Some([mean, mean]),
            p: if mean == 0.0 { 1.0 } else { 2f64.powf(1.0 - n) },
            ..nothing
        };
    }
    let Ok(student) = StudentsT::new(0.0, 1.0, n - 1.0) else {
        return nothing;
    };
    let skewness = third / second.powf(1.5) * (n * (n - 1.0)).sqrt() / (n - 2.0);
    let root = n.sqrt();
    let w = mean / deviation;
    let tail = |t: f64| 2.0 * student.sf(t.abs());
    let p = tail(root * w).max(tail(hall(w, skewness, n)));
    let quantile = student.inverse_cdf(1.0 - 0.5 * level);
    let ends = |t: f64| {
        let plain = t / root;
        let skewed = inverse_hall(t, skewness, n);
        [plain, skewed].map(|w| mean - deviation * w)
    };
    let (high, low) = (ends(-quantile), ends(quantile));
    Paired {
        mean,
        interval: Some([low[0].min(low[1]), high[0].max(high[1])]),
        p: p.min(1.0),
    }
}

/// Hall's transformed `t` of `w`, the mean in deviations.
fn hall(w: f64, skewness: f64, n: f64) -> f64 {
    // ((1 + g w / 3)^3 - 1) / g, without the division.
    let cubic = w + skewness * w * w / 3.0 + skewness * skewness * w.powi(3) / 27.0;
    n.sqrt() * (cubic + skewness / (6.0 * n))
}

/// The `w` whose transformed value is `t`.
fn inverse_hall(t: f64, skewness: f64, n: f64) -> f64 {
    let cubic = t / n.sqrt() - skewness / (6.0 * n);
    if skewness.abs() < 1e-9 {
        return cubic;
    }
    3.0 / skewness * ((1.0 + skewness * cubic).cbrt() - 1.0)
}

/// Holm's correction of several p-values, in their order.
pub fn holm(p: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|a, b| p[*a].total_cmp(&p[*b]));
    let mut corrected = vec![1.0; p.len()];
    let mut largest = 0f64;
    for (rank, index) in order.into_iter().enumerate() {
        largest = largest.max(p[index] * (p.len() - rank) as f64).min(1.0);
        corrected[index] = largest;
    }
    corrected
}

#[cfg(test)]
mod tests;
