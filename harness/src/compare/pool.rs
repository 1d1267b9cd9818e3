//! All runs of a comparison, several side by side.

use std::num::NonZeroUsize;
use std::sync::atomic::Ordering;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use super::arm::Arm;
use super::cache::{Cache, Place};
use super::runs::{Run, Runner};
use super::schedule::{Schedule, Task};
use super::share::Count;
use super::tune::{self, Candidates, Tuning};
use crate::config::RunConfig;
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

/// Makes all runs, those that are kept excepted, on `jobs` threads. Meanwhile `beside` may hand out
/// some of them to somebody else.
///
/// # Errors
/// The first one of a run.
pub fn make(
    runner: &Runner<'_>,
    cache: &Cache,
    (arms, seeds): (Vec<Arm>, &[u64]),
    jobs: NonZeroUsize,
    beside: impl FnOnce(&Pool<'_>),
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
        cache,
        samples,
        candidates,
        changed: Condvar::new(),
        state: Mutex::new(State {
            made: vec![None; schedule.tasks().len()],
            schedule,
            best: vec![None; arms.len()],
            arms,
            error: None,
        }),
    };
    thread::scope(|scope| {
        for _ in 0..jobs.get() {
            scope.spawn(|| pool.work());
        }
        beside(&pool);
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
    /// The setting of each arm that tuning chose.
    best: Vec<Option<usize>>,
    error: Option<Error>,
}

/// All runs, and who makes them.
pub struct Pool<'a> {
    /// Makes one.
    pub runner: &'a Runner<'a>,
    /// Finished runs.
    cache: &'a Cache,
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
                    Err(error) => return self.fail(&mut state, error),
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

    /// Ends all runs: one has failed.
    fn fail(&self, state: &mut State, error: Error) {
        state.error.get_or_insert(error);
        self.runner.failed.store(true, Ordering::Relaxed);
        self.changed.notify_all();
    }

    /// Whether no run is left to start, now or later.
    pub fn is_over(&self) -> bool {
        self.state().schedule.is_over()
    }

    /// The next run that is not kept, for somebody else to make: the task, its arm, which of the
    /// settings that the arm tries, and the seed.
    pub fn hand_out(&self) -> Option<(usize, usize, Option<usize>, u64)> {
        loop {
            let mut state = self.state();
            let task = state.schedule.take()?;
            let about = state.schedule.tasks()[task];
            let arm = self.arm(&state, about);
            let setting = about.trial.or(state.best[about.arm]);
            drop(state);
            let place = self.place(&arm, about);
            match place.and_then(|(_, place)| self.kept(&arm, about, &place)) {
                Ok(None) => {
                    self.runner.display.start(&arm, about.seed);
                    return Some((task, about.arm, setting, about.seed));
                }
                Ok(Some(run)) => {
                    self.done(&mut self.state(), task, run);
                    self.changed.notify_all();
                }
                Err(error) => {
                    self.fail(&mut self.state(), error);
                    return None;
                }
            }
        }
    }

    /// Keeps the run of a task that somebody else has made; `None` if it was stopped.
    pub fn take_in(&self, task: usize, made: Result<Option<String>, Error>) {
        let (about, arm) = {
            let state = self.state();
            let about = state.schedule.tasks()[task];
            (about, self.arm(&state, about))
        };
        let kept = made.and_then(|text| {
            let Some(text) = text else { return Ok(None) };
            let (_, place) = self.place(&arm, about)?;
            let run = self.keep(&arm, about, &place, &text)?;
            let steps = steps(self.samples, &arm);
            let test = self.runner.plan.measure.show(run.summary.test);
            self.runner.display.done(&arm, about.seed, steps, &test);
            Ok(Some(run))
        });
        let mut state = self.state();
        match kept {
            Ok(Some(run)) => self.done(&mut state, task, run),
            Ok(None) => {}
            Err(error) => self.fail(&mut state, error),
        }
        self.changed.notify_all();
    }

    /// The arm with the settings of a task.
    fn arm(&self, state: &State, task: Task) -> Arm {
        tune::with_setting(&self.candidates, &state.arms, task.arm, task.trial).clone()
    }

    /// The configuration of a task's run, and where it is kept.
    fn place(&self, arm: &Arm, task: Task) -> Result<(RunConfig, Place), Error> {
        let steps = steps(self.samples, arm);
        let config = self.runner.config(arm, task.seed, steps);
        let place = self.cache.place(arm, &config)?;
        Ok((config, place))
    }

    /// The run of a task, if it is there.
    fn kept(&self, arm: &Arm, task: Task, place: &Place) -> Result<Option<Run>, Error> {
        let Some(text) = place.read() else {
            return Ok(None);
        };
        self.runner.display.skip(steps(self.samples, arm));
        self.runner.events.done(arm, task.seed, true);
        let run = self.runner.read(task.arm, task.seed, &text, place)?;
        Ok(Some(run))
    }

    /// Keeps the run of a task that was made just now.
    fn keep(&self, arm: &Arm, task: Task, place: &Place, text: &str) -> Result<Run, Error> {
        place.write(text)?;
        self.runner.events.done(arm, task.seed, false);
        self.runner.read(task.arm, task.seed, text, place)
    }

    /// The run of a task: kept, or made, if it is one of our own, and then kept. `None` when it was
    /// stopped, or somebody else is to make it.
    fn run(&self, arm: &Arm, task: Task, own: bool) -> Result<Option<Run>, Error> {
        let (config, place) = self.place(arm, task)?;
        let kept = self.kept(arm, task, &place)?;
        // Kept runs are read even then, so that the table holds all that is known.
        if kept.is_some() || self.runner.stopped() {
            return Ok(kept);
        }
        if !own {
            self.runner.display.skip(steps(self.samples, arm));
            return Ok(None);
        }
        match self.runner.train(arm, &config)? {
            Some(text) => self.keep(arm, task, &place, &text).map(Some),
            None => Ok(None),
        }
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
            state.best[arm] = Some(tuning.best);
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
