//! The figures: what is drawn, of which runs. How it is drawn stands in [`crate::chart`].

mod differences;
mod loss;
mod seeds;

use super::arm::Arm;
use super::lengths;
use super::plan::Plan;
use super::runs::{Point as Evaluation, Run};
use super::tune::Tuning;
use crate::chart::{Axis, Chart, Joined, Point, Scale, Series, Style};
use crate::plot::{ideal, judged, scale_of_losses};
use crate::score::Measure;
pub use loss::Stretch;
pub use seeds::over_seeds;

/// The `ideal` of a figure that shows every point: so far off that no error is far above another.
pub const SHOW_ALL: f64 = 1e9;

/// Pixels of a file.
pub const WIDTH: f64 = 760.0;

/// Names of all figures that a comparison may write, so that those of an earlier one go.
pub const NAMES: [&str; 11] = [
    "accuracy-epochs",
    "accuracy-seconds",
    "accuracy-lengths",
    "rmse-epochs",
    "rmse-seconds",
    "rmse-lengths",
    "loss-epochs",
    "loss-seconds",
    "differences",
    "rate",
    "trials",
];

/// The files of the figures, with their names: a drawing and its points each.
pub fn files(charts: &[Chart]) -> Vec<(String, String)> {
    let both = |chart: &Chart| {
        [
            (format!("{}.svg", chart.name), chart.svg(WIDTH)),
            (format!("{}.csv", chart.name), chart.csv()),
        ]
    };
    charts.iter().flat_map(both).collect()
}

/// All figures of a comparison.
pub fn all(
    plan: &Plan,
    dataset: &str,
    arms: &[Arm],
    runs: &[Run],
    tuning: &[Tuning],
) -> Vec<Chart> {
    let measure = plan.measure;
    let part = match plan.watch_test {
        true => "test",
        false => "validation",
    };
    let names = match measure {
        Measure::Rmse => ["rmse-epochs", "rmse-seconds", "rmse-lengths"],
        _ => ["accuracy-epochs", "accuracy-seconds", "accuracy-lengths"],
    };
    let setting = format!("{dataset}, {}", plan.model.name);
    let of_seeds = |line: &str| format!("{setting}, {}", seeds::describe(&plan.seeds, line));
    let factor = measure.factor();
    let watched = |chosen: fn(&Evaluation) -> f64| {
        courses(plan, arms, runs, ideal_side(measure), |run| {
            let history = run.summary.history.iter();
            let point = |p: &Evaluation| (chosen(p), p.watched.map(|value| factor * value));
            history.map(point).collect()
        })
    };
    let losses = |chosen: fn(&Stretch) -> f64| {
        courses(plan, arms, runs, f64::INFINITY, |run| {
            let stretches = loss::stretches(&run.record);
            stretches.iter().map(|s| (chosen(s), s.loss)).collect()
        })
    };
    // Targets hold in the course of a run where all runs are of one length, else for the lengths.
    let targets: Vec<f64> = plan.targets.iter().map(|t| factor * t).collect();
    let (in_course, of_lengths) = match plan.epochs.len() {
        1 => (targets, Vec::new()),
        _ => (Vec::new(), targets),
    };
    let figure = |name, (x, y): (Axis, Axis), ideal, series, targets: &[f64]| Chart {
        name,
        title: heading(&y, &x),
        subtitle: of_seeds("median"),
        x,
        y,
        ideal,
        series,
        targets: targets.to_vec(),
    };
    let best = ideal(measure);
    let mut charts = Vec::new();
    for (i, x, series) in [
        (0, epochs(), watched(|point| point.gradient_epochs)),
        (1, seconds(plan), watched(|point| point.train_seconds)),
    ] {
        // Without validation samples there is nothing to watch.
        if series.iter().any(|series| !series.points.is_empty()) {
            let axes = (x, judged(part, measure));
            charts.push(figure(names[i], axes, best, series, &in_course));
        }
    }
    for (name, x, series) in [
        ("loss-epochs", epochs(), losses(|s| s.gradient_epochs)),
        ("loss-seconds", seconds(plan), losses(|s| s.train_seconds)),
    ] {
        let y = training_loss(scale_of_losses(series.iter().flat_map(|s| &s.points)));
        let mut chart = figure(name, (x, y), 0.0, series, &[]);
        chart.subtitle += " Each point: mean loss of the steps since the evaluation before.";
        charts.push(chart);
    }
    if plan.epochs.len() > 1 {
        let curves = lengths::curves(arms, runs, measure);
        let series = curves
            .into_iter()
            .enumerate()
            .map(|(i, (name, points))| Series {
                name,
                remark: String::new(),
                style: Style::of(i),
                joined: Joined::Lines,
                points,
                taken: None,
            });
        let axes = (
            Axis::new(
                "gradient epochs of a whole run",
                "gradient_epochs",
                Scale::Log,
            ),
            judged("test", measure),
        );
        let mut chart = figure(names[2], axes, best, series.collect(), &of_lengths);
        chart.title = format!("Test {} over the length of runs", measure.name());
        chart.subtitle = of_seeds("mean");
        charts.push(chart);
    }
    charts.extend(differences::chart(plan, &setting, arms, runs));
    if !tuning.is_empty() {
        let subtitle =
            format!("{setting}. Each point: a setting, mean of three runs; ring: the one taken.");
        let y = || judged("validation", measure);
        let mut rates = figure(
            "rate",
            (Axis::new("learning rate", "learning_rate", Scale::Log), y()),
            best,
            tuned(plan, tuning, rate_points),
            &[],
        );
        rates.title = format!("Settings tried: validation {}", measure.name());
        rates.subtitle = subtitle + " Other settings differ too.";
        let mut budget = figure(
            "trials",
            (
                Axis::new("settings tried", "settings_tried", Scale::Whole),
                y(),
            ),
            best,
            tuned(plan, tuning, budget_points),
            &[],
        );
        budget.title = "What tuning buys: the best setting so far".to_owned();
        budget.subtitle = format!("{setting}. Each setting: mean of three runs.");
        for series in &mut rates.series {
            series.joined = Joined::No;
        }
        charts.extend([rates, budget]);
    }
    charts
}

/// Where a run is that has no value: beyond all others, on the worse side.
fn ideal_side(measure: Measure) -> f64 {
    -measure.sign() * f64::INFINITY
}

fn epochs() -> Axis {
    Axis::new("gradient epochs", "gradient_epochs", Scale::Auto)
}

fn seconds(plan: &Plan) -> Axis {
    let title = format!("{} of training", plan.timing.describe());
    Axis::new(&title, "training_seconds", Scale::Auto)
}

fn training_loss(scale: Scale) -> Axis {
    Axis::new("training loss", "training_loss", scale)
}

/// `Validation accuracy over gradient epochs`.
fn heading(y: &Axis, x: &Axis) -> String {
    let mut text = format!("{} over {}", y.label.trim_end_matches(" (%)"), x.label);
    if let Some(first) = text.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    text
}

/// An optimiser's name, with the length of its runs where there are several.
fn label(name: &str, epochs: f64, plan: &Plan) -> String {
    match plan.epochs.len() {
        1 => name.to_owned(),
        _ if epochs == 1.0 => format!("{name}, 1 epoch"),
        _ => format!("{name}, {epochs} epochs"),
    }
}

/// Colour and marker by optimiser; dashes by length of run where there are several.
fn style(plan: &Plan, arm: usize) -> Style {
    let optimizer = arm % plan.optimizers.len().max(1);
    match plan.epochs.len() {
        1 => Style::of(optimizer),
        _ => Style {
            dash: arm / plan.optimizers.len().max(1),
            ..Style::of(optimizer)
        },
    }
}

/// The course of each arm's runs over its seeds; a run without a value counts as `worst`.
fn courses(
    plan: &Plan,
    arms: &[Arm],
    runs: &[Run],
    worst: f64,
    course: impl Fn(&Run) -> Vec<(f64, Option<f64>)>,
) -> Vec<Series> {
    let series = |(a, arm): (usize, &Arm)| {
        let own: Vec<&Run> = runs.iter().filter(|run| run.arm == a).collect();
        let collapsed = own.iter().filter(|run| run.summary.collapsed).count();
        let mut remarks = Vec::new();
        if own.len() < plan.seeds.len() {
            remarks.push(format!("{} of {} seeds", own.len(), plan.seeds.len()));
        }
        if collapsed > 0 {
            remarks.push(format!("{collapsed} of {} collapsed", own.len()));
        }
        let courses: Vec<_> = own.into_iter().map(&course).collect();
        Series {
            name: label(&arm.name, arm.epochs, plan),
            remark: remarks.join(", "),
            style: style(plan, a),
            joined: Joined::Lines,
            points: over_seeds(&courses, worst),
            taken: None,
        }
    };
    arms.iter().enumerate().map(series).collect()
}

/// Points of what was tried, and the one that was taken.
type Tried = (Vec<Point>, Option<Point>);

/// A series for each optimiser that was tuned.
fn tuned(plan: &Plan, tuning: &[Tuning], points: fn(&Tuning, Measure) -> Tried) -> Vec<Series> {
    let mut series = Vec::new();
    for (i, tuning) in tuning.iter().enumerate() {
        let (points, taken) = points(tuning, plan.measure);
        series.push(Series {
            name: label(&tuning.name, tuning.epochs, plan),
            remark: String::new(),
            style: Style::of(i),
            joined: Joined::Steps,
            points,
            taken,
        });
    }
    series
}

/// Figure over learning rate, in the order of trial.
fn rate_points(tuning: &Tuning, measure: Measure) -> Tried {
    let point = |trial: &super::tune::Trial| {
        let value = measure.factor() * trial.validation();
        Point::new(f64::from(trial.learning_rate), value)
    };
    let taken = tuning.trials.get(tuning.best).map(point);
    (tuning.trials.iter().map(point).collect(), taken)
}

/// The best so far over the number of settings tried.
fn budget_points(tuning: &Tuning, measure: Measure) -> Tried {
    let mut best = measure.worst();
    let points = tuning.trials.iter().enumerate().map(|(i, trial)| {
        if measure.reaches(trial.validation(), best) {
            best = trial.validation();
        }
        Point::new(1.0 + i as f64, measure.factor() * best)
    });
    (points.collect(), None)
}
