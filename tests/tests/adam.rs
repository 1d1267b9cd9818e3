//! Adam against its definition in double precision, and the learning-rate schedules against their
//! formulas.

use secant::ConfigError;
use secant::optim::{Adam, AdamConfig, Annealing, Decay, Schedule};
use secant_tests::draw::Draw;
use secant_tests::tolerance;

/// Adam of one weight, straight from the papers: Kingma and Ba (algorithm 1), Loshchilov and Hutter
/// (algorithm 2).
struct Oracle {
    config: AdamConfig,
    step: i32,
    w: f64,
    m: f64,
    v: f64,
}

impl Oracle {
    fn step(&mut self, factor: f32, gradient: f32) {
        let of = |x: f32| f64::from(x);
        let AdamConfig {
            learning_rate,
            beta1,
            beta2,
            epsilon,
            weight_decay,
            decay,
            nesterov,
        } = self.config;
        let (b1, b2, rate) = (of(beta1), of(beta2), of(learning_rate) * of(factor));
        self.step += 1;
        let mut g = of(gradient);
        match decay {
            Decay::Coupled => g += of(weight_decay) * self.w,
            _ => self.w -= rate * of(weight_decay) * self.w,
        }
        self.m = b1 * self.m + (1.0 - b1) * g;
        self.v = b2 * self.v + (1.0 - b2) * g * g;
        let m_hat = self.m / (1.0 - b1.powi(self.step));
        let v_hat = self.v / (1.0 - b2.powi(self.step));
        let direction = if nesterov {
            b1 * m_hat + (1.0 - b1) * g
        } else {
            m_hat
        };
        self.w -= rate * direction / (v_hat.sqrt() + of(epsilon));
    }
}

fn configs() -> Vec<AdamConfig> {
    let mut configs = Vec::new();
    for weight_decay in [0.0, 0.02] {
        for decay in [Decay::Coupled, Decay::Decoupled] {
            for nesterov in [false, true] {
                let config = AdamConfig {
                    weight_decay,
                    decay,
                    nesterov,
                    ..AdamConfig::default()
                };
                configs.push(config);
                configs.push(AdamConfig {
                    learning_rate: 0.02,
                    beta1: 0.8,
                    beta2: 0.98,
                    epsilon: 1e-4,
                    ..config
                });
            }
        }
    }
    configs
}

#[test]
fn adam_agrees_with_its_definition() {
    // 37 weights fill no vector evenly. Each has gradients of its own size, from 1e-6 to 1e3, some
    // with a drift.
    const WEIGHTS: usize = 37;
    const STEPS: u32 = 200;
    let mut worst = 0.0;
    for config in configs() {
        let mut draw = Draw::new(1);
        let mut parameters: Vec<f32> = (0..WEIGHTS).map(|_| draw.symmetric()).collect();
        let mut memory = vec![0.0; Adam::memory_len(WEIGHTS)];
        let mut adam = Adam::new(config, WEIGHTS, &mut memory).expect("the settings are in range");
        let mut oracles: Vec<Oracle> = parameters
            .iter()
            .map(|w| Oracle {
                config,
                step: 0,
                w: f64::from(*w),
                m: 0.0,
                v: 0.0,
            })
            .collect();
        for step in 1..=STEPS {
            let factor = 1.0 - (step as f32) / 400.0;
            let gradient: Vec<f32> = (0..WEIGHTS)
                .map(|i| {
                    10.0f32.powi(i as i32 % 10 - 6) * (draw.symmetric() + (i % 3) as f32 * 0.2)
                })
                .collect();
            adam.step(factor, &mut parameters, &gradient)
                .expect("the lengths are right");
            for (oracle, gradient) in oracles.iter_mut().zip(&gradient) {
                oracle.step(factor, *gradient);
            }
            for (i, (found, oracle)) in parameters.iter().zip(&oracles).enumerate() {
                let memory =
                    1.0 / (1.0 - f64::from(config.beta1)) + 1.0 / (1.0 - f64::from(config.beta2));
                let update = f64::from(config.learning_rate) * memory;
                let bound =
                    f64::from(step) * tolerance::ROUNDING * (tolerance::ADAM_WEIGHT + update);
                let error = (f64::from(*found) - oracle.w).abs();
                worst = f64::max(worst, error / bound);
                assert!(
                    error <= bound,
                    "{config:?}, step {step}, weight {i}: {found}, expected {}",
                    oracle.w
                );
            }
        }
        assert_eq!(adam.steps(), STEPS);
        // The diagonal that a step has been multiplied by.
        let mut diagonal: Vec<f32> = vec![3.0; WEIGHTS];
        adam.precondition(&mut diagonal)
            .expect("the length is right");
        let correction = 1.0 - f64::from(config.beta2).powi(STEPS as i32);
        for (found, oracle) in diagonal.iter().zip(&oracles) {
            let expected = 3.0 / ((oracle.v / correction).sqrt() + f64::from(config.epsilon));
            let error = (f64::from(*found) - expected).abs();
            let bound = tolerance::ROUNDING * f64::from(STEPS) * expected;
            assert!(error <= bound, "{config:?}: {found}, expected {expected}");
        }
    }
    println!("largest error: {worst:.2} of what is allowed");
}

#[test]
fn the_first_step_is_the_learning_rate() {
    // m_hat = g and v_hat = g^2, whatever the decays: the step is r g / (|g| + e).
    for gradient in [1e-3, 1.0, -7.0, 1e4] {
        let (mut w, mut memory) = ([0.0], [0.0; 2]);
        let mut adam = Adam::new(AdamConfig::DEFAULT, 1, &mut memory).expect("it is long enough");
        adam.step(1.0, &mut w, &[gradient])
            .expect("the lengths are right");
        let expected = -1e-3 * f64::from(gradient).signum();
        assert!(
            (f64::from(w[0]) - expected).abs() < 1e-3 * 2e-5,
            "{gradient}: {}",
            w[0]
        );
    }
}

#[test]
fn moments_decay_to_zero_and_not_to_subnormal_numbers() {
    let config = AdamConfig {
        beta1: 0.5,
        beta2: 0.5,
        ..AdamConfig::default()
    };
    let (mut w, mut memory) = ([0.5], [0.0; 2]);
    let mut adam = Adam::new(config, 1, &mut memory).expect("it is long enough");
    adam.step(1.0, &mut w, &[1.0])
        .expect("the lengths are right");
    for _ in 0..200 {
        adam.step(1.0, &mut w, &[0.0])
            .expect("the lengths are right");
        let memory = adam.memory();
        assert!(
            memory.iter().all(|x| *x == 0.0 || x.is_normal()),
            "{memory:?}"
        );
    }
    assert_eq!(adam.memory(), [0.0; 2]);
    let rest = w;
    adam.step(1.0, &mut w, &[0.0])
        .expect("the lengths are right");
    assert_eq!(w, rest, "no gradient, no moment, no step");
}

#[test]
fn wrong_lengths_are_errors_and_change_nothing() {
    let mut w = [1.0, 2.0];
    let mut memory = [f32::NAN; 4];
    let little = Adam::new(AdamConfig::DEFAULT, 2, &mut memory[..3]);
    assert_eq!(
        little.err(),
        Some(ConfigError::TooShort {
            slice: "memory",
            needed: 4,
            found: 3
        })
    );
    let mut adam = Adam::new(AdamConfig::DEFAULT, 2, &mut memory).expect("it is long enough");
    assert_eq!(
        adam.step(1.0, &mut w, &[1.0]),
        Err(ConfigError::WrongLength {
            slice: "gradient",
            expected: 2,
            found: 1
        })
    );
    assert_eq!(
        adam.step(1.0, &mut w[..1], &[1.0, 1.0]),
        Err(ConfigError::WrongLength {
            slice: "parameters",
            expected: 2,
            found: 1
        })
    );
    assert_eq!(
        (w, adam.memory(), adam.steps()),
        ([1.0, 2.0], &[0.0; 4][..], 0)
    );
}

#[test]
fn a_not_a_number_stays_where_it_is() {
    let (mut w, mut memory) = ([1.0; 3], [0.0; 6]);
    let mut adam = Adam::new(AdamConfig::DEFAULT, 3, &mut memory).expect("it is long enough");
    adam.step(1.0, &mut w, &[1.0, f32::NAN, -1.0])
        .expect("the lengths are right");
    assert!(w[0] < 1.0 && w[1].is_nan() && w[2] > 1.0, "{w:?}");
}

#[test]
fn schedules_follow_their_formulas() {
    let schedule = |annealing, warm_up| Schedule { annealing, warm_up };
    for (schedule, step, total, expected) in [
        (schedule(Annealing::Constant, 0.0), 0, 10, 1.0),
        (schedule(Annealing::Constant, 0.0), 9, 10, 1.0),
        (schedule(Annealing::Linear, 0.0), 0, 10, 1.0),
        (schedule(Annealing::Linear, 0.0), 5, 10, 0.5),
        (schedule(Annealing::Linear, 0.0), 9, 10, 0.1),
        (schedule(Annealing::Cosine, 0.0), 0, 10, 1.0),
        (schedule(Annealing::Cosine, 0.0), 5, 10, 0.5),
        (schedule(Annealing::Cosine, 0.0), 9, 10, 0.024_471_742),
        // The warm-up of two steps of ten, then eight that fall.
        (schedule(Annealing::Linear, 0.2), 0, 10, 0.5),
        (schedule(Annealing::Linear, 0.2), 1, 10, 1.0),
        (schedule(Annealing::Linear, 0.2), 2, 10, 1.0),
        (schedule(Annealing::Linear, 0.2), 6, 10, 0.5),
        // Past the end, and a run of no steps.
        (schedule(Annealing::Linear, 0.0), 12, 10, 0.0),
        (schedule(Annealing::Cosine, 0.0), 0, 0, 1.0),
    ] {
        let found = schedule.factor(step, total);
        assert!(
            (found - expected).abs() < 1e-6,
            "{schedule:?} at {step} of {total}: {found}, expected {expected}"
        );
    }
}
