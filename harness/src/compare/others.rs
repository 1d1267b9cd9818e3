//! Runs of a comparison on other ranks: rank 0 has the queue and the files, and gives each rank a
//! run at a time.
//!
//! ```text
//! rank 0                           rank r
//!          ---- Run ------------>    makes it
//!          <--- Done ------------    its record, which rank 0 keeps as it keeps its own
//!          <--- Signal ----------    asked to end: then so are all
//!          ---- Stop ------------>   ends the run that is under way
//!          ---- End ------------->   the comparison is over
//! ```
//! A rank that is lost takes the others with it (a rule of MPI). Whatever was done is kept, and the
//! same command goes on.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::arm::Arm;
use super::display::ComparisonDisplay;
use super::events::Events;
use super::plan::Plan;
use super::pool::Pool;
use super::runs::Runner;
use super::tune;
use super::{Compared, Error};
use crate::data::dataset::Dataset;
use crate::error::{EXIT_OK, EXIT_RUN};
use crate::ranks::Ranks;

/// How long one waits before one looks for a message again: short against a run, and long enough
/// that waiting takes no processor.
const PAUSE: Duration = Duration::from_millis(1);

/// What ranks say to each other.
#[derive(Debug, Serialize, Deserialize)]
enum Message {
    /// Make the run of this arm, with this of the settings that it tries, and this seed.
    Run {
        arm: usize,
        setting: Option<usize>,
        seed: u64,
    },
    /// The record of the run; nothing where it was stopped, and why where it failed.
    Done(Result<Option<String>, String>),
    /// This signal has come.
    Signal(usize),
    /// End the run that is under way.
    Stop,
    /// There is no more to do; whether all went well.
    End(bool),
}

/// On rank 0: gives runs to the others until none is left, while the pool's threads make theirs.
pub fn lead(pool: &Pool<'_>, ranks: &Ranks) {
    let mut at_work: Vec<Option<usize>> = vec![None; ranks.count()];
    let mut told = false;
    loop {
        while let Some((from, message)) = ranks.receive() {
            match message {
                Message::Done(made) => {
                    if let Some(task) = at_work[from].take() {
                        let made = made.map_err(|why| Error::Run(format!("rank {from}: {why}")));
                        pool.take_in(task, made);
                    }
                }
                Message::Signal(signal) => pool.runner.signal.store(signal, Ordering::Relaxed),
                _ => {}
            }
        }
        let stopped = pool.runner.stopped();
        for rank in 1..ranks.count() {
            if stopped || at_work[rank].is_some() {
                continue;
            }
            let Some((task, arm, setting, seed)) = pool.hand_out() else {
                break;
            };
            ranks.send(rank, &Message::Run { arm, setting, seed });
            at_work[rank] = Some(task);
        }
        let idle = at_work.iter().all(Option::is_none);
        if stopped && !told {
            for rank in (1..ranks.count()).filter(|rank| at_work[*rank].is_some()) {
                ranks.send(rank, &Message::Stop);
            }
            told = true;
        }
        if idle && (stopped || pool.is_over()) {
            return;
        }
        thread::sleep(PAUSE);
    }
}

/// On rank 0, in the end: sends the others home.
pub fn dismiss(ranks: &Ranks, well: bool) {
    for rank in 1..ranks.count() {
        ranks.send(rank, &Message::End(well));
    }
}

/// On another rank: makes the runs that rank 0 gives, until it is sent home.
///
/// # Errors
/// [`Error::Usage`] for settings that cannot be.
pub fn follow(
    plan: &Plan,
    dataset: &Dataset,
    arms: &[Arm],
    signal: &AtomicUsize,
    ranks: &Ranks,
) -> Result<Compared, Error> {
    let candidates = tune::candidates(plan, arms)?;
    let samples = Runner::samples(plan, dataset);
    let stop = AtomicBool::new(false);
    let runner = Runner {
        plan,
        events: &Events::default(),
        dataset,
        signal,
        failed: &stop,
        display: &ComparisonDisplay::new(plan.json, 0),
        constant: 0.0,
    };
    let make = |arm: usize, setting: Option<usize>, seed: u64| {
        let arm = tune::with_setting(&candidates, arms, arm, setting);
        let config = runner.config(arm, seed, Runner::iterations(samples, arm));
        let made = runner.train(arm, &config);
        made.map_err(|error| error.to_string())
    };
    let make = &make;
    let well = thread::scope(|scope| {
        let mut at_work = None;
        let mut told = false;
        loop {
            match ranks.receive() {
                Some((_, Message::Run { arm, setting, seed })) => {
                    at_work = Some(scope.spawn(move || make(arm, setting, seed)));
                }
                Some((_, Message::Stop)) => stop.store(true, Ordering::Relaxed),
                Some((_, Message::End(well))) => break well,
                _ => {}
            }
            if let Some(run) = at_work.take_if(|run| run.is_finished()) {
                let made = run
                    .join()
                    .unwrap_or_else(|why| std::panic::resume_unwind(why));
                ranks.send(0, &Message::Done(made));
            }
            let signal = signal.load(Ordering::Relaxed);
            if signal != 0 && !told {
                ranks.send(0, &Message::Signal(signal));
                told = true;
            }
            thread::sleep(PAUSE);
        }
    });
    Ok(Compared {
        status: if well { EXIT_OK } else { EXIT_RUN },
        json: well.then(String::new),
    })
}
