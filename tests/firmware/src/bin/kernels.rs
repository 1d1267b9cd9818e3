//! Every block of assembly against its twin in plain Rust, on random values at awkward sizes: the
//! same bits.
#![no_std]
#![no_main]

use core::fmt::Write;

use cortex_m_rt::entry;
use secant::Random;
use secant::arch::single::{Rows, Windows, Winners};
use secant::arch::{Kernel, Simd, dispatch_lanes};
use secant::single_kernels as single;
use secant_firmware::{Console, exit};
use static_cell::ConstStaticCell;

/// What a hook answers when it has done the work, and when a slice is too short.
const DONE: Option<bool> = Some(true);
const SHORT: Option<bool> = Some(false);

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

/// Mostly ordinary numbers; some zeros of both signs, subnormal numbers, large ones, and with
/// `special` infinities and NaNs.
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

/// What lies behind, and in front of, each target.
const CANARY: f32 = -1.234_567e-8;
/// Floats of it on each side.
const GUARD: usize = 8;

/// Two equal targets of `length` random floats, each with canaries around.
fn targets<'a>(
    random: &mut Random,
    fast: &'a mut [f32],
    plain: &'a mut [f32],
    length: usize,
) -> (&'a mut [f32], &'a mut [f32]) {
    let (fast, plain) = (
        &mut fast[..length + 2 * GUARD],
        &mut plain[..length + 2 * GUARD],
    );
    fill(random, false, fast);
    fast[..GUARD].fill(CANARY);
    fast[GUARD + length..].fill(CANARY);
    plain.copy_from_slice(fast);
    (fast, plain)
}

/// Without the canaries.
fn inner(target: &mut [f32]) -> &mut [f32] {
    let end = target.len() - GUARD;
    &mut target[GUARD..end]
}

/// The same bits; a NaN equals a NaN.
fn same(fast: &[f32], plain: &[f32]) -> bool {
    fast.len() == plain.len()
        && fast
            .iter()
            .zip(plain)
            .all(|(a, b)| a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan()))
}

/// Kernels of 1 to 7 rows and columns.
fn kernels() -> impl Iterator<Item = (usize, usize)> {
    (1..=7).flat_map(|rows| (1..=7).map(move |columns| (rows, columns)))
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
            ok &= simd.load_row(&bytes[..count], scale, offset, &mut fast[..count]) == DONE;
            for (x, byte) in plain[..count].iter_mut().zip(&bytes) {
                *x = simd.fma_f32(f32::from(*byte), scale, offset);
            }
            ok &= same(&fast[..count], &plain[..count]);
        }
        check("load_row", ok);

        let mut ok = true;
        for (rows, columns) in kernels() {
            for stride in 1..=3 {
                for outputs in 1..=17 {
                    let inputs = 1 + random.below(5) as usize;
                    let channels = 1 + random.below(4) as usize;
                    let count = 1 + random.below(3) as usize;
                    // Some rows lie side by side without anything between them.
                    let row = (outputs - 1) * stride + columns + outputs % 3;
                    let windows = Windows {
                        inputs,
                        rows,
                        columns,
                        plane: row * (rows + outputs % 2),
                        row,
                    };
                    let place = Rows {
                        count,
                        columns: outputs,
                        step: row * (1 + random.below(2) as usize),
                        pitch: outputs + outputs % 3 * random.below(3) as usize,
                    };
                    let needed = windows.reach().unwrap_or(0)
                        + (count - 1) * place.step
                        + (outputs - 1) * stride;
                    let terms = inputs * rows * columns * channels;
                    let plane = count * place.pitch + random.below(3) as usize;
                    let length = (channels - 1) * plane + (count - 1) * place.pitch + outputs;
                    let mut bias = [0.0; 4];
                    fill(&mut random, false, &mut bias);
                    fill(&mut random, false, &mut a[..needed]);
                    fill(&mut random, false, &mut b[..terms]);
                    let (x, w, bias) = (&a[..needed], &b[..terms], &bias[..channels]);
                    let (f, p) = targets(&mut random, fast, plain, length);
                    let y = inner(f);
                    ok &= simd.conv_rows(windows, stride, place, x, w, bias, plane, y) == DONE;
                    let y = inner(p);
                    ok &= single::conv_rows(simd, windows, stride, place, x, w, bias, plane, y)
                        .is_some();
                    // What lies between the rows stays, too.
                    ok &= same(f, p);
                    // One float too short must be refused, not read or written.
                    let y = inner(f);
                    let (short, few) = (&x[1..], &w[1..]);
                    ok &= simd.conv_rows(windows, stride, place, short, w, bias, plane, y) == SHORT;
                    ok &= simd.conv_rows(windows, stride, place, x, few, bias, plane, y) == SHORT;
                    let y = &mut y[1..];
                    ok &= simd.conv_rows(windows, stride, place, x, w, bias, plane, y) == SHORT;
                    ok &= same(f, p);
                }
            }
        }
        check("conv_rows", ok);

        let mut ok = true;
        for (rows, columns) in kernels() {
            for stride in 1..=3 {
                for outputs in 1..=13 {
                    let count = 1 + random.below(4) as usize;
                    let row = (outputs - 1) * stride + columns + outputs % 3;
                    let windows = Windows {
                        inputs: 1,
                        rows,
                        columns,
                        plane: 0,
                        row,
                    };
                    let place = Rows {
                        count,
                        columns: outputs,
                        step: row * (1 + random.below(2) as usize),
                        pitch: outputs + random.below(3) as usize,
                    };
                    let map = windows.reach().unwrap_or(0)
                        + (outputs - 1) * stride
                        + (count - 1) * place.step;
                    let (terms, length) = (rows * columns, (count - 1) * place.pitch + outputs);
                    let bias = value(&mut random, false);
                    fill(&mut random, false, &mut a[..map]);
                    fill(&mut random, false, &mut b[..terms + length]);
                    let (x, (w, dy)) = (&a[..map], b[..terms + length].split_at(terms));

                    let (f, p) = targets(&mut random, fast, plain, length);
                    ok &= simd.depthwise(windows, stride, place, x, w, bias, inner(f)) == DONE;
                    ok &= single::depthwise(simd, windows, stride, place, x, w, bias, inner(p))
                        .is_some();
                    ok &= same(f, p);
                    let y = inner(f);
                    ok &= simd.depthwise(windows, stride, place, &x[1..], w, bias, y) == SHORT;
                    ok &= simd.depthwise(windows, stride, place, x, &w[1..], bias, y) == SHORT;
                    ok &= simd.depthwise(windows, stride, place, x, w, bias, &mut y[1..]) == SHORT;

                    let (f, p) = targets(&mut random, fast, plain, terms);
                    ok &= simd.depthwise_weight_gradient(windows, stride, place, x, dy, inner(f))
                        == DONE;
                    let done = single::depthwise_weight_gradient(
                        simd,
                        windows,
                        stride,
                        place,
                        x,
                        dy,
                        inner(p),
                    );
                    ok &= done.is_some() && same(f, p);
                    let dw = inner(f);
                    ok &= simd.depthwise_weight_gradient(windows, stride, place, &x[1..], dy, dw)
                        == SHORT;
                    ok &= simd.depthwise_weight_gradient(windows, stride, place, x, &dy[1..], dw)
                        == SHORT;
                    let dw = &mut dw[1..];
                    ok &=
                        simd.depthwise_weight_gradient(windows, stride, place, x, dy, dw) == SHORT;

                    let (f, p) = targets(&mut random, fast, plain, map);
                    ok &= simd.depthwise_input_gradient(windows, stride, place, w, dy, inner(f))
                        == DONE;
                    let done = single::depthwise_input_gradient(
                        simd,
                        windows,
                        stride,
                        place,
                        w,
                        dy,
                        inner(p),
                    );
                    ok &= done.is_some() && same(f, p);
                    let dx = inner(f);
                    ok &= simd.depthwise_input_gradient(windows, stride, place, &w[1..], dy, dx)
                        == SHORT;
                    ok &= simd.depthwise_input_gradient(windows, stride, place, w, &dy[1..], dx)
                        == SHORT;
                    let dx = &mut dx[1..];
                    ok &= simd.depthwise_input_gradient(windows, stride, place, w, dy, dx) == SHORT;
                }
            }
        }
        check("depthwise, both gradients", ok);

        let mut ok = true;
        for (rows, columns) in kernels() {
            for count in 0..30 {
                let inputs = 1 + random.below(10) as usize;
                let (tall, row) = (8, 9);
                let windows = Windows {
                    inputs,
                    rows,
                    columns,
                    plane: tall * row,
                    row,
                };
                let terms = inputs * rows * columns;
                // The last pixel's window may end where the map ends.
                let (below, right) = ((tall - rows + 1) as u32, (row - columns + 1) as u32);
                let mut pixels = [0.0; 60];
                for pixel in pixels[..2 * count].chunks_exact_mut(2) {
                    let (r, c) = (random.below(below), random.below(right));
                    pixel[0] = f32::from_bits(r * row as u32 + c);
                    pixel[1] = value(&mut random, false);
                }
                let pixels = &pixels[..2 * count];
                let last = pixels
                    .as_chunks::<2>()
                    .0
                    .iter()
                    .map(|pixel| pixel[0].to_bits())
                    .max();
                let map = windows.reach().unwrap_or(0) + last.unwrap_or(0) as usize;
                fill(&mut random, false, &mut a[..map]);
                fill(&mut random, false, &mut b[..terms]);
                let (x, w) = (&a[..map], &b[..terms]);

                let (f, p) = targets(&mut random, fast, plain, terms);
                // A list without pixels is none of the assembly's.
                ok &= (simd.conv_weight_gradient(windows, pixels, x, inner(f)) == DONE)
                    == (count > 0);
                let done = single::conv_weight_gradient(simd, windows, pixels, x, inner(p));
                ok &= done.is_some() && same(f, p);
                let dw = inner(f);
                ok &= simd.conv_weight_gradient(windows, pixels, &x[1..], dw) == SHORT;
                ok &= simd.conv_weight_gradient(windows, pixels, x, &mut dw[1..]) == SHORT;

                let (f, p) = targets(&mut random, fast, plain, map);
                ok &=
                    (simd.conv_input_gradient(windows, pixels, w, inner(f)) == DONE) == (count > 0);
                let done = single::conv_input_gradient(simd, windows, pixels, w, inner(p));
                ok &= done.is_some() && same(f, p);
                let dx = inner(f);
                ok &= simd.conv_input_gradient(windows, pixels, &w[1..], dx) == SHORT;
                ok &= simd.conv_input_gradient(windows, pixels, w, &mut dx[1..]) == SHORT;
            }
        }
        check("conv_weight_gradient, conv_input_gradient", ok);

        let mut ok = true;
        for columns in 1..=17 {
            for inputs in 1..=9 {
                let outputs = 1 + random.below(9) as usize;
                let count = 1 + random.below(3) as usize;
                // Some rows lie side by side without anything between them.
                let row = columns + columns % 3;
                let windows = Windows {
                    inputs,
                    rows: 1,
                    columns: 1,
                    plane: count * row + random.below(2) as usize,
                    row,
                };
                let place = Rows {
                    count,
                    columns,
                    step: row,
                    pitch: columns + columns % 3 * random.below(3) as usize,
                };
                let plane = count * place.pitch + random.below(2) as usize;
                let rest = (count - 1) * row + columns;
                let map = (inputs - 1) * windows.plane + rest;
                let length = (outputs - 1) * plane + (count - 1) * place.pitch + columns;
                fill(&mut random, false, &mut a[..map + inputs * outputs]);
                fill(&mut random, false, &mut b[..length]);
                let (x, w) = a[..map + inputs * outputs].split_at(map);
                let dy = &b[..length];
                // The list of a channel's pixels, all of them.
                let mut list = [0.0; 2 * 3 * 17];
                let pixels = |list: &mut [f32], o: usize| {
                    for r in 0..count {
                        for c in 0..columns {
                            let pixel = &mut list[2 * (r * columns + c)..][..2];
                            pixel[0] = f32::from_bits((r * row + c) as u32);
                            pixel[1] = dy[o * plane + r * place.pitch + c];
                        }
                    }
                };
                let pairs = 2 * count * columns;

                let (f, p) = targets(&mut random, fast, plain, inputs * outputs);
                for o in 0..outputs {
                    pixels(&mut list, o);
                    let dw = &mut inner(p)[o * inputs..][..inputs];
                    ok &= single::conv_weight_gradient(simd, windows, &list[..pairs], x, dw)
                        .is_some();
                }
                let dw = inner(f);
                let short = &dy[1..];
                ok &=
                    simd.pointwise_weight_gradient(windows, place, plane, &x[1..], dy, dw) == SHORT;
                ok &= simd.pointwise_weight_gradient(windows, place, plane, x, short, dw) == SHORT;
                ok &= simd.pointwise_weight_gradient(windows, place, plane, x, dy, dw) == DONE;
                ok &= same(f, p);

                let (f, p) = targets(&mut random, fast, plain, map);
                for i in 0..inputs {
                    for r in 0..count {
                        let from = i * windows.plane + r * row;
                        inner(p)[from..][..columns].fill(0.0);
                    }
                }
                for o in 0..outputs {
                    pixels(&mut list, o);
                    let w = &w[o * inputs..][..inputs];
                    ok &= single::conv_input_gradient(simd, windows, &list[..pairs], w, inner(p))
                        .is_some();
                }
                let dx = inner(f);
                ok &= simd.pointwise_input_gradient(windows, place, plane, w, short, dx) != DONE;
                let shorter = &mut dx[1..];
                ok &= simd.pointwise_input_gradient(windows, place, plane, w, dy, shorter) != DONE;
                // Lists take fewer than four channels, and fewer than five pixels.
                let side_by_side = row == columns && place.pitch == columns;
                let wide = if side_by_side { count } else { 1 } * columns >= 5;
                let expected = (inputs >= 4 && wide).then_some(true);
                ok &= simd.pointwise_input_gradient(windows, place, plane, w, dy, dx) == expected;
                ok &= expected.is_none() || same(f, p);
            }
        }
        check("pointwise_weight_gradient, pointwise_input_gradient", ok);

        let (mut ok, mut found) = (true, 0);
        for count in 0..70 {
            let x = &mut a[..count];
            fill(&mut random, false, x);
            for x in &mut *x {
                *x = x.clamp(-10.0, 10.0);
            }
            ok &= simd.may_have_nan(x) == Some(false) && !single::may_have_nan(x);
            // None is missed, whatever else there is.
            fill(&mut random, true, x);
            let nan = x.iter().any(|x| x.is_nan());
            ok &= !nan || simd.may_have_nan(x) == Some(true);
            ok &= nan == single::may_have_nan(x);
            found += u32::from(nan);
            for i in 0..count {
                fill(&mut random, false, x);
                x[i] = if i % 2 == 0 { f32::NAN } else { -f32::NAN };
                ok &= simd.may_have_nan(x) == Some(true) && single::may_have_nan(x);
            }
        }
        check("may_have_nan", ok && found > 0);

        let mut ok = true;
        for count in 0..70 {
            for first in [0, 1, 7, 8, 15, 16, 31, 33, 45]
                .map(Some)
                .into_iter()
                .chain([None])
            {
                fill(&mut random, false, &mut a[..2 * count]);
                fill(&mut random, false, &mut b[..2 * count]);
                for v in a.iter_mut().chain(b.iter_mut()) {
                    // There are ties, and infinities.
                    match random.below(8) {
                        0 => *v = 1.0,
                        1 => *v = f32::INFINITY.copysign(*v),
                        _ => {}
                    }
                }
                for width in [1, 2, 4] {
                    // Codes in front of the first.
                    let (mut f, mut p) = ([0.0; 15], [0.0; 15]);
                    for c in 0..first.unwrap_or(0) {
                        let code = random.below(1 << width) as usize;
                        single::write_code(&mut f, width, c, code);
                    }
                    p.copy_from_slice(&f);
                    // The fewest words for all codes.
                    let words = match first {
                        Some(first) => ((first + count) * width).div_ceil(32_usize),
                        None => 0,
                    };
                    let (upper, lower) = (&a[..2 * count], &b[..2 * count]);
                    let hook = |upper: &[f32], lower: &[f32], y: &mut [f32], codes: &mut [f32]| {
                        match width {
                            1 => simd.relu_row(upper.get(..upper.len() / 2), y, codes, first),
                            2 => simd.pool_pairs_positive(upper, y, codes, first),
                            _ => simd.pool_positive(upper, lower, y, codes, first),
                        }
                    };
                    let (y, z) = targets(&mut random, fast, plain, count);
                    let codes = &mut f[..words];
                    if count > 0 {
                        ok &= hook(&upper[1..], lower, inner(y), codes) == SHORT;
                        ok &= width < 4 || hook(upper, &lower[1..], inner(y), codes) == SHORT;
                    }
                    ok &= hook(upper, lower, inner(y), codes) == DONE;
                    match width {
                        1 => single::relu_row(Some(upper), inner(z), &mut p, first),
                        2 => single::pool_pairs_positive(upper, inner(z), &mut p, first),
                        _ => single::pool_positive(upper, lower, inner(z), &mut p, first),
                    }
                    ok &= same(y, z) && f.map(f32::to_bits) == p.map(f32::to_bits);
                    if count > 0 && words > 0 {
                        let codes = &mut f[..words - 1];
                        ok &= hook(upper, lower, inner(y), codes) == SHORT;
                    }
                }

                // In place: the same as from one row to another.
                let (y, z) = targets(&mut random, fast, plain, count);
                let (y, z) = (inner(y), inner(z));
                let (mut f, mut p) = ([0.0; 15], [0.0; 15]);
                single::relu_row(None, z, &mut p, first);
                ok &= simd.relu_row(None, y, &mut f, first) == DONE && same(y, z);
                ok &= f.map(f32::to_bits) == p.map(f32::to_bits);
                let (Some(first), dy) = (first, &a[..count]) else {
                    continue;
                };
                let words = (first + count).div_ceil(32);
                for from in [None, Some(dy)] {
                    let (y, z) = targets(&mut random, fast, plain, count);
                    single::relu_gradient(from, inner(z), &p, first);
                    ok &= simd.relu_gradient(from, inner(y), &p[..words], first) == DONE
                        && same(y, z);
                    let y = inner(y);
                    ok &=
                        count == 0 || simd.relu_gradient(from, y, &p[..words - 1], first) == SHORT;
                    let short = from.map(|_| dy.get(1..).unwrap_or_default());
                    ok &= count == 0
                        || from.is_none()
                        || simd.relu_gradient(short, y, &p, first) == SHORT;
                }
            }
        }
        check(
            "pool_positive, pool_pairs_positive, relu_row, relu_gradient",
            ok,
        );

        let mut ok = true;
        for count in 1..70 {
            for first in [0_usize, 1, 7, 8, 31, 33, 45] {
                for (width, rows, columns, base) in [
                    (1_usize, 1, 1, 1),
                    (2, 1, 2, 1),
                    (2, 1, 2, 0),
                    (4, 2, 2, 1),
                    (2, 2, 2, 0),
                ] {
                    // Codes up to the last that a window has, in the fewest words.
                    let words: usize = ((first + count) * width).div_ceil(32_usize);
                    for code in &mut b[..words] {
                        *code = 0.0;
                    }
                    for c in 0..first + count {
                        let code = random.below(1 << width) as usize;
                        single::write_code(&mut b[..words], width, c, code);
                    }
                    fill(&mut random, false, &mut a[..count]);
                    let winners = Winners {
                        width,
                        first,
                        base,
                        rows,
                        columns,
                        row: random.below(100) as usize,
                        place: random.below(1000) as usize,
                        step: 1 + random.below(6) as usize,
                        pixel: 1 + random.below(3) as usize,
                    };
                    let (dy, codes) = (&a[..count], &b[..words]);
                    let (f, p) = targets(&mut random, fast, plain, 2 * rows * count);
                    let list = inner(f).as_chunks_mut::<2>().0;
                    let seen = simd.pixels(winners, dy, codes, list);
                    let plainly =
                        single::pixels(winners, dy, codes, inner(p).as_chunks_mut::<2>().0);
                    ok &= seen.is_some() && seen == plainly;
                    let end = GUARD + 2 * seen.unwrap_or(0);
                    ok &= f[..end]
                        .iter()
                        .zip(&p[..end])
                        .all(|(f, p)| f.to_bits() == p.to_bits());
                    ok &= same(&f[GUARD + 2 * rows * count..], &[CANARY; GUARD]);
                    let list = inner(f).as_chunks_mut::<2>().0;
                    ok &= simd.pixels(winners, dy, &codes[1..], list).is_none();
                    ok &= simd.pixels(winners, dy, codes, &mut list[1..]).is_none();
                }
            }
        }
        check("pixels", ok);

        let mut ok = true;
        for inputs in 0..40 {
            for outputs in 0..6 {
                fill(&mut random, false, &mut a[..inputs * outputs]);
                fill(&mut random, false, &mut b[..inputs + outputs]);
                let (x, bias) = b[..inputs + outputs].split_at(inputs);
                let w = &a[..inputs * outputs];
                let (f, p) = targets(&mut random, fast, plain, outputs);
                ok &= simd.linear_rows(w, bias, x, inner(f)) == DONE;
                single::linear_rows(simd, w, bias, x, inner(p));
                ok &= same(f, p);
                if !w.is_empty() {
                    ok &= simd.linear_rows(&w[1..], bias, x, inner(f)) == SHORT;
                }
            }
            let (start, x) = (value(&mut random, false), &b[..inputs]);
            let sum = x.iter().fold(start, |sum, x| sum + x);
            ok &= same(&[simd.add_up(start, x)], &[sum]);
            let (f, p) = targets(&mut random, fast, plain, inputs);
            let scale = random.normal();
            ok &= simd.add_scaled(scale, &b[..inputs], inner(f)) == DONE;
            single::add_scaled(simd, scale, &b[..inputs], inner(p));
            ok &= same(f, p);
        }
        check("linear_rows, add_up, add_scaled", ok);
        good
    }
}

#[entry]
fn main() -> ! {
    exit(dispatch_lanes::<1, _>(Compare(MEMORY.take())))
}
