//! What is said of each optimiser, in words.

use super::words::{count, name, signed, target};
use super::{Kind, Verdict};
use crate::compare::plan::Plan;
use crate::compare::table::{Reach, Row};
use crate::score::Measure;

/// One for each optimiser held against the first, then what went wrong.
pub fn verdicts(plan: &Plan, rows: &[Row]) -> Vec<Verdict> {
    let measure = plan.measure;
    let unit = match measure {
        Measure::Rmse => "of test RMSE".to_owned(),
        _ => format!("points of test {}", measure.name()),
    };
    let first = plan.optimizers.first().map_or("", String::as_str);
    let mut verdicts = Vec::new();
    for row in rows {
        if let Some(difference) = &row.difference {
            let name = name(row, plan);
            let (kind, headline) = match difference.verdict.as_str() {
                "better" => (Kind::Better, format!("{name} is better than {first}")),
                "worse" => (Kind::Worse, format!("{name} is worse than {first}")),
                "no difference shown" => (
                    Kind::Even,
                    format!("No difference between {name} and {first} was shown"),
                ),
                other => (Kind::Unknown, format!("{name} against {first}: {other}")),
            };
            let interval = difference.interval.map_or(String::new(), |[low, high]| {
                format!(
                    "; 95 % interval {} to {}",
                    signed(low, measure),
                    signed(high, measure)
                )
            });
            let mut detail = format!(
                "{} {unit} on average over {}{interval}.",
                signed(difference.mean, measure),
                count(&difference.seeds.to_string(), "seed"),
            );
            if plan.epochs.len() == 1 {
                detail += &farthest(&row.targets, first, plan);
            }
            verdicts.push(Verdict {
                kind,
                headline,
                detail,
            });
        }
    }
    together(&mut verdicts);
    for row in rows.iter().filter(|row| row.collapses > 0) {
        verdicts.push(Verdict {
            kind: Kind::Warning,
            headline: format!(
                "{}: {} of {} runs collapsed",
                name(row, plan),
                row.collapses,
                row.runs
            ),
            detail: "A run that collapsed learned next to nothing, or lost what it had learned."
                .to_owned(),
        });
    }
    if verdicts.is_empty()
        && let Some(row) = rows.first()
    {
        let [middle, low, high] = row.test.map(|value| measure.show(value));
        verdicts.push(Verdict {
            kind: Kind::Unknown,
            headline: format!("{}: nothing to compare it with", name(row, plan)),
            detail: format!("Test {}: median {middle}, {low} to {high}.", measure.name()),
        });
    }
    verdicts
}

/// Makes one of many verdicts that say nothing.
fn together(verdicts: &mut Vec<Verdict>) {
    let open = |verdict: &Verdict| verdict.kind == Kind::Unknown;
    let count = verdicts.iter().filter(|verdict| open(verdict)).count();
    if count < 3 {
        return;
    }
    verdicts.retain(|verdict| !open(verdict));
    verdicts.push(Verdict {
        kind: Kind::Unknown,
        headline: format!("Too few seeds to tell {count} differences"),
        detail: "What was seen stands in the table; more --seeds tell more.".to_owned(),
    });
}

/// How soon the farthest of the targets was reached that both reached.
fn farthest(targets: &[Reach], first: &str, plan: &Plan) -> String {
    let measure = plan.measure;
    let both = targets.iter().filter(|reach| reach.ratio_epochs.is_some());
    let farthest = both.reduce(|a, b| match measure.reaches(b.target, a.target) {
        true => b,
        false => a,
    });
    let Some(reach) = farthest else {
        return String::new();
    };
    // The first optimiser's own are these times the ratio.
    let (Some(epochs), Some(ratio)) = (reach.gradient_epochs, reach.ratio_epochs) else {
        return String::new();
    };
    let (Some(seconds), Some(ratio_seconds)) = (reach.seconds, reach.ratio_seconds) else {
        return String::new();
    };
    format!(
        " To {} {} in the course of a run it took {epochs:.2} gradient epochs and {seconds:.2} \
         {}; {first} took {:.2} and {:.2}.",
        target(reach.target, measure),
        measure.name(),
        plan.timing.describe(),
        ratio * epochs,
        ratio_seconds * seconds
    )
}
