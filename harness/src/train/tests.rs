use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::time::Instant;

use secant::network::Init;

use super::checkpoint::Checkpoint;
use super::*;
use crate::cli::{Cli, Command};
use crate::data::dataset::Task;
use crate::data::open::{Location, load};
use crate::data::predict::Predict;

/// The configuration that these words of a command line stand for.
fn config(words: &str) -> RunConfig {
    use clap::Parser;
    let words = ["secant", "train", "--threads", "1"]
        .into_iter()
        .chain(words.split(' '));
    let Command::Train(args) = Cli::try_parse_from(words).unwrap().command else {
        panic!("the words begin with train")
    };
    args.resolve(Task::FASHION_MNIST).unwrap()
}

/// 200 training and 100 test samples.
fn dataset() -> Dataset {
    let (train, test) = crate::data::synthetic::generate(200, 100, 1);
    Dataset::new(
        "tiny".to_owned(),
        "drawn".to_owned(),
        crate::data::synthetic::SHAPE,
        (0..10).map(|class| class.to_string()).collect(),
        (train, test),
        Vec::new(),
    )
}

/// Breaks at one iteration and notes every record.
struct Watch {
    break_at: u32,
    records: Vec<Record>,
}

impl Observer for Watch {
    fn iteration(&mut self, status: &RunStatus) -> ControlFlow<()> {
        if status.iteration == self.break_at {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    }

    fn record(&mut self, record: &Record) {
        self.records.push(*record);
    }
}

#[test]
fn a_stopped_run_goes_on_to_the_same_bits() {
    let dataset = dataset();
    for words in [
        "--model conv4k5s3,relu,dropout0.2,linear10 --batch 30 --epochs 3",
        "--model conv4k5s3,relu,linear10 --batch 30 --epochs 3 --optimizer lbfgs",
        "--model conv4k5s3,relu,linear10 --batch full --epochs 8 --optimizer lbfgs",
    ] {
        let config = config(words);
        let whole = train(&config, &dataset, &mut ()).unwrap();
        assert_eq!(whole.stop, StopReason::Epochs);
        // At the first step, within an epoch, at its end, and at the very last step.
        for break_at in [1, 4, 6, whole.iterations] {
            let mut memory = Trainer::memory(&config);
            let mut trainer = Trainer::new(&config, &dataset, &mut memory).unwrap();
            let mut watch = Watch {
                break_at,
                records: vec![],
            };
            assert_eq!(trainer.run(&mut watch).unwrap(), StopReason::Interrupted);
            assert_eq!(
                watch.records.last().map(|record| record.iteration),
                Some(break_at)
            );
            watch.break_at = 0;
            assert_eq!(trainer.run(&mut watch).unwrap(), StopReason::Epochs);
            let resumed = trainer.finish();
            assert_eq!(
                resumed.final_sha256, whole.final_sha256,
                "{words}, stopped at {break_at}"
            );
            assert_eq!(resumed.gradient_epochs, whole.gradient_epochs);
            assert_eq!(resumed.epochs, config.epochs);
            assert_eq!(resumed.validation, whole.validation);
        }
    }
}

/// Takes the checkpoint at one iteration, as bytes, and stops there.
struct Stop {
    at: u32,
    bytes: Option<Vec<u8>>,
}

impl Observer for Stop {
    fn iteration(&mut self, status: &RunStatus) -> ControlFlow<()> {
        match status.iteration == self.at {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    }

    fn between(&mut self, run: &Trainer<'_>, stopping: bool) {
        if stopping {
            self.bytes = run.checkpoint().map(|checkpoint| checkpoint.encode("this"));
        }
    }
}

/// All of an outcome but what depends on the clock, the weights that are kept among it.
fn timeless(outcome: &Outcome) -> String {
    let mut outcome = outcome.clone();
    (outcome.seconds, outcome.train_seconds) = (0.0, 0.0);
    for record in &mut outcome.history {
        (record.seconds, record.train_seconds) = (0.0, 0.0);
    }
    format!("{outcome:?}")
}

#[test]
fn a_run_made_anew_goes_on_from_a_checkpoint_to_the_same_bits() {
    let dataset = dataset();
    let small = "--model conv4k5s3,relu,linear10 --tolerance 0";
    let mut all: Vec<String> = crate::optimizers::named()
        .map(|entry| format!("{small} --batch 30 --epochs 3 --optimizer {}", entry.name))
        .collect();
    for words in [
        "--batch full --epochs 12 --optimizer lbfgs --history 4",
        "--batch 30 --epochs 3 --optimizer lbfgs --no-guard --patience 2",
        "--batch 30 --epochs 3 --optimizer lbfgs-seed:across-batches=no --repair line-search",
        "--batch 30 --epochs 3 --optimizer lbfgs-flat:pairs=products:pair-every=3",
        // The guard takes it back.
        "--batch 16 --max-iter 20 --optimizer lbfgs --learning-rate 10 --schedule constant",
        "--batch 30 --max-iter 13 --validation 0",
    ] {
        all.push(format!("{small} {words}"));
    }
    all.push("--model conv4k5s3,relu,dropout0.3,linear10 --batch 30 --epochs 3".to_owned());
    // With averaged weights; of the second the guard takes it back, so that they begin anew.
    for words in [
        "--batch 30 --epochs 3 --optimizer lbfgs --average 0.2",
        "--batch 16 --max-iter 20 --optimizer lbfgs --learning-rate 10 --schedule constant \
         --average 0.1",
        "--batch full --epochs 12 --optimizer lbfgs --average 1 --validation 0",
    ] {
        all.push(format!("{small} {words}"));
    }
    // A stop by the change of the loss, at the end of an epoch.
    all.push("--model pool4,linear10 --batch 30 --epochs 9 --tolerance 0.2".to_owned());
    for words in all {
        let config = config(&words);
        let whole = train(&config, &dataset, &mut ()).unwrap();
        let last = whole.iterations;
        for at in [1, 4, 6, 7, 11, last] {
            let mut stop = Stop { at, bytes: None };
            let mut memory = Trainer::memory(&config);
            let mut trainer = Trainer::new(&config, &dataset, &mut memory).unwrap();
            trainer.run(&mut stop).unwrap();
            let Some(bytes) = stop.bytes else {
                // It ended there by itself.
                assert!(at >= last, "{words}: no checkpoint at {at}");
                continue;
            };
            let interrupted = trainer.finish();
            assert_eq!(interrupted.stop, StopReason::Interrupted);
            let (build, checkpoint) = Checkpoint::decode(&bytes).unwrap();
            assert_eq!((build.as_str(), checkpoint.iterations()), ("this", at));
            let mut memory = Trainer::memory(&config);
            // What the memory held must not matter.
            memory.fill(f32::NAN);
            let mut anew = Trainer::new(&config, &dataset, &mut memory).unwrap();
            anew.restore(checkpoint).unwrap();
            let again = anew.checkpoint().unwrap();
            assert_eq!(again.iterations(), at);
            let stepping = anew.stepping;
            anew.run(&mut ()).unwrap();
            let resumed = anew.finish();
            assert_eq!(timeless(&resumed), timeless(&whole), "{words}, at {at}");
            assert!(resumed.train_seconds >= stepping.as_secs_f64());
            assert!(resumed.seconds >= resumed.train_seconds);
        }
    }
}

#[test]
fn a_checkpoint_that_does_not_fit_is_refused() {
    let dataset = dataset();
    let words = "--model conv4k5s3,relu,linear10 --batch 30 --epochs 3";
    let (own, other) = (config(words), config(&format!("{words} --seed 1")));
    let mut stop = Stop { at: 4, bytes: None };
    let mut memory = Trainer::memory(&own);
    let mut trainer = Trainer::new(&own, &dataset, &mut memory).unwrap();
    trainer.run(&mut stop).unwrap();
    let bytes = stop.bytes.unwrap();
    let refusal = |config: &RunConfig, bytes: &[u8]| {
        let mut memory = Trainer::memory(config);
        let mut anew = Trainer::new(config, &dataset, &mut memory).unwrap();
        anew.restore(Checkpoint::decode(bytes).unwrap().1)
    };
    assert_eq!(refusal(&own, &bytes), Ok(()));
    let said = refusal(&other, &bytes).unwrap_err();
    assert_eq!(said, "is of a run with other settings: 'seed' differs");
    // The number of threads changes no bit.
    let threads = NonZeroUsize::new(3).unwrap();
    let own = RunConfig {
        threads,
        ..own.clone()
    };
    assert_eq!(refusal(&own, &bytes), Ok(()));
}

/// Sums the weights after each step.
#[derive(Default)]
struct Sum {
    sum: Vec<f64>,
    steps: u32,
}

impl Observer for Sum {
    fn between(&mut self, run: &Trainer<'_>, _: bool) {
        self.sum.resize(run.parameters().len(), 0.0);
        for (sum, w) in self.sum.iter_mut().zip(run.parameters()) {
            *sum += f64::from(*w);
        }
        self.steps += 1;
    }
}

#[test]
fn averaged_weights_are_the_mean_and_change_nothing_else() {
    let dataset = dataset();
    let words = "--model conv4k5s3,relu,linear10 --batch 30 --epochs 4 --tolerance 0";
    let plain = train(&config(words), &dataset, &mut ()).unwrap();
    assert!(plain.average.is_none());
    let config = config(&format!("{words} --average 1"));
    let mut sum = Sum::default();
    let outcome = train(&config, &dataset, &mut sum).unwrap();
    assert_eq!(outcome.final_sha256, plain.final_sha256);
    // The observer does not see the last step, since the run has stopped there.
    let seen = f64::from(sum.steps);
    assert_eq!(
        sum.steps + u32::from(sum.steps < outcome.iterations),
        outcome.iterations
    );
    let average = outcome.average.unwrap();
    for (i, w) in average.parameters.iter().enumerate() {
        let last = match sum.steps < outcome.iterations {
            true => f64::from(outcome.parameters[i]),
            false => 0.0,
        };
        let mean = (sum.sum[i] + last) / f64::from(outcome.iterations);
        assert!((f64::from(*w) - mean).abs() < 1e-6, "{w} {mean} {seen}");
    }
    // What is told of it is of these weights, not of the last ones.
    let score = |parameters: &[f32]| {
        let mut engine = Engine::new(
            config.model.network,
            Arc::clone(&dataset.test),
            dataset.scalings.clone(),
            Vec::new(),
            1,
        );
        let all: Vec<u32> = (0..dataset.test.len() as u32).collect();
        let samples = (&*dataset.test, all.as_slice());
        score::score(
            &mut engine,
            parameters,
            samples,
            &dataset,
            Measure::Accuracy,
        )
        .score
    };
    assert_eq!(average.test, score(&average.parameters));
    assert_ne!(average.test.loss, score(&outcome.parameters).loss);
    let last = outcome.history.last().unwrap();
    assert_eq!(last.average, average.validation);
    assert!(average.validation.is_some() && outcome.history.iter().all(|r| r.average.is_some()));
}

#[test]
fn epochs_iterations_and_records_are_counted() {
    let dataset = dataset();
    // 160 samples to train on: three steps an epoch.
    let config = config("--model pool4,linear10 --batch 64 --epochs 4 --max-iter 7");
    let mut watch = Watch {
        break_at: 0,
        records: vec![],
    };
    let outcome = train(&config, &dataset, &mut watch).unwrap();
    assert_eq!(
        (outcome.stop, outcome.epochs, outcome.iterations),
        (StopReason::MaxIterations, 2, 7)
    );
    let seen: Vec<_> = watch
        .records
        .iter()
        .map(|r| (r.epoch, r.iteration, r.gradient_epochs))
        .collect();
    assert_eq!(seen, [(1, 3, 1.0), (2, 6, 2.0), (3, 7, 2.4)]);
    assert_eq!(outcome.history, watch.records);
    assert_eq!(outcome.gradient_epochs, 2.4);
    assert_eq!((outcome.train.count, outcome.test.count), (160, 100));
    assert_eq!(outcome.validation.map(|tally| tally.count), Some(40));
    assert!(
        outcome
            .history
            .windows(2)
            .all(|pair| pair[0].seconds <= pair[1].seconds)
    );
    assert!(
        outcome
            .history
            .iter()
            .all(|record| record.train_seconds <= record.seconds)
    );
}

#[test]
fn a_run_with_a_loss_that_is_not_finite_has_diverged() {
    let dataset = dataset();
    let config = config("--model conv4k5s3,relu,linear10 --learning-rate 1e30 --schedule constant");
    let outcome = train(&config, &dataset, &mut ()).unwrap();
    assert_eq!(outcome.stop, StopReason::Diverged);
    assert!(outcome.diverged() && outcome.collapsed());
}

/// An outcome to be judged: a run of a second on balanced classes.
fn judged() -> Outcome {
    let config = RunConfig {
        epochs: 1,
        init: Init::He,
        threads: NonZeroUsize::MIN,
        ..config("--model pool4,linear10 --batch 64")
    };
    train(&config, &dataset(), &mut ()).unwrap()
}

fn accuracy(value: f64) -> Score {
    Score {
        loss: 0.5,
        count: 1000,
        measure: Measure::Accuracy,
        value,
        r_squared: None,
    }
}

#[test]
fn collapse_is_judged_by_what_a_constant_answer_gets() {
    let mut outcome = judged();
    let uniform = 10f64.ln();
    let guess = outcome.train_guess;
    assert!((guess.loss - uniform).abs() < 1e-12 && guess.value == 0.1);
    assert_eq!(outcome.guess.value, 0.1, "on the validation samples");

    let record = outcome.history[0];
    // Share of the most frequent class, best accuracy before, last accuracy, collapsed?
    for (share, best, last, expected) in [
        (0.1, 0.9, 0.9, false),
        (0.1, 0.9, 0.801, false),
        (0.1, 0.9, 0.799, true),
        (0.1, 0.1, 0.95, false),
        // Two classes of one size: 52 % is nothing, 56 % is something.
        (0.5, 0.52, 0.52, true),
        (0.5, 0.56, 0.56, false),
        // A hundred classes: 30 % is a lot.
        (0.01, 0.3, 0.3, false),
        (0.01, 0.1, 0.1, true),
        // Nineteen of twenty samples in one class: its share is nothing.
        (0.95, 0.95, 0.95, true),
        (0.95, 0.96, 0.96, false),
        // One class only: there is nothing to gain, but one can lose.
        (1.0, 1.0, 1.0, false),
        (1.0, 1.0, 0.5, true),
    ] {
        outcome.history = vec![Record {
            validation: Some(accuracy(best)),
            ..record
        }];
        outcome.guess.value = share;
        outcome.validation = Some(accuracy(last));
        outcome.train = accuracy(0.9);
        assert_eq!(outcome.collapsed(), expected, "{share}, {best}, {last}");
        outcome.train.loss = f64::NAN;
        assert!(outcome.collapsed(), "a loss that is not finite");
    }

    // Without validation samples the test samples stand in.
    outcome.train = accuracy(0.9);
    outcome.history = vec![Record {
        validation: None,
        ..record
    }];
    outcome.validation = None;
    outcome.guess.value = 0.1;
    for (value, expected) in [(0.18, true), (0.2, false)] {
        outcome.test = accuracy(value);
        assert_eq!(outcome.collapsed(), expected);
    }
    // Class weights may cost accuracy.
    outcome.test = accuracy(0.15);
    outcome.weighted = true;
    assert!(!outcome.collapsed());
    // Sure and wrong: right often enough, but worse than saying nothing.
    outcome.test = accuracy(0.8);
    outcome.train.loss = uniform + 0.01;
    assert!(outcome.collapse().unwrap().contains("its training loss"));
    outcome.train.loss = uniform - 0.01;
    assert_eq!(outcome.collapse(), None);
}

#[test]
fn collapse_of_a_regression_is_judged_by_its_errors() {
    let mut outcome = judged();
    let score = |value, r_squared| Score {
        measure: Measure::Rmse,
        value,
        r_squared,
        ..accuracy(0.0)
    };
    let record = outcome.history[0];
    // R squared on the training samples; RMSE on the validation samples at best, and last;
    // collapsed?
    for (train, best, last, expected) in [
        (Some(0.9), 10.0, 14.9, false),
        (Some(0.9), 10.0, 15.1, true),
        (Some(0.9), 10.0, 5.0, false),
        (Some(0.02), 10.0, 10.0, false),
        (Some(0.005), 10.0, 10.0, true),
        (Some(-3.0), 10.0, 10.0, true),
        // A good fit may double its error.
        (Some(0.99), 1.0, 9.9, false),
        // Targets that never change have no R squared.
        (None, 0.1, 0.1, false),
    ] {
        outcome.train = score(7.0, train);
        outcome.guess.value = 20.0;
        outcome.history = vec![Record {
            validation: Some(score(best, Some(0.5))),
            ..record
        }];
        // By heart: what it learned may be worse than the mean on others.
        outcome.validation = Some(score(last, Some(-0.2)));
        assert_eq!(outcome.collapsed(), expected, "{train:?}, {best}, {last}");
    }
}

#[test]
fn seconds_can_count_from_before() {
    let dataset = load(
        &Location::Synthetic { fallback: false },
        Some(20),
        &Predict::Labels,
    )
    .unwrap();
    let config = config("--model pool7,linear10 --epochs 1");
    let mut memory = Trainer::memory(&config);
    let earlier = Instant::now() - Duration::from_secs(5);
    let mut trainer = Trainer::new(&config, &dataset, &mut memory)
        .unwrap()
        .since(earlier);
    trainer.run(&mut ()).unwrap();
    let outcome = trainer.finish();
    assert!(outcome.seconds > 5.0 && outcome.train_seconds < 5.0);
}

/// Rates that no run survives: the guard has saved the start, and the last steps are in no window.
#[test]
fn the_guard_takes_a_bad_end_back() {
    let dataset = dataset();
    for rate in ["10", "1e30"] {
        let config = config(&format!(
            "--model conv4k5s3,relu,linear10 --optimizer lbfgs --batch 16 --learning-rate {rate} \
             --schedule constant --warm-up 0 --max-iter 20"
        ));
        let outcome = train(&config, &dataset, &mut ()).unwrap();
        assert_eq!(outcome.stop, StopReason::MaxIterations, "rate {rate}");
        assert!(
            outcome.rollbacks > 0 && outcome.train.loss < 5.0,
            "{}",
            outcome.train.loss
        );
        assert_eq!(outcome.final_sha256, outcome.initial_sha256, "rate {rate}");
        assert!(outcome.collapsed(), "what was not trained is no success");
        let means = outcome.history.iter().map(|record| record.train_loss);
        assert!(
            means.clone().all(|mean| mean.is_nan() || mean <= 1e30),
            "a stand-in: {:?}",
            means.collect::<Vec<_>>()
        );
    }
}

#[test]
fn a_mini_batch_without_a_gradient_does_not_end_the_run() {
    let dataset = dataset();
    let config = config(
        "--model conv4k5s3,relu,linear10 --optimizer lbfgs-armijo --batch 1 --max-iter 150 --epochs 2",
    );
    let outcome = train(&config, &dataset, &mut ()).unwrap();
    assert_eq!(
        (outcome.stop, outcome.iterations),
        (StopReason::MaxIterations, 150)
    );
}

/// The rate grows until it is far too high.
#[test]
fn a_run_that_collapses_keeps_its_best_weights() {
    let dataset = dataset();
    for words in ["", " --validation 0"] {
        let config = config(&format!(
            "--model pool4,linear32,relu,linear10 --optimizer adam-classic --learning-rate 30 \
             --schedule constant --warm-up 0.99 --batch 2 --epochs 12 --tolerance 0{words}"
        ));
        let outcome = train(&config, &dataset, &mut ()).unwrap();
        assert!(outcome.collapsed(), "{words}");
        let best = outcome.best.clone().expect("an epoch before was better");
        assert_eq!(
            outcome.weights(),
            Some((&*best.parameters, Some(best.epoch)))
        );
        let value = |record: &Record| match record.validation {
            Some(score) => -score.value,
            None => record.train_loss,
        };
        let of_best = outcome
            .history
            .iter()
            .find(|r| r.epoch == best.epoch)
            .unwrap();
        assert!(
            outcome
                .history
                .iter()
                .all(|record| value(of_best) <= value(record))
        );
    }
    // One that goes well keeps its last.
    let outcome = judged();
    assert_eq!(outcome.weights(), Some((&*outcome.parameters, None)));
}

/// From no step at all to far beyond every bound: an end that is told, and weights of use or none.
#[test]
fn rates_of_all_sizes_end_in_order() {
    let dataset = dataset();
    for optimizer in [
        "adam-classic",
        "adam",
        "lbfgs",
        "lbfgs-row",
        "lbfgs-flat",
        "lbfgs-armijo",
    ] {
        for rate in ["1e-12", "1e-6", "1", "1e6", "1e12"] {
            let config = config(&format!(
                "--model conv4k5s3,relu,linear10 --optimizer {optimizer} --learning-rate {rate} \
                 --batch 32 --epochs 2"
            ));
            let outcome = train(&config, &dataset, &mut ()).unwrap();
            let finite = outcome.parameters.iter().all(|w| w.is_finite());
            assert!(finite || outcome.diverged(), "{optimizer} at {rate}");
            if let Some((weights, _)) = outcome.weights() {
                assert!(
                    weights.iter().all(|w| w.is_finite()),
                    "{optimizer} at {rate}"
                );
            }
            let high = rate == "1e12" && optimizer != "lbfgs-armijo";
            assert!(!high || outcome.collapsed(), "{optimizer} at {rate}");
        }
    }
}
