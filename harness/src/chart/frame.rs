//! Which part of either axis the frame shows.

use super::{Chart, Joined, LARGEST, Scale, Unit, fits, ticks};

/// Times the least last error up to which the last errors of other series are shown.
const SHOWN: f64 = 5.0;
/// Times the least last error that the frame shows at least.
const FRAME: f64 = 2.0;
/// Both of them on a logarithmic axis.
const LOG_FRAME: f64 = 20.0;
/// How much farther than another a series ends where an axis becomes logarithmic.
const FARTHER: f64 = 4.0;
/// Air at both ends, as a share of the whole.
const AIR: f64 = 0.04;

/// A part of an axis.
#[derive(Debug, Clone)]
pub struct Span {
    pub low: f64,
    pub high: f64,
    pub logarithmic: bool,
    pub ticks: Vec<f64>,
    pub labels: Vec<String>,
}

impl Span {
    /// Where a value is: 0 at the lower end, 1 at the upper.
    pub fn at(&self, value: f64) -> f64 {
        let scale = |x: f64| match self.logarithmic {
            true if x > 0.0 => x.ln(),
            true => f64::NEG_INFINITY,
            false => x,
        };
        (scale(value) - scale(self.low)) / (scale(self.high) - scale(self.low))
    }

    /// Whether the frame shows a value.
    pub fn contains(&self, value: f64) -> bool {
        (self.low..=self.high).contains(&value)
    }

    fn new((low, high): (f64, f64), logarithmic: bool, air: f64) -> Span {
        let (low, high) = if logarithmic {
            // At least a tenth from end to end.
            let more = (1.1 * low / high).max(1.0).sqrt();
            let (low, high) = (low / more, high * more);
            let air = (high / low).powf(air);
            (low / air, high * air)
        } else {
            let least = (high.abs().max(low.abs()) * 1e-3).max(1e-9);
            let more = (least - (high - low)).max(0.0) / 2.0;
            let (low, high) = (low - more, high + more);
            let air = air * (high - low);
            (low - air, high + air)
        };
        Span {
            low,
            high,
            logarithmic,
            ticks: Vec::new(),
            labels: Vec::new(),
        }
    }

    fn with_ticks(mut self, wanted: usize, scale: Scale, unit: Unit) -> Span {
        let ends = (self.low, self.high);
        self.ticks = match self.logarithmic {
            true => ticks::logarithmic(ends, wanted),
            false => ticks::linear(ends, wanted, scale == Scale::Whole),
        };
        self.labels = ticks::labels(&self.ticks, unit, !self.logarithmic);
        self
    }
}

/// Least and greatest of some values; none where there are none.
fn ends(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    values
        .filter(|value| value.is_finite())
        .fold(None, |ends, value| {
            let (low, high) = ends.unwrap_or((value, value));
            Some((f64::min(low, value), f64::max(high, value)))
        })
}

/// The part of the x axis that is shown, with about `wanted` ticks: all of it. None where nothing
/// can be drawn.
pub fn across(chart: &Chart, wanted: usize) -> Option<Span> {
    let points = chart.series.iter().flat_map(|series| chart.drawn(series));
    let (low, high) = ends(points.map(|point| point.x))?;
    let last = |series| chart.drawn(series).last().map(|point| point.x);
    let farthest = ends(chart.series.iter().filter_map(last));
    let scale = chart.x.scale;
    let far = farthest.is_some_and(|(near, far)| far > FARTHER * near);
    let logarithmic = scale == Scale::Log || (scale == Scale::Auto && low > 1.0 / LARGEST && far);
    let span = match scale {
        _ if logarithmic => Span::new((low, high), true, AIR / 2.0),
        Scale::Whole => Span::new((low, high.max(low + 1.0)), false, AIR),
        _ => {
            let mut span = Span::new((low.min(0.0), high.max(0.0)), false, AIR / 2.0);
            if low >= 0.0 {
                span.low = 0.0;
            }
            span
        }
    };
    Some(span.with_ticks(wanted, scale, chart.x.unit))
}

/// The part of the y axis that is shown, with about `wanted` ticks: see the [module](super).
pub fn up(chart: &Chart, wanted: usize) -> Option<Span> {
    let logarithmic = chart.y.scale == Scale::Log;
    let error = |y: f64| (chart.ideal - y).abs();
    let mut last = Vec::new();
    let mut largest = Vec::new();
    let mut values = Vec::new();
    for series in &chart.series {
        let points: Vec<_> = chart.drawn(series).collect();
        last.extend(match series.joined {
            Joined::No => points.iter().map(|point| error(point.y)).collect(),
            _ => points.last().map(|p| vec![error(p.y)]).unwrap_or_default(),
        });
        largest.extend(ends(points.iter().map(|p| error(p.y))).map(|(_, most)| most));
        values.extend(points.iter().flat_map(|p| [p.y, p.band[0], p.band[1]]));
    }
    values.retain(|y| fits(*y, chart.y.scale));
    // A perfect result must not leave a frame without height.
    let positive = |errors: &mut dyn Iterator<Item = f64>| ends(&mut errors.filter(|e| *e > 0.0));
    let (best, _) = positive(&mut last.iter().copied())
        .or_else(|| positive(&mut values.iter().map(|y| error(*y))))
        .unwrap_or((1.0, 1.0));
    let (shown, frame) = match logarithmic {
        true => (LOG_FRAME, LOG_FRAME),
        false => (SHOWN, FRAME),
    };
    let (_, worst) = ends(last.into_iter().filter(|error| *error <= shown * best))?;
    let mut limit = f64::max(frame * best, 1.1 * worst);
    if logarithmic {
        largest.sort_by(f64::total_cmp);
        limit = limit.max(largest[(largest.len() - 1) / 2]);
    }
    let inside = |y: &f64| error(*y) <= limit * (1.0 + 1e-9);
    let (mut low, mut high) = ends(values.into_iter().filter(inside))?;
    // Targets too, if that does not make the rest small.
    let height = 0.25 * (high - low);
    for target in &chart.targets {
        if (low - height..=high + height).contains(target) {
            (low, high) = (low.min(*target), high.max(*target));
        }
    }
    let mut span = Span::new((low, high), logarithmic, AIR);
    if chart.y.unit == Unit::Percent && (0.0..=100.0).contains(&low) && high <= 100.0 {
        (span.low, span.high) = (span.low.max(0.0), span.high.min(100.0));
    }
    Some(span.with_ticks(wanted, chart.y.scale, chart.y.unit))
}
