//! Values of options that several commands share.

use std::ffi::OsStr;
use std::num::NonZeroUsize;

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::error::ErrorKind;
use clap::{Arg, Command, ValueEnum};
use secant::network::{Convolution, Init, Shape};

use crate::engine::LANES;
use crate::optimizers::values::number;
use crate::optimizers::{self, Choice};

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

/// Names for `--convolution`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ConvolutionName {
    /// Term by term, as a device computes
    Direct,
    /// Kernels of 3 x 3 and stride 1 with fewer multiplications: faster, other last bits
    Winograd,
}

impl From<ConvolutionName> for Convolution {
    fn from(name: ConvolutionName) -> Convolution {
        match name {
            ConvolutionName::Direct => Convolution::Direct,
            ConvolutionName::Winograd => Convolution::Winograd,
        }
    }
}

/// Reads an optimiser, `NAME[:KEY=VALUE]...`; the help lists the names.
#[derive(Debug, Clone, Copy)]
pub struct OptimizerParser;

impl TypedValueParser for OptimizerParser {
    type Value = Choice;

    fn parse_ref(
        &self,
        command: &Command,
        argument: Option<&Arg>,
        value: &OsStr,
    ) -> Result<Choice, clap::Error> {
        let text = value.to_string_lossy();
        // A wrong name gets the message, and the hint, of any wrong word.
        let name = text.split(':').next().unwrap_or_default();
        let names = optimizers::named().map(|entry| entry.name);
        PossibleValuesParser::new(names).parse_ref(command, argument, OsStr::new(name))?;
        text.parse::<Choice>().map_err(|why| {
            let message = format!("invalid value '{text}': {why}\n");
            clap::Error::raw(ErrorKind::ValueValidation, message).with_cmd(command)
        })
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        let values = optimizers::named();
        Some(Box::new(values.map(|entry| {
            PossibleValue::new(entry.name).help(entry.about)
        })))
    }
}

/// The names of `T`, to be read as text.
pub fn names<T: ValueEnum>() -> PossibleValuesParser {
    let values = T::value_variants().iter();
    let values: Vec<PossibleValue> = values.filter_map(ValueEnum::to_possible_value).collect();
    PossibleValuesParser::new(values)
}

/// A number, at least 0.
///
/// # Errors
/// One phrase that says so.
pub fn not_negative(text: &str) -> Result<f64, String> {
    let accept = |x: f64| x >= 0.0 && (x as f32).is_finite();
    number(text, accept, "a number, at least 0")
}

/// A number from 0 to below 1.
///
/// # Errors
/// One phrase that says so.
pub fn share(text: &str) -> Result<f64, String> {
    let accept = |x: f64| (0.0..1.0).contains(&x);
    number(text, accept, "a number from 0 to below 1")
}

/// A number above 0.
///
/// # Errors
/// One phrase that says so.
pub fn above_zero(text: &str) -> Result<f64, String> {
    number(text, |x| x > 0.0, "a number above 0")
}

/// A number above 0, at most 1.
///
/// # Errors
/// One phrase that says so.
pub fn above_zero_to_one(text: &str) -> Result<f64, String> {
    number(text, |x| x > 0.0 && x <= 1.0, "a number above 0, at most 1")
}

/// A number above 0 and below 1.
///
/// # Errors
/// One phrase that says so.
pub fn fraction(text: &str) -> Result<f64, String> {
    let accept = |x: f64| x > 0.0 && x < 1.0;
    number(text, accept, "a number above 0 and below 1")
}

/// Passes over the samples: a number above 0.
///
/// # Errors
/// One phrase that says so.
pub fn passes(text: &str) -> Result<f64, String> {
    let accept = |x: f64| x > 0.0 && x <= 1e6;
    number(text, accept, "a number above 0")
}

/// A number of threads.
///
/// # Errors
/// One phrase that says how many there can be.
pub fn threads(text: &str) -> Result<NonZeroUsize, String> {
    match text.parse() {
        Ok(threads) if threads <= LARGEST_THREADS => Ok(threads),
        _ => Err(format!("expected a number from 1 to {LARGEST_THREADS}")),
    }
}

/// Most threads.
const LARGEST_THREADS: NonZeroUsize = NonZeroUsize::new(256).unwrap();

/// As many threads as there are processors.
pub fn processors() -> NonZeroUsize {
    let processors = std::thread::available_parallelism();
    processors.unwrap_or(NonZeroUsize::MIN).min(LARGEST_THREADS)
}

/// As many threads as there are cores that may be used: a second thread of a core finds its units for
/// multiply-adds busy already, and threads that share a layer wait for the slowest.
pub fn cores() -> NonZeroUsize {
    let cores = NonZeroUsize::new(num_cpus::get_physical());
    cores.unwrap_or(NonZeroUsize::MIN).min(processors())
}

/// A shape such as `3x1x64`.
///
/// # Errors
/// One phrase that says what is expected.
pub fn shape(text: &str) -> Result<Shape, String> {
    let sizes: Vec<usize> = text
        .split('x')
        .filter_map(|size| size.parse().ok())
        .collect();
    match sizes[..] {
        [channels, rows, columns]
            if text.split('x').count() == 3
                && sizes.iter().all(|size| (1..=1 << 16).contains(size)) =>
        {
            Ok(Shape::new(channels, rows, columns))
        }
        _ => Err(
            "expected channels, rows and columns, each from 1 to 65536, as in 3x1x64".to_owned(),
        ),
    }
}

/// A number of classes.
///
/// # Errors
/// One phrase that says how many there can be.
pub fn classes(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(classes @ 1..=65_536) => Ok(classes),
        _ => Err("expected a number from 1 to 65536".to_owned()),
    }
}

/// Samples that go through a network side by side: one, as on a device, or as many as here.
///
/// # Errors
/// One phrase that says how many there can be.
pub fn lanes(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(lanes @ (1 | LANES)) => Ok(lanes),
        _ => Err(format!("expected 1 or {LANES}")),
    }
}
