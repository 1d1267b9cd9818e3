//! Reads the `.ts` files of the time-series archive (UCR and UEA): `NAME_TRAIN.ts` and
//! `NAME_TEST.ts`.
//!
//! ```text
//! # a comment                                    also %
//! @problemName BasicMotions
//! @timeStamps false                              true is refused
//! @equalLength true
//! @classLabel true Standing Running Walking      or: @targetLabel true
//! @data
//! 0.1,0.2,0.3:1.5,1.4,1.3:Standing               a sample a line: channels, then its class or its number to predict
//! ```
//!
//! A sample has shape channels x 1 x length. Series of different lengths and missing values (`?`)
//! are refused: they would have to be resampled or filled in first, and how is a matter of the
//! data.

use std::io::Read;
use std::path::{Path, PathBuf};

use secant::network::Shape;

use super::elements::Elements;
use super::error::{DataError, quoted};
use super::files;
use super::labels::Labels;
use super::pieces::{Piece, Pieces};

/// The files of a data set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Files {
    train: PathBuf,
    test: Option<PathBuf>,
}

/// The files in the folder `path`, or those that belong to the file `path`, if there are any.
///
/// # Errors
/// More than one data set in the folder, or a test part alone.
pub fn find(path: &Path) -> Result<Option<Files>, DataError> {
    let part = |path: &Path, word: &str| -> Option<String> {
        let stem = path.file_stem()?.to_str()?;
        let (name, found) = stem.rsplit_once('_')?;
        found.eq_ignore_ascii_case(word).then(|| name.to_owned())
    };
    let (folder, wanted) = if path.is_file() {
        let name = part(path, "train").or_else(|| part(path, "test"));
        match (files::has_ending(path, "ts"), path.parent(), name) {
            (true, Some(folder), Some(name)) => (folder, Some(name)),
            _ => return Ok(None),
        }
    } else {
        (path, None)
    };
    let folder = if folder.as_os_str().is_empty() {
        Path::new(".")
    } else {
        folder
    };
    let mut all = files::ending(folder, "ts");
    if let Some(wanted) = &wanted {
        all.retain(|p| part(p, "train").or_else(|| part(p, "test")).as_ref() == Some(wanted));
    }
    let those = |word: &str| -> Vec<PathBuf> {
        let mut those = all.clone();
        those.retain(|path| part(path, word).is_some());
        those
    };
    let train = files::only(path, "file NAME_TRAIN.ts", those("train"))?;
    let test = files::only(path, "file NAME_TEST.ts", those("test"))?;
    match (train, test) {
        (Some(train), test) => Ok(Some(Files { train, test })),
        (None, Some(test)) => Err(DataError::new(
            &test,
            "expected a file NAME_TRAIN.ts beside it, found none",
        )),
        (None, None) => Ok(None),
    }
}

/// Reads the files.
///
/// # Errors
/// The first file that is not what it should be.
pub fn read_set(files: &Files) -> Result<Pieces, DataError> {
    let (name, train) = read(&files.train)?;
    let test = files.test.as_deref().map(read).transpose()?;
    Ok(Pieces {
        name,
        names: Vec::new(),
        train,
        test: test.map(|(_, test)| test),
        notes: Vec::new(),
    })
}

/// What stands after the last colon of a line.
#[derive(Clone, Copy, PartialEq)]
enum Label {
    Class,
    Number,
}

/// Reads the `.ts` file at `path`: the problem's name, if it has one, and the samples.
///
/// # Errors
/// The file cannot be read, or holds something that is not supported.
pub fn read(path: &Path) -> Result<(Option<String>, Piece), DataError> {
    let mut bytes = Vec::new();
    let read = files::open(path)?.read_to_end(&mut bytes);
    read.map_err(|error| DataError::read(path, &error))?;
    // Some comments are not UTF-8; data are ASCII.
    let text = String::from_utf8_lossy(&bytes);
    let mut name = None;
    let mut label = None;
    let mut body: Option<Body> = None;
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        let refuse = |problem: String| {
            Err(DataError::new(
                path,
                format!("line {}: {problem}", number + 1),
            ))
        };
        if let Some(body) = &mut body {
            if !line.is_empty()
                && let Err(problem) = body.line(line)
            {
                return refuse(problem);
            }
            continue;
        }
        let Some(tag) = line.strip_prefix('@') else {
            if line.is_empty() || line.starts_with(['#', '%']) {
                continue;
            }
            return refuse(format!(
                "expected a line that starts with @, # or %, found {}",
                quoted(line)
            ));
        };
        let mut words = tag.split_whitespace();
        let key = words.next().unwrap_or_default().to_ascii_lowercase();
        let value = words.next().unwrap_or_default();
        let yes = value.eq_ignore_ascii_case("true");
        match key.as_str() {
            "problemname" if !value.is_empty() => name = Some(value.to_owned()),
            "timestamps" if yes => {
                return refuse(
                    "expected values without time stamps, found @timeStamps true: resample the series first".to_owned(),
                );
            }
            "classlabel" if yes => label = Some(Label::Class),
            "targetlabel" if yes => label = Some(Label::Number),
            "data" => {
                let Some(label) = label else {
                    return refuse(
                        "expected @classLabel true or @targetLabel true before @data, found neither".to_owned(),
                    );
                };
                body = Some(Body::new(label));
            }
            _ => {}
        }
    }
    let Some(body) = body else {
        return Err(DataError::new(
            path,
            "expected a line @data with samples after it, found none",
        ));
    };
    let (channels, length) = body.shape.unwrap_or((1, 1));
    let piece = Piece {
        path: path.to_owned(),
        labels_path: path.to_owned(),
        shape: Shape::new(channels, 1, length),
        elements: Elements::F32(body.values),
        labels: match body.label {
            Label::Class => Labels::Names(body.names),
            Label::Number => Labels::Values {
                values: body.numbers,
                width: 1,
            },
        },
    };
    Ok((name, piece))
}

/// The samples so far.
struct Body {
    label: Label,
    /// Channels and length of the first sample.
    shape: Option<(usize, usize)>,
    values: Vec<f32>,
    names: Vec<String>,
    numbers: Vec<f32>,
}

impl Body {
    fn new(label: Label) -> Body {
        Body {
            label,
            shape: None,
            values: Vec::new(),
            names: Vec::new(),
            numbers: Vec::new(),
        }
    }

    /// Reads a sample.
    fn line(&mut self, line: &str) -> Result<(), String> {
        if line.starts_with('(') {
            return Err(
                "expected values without time stamps, found '(': resample the series first"
                    .to_owned(),
            );
        }
        let Some((channels, label)) = line.rsplit_once(':') else {
            return Err(format!(
                "expected channels and a label with colons between them, found {}",
                quoted(line)
            ));
        };
        let mut count = 0;
        for channel in channels.split(':') {
            count += 1;
            let before = self.values.len();
            for value in channel.split(',') {
                self.values.push(number(value)?);
            }
            let length = self.values.len() - before;
            let (_, expected) = *self.shape.get_or_insert((0, length));
            if length != expected {
                return Err(format!(
                    "expected series of one length, here {expected}, found one of {length}: cut them or fill them up first"
                ));
            }
        }
        match &mut self.shape {
            Some((channels, _)) if *channels == 0 => *channels = count,
            Some((channels, _)) if *channels != count => {
                return Err(format!(
                    "expected {channels} channels as in the samples before, found {count}"
                ));
            }
            _ => {}
        }
        let label = label.trim();
        match self.label {
            Label::Class if label.is_empty() => {
                return Err("expected a class after the last colon, found nothing".to_owned());
            }
            Label::Class => self.names.push(label.to_owned()),
            Label::Number => self.numbers.push(number(label)?),
        }
        Ok(())
    }
}

fn number(text: &str) -> Result<f32, String> {
    let text = text.trim();
    if text == "?" || text.is_empty() || text.eq_ignore_ascii_case("nan") {
        return Err(format!(
            "expected a value, found a missing one ({}): fill it in first",
            quoted(text)
        ));
    }
    match text.parse::<f32>() {
        Ok(value) if value.is_finite() => Ok(value),
        _ => Err(format!("expected a finite number, found {}", quoted(text))),
    }
}
