//! The program, from the command line to the exit status: one file for each command.

mod bench;
mod compare;
mod data;
mod environment;
mod evaluate;
mod export;
mod hessian;
mod import;
mod manual;
mod merge;
pub mod options;
mod predict;
mod report;
mod rerun;
mod session;
mod size;
mod summary;
mod targets;
mod train;
mod values;

pub use environment::choose_isa;
pub use train::TrainArgs;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::error::Error;
use crate::ranks::{self, Ranks};
use crate::report::{be_quiet, complain};

/// Trains small convolutional networks with first- and second-order optimisers, to the same bits
/// everywhere.
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
130 interrupted (Ctrl-C), 143 asked to end (SIGTERM), 129 terminal closed (SIGHUP). Ended by the
system: 134 (no memory), 137 (killed). Under mpirun the status of the rank that failed; a lost rank
ends all.";

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Train one network with one optimiser, and save weights, metrics and curves
    Train(Box<train::TrainArgs>),
    /// Make a run once more, and compare the bits
    Rerun(Box<rerun::RerunArgs>),
    /// Tell how good the network of a run is: by class, which classes it mistakes, calibration
    Evaluate(Box<evaluate::EvaluateArgs>),
    /// Tell what the network of a run says of a sample: classes and probabilities, or numbers
    Predict(Box<predict::PredictArgs>),
    /// Write the network of a run for other programs: ONNX, Rust, C, NumPy
    Export(Box<export::ExportArgs>),
    /// Take a network of another program: ONNX, or PyTorch's tensors
    Import(Box<import::ImportArgs>),
    /// Write a run as a page to read: curves, classes, the worst mistakes, the first kernels
    Report(Box<report::ReportArgs>),
    /// List the layers of a network: shapes, parameters, multiply-accumulates, memory
    Summary(Box<summary::SummaryArgs>),
    /// Compare optimisers over seeds: accuracy, time to targets, collapses, intervals
    Compare(Box<compare::CompareArgs>),
    /// Put the shards of a comparison together: one table, one page
    Merge(Box<merge::MergeArgs>),
    /// Show the Hessian of a run: is it positive definite, how ill-conditioned, and what follows
    Hessian(Box<hessian::HessianArgs>),
    /// Measure the speed of the kernels, the optimisers and the threads on this machine
    Bench(Box<bench::BenchArgs>),
    /// Tell what is in a data set, and draw some of it
    Data(Box<data::DataArgs>),
    /// Tell how much memory training on a device needs, and which boards have it
    Size(Box<size::SizeArgs>),
    /// Print a script that completes this program's commands in a shell
    Completions(manual::CompletionsArgs),
    /// Print the manual page of the program, or of a command
    Man(manual::ManArgs),
}

impl Command {
    fn run(&self, ranks: &Ranks) -> Result<u8, Error> {
        match self {
            Command::Train(args) => session::train(args, ranks).map(|done| done.status),
            Command::Compare(args) => args.run(ranks),
            _ if ranks.count() > 1 => Err(Error::Usage(
                "only 'secant train' and 'secant compare' work on several ranks: start this command \
                 without mpirun"
                    .to_owned(),
            )),
            Command::Rerun(args) => args.run(),
            Command::Evaluate(args) => args.run(),
            Command::Predict(args) => args.run(),
            Command::Export(args) => args.run(),
            Command::Import(args) => args.run(),
            Command::Report(args) => args.run(),
            Command::Summary(args) => args.run(),
            Command::Merge(args) => args.run(),
            Command::Hessian(args) => args.run(),
            Command::Bench(args) => args.run(),
            Command::Data(args) => args.run(),
            Command::Size(args) => args.run(),
            Command::Completions(args) => args.run(),
            Command::Man(args) => args.run(),
        }
    }
}

/// Runs the program with the process's arguments.
pub fn main() -> ExitCode {
    let ranks = match Ranks::start() {
        Ok(ranks) => ranks,
        // Every process finds the same.
        Err(error) if !ranks::speaks() => return ExitCode::from(error.exit_code()),
        Err(error) => return failed(&error, &Ranks::alone()),
    };
    be_quiet(!ranks.is_first());
    let words = match ranks.is_first() {
        true => options::expand(std::env::args_os().collect()),
        false => Ok(Vec::new()),
    };
    // All ranks have the options of rank 0, so that its files need not be everywhere.
    let words = match ranks.agree(words) {
        Ok(words) => ranks.first(words),
        Err(error) => return failed(&error, &ranks),
    };
    let cli = match Cli::try_parse_from(words) {
        Ok(cli) => cli,
        Err(error) => {
            if ranks.is_first() {
                let _ = error.print();
            }
            return ExitCode::from(error.exit_code() as u8);
        }
    };
    let done = ranks.agree(choose_isa());
    match ranks.agree(done.and_then(|()| cli.command.run(&ranks))) {
        // Rank 0 answers for all. Another status than 0 of a rank that is home before would end it.
        Ok(status) if ranks.is_first() => ExitCode::from(status),
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => failed(&error, &ranks),
    }
}

/// Says why the command has failed, unless another rank does.
fn failed(error: &Error, ranks: &Ranks) -> ExitCode {
    if !matches!(error, Error::Elsewhere { .. }) {
        let place = match ranks.is_first() {
            true => String::new(),
            false => format!("rank {}: ", ranks.rank()),
        };
        complain(&format!("secant: {place}{error}"));
    }
    ExitCode::from(error.exit_code())
}
