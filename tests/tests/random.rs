//! Random numbers against the published vectors, and what the generator promises beside them.

use secant::Random;
use secant::random::philox4x32;

/// From the file `kat_vectors` of Random123, the authors' own implementation: counter, key, result
/// of ten rounds.
const KNOWN: [([u32; 4], [u32; 2], [u32; 4]); 3] = [
    (
        [0; 4],
        [0; 2],
        [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8],
    ),
    (
        [u32::MAX; 4],
        [u32::MAX; 2],
        [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd],
    ),
    (
        [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344],
        [0xa409_3822, 0x299f_31d0],
        [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1],
    ),
];

#[test]
fn philox_gives_the_published_vectors() {
    for (counter, key, expected) in KNOWN {
        assert_eq!(
            philox4x32(counter, key),
            expected,
            "{counter:08x?} {key:08x?}"
        );
    }
}

#[test]
fn the_stream_is_the_blocks_in_order() {
    let (seed, stream) = (0x299f_31d0_a409_3822, 0x0370_7344_1319_8a2e);
    let mut random = Random::new(seed, stream);
    for block in 0..10 {
        let counter = [block, 0, stream as u32, (stream >> 32) as u32];
        for word in philox4x32(counter, [seed as u32, (seed >> 32) as u32]) {
            assert_eq!(random.next_u32(), word);
        }
    }
    // A position past the counter's first word, from a checkpoint.
    random.seek((1 << 34) + 3);
    let counter = [0, 1, stream as u32, (stream >> 32) as u32];
    assert_eq!(
        random.next_u32(),
        philox4x32(counter, [seed as u32, (seed >> 32) as u32])[3]
    );
    assert_eq!(random.position(), (1 << 34) + 4);
}

#[test]
fn below_is_fair_and_below() {
    for bound in [1, 2, 3, 10, 60_000, u32::MAX] {
        let mut random = Random::new(1, 0);
        assert!((0..1000).all(|_| random.below(bound) < bound), "{bound}");
    }
    assert_eq!(Random::new(1, 0).below(0), 0);
    // Three quarters of 2^32: with the plain remainder or product the first third would come twice
    // as often.
    let bound = 3 << 30;
    let mut random = Random::new(2, 0);
    let first = (0..60_000)
        .filter(|_| random.below(bound) < bound / 3)
        .count();
    // 20,000 expected, standard deviation 115.
    assert!((19_400..20_600).contains(&first), "{first}");
}

#[test]
fn uniform_and_normal_numbers_have_their_moments() {
    let count = 200_000;
    let moments = |draw: &mut dyn FnMut() -> f32| {
        let (mut sum, mut squares) = (0.0, 0.0);
        for _ in 0..count {
            let x = f64::from(draw());
            sum += x;
            squares += x * x;
        }
        (sum / f64::from(count), squares / f64::from(count))
    };
    let mut random = Random::new(3, 0);
    let (mean, square) = moments(&mut || random.uniform());
    // Six standard deviations of the mean of 200,000.
    assert!(
        (mean - 0.5).abs() < 0.004 && (square - 1.0 / 3.0).abs() < 0.004,
        "{mean} {square}"
    );
    let (mean, square) = moments(&mut || random.normal());
    assert!(
        mean.abs() < 0.014 && (square - 1.0).abs() < 0.02,
        "{mean} {square}"
    );
    assert!(
        (0..count).all(|_| (0.0..1.0).contains(&random.uniform()) && random.normal().is_finite())
    );
}

#[test]
fn a_shuffle_is_a_permutation_and_each_is_as_likely() {
    let mut seen = [0; 6];
    for seed in 0..6000 {
        let mut items = [0, 1, 2];
        Random::new(seed, 9).shuffle(&mut items);
        let mut sorted = items;
        sorted.sort_unstable();
        assert_eq!(sorted, [0, 1, 2]);
        seen[items[0] * 2 + usize::from(items[1] > items[2])] += 1;
    }
    // 1000 of each expected, standard deviation 29.
    assert!(seen.iter().all(|n| (840..1160).contains(n)), "{seen:?}");
}
