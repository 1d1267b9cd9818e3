//! `secant predict`: what the network of a run says of a sample.

use std::path::PathBuf;

use clap::Args;
use secant::network::Shape;
use secant::softmax;
use serde::Serialize;

use super::environment::data_for;
use super::values::lanes;
use crate::data::dataset::{Part, Predicted};
use crate::data::elements::Targets;
use crate::data::png;
use crate::data::predict::Predict;
use crate::error::{EXIT_OK, Error};
use crate::report::{print_json, print_line};
use crate::score::number;
use crate::trained::{Trained, Which, picture};

/// Options of `secant predict`.
#[derive(Debug, Args)]
#[command(args_override_self = true, after_help = HELP)]
pub struct PredictArgs {
    /// Folder of the run, as 'secant train' has written it
    #[arg(value_name = "RUN")]
    run: PathBuf,

    /// A PNG image
    #[arg(
        value_name = "IMAGE",
        required_unless_present = "index",
        conflicts_with = "index"
    )]
    image: Option<PathBuf>,

    /// Test sample I of the data, counted from 0
    #[arg(long, value_name = "I")]
    index: Option<u32>,

    /// Weights of the run: the last ones, or those of its best epoch [default: last, or best if
    /// the run kept no others]
    #[arg(long, value_name = "last|best")]
    which: Option<Which>,

    /// Folder or file with the data [default: that of the run]
    #[arg(long, value_name = "DIR|synthetic", requires = "index")]
    data: Option<PathBuf>,

    /// What the network predicts, as for 'secant train' [default: that of the run]
    #[arg(long, value_name = "WHAT", requires = "index")]
    predict: Option<Predict>,

    /// Most classes to list
    #[arg(long, value_name = "N", default_value_t = 3)]
    top: usize,

    /// Samples side by side, 1 or 16: with 1, outputs have the bits that a device computes
    #[arg(long, value_name = "L", default_value = "1", value_parser = lanes)]
    lanes: usize,

    /// Print one JSON object instead
    #[arg(long)]
    json: bool,
}

const HELP: &str = "\
Examples:
  secant predict runs/first --index 7
  secant predict runs/first shoe.png --json

An image has the size and the colours of those that the network was trained on.";

/// A sample to ask about.
struct Sample {
    /// Alone.
    part: Part,
    /// What the files say that it is.
    truth: Option<String>,
    names: Vec<String>,
}

#[derive(Serialize)]
struct Record {
    outputs: Vec<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    truth: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    classes: Vec<Class>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    numbers: Vec<f64>,
}

#[derive(Serialize)]
struct Class {
    label: usize,
    name: String,
    probability: f32,
}

impl PredictArgs {
    /// Asks the network, and prints what it says.
    pub(super) fn run(&self) -> Result<u8, Error> {
        let trained = Trained::choose(&self.run, self.which)?;
        let sample = match (&self.image, self.index) {
            (Some(image), _) => self.image(image, &trained)?,
            (None, index) => self.sample(index.unwrap_or(0), &trained)?,
        };
        let outputs = trained.outputs(&sample.part, &[0], self.lanes == 1);
        let mut record = Record {
            truth: sample.truth.clone(),
            classes: Vec::new(),
            numbers: Vec::new(),
            outputs,
        };
        match trained.task.predicted {
            Predicted::Classes => record.classes = ranked(&record.outputs, &sample.names),
            Predicted::Numbers => record.numbers = trained.own_units(&record.outputs),
        }
        if self.json {
            print_json(&record)?;
        } else {
            print_line(self.text(&sample, &record, trained.task.input).trim_end())?;
        }
        Ok(EXIT_OK)
    }

    /// The image at `path`.
    fn image(&self, path: &std::path::Path, trained: &Trained) -> Result<Sample, Error> {
        let (shape, elements) = png::read_one(path)?;
        if shape != trained.task.input {
            let size = |shape: Shape| {
                let colours = match shape.channels {
                    1 => "grey".to_owned(),
                    3 => "coloured".to_owned(),
                    n => format!("{n} channels"),
                };
                format!("{} x {} pixels, {colours}", shape.columns, shape.rows)
            };
            return Err(Error::Usage(format!(
                "{}: the image has {}, the network wants {}; convert it first",
                path.display(),
                size(shape),
                size(trained.task.input)
            )));
        }
        Ok(Sample {
            part: Part {
                elements,
                targets: Targets::Classes(vec![0]),
            },
            truth: None,
            names: trained.names.clone(),
        })
    }

    /// Test sample `index` of the data.
    fn sample(&self, index: u32, trained: &Trained) -> Result<Sample, Error> {
        let dataset = data_for(trained, self.data.as_deref(), self.predict.as_ref())?;
        let part = &*dataset.test;
        if index as usize >= part.len() {
            return Err(Error::Usage(format!(
                "--index {index}: there are {} test samples, 0 to {}",
                part.len(),
                part.len().saturating_sub(1)
            )));
        }
        let truth = match &part.targets {
            Targets::Classes(labels) => dataset.names[usize::from(labels[index as usize])].clone(),
            Targets::Values { values, width } => {
                let own = &values[index as usize * width..][..*width];
                let own: Vec<_> = own.iter().map(|x| number(f64::from(*x))).collect();
                own.join(", ")
            }
        };
        Ok(Sample {
            part: part.select(&[index], dataset.shape.len()),
            truth: Some(truth),
            names: dataset.names,
        })
    }

    fn text(&self, sample: &Sample, record: &Record, shape: Shape) -> String {
        let mut text = String::new();
        if let Some(drawing) = picture::draw(&sample.part.elements.to_floats(), shape) {
            text.push_str(&drawing);
            text.push('\n');
        }
        for class in record.classes.iter().take(self.top.max(1)) {
            text.push_str(&format!(
                "{:>8.2} %  {}\n",
                100.0 * class.probability,
                class.name
            ));
        }
        if !record.numbers.is_empty() {
            let numbers: Vec<_> = record.numbers.iter().map(|x| number(*x)).collect();
            text.push_str(&format!("{}\n", numbers.join(", ")));
        }
        if let Some(truth) = &record.truth {
            text.push_str(&format!("The data says: {truth}\n"));
        }
        text
    }
}

/// The classes by their probability, the largest first.
fn ranked(outputs: &[f32], names: &[String]) -> Vec<Class> {
    let mut probabilities = outputs.to_vec();
    softmax(&mut probabilities);
    let mut classes: Vec<Class> = probabilities
        .into_iter()
        .enumerate()
        .map(|(label, probability)| Class {
            label,
            name: names
                .get(label)
                .map_or(format!("class {label}"), String::clone),
            probability,
        })
        .collect();
    classes.sort_by(|a, b| b.probability.total_cmp(&a.probability));
    classes
}
