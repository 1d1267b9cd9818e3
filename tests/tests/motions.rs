//! Real accelerometer data on the desktop; the firmware trains the same on emulated devices.

use secant_tests::motions::{Memory, NET, WINDOWS, train};

const WORKSPACE: usize = NET.workspace_len(16);

#[test]
fn ten_seeds_learn_the_four_motions() {
    let mut correct: Vec<u32> = (0..10)
        .map(|seed| {
            let mut memory = Box::new(Memory::<WORKSPACE>::new());
            let metrics = train::<16, _>(seed, &mut memory, |_, _| {}).expect("all lengths fit");
            metrics.correct
        })
        .collect();
    println!("correct of {WINDOWS}, by seed: {correct:?}");
    correct.sort_unstable();
    // The median.
    assert!(correct[4] + correct[5] >= 2 * 38, "{correct:?}");
}

#[test]
fn one_lane_learns_the_same() {
    let accuracy = |correct: u32| f64::from(correct) / WINDOWS as f64;
    let mut memory = Box::new(Memory::<{ NET.workspace_len(1) }>::new());
    let mut losses = Vec::new();
    let show = |metrics: secant::Metrics, _: &[f32]| losses.push(metrics.mean_loss());
    let test = train::<1, _>(0, &mut memory, show).expect("all lengths fit");
    assert!(losses[losses.len() - 1] < 0.1 * losses[0], "{losses:?}");
    assert!(accuracy(test.correct) >= 0.9, "{test:?}");
}
