//! Command lines as text that a shell reads as the same words.

use std::ffi::{OsStr, OsString};
use std::fmt::Write;

/// The words that the program was started with, its own name left out.
pub fn words() -> impl Iterator<Item = OsString> {
    std::env::args_os().skip(1)
}

/// All words that the program was started with, for records of what was asked; bytes that are no
/// UTF-8 are replaced.
pub fn command() -> Vec<String> {
    let words = std::env::args_os();
    words
        .map(|word| word.to_string_lossy().into_owned())
        .collect()
}

/// `secant` with these words, as Bash, Zsh and newer POSIX shells read it. Words of letters, digits
/// and a few signs stand as they are, others between quotes; what a page or a terminal cannot show
/// (control characters, signs that turn the direction of writing, bytes that are no UTF-8) makes of
/// its word one of the form `$'...'`, with the bytes in octal.
pub fn line(words: impl IntoIterator<Item = impl AsRef<OsStr>>) -> String {
    let mut line = String::from("secant");
    for word in words {
        line.push(' ');
        line.push_str(&quoted(word.as_ref()));
    }
    line
}

/// A word as a shell reads it.
fn quoted(word: &OsStr) -> String {
    match word.to_str() {
        Some(text) if !text.is_empty() && text.chars().all(plain) => text.to_owned(),
        Some(text) if text.chars().all(shown) => format!("'{}'", text.replace('\'', r"'\''")),
        _ => octal(word.as_encoded_bytes()),
    }
}

/// Whether a character means itself to a shell, wherever it stands.
fn plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-_./:=,+@%".contains(c)
}

/// Whether a character can be seen, and leaves the others where they are.
fn shown(c: char) -> bool {
    let turns =
        matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    !(c.is_control() || turns || matches!(c, '\u{fffe}' | '\u{ffff}'))
}

/// The form `$'...'`.
fn octal(bytes: &[u8]) -> String {
    let mut text = String::from("$'");
    let escape = |text: &mut String, bytes: &[u8]| {
        for byte in bytes {
            let _ = write!(text, "\\{byte:03o}");
        }
    };
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\'' | '\\' => text.extend(['\\', c]),
                c if shown(c) => text.push(c),
                c => escape(&mut text, c.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        escape(&mut text, chunk.invalid());
    }
    text.push('\'');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn every_word_survives_a_shell() {
        use std::os::unix::ffi::OsStrExt;
        let words: [&[u8]; 12] = [
            b"compare",
            b"--model",
            b"conv4k3 relu",
            b"",
            b"it's",
            b"a\\b",
            b"$HOME",
            "Gr\u{fc}n \u{202e}x".as_bytes(),
            b"two\nlines\tand\x1b[31m'\\\x017",
            b"no \xff utf-8 \xc3",
            b"~",
            b"!x*?[a]",
        ];
        let line = line(words.map(OsStr::from_bytes));
        assert!(line.chars().all(shown), "{line}");
        let line = line.strip_prefix("secant ").unwrap();
        let script = format!("for word in {line}; do printf '%s\\0' \"$word\"; done");
        let shell = std::process::Command::new("bash")
            .args(["-c", &script])
            .output();
        let read = shell.unwrap().stdout;
        let expected = words.map(|word| [word, b"\0"].concat()).concat();
        assert!(read == expected, "{}", String::from_utf8_lossy(&read));
    }

    #[test]
    fn what_is_plain_stays_plain() {
        let words = ["train", "--model", "conv4k3 relu", "--out=runs/a-1"];
        assert_eq!(
            line(words),
            "secant train --model 'conv4k3 relu' --out=runs/a-1"
        );
    }
}
