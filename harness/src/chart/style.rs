//! Colours, markers and dashes.

/// How a series looks. Each number counts through its own list, over and over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Style {
    /// Colour.
    pub colour: usize,
    /// Marker.
    pub marker: usize,
    /// Dashes.
    pub dash: usize,
}

impl Style {
    /// The `i`-th of several; the first forty all differ.
    pub fn of(i: usize) -> Style {
        Style {
            colour: i,
            marker: i,
            dash: i,
        }
    }

    /// The class for style sheets.
    pub(super) fn class(self) -> String {
        format!("c{}", self.colour % COLOURS.len())
    }

    /// The colour on white.
    pub(super) fn colour(self) -> &'static str {
        COLOURS[self.colour % COLOURS.len()]
    }

    /// The marker's outline around 0, and whether it is filled.
    pub(super) fn marker(self) -> (&'static str, bool) {
        let marker = self.marker % (2 * MARKERS.len());
        (MARKERS[marker % MARKERS.len()], marker < MARKERS.len())
    }

    /// For `stroke-dasharray`; empty for a solid line.
    pub(super) fn dashes(self) -> &'static str {
        DASHES[self.dash % DASHES.len()]
    }
}

/// Blue, vermilion, green, purple, sky and orange (both darker than the originals), grey, wine,
/// indigo, olive.
pub const COLOURS: [&str; 10] = [
    "#0072b2", "#d55e00", "#008f68", "#b85c92", "#2b92cc", "#b87f00", "#4d4d4d", "#882255",
    "#332288", "#7d7a1f",
];

/// Circle, square, triangle, diamond.
const MARKERS: [&str; 4] = [
    "M-3.5 0a3.5 3.5 0 1 0 7 0a3.5 3.5 0 1 0 -7 0z",
    "M-3.1 -3.1h6.2v6.2h-6.2z",
    "M0 -4.2L3.9 3H-3.9z",
    "M0 -4.4L4.4 0L0 4.4L-4.4 0z",
];

const DASHES: [&str; 5] = ["", "8 3", "2 3", "9 3 2 3", "5 2 2 2 2 2"];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn forty_series_all_differ_and_eight_without_colour_too() {
        let looks = |style: Style| (style.colour(), style.marker(), style.dashes());
        let all: HashSet<_> = (0..40).map(|i| looks(Style::of(i))).collect();
        assert_eq!(all.len(), 40);
        let grey: HashSet<_> = (0..40)
            .map(|i| (Style::of(i).marker(), Style::of(i).dashes()))
            .collect();
        assert_eq!(grey.len(), 40);
    }

    /// WCAG's contrast of a colour with white.
    fn contrast(colour: &str) -> f64 {
        let channel = |i: usize| {
            let value = u8::from_str_radix(&colour[i..i + 2], 16).unwrap();
            let value = f64::from(value) / 255.0;
            match value <= 0.04045 {
                true => value / 12.92,
                false => ((value + 0.055) / 1.055).powf(2.4),
            }
        };
        let luminance = 0.2126 * channel(1) + 0.7152 * channel(3) + 0.0722 * channel(5);
        1.05 / (luminance + 0.05)
    }

    #[test]
    fn every_colour_stands_out_from_white() {
        for colour in COLOURS {
            assert!(contrast(colour) >= 3.0, "{colour}: {}", contrast(colour));
        }
    }
}
