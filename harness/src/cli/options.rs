//! The options of a run as a TOML file: read for `--config`, `--resume` and `secant rerun`, written
//! with each run.

use std::ffi::OsString;
use std::fmt::Write;
use std::io::Read;
use std::path::Path;

use clap::{Args, Command, ValueEnum};
use toml::{Table, Value};

use super::train::TrainArgs;
use crate::config::RunConfig;
use crate::data::dataset::Dataset;
use crate::data::files;
use crate::data::open::SYNTHETIC;
use crate::error::Error;
use crate::export::OPTIONS;

/// Options that no file may hold.
const NOT_IN_FILES: [&str; 4] = ["config", "resume", "help", "version"];

/// Options that may be given with `--resume`.
const FREE: [&str; 7] = [
    "resume",
    "threads",
    "memory",
    "json",
    "checkpoint-every",
    "data",
    "help",
];

/// Bytes of a file of options, at most.
const LARGEST: u64 = 1 << 20;

/// The words of a command line, those of its file of options in front of its own.
///
/// # Errors
/// [`Error::Usage`] when the file cannot be used, or an option may not stand beside `--resume`.
pub fn expand(words: Vec<OsString>) -> Result<Vec<OsString>, Error> {
    if words.get(1).is_none_or(|word| word != "train") {
        return Ok(words);
    }
    let own = &words[2..];
    let from_file = match (value_of(own, "--resume"), value_of(own, "--config")) {
        (Some(run), _) => {
            for word in own.iter().filter_map(|word| word.to_str()) {
                let name = word.strip_prefix("--").unwrap_or("help");
                let name = name.split('=').next().unwrap_or_default();
                let known = command()
                    .get_arguments()
                    .any(|a| a.get_long() == Some(name));
                if known && !FREE.contains(&name) {
                    return Err(Error::Usage(format!(
                        "--resume {}: a run goes on with the options that it has; leave --{name} \
                         away, or begin a new run",
                        Path::new(&run).display()
                    )));
                }
            }
            let file = Path::new(&run).join(OPTIONS);
            // Without the file the folder is no run, which is told when it is opened.
            if !file.exists() {
                return Ok(words);
            }
            read(&file)?
        }
        (None, Some(file)) => read(Path::new(&file))?,
        (None, None) => return Ok(words),
    };
    let mut all = words[..2].to_vec();
    all.extend(from_file);
    all.extend_from_slice(own);
    Ok(all)
}

/// The last value of an option among words.
fn value_of(words: &[OsString], option: &str) -> Option<OsString> {
    let mut found = None;
    for (i, word) in words.iter().enumerate() {
        if word == option {
            found = words.get(i + 1).cloned();
        } else if let Some(value) = word.to_str().and_then(|w| w.strip_prefix(option))
            && let Some(value) = value.strip_prefix('=')
        {
            found = Some(value.into());
        }
    }
    found
}

/// `train` alone, to ask which options there are.
fn command() -> Command {
    TrainArgs::augment_args(Command::new("train").no_binary_name(true))
}

/// The options of a file, as words.
///
/// # Errors
/// [`Error::Usage`] when it cannot be read, or holds what is no option.
pub fn read(path: &Path) -> Result<Vec<OsString>, Error> {
    let wrong = |what: String| Error::Usage(format!("{}: {what}", path.display()));
    let file = files::open(path).map_err(|error| wrong(error.problem))?;
    let mut text = String::new();
    let read = file.take(LARGEST).read_to_string(&mut text);
    read.map_err(|error| wrong(format!("cannot be read: {error}")))?;
    words(&text).map_err(wrong)
}

/// The options of a text, as words.
///
/// # Errors
/// What is wrong, in one line.
pub fn words(text: &str) -> Result<Vec<OsString>, String> {
    let table: Table = text.parse().map_err(|error: toml::de::Error| {
        let before = error
            .span()
            .and_then(|span| text.as_bytes().get(..span.start));
        let line = before.map(|text| 1 + text.iter().filter(|byte| **byte == b'\n').count());
        let line = line.map_or(String::new(), |line| format!("line {line}: "));
        format!("{line}{}", error.message().replace('\n', ", "))
    })?;
    let command = command();
    let mut words = Vec::new();
    for (key, value) in &table {
        let mut options = command.get_arguments();
        let option = options.find(|option| option.get_long() == Some(key));
        let Some(option) = option.filter(|_| !NOT_IN_FILES.contains(&key.as_str())) else {
            let names = command
                .get_arguments()
                .filter_map(|option| option.get_long());
            let near = names
                .map(|name| (strsim::jaro_winkler(key, name), name))
                .filter(|(likeness, _)| *likeness > 0.8)
                .max_by(|a, b| a.0.total_cmp(&b.0));
            let hint = near.map_or(String::new(), |(_, name)| {
                format!(", did you mean '{name}'?")
            });
            return Err(format!("'{key}' is no option of 'secant train'{hint}"));
        };
        let flag = !option.get_action().takes_values();
        let text = match (value, flag) {
            (Value::Boolean(true), true) => {
                words.push(format!("--{key}").into());
                continue;
            }
            (Value::Boolean(false), true) => continue,
            (_, true) => return Err(format!("{key}: expected true or false")),
            (value, false) => scalar(value)
                .or_else(|| {
                    let parts = value.as_array()?.iter().map(scalar);
                    Some(parts.collect::<Option<Vec<_>>>()?.join(","))
                })
                .ok_or_else(|| format!("{key}: expected a text, a number, or a list of these"))?,
        };
        let word = format!("--{key}={text}");
        let mut tried = vec!["--weights=.".to_owned()];
        tried.retain(|_| key == "freeze");
        tried.push(word.clone());
        if let Err(error) = command.clone().try_get_matches_from(tried) {
            let said = error.to_string();
            let said = said.lines().next().unwrap_or_default();
            return Err(said.trim_start_matches("error: ").to_owned());
        }
        words.push(word.into());
    }
    Ok(words)
}

/// A value as it stands on a command line.
fn scalar(value: &Value) -> Option<String> {
    Some(match value {
        Value::String(text) => text.clone(),
        Value::Integer(number) => number.to_string(),
        Value::Float(number) => number.to_string(),
        Value::Boolean(true) => "yes".to_owned(),
        Value::Boolean(false) => "no".to_owned(),
        _ => return None,
    })
}

/// The options of a run, those that it was not given too where that has sense: the file begins the
/// same run again.
pub fn text(args: &TrainArgs, config: &RunConfig, dataset: &Dataset) -> String {
    let mut text =
        "# The options of this run. secant train --config FILE begins one with them.\n".to_owned();
    let mut add = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            let _ = writeln!(text, "{key} = {value}");
        }
    };
    let string = |text: &str| Some(Value::String(text.to_owned()));
    let whole = |number: u64| match i64::try_from(number) {
        Ok(number) => Value::Integer(number),
        Err(_) => Value::String(number.to_string()),
    };
    let flag = |given: bool| given.then_some(Value::Boolean(true));
    let name = |value: Option<clap::builder::PossibleValue>| {
        value.and_then(|value| string(value.get_name()))
    };
    add("model", string(&config.model.name));
    match &args.weights {
        Some(file) => add("weights", string(&file.to_string_lossy())),
        None => add("init", name(args.init.to_possible_value())),
    }
    add("freeze", args.freeze.map(|k| whole(k as u64)));
    add("convolution", name(args.convolution.to_possible_value()));
    let targets = &args.targets;
    let shown = |value: Option<String>| value.and_then(|value| string(&value));
    add(
        "predict",
        shown(targets.predict.as_ref().map(ToString::to_string)),
    );
    add("loss", shown(targets.loss.map(|loss| loss.to_string())));
    let weights = targets.class_weights.as_ref();
    add("class-weights", shown(weights.map(ToString::to_string)));
    add("raw-targets", flag(targets.raw_targets));
    add("optimizer", string(&args.optimizer.to_string()));
    add("batch", string(&config.batch.to_string()));
    let single = [
        ("learning-rate", &args.learning_rate),
        ("schedule", &args.schedule),
        ("warm-up", &args.warm_up),
        ("weight-decay", &args.weight_decay),
        ("nesterov", &args.nesterov),
        ("beta1", &args.beta1),
        ("beta2", &args.beta2),
        ("epsilon", &args.epsilon),
        ("history", &args.history),
        ("line-search", &args.line_search),
        ("curvature", &args.curvature),
        ("scaling", &args.scaling),
    ];
    for (key, value) in single {
        add(key, value.as_ref().and_then(|value| string(value)));
    }
    add("decoupled", flag(args.decoupled));
    add("no-guard", flag(args.no_guard));
    let repair = (!args.repair.is_empty()).then(|| args.repair.join(","));
    add("repair", shown(repair));
    add("epochs", Some(whole(u64::from(config.epochs))));
    let number = |number: Option<u32>| number.map(|number| whole(u64::from(number)));
    add("max-iter", number(args.max_iter));
    add("tolerance", Some(Value::Float(args.tolerance)));
    add("patience", number(args.patience));
    add("average", args.average.map(Value::Float));
    add(
        "data",
        string(match dataset.source.as_str() {
            "built-in" => SYNTHETIC,
            source => source,
        }),
    );
    add("limit", args.limit.map(|limit| whole(limit.get() as u64)));
    add("validation", Some(Value::Float(args.validation)));
    add("seed", Some(whole(args.seed)));
    add(
        "threads",
        args.threads.map(|threads| whole(threads.get() as u64)),
    );
    add(
        "checkpoint-every",
        shown(args.checkpoint_every.map(|every| every.to_string())),
    );
    add("keep", name(args.keep.to_possible_value()));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_become_words() {
        let words = words(
            "epochs = 3\noptimizer = \"lbfgs:history=4\"\ndecoupled = true\nno-guard = false\n\
             nesterov = true\ntolerance = 1e-7\nrepair = [\"inner\", \"accumulate\"]\nfreeze = 2\n",
        );
        let mut words = words.unwrap();
        words.sort();
        assert_eq!(
            words,
            [
                "--decoupled",
                "--epochs=3",
                "--freeze=2",
                "--nesterov=yes",
                "--optimizer=lbfgs:history=4",
                "--repair=inner,accumulate",
                "--tolerance=0.0000001",
            ]
        );
    }

    #[test]
    fn what_is_no_option_is_told() {
        for (text, expected) in [
            (
                "epoch = 3",
                "'epoch' is no option of 'secant train', did you mean 'epochs'?",
            ),
            ("config = \"x\"", "'config' is no option"),
            ("resume = \"x\"", "'resume' is no option"),
            (
                "epochs = \"many\"",
                "invalid value 'many' for '--epochs <N>'",
            ),
            ("epochs = 0", "invalid value '0'"),
            ("epochs = {a = 1}", "epochs: expected a text"),
            ("decoupled = 1", "decoupled: expected true or false"),
            ("model = ", "line 1: "),
            ("seed = 1\n= 3", "line 2: "),
            ("seed = 1\nseed = 2", "line 2: "),
        ] {
            let said = words(text).unwrap_err();
            assert!(
                said.contains(expected) && !said.contains('\n'),
                "{text}: {said}"
            );
        }
    }

    #[test]
    fn the_last_value_counts() {
        let words: Vec<OsString> = ["--config=a", "--seed", "1", "--config", "b"]
            .map(OsString::from)
            .to_vec();
        assert_eq!(value_of(&words, "--config"), Some("b".into()));
        assert_eq!(value_of(&words[..3], "--config"), Some("a".into()));
        assert_eq!(value_of(&words, "--resume"), None);
    }
}
