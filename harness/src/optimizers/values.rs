//! Reads the values of settings: each function takes the text and says what it expected.

use std::ops::RangeInclusive;

use clap::ValueEnum;

/// A number that `accept` takes.
///
/// # Errors
/// One phrase that says what was `expected`.
pub fn number(text: &str, accept: impl Fn(f64) -> bool, expected: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if value.is_finite() && accept(value) => Ok(value),
        _ => Err(format!("expected {expected}")),
    }
}

/// A number, as exact as `f32` can hold it.
fn float(text: &str, accept: impl Fn(f32) -> bool, expected: &str) -> Result<f32, String> {
    match text.parse::<f32>() {
        Ok(value) if value.is_finite() && accept(value) => Ok(value),
        _ => Err(format!("expected {expected}")),
    }
}

/// A number above 0.
///
/// # Errors
/// One phrase that says so.
pub fn positive(text: &str) -> Result<f32, String> {
    float(text, |x| x > 0.0, "a number above 0")
}

/// A number, at least 0.
///
/// # Errors
/// One phrase that says so.
pub fn not_negative(text: &str) -> Result<f32, String> {
    float(text, |x| x >= 0.0, "a number, at least 0")
}

/// A number from 0 to below 1.
///
/// # Errors
/// One phrase that says so.
pub fn share(text: &str) -> Result<f32, String> {
    float(
        text,
        |x| (0.0..1.0).contains(&x),
        "a number from 0 to below 1",
    )
}

/// A whole number, at least 1.
///
/// # Errors
/// One phrase that says so.
pub fn count(text: &str) -> Result<u32, String> {
    match text.parse() {
        Ok(value) if value >= 1 => Ok(value),
        _ => Err("expected a whole number, at least 1".to_owned()),
    }
}

/// Pairs of a history, as many as the optimiser `name` can keep.
///
/// # Errors
/// One phrase that says how many that are.
pub fn pairs(text: &str, name: &str, kept: RangeInclusive<usize>) -> Result<usize, String> {
    match text.parse() {
        Ok(value) if kept.contains(&value) => Ok(value),
        Ok(_) => Err(format!(
            "{name} keeps {} to {} pairs",
            kept.start(),
            kept.end()
        )),
        Err(_) => Err(format!(
            "expected a whole number from {} to {}",
            kept.start(),
            kept.end()
        )),
    }
}

/// Yes or no.
///
/// # Errors
/// One phrase that says so.
pub fn yes(text: &str) -> Result<bool, String> {
    match text {
        "yes" | "on" | "true" => Ok(true),
        "no" | "off" | "false" => Ok(false),
        _ => Err("expected yes or no".to_owned()),
    }
}

/// One of the names of `T`.
///
/// # Errors
/// One phrase that lists them.
pub fn name<T: ValueEnum>(text: &str) -> Result<T, String> {
    T::from_str(text, false).map_err(|_| {
        let names = T::value_variants().iter();
        let names: Vec<String> = names
            .filter_map(ValueEnum::to_possible_value)
            .map(|value| value.get_name().to_owned())
            .collect();
        format!("expected {}", listed(&names, "or"))
    })
}

/// `a, b or c`.
pub fn listed<T: AsRef<str>>(words: &[T], conjunction: &str) -> String {
    let words: Vec<&str> = words.iter().map(AsRef::as_ref).collect();
    match words.split_last() {
        None => String::new(),
        Some((last, [])) => (*last).to_owned(),
        Some((last, rest)) => format!("{} {conjunction} {last}", rest.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optimizers::schedule::ScheduleName;

    #[test]
    fn a_value_out_of_range_is_told_what_was_expected() {
        assert_eq!(positive("1e-3"), Ok(1e-3));
        for text in ["0", "-1", "nan", "inf", "1e99", "x", ""] {
            assert_eq!(positive(text), Err("expected a number above 0".to_owned()));
        }
        assert!(share("0.999").is_ok() && share("1").is_err() && share("-0.1").is_err());
        // It rounds to 1 as a float.
        assert!(share("0.99999999").is_err());
        assert!(not_negative("0").is_ok() && not_negative("-1e-9").is_err());
        assert!(count("0").is_err() && count("1.5").is_err());
        assert_eq!(
            pairs("17", "lbfgs", 0..=16),
            Err("lbfgs keeps 0 to 16 pairs".to_owned())
        );
        assert_eq!(
            name::<ScheduleName>("linaer"),
            Err("expected constant, linear or cosine".to_owned())
        );
    }
}
