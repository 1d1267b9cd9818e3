//! `report.html`: one page that says what came out, in words first.
//!
//! It holds all that it shows: drawings, style and a few lines of script, for the values of points
//! that one points at; nothing is fetched. It follows the reader's choice of light or dark, and is
//! laid out for telephones, screens and paper. The markup is well-formed XML too, so that any
//! parser reads it.

mod content;
mod settings;
mod tables;
mod verdicts;
mod words;

use askama::Template;

use crate::chart::Chart;
use crate::error::Error;
pub use content::{Content, page};

/// Its name.
pub const FILE: &str = "report.html";

/// Pixels of a figure on a screen and on a telephone.
const WIDE: f64 = 560.0;
const NARROW: f64 = 356.0;

/// What the page says.
#[derive(Debug, Template)]
#[template(path = "report.html")]
pub struct Page {
    /// What is compared.
    pub title: String,
    /// On what, how often, how long.
    pub lead: String,
    /// One for each optimiser held against the first.
    pub verdicts: Vec<Verdict>,
    /// Results.
    pub tables: Vec<Table>,
    /// Drawings.
    pub figures: Vec<Figure>,
    /// Settings of the optimisers, and what tuning chose.
    pub settings: Vec<Table>,
    /// The command that repeats it.
    pub command: String,
    /// Name and value of what else is known.
    pub facts: Vec<(String, String)>,
    /// The program's.
    pub version: &'static str,
}

/// What is said of an optimiser.
#[derive(Debug, Clone)]
pub struct Verdict {
    /// Its kind.
    pub kind: Kind,
    /// In a few words.
    pub headline: String,
    /// With its numbers.
    pub detail: String,
}

/// Kinds of verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Better than the first.
    Better,
    /// Worse than the first.
    Worse,
    /// No difference was shown.
    Even,
    /// There are too few seeds.
    Unknown,
    /// Runs went wrong.
    Warning,
}

impl Kind {
    /// For the style sheet.
    fn class(self) -> &'static str {
        match self {
            Kind::Better => "better",
            Kind::Worse => "worse",
            Kind::Even => "even",
            Kind::Unknown => "unknown",
            Kind::Warning => "warn",
        }
    }

    /// For those who see no colours.
    fn sign(self) -> &'static str {
        match self {
            Kind::Better => "▲",
            Kind::Worse => "▼",
            Kind::Even => "≈",
            Kind::Unknown => "?",
            Kind::Warning => "!",
        }
    }
}

/// A table of texts.
#[derive(Debug, Clone, Default)]
pub struct Table {
    /// What stands above it.
    pub caption: String,
    /// Names of the columns.
    pub head: Vec<String>,
    /// As many cells as columns each.
    pub rows: Vec<Vec<String>>,
    /// What stands under it, or nothing.
    pub foot: String,
}

impl Table {
    /// Whether a column holds numbers, which stand to the right. (The template lends
    /// its counter.)
    pub fn numeric(&self, column: &usize) -> bool {
        let number = |cell: &str| {
            let missing = ["-", "not reached", "out of range", "collapsed"].contains(&cell);
            let cell = cell.trim_start_matches(['+', '-', '−']);
            missing || cell.starts_with(|c: char| c.is_ascii_digit())
        };
        let mut cells = self.rows.iter().filter_map(|row| row.get(*column));
        *column > 0 && cells.all(|cell| number(cell))
    }
}

/// A drawing, for two widths of page, and its values.
#[derive(Debug, Clone)]
pub struct Figure {
    /// Its name.
    pub name: &'static str,
    /// For a screen.
    pub wide: String,
    /// For a telephone.
    pub narrow: String,
    /// Its points.
    pub values: Table,
}

impl Figure {
    /// The figure of a chart.
    pub fn new(chart: &Chart) -> Figure {
        let head = ["series", &chart.x.label, &chart.y.label, "band"];
        Figure {
            name: chart.name,
            wide: chart.svg(WIDE),
            narrow: chart.svg(NARROW),
            values: Table {
                head: head.map(str::to_owned).to_vec(),
                rows: chart.values().into_iter().map(Vec::from).collect(),
                ..Table::default()
            },
        }
    }
}

/// A page without the control characters that names may hold, which neither HTML nor XML can.
pub fn markup(text: &str) -> String {
    let clean = |c: char| match c {
        '\n' => c,
        c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => '\u{fffd}',
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => '\u{fffd}',
        c => c,
    };
    text.chars().map(clean).collect()
}

impl Page {
    /// The page as HTML.
    ///
    /// # Errors
    /// [`Error::Run`], never in practice: writing to memory does not fail.
    pub fn html(&self) -> Result<String, Error> {
        match self.render() {
            Ok(text) => Ok(markup(&text)),
            Err(error) => Err(Error::Run(format!("cannot write the page: {error}"))),
        }
    }
}
