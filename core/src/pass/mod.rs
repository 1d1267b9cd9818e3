//! The passes of a network: samples through its stages and back.

mod check;
mod curvature;
mod inputs;
mod lanes;
mod load;
mod network;
mod sample;
mod share;
mod single;
mod stages;
mod stream;
mod target;

pub use curvature::Curvature;
pub use inputs::LayerInputs;
pub use share::{MapParts, Share, SharedMap};
pub use single::SteppedGradient;
#[doc(hidden)]
pub use stages::{StageInfo, StagePass};
