//! Reads a folder of PNG images by class: `train/CLASS/*.png` and `test/CLASS/*.png`, or
//! `CLASS/*.png`.
//!
//! Images are grey (one channel) or of colours (red, green, blue), 8 bits a sample or less, all of
//! one size. Transparency is dropped, which is said. Palettes become colours.

use std::io::BufReader;
use std::path::{Path, PathBuf};

use png::{BitDepth, ColorType, Decoder, Transformations};
use secant::network::Shape;

use super::array::MAX_ELEMENTS;
use super::dataset;
use super::elements::{self, Elements};
use super::error::DataError;
use super::files;
use super::labels::Labels;
use super::pieces::{Piece, Pieces};
use crate::memory;

/// What a byte of a PNG file can unpack to at most: deflate's limit of 1032, for rows that are
/// expanded from one bit a pixel to four bytes.
const EXPANSION: u64 = 1032 * 32;

/// The folders of a data set, each with a folder of images for each class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Files {
    train: PathBuf,
    test: Option<PathBuf>,
}

/// The folders in `path`, if they hold images.
pub fn find(path: &Path) -> Option<Files> {
    let holds_images = |folder: &Path| {
        files::folders(folder)
            .iter()
            .any(|class| !files::ending(class, "png").is_empty())
    };
    let (train, test) = (path.join("train"), path.join("test"));
    if holds_images(&train) {
        let test = holds_images(&test).then_some(test);
        return Some(Files { train, test });
    }
    holds_images(path).then(|| Files {
        train: path.to_owned(),
        test: None,
    })
}

/// Reads all images.
///
/// # Errors
/// The first image that is not what it should be.
pub fn read_set(files: &Files) -> Result<Pieces, DataError> {
    let mut images = Images::default();
    let train = images.folder(&files.train)?;
    let test = match &files.test {
        Some(folder) => Some(images.folder(folder)?),
        None => None,
    };
    let mut notes = Vec::new();
    if let Some(path) = &images.transparent {
        notes.push(format!(
            "{}: transparency is dropped, here and in {} other image(s).",
            path.display(),
            images.transparent_count - 1
        ));
    }
    Ok(Pieces {
        name: None,
        names: Vec::new(),
        train,
        test,
        notes,
    })
}

/// Reads one image.
///
/// # Errors
/// That it is none, or not one of 8 bits a sample.
pub fn read_one(path: &Path) -> Result<(Shape, Elements), DataError> {
    let mut images = Images::default();
    let mut pixels = Vec::new();
    images.image(path, &mut pixels)?;
    match images.first {
        Some((_, shape)) => Ok((shape, Elements::U8(pixels))),
        None => Err(DataError::new(path, "expected an image, found none")),
    }
}

/// What the images have in common.
#[derive(Default)]
struct Images {
    /// The first image and its shape.
    first: Option<(PathBuf, Shape)>,
    /// The first image with transparency.
    transparent: Option<PathBuf>,
    transparent_count: usize,
}

impl Images {
    /// Reads the images of all classes in `folder`.
    fn folder(&mut self, folder: &Path) -> Result<Piece, DataError> {
        let (mut pixels, mut labels) = (Vec::new(), Vec::new());
        let classes: Vec<(String, Vec<PathBuf>)> = files::folders(folder)
            .iter()
            .map(|class| (files::name(class), files::ending(class, "png")))
            .collect();
        let count = classes
            .iter()
            .map(|(_, images)| images.len())
            .sum::<usize>();
        for (name, images) in classes {
            for path in images {
                self.image(&path, &mut pixels)?;
                if labels.is_empty() {
                    room(folder, count, &mut pixels)?;
                }
                labels.push(name.clone());
            }
        }
        let (_, shape) = self
            .first
            .as_ref()
            .ok_or_else(|| DataError::new(folder, "expected images, found none"))?;
        Ok(Piece {
            path: folder.to_owned(),
            labels_path: folder.to_owned(),
            shape: *shape,
            elements: Elements::U8(pixels),
            labels: Labels::Names(labels),
        })
    }

    /// Appends the image at `path` to `pixels`, channel by channel.
    fn image(&mut self, path: &Path, pixels: &mut Vec<u8>) -> Result<(), DataError> {
        let damaged = |error: png::DecodingError| {
            DataError::new(
                path,
                format!("expected a whole PNG image, found a damaged one ({error})"),
            )
        };
        let file = files::open(path)?;
        let bytes = file.metadata().map_or(0, |file| file.len());
        let mut decoder = Decoder::new(BufReader::new(file));
        decoder.set_transformations(Transformations::EXPAND);
        let mut reader = decoder.read_info().map_err(damaged)?;
        let (color, depth) = reader.output_color_type();
        if depth != BitDepth::Eight {
            return Err(DataError::new(
                path,
                "expected an image of at most 8 bits a sample, found 16",
            ));
        }
        let (channels, stored) = match color {
            ColorType::Grayscale => (1, 1),
            ColorType::GrayscaleAlpha => (1, 2),
            ColorType::Rgba => (3, 4),
            ColorType::Rgb | ColorType::Indexed => (3, 3),
        };
        let info = reader.info();
        let shape = Shape::new(channels, info.height as usize, info.width as usize);
        match &self.first {
            Some((first, expected)) if *expected != shape => {
                return Err(DataError::new(
                    path,
                    format!(
                        "expected an image of {} (channels x rows x columns) as {}, found {}",
                        dataset::dimensions(*expected),
                        first.display(),
                        dataset::dimensions(shape)
                    ),
                ));
            }
            Some(_) => {}
            None => self.first = Some((path.to_owned(), shape)),
        }
        let total = elements::size(shape).and_then(|length| length.checked_add(pixels.len()));
        if total.is_none_or(|total| total as u64 > MAX_ELEMENTS) {
            return Err(DataError::new(
                path,
                format!("expected at most {MAX_ELEMENTS} pixels in all, found more"),
            ));
        }
        let length = reader.output_buffer_size().unwrap_or(usize::MAX);
        if length as u64 > (bytes + 1024).saturating_mul(EXPANSION) {
            return Err(DataError::new(
                path,
                format!(
                    "expected {length} bytes of pixels as the header says, found a file of only {bytes} bytes"
                ),
            ));
        }
        let mut buffer = vec![0; length];
        reader.next_frame(&mut buffer).map_err(damaged)?;
        if stored != channels {
            self.transparent.get_or_insert_with(|| path.to_owned());
            self.transparent_count += 1;
        }
        for channel in 0..channels {
            pixels.extend(buffer.chunks_exact(stored).map(|pixel| pixel[channel]));
        }
        Ok(())
    }
}

/// Room for the pixels of `count` images, the first of which is there: all have its size.
fn room(folder: &Path, count: usize, pixels: &mut Vec<u8>) -> Result<(), DataError> {
    let whole = (pixels.len() as u64).saturating_mul(count as u64);
    // More is refused where it is read, with the name of the image.
    if whole <= MAX_ELEMENTS {
        memory::check(whole, &format!("reading {count} images"))
            .map_err(|problem| DataError::new(folder, problem))?;
        pixels.reserve_exact(whole as usize - pixels.len());
    }
    Ok(())
}
