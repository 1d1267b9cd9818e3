//! Markdown as a terminal shows it: aligned columns that fit, lines broken between words.

use comfy_table::{ColumnConstraint, ContentArrangement, Table, Width, presets};

/// Columns of a terminal that every table fits.
const WIDTH: u16 = 80;

/// Columns between two columns of a table.
const GAP: u16 = 2;

/// A Markdown text whose tables are aligned, and whose lines are cut at [`WIDTH`] columns.
pub fn terminal(markdown: &str) -> String {
    let mut text = String::new();
    let mut rows: Vec<Vec<String>> = Vec::new();
    for line in markdown.lines().chain([""]) {
        if let Some(cells) = line.strip_prefix('|') {
            if !line.starts_with("|---") {
                let cells = cells.trim_end().trim_end_matches('|').split('|');
                rows.push(cells.map(|cell| cell.trim().to_owned()).collect());
            }
            continue;
        }
        if !rows.is_empty() {
            text += &aligned(std::mem::take(&mut rows));
            text.push('\n');
        }
        text += &wrapped(line);
        text.push('\n');
    }
    text.trim_end().to_owned()
}

/// Columns that words keep at least, before figures are broken into lines.
const NARROW: u16 = 8;

/// A table of which the first row is the head. Where it is too wide, names and settings are broken
/// into lines, and figures stand whole.
fn aligned(mut rows: Vec<Vec<String>>) -> String {
    let head = rows.remove(0);
    let length = |text: &str| text.chars().count() as u16;
    let mut widths: Vec<u16> = head
        .iter()
        .enumerate()
        .map(|(c, title)| {
            let words = title.split(' ').map(length);
            let cells = rows.iter().filter_map(|row| Some(length(row.get(c)?)));
            words.chain(cells).max().unwrap_or(1).max(1)
        })
        .collect();
    // Figures begin with a digit, a sign or a bracket; names and settings with a letter.
    let figure = |cell: &String| !cell.starts_with(char::is_alphabetic);
    let figures: Vec<bool> = (0..head.len())
        .map(|c| rows.iter().filter_map(|row| row.get(c)).all(figure))
        .collect();
    let room = WIDTH.saturating_sub(GAP * head.len() as u16);
    while widths.iter().sum::<u16>() > room {
        let columns = widths.iter_mut().zip(&figures);
        // Of words the widest column, and only if these are narrow already one of figures.
        let widest = columns.max_by_key(|(width, figure)| (!**figure && **width > NARROW, **width));
        match widest {
            Some((width, _)) if *width > 1 => *width -= 1,
            _ => break,
        }
    }
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_width(WIDTH);
    table.set_header(head);
    table.add_rows(rows);
    for (column, width) in table.column_iter_mut().zip(widths) {
        column.set_padding((0, GAP));
        column.set_constraint(ColumnConstraint::Absolute(Width::Fixed(width + GAP)));
    }
    let lines = table.lines();
    let lines: Vec<String> = lines.map(|line| line.trim_end().to_owned()).collect();
    lines.join("\n")
}

/// A line broken between words, so that a terminal shows it whole.
pub fn wrapped(line: &str) -> String {
    let mut text = String::new();
    let mut column = 0;
    for word in line.split(' ') {
        let width = word.chars().count();
        if column > 0 && column + 1 + width > usize::from(WIDTH) {
            text.push('\n');
            column = 0;
        } else if column > 0 {
            text.push(' ');
            column += 1;
        }
        text += word;
        column += width;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_gets_aligned_columns_that_fit() {
        let long = "lbfgs:history=4:learning-rate=0.02:warm-up=0.1:damping=0.25";
        let text = format!(
            "| optimiser | runs | test accuracy %, median [min, max] | difference to the first, mean [95 %] | p | verdict |\n\
             |---|---|---|---|---|---|\n\
             | adam | 5 | 88.35 [88.33, 88.85] | - | - | - |\n\
             | {long} | 5 | 89.22 [89.02, 89.36] | +0.69 [+0.42, +0.93] | 0.013 | better |\n\n\
             A sentence of more than eighty columns that a terminal would break in the midst of a word otherwise."
        );
        let shown = terminal(&text);
        assert!(!shown.contains('|'), "{shown}");
        for line in shown.lines() {
            assert!(line.chars().count() <= 80, "{line}");
        }
        // Whole cells stand in one line.
        let line = shown.lines().find(|line| line.contains("better")).unwrap();
        assert!(line.contains("89.22 [89.02, 89.36]") && line.contains("+0.69 [+0.42, +0.93]"));
        let adam = shown.lines().find(|line| line.contains("adam")).unwrap();
        assert_eq!(adam.find("88.35"), line.find("89.22"), "aligned: {shown}");
        assert!(shown.ends_with("otherwise."));
    }
}
