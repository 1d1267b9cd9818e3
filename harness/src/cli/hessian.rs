//! `secant hessian`: the curvature of a run's loss, and what it does to training.

use std::cell::RefCell;
use std::fs;
use std::io::{self, IsTerminal};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use secant::network::Convolution;
use serde::Serialize;

use super::environment::{choose_isa, data_for, open_dataset, tell};
use super::train::TrainArgs;
use super::values::processors;
use crate::data::dataset::Dataset;
use crate::engine::Engine;
use crate::error::{EXIT_OK, Error};
use crate::export::write_whole;
use crate::hessian::along::{Spot, When, look_along};
use crate::hessian::answers::{self, Cost};
use crate::hessian::{Place, Point, Settings, Subject, Times, exact, figures, point, show};
use crate::lock::FolderLock;
use crate::memory;
use crate::model::Net;
use crate::report::{note, print_json, print_line};
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

Files, in --out [default: RUN/hessian, or runs/hessian-MODEL-OPTIMIZER-sSEED]; older ones are replaced:
  hessian.json                 the whole record: what --json prints
  spectrum-PLACE.svg, .csv     how many eigenvalues there are at each magnitude
  metrics-PLACE.svg, .csv      eigenvalues as each optimiser sees them, by rank
  sharpness.svg, .csv          the largest one along the run, beside the limit of stability

'secant train --help' lists models, optimisers and data. Exit status: 0 done, 1 the run diverged or a
product is not finite, 2 wrong options or data, or too much memory, 3 a file could not be written.";

const LOOK: &str = "Where and how closely";

/// What the command has found.
#[derive(Serialize)]
struct Record<'a> {
    version: &'static str,
    run: Option<String>,
    model: &'a str,
    optimizer: Option<&'a str>,
    parameters: usize,
    data: &'a str,
    sha256: &'a str,
    settings: Settings,
    seconds_a_product: f64,
    seconds_a_gradient: f64,
    answers: &'a [String],
    points: &'a [Point],
}

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
        choose_isa()?;
        match &self.run {
            Some(folder) => self.look_at_run(folder),
            None => self.look_along(),
        }
    }

    fn threads(&self) -> usize {
        self.train.threads.unwrap_or(processors()).get()
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
        let engine = Engine::new(
            network,
            Arc::clone(&dataset.train),
            trained.scalings.clone(),
            Vec::new(),
            self.threads(),
        );
        let display = Progress::new(self.settings().products(n, false) * spots.len() as u64);
        let mut subject = Subject {
            network: &network,
            engine,
            indices: self.samples(&dataset, &pool)?,
            parameters: Vec::new(),
            progress: Box::new(|| display.count()),
            times: Times::default(),
        };
        let mut points = Vec::new();
        for spot in spots {
            subject.parameters = match (spot, trained.drawn) {
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
            };
            let place = Place {
                name: spot.name(),
                step: None,
            };
            display.place(&place.name);
            points.push(point::look(&mut subject, &self.settings(), place, None)?);
        }
        display.finish();
        let out = self.train.out.clone().unwrap_or(folder.join("hessian"));
        let found = Found {
            run: Some(folder.display().to_string()),
            model: &trained.model.name,
            optimizer: None,
            dataset: &dataset,
            times: subject.times,
        };
        self.tell(found, &points, &out)
    }

    fn look_along(&self) -> Result<u8, Error> {
        let limit = self.train.limit.map(usize::from);
        let targets = &self.train.targets;
        let dataset = open_dataset(self.train.data.as_deref(), limit, &targets.predict())?;
        let config = self.train.resolve(dataset.task())?;
        let network: Net = config.model.network;
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
        let looks = when.count(trainer.planned_iterations()) as u64;
        let display = Progress::new(self.settings().products(n, true) * looks);
        let engine = Engine::new(
            network,
            Arc::clone(&dataset.train),
            dataset.scalings.clone(),
            Vec::new(),
            self.threads(),
        );
        let mut subject = Subject {
            network: &network,
            engine,
            indices: self.samples(&dataset, &trainer.split().train)?,
            parameters: vec![0.0; n],
            progress: Box::new(|| display.count()),
            times: Times::default(),
        };
        let seen = |point: &Point| display.place(&format!("{} is done", point.place.name));
        let (points, _) = look_along(trainer, &mut subject, &self.settings(), &when, seen)?;
        display.finish();
        let name = format!(
            "runs/hessian-{}-{}-s{}",
            config.model.file_name(),
            config.optimizer.name(),
            config.seed
        );
        let out = self.train.out.clone().unwrap_or(PathBuf::from(name));
        let found = Found {
            run: None,
            model: &config.model.name,
            optimizer: Some(config.optimizer.name()),
            dataset: &dataset,
            times: subject.times,
        };
        self.tell(found, &points, &out)
    }

    /// Prints, and writes the files.
    fn tell(&self, found: Found<'_>, points: &[Point], out: &Path) -> Result<u8, Error> {
        let n = points.first().map_or(0, |point| point.n);
        let cost = Cost {
            n,
            product_seconds: Times::mean(found.times.products),
            gradient_seconds: Times::mean(found.times.gradients),
        };
        let answers = answers::all(points, &cost);
        let record = Record {
            version: env!("CARGO_PKG_VERSION"),
            run: found.run,
            model: found.model,
            optimizer: found.optimizer,
            parameters: n,
            data: &found.dataset.source,
            sha256: &found.dataset.digest,
            settings: self.settings(),
            seconds_a_product: cost.product_seconds,
            seconds_a_gradient: cost.gradient_seconds,
            answers: &answers,
            points,
        };
        let with = found
            .optimizer
            .map_or(String::new(), |name| format!(" with {name}"));
        let subtitle = format!(
            "{} ({n} parameters){with}, seed {}, {} of {} training samples",
            found.model,
            self.train.seed,
            self.samples.get().min(found.dataset.train.len()),
            found.dataset.name
        );
        let output = |source| Error::Output {
            path: out.to_owned(),
            source,
        };
        fs::create_dir_all(out).map_err(output)?;
        let _lock = FolderLock::take(out)?;
        let text = serde_json::to_string_pretty(&record).map_err(|e| output(e.into()))?;
        write_whole(&out.join("hessian.json"), text.as_bytes())?;
        let mut charts = Vec::new();
        for point in points {
            let place = point.place.name.replace('%', "percent").replace(' ', "-");
            let (spectrum, metrics) = (
                figures::spectrum(point, &subtitle),
                figures::metrics(point, &subtitle),
            );
            charts.push((format!("spectrum-{place}"), spectrum));
            charts.extend(metrics.map(|chart| (format!("metrics-{place}"), chart)));
        }
        charts.extend(figures::sharpness(points, &subtitle).map(|c| ("sharpness".to_owned(), c)));
        for (name, chart) in &charts {
            write_whole(
                &out.join(format!("{name}.svg")),
                chart.svg(figures::WIDTH).as_bytes(),
            )?;
            write_whole(&out.join(format!("{name}.csv")), chart.csv().as_bytes())?;
        }
        if self.train.json {
            print_json(&record)?;
        } else {
            print_line(&format!("{subtitle}\n\n{}", show::table(points, &cost)))?;
        }
        note(&format!(
            "The figures and hessian.json are in {}.",
            out.display()
        ));
        Ok(EXIT_OK)
    }
}

/// What was looked at.
struct Found<'a> {
    run: Option<String>,
    model: &'a str,
    optimizer: Option<&'a str>,
    dataset: &'a Dataset,
    times: Times,
}

/// Progress on standard error: a bar on a terminal, else a line for each look.
struct Progress {
    bar: Option<ProgressBar>,
    last: RefCell<String>,
}

impl Progress {
    fn new(products: u64) -> Progress {
        let bar = io::stderr().is_terminal().then(|| {
            let target = ProgressDrawTarget::stderr_with_hz(5);
            let bar = ProgressBar::with_draw_target(Some(products), target);
            let style =
                "{msg}  {bar:24.cyan/dim}  {pos}/{len} products  {elapsed} gone, {eta} left";
            if let Ok(style) = ProgressStyle::with_template(style) {
                bar.set_style(style.progress_chars("━╸─"));
            }
            bar
        });
        if bar.is_none() {
            note(&format!(
                "About {products} products with the Hessian are to be computed."
            ));
        }
        Progress {
            bar,
            last: RefCell::default(),
        }
    }

    fn place(&self, name: &str) {
        match &self.bar {
            Some(bar) => bar.set_message(name.to_owned()),
            None if *self.last.borrow() != name => note(&format!("looking: {name}")),
            None => {}
        }
        self.last.replace(name.to_owned());
    }

    fn count(&self) {
        if let Some(bar) = &self.bar {
            bar.inc(1);
        }
    }

    fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
