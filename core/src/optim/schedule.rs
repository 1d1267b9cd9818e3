//! Learning-rate schedules: a factor between 0 and 1 for each step.

/// How the factor falls after the warm-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Decline {
    /// It stays 1.
    Constant,
    /// `1 - x`, to zero at the end.
    #[default]
    Linear,
    /// `(1 + cos(pi x)) / 2`, to zero at the end.
    Cosine,
}

/// Warm-up and decline over a run of known length.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Schedule {
    /// What comes after the warm-up.
    pub decline: Decline,
    /// Share of the run, in [0, 1), in which the factor rises evenly to 1. Default 0.
    pub warm_up: f32,
}

impl Schedule {
    /// The factor of step `step` (from 0) of `total`: in the warm-up of `w = warm_up * total` steps `(step + 1) / w`, at most
    /// 1; then the decline at `x = (step - w) / (total - w)`.
    pub fn factor(&self, step: u32, total: u32) -> f32 {
        let (t, n) = (f64::from(step), f64::from(total.max(1)));
        let w = f64::from(self.warm_up) * n;
        if t < w {
            let factor = (t + 1.0) / w;
            return if factor < 1.0 { factor as f32 } else { 1.0 };
        }
        let x = (t - w) / (n - w);
        let x = if x < 1.0 { x } else { 1.0 };
        match self.decline {
            Decline::Constant => 1.0,
            Decline::Linear => (1.0 - x) as f32,
            Decline::Cosine => (0.5 * (1.0 + libm::cos(core::f64::consts::PI * x))) as f32,
        }
    }
}
