//! A network with parameters and data, for the library and for the oracle.

use secant::network::{Layer, Network, Shape};
use secant::random::philox4x32;
use secant::{
    Affine, Batch, Curvature, DropoutKey, Metrics, Normalisation, Samples, Targets, Values,
};
use secant_tests::draw::Draw;
use secant_tests::hyperdual::{HyperDual, Number};
use secant_tests::oracle::{self, Masks, Oracle};

/// Most layers of a tested network.
pub const CAPACITY: usize = 20;

/// Numbers of samples side by side that are tested: a microcontroller's and the desktop's. (Each
/// costs the compiler a minute.)
pub const LANES: [usize; 3] = [1, 4, 16];

/// Calls a method that is generic over the lanes with lanes chosen at run time.
macro_rules! with_lanes {
    ($lanes:expr, $network:ident . $method:ident ( $($argument:expr),* )) => {
        match $lanes {
            1 => $network.$method::<1>($($argument),*),
            4 => $network.$method::<4>($($argument),*),
            16 => $network.$method::<16>($($argument),*),
            other => panic!("no test runs on {other} lanes"),
        }
    };
}

/// A network with drawn parameters and samples.
#[derive(Debug, Clone)]
pub struct Fixture {
    /// The network as the library has it.
    pub network: Network<'static, CAPACITY>,
    /// Its parameters.
    pub parameters: Vec<f32>,
    /// Bytes of the samples.
    pub pixels: Vec<u8>,
    /// Their classes.
    pub labels: Vec<u8>,
    /// A vector for each sample instead of its class, if not empty.
    pub vectors: Vec<f32>,
    /// A factor for each class, if not empty.
    pub class_weights: Vec<f32>,
    /// From bytes to values.
    pub normalisation: Affine,
    /// Dropout's choice, if it is on.
    pub dropout: Option<DropoutKey>,
}

impl Fixture {
    /// `count` samples with values from -2 to 2, parameters of the size that keeps activations of
    /// that size.
    pub fn new(input: Shape, layers: &[Layer], count: usize, seed: u64) -> Fixture {
        let network = Network::try_from_slice(input, layers)
            .unwrap_or_else(|e| panic!("{layers:?} on {input:?}: {e}"));
        let mut draw = Draw::new(seed);
        let mut parameters = Vec::new();
        for (i, layer) in layers.iter().enumerate() {
            let (weights, biases) = layer.parameters(network.shape(i));
            let fan_in = weights.checked_div(biases).unwrap_or(1) as f32;
            let scale = (2.0 / fan_in).sqrt();
            parameters.extend((0..weights).map(|_| scale * 1.7 * draw.symmetric()));
            parameters.extend((0..biases).map(|_| 0.5 * draw.symmetric()));
        }
        Fixture {
            network,
            parameters,
            pixels: (0..count * input.len())
                .map(|_| draw.bits() as u8)
                .collect(),
            labels: (0..count)
                .map(|_| draw.below(network.output_len().min(256)) as u8)
                .collect(),
            vectors: Vec::new(),
            class_weights: Vec::new(),
            // Exact in both precisions.
            normalisation: Affine {
                scale: 1.0 / 64.0,
                offset: -2.0,
            },
            dropout: None,
        }
    }

    /// The samples as the library takes them.
    pub fn samples(&self) -> Samples<'_> {
        let targets = if self.vectors.is_empty() {
            Targets::U8(&self.labels)
        } else {
            Targets::F32(&self.vectors)
        };
        Samples {
            values: Values::U8(&self.pixels),
            targets,
            normalisation: Normalisation::Same(self.normalisation),
        }
    }

    /// The indices of all samples.
    pub fn indices(&self) -> Vec<u32> {
        (0..self.labels.len() as u32).collect()
    }

    fn batch<'a>(&'a self, indices: &'a [u32]) -> Batch<'a> {
        Batch::new(self.samples(), indices)
            .dropout(self.dropout)
            .class_weights(&self.class_weights)
    }

    /// A workspace full of what must not be read.
    pub fn workspace(&self, lanes: usize) -> Vec<f32> {
        vec![f32::NAN; self.network.workspace_len(lanes)]
    }

    /// The library's output for these samples, one after the other.
    pub fn predict(&self, lanes: usize, indices: &[u32]) -> Vec<f32> {
        let network = &self.network;
        let mut logits = vec![f32::NAN; indices.len() * network.output_len()];
        let mut workspace = self.workspace(lanes);
        with_lanes!(
            lanes,
            network.predict(
                &self.parameters,
                self.batch(indices),
                &mut logits,
                &mut workspace
            )
        )
        .unwrap_or_else(|e| panic!("{e}"));
        logits
    }

    /// The library's gradient of the mean loss of these samples, and its tally.
    pub fn gradient(&self, lanes: usize, indices: &[u32]) -> (Metrics, Vec<f32>) {
        let network = &self.network;
        let mut gradient = vec![0.0; self.parameters.len()];
        let mut workspace = self.workspace(lanes);
        let batch = self.batch(indices);
        let tally = with_lanes!(
            lanes,
            network.accumulate_gradient(&self.parameters, batch, &mut gradient, &mut workspace)
        )
        .unwrap_or_else(|e| panic!("{e}"));
        (tally, gradient)
    }

    /// The same by the method that overwrites what is there.
    pub fn overwritten(&self, lanes: usize, indices: &[u32]) -> (Metrics, Vec<f32>) {
        let network = &self.network;
        let mut gradient = vec![f32::NAN; self.parameters.len()];
        let mut workspace = self.workspace(lanes);
        let batch = self.batch(indices);
        let tally = with_lanes!(
            lanes,
            network.gradient(&self.parameters, batch, &mut gradient, &mut workspace)
        )
        .unwrap_or_else(|e| panic!("{e}"));
        (tally, gradient)
    }

    /// The library's product of a curvature matrix of the mean loss of these samples with a vector,
    /// and its tally.
    pub fn product(
        &self,
        curvature: Curvature,
        lanes: usize,
        vector: &[f32],
        indices: &[u32],
    ) -> (Metrics, Vec<f32>) {
        let network = &self.network;
        let mut product = vec![0.0; vector.len()];
        let mut workspace = vec![f32::NAN; network.curvature_workspace_len(lanes)];
        let (parameters, batch) = (&self.parameters, self.batch(indices));
        let (out, workspace) = (&mut product, &mut workspace);
        let tally = with_lanes!(
            lanes,
            network.curvature_product(curvature, parameters, vector, batch, out, workspace)
        )
        .unwrap_or_else(|e| panic!("{e}"));
        (tally, product)
    }

    /// The same by the oracle.
    pub fn expected_product(
        &self,
        curvature: Curvature,
        vector: &[f32],
        indices: &[u32],
    ) -> Vec<f64> {
        let vector: Vec<f64> = vector.iter().map(|v| f64::from(*v)).collect();
        let masks: Vec<_> = indices.iter().map(|i| self.mask(*i)).collect();
        let values = indices.iter().map(|i| self.values(*i));
        let samples: Vec<_> = values
            .zip(masks.iter().map(|mask| mask as Masks<'_>))
            .collect();
        let count = HyperDual::from(indices.len() as f64);
        self.oracle()
            .product(curvature, &vector, &samples, |sample, z| {
                self.loss(indices[sample], z) / count
            })
    }

    /// The library's tally of these samples from a forward pass alone.
    pub fn evaluate(&self, lanes: usize, indices: &[u32]) -> Metrics {
        let network = &self.network;
        let mut workspace = self.workspace(lanes);
        with_lanes!(
            lanes,
            network.evaluate(&self.parameters, self.batch(indices), &mut workspace)
        )
        .unwrap_or_else(|e| panic!("{e}"))
    }

    /// The same network for the oracle.
    pub fn oracle(&self) -> Oracle {
        Oracle {
            input: self.network.input(),
            layers: self.network.layers().to_vec(),
            parameters: self.parameters.iter().map(|w| f64::from(*w)).collect(),
        }
    }

    /// A sample's values for the oracle.
    pub fn values(&self, index: u32) -> Vec<f64> {
        let length = self.network.input().len();
        let (scale, offset) = (
            f64::from(self.normalisation.scale),
            f64::from(self.normalisation.offset),
        );
        self.pixels[index as usize * length..][..length]
            .iter()
            .map(|x| f64::from(*x) * scale + offset)
            .collect()
    }

    /// A sample's dropout factors by layer and place, from the definition: the value is dropped
    /// when its random word, word `place % 4` of Philox at counter (sample, step, layer, place /
    /// 4), is below `probability * 2^32`.
    pub fn mask(&self, index: u32) -> impl Fn(usize, usize) -> f64 + use<> {
        let (dropout, layers) = (self.dropout, self.network.layers().to_vec());
        move |layer, place| {
            let (Some(key), Layer::Dropout(probability)) = (dropout, layers[layer]) else {
                return 1.0;
            };
            let counter = [index, key.step, layer as u32, place as u32 / 4];
            let word = philox4x32(counter, [key.seed as u32, (key.seed >> 32) as u32])[place % 4];
            let dropped = f64::from(word) < f64::from(probability) * 4_294_967_296.0;
            if dropped {
                0.0
            } else {
                1.0 / (1.0 - f64::from(probability))
            }
        }
    }

    /// The oracle's logits of these samples, one after the other, for the oracle as it stands (it
    /// may have been moved).
    pub fn logits(&self, oracle: &Oracle, indices: &[u32]) -> Vec<f64> {
        let logits = |i: &u32| oracle.forward(&self.values(*i), &self.mask(*i) as Masks<'_>);
        indices.iter().flat_map(logits).collect()
    }

    /// The mean loss of these samples, given their logits.
    pub fn mean_loss(&self, logits: &[f64], indices: &[u32]) -> f64 {
        let classes = logits.len() / indices.len();
        let samples = indices.iter().zip(logits.chunks_exact(classes));
        let losses = samples.map(|(i, z)| self.loss(*i, z));
        losses.sum::<f64>() / indices.len() as f64
    }

    /// The loss of a sample, given its logits.
    fn loss<T: Number>(&self, index: u32, z: &[T]) -> T {
        let label = usize::from(self.labels[index as usize]);
        let (mut target, mut factor) = (vec![0.0; z.len()], 1.0);
        if self.vectors.is_empty() {
            target[label] = 1.0;
            factor = self.class_weights.get(label).map_or(1.0, |f| f64::from(*f));
        } else {
            let vector = &self.vectors[index as usize * z.len()..][..z.len()];
            target = vector.iter().map(|t| f64::from(*t)).collect();
        }
        T::from(factor) * oracle::loss(self.network.loss(), z, &target)
    }
}
