//! `report.html` of a run: curves, which classes are taken for which, the worst mistakes as
//! pictures, the kernels of the first layer, the settings. One page that holds all that it shows.

use std::fs;

use askama::Template;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use secant::network::{Layer, Shape};
use secant::softmax;
use serde_json::Value;

use super::Trained;
use super::classes::ClassReport;
use crate::compare::page::{Figure, Table, markup};
use crate::data::dataset::{Dataset, Part, dimensions};
use crate::data::elements::{Elements, Targets};
use crate::data::sheet;
use crate::error::Error;
use crate::export::{CONFIG, METRICS, RESULT};
use crate::plot;
use crate::score::{Measure, number};
use crate::train::Record;

/// Its name.
pub const FILE: &str = "report.html";

/// Most mistakes to show.
const MISTAKES: usize = 24;

/// Most classes whose confusion matrix can be read.
const MATRIX: usize = 40;

#[derive(Debug, Template)]
#[template(path = "run.html")]
struct Page {
    title: String,
    lead: String,
    figures: Vec<Figure>,
    tables: Vec<Table>,
    confusion: Vec<Row>,
    mistakes: Vec<Picture>,
    filters: Option<String>,
    facts: Vec<(String, String)>,
    /// The command that made the run; empty where it does not say.
    command: String,
    settings: String,
    version: &'static str,
}

#[derive(Debug)]
struct Row {
    name: String,
    cells: Vec<Cell>,
}

#[derive(Debug)]
struct Cell {
    count: usize,
    /// Of the samples of the class.
    percent: usize,
}

#[derive(Debug)]
struct Picture {
    png: String,
    sample: usize,
    truth: String,
    said: String,
    probability: String,
}

/// The page of a run, whose network is asked about the test samples of a data set.
///
/// # Errors
/// [`Error::Usage`] when a file of the run cannot be read; [`Error::Run`], never in practice, when
/// the page cannot be written into memory.
pub fn html(trained: &Trained, dataset: &Dataset) -> Result<String, Error> {
    let part = &*dataset.test;
    let indices: Vec<u32> = (0..part.len() as u32).collect();
    let outputs = trained.outputs(part, &indices, false);
    let path = trained.folder.join(CONFIG);
    let settings = fs::read_to_string(&path)
        .map_err(|error| Error::Usage(format!("cannot read {}: {error}", path.display())))?;
    let config = serde_json::from_str(&settings).unwrap_or_default();
    let mut page = Page {
        title: format!("{} on {}", trained.model.name, dataset.name),
        lead: String::new(),
        figures: history(trained)?.iter().map(Figure::new).collect(),
        tables: Vec::new(),
        confusion: Vec::new(),
        mistakes: Vec::new(),
        filters: filters(trained),
        facts: [facts(trained, dataset), versions(trained, &config)].concat(),
        command: text_at(&config, "/command").unwrap_or_default(),
        settings,
        version: env!("CARGO_PKG_VERSION"),
    };
    let samples = part.len();
    match &part.targets {
        Targets::Classes(labels) => {
            let report = ClassReport::new(&outputs, dataset.names.len(), labels.iter().copied());
            page.lead = format!(
                "Of {samples} test samples {:.2} % are right; log loss {:.4}, calibration error {:.2} \
                 points.",
                100.0 * report.accuracy,
                report.log_loss,
                100.0 * report.calibration_error
            );
            page.tables.push(by_class(&report, &dataset.names));
            if dataset.names.len() <= MATRIX {
                page.confusion = confusion(&report, &dataset.names);
            }
            page.mistakes = mistakes(part, labels, &outputs, dataset);
        }
        Targets::Values { values, width } => {
            let rmse = trained.rmse(&outputs, values, *width);
            let rmse: Vec<_> = rmse.iter().take(16).map(|x| number(*x)).collect();
            page.lead = format!("On {samples} test samples: RMSE {}.", rmse.join(", "));
        }
    }
    let text = page.render();
    let text = text.map_err(|error| Error::Run(format!("cannot write the page: {error}")))?;
    Ok(markup(&text))
}

fn by_class(report: &ClassReport, names: &[String]) -> Table {
    let head = ["class", "right %", "samples", "mostly taken for"];
    let rows = report.confusion.iter().enumerate().map(|(class, row)| {
        let others = row.iter().enumerate().filter(|(said, _)| *said != class);
        let most = others.max_by_key(|(said, times)| (**times, std::cmp::Reverse(*said)));
        let accuracy = report.class_accuracy[class];
        vec![
            names[class].clone(),
            match accuracy.is_nan() {
                true => "-".to_owned(),
                false => format!("{:.2}", 100.0 * accuracy),
            },
            row.iter().sum::<usize>().to_string(),
            match most {
                Some((said, times)) if *times > 0 => format!("{}, {times} times", names[said]),
                _ => "-".to_owned(),
            },
        ]
    });
    Table {
        caption: "By class".to_owned(),
        head: head.map(str::to_owned).to_vec(),
        rows: rows.collect(),
        foot: String::new(),
    }
}

fn confusion(report: &ClassReport, names: &[String]) -> Vec<Row> {
    let rows = names.iter().zip(&report.confusion);
    rows.map(|(name, row)| {
        let all = row.iter().sum::<usize>().max(1);
        let cell = |count: &usize| Cell {
            count: *count,
            percent: (100 * count).div_ceil(all),
        };
        Row {
            name: name.clone(),
            cells: row.iter().map(cell).collect(),
        }
    })
    .collect()
}

/// The wrong samples whose class has the least probability.
fn mistakes(part: &Part, labels: &[u16], outputs: &[f32], dataset: &Dataset) -> Vec<Picture> {
    let shape = dataset.shape;
    if shape.rows < 4 || shape.columns < 4 {
        return Vec::new();
    }
    let classes = dataset.names.len();
    let mut wrong: Vec<(f32, usize, usize, f32)> = Vec::new();
    for (sample, logits) in outputs.chunks_exact(classes).enumerate() {
        let said = secant::argmax(logits);
        let truth = usize::from(labels[sample]);
        if said != truth {
            let mut probabilities = logits.to_vec();
            softmax(&mut probabilities);
            wrong.push((probabilities[truth], sample, said, probabilities[said]));
        }
    }
    wrong.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    let pictures = wrong.into_iter().take(MISTAKES);
    let pictures = pictures.filter_map(|(_, sample, said, probability)| {
        let png = sheet::png(part, shape, &[vec![sample as u32]]).ok()?;
        Some(Picture {
            png: STANDARD.encode(png),
            sample,
            truth: dataset.names[usize::from(labels[sample])].clone(),
            said: dataset.names[said].clone(),
            probability: format!("{:.1} %", 100.0 * probability),
        })
    });
    pictures.collect()
}

/// The kernels of a convolution at the beginning.
fn filters(trained: &Trained) -> Option<String> {
    let network = &trained.model.network;
    let Some(Layer::Conv2d(conv)) = network.layers().first() else {
        return None;
    };
    let [rows, columns] = conv.kernel;
    let shape = Shape::new(network.input().channels, rows, columns);
    if rows * columns < 2 {
        return None;
    }
    let (weights, _) = network.parameter_ranges(0);
    let part = Part {
        elements: Elements::F32(trained.parameters[weights].to_vec()),
        targets: Targets::Classes(vec![0; conv.outputs]),
    };
    let all: Vec<u32> = (0..conv.outputs as u32).collect();
    let lines: Vec<_> = all.chunks(16).map(<[u32]>::to_vec).collect();
    let png = sheet::png(&part, shape, &lines).ok()?;
    Some(STANDARD.encode(png))
}

fn facts(trained: &Trained, dataset: &Dataset) -> Vec<(String, String)> {
    let network = &trained.model.network;
    let facts = [
        ("run", trained.folder.display().to_string()),
        ("network", trained.model.spec.clone()),
        ("parameters", trained.parameters.len().to_string()),
        ("multiply-adds", network.multiply_accumulates().to_string()),
        ("data", dataset.source.clone()),
        ("samples of", dimensions(dataset.shape)),
        ("sha256 of the data", dataset.digest.clone()),
        (
            "sha256 of the weights",
            crate::digest::sha256(&trained.parameters),
        ),
    ];
    facts.map(|(name, value)| (name.to_owned(), value)).to_vec()
}

/// A text or number in a JSON object, by its pointer.
fn text_at(value: &Value, pointer: &str) -> Option<String> {
    match value.pointer(pointer)? {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// What made the run, as far as its files say: program, processor, system.
fn versions(trained: &Trained, config: &Value) -> Vec<(String, String)> {
    let result = fs::read(trained.folder.join(RESULT)).unwrap_or_default();
    let result: Value = serde_json::from_slice(&result).unwrap_or_default();
    let version = text_at(config, "/version").map(|version| format!("secant {version}"));
    let facts = [
        ("made by", version),
        ("sha256 of the program", text_at(&result, "/build")),
        ("processor", text_at(&result, "/machine/cpu")),
        ("system", text_at(&result, "/machine/os")),
        ("instruction set", text_at(&result, "/isa")),
        ("threads", text_at(&result, "/threads")),
    ];
    let known = facts.into_iter();
    known
        .filter_map(|(name, value)| Some((name.to_owned(), value?)))
        .collect()
}

/// The run's curves, from its `metrics.csv`; none where there is no such file, as for an import.
fn history(trained: &Trained) -> Result<Vec<crate::chart::Chart>, Error> {
    let path = trained.folder.join(METRICS);
    let Ok(mut table) = csv::Reader::from_path(&path) else {
        return Ok(Vec::new());
    };
    let wrong = |what: String| Error::Usage(format!("{}: {what}", path.display()));
    let head = table.headers().map_err(|error| wrong(error.to_string()))?;
    let head: Vec<String> = head.iter().map(str::to_owned).collect();
    let measures = [Measure::Accuracy, Measure::LabelsRight, Measure::Rmse];
    let judged = |measure: &Measure| {
        let key = format!("validation_{}", measure.key());
        head.contains(&key)
    };
    let measure = measures.into_iter().find(judged).unwrap_or_default();
    let mut history = Vec::new();
    for line in table.records() {
        let line = line.map_err(|error| wrong(error.to_string()))?;
        let value = |name: &str| -> Option<f64> {
            let place = head.iter().position(|found| found == name)?;
            line.get(place)?.parse().ok()
        };
        let score = |loss, value| crate::score::Score {
            loss,
            count: 0,
            measure,
            value,
            r_squared: None,
        };
        let key = format!("validation_{}", measure.key());
        let validation = value("validation_loss").zip(value(&key));
        let averaged = value("average_validation_loss").zip(value(&format!("average_{key}")));
        history.push(Record {
            epoch: value("epoch").unwrap_or(0.0) as u32,
            iteration: value("iteration").unwrap_or(0.0) as u32,
            gradient_epochs: value("gradient_epochs").unwrap_or(f64::NAN),
            train_seconds: 0.0,
            seconds: value("seconds").unwrap_or(0.0),
            train_loss: value("train_loss").unwrap_or(f64::NAN),
            measure,
            validation: validation.map(|(loss, value)| score(loss, value)),
            test: None,
            average: averaged.map(|(loss, value)| score(loss, value)),
        });
    }
    Ok(plot::charts(&history))
}
