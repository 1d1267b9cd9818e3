//! The built-in data set: same bytes everywhere, the right shapes, classes that can be learned but
//! are not trivial.

use secant_harness::data::dataset::{Part, hex};
use secant_harness::data::elements::{Elements, Targets};
use secant_harness::data::open::{Location, load};
use secant_harness::data::predict::Predict;
use secant_harness::data::synthetic::{CLASSES, SEED, generate};
use sha2::{Digest, Sha256};

const PIXELS: usize = 28 * 28;

fn pixels(part: &Part) -> &[u8] {
    match &part.elements {
        Elements::U8(pixels) => pixels,
        other => panic!("bytes, not {}", other.kind()),
    }
}

fn labels(part: &Part) -> &[u16] {
    match &part.targets {
        Targets::Classes(labels) => labels,
        Targets::Values { .. } => panic!("classes"),
    }
}

#[test]
fn the_bytes_are_pinned() {
    let (train, test) = generate(1_000, 100, SEED);
    assert_eq!(
        hex(&Sha256::digest(pixels(&train))),
        "7de18c06492689e5064409558d5bbb9f3a098a691b146f79e3fb427bc69c005b"
    );
    assert_eq!(
        hex(&Sha256::digest(pixels(&test))),
        "0010b1903f11861acf937b469a51f25d1a208e3aa7b2b55bb5bba29d42fc6e3d"
    );
}

#[test]
fn the_set_has_the_shapes_of_fashion_mnist() {
    let set = load(
        &Location::Synthetic { fallback: true },
        None,
        &Predict::Labels,
    )
    .unwrap();
    assert_eq!((set.train.len(), set.test.len()), (60_000, 10_000));
    assert_eq!(
        (pixels(&set.train).len(), pixels(&set.test).len()),
        (60_000 * PIXELS, 10_000 * PIXELS)
    );
    assert_eq!(
        (set.name.as_str(), set.source.as_str()),
        ("synthetic", "built-in")
    );
    for class in 0..CLASSES {
        assert_eq!(
            labels(&set.train)
                .iter()
                .filter(|&&label| usize::from(label) == class)
                .count(),
            6_000
        );
    }
}

#[test]
fn a_shorter_set_is_the_beginning_of_a_longer_one_and_seeds_matter() {
    let (long, long_test) = generate(53, 37, 5);
    let (short, short_test) = generate(20, 10, 5);
    assert_eq!(pixels(&short), &pixels(&long)[..20 * PIXELS]);
    assert_eq!(pixels(&short_test), &pixels(&long_test)[..10 * PIXELS]);
    assert_ne!(pixels(&generate(20, 10, 6).0), pixels(&short));
    assert_ne!(
        &pixels(&short)[..10 * PIXELS],
        pixels(&short_test),
        "training and test images differ"
    );
    assert!(generate(0, 0, 5).0.is_empty());
}

#[test]
fn classes_can_be_told_apart_but_not_by_their_mean_alone() {
    let (train, test) = generate(4_000, 1_000, SEED);
    let mut means = [[0.0f64; PIXELS]; CLASSES];
    for (image, &label) in pixels(&train).chunks_exact(PIXELS).zip(labels(&train)) {
        for (mean, &pixel) in means[usize::from(label)].iter_mut().zip(image) {
            *mean += f64::from(pixel) / 400.0;
        }
    }
    let nearest = |image: &[u8]| {
        let distance = |mean: &[f64; PIXELS]| -> f64 {
            mean.iter()
                .zip(image)
                .map(|(mean, &pixel)| (mean - f64::from(pixel)).powi(2))
                .sum()
        };
        (0..CLASSES)
            .min_by(|&a, &b| distance(&means[a]).total_cmp(&distance(&means[b])))
            .unwrap()
    };
    let right = pixels(&test).chunks_exact(PIXELS).zip(labels(&test));
    let right = right
        .filter(|(image, label)| nearest(image) == usize::from(**label))
        .count();
    assert!(
        (550..900).contains(&right),
        "the nearest mean is right for {right} of 1000"
    );
}
