//! What a program hands to the library.

use std::collections::BTreeMap;
use std::convert::Infallible;

use secant::checkpoint::{self, State, Store};
use secant::network::{
    Layer, Network, Shape, avg_pool2d, conv2d, depthwise_conv2d, dropout, global_avg_pool2d,
    group_norm, leaky_relu, linear, max_pool2d, relu, sigmoid, tanh,
};
use secant::optim::{
    Adam, AdamConfig, FlatLbfgs, FlatLbfgsConfig, Guard, GuardConfig, LayerLbfgs, LayerLbfgsConfig,
    Lbfgs, LbfgsConfig,
};
use secant::{Batch, Normalisation, Random, Samples};

use super::Numbers;

fn layer(numbers: &mut Numbers<'_>) -> Layer {
    let kind = numbers.byte() % 12;
    let mut pair = || [numbers.size(), numbers.size()];
    match kind {
        0 | 1 => {
            let ([k, l], [s, t], [p, q], [outputs, _]) = (pair(), pair(), pair(), pair());
            conv2d(outputs, 1).kernel(k, l).strides(s, t).paddings(p, q)
        }
        2 => {
            let ([k, l], [s, t], [p, q]) = (pair(), pair(), pair());
            depthwise_conv2d(1)
                .kernel(k, l)
                .strides(s, t)
                .paddings(p, q)
        }
        3 => {
            let ([k, l], [s, t]) = (pair(), pair());
            max_pool2d(1).kernel(k, l).strides(s, t)
        }
        4 => {
            let ([k, l], [s, t]) = (pair(), pair());
            avg_pool2d(1).kernel(k, l).strides(s, t)
        }
        5 => linear(numbers.size()),
        6 => group_norm(numbers.size()),
        7 => leaky_relu(numbers.float()),
        8 => dropout(numbers.float()),
        9 => [tanh(), sigmoid()][usize::from(numbers.byte() % 2)],
        10 => global_avg_pool2d(),
        _ => relu(),
    }
}

/// A network of any shapes; a small one makes a step with 1 and with 4 lanes.
pub fn shapes(bytes: &[u8]) -> bool {
    let mut numbers = Numbers(bytes);
    let input = Shape::new(numbers.size(), numbers.size(), numbers.size());
    let count = usize::from(numbers.byte() % 7);
    let layers: Vec<Layer> = (0..count).map(|_| layer(&mut numbers)).collect();
    let network = match Network::<6>::try_from_slice(input, &layers) {
        Ok(network) => network,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return false;
        }
    };
    let (n, lens) = (
        network.parameter_count(),
        [1, 16].map(|lanes| network.workspace_len(lanes)),
    );
    // A sample may be far larger than what strides leave of it.
    let small = n.max(lens[0]).max(lens[1]).max(input.len()) < 1 << 16;
    if !small || network.multiply_accumulates() > 1 << 15 {
        return true;
    }
    let parameters: Vec<f32> = (0..n).map(|_| numbers.float()).collect();
    let pixels: Vec<u8> = (0..2 * input.len()).map(|i| (i * 7 % 251) as u8).collect();
    let samples = Samples::bytes(&pixels, &[0, 0], Normalisation::standard(0.3, 0.3));
    let mut gradient = vec![0.0; n];
    let batch = Batch::new(samples, &[0, 1]);
    let mut workspace = vec![0.0; lens[0]];
    let done = network.accumulate_gradient::<1>(&parameters, batch, &mut gradient, &mut workspace);
    done.expect("lengths that the network has told");
    let mut workspace = vec![0.0; lens[1]];
    let done = network.accumulate_gradient::<16>(&parameters, batch, &mut gradient, &mut workspace);
    done.expect("lengths that the network has told");
    true
}

/// A store of any values: the head first, then pieces.
#[derive(Default)]
struct Map(BTreeMap<u16, Vec<u8>>);

impl Store for Map {
    type Error = Infallible;

    fn write(&mut self, key: u16, value: &[u8]) -> Result<(), Infallible> {
        self.0.insert(key, value.to_vec());
        Ok(())
    }

    fn read(&mut self, key: u16, value: &mut [u8]) -> Result<Option<usize>, Infallible> {
        Ok(self.0.get(&key).map(|found| {
            let length = found.len().min(value.len());
            value[..length].copy_from_slice(&found[..length]);
            found.len()
        }))
    }
}

/// A checkpoint: values with a key and a length each. What is refused changes nothing.
pub fn checkpoint(bytes: &[u8]) -> bool {
    let mut store = Map::default();
    // A whole one first, so that some of its values may stay.
    let floats = [1.0, 2.0, 3.0];
    let _ = checkpoint::save(&mut store, &[1, 2], &[&floats]);
    let mut rest = bytes;
    while let [a, b, length, more @ ..] = rest {
        let length = usize::from(*length).min(more.len());
        let key = u16::from_le_bytes([*a, *b]);
        store.0.insert(key, more[..length].to_vec());
        rest = &more[length..];
    }
    let (mut numbers, mut w) = ([7; 2], [9.0; 3]);
    let loaded = checkpoint::load(&mut store, &mut numbers, &mut [&mut w]);
    if loaded.is_err() {
        assert_eq!((numbers, w), ([7; 2], [9.0; 3]));
    }
    let saved = checkpoint::save(&mut store, &[5, 6], &[&w]);
    if saved.is_ok() {
        let mut numbers = [0; 2];
        let again = checkpoint::load(&mut store, &mut numbers, &mut [&mut w]);
        assert!(matches!(again, Ok(Some(_))) && numbers == [5, 6]);
    }
    loaded.is_ok()
}

const NET: Network<3> = Network::new(Shape::new(1, 4, 4), [conv2d(2, 3), relu(), linear(3)]);
const N: usize = NET.parameter_count();

/// Takes on a state of any numbers, with memory of any floats, and makes steps from there. Where it
/// is refused nothing has changed.
fn restore(optimiser: &mut impl State, numbers: &mut Numbers<'_>) -> bool {
    let (mut before, mut after) = ([0; 64], [0; 64]);
    let _ = optimiser.numbers(&mut before);
    let words: [u64; 64] = std::array::from_fn(|i| match numbers.byte() {
        0..=99 => before[i],
        100..=199 => u64::from(numbers.byte() % 16),
        _ => numbers.word(),
    });
    let restored = optimiser.restore(&words).is_ok();
    if !restored {
        let _ = optimiser.numbers(&mut after);
        assert_eq!(before, after);
    }
    restored
}

/// The state of each optimiser, of the guard and of random numbers; then steps.
pub fn state(bytes: &[u8]) -> bool {
    let mut numbers = Numbers(bytes);
    let kind = numbers.byte() % 6;
    let mut memory = vec![0.0; 40 * N];
    let mut w: [f32; N] = std::array::from_fn(|_| numbers.float());
    let gradient: [f32; N] = std::array::from_fn(|i| (i % 5) as f32 - 2.0);
    let fill = |memory: &mut [f32], numbers: &mut Numbers<'_>| {
        if numbers.byte() > 127 {
            memory.iter_mut().for_each(|x| *x = numbers.float());
        }
    };
    match kind {
        0 => {
            let mut adam = Adam::new(AdamConfig::DEFAULT, N, &mut memory).expect("enough memory");
            let restored = restore(&mut adam, &mut numbers);
            fill(adam.memory_mut(), &mut numbers);
            for _ in 0..3 {
                adam.step(1.0, &mut w, &gradient).expect("lengths");
            }
            restored
        }
        1 => {
            let config = FlatLbfgsConfig::DEFAULT;
            let mut flat = FlatLbfgs::<3>::new(config, N, &mut memory).expect("enough memory");
            let restored = restore(&mut flat, &mut numbers);
            fill(flat.memory_mut(), &mut numbers);
            for _ in 0..25 {
                let _ = flat.step(1.0, &mut w, &gradient).expect("lengths");
            }
            restored
        }
        2 => {
            let config = LayerLbfgsConfig::DEFAULT;
            let mut lbfgs = LayerLbfgs::<3>::new(config, &NET, &mut memory).expect("enough memory");
            let restored = restore(&mut lbfgs, &mut numbers);
            fill(lbfgs.memory_mut(), &mut numbers);
            let (mut gradient, mut workspace) = ([0.0; N], vec![0.0; NET.workspace_len(1)]);
            let pixels = [9; 32];
            let samples = Samples::bytes(&pixels, &[0, 1], Normalisation::standard(0.0, 1.0));
            for _ in 0..3 {
                let batch = Batch::new(samples, &[0, 1]);
                let _ = lbfgs.train_step::<1, 3>(
                    &NET,
                    1.0,
                    &mut w,
                    batch,
                    &mut gradient,
                    &mut workspace,
                );
            }
            restored
        }
        3 => {
            let config = LbfgsConfig::default();
            let mut lbfgs = Lbfgs::<3>::new(config, N, &mut memory).expect("enough memory");
            let restored = restore(&mut lbfgs, &mut numbers);
            let mut bowl = secant::objective::from_fn(N, |x: &[f32], g: &mut [f32]| {
                g.copy_from_slice(x);
                x.iter().map(|x| 0.5 * x * x).sum::<f32>()
            });
            for _ in 0..3 {
                let _ = lbfgs.step(&mut bowl, &mut w).expect("lengths");
            }
            restored
        }
        4 => {
            let mut guard = Guard::new(GuardConfig::DEFAULT, N, &mut memory).expect("memory");
            let restored = restore(&mut guard, &mut numbers);
            fill(guard.memory_mut(), &mut numbers);
            for _ in 0..40 {
                let loss = f64::from(numbers.float());
                let _ = guard.check(loss, &mut w).expect("lengths");
            }
            let _ = guard.finish(1.0, &mut w).expect("lengths");
            restored
        }
        _ => {
            let mut random = Random::new(1, 2);
            let restored = restore(&mut random, &mut numbers);
            for _ in 0..9 {
                let x = random.uniform();
                assert!((0.0..1.0).contains(&x), "{x}");
            }
            restored
        }
    }
}
