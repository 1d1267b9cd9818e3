//! The built-in data set: ten garments drawn as noisy silhouettes, for when Fashion-MNIST is not at
//! hand.
//!
//! Same shapes, same classes and same byte range as Fashion-MNIST; easier, since a few polygons a
//! class vary less than photographs do. Image `i` depends on the seed and on `i` alone, and is
//! drawn with `+ - * /` only, so that every machine draws the same bytes, and a shorter set is the
//! beginning of a longer one.

mod canvas;
mod garments;

use std::sync::{Mutex, PoisonError};
use std::thread::Builder;

use secant::network::Shape;

use self::canvas::{COLUMNS, Dice, PIXELS, ROWS};
use super::dataset::{Dataset, Part};
use super::elements::{Elements, Targets};
use super::idx::FASHION_MNIST_CLASSES;

/// Training images of the whole set.
pub const TRAIN_IMAGES: usize = 60_000;
/// Test images of the whole set.
pub const TEST_IMAGES: usize = 10_000;
/// Seed of the set that `--data synthetic` stands for: one fixed set, whatever the seed of the run.
pub const SEED: u64 = 2828;
/// Shape of an image.
pub const SHAPE: Shape = Shape::new(1, ROWS, COLUMNS);
/// Number of classes: those of Fashion-MNIST.
pub const CLASSES: usize = FASHION_MNIST_CLASSES.len();

/// The whole set, or its first `limit` training images; whatever the limit, classes differ by at
/// most one image.
pub fn dataset(limit: Option<usize>) -> Dataset {
    let count = limit.unwrap_or(usize::MAX).min(TRAIN_IMAGES);
    Dataset::new(
        "synthetic".to_owned(),
        "built-in".to_owned(),
        SHAPE,
        FASHION_MNIST_CLASSES.map(str::to_owned).to_vec(),
        generate(count, TEST_IMAGES, SEED),
        Vec::new(),
    )
}

/// Draws `train` and `test` images; the two never share an image.
pub fn generate(train: usize, test: usize, seed: u64) -> (Part, Part) {
    (draw_all(train, seed, 0), draw_all(test, seed, 1 << 32))
}

fn draw_all(count: usize, seed: u64, first: u64) -> Part {
    // Ten consecutive images show each class once, so every prefix of the set is balanced to within
    // one.
    let labels: Vec<u8> = (0..count).map(|i| (i % CLASSES) as u8).collect();
    let mut pixels = vec![0; count * PIXELS];
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let share = count.div_ceil(threads).max(1);
    draw_shares((seed, first), (share, threads), &mut pixels, &labels);
    Part {
        elements: Elements::U8(pixels),
        targets: Targets::Classes(labels.into_iter().map(u16::from).collect()),
    }
}

/// Draws the images of these labels from number `first` on, in shares of `share` images, on up to
/// `threads` threads.
fn draw_shares(
    (seed, first): (u64, u64),
    (share, threads): (usize, usize),
    pixels: &mut [u8],
    labels: &[u8],
) {
    let shares = (first..)
        .step_by(share)
        .zip(pixels.chunks_mut(share * PIXELS))
        .zip(labels.chunks(share));
    let shares = Mutex::new(shares);
    let next = || shares.lock().unwrap_or_else(PoisonError::into_inner).next();
    let work = || {
        while let Some(((start, pixels), labels)) = next() {
            let images = pixels.chunks_exact_mut(PIXELS);
            for ((index, image), &class) in (start..).zip(images).zip(labels) {
                image.copy_from_slice(&garments::draw(class, &mut Dice::new(seed, index)));
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..threads {
            // Where the system allows fewer threads, those that there are draw the rest.
            let _ = Builder::new().spawn_scoped(scope, work);
        }
        work();
    });
}
