//! Which of a comparison's runs are made here: all of them, or those of one shard of several that
//! work anywhere, on a batch system for example.
//!
//! Runs are numbered in one order, tuning first, and shard I of N has those whose number leaves the
//! rest I - 1 when divided by N. Shards share nothing but files: each works in a folder of its own,
//! so that none waits for a lock, and reads what its neighbours have finished.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;

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
pub const HEAD: &str = "shard.json";

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
pub fn shards_in(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let shards = entries.map(|entry| entry.path()).filter(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with(PREFIX) && path.join(HEAD).is_file()
    });
    let mut shards: Vec<PathBuf> = shards.collect();
    shards.sort();
    shards
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
