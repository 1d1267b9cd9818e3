//! `secant` with an optimiser of one's own beside the others, in this folder:
//!
//! `cargo run --release -- compare --optimizers adam,sign --tune 8`

use std::process::ExitCode;

use secant_harness::optimizers::own::*;

/// Steps of one length against the sign of the gradient; the length falls to 0 over the run.
#[derive(Debug, serde::Serialize)]
struct Sign {
    learning_rate: f32,
}

const SIGN: Entry = Entry {
    tuning: &[RATE],
    ..Entry::new(
        "sign",
        "Steps against the sign of the gradient",
        || names(KEYS),
        |_| {
            Box::new(Sign {
                learning_rate: 1e-3,
            })
        },
    )
};

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

    /// Floats that a run keeps: the gradient.
    fn memory_len(&self, network: &Net) -> usize {
        network.parameter_count()
    }

    fn start<'m>(
        &self,
        _network: &'m Net,
        _same_objective: bool,
        gradient: &'m mut [f32],
    ) -> Started<'m> {
        let rate = self.learning_rate;
        let update = By(
            move |factor: f32, parameters: &mut [f32], gradient: &[f32]| {
                for (w, g) in parameters.iter_mut().zip(gradient) {
                    *w -= factor * rate * g.signum();
                }
                Ok(())
            },
        );
        let schedule = ScheduleName::Linear.with_warm_up(0.1);
        Ok(Box::new(Scheduled {
            schedule,
            gradient,
            update,
        }))
    }
}

fn main() -> ExitCode {
    register(&SIGN).expect("the name is free");
    secant_harness::cli::main()
}
