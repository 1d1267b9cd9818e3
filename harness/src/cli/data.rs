//! `secant data`: what is in a data set, and getting one.

use std::fmt::Write;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use secant::network::Shape;
use serde::Serialize;

use super::environment::{open_dataset, tell};
use crate::data::dataset::{Dataset, Part, dimensions};
use crate::data::elements::Targets;
use crate::data::fetch::{self, Places};
use crate::data::open::STANDARD_FOLDERS;
use crate::data::predict::Predict;
use crate::data::sheet;
use crate::error::{EXIT_OK, Error};
use crate::export::write_whole;
use crate::report::{note, print_json, print_line, say};
use crate::score::number;
use crate::trained::picture;

/// Options of `secant data`.
#[derive(Debug, Args)]
#[command(args_override_self = true)]
pub struct DataArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Count: samples, shapes, classes, mean and deviation, checksum
    Info(InfoArgs),
    /// Draw some samples of each class
    Preview(PreviewArgs),
    /// Get Fashion-MNIST, by copying or downloading it
    Fetch(FetchArgs),
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  secant data fetch                          into data/fashion-mnist, where 'secant train' looks
  secant data fetch ~/sets/fashion-mnist     then: secant train --data ~/sets/fashion-mnist

The four files (30 MB, MIT licence) come from Debian's package dataset-fashion-mnist where that is
installed, else from their public home by the program 'curl'. Each is checked against its SHA-256
before it gets its name; files that are there and right are left alone.

Exit status: 0 all files are there and right, 1 they are not to be had, 3 they cannot be written.

Environment:
  SECANT_DATA_URL   addresses of other folders with the files, separated by spaces")]
struct FetchArgs {
    /// Folder for the files
    #[arg(value_name = "DIR", default_value = STANDARD_FOLDERS[0])]
    folder: PathBuf,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  secant data info data/fashion-mnist")]
struct InfoArgs {
    /// Folder or file with the data
    #[arg(value_name = "DIR|synthetic")]
    data: PathBuf,

    /// What is predicted, as for 'secant train'
    #[arg(long, value_name = "WHAT")]
    predict: Option<Predict>,

    /// Print one JSON object instead of the tables
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  secant data preview data/fashion-mnist --count 1
  secant data preview data/fashion-mnist --out sheet.png

On a sheet each class has a line, in the order of 'secant data info'.")]
struct PreviewArgs {
    /// Folder or file with the data
    #[arg(value_name = "DIR|synthetic")]
    data: PathBuf,

    /// Samples of each class [default: 1 in the terminal, 12 on a sheet]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1000))]
    count: Option<u16>,

    /// Write a contact sheet instead of drawing in the terminal
    #[arg(long, value_name = "FILE.png")]
    out: Option<PathBuf>,
}

impl DataArgs {
    /// Prints or draws.
    pub(super) fn run(&self) -> Result<u8, Error> {
        match &self.what {
            What::Info(args) => args.run(),
            What::Preview(args) => args.run(),
            What::Fetch(args) => args.run(),
        }
    }
}

impl FetchArgs {
    fn run(&self) -> Result<u8, Error> {
        let places = Places {
            installed: std::env::var_os("SECANT_PACKAGE_DIR"),
            homes: std::env::var("SECANT_DATA_URL").ok(),
        };
        let from = fetch::fashion_mnist(&self.folder, &places, &mut |line| note(line))?;
        let folder = self.folder.display();
        say(false, &format!("Fashion-MNIST is in {folder} ({from})."));
        Ok(EXIT_OK)
    }
}

#[derive(Serialize)]
struct Info<'a> {
    name: &'a str,
    source: &'a str,
    /// Channels, rows and columns.
    shape: [usize; 3],
    elements: &'static str,
    /// SHA-256 of shape, samples and targets.
    sha256: &'a str,
    train: PartInfo,
    test: PartInfo,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    classes: Vec<ClassInfo<'a>>,
    /// Numbers to predict: over the training part.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    numbers: Vec<Spread>,
}

#[derive(Serialize)]
struct PartInfo {
    samples: usize,
    /// Of its elements, for each channel.
    channels: Vec<Spread>,
}

#[derive(Serialize)]
struct ClassInfo<'a> {
    name: &'a str,
    train: usize,
    test: usize,
}

/// How some numbers lie.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
struct Spread {
    smallest: f64,
    largest: f64,
    mean: f64,
    deviation: f64,
}

impl Spread {
    /// Of numbers, of which there may be none.
    fn of(values: impl Iterator<Item = f64> + Clone) -> Spread {
        let count = values.clone().count().max(1) as f64;
        let mean = values.clone().sum::<f64>() / count;
        let squares = values.clone().map(|x| (x - mean).powi(2)).sum::<f64>();
        let (smallest, largest) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), x| {
            (a.min(x), b.max(x))
        });
        Spread {
            smallest,
            largest,
            mean,
            deviation: (squares / count).sqrt(),
        }
    }
}

/// The spread of each channel.
fn channels(part: &Part, shape: Shape) -> Vec<Spread> {
    let values = part.elements.to_floats();
    let plane = shape.rows * shape.columns;
    let own = |channel: usize| {
        let planes = values.chunks_exact(plane).skip(channel);
        let planes = planes.step_by(shape.channels);
        Spread::of(planes.flatten().map(|x| f64::from(*x)))
    };
    match part.is_empty() {
        true => Vec::new(),
        false => (0..shape.channels).map(own).collect(),
    }
}

impl InfoArgs {
    fn run(&self) -> Result<u8, Error> {
        let predict = self.predict.clone().unwrap_or_default();
        let dataset = open_dataset(Some(&self.data), None, &predict)?;
        tell(&dataset);
        let info = info(&dataset);
        match self.json {
            true => print_json(&info)?,
            false => print_line(table(&info).trim_end())?,
        }
        Ok(EXIT_OK)
    }
}

fn info(dataset: &Dataset) -> Info<'_> {
    let shape = dataset.shape;
    let part = |part: &Part| PartInfo {
        samples: part.len(),
        channels: channels(part, shape),
    };
    let counts = |part: &Part| part.targets.counts(dataset.names.len());
    let counts = counts(&dataset.train)
        .into_iter()
        .zip(counts(&dataset.test));
    let classes = dataset.names.iter().zip(counts);
    let numbers = match &dataset.train.targets {
        Targets::Values { values, width } if !dataset.autoencoder && !values.is_empty() => (0
            ..*width)
            .map(|i| Spread::of(values.iter().skip(i).step_by(*width).map(|x| f64::from(*x))))
            .collect(),
        _ => Vec::new(),
    };
    Info {
        name: &dataset.name,
        source: &dataset.source,
        shape: [shape.channels, shape.rows, shape.columns],
        elements: dataset.train.elements.kind(),
        sha256: &dataset.digest,
        train: part(&dataset.train),
        test: part(&dataset.test),
        classes: classes
            .map(|(name, (train, test))| ClassInfo { name, train, test })
            .collect(),
        numbers,
    }
}

/// Lines of a table of channels or of numbers, at most.
const LINES: usize = 16;

fn table(info: &Info<'_>) -> String {
    let [channels, rows, columns] = info.shape;
    let shape = dimensions(Shape::new(channels, rows, columns));
    let mut text = format!(
        "{} from {}\nsamples of {shape} {}\nsha256 {}\n\n",
        info.name, info.source, info.elements, info.sha256
    );
    text.push_str("             samples    smallest     largest        mean   deviation\n");
    let mut spreads = |what: &str, samples: Option<usize>, spreads: &[Spread]| {
        for (i, spread) in spreads.iter().take(LINES).enumerate() {
            let name = match spreads.len() {
                1 => what.to_owned(),
                _ => format!("{what} {i}"),
            };
            let samples = samples.filter(|_| i == 0);
            let samples = samples.map_or(String::new(), |samples| samples.to_string());
            let _ = writeln!(
                text,
                "{name:<11} {samples:>8} {:>11} {:>11} {:>11} {:>11}",
                number(spread.smallest),
                number(spread.largest),
                number(spread.mean),
                number(spread.deviation)
            );
        }
        if spreads.len() > LINES {
            let _ = writeln!(text, "... {} in all", spreads.len());
        }
    };
    spreads("training", Some(info.train.samples), &info.train.channels);
    spreads("test", Some(info.test.samples), &info.test.channels);
    spreads("number", None, &info.numbers);
    if !info.classes.is_empty() {
        let all = info.train.samples.max(1) as f64;
        text.push_str("\n     class                          training       %      test\n");
        for (label, class) in info.classes.iter().enumerate() {
            let name: String = class.name.chars().take(28).collect();
            let share = 100.0 * class.train as f64 / all;
            let _ = writeln!(
                text,
                "{label:>4} {name:<28} {:>10} {share:>7.2} {:>9}",
                class.train, class.test
            );
        }
    }
    text
}

impl PreviewArgs {
    fn run(&self) -> Result<u8, Error> {
        let dataset = open_dataset(Some(&self.data), None, &Predict::default())?;
        tell(&dataset);
        let shape = dataset.shape;
        if shape.rows < 4 || shape.columns < 4 {
            return Err(Error::Usage(format!(
                "{}: samples of {} are no images to draw; 'secant data info' counts them",
                self.data.display(),
                dimensions(shape)
            )));
        }
        let part = &*dataset.train;
        let usual = if self.out.is_some() { 12 } else { 1 };
        let count = self.count.map_or(usual, usize::from);
        let lines = sheet::choose(part, dataset.names.len(), count);
        if let Some(path) = &self.out {
            let bytes = sheet::png(part, shape, &lines).map_err(|source| Error::Output {
                path: path.clone(),
                source,
            })?;
            write_whole(path, &bytes)?;
            say(false, &format!("{} is written.", path.display()));
            return Ok(EXIT_OK);
        }
        let mut text = String::new();
        for (line, samples) in lines.iter().enumerate() {
            for sample in samples {
                let elements = part.select(&[*sample], shape.len()).elements;
                if let Some(drawing) = picture::draw(&elements.to_floats(), shape) {
                    text.push_str(&drawing);
                }
                let name = dataset.names.get(line).map_or("", String::as_str);
                let _ = writeln!(text, "training sample {sample}  {name}\n");
            }
        }
        print_line(text.trim_end())?;
        Ok(EXIT_OK)
    }
}
