//! `secant export`: a trained network in another format.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use crate::error::{EXIT_OK, Error};
use crate::export::write_whole;
use crate::formats::{c, npz, onnx, rust};
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

    /// The file [default: in the run's folder, network.onnx, network.rs, network.c or network.npz]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

const HELP: &str = "\
Examples:
  secant export runs/first --format onnx
  secant export runs/first --format c --out src/garments.c

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
        }
        say(false, &format!("{} is written.", path.display()));
        Ok(EXIT_OK)
    }
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
