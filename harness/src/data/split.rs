//! Choosing samples at random, from each class in proportion to its size.

use secant::Random;

use super::elements::Targets;

/// How the training part is divided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Split {
    /// Indices of the samples to train on, rising.
    pub train: Vec<u32>,
    /// Indices of the samples to validate with, rising.
    pub validation: Vec<u32>,
}

impl Split {
    /// Sets a `share` of the samples aside, rounded to the nearest number, from each class in
    /// proportion to its size. At least one sample of each class trains, and one validates unless
    /// `share` is 0 or no class has two.
    ///
    /// ```text
    /// shuffle 0 .. n; keep that order within each class
    /// k     = round(n share)                        to validate with, in all
    /// k_c   = floor(n_c k / n), at most n_c - 1     of class c
    /// what is missing to k goes, one a class, to the classes with the largest remainders n_c k mod n, the lower label first
    /// ```
    ///
    /// Numbers to predict count as one class.
    pub fn stratified(targets: &Targets, share: f64, random: &mut Random) -> Self {
        let count = targets.len();
        let least = usize::from(share > 0.0);
        let wanted = ((count as f64 * share).round() as usize).max(least);
        let (validation, train) = choose(targets, wanted, 1, random);
        Self { train, validation }
    }
}

/// The indices, rising, of `count` of the samples (all, if there are not more), chosen at random
/// from each class in proportion to its size.
pub fn sample(targets: &Targets, count: usize, random: &mut Random) -> Vec<u32> {
    choose(targets, count, 0, random).0
}

/// Chooses `wanted` samples, leaving at least `spared` of each class; those chosen and the others,
/// each rising.
fn choose(
    targets: &Targets,
    wanted: usize,
    spared: usize,
    random: &mut Random,
) -> (Vec<u32>, Vec<u32>) {
    let count = targets.len();
    let mut order: Vec<u32> = (0..count as u32).collect();
    random.shuffle(&mut order);
    let mut classes: Vec<Vec<u32>> = Vec::new();
    for index in order {
        let class = match targets {
            Targets::Classes(labels) => usize::from(labels[index as usize]),
            Targets::Values { .. } => 0,
        };
        if classes.len() <= class {
            classes.resize_with(class + 1, Vec::new);
        }
        classes[class].push(index);
    }

    let wanted = wanted.min(count);
    // Products of two counts below 2^32 each.
    let share = |class: &Vec<u32>| class.len() as u64 * wanted as u64;
    let most = |class: &Vec<u32>| class.len().saturating_sub(spared);
    let mut taken: Vec<usize> = classes
        .iter()
        .map(|class| ((share(class) / count.max(1) as u64) as usize).min(most(class)))
        .collect();
    let mut by_remainder: Vec<usize> = (0..classes.len()).collect();
    by_remainder.sort_by_key(|&c| {
        (
            std::cmp::Reverse(share(&classes[c]) % count.max(1) as u64),
            c,
        )
    });
    let mut missing = wanted - taken.iter().sum::<usize>();
    loop {
        let before = missing;
        for &c in &by_remainder {
            if missing > 0 && taken[c] < most(&classes[c]) {
                taken[c] += 1;
                missing -= 1;
            }
        }
        if missing == before {
            break;
        }
    }

    let (mut chosen, mut others) = (Vec::with_capacity(wanted), Vec::new());
    for (class, taken) in classes.iter().zip(taken) {
        let (first, rest) = class.split_at(taken);
        chosen.extend_from_slice(first);
        others.extend_from_slice(rest);
    }
    chosen.sort_unstable();
    others.sort_unstable();
    (chosen, others)
}

#[cfg(test)]
mod tests;
