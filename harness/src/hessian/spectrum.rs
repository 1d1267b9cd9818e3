//! What is known of a spectrum and where, and how its numbers are told.

use secant::spectrum::Lanczos;
use serde::{Deserialize, Serialize};

use crate::error::Error;

/// An eigenvalue is resolved where it is known to a tenth of itself and above the noise.
const RESOLVED: f64 = 0.1;

/// Where in a run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Place {
    /// For people and for names of files: `initial`, `10%`, `final`.
    pub name: String,
    /// Steps made, where that is known.
    pub step: Option<u32>,
}

impl Place {
    /// The name in those of files.
    pub fn file_name(&self) -> String {
        self.name.replace('%', "percent").replace(' ', "-")
    }
}

/// What is known of a spectrum.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Spectrum {
    /// The largest eigenvalue.
    pub largest: f64,
    /// How far it may be off.
    pub largest_error: f64,
    /// The smallest: the most negative one, if there is any.
    pub smallest: f64,
    /// How far it may be off.
    pub smallest_error: f64,
    /// Eigenvalues of a smaller magnitude cannot be told from 0: eight times the largest
    /// `q_i . A q_j` that symmetry says is 0.
    pub floor: f64,
    /// The resolved eigenvalue of the least magnitude.
    pub least_resolved: f64,
    /// `|lambda|max / |lambda|min` over the resolved eigenvalues. Of all that there are above the
    /// floor with `--exact`; else at least so much.
    pub condition: f64,
    /// How many eigenvalues are resolved.
    pub resolved: usize,
    /// The resolved eigenvalues, ascending.
    pub eigenvalues: Vec<f64>,
}

impl Spectrum {
    /// Of eigenvalues in ascending order, each with how far it may be off.
    pub fn new(found: &[(f64, f64)], floor: f64) -> Spectrum {
        let resolved: Vec<f64> = found
            .iter()
            .filter(|(value, error)| value.abs() > floor && *error <= RESOLVED * value.abs())
            .map(|(value, _)| *value)
            .collect();
        let sizes = || resolved.iter().map(|value| value.abs());
        let most = sizes().fold(0.0, f64::max);
        let least = sizes().fold(f64::INFINITY, f64::min);
        let nothing = (f64::NAN, f64::NAN);
        let (smallest, smallest_error) = found.first().copied().unwrap_or(nothing);
        let (largest, largest_error) = found.last().copied().unwrap_or(nothing);
        Spectrum {
            largest,
            largest_error,
            smallest,
            smallest_error,
            floor,
            least_resolved: if resolved.is_empty() { f64::NAN } else { least },
            condition: if resolved.is_empty() {
                f64::NAN
            } else {
                most / least
            },
            resolved: resolved.len(),
            eigenvalues: resolved,
        }
    }

    /// Of a run of Lanczos.
    pub fn of(lanczos: &Lanczos<'_, f64>) -> Spectrum {
        let values = lanczos.values();
        let found: Vec<_> = (0..values.len())
            .map(|i| (values[i], lanczos.bound(i)))
            .collect();
        Spectrum::new(&found, floor(lanczos))
    }
}

/// What cannot be told from 0.
pub(super) fn floor(lanczos: &Lanczos<'_, f64>) -> f64 {
    let size = lanczos
        .values()
        .iter()
        .fold(0.0, |size, value| f64::max(size, value.abs()));
    f64::max(8.0 * lanczos.noise(), f64::from(f32::EPSILON) * size)
}

/// A failure of the numbers.
pub(super) fn not_finite(place: &Place) -> Error {
    Error::Run(format!(
        "at '{}' the Hessian times a vector is not finite, or zero everywhere: the weights are of no \
         use there",
        place.name
    ))
}

/// A mistake of this program in its own lengths.
pub(super) fn internal(error: secant::ConfigError) -> Error {
    Error::Run(error.to_string())
}

/// A number in at most nine characters; a dash where there is none.
pub(super) fn number(value: f64) -> String {
    let size = value.abs();
    if value.is_nan() {
        "-".to_owned()
    } else if size == 0.0 || !value.is_finite() {
        format!("{value}")
    } else if !(1e-3..1e5).contains(&size) {
        format!("{value:.2e}")
    } else {
        let digits = (3 - size.log10().floor() as i32).clamp(0, 5) as usize;
        format!("{value:.digits$}")
    }
}
