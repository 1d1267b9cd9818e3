//! What commands take from around them: instruction set, signals, data.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize};

use secant::arch::Isa;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use crate::data::dataset::Dataset;
use crate::data::open::{self, Location, STANDARD_FOLDERS};
use crate::data::predict::Predict;
use crate::error::Error;
use crate::report::note;
use crate::trained::Trained;

/// Obeys `SECANT_ISA`.
///
/// # Errors
/// [`Error::Usage`] when it names no instruction set, or one that the machine has not.
pub fn choose_isa() -> Result<(), Error> {
    let Some(value) = std::env::var_os("SECANT_ISA").filter(|value| !value.is_empty()) else {
        return Ok(());
    };
    let names = || Isa::ALL.map(|isa| isa.name()).join(", ");
    let isa = value.to_str().and_then(Isa::from_name).ok_or_else(|| {
        Error::Usage(format!(
            "SECANT_ISA: expected one of {}, found '{}'",
            names(),
            value.display()
        ))
    })?;
    Isa::force(isa).map_err(|error| Error::Usage(format!("SECANT_ISA: {error}")))
}

/// Number of the signal that asked the program to stop, or 0. A second signal ends the program at
/// once.
///
/// # Errors
/// [`Error::Run`] when the system refuses.
pub fn watch_signals() -> Result<Arc<AtomicUsize>, Error> {
    let received = Arc::new(AtomicUsize::new(0));
    let armed = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM].into_iter().chain(hang_up()) {
        // In this order: the first signal arms what the second one sets off.
        flag::register_conditional_shutdown(signal, 128 + signal, armed.clone())
            .and_then(|_| flag::register(signal, armed.clone()))
            .and_then(|_| flag::register_usize(signal, received.clone(), signal as usize))
            .map_err(|error| Error::Run(format!("cannot watch for Ctrl-C: {error}")))?;
    }
    Ok(received)
}

/// SIGHUP, which a terminal sends that is closed; not where it is ignored, as `nohup` wants it.
fn hang_up() -> Option<i32> {
    #[cfg(unix)]
    {
        use signal_hook::consts::SIGHUP;
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        (!ignores(&status, SIGHUP)).then_some(SIGHUP)
    }
    #[cfg(not(unix))]
    None
}

/// Whether Linux's `/proc/self/status` says that a signal is ignored.
fn ignores(status: &str, signal: i32) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> (signal - 1) & 1 == 1)
}

/// The data of `--data`, of `SECANT_DATA`, or of the standard folders; else the built-in set.
/// `predict` says what its targets are.
///
/// # Errors
/// [`Error::Dataset`] when it cannot be used.
pub fn open_dataset(
    data: Option<&Path>,
    limit: Option<usize>,
    predict: &Predict,
) -> Result<Dataset, Error> {
    let folders = STANDARD_FOLDERS.map(Path::new);
    let location = open::locate(data, std::env::var_os("SECANT_DATA"), &folders);
    if location == (Location::Synthetic { fallback: true }) {
        note(&format!(
            "Fashion-MNIST was not found in {}: training on the built-in synthetic set.\n\
             'secant data fetch' gets the real images, or say --data DIR where they are.",
            STANDARD_FOLDERS.join(" or ")
        ));
    }
    Ok(open::load(&location, limit, predict)?)
}

/// Where data is that nobody named on the command line; none where only the built-in set is left.
pub fn standard_data() -> Option<Location> {
    let folders = STANDARD_FOLDERS.map(Path::new);
    let location = open::locate(None, std::env::var_os("SECANT_DATA"), &folders);
    (location != Location::Synthetic { fallback: true }).then_some(location)
}

/// The data for a trained network: that of its run, unless `data` is other data.
///
/// # Errors
/// [`Error`] when the data cannot be used, or is not what the network was made for.
pub fn data_for(
    trained: &Trained,
    data: Option<&Path>,
    predict: Option<&Predict>,
) -> Result<Dataset, Error> {
    let predict = predict.unwrap_or(&trained.predict);
    if data.is_none() && trained.source.is_empty() {
        return Err(Error::Usage(format!(
            "{}: the network was imported without data; name it with --data",
            trained.folder.display()
        )));
    }
    let dataset = match data {
        Some(data) => open_dataset(Some(data), None, predict)?,
        None => open_dataset(Some(&trained.data()), trained.limit, predict)?,
    };
    trained.fits(&dataset)?;
    Ok(dataset)
}

/// Tells what a person should know about the data, once the options are known to fit it.
pub fn tell(dataset: &Dataset) {
    for line in &dataset.notes {
        note(line);
    }
}

#[cfg(test)]
mod tests {
    use super::ignores;

    #[test]
    fn ignored_signals_are_read() {
        let status = "Name:\tsecant\nSigBlk:\tffff\nSigIgn:\t0000000000001001\nSigCgt:\t1\n";
        assert!(ignores(status, 1) && ignores(status, 13));
        assert!(!ignores(status, 2) && !ignores("", 1));
    }
}
