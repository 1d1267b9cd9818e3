//! Initial weights: drawn, or brought along.

use super::value::Network;
use crate::math;
use crate::random::Random;

/// How the weights of a layer with `n` inputs an output (`fan-in`: input channels x kernel rows x
/// kernel columns) are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Init {
    /// Normal with variance `2 / n`, biases 0 (He, Zhang, Ren, Sun, ICCV 2015): keeps the size of
    /// activations under relu.
    #[default]
    He,
    /// Normal with variance `1 / n`, biases 0 (LeCun, Bottou, Orr, Müller, "Efficient BackProp",
    /// 1998).
    LeCun,
    /// Uniform in `(-1/sqrt(n), 1/sqrt(n))`, biases too: what PyTorch does unless told otherwise.
    PyTorch,
    /// Normal with deviation 0.05, drawn again while it is further than 0.1 from zero, biases 0.05:
    /// what the benchmark DeepOBS (Schneider, Balles, Hennig, ICLR 2019) prescribes for its
    /// convolutional networks.
    DeepObs,
}

impl Init {
    /// Every initialisation.
    pub const ALL: [Init; 4] = [Init::He, Init::LeCun, Init::PyTorch, Init::DeepObs];

    /// The name on the command line and in records.
    pub const fn name(self) -> &'static str {
        match self {
            Init::He => "he",
            Init::LeCun => "lecun",
            Init::PyTorch => "pytorch",
            Init::DeepObs => "deepobs",
        }
    }

    /// The initialisation of that name.
    pub fn from_name(name: &str) -> Option<Init> {
        Init::ALL.into_iter().find(|init| init.name() == name)
    }
}

/// Weights from bytes, little-endian floats in the order of the flat slice: for those that were
/// prepared on another machine. As a constant they stay in flash.
///
/// ```
/// // const WEIGHTS: [f32; MICRO.parameter_offset(6)] = weights_from_bytes(include_bytes!("weights.bin"));
/// const WEIGHTS: [f32; 2] = secant::network::weights_from_bytes(&[0, 0, 128, 63, 0, 0, 0, 192]);
/// assert_eq!(WEIGHTS, [1.0, -2.0]);
/// ```
///
/// # Panics
/// When there are fewer than `4 N` bytes. In a constant that is a compile error. More are left
/// unread.
pub const fn weights_from_bytes<const N: usize>(bytes: &[u8]) -> [f32; N] {
    let mut weights = [0.0; N];
    let mut i = 0;
    while i < N {
        let four = [
            bytes[4 * i],
            bytes[4 * i + 1],
            bytes[4 * i + 2],
            bytes[4 * i + 3],
        ];
        weights[i] = f32::from_le_bytes(four);
        i += 1;
    }
    weights
}

impl<const N: usize> Network<'_, N> {
    /// Draws all parameters, but not those of frozen layers, layer by layer, weights before biases,
    /// in the order of the flat slice. Parameters past the network's count stay as they are; a
    /// slice that is too short is filled as far as it goes.
    pub fn initialise(&self, init: Init, random: &mut Random, parameters: &mut [f32]) {
        let mut rest = parameters.iter_mut();
        for stage in self.plan().trained() {
            // The last column of a row is the bias.
            let (biases, inputs) = (stage.outputs(), stage.row_len() - 1);
            if biases == 0 {
                continue;
            }
            let weights = inputs * biases;
            if stage.op.is_scale_and_shift() {
                rest.by_ref().take(weights).for_each(|w| *w = 1.0);
                rest.by_ref().take(biases).for_each(|b| *b = 0.0);
                continue;
            }
            let fan_in = inputs as f32;
            let bound = 1.0 / math::sqrt(fan_in);
            let deviation = match init {
                Init::He => math::sqrt(2.0 / fan_in),
                Init::LeCun | Init::PyTorch => bound,
                Init::DeepObs => 0.05,
            };
            for w in rest.by_ref().take(weights) {
                *w = match init {
                    Init::He | Init::LeCun => deviation * random.normal(),
                    Init::PyTorch => (2.0 * random.uniform() - 1.0) * bound,
                    Init::DeepObs => deviation * truncated_normal(random),
                };
            }
            for b in rest.by_ref().take(biases) {
                *b = match init {
                    Init::He | Init::LeCun => 0.0,
                    Init::PyTorch => (2.0 * random.uniform() - 1.0) * bound,
                    Init::DeepObs => 0.05,
                };
            }
        }
    }
}

/// A standard normal number, drawn again while it is further than 2 from zero.
fn truncated_normal(random: &mut Random) -> f32 {
    loop {
        let x = random.normal();
        if x.abs() <= 2.0 {
            return x;
        }
    }
}
