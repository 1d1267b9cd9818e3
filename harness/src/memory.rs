//! How much memory a command may take. What it needs is counted beforehand: a program that the
//! system ends for want of memory can neither say why nor save what it has.

use std::fs;
use std::sync::atomic::{AtomicU64, Ordering};

/// Chosen by a person, in bytes; 0 if nobody did.
static CHOSEN: AtomicU64 = AtomicU64::new(0);

/// The limit where the system does not say what it has: 4 GB.
const UNKNOWN: u64 = 4_000_000_000;

/// Chooses the limit of this process, in bytes, above 0.
pub fn set_limit(bytes: u64) {
    CHOSEN.store(bytes, Ordering::Relaxed);
}

/// The most bytes that this process may need: what was chosen, else what the system has left.
pub fn limit() -> u64 {
    match CHOSEN.load(Ordering::Relaxed) {
        0 => available().unwrap_or(UNKNOWN),
        chosen => chosen,
    }
}

/// Bytes that the system says it has left, for this process's group where that has a bound.
fn available() -> Option<u64> {
    let info = fs::read_to_string("/proc/meminfo").ok();
    let machine = info.as_deref().and_then(left);
    let group = |file: &str| {
        let text = fs::read_to_string(format!("/sys/fs/cgroup/memory.{file}")).ok()?;
        text.trim().parse::<u64>().ok()
    };
    let bound = group("max");
    let group = bound.map(|most| most.saturating_sub(group("current").unwrap_or(0)));
    match (machine, group) {
        (Some(machine), Some(group)) => Some(machine.min(group)),
        (machine, group) => machine.or(group),
    }
}

/// `MemAvailable` of Linux's `/proc/meminfo`, in bytes.
fn left(info: &str) -> Option<u64> {
    let line = info.lines().find_map(|l| l.strip_prefix("MemAvailable:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}

/// Bytes that are not worth the question how many there are: it takes longer than to read a file of
/// that size, and a data set may be thousands of files. Who adds such pieces up checks the sum.
const SMALL: u64 = 1 << 16;

/// Refuses to need more than the limit.
///
/// # Errors
/// A phrase with both numbers, `what` being who needs it.
pub fn check(bytes: u64, what: &str) -> Result<(), String> {
    let chosen = CHOSEN.load(Ordering::Relaxed) != 0;
    if !chosen && bytes <= SMALL {
        return Ok(());
    }
    let limit = limit();
    if bytes <= limit {
        return Ok(());
    }
    let (bytes, limit) = (show(bytes), show(limit));
    Err(if chosen {
        format!("{what} needs {bytes} of memory, {limit} may be used (--memory allows more)")
    } else {
        format!("{what} needs {bytes} of memory, the system has {limit} left")
    })
}

/// A number of bytes as people read it.
pub fn show(bytes: u64) -> String {
    const UNITS: [(u64, &str); 3] = [(1_000_000_000, "GB"), (1_000_000, "MB"), (1_000, "kB")];
    match UNITS.iter().find(|(unit, _)| bytes >= *unit) {
        Some((unit, name)) => format!("{:.1} {name}", bytes as f64 / *unit as f64),
        None => format!("{bytes} bytes"),
    }
}

/// Reads a number of bytes: `800M`, `4G`, `2.5G`.
///
/// # Errors
/// What was expected.
pub fn parse(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(['B', 'b']);
    let (digits, unit) = match digits.to_ascii_uppercase().chars().last() {
        Some('K') => (&digits[..digits.len() - 1], 1e3),
        Some('M') => (&digits[..digits.len() - 1], 1e6),
        Some('G') => (&digits[..digits.len() - 1], 1e9),
        _ => (digits, 1.0),
    };
    match digits.trim().parse::<f64>() {
        Ok(number) if number * unit >= 1.0 && number.is_finite() => Ok((number * unit) as u64),
        _ => Err("expected a number of bytes such as 800M or 4G".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_and_shown() {
        let read = ["1", "20k", "800M", "4G", "2.5GB", "1e3"].map(|text| parse(text).unwrap());
        assert_eq!(
            read,
            [1, 20_000, 800_000_000, 4_000_000_000, 2_500_000_000, 1000]
        );
        for wrong in ["", "G", "0", "-1", "nan", "inf", "4T", "4 GiB"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
        let shown = [999, 1_000, 9_900_000_000].map(show);
        assert_eq!(shown, ["999 bytes", "1.0 kB", "9.9 GB"]);
    }

    #[test]
    fn the_system_is_asked() {
        let info = "MemTotal:  100 kB\nMemFree: 1 kB\nMemAvailable:     50 kB\n";
        assert_eq!(left(info), Some(51_200));
        assert_eq!(left("MemTotal: 100 kB\n"), None);
        assert!(limit() > 0);
    }
}
