//! Seconds, of a clock on the wall or of the processor.

use std::time::{Duration, Instant};

use cpu_time::ThreadTime;
use serde::Serialize;

/// What the seconds in steps are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Clock {
    /// Those of a clock on the wall.
    #[default]
    Wall,
    /// Those that the processor spent on the run's own thread, so for runs on one thread.
    Cpu,
}

/// A moment on a [`Clock`].
pub(super) enum Moment {
    Wall(Instant),
    Cpu(ThreadTime),
}

impl Clock {
    pub(super) fn now(self) -> Moment {
        match self {
            Clock::Wall => Moment::Wall(Instant::now()),
            Clock::Cpu => Moment::Cpu(ThreadTime::now()),
        }
    }
}

impl Moment {
    pub(super) fn elapsed(&self) -> Duration {
        match self {
            Moment::Wall(moment) => moment.elapsed(),
            Moment::Cpu(moment) => moment.elapsed(),
        }
    }
}
