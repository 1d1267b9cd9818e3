//! Text in a drawing: what may stand in XML, and how wide it is.

/// Sizes in pixels.
pub const TITLE: f64 = 16.0;
pub const BODY: f64 = 13.0;
pub const SMALL: f64 = 12.0;

/// Text as it may stand in XML, in an attribute too. XML 1.0 has no way to write most control
/// characters; they become U+FFFD.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '\t' | '\n' => escaped.push(' '),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => {
                escaped.push('\u{fffd}');
            }
            // Letters that turn the direction of the rest around.
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}

/// Width in pixels, rather too much than too little: the viewer's font is not known.
pub fn width(text: &str, size: f64) -> f64 {
    let em = |c: char| match c {
        'i' | 'j' | 'l' | 't' | 'f' | 'r' | 'I' | '.' | ',' | ':' | ';' | '|' | '!' | '\''
        | '(' | ')' | '[' | ']' => 0.36,
        ' ' => 0.31,
        'm' | 'w' | 'M' | 'W' | '%' | '@' | '—' => 0.92,
        c if c.is_ascii_uppercase() => 0.72,
        c if c.is_ascii() => 0.585,
        _ => 1.0,
    };
    // Titles are bold.
    let weight = if size == TITLE { 1.12 } else { 1.0 };
    text.chars().map(em).sum::<f64>() * size * weight
}

/// Lines of a text, none wider than `most` unless a word is.
pub fn lines(text: &str, size: f64, most: f64) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        let word = &shorten(word, size, most);
        match lines.last_mut() {
            Some(line) if width(line, size) + width(" ", size) + width(word, size) <= most => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.clone()),
        }
    }
    lines
}

/// The text, its middle left out if it is wider than `most`.
pub fn shorten(text: &str, size: f64, most: f64) -> String {
    if width(text, size) <= most {
        return text.to_owned();
    }
    let all: Vec<char> = text.chars().collect();
    let mut kept = all.len();
    loop {
        let (front, back) = (kept.div_ceil(2), kept / 2);
        let front: String = all[..front].iter().collect();
        let back: String = all[all.len() - back..].iter().collect();
        let short = format!("{front}…{back}");
        if kept == 0 || width(&short, size) <= most {
            return short;
        }
        kept -= 1;
    }
}

/// A text in lines.
pub struct Block {
    pub lines: Vec<String>,
    pub size: f64,
}

/// A text in lines of at most `most` pixels.
pub fn block(text: &str, size: f64, most: f64) -> Block {
    Block {
        lines: lines(text, size, most),
        size,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_xml_cannot_hold_is_replaced() {
        assert_eq!(escape("a<b>&\"'"), "a&lt;b&gt;&amp;&quot;&#39;");
        assert_eq!(
            escape("a\u{1}b\u{7f}c\u{ffff}"),
            "a\u{fffd}b\u{fffd}c\u{fffd}"
        );
        assert_eq!(escape("a\nb"), "a b");
    }

    #[test]
    fn lines_fit() {
        for text in [
            "",
            "word",
            "several words that go on and on",
            &"x".repeat(500),
        ] {
            for line in lines(text, 13.0, 100.0) {
                assert!(width(&line, 13.0) <= 100.0, "{line}");
            }
        }
        assert_eq!(lines("a b", 13.0, 100.0), ["a b"]);
        assert!(shorten(&"x".repeat(500), 13.0, 100.0).contains('…'));
        assert_eq!(shorten("abc", 13.0, 0.0), "…");
    }
}
