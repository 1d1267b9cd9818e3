//! The figures: medians and ranges over the seeds, sensitivity to the rate, and what tuning buys.

use std::error::Error;

use plotters::prelude::*;

use super::arm::Arm;
use super::plan::Plan;
use super::runs::{Point, Run};
use super::table::Row;
use super::tune::Tuning;
use crate::score::Measure;

/// Okabe and Ito's palette.
const COLOURS: [RGBColor; 7] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(86, 180, 233),
    RGBColor(230, 159, 0),
    RGBColor(90, 90, 90),
];

/// A named line with the range around it.
struct Band {
    name: String,
    points: Vec<[f64; 4]>,
}

/// All figures: file name and SVG.
pub fn all(
    plan: &Plan,
    arms: &[Arm],
    runs: &[Run],
    tuning: &[Tuning],
    table: &[Row],
) -> Result<Vec<(&'static str, String)>, Box<dyn Error>> {
    let measure = plan.measure;
    let watched = |point: &Point| point.watched.map(|x| measure.factor() * x);
    let loss = |point: &Point| point.train_loss;
    let epochs = |point: &Point| point.gradient_epochs;
    let seconds = |point: &Point| point.train_seconds;
    let title = &plan.model.name;
    let (e, s) = ("gradient epochs", "training seconds");
    let part = if plan.watch_test {
        "test"
    } else {
        "validation"
    };
    let v = &format!("{part} {}", measure.axis());
    let names = match measure {
        Measure::Rmse => ["rmse-epochs.svg", "rmse-seconds.svg", "rmse-lengths.svg"],
        _ => [
            "accuracy-epochs.svg",
            "accuracy-seconds.svg",
            "accuracy-lengths.svg",
        ],
    };
    let l = "training loss";
    let mut figures = vec![
        (
            names[0],
            draw(
                title,
                e,
                v,
                false,
                &bands(plan, arms, runs, epochs, watched),
            )?,
        ),
        (
            names[1],
            draw(
                title,
                s,
                v,
                false,
                &bands(plan, arms, runs, seconds, watched),
            )?,
        ),
        (
            "loss-epochs.svg",
            draw(title, e, l, false, &bands(plan, arms, runs, epochs, loss))?,
        ),
        (
            "loss-seconds.svg",
            draw(title, s, l, false, &bands(plan, arms, runs, seconds, loss))?,
        ),
    ];
    if plan.epochs.len() > 1 {
        let (x, y) = (
            "epochs of the whole run",
            &format!("test {}", measure.axis()),
        );
        let bands = by_length(plan, table);
        figures.push((names[2], draw(title, x, y, true, &bands)?));
    }
    if !tuning.is_empty() {
        let rates = tuning.iter().map(|tuning| {
            let mut points: Vec<[f64; 4]> = tuning
                .trials
                .iter()
                .map(|trial| {
                    point(
                        f64::from(trial.learning_rate),
                        measure.factor() * trial.validation(),
                    )
                })
                .filter(|point| point[1].is_finite())
                .collect();
            points.sort_by(|a, b| a[0].total_cmp(&b[0]));
            Band {
                name: label(&tuning.name, tuning.epochs, plan),
                points,
            }
        });
        let budget = tuning.iter().map(|tuning| {
            let mut best = measure.worst();
            let points = tuning.trials.iter().enumerate().map(|(i, trial)| {
                if measure.reaches(trial.validation(), best) {
                    best = trial.validation();
                }
                point(1.0 + i as f64, measure.factor() * best)
            });
            let points = points.filter(|point| point[1].is_finite());
            Band {
                name: label(&tuning.name, tuning.epochs, plan),
                points: points.collect(),
            }
        });
        let (rates, budget): (Vec<_>, Vec<_>) = (rates.collect(), budget.collect());
        figures.push(("rate.svg", draw(title, "learning rate", v, true, &rates)?));
        figures.push((
            "tuning.svg",
            draw(title, "settings tried", v, false, &budget)?,
        ));
    }
    Ok(figures)
}

/// An optimiser's name, with the length of its runs where there are several.
fn label(name: &str, epochs: f64, plan: &Plan) -> String {
    match plan.epochs.len() {
        1 => name.to_owned(),
        _ => format!("{name}, {epochs}"),
    }
}

/// The test samples' figure over the length of the runs: median, lowest and highest.
fn by_length(plan: &Plan, table: &[Row]) -> Vec<Band> {
    let band = |name: &String| {
        let rows = table.iter().filter(|row| row.name == *name);
        let mut points: Vec<[f64; 4]> = rows
            .map(|row| {
                let [middle, low, high] = row.test.map(|x| plan.measure.factor() * x);
                [row.epochs, middle, low, high]
            })
            .collect();
        points.sort_by(|a, b| a[0].total_cmp(&b[0]));
        Band {
            name: name.clone(),
            points,
        }
    };
    plan.optimizers.iter().map(band).collect()
}

fn point(x: f64, y: f64) -> [f64; 4] {
    [x, y, y, y]
}

/// Median x, and median, lowest and highest y, of the k-th record of all runs of an arm.
fn bands(
    plan: &Plan,
    arms: &[Arm],
    runs: &[Run],
    x: impl Fn(&Point) -> f64,
    y: impl Fn(&Point) -> Option<f64>,
) -> Vec<Band> {
    let middle = |values: &mut Vec<f64>| {
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    arms.iter()
        .enumerate()
        .map(|(a, arm)| {
            let own: Vec<&Run> = runs.iter().filter(|run| run.arm == a).collect();
            let most = own
                .iter()
                .map(|run| run.summary.history.len())
                .max()
                .unwrap_or(0);
            let points = (0..most).filter_map(|k| {
                let records = own.iter().filter_map(|run| run.summary.history.get(k));
                let (mut xs, mut ys): (Vec<f64>, Vec<f64>) = records
                    .filter_map(|record| Some((x(record), y(record)?)))
                    .filter(|(_, y)| y.is_finite())
                    .unzip();
                if xs.is_empty() {
                    return None;
                }
                let (mx, my) = (middle(&mut xs), middle(&mut ys));
                Some([mx, my, ys[0], ys[ys.len() - 1]])
            });
            Band {
                name: label(&arm.name, arm.epochs, plan),
                points: points.collect(),
            }
        })
        .collect()
}

fn draw(
    title: &str,
    x: &str,
    y: &str,
    logarithmic: bool,
    bands: &[Band],
) -> Result<String, Box<dyn Error>> {
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, (760, 480)).into_drawing_area();
        root.fill(&WHITE)?;
        let scale = |x: f64| if logarithmic { x.max(1e-12).log10() } else { x };
        let points = || bands.iter().flat_map(|band| &band.points);
        if points().next().is_some() {
            let low_x = points().fold(f64::INFINITY, |a, p| a.min(scale(p[0])));
            let high_x = points()
                .fold(f64::NEG_INFINITY, |a, p| a.max(scale(p[0])))
                .max(low_x + 1e-9);
            // Accuracies: where they differ. What lies far below the others is cut off.
            let mut all: Vec<f64> = points().map(|p| p[1]).collect();
            all.sort_by(f64::total_cmp);
            let accuracy = y.ends_with("(%)");
            let low = points().fold(f64::INFINITY, |a, p| a.min(p[2]));
            let low = if accuracy {
                low.max(all[all.len() / 8] - 1.0)
            } else {
                low
            };
            let top = points().fold(f64::NEG_INFINITY, |a, p| a.max(p[3]));
            let high = if accuracy {
                top
            } else {
                top.min(all[all.len() * 7 / 8] * 1.5)
            }
            .max(low + 1e-6);
            let mut chart = ChartBuilder::on(&root)
                .caption(title, ("sans-serif", 18))
                .margin(12)
                .x_label_area_size(42)
                .y_label_area_size(56)
                .build_cartesian_2d(low_x..high_x, low..high)?;
            let label = |x: &f64| {
                if logarithmic {
                    format!("{:.1e}", 10f64.powf(*x))
                } else {
                    format!("{x:.1}")
                }
            };
            chart
                .configure_mesh()
                .light_line_style(TRANSPARENT)
                .bold_line_style(BLACK.mix(0.12))
                .x_label_formatter(&label)
                .x_desc(x)
                .y_desc(y)
                .draw()?;
            for (band, colour) in bands.iter().zip(COLOURS.iter().cycle()) {
                let colour = *colour;
                let clip = |y: f64| y.clamp(low, high);
                let upper = band.points.iter().map(|p| (scale(p[0]), clip(p[3])));
                let lower = band.points.iter().rev().map(|p| (scale(p[0]), clip(p[2])));
                chart.draw_series(std::iter::once(Polygon::new(
                    upper.chain(lower).collect::<Vec<_>>(),
                    colour.mix(0.15).filled(),
                )))?;
                let line = band.points.iter().map(|p| (scale(p[0]), clip(p[1])));
                chart
                    .draw_series(LineSeries::new(line.clone(), colour.stroke_width(2)))?
                    .label(&band.name)
                    .legend(move |(x, y)| {
                        PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(2))
                    });
                chart.draw_series(line.map(|p| Circle::new(p, 2, colour.filled())))?;
            }
            chart
                .configure_series_labels()
                .position(SeriesLabelPosition::MiddleRight)
                .background_style(WHITE.mix(0.85))
                .draw()?;
        }
        root.present()?;
    }
    Ok(svg)
}
