//! How far a comparison is: a bar on a terminal, a line for each run elsewhere.

use std::io::{self, IsTerminal};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::arm::Arm;
use crate::report::{say, speaks};

/// Shows how far all runs are, from whichever thread makes them.
pub struct ComparisonDisplay {
    json: bool,
    bar: Option<ProgressBar>,
    total: u64,
    /// Steps of runs that are done or were there already.
    before: AtomicU64,
    /// Steps of runs that were made.
    computed: AtomicU64,
    started: Instant,
}

impl ComparisonDisplay {
    /// A display of `total` steps.
    pub fn new(json: bool, total: u64) -> ComparisonDisplay {
        let bar = (speaks() && io::stderr().is_terminal()).then(|| {
            let bar =
                ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr_with_hz(5));
            if let Ok(style) = ProgressStyle::with_template(
                "{msg} {wide_bar:.cyan/dim} {elapsed} gone, {eta} left",
            ) {
                bar.set_style(style.progress_chars("━╸─"));
            }
            bar
        });
        ComparisonDisplay {
            json,
            bar,
            total,
            before: AtomicU64::new(0),
            computed: AtomicU64::new(0),
            started: Instant::now(),
        }
    }

    /// A run of so many steps was there already.
    pub fn skip(&self, steps: u64) {
        self.before.fetch_add(steps, Ordering::Relaxed);
        if let Some(bar) = &self.bar {
            bar.inc(steps);
        }
    }

    /// A run begins.
    pub fn start(&self, arm: &Arm, seed: u64) {
        if let Some(bar) = &self.bar {
            bar.set_message(format!("{}, seed {seed}", arm.name));
        }
    }

    /// A step was made.
    pub fn step(&self) {
        if let Some(bar) = &self.bar {
            bar.inc(1);
        }
    }

    /// A run of so many steps is done; its figure on the test samples.
    pub fn done(&self, arm: &Arm, seed: u64, steps: u64, test: &str) {
        let before = self.before.fetch_add(steps, Ordering::Relaxed) + steps;
        let computed = self.computed.fetch_add(steps, Ordering::Relaxed) + steps;
        let left = self.total.saturating_sub(before) as f64;
        let pace = self.started.elapsed().as_secs_f64() / computed as f64;
        let left = Duration::from_secs_f64((left * pace).clamp(0.0, 1e9));
        let line = format!(
            "{:<28} seed {seed:<4} test {test}   {} s left",
            arm.name,
            left.as_secs()
        );
        match &self.bar {
            Some(bar) => bar.suspend(|| say(self.json, &line)),
            None => say(self.json, &line),
        }
    }

    /// Takes the bar away.
    pub fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
