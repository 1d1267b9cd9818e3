//! Numbers to predict, several labels at once, autoencoders and class weights through the program,
//! as a person who has such data meets them.

use std::fs;
use std::path::Path;
use std::process::Output;

use safetensors::SafeTensors;
use secant::Random;
use secant_tests::dense;
use secant_tests::program::command;
use secant_tests::small_set::npy;
use serde_json::Value;
use tempfile::TempDir;

fn secant(folder: &TempDir, words: &str) -> Output {
    command(
        env!("CARGO_BIN_EXE_secant-under-test"),
        folder,
        words.split_whitespace(),
    )
    .output()
    .unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A run that must end well: what `--json` printed.
fn json(folder: &TempDir, words: &str) -> Value {
    let output = secant(folder, &format!("{words} --json"));
    assert!(output.status.success(), "{words}: {}", said(&output));
    serde_json::from_slice(&output.stdout).expect("exactly one JSON value")
}

/// A command that must be refused: the one line that it says.
fn refused(folder: &TempDir, words: &str) -> String {
    let output = secant(folder, words);
    let said = said(&output);
    assert_eq!(output.status.code(), Some(2), "{words}: {said}");
    assert_eq!(said.trim_end().lines().count(), 1, "{words}: {said}");
    said
}

fn number(record: &Value, key: &str) -> f64 {
    record[key]
        .as_f64()
        .unwrap_or_else(|| panic!("no number {key} in {record}"))
}

fn close(found: f64, expected: f64, relative: f64, what: &str) {
    assert!(
        (found - expected).abs() <= relative * expected.abs(),
        "{what}: {found} is not {expected}"
    );
}

/// Samples of a table with the numbers that belong to them.
#[derive(Debug, Clone)]
struct Table {
    inputs: Vec<[f32; FEATURES]>,
    targets: Vec<[f32; 2]>,
}

const FEATURES: usize = 4;

/// Features of very different sizes, and two noisy linear functions of them, of different sizes
/// too.
fn draw(count: usize, stream: u64) -> Table {
    let mut random = Random::new(21, stream);
    let mut uniform = || random.uniform() - 0.5;
    let (mut inputs, mut targets) = (Vec::new(), Vec::new());
    for _ in 0..count {
        let x = [
            uniform(),
            1000.0 + 100.0 * uniform(),
            0.01 * uniform(),
            -7.0 + 5.0 * uniform(),
        ];
        let [a, b, c, d] = x;
        targets.push([
            20.0 + 3.0 * a - 0.02 * (b - 1000.0) + 100.0 * c + 0.5 * uniform(),
            5e4 + 1e4 * a + 4e3 * (d + 7.0) + 3e3 * uniform(),
        ]);
        inputs.push(x);
    }
    Table { inputs, targets }
}

fn csv(table: &Table) -> String {
    let mut text = String::from("current,pressure,drift,offset,temperature,power\n");
    for (x, y) in table.inputs.iter().zip(&table.targets) {
        let row: Vec<String> = x.iter().chain(y).map(f32::to_string).collect();
        text += &(row.join(",") + "\n");
    }
    text
}

fn floats(values: impl IntoIterator<Item = f32>) -> Vec<u8> {
    values.into_iter().flat_map(f32::to_le_bytes).collect()
}

/// Writes `x_NAME.npy`, each feature a channel, and `y_NAME.npy` with `width` numbers a sample.
fn write_npy(folder: &Path, name: &str, table: &Table, width: usize) {
    let count = table.inputs.len();
    let x = floats(table.inputs.iter().copied().flatten());
    let x = npy("<f4", false, &format!("{count}, {FEATURES}, 1, 1"), &x);
    let y = floats(table.targets.iter().flat_map(|y| y[..width].to_vec()));
    let shape = match width {
        1 => format!("{count},"),
        _ => format!("{count}, {width}"),
    };
    fs::write(folder.join(format!("x_{name}.npy")), x).unwrap();
    fs::write(
        folder.join(format!("y_{name}.npy")),
        npy("<f4", false, &shape, &y),
    )
    .unwrap();
}

/// A folder with `csv/` and `npy/` of one set, 120 samples to train on and 50 to test with.
fn set() -> (TempDir, [Table; 2]) {
    let folder = TempDir::new().unwrap();
    let tables = [draw(120, 0), draw(50, 1)];
    for format in ["csv", "npy"] {
        fs::create_dir(folder.path().join(format)).unwrap();
    }
    for (name, table) in ["train", "test"].iter().zip(&tables) {
        fs::write(folder.path().join(format!("csv/{name}.csv")), csv(table)).unwrap();
        write_npy(&folder.path().join("npy"), name, table, 2);
    }
    (folder, tables)
}

/// The least-squares solution: coefficients of the features and a constant, from the normal
/// equations in double precision, by elimination.
fn least_squares(table: &Table, output: usize) -> [f64; FEATURES + 1] {
    const N: usize = FEATURES + 1;
    let (mut matrix, mut right) = (vec![0.0; N * N], vec![0.0; N]);
    for (x, y) in table.inputs.iter().zip(&table.targets) {
        let row = features(x);
        for i in 0..N {
            for j in 0..N {
                matrix[i * N + j] += row[i] * row[j];
            }
            right[i] += row[i] * f64::from(y[output]);
        }
    }
    let found = dense::solve(matrix, right);
    std::array::from_fn(|i| found[i])
}

/// The features, moved near zero so that the equations are well posed, and a one.
fn features(x: &[f32; FEATURES]) -> [f64; FEATURES + 1] {
    let [a, b, c, d] = x.map(f64::from);
    [a, (b - 1000.0) / 100.0, 100.0 * c, d + 7.0, 1.0]
}

/// Sum of squared errors of a prediction, and of the mean.
fn squares(table: &Table, output: usize, predict: impl Fn(&[f32; FEATURES]) -> f64) -> (f64, f64) {
    let targets = table.targets.iter().map(|y| f64::from(y[output]));
    let mean = targets.clone().sum::<f64>() / table.targets.len() as f64;
    let errors = table.inputs.iter().zip(targets.clone());
    let errors = errors.map(|(x, t)| (predict(x) - t) * (predict(x) - t));
    (errors.sum(), targets.map(|t| (t - mean) * (t - mean)).sum())
}

/// Linear regression, to the minimum.
const LINEAR: &str = "--batch full --optimizer lbfgs --validation 0 --epochs 300 --tolerance 0";

#[test]
fn a_linear_regression_finds_the_least_squares() {
    let (folder, [train, test]) = set();
    let words = format!("train --data csv --predict temperature,power --model linear2 {LINEAR}");
    let record = json(&folder, &format!("{words} --out out"));

    let count = test.inputs.len() as f64;
    let mut rmse = Vec::new();
    for output in 0..2 {
        let solution = least_squares(&train, output);
        let predict = |x: &[f32; FEATURES]| {
            let terms = features(x);
            terms.iter().zip(&solution).map(|(x, w)| x * w).sum::<f64>()
        };
        let (errors, _) = squares(&test, output, predict);
        rmse.push((errors / count).sqrt());
        let found = record["test_rmse_of_outputs"][output].as_f64().unwrap();
        close(found, rmse[output], 1e-4, "RMSE of an output");
    }
    let both = ((rmse[0] * rmse[0] + rmse[1] * rmse[1]) / 2.0).sqrt();
    close(number(&record, "test_rmse"), both, 1e-4, "RMSE");
    assert_eq!(record["loss"], "mse");
    assert_eq!(record["collapsed"], false);
    assert_eq!(record["dataset"]["classes"], 0);

    // The file of weights is enough to predict, in the data's own units.
    let file = fs::read(folder.path().join("out/model.safetensors")).unwrap();
    let (_, metadata) = SafeTensors::read_metadata(&file).unwrap();
    let about = &metadata.metadata().as_ref().unwrap()["secant"];
    let about: Value = serde_json::from_str(about).unwrap();
    let map = |list: &str, i: usize| {
        let map = &about[list][i];
        (number(map, "scale"), number(map, "offset"))
    };
    let tensors = SafeTensors::deserialize(&file).unwrap();
    let weights = |name: &str| -> Vec<f64> {
        let data = tensors.tensor(name).unwrap().data().to_vec();
        let floats = data.as_chunks::<4>().0.iter();
        floats.map(|b| f64::from(f32::from_le_bytes(*b))).collect()
    };
    let (weight, bias) = (weights("0.weight"), weights("0.bias"));
    let mut left = [0.0; 2];
    for output in 0..2 {
        let (scale, offset) = map("target", output);
        let predict = |x: &[f32; FEATURES]| {
            let mut z = bias[output];
            for (i, x) in x.iter().enumerate() {
                let (scale, offset) = map("input", i);
                z += weight[output * FEATURES + i] * (f64::from(*x) * scale + offset);
            }
            (z - offset) / scale
        };
        let (errors, deviations) = squares(&test, output, predict);
        close((errors / count).sqrt(), rmse[output], 1e-3, "from the file");
        left[0] += scale * scale * errors;
        left[1] += scale * scale * deviations;
    }
    let r_squared = 1.0 - left[0] / left[1];
    close(
        number(&record, "test_r_squared"),
        r_squared,
        1e-4,
        "R squared",
    );

    // One number alone has the plain R squared.
    let words = words
        .replace("temperature,power", "power")
        .replace("linear2", "linear1");
    let record = json(&folder, &format!("{words} --out power"));
    // The other one is a feature now, and tells nothing new but noise.
    assert!(number(&record, "test_r_squared") > 0.9);
    assert!(record.get("test_rmse_of_outputs").is_none());
}

#[test]
fn raw_targets_reach_the_same_minimum() {
    let (folder, [train, test]) = set();
    fs::remove_dir_all(folder.path().join("csv")).unwrap();
    for (name, table) in ["train", "test"].iter().zip([&train, &test]) {
        write_npy(&folder.path().join("npy"), name, table, 1);
    }
    let words = format!("train --data npy --model linear1 {LINEAR}");
    let standardised = json(&folder, &format!("{words} --out a"));
    let raw = json(&folder, &format!("{words} --raw-targets --out b"));
    let rmse = number(&raw, "test_rmse");
    close(rmse, number(&standardised, "test_rmse"), 1e-3, "RMSE");
    // The loss is in the data's own units then.
    let train_rmse = number(&raw, "train_rmse");
    close(
        number(&raw, "train_loss"),
        train_rmse * train_rmse,
        1e-4,
        "loss",
    );
    let config = fs::read_to_string(folder.path().join("b/config.json")).unwrap();
    let config: Value = serde_json::from_str(&config).unwrap();
    assert_eq!(config["raw_targets"], true);
    assert_eq!(config["model"]["loss"], "mse");
    // Fine-tuning goes on in the units of the weights.
    for (first, rmse) in [("a", &standardised), ("b", &raw)] {
        let more = format!("{words} --weights {first}/model.safetensors --out {first}2");
        let again = json(&folder, &more.replace("--epochs 300", "--epochs 1"));
        close(
            number(&again, "test_rmse"),
            number(rmse, "test_rmse"),
            1e-3,
            first,
        );
    }
    let mixed = format!("{words} --weights a/model.safetensors --raw-targets");
    assert!(refused(&folder, &mixed).contains("--raw-targets: the weights"));
}

#[test]
fn a_table_and_arrays_of_the_same_numbers_give_the_same_bits() {
    let (folder, _) = set();
    let words = "--epochs 3 --batch 16 --threads 1";
    let table = json(
        &folder,
        &format!("train --data csv --predict temperature,power {words} --out a"),
    );
    let arrays = json(&folder, &format!("train --data npy {words} --out b"));
    assert_eq!(table["sha256"], arrays["sha256"]);
    assert_eq!(table["dataset"]["sha256"], arrays["dataset"]["sha256"]);
    assert_eq!(table["test_rmse"], arrays["test_rmse"]);
    // Any number of threads.
    let three = json(
        &folder,
        "train --data npy --epochs 3 --batch 16 --threads 3 --out c",
    );
    for key in ["sha256", "test_rmse", "test_r_squared", "validation_rmse"] {
        assert_eq!(three[key], arrays[key], "{key}");
    }
}

#[test]
fn a_regression_speaks_of_errors_not_of_accuracy() {
    let (folder, _) = set();
    let output = secant(&folder, "train --data npy --epochs 2 --out out");
    assert!(output.status.success(), "{}", said(&output));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(!text.contains("accuracy"), "{text}");
    for line in text.lines().filter(|line| !line.starts_with("linear16")) {
        assert!(line.chars().count() <= 80, "{line}");
    }
    assert!(text.contains("RMSE  R squared  samples"), "{text}");
    let read = |name: &str| fs::read_to_string(folder.path().join("out").join(name)).unwrap();
    let metrics = read("metrics.csv");
    assert!(metrics.starts_with(
        "epoch,iteration,gradient_epochs,seconds,train_loss,validation_loss,validation_rmse\n"
    ));
    let curves = read("curves.svg");
    assert!(curves.contains("validation RMSE") && !curves.contains("accuracy"));

    let record = json(&folder, "train --data npy --epochs 2 --out json");
    assert!(!record.to_string().contains("accuracy"));
    let keys: Vec<&String> = record.as_object().unwrap().keys().collect();
    let keys: Vec<&str> = keys.into_iter().map(String::as_str).collect();
    assert_eq!(
        keys.join(" "),
        "version build machine dataset model parameters optimizer loss seed threads isa \
         epochs iterations gradient_epochs seconds clock stop_reason train_loss \
         train_loss_samples train_rmse validation_rmse test_loss test_rmse train_r_squared validation_r_squared \
         test_r_squared test_rmse_of_outputs collapsed best_epoch sha256 history settings"
    );
    let history = record["history"].as_array().unwrap();
    assert_eq!(history[1]["validation_rmse"], record["validation_rmse"]);
}

#[test]
fn series_with_numbers_are_learned() {
    let folder = TempDir::new().unwrap();
    let mut random = Random::new(5, 0);
    for (name, count) in [("TRAIN", 60), ("TEST", 20)] {
        let mut text = String::from(
            "# waves and their heights\n@problemName Waves\n@timeStamps false\n@univariate true\n\
             @equalLength true\n@targetLabel true\n@data\n",
        );
        for _ in 0..count {
            let (height, phase) = (random.uniform() * 3.0, random.uniform() * 6.0);
            let wave: Vec<String> = (0..32)
                .map(|t| (height * (phase + t as f32 * 0.6).sin()).to_string())
                .collect();
            text += &format!("{}:{height}\n", wave.join(","));
        }
        fs::write(folder.path().join(format!("Waves_{name}.ts")), text).unwrap();
    }
    for loss in ["mse", "huber:0.5"] {
        let words = format!("train --data . --epochs 60 --batch 8 --loss {loss} --out {loss}");
        let record = json(&folder, &words.replace("--out huber:0.5", "--out huber"));
        assert_eq!(record["loss"], loss);
        assert_eq!(record["dataset"]["name"], "Waves");
        // Heights have a deviation of 0.87.
        assert!(number(&record, "test_rmse") < 0.2, "{loss}: {record}");
        assert_eq!(record["collapsed"], false);
    }
}

#[test]
fn whole_numbers_are_classes_unless_told_otherwise() {
    let folder = TempDir::new().unwrap();
    let mut text = String::from("x,y,label\n");
    for i in 0..60 {
        text += &format!("{},{},{}\n", i % 10, i / 10, i % 10 + 2 * (i / 10));
    }
    fs::write(folder.path().join("t.csv"), text).unwrap();
    let words = "train --data t.csv --epochs 1";
    let record = json(&folder, &format!("{words} --out a"));
    assert_eq!(
        (&record["loss"], &record["dataset"]["classes"]),
        (&"cross-entropy".into(), &20.into())
    );
    let words = format!("train --data t.csv --model linear1 {LINEAR}");
    let record = json(&folder, &format!("{words} --predict numbers --out b"));
    assert!(number(&record, "test_rmse") < 1e-3, "{record}");
    // A column by name: numbers, where all of it is.
    let record = json(&folder, &format!("{words} --predict y --out c"));
    assert_eq!(record["loss"], "mse");
    // And back: floats that are whole.
    let y: Vec<u8> = floats((0..12).map(|i| (i % 3) as f32));
    let x: Vec<u8> = (0..12).map(|i| 80 * (i % 3) as u8).collect();
    fs::create_dir(folder.path().join("set")).unwrap();
    fs::write(
        folder.path().join("set/x.npy"),
        npy("|u1", false, "12, 1", &x),
    )
    .unwrap();
    fs::write(
        folder.path().join("set/y.npy"),
        npy("<f4", false, "12,", &y),
    )
    .unwrap();
    let record = json(
        &folder,
        "train --data set --epochs 1 --predict classes --out d",
    );
    assert_eq!(record["dataset"]["classes"], 3);
}

#[test]
fn several_labels_at_once_are_learned() {
    // Whether each of three features is above its middle: one in three labels is there.
    let folder = TempDir::new().unwrap();
    let mut random = Random::new(9, 0);
    for (name, count) in [("train", 200), ("test", 80)] {
        let x: Vec<f32> = (0..3 * count).map(|_| random.uniform()).collect();
        let y: Vec<u8> = x.iter().map(|x| u8::from(*x > 0.66)).collect();
        let x = npy("<f4", false, &format!("{count}, 3, 1, 1"), &floats(x));
        fs::write(folder.path().join(format!("x_{name}.npy")), x).unwrap();
        let y = npy("|u1", false, &format!("{count}, 3"), &y);
        fs::write(folder.path().join(format!("y_{name}.npy")), y).unwrap();
    }
    let words =
        "train --data . --loss bce --epochs 60 --batch 16 --model linear3 --learning-rate 0.05";
    let record = json(&folder, &format!("{words} --out a"));
    assert!(number(&record, "test_labels_right") > 0.95, "{record}");
    assert_eq!(record["collapsed"], false);
    // Without training about two of three are right: none is there.
    let record = json(&folder, &format!("{words} --max-iter 1 --out b"));
    assert!(number(&record, "test_labels_right") < 0.75);
    assert_eq!(record["collapsed"], true);
    let output = secant(&folder, &format!("{words} --out c"));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("labels right") && !text.contains("accuracy"));
}

#[test]
fn an_autoencoder_needs_no_labels() {
    // Samples on a plane in six dimensions, bytes: two hidden units are enough.
    let folder = TempDir::new().unwrap();
    let mut random = Random::new(3, 0);
    let mut pixels = Vec::new();
    for _ in 0..150 {
        let (a, b) = (random.uniform() * 100.0, random.uniform() * 50.0);
        let sample = [a, b, a + b, 2.0 * a, 200.0 - a, 2.0 * b + 20.0];
        pixels.extend(sample.map(|value| value as u8));
    }
    let x = npy("|u1", false, "150, 1, 2, 3", &pixels);
    fs::write(folder.path().join("x.npy"), x).unwrap();
    assert!(refused(&folder, "train --data . --epochs 1").contains("y_train"));
    let words = format!("train --data . --predict input {LINEAR}");
    let record = json(&folder, &format!("{words} --model linear2,linear6 --out a"));
    // Rounding to bytes leaves an error of about a third.
    assert!(number(&record, "test_rmse") < 0.6, "{record}");
    assert!(number(&record, "test_r_squared") > 0.999);
    // One unit is not.
    let record = json(&folder, &format!("{words} --model linear1,linear6 --out b"));
    assert!(number(&record, "test_rmse") > 5.0, "{record}");
    assert!(record.get("test_rmse_of_outputs").is_none());
    // The built-in garments, without a word on layers: the last one follows the pixels.
    let words = "train --data synthetic --limit 60 --predict input --epochs 1 --out c";
    assert_eq!(json(&folder, words)["model"], "micro");
}

#[test]
fn what_does_not_fit_is_refused_in_one_line() {
    let (folder, [train, _]) = set();
    let quick = "--epochs 1";
    let both = "--predict temperature,power";
    for (words, expected) in [
        (
            format!("{both} --loss cross-entropy"),
            "--loss cross-entropy: it needs a class",
        ),
        (
            format!("{both} --loss smoothed:0.1"),
            "2 numbers to predict; choose mse",
        ),
        (format!("{both} --loss bce"), "it needs labels from 0 to 1"),
        (
            format!("{both} --class-weights balanced"),
            "--class-weights: the data has numbers",
        ),
        (
            format!("{both} --model linear3"),
            "2 are needed: one for each number",
        ),
        (
            "--predict heat".to_owned(),
            "expected one column 'heat' to predict, found none",
        ),
        ("--predict power,power".to_owned(), "found it twice"),
        (String::new(), "--predict NAME,... names others"),
        (
            "--predict numbers".to_owned(),
            "expected a header with one column called label",
        ),
    ] {
        let line = refused(&folder, &format!("train --data csv {quick} {words}"));
        assert!(line.contains(expected), "{words}: {line}");
    }
    for (words, expected) in [
        (
            "--loss mse",
            "--loss mse: it needs numbers to predict, and the data has classes",
        ),
        (
            "--loss huber:1",
            "take the labels as numbers with --predict numbers",
        ),
        ("--raw-targets", "--raw-targets: the data has classes"),
        (
            "--class-weights 1,2",
            "expected 10 numbers, one for each class, found 2",
        ),
        ("--predict numbers", "found the names of garments"),
        (
            "--predict a,b",
            "expected a table (CSV) to predict the columns 'a,b' of",
        ),
    ] {
        let line = refused(
            &folder,
            &format!("train --data synthetic --limit 50 {quick} {words}"),
        );
        assert!(line.contains(expected), "{words}: {line}");
    }
    for (words, expected) in [
        (
            "--loss l2",
            "expected cross-entropy, smoothed:S, mse, huber:DELTA or bce",
        ),
        ("--loss huber", "as in huber:1"),
        ("--loss huber:-1", "expected a number above 0"),
        ("--loss smoothed:1", "expected a number from 0 to below 1"),
        ("--loss mse:2", "expected mse without a value"),
        (
            "--class-weights even",
            "expected 'balanced', or a number above 0 for each class",
        ),
        ("--predict a,,b", "names of a table's columns"),
    ] {
        let output = secant(&folder, &format!("train --data npy {quick} {words}"));
        assert_eq!(output.status.code(), Some(2), "{words}");
        assert!(
            said(&output).contains(expected),
            "{words}: {}",
            said(&output)
        );
    }

    // Files that do not go together.
    let data = folder.path().join("npy");
    let line = |change: &dyn Fn()| {
        change();
        refused(&folder, &format!("train --data npy {quick}"))
    };
    let other_width = line(&|| write_npy(&data, "test", &draw(50, 1), 1));
    assert!(
        other_width.contains("expected 2 number(s) to predict as in y_train.npy, found 1"),
        "{other_width}"
    );
    write_npy(&data, "test", &draw(50, 1), 2);
    for bad in [f32::NAN, f32::INFINITY] {
        let mut table = train.clone();
        table.targets[7][1] = bad;
        let line = line(&|| write_npy(&data, "train", &table, 2));
        assert!(
            line.contains("expected finite numbers to predict") && line.contains("for sample 7"),
            "{line}"
        );
        let path = folder.path().join("csv/train.csv");
        let before = fs::read_to_string(&path).unwrap();
        fs::write(&path, csv(&table)).unwrap();
        let line = refused(&folder, &format!("train --data csv {quick} {both}"));
        assert!(
            line.contains("in column 'power'") && line.contains("sample 7"),
            "{line}"
        );
        fs::write(&path, before).unwrap();
    }
    write_npy(&data, "train", &draw(119, 0), 2);
    let x = floats(train.inputs.iter().copied().flatten());
    let line = line(&|| {
        fs::write(
            data.join("x_train.npy"),
            npy("<f4", false, "120, 4, 1, 1", &x),
        )
        .unwrap()
    });
    assert!(line.contains("expected 120 labels"), "{line}");
}

#[test]
fn targets_that_never_change_are_named_and_harmless() {
    let folder = TempDir::new().unwrap();
    let mut text = String::from("a,b,level,flow\n");
    for i in 0..40 {
        text += &format!("{},{},12.5,{}\n", i % 7, i % 5, i % 7 + i % 5);
    }
    fs::write(folder.path().join("t.csv"), text).unwrap();
    let words = "train --data t.csv --epochs 30 --batch 8";
    let output = secant(
        &folder,
        &format!("{words} --predict level,flow --json --out a"),
    );
    assert!(
        said(&output).contains("1 of the 2 numbers to predict are the same"),
        "{}",
        said(&output)
    );
    let record: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(number(&record, "test_r_squared") > 0.5, "{record}");
    // Alone, there is no R squared, and nothing to learn.
    let output = secant(&folder, &format!("{words} --predict level --out b"));
    assert!(output.status.success());
    assert!(said(&output).contains("The number to predict is 12.5 in every training sample"));
    assert!(!said(&output).contains("collapsed"), "{}", said(&output));
    let record = json(&folder, &format!("{words} --predict level --out c"));
    assert!(
        record["test_r_squared"].is_null() && number(&record, "test_rmse") < 0.5,
        "{record}"
    );
}

#[test]
fn class_weights_count_as_so_many_samples() {
    // Two classes that overlap, the second a quarter of the samples.
    let draw = |repeats: usize| {
        let mut random = Random::new(17, 0);
        let mut text = String::from("a,b,label\n");
        for i in 0..160 {
            let class = usize::from(i % 4 == 0);
            let shift = class as f32 * 0.4;
            let row = format!(
                "{},{},{class}\n",
                random.uniform() + shift,
                random.uniform()
            );
            text += &row.repeat(if class == 1 { repeats } else { 1 });
        }
        text
    };
    let folder = TempDir::new().unwrap();
    for (name, repeats) in [("plain", 1), ("thrice", 3)] {
        let data = folder.path().join(name);
        fs::create_dir(&data).unwrap();
        fs::write(data.join("train.csv"), draw(repeats)).unwrap();
        fs::write(data.join("test.csv"), draw(1)).unwrap();
    }
    let accuracy_and_bits = |data: &str, more: &str, out: &str| {
        let words = format!("train --data {data} --model linear2 {LINEAR} {more} --out {out}");
        let record = json(&folder, &words);
        (
            number(&record, "test_accuracy"),
            record["sha256"]["final"].clone(),
        )
    };
    let (plain, _) = accuracy_and_bits("plain", "", "a");
    let (thrice, _) = accuracy_and_bits("thrice", "", "b");
    let (weighted, weighted_bits) = accuracy_and_bits("plain", "--class-weights 1,3", "c");
    // The minimum is that of the repeated samples (standardised otherwise, but a linear layer does
    // not mind), and another one than without weights.
    assert_eq!(weighted, thrice);
    assert!(plain > weighted + 0.05, "{plain}, {weighted}");
    // 120 and 40 of 160: weights 2/3 and 2, the same proportion.
    let (balanced, bits) = accuracy_and_bits("plain", "--class-weights balanced", "d");
    assert_eq!(balanced, weighted);
    let given = accuracy_and_bits("plain", "--class-weights 0.6666667,2", "e");
    assert_eq!(given, (balanced, bits));
    assert_ne!(given.1, weighted_bits, "the loss is another multiple");
}

#[test]
fn a_comparison_of_regressions_holds_lower_for_better() {
    let (folder, _) = set();
    let words = "compare --data npy --epochs 8 --batch 8 --seeds 5 --targets 1e9,2e3,1e-9 \
                 --optimizers adam,adam:learning-rate=1e-5 --out c";
    let result = json(&folder, words);
    assert_eq!(result["measure"], "rmse");
    let table = result["table"].as_array().unwrap();
    let [good, bad] = [&table[0], &table[1]].map(|row| row["test"][0].as_f64().unwrap());
    assert!(good < bad, "{good}, {bad}");
    let difference = &table[1]["difference"];
    assert!(number(difference, "mean") > 0.0);
    assert_eq!(difference["verdict"], "worse");
    let reached = |row: usize| -> Vec<u64> {
        let targets = table[row]["targets"].as_array().unwrap();
        let reached = targets.iter().map(|t| t["reached"].as_u64().unwrap());
        reached.collect()
    };
    assert_eq!(reached(0), [5, 5, 0]);
    assert_eq!(reached(1), [5, 0, 0]);
    assert!(!table[0]["targets"][1]["seconds"].is_null());
    // The other way round.
    let swapped = words.replace(
        "adam,adam:learning-rate=1e-5",
        "adam:learning-rate=1e-5,adam",
    );
    let swapped = json(&folder, &swapped);
    assert_eq!(swapped["table"][1]["difference"]["verdict"], "better");
    let markdown = fs::read_to_string(folder.path().join("c/compare.md")).unwrap();
    assert!(markdown.contains("test RMSE, median") && !markdown.contains("accuracy"));
    assert!(folder.path().join("c/rmse-seconds.svg").exists());

    // Tuning takes the lowest error, and lengths are compared where the error comes down.
    let words = "compare --data npy --epochs 0.5,1,6 --batch 8 --seeds 2 --optimizers adam --tune 3 --out tuned";
    let result = json(&folder, words);
    for tuning in result["tuning"].as_array().unwrap() {
        let trials = tuning["trials"].as_array().unwrap();
        let errors: Vec<f64> = trials
            .iter()
            .map(|trial| trial["validation_rmse"].as_f64().unwrap_or(f64::INFINITY))
            .collect();
        let best = tuning["best"].as_u64().unwrap() as usize;
        assert!(
            errors.iter().all(|error| errors[best] <= *error),
            "{errors:?}"
        );
    }
    let means: Vec<f64> = result["table"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["values"].as_array().unwrap().iter())
        .map(|values| values.map(|value| value.as_f64().unwrap()).sum::<f64>() / 2.0)
        .collect();
    assert!(means[0] > means[2], "{means:?}");
    let between = 0.5 * (means[0] + means[2]);
    let result = json(&folder, &format!("{words} --targets {between}"));
    let length = number(&result["lengths"][0], "gradient_epochs");
    assert!((0.5..6.0).contains(&length), "{length}");

    // Without targets none is asked for; a share is none; results of two kinds are not mixed.
    let quick = "compare --data npy --epochs 1 --seeds 1 --optimizers adam";
    let result = json(&folder, &format!("{quick} --out none"));
    assert_eq!(result["table"][0]["targets"].as_array().unwrap().len(), 0);
    let shares = "compare --data synthetic --limit 100 --epochs 1 --seeds 1 --optimizers adam";
    assert!(refused(&folder, &format!("{shares} --targets 2")).contains("at most 1"));
    let line = refused(&folder, &format!("{shares} --reference none/compare.json"));
    assert!(
        line.contains("it is judged by RMSE, this comparison by accuracy"),
        "{line}"
    );
    let line = refused(&folder, "compare --data npy --protocol deepobs");
    assert!(line.contains("--protocol deepobs"), "{line}");
}

#[test]
fn collapse_goes_by_the_classes() {
    // Labels that have nothing to do with the samples: two classes, and nothing to learn.
    let folder = TempDir::new().unwrap();
    let mut random = Random::new(2, 0);
    let mut text = String::from("a,label\n");
    for i in 0..400 {
        text += &format!("{},{}\n", random.uniform(), i % 2);
    }
    fs::write(folder.path().join("coins.csv"), text).unwrap();
    let words = "train --data coins.csv --model linear2 --epochs 5 --batch 100";
    let output = secant(&folder, &format!("{words} --out a"));
    let why = said(&output);
    assert!(output.status.success(), "it is no failure: {why}");
    assert!(why.contains("the run counts as collapsed: its"), "{why}");

    // Forty classes, of which a third comes out right: far from perfect, and no collapse.
    let mut text = String::from("a,label\n");
    for i in 0..800 {
        let class = i % 40;
        text += &format!(
            "{},{class}\n",
            class as f32 + 3.0 * (random.uniform() - 0.5)
        );
    }
    fs::write(folder.path().join("many.csv"), text).unwrap();
    let words = "train --data many.csv --model linear32,tanh --epochs 60 --batch 16";
    let record = json(&folder, &format!("{words} --learning-rate 0.02 --out b"));
    let accuracy = number(&record, "validation_accuracy");
    assert!((0.15..0.5).contains(&accuracy), "{accuracy}");
    assert_eq!(record["collapsed"], false);

    // Sure and wrong.
    let words = "train --data synthetic --limit 2000 --model pool2,linear10 --max-iter 20 --optimizer lbfgs \
                 --learning-rate 3 --schedule constant --warm-up 0 --out c";
    let output = secant(&folder, words);
    assert!(
        said(&output).contains("its training loss"),
        "{}",
        said(&output)
    );
}
