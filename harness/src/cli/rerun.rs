//! `secant rerun`: makes a run once more and compares the bits.

use std::ffi::OsString;
use std::fs;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use clap::{Args, Parser};
use serde::Deserialize;

use super::values::threads;
use super::{Cli, Command, options, session};
use crate::error::{EXIT_OK, EXIT_RUN, Error};
use crate::export::{OPTIONS, RESULT};
use crate::machine;
use crate::ranks::Ranks;
use crate::report::{note, say};

/// Options of `secant rerun`.
#[derive(Debug, Args)]
#[command(args_override_self = true, after_help = HELP)]
pub struct RerunArgs {
    /// Folder of the run, as 'secant train' has written it
    #[arg(value_name = "RUN")]
    run: PathBuf,

    /// Folder for the new run's files [default: runs/TIME-MODEL-OPTIMIZER-sSEED]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,

    /// Where the data is, if it has moved
    #[arg(long, value_name = "DIR|synthetic")]
    data: Option<PathBuf>,

    /// Threads; the result is the same for any number
    #[arg(long, value_name = "T", value_parser = threads)]
    threads: Option<NonZeroUsize>,
}

const HELP: &str = "\
Example:
  secant train --out runs/first && secant rerun runs/first

Exit status: 0 the same bits, 1 other bits, 2 the run cannot be made again; else as for 'secant train'.";

/// What is read of `result.json`.
#[derive(Deserialize)]
struct Earlier {
    stop_reason: String,
    build: Option<String>,
    dataset: Data,
    average: Option<Data>,
    sha256: Hashes,
}

#[derive(Deserialize)]
struct Data {
    sha256: String,
}

#[derive(Deserialize)]
struct Hashes {
    initial: String,
    r#final: String,
}

impl RerunArgs {
    /// Trains, and compares.
    pub(super) fn run(&self) -> Result<u8, Error> {
        let earlier = earlier(&self.run)?;
        let mut words: Vec<OsString> = vec!["secant".into(), "train".into()];
        words.extend(options::read(&self.run.join(OPTIONS))?);
        for (option, value) in [("--out", &self.out), ("--data", &self.data)] {
            if let Some(value) = value {
                words.extend([option.into(), value.into()]);
            }
        }
        if let Some(threads) = self.threads {
            words.push(format!("--threads={threads}").into());
        }
        let cli = Cli::try_parse_from(words).map_err(|error| {
            let said = error.to_string();
            let said = said.lines().next().unwrap_or_default();
            let said = said.trim_start_matches("error: ");
            Error::Usage(format!("{}/{OPTIONS}: {said}", self.run.display()))
        })?;
        let Command::Train(args) = cli.command else {
            return Err(Error::Usage(
                "the options are not those of a run".to_owned(),
            ));
        };
        let done = session::train(&args, &Ranks::alone())?;
        let Some(outcome) = done.outcome.filter(|_| done.status <= EXIT_RUN) else {
            return Ok(done.status);
        };
        let average = outcome.average.as_ref().map(|a| a.record().sha256);
        let before = earlier.average.map(|average| average.sha256);
        if outcome.final_sha256 == earlier.sha256.r#final && average == before {
            say(
                false,
                &format!(
                    "The same bits as {}: {}",
                    self.run.display(),
                    outcome.final_sha256
                ),
            );
            return Ok(EXIT_OK);
        }
        let why = if done.data != earlier.dataset.sha256 {
            "the data has changed"
        } else if outcome.initial_sha256 != earlier.sha256.initial {
            "the initial weights differ already"
        } else if earlier.build.as_deref() != machine::build().ok() {
            "another build of this program made it"
        } else {
            "the settings differ"
        };
        note(&format!(
            "secant: other bits than {}: {} there, {} here; {why}",
            self.run.display(),
            earlier.sha256.r#final,
            outcome.final_sha256
        ));
        Ok(EXIT_RUN)
    }
}

/// How the run went.
fn earlier(run: &Path) -> Result<Earlier, Error> {
    let wrong = |what: String| Error::Usage(format!("{}: {what}", run.display()));
    let text = fs::read_to_string(run.join(RESULT)).map_err(|error| {
        wrong(format!(
            "cannot read its {RESULT}: {error}; only a run that has ended can be made again"
        ))
    })?;
    let earlier: Earlier = serde_json::from_str(&text)
        .map_err(|error| wrong(format!("its {RESULT} is not one of a run: {error}")))?;
    if earlier.stop_reason == "interrupted" {
        return Err(wrong(format!(
            "the run was interrupted, so that its end cannot be repeated; 'secant train --resume {}' \
             ends it",
            run.display()
        )));
    }
    Ok(earlier)
}
