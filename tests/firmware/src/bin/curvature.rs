//! One product with the Hessian and nothing else: with the feature `no-panic` it links only if no
//! panic can be reached.
#![no_std]
#![no_main]

use cortex_m_rt::entry;
use secant::network::Init;
use secant::network::presets::MICRO;
use secant::{Batch, Curvature, Random};
use secant_firmware::scenario::{PARAMETERS, SAMPLES};
use static_cell::ConstStaticCell;

static PARAMETER: ConstStaticCell<[f32; PARAMETERS]> = ConstStaticCell::new([0.0; PARAMETERS]);
static VECTOR: ConstStaticCell<[f32; PARAMETERS]> = ConstStaticCell::new([1.0; PARAMETERS]);
static PRODUCT: ConstStaticCell<[f32; PARAMETERS]> = ConstStaticCell::new([0.0; PARAMETERS]);
static WORKSPACE: ConstStaticCell<[f32; MICRO.curvature_workspace_len(1)]> =
    ConstStaticCell::new([0.0; MICRO.curvature_workspace_len(1)]);

/// Floats of all memory that a product needs, by the library's constants.
#[cfg(not(feature = "no-panic"))]
const PLANNED: usize = 3 * PARAMETERS + MICRO.curvature_workspace_len(1);

/// Bytes of RAM, the stack included, that it keeps within.
#[cfg(not(feature = "no-panic"))]
const PROMISED: usize = 4 * PLANNED + 8192;

#[entry]
#[cfg(feature = "no-panic")]
fn main() -> ! {
    secant_firmware::exit(product().is_some())
}

#[entry]
#[cfg(not(feature = "no-panic"))]
fn main() -> ! {
    secant_firmware::stack::report("curvature", PLANNED, PROMISED, product)
}

fn product() -> Option<()> {
    let parameters = PARAMETER.try_take()?;
    let vector = VECTOR.try_take()?;
    let product = PRODUCT.try_take()?;
    let workspace = WORKSPACE.try_take()?;
    MICRO.initialise(Init::He, &mut Random::new(0, 0), parameters);
    let indices = [0, 1, 2, 3];
    let batch = Batch::new(SAMPLES, &indices).weight(0.25);
    for curvature in [Curvature::Hessian, Curvature::GaussNewton] {
        let tally = MICRO
            .curvature_product::<1>(curvature, parameters, vector, batch, product, workspace)
            .ok()?;
        if tally.count != 4 {
            return None;
        }
    }
    Some(())
}
