//! What a shard writes down of itself, and how shards are put together.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::head::Comparison;
use super::pool::Made;
use super::share::{HEAD, Shard, shards_in};
use crate::error::Error;
use crate::export::write_whole;
use crate::report::plural;

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
