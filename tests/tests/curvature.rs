//! Products with curvature matrices: every layer and every loss against the oracle's exact product,
//! symmetry, signs, bits, frozen layers, what does not fit, and the golden table.
//!
//! The oracle's product has no step length, so kinks need no room around them: drawn weights and
//! inputs do not meet one but by chance, and a relu or a pool that decided otherwise than the oracle
//! would show as an error of the size of a term.

#[macro_use]
#[path = "layers/fixture.rs"]
mod fixture;
#[path = "layers/networks.rs"]
mod networks;

use fixture::{Fixture, LANES};
use networks::fixtures;
use secant::arch::Isa;
use secant::network::{
    Layer, Network, Shape, conv2d, dropout, group_norm, linear, max_pool2d, relu, sigmoid, tanh,
};
use secant::{Batch, Curvature, Loss, Metrics, PassError};
use secant_tests::contract_bits;
use secant_tests::draw::Draw;
use secant_tests::tolerance;

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

/// A network in one line, for messages.
fn describe(fixture: &Fixture) -> String {
    let (network, dropout) = (&fixture.network, fixture.dropout);
    let (input, layers, loss) = (network.input(), network.layers(), network.loss());
    format!("{input:?} {layers:?} {loss:?} dropout {dropout:?}")
}

#[test]
fn products_are_those_of_the_oracle() {
    let (mut worst, mut nonzero) = (0.0, 0);
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
                assert_eq!(tally, fixture.evaluate(lanes, &indices));
                let errors = found.iter().zip(&expected);
                let squares =
                    errors.map(|(found, expected)| (f64::from(*found) - expected).powi(2));
                let error = squares.sum::<f64>().sqrt();
                if std::env::var_os("SHOW").is_some() && error > 0.3 * bound {
                    println!(
                        "{:.2} {:.2e} {:.2e} {lanes} {curvature:?} {}",
                        error / bound,
                        error / size,
                        size,
                        describe(&fixture)
                    );
                }
                worst = f64::max(worst, error / bound);
                assert!(
                    error <= bound || std::env::var_os("SHOW").is_some(),
                    "{}: {curvature:?}, {lanes} lanes: {found:?}, expected {expected:?}",
                    describe(&fixture)
                );
            }
        }
    }
    println!("largest error of a product: {worst:.2} of what is allowed; {nonzero} are not zero");
    assert!(nonzero > 400, "only {nonzero} products say anything");
}
