//! A trained network, read back from the folder of its run.

pub mod classes;
pub mod page;
pub mod picture;

use std::fs;
use std::path::{Path, PathBuf};

use secant::network::{Convolution, Init, Shape};
use secant::{Affine, Batch};
use serde::Deserialize;

use crate::data::dataset::{Dataset, Part, Predicted, Task};
use crate::data::open::SYNTHETIC;
use crate::data::predict::Predict;
use crate::engine::LANES;
use crate::error::Error;
use crate::export::{AVERAGE, BEST, CHECKPOINT, CONFIG, MODEL};
use crate::loss::{ClassWeights, NamedLoss};
use crate::model::{Description, Model};
use crate::weights;

/// Weights of a run, of those that it kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Which {
    /// Those that it ended with: model.safetensors
    Last,
    /// Those after the epoch that was best on the validation samples: best.safetensors
    Best,
    /// Their mean over the last part of the run, where 'secant train --average' made one:
    /// average.safetensors
    Average,
}

impl Which {
    /// Their file.
    pub fn file(self) -> &'static str {
        match self {
            Which::Last => MODEL,
            Which::Best => BEST,
            Which::Average => AVERAGE,
        }
    }

    /// The file of a run's folder; without a choice the last weights, or the best ones of a run
    /// that kept no others.
    fn find(chosen: Option<Which>, folder: &Path) -> Result<&'static str, String> {
        let there = |which: &Which| folder.join(which.file()).exists();
        let found = match chosen {
            Some(which) => Some(which).filter(there),
            None => [Which::Last, Which::Best].into_iter().find(there),
        };
        found.map(Which::file).ok_or_else(|| {
            let missing = chosen.unwrap_or(Which::Last).file();
            match folder.join(CHECKPOINT).exists() {
                true => format!(
                    "it has no {missing}: the run has not ended; 'secant train --resume {}' goes on",
                    folder.display()
                ),
                false if chosen == Some(Which::Average) => format!(
                    "it has no {missing}: the run did not average its weights ('secant train \
                     --average')"
                ),
                false => format!("it has no {missing}: the run did not keep such weights (--keep)"),
            }
        })
    }
}

/// A network with its weights and what it was trained on.
#[derive(Debug)]
pub struct Trained {
    /// The run's folder.
    pub folder: PathBuf,
    /// The network.
    pub model: Model,
    /// Its weights.
    pub parameters: Vec<f32>,
    /// How it wants its inputs: one map for all channels, or one for each.
    pub scalings: Vec<Affine>,
    /// What its outputs are of the numbers that it predicts: one map for each; none otherwise.
    pub target_scalings: Vec<Affine>,
    /// What it takes and gives.
    pub task: Task,
    /// Names of the classes; empty where numbers are predicted, or the run did not say.
    pub names: Vec<String>,
    /// Where the data of the run came from.
    pub source: String,
    /// What is predicted of it.
    pub predict: Predict,
    /// How much the samples of each class counted, if not alike.
    pub class_weights: Option<ClassWeights>,
    /// Training samples that were taken of it, if not all.
    pub limit: Option<usize>,
    /// SHA-256 of that data.
    pub digest: String,
    /// What its initial weights and its split were drawn by; none where it began with the weights of
    /// an earlier run, or the file does not say.
    pub drawn: Option<Drawn>,
}

/// What the random choices of a run were made by.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Drawn {
    /// How the initial weights were drawn.
    pub init: Init,
    /// The seed of all randomness.
    pub seed: u64,
    /// Share of the training samples that was set aside.
    pub validation: f64,
}

/// What is read of `config.json`.
#[derive(Deserialize)]
struct Config {
    dataset: DatasetPart,
    predict: Option<String>,
    limit: Option<usize>,
    class_weights: Option<ClassWeights>,
    model: ModelPart,
    start: Option<serde::de::IgnoredAny>,
    init: Option<String>,
    seed: Option<u64>,
    validation: Option<f64>,
}

impl Config {
    fn drawn(&self) -> Option<Drawn> {
        let named = [Init::He, Init::LeCun, Init::PyTorch, Init::DeepObs];
        let name = self.init.as_deref()?;
        let init = named.into_iter().find(|init| init.name() == name)?;
        match self.start {
            Some(_) => None,
            None => Some(Drawn {
                init,
                seed: self.seed?,
                validation: self.validation?,
            }),
        }
    }
}

#[derive(Deserialize)]
struct DatasetPart {
    source: String,
    shape: [usize; 3],
    classes: usize,
    #[serde(default)]
    class_names: Vec<String>,
    sha256: String,
}

#[derive(Deserialize)]
struct ModelPart {
    name: String,
    spec: String,
    loss: String,
}

impl Trained {
    /// [`Trained::choose`] without a choice.
    ///
    /// # Errors
    /// As there.
    pub fn open(folder: &Path) -> Result<Trained, Error> {
        Trained::choose(folder, None)
    }

    /// Reads `config.json` and the chosen weights of a run; without a choice the last ones, or the
    /// best ones if it kept no others.
    ///
    /// # Errors
    /// [`Error::Usage`] when one of them cannot be read, or they do not belong together.
    pub fn choose(folder: &Path, which: Option<Which>) -> Result<Trained, Error> {
        let wrong = |what: String| Error::Usage(format!("{}: {what}", folder.display()));
        if !folder.is_dir() {
            return Err(wrong(
                "expected the folder of a run, as 'secant train' writes it".to_owned(),
            ));
        }
        let text = fs::read_to_string(folder.join(CONFIG))
            .map_err(|error| wrong(format!("cannot read its {CONFIG}: {error}")))?;
        let config: Config = serde_json::from_str(&text)
            .map_err(|error| wrong(format!("its {CONFIG} is not one of a run: {error}")))?;
        let drawn = config.drawn();
        let [channels, rows, columns] = config.dataset.shape;
        let description: Description = config
            .model
            .spec
            .parse()
            .map_err(|error| wrong(format!("its {CONFIG} names no network: {error}")))?;
        let input = Shape::new(channels, rows, columns);
        let outputs = match config.dataset.classes {
            0 => description.output_len(input),
            classes => Some(classes),
        };
        let task = Task {
            input,
            outputs: outputs
                .ok_or_else(|| wrong(format!("its {CONFIG} names a network that does not fit")))?,
            predicted: match config.dataset.classes {
                0 => Predicted::Numbers,
                _ => Predicted::Classes,
            },
        };
        let mut model = description
            .fit(task)
            .map_err(|error| wrong(format!("its {CONFIG} names no network: {error}")))?;
        let loss: NamedLoss = config.model.loss.parse().map_err(&wrong)?;
        model.network = model.network.with_loss(loss.loss());
        if let Some(weights) = &config.class_weights {
            weights.fit(task).map_err(&wrong)?;
        }
        model.name = config.model.name;
        let file = folder.join(Which::find(which, folder).map_err(&wrong)?);
        let saved = weights::load(&file, &model)
            .map_err(|what| Error::Usage(format!("{}: {what}", file.display())))?;
        Ok(Trained {
            folder: folder.to_owned(),
            model,
            parameters: saved.parameters,
            scalings: saved.scalings,
            target_scalings: saved.target_scalings,
            task,
            names: config.dataset.class_names,
            source: config.dataset.source,
            predict: match config.predict {
                Some(text) => text.parse().map_err(&wrong)?,
                None => Predict::Labels,
            },
            class_weights: config.class_weights,
            limit: config.limit,
            digest: config.dataset.sha256,
            drawn,
        })
    }

    /// Refuses data that the network was not made for.
    ///
    /// # Errors
    /// [`Error::Usage`] when the shape, the kind of targets or their number is another.
    pub fn fits(&self, dataset: &Dataset) -> Result<(), Error> {
        let found = dataset.task();
        let describe = |task: Task| {
            let what = match task.predicted {
                Predicted::Classes => "classes",
                Predicted::Numbers => "numbers to predict",
            };
            let Shape {
                channels,
                rows,
                columns,
            } = task.input;
            format!("{channels}x{rows}x{columns} and {} {what}", task.outputs)
        };
        if found == self.task {
            return Ok(());
        }
        Err(Error::Usage(format!(
            "{}: the network was trained on samples of {}, and the data has {}; choose other data \
             with --data",
            self.folder.display(),
            describe(self.task),
            describe(found)
        )))
    }

    /// The network's outputs for the samples `indices` of `part`, sample by sample. With `device`
    /// they are computed one sample at a time, and then have the bits that a device computes.
    pub fn outputs(&self, part: &Part, indices: &[u32], device: bool) -> Vec<f32> {
        let algorithm = match device {
            true => Convolution::Direct,
            false => Convolution::Winograd,
        };
        let network = self.model.network.with_convolution(algorithm);
        let mut outputs = vec![0.0; indices.len() * network.output_len()];
        let samples = part.samples(&self.scalings);
        let batch = Batch::new(samples, indices);
        let done = if device {
            let mut workspace = vec![0.0; network.inference_workspace_len(1)];
            network.predict::<1>(&self.parameters, batch, &mut outputs, &mut workspace)
        } else {
            let mut workspace = vec![0.0; network.inference_workspace_len(LANES)];
            network.predict::<LANES>(&self.parameters, batch, &mut outputs, &mut workspace)
        };
        done.expect("the samples were made for the network");
        outputs
    }

    /// Where the data of the run is, as `--data` names it.
    pub fn data(&self) -> PathBuf {
        PathBuf::from(match self.source.as_str() {
            "built-in" => SYNTHETIC,
            source => source,
        })
    }

    /// Outputs in the units of the numbers that the files have: `(output - offset) / scale`.
    pub fn own_units(&self, outputs: &[f32]) -> Vec<f64> {
        let width = self.task.outputs;
        let own = |(i, output): (usize, &f32)| {
            let output = f64::from(*output);
            match self.target_scalings.get(i % width) {
                Some(map) => (output - f64::from(map.offset)) / f64::from(map.scale),
                None => output,
            }
        };
        outputs.iter().enumerate().map(own).collect()
    }

    /// The root of the mean squared error of each output, in the files' units. `numbers` are theirs.
    pub fn rmse(&self, outputs: &[f32], numbers: &[f32], width: usize) -> Vec<f64> {
        let mut squares = vec![0.0; width];
        let own = self.own_units(outputs);
        for (i, (own, number)) in own.iter().zip(numbers).enumerate() {
            squares[i % width] += (own - f64::from(*number)).powi(2);
        }
        let count = numbers.len() / width.max(1);
        let root = |sum: f64| (sum / count as f64).sqrt();
        squares.into_iter().map(root).collect()
    }
}
