//! How several optimisers do over several problems: the performance profile, and one score.
//!
//! A problem is a network, data and a target. With `t(p, s)` the time in which optimiser `s` solves
//! problem `p`, infinite where it does not:
//!
//! ```text
//! r(p, s)    = t(p, s) / least t(p, .)                    1 for the fastest
//! rho_s(tau) = share of the problems with r(p, s) <= tau
//! score_s    = integral of rho_s from 1 to 4 / (4 - 1)
//!            = mean over the problems of max(0, 4 - r(p, s)) / (4 - 1)
//! ```
//!
//! A problem that nobody solves counts for nobody. A score of 1 is that of an optimiser that is the
//! fastest everywhere; one that never comes within four times the fastest has 0. Ratios are to the
//! best of those compared, so scores of different comparisons cannot be held against each other,
//! and of three optimisers the order of the slower two may change when the fastest is left out
//! (Gould and Scott 2016).
//!
//! Sources: E. D. Dolan and J. J. More, *Benchmarking optimization software with performance
//! profiles*, Math. Program. 91 (2002), 201-213; G. E. Dahl and others, *Benchmarking neural network
//! training algorithms* (AlgoPerf), arXiv 2306.07179 (2023), which integrates to 4; N. Gould and
//! J. Scott, *A note on performance profiles for benchmarking software*, ACM Trans. Math. Softw. 43
//! (2016), 15.

/// The ratio up to which a profile is looked at.
pub const FARTHEST: f64 = 4.0;

/// Ratios to the fastest, problem by problem, from times; infinite where a time is.
pub fn ratios(times: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let of_problem = |times: &Vec<f64>| {
        let best = times.iter().copied().fold(f64::INFINITY, f64::min);
        let ratio = |time: &f64| match time.is_finite() {
            // Two that are there at once are equally fast.
            true if *time == best => 1.0,
            true => time / best,
            false => f64::INFINITY,
        };
        times.iter().map(ratio).collect()
    };
    times.iter().map(of_problem).collect()
}

/// The share of an optimiser's problems with a ratio of at most `tau`.
pub fn share(ratios: &[f64], tau: f64) -> f64 {
    let within = ratios.iter().filter(|ratio| **ratio <= tau).count();
    within as f64 / ratios.len().max(1) as f64
}

/// The profile: where it rises, and to what; from 1 to [`FARTHEST`].
pub fn steps(ratios: &[f64]) -> Vec<(f64, f64)> {
    let mut at: Vec<f64> = ratios.iter().copied().filter(|r| *r < FARTHEST).collect();
    at.extend([1.0, FARTHEST]);
    at.sort_by(f64::total_cmp);
    at.dedup();
    at.into_iter()
        .map(|tau| (tau, share(ratios, tau)))
        .collect()
}

/// The area under the profile.
pub fn score(ratios: &[f64]) -> f64 {
    let won = ratios
        .iter()
        .map(|r| (FARTHEST - r).max(0.0) / (FARTHEST - 1.0));
    won.sum::<f64>() / ratios.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEVER: f64 = f64::INFINITY;

    #[test]
    fn the_profile_of_three_optimisers() {
        // The first is fastest twice, the second once; nobody solves the last; the third never does.
        let times = vec![
            vec![1.0, 2.0, NEVER],
            vec![3.0, 2.0, NEVER],
            vec![1.0, 5.0, NEVER],
            vec![NEVER; 3],
        ];
        let ratios = ratios(&times);
        let of = |s: usize| ratios.iter().map(|row| row[s]).collect::<Vec<_>>();
        assert_eq!(of(0), [1.0, 1.5, 1.0, NEVER]);
        assert_eq!(of(1), [2.0, 1.0, 5.0, NEVER]);
        assert_eq!(steps(&of(0)), [(1.0, 0.5), (1.5, 0.75), (4.0, 0.75)]);
        assert_eq!(steps(&of(1)), [(1.0, 0.25), (2.0, 0.5), (4.0, 0.5)]);
        assert_eq!(steps(&of(2)), [(1.0, 0.0), (4.0, 0.0)]);
        assert_eq!(score(&of(2)), 0.0);
        assert_eq!(score(&[1.0, 1.0]), 1.0);
        assert_eq!(score(&[]), 0.0);
    }

    #[test]
    fn the_score_is_the_area_under_the_steps() {
        let ratios = [1.0, 1.2, 1.9, 3.7, 4.0, 6.0, NEVER];
        let steps = steps(&ratios);
        let area: f64 = steps
            .windows(2)
            .map(|two| (two[1].0 - two[0].0) * two[0].1)
            .sum();
        assert!((area / 3.0 - score(&ratios)).abs() < 1e-12);
    }

    #[test]
    fn a_target_that_is_reached_at_once_divides_by_nothing() {
        let ratios = ratios(&[vec![0.0, 0.0, 1.0]]);
        assert_eq!(ratios[0], [1.0, 1.0, NEVER]);
    }
}
