//! What was found, as files and on the terminal.

use std::path::Path;

use serde::Serialize;

use super::HessianArgs;
use crate::data::dataset::Dataset;
use crate::error::{EXIT_OK, Error};
use crate::export::write_whole;
use crate::hessian::answers::{self, Cost};
use crate::hessian::{Point, Settings, Times, figures, show};
use crate::report::{note, print_json, print_line};

/// What was looked at.
pub(super) struct Found<'a> {
    pub run: Option<String>,
    pub model: &'a str,
    pub optimizer: Option<&'a str>,
    pub dataset: &'a Dataset,
    pub class_weights: &'a [f32],
    pub times: Times,
}

/// What the command has found.
#[derive(Serialize)]
struct Record<'a> {
    version: &'static str,
    run: Option<&'a str>,
    model: &'a str,
    optimizer: Option<&'a str>,
    parameters: usize,
    data: &'a str,
    sha256: &'a str,
    #[serde(skip_serializing_if = "<[f32]>::is_empty")]
    class_weights: &'a [f32],
    settings: Settings,
    seconds_a_product: f64,
    seconds_a_gradient: f64,
    answers: &'a [String],
    points: &'a [Point],
}

impl HessianArgs {
    /// Prints, and writes the files; the caller has locked the folder.
    pub(super) fn tell(
        &self,
        found: &Found<'_>,
        points: &[Point],
        out: &Path,
    ) -> Result<u8, Error> {
        let n = points.first().map_or(0, |point| point.n);
        let cost = Cost {
            n,
            product_seconds: Times::mean(found.times.products),
            gradient_seconds: Times::mean(found.times.gradients),
        };
        let answers = answers::all(points, &cost);
        let record = Record {
            version: env!("CARGO_PKG_VERSION"),
            run: found.run.as_deref(),
            model: found.model,
            optimizer: found.optimizer,
            parameters: n,
            data: &found.dataset.source,
            sha256: &found.dataset.digest,
            class_weights: found.class_weights,
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
        let text = serde_json::to_string_pretty(&record).map_err(|e| output(e.into()))?;
        write_whole(&out.join("hessian.json"), text.as_bytes())?;
        let mut charts = Vec::new();
        for point in points {
            let place = point.place.file_name();
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
