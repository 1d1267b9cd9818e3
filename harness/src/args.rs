//! The command line.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use secant::network::Init;
use secant::optim::Form;

use crate::bench::BenchArgs;
use crate::compare::args::CompareArgs;
use crate::config::{Batch, RunConfig, ScheduleName};
use crate::error::Error;
use crate::model::Model;
use crate::optimizers::{
    AdamSettings, CurvatureName, FlatLbfgsSettings, LARGEST_HISTORY, LARGEST_PAIRS,
    LayerLbfgsSettings, LbfgsSeedSettings, LbfgsSettings, LineSearchName, Optimizer, ScalingName,
};
use crate::size::SizeArgs;
use crate::weights;

/// Trains small convolutional networks with first- and second-order optimisers, to the same bits everywhere.
#[derive(Debug, Parser)]
#[command(
    name = "secant",
    version,
    propagate_version = true,
    bin_name = "secant",
    arg_required_else_help = true,
    args_override_self = true,
    max_term_width = 100,
    after_help = AFTER_HELP
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

const AFTER_HELP: &str = "\
Examples:
  secant train                      Fashion-MNIST if it is there, else a built-in set
  secant train --optimizer lbfgs    the same network, trained with stochastic L-BFGS
  secant train --help               all options, with what they mean

Exit status: 0 done, 1 the run failed, 2 wrong options or data, 3 a file could not be written,
130 interrupted (Ctrl-C).";

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Train one network with one optimiser, and save weights, metrics and curves
    Train(Box<TrainArgs>),
    /// Compare optimisers over seeds: accuracy, time to targets, collapses, intervals
    Compare(Box<CompareArgs>),
    /// Measure the speed of the kernels, the optimisers and the threads on this machine
    Bench(Box<BenchArgs>),
    /// Tell how much memory training on a device needs, and which boards have it
    Size(Box<SizeArgs>),
}

const TRAIN_HELP: &str = "\
Models:
  micro    conv8k3 relu pool2 conv16k3 relu pool2 linear10           5,258 parameters
  lenet    conv6k5p2 relu pool2 conv16k5 relu pool2
           linear120 relu linear84 relu linear10                    61,706
  seed     three convolutions, four linear layers, dropout         159,539
  2c2d     conv32k5p2 relu pool2 conv64k5p2 relu pool2
           linear1024 relu linear10                              3,274,634
  2c2d     conv32k5p2 relu pool2 conv64k5p2 relu pool2
           linear1024 relu linear10 (DeepOBS)                    3,274,634
  LAYERS   your own, separated by spaces or commas:
             convNkK          convolution, N outputs, K x K kernel; add sS for stride S, pP for padding
             depthwiseK       the same for each channel on its own; sS and pP as above
             linearN          fully connected, N outputs
             poolK, avgpoolK  largest, or mean, of each K x K window; add sS for another stride than K
             globalavgpool    mean of each channel
             relu, tanh       also leakyreluF, with slope F below zero
             dropoutF         in training, zeros with probability F
           The input is 1 x 28 x 28; the last layer must have ten outputs, one a class.

Examples:
  secant train                                             micro with Adam, a good start
  secant train --model 'conv16k5s2 relu linear10'          your own network
  secant train --optimizer lbfgs                           L-BFGS made for mini-batches
  secant train --optimizer lbfgs --batch full              deterministic L-BFGS
  secant train --weights runs/.../model.safetensors --freeze 6    fine-tune the last layer
  secant train --data synthetic --limit 2000 --epochs 2    a quick look, without data
  secant train --json | jq .test_accuracy                  for scripts

Data:
  Looked for in --data, then in $SECANT_DATA, then in data/fashion-mnist, then in
  /usr/share/datasets/fashion-mnist. data/fetch.sh gets it. Without it, a built-in set of drawn
  garments stands in.

Files of a run:
  config.json         every choice, defaults too
  metrics.csv         a line for each epoch
  model.safetensors   the trained weights
  weights.bin         the same as bare little-endian floats, for a device
  curves.svg          loss and accuracy over the run

Environment:
  SECANT_DATA   folder with the data, or 'synthetic'
  SECANT_ISA    baseline, avx2, avx512 or neon: forces an instruction set (other speed, same bits)

Exit status:
  0    done
  1    the run failed, for example diverged; no model is saved then
  2    wrong options or data
  3    a file could not be written
  130  interrupted (Ctrl-C); what was done until then is saved";

/// Options of `secant train`.
#[derive(Debug, Args)]
#[command(args_override_self = true, allow_negative_numbers = true, after_long_help = TRAIN_HELP, after_help = "'secant train --help' shows models, examples, environment and exit status as well.")]
pub struct TrainArgs {
    /// Network: micro, lenet, seed, 2c2d, or layers such as 'conv8k3 relu pool2 linear10'
    #[arg(
        long,
        value_name = "MODEL",
        default_value = "micro",
        help_heading = "Network"
    )]
    pub model: Model,

    /// How the initial weights are drawn
    #[arg(
        long,
        value_name = "NAME",
        default_value = "pytorch",
        help_heading = "Network"
    )]
    pub init: InitName,

    /// Start from the weights of an earlier run: its model.safetensors
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with = "init",
        help_heading = "Network"
    )]
    pub weights: Option<PathBuf>,

    /// Leave the weights of the first K layers as they are
    #[arg(long, value_name = "K", requires = "weights", help_heading = "Network")]
    pub freeze: Option<usize>,

    /// How the weights are updated
    #[arg(
        long,
        value_name = "NAME",
        default_value = "adam",
        help_heading = "Optimiser"
    )]
    pub optimizer: OptimizerName,

    /// Images a step, or 'full' for all of them [default: 64; lbfgs 32, lbfgs-armijo 512]
    #[arg(long, value_name = "B|full", help_heading = "Optimiser")]
    pub batch: Option<Batch>,

    /// Learning rate; for lbfgs-armijo the length of the very first step [default: 0.005; lbfgs-armijo 0.1; lbfgs by the network's shapes]
    #[arg(long, value_name = "X", value_parser = positive, help_heading = "Optimiser")]
    pub learning_rate: Option<f32>,

    /// How the learning rate falls over the run [default: linear]
    #[arg(long, value_name = "NAME", help_heading = "Optimiser")]
    pub schedule: Option<ScheduleName>,

    /// Share of the run in which the learning rate rises from zero first [default: 0; lbfgs 0.1]
    #[arg(long, value_name = "F", value_parser = share, help_heading = "Optimiser")]
    pub warm_up: Option<f32>,

    /// Weight decay [default: 0]
    #[arg(long, value_name = "X", value_parser = not_negative, help_heading = "Moments (adam and lbfgs)")]
    pub weight_decay: Option<f32>,

    /// Apply the weight decay apart from the gradient (AdamW)
    #[arg(long, help_heading = "Moments (adam and lbfgs)")]
    pub decoupled: bool,

    /// Use Nesterov's momentum
    #[arg(long, help_heading = "Moments (adam and lbfgs)")]
    pub nesterov: bool,

    /// Decay of the first moment [default: 0.9]
    #[arg(long, value_name = "F", value_parser = share, help_heading = "Moments (adam and lbfgs)")]
    pub beta1: Option<f32>,

    /// Decay of the second moment [default: 0.999; lbfgs 0.98]
    #[arg(long, value_name = "F", value_parser = share, help_heading = "Moments (adam and lbfgs)")]
    pub beta2: Option<f32>,

    /// Added to the root of the second moment [default: 1e-8]
    #[arg(long, value_name = "X", value_parser = positive, help_heading = "Moments (adam and lbfgs)")]
    pub epsilon: Option<f32>,

    /// Pairs kept: a layer 0 to 16 [default: 8]; lbfgs-armijo and full batches 1 to 32 [default: 10]
    #[arg(long, value_name = "M", value_parser = history, help_heading = "L-BFGS")]
    pub history: Option<usize>,

    /// What ends a line search [default: armijo, full batches wolfe]
    #[arg(long, value_name = "NAME", help_heading = "L-BFGS")]
    pub line_search: Option<LineSearchName>,

    /// What becomes of a pair of too little curvature [default: damp, full batches skip]
    #[arg(long, value_name = "NAME", help_heading = "L-BFGS")]
    pub curvature: Option<CurvatureName>,

    /// The matrix that the pairs start from [default: scalar, full batches diagonal]
    #[arg(long, value_name = "NAME", help_heading = "L-BFGS")]
    pub scaling: Option<ScalingName>,

    /// Slips of lbfgs-seed to repair
    #[arg(
        long,
        value_name = "SLIP,...",
        value_delimiter = ',',
        help_heading = "L-BFGS"
    )]
    pub repair: Vec<Slip>,

    /// Switch off the guard of lbfgs, which takes a run that goes wrong back to its last good point
    #[arg(long, help_heading = "L-BFGS")]
    pub no_guard: bool,

    /// Most passes over the training images [default: 10, full batches 100]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..), help_heading = "When to stop")]
    pub epochs: Option<u32>,

    /// Most steps
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..), help_heading = "When to stop")]
    pub max_iter: Option<u32>,

    /// Stop when the training loss of two epochs in a row differs by less; 0 never does
    #[arg(long, value_name = "EPS", default_value = "1e-5", value_parser = not_negative_f64, help_heading = "When to stop")]
    pub tolerance: f64,

    /// Folder with the four files of Fashion-MNIST, or 'synthetic' for the built-in set
    #[arg(long, value_name = "DIR|synthetic", help_heading = "Data and seed")]
    pub data: Option<PathBuf>,

    /// Use the first N training images only (all test images are kept)
    #[arg(long, value_name = "N", help_heading = "Data and seed")]
    pub limit: Option<NonZeroUsize>,

    /// Share of the training images set aside for validation; 0 trains on all of them
    #[arg(long, value_name = "F", default_value = "0.2", value_parser = share_f64, help_heading = "Data and seed")]
    pub validation: f64,

    /// Seed of all randomness: split, initial weights, order of the images, dropout
    #[arg(
        long,
        value_name = "S",
        default_value = "0",
        help_heading = "Data and seed"
    )]
    pub seed: u64,

    /// Threads; the result is the same for any number [default: as many as there are processors]
    #[arg(long, value_name = "T", value_parser = threads, help_heading = "Output and speed")]
    pub threads: Option<NonZeroUsize>,

    /// Folder for the run's files [default: runs/TIME-MODEL-OPTIMIZER-sSEED]
    #[arg(long, value_name = "DIR", help_heading = "Output and speed")]
    pub out: Option<PathBuf>,

    /// Replace the files of a run that --out already holds
    #[arg(long, requires = "out", help_heading = "Output and speed")]
    pub force: bool,

    /// Print one JSON object instead of the table; progress goes to standard error
    #[arg(long, help_heading = "Output and speed")]
    pub json: bool,
}

/// Names for `--optimizer`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OptimizerName {
    /// Adaptive moments (first order)
    Adam,
    /// Stochastic L-BFGS, layer by layer (second order); with --batch full the deterministic one
    Lbfgs,
    /// The same with one second moment a row: less memory than adam
    LbfgsRow,
    /// The same with second moments of rows and columns
    LbfgsFactored,
    /// Limited-memory BFGS with a line search on each mini-batch
    LbfgsArmijo,
    /// Stochastic L-BFGS over all parameters at once, on Adam's diagonal
    LbfgsFlat,
    /// L-BFGS as the experiment behind this project ran it, slips included
    LbfgsSeed,
}

/// Names for `--repair`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Slip {
    /// Ten iterations a batch: make one
    Inner,
    /// Gradients that add up over a batch's iterations: clear them
    Accumulate,
    /// Pairs that span two batches: make none
    AcrossBatches,
    /// A fixed step: search along the line (Armijo)
    LineSearch,
}

/// Names for `--init`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum InitName {
    /// Normal, variance 2 / inputs
    He,
    /// Normal, variance 1 / inputs
    Lecun,
    /// Uniform, as PyTorch does by default
    Pytorch,
    /// Truncated normal of deviation 0.05, as the benchmark DeepOBS does
    Deepobs,
}

impl From<InitName> for Init {
    fn from(name: InitName) -> Init {
        match name {
            InitName::He => Init::He,
            InitName::Lecun => Init::LeCun,
            InitName::Pytorch => Init::PyTorch,
            InitName::Deepobs => Init::DeepObs,
        }
    }
}

impl TrainArgs {
    /// Checks the options against each other and fills in what depends on others; reads the weights to start from.
    ///
    /// # Errors
    /// [`Error::Usage`] when an option does not belong to the chosen optimiser, or the weights not to the network.
    pub fn resolve(&self) -> Result<RunConfig, Error> {
        let batch = self.batch.unwrap_or(match self.optimizer {
            OptimizerName::Adam | OptimizerName::LbfgsSeed => Batch::Size(ADAM_BATCH),
            OptimizerName::LbfgsArmijo => Batch::Size(LBFGS_BATCH),
            _ => Batch::Size(LAYER_BATCH),
        });
        self.check_options(batch)?;
        let mut model = self.model.clone();
        let frozen = self.freeze.unwrap_or(0);
        let start = match &self.weights {
            Some(path) => Some(weights::start(path, frozen, &mut model)?),
            None => None,
        };
        let optimizer = match self.optimizer {
            OptimizerName::Adam => Optimizer::Adam(AdamSettings {
                learning_rate: self.learning_rate.unwrap_or(0.005),
                schedule: self.schedule.unwrap_or(ScheduleName::Linear),
                warm_up: self.warm_up.unwrap_or(0.0),
                beta1: self.beta1.unwrap_or(0.9),
                beta2: self.beta2.unwrap_or(0.999),
                epsilon: self.epsilon.unwrap_or(1e-8),
                weight_decay: self.weight_decay.unwrap_or(0.0),
                decoupled: self.decoupled,
                nesterov: self.nesterov,
            }),
            _ if self.is_deterministic(batch) => self.lbfgs(batch),
            OptimizerName::LbfgsFlat => {
                let usual = FlatLbfgsSettings::defaults(&model.network);
                Optimizer::FlatLbfgs(FlatLbfgsSettings {
                    learning_rate: self.learning_rate.unwrap_or(usual.learning_rate),
                    schedule: self.schedule.unwrap_or(usual.schedule),
                    warm_up: self.warm_up.unwrap_or(usual.warm_up),
                    beta2: self.beta2.unwrap_or(usual.beta2),
                    ..usual
                })
            }
            OptimizerName::LbfgsSeed => {
                let usual = LbfgsSeedSettings::default();
                let repaired = |slip| self.repair.contains(&slip);
                Optimizer::LbfgsSeed(LbfgsSeedSettings {
                    learning_rate: self.learning_rate.unwrap_or(usual.learning_rate),
                    history: self.history.unwrap_or(usual.history),
                    inner: if repaired(Slip::Inner) {
                        1
                    } else {
                        usual.inner
                    },
                    accumulate: !repaired(Slip::Accumulate),
                    across_batches: !repaired(Slip::AcrossBatches),
                    line_search: repaired(Slip::LineSearch),
                })
            }
            _ => self.layer_lbfgs(&model, batch),
        };
        let processors = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        Ok(RunConfig {
            model,
            start,
            init: self.init.into(),
            optimizer,
            batch,
            epochs: self
                .epochs
                .unwrap_or(if batch == Batch::Full { 100 } else { 10 }),
            max_iterations: self.max_iter,
            tolerance: self.tolerance,
            validation: self.validation,
            watch_test: false,
            seed: self.seed,
            threads: self.threads.unwrap_or(processors.min(LARGEST_THREADS)),
        })
    }

    /// L-BFGS with a line search, on mini-batches or on all images.
    fn lbfgs(&self, batch: Batch) -> Optimizer {
        let full = batch == Batch::Full;
        Optimizer::Lbfgs(LbfgsSettings {
            history: self.history.unwrap_or(10),
            line_search: self.line_search.unwrap_or(if full {
                LineSearchName::Wolfe
            } else {
                LineSearchName::Armijo
            }),
            curvature: self.curvature.unwrap_or(if full {
                CurvatureName::Skip
            } else {
                CurvatureName::Damp
            }),
            scaling: self.scaling.unwrap_or(if full {
                ScalingName::Diagonal
            } else {
                ScalingName::Scalar
            }),
            first_step: self.learning_rate.unwrap_or(0.1),
        })
    }

    /// The layer-wise L-BFGS.
    fn layer_lbfgs(&self, model: &Model, batch: Batch) -> Optimizer {
        let form = match self.optimizer {
            OptimizerName::LbfgsRow => Form::Row,
            OptimizerName::LbfgsFactored => Form::Factored,
            _ => Form::Element,
        };
        let images = match batch {
            Batch::Size(size) => size.get(),
            Batch::Full => 1024,
        };
        let usual = LayerLbfgsSettings::defaults(form, &model.network, images);
        Optimizer::LayerLbfgs(LayerLbfgsSettings {
            history: self.history.unwrap_or(usual.history),
            learning_rate: self.learning_rate.unwrap_or(usual.learning_rate),
            schedule: self.schedule.unwrap_or(usual.schedule),
            warm_up: self.warm_up.unwrap_or(usual.warm_up),
            beta1: self.beta1.unwrap_or(usual.beta1),
            beta2: self.beta2.unwrap_or(usual.beta2),
            epsilon: self.epsilon.unwrap_or(usual.epsilon),
            weight_decay: self.weight_decay.unwrap_or(usual.weight_decay),
            decoupled: self.decoupled,
            guard: !self.no_guard,
            ..usual
        })
    }

    /// Whether the optimiser is L-BFGS with a line search: by name, or `lbfgs` on full batches.
    fn is_deterministic(&self, batch: Batch) -> bool {
        match self.optimizer {
            OptimizerName::LbfgsArmijo => true,
            OptimizerName::Lbfgs => batch == Batch::Full,
            _ => false,
        }
    }

    /// An option that the chosen optimiser does not have is an error, not passed over.
    fn check_options(&self, batch: Batch) -> Result<(), Error> {
        use OptimizerName::{Adam, Lbfgs, LbfgsFactored, LbfgsFlat, LbfgsRow, LbfgsSeed};
        let searched = self.is_deterministic(batch);
        let layered = !searched && matches!(self.optimizer, Lbfgs | LbfgsRow | LbfgsFactored);
        let adam = self.optimizer == Adam;
        let flat = self.optimizer == LbfgsFlat;
        let seed = self.optimizer == LbfgsSeed;

        const LAYERED: &str = "lbfgs, lbfgs-row and lbfgs-factored";
        const MOMENTS: &str = "adam, lbfgs, lbfgs-row and lbfgs-factored";
        const RATED: &str = "adam, lbfgs, lbfgs-row, lbfgs-factored and lbfgs-flat";
        const SEARCHED: &str = "lbfgs-armijo, and of lbfgs with --batch full";
        const PAIRED: &str = "every lbfgs but lbfgs-flat";
        // The option, whether it was given, whether the optimiser has it, and which ones do.
        let table = [
            (
                "--schedule",
                self.schedule.is_some(),
                adam || layered || flat,
                RATED,
            ),
            (
                "--warm-up",
                self.warm_up.is_some(),
                adam || layered || flat,
                RATED,
            ),
            (
                "--beta2",
                self.beta2.is_some(),
                adam || layered || flat,
                RATED,
            ),
            ("--beta1", self.beta1.is_some(), adam || layered, MOMENTS),
            (
                "--epsilon",
                self.epsilon.is_some(),
                adam || layered,
                MOMENTS,
            ),
            (
                "--weight-decay",
                self.weight_decay.is_some(),
                adam || layered,
                MOMENTS,
            ),
            ("--decoupled", self.decoupled, adam || layered, MOMENTS),
            (
                "--nesterov",
                self.nesterov,
                adam,
                "adam (lbfgs always has it)",
            ),
            (
                "--history",
                self.history.is_some(),
                layered || searched || seed,
                PAIRED,
            ),
            (
                "--line-search",
                self.line_search.is_some(),
                searched,
                SEARCHED,
            ),
            ("--curvature", self.curvature.is_some(), searched, SEARCHED),
            ("--scaling", self.scaling.is_some(), searched, SEARCHED),
            ("--no-guard", self.no_guard, layered, LAYERED),
            ("--repair", !self.repair.is_empty(), seed, "lbfgs-seed"),
        ];
        let chosen = || {
            let name = self.optimizer.to_possible_value();
            let name = name.map_or(String::new(), |value| value.get_name().to_owned());
            let full = searched && self.optimizer == Lbfgs;
            format!("{name}{}", if full { " with --batch full" } else { "" })
        };
        if let Some((option, .., owners)) = table.iter().find(|(_, given, has, _)| *given && !has) {
            return Err(Error::Usage(format!(
                "{option} is an option of {owners}, not of {}",
                chosen()
            )));
        }
        if self.decoupled && self.weight_decay.is_none() {
            return Err(Error::Usage(
                "--decoupled needs --weight-decay X".to_owned(),
            ));
        }
        let pairs = if layered {
            0..=LARGEST_PAIRS
        } else {
            1..=LARGEST_HISTORY
        };
        match self.history {
            Some(history) if !pairs.contains(&history) => Err(Error::Usage(format!(
                "--history {history}: {} keeps {} to {} pairs",
                chosen(),
                pairs.start(),
                pairs.end()
            ))),
            _ => Ok(()),
        }
    }
}

const ADAM_BATCH: NonZeroUsize = NonZeroUsize::new(64).unwrap();
const LAYER_BATCH: NonZeroUsize = NonZeroUsize::new(32).unwrap();
const LBFGS_BATCH: NonZeroUsize = NonZeroUsize::new(512).unwrap();
const LARGEST_THREADS: NonZeroUsize = NonZeroUsize::new(256).unwrap();

fn number(text: &str, accept: impl Fn(f64) -> bool, expected: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if value.is_finite() && accept(value) => Ok(value),
        _ => Err(format!("expected {expected}")),
    }
}

fn positive(text: &str) -> Result<f32, String> {
    number(
        text,
        |x| x as f32 > 0.0 && (x as f32).is_finite(),
        "a number above 0",
    )
    .map(|x| x as f32)
}

fn not_negative(text: &str) -> Result<f32, String> {
    not_negative_f64(text).map(|x| x as f32)
}

fn not_negative_f64(text: &str) -> Result<f64, String> {
    number(
        text,
        |x| x >= 0.0 && (x as f32).is_finite(),
        "a number, at least 0",
    )
}

fn share(text: &str) -> Result<f32, String> {
    number(
        text,
        |x| x >= 0.0 && (x as f32) < 1.0,
        "a number from 0 to below 1",
    )
    .map(|x| x as f32)
}

fn share_f64(text: &str) -> Result<f64, String> {
    number(
        text,
        |x| (0.0..1.0).contains(&x),
        "a number from 0 to below 1",
    )
}

fn history(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(pairs) if (0..=LARGEST_HISTORY).contains(&pairs) => Ok(pairs),
        _ => Err(format!("expected a number from 0 to {LARGEST_HISTORY}")),
    }
}

fn threads(text: &str) -> Result<NonZeroUsize, String> {
    match text.parse() {
        Ok(threads) if threads <= LARGEST_THREADS => Ok(threads),
        _ => Err(format!("expected a number from 1 to {LARGEST_THREADS}")),
    }
}
