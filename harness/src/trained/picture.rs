//! A sample drawn in the terminal.

use secant::network::Shape;

/// Marks from dark to light.
const MARKS: &[u8] = b" .:-=+*#%@";

/// Most columns of a drawing.
const WIDTH: usize = 64;

/// Draws the mean over the channels of a sample, from its smallest value (blank) to its largest; a
/// sample of fewer than four rows or columns is none to draw. A character is two pixels high; larger
/// images are thinned.
pub fn draw(values: &[f32], shape: Shape) -> Option<String> {
    let Shape {
        channels,
        rows,
        columns,
    } = shape;
    if rows < 4 || columns < 4 || values.len() != shape.len() {
        return None;
    }
    let thin = columns.div_ceil(WIDTH);
    let mut grey = vec![0.0; rows * columns];
    for plane in values.chunks_exact(rows * columns) {
        for (sum, value) in grey.iter_mut().zip(plane) {
            *sum += value / channels as f32;
        }
    }
    let (low, high) = grey
        .iter()
        .fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), v| {
            (low.min(*v), high.max(*v))
        });
    let span = high - low;
    let mut text = String::new();
    for row in (0..rows).step_by(2 * thin) {
        let mut line = String::new();
        for column in (0..columns).step_by(thin) {
            let below = (row + thin).min(rows - 1);
            let two = grey[row * columns + column] + grey[below * columns + column];
            let share = match span > 0.0 {
                true => (two / 2.0 - low) / span,
                false => 0.0,
            };
            let mark = (share * MARKS.len() as f32) as usize;
            line.push(char::from(MARKS[mark.min(MARKS.len() - 1)]));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn light_is_thick_and_dark_is_blank() {
        let mut values = vec![0.0; 16];
        values[0] = 1.0;
        values[4] = 1.0;
        values[3] = 0.5;
        let drawn = draw(&values, Shape::new(1, 4, 4)).unwrap();
        assert_eq!(drawn, "@  :\n\n");
        assert_eq!(draw(&values, Shape::new(1, 1, 16)), None);
        // All alike; and what is wide is thinned.
        assert_eq!(draw(&[3.0; 16], Shape::new(1, 4, 4)).unwrap(), "\n\n");
        let wide = draw(&[1.0, 0.0].repeat(5 * 65), Shape::new(1, 5, 130)).unwrap();
        assert!(wide.lines().all(|line| line.len() <= WIDTH));
    }
}
