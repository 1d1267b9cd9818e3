//! The drawing: heading, legend, frame, series, what lies beyond the frame.

use super::frame::{self, Span};
use super::text::{self, BODY, Block, SMALL, TITLE, block, escape, shorten};
use super::{Chart, Joined, Point, Series, ticks};

/// Around everything.
pub const MARGIN: f64 = 14.0;
const INK: &str = "#1f2328";
const FAINT: &str = "#59636e";
const GRID: &str = "#e2e5e9";
/// Coordinates of what lies far beyond the frame stop here, where nothing is seen of them.
const FAR: f64 = 1e5;
/// Series with more points than this have no markers.
const MARKED: usize = 120;

/// Where a chart's axes lie, in pixels.
struct Area<'a> {
    left: f64,
    top: f64,
    width: f64,
    height: f64,
    x: &'a Span,
    y: &'a Span,
}

impl Area<'_> {
    fn x(&self, value: f64) -> f64 {
        self.left + (self.x.at(value) * self.width).clamp(-FAR, FAR)
    }

    fn y(&self, value: f64) -> f64 {
        self.top + ((1.0 - self.y.at(value)) * self.height).clamp(-FAR, FAR)
    }

    fn bottom(&self) -> f64 {
        self.top + self.height
    }
}

/// A chart `width` pixels wide, and its height.
pub fn chart(chart: &Chart, width: f64) -> (String, f64) {
    let room = width - 2.0 * MARGIN;
    let title = block(&chart.title, TITLE, room);
    let (mut svg, mut top) = heading(&title);
    for line in text::lines(&chart.subtitle, BODY, room) {
        top += 18.0;
        svg += &words("faint", MARGIN, top - 5.0, BODY, &line);
    }
    let several = chart.series.len() > 1;
    if several {
        legend(&mut svg, &mut top, chart, room);
    }
    let narrow = width < 480.0;
    let wanted = if narrow { 4 } else { 8 };
    let spans = frame::across(chart, wanted).zip(frame::up(chart, if narrow { 5 } else { 7 }));
    let Some((across, up)) = spans else {
        top += 30.0;
        svg += &words("faint", MARGIN, top, BODY, "There is nothing to draw.");
        return (svg, top + MARGIN);
    };
    // What is on the y axis stands above it, where it can be read without turning the head.
    let logarithm = |span: &Span| if span.logarithmic { " (log scale)" } else { "" };
    top += 24.0;
    let label = format!("{}{}", chart.y.label, logarithm(&up));
    svg += &words("ink", MARGIN, top - 6.0, BODY, &shorten(&label, BODY, room));
    let widest = up.labels.iter().map(|label| text::width(label, SMALL));
    let left = MARGIN + widest.fold(0.0, f64::max).ceil() + 8.0;
    let area = Area {
        left,
        top: top + 6.0,
        width: width - left - MARGIN - 4.0,
        height: if narrow { 200.0 } else { 290.0 },
        x: &across,
        y: &up,
    };
    axes(&mut svg, &area);
    targets(&mut svg, &area, chart);
    // A drawing within the drawing cuts off what lies beyond it.
    let Area { left, top, .. } = area;
    svg += &format!(
        "<svg class=\"frame\" x=\"{left}\" y=\"{top}\" width=\"{}\" height=\"{}\" \
         viewBox=\"{left} {top} {} {}\" overflow=\"hidden\">\n",
        area.width, area.height, area.width, area.height
    );
    for series in &chart.series {
        lines(&mut svg, &area, chart, series);
    }
    svg += "</svg>\n";
    for series in &chart.series {
        markers(&mut svg, &area, chart, series);
    }
    let mut bottom = area.bottom() + 42.0;
    let label = format!("{}{}", chart.x.label, logarithm(&across));
    svg += &format!(
        "<text class=\"ink\" x=\"{:.2}\" y=\"{bottom:.2}\" font-size=\"{BODY}\" fill=\"{INK}\" \
         text-anchor=\"middle\">{}</text>\n",
        area.left + area.width / 2.0,
        escape(&shorten(&label, BODY, area.width + left - MARGIN))
    );
    for note in notes(chart, &area) {
        for line in text::lines(&note, SMALL, room) {
            bottom += 18.0;
            svg += &words("faint", MARGIN, bottom, SMALL, &line);
        }
    }
    (svg, (bottom + MARGIN).ceil())
}

/// The heading and where it ends.
pub fn heading(title: &Block) -> (String, f64) {
    let mut svg = String::new();
    let mut top = MARGIN;
    for line in &title.lines {
        top += title.size * 1.3;
        svg += &format!(
            "<text class=\"ink\" x=\"{MARGIN}\" y=\"{:.2}\" font-size=\"{}\" font-weight=\"600\" \
             fill=\"{INK}\">{}</text>\n",
            top - 5.0,
            title.size,
            escape(line)
        );
    }
    (svg, top)
}

fn words(class: &str, x: f64, y: f64, size: f64, words: &str) -> String {
    let colour = if class == "ink" { INK } else { FAINT };
    format!(
        "<text class=\"{class}\" x=\"{x:.2}\" y=\"{y:.2}\" font-size=\"{size}\" \
         fill=\"{colour}\">{}</text>\n",
        escape(words)
    )
}

/// The start of a group in the colour of a series.
fn group(class: &str, series: &Series) -> String {
    format!(
        "<g class=\"{class} {}\" color=\"{}\" data-name=\"{}\">\n",
        series.style.class(),
        series.style.colour(),
        escape(&series.name)
    )
}

fn marker(series: &Series, x: f64, y: f64, title: &str) -> String {
    let (outline, filled) = series.style.marker();
    let (class, fill, stroke) = match filled {
        true => ("m", "currentColor", "#ffffff"),
        false => ("m hollow", "#ffffff", "currentColor"),
    };
    let width = if filled { 0.8 } else { 1.6 };
    let title = match title {
        "" => String::new(),
        title => format!("<title>{}</title>", escape(title)),
    };
    format!(
        "<path class=\"{class}\" transform=\"translate({x:.2} {y:.2})\" d=\"{outline}\" \
         fill=\"{fill}\" stroke=\"{stroke}\" stroke-width=\"{width}\">{title}</path>\n"
    )
}

/// The line's attributes.
fn stroke(series: &Series) -> String {
    let dashes = match series.style.dashes() {
        "" => String::new(),
        dashes => format!(" stroke-dasharray=\"{dashes}\""),
    };
    format!(
        "fill=\"none\" stroke=\"currentColor\" stroke-width=\"2\" stroke-linejoin=\"round\"{dashes}"
    )
}

/// Rows of line, marker and name.
fn legend(svg: &mut String, top: &mut f64, chart: &Chart, room: f64) {
    const KEY: f64 = 40.0;
    *top += 10.0;
    let mut x = MARGIN;
    *top += 20.0;
    for series in &chart.series {
        let name = match series.remark.as_str() {
            "" => series.name.clone(),
            remark => format!("{} ({remark})", series.name),
        };
        let name = shorten(&name, BODY, room - KEY);
        let width = KEY + text::width(&name, BODY);
        if x > MARGIN && x + width > MARGIN + room {
            x = MARGIN;
            *top += 20.0;
        }
        let y = *top - 10.0;
        *svg += &group("key", series);
        if series.joined != Joined::No {
            *svg += &format!("<path d=\"M{x:.2} {y}h32\" {}/>\n", stroke(series));
        }
        *svg += &marker(series, x + 16.0, y, "");
        *svg += "</g>\n";
        *svg += &words("ink", x + KEY, y + 4.5, BODY, &name);
        x += width + 18.0;
    }
}

/// Grid, ticks and their labels.
fn axes(svg: &mut String, area: &Area<'_>) {
    let Area {
        left, width, top, ..
    } = *area;
    let bottom = area.bottom();
    for (tick, label) in area.y.ticks.iter().zip(&area.y.labels) {
        let y = area.y(*tick);
        *svg += &format!(
            "<path class=\"grid\" d=\"M{left:.2} {y:.2}h{width:.2}\" stroke=\"{GRID}\"/>\n\
             <text class=\"faint tick-y\" x=\"{:.2}\" y=\"{:.2}\" font-size=\"{SMALL}\" \
             fill=\"{FAINT}\" text-anchor=\"end\" data-at=\"{y:.2}\">{label}</text>\n",
            left - 8.0,
            y + 4.0
        );
    }
    // Where labels would touch, every second or third.
    let room = |i: usize| text::width(&area.x.labels[i], SMALL) / 2.0 + 6.0;
    let mut free = f64::NEG_INFINITY;
    for (i, (tick, label)) in area.x.ticks.iter().zip(&area.x.labels).enumerate() {
        let x = area.x(*tick);
        *svg += &format!(
            "<path class=\"grid\" d=\"M{x:.2} {top:.2}v{:.2}\" stroke=\"{GRID}\"/>\n",
            area.height + 5.0
        );
        if x - room(i) < free {
            continue;
        }
        free = x + room(i);
        *svg += &format!(
            "<text class=\"faint tick-x\" x=\"{x:.2}\" y=\"{:.2}\" font-size=\"{SMALL}\" \
             fill=\"{FAINT}\" text-anchor=\"middle\" data-at=\"{x:.2}\">{label}</text>\n",
            bottom + 20.0
        );
    }
    *svg += &format!(
        "<path class=\"axis\" d=\"M{left:.2} {bottom:.2}h{width:.2}\" stroke=\"{FAINT}\"/>\n"
    );
}

/// Lines at the targets, each with its name at the left, where most curves have not arrived yet;
/// names that would touch stand side by side.
fn targets(svg: &mut String, area: &Area<'_>, chart: &Chart) {
    let mut rising = chart.targets.clone();
    rising.retain(|target| area.y.contains(*target));
    rising.sort_by(f64::total_cmp);
    for target in &rising {
        *svg += &format!(
            "<path class=\"target\" d=\"M{:.2} {:.2}h{:.2}\" stroke=\"{FAINT}\" \
             stroke-dasharray=\"1 4\" stroke-linecap=\"round\" stroke-width=\"1.6\"/>\n",
            area.left,
            area.y(*target),
            area.width
        );
    }
    let (mut free, mut x) = (f64::INFINITY, 0.0);
    for target in rising {
        let y = area.y(target) - 4.0;
        let name = format!("target {}", ticks::exact(target, chart.y.unit));
        x = if y > free { x } else { area.left + 6.0 };
        *svg += &format!(
            "<text class=\"faint halo\" x=\"{x:.2}\" y=\"{y:.2}\" font-size=\"{SMALL}\" \
             fill=\"{FAINT}\" stroke=\"#ffffff\" stroke-width=\"3\" stroke-linejoin=\"round\" \
             paint-order=\"stroke\">{name}</text>\n"
        );
        x += text::width(&name, SMALL) + 12.0;
        free = y - 15.0;
    }
}

/// Band and line of a series.
fn lines(svg: &mut String, area: &Area<'_>, chart: &Chart, series: &Series) {
    let points: Vec<&Point> = chart.drawn(series).collect();
    *svg += &group("series", series);
    if series.joined == Joined::Lines && points.iter().any(|p| p.band != [p.y; 2]) {
        let at = |p: &&Point, end: usize| format!("{:.2} {:.2}", area.x(p.x), area.y(p.band[end]));
        let upper = points.iter().map(|p| at(p, 1));
        let lower = points.iter().rev().map(|p| at(p, 0));
        let outline: Vec<String> = upper.chain(lower).collect();
        *svg += &format!(
            "<path class=\"band\" d=\"M{}z\" fill=\"currentColor\" \
             fill-opacity=\"{}\"/>\n",
            outline.join("L"),
            // Many bands on top of each other are mud.
            if chart.series.len() > 4 { 0.07 } else { 0.14 }
        );
    }
    if series.joined != Joined::No {
        let mut path = String::new();
        for (i, point) in points.iter().enumerate() {
            let (x, y) = (area.x(point.x), area.y(point.y));
            path += &match (i, series.joined) {
                (0, _) => format!("M{x:.2} {y:.2}"),
                (_, Joined::Steps) => format!("H{x:.2}V{y:.2}"),
                _ => format!("L{x:.2} {y:.2}"),
            };
        }
        *svg += &format!("<path class=\"line\" d=\"{path}\" {}/>\n", stroke(series));
    }
    *svg += "</g>\n";
}

/// What a point says when it is pointed at.
fn told(chart: &Chart, series: &Series, point: &Point) -> String {
    let value = |y: f64| ticks::value(y, chart.y.unit);
    let range = match point.band {
        [low, high] if low == point.y && high == point.y => String::new(),
        [low, high] => format!(" ({} to {})", value_or(low, value), value_or(high, value)),
    };
    format!(
        "{}: {}{range} at {} {}",
        series.name,
        value(point.y),
        ticks::value(point.x, chart.x.unit),
        chart.x.label
    )
}

fn value_or(x: f64, value: impl Fn(f64) -> String) -> String {
    match x.is_finite() {
        true => value(x),
        false => "none".to_owned(),
    }
}

/// A marker at each point, and an arrow at the frame's edge at the first and the last of some
/// points beyond it.
fn markers(svg: &mut String, area: &Area<'_>, chart: &Chart, series: &Series) {
    let points: Vec<&Point> = chart.drawn(series).collect();
    *svg += &group("points", series);
    let few = points.len() <= MARKED;
    let beyond = |i: usize| points.get(i).is_some_and(|p| !area.y.contains(p.y));
    for (i, &point) in points.iter().enumerate() {
        let (x, told) = (area.x(point.x), told(chart, series, point));
        if area.y.contains(point.y) {
            let y = area.y(point.y);
            if series.taken == Some(*point) {
                *svg += &format!(
                    "<circle class=\"taken\" cx=\"{x:.2}\" cy=\"{y:.2}\" r=\"8\" fill=\"none\" \
                     stroke=\"currentColor\" stroke-width=\"1.6\"/>\n"
                );
            }
            if few {
                *svg += &marker(series, x, y, &told);
            }
        } else if i == 0 || !beyond(i - 1) || !beyond(i + 1) {
            let (edge, outward) = match point.y < area.y.low {
                true => (area.bottom(), -1.0),
                false => (area.top, 1.0),
            };
            *svg += &format!(
                "<path class=\"beyond\" d=\"M{x:.2} {:.2}V{edge:.2}m-3.5 {:.2}L{x:.2} \
                 {edge:.2}l3.5 {:.2}\" fill=\"none\" stroke=\"currentColor\" \
                 stroke-width=\"1.6\"><title>{}</title></path>\n",
                edge + 11.0 * outward,
                5.0 * outward,
                5.0 * outward,
                escape(&told)
            );
        }
    }
    *svg += "</g>\n";
}

/// What lies beyond the frame.
fn notes(chart: &Chart, area: &Area<'_>) -> Vec<String> {
    let mut notes = Vec::new();
    let value = |y: f64| ticks::value(y, chart.y.unit);
    for (arrow, below) in [
        ("↓ Below the frame: ", true),
        ("↑ Above the frame: ", false),
    ] {
        let beyond = |y: &f64| (*y < area.y.low) == below && !area.y.contains(*y);
        let mut parts = Vec::new();
        for series in &chart.series {
            let all: Vec<f64> = chart.drawn(series).map(|p| p.y).filter(beyond).collect();
            let low = all.iter().copied().fold(f64::INFINITY, f64::min);
            let high = all.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            match all.len() {
                0 => {}
                _ if value(low) == value(high) => {
                    parts.push(format!("{} {}", series.name, value(low)))
                }
                n => parts.push(format!(
                    "{} {} to {} ({n} points)",
                    series.name,
                    value(low),
                    value(high)
                )),
            }
        }
        parts.extend(
            chart
                .targets
                .iter()
                .copied()
                .filter(beyond)
                .map(|target| format!("target {}", ticks::exact(target, chart.y.unit))),
        );
        if !parts.is_empty() {
            notes.push(format!("{arrow}{}.", parts.join("; ")));
        }
    }
    notes
}
