//! Several processes on one run or comparison: the ranks that `mpirun` starts, on one machine or on
//! many. A process that was started by itself is the only rank, and exchanges nothing.
//!
//! Every rank makes the same steps on the same weights. What is divided are the chunks of a batch
//! (`crate::engine`); their sums come together in the order of the chunks, so that the number of
//! ranks changes no bit. Rank 0 alone reads what belongs to the run, writes files, and prints.
//!
//! The message library stands behind the feature `mpi`, in one file. Without it `Link` has no
//! value, so that nothing here is ever exchanged.

mod chain;
#[cfg(feature = "mpi")]
#[path = "mpi.rs"]
mod link;
#[cfg(not(feature = "mpi"))]
#[path = "none.rs"]
mod link;

use std::cell::RefCell;
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::Error;
use link::Link;

/// The processes that work together, as one of them sees them.
#[derive(Clone, Default)]
pub struct Ranks {
    /// None where this process is alone.
    team: Option<Rc<Team>>,
}

struct Team {
    link: Link,
    /// What this process was asked to do by a signal, 0 if nothing,
    own_signal: RefCell<Arc<AtomicUsize>>,
    /// and the largest number of all ranks, the same on all after each [`Ranks::fold`].
    signal: Arc<AtomicUsize>,
}

/// Variables by which the launchers of Open MPI and MPICH, and PMI of Slurm, tell a process how many
/// there are.
const SIZES: [&str; 2] = ["OMPI_COMM_WORLD_SIZE", "PMI_SIZE"];

/// The same for its number.
const NUMBERS: [&str; 3] = ["OMPI_COMM_WORLD_RANK", "PMI_RANK", "PMIX_RANK"];

fn number(names: &[&str]) -> Option<usize> {
    let mut values = names.iter().filter_map(|name| std::env::var(name).ok());
    values.next()?.parse().ok()
}

/// How many processes the launcher has started, by the environment; 1 without one.
pub fn launched() -> usize {
    // Slurm's own launcher says it so when it speaks PMIx; its jobs without MPI have the number, too.
    let pmix = std::env::var_os("PMIX_RANK").and_then(|_| number(&["SLURM_STEP_NUM_TASKS"]));
    number(&SIZES).or(pmix).unwrap_or(1).max(1)
}

/// Whether this is the one of the launcher's processes that speaks for all, by the environment.
pub fn speaks() -> bool {
    number(&NUMBERS).unwrap_or(0) == 0
}

impl Ranks {
    /// This process by itself.
    pub fn alone() -> Ranks {
        Ranks::default()
    }

    /// The processes that the launcher has started; to be called once.
    ///
    /// # Errors
    /// [`Error::Usage`] where there are several and the program is built without MPI, or they do not
    /// find each other.
    pub fn start() -> Result<Ranks, Error> {
        let launched = launched();
        if launched == 1 {
            return Ok(Ranks::alone());
        }
        let link = Link::start(launched).map_err(Error::Usage)?;
        let team = Team {
            link,
            own_signal: RefCell::default(),
            signal: Arc::default(),
        };
        Ok(Ranks {
            team: Some(Rc::new(team)),
        })
    }

    /// Number of this process, from 0.
    pub fn rank(&self) -> usize {
        self.team.as_ref().map_or(0, |team| team.link.rank())
    }

    /// How many processes there are.
    pub fn count(&self) -> usize {
        self.team.as_ref().map_or(1, |team| team.link.count())
    }

    /// Whether this is the process that writes and prints.
    pub fn is_first(&self) -> bool {
        self.rank() == 0
    }

    /// What this process has of `parts` parts, in order: rank 0 the first ones, and so on, as equal
    /// as they can be. More ranks than parts: the last ranks have none.
    pub fn own(&self, parts: usize) -> Range<usize> {
        share(self.rank(), self.count(), parts)
    }

    /// Takes the value of rank 0 to all.
    pub fn first<T: Serialize + DeserializeOwned>(&self, own: T) -> T {
        match &self.team {
            None => own,
            Some(team) => {
                let bytes = self.is_first().then(|| encode(&own));
                decode(&team.link.broadcast(bytes))
            }
        }
    }

    /// Takes the value of each rank to all, in the order of ranks.
    pub fn all<T: Serialize + DeserializeOwned>(&self, own: T) -> Vec<T> {
        match &self.team {
            None => vec![own],
            Some(team) => {
                let all = team.link.all_gather(&encode(&own));
                all.iter().map(|bytes| decode(bytes)).collect()
            }
        }
    }

    /// What this rank has found, if none has failed. Where some have, the first of them returns its
    /// own error, and every other [`Error::Elsewhere`]: so all go the same way, and one speaks.
    ///
    /// # Errors
    /// As told.
    pub fn agree<T>(&self, own: Result<T, Error>) -> Result<T, Error> {
        if self.team.is_none() {
            return own;
        }
        let failed = own.as_ref().err();
        // Who has failed because of another does not speak.
        let failed = failed.filter(|error| !matches!(error, Error::Elsewhere { .. }));
        let failed = failed.map(Error::exit_code);
        let all = self.all(failed);
        match all.iter().position(Option::is_some) {
            Some(rank) if rank != self.rank() => {
                let status = all[rank].unwrap_or_default();
                Err(Error::Elsewhere { status })
            }
            _ => own,
        }
    }

    /// Makes sure that all ranks have the same of some things, each with its name.
    ///
    /// # Errors
    /// [`Error::Usage`] on the first rank that has something else than rank 0, and
    /// [`Error::Elsewhere`] on all others.
    pub fn same(&self, things: &[(&str, &str)]) -> Result<(), Error> {
        let own: Vec<String> = things.iter().map(|(_, own)| (*own).to_owned()).collect();
        let first = self.first(own.clone());
        let differs = things.iter().zip(&first).find(|((_, a), b)| a != b);
        self.agree(match differs {
            None => Ok(()),
            Some(((name, own), first)) => Err(Error::Usage(format!(
                "this rank and rank 0 have different {name}: {own} here, {first} there; give all \
                 ranks the same"
            ))),
        })
    }

    /// The signal to obey, where `own` is what this process has received. With several ranks it is
    /// the same on all of them, as of the last [`fold`](Ranks::fold).
    pub fn signal(&self, own: Arc<AtomicUsize>) -> Arc<AtomicUsize> {
        match &self.team {
            None => own,
            Some(team) => {
                team.own_signal.replace(own);
                Arc::clone(&team.signal)
            }
        }
    }

    /// The sum over the parts of all ranks, in their order: on each rank `add` adds, piece by piece,
    /// its own parts to what the ranks before have (on rank 0 it overwrites), and `target` is the
    /// whole sum on all ranks in the end. `count` does the same to a few whole numbers, the bits of a
    /// float among them.
    ///
    /// See `chain` for what goes where.
    pub fn fold(
        &self,
        target: &mut [f32],
        count: &mut dyn FnMut(&mut [u64; COUNTS]),
        add: &mut dyn FnMut(Range<usize>, &mut [f32]),
    ) -> [u64; COUNTS] {
        let Some(team) = &self.team else {
            let mut counts = [0; COUNTS];
            add(0..target.len(), target);
            count(&mut counts);
            return counts;
        };
        let own = team.own_signal.borrow().load(Ordering::Relaxed);
        let (counts, signal) = chain::fold(&team.link, target, own, count, add);
        team.signal.store(signal, Ordering::Relaxed);
        counts
    }

    /// Sends a value to a rank, which takes it by [`receive`](Ranks::receive).
    pub fn send<T: Serialize>(&self, to: usize, value: &T) {
        if let Some(team) = &self.team {
            team.link.send(to, &encode(value));
        }
    }

    /// A value that some rank has sent to this one, and that rank's number; none where nothing has
    /// come. All values of a program that are sent so are of one type.
    pub fn receive<T: DeserializeOwned>(&self) -> Option<(usize, T)> {
        let (from, bytes) = self.team.as_ref()?.link.poll()?;
        Some((from, decode(&bytes)))
    }

    /// Waits until all ranks have come here.
    pub fn wait(&self) {
        if let Some(team) = &self.team {
            team.link.wait();
        }
    }

    /// Ends all ranks at once, with this exit status. Returns where this process is alone.
    pub fn abort(&self, status: u8) {
        if let Some(team) = &self.team {
            team.link.abort(status);
        }
    }
}

/// Whole numbers that [`Ranks::fold`] sums.
pub const COUNTS: usize = 3;

/// What rank `rank` of `ranks` has of `parts` parts.
fn share(rank: usize, ranks: usize, parts: usize) -> Range<usize> {
    let workers = ranks.min(parts).max(1);
    let bound = |rank: usize| rank.min(workers) * parts / workers;
    bound(rank)..bound(rank + 1)
}

/// What goes from rank to rank, which are of one build, or compare their builds first.
fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    postcard::to_stdvec(value).expect("what ranks exchange can be written")
}

fn decode<T: DeserializeOwned>(bytes: &[u8]) -> T {
    postcard::from_bytes(bytes).expect("the ranks are of one build")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_has_one_rank_and_the_first_part_is_of_rank_0() {
        for ranks in 1..=20 {
            for parts in 0..=8 {
                let mut next = 0;
                for rank in 0..ranks {
                    let own = share(rank, ranks, parts);
                    assert_eq!(own.start, next, "rank {rank} of {ranks}, {parts} parts");
                    assert!(own.len() <= parts.div_ceil(ranks.min(parts).max(1)));
                    assert!(!own.is_empty() || rank >= parts);
                    next = own.end;
                }
                assert_eq!(next, parts);
            }
        }
    }

    #[test]
    fn one_process_has_all_and_hears_its_own_signal() {
        let ranks = Ranks::alone();
        assert_eq!((ranks.rank(), ranks.count(), ranks.own(8)), (0, 1, 0..8));
        assert_eq!((ranks.first(3), ranks.all(4)), (3, vec![4]));
        let own = Arc::new(AtomicUsize::new(0));
        let signal = ranks.signal(Arc::clone(&own));
        own.store(15, Ordering::Relaxed);
        assert_eq!(signal.load(Ordering::Relaxed), 15);
        assert!(ranks.receive::<u8>().is_none());
        let mut target = [0.0; 3];
        let counts = ranks.fold(&mut target, &mut |c| c[1] += 5, &mut |range, piece| {
            assert_eq!(range, 0..3);
            piece.fill(2.0);
        });
        assert_eq!((target, counts), ([2.0; 3], [0, 5, 0]));
    }
}
