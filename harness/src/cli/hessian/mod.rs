//! `secant hessian`: the curvature of a run's loss, and what it does to training.

mod outcome;
mod progress;

use std::fs;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use secant::Affine;
use secant::network::Convolution;

use self::outcome::Found;
use self::progress::Progress;
use super::environment::{data_for, open_dataset, tell};
use super::train::TrainArgs;
use super::values::cores;
use crate::data::dataset::Dataset;
use crate::digest::sha256;
use crate::engine::Engine;
use crate::error::Error;
use crate::hessian::along::{Spot, When, look_along};
use crate::hessian::looks::Looks;
use crate::hessian::{Place, Point, Settings, Subject, Times, exact};
use crate::lock::FolderLock;
use crate::memory;
use crate::model::Model;
use crate::train::{self, Trainer};
use crate::trained::{Trained, Which};

/// Options of `secant hessian`.
#[derive(Debug, Args)]
#[command(args_override_self = true, after_help = HELP, after_long_help = HELP)]
pub struct HessianArgs {
    /// Folder of a run, as 'secant train' has written it; without, a run is trained along, and the
    /// options of 'secant train' say which
    #[arg(value_name = "RUN")]
    run: Option<PathBuf>,

    /// Where to look: initial, best, final, or a share of the steps, separated by commas [default:
    /// initial,final of a RUN; initial,10%,50%,final of one that is trained]
    #[arg(long, value_name = "WHERE,...", value_delimiter = ',', help_heading = LOOK)]
    at: Vec<Spot>,

    /// Look after every N steps instead
    #[arg(
        long,
        value_name = "N",
        value_parser = clap::value_parser!(u32).range(1..),
        conflicts_with = "at",
        help_heading = LOOK
    )]
    every: Option<u32>,

    /// Training samples that the loss is the mean of
    #[arg(long, value_name = "N", default_value = "1000", help_heading = LOOK)]
    samples: NonZeroUsize,

    /// Steps of Lanczos
    #[arg(long, value_name = "K", default_value = "80", help_heading = LOOK)]
    lanczos: NonZeroUsize,

    /// Random vectors of the density
    #[arg(long, value_name = "N", default_value = "4", help_heading = LOOK)]
    probes: NonZeroUsize,

    /// Find every eigenvalue: n products and a dense matrix, for networks of at most 6,000 parameters
    #[arg(long, help_heading = LOOK)]
    exact: bool,

    /// Look through the metric of Adam, of the layer-wise method and of an L-BFGS history as well
    #[arg(long, help_heading = LOOK)]
    metrics: bool,

    /// The run to train along.
    #[command(flatten)]
    train: TrainArgs,
}

const HELP: &str = "\
Examples:
  secant hessian --optimizer adam --epochs 2     trains micro and looks at the start, 10 %, 50 %, end
  secant hessian runs/first                      the first and the last weights of a run
  secant hessian --model 'conv4k5s3 tanh linear10' --exact     every eigenvalue
  secant hessian --metrics --at final            what each optimiser's metric makes of it

A search that was stopped goes on with the same command: what it has found is kept in --out.

Files, in --out [default: RUN/hessian, or runs/hessian-MODEL-OPTIMIZER-sSEED]; older ones are replaced:
  hessian.json                 the whole record: what --json prints
  spectrum-PLACE.svg, .csv     how many eigenvalues there are at each magnitude
  metrics-PLACE.svg, .csv      eigenvalues as each optimiser sees them, by rank
  sharpness.svg, .csv          the largest one along the run, beside the limit of stability
  looks/                       a file a place, so that a second start need not look there again

'secant train --help' lists models, optimisers and data. Exit status: 0 done, 1 the run diverged or a
product is not finite, 2 wrong options or data, or too much memory, 3 a file could not be written.";

const LOOK: &str = "Where and how closely";

impl HessianArgs {
    fn settings(&self) -> Settings {
        Settings {
            samples: self.samples,
            lanczos: self.lanczos,
            probes: self.probes,
            exact: self.exact,
            metrics: self.metrics,
            seed: self.train.seed,
        }
    }

    /// Refuses what would take too much.
    fn check(&self, n: usize) -> Result<(), Error> {
        if self.exact && n > exact::MOST {
            return Err(Error::Usage(format!(
                "--exact: the network has {n} parameters, and every eigenvalue is found of at most {}; \
                 leave it out, or choose a smaller --model",
                exact::MOST
            )));
        }
        self.train.memory.into_iter().for_each(memory::set_limit);
        let needed = self.settings().memory(n);
        memory::check(needed, "the search for eigenvalues")
            .map_err(|why| Error::Usage(format!("{why}; a smaller --lanczos needs less")))
    }

    /// Looks, and prints the tables or the JSON object.
    pub(super) fn run(&self) -> Result<u8, Error> {
        match &self.run {
            Some(folder) => self.look_at_run(folder),
            None => self.look_along(),
        }
    }

    fn threads(&self) -> usize {
        self.train.threads.unwrap_or(cores()).get()
    }

    /// The samples that the loss is over: drawn from `pool`, from each class in proportion.
    fn samples(&self, dataset: &Dataset, pool: &[u32]) -> Result<Vec<u32>, Error> {
        if pool.is_empty() {
            return Err(Error::Usage("the data has no training samples".to_owned()));
        }
        Ok(self.settings().choose(&dataset.train.targets, pool))
    }

    fn look_at_run(&self, folder: &Path) -> Result<u8, Error> {
        let train = &self.train;
        let others = [
            ("--model", train.model.is_some()),
            ("--weights", train.weights.is_some()),
            ("--batch", train.batch.is_some()),
            ("--epochs", train.epochs.is_some()),
            ("--max-iter", train.max_iter.is_some()),
            ("--learning-rate", train.learning_rate.is_some()),
            ("--limit", train.limit.is_some()),
            ("--loss", train.targets.loss.is_some()),
            ("--class-weights", train.targets.class_weights.is_some()),
        ];
        if let Some((name, _)) = others.iter().find(|(_, given)| *given) {
            return Err(Error::Usage(format!(
                "{name}: says what is to be trained, and {} has been; leave one of the two out",
                folder.display()
            )));
        }
        let trained = Trained::open(folder)?;
        let network = trained
            .model
            .network
            .with_convolution(Convolution::Winograd);
        let n = network.parameter_count();
        self.check(n)?;
        if self.every.is_some() {
            return Err(Error::Usage(
                "--every: a RUN keeps its first, best and last weights only; train it along with --model \
                 and --optimizer"
                    .to_owned(),
            ));
        }
        let spots = match self.at.as_slice() {
            [] if trained.drawn.is_none() => &[Spot::Final][..],
            [] => &[Spot::Initial, Spot::Final],
            spots => spots,
        };
        if let Some(spot) = spots.iter().find(|s| matches!(s, Spot::Share(_))) {
            return Err(Error::Usage(format!(
                "--at {}: a RUN keeps its first, best and last weights only; train it along with --model \
                 and --optimizer",
                spot.name()
            )));
        }
        let data = self.train.data.as_deref();
        let dataset = data_for(&trained, data, self.train.targets.predict.as_ref())?;
        let maps = Some(trained.target_scalings.as_slice());
        let dataset = self.train.targets.prepare(dataset, network.loss(), maps)?;
        let pool = match trained.drawn {
            Some(drawn) => train::split(&dataset.train.targets, drawn.validation, drawn.seed).train,
            None => (0..dataset.train.len() as u32).collect(),
        };
        // All weights before the first look, so that missing ones are told at once.
        let mut weights = Vec::new();
        for spot in spots {
            weights.push(match (spot, trained.drawn) {
                (Spot::Initial, Some(drawn)) => {
                    train::initial_weights(&network, drawn.init, drawn.seed)
                }
                (Spot::Initial, None) => {
                    return Err(Error::Usage(format!(
                        "--at initial: {} does not say how its first weights were drawn",
                        folder.display()
                    )));
                }
                (Spot::Best, _) => Trained::choose(folder, Some(Which::Best))?.parameters,
                _ => trained.parameters.clone(),
            });
        }
        let class_weights = match &trained.class_weights {
            Some(weights) => weights.of(&dataset.train.targets, &pool, network.output_len()),
            None => Vec::new(),
        };
        let indices = self.samples(&dataset, &pool)?;
        let out = self.train.out.clone().unwrap_or(folder.join("hessian"));
        let of = Of {
            model: &trained.model,
            dataset: &dataset,
            scalings: &trained.scalings,
            class_weights: &class_weights,
            run: String::new(),
        };
        let (_lock, looks) = self.looks(&out, &of)?;
        let engine = Engine::new(
            network,
            Arc::clone(&dataset.train),
            trained.scalings.clone(),
            class_weights.clone(),
            self.threads(),
        );
        let display = Progress::new(self.settings().products(n, false) * spots.len() as u64);
        let mut subject = Subject {
            network: &network,
            engine,
            indices,
            parameters: Vec::new(),
            progress: Box::new(|| display.count()),
            times: Times::default(),
        };
        let mut points = Vec::new();
        for (spot, parameters) in spots.iter().zip(weights) {
            subject.parameters = parameters;
            let place = Place {
                name: spot.name(),
                step: None,
            };
            display.place(&place.name);
            points.push(looks.look(&mut subject, place, None)?);
        }
        display.finish();
        let found = Found {
            run: Some(folder.display().to_string()),
            model: &trained.model.name,
            optimizer: None,
            dataset: &dataset,
            class_weights: &class_weights,
            times: subject.times,
        };
        self.tell(&found, &points, &out)
    }

    fn look_along(&self) -> Result<u8, Error> {
        let limit = self.train.limit.map(usize::from);
        let targets = &self.train.targets;
        let dataset = open_dataset(self.train.data.as_deref(), limit, &targets.predict())?;
        let config = self.train.resolve(dataset.task())?;
        let network = config.model.network;
        let n = network.parameter_count();
        self.check(n)?;
        let start = config.start.as_ref();
        let maps = start.map(|s| s.target_scalings.as_slice());
        let mut dataset = targets.prepare(dataset, network.loss(), maps)?;
        if let Some(start) = start {
            dataset.scalings.clone_from(&start.scalings);
        }
        tell(&dataset);
        let both = config.memory().saturating_add(self.settings().memory(n));
        memory::check(both, "the run").map_err(Error::Usage)?;
        let mut memory = Trainer::memory(&config);
        let trainer = Trainer::new(&config, &dataset, &mut memory)
            .map_err(|error| Error::Usage(error.to_string()))?;
        let when = match (self.every, self.at.as_slice()) {
            (Some(steps), _) => When::Every(steps),
            (None, []) => When::At(vec![
                Spot::Initial,
                Spot::Share(0.1),
                Spot::Share(0.5),
                Spot::Final,
            ]),
            (None, spots) => When::At(spots.to_vec()),
        };
        let count = when.count(trainer.planned_iterations()) as u64;
        let name = format!(
            "runs/hessian-{}-{}-s{}",
            config.model.file_name(),
            config.optimizer.name(),
            config.seed
        );
        let out = self.train.out.clone().unwrap_or(PathBuf::from(name));
        let class_weights = trainer.class_weights().to_vec();
        let indices = self.samples(&dataset, &trainer.split().train)?;
        let of = Of {
            model: &config.model,
            dataset: &dataset,
            scalings: &dataset.scalings,
            class_weights: &class_weights,
            run: train::checkpoint::settings(&config),
        };
        let (_lock, looks) = self.looks(&out, &of)?;
        let display = Progress::new(self.settings().products(n, true) * count);
        let engine = Engine::new(
            network,
            Arc::clone(&dataset.train),
            dataset.scalings.clone(),
            class_weights.clone(),
            self.threads(),
        );
        let mut subject = Subject {
            network: &network,
            engine,
            indices,
            parameters: vec![0.0; n],
            progress: Box::new(|| display.count()),
            times: Times::default(),
        };
        let seen = |point: &Point| display.place(&format!("{} is done", point.place.name));
        let (points, _) = look_along(trainer, &mut subject, &looks, &when, seen)?;
        display.finish();
        let found = Found {
            run: None,
            model: &config.model.name,
            optimizer: Some(config.optimizer.name()),
            dataset: &dataset,
            class_weights: &class_weights,
            times: subject.times,
        };
        self.tell(&found, &points, &out)
    }

    /// The folder for this program alone, and the looks that are kept there.
    fn looks(&self, out: &Path, of: &Of<'_>) -> Result<(FolderLock, Looks), Error> {
        fs::create_dir_all(out).map_err(|source| Error::Output {
            path: out.to_owned(),
            source,
        })?;
        let lock = FolderLock::take(out)?;
        let model = serde_json::to_string(of.model).map_err(|e| Error::Run(e.to_string()))?;
        let subject = format!(
            "{model} {} {} {:?} {:?} {:?} {}",
            sha256(of.model.network.frozen_weights()),
            of.dataset.digest,
            of.scalings,
            of.dataset.target_scalings,
            of.class_weights,
            of.run
        );
        Ok((lock, Looks::new(out, self.settings(), &subject)?))
    }
}

/// What the looks of a search are of, beside samples and weights.
struct Of<'a> {
    model: &'a Model,
    dataset: &'a Dataset,
    scalings: &'a [Affine],
    class_weights: &'a [f32],
    /// The settings of a run that is trained along.
    run: String,
}
