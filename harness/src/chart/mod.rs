//! Figures as SVG: lines with bands over two axes.
//!
//! What a figure shows is what was measured. Both axes are chosen from the data, no value is moved
//! into the frame, and the figure's table ([`Chart::csv`]) holds every point that is drawn.
//!
//! ```text
//! error(y) = |ideal - y|
//! best     = least last error of a series
//! shown    = series whose last error is at most 5 best
//! frame    = all values whose error is at most max(2 best, 1.1 x the largest last error shown)
//! ```
//!
//! So an arm that collapsed, or the first steps of all, do not squeeze what there is to see. Lines
//! leave the frame where they leave it; where one goes out of it an arrow at the edge has the
//! value, and a line of text under the figure says how far it goes. On a logarithmic axis of
//! errors both factors are 20, and half of the series are shown from their largest error on. An x
//! axis is logarithmic where one series ends more than four times as far out as another.
//!
//! Colours are those of Okabe and Ito (2008), two of them darker for contrast on white, with three
//! of Tol's (2021); colour, marker and dashes all differ, so that a figure can be read in grey.

mod draw;
mod frame;
mod style;
mod text;
mod ticks;

pub use style::Style;
pub use text::escape;

/// A figure.
#[derive(Debug, Clone)]
pub struct Chart {
    /// Its file's name, without an ending.
    pub name: &'static str,
    /// What it shows.
    pub title: String,
    /// Data, network, seeds, what line and band are.
    pub subtitle: String,
    /// To the right.
    pub x: Axis,
    /// Upwards.
    pub y: Axis,
    /// The y of a perfect result.
    pub ideal: f64,
    /// In the order of the legend.
    pub series: Vec<Series>,
    /// Values of y to reach, drawn as lines.
    pub targets: Vec<f64>,
}

/// An axis.
#[derive(Debug, Clone)]
pub struct Axis {
    /// For people.
    pub label: String,
    /// For the head of the table.
    pub column: String,
    /// How values are laid out.
    pub scale: Scale,
    /// What follows a number.
    pub unit: Unit,
}

impl Axis {
    /// Of numbers with nothing behind them.
    pub fn new(label: &str, column: &str, scale: Scale) -> Axis {
        Axis {
            label: label.to_owned(),
            column: column.to_owned(),
            scale,
            unit: Unit::None,
        }
    }
}

/// How values are laid out on an axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    /// By difference.
    Linear,
    /// By ratio; values that are not above 0 cannot be drawn.
    Log,
    /// By ratio where one series ends more than four times as far out as another.
    Auto,
    /// By difference, with ticks at whole numbers only.
    Whole,
}

/// What follows a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Nothing.
    None,
    /// ` %`.
    Percent,
}

/// Points of one colour.
#[derive(Debug, Clone)]
pub struct Series {
    /// For the legend and the table.
    pub name: String,
    /// For the legend only: what is special about it.
    pub remark: String,
    /// Colour, marker and dashes.
    pub style: Style,
    /// How the points are joined.
    pub joined: Joined,
    /// From left to right where they are joined.
    pub points: Vec<Point>,
    /// The point that was taken, which gets a ring.
    pub taken: Option<Point>,
}

/// How points are joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Joined {
    /// By straight lines.
    Lines,
    /// By steps: a value holds until the next.
    Steps,
    /// Not at all.
    No,
}

/// A point with the range around it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// To the right.
    pub x: f64,
    /// Upwards.
    pub y: f64,
    /// Lower and upper end of the band; infinite where a run has no value.
    pub band: [f64; 2],
}

impl Point {
    /// A point without a range.
    pub fn new(x: f64, y: f64) -> Point {
        Point { x, y, band: [y, y] }
    }
}

/// Beyond this, or on a logarithmic axis below its reciprocal, a number cannot be laid out: its
/// ratio to others would overflow.
const LARGEST: f64 = 1e100;

/// Whether a number can be laid out.
fn fits(value: f64, scale: Scale) -> bool {
    value.abs() < LARGEST && (scale != Scale::Log || value > 1.0 / LARGEST)
}

impl Chart {
    /// The figure as a file, for a page `width` pixels wide.
    pub fn svg(&self, width: f64) -> String {
        let (inside, height) = draw::chart(self, width);
        document(&self.heading(), &inside, width, height)
    }

    /// What the figure is, in a sentence.
    pub fn heading(&self) -> String {
        format!("{}. {}", self.title, self.subtitle)
    }

    /// Every point that is drawn, a line each: series, x, y, lower and upper end of the band (empty
    /// where a run has no value).
    pub fn csv(&self) -> String {
        let number = |x: f64| match x.is_finite() {
            true => x.to_string(),
            false => String::new(),
        };
        let mut writer = csv::Writer::from_writer(Vec::new());
        // Writing to memory never fails.
        let head = ["series", &self.x.column, &self.y.column, "low", "high"];
        let _ = writer.write_record(head);
        for series in &self.series {
            for point in self.drawn(series) {
                let [low, high] = point.band;
                let numbers = [point.x, point.y, low, high].map(number);
                let name = [series.name.clone()];
                let _ = writer.write_record(name.iter().chain(&numbers));
            }
        }
        String::from_utf8(writer.into_inner().unwrap_or_default()).unwrap_or_default()
    }

    /// The points for people: series, x, y, band.
    pub fn values(&self) -> Vec<[String; 4]> {
        let y = |value: f64| match value.is_finite() {
            true => ticks::value(value, self.y.unit),
            false => "none".to_owned(),
        };
        let mut rows = Vec::new();
        for series in &self.series {
            for point in self.drawn(series) {
                let band = match point.band {
                    [low, high] if low == high => "-".to_owned(),
                    [low, high] => format!("{} to {}", y(low), y(high)),
                };
                let x = ticks::value(point.x, self.x.unit);
                rows.push([series.name.clone(), x, y(point.y), band]);
            }
        }
        rows
    }

    /// The points of a series that can be drawn.
    pub fn drawn<'a>(&'a self, series: &'a Series) -> impl Iterator<Item = &'a Point> {
        let points = series.points.iter();
        let points = points.filter(|p| p.band.iter().all(|end| !end.is_nan()));
        points.filter(move |p| fits(p.x, self.x.scale) && fits(p.y, self.y.scale))
    }
}

/// A value as the figures show it.
pub fn shown(value: f64, unit: Unit) -> String {
    ticks::value(value, unit)
}

/// Figures side by side in one file: the curves of a run.
pub fn side_by_side(charts: &[Chart], title: &str, width: f64) -> String {
    let each = width / charts.len().max(1) as f64;
    let heading = text::block(title, text::TITLE, width - 2.0 * draw::MARGIN);
    let (head, top) = draw::heading(&heading);
    let mut inside = head;
    let mut height = top;
    for (i, chart) in charts.iter().enumerate() {
        let (drawing, tall) = draw::chart(chart, each);
        let x = i as f64 * each;
        inside += &format!("<g transform=\"translate({x} {top})\">{drawing}</g>\n");
        height = f64::max(height, top + tall);
    }
    document(title, &inside, width, height)
}

fn document(heading: &str, inside: &str, width: f64, height: f64) -> String {
    let heading = escape(heading);
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"chart\" width=\"{width}\" \
         height=\"{height}\" viewBox=\"0 0 {width} {height}\" role=\"img\" \
         aria-label=\"{heading}\" font-family=\"system-ui, 'Segoe UI', Helvetica, Arial, \
         sans-serif\">\n<rect class=\"paper\" width=\"{width}\" height=\"{height}\" \
         fill=\"#ffffff\"/>\n{inside}</svg>\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(scales: (Scale, Scale), points: Vec<Point>) -> Chart {
        let axis = |scale| Axis {
            label: "a & b".to_owned(),
            column: "a".to_owned(),
            scale,
            unit: Unit::Percent,
        };
        Chart {
            name: "chart",
            title: "<title> \u{1}".to_owned(),
            subtitle: "word ".repeat(90),
            x: axis(scales.0),
            y: axis(scales.1),
            ideal: 100.0,
            series: [Joined::Lines, Joined::Steps, Joined::No]
                .map(|joined| Series {
                    name: "\"x\" & ".repeat(20),
                    remark: "r".to_owned(),
                    style: Style::of(3),
                    joined,
                    points: points.clone(),
                    taken: points.first().copied(),
                })
                .to_vec(),
            targets: vec![0.0, 50.0, 1e300],
        }
    }

    #[test]
    fn any_numbers_can_be_drawn() {
        let odd = [
            f64::NAN,
            f64::INFINITY,
            f64::NEG_INFINITY,
            0.0,
            -1e308,
            1e308,
            1e-308,
            -1e299,
            1e299,
            50.0,
            50.0 + 1e-13,
        ];
        let scales = [Scale::Linear, Scale::Log, Scale::Auto, Scale::Whole];
        for across in scales {
            for up in [Scale::Linear, Scale::Log] {
                for (i, x) in odd.into_iter().enumerate() {
                    let y = |k: usize| odd[(i + k) % odd.len()];
                    let band = [y(2), y(3)];
                    let last = Point {
                        x: 50.0,
                        y: y(1),
                        band,
                    };
                    let points = vec![Point::new(x, y(1)), Point::new(1.0, y(5)), last];
                    let chart = chart((across, up), points);
                    for width in [356.0, 760.0] {
                        let svg = chart.svg(width);
                        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
                        assert!(!svg.contains("<title> ") && !svg.contains('\u{1}'));
                        assert!(svg.len() < 200_000);
                    }
                    assert!(!chart.csv().contains("NaN") && !chart.csv().contains("inf"));
                }
            }
        }
        for points in [vec![], vec![Point::new(1.0, f64::NAN)]] {
            let svg = chart((Scale::Auto, Scale::Linear), points).svg(760.0);
            assert!(svg.contains("There is nothing to draw."));
        }
    }

    /// A chart of accuracies in percent, and the part of them that its frame shows.
    fn shown(series: &[&[f64]]) -> (f64, f64) {
        let mut chart = chart((Scale::Linear, Scale::Linear), vec![]);
        let one = chart.series[0].clone();
        let line = |values: &&[f64]| {
            let points = values.iter().enumerate();
            let points = points.map(|(i, y)| Point::new(i as f64, *y)).collect();
            Series {
                points,
                ..one.clone()
            }
        };
        chart.series = series.iter().map(line).collect();
        chart.targets.clear();
        let span = frame::up(&chart, 6).unwrap();
        (span.low, span.high)
    }

    #[test]
    fn one_that_collapsed_does_not_squeeze_the_others() {
        let good: &[f64] = &[40.0, 85.0, 89.0];
        let alone = shown(&[good]);
        assert!(
            alone.0 > 78.0 && alone.0 < 85.0 && alone.1 > 89.0,
            "{alone:?}"
        );
        assert_eq!(shown(&[good, &[10.0, 10.0, 10.0]]), alone);
        // One that is worse but learned is shown, and so is one that fell.
        assert!(shown(&[good, &[40.0, 70.0, 72.0]]).0 < 72.0);
        assert!(shown(&[&[99.9, 100.0], &[99.0, 99.5]]).0 < 99.5);
    }

    #[test]
    fn an_axis_is_logarithmic_where_one_series_ends_far_out() {
        let far = |x: f64| {
            let mut chart = chart((Scale::Auto, Scale::Linear), vec![Point::new(1.0, 50.0)]);
            chart.series[0].points[0].x = x;
            frame::across(&chart, 6).unwrap().logarithmic
        };
        assert!(!far(2.0) && !far(4.0) && far(5.0) && far(0.2));
    }
}
