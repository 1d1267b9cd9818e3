//! Which of a comparison's runs are made here: all of them, or those of one shard of several that
//! work anywhere, on a batch system for example; and how the shards are put together.
//!
//! Runs are numbered in one order, tuning first, and shard I of N has those whose number leaves the
//! rest I - 1 when divided by N. Shards share nothing but files: each works in a folder of its own,
//! so that none waits for a lock, and reads what its neighbours have finished.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::folder::Comparison;
use super::pool::Made;
use crate::error::Error;
use crate::export::write_whole;
use crate::report::plural;

/// Part `index` of `count`, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    index: usize,
    count: usize,
}

/// Most shards of a comparison.
const MOST: usize = 100_000;

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Shard, String> {
        let numbers = text.split_once('/');
        let numbers = numbers.and_then(|(i, n)| Some((i.parse().ok()?, n.parse().ok()?)));
        match numbers {
            Some((index, count)) if (1..=count).contains(&index) && count <= MOST => {
                Ok(Shard { index, count })
            }
            _ => Err(format!(
                "expected I/N with I from 1 to N, for example 2/8, and N at most {MOST}"
            )),
        }
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "shard {} of {}", self.index, self.count)
    }
}

impl Shard {
    /// Whether run number `task` is made in this shard.
    pub fn owns(self, task: usize) -> bool {
        task % self.count == self.index - 1
    }

    /// Its folder in that of the comparison.
    pub fn folder(self, out: &Path) -> PathBuf {
        out.join(format!("{PREFIX}{}-of-{}", self.index, self.count))
    }
}

/// What the names of shards' folders begin with.
const PREFIX: &str = "shard-";

/// The file of a shard's folder that says what is compared.
const HEAD: &str = "shard.json";

/// The folder of finished runs in that of a comparison or a shard.
pub const RUNS: &str = "runs";

/// Which runs are made here.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Share {
    /// All.
    #[default]
    All,
    /// Those of a shard.
    Shard(Shard),
    /// None: all have been made, and these are their folders.
    Merged(Vec<PathBuf>),
}

impl Share {
    /// Whether run number `task` is made here.
    pub fn owns(&self, task: usize) -> bool {
        match self {
            Share::All => true,
            Share::Shard(shard) => shard.owns(task),
            Share::Merged(_) => false,
        }
    }

    /// The folder to work in, within the comparison's.
    pub fn folder(&self, out: &Path) -> PathBuf {
        match self {
            Share::Shard(shard) => shard.folder(out),
            _ => out.to_owned(),
        }
    }

    /// Folders with runs that others have finished.
    pub fn others(&self, out: &Path) -> Vec<PathBuf> {
        match self {
            Share::All => Vec::new(),
            Share::Shard(_) => {
                let shards = shards_in(out).into_iter();
                shards.map(|shard| shard.join(RUNS)).collect()
            }
            Share::Merged(folders) => folders.iter().map(|folder| folder.join(RUNS)).collect(),
        }
    }
}

/// The shards' folders in a folder, in order of their names.
fn shards_in(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let shards = entries.map(|entry| entry.path()).filter(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with(PREFIX) && path.join(HEAD).is_file()
    });
    let mut shards: Vec<PathBuf> = shards.collect();
    shards.sort();
    shards
}

/// Writes down what a shard's folder holds runs of.
///
/// # Errors
/// [`Error::Output`] when the file cannot be written.
pub fn write_head(folder: &Path, about: &Comparison<'_>) -> Result<(), Error> {
    let text = serde_json::to_string(about).map_err(|error| Error::Run(error.to_string()))?;
    write_whole(&folder.join(HEAD), text.as_bytes())
}

/// What shards have in common.
#[derive(Debug)]
pub struct Shards {
    /// Their folders.
    pub folders: Vec<PathBuf>,
    /// The command of the first one.
    pub command: Vec<String>,
    /// How many kinds of machine they ran on: seconds of several are not comparable.
    pub machines: usize,
}

/// Of a head, what must not differ between shards.
#[derive(Deserialize, Serialize)]
struct Head {
    command: Vec<String>,
    machine: Value,
    jobs: usize,
    dataset: Map<String, Value>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

impl Head {
    fn read(folder: &Path) -> Result<Head, Error> {
        let path = folder.join(HEAD);
        let text = fs::read_to_string(&path);
        let head = text.ok().and_then(|text| serde_json::from_str(&text).ok());
        head.ok_or_else(|| {
            Error::Usage(format!(
                "{}: expected what 'secant compare --shard' writes, found something else",
                path.display()
            ))
        })
    }

    /// What of another head is not as in this one.
    fn difference(&self, other: &Head) -> Option<String> {
        if self.dataset["sha256"] != other.dataset["sha256"] {
            return Some("other data".to_owned());
        }
        let mut keys = self.rest.keys().chain(other.rest.keys());
        let key = keys.find(|key| self.rest.get(*key) != other.rest.get(*key))?;
        Some(match &**key {
            "build" => "another build of secant".to_owned(),
            key => format!("another '{key}'"),
        })
    }
}

/// Finds the shards in folders, each a shard's or one that holds several.
///
/// # Errors
/// [`Error::Usage`] where there is none, or they are not of one comparison.
pub fn find(folders: &[PathBuf]) -> Result<Shards, Error> {
    let mut found = Vec::new();
    for folder in folders {
        let own = match folder.join(HEAD).is_file() {
            true => vec![folder.clone()],
            false => shards_in(folder),
        };
        if own.is_empty() {
            return Err(Error::Usage(format!(
                "{}: no shard is there; expected a folder that 'secant compare --shard I/N --out' \
                 has worked in",
                folder.display()
            )));
        }
        found.extend(own);
    }
    let heads: Vec<Head> = found
        .iter()
        .map(|path| Head::read(path))
        .collect::<Result<_, _>>()?;
    let Some(first) = heads.first() else {
        return Err(Error::Usage("expected a folder with shards".to_owned()));
    };
    for (path, head) in found.iter().zip(&heads) {
        if let Some(what) = first.difference(head) {
            return Err(Error::Usage(format!(
                "{} and {} are not of one comparison: {what}",
                found[0].display(),
                path.display()
            )));
        }
    }
    let machines: BTreeSet<String> = heads
        .iter()
        .map(|head| format!("{} {}", head.machine, head.jobs))
        .collect();
    Ok(Shards {
        command: first.command.clone(),
        machines: machines.len(),
        folders: found,
    })
}

/// What a shard says at its end.
pub fn summary(shard: Shard, made: &Made, out: &Path) -> String {
    let (own, all) = (&made.own, &made.all);
    let mut text = format!(
        "{shard}: {} of its {} done; of all {}, {} known here",
        own.known,
        plural(own.count as u32, "run"),
        all.count,
        all.known
    );
    text += &match (own.known == own.count, made.tuned) {
        (true, _) if all.known == all.count => {
            let out = out.display();
            format!(". 'secant merge {out} --out DIR' makes the table")
        }
        (true, _) => ". The others are made elsewhere".to_owned(),
        (false, false) => ". The rest wait for the tuning of other shards: the same command \
                           once more, when they are done, goes on"
            .to_owned(),
        (false, true) => ". The same command goes on".to_owned(),
    };
    text + "."
}

/// Which runs are missing where shards are put together.
pub fn missing(made: &Made) -> String {
    /// So many are named.
    const NAMED: usize = 5;
    let all = &made.all;
    let named = made.missing.iter().take(NAMED).cloned();
    let mut named = named.collect::<Vec<_>>().join(", ");
    if made.missing.len() > NAMED {
        named += ", ...";
    }
    format!(
        "{} of {} are missing ({named}); run the shards once more, each goes on where it was",
        all.count - all.known,
        plural(all.count as u32, "run")
    )
}

/// How many runs there are, and of how many the result is known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Count {
    /// All.
    pub count: usize,
    /// Known.
    pub known: usize,
}

impl Count {
    /// Counts one more.
    pub fn add(&mut self, known: bool) {
        self.count += 1;
        self.known += usize::from(known);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_run_belongs_to_one_shard() {
        for count in [1, 2, 3, 7] {
            for task in 0..50 {
                let owners = (1..=count).filter(|index| {
                    let shard: Shard = format!("{index}/{count}").parse().unwrap();
                    shard.owns(task)
                });
                assert_eq!(owners.count(), 1);
            }
        }
    }

    #[test]
    fn what_is_no_shard_is_refused() {
        for text in [
            "", "1", "0/3", "4/3", "1/0", "-1/3", "1/3/2", "1/100001", "a/b", "1/ 3",
        ] {
            let found: Result<Shard, _> = text.parse();
            assert!(found.is_err(), "{text}");
        }
    }
}
