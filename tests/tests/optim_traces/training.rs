//! The stochastic methods, on a small network and drawn images.

use std::fmt::Write;

use secant::network::{
    Init, Network, Shape, conv2d, depthwise_conv2d, group_norm, linear, max_pool2d, relu,
};
use secant::objective::{HessianProduct, Objective};
use secant::optim::{
    Adam, AdamConfig, Decay, FlatLbfgs, FlatLbfgsConfig, Guard, GuardAction, GuardConfig,
    HessianFree, HessianFreeConfig, IterateAverages, LayerLbfgs, LayerLbfgsConfig, SecondMoment,
    Sgd, SgdConfig,
};
use secant::{Batch, Curvature, Normalisation, Random, Samples};

use crate::{Trace, check};

const SMALL: Network<5> = Network::new(
    Shape::new(1, 8, 8),
    [conv2d(3, 3), relu(), max_pool2d(2), linear(7), linear(4)],
);
const STEPS: usize = 45;
/// Samples a batch: no multiple of 16 lanes.
const BATCH: usize = 11;

/// 64 images of 8 x 8.
fn images() -> (Vec<u8>, Vec<u8>) {
    let mut random = Random::new(5, 0);
    let labels: Vec<u8> = (0..64).map(|i| i % 4).collect();
    let pixels = (labels.iter())
        .flat_map(|label| [*label; 64])
        .zip((0..64).cycle())
        .map(|(label, place)| {
            (random.below(128)
                + if place % 4 == u32::from(label) {
                    100
                } else {
                    0
                }) as u8
        })
        .collect();
    (pixels, labels)
}

fn initial<const N: usize>(network: &Network<'_, N>) -> Vec<f32> {
    let mut parameters = vec![f32::NAN; network.parameter_count()];
    network.initialise(Init::He, &mut Random::new(2, 0), &mut parameters);
    parameters
}

/// The losses and gradients of a network's batches.
struct Training<'a, const N: usize> {
    network: &'a Network<'a, N>,
    samples: Samples<'a>,
    indices: Vec<u32>,
    workspace: Vec<f32>,
}

impl<'a, const N: usize> Training<'a, N> {
    fn new(network: &'a Network<'a, N>, images: &'a (Vec<u8>, Vec<u8>)) -> Training<'a, N> {
        Training {
            network,
            samples: Samples::bytes(&images.0, &images.1, Normalisation::UNIT),
            indices: vec![0; BATCH],
            workspace: vec![
                f32::NAN;
                network
                    .curvature_workspace_len(16)
                    .max(LayerLbfgs::<8>::workspace_len(network, 16))
            ],
        }
    }

    /// The batch of a step.
    fn draw(&mut self, step: usize) {
        let mut random = Random::new(7, step as u64);
        self.indices.fill_with(|| random.below(64));
    }

    fn batch(&self) -> Batch<'_> {
        Batch::new(self.samples, &self.indices).weight(1.0 / BATCH as f32)
    }
}

impl<const N: usize> Objective<f32> for Training<'_, N> {
    fn dimension(&self) -> usize {
        self.network.parameter_count()
    }
    fn value_and_gradient(&mut self, x: &[f32], gradient: &mut [f32]) -> f32 {
        let mut workspace = std::mem::take(&mut self.workspace);
        let metrics = self
            .network
            .gradient::<16>(x, self.batch(), gradient, &mut workspace);
        self.workspace = workspace;
        metrics.expect("all lengths fit").mean_loss() as f32
    }
}

impl<const N: usize> HessianProduct<f32> for Training<'_, N> {
    fn hessian_product(&mut self, x: &[f32], v: &[f32], product: &mut [f32]) {
        product.fill(0.0);
        let mut workspace = std::mem::take(&mut self.workspace);
        let batch = self.batch();
        let done = self.network.curvature_product::<16>(
            Curvature::GaussNewton,
            x,
            v,
            batch,
            product,
            &mut workspace,
        );
        self.workspace = workspace;
        done.expect("all lengths fit");
    }
}

#[derive(Default)]
struct Table(String);

impl Table {
    /// Takes down [`STEPS`] steps of a method on a network.
    fn add<const N: usize>(
        &mut self,
        name: &str,
        network: &Network<'_, N>,
        mut step: impl FnMut(usize, &mut Training<'_, N>, &mut [f32], &mut [f32], &mut Trace),
    ) {
        let images = images();
        let (mut training, mut w) = (Training::new(network, &images), initial(network));
        let (mut g, mut trace) = (vec![f32::NAN; w.len()], Trace::default());
        let value = |training: &mut Training<'_, N>, w: &[f32], g: &mut [f32]| {
            training.draw(STEPS);
            training.value_and_gradient(w, g)
        };
        let before = value(&mut training, &w, &mut g);
        for i in 0..STEPS {
            training.draw(i);
            step(i, &mut training, &mut w, &mut g, &mut trace);
            trace.add(&w);
        }
        let after = value(&mut training, &w, &mut g);
        assert!(
            after < before,
            "{name}: the loss goes from {before} to {after}"
        );
        writeln!(
            self.0,
            "{name:<36} {before:.5} {after:.5}  {}",
            trace.short()
        )
        .expect("writing to a string");
    }

    /// The same of an optimiser, and that it goes the same way once it has forgotten the first.
    fn add_twice<O, const N: usize>(
        &mut self,
        name: &str,
        network: &Network<'_, N>,
        optimizer: &mut O,
        forget: impl FnOnce(&mut O),
        mut step: impl FnMut(&mut O, usize, &mut Training<'_, N>, &mut [f32], &mut [f32], &mut Trace),
    ) {
        let mut go = |table: &mut Table, optimizer: &mut O| {
            table.add(name, network, |i, training, w, g, trace| {
                step(optimizer, i, training, w, g, trace);
            });
        };
        let mut again = Table::default();
        go(self, optimizer);
        forget(optimizer);
        go(&mut again, optimizer);
        assert!(self.0.ends_with(&again.0), "{} after {}", again.0, self.0);
    }
}

/// What the schedule says.
fn factor(step: usize) -> f32 {
    1.0 - step as f32 / STEPS as f32
}

/// None, and both kinds.
const DECAYS: [(Decay, f32); 3] = [
    (Decay::Coupled, 0.0),
    (Decay::Coupled, 0.01),
    (Decay::Decoupled, 0.01),
];

#[test]
fn first_order() {
    check("traces_first_order.txt", || {
        let mut table = Table::default();
        for momentum in [0.0, 0.9] {
            for nesterov in [false, true] {
                for (decay, weight_decay) in DECAYS {
                    let config = SgdConfig {
                        learning_rate: 0.03,
                        momentum,
                        nesterov,
                        weight_decay,
                        decay,
                    };
                    let mut memory = vec![f32::NAN; Sgd::memory_len(SMALL.parameter_count())];
                    let mut sgd = Sgd::new(config, SMALL.parameter_count(), &mut memory).unwrap();
                    let name = format!("SGD {momentum} {nesterov} {decay:?} {weight_decay}");
                    table.add_twice(
                        &name,
                        &SMALL,
                        &mut sgd,
                        Sgd::reset,
                        |sgd, i, training, w, g, _| {
                            assert_eq!((sgd.steps() as usize, sgd.config()), (i, &config));
                            training.value_and_gradient(w, g);
                            sgd.step(factor(i), w, g).unwrap();
                        },
                    );
                }
            }
        }
        for nesterov in [false, true] {
            for (decay, weight_decay) in DECAYS {
                let config = AdamConfig {
                    learning_rate: 0.01,
                    nesterov,
                    weight_decay,
                    decay,
                    ..AdamConfig::DEFAULT
                };
                let mut memory = vec![f32::NAN; Adam::memory_len(SMALL.parameter_count())];
                let mut adam = Adam::new(config, SMALL.parameter_count(), &mut memory).unwrap();
                let name = format!("Adam {nesterov} {decay:?} {weight_decay}");
                table.add_twice(
                    &name,
                    &SMALL,
                    &mut adam,
                    Adam::reset,
                    |adam, i, training, w, g, trace| {
                        assert_eq!((adam.steps() as usize, adam.config()), (i, &config));
                        training.value_and_gradient(w, g);
                        adam.step(factor(i), w, g).unwrap();
                        adam.precondition(g).unwrap();
                        trace.add(g);
                    },
                );
            }
        }
        table.0
    });
}

/// A rate that is too high, and the guard that takes it back.
#[test]
fn under_the_guard() {
    check("traces_guard.txt", || {
        let mut table = Table::default();
        for (every, slack, learning_rate) in [(1, 0.0, 0.3), (3, 0.1, 0.3), (4, 1.0, 3.0)] {
            let config = GuardConfig {
                every,
                growth: 1.2,
                slack,
            };
            let n = SMALL.parameter_count();
            let (mut memory, mut saved) = (
                vec![f32::NAN; Adam::memory_len(n)],
                vec![f32::NAN; Guard::memory_len(n)],
            );
            let mut adam = Adam::new(
                AdamConfig {
                    learning_rate,
                    ..AdamConfig::DEFAULT
                },
                n,
                &mut memory,
            )
            .unwrap();
            let mut guard = Guard::new(config, n, &mut saved).unwrap();
            table.add(
                &format!("guarded Adam, rate {learning_rate}, every {every}"),
                &SMALL,
                |i, training, w, g, trace| {
                    let loss = training.value_and_gradient(w, g);
                    trace.add(&[guard.factor()]);
                    if let GuardAction::RolledBack(_) = guard.check(f64::from(loss), w).unwrap() {
                        adam.reset();
                    } else {
                        adam.step(factor(i) * guard.factor(), w, g).unwrap();
                    }
                    if i + 1 == STEPS {
                        let loss = training.value_and_gradient(w, g);
                        let _ = guard.finish(f64::from(loss), w).unwrap();
                    }
                },
            );
            assert!(guard.rollbacks() > 0, "the guard had something to do");
        }
        table.0
    });
}

#[test]
fn flat_lbfgs() {
    check("traces_flat_lbfgs.txt", || {
        let mut table = Table::default();
        let n = SMALL.parameter_count();
        for products in [false, true] {
            for (pair_every, share) in [(1, 0.2), (5, 0.2), (5, 0.9)] {
                let adam = AdamConfig {
                    learning_rate: 0.01,
                    weight_decay: 1e-3,
                    decay: Decay::Decoupled,
                    ..AdamConfig::DEFAULT
                };
                let config = FlatLbfgsConfig {
                    adam,
                    pair_every,
                    share,
                };
                let (mut memory, mut means) = (
                    vec![f32::NAN; FlatLbfgs::<3>::memory_len(n)],
                    vec![f32::NAN; IterateAverages::memory_len(n)],
                );
                let mut flat = FlatLbfgs::<3>::new(config, n, &mut memory).unwrap();
                let mut averages = IterateAverages::new(pair_every, n, &mut means).unwrap();
                let mut other = vec![0.0; n];
                let of = if products { "products" } else { "differences" };
                table.add(
                    &format!("flat L-BFGS, {of} {pair_every} {share}"),
                    &SMALL,
                    |i, training, w, g, trace| {
                        assert_eq!((flat.steps() as usize, flat.config()), (i, &config));
                        training.value_and_gradient(w, g);
                        if products {
                            if averages.add(w).unwrap() {
                                training.hessian_product(
                                    averages.point(),
                                    averages.step(),
                                    &mut other,
                                );
                                let _ = flat.observe_product(averages.step(), &other).unwrap();
                            }
                        } else if flat.wants_anchor_gradient() {
                            training.value_and_gradient(flat.anchor(), &mut other);
                            let _ = flat.observe(w, g, &other).unwrap();
                        }
                        let _ = flat.step(factor(i), w, g).unwrap();
                        flat.precondition(g).unwrap();
                        trace.add(g);
                    },
                );
                let (accepted, damped, _) = flat.verdicts();
                assert!(accepted + damped > 5);
            }
        }
        table.0
    });
}

/// Layers of each kind that pairs are kept for, with positions of which some are left out.
const LAYERS: Network<7> = Network::new(
    Shape::new(1, 8, 8),
    [
        conv2d(6, 3),
        group_norm(2),
        relu(),
        depthwise_conv2d(3),
        conv2d(3, 1),
        max_pool2d(2),
        linear(4),
    ],
);

fn layer_lbfgs<const M: usize, const N: usize>(
    table: &mut Table,
    name: &str,
    network: &Network<'_, N>,
    config: LayerLbfgsConfig,
) {
    let moment = config.second_moment;
    let name = format!("{name}, {M} pairs, {}", moment.name());
    // Refreshed with scratch of one row, and with that of a pass.
    for lanes in [1, 16] {
        let mut memory = vec![f32::NAN; LayerLbfgs::<M>::memory_len(network, moment)];
        let mut lbfgs = LayerLbfgs::<M>::new(config, network, &mut memory).unwrap();
        table.add_twice(
            &format!("{name}, {lanes}"),
            network,
            &mut lbfgs,
            LayerLbfgs::reset,
            |lbfgs, i, training, w, g, trace| {
                assert_eq!((lbfgs.steps() as usize, lbfgs.config()), (i, &config));
                let batch =
                    Batch::new(training.samples, &training.indices).weight(1.0 / BATCH as f32);
                let workspace = &mut training.workspace;
                let metrics = if lanes == 1 {
                    lbfgs.train_step::<1, N>(network, factor(i), w, batch, g, workspace)
                } else {
                    lbfgs.train_step::<16, N>(network, factor(i), w, batch, g, workspace)
                };
                trace.add(&[metrics.unwrap().mean_loss() as f32]);
                lbfgs.precondition(g).unwrap();
                trace.add(g);
            },
        );
        assert_eq!(lbfgs.refreshes().1, 0, "{name}: no input is infinite");
    }
}

#[test]
fn layer_wise_lbfgs() {
    check("traces_layer_lbfgs.txt", || {
        let mut table = Table::default();
        for second_moment in SecondMoment::ALL {
            let config = LayerLbfgsConfig {
                second_moment,
                refresh_first: 3,
                refresh_every: 7,
                ..LayerLbfgsConfig::DEFAULT
            };
            layer_lbfgs::<4, 5>(&mut table, "small", &SMALL, config);
            layer_lbfgs::<8, 7>(&mut table, "layers", &LAYERS, config);
            let config = LayerLbfgsConfig {
                weight_decay: 0.01,
                damping: 0.05,
                keep: 0.5,
                seed: 3,
                ..config
            };
            layer_lbfgs::<1, 5>(&mut table, "coupled", &SMALL, config);
            let config = LayerLbfgsConfig {
                decay: Decay::Decoupled,
                ..config
            };
            layer_lbfgs::<4, 7>(&mut table, "decoupled", &LAYERS, config);
        }
        table.0
    });
}

#[test]
fn hessian_free() {
    check("traces_hessian_free.txt", || {
        let mut table = Table::default();
        let n = SMALL.parameter_count();
        for (name, config) in [
            ("default", HessianFreeConfig::DEFAULT),
            (
                "to the end",
                HessianFreeConfig {
                    progress: 0.0,
                    iterations: 40,
                    ..HessianFreeConfig::DEFAULT
                },
            ),
            (
                "one product",
                HessianFreeConfig {
                    iterations: 1,
                    keep: 0.5,
                    ..HessianFreeConfig::DEFAULT
                },
            ),
        ] {
            let mut memory = vec![f32::NAN; HessianFree::memory_len(n)];
            let mut method = HessianFree::new(config, n, &mut memory).unwrap();
            table.add_twice(
                &format!("Hessian-free, {name}"),
                &SMALL,
                &mut method,
                HessianFree::reset,
                |method, i, training, w, _, trace| {
                    assert_eq!((method.steps() as usize, method.config()), (i, &config));
                    let step = method.step(factor(i), training, w).unwrap();
                    trace.add(&[step.loss, step.ratio, step.damping, step.products as f32]);
                },
            );
        }
        table.0
    });
}
