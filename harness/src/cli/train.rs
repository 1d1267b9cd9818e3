//! `secant train`: its options.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::Args;

use super::targets::TargetArgs;
use super::values::{
    ConvolutionName, InitName, OptimizerParser, above_zero_to_one, cores, names, not_negative,
    share, threads,
};
use crate::batch::Batch;
use crate::checkpoints::Every;
use crate::config::RunConfig;
use crate::data::dataset::Task;
use crate::error::Error;
use crate::memory;
use crate::model::Description;
use crate::optimizers::schedule::ScheduleName;
use crate::optimizers::{Choice, CurvatureName, LineSearchName, Refusal, ScalingName, Slip};
use crate::weights;

const HELP: &str = "\
Models:
  micro    conv8k3 relu pool2 conv16k3 relu pool2 linear10           5,258 parameters
  lenet    conv6k5p2 relu pool2 conv16k5 relu pool2
           linear120 relu linear84 relu linear10                    61,706
  seed     three convolutions, four linear layers, dropout         159,539
  2c2d     conv32k5p2 relu pool2 conv64k5p2 relu pool2
           linear1024 relu linear10 (DeepOBS)                    3,274,634
  LAYERS   your own, separated by spaces or commas:
             convNkK          convolution, N outputs, K x K kernel; add sS for stride S, pP for padding
             depthwiseK       the same for each channel on its own; sS and pP as above
             linearN          fully connected, N outputs
             poolK, avgpoolK  largest, or mean, of each K x K window; add sS for another stride than K
             globalavgpool    mean of each channel
             relu, tanh       also sigmoid, and leakyreluF, with slope F below zero
             groupnormN       normalises N groups of channels; layernorm: all together
             dropoutF         in training, zeros with probability F
             conv1dNkK, depthwise1dK, pool1dK, avgpool1dK    the same for signals, which have one row
           A kernel, size, stride or padding may be ROWSxCOLUMNS: conv8k3x5, pool1x2.
           The input is a sample of the data; a last layer with an output for each class, or each
           number to predict, is added where none is written.

Losses:
  cross-entropy   for classes, the default of these
  smoothed:S      the same with a share S of each label spread over all classes, as in smoothed:0.1
  bce             each output on its own, there or not: several labels at once (numbers from 0 to 1)
  mse             squared errors of numbers, the default of these
  huber:DELTA     half of that up to errors of DELTA, linear beyond: outliers count less
  Numbers are standardised first, each to mean 0 and variance 1 over the training part, so losses
  and DELTA are in deviations; RMSE and R squared are in the data's own units. --raw-targets does
  without. model.safetensors says how to get from an output to a number.

Examples:
  secant train                                             micro with Adam, a good start
  secant train --model 'conv16k5s2 relu linear10'          your own network
  secant train --optimizer lbfgs                           L-BFGS made for mini-batches
  secant train --optimizer lbfgs --batch full              deterministic L-BFGS
  secant train --weights runs/.../model.safetensors --freeze 6    fine-tune the last layer
  secant train --data synthetic --limit 2000 --epochs 2    a quick look, without data
  secant train --data readings.csv --predict temperature   numbers, from the columns of a table
  secant train --data DIR --predict input --model 'linear16 linear600'    an autoencoder
  secant train --json | jq .test_accuracy                  for scripts
  secant train --schedule constant --average 0.1           keep the mean of the last weights, too
  secant train --resume runs/first                         go on where a run was stopped
  secant train --config runs/first/config.toml --seed 1    the same options, another seed

Optimisers:
  --optimizer takes settings as well: --optimizer lbfgs:history=4:damping=0.2. Each setting that has
  an option here can be written either way. 'secant compare --help' lists the settings of each.

Data:
  Looked for in --data, then in $SECANT_DATA, then in data/fashion-mnist, then in
  /usr/share/datasets/fashion-mnist. 'secant data fetch' gets it. Without it, a built-in set of
  drawn garments stands in.

Files of a run:
  config.json         every choice, defaults too
  config.toml         its options: for --config, --resume and 'secant rerun'
  result.json         the whole record of the run: what --json prints
  metrics.csv         a line for each epoch
  model.safetensors   the weights at the end
  best.safetensors    the weights after the epoch that was best on the validation samples
  average.safetensors their mean over the last part of the run, with --average
  weights.bin         those of model.safetensors as bare little-endian floats, for a device
  curves.svg          loss, and accuracy or error, over the run
  checkpoint.bin      what the run has become, until it ends; checkpoint.previous.bin is the one before

Resume:
  A run that was interrupted, or whose machine failed, goes on with --resume RUN from its last
  checkpoint, to the same bits as if it had never stopped. It takes its options from the run; only
  --threads, --memory, --json, --checkpoint-every and --data (where the same data has moved) may be
  given. A run of other data, settings or build is refused. To resume a run that has ended says so,
  and ends with 0.

Config files:
  --config FILE reads options from a TOML file: epochs = 20, optimizer = \"adam:beta2=0.99\",
  decoupled = true. What stands on the command line wins. Every run writes such a file.

Several processes:
  mpirun -n 4 secant train ...     divides each batch among four ranks, to the same bits; needs a
                                   secant that is built with --features mpi (docs/cluster.md)

Environment:
  SECANT_DATA   folder with the data, or 'synthetic'
  SECANT_ISA    baseline, avx2, avx512 or neon: forces an instruction set (other speed, same bits)

Exit status:
  0    done
  1    the run failed, for example diverged; a model is saved only if an epoch before was of use
  2    wrong options or data, or more memory than --memory allows
  3    a file could not be written
  130  interrupted (Ctrl-C), 143 asked to end (SIGTERM), 129 the terminal was closed (SIGHUP); what
       was done until then is saved, and --resume goes on. A second signal ends the program at once,
       with the same status and the last checkpoint
  134 (SIGABRT: no memory), 137 (SIGKILL): ended by the system; the last checkpoint is left";

/// Options of `secant train`.
#[derive(Debug, Args)]
#[command(
    args_override_self = true,
    allow_negative_numbers = true,
    after_long_help = HELP,
    after_help = "'secant train --help' shows models, examples, environment and exit status as well."
)]
pub struct TrainArgs {
    /// Network: micro, lenet, seed, 2c2d, or layers such as 'conv8k3 relu pool2' [default: micro,
    /// or what suits the shape of the data]
    #[arg(long, value_name = "MODEL", help_heading = NETWORK)]
    pub model: Option<Description>,

    /// How the initial weights are drawn
    #[arg(long, value_name = "NAME", default_value = "pytorch", help_heading = NETWORK)]
    pub init: InitName,

    /// How convolutions are computed
    #[arg(long, value_name = "NAME", default_value = "winograd", help_heading = NETWORK)]
    pub convolution: ConvolutionName,

    /// Start from the weights of an earlier run: its model.safetensors
    #[arg(long, value_name = "FILE", conflicts_with = "init", help_heading = NETWORK)]
    pub weights: Option<PathBuf>,

    /// Leave the weights of the first K layers as they are
    #[arg(long, value_name = "K", requires = "weights", help_heading = NETWORK)]
    pub freeze: Option<usize>,

    /// What is predicted, and what training makes small.
    #[command(flatten)]
    pub targets: TargetArgs,

    /// How the weights are updated
    #[arg(
        long,
        value_name = "NAME[:KEY=VALUE]...",
        value_parser = OptimizerParser,
        default_value = "adam-classic",
        help_heading = OPTIMISER
    )]
    pub optimizer: Choice,

    /// Samples a step, or 'full' for all of them [default: 64; adam and lbfgs 32, lbfgs-armijo
    /// 512]
    #[arg(long, value_name = "B|full", help_heading = OPTIMISER)]
    pub batch: Option<Batch>,

    /// Learning rate; for lbfgs-armijo the length of the very first step [default: 0.005;
    /// lbfgs-armijo 0.1; adam and lbfgs by the network's shapes]
    #[arg(long, value_name = "X", help_heading = OPTIMISER)]
    pub learning_rate: Option<String>,

    /// How the learning rate falls over the run [default: linear]
    #[arg(
        long,
        value_name = "NAME",
        value_parser = names::<ScheduleName>(),
        help_heading = OPTIMISER
    )]
    pub schedule: Option<String>,

    /// Share of the run in which the learning rate rises from zero first [default: 0; adam
    /// and lbfgs 0.1]
    #[arg(long, value_name = "F", help_heading = OPTIMISER)]
    pub warm_up: Option<String>,

    /// Weight decay [default: 0]
    #[arg(long, value_name = "X", help_heading = MOMENTS)]
    pub weight_decay: Option<String>,

    /// Apply the weight decay apart from the gradient (AdamW)
    #[arg(long, help_heading = MOMENTS)]
    pub decoupled: bool,

    /// Use Nesterov's momentum [default: no; adam yes]
    #[arg(
        long,
        value_name = "yes|no",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "yes",
        help_heading = MOMENTS
    )]
    pub nesterov: Option<String>,

    /// Decay of the first moment [default: 0.9]
    #[arg(long, value_name = "F", help_heading = MOMENTS)]
    pub beta1: Option<String>,

    /// Decay of the second moment [default: 0.999; adam 0.99, lbfgs 0.98]
    #[arg(long, value_name = "F", help_heading = MOMENTS)]
    pub beta2: Option<String>,

    /// Added to the root of the second moment [default: 1e-8]
    #[arg(long, value_name = "X", help_heading = MOMENTS)]
    pub epsilon: Option<String>,

    /// Pairs kept: per layer 0 to 16 [default: 8]; lbfgs-armijo and full batches 1 to 32
    /// [default: 10]
    #[arg(long, value_name = "M", help_heading = LBFGS)]
    pub history: Option<String>,

    /// What ends a line search [default: armijo, full batches wolfe]
    #[arg(
        long,
        value_name = "NAME",
        value_parser = names::<LineSearchName>(),
        help_heading = LBFGS
    )]
    pub line_search: Option<String>,

    /// What becomes of a pair of too little curvature [default: damp, full batches skip]
    #[arg(
        long,
        value_name = "NAME",
        value_parser = names::<CurvatureName>(),
        help_heading = LBFGS
    )]
    pub curvature: Option<String>,

    /// The matrix that the pairs start from [default: scalar, full batches diagonal]
    #[arg(
        long,
        value_name = "NAME",
        value_parser = names::<ScalingName>(),
        help_heading = LBFGS
    )]
    pub scaling: Option<String>,

    /// Slips of lbfgs-seed to repair
    #[arg(
        long,
        value_name = "SLIP,...",
        value_delimiter = ',',
        value_parser = names::<Slip>(),
        help_heading = LBFGS
    )]
    pub repair: Vec<String>,

    /// Switch off the guard of lbfgs, which takes a run that goes wrong back to its last good point
    #[arg(long, help_heading = LBFGS)]
    pub no_guard: bool,

    /// Most passes over the training samples [default: 10, full batches 100]
    #[arg(
        long,
        value_name = "N",
        value_parser = clap::value_parser!(u32).range(1..),
        help_heading = STOP
    )]
    pub epochs: Option<u32>,

    /// Most steps
    #[arg(
        long,
        value_name = "N",
        value_parser = clap::value_parser!(u32).range(1..),
        help_heading = STOP
    )]
    pub max_iter: Option<u32>,

    /// Stop when the training loss of two epochs in a row differs by less; 0 never does
    #[arg(
        long,
        value_name = "EPS",
        default_value = "1e-5",
        value_parser = not_negative,
        help_heading = STOP
    )]
    pub tolerance: f64,

    /// Stop when the best epoch on the validation samples is N epochs ago
    #[arg(
        long,
        value_name = "N",
        value_parser = clap::value_parser!(u32).range(1..),
        help_heading = STOP
    )]
    pub patience: Option<u32>,

    /// Folder or file with the data: IDX, NumPy, .ts, CSV or PNG; or 'synthetic' for the built-in
    /// set
    #[arg(long, value_name = "DIR|synthetic", help_heading = DATA)]
    pub data: Option<PathBuf>,

    /// Use N training samples only, from each class in proportion (all test samples are kept)
    #[arg(long, value_name = "N", help_heading = DATA)]
    pub limit: Option<NonZeroUsize>,

    /// Share of the training samples set aside for validation; 0 trains on all of them
    #[arg(
        long,
        value_name = "F",
        default_value = "0.2",
        value_parser = share,
        help_heading = DATA
    )]
    pub validation: f64,

    /// Seed of all randomness: split, initial weights, order of the samples, dropout
    #[arg(long, value_name = "S", default_value = "0", help_heading = DATA)]
    pub seed: u64,

    /// Go on with the run in this folder, from its last checkpoint
    #[arg(
        long,
        value_name = "RUN",
        conflicts_with_all = ["out", "force", "config"],
        help_heading = LIFE
    )]
    pub resume: Option<PathBuf>,

    /// How often a checkpoint is written: 30s, 5m, 2h, 1epoch, 10epochs, or never [default: 60s]
    #[arg(long, value_name = "TIME|EPOCHS", help_heading = LIFE)]
    pub checkpoint_every: Option<Every>,

    /// Average the weights over about the last share F of the run, and keep the mean too, as in
    /// --average 0.1
    #[arg(
        long,
        value_name = "F",
        value_parser = above_zero_to_one,
        help_heading = LIFE
    )]
    pub average: Option<f64>,

    /// Which weights are kept at the end
    #[arg(long, value_name = "WHICH", default_value = "both", help_heading = LIFE)]
    pub keep: Keep,

    /// Read options from a TOML file; those of the command line win
    #[arg(long, value_name = "FILE", help_heading = LIFE)]
    pub config: Option<PathBuf>,

    /// Threads; the result is the same for any number [default: as many as there are cores]
    #[arg(long, value_name = "T", value_parser = threads, help_heading = OUTPUT)]
    pub threads: Option<NonZeroUsize>,

    /// Most memory that data and run may need, as in 800M or 4G [default: what the system has left]
    #[arg(long, value_name = "BYTES", value_parser = memory::parse, help_heading = OUTPUT)]
    pub memory: Option<u64>,

    /// Folder for the run's files [default: runs/TIME-MODEL-OPTIMIZER-sSEED]
    #[arg(long, value_name = "DIR", help_heading = OUTPUT)]
    pub out: Option<PathBuf>,

    /// Replace the files of a run that --out already holds
    #[arg(long, requires = "out", help_heading = OUTPUT)]
    pub force: bool,

    /// Print one JSON object instead of the table; progress goes to standard error
    #[arg(long, help_heading = OUTPUT)]
    pub json: bool,
}

const NETWORK: &str = "Network";
const OPTIMISER: &str = "Optimiser";
const MOMENTS: &str = "Moments (adam and lbfgs)";
const LBFGS: &str = "L-BFGS";
const STOP: &str = "When to stop";
const LIFE: &str = "Resume and keep";
const DATA: &str = "Data and seed";
const OUTPUT: &str = "Output and speed";

/// Names for `--keep`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Keep {
    /// Those after the best epoch on the validation samples: best.safetensors
    Best,
    /// Those at the end: model.safetensors
    Last,
    /// Both files
    Both,
}

impl TrainArgs {
    /// Checks the options against each other and fills in what depends on others; reads the weights
    /// to start from.
    ///
    /// # Errors
    /// [`Error::Usage`] when an option does not belong to the chosen optimiser, or the weights not
    /// to the network.
    pub fn resolve(&self, task: Task) -> Result<RunConfig, Error> {
        let mut model = Description::model(self.model.as_ref(), task)
            .map_err(|why| Error::Usage(format!("--model: {why}")))?;
        model.network = model.network.with_loss(self.targets.loss(task)?);
        model.network = model.network.with_convolution(self.convolution.into());
        let frozen = self.freeze.unwrap_or(0);
        let start = match &self.weights {
            Some(path) => Some(weights::start(path, frozen, &mut model)?),
            None => None,
        };
        if self.patience.is_some() && self.validation == 0.0 {
            return Err(Error::Usage(
                "--patience: without validation samples no epoch can be judged; --validation sets \
                 some aside"
                    .to_owned(),
            ));
        }
        let mut choice = self.optimizer.clone();
        choice.settings.extend(self.settings());
        let named = choice.take_batch().map_err(refused)?;
        let batch = self.batch.or(named).unwrap_or(choice.default_batch());
        Ok(RunConfig {
            optimizer: choice.resolve(&model.network, batch).map_err(refused)?,
            model,
            start,
            init: self.init.into(),
            class_weights: self.targets.class_weights.clone(),
            raw_targets: self.targets.raw_targets,
            batch,
            epochs: self.epochs.unwrap_or(match batch {
                Batch::Size(_) => 10,
                Batch::Full => 100,
            }),
            max_iterations: self.max_iter,
            tolerance: self.tolerance,
            patience: self.patience,
            average: self.average,
            validation: self.validation,
            watch_test: false,
            seed: self.seed,
            threads: self.threads.unwrap_or(cores()),
        })
    }

    /// The optimiser's settings that were given as options.
    fn settings(&self) -> impl Iterator<Item = (String, String)> {
        let flag = |given: bool, value: &str| given.then(|| value.to_owned());
        let single = [
            ("learning-rate", self.learning_rate.clone()),
            ("schedule", self.schedule.clone()),
            ("warm-up", self.warm_up.clone()),
            ("weight-decay", self.weight_decay.clone()),
            ("decoupled", flag(self.decoupled, "yes")),
            ("nesterov", self.nesterov.clone()),
            ("beta1", self.beta1.clone()),
            ("beta2", self.beta2.clone()),
            ("epsilon", self.epsilon.clone()),
            ("history", self.history.clone()),
            ("line-search", self.line_search.clone()),
            ("curvature", self.curvature.clone()),
            ("scaling", self.scaling.clone()),
            ("guard", flag(self.no_guard, "no")),
        ];
        let single = single.into_iter();
        let single = single.filter_map(|(key, value)| Some((key.to_owned(), value?)));
        let repairs = self.repair.iter();
        single.chain(repairs.map(|slip| ("repair".to_owned(), slip.clone())))
    }
}

/// The refusal of a setting that an option gave.
fn refused(refusal: Refusal) -> Error {
    Error::Usage(refusal.describe(|key| match key {
        "guard" => "--no-guard".to_owned(),
        _ => format!("--{key}"),
    }))
}
