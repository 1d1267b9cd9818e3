//! Products with curvature matrices: every layer and every loss against the oracle's exact product,
//! symmetry, signs, bits, frozen layers, what does not fit, and the golden table.
//!
//! The oracle's product has no step length, so kinks need no room around them: drawn weights and
//! inputs do not meet one but by chance, and a relu or a pool that decided otherwise than the
//! oracle would show as an error of the size of a term.

use crate::fixture::{CAPACITY, Fixture, LANES};
use crate::networks::fixtures;
use crate::{FORCED, describe};
use secant::arch::Isa;
use secant::network::{
    Layer, Network, Shape, conv2d, dropout, group_norm, linear, max_pool2d, relu, sigmoid, tanh,
};
use secant::{Batch, Curvature, Loss, Metrics, PassError};
use secant_tests::contract_bits;
use secant_tests::draw::Draw;
use secant_tests::golden_products::{self, FLOATS};
use secant_tests::snapshot;
use secant_tests::tolerance;
use std::sync::Mutex;

const BOTH: [Curvature; 2] = [Curvature::Hessian, Curvature::GaussNewton];

/// A vector with entries from -1 to 1.
fn drawn(length: usize, seed: u64) -> Vec<f32> {
    let mut draw = Draw::new(seed);
    (0..length).map(|_| draw.symmetric()).collect()
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    let terms = a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b));
    terms.sum()
}

fn length(a: &[f32]) -> f64 {
    dot(a, a).sqrt()
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|x| contract_bits(*x)).collect()
}

#[test]
fn products_are_those_of_the_oracle() {
    let (mut worst, mut which, mut nonzero, mut relative) = (0.0, String::new(), 0, 0.0);
    for (number, fixture) in fixtures(3).into_iter().enumerate() {
        let indices = fixture.indices();
        let vector = drawn(fixture.parameters.len(), number as u64);
        for curvature in BOTH {
            let expected = fixture.expected_product(curvature, &vector, &indices);
            let size = expected.iter().map(|e| e * e).sum::<f64>().sqrt();
            nonzero += usize::from(size > 0.0);
            let bound = tolerance::PRODUCT * size + tolerance::PRODUCT_ABSOLUTE * length(&vector);
            for lanes in LANES {
                let (tally, found) = fixture.product(curvature, lanes, &vector, &indices);
                let (with_gradient, _) = fixture.gradient(lanes, &indices);
                assert_eq!(tally, with_gradient, "{}", describe(&fixture));
                let errors = found.iter().zip(&expected);
                let squares = errors.map(|(found, e)| (f64::from(*found) - e).powi(2));
                let error = squares.sum::<f64>().sqrt();
                if size > 0.1 * length(&vector) {
                    relative = f64::max(relative, error / size);
                }
                if error / bound > worst || error.is_nan() {
                    worst = error / bound;
                    let of = format!("{error:.1e} of {size:.1e}, {curvature:?}, {lanes} lanes");
                    which = format!("{of}: {}", describe(&fixture));
                }
            }
        }
    }
    println!("largest error: {worst:.2} of what is allowed: {which}");
    println!("relative to a product of at least a tenth of the vector: {relative:.1e}");
    // Not so of a NaN either.
    assert!(worst <= 1.0, "{worst:.2} of what is allowed: {which}");
    assert!(nonzero > 400, "only {nonzero} products say anything");
}

/// Hyper-dual numbers against central differences of the oracle's own gradient, on smooth networks.
#[test]
fn the_oracles_products_are_differences_of_its_gradient() {
    let input = Shape::new(2, 4, 3);
    let layers = [
        conv2d(3, 2),
        tanh(),
        group_norm(1),
        linear(4),
        sigmoid(),
        linear(3),
    ];
    for loss in [
        Loss::SoftmaxCrossEntropy,
        Loss::SmoothedCrossEntropy(0.125),
        Loss::MeanSquaredError,
        Loss::Huber(8.0),
        Loss::BinaryCrossEntropy,
    ] {
        let mut fixture = Fixture::new(input, &layers, 2, 3);
        fixture.network = fixture.network.with_loss(loss);
        let indices = fixture.indices();
        let vector = drawn(fixture.parameters.len(), 4);
        let gradient = |step: f64| {
            let mut moved = fixture.oracle();
            for (w, v) in moved.parameters.iter_mut().zip(&vector) {
                *w += step * f64::from(*v);
            }
            let loss = |oracle: &_| {
                let logits = fixture.logits(oracle, &indices);
                vec![fixture.mean_loss(&logits, &indices)]
            };
            moved.derivatives(loss).concat()
        };
        const STEP: f64 = 1e-4;
        let (above, below) = (gradient(STEP), gradient(-STEP));
        let expected = fixture.expected_product(Curvature::Hessian, &vector, &indices);
        let largest = expected.iter().fold(0.0, |a, e| f64::max(a, e.abs()));
        for ((above, below), expected) in above.iter().zip(below).zip(&expected) {
            let found = (above - below) / (2.0 * STEP);
            let error = (found - expected).abs();
            // Rounding of the gradients, 1e-11, over twice the step.
            assert!(
                error < 1e-6 * largest + 1e-6,
                "{loss:?}: {found}, {expected}"
            );
        }
    }
}

#[test]
fn products_are_symmetric_and_gauss_newton_is_never_negative() {
    let (mut asymmetry, mut negative, mut indefinite) = (0.0, 0.0, 0);
    for (number, fixture) in fixtures(5).into_iter().enumerate() {
        let indices = fixture.indices();
        let count = fixture.parameters.len();
        let (u, v) = (
            drawn(count, 2 * number as u64),
            drawn(count, 2 * number as u64 + 1),
        );
        for (curvature, lanes) in BOTH.into_iter().flat_map(|c| LANES.map(|lanes| (c, lanes))) {
            let (_, cu) = fixture.product(curvature, lanes, &u, &indices);
            let (_, cv) = fixture.product(curvature, lanes, &v, &indices);
            let size = length(&u) * length(&cv) + length(&v) * length(&cu);
            let bound = tolerance::SYMMETRY * size + f64::from(f32::MIN_POSITIVE);
            let error = (dot(&u, &cv) - dot(&v, &cu)).abs();
            asymmetry = f64::max(asymmetry, error / bound);
            let what = format!("{curvature:?}, {lanes} lanes, {}", describe(&fixture));
            assert!(error <= bound, "not symmetric: {error} of {size}: {what}");
            let form = dot(&v, &cv);
            match curvature {
                Curvature::GaussNewton => {
                    negative = f64::max(negative, -form / bound);
                    assert!(form >= -bound, "v' G v = {form}: {what}");
                }
                Curvature::Hessian => indefinite += usize::from(form < -bound),
            }
        }
    }
    println!("asymmetry {asymmetry:.2}, negative {negative:.2} of what is allowed");
    assert!(
        indefinite > 100,
        "only {indefinite} Hessians show a negative sign"
    );
}

#[test]
fn instruction_sets_agree_in_every_bit() {
    let _guard = FORCED.lock();
    for (number, fixture) in fixtures(19).into_iter().enumerate() {
        let indices = fixture.indices();
        let vector = drawn(fixture.parameters.len(), number as u64);
        for (curvature, lanes) in BOTH.into_iter().flat_map(|c| LANES.map(|lanes| (c, lanes))) {
            let mut expected = None;
            for isa in Isa::ALL.into_iter().filter(|isa| isa.is_available()) {
                Isa::force(isa).expect("it is available");
                let (_, product) = fixture.product(curvature, lanes, &vector, &indices);
                let found = bits(&product);
                let expected = expected.get_or_insert_with(|| found.clone());
                let what = describe(&fixture);
                assert!(
                    *expected == found,
                    "{isa:?}, {curvature:?}, {lanes} lanes, {what}"
                );
            }
            Isa::force(Isa::detect()).expect("it was found");
        }
    }
}

/// A product is added; the batch's weight and its order count as for a gradient.
#[test]
fn a_batch_is_the_sum_of_its_blocks() {
    let layers = [conv2d(3, 3), relu(), max_pool2d(2), dropout(0.3), linear(3)];
    let fixture = Fixture::new(Shape::new(2, 8, 7), &layers, 19, 5);
    let network = &fixture.network;
    let (parameters, vector) = (&fixture.parameters, drawn(fixture.parameters.len(), 6));
    let indices = fixture.indices();
    let batch = |indices, weight| Batch::new(fixture.samples(), indices).weight(weight);
    for curvature in BOTH {
        let mut whole = vec![0.5; vector.len()];
        let mut workspace = vec![f32::NAN; network.curvature_workspace_len(4)];
        let metrics = network.curvature_product::<4>(
            curvature,
            parameters,
            &vector,
            batch(&indices, 0.25),
            &mut whole,
            &mut workspace,
        );
        let (mut parts, mut sum) = (vec![0.5; vector.len()], Metrics::NONE);
        for part in indices.chunks(4) {
            workspace.fill(f32::NAN);
            sum += network
                .curvature_product::<4>(
                    curvature,
                    parameters,
                    &vector,
                    batch(part, 0.25),
                    &mut parts,
                    &mut workspace,
                )
                .unwrap();
        }
        assert_eq!(metrics, Ok(sum));
        assert_eq!(bits(&whole), bits(&parts));
        // Twice the weight is twice the product, to the bit.
        let of = |weight: f32, vector: &[f32]| {
            let mut product = vec![0.0; vector.len()];
            let mut workspace = vec![f32::NAN; network.curvature_workspace_len(1)];
            network
                .curvature_product::<1>(
                    curvature,
                    parameters,
                    vector,
                    batch(&indices, weight),
                    &mut product,
                    &mut workspace,
                )
                .unwrap();
            product
        };
        let twice: Vec<f32> = of(0.25, &vector).iter().map(|x| 2.0 * x).collect();
        assert_eq!(bits(&of(0.5, &vector)), bits(&twice));
        // Nothing times nothing.
        assert!(of(0.5, &vec![0.0; vector.len()]).iter().all(|x| *x == 0.0));
    }
}

/// The product over the parameters of the layers that are not frozen: of the whole network's matrix
/// the last rows and columns.
#[test]
fn frozen_layers_take_no_part() {
    let layers = [
        conv2d(3, 3).padding(1),
        relu(),
        max_pool2d(2),
        conv2d(4, 2),
        tanh(),
        linear(5),
        relu(),
        linear(3),
    ];
    let whole = Fixture::new(Shape::new(1, 8, 9), &layers, 6, 8);
    let indices = whole.indices();
    for frozen in [0, 1, 2, 3, 4, 6, 7, 8] {
        let offset = whole.network.parameter_offset(frozen);
        let (weights, parameters) = whole.parameters.split_at(offset);
        let own = drawn(parameters.len(), 9);
        let mut vector = vec![0.0; offset];
        vector.extend(&own);
        let weights: &'static [f32] = weights.to_vec().leak();
        let head = Fixture {
            network: whole.network.try_freeze(frozen, weights).unwrap(),
            parameters: parameters.to_vec(),
            ..whole.clone()
        };
        for (curvature, lanes) in BOTH.into_iter().flat_map(|c| LANES.map(|lanes| (c, lanes))) {
            let (expected_tally, expected) = whole.product(curvature, lanes, &vector, &indices);
            let (tally, found) = head.product(curvature, lanes, &own, &indices);
            assert_eq!(tally, expected_tally);
            let what = format!("{curvature:?}, {lanes} lanes, {frozen} frozen");
            assert_eq!(bits(&found), bits(&expected[offset..]), "{what}");
        }
    }
}

#[test]
fn what_does_not_fit_is_an_error_and_nothing_is_written() {
    let layers = [conv2d(2, 2), relu(), linear(3)];
    let fixture = Fixture::new(Shape::new(1, 3, 3), &layers, 4, 1);
    let network = &fixture.network;
    let expected = fixture.parameters.len();
    fn call<const LANES: usize>(
        network: &Network<'_, CAPACITY>,
        batch: Batch<'_>,
        lengths: [usize; 4],
    ) -> Result<Metrics, PassError> {
        let [parameters, vector, product, workspace] = lengths;
        let mut product = vec![1.0; product];
        let mut workspace = vec![1.0; workspace];
        let result = network.curvature_product::<LANES>(
            Curvature::Hessian,
            &vec![0.5; parameters],
            &vec![0.5; vector],
            batch,
            &mut product,
            &mut workspace,
        );
        if result.is_err() {
            let mut written = product.iter().chain(&workspace);
            assert!(written.all(|x| *x == 1.0), "something was written");
        }
        result
    }
    let run = |lanes: usize, indices: &[u32], lengths: [usize; 3], missing: usize| {
        let [parameters, vector, product] = lengths;
        let workspace = network.curvature_workspace_len(lanes) - missing;
        let lengths = [parameters, vector, product, workspace];
        let batch = Batch::new(fixture.samples(), indices);
        match lanes {
            1 => call::<1>(network, batch, lengths),
            4 => call::<4>(network, batch, lengths),
            _ => call::<16>(network, batch, lengths),
        }
    };
    for lanes in LANES {
        let fitting = [expected; 3];
        assert!(run(lanes, &[0, 3], fitting, 0).is_ok());
        assert_eq!(run(lanes, &[], fitting, 0), Ok(Metrics::NONE));
        let found = expected - 1;
        assert_eq!(
            run(lanes, &[0], [found, expected, expected], 0),
            Err(PassError::Parameters { expected, found })
        );
        for lengths in [[expected, found, expected], [expected, expected, found]] {
            assert_eq!(
                run(lanes, &[0], lengths, 0),
                Err(PassError::Product { expected, found })
            );
        }
        let needed = network.curvature_workspace_len(lanes);
        assert_eq!(
            run(lanes, &[0], fitting, 1),
            Err(PassError::Workspace {
                expected: needed,
                found: needed - 1
            })
        );
        assert_eq!(run(lanes, &[4], fitting, 0), Err(PassError::Index(4)));
    }
}

/// A network without a parameter has an empty product, and its loss all the same.
#[test]
fn nothing_to_train_is_no_error() {
    let layers: [Layer; 2] = [relu(), max_pool2d(2)];
    let fixture = Fixture::new(Shape::new(3, 2, 2), &layers, 5, 2);
    let indices = fixture.indices();
    for (curvature, lanes) in BOTH.into_iter().flat_map(|c| LANES.map(|lanes| (c, lanes))) {
        let (tally, product) = fixture.product(curvature, lanes, &[], &indices);
        assert!(product.is_empty());
        assert_eq!(tally, fixture.evaluate(lanes, &indices));
    }
}

/// Its memory: too much for a thread's stack.
static MEMORY: Mutex<[f32; FLOATS]> = Mutex::new([0.0; FLOATS]);

/// Devices check the beginning of the table (`tests/firmware`).
#[test]
fn the_golden_table_is_what_every_instruction_set_computes() {
    let table = || {
        let mut text = String::new();
        let mut memory = MEMORY.lock().expect("no thread has panicked with it");
        golden_products::all(&mut *memory, &mut text).expect("a String takes all");
        text
    };
    let path = snapshot::folder("golden").join("products.txt");
    if std::env::var_os("SECANT_GOLDEN").is_some_and(|value| value == "write") {
        std::fs::write(&path, table()).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    }
    let golden =
        std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let _guard = FORCED.lock();
    for isa in Isa::ALL.into_iter().filter(|isa| isa.is_available()) {
        Isa::force(isa).expect("it is available");
        let found = table();
        for (golden, found) in golden.lines().zip(found.lines()) {
            assert_eq!(golden, found, "{}: left the table", isa.name());
        }
        assert_eq!(golden, found, "{}: the whole table", isa.name());
    }
    Isa::force(Isa::detect()).expect("it was found");
}
