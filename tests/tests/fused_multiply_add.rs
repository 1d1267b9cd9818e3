//! Both software versions of fused multiply-add against the machine's, bit for bit.
//!
//! `f32::mul_add` is the reference: one instruction where the machine has it, else the C library's
//! `fmaf`, which is exact too.

use secant::arch::{integer, round_to_odd};
use secant_tests::draw::Draw;

const SIGN: u32 = 1 << 31;

/// Magnitudes at which some rule changes: zero, both ends of the subnormal and normal ranges, one
/// and its neighbours, numbers whose products end on a midpoint, infinity, NaN.
const MAGNITUDES: [u32; 40] = [
    0x0000_0000, // 0
    0x0000_0001, // smallest subnormal
    0x0000_0002,
    0x0000_0003,
    0x003f_ffff,
    0x0040_0000, // half of the smallest normal number
    0x0040_0001,
    0x007f_fffe,
    0x007f_ffff, // largest subnormal
    0x0080_0000, // smallest normal number
    0x0080_0001,
    0x00ff_ffff,
    0x0100_0000,
    0x0b80_0000, // 2^-104
    0x1f80_0000, // 2^-64
    0x2000_0000, // 2^-63, whose square is the smallest normal number
    0x2000_0001,
    0x3380_0000, // 2^-24
    0x3380_0001,
    0x33ff_ffff,
    0x3400_0000, // 2^-23
    0x3f00_0000, // 0.5
    0x3f7f_ffff, // 1 - 2^-24
    0x3f80_0000, // 1
    0x3f80_0001, // 1 + 2^-23
    0x3f80_0800, // 1 + 2^-12, whose square ends on a midpoint
    0x3f80_0fff,
    0x3fc0_0000, // 1.5
    0x3fff_ffff,
    0x4040_0000, // 3
    0x4b7f_ffff, // 2^24 - 1
    0x4b80_0000, // 2^24
    0x5f80_0000, // 2^64
    0x5f7f_ffff,
    0x7e80_0000,
    0x7f00_0000, // 2^127
    0x7f7f_ffff, // largest finite number
    0x7f80_0000, // infinity
    0x7f80_0001, // signalling NaN
    0x7fc0_0000, // quiet NaN
];

/// Both versions agree with the machine on `a * b + c`; any NaN is as good as any other.
#[inline(always)]
fn check(a: u32, b: u32, c: u32) {
    let [x, y, z] = [a, b, c].map(f32::from_bits);
    let expected = x.mul_add(y, z);
    for (name, found) in [
        ("integer", integer::fma(x, y, z)),
        ("round_to_odd", round_to_odd::fma(x, y, z)),
    ] {
        assert!(
            found.to_bits() == expected.to_bits() || (found.is_nan() && expected.is_nan()),
            "{name}: fma({a:#010x}, {b:#010x}, {c:#010x}) is {:#010x}, expected {:#010x}",
            found.to_bits(),
            expected.to_bits(),
        );
    }
}

/// A number with that biased exponent, its sign drawn, its fraction often with a long run of zeros
/// or ones, where ties and carries come from.
fn number(draw: &mut Draw, exponent: i64) -> u32 {
    let r = draw.bits();
    let dense = r as u32 & 0x007f_ffff;
    let run = (1 << draw.below(24)) - 1;
    let fraction = match draw.below(4) {
        0 => dense & !run,
        1 => dense | run,
        _ => dense,
    };
    (r >> 32) as u32 & SIGN | (exponent.clamp(0, 255) as u32) << 23 | fraction
}

/// A whole number from 0 to `n - 1`, for sums that may be negative on the way.
fn below(draw: &mut Draw, n: usize) -> i64 {
    draw.below(n) as i64
}

/// Three operands such that every path is hit often: see the arms.
fn triple(draw: &mut Draw) -> [u32; 3] {
    let (ea, eb) = (below(draw, 256), below(draw, 256));
    match draw.below(8) {
        // Any three encodings, NaN and infinity among them.
        0 => [0; 3].map(|_| draw.bits() as u32),
        // A product at the lower end of the range, or under it.
        1 => {
            let eb = 127 - ea + below(draw, 60) - 50;
            let ec = below(draw, 48);
            [ea, eb, ec].map(|e| number(draw, e))
        }
        // A product and a sum at the upper end.
        2 => {
            let ea = 128 + below(draw, 127);
            let eb = 381 - ea + below(draw, 8) - 6;
            let ec = 254 - below(draw, 50);
            [ea, eb, ec].map(|e| number(draw, e))
        }
        // Cancellation: the addend is the product negated and rounded, or up to two units beside
        // it.
        3 => {
            let [a, b] = [ea, eb].map(|e| number(draw, e));
            let c = -(f32::from_bits(a) * f32::from_bits(b));
            [
                a,
                b,
                c.to_bits().wrapping_add_signed(below(draw, 5) as i32 - 2),
            ]
        }
        // The addend from 60 binary places above the product to 60 under it.
        _ => {
            let ec = ea + eb - 127 + below(draw, 121) - 60;
            [ea, eb, ec].map(|e| number(draw, e))
        }
    }
}

#[test]
fn special_values_in_every_combination() {
    for a in MAGNITUDES {
        for b in MAGNITUDES {
            for c in MAGNITUDES {
                for signs in 0..8 {
                    let sign = |operand: u32| (signs >> operand & 1) << 31;
                    check(a | sign(0), b | sign(1), c | sign(2));
                }
            }
        }
    }
}

#[test]
fn every_distance_between_product_and_addend() {
    // Fractions of all zeros, all ones, and one bit at either end; both ends of the range in
    // between.
    const FRACTIONS: [u32; 6] = [0, 1, 0x0040_0000, 0x003f_ffff, 0x007f_fffe, 0x007f_ffff];
    for (ea, eb) in [
        (0, 127),
        (1, 126),
        (1, 127),
        (64, 40),
        (127, 127),
        (190, 188),
        (254, 127),
    ] {
        for ec in 0..255 {
            for fa in FRACTIONS {
                for fb in FRACTIONS {
                    for fc in FRACTIONS {
                        let (a, b, c) = (ea << 23 | fa, eb << 23 | fb, ec << 23 | fc);
                        check(a, b, c);
                        check(a, b, c | SIGN);
                    }
                }
            }
        }
    }
}

#[test]
fn ten_million_random_triples() {
    let mut draw = Draw::new(0x5eca_0001);
    for _ in 0..10_000_000 {
        let [a, b, c] = triple(&mut draw);
        check(a, b, c);
    }
}

/// Written out, so that the rules can be read here and do not rest on the machine alone.
#[test]
fn ties_go_to_even() {
    // (1 + 2^-12)^2 = 1 + 2^-11 + 2^-24 lies midway between two numbers, of which the lower is
    // even.
    let x = 1.0 + f32::powi(2.0, -12);
    let ulp = f32::EPSILON;
    let lower = 1.0 + f32::powi(2.0, -11);
    let tiny = f32::from_bits(1);
    for fma in [integer::fma, round_to_odd::fma] {
        assert_eq!(fma(x, x, 0.0), lower);
        assert_eq!(fma(x, x, -tiny), lower);
        assert_eq!(fma(x, x, tiny), lower + ulp);
        // One unit higher the even number is the upper one.
        assert_eq!(fma(x, x, ulp), lower + 2.0 * ulp);
        assert_eq!(fma(x, x, ulp - f32::powi(2.0, -47)), lower + ulp);
        // The product's own rounding error remains.
        assert_eq!(fma(x, x, -lower), f32::powi(2.0, -24));
    }
}

#[test]
fn zeros_have_the_sign_that_ieee_754_gives_them() {
    for fma in [integer::fma, round_to_odd::fma] {
        let least = f32::MIN_POSITIVE;
        for (a, b, c, negative) in [
            (0.0, 1.0, 0.0, false),
            (-0.0, 1.0, 0.0, false),
            (-0.0, 1.0, -0.0, true),
            (1.0, 1.0, -1.0, false), // exact cancellation
            (-1.0, 1.0, 1.0, false),
            (least, -least, 0.0, true), // underflow keeps the sign
            (least, -least, -0.0, true),
            (least, least, -0.0, false),
        ] {
            let sum: f32 = fma(a, b, c);
            assert!(
                sum == 0.0 && sum.is_sign_negative() == negative,
                "fma({a}, {b}, {c}) is {sum}"
            );
        }
    }
}

#[test]
fn double_precision_agrees_with_the_machine() {
    let mut draw = Draw::new(0x5eca_0064);
    for _ in 0..200_000 {
        // Exponents within 32 of that of one, so that product and addend meet.
        let [a, b, c] = [0; 3].map(|_| {
            let fraction = draw.bits() & u64::MAX << draw.below(52) & ((1 << 52) - 1);
            let exponent = 1023 - 32 + draw.below(64) as u64;
            f64::from_bits(draw.bits() & 1 << 63 | exponent << 52 | fraction)
        });
        let (found, expected) = (integer::fma64(a, b, c), a.mul_add(b, c));
        assert_eq!(
            found.to_bits(),
            expected.to_bits(),
            "fma64({a:?}, {b:?}, {c:?})"
        );
    }
}
