//! Where an axis has its ticks, and what stands at them.

use super::Unit;

/// At most this many ticks, whatever the numbers.
const MOST: usize = 24;

/// Multiples of 1, 2 or 5 times a power of ten from `low` to `high`, about `wanted` of them; whole
/// numbers only where `whole`.
pub fn linear((low, high): (f64, f64), wanted: usize, whole: bool) -> Vec<f64> {
    let rough = (high - low) / wanted.max(1) as f64;
    let power = 10f64.powf(rough.log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0].map(|step| step * power);
    let step = steps.into_iter().find(|step| *step >= rough * 0.999);
    let mut step = step.unwrap_or(rough);
    if whole {
        step = step.max(1.0).round();
    }
    if !(step.is_finite() && step > 0.0) {
        return Vec::new();
    }
    let from = (low / step - 1e-9).ceil();
    let count = ((high / step + 1e-9).floor() - from).clamp(-1.0, MOST as f64) as i64 + 1;
    // A product of whole numbers and the step, so that no error adds up.
    (0..count)
        .map(|i| round((from + i as f64) * step, step))
        .collect()
}

/// Takes the last digits off that only rounding put there.
fn round(value: f64, step: f64) -> f64 {
    let digits = decimals(step);
    match digits {
        0..15 => format!("{value:.digits$}").parse().unwrap_or(value),
        _ => value,
    }
}

/// Powers of ten, and between few of them 2 and 5 times these too; where even these are too few,
/// ticks at equal differences.
pub fn logarithmic((low, high): (f64, f64), wanted: usize) -> Vec<f64> {
    let (first, last) = (low.log10().floor(), high.log10().ceil());
    if !(low > 0.0 && last.is_finite()) {
        return Vec::new();
    }
    let decades = (last - first) as usize;
    let inside = |x: &f64| (low * (1.0 - 1e-9)..=high * (1.0 + 1e-9)).contains(x);
    let at = |factors: &[f64], every: usize| -> Vec<f64> {
        let powers = (0..=decades).step_by(every).map(|i| first + i as f64);
        let all = powers.flat_map(|p| factors.iter().map(move |f| power(p) * f));
        all.filter(inside).collect()
    };
    for factors in [&[1.0, 2.0, 5.0][..], &[1.0, 3.0], &[1.0]] {
        let ticks = at(factors, 1);
        if (3..=wanted.max(3)).contains(&ticks.len()) {
            return ticks;
        }
    }
    match decades > 2 {
        true => at(&[1.0], decades.div_ceil(wanted.max(2))),
        false => linear((low, high), wanted.saturating_sub(2).max(2), false),
    }
}

/// A power of ten, exactly where it can be.
fn power(exponent: f64) -> f64 {
    format!("1e{exponent}").parse().unwrap_or(0.0)
}

/// Digits after the point that a step needs.
fn decimals(step: f64) -> usize {
    (-(step * 1.001).log10().floor()).clamp(0.0, 300.0) as usize
}

/// What stands at the ticks: as many digits at each as the closest two need, on a linear axis; at
/// each as many as it needs on a logarithmic one.
pub fn labels(ticks: &[f64], unit: Unit, even: bool) -> Vec<String> {
    let gaps = ticks.windows(2).map(|pair| pair[1] - pair[0]);
    let gap = gaps.fold(f64::INFINITY, f64::min);
    let digits = if even && gap.is_finite() {
        Some(decimals(gap))
    } else {
        None
    };
    let label = |tick: &f64| with_unit(&plain(*tick, digits), unit);
    ticks.iter().map(label).collect()
}

/// A number with its unit.
pub fn with_unit(number: &str, unit: Unit) -> String {
    match unit {
        Unit::None => number.to_owned(),
        Unit::Percent => format!("{number} %"),
    }
}

/// A number with as many digits as it needs, such as a target.
pub fn exact(x: f64, unit: Unit) -> String {
    // Percent from a share: 28.999999999999996.
    let x = format!("{x:.9}")
        .parse()
        .ok()
        .filter(|y| *y != 0.0)
        .unwrap_or(x);
    with_unit(&plain(x, None), unit)
}

/// A value as people read it, to two digits after the point in percent, else to four digits.
pub fn value(x: f64, unit: Unit) -> String {
    let number = match unit {
        Unit::Percent => plain(x, Some(2)),
        Unit::None => {
            let digits = 3 - x.abs().log10().floor().clamp(-300.0, 300.0) as i64;
            match digits {
                0..=9 => {
                    let text = format!("{x:.0$}", digits as usize);
                    plain(text.parse().unwrap_or(x), None)
                }
                _ => plain(x, Some(0)),
            }
        }
    };
    with_unit(&number, unit)
}

/// A number without an `e`: `0.79`, `2×10⁻⁷`.
fn plain(x: f64, digits: Option<usize>) -> String {
    let size = x.abs();
    if x != 0.0 && !(1e-5..1e7).contains(&size) {
        let text = format!("{:.3e}", x);
        let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let mantissa = mantissa.trim_end_matches('0').trim_end_matches('.');
        let raised = exponent.chars().map(superscript).collect::<String>();
        return match mantissa {
            "1" => format!("10{raised}"),
            "-1" => format!("−10{raised}"),
            _ => format!("{}×10{raised}", mantissa.replace('-', "−")),
        };
    }
    let text = match digits {
        Some(digits) => format!("{x:.digits$}"),
        None => format!("{x}"),
    };
    // No minus before a rounded zero.
    match text.strip_prefix('-') {
        Some(rest) if rest.chars().all(|c| "0.".contains(c)) => rest.to_owned(),
        Some(rest) => format!("−{rest}"),
        None => text,
    }
}

fn superscript(c: char) -> char {
    let raised = "⁰¹²³⁴⁵⁶⁷⁸⁹";
    match c.to_digit(10) {
        Some(digit) => raised.chars().nth(digit as usize).unwrap_or(c),
        None => '⁻',
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(range: (f64, f64), unit: Unit) -> Vec<String> {
        labels(&linear(range, 5, false), unit, true)
    }

    #[test]
    fn ticks_are_round_and_inside() {
        assert_eq!(
            shown((0.0, 2.0), Unit::None),
            ["0.0", "0.5", "1.0", "1.5", "2.0"]
        );
        assert_eq!(
            shown((79.2, 88.9), Unit::Percent),
            ["80 %", "82 %", "84 %", "86 %", "88 %"]
        );
        assert_eq!(
            shown((-0.11, 0.11), Unit::None),
            ["−0.10", "−0.05", "0.00", "0.05", "0.10"]
        );
        assert_eq!(linear((1.0, 3.0), 6, true), [1.0, 2.0, 3.0], "no halves");
        assert_eq!(linear((1.0, 20.0), 5, true), [5.0, 10.0, 15.0, 20.0]);
    }

    #[test]
    fn logarithmic_ticks_are_few_and_inside() {
        let all = |low, high| logarithmic((low, high), 8);
        assert_eq!(all(0.1, 2.0), [0.1, 0.2, 0.5, 1.0, 2.0]);
        assert_eq!(all(0.9, 4e4).len(), 5);
        assert_eq!(all(0.5, 0.9), [0.5, 0.6, 0.7, 0.8, 0.9]);
        for (low, high) in [
            (1e-300, 1e300),
            (1.0, 1.0 + 1e-12),
            (3e-5, 7e5),
            (0.3, 0.31),
        ] {
            let ticks = all(low, high);
            assert!(ticks.len() <= MOST + 1, "{low} {high}: {}", ticks.len());
            assert!(
                ticks
                    .iter()
                    .all(|t| *t >= low * 0.999 && *t <= high * 1.001)
            );
        }
    }

    #[test]
    fn numbers_have_no_e() {
        assert_eq!(labels(&[0.79], Unit::None, false), ["0.79"]);
        assert_eq!(
            labels(&[1e-5, 1e-4, 2e-7, 1e-6, 3e9], Unit::None, false),
            ["0.00001", "0.0001", "2×10⁻⁷", "10⁻⁶", "3×10⁹"]
        );
        assert_eq!(value(88.3456, Unit::Percent), "88.35 %");
        assert_eq!(value(0.012345678, Unit::None), "0.01235");
        assert_eq!(value(123456.7, Unit::None), "123457");
        assert_eq!(value(-1e308, Unit::None), "−10³⁰⁸");
        assert_eq!(value(0.0, Unit::None), "0");
        assert_eq!(exact(100.0 * 0.29, Unit::Percent), "29 %");
        assert_eq!(exact(91.98, Unit::Percent), "91.98 %");
        assert_eq!(exact(2e-10, Unit::None), "2×10⁻¹⁰");
    }

    #[test]
    fn no_numbers_make_it_run_on() {
        let odd = [
            0.0,
            1.0,
            -1.0,
            1e300,
            -1e300,
            f64::MIN_POSITIVE,
            f64::INFINITY,
            f64::NAN,
        ];
        for low in odd {
            for high in odd {
                for whole in [false, true] {
                    assert!(linear((low, high), 6, whole).len() <= MOST + 1);
                }
                assert!(logarithmic((low, high), 6).len() <= MOST + 1);
            }
        }
    }
}
