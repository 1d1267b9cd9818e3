//! How recent the curvature is that a stochastic step used.

/// How recent the curvature is that a step of [`FlatLbfgs`](super::FlatLbfgs) or
/// [`LayerLbfgs`](super::LayerLbfgs) used.
///
/// These methods learn curvature from what the training loop shows them. A loop that never does
/// still trains, with plain Adam, so each step says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[must_use = "`Stale` and `Missing` mean that the training loop does not show the curvature"]
#[non_exhaustive]
pub enum Freshness {
    /// As recent as the settings ask for.
    Current,
    /// A refresh was due before this step and did not happen: the step used older curvature.
    Stale,
    /// No curvature was ever learnt, though it was due: the step was Adam's.
    Missing,
}
