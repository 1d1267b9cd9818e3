//! Golden products with curvature matrices, and the source that every target computes them by: as
//! [`golden`](crate::golden), free of files and of `std`. Firmware includes this file.

use crate::golden::{BATCH, IMAGES, PIXELS, SEED, Sum, images, indices, samples};
use core::fmt::{self, Write};

use secant::network::{Convolution, Init, Network, presets};
use secant::{Batch, Curvature, DropoutKey, Random};

/// What the table begins with.
pub const HEADER: &str = "\
# Golden products with curvature matrices, to the bit. They stand in tests/src/golden_products.rs.
# A sum is the SHA-256 of little-endian f32 (-0 counted as 0), a loss the bits of an f64.
# To write anew: SECANT_GOLDEN=write cargo test --release -p secant-tests --test layers curvature
";

/// Floats that the products of a network take: parameters, vector, product and workspace.
pub const fn floats<const N: usize>(network: &Network<N>, lanes: usize) -> usize {
    3 * network.parameter_count() + network.curvature_workspace_len(lanes)
}

/// Floats of [`micro`].
pub const MICRO_FLOATS: usize = floats(&presets::MICRO, 1);

/// The beginning of the table, for microcontrollers: `micro`, one sample at a time.
pub fn micro<W: Write>(memory: &mut [f32], out: &mut W) -> fmt::Result {
    out.write_str(HEADER)?;
    products::<1, 7, W>("micro", &presets::MICRO, Init::He, memory, out)
}

/// Floats of [`all`].
pub const FLOATS: usize = floats(&presets::SEED, 16) + floats(&SEED_WINOGRAD, 16);

const MICRO_WINOGRAD: Network<'_, 7> = presets::MICRO.with_convolution(Convolution::Winograd);
const SEED_WINOGRAD: Network<'_, 19> = presets::SEED.with_convolution(Convolution::Winograd);

/// The whole table.
pub fn all<W: Write>(memory: &mut [f32], out: &mut W) -> fmt::Result {
    let (micro_network, he) = (&presets::MICRO, Init::He);
    micro(memory, out)?;
    products::<4, 7, W>("micro", micro_network, he, memory, out)?;
    products::<16, 7, W>("micro", micro_network, he, memory, out)?;
    products::<16, 7, W>("micro winograd", &MICRO_WINOGRAD, he, memory, out)?;
    products::<16, 11, W>("lenet", &presets::LENET, Init::LeCun, memory, out)?;
    let init = Init::PyTorch;
    products::<1, 19, W>("seed", &presets::SEED, init, memory, out)?;
    products::<16, 19, W>("seed", &presets::SEED, init, memory, out)?;
    products::<16, 19, W>("seed winograd", &SEED_WINOGRAD, init, memory, out)
}

/// Both products of a batch as lines of the table, with a drawn vector.
fn products<const LANES: usize, const N: usize, W: Write>(
    name: &str,
    network: &Network<N>,
    init: Init,
    memory: &mut [f32],
    out: &mut W,
) -> fmt::Result {
    let (mut pixels, mut labels) = ([0; IMAGES * PIXELS], [0; IMAGES]);
    images(&mut pixels, &mut labels);
    let n = network.parameter_count();
    // What no one has written must not matter.
    memory.fill(f32::NAN);
    let (parameters, rest) = memory.split_at_mut(n);
    let (vector, rest) = rest.split_at_mut(n);
    let (product, workspace) = rest.split_at_mut(n);
    network.initialise(init, &mut Random::new(SEED, 0), parameters);
    network.initialise(init, &mut Random::new(SEED, 1), vector);
    let indices = indices(1);
    let batch = Batch::new(samples(&pixels, &labels), &indices)
        .weight(1.0 / BATCH as f32)
        .dropout(Some(DropoutKey {
            seed: SEED,
            step: 1,
        }));
    for curvature in [Curvature::Hessian, Curvature::GaussNewton] {
        product.fill(0.0);
        let tally = network
            .curvature_product::<LANES>(curvature, parameters, vector, batch, product, workspace)
            .expect("lengths, indices and labels fit");
        let loss = tally.mean_loss().to_bits();
        let sum = Sum::of(product);
        writeln!(
            out,
            "{name} lanes={LANES} {curvature:?} loss {loss:016x} product {sum}"
        )?;
    }
    Ok(())
}
