//! Tables as comma-separated values, for programs.

use crate::compare::arm::Arm;
use crate::compare::plan::Timing;
use crate::compare::runs::Run;
use crate::compare::table::Row;
use crate::compare::tune::Tuning;
use crate::score::Measure;

/// The table as comma-separated values, one line an optimiser, length of run and target. Accuracies
/// are in percent and differences in percentage points, RMSEs in the data's own unit.
///
/// # Errors
/// Writing to memory does not fail.
pub fn table_csv(
    rows: &[Row],
    targets: &[f64],
    measure: Measure,
    timing: Timing,
) -> Result<String, csv::Error> {
    let (percent, points) = match measure {
        Measure::Rmse => ("", ""),
        _ => ("_percent", "_points"),
    };
    let seconds = timing.key();
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record([
        "optimizer".to_owned(),
        "epochs".to_owned(),
        "runs".to_owned(),
        "collapses".to_owned(),
        "rollbacks".to_owned(),
        format!("test_median{percent}"),
        format!("test_min{percent}"),
        format!("test_max{percent}"),
        format!("difference{points}"),
        format!("low{points}"),
        format!("high{points}"),
        "p".to_owned(),
        "verdict".to_owned(),
        format!("target{percent}"),
        "reached".to_owned(),
        "gradient_epochs".to_owned(),
        "gradient_epochs_low".to_owned(),
        "gradient_epochs_high".to_owned(),
        seconds.to_owned(),
        format!("{seconds}_low"),
        format!("{seconds}_high"),
        "ratio_epochs".to_owned(),
        format!("ratio_{seconds}"),
    ])?;
    for row in rows {
        for t in 0..targets.len().max(1) {
            let number = |x: Option<f64>| x.map_or(String::new(), |x| x.to_string());
            // An end of an interval that there is may be infinite.
            let end = |x: Option<Option<f64>>| {
                x.map_or(String::new(), |x| x.unwrap_or(f64::INFINITY).to_string())
            };
            let d = row.difference.as_ref();
            let [middle, low, high] = row.test.map(|x| (measure.factor() * x).to_string());
            let reach = row.targets.get(t);
            writer.write_record([
                row.name.clone(),
                row.epochs.to_string(),
                row.runs.to_string(),
                row.collapses.to_string(),
                row.rollbacks.to_string(),
                middle,
                low,
                high,
                number(d.map(|d| d.mean)),
                number(d.and_then(|d| Some(d.interval?[0]))),
                number(d.and_then(|d| Some(d.interval?[1]))),
                number(d.map(|d| d.p)),
                d.map_or(String::new(), |d| d.verdict.clone()),
                number(reach.map(|reach| measure.factor() * reach.target)),
                reach.map_or(String::new(), |reach| reach.reached.to_string()),
                number(reach.and_then(|reach| reach.gradient_epochs)),
                end(reach.and_then(|reach| Some(reach.gradient_epochs_interval?[0]))),
                end(reach.and_then(|reach| Some(reach.gradient_epochs_interval?[1]))),
                number(reach.and_then(|reach| reach.seconds)),
                end(reach.and_then(|reach| Some(reach.seconds_interval?[0]))),
                end(reach.and_then(|reach| Some(reach.seconds_interval?[1]))),
                number(reach.and_then(|reach| reach.ratio_epochs)),
                number(reach.and_then(|reach| reach.ratio_seconds)),
            ])?;
        }
    }
    text_of(writer)
}

/// Every setting that tuning tried, a line each.
///
/// # Errors
/// Writing to memory does not fail.
pub fn tuning_csv(tunings: &[Tuning], measure: Measure) -> Result<String, csv::Error> {
    let percent = match measure {
        Measure::Rmse => "",
        _ => "_percent",
    };
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record([
        "optimizer".to_owned(),
        "epochs".to_owned(),
        "setting".to_owned(),
        "taken".to_owned(),
        "batch".to_owned(),
        "learning_rate".to_owned(),
        "drawn".to_owned(),
        format!("validation_{}{percent}", measure.key()),
    ])?;
    for tuning in tunings {
        for (i, trial) in tuning.trials.iter().enumerate() {
            let drawn: Vec<String> = trial
                .drawn
                .iter()
                .map(|(k, v)| format!("{k}={v}"))
                .collect();
            writer.write_record([
                tuning.name.clone(),
                tuning.epochs.to_string(),
                i.to_string(),
                (i == tuning.best).to_string(),
                trial.batch.to_string(),
                trial.learning_rate.to_string(),
                drawn.join(":"),
                (measure.factor() * trial.validation()).to_string(),
            ])?;
        }
    }
    text_of(writer)
}

/// A line a run, and a line an evaluation: what plots and statistics of one's own begin with.
///
/// # Errors
/// Writing to memory does not fail.
pub fn runs_csv(
    arms: &[Arm],
    runs: &[Run],
    (measure, timing): (Measure, Timing),
) -> Result<[String; 2], csv::Error> {
    let (percent, key) = match measure {
        Measure::Rmse => ("", measure.key()),
        _ => ("_percent", measure.key()),
    };
    let seconds = timing.key();
    let number = |x: Option<f64>| x.map_or(String::new(), |x| x.to_string());
    let figure = |x: Option<f64>| number(x.map(|x| measure.factor() * x));
    let mut table = csv::Writer::from_writer(Vec::new());
    table.write_record([
        "optimizer",
        "epochs",
        "seed",
        "collapsed",
        "rollbacks",
        &format!("test_{key}{percent}"),
        "test_loss",
        &format!("validation_{key}{percent}"),
        "train_loss",
        "gradient_epochs",
        seconds,
        "iterations",
        "batch",
        "learning_rate",
    ])?;
    let mut course = csv::Writer::from_writer(Vec::new());
    course.write_record([
        "optimizer",
        "epochs",
        "seed",
        "evaluation",
        "gradient_epochs",
        seconds,
        "train_loss",
        &format!("watched_{key}{percent}"),
    ])?;
    for run in runs {
        let arm = &arms[run.arm];
        let names = [
            arm.name.clone(),
            arm.epochs.to_string(),
            run.seed.to_string(),
        ];
        let last = run.summary.history.last();
        let rest = [
            run.summary.collapsed.to_string(),
            run.summary.rollbacks.to_string(),
            figure(Some(run.summary.test)),
            number(run.record["test_loss"].as_f64()),
            figure(run.summary.validation),
            number(run.record["train_loss"].as_f64()),
            number(last.map(|point| point.gradient_epochs)),
            number(last.map(|point| point.train_seconds)),
            run.record["iterations"].to_string(),
            arm.batch.to_string(),
            arm.optimizer.settings().rate().to_string(),
        ];
        table.write_record(names.iter().chain(&rest))?;
        for (e, point) in run.summary.history.iter().enumerate() {
            let rest = [
                (e + 1).to_string(),
                point.gradient_epochs.to_string(),
                point.train_seconds.to_string(),
                number(point.train_loss),
                figure(point.watched),
            ];
            course.write_record(names.iter().chain(&rest))?;
        }
    }
    Ok([text_of(table)?, text_of(course)?])
}

/// What was written.
fn text_of(writer: csv::Writer<Vec<u8>>) -> Result<String, csv::Error> {
    let bytes = writer.into_inner().map_err(|error| error.into_error())?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
