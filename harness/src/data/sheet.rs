//! A contact sheet: some samples as one picture.

use std::io;

use secant::network::Shape;

use super::dataset::Part;
use super::elements::{Elements, Targets};

/// Pixels between pictures.
const GAP: usize = 2;

/// The grey of the gaps.
const GROUND: u8 = 128;

/// Samples to show, a list for each line of the sheet: the first `count` of each of so many
/// classes, or where there are none of all.
pub fn choose(part: &Part, classes: usize, count: usize) -> Vec<Vec<u32>> {
    let all = 0..part.len() as u32;
    match &part.targets {
        Targets::Classes(labels) => (0..classes)
            .map(|class| {
                let own = |i: &u32| usize::from(labels[*i as usize]) == class;
                all.clone().filter(own).take(count).collect()
            })
            .collect(),
        Targets::Values { .. } => {
            let first: Vec<u32> = all.take(count * count).collect();
            first.chunks(count.max(1)).map(<[u32]>::to_vec).collect()
        }
    }
}

/// The sheet as a PNG file: coloured where samples have three channels, else the mean over the
/// channels in grey. Bytes are shown as they are, other elements from their smallest in a sample to
/// their largest.
///
/// # Errors
/// An [`io::Error`] when there is nothing to show, or it is too large for a picture.
pub fn png(part: &Part, shape: Shape, lines: &[Vec<u32>]) -> io::Result<Vec<u8>> {
    let colours = if shape.channels == 3 { 3 } else { 1 };
    let across = lines.iter().map(Vec::len).max().unwrap_or(0);
    let width = across * (shape.columns + GAP) + GAP;
    let height = lines.len() * (shape.rows + GAP) + GAP;
    let mut sheet = vec![GROUND; colours * width * height];
    for (line, samples) in lines.iter().enumerate() {
        for (place, sample) in samples.iter().enumerate() {
            let pixels = pixels(&part.select(&[*sample], shape.len()).elements, shape);
            let corner = (
                GAP + line * (shape.rows + GAP),
                GAP + place * (shape.columns + GAP),
            );
            for (i, pixel) in pixels.chunks_exact(colours).enumerate() {
                let row = corner.0 + i / shape.columns;
                let at = colours * (row * width + corner.1 + i % shape.columns);
                sheet[at..at + colours].copy_from_slice(pixel);
            }
        }
    }
    let too_large = |_| io::Error::other("the sheet is too large for a picture");
    let mut bytes = Vec::new();
    let size = (
        u32::try_from(width).map_err(too_large)?,
        u32::try_from(height).map_err(too_large)?,
    );
    let mut encoder = png::Encoder::new(&mut bytes, size.0, size.1);
    encoder.set_color(match colours {
        3 => png::ColorType::Rgb,
        _ => png::ColorType::Grayscale,
    });
    let mut writer = encoder.write_header().map_err(io::Error::other)?;
    writer.write_image_data(&sheet).map_err(io::Error::other)?;
    writer.finish().map_err(io::Error::other)?;
    Ok(bytes)
}

/// The pixels of one sample, colours side by side.
fn pixels(elements: &Elements, shape: Shape) -> Vec<u8> {
    let values = elements.to_floats();
    let (low, high) = match elements {
        Elements::U8(_) => (0.0, 255.0),
        _ => values
            .iter()
            .fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), x| {
                (low.min(*x), high.max(*x))
            }),
    };
    let span = if high > low { high - low } else { 1.0 };
    let byte = |x: f32| (255.0 * (x - low) / span).round() as u8;
    let plane = shape.rows * shape.columns;
    let at = |channel: usize, i: usize| values[channel * plane + i];
    match shape.channels {
        3 => (0..3 * plane).map(|k| byte(at(k % 3, k / 3))).collect(),
        channels => (0..plane)
            .map(|i| {
                let sum: f32 = (0..channels).map(|c| at(c, i)).sum();
                byte(sum / channels as f32)
            })
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_lie_where_they_belong() {
        let shape = Shape::new(3, 1, 2);
        let sample = |x: u8| [x, x + 1, x + 10, x + 11, x + 20, x + 21];
        let part = Part {
            elements: Elements::U8([1, 50, 100].map(sample).concat()),
            targets: Targets::Classes(vec![1, 0, 1]),
        };
        let lines = choose(&part, 2, 5);
        assert_eq!(lines, [vec![1], vec![0, 2]]);
        let bytes = png(&part, shape, &lines).unwrap();
        let mut reader = png::Decoder::new(io::Cursor::new(bytes))
            .read_info()
            .unwrap();
        let mut sheet = vec![0; reader.output_buffer_size().unwrap()];
        let about = reader.next_frame(&mut sheet).unwrap();
        assert_eq!((about.width, about.height), (10, 8));
        let pixel = |row: usize, column: usize| &sheet[3 * (10 * row + column)..][..3];
        assert_eq!(pixel(2, 2), [50, 60, 70]);
        assert_eq!(pixel(2, 3), [51, 61, 71]);
        assert_eq!(pixel(5, 6), [100, 110, 120]);
        assert_eq!(pixel(2, 6), [GROUND; 3]);
        // Floats go from their smallest to their largest.
        assert_eq!(
            pixels(&Elements::F32(vec![-1.0, 3.0]), Shape::new(1, 1, 2)),
            [0, 255]
        );
        assert_eq!(
            pixels(&Elements::F32(vec![2.0, 2.0]), Shape::new(2, 1, 1)),
            [0]
        );
    }
}
