//! Every block of assembly against its twin in plain Rust, on random values at awkward sizes: the same bits.
#![no_std]
#![no_main]

use core::fmt::Write;

use cortex_m_rt::entry;
use secant::Random;
use secant::arch::single::{self, Windows};
use secant::arch::{Kernel, Simd, dispatch_lanes};
use secant_firmware::{Console, exit};
use static_cell::ConstStaticCell;

/// The longest slice of any test.
const LENGTH: usize = 3_000;

struct Memory {
    a: [f32; LENGTH],
    b: [f32; LENGTH],
    fast: [f32; LENGTH],
    plain: [f32; LENGTH],
}

static MEMORY: ConstStaticCell<Memory> = ConstStaticCell::new(Memory {
    a: [0.0; LENGTH],
    b: [0.0; LENGTH],
    fast: [0.0; LENGTH],
    plain: [0.0; LENGTH],
});

/// Mostly ordinary numbers; some zeros of both signs, subnormal numbers, large ones, and with `special` infinities and NaNs.
fn value(random: &mut Random, special: bool) -> f32 {
    let ordinary = random.normal();
    match random.below(16) {
        0 => 0.0,
        1 => -0.0,
        2 => f32::from_bits(random.next_u32() & 0x807f_ffff),
        3 => ordinary * 1e30,
        4 if special => match random.below(64) {
            0 => f32::NAN,
            1 => -f32::NAN,
            2 => f32::INFINITY,
            3 => f32::NEG_INFINITY,
            _ => ordinary,
        },
        _ => ordinary,
    }
}

fn fill(random: &mut Random, special: bool, values: &mut [f32]) {
    for v in values {
        *v = value(random, special);
    }
}

/// The same bits; a NaN equals a NaN.
fn same(fast: &[f32], plain: &[f32]) -> bool {
    fast.len() == plain.len()
        && fast
            .iter()
            .zip(plain)
            .all(|(a, b)| a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan()))
}

struct Compare<'a>(&'a mut Memory);

impl Kernel for Compare<'_> {
    type Output = bool;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> bool {
        let Memory { a, b, fast, plain } = self.0;
        let mut random = Random::new(13, 0);
        let mut good = true;
        let mut check = |name: &str, ok: bool| {
            let _ = writeln!(
                Console,
                "{name}: {}",
                if ok { "same bits" } else { "DIFFERENT" }
            );
            good &= ok;
        };

        let mut ok = true;
        for _ in 0..20_000 {
            let [x, y, z] = core::array::from_fn(|_| value(&mut random, true));
            let (f, p) = (simd.fma_f32(x, y, z), secant::arch::integer::fma(x, y, z));
            ok &= same(&[f], &[p]);
            let x = x.abs();
            ok &= same(&[simd.sqrt_f32(x)], &[libm::sqrtf(x)]);
        }
        check("fma_f32, sqrt_f32", ok);

        let mut ok = true;
        for count in 0..40 {
            let bytes: [u8; 40] = core::array::from_fn(|_| random.next_u32() as u8);
            let (scale, offset) = (random.normal(), random.normal());
            simd.load_row(&bytes[..count], scale, offset, &mut fast[..count]);
            single::load_row(simd, &bytes[..count], scale, offset, &mut plain[..count]);
            ok &= same(&fast[..count], &plain[..count]);
        }
        check("load_row", ok);

        let mut ok = true;
        for columns in 1..=16 {
            for (inputs, channels, kernel, stride) in [
                (1, 4, 3, 1),
                (3, 4, 3, 1),
                (2, 3, 3, 1),
                (2, 1, 3, 1),
                (2, 4, 3, 2),
                (2, 4, 2, 1),
                (1, 2, 5, 1),
            ] {
                let row = (columns - 1) * stride + kernel + columns % 3;
                let windows = Windows {
                    inputs,
                    kernel,
                    plane: row * (kernel + 1),
                    row,
                };
                let needed = windows.reach().unwrap_or(0) + (columns - 1) * stride;
                let terms = inputs * kernel * kernel * channels;
                fill(&mut random, false, &mut a[..needed]);
                fill(&mut random, false, &mut b[..terms]);
                let mut bias = [0.0; 4];
                fill(&mut random, false, &mut bias);
                let bias = &bias[..channels];
                let y = 4 * columns;
                let (x, w) = (&a[..needed], &b[..terms]);
                let f = simd.conv_row(windows, stride, x, w, bias, columns, &mut fast[..y]);
                let p =
                    single::conv_row(simd, windows, stride, x, w, bias, columns, &mut plain[..y]);
                let valid = channels * columns;
                ok &= f.is_some() && p.is_some() && same(&fast[..valid], &plain[..valid]);
                // One float too short must be refused, not read.
                ok &= simd
                    .conv_row(windows, stride, &x[1..], w, bias, columns, &mut fast[..y])
                    .is_none();
            }
        }
        check("conv_row", ok);

        let mut ok = true;
        for count in 0..30 {
            for (inputs, kernel) in [(1, 3), (4, 3), (2, 2), (1, 5)] {
                let (rows, row) = (9, 11);
                let windows = Windows {
                    inputs,
                    kernel,
                    plane: rows * row,
                    row,
                };
                let terms = inputs * kernel * kernel;
                fill(&mut random, false, &mut a[..inputs * rows * row]);
                fill(&mut random, false, &mut b[..terms]);
                let mut pixels = [0.0; 60];
                for pixel in pixels[..2 * count].chunks_exact_mut(2) {
                    let (r, c) = (random.below(5), random.below(7));
                    pixel[0] = f32::from_bits(r * row as u32 + c);
                    pixel[1] = value(&mut random, false);
                }
                let pixels = &pixels[..2 * count];
                fill(&mut random, false, &mut fast[..terms]);
                plain[..terms].copy_from_slice(&fast[..terms]);
                let x = &a[..inputs * rows * row];
                simd.conv_weight_gradient(windows, pixels, x, &mut fast[..terms]);
                single::conv_weight_gradient(simd, windows, pixels, x, &mut plain[..terms]);
                ok &= same(&fast[..terms], &plain[..terms]);

                let map = inputs * rows * row;
                fill(&mut random, false, &mut fast[..map]);
                plain[..map].copy_from_slice(&fast[..map]);
                simd.conv_input_gradient(windows, pixels, &b[..terms], &mut fast[..map]);
                single::conv_input_gradient(simd, windows, pixels, &b[..terms], &mut plain[..map]);
                ok &= same(&fast[..map], &plain[..map]);
            }
        }
        check("conv_weight_gradient, conv_input_gradient", ok);

        let (mut ok, mut suspects) = (true, 0);
        for count in 1..30 {
            for first in [0, 1, 7, 8, 13] {
                let special = count % 3 == 0;
                fill(&mut random, special, &mut a[..2 * count]);
                fill(&mut random, special, &mut b[..2 * count]);
                let (mut f, mut p) = ([0.0; 6], [0.0; 6]);
                f[first / 8] = f32::from_bits((1 << (first % 8 * 4)) - 1);
                p[first / 8] = f[first / 8];
                let seen = simd.pool_positive(
                    &a[..2 * count],
                    &b[..2 * count],
                    &mut fast[..count],
                    &mut f,
                    first,
                );
                let plainly = single::pool_positive(
                    &a[..2 * count],
                    &b[..2 * count],
                    &mut plain[..count],
                    &mut p,
                    first,
                );
                // The twin refuses every NaN, the assembly negative ones and negative infinity.
                if seen && plainly {
                    ok &= same(&fast[..count], &plain[..count]);
                    ok &= f.map(f32::to_bits) == p.map(f32::to_bits);
                } else {
                    suspects += 1;
                    ok &= special;
                }
                let negative_nan = |v: &f32| v.is_nan() && v.is_sign_negative();
                if a[..2 * count]
                    .iter()
                    .chain(&b[..2 * count])
                    .any(negative_nan)
                {
                    ok &= !seen;
                }
            }
        }
        check("pool_positive", ok && suspects > 0);

        let mut ok = true;
        for inputs in 0..40 {
            for outputs in 1..6 {
                fill(&mut random, false, &mut a[..inputs * outputs]);
                fill(&mut random, false, &mut b[..inputs + outputs]);
                let (x, bias) = b[..inputs + outputs].split_at(inputs);
                simd.linear_rows(&a[..inputs * outputs], bias, x, &mut fast[..outputs]);
                single::linear_rows(simd, &a[..inputs * outputs], bias, x, &mut plain[..outputs]);
                ok &= same(&fast[..outputs], &plain[..outputs]);
            }
            fill(&mut random, false, &mut fast[..inputs]);
            plain[..inputs].copy_from_slice(&fast[..inputs]);
            let scale = random.normal();
            simd.add_scaled(scale, &b[..inputs], &mut fast[..inputs]);
            single::add_scaled(simd, scale, &b[..inputs], &mut plain[..inputs]);
            ok &= same(&fast[..inputs], &plain[..inputs]);
        }
        check("linear_rows, add_scaled", ok);
        good
    }
}

#[entry]
fn main() -> ! {
    exit(dispatch_lanes::<1, _>(Compare(MEMORY.take())))
}
