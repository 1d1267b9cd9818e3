//! `secant import`: a network of another program as the folder of a run.

use std::io::Read;
use std::path::{Path, PathBuf};

use clap::Args;
use secant::Affine;
use secant::network::Shape;
use serde::Serialize;

use super::environment::{open_dataset, tell};
use super::values::{classes, shape};
use crate::data::dataset::{Dataset, Predicted, Task};
use crate::data::files;
use crate::data::predict::Predict;
use crate::digest::sha256;
use crate::error::{EXIT_OK, Error};
use crate::export::{CONFIG, MODEL, RunFolder};
use crate::import::{Imported, onnx, safetensors};
use crate::loss::NamedLoss;
use crate::model::{Description, Model};
use crate::report::{note, say};

/// Options of `secant import`.
#[derive(Debug, Args)]
#[command(args_override_self = true, after_help = HELP)]
pub struct ImportArgs {
    /// NAME.onnx, or the tensors of a network as NAME.safetensors
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// Folder of the run to write
    #[arg(long, value_name = "DIR")]
    out: PathBuf,

    /// Layers of the tensors, as for 'secant train'; an ONNX file has them itself
    #[arg(long, value_name = "MODEL")]
    model: Option<Description>,

    /// Data that the network is for: shape, classes and their names
    #[arg(long, value_name = "DIR|synthetic")]
    data: Option<PathBuf>,

    /// Channels, rows and columns of a sample, without --data
    #[arg(long, value_name = "CxRxC", value_parser = shape, conflicts_with = "data")]
    shape: Option<Shape>,

    /// Number of classes, without --data [default: the outputs of the last layer]
    #[arg(long, value_name = "N", value_parser = classes, conflicts_with = "data")]
    classes: Option<usize>,

    /// Mean that is subtracted from elements as the files have them (bytes: 0 to 255), for all
    /// channels or for each
    #[arg(
        long,
        value_name = "X,...",
        value_delimiter = ',',
        allow_hyphen_values = true
    )]
    mean: Vec<f32>,

    /// Deviation that they are divided by afterwards
    #[arg(long, value_name = "X,...", value_delimiter = ',')]
    deviation: Vec<f32>,

    /// Names of tensors where no rule finds them: NAME.weight and NAME.bias are layer I's, counted
    /// from 0
    #[arg(long, value_name = "I=NAME,...", value_delimiter = ',', value_parser = pair)]
    map: Vec<(usize, String)>,

    /// Replace a run that is in the folder
    #[arg(long)]
    force: bool,
}

const HELP: &str = "\
Examples:
  secant import net.onnx --out runs/mine --data data/fashion-mnist
  secant import net.safetensors --out runs/mine --model micro --data data/fashion-mnist \\
    --mean 72.9 --deviation 90.0

PyTorch writes the second with safetensors.torch.save_file(net.state_dict(), 'net.safetensors').
evaluate, predict, export and train --weights take the folder as they take a run's.";

fn pair(text: &str) -> Result<(usize, String), String> {
    let pair = text.split_once('=');
    let pair = pair.and_then(|(number, name)| Some((number.parse().ok()?, name.to_owned())));
    pair.ok_or_else(|| "expected a layer's number and a name, as in 0=conv1".to_owned())
}

/// What `config.json` says of the network: that part which the commands read.
#[derive(Serialize)]
struct Config<'a> {
    version: &'static str,
    imported: Source<'a>,
    dataset: DatasetPart<'a>,
    model: &'a Model,
}

#[derive(Serialize)]
struct Source<'a> {
    file: String,
    /// Of the weights, as little-endian bytes in the order of the flat slice.
    sha256: &'a str,
}

#[derive(Serialize)]
struct DatasetPart<'a> {
    name: &'a str,
    source: &'a str,
    shape: [usize; 3],
    classes: usize,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    class_names: &'a [String],
    sha256: &'a str,
}

impl ImportArgs {
    /// Reads the file, and writes the folder.
    pub(super) fn run(&self) -> Result<u8, Error> {
        let dataset = match &self.data {
            Some(data) => Some(open_dataset(Some(data), None, &Predict::default())?),
            None => None,
        };
        if let Some(dataset) = &dataset {
            tell(dataset);
        }
        let wrong = |why| Error::Usage(format!("{}: {why}", self.file.display()));
        let bytes = whole(&self.file).map_err(wrong)?;
        let mut network = match files::has_ending(&self.file, "onnx") {
            true => self.onnx(&bytes, dataset.as_ref()),
            false => self.safetensors(&bytes, dataset.as_ref()),
        }
        .map_err(wrong)?;
        let task = network.task;
        if let Some(wanted) = dataset.as_ref().map(Dataset::task)
            && wanted != task
        {
            return Err(wrong(format!(
                "has {} outputs, and the data {}; --predict of 'secant train' makes other targets",
                task.outputs, wanted.outputs
            )));
        }
        let loss = NamedLoss::default_for(task).loss();
        network.model.network = network.model.network.with_loss(loss);
        let scalings = self.scalings(&network)?;
        for line in &network.notes {
            note(line);
        }
        self.write(&network, &scalings, dataset.as_ref())
    }

    fn onnx(&self, bytes: &[u8], dataset: Option<&Dataset>) -> Result<Imported, String> {
        if self.model.is_some() || !self.map.is_empty() {
            return Err("an ONNX file has its layers; leave --model and --map out".to_owned());
        }
        let shape = dataset.map(|dataset| dataset.shape).or(self.shape);
        let mut network = onnx::read(bytes, shape, self.file.parent())?;
        if let Some(dataset) = dataset {
            network.task.predicted = dataset.task().predicted;
        }
        if let Some(classes) = self.classes
            && classes != network.task.outputs
        {
            return Err(format!(
                "--classes {classes}: the network has {} outputs",
                network.task.outputs
            ));
        }
        Ok(network)
    }

    fn safetensors(&self, bytes: &[u8], dataset: Option<&Dataset>) -> Result<Imported, String> {
        let description = self.model.as_ref();
        let description = description.ok_or(
            "tensors do not say what the layers are; name them with --model, as in --model micro",
        )?;
        let task = match (dataset, self.shape) {
            (Some(dataset), _) => dataset.task(),
            (None, Some(input)) => Task {
                input,
                outputs: match self.classes.or_else(|| description.output_len(input)) {
                    Some(outputs) => outputs,
                    None => return Err(format!("--model does not fit --shape {input:?}")),
                },
                predicted: Predicted::Classes,
            },
            (None, None) => return Err("say what it takes with --data or --shape".to_owned()),
        };
        let model = description
            .fit(task)
            .map_err(|error| format!("--model: {error}"))?;
        let mut network = safetensors::read(bytes, (model, task), &self.map)?;
        if dataset.is_none() && !network.target_scalings.is_empty() {
            network.task.predicted = Predicted::Numbers;
        }
        Ok(network)
    }

    /// How the network wants its inputs: as the options say, or else the file.
    fn scalings(&self, network: &Imported) -> Result<Vec<Affine>, Error> {
        let channels = network.task.input.channels;
        let given = self.mean.len().max(self.deviation.len());
        if given == 0 {
            return Ok(network.scalings.clone().unwrap_or_else(|| {
                note(
                    "The file does not say how inputs are scaled: they are taken as the data's \
                     files have them. --mean and --deviation say otherwise.",
                );
                vec![Affine::NONE]
            }));
        }
        let each = |values: &[f32], usual: f32, option: &str| match values {
            [] => Ok(vec![usual; given]),
            [one] => Ok(vec![*one; given]),
            many if many.len() == channels && given == channels => Ok(many.to_vec()),
            many => Err(Error::Usage(format!(
                "{option}: expected one number or {channels}, one for each channel, found {}",
                many.len()
            ))),
        };
        let means = each(&self.mean, 0.0, "--mean")?;
        let deviations = each(&self.deviation, 1.0, "--deviation")?;
        let maps = means.iter().zip(&deviations);
        let maps: Vec<_> = maps.map(|(m, d)| Affine::standard(*m, *d)).collect();
        let finite = |map: &Affine| map.scale.is_finite() && map.offset.is_finite();
        if !maps.iter().all(finite) || deviations.iter().any(|d| *d <= 0.0) {
            return Err(Error::Usage(
                "--mean, --deviation: expected finite numbers, and deviations above 0".to_owned(),
            ));
        }
        Ok(maps)
    }

    fn write(
        &self,
        network: &Imported,
        scalings: &[Affine],
        dataset: Option<&Dataset>,
    ) -> Result<u8, Error> {
        let task = network.task;
        let digest = sha256(&network.parameters);
        let folder = RunFolder::at(&self.out, self.force)?;
        folder.write_model(
            MODEL,
            &network.model,
            (scalings, &network.target_scalings),
            &network.parameters,
        )?;
        folder.write_weights(&network.parameters)?;
        let config = Config {
            version: env!("CARGO_PKG_VERSION"),
            imported: Source {
                file: self.file.display().to_string(),
                sha256: &digest,
            },
            dataset: DatasetPart {
                name: dataset.map_or("", |dataset| &dataset.name),
                source: dataset.map_or("", |dataset| &dataset.source),
                shape: [task.input.channels, task.input.rows, task.input.columns],
                classes: match task.predicted {
                    Predicted::Classes => task.outputs,
                    Predicted::Numbers => 0,
                },
                class_names: dataset.map_or(&[], |dataset| &dataset.names),
                sha256: dataset.map_or("", |dataset| &dataset.digest),
            },
            model: &network.model,
        };
        folder.write_json(CONFIG, &config)?;
        say(
            false,
            &format!(
                "{}: {} parameters, '{}'",
                self.out.display(),
                network.parameters.len(),
                network.model.spec
            ),
        );
        Ok(EXIT_OK)
    }
}

/// Most bytes of a file: the largest network in floats of 64 bits, and a header.
const LARGEST_FILE: u64 = 8 * crate::model::MAX_PARAMETERS as u64 + (1 << 24);

/// A file's bytes.
fn whole(path: &Path) -> Result<Vec<u8>, String> {
    let file = files::open(path).map_err(|error| error.problem)?;
    let mut bytes = Vec::new();
    let read = file.take(LARGEST_FILE + 1).read_to_end(&mut bytes);
    read.map_err(|error| format!("cannot be read: {error}"))?;
    if bytes.len() as u64 > LARGEST_FILE {
        return Err("is larger than the largest network that there can be here".to_owned());
    }
    Ok(bytes)
}
