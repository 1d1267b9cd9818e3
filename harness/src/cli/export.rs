//! `secant export`: a trained network in another format.

use std::fs;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use super::environment::data_for;
use crate::error::{EXIT_OK, Error};
use crate::export::write_whole;
use crate::formats::{c, firmware, npz, onnx, rust};
use crate::report::say;
use crate::trained::{Trained, Which};

/// Options of `secant export`.
#[derive(Debug, Args)]
#[command(args_override_self = true, after_help = HELP)]
pub struct ExportArgs {
    /// Folder of the run, as 'secant train' has written it
    #[arg(value_name = "RUN")]
    run: PathBuf,

    /// What to write
    #[arg(long, value_name = "NAME")]
    format: Format,

    /// Weights of the run: the last ones, or those of its best epoch [default: last, or best if
    /// the run kept no others]
    #[arg(long, value_name = "last|best")]
    which: Option<Which>,

    /// The file, or the folder of a firmware [default: in the run's folder, network.onnx,
    /// network.rs, network.c, network.npz or firmware]
    #[arg(long, value_name = "FILE|DIR")]
    out: Option<PathBuf>,
}

const HELP: &str = "\
Examples:
  secant export runs/first --format onnx
  secant export runs/first --format c --out src/garments.c
  secant export runs/first --format firmware --out my-device && cd my-device && cargo run --release

The run's model.safetensors is what PyTorch reads. docs/formats.md describes all formats.";

/// Formats of other programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A graph with the normalisation in it, for onnxruntime and others
    Onnx,
    /// A Rust source file for a program with the secant library
    Rust,
    /// A C source file with its header: weights and a function that predicts
    C,
    /// A NumPy archive of the weights
    Npz,
    /// A Rust package that asks the network about test samples on an emulated Cortex-M4F
    Firmware,
}

impl ExportArgs {
    /// Writes the file, for C with its header beside it.
    pub(super) fn run(&self) -> Result<u8, Error> {
        let trained = Trained::choose(&self.run, self.which)?;
        let path = self.out.clone().unwrap_or_else(|| {
            self.run.join(match self.format {
                Format::Onnx => "network.onnx",
                Format::Rust => "network.rs",
                Format::C => "network.c",
                Format::Npz => "network.npz",
                Format::Firmware => "firmware",
            })
        });
        let refused = |why| Error::Usage(format!("{}: {why}", self.run.display()));
        match self.format {
            Format::Onnx => write_whole(&path, &onnx::bytes(&trained).map_err(refused)?)?,
            Format::Rust => {
                write_whole(&path, rust::source(&trained).map_err(refused)?.as_bytes())?;
            }
            Format::C => {
                let name = identifier(&path)?;
                let (header, source) = c::sources(&trained, name).map_err(refused)?;
                write_whole(&path.with_extension("h"), header.as_bytes())?;
                write_whole(&path, source.as_bytes())?;
            }
            Format::Npz => {
                let bytes = npz::bytes(&trained).map_err(|source| Error::Output {
                    path: path.clone(),
                    source,
                })?;
                write_whole(&path, &bytes)?;
            }
            Format::Firmware => {
                let dataset = data_for(&trained, None, None)?;
                let numbers = firmware::chosen(dataset.test.len());
                let part = dataset.test.select(&numbers, dataset.shape.len());
                let files = firmware::files(&trained, (&numbers, &part), &dataset.names);
                let files = files.map_err(refused)?;
                folder(&path, &files)?;
            }
        }
        say(false, &format!("{} is written.", path.display()));
        Ok(EXIT_OK)
    }
}

/// Writes a folder that is not there yet, or empty: another one's files stay as they are.
fn folder(path: &Path, files: &[(&str, String)]) -> Result<(), Error> {
    let output = |path: &Path, source| Error::Output {
        path: path.to_owned(),
        source,
    };
    if path.exists() && fs::read_dir(path).map_or(true, |mut files| files.next().is_some()) {
        return Err(Error::Usage(format!(
            "--out {}: expected a folder that is empty or not there",
            path.display()
        )));
    }
    for (name, text) in files {
        let file = path.join(name);
        if let Some(folder) = file.parent() {
            fs::create_dir_all(folder).map_err(|source| output(folder, source))?;
        }
        write_whole(&file, text.as_bytes())?;
    }
    Ok(())
}

/// The name of a C file, which its functions get, too.
fn identifier(path: &Path) -> Result<&str, Error> {
    let wrong = || {
        Error::Usage(format!(
            "--out {}: expected a file NAME.c whose name is a C identifier, such as garments.c",
            path.display()
        ))
    };
    let name = path
        .file_stem()
        .and_then(|name| name.to_str())
        .ok_or_else(wrong)?;
    let first = name.chars().next().is_some_and(|c| c.is_ascii_alphabetic());
    let all = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    let ending = path.extension().is_some_and(|ending| ending == "c");
    if first && all && ending {
        Ok(name)
    } else {
        Err(wrong())
    }
}
