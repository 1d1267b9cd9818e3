use super::*;

/// Labels of classes of these sizes, in mixed order.
fn labels(sizes: &[usize]) -> Targets {
    let mut labels: Vec<u16> = (0..)
        .zip(sizes)
        .flat_map(|(class, &size)| std::iter::repeat_n(class, size))
        .collect();
    Random::new(40, 0).shuffle(&mut labels);
    Targets::Classes(labels)
}

fn split(targets: &Targets, share: f64, seed: u64) -> Split {
    Split::stratified(targets, share, &mut Random::new(seed, 0))
}

/// Samples of each class among `indices`.
fn counts(targets: &Targets, indices: &[u32], classes: usize) -> Vec<usize> {
    targets.select(indices).counts(classes)
}

/// Every sample is in one part and in one place, in rising order.
fn assert_whole(split: &Split, count: usize) {
    for part in [&split.train, &split.validation] {
        assert!(part.windows(2).all(|pair| pair[0] < pair[1]), "not rising");
    }
    let mut all = [split.train.as_slice(), &split.validation].concat();
    all.sort_unstable();
    let expected: Vec<u32> = (0..count as u32).collect();
    assert_eq!(all, expected, "a sample is lost, or there twice");
}

/// Classes of all kinds of sizes: equal, tiny, single, empty, one alone, none.
fn cases() -> Vec<Vec<usize>> {
    let mut cases = vec![
        vec![],
        vec![1],
        vec![2],
        vec![50],
        vec![0, 7],
        vec![7, 0, 0, 3],
        vec![1, 1, 1, 1],
        vec![2, 2, 2],
        vec![1, 99],
        vec![99, 1],
        vec![1, 2, 3, 4, 5],
        vec![10; 10],
        vec![6000, 3],
        vec![3; 200],
    ];
    let mut random = Random::new(41, 0);
    for _ in 0..200 {
        let classes = 1 + random.below(12);
        let largest = 1 + random.below(40);
        cases.push(
            (0..classes)
                .map(|_| random.below(largest) as usize)
                .collect(),
        );
    }
    cases
}

#[test]
fn sizes_are_exact_and_every_class_trains() {
    for sizes in cases() {
        let targets = labels(&sizes);
        let count = targets.len();
        for share in [0.0, 0.001, 0.1, 0.2, 0.25, 0.5, 0.75, 0.9, 0.999] {
            let split = split(&targets, share, 7);
            assert_whole(&split, count);
            let rounded = (count as f64 * share).round() as usize;
            let wanted = if share > 0.0 { rounded.max(1) } else { 0 };
            let most: usize = sizes.iter().map(|size| size.saturating_sub(1)).sum();
            assert_eq!(
                split.validation.len(),
                wanted.min(most),
                "{sizes:?}, {share}"
            );
            let train = counts(&targets, &split.train, sizes.len());
            for (class, (&size, &trained)) in sizes.iter().zip(&train).enumerate() {
                assert!(
                    size == 0 || trained > 0,
                    "class {class} of {sizes:?}, {share}"
                );
            }
        }
    }
}

#[test]
fn classes_are_divided_by_largest_remainders() {
    for sizes in cases() {
        let targets = labels(&sizes);
        let count = targets.len();
        for share in [0.1, 0.2, 0.5] {
            let split = split(&targets, share, 8);
            let validated = counts(&targets, &split.validation, sizes.len());
            let k = split.validation.len();
            // n_c k = floor n + remainder, for each class.
            let quotas: Vec<(usize, usize)> = sizes
                .iter()
                .map(|size| (size * k / count.max(1), size * k % count.max(1)))
                .collect();
            let capped = sizes
                .iter()
                .zip(&quotas)
                .any(|(size, (floor, rest))| floor + usize::from(*rest > 0) + 1 > *size);
            if capped {
                // Single samples train, whatever their share would be; others make up for them.
                continue;
            }
            for (a, (floor, rest)) in quotas.iter().enumerate() {
                let more = validated[a].checked_sub(*floor);
                assert!(more.is_some_and(|more| more <= 1), "{sizes:?}, {share}");
                for (b, (other_floor, other_rest)) in quotas.iter().enumerate() {
                    // Who got one more has no smaller a remainder; the lower label goes first.
                    if more == Some(1) && validated[b] == *other_floor {
                        assert!(
                            (rest, std::cmp::Reverse(a)) > (other_rest, std::cmp::Reverse(b)),
                            "{sizes:?}, {share}"
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn tiny_classes_are_shared_out_by_hand() {
    let validated = |sizes: &[usize], share| {
        let targets = labels(sizes);
        let split = split(&targets, share, 3);
        counts(&targets, &split.validation, sizes.len())
    };
    // 4 of 20; the single one trains.
    assert_eq!(validated(&[1, 9, 10], 0.2), [0, 2, 2]);
    // 2 of 8: quotas 3/4, 3/4 and 1/2.
    assert_eq!(validated(&[3, 3, 2], 0.25), [1, 1, 0]);
    // 1 of 4, and the lower label has it.
    assert_eq!(validated(&[2, 2], 0.25), [1, 0]);
    // Nothing can be spared.
    assert_eq!(validated(&[1, 1, 1], 0.5), [0, 0, 0]);
    assert_eq!(validated(&[1], 0.9), [0]);
    // All but one of each.
    assert_eq!(validated(&[5, 2, 1], 0.999), [4, 1, 0]);
    // One class: as many as the share says.
    assert_eq!(validated(&[50], 0.2), [10]);
    // Half of five is rounded up, away from zero.
    assert_eq!(validated(&[5], 0.5), [3]);
}

#[test]
fn a_seed_decides_and_numbers_are_one_class() {
    let targets = labels(&[30, 20, 10]);
    assert_eq!(split(&targets, 0.2, 5), split(&targets, 0.2, 5));
    assert_ne!(split(&targets, 0.2, 5), split(&targets, 0.2, 6));
    let values = Targets::Values {
        values: (0..120).map(|i| i as f32).collect(),
        width: 2,
    };
    let divided = split(&values, 0.2, 5);
    assert_whole(&divided, 60);
    assert_eq!(divided.validation.len(), 12);
    // The order within a class is that of the shuffle, whatever the labels are.
    let one = Targets::Classes(vec![0; 60]);
    assert_eq!(divided, split(&one, 0.2, 5));
}

#[test]
fn every_sample_of_a_class_has_the_same_chance() {
    let targets = labels(&[4, 16]);
    let mut chosen = [0u32; 20];
    const SEEDS: u32 = 4000;
    for seed in 0..SEEDS {
        for index in split(&targets, 0.25, u64::from(seed)).validation {
            chosen[index as usize] += 1;
        }
    }
    // A quarter each; six deviations of 27.
    for times in chosen {
        assert!(times.abs_diff(SEEDS / 4) < 165, "{chosen:?}");
    }
}

#[test]
fn a_limit_takes_as_many_as_it_says() {
    for sizes in cases() {
        let targets = labels(&sizes);
        let count = targets.len();
        for limit in [
            0,
            1,
            2,
            5,
            count / 2,
            count.saturating_sub(1),
            count,
            count + 9,
        ] {
            let chosen = sample(&targets, limit, &mut Random::new(1, 1));
            assert_eq!(chosen.len(), limit.min(count), "{sizes:?}");
            assert!(chosen.windows(2).all(|pair| pair[0] < pair[1]));
            assert!(chosen.iter().all(|&index| (index as usize) < count));
            // In proportion, to within one: nothing is spared here.
            for (size, taken) in sizes.iter().zip(counts(&targets, &chosen, sizes.len())) {
                let quota = size * limit.min(count) / count.max(1);
                assert!((quota..=quota + 1).contains(&taken), "{sizes:?}, {limit}");
            }
        }
    }
}
