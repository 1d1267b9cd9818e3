//! What random choices of a pass depend on.

/// What dropout's random choice depends on beside the sample: the same key gives the same zeros.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct DropoutKey {
    /// The run's seed.
    pub seed: u64,
    /// The optimisation step, counted from 0.
    pub step: u32,
}

/// The same for one layer and a block of samples.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Draw<'a> {
    /// `None` leaves dropout out.
    pub key: Option<DropoutKey>,
    /// Number of the layer.
    pub layer: usize,
    /// Number of the sample in each lane.
    pub samples: &'a [u32],
}
