//! `secant evaluate`: how good the network of a run is.

use std::fmt::Write;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde::Serialize;

use super::environment::data_for;
use super::values::lanes;
use crate::data::elements::Targets;
use crate::data::predict::Predict;
use crate::error::{EXIT_OK, Error};
use crate::report::{note, print_json, print_line};
use crate::score::number;
use crate::trained::classes::ClassReport;
use crate::trained::{Trained, Which};

/// Options of `secant evaluate`.
#[derive(Debug, Args)]
#[command(args_override_self = true, after_help = HELP)]
pub struct EvaluateArgs {
    /// Folder of the run, as 'secant train' has written it
    #[arg(value_name = "RUN")]
    run: PathBuf,

    /// Weights of the run: the last ones, or those of its best epoch [default: last, or best if
    /// the run kept no others]
    #[arg(long, value_name = "last|best")]
    which: Option<Which>,

    /// Folder or file with the data [default: that of the run]
    #[arg(long, value_name = "DIR|synthetic")]
    data: Option<PathBuf>,

    /// What the network predicts, as for 'secant train' [default: that of the run]
    #[arg(long, value_name = "WHAT")]
    predict: Option<Predict>,

    /// Which samples
    #[arg(long, value_name = "PART", default_value = "test")]
    on: On,

    /// Samples side by side, 1 or 16: with 1, outputs have the bits that a device computes
    #[arg(long, value_name = "L", default_value = "16", value_parser = lanes)]
    lanes: usize,

    /// Print one JSON object instead of the tables
    #[arg(long)]
    json: bool,
}

const HELP: &str = "\
Example:
  secant train --out runs/first && secant evaluate runs/first";

/// Samples to evaluate on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
enum On {
    /// Those that training has not seen
    Test,
    /// Those for training, validation among them
    Train,
}

#[derive(Serialize)]
struct Record<'a> {
    run: String,
    model: &'a str,
    data: &'a str,
    sha256: &'a str,
    on: On,
    lanes: usize,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    class_names: &'a [String],
    #[serde(flatten)]
    report: Report,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Report {
    Classes(ClassReport),
    Numbers { samples: usize, rmse: Vec<f64> },
}

impl EvaluateArgs {
    /// Evaluates, and prints the tables or the JSON object.
    pub(super) fn run(&self) -> Result<u8, Error> {
        let trained = Trained::choose(&self.run, self.which)?;
        let dataset = data_for(&trained, self.data.as_deref(), self.predict.as_ref())?;
        if dataset.digest != trained.digest && self.data.is_none() {
            note("The data is not what the network was trained on: its content has changed.");
        }
        let part = match self.on {
            On::Test => &dataset.test,
            On::Train => &dataset.train,
        };
        let indices: Vec<u32> = (0..part.len() as u32).collect();
        if indices.is_empty() {
            return Err(Error::Usage("the data has no such samples".to_owned()));
        }
        let outputs = trained.outputs(part, &indices, self.lanes == 1);
        let report = match &part.targets {
            Targets::Classes(labels) => {
                let labels = labels.iter().copied();
                Report::Classes(ClassReport::new(&outputs, dataset.names.len(), labels))
            }
            Targets::Values { values, width } => Report::Numbers {
                samples: part.len(),
                rmse: trained.rmse(&outputs, values, *width),
            },
        };
        let record = Record {
            run: self.run.display().to_string(),
            model: &trained.model.name,
            data: &dataset.source,
            sha256: &dataset.digest,
            on: self.on,
            lanes: self.lanes,
            class_names: &dataset.names,
            report,
        };
        if self.json {
            print_json(&record)?;
        } else {
            print_line(table(&record).trim_end())?;
        }
        Ok(EXIT_OK)
    }
}

/// Most classes whose confusion matrix fits a terminal.
const MATRIX: usize = 12;

/// Pairs of mistaken classes to list.
const MISTAKES: usize = 8;

fn table(record: &Record<'_>) -> String {
    let what = match record.on {
        On::Test => "test",
        On::Train => "training",
    };
    let mut text = String::new();
    let _ = match &record.report {
        Report::Numbers { samples, rmse } => {
            let rmse: Vec<_> = rmse.iter().map(|x| number(*x)).collect();
            writeln!(
                text,
                "{} on {samples} {what} samples of {}: RMSE {}",
                record.model,
                record.data,
                rmse.join(", ")
            )
        }
        Report::Classes(report) => {
            let _ = writeln!(
                text,
                "{} on {} {what} samples of {}\naccuracy {:.2} %, log loss {:.4}, calibration error {:.2} points\n",
                record.model,
                report.samples,
                record.data,
                100.0 * report.accuracy,
                report.log_loss,
                100.0 * report.calibration_error
            );
            by_class(&mut text, record.class_names, report)
        }
    };
    text
}

/// Accuracy by class with the confusion matrix where there is room for it, and the worst mistakes.
fn by_class(text: &mut String, names: &[String], report: &ClassReport) -> std::fmt::Result {
    let matrix = names.len() <= MATRIX;
    let short: Vec<String> = names.iter().map(|name| shorten(name, 14)).collect();
    write!(text, "{:>3} {:<14} {:>8}", "", "class", "right %")?;
    if matrix {
        for said in 0..names.len() {
            write!(text, "{said:>4}")?;
        }
        text.push_str("  <- said");
    }
    text.push('\n');
    for (class, row) in report.confusion.iter().enumerate() {
        let accuracy = 100.0 * report.class_accuracy[class];
        let share = match accuracy.is_nan() {
            true => "-".to_owned(),
            false => format!("{accuracy:.2}"),
        };
        write!(text, "{class:>3} {:<14} {share:>8}", short[class])?;
        if matrix {
            for times in row {
                match times {
                    0 => write!(text, "{:>4}", ".")?,
                    1000.. => write!(text, " {:>2}k", times / 1000)?,
                    times => write!(text, "{times:>4}")?,
                }
            }
        }
        text.push('\n');
    }
    let mistakes = report.mistakes(MISTAKES);
    if !mistakes.is_empty() {
        text.push_str("\nMistaken most often:\n");
    }
    for (class, said, times) in mistakes {
        let (class, said) = (shorten(&names[class], 28), shorten(&names[said], 28));
        writeln!(text, "{times:>6} x {class} taken for {said}")?;
    }
    text.push_str("\nProbability of the class said, and how often it is right:\n");
    for (group, figures) in report.calibration.iter().enumerate() {
        if figures.samples > 0 {
            writeln!(
                text,
                "  {:>3} to {:>3} %  {:>6.1} %  {:>6.1} % right  {:>7} samples",
                10 * group,
                10 * (group + 1),
                100.0 * figures.probability,
                100.0 * figures.right,
                figures.samples
            )?;
        }
    }
    Ok(())
}

/// A name in so many characters.
fn shorten(name: &str, width: usize) -> String {
    if name.chars().count() <= width {
        return name.to_owned();
    }
    let mut short: String = name.chars().take(width - 1).collect();
    short.push('…');
    short
}
