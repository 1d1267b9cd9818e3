//! An optimiser of your own beside those of this program: a settings struct, a step, and a line in
//! `main`. Everything that `secant` can do, this program can do with it:
//!
//! `cargo run --release -p secant-tests --example own_optimizer -- compare --optimizers adam,sign`

use std::process::ExitCode;

use secant::ConfigError;
use secant_harness::model::Net;
use secant_harness::optimizers::settings::{
    DeviceMemory, Entry, Keys, Serves, Settings, names, set,
};
use secant_harness::optimizers::step::{BatchLoss, Stepped, Stepper};
use secant_harness::optimizers::{register, tuning::RATE, values::positive};

/// Steps of one length against the sign of the gradient, which fall to zero over the run.
const SIGN: Entry = Entry {
    name: "sign",
    about: "Steps against the sign of the gradient",
    serves: Serves::Any,
    batch: 32,
    benched: false,
    keys: || names(KEYS),
    tuning: &[RATE],
    defaults: |_| {
        Box::new(Sign {
            learning_rate: 1e-3,
        })
    },
};

#[derive(Debug, serde::Serialize)]
struct Sign {
    learning_rate: f32,
}

const KEYS: Keys<Sign> = &[
    ("learning-rate", |s, text| {
        positive(text).map(|x| s.learning_rate = x)
    }),
    ("rate-factor", |s, text| {
        positive(text).map(|x| s.learning_rate *= x)
    }),
];

impl Settings for Sign {
    fn set(&mut self, key: &str, value: &str) -> Result<(), String> {
        set(KEYS, self, key, value)
    }

    fn rate(&self) -> f32 {
        self.learning_rate
    }

    fn memory_len(&self, network: &Net) -> usize {
        network.parameter_count()
    }

    fn start<'m>(
        &self,
        _network: &'m Net,
        _same_objective: bool,
        gradient: &'m mut [f32],
    ) -> Result<Box<dyn Stepper + 'm>, ConfigError> {
        let rate = self.learning_rate;
        Ok(Box::new(Running { rate, gradient }))
    }

    fn device(&self, _network: &Net, _lanes: usize) -> Option<DeviceMemory> {
        None
    }
}

struct Running<'m> {
    rate: f32,
    gradient: &'m mut [f32],
}

impl Stepper for Running<'_> {
    fn step(
        &mut self,
        loss: &mut BatchLoss<'_>,
        (step, steps): (u32, u32),
        parameters: &mut [f32],
    ) -> Result<Stepped, ConfigError> {
        let loss = loss.gradient(parameters, self.gradient).mean_loss();
        let length = self.rate * (1.0 - step as f32 / steps as f32);
        for (w, g) in parameters.iter_mut().zip(self.gradient.iter()) {
            *w -= length * g.signum();
        }
        Ok(Stepped { loss, ended: None })
    }
}

fn main() -> ExitCode {
    register(&SIGN).expect("the name is free");
    secant_harness::cli::main()
}
