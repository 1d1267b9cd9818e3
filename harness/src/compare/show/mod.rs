//! The result as people and programs read it: Markdown, a terminal's columns, comma-separated
//! values.

mod csv;
mod markdown;
mod terminal;

pub use self::csv::{runs_csv, table_csv, tuning_csv};
pub use markdown::{markdown, probability, tuning};
pub use terminal::{terminal, wrapped};
