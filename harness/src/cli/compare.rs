//! `secant compare`: its options, and the comparison with them.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::Args;
use secant::Loss;

use super::environment::{open_dataset, standard_data, tell, watch_signals};
use super::targets::TargetArgs;
use super::values::{
    ConvolutionName, InitName, above_zero, cores, fraction, passes, processors, threads,
};
use crate::batch::Batch;
use crate::compare::folder::SuiteFolder;
use crate::compare::plan::{Plan, Timing};
use crate::compare::protocol::Protocol;
use crate::compare::shards::Shards;
use crate::compare::share::{Shard, Share};
use crate::compare::suite::{self, Problem, Suite};
use crate::compare::{self, reference};
use crate::data::dataset::Dataset;
use crate::data::open::SYNTHETIC;
use crate::error::{EXIT_OK, Error};
use crate::model::Description;
use crate::optimizers;
use crate::ranks::Ranks;
use crate::report::{note, print_line, say};
use crate::score::Measure;
use crate::shell;

/// The optimisers with their settings, from the registry; then examples.
fn help() -> String {
    let mut text = String::from(
        "Optimisers, each with settings of its own after colons if need be \
         (lbfgs:history=4:learning-rate=0.02):\n",
    );
    for entry in optimizers::named() {
        let keys = (entry.keys)().join(", ");
        text += &format!("  {:<15}{}\n", entry.name, entry.about);
        text += &format!("{:17}{keys}\n", "");
    }
    text + EXAMPLES
}

const EXAMPLES: &str = "\
Settings of every one: batch, init, tune.

Examples:
  secant compare                                         adam and lbfgs on micro, a quarter of a minute
  secant compare --tune 20 --seeds 10 --out cmp          20 settings of each, then ten fresh seeds
  secant compare --optimizers lbfgs,lbfgs:rate-factor=4  one optimiser against itself
  secant compare --epochs 0.5,1,2,4 --seeds 12           how short a run reaches a target
  secant compare --protocol deepobs --optimizers adam-plain,adam,lbfgs --epochs 8 --seeds 3
  secant compare --optimizers adam,lbfgs,lbfgs-seed --limit 10000
  secant compare --suite small --out suite               five problems, a profile and a score
  mpirun -n 16 secant compare --tune 20 --out cmp        sixteen ranks, a run each at a time; needs
                                                         a secant built with --features mpi

The folder holds report.html (all on one page), compare.json, compare.md, compare.csv, runs.csv and
evaluations.csv (a row a run, a row an evaluation), figures as SVG with their points as CSV, and
runs/ with a file for each finished run: the same command with the same --out does not run them
again.";

/// How many seeds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seeds {
    /// This many.
    Count(u32),
    /// As many as it takes.
    Auto,
}

fn seeds(text: &str) -> Result<Seeds, String> {
    match (text, text.parse()) {
        ("auto", _) => Ok(Seeds::Auto),
        (_, Ok(count @ 1..=10_000)) => Ok(Seeds::Count(count)),
        _ => Err("expected a number from 1 to 10000, or 'auto'".to_owned()),
    }
}

/// Options of `secant compare`.
#[derive(Debug, Clone, Args)]
#[command(after_long_help = help())]
pub struct CompareArgs {
    /// What to compare; the first is what the others are held against
    #[arg(
        long,
        value_name = "NAME,...",
        value_delimiter = ',',
        default_value = "adam,lbfgs"
    )]
    pub optimizers: Vec<String>,

    /// Runs of each, from --seed on; 'auto' adds runs, looking at 5, 10, 20 and so on, until every
    /// interval of a difference is narrower than --width
    #[arg(long, value_name = "N|auto", default_value = "5", value_parser = seeds)]
    pub seeds: Seeds,

    /// With --seeds auto: the width of the intervals, in percentage points, or for numbers in the
    /// RMSE's unit [default: 0.5; none for numbers]
    #[arg(long, value_name = "W", value_parser = above_zero)]
    pub width: Option<f64>,

    /// With --seeds auto: the most seeds
    #[arg(
        long,
        value_name = "N",
        default_value = "40",
        value_parser = clap::value_parser!(u32).range(5..=10_000)
    )]
    pub most_seeds: u32,

    /// The first seed: split, initial weights and order of samples depend on it
    #[arg(long, value_name = "S", default_value = "0")]
    pub seed: u64,

    /// Settings to try for each optimiser and length of run first, the defaults among them, three
    /// runs each; 0 takes the defaults, and so does an optimiser with ':tune=no'
    #[arg(
        long,
        value_name = "N",
        default_value = "0",
        value_parser = clap::value_parser!(u32).range(..=10_000)
    )]
    pub tune: u32,

    /// Network, as for 'secant train'
    #[arg(long, value_name = "MODEL")]
    pub model: Option<Description>,

    /// How convolutions are computed
    #[arg(long, value_name = "NAME", default_value = "winograd")]
    pub convolution: ConvolutionName,

    /// What is predicted, and what training makes small.
    #[command(flatten)]
    pub targets_of: TargetArgs,

    /// How the initial weights are drawn
    #[arg(long, value_name = "NAME", default_value = "pytorch")]
    pub init: InitName,

    /// Passes over the training samples; with several, runs of each length are made, each with its
    /// own schedule
    #[arg(
        long,
        value_name = "N,...",
        value_delimiter = ',',
        default_value = "2",
        value_parser = passes
    )]
    pub epochs: Vec<f64>,

    /// A published protocol, which settles network, batch, initial weights, inputs, evaluation and
    /// targets
    #[arg(
        long,
        value_name = "NAME",
        conflicts_with_all = [
            "model", "init", "validation", "batch", "limit", "predict", "loss", "class_weights",
            "raw_targets"
        ]
    )]
    pub protocol: Option<Protocol>,

    /// Several problems, each a comparison in a folder of its own, with a performance profile and a
    /// score over all of them
    #[arg(
        long,
        value_name = "NAME",
        conflicts_with_all = [
            "model", "epochs", "targets", "protocol", "predict", "loss", "class_weights",
            "raw_targets", "reference", "baseline", "save_baseline", "events"
        ]
    )]
    pub suite: Option<Suite>,

    /// Accuracies to reach, or for numbers RMSEs to come down to: on the validation samples in the
    /// course of a run, or, with several lengths of run, on the test samples at the end, averaged
    /// over the seeds [default: 0.86,0.87,0.88; none for numbers]
    #[arg(long, value_name = "A,...", value_delimiter = ',', value_parser = above_zero)]
    pub targets: Option<Vec<f64>>,

    /// Evaluations on the validation samples in a run
    #[arg(
        long,
        value_name = "N",
        default_value = "20",
        value_parser = clap::value_parser!(u32).range(1..)
    )]
    pub evaluations: u32,

    /// Share of the training samples set aside for validation
    #[arg(long, value_name = "F", default_value = "0.1", value_parser = fraction)]
    pub validation: f64,

    /// Samples a step, for all optimisers
    #[arg(long, value_name = "B")]
    pub batch: Option<Batch>,

    /// Use N training samples only, from each class in proportion
    #[arg(long, value_name = "N")]
    pub limit: Option<NonZeroUsize>,

    /// Folder or file with the data, as for 'secant train'
    #[arg(long, value_name = "DIR|synthetic")]
    pub data: Option<PathBuf>,

    /// Runs side by side, one thread each; the result is the same for any number, and the seconds
    /// are those that the processor spent on a run [default: as many as there are processors]
    #[arg(long, value_name = "N", value_parser = threads)]
    pub jobs: Option<NonZeroUsize>,

    /// What the seconds are
    #[arg(long, value_name = "NAME", default_value = "cpu")]
    pub timing: Timing,

    /// Threads of a run, with --timing exclusive [default: as many as there are cores]
    #[arg(long, value_name = "T", value_parser = threads)]
    pub threads: Option<NonZeroUsize>,

    /// An earlier compare.json to hold the result against
    #[arg(long, value_name = "FILE")]
    pub reference: Option<PathBuf>,

    /// The same with a result that --save-baseline has kept
    #[arg(long, value_name = "NAME", conflicts_with = "reference")]
    pub baseline: Option<String>,

    /// Keep the result in runs/baselines/NAME.json
    #[arg(long, value_name = "NAME")]
    pub save_baseline: Option<String>,

    /// Make part I of N of the runs only, in the folder shard-I-of-N of --out: the parts can be made
    /// anywhere, at any time, and 'secant merge' puts them together
    #[arg(
        long,
        value_name = "I/N",
        requires = "out",
        conflicts_with_all = ["suite", "reference", "baseline", "save_baseline", "json"]
    )]
    pub shard: Option<Shard>,

    /// Write a line of JSON to FILE for each start, evaluation and end of a run
    #[arg(long, value_name = "FILE")]
    pub events: Option<PathBuf>,

    /// Folder for the result [default: runs/TIME-compare-MODEL]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,

    /// Replace the result of another comparison that --out already holds
    #[arg(long, requires = "out")]
    pub force: bool,

    /// Print one JSON object instead of the table; progress goes to standard error
    #[arg(long)]
    pub json: bool,
}

impl CompareArgs {
    /// What is compared, and how.
    fn plan(&self, dataset: &Dataset, loss: Loss, ranks: &Ranks) -> Result<Plan, Error> {
        let task = dataset.task();
        let mut model = Description::model(self.model.as_ref(), task)
            .map_err(|why| Error::Usage(format!("--model: {why}")))?;
        model.network = model.network.with_loss(loss);
        model.network = model.network.with_convolution(self.convolution.into());
        let measure = Measure::of(&dataset.train.targets, loss);
        let targets = match (&self.targets, measure) {
            (None, Measure::Rmse) => Vec::new(),
            (None, _) => Plan::TARGETS.to_vec(),
            (Some(targets), _) => targets.clone(),
        };
        if let Some(target) = targets.iter().find(|t| **t > 1.0)
            && measure != Measure::Rmse
        {
            return Err(Error::Usage(format!(
                "--targets {target}: expected a number above 0, at most 1: a share of what is right"
            )));
        }
        let (count, auto) = self.count(measure)?;
        let last = self.seed.checked_add(u64::from(count));
        let last = last.ok_or_else(|| {
            Error::Usage(format!(
                "--seed {}: {} seeds from there on go beyond the largest, {}",
                self.seed,
                count,
                u64::MAX - 1
            ))
        })?;
        if let (Some(shard), Seeds::Auto) = (self.shard, self.seeds) {
            return Err(Error::Usage(format!(
                "--seeds auto looks at all runs again and again, and {shard} has only its own: give \
                 a number of --seeds"
            )));
        }
        let (jobs, threads) = self.at_once(ranks)?;
        let mut plan = Plan {
            optimizers: self.optimizers.clone(),
            seeds: (self.seed..last).collect(),
            auto,
            tune: self.tune,
            model,
            measure,
            class_weights: self.targets_of.class_weights.clone(),
            raw_targets: self.targets_of.raw_targets,
            init: self.init.into(),
            epochs: self.epochs.clone(),
            targets,
            evaluations: self.evaluations,
            validation: self.validation,
            batch: self.batch,
            watch_test: false,
            given: &[],
            threads,
            jobs,
            timing: self.timing,
            reference: match &self.baseline {
                Some(name) => Some(reference::baseline(name)?),
                None => self.reference.clone(),
            },
            save_baseline: match &self.save_baseline {
                Some(name) => Some(reference::baseline(name)?),
                None => None,
            },
            events: self.events.clone(),
            command: shell::command(),
            share: self.shard.map_or(Share::All, Share::Shard),
            out: self.out.clone(),
            force: self.force,
            limit: self.limit.map(usize::from),
            json: self.json,
        };
        if let Some(protocol) = self.protocol {
            protocol.settle(&mut plan, task)?;
        }
        Ok(plan)
    }

    /// The most seeds, and the width of the intervals that is asked for.
    fn count(&self, measure: Measure) -> Result<(u32, Option<f64>), Error> {
        match (self.seeds, self.width, measure) {
            (Seeds::Count(count), None, _) => Ok((count, None)),
            (Seeds::Count(_), Some(width), _) => {
                Err(Error::Usage(format!("--width {width} needs --seeds auto")))
            }
            (Seeds::Auto, None, Measure::Rmse) => Err(Error::Usage(
                "--seeds auto needs --width, in the unit of the RMSE".to_owned(),
            )),
            (Seeds::Auto, width, _) => Ok((self.most_seeds, Some(width.unwrap_or(0.5)))),
        }
    }

    /// Runs side by side, and threads of each.
    fn at_once(&self, ranks: &Ranks) -> Result<(NonZeroUsize, NonZeroUsize), Error> {
        let one = NonZeroUsize::MIN;
        let many = self.jobs.is_some_and(|jobs| jobs > one) || self.timing == Timing::Exclusive;
        match (ranks.count(), self.shard) {
            (1, _) => {}
            (_, Some(_)) => {
                return Err(Error::Usage(
                    "--shard: ranks share the runs among themselves; leave --shard away, or start \
                     without mpirun"
                        .to_owned(),
                ));
            }
            _ if many => {
                return Err(Error::Usage(
                    "--jobs, --timing exclusive: each rank makes one run at a time, beside the \
                     others; mpirun -n says how many there are"
                        .to_owned(),
                ));
            }
            _ => {}
        }
        let jobs = self.jobs.or((ranks.count() > 1).then_some(one));
        match (self.timing, jobs, self.threads) {
            (Timing::Cpu, _, Some(threads)) if threads > one => Err(Error::Usage(format!(
                "--threads {threads}: runs side by side have one thread each; --jobs says how many \
                 there are, and --timing exclusive makes one at a time, on several threads"
            ))),
            (Timing::Cpu, jobs, _) => Ok((jobs.unwrap_or(processors()), one)),
            (Timing::Exclusive, Some(jobs), _) if jobs > one => Err(Error::Usage(format!(
                "--jobs {jobs}: --timing exclusive makes one run at a time"
            ))),
            (Timing::Exclusive, _, threads) => Ok((one, threads.unwrap_or(cores()))),
        }
    }

    /// Compares, and writes down what came out.
    pub(super) fn run(&self, ranks: &Ranks) -> Result<u8, Error> {
        if let Some(suite) = self.suite {
            return self.run_suite(suite, ranks);
        }
        let (plan, dataset) = ranks.agree(self.open(ranks))?;
        self.compare(&plan, &dataset, ranks)
    }

    /// The result of a comparison whose runs have all been made, in shards.
    pub(super) fn merge(&self, shards: Shards) -> Result<u8, Error> {
        let ranks = Ranks::alone();
        let (mut plan, dataset) = self.open(&ranks)?;
        plan.command = whole(shards.command);
        plan.share = Share::Merged(shards.folders);
        self.compare(&plan, &dataset, &ranks)
    }

    fn compare(&self, plan: &Plan, dataset: &Dataset, ranks: &Ranks) -> Result<u8, Error> {
        let signal = ranks.agree(watch_signals())?;
        let compared = compare::compare(plan, dataset, &signal, ranks)?;
        if let (true, Some(json)) = (self.json, &compared.json) {
            print_line(json)?;
        }
        Ok(compared.status)
    }

    /// What is compared, and on what.
    fn open(&self, ranks: &Ranks) -> Result<(Plan, Dataset), Error> {
        let limit = self.limit.map(usize::from);
        let mut dataset = open_dataset(self.data.as_deref(), limit, &self.targets_of.predict())?;
        let loss = self.targets_of.loss(dataset.task())?;
        dataset = self.targets_of.prepare(dataset, loss, None)?;
        if let Some(protocol) = self.protocol {
            dataset = protocol.inputs(&dataset);
        }
        let plan = self.plan(&dataset, loss, ranks)?;
        tell(&dataset);
        if let Some(line) = &plan.model.note {
            note(line);
        }
        Ok((plan, dataset))
    }

    /// The problems of a suite one after the other, then what is said of all.
    fn run_suite(&self, suite: Suite, ranks: &Ranks) -> Result<u8, Error> {
        if self.data.is_none() && standard_data().is_none() {
            return Err(Error::Usage(format!(
                "--suite {}: Fashion-MNIST was not found; 'secant data fetch' gets it, and --data DIR \
                 takes other data in its place",
                suite.name()
            )));
        }
        let what = format!("suite-{}", suite.name());
        let folder = match ranks.is_first() {
            true => SuiteFolder::open(self.out.as_deref(), &what, self.force).map(Some),
            false => Ok(None),
        };
        let folder = ranks.agree(folder)?;
        let signal = ranks.agree(watch_signals())?;
        let mut results = Vec::new();
        for problem in suite.problems() {
            say(self.json, &format!("\n{}", problem.name));
            let own = self.of_problem(problem, folder.as_ref());
            let (plan, dataset) = ranks.agree(own.and_then(|own| own.open(ranks)))?;
            let compared = compare::compare(&plan, &dataset, &signal, ranks)?;
            match compared.json {
                Some(json) if compared.status == EXIT_OK => results.push(json),
                _ => return Ok(compared.status),
            }
        }
        if let Some(folder) = &folder {
            suite::summarise(suite, &results, self.timing, (folder, self.json))?;
        }
        Ok(EXIT_OK)
    }

    /// The options of a suite's problem.
    fn of_problem(
        &self,
        problem: &Problem,
        folder: Option<&SuiteFolder>,
    ) -> Result<CompareArgs, Error> {
        let model = problem.model.parse();
        let model = model.map_err(|why| Error::Usage(format!("--suite: {why}")))?;
        let limit = problem.limit.and_then(NonZeroUsize::new);
        let mut own = self.clone();
        own.model = Some(model);
        own.epochs = vec![problem.epochs];
        own.targets = Some(problem.targets.to_vec());
        own.limit = [limit, self.limit].into_iter().flatten().min();
        own.out = folder.map(|folder| folder.path().join(problem.name));
        if problem.synthetic {
            own.data = Some(PathBuf::from(SYNTHETIC));
        }
        Ok(own)
    }
}

/// The command of a shard without its `--shard`.
fn whole(command: Vec<String>) -> Vec<String> {
    let mut words = command.into_iter();
    let mut kept = Vec::new();
    while let Some(word) = words.next() {
        if word == "--shard" {
            words.next();
        } else if !word.starts_with("--shard=") {
            kept.push(word);
        }
    }
    kept
}
