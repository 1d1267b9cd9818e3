//! The run's folder: every file whole or not there at all.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use jiff::ZonedDateTime;
use safetensors::tensor::{Dtype, TensorView};
use secant::{Layer, Normalisation};
use serde::Serialize;

use crate::config::RunConfig;
use crate::error::Error;
use crate::model::Model;
use crate::train::Record;

/// The choices of the run.
pub const CONFIG: &str = "config.json";
/// One line an epoch.
pub const METRICS: &str = "metrics.csv";
/// The trained weights.
pub const MODEL: &str = "model.safetensors";
/// Loss and accuracy over the run.
pub const CURVES: &str = "curves.svg";

/// Folder in which runs get a folder of their own.
const RUNS: &str = "runs";

/// A folder for the files of one run.
#[derive(Debug, Clone)]
pub struct RunFolder(PathBuf);

impl RunFolder {
    /// Makes the folder `out`, or else `runs/<time>-<model>-<optimizer>-s<seed>`.
    ///
    /// # Errors
    /// [`Error::Usage`] when `out` already holds a run, unless `force` allows to replace it; [`Error::Output`] when the
    /// folder cannot be made.
    pub fn create(out: Option<&Path>, force: bool, config: &RunConfig) -> Result<Self, Error> {
        match out {
            Some(folder) => {
                if folder.exists() && !folder.is_dir() {
                    return Err(Error::Usage(format!(
                        "--out {}: expected a folder, found a file",
                        folder.display()
                    )));
                }
                let old = [CONFIG, METRICS, MODEL, CURVES].map(|name| folder.join(name));
                let old: Vec<_> = old.into_iter().filter(|file| file.exists()).collect();
                if !force && !old.is_empty() {
                    return Err(Error::Usage(format!(
                        "--out {}: already holds a run; choose another folder, or replace it with --force",
                        folder.display()
                    )));
                }
                fs::create_dir_all(folder).map_err(|source| output(folder, source))?;
                // A run that fails must not leave the model of an earlier one beside its own files.
                for file in old {
                    fs::remove_file(&file).map_err(|source| output(&file, source))?;
                }
                Ok(Self(folder.to_owned()))
            }
            None => {
                fs::create_dir_all(RUNS).map_err(|source| output(RUNS, source))?;
                let name = format!(
                    "{}-{}-{}-s{}",
                    ZonedDateTime::now().strftime("%Y%m%d-%H%M%S"),
                    config.model.file_name(),
                    config.optimizer.name(),
                    config.seed
                );
                let mut folder = Path::new(RUNS).join(&name);
                for number in 2.. {
                    match fs::create_dir(&folder) {
                        Ok(()) => break,
                        // Another run of the same second.
                        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                            folder = Path::new(RUNS).join(format!("{name}-{number}"));
                        }
                        Err(source) => return Err(output(&folder, source)),
                    }
                }
                Ok(Self(folder))
            }
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Writes a value as JSON.
    ///
    /// # Errors
    /// [`Error::Output`] when the file cannot be written.
    pub fn write_json(&self, name: &str, value: &impl Serialize) -> Result<(), Error> {
        let path = self.0.join(name);
        let mut text = serde_json::to_string_pretty(value).map_err(|e| output(&path, e.into()))?;
        text.push('\n');
        write_whole(&path, text.as_bytes())
    }

    /// Writes a text.
    ///
    /// # Errors
    /// [`Error::Output`] when the file cannot be written.
    pub fn write_text(&self, name: &str, text: &str) -> Result<(), Error> {
        write_whole(&self.0.join(name), text.as_bytes())
    }

    /// Writes the weights; see [`safetensors()`].
    ///
    /// # Errors
    /// [`Error::Output`] when the file cannot be written.
    pub fn write_model(
        &self,
        model: &Model,
        normalisation: Normalisation,
        parameters: &[f32],
    ) -> Result<(), Error> {
        let path = self.0.join(MODEL);
        let bytes = safetensors(model, normalisation, parameters).map_err(|e| output(&path, e))?;
        write_whole(&path, &bytes)
    }
}

fn output(path: impl AsRef<Path>, source: io::Error) -> Error {
    Error::Output {
        path: path.as_ref().to_owned(),
        source,
    }
}

/// Writes a file under another name, brings it to the disk and then gives it its name, so that after a crash the file is
/// either as it was or as it should be.
///
/// # Errors
/// [`Error::Output`] when the file cannot be written; no half of it is left.
pub fn write_whole(path: &Path, content: &[u8]) -> Result<(), Error> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".tmp");
    let temporary = path.with_file_name(name);
    let written = (|| {
        let mut file = File::create(&temporary)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&temporary, path)?;
        // The new name is safe once the folder is; not every system can bring a folder to the disk, or needs to.
        if let Some(folder) = path.parent()
            && let Ok(folder) = File::open(folder)
        {
            let _ = folder.sync_all();
        }
        Ok(())
    })();
    written.map_err(|source| {
        let _ = fs::remove_file(&temporary);
        output(path, source)
    })
}

/// The history as CSV.
pub fn metrics_csv(history: &[Record]) -> String {
    let mut text = String::from(
        "epoch,iteration,gradient_epochs,seconds,train_loss,validation_loss,validation_accuracy\n",
    );
    let optional = |value: Option<f64>| value.map_or(String::new(), |value| value.to_string());
    for record in history {
        text.push_str(&format!(
            "{},{},{},{:.3},{},{},{}\n",
            record.epoch,
            record.iteration,
            record.gradient_epochs,
            record.seconds,
            record.train_loss,
            optional(record.validation_loss),
            optional(record.validation_accuracy),
        ));
    }
    text
}

/// The weights as a safetensors file: for layer `i` of the model, counted from 0, a tensor `i.weight` and a tensor
/// `i.bias` of 32-bit floats, shaped as PyTorch has them (`conv2d`: outputs, inputs, rows, columns; `linear`: outputs,
/// inputs). The metadata `secant` is a JSON object with the model's description and the normalisation of its inputs. The
/// same weights always give the same bytes.
///
/// # Errors
/// An [`io::Error`] when the library refuses the tensors.
pub fn safetensors(
    model: &Model,
    normalisation: Normalisation,
    parameters: &[f32],
) -> io::Result<Vec<u8>> {
    let network = &model.network;
    let bytes: Vec<u8> = parameters.iter().flat_map(|w| w.to_le_bytes()).collect();
    let mut tensors = Vec::new();
    for (i, layer) in network.layers().iter().enumerate() {
        let input = network.shape(i);
        let shape = match *layer {
            Layer::Conv2d {
                outputs, kernel, ..
            } => vec![outputs, input.channels, kernel, kernel],
            Layer::Linear { outputs } => vec![outputs, input.len()],
            _ => continue,
        };
        let (weights, biases) = network.parameter_ranges(i);
        let bias_shape = vec![shape[0]];
        for (part, shape, range) in [("weight", shape, weights), ("bias", bias_shape, biases)] {
            let data = &bytes[4 * range.start..4 * range.end];
            let view = TensorView::new(Dtype::F32, shape, data).map_err(io::Error::other)?;
            tensors.push((format!("{i}.{part}"), view));
        }
    }
    let about = serde_json::json!({
        "model": model.spec,
        "input": { "scale": normalisation.scale, "offset": normalisation.offset },
    });
    // One entry only: the format keeps several in no fixed order.
    let metadata = HashMap::from([("secant".to_owned(), about.to_string())]);
    safetensors::serialize(tensors, Some(metadata)).map_err(io::Error::other)
}
