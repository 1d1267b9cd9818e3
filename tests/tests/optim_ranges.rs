//! Settings have ranges: what lies outside is refused by the setting's name, and the ends that
//! belong to a range are taken.

use secant::ConfigError;
use secant::least_squares::{LevenbergMarquardt, LevenbergMarquardtConfig, Robust};
use secant::line_search::{Backtracking, HagerZhang, LineSearch, MoreThuente};
use secant::network::{Network, Shape, linear};
use secant::optim::{
    Adam, AdamConfig, Curvature, FirstStep, FlatLbfgs, FlatLbfgsConfig, GradientDescent,
    GradientDescentConfig, Guard, GuardConfig, HessianFree, HessianFreeConfig, IterateAverages,
    LayerLbfgs, LayerLbfgsConfig, Lbfgs, LbfgsConfig, NewtonCg, NewtonCgConfig, Safeguard, Sgd,
    SgdConfig, StepRule,
};
use secant::spectrum::Lanczos;

const NEGATIVE: &[f32] = &[-1e-30, f32::NEG_INFINITY, f32::INFINITY, f32::NAN];
const NOT_POSITIVE: &[f32] = &[0.0, -1.0, f32::INFINITY, f32::NAN];
/// Outside of [0, 1).
const NO_SHARE: &[f32] = &[-1e-30, 1.0, f32::INFINITY, f32::NAN];
/// Outside of (0, 1).
const NO_PART: &[f32] = &[0.0, 1.0, -0.5, f32::NAN];

/// A setting's name; values that are refused; values that are taken.
type Range<'a> = (&'a str, &'a [f32], &'a [f32]);

/// `make` says how the settings with such a value are received.
fn holds((field, wrong, right): Range<'_>, make: impl Fn(f32) -> Option<ConfigError>) {
    for x in wrong {
        match make(*x) {
            Some(ConfigError::OutOfRange { field: found, .. }) => assert_eq!(found, field, "{x}"),
            other => panic!("{field} = {x}: {other:?}"),
        }
    }
    for x in right {
        assert_eq!(make(*x), None, "{field} = {x}");
    }
}

/// The ranges that Adam's settings have wherever they stand. `make` is given a change of them.
fn adam_holds(make: impl Fn(&dyn Fn(&mut AdamConfig)) -> Option<ConfigError>) {
    holds(("learning_rate", NEGATIVE, &[1e-12, 1e12]), |x| {
        make(&|config| config.learning_rate = x)
    });
    holds(("beta1", NO_SHARE, &[0.0, 0.999_999]), |x| {
        make(&|config| config.beta1 = x)
    });
    holds(("beta2", NO_SHARE, &[0.0, 0.999_999]), |x| {
        make(&|config| config.beta2 = x)
    });
    holds(("epsilon", NOT_POSITIVE, &[1e-30, 1.0]), |x| {
        make(&|config| config.epsilon = x)
    });
    holds(("weight_decay", NEGATIVE, &[0.0, 2.0]), |x| {
        make(&|config| config.weight_decay = x)
    });
}

#[test]
fn of_adam_and_gradient_descent_with_momentum() {
    adam_holds(|change| {
        let mut config = AdamConfig::DEFAULT;
        change(&mut config);
        Adam::new(config, 1, &mut [0.0; 2]).err()
    });
    let sgd = |config| Sgd::new(config, 1, &mut [0.0; 1]).err();
    const SGD: SgdConfig = SgdConfig::DEFAULT;
    holds(("learning_rate", NEGATIVE, &[0.0]), |learning_rate| {
        let config = SgdConfig {
            learning_rate,
            ..SGD
        };
        sgd(config)
    });
    holds(("momentum", NO_SHARE, &[0.0, 0.99]), |momentum| {
        sgd(SgdConfig { momentum, ..SGD })
    });
    holds(("weight_decay", NEGATIVE, &[0.0]), |weight_decay| {
        let config = SgdConfig {
            weight_decay,
            ..SGD
        };
        sgd(config)
    });
}

#[test]
fn of_the_stochastic_quasi_newton_methods() {
    const NET: Network<1> = Network::new(Shape::vector(2), [linear(1)]);
    let layer = |change: &dyn Fn(&mut LayerLbfgsConfig)| {
        let mut config = LayerLbfgsConfig::DEFAULT;
        change(&mut config);
        LayerLbfgs::<1>::new(config, &NET, &mut [0.0; 200]).err()
    };
    adam_holds(|change| {
        let mut adam = AdamConfig::DEFAULT;
        change(&mut adam);
        layer(&|config| {
            config.learning_rate = adam.learning_rate;
            (config.beta1, config.beta2) = (adam.beta1, adam.beta2);
            (config.epsilon, config.weight_decay) = (adam.epsilon, adam.weight_decay);
        })
    });
    holds(("damping", NOT_POSITIVE, &[1e-30, 10.0]), |x| {
        layer(&|config| config.damping = x)
    });
    holds(("keep", NO_SHARE, &[0.0, 0.99]), |x| {
        layer(&|config| config.keep = x)
    });
    holds(("refresh_every", &[0.0], &[1.0]), |x| {
        layer(&|config| config.refresh_every = x as u32)
    });

    let flat = |change: &dyn Fn(&mut FlatLbfgsConfig)| {
        let mut config = FlatLbfgsConfig::DEFAULT;
        change(&mut config);
        FlatLbfgs::<1>::new(config, 1, &mut [0.0; 7]).err()
    };
    adam_holds(|change| flat(&|config| change(&mut config.adam)));
    holds(("adam.learning_rate", &[0.0], &[1e-12]), |x| {
        flat(&|config| config.adam.learning_rate = x)
    });
    holds(("pair_every", &[0.0], &[1.0]), |x| {
        flat(&|config| config.pair_every = x as u32)
    });
    holds(("share", NO_PART, &[0.5]), |x| {
        flat(&|config| config.share = x)
    });
    holds(("every", &[0.0], &[1.0]), |x| {
        IterateAverages::new(x as u32, 1, &mut [0.0; 3]).err()
    });
}

#[test]
fn of_newton_methods() {
    let free = |change: &dyn Fn(&mut HessianFreeConfig)| {
        let mut config = HessianFreeConfig::DEFAULT;
        change(&mut config);
        HessianFree::new(config, 1, &mut [0.0; 20]).err()
    };
    let wrong: &[f32] = &[0.0, 1.001, f32::NAN];
    holds(("learning_rate", wrong, &[1e-3, 1.0]), |x| {
        free(&|config| config.learning_rate = x)
    });
    let wrong: &[f32] = &[0.0, 1e11, f32::NAN];
    holds(("damping", wrong, &[1e-9, 1e9]), |x| {
        free(&|config| config.damping = x)
    });
    holds(("iterations", &[0.0], &[1.0]), |x| {
        free(&|config| config.iterations = x as u32)
    });
    holds(("progress", NO_SHARE, &[0.0]), |x| {
        free(&|config| config.progress = x)
    });
    let wrong: &[f32] = &[-1e-30, 1.001, f32::NAN];
    holds(("keep", wrong, &[0.0, 1.0]), |x| {
        free(&|config| config.keep = x)
    });

    let newton = |change: &dyn Fn(&mut NewtonCgConfig<f32>)| {
        let mut config = NewtonCgConfig::default();
        change(&mut config);
        NewtonCg::new(config, 1, &mut [0.0; 20]).err()
    };
    holds(("max_products", &[0.0], &[1.0]), |x| {
        newton(&|config| config.max_products = x as u32)
    });
    holds(("radius", NOT_POSITIVE, &[1e-30, 1e30]), |radius| {
        newton(&|config| config.safeguard = Safeguard::TrustRegion { radius })
    });
    holds(("dimension", &[0.0], &[1.0]), |x| {
        Lanczos::<f32>::new(x as usize, 1, &mut [0.0; 100]).err()
    });
    holds(("steps", &[0.0], &[1.0]), |x| {
        Lanczos::<f32>::new(1, x as usize, &mut [0.0; 100]).err()
    });
}

#[test]
fn of_line_searches_and_pairs() {
    let lbfgs = |change: &dyn Fn(&mut LbfgsConfig<f32>)| {
        let mut config = LbfgsConfig::default();
        change(&mut config);
        Lbfgs::<1>::new(config, 1, &mut [0.0; 50]).err()
    };
    let search = |search: LineSearch<f32>| lbfgs(&|config| config.line_search = search);
    let wrong: &[f32] = &[0.0, 0.501, -1.0, f32::NAN];
    holds(("c1", wrong, &[1e-30, 0.5]), |c1| {
        let own = Backtracking::default();
        search(LineSearch::Backtracking(Backtracking { c1, ..own }))
    });
    let more_thuente = |c1, c2, max_evaluations| {
        search(LineSearch::MoreThuente(MoreThuente {
            c1,
            c2,
            max_evaluations,
            ..MoreThuente::default()
        }))
    };
    holds(("c1", wrong, &[1e-30, 0.5]), |c1| more_thuente(c1, 0.9, 20));
    holds(("c2", &[1e-3, 1e-4, 1.0, f32::NAN], &[1.1e-3]), |c2| {
        more_thuente(1e-3, c2, 20)
    });
    holds(("max_evaluations", &[0.0], &[1.0]), |x| {
        more_thuente(1e-3, 0.9, x as u32)
    });
    let hager_zhang = |delta, sigma, epsilon| {
        search(LineSearch::HagerZhang(HagerZhang {
            delta,
            sigma,
            epsilon,
            ..HagerZhang::default()
        }))
    };
    let wrong: &[f32] = &[0.0, 0.5, -1.0, f32::NAN];
    holds(("delta", wrong, &[1e-30, 0.499]), |delta| {
        hager_zhang(delta, 0.9, 0.0)
    });
    holds(("sigma", &[0.099, 1.0, f32::NAN], &[0.1, 0.99]), |sigma| {
        hager_zhang(0.1, sigma, 0.0)
    });
    holds(("epsilon", &[-1e-30, f32::NAN], &[0.0, 1.0]), |epsilon| {
        hager_zhang(0.1, 0.9, epsilon)
    });
    holds(("epsilon", NO_SHARE, &[0.0, 0.5]), |epsilon| {
        lbfgs(&|config| config.curvature = Curvature::Skip { epsilon })
    });
    holds(("epsilon", NEGATIVE, &[0.0, 10.0]), |epsilon| {
        lbfgs(&|config| config.curvature = Curvature::Cautious { epsilon })
    });
    holds(("share", NO_PART, &[0.5]), |share| {
        lbfgs(&|config| config.curvature = Curvature::Damp { share })
    });
    holds(("first_step", NOT_POSITIVE, &[1e-30, 1e30]), |x| {
        lbfgs(&|config| config.first_step = FirstStep::Length(x))
    });
    let descent = |rate, momentum| {
        let config = GradientDescentConfig {
            step: StepRule::Fixed { rate, momentum },
            ..GradientDescentConfig::default()
        };
        GradientDescent::<f32>::new(config, 1, &mut [0.0; 20]).err()
    };
    holds(("rate", NOT_POSITIVE, &[1e-30]), |x| descent(x, 0.0));
    holds(("momentum", NO_SHARE, &[0.0, 0.9]), |x| descent(1.0, x));
}

#[test]
fn of_the_guard_and_of_least_squares() {
    let guard = |change: &dyn Fn(&mut GuardConfig)| {
        let mut config = GuardConfig::default();
        change(&mut config);
        Guard::new(config, 1, &mut [0.0; 2]).err()
    };
    holds(("every", &[0.0], &[1.0]), |x| {
        guard(&|config| config.every = x as u32)
    });
    let wrong: &[f32] = &[0.999, f32::INFINITY, f32::NAN];
    holds(("growth", wrong, &[1.0, 100.0]), |x| {
        guard(&|config| config.growth = x.into())
    });
    holds(("slack", NEGATIVE, &[0.0, 1.0]), |x| {
        guard(&|config| config.slack = x.into())
    });

    let marquardt = |change: &dyn Fn(&mut LevenbergMarquardtConfig<f32>)| {
        let mut config = LevenbergMarquardtConfig::default();
        change(&mut config);
        LevenbergMarquardt::new(config, 1, 1, &mut [0.0; 50]).err()
    };
    holds(("gradient_tolerance", NO_SHARE, &[0.0, 0.5]), |x| {
        marquardt(&|config| config.gradient_tolerance = x)
    });
    holds(("offset_tolerance", NO_SHARE, &[0.0, 0.5]), |x| {
        marquardt(&|config| config.offset_tolerance = x)
    });
    holds(("step_tolerance", NO_SHARE, &[0.0, 0.5]), |x| {
        marquardt(&|config| config.step_tolerance = x)
    });
    holds(("radius", NOT_POSITIVE, &[1e-30, 1e30]), |x| {
        marquardt(&|config| config.radius = x)
    });
    holds(("scale", NOT_POSITIVE, &[1e-30, 1e30]), |scale| {
        marquardt(&|config| config.robust = Robust::Huber { scale })
    });
    holds(("scale", NOT_POSITIVE, &[1e-30, 1e30]), |scale| {
        marquardt(&|config| config.robust = Robust::Cauchy { scale })
    });
}
