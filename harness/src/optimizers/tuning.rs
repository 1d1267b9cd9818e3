//! What tuning may draw: a setting's key, and the distribution of its value.

use secant::Random;

/// A setting that tuning draws.
#[derive(Debug, Clone, Copy)]
pub struct Tunable {
    /// The setting.
    pub key: &'static str,
    /// Draws its value.
    pub draw: fn(&mut Random) -> f32,
}

/// A factor of the default learning rate: log-uniform, 1/8 to 8.
pub const RATE: Tunable = Tunable {
    key: "rate-factor",
    draw: |random| log_uniform(random, 0.125, 8.0) as f32,
};

/// `1 - beta2` log-uniform, 0.001 to 0.05.
pub const BETA2: Tunable = Tunable {
    key: "beta2",
    draw: |random| (1.0 - log_uniform(random, 1e-3, 5e-2)) as f32,
};

/// 0, 0.05, 0.1 or 0.2 of the run.
pub const WARM_UP: Tunable = Tunable {
    key: "warm-up",
    draw: |random| [0.0, 0.05, 0.1, 0.2][random.below(4) as usize],
};

/// `1 - momentum` log-uniform, 0.02 to 0.4.
pub const MOMENTUM: Tunable = Tunable {
    key: "momentum",
    draw: |random| (1.0 - log_uniform(random, 2e-2, 0.4)) as f32,
};

/// Weight decay log-uniform, 1e-3 to 0.3: for decoupled decay, which is scaled by the rate.
pub const DECAY: Tunable = Tunable {
    key: "weight-decay",
    draw: |random| log_uniform(random, 1e-3, 0.3) as f32,
};

/// First damping of Newton's method, log-uniform, 0.001 to 1.
pub const DAMPING: Tunable = Tunable {
    key: "damping",
    draw: |random| log_uniform(random, 1e-3, 1.0) as f32,
};

/// Share of a whole step, log-uniform, 0.1 to 1.
pub const SHARE: Tunable = Tunable {
    key: "learning-rate",
    draw: |random| log_uniform(random, 0.1, 1.0) as f32,
};

/// A number between `low` and `high` whose logarithm is uniform.
fn log_uniform(random: &mut Random, low: f64, high: f64) -> f64 {
    low * (high / low).powf(f64::from(random.uniform()))
}
