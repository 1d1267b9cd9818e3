//! One side of a comparison: an optimiser, its settings, and how a text names them.

use secant::network::Init;

use super::plan::Plan;
use crate::batch::Batch;
use crate::optimizers::tuning::Tunable;
use crate::optimizers::values::yes;
use crate::optimizers::{Choice, Optimizer, Refusal};

/// An optimiser with its settings.
#[derive(Debug, Clone)]
pub struct Arm {
    /// As the user wrote it.
    pub name: String,
    /// Its settings.
    pub optimizer: Optimizer,
    /// Samples a step.
    pub batch: Batch,
    /// How the initial weights are drawn.
    pub init: Init,
    /// Passes over the training samples.
    pub epochs: f64,
    /// Whether tuning may change the settings.
    pub tuned: bool,
    /// Settings that tuning drew.
    pub drawn: Vec<(String, String)>,
    /// What the settings come from.
    choice: Choice,
}

impl Arm {
    /// Reads `NAME[:KEY=VALUE]...`, for runs of `epochs` passes.
    ///
    /// # Errors
    /// One line that says what is wrong.
    pub fn parse(text: &str, epochs: f64, plan: &Plan) -> Result<Arm, String> {
        let mut choice: Choice = text.parse().map_err(|why| format!("--optimizers: {why}"))?;
        let refused = |refusal: Refusal| {
            let what = refusal.describe(str::to_owned);
            format!("--optimizers: '{text}': {what}")
        };
        let wrong = |key: &str, value: String, why: String| {
            refused(Refusal::Wrong {
                key: key.to_owned(),
                value,
                why,
            })
        };
        let init = match choice.take("init") {
            None => plan.init,
            Some(value) => Init::from_name(&value).ok_or_else(|| {
                let names = Init::ALL.map(Init::name).join(", ");
                wrong("init", value, format!("expected one of {names}"))
            })?,
        };
        let tune = match choice.take("tune") {
            None => true,
            Some(value) => yes(&value).map_err(|why| wrong("tune", value, why))?,
        };
        let batch = choice.take_batch().map_err(refused)?.or(plan.batch);
        let batch = batch.unwrap_or(choice.default_batch());
        let given = plan.given.iter();
        let given = given.filter(|(name, ..)| *name == choice.name());
        let given = given.map(|(_, key, value)| ((*key).to_owned(), (*value).to_owned()));
        choice.settings.splice(0..0, given.collect::<Vec<_>>());
        let optimizer = choice
            .resolve(&plan.model.network, batch)
            .map_err(refused)?;
        Ok(Arm {
            name: text.to_owned(),
            optimizer,
            batch,
            init,
            epochs,
            tuned: tune && plan.tune > 0,
            drawn: Vec::new(),
            choice,
        })
    }

    /// What of the arm's settings can be tuned.
    pub fn tunables(&self) -> &'static [Tunable] {
        self.choice.entry(self.batch).tuning
    }

    /// The arm with other settings. Those that follow the batch still follow the old one.
    ///
    /// # Errors
    /// One line that says which setting is wrong.
    pub fn with(
        &self,
        settings: Vec<(String, String)>,
        batch: Batch,
        plan: &Plan,
    ) -> Result<Arm, String> {
        let mut choice = self.choice.clone();
        choice.settings.extend(settings.iter().cloned());
        let optimizer = choice.resolve(&plan.model.network, self.batch);
        Ok(Arm {
            optimizer: optimizer.map_err(|refusal| refusal.describe(str::to_owned))?,
            batch,
            drawn: settings,
            choice,
            ..self.clone()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::share::Share;
    use super::*;
    use crate::compare::plan::Timing;
    use crate::score::Measure;
    use std::num::NonZeroUsize;

    fn plan() -> Plan {
        Plan {
            optimizers: vec![],
            seeds: vec![0],
            auto: None,
            tune: 0,
            model: "micro".parse().unwrap(),
            init: Init::PyTorch,
            epochs: vec![1.0],
            measure: Measure::Accuracy,
            class_weights: None,
            raw_targets: false,
            targets: vec![],
            evaluations: 1,
            validation: 0.1,
            batch: None,
            watch_test: false,
            given: &[],
            threads: NonZeroUsize::MIN,
            jobs: NonZeroUsize::MIN,
            timing: Timing::Cpu,
            reference: None,
            save_baseline: None,
            events: None,
            command: vec![],
            share: Share::All,
            out: None,
            force: false,
            limit: None,
            json: false,
        }
    }

    #[test]
    fn the_rate_follows_the_batch_wherever_it_stands() {
        let rate = |text| {
            let arm = Arm::parse(text, 1.0, &plan()).unwrap();
            arm.optimizer.settings().rate()
        };
        assert!(rate("lbfgs:batch=128") > rate("lbfgs"));
        assert_eq!(
            rate("lbfgs:batch=128:rate-factor=2"),
            rate("lbfgs:rate-factor=2:batch=128")
        );
        assert_eq!(rate("lbfgs:learning-rate=0.5:batch=128"), 0.5);
    }

    #[test]
    fn a_protocol_gives_settings_that_the_user_may_change() {
        let plan = Plan {
            given: &[
                ("adam-plain", "learning-rate", "0.25"),
                ("adam", "beta1", "0"),
            ],
            ..plan()
        };
        let rate = |text| {
            let arm = Arm::parse(text, 1.0, &plan).unwrap();
            arm.optimizer.settings().rate()
        };
        assert_eq!(rate("adam-plain"), 0.25);
        assert_eq!(rate("adam-plain:rate-factor=2"), 0.5);
        assert_eq!(rate("adam-plain:learning-rate=0.1"), 0.1);
        assert_ne!(rate("adam"), 0.25);
    }
}
