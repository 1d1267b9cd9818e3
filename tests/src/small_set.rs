//! A data set of 3 classes and samples of 3 x 20 x 14, and the same written in each format that the
//! program reads. The writers share nothing with the program's readers.

use std::fs;
use std::io;
use std::path::Path;

use crate::draw::Draw;

/// Channels, rows and columns of a sample.
pub const SHAPE: [usize; 3] = [3, 20, 14];
/// Values of a sample.
pub const LENGTH: usize = 3 * 20 * 14;
/// Names of the classes, sorted.
pub const CLASSES: [&str; 3] = ["circle", "cross", "stripes"];

/// One part of the set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// [`LENGTH`] bytes a sample: channel by channel, row by row.
    pub pixels: Vec<u8>,
    /// One class a sample.
    pub labels: Vec<u8>,
}

/// The training part, of `train` samples, and the test part.
pub fn draw(train: usize, test: usize) -> [Part; 2] {
    let mut draw = Draw::new(3);
    [train, test].map(|count| {
        let labels: Vec<u8> = (0..count).map(|i| (i % 3) as u8).collect();
        let mut pixels = Vec::with_capacity(count * LENGTH);
        for &label in &labels {
            sample(label, &mut draw, &mut pixels);
        }
        Part { pixels, labels }
    })
}

fn sample(label: u8, draw: &mut Draw, pixels: &mut Vec<u8>) {
    let [channels, rows, columns] = SHAPE;
    let (middle_row, middle_column) = (8 + draw.below(4), 5 + draw.below(4));
    for channel in 0..channels {
        for row in 0..rows {
            for column in 0..columns {
                let (r, c) = (row.abs_diff(middle_row), column.abs_diff(middle_column));
                let inside = match label {
                    0 => (9..=25).contains(&(r * r + c * c)),
                    1 => r == c || r == c + 1,
                    _ => (row + middle_row) % 4 < 2,
                };
                let bright = if inside { 150 - 30 * channel } else { 20 };
                pixels.push((bright + draw.below(60)) as u8);
            }
        }
    }
}

/// Element types of IDX files.
pub mod idx_type {
    /// Unsigned bytes.
    pub const U8: u8 = 0x08;
    /// Signed bytes.
    pub const I8: u8 = 0x09;
    /// 16-bit integers.
    pub const I16: u8 = 0x0b;
    /// 32-bit floats.
    pub const F32: u8 = 0x0d;
}

/// An IDX file with the given type byte and dimensions, followed by `elements`.
pub fn idx(kind: u8, dimensions: &[u32], elements: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0, kind, dimensions.len() as u8];
    for dimension in dimensions {
        bytes.extend(dimension.to_be_bytes());
    }
    bytes.extend(elements);
    bytes
}

/// A `.npy` file with the given element type, like `<f4`, and shape, like `80, 6, 100`.
pub fn npy(descr: &str, fortran_order: bool, shape: &str, elements: &[u8]) -> Vec<u8> {
    let order = if fortran_order { "True" } else { "False" };
    let mut header =
        format!("{{'descr': '{descr}', 'fortran_order': {order}, 'shape': ({shape}), }}");
    // The elements begin at a multiple of 64, after a line's end.
    while (10 + header.len() + 1) % 64 != 0 {
        header.push(' ');
    }
    header.push('\n');
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.bytes());
    bytes.extend(elements);
    bytes
}

/// A PNG image of a type and of 8 bits a sample.
///
/// # Errors
/// It cannot be encoded.
pub fn png(
    color: png::ColorType,
    [rows, columns]: [usize; 2],
    pixels: &[u8],
) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, columns as u32, rows as u32);
    encoder.set_color(color);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header().map_err(io::Error::other)?;
    writer.write_image_data(pixels).map_err(io::Error::other)?;
    writer.finish().map_err(io::Error::other)?;
    Ok(bytes)
}

/// Writes the set as IDX files into `folder`.
///
/// # Errors
/// A file cannot be written.
pub fn write_idx(folder: &Path, parts: &[Part; 2]) -> io::Result<()> {
    for (prefix, part) in ["train", "t10k"].iter().zip(parts) {
        let count = part.labels.len() as u32;
        let samples = idx(idx_type::U8, &[count, 3, 20, 14], &part.pixels);
        let labels = idx(idx_type::U8, &[count], &part.labels);
        fs::write(folder.join(format!("{prefix}-images-idx4-ubyte")), samples)?;
        fs::write(folder.join(format!("{prefix}-labels-idx1-ubyte")), labels)?;
    }
    Ok(())
}

/// Writes the set as `.npy` files into `folder`.
///
/// # Errors
/// A file cannot be written.
pub fn write_npy(folder: &Path, parts: &[Part; 2]) -> io::Result<()> {
    for (name, part) in ["train", "test"].iter().zip(parts) {
        let count = part.labels.len();
        let samples = npy("|u1", false, &format!("{count}, 3, 20, 14"), &part.pixels);
        let labels: Vec<u8> = part
            .labels
            .iter()
            .flat_map(|&label| i64::from(label).to_le_bytes())
            .collect();
        let labels = npy("<i8", false, &format!("{count},"), &labels);
        fs::write(folder.join(format!("x_{name}.npy")), samples)?;
        fs::write(folder.join(format!("y_{name}.npy")), labels)?;
    }
    Ok(())
}

/// Writes the set as tables into `folder`.
///
/// # Errors
/// A file cannot be written.
pub fn write_csv(folder: &Path, parts: &[Part; 2]) -> io::Result<()> {
    let [_, rows, columns] = SHAPE;
    for (name, part) in ["train", "test"].iter().zip(parts) {
        let mut text = String::from("class");
        for channel in ["red", "green", "blue"] {
            for place in 0..rows * columns {
                text += &format!(",{channel}_{}x{}", place / columns, place % columns);
            }
        }
        text.push('\n');
        for (sample, &label) in part.pixels.chunks_exact(LENGTH).zip(&part.labels) {
            text += CLASSES[usize::from(label)];
            for value in sample {
                text += &format!(",{value}");
            }
            text.push('\n');
        }
        fs::write(folder.join(format!("{name}.csv")), text)?;
    }
    Ok(())
}

/// Writes the set as images into folders by class.
///
/// # Errors
/// A file cannot be written.
pub fn write_png(folder: &Path, parts: &[Part; 2]) -> io::Result<()> {
    let [channels, rows, columns] = SHAPE;
    let plane = rows * columns;
    for (name, part) in ["train", "test"].iter().zip(parts) {
        for (i, sample) in part.pixels.chunks_exact(LENGTH).enumerate() {
            let folder = folder.join(name).join(CLASSES[usize::from(part.labels[i])]);
            fs::create_dir_all(&folder)?;
            let mut pixels = Vec::with_capacity(LENGTH);
            for place in 0..plane {
                pixels.extend((0..channels).map(|channel| sample[channel * plane + place]));
            }
            let image = png(png::ColorType::Rgb, [rows, columns], &pixels)?;
            fs::write(folder.join(format!("{i:04}.png")), image)?;
        }
    }
    Ok(())
}
