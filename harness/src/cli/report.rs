//! `secant report`: a run as a page to read.

use std::path::PathBuf;

use clap::Args;

use super::environment::data_for;
use crate::error::{EXIT_OK, Error};
use crate::export::write_whole;
use crate::report::say;
use crate::trained::{Trained, page};

/// Options of `secant report`.
#[derive(Debug, Args)]
#[command(
    args_override_self = true,
    after_help = "\
Example:
  secant train --out runs/first && secant report runs/first"
)]
pub struct ReportArgs {
    /// Folder of the run, as 'secant train' has written it
    #[arg(value_name = "RUN")]
    run: PathBuf,

    /// Folder or file with the data [default: that of the run]
    #[arg(long, value_name = "DIR|synthetic")]
    data: Option<PathBuf>,

    /// The file [default: report.html in the run's folder]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

impl ReportArgs {
    /// Writes the page.
    pub(super) fn run(&self) -> Result<u8, Error> {
        let trained = Trained::open(&self.run)?;
        let dataset = data_for(&trained, self.data.as_deref(), None)?;
        let text = page::html(&trained, &dataset)?;
        let path = self.out.clone();
        let path = path.unwrap_or_else(|| self.run.join(page::FILE));
        write_whole(&path, text.as_bytes())?;
        say(false, &format!("{} is written.", path.display()));
        Ok(EXIT_OK)
    }
}
