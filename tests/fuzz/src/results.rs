//! What a comparison keeps and reads again.

use secant_harness::compare::reference::{self, Reference};
use secant_harness::score::Measure;
use serde_json::Value;

use super::files::write;

/// An earlier result, held against itself.
pub fn reference(bytes: &[u8]) -> bool {
    let path = write("result.json", bytes);
    let about = (Measure::Accuracy, "linear10", "00");
    match Reference::read(&path, about) {
        Ok(old) => {
            let text = std::str::from_utf8(bytes).expect("text, since it was read");
            // A number that nothing reads may be out of range.
            let Ok(whole) = serde_json::from_str::<Value>(text) else {
                return true;
            };
            let Ok(rows) = serde_json::from_value::<Vec<_>>(whole["table"].clone()) else {
                return true;
            };
            let changes = old.changes(&rows, Measure::Accuracy);
            assert!(changes.len() <= rows.len());
            let shown = reference::markdown(&changes, Measure::Accuracy);
            assert_eq!(shown.is_empty(), changes.is_empty());
            true
        }
        Err(error) => {
            let said = error.to_string();
            assert!(said.contains("--reference"), "{said}");
            false
        }
    }
}
