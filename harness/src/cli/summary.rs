//! `secant summary`: the layers of a network.

use std::path::Path;

use clap::Args;
use secant::network::Shape;
use serde::Serialize;

use super::values::{classes, shape};
use crate::data::dataset::{Predicted, Task};
use crate::error::{EXIT_OK, Error};
use crate::model::{Description, Model};
use crate::report::{print_json, print_line};
use crate::trained::Trained;

/// Options of `secant summary`.
#[derive(Debug, Args)]
#[command(args_override_self = true, after_help = HELP)]
pub struct SummaryArgs {
    /// Network: micro, lenet, seed, 2c2d, layers such as 'conv8k3 relu pool2', or a run's folder
    #[arg(value_name = "MODEL|RUN", default_value = "micro")]
    what: String,

    /// Channels, rows and columns of a sample; a signal has one row
    #[arg(long, value_name = "CxRxC", default_value = "1x28x28", value_parser = shape)]
    shape: Shape,

    /// Number of classes, or of numbers to predict
    #[arg(
        long,
        visible_alias = "outputs",
        value_name = "N",
        default_value_t = 10,
        value_parser = classes
    )]
    classes: usize,

    /// Print one JSON object instead of the table
    #[arg(long)]
    json: bool,
}

const HELP: &str = "\
Examples:
  secant summary seed
  secant summary 'conv4k3 relu pool2 linear5' --shape 3x16x16 --classes 5
  secant summary runs/first

'secant size' says more about memory, and which boards have it.";

#[derive(Serialize)]
struct Summary<'a> {
    model: &'a str,
    spec: &'a str,
    input: [usize; 3],
    layers: Vec<LayerLine>,
    parameters: usize,
    multiply_accumulates: usize,
    /// Bytes.
    weights: usize,
    inference_workspace: usize,
    training_workspace: usize,
}

#[derive(Serialize)]
struct LayerLine {
    layer: String,
    output: [usize; 3],
    parameters: usize,
    /// Of one sample, forward; those that no result needs left out.
    multiply_accumulates: usize,
}

impl SummaryArgs {
    /// Prints the table or the JSON object.
    pub(super) fn run(&self) -> Result<u8, Error> {
        let model = self.model()?;
        let summary = summary(&model);
        if self.json {
            print_json(&summary)?;
        } else {
            print_line(table(&summary).trim_end())?;
        }
        Ok(EXIT_OK)
    }

    fn model(&self) -> Result<Model, Error> {
        let folder = Path::new(&self.what);
        if folder.is_dir() {
            return Ok(Trained::open(folder)?.model);
        }
        let wrong = |why: String| {
            Error::Usage(format!(
                "{}: neither a run's folder nor a network: {why}",
                self.what
            ))
        };
        let description: Description = self.what.parse().map_err(|why| wrong(format!("{why}")))?;
        let task = Task {
            input: self.shape,
            outputs: self.classes,
            predicted: Predicted::Classes,
        };
        description.fit(task).map_err(|why| wrong(why.to_string()))
    }
}

fn dimensions(shape: Shape) -> [usize; 3] {
    [shape.channels, shape.rows, shape.columns]
}

fn summary(model: &Model) -> Summary<'_> {
    let network = &model.network;
    let mut layers: Vec<LayerLine> = model
        .spec
        .split(' ')
        .enumerate()
        .map(|(i, word)| LayerLine {
            layer: word.to_owned(),
            output: dimensions(network.shape(i + 1)),
            parameters: network.parameter_ranges(i).0.len() + network.parameter_ranges(i).1.len(),
            multiply_accumulates: 0,
        })
        .collect();
    for stage in network.stages() {
        if let Some(layer) = layers.get_mut(stage.layers.start) {
            layer.multiply_accumulates = stage.multiply_accumulates;
        }
    }
    const FLOAT: usize = size_of::<f32>();
    Summary {
        model: &model.name,
        spec: &model.spec,
        input: dimensions(network.input()),
        parameters: network.parameter_count(),
        multiply_accumulates: layers.iter().map(|layer| layer.multiply_accumulates).sum(),
        weights: FLOAT * network.parameter_count(),
        inference_workspace: FLOAT * network.inference_workspace_len(1),
        training_workspace: FLOAT * network.workspace_len(1),
        layers,
    }
}

/// A number with its thousands apart.
fn thousands(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn table(summary: &Summary<'_>) -> String {
    let shape = |[channels, rows, columns]: [usize; 3]| format!("{channels} x {rows} x {columns}");
    let mut text = format!(
        "{}, input {}\n\n{:>3}  {:<16} {:>14} {:>12} {:>14}\n",
        summary.model,
        shape(summary.input),
        "",
        "layer",
        "output",
        "parameters",
        "multiply-adds"
    );
    let or_dash = |number: usize| match number {
        0 => "-".to_owned(),
        number => thousands(number),
    };
    for (i, layer) in summary.layers.iter().enumerate() {
        text.push_str(&format!(
            "{i:>3}  {:<16} {:>14} {:>12} {:>14}\n",
            layer.layer,
            shape(layer.output),
            or_dash(layer.parameters),
            or_dash(layer.multiply_accumulates)
        ));
    }
    text.push_str(&format!(
        "{:>3}  {:<16} {:>14} {:>12} {:>14}\n\n",
        "",
        "in all",
        "",
        thousands(summary.parameters),
        thousands(summary.multiply_accumulates)
    ));
    for (what, bytes) in [
        ("weights", summary.weights),
        (
            "working memory, predicting one sample",
            summary.inference_workspace,
        ),
        (
            "working memory, training on one sample",
            summary.training_workspace,
        ),
    ] {
        text.push_str(&format!("{what:<40} {:>12} bytes\n", thousands(bytes)));
    }
    text
}
