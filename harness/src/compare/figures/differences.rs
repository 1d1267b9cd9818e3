//! The paired differences of each seed, which the verdict is about.

use super::{SHOW_ALL, label};
use crate::chart::{Axis, Chart, Joined, Point, Scale, Series, Style};
use crate::compare::arm::Arm;
use crate::compare::plan::Plan;
use crate::compare::runs::Run;
use crate::score::Measure;

/// The figure; none with a single optimiser or a single seed.
pub fn chart(plan: &Plan, setting: &str, arms: &[Arm], runs: &[Run]) -> Option<Chart> {
    let measure = plan.measure;
    let first = plan.optimizers.first()?;
    let mut series = Vec::new();
    for (a, arm) in arms.iter().enumerate() {
        let leader = arms.iter().position(|other| other.epochs == arm.epochs)?;
        let of = |wanted: usize| runs.iter().filter(move |run| run.arm == wanted);
        let points: Vec<Point> = of(a)
            .filter_map(|run| {
                let other = of(leader).find(|other| other.seed == run.seed)?;
                let difference = measure.factor() * (run.summary.test - other.summary.test);
                Some(Point::new(run.seed as f64, difference))
            })
            .collect();
        // The first optimiser is the line at 0, once.
        if a == leader && a > 0 {
            continue;
        }
        let mean = points.iter().map(|point| point.y).sum::<f64>() / points.len() as f64;
        series.push(Series {
            name: match a {
                0 => first.clone(),
                _ => label(&arm.name, arm.epochs, plan),
            },
            remark: match a {
                0 => String::new(),
                _ => format!("mean {mean:+.2}"),
            },
            // Points have no dashes that would tell lengths of run apart.
            style: Style::of(series.len()),
            joined: match a {
                0 => Joined::Lines,
                _ => Joined::No,
            },
            points,
            taken: None,
        });
    }
    let seeds = series.first().map_or(0, |series| series.points.len());
    if series.len() < 2 || seeds < 2 {
        return None;
    }
    let unit = match measure {
        Measure::Rmse => String::new(),
        _ => " (points)".to_owned(),
    };
    Some(Chart {
        name: "differences",
        title: format!(
            "Test {}, difference to {first} seed by seed",
            measure.name()
        ),
        subtitle: format!("{setting}, {seeds} seeds. Each point: two runs of one seed."),
        x: Axis::new("seed", "seed", Scale::Whole),
        y: Axis::new(
            &format!("difference in test {}{unit}", measure.name()),
            &format!("difference_in_test_{}", measure.key()),
            Scale::Linear,
        ),
        ideal: SHOW_ALL,
        series,
        targets: Vec::new(),
    })
}
