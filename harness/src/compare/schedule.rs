//! Which run comes next, where several go side by side.
//!
//! Tuning comes first, the longest runs ahead of the others, so that none is left over when all
//! others are done. The runs of the comparison follow in their own order, seed by seed, each
//! optimiser's as soon as its own tuning is done. A free processor takes the first that may start.

/// A run to be made.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Task {
    /// The arm.
    pub arm: usize,
    /// The setting that it tries, in tuning.
    pub trial: Option<usize>,
    /// The seed.
    pub seed: u64,
    /// How long it takes, in any unit.
    pub cost: f64,
}

/// How far a task is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Nobody has it.
    Waiting,
    /// Somebody is at work.
    Running,
    /// Done, or known from before.
    Done,
}

/// All runs and how far they are.
#[derive(Debug, Clone)]
pub struct Schedule {
    tasks: Vec<Task>,
    progress: Vec<Progress>,
    /// Of each arm, the tuning runs that are not done.
    untuned: Vec<usize>,
    /// Every task before is taken.
    first: usize,
}

impl Schedule {
    /// The tuning runs and the final runs of `arms` arms.
    pub fn new(arms: usize, mut tuning: Vec<Task>, runs: Vec<Task>) -> Schedule {
        tuning.sort_by(|a, b| b.cost.total_cmp(&a.cost));
        let mut untuned = vec![0; arms];
        for task in &tuning {
            untuned[task.arm] += 1;
        }
        tuning.extend(runs);
        Schedule {
            progress: vec![Progress::Waiting; tuning.len()],
            tasks: tuning,
            untuned,
            first: 0,
        }
    }

    /// All tasks, in order.
    pub fn tasks(&self) -> &[Task] {
        &self.tasks
    }

    /// Whether the arm's settings are known.
    pub fn is_tuned(&self, arm: usize) -> bool {
        self.untuned[arm] == 0
    }

    /// Takes the next task that may start.
    pub fn take(&mut self) -> Option<usize> {
        while self
            .progress
            .get(self.first)
            .is_some_and(|p| *p != Progress::Waiting)
        {
            self.first += 1;
        }
        let next = (self.first..self.tasks.len()).find(|t| {
            let task = self.tasks[*t];
            let ready = task.trial.is_some() || self.is_tuned(task.arm);
            ready && self.progress[*t] == Progress::Waiting
        })?;
        self.progress[next] = Progress::Running;
        Some(next)
    }

    /// Notes that a task is done; tells whether that was the last of its arm's tuning.
    pub fn done(&mut self, task: usize) -> bool {
        self.progress[task] = Progress::Done;
        let Task { arm, trial, .. } = self.tasks[task];
        if trial.is_some() {
            self.untuned[arm] -= 1;
        }
        trial.is_some() && self.is_tuned(arm)
    }

    /// Notes that a task's run cannot be had here. Those that need its arm's settings cannot either.
    pub fn give_up(&mut self, task: usize) {
        self.progress[task] = Progress::Done;
        let Task { arm, trial, .. } = self.tasks[task];
        if trial.is_some() {
            for (other, progress) in self.tasks.iter().zip(&mut self.progress) {
                if other.arm == arm && other.trial.is_none() {
                    *progress = Progress::Done;
                }
            }
        }
    }

    /// Whether no task is left to start, now or later.
    pub fn is_over(&self) -> bool {
        let mut rest = self.progress[self.first..].iter();
        rest.all(|progress| *progress != Progress::Waiting)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The time that `cores` processors take, each run taking its cost.
    fn makespan(mut schedule: Schedule, cores: usize) -> f64 {
        let mut running: Vec<(f64, usize)> = Vec::new();
        let mut now = 0.0;
        loop {
            while running.len() < cores
                && let Some(task) = schedule.take()
            {
                running.push((now + schedule.tasks()[task].cost, task));
            }
            running.sort_by(|a, b| b.0.total_cmp(&a.0));
            let Some((end, task)) = running.pop() else {
                assert!(schedule.is_over());
                return now;
            };
            now = end;
            schedule.done(task);
        }
    }

    /// CPU seconds of a run of two epochs of `micro` on Fashion-MNIST, AVX2, evaluations and the
    /// start of the program included, by batch: 16, 32, 64 and 128 samples (`adam`, `lbfgs`).
    const SECONDS: [[f64; 4]; 2] = [[2.88, 2.89, 2.82, 2.91], [3.19, 2.95, 2.88, 2.83]];

    /// `--tune 8`, 12 seeds, two optimisers; the settings' batches drawn by `random`.
    fn tuned_comparison(random: &mut secant::Random) -> Schedule {
        let (mut tuning, mut runs, mut best) = (Vec::new(), Vec::new(), [1, 1]);
        for arm in 0..2 {
            for trial in 0..8 {
                let batch = if trial == 0 {
                    1
                } else {
                    random.below(4) as usize
                };
                if trial == 5 {
                    best[arm] = batch;
                }
                tuning.extend((0..3).map(|seed| Task {
                    arm,
                    trial: Some(trial),
                    seed,
                    cost: SECONDS[arm][batch],
                }));
            }
        }
        for seed in 0..12 {
            runs.extend((0..2).map(|arm| Task {
                arm,
                trial: None,
                seed,
                cost: SECONDS[arm][best[arm]],
            }));
        }
        Schedule::new(2, tuning, runs)
    }

    #[test]
    fn sixteen_processors_are_kept_busy() {
        let mut random = secant::Random::new(0, 0);
        let speedups: Vec<f64> = (0..200)
            .map(|_| {
                let schedule = tuned_comparison(&mut random);
                makespan(schedule.clone(), 1) / makespan(schedule, 16)
            })
            .collect();
        let least = speedups.iter().copied().fold(f64::INFINITY, f64::min);
        let mean = speedups.iter().sum::<f64>() / 200.0;
        println!("16 processors over 1: {mean:.2}, at least {least:.2}");
        assert!(least >= 12.0, "{least}");
    }

    #[test]
    fn every_run_is_made_once_and_after_its_tuning() {
        let mut random = secant::Random::new(1, 0);
        for cores in [1, 2, 5, 100] {
            let mut schedule = tuned_comparison(&mut random);
            let (mut order, mut running) = (Vec::new(), Vec::new());
            while !schedule.is_over() || !running.is_empty() {
                while running.len() < cores
                    && let Some(task) = schedule.take()
                {
                    let Task { arm, trial, .. } = schedule.tasks()[task];
                    assert!(trial.is_some() || schedule.is_tuned(arm));
                    running.push(task);
                    order.push(task);
                }
                // Any of them may end first.
                let task = running.swap_remove(random.below(running.len() as u32) as usize);
                schedule.done(task);
            }
            let finals: Vec<u64> = order
                .iter()
                .map(|task| schedule.tasks()[*task])
                .filter(|task| task.trial.is_none() && task.arm == 0)
                .map(|task| task.seed)
                .collect();
            assert!(finals.is_sorted(), "seed by seed: {finals:?}");
            order.sort_unstable();
            assert!(order.into_iter().eq(0..48 + 24));
        }
    }
}
