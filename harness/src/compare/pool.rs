//! All runs of a comparison, several side by side.

use std::num::NonZeroUsize;
use std::sync::atomic::Ordering;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use super::arm::Arm;
use super::runs::{Run, Runner};
use super::schedule::{Schedule, Task};
use super::share::Count;
use super::tune::{self, Candidates, Tuning};
use crate::error::Error;

/// What came of all runs.
pub struct Made {
    /// What tuning found; empty where nothing was tuned.
    pub tunings: Vec<Tuning>,
    /// The arms with the settings that tuning chose.
    pub arms: Vec<Arm>,
    /// The runs of the comparison that were made, seed by seed.
    pub runs: Vec<Run>,
    /// Whether all tuning was done, so that every run has the settings that it should have.
    pub tuned: bool,
    /// All runs, those of tuning among them, and of these the ones that are to be made here.
    pub all: Count,
    pub own: Count,
    /// Names of those that are not known.
    pub missing: Vec<String>,
}

/// Makes all runs, those that are kept excepted, on `jobs` threads.
///
/// # Errors
/// The first one of a run.
pub fn make(
    runner: &Runner<'_>,
    arms: Vec<Arm>,
    seeds: &[u64],
    jobs: NonZeroUsize,
) -> Result<Made, Error> {
    let samples = Runner::samples(runner.plan, runner.dataset);
    let candidates = tune::candidates(runner.plan, &arms)?;
    let cost = |arm: &Arm| arm.epochs * samples as f64 + 20.0 * steps(samples, arm) as f64;
    let tuning = tune::tasks(&candidates, cost);
    let runs = seeds.iter().flat_map(|seed| {
        arms.iter().enumerate().map(|(a, arm)| Task {
            arm: a,
            trial: None,
            seed: *seed,
            cost: cost(arm),
        })
    });
    let schedule = Schedule::new(arms.len(), tuning, runs.collect());
    let pool = Pool {
        runner,
        samples,
        candidates,
        changed: Condvar::new(),
        state: Mutex::new(State {
            made: vec![None; schedule.tasks().len()],
            schedule,
            arms,
            error: None,
        }),
    };
    thread::scope(|scope| {
        for _ in 0..jobs.get() {
            scope.spawn(|| pool.work());
        }
    });
    pool.finish()
}

fn steps(samples: usize, arm: &Arm) -> u64 {
    Runner::iterations(samples, arm)
}

struct State {
    schedule: Schedule,
    /// The run of each task.
    made: Vec<Option<Run>>,
    arms: Vec<Arm>,
    error: Option<Error>,
}

struct Pool<'a> {
    runner: &'a Runner<'a>,
    samples: usize,
    candidates: Vec<Candidates>,
    state: Mutex<State>,
    /// Something is done, so that something else may start.
    changed: Condvar,
}

/// Sends the other threads home when one ends by a panic: they would wait for its run.
struct Alarm<'a>(&'a Pool<'a>);

impl Drop for Alarm<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.runner.failed.store(true, Ordering::Relaxed);
            self.0.changed.notify_all();
        }
    }
}

impl Pool<'_> {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A thread's work, until nothing is left or somebody wants to stop.
    fn work(&self) {
        let _alarm = Alarm(self);
        let mut state = self.state();
        loop {
            if let Some(task) = state.schedule.take() {
                let about = state.schedule.tasks()[task];
                let arm = self.arm(&state, about);
                drop(state);
                let own = self.runner.plan.share.owns(task);
                let made = self.run(&arm, about, own);
                state = self.state();
                match made {
                    Ok(Some(run)) => self.done(&mut state, task, run),
                    Ok(None) if !own => state.schedule.give_up(task),
                    // Stopped. Those that are kept are still read.
                    Ok(None) => {}
                    Err(error) => {
                        state.error.get_or_insert(error);
                        self.runner.failed.store(true, Ordering::Relaxed);
                        return self.changed.notify_all();
                    }
                }
                self.changed.notify_all();
            } else if state.schedule.is_over() || self.runner.stopped() {
                return;
            } else {
                // Woken without reason, it looks again.
                state = match self.changed.wait(state) {
                    Ok(state) => state,
                    Err(poisoned) => poisoned.into_inner(),
                };
            }
        }
    }

    /// The arm with the settings of a task.
    fn arm(&self, state: &State, task: Task) -> Arm {
        let own = self.candidates.iter().find(|own| own.arm == task.arm);
        match (task.trial, own) {
            (Some(trial), Some(own)) => own.settings[trial].clone(),
            _ => state.arms[task.arm].clone(),
        }
    }

    /// The run of a task: kept, or made, if it is one of our own, and then kept. `None` when it was
    /// stopped, or somebody else is to make it.
    fn run(&self, arm: &Arm, task: Task, own: bool) -> Result<Option<Run>, Error> {
        let steps = steps(self.samples, arm);
        let (config, place) = self.runner.place(arm, task.seed, steps)?;
        let text = match place.read() {
            Some(text) => {
                self.runner.display.skip(steps);
                self.runner.events.done(arm, task.seed, true);
                text
            }
            // Kept runs are read even then, so that the table holds all that is known.
            None if self.runner.stopped() => return Ok(None),
            None if !own => {
                self.runner.display.skip(steps);
                return Ok(None);
            }
            None => match self.runner.train(arm, &config)? {
                Some(text) => {
                    place.write(&text)?;
                    self.runner.events.done(arm, task.seed, false);
                    text
                }
                None => return Ok(None),
            },
        };
        self.runner
            .read(task.arm, task.seed, &text, &place)
            .map(Some)
    }

    /// Notes a run, and the choice of settings where it was the last that was needed for it.
    fn done(&self, state: &mut State, task: usize, run: Run) {
        state.made[task] = Some(run);
        let arm = state.schedule.tasks()[task].arm;
        if state.schedule.done(task)
            && let Some(own) = self.candidates.iter().find(|own| own.arm == arm)
        {
            let tuning = self.tuning(state, own);
            state.arms[arm] = own.settings[tuning.best].clone();
        }
    }

    /// What tuning an arm has found, all its runs being done.
    fn tuning(&self, state: &State, own: &Candidates) -> Tuning {
        let tasks = state.schedule.tasks().iter().zip(&state.made);
        let made = tasks.filter_map(|(task, run)| {
            let trial = task.trial.filter(|_| task.arm == own.arm)?;
            Some((trial, task.seed, run.as_ref()?))
        });
        tune::judge(self.runner.plan.measure, own, made.collect())
    }

    fn finish(self) -> Result<Made, Error> {
        let state = self.state();
        let tuned = (0..state.arms.len()).all(|arm| state.schedule.is_tuned(arm));
        let tunings = match tuned {
            true => {
                let all = self.candidates.iter();
                all.map(|own| self.tuning(&state, own)).collect()
            }
            false => Vec::new(),
        };
        drop(state);
        let state = self.state.into_inner();
        let state = state.unwrap_or_else(PoisonError::into_inner);
        if let Some(error) = state.error {
            return Err(error);
        }
        let (mut all, mut own, mut missing) = (Count::default(), Count::default(), Vec::new());
        for (t, (task, run)) in state.schedule.tasks().iter().zip(&state.made).enumerate() {
            let known = run.is_some();
            all.add(known);
            if self.runner.plan.share.owns(t) {
                own.add(known);
            }
            if !known {
                let what = if task.trial.is_some() {
                    "tuning of "
                } else {
                    ""
                };
                let arm = &state.arms[task.arm];
                missing.push(format!("{what}{} with seed {}", arm.name, task.seed));
            }
        }
        let tasks = state.schedule.tasks().iter().zip(state.made);
        let runs = tasks.filter_map(|(task, run)| run.filter(|_| task.trial.is_none()));
        Ok(Made {
            tunings,
            tuned,
            all,
            own,
            missing,
            runs: runs.collect(),
            arms: state.arms,
        })
    }
}
