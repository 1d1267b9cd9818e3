//! `secant bench`: its options, and the tables of what was measured.

use std::fmt::Write as _;
use std::num::NonZeroUsize;

use clap::Args;

use super::environment::{open_dataset, tell};
use super::values::{ConvolutionName, processors};
use crate::bench::{self, Report};
use crate::data::predict::Predict;
use crate::data::synthetic;
use crate::error::{EXIT_OK, Error};
use crate::export::write_whole;
use crate::loss::NamedLoss;
use crate::memory;
use crate::model::Description;
use crate::report::{print_json, print_line, say};
use crate::scaling;
use secant::arch::Isa;
use std::path::PathBuf;

/// Options of `secant bench`.
#[derive(Debug, Args)]
pub struct BenchArgs {
    /// Network: micro, lenet, seed, 2c2d, or layers such as 'conv8k3 relu pool2 linear10'
    #[arg(long, value_name = "MODEL")]
    pub model: Option<Description>,

    /// How convolutions are computed
    #[arg(long, value_name = "NAME", default_value = "winograd")]
    pub convolution: ConvolutionName,

    /// Folder or file with the data, as for 'secant train' [default: drawn images]
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,

    /// Most threads to try [default: as many as there are processors]
    #[arg(long, value_name = "T")]
    pub threads: Option<NonZeroUsize>,

    /// Measure instead how a step of each deterministic method, Newton's too, grows with the number
    /// of variables; writes the figure scaling.svg, and its points, into --out
    #[arg(long, conflicts_with_all = ["model", "convolution", "data", "threads"])]
    pub scaling: bool,

    /// Folder for the figure of --scaling
    #[arg(long, value_name = "DIR", requires = "scaling", default_value = ".")]
    pub out: PathBuf,

    /// Print one JSON object instead of tables
    #[arg(long)]
    pub json: bool,
}

impl BenchArgs {
    /// Measures, and prints the tables or the JSON object.
    pub(super) fn run(&self) -> Result<u8, Error> {
        if self.scaling {
            return self.run_scaling();
        }
        let threads = self.threads.unwrap_or(processors()).get();
        // The speed does not depend on what the images show.
        let dataset = match &self.data {
            Some(path) => open_dataset(Some(path), None, &Predict::Labels)?,
            None => synthetic::dataset(Some(bench::SAMPLES)),
        };
        let task = dataset.task();
        let mut model = Description::model(self.model.as_ref(), task)
            .map_err(|why| Error::Usage(format!("--model: {why}")))?;
        let loss = NamedLoss::default_for(task).loss();
        model.network = model.network.with_loss(loss);
        model.network = model.network.with_convolution(self.convolution.into());
        let needed = bench::memory(&model, threads);
        memory::check(needed, "measuring it")
            .map_err(|why| Error::Usage(format!("--model: {why}")))?;
        tell(&dataset);
        let report = bench::run(&model, &dataset, threads);
        let report = report.map_err(|error| Error::Run(error.to_string()))?;
        let text = if self.json {
            serde_json::to_string(&report).map_err(|error| Error::Run(error.to_string()))?
        } else {
            table(&report)
        };
        say(false, &text);
        Ok(EXIT_OK)
    }
}

impl BenchArgs {
    fn run_scaling(&self) -> Result<u8, Error> {
        let curves = scaling::run().map_err(|error| Error::Run(error.to_string()))?;
        let on = format!("a chain of Rosenbrock's valleys, {}", Isa::current().name());
        let chart = scaling::figure(&curves, &on);
        let output = |source| Error::Output {
            path: self.out.clone(),
            source,
        };
        std::fs::create_dir_all(&self.out).map_err(output)?;
        write_whole(&self.out.join("scaling.svg"), chart.svg(760.0).as_bytes())?;
        write_whole(&self.out.join("scaling.csv"), chart.csv().as_bytes())?;
        if self.json {
            print_json(&curves)?;
            return Ok(EXIT_OK);
        }
        let mut text = format!(
            "a step on {on}\n\n{:<20}{:>10}{:>12}{:>12}{:>10}{:>11}\n",
            "method", "largest n", "seconds", "memory", "time ~n^", "memory ~n^"
        );
        for curve in &curves {
            let Some(last) = curve.points.last() else {
                continue;
            };
            let _ = writeln!(
                text,
                "{:<20}{:>10}{:>12.6}{:>9.2} MB{:>10.2}{:>11.2}",
                curve.name,
                last.n,
                last.seconds,
                last.bytes as f64 / 1e6,
                curve.exponent,
                curve.memory_exponent
            );
        }
        let _ = write!(
            text,
            "\nThe figure is {}.",
            self.out.join("scaling.svg").display()
        );
        print_line(&text)?;
        Ok(EXIT_OK)
    }
}

/// For a person.
fn table(report: &Report) -> String {
    let mut text = format!(
        "{} on {}, {:.1} GFLOP/s peak of fused multiply-adds a thread; a block's gradient reaches {:.1}, {:.0} %\n\n\
         {:<14}{:<18}{:>9}{:>8}\n",
        report.model,
        report.isa,
        report.peak_gflops_per_thread,
        report.gflops,
        100.0 * report.share_of_peak,
        "layer",
        "pass",
        "GFLOP/s",
        "% peak"
    );
    // Writing to a string never fails.
    for layer in &report.layers {
        let share = 100.0 * layer.share_of_peak;
        let _ = writeln!(
            text,
            "{:<14}{:<18}{:>9.1}{share:>8.0}",
            layer.name, layer.pass, layer.gflops
        );
    }
    let _ = writeln!(
        text,
        "\n{:<14}{:>18}{:>12}{:>12}{:>12}{:>10}{:>18}",
        "optimiser",
        "us a step of 64",
        "gradients",
        "% in them",
        "% two-loop",
        "% other",
        "us with one only"
    );
    for step in &report.step {
        let (gradient, two_loop) = (step.gradient_share, step.two_loop_share);
        let plain = step
            .plain_seconds
            .map_or("-".into(), |seconds| format!("{:.0}", 1e6 * seconds));
        let _ = writeln!(
            text,
            "{:<14}{:>18.0}{:>12.2}{:>12.1}{:>12.1}{:>10.1}{plain:>18}",
            step.optimizer,
            1e6 * step.seconds,
            step.evaluations,
            100.0 * gradient,
            100.0 * two_loop,
            100.0 * (1.0 - gradient - two_loop),
        );
    }
    let _ = writeln!(text, "\nseconds an epoch of 60,000 with Adam");
    for (threads, seconds) in &report.epoch_seconds {
        let _ = writeln!(text, "{threads:>4} thread(s) {seconds:>8.3}");
    }
    text
}
