//! Every figure of a comparison against its CSV, read as a person reads it: by the numbers at the
//! ticks.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use roxmltree::{Document, Node};
use secant_tests::program::command;
use serde_json::Value;
use tempfile::TempDir;

fn compare(folder: &TempDir, words: &[&str]) {
    let words = ["compare"].iter().chain(words);
    let output = command(env!("CARGO_BIN_EXE_secant-under-test"), folder, words)
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
}

const QUICK: [&str; 10] = [
    "--data",
    "synthetic",
    "--limit",
    "300",
    "--model",
    "conv4k5s3,relu,linear10",
    "--evaluations",
    "7",
    "--out=c",
    "--force",
];

fn class(node: Node<'_, '_>, wanted: &str) -> bool {
    let classes = node.attribute("class").unwrap_or_default();
    classes.split(' ').any(|class| class == wanted)
}

fn number(node: Node<'_, '_>, name: &str) -> f64 {
    node.attribute(name).unwrap().parse().unwrap()
}

/// A number as an axis has it: `79 %`, `−0.5`, `2×10⁻⁷`.
fn label(text: &str) -> f64 {
    assert!(!text.contains('e'), "{text}: no exponents with an e");
    let text = text.trim_end_matches(" %").replace('−', "-");
    let (mantissa, power) = match text.split_once("10⁻").or(text.split_once("×10")) {
        Some(_) if text.contains('×') || text.contains('⁻') => {
            let raised = "⁰¹²³⁴⁵⁶⁷⁸⁹";
            let (mantissa, power) = text.split_once("10").unwrap();
            let digit = |c| match raised.chars().position(|r| r == c) {
                Some(digit) => char::from_digit(digit as u32, 10).unwrap(),
                None => '-',
            };
            let power: String = power.chars().map(digit).collect();
            let mantissa = mantissa.trim_end_matches('×');
            let mantissa = if mantissa.is_empty() { "1" } else { mantissa };
            (mantissa.to_owned(), power.parse().unwrap())
        }
        _ => (text, 0),
    };
    mantissa.parse::<f64>().unwrap() * 10f64.powi(power)
}

/// An axis by its ticks.
struct Axis {
    logarithmic: bool,
    ticks: Vec<(f64, f64)>,
}

impl Axis {
    /// From the words at the ticks and where they stand.
    fn read(svg: Node<'_, '_>, name: &str, position: impl Fn(Node<'_, '_>) -> f64) -> Axis {
        let ticks = svg
            .descendants()
            .filter(|node| class(*node, &format!("tick-{name}")));
        let mut axis = Axis {
            logarithmic: false,
            ticks: ticks
                .map(|node| (label(node.text().unwrap()), position(node)))
                .collect(),
        };
        assert!(
            axis.ticks.len() >= 2,
            "{name}: too few ticks to read anything"
        );
        let labels: Vec<&str> = svg.descendants().filter_map(|node| node.text()).collect();
        axis.logarithmic = axis.misfit() > 0.1;
        assert!(axis.misfit() < 0.1, "{name}: ticks are not where they say");
        if axis.logarithmic {
            let said = labels.iter().any(|text| text.ends_with("(log scale)"));
            assert!(said, "{name}: a logarithmic axis says so");
        }
        axis
    }

    fn at(&self, value: f64) -> f64 {
        let scale = |x: f64| if self.logarithmic { x.ln() } else { x };
        let ((a, p), (b, q)) = (self.ticks[0], self.ticks[self.ticks.len() - 1]);
        p + (q - p) * (scale(value) - scale(a)) / (scale(b) - scale(a))
    }

    /// The most by which a tick is elsewhere than its number says.
    fn misfit(&self) -> f64 {
        let off = self
            .ticks
            .iter()
            .map(|(value, at)| (self.at(*value) - at).abs());
        off.fold(0.0, f64::max)
    }

    /// Whether a value is drawn at a place, as exactly as positions to a hundredth of a pixel allow.
    fn agrees(&self, value: f64, at: f64) -> bool {
        let expected = self.at(value);
        let (p, q) = (self.ticks[0].1, self.ticks[self.ticks.len() - 1].1);
        let far = (expected - 0.5 * (p + q)).abs() / (q - p).abs();
        // What lies very far beyond the frame is drawn just far beyond it.
        at.abs() > 9e4 && expected.abs() > 9e4 || (expected - at).abs() < 0.02 + 0.03 * far
    }
}

/// The corners of `M1 2L3 4H5V6`.
fn corners(path: &str) -> Vec<(f64, f64)> {
    let mut corners: Vec<(f64, f64)> = Vec::new();
    let mut rest = path.trim_end_matches('z');
    while let Some(command) = rest.chars().next() {
        let end = rest[1..].find(|c: char| c.is_ascii_alphabetic());
        let end = end.map_or(rest.len(), |end| end + 1);
        let numbers: Vec<f64> = rest[1..end]
            .split(' ')
            .map(|x| x.parse().unwrap())
            .collect();
        match (command, numbers.as_slice()) {
            ('M' | 'L', [x, y]) => corners.push((*x, *y)),
            // A step: across at the old height, then up or down.
            ('H', [x]) => {
                let y = corners.last().unwrap().1;
                corners.push((*x, y));
            }
            ('V', [y]) => corners.last_mut().unwrap().1 = *y,
            other => panic!("{other:?}"),
        }
        rest = &rest[end..];
    }
    corners
}

/// Points by series: x, y, low, high; the ends of the band are missing where a run has no value.
type Points = BTreeMap<String, Vec<[Option<f64>; 4]>>;

fn points(csv: &str) -> Points {
    let mut points = Points::new();
    let mut lines = csv.lines();
    assert!(lines.next().unwrap().starts_with("series,"));
    for line in lines {
        let cells: Vec<&str> = line.split(',').collect();
        let (name, numbers) = cells.split_at(cells.len() - 4);
        let name = name.join(",").trim_matches('"').to_owned();
        let numbers = [0, 1, 2, 3].map(|i| match numbers[i] {
            "" => None,
            text => Some(text.parse().unwrap()),
        });
        points.entry(name).or_default().push(numbers);
    }
    points
}

/// Checks a figure against its points; how many there are.
fn check(svg: &str, csv: &str) -> usize {
    let document = Document::parse(svg).expect("well-formed");
    let root = document.root_element();
    let across = Axis::read(root, "x", |node| number(node, "x"));
    let up = Axis::read(root, "y", |node| number(node, "y") - 4.0);
    let text = |node: Node<'_, '_>| node.is_element() && node.tag_name().name() == "text";
    for node in root.descendants().filter(|node| text(*node)) {
        assert!(
            number(node, "font-size") >= 12.0,
            "{:?} can be read",
            node.text()
        );
    }
    let frame = root
        .descendants()
        .find(|node| class(*node, "frame"))
        .unwrap();
    assert_eq!(frame.attribute("overflow"), Some("hidden"));
    let top = number(frame, "y");
    let bottom = top + number(frame, "height");
    let left = number(frame, "x");
    let right = left + number(frame, "width");
    let wanted = points(csv);
    let groups = |of: &'static str| root.descendants().filter(move |node| class(*node, of));
    let mut colours = Vec::new();
    let mut count = 0;
    for (lines, marks) in groups("series").zip(groups("points")) {
        let name = lines.attribute("data-name").unwrap();
        assert_eq!(marks.attribute("data-name"), Some(name));
        let path = lines.children().find(|node| class(*node, "line"));
        let dashes = path.and_then(|path| path.attribute("stroke-dasharray"));
        let marker = marks.children().find(|node| class(*node, "m"));
        let marker = marker.map(|m| (m.attribute("d"), m.attribute("fill")));
        colours.push((lines.attribute("color"), dashes, marker));
        let Some(rows) = wanted.get(name) else {
            assert!(
                path.is_none_or(|path| path.attribute("d") == Some("")),
                "{name}"
            );
            continue;
        };
        count += rows.len();
        let (x, y) = (
            |row: &[Option<f64>; 4]| row[0].unwrap(),
            |row: &[Option<f64>; 4]| row[1].unwrap(),
        );
        if let Some(path) = path {
            let drawn = corners(path.attribute("d").unwrap());
            assert_eq!(drawn.len(), rows.len(), "{name}");
            for (row, at) in rows.iter().zip(drawn) {
                assert!(
                    across.agrees(x(row), at.0) && up.agrees(y(row), at.1),
                    "{name} {row:?} {at:?}"
                );
            }
        }
        if let Some(band) = lines.children().find(|node| class(*node, "band")) {
            let drawn = corners(band.attribute("d").unwrap());
            assert_eq!(drawn.len(), 2 * rows.len(), "{name}");
            let (upper, lower) = drawn.split_at(rows.len());
            for (row, (high, low)) in rows.iter().zip(upper.iter().zip(lower.iter().rev())) {
                for (value, at) in [(row[2], low), (row[3], high)] {
                    assert!(across.agrees(x(row), at.0));
                    match value {
                        Some(value) => assert!(up.agrees(value, at.1), "{name} {row:?} {at:?}"),
                        None => assert!(at.1.abs() > 9e4, "out of the frame"),
                    }
                }
            }
        } else {
            assert!(
                rows.iter().all(|row| row[2] == row[3]) || path.is_none(),
                "{name}: a band"
            );
        }
        // Each point in the frame has its marker, none lies outside.
        let inside = rows
            .iter()
            .filter(|row| (top..=bottom).contains(&up.at(y(row))));
        let inside: Vec<_> = inside.collect();
        let markers: Vec<_> = marks.children().filter(|node| class(*node, "m")).collect();
        assert_eq!(markers.len(), inside.len(), "{name}");
        for (marker, row) in markers.into_iter().zip(&inside) {
            let place = marker.attribute("transform").unwrap();
            let place = place.trim_start_matches("translate(").trim_end_matches(')');
            let (at_x, at_y) = place.split_once(' ').unwrap();
            let (at_x, at_y): (f64, f64) = (at_x.parse().unwrap(), at_y.parse().unwrap());
            assert!(
                across.agrees(x(row), at_x) && up.agrees(y(row), at_y),
                "{name} {row:?}"
            );
            assert!((left..=right).contains(&at_x) && (top..=bottom).contains(&at_y));
            let told = marker.descendants().find_map(|node| node.text()).unwrap();
            assert!(told.starts_with(name), "{told}");
        }
        // What is not in the frame is said to be elsewhere.
        if inside.len() < rows.len() {
            let notes = root.descendants().filter_map(|node| node.text());
            let notes: String = notes.skip_while(|t| !t.contains("the frame:")).collect();
            let words = name.split(' ').next().unwrap();
            assert!(notes.contains(words), "{name}: {notes}");
            assert!(
                marks.children().any(|node| class(node, "beyond")),
                "{name}: an arrow"
            );
        }
    }
    let all = colours.len();
    colours.sort();
    colours.dedup();
    assert_eq!(
        colours.len(),
        all,
        "series differ in colour, dashes or marker"
    );
    assert_eq!(
        count,
        wanted.values().map(Vec::len).sum::<usize>(),
        "every row is drawn"
    );
    count
}

/// Checks all figures of a comparison; their names.
fn check_all(folder: &Path) -> Vec<String> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|ending| ending == "svg") {
            let read = |path: &Path| fs::read_to_string(path).unwrap();
            let count = check(&read(&path), &read(&path.with_extension("csv")));
            assert!(count > 0, "{}", path.display());
            names.push(path.file_stem().unwrap().to_string_lossy().into_owned());
        }
    }
    names.sort();
    names
}

/// The lengths of run in the result are where the drawn lines, straight over a logarithm, cross.
fn lengths_cross_where_the_table_says(folder: &Path) {
    let read = |name: &str| fs::read_to_string(folder.join(name)).unwrap();
    let drawn = points(&read("accuracy-lengths.csv"));
    let result: Value = serde_json::from_str(&read("compare.json")).unwrap();
    let mut crossed = 0;
    for row in result["lengths"].as_array().unwrap() {
        let Some(epochs) = row["gradient_epochs"].as_f64() else {
            continue;
        };
        let target = 100.0 * row["target"].as_f64().unwrap();
        let line = &drawn[row["name"].as_str().unwrap()];
        let pair = line.windows(2).find(|pair| {
            let (a, b) = (pair[0][1].unwrap(), pair[1][1].unwrap());
            a < target && target <= b
        });
        let [[x, y, ..], [u, v, ..]] = pair.unwrap() else {
            unreachable!()
        };
        let [x, y, u, v] = [x, y, u, v].map(|value| value.unwrap());
        let wanted = x * (u / x).powf((target - y) / (v - y));
        assert!((epochs / wanted - 1.0).abs() < 1e-9, "{row} {wanted}");
        crossed += 1;
    }
    assert!(crossed > 0, "some target lies between the lengths");
}

#[test]
fn every_figure_shows_its_points() {
    let folder = TempDir::new().unwrap();
    let c = folder.path().join("c");
    // Ten optimisers; one that collapses, one that takes ten times as long.
    let many = "adam,lbfgs,lbfgs-seed,lbfgs-flat,lbfgs-row,adam-classic,adam-plain:learning-rate=9,\
                lbfgs:history=4,adam:batch=128,adam:rate-factor=0.01";
    compare(
        &folder,
        &[
            &QUICK[..],
            &["--seeds=4", "--epochs=2", "--tune=3", "--optimizers", many],
        ]
        .concat(),
    );
    let names = check_all(&c);
    let all = [
        "accuracy-epochs",
        "accuracy-seconds",
        "differences",
        "loss-epochs",
        "loss-seconds",
        "rate",
        "trials",
    ];
    assert_eq!(names, all);

    // Another comparison in the same folder: what it does not draw is gone.
    compare(
        &folder,
        &[
            &QUICK[..],
            &[
                "--seeds=2",
                "--epochs=0.5,1,3",
                "--targets=0.2,0.3,0.4,0.5,0.6,0.7,0.8,0.9",
            ],
        ]
        .concat(),
    );
    assert_eq!(
        check_all(&c),
        [
            "accuracy-epochs",
            "accuracy-lengths",
            "accuracy-seconds",
            "differences",
            "loss-epochs",
            "loss-seconds"
        ]
    );
    lengths_cross_where_the_table_says(&c);
    compare(
        &folder,
        &[&QUICK[..], &["--seeds=1", "--epochs=1"]].concat(),
    );
    // A single seed has no differences to draw.
    assert_eq!(check_all(&c), [&all[..2], &all[3..5]].concat());
    let numbers = [
        "--predict=input",
        "--seeds=3",
        "--epochs=2",
        "--model=linear8,tanh,linear784",
    ];
    compare(&folder, &[&QUICK[..4], &QUICK[6..], &numbers].concat());
    assert_eq!(
        check_all(&c),
        [
            "differences",
            "loss-epochs",
            "loss-seconds",
            "rmse-epochs",
            "rmse-seconds"
        ]
    );
}

#[test]
fn the_points_are_those_of_the_runs() {
    let folder = TempDir::new().unwrap();
    compare(
        &folder,
        &[&QUICK[..], &["--seeds=4", "--epochs=2"]].concat(),
    );
    let read = |name: &str| fs::read_to_string(folder.path().join("c").join(name)).unwrap();
    let result: Value = serde_json::from_str(&read("compare.json")).unwrap();
    let accuracies = points(&read("accuracy-epochs.csv"));
    let losses = points(&read("loss-epochs.csv"));
    for name in ["adam", "lbfgs"] {
        let runs = result["runs"].as_array().unwrap().iter();
        let runs: Vec<&Value> = runs
            .filter(|run| run["optimizer"]["name"] == name)
            .collect();
        assert_eq!(runs.len(), 4);
        for (k, row) in accuracies[name].iter().enumerate() {
            let figure = |run: &&Value| run["history"][k]["validation_accuracy"].as_f64().unwrap();
            let mut all: Vec<f64> = runs.iter().map(figure).collect();
            all.sort_by(f64::total_cmp);
            // Four seeds: halfway between the middle two.
            let wanted = [50.0 * (all[1] + all[2]), 100.0 * all[0], 100.0 * all[3]];
            for (value, wanted) in row[1..].iter().zip(wanted) {
                assert!((value.unwrap() - wanted).abs() < 1e-9, "{name} {k}");
            }
        }
        assert_eq!(losses[name].len(), accuracies[name].len());
    }

    // The mean of an epoch's stretches, each by its share of the samples, is the epoch's mean.
    compare(
        &folder,
        &[&QUICK[..], &["--seeds=1", "--epochs=3"]].concat(),
    );
    let result: Value = serde_json::from_str(&read("compare.json")).unwrap();
    let stretches = points(&read("loss-epochs.csv"));
    for run in result["runs"].as_array().unwrap() {
        let name = run["optimizer"]["name"].as_str().unwrap();
        let (mut start, mut epoch, mut ends) = (0.0, [0.0; 3], 0);
        for row in &stretches[name] {
            let (middle, loss) = (row[0].unwrap(), row[1].unwrap());
            let share = 2.0 * (middle - start);
            epoch[middle as usize] += share * loss;
            start += share;
        }
        for entry in run["history"].as_array().unwrap() {
            let end = entry["gradient_epochs"].as_f64().unwrap();
            if end.fract() == 0.0 {
                let mean = entry["train_loss"].as_f64().unwrap();
                assert!(
                    (epoch[end as usize - 1] - mean).abs() < 1e-9,
                    "{name} {end}"
                );
                ends += 1;
            }
        }
        assert!(
            ends == 3 && stretches[name].len() > 2 * ends,
            "several an epoch"
        );
    }
}
