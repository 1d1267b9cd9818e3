//! The checkpoints of a run as files: when one is due, and which one a run goes on from.

use std::fmt;
use std::fs;
use std::io;
use std::path::Path;
use std::str::FromStr;
use std::time::{Duration, Instant};

use crate::error::Error;
use crate::export::METRICS;
use crate::export::{CHECKPOINT, PREVIOUS, RunFolder, metrics_csv};
use crate::machine;
use crate::memory;
use crate::train::Trainer;
use crate::train::checkpoint::Checkpoint;

/// How often a checkpoint is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Every {
    /// When this time is over since the last one.
    Time(Duration),
    /// After so many epochs.
    Epochs(u32),
    /// Only where the run is interrupted.
    Never,
}

/// A minute: what a lost machine may cost, and seldom enough to cost nothing.
impl Default for Every {
    fn default() -> Every {
        Every::Time(Duration::from_secs(60))
    }
}

/// `30s`, `5m`, `2h`, `1epoch`, `10epochs` or `never`.
impl FromStr for Every {
    type Err = String;

    fn from_str(text: &str) -> Result<Every, String> {
        let wrong =
            || "expected a time, as in 30s, 5m or 2h, or 1epoch, 10epochs, or never".to_owned();
        if text == "never" {
            return Ok(Every::Never);
        }
        let end = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
        let (number, unit) = text.split_at(end);
        let number: u32 = number.parse().map_err(|_| wrong())?;
        let seconds = |factor| Every::Time(Duration::from_secs(u64::from(number) * factor));
        match unit {
            _ if number == 0 => Err(wrong()),
            "s" => Ok(seconds(1)),
            "m" => Ok(seconds(60)),
            "h" => Ok(seconds(3600)),
            "epoch" | "epochs" => Ok(Every::Epochs(number)),
            _ => Err(wrong()),
        }
    }
}

/// As it is read.
impl fmt::Display for Every {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Every::Time(time) => write!(f, "{}s", time.as_secs()),
            Every::Epochs(1) => f.write_str("1epoch"),
            Every::Epochs(number) => write!(f, "{number}epochs"),
            Every::Never => f.write_str("never"),
        }
    }
}

/// Writes the checkpoints of a run.
pub struct Checkpoints<'f> {
    folder: &'f RunFolder,
    every: Every,
    build: &'static str,
    written: Instant,
    epochs: u32,
}

impl<'f> Checkpoints<'f> {
    /// Into this folder.
    ///
    /// # Errors
    /// [`Error::Run`] when the program cannot read its own file, whose digest says which build made
    /// a checkpoint.
    pub fn new(folder: &'f RunFolder, every: Every) -> Result<Checkpoints<'f>, Error> {
        Ok(Checkpoints {
            folder,
            every,
            build: machine::known_build()?,
            written: Instant::now(),
            epochs: 0,
        })
    }

    /// Whether one is due.
    pub fn due(&self, run: &Trainer<'_>) -> bool {
        match self.every {
            Every::Time(time) => self.written.elapsed() >= time,
            Every::Epochs(number) => run.epochs() >= self.epochs.saturating_add(number),
            Every::Never => false,
        }
    }

    /// Writes one, and the metrics so far; false where the optimiser cannot tell what it knows.
    ///
    /// # Errors
    /// [`Error::Output`] when a file cannot be written; the checkpoint before is kept.
    pub fn write(&mut self, run: &Trainer<'_>) -> Result<bool, Error> {
        // From here, so that a full disk is not tried again at every step.
        (self.written, self.epochs) = (Instant::now(), run.epochs());
        let Some(checkpoint) = run.checkpoint() else {
            return Ok(false);
        };
        self.folder
            .write_checkpoint(&checkpoint.encode(self.build))?;
        self.folder
            .write_text(METRICS, &metrics_csv(run.history()))?;
        Ok(true)
    }
}

/// Whether a folder holds a checkpoint.
pub fn any(folder: &Path) -> bool {
    [CHECKPOINT, PREVIOUS]
        .iter()
        .any(|name| folder.join(name).exists())
}

/// Takes the run to the newest good checkpoint of its folder; a line about each that is not.
///
/// # Errors
/// [`Error::Usage`] when none is good, or it belongs to another run or another build. The files
/// stay as they are.
pub fn restore(folder: &Path, run: &mut Trainer<'_>) -> Result<Vec<String>, Error> {
    let build = machine::known_build()?;
    let mut passed_over = Vec::new();
    for name in [CHECKPOINT, PREVIOUS] {
        let path = folder.join(name);
        let refused = |why: String| Error::Usage(format!("{} {why}", path.display()));
        let found = match read(&path) {
            Ok(None) => continue,
            Ok(Some(bytes)) => Checkpoint::decode(&bytes),
            Err(error) => Err(format!("cannot be read: {error}")),
        };
        match found {
            Err(why) => passed_over.push(format!("{} {why}", path.display())),
            Ok((made_by, _)) if made_by != build => {
                return Err(refused(
                    "was made by another build of this program, which may compute other bits; \
                     resume with that one, or begin a new run from the run's weights with --weights"
                        .to_owned(),
                ));
            }
            Ok((_, checkpoint)) => {
                run.restore(checkpoint).map_err(refused)?;
                return Ok(passed_over);
            }
        }
    }
    let all = match passed_over.is_empty() {
        true => format!("{}: there is no {CHECKPOINT}", folder.display()),
        false => passed_over.join("; "),
    };
    Err(Error::Usage(format!(
        "{all}; no checkpoint is left to resume from: begin a new run"
    )))
}

/// The bytes of a file, which memory has room for; `None` where there is no file.
fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
        Ok(about) if !about.is_file() => Err(io::Error::other("it is no file")),
        Ok(about) => {
            memory::check(about.len(), "reading it").map_err(io::Error::other)?;
            fs::read(path).map(Some)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_read_as_they_are_written() {
        for text in ["30s", "1epoch", "10epochs", "never"] {
            assert_eq!(text.parse::<Every>().unwrap().to_string(), text);
        }
        assert_eq!(
            "5m".parse::<Every>(),
            Ok(Every::Time(Duration::from_secs(300)))
        );
        assert_eq!(
            "2h".parse::<Every>(),
            Ok(Every::Time(Duration::from_secs(7200)))
        );
        for text in [
            "",
            "s",
            "0s",
            "-1s",
            "1.5s",
            "10",
            "1d",
            "0epochs",
            "99999999999s",
            "\u{e9}",
        ] {
            assert!(text.parse::<Every>().is_err(), "{text}");
        }
    }
}
