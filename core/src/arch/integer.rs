//! Fused multiply-add in integer arithmetic, for cores without a floating-point unit.
//!
//! `fma(a, b, c)` is `a * b + c` rounded once, to nearest, ties to even: the result that IEEE
//! 754-2019 (5.4.1, `fusedMultiplyAdd`) prescribes, subnormal numbers, overflow and signed zeros
//! included. Only the payload of a NaN is left open.
//!
//! # Derivation
//!
//! A normal number is `m * 2^(e - 150)`, where `m` has 24 bits, the highest set, and `e` is the
//! biased exponent. Put the significands into 64-bit words, so that both can grow and be shifted:
//!
//! ```text
//! P = (ma << 8) * (mb << 5)    in [2^59, 2^61), worth P * 2^(ea + eb - 313), low 13 bits zero
//! C = mc << 38                 in [2^61, 2^62), worth C * 2^(ec - 188),      low 38 bits zero
//! d = ea + eb - ec - 125       how far C must go to the right to meet P
//! ```
//!
//! *Addend on top* (`d < 0`): P moves right by at least one bit, so `|C| - |P| > 2^60` and at most
//! one leading bit cancels. Rounding then looks at no bit below bit 35 of the sum, so the upper
//! word alone is enough, if its lowest bit is set whenever something non-zero was shifted out
//! ("sticky" or "jammed" bit).
//!
//! *Product on top* (`0 <= d <= 31`): C moves right and loses no bit, so the 64-bit sum is exact,
//! whatever cancels. Its upper word with a sticky bit is enough as long as that word has 26
//! significant bits (24 to keep, one to round by, one to be sticky); otherwise the sum is
//! normalised in 64 bits first.
//!
//! Both end in a word `n` with its highest bit at 30, of which 24 bits are kept: `(n + 63 + bit 7
//! of n) >> 7` rounds to nearest, ties to even. The exponent and the kept bits are added, not
//! combined by "or", so that a carry out of the significand raises the exponent by itself.
//!
//! All else (an operand that is zero, subnormal, infinite or not a number; a result outside the
//! normal range; an addend more than 29 bits under the product) leaves for `rare`, which does the
//! same with every shift jammed and every case spelled out.
//!
//! # Cost
//!
//! Instructions a call on an emulated Cortex-M3 (QEMU), random operands: 63 with the addend on top,
//! 70 with the product on top, 90 with massive cancellation, 26 for a zero product, 139 for a zero
//! addend. There, `a * b + c` in the compiler's soft float takes 128 and `libm::fmaf` 288.
//! Instruction counts are not cycles.
//!
//! # Reference
//!
//! Muller et al., *Handbook of Floating-Point Arithmetic*, 2nd ed., 7.5 (fused multiply-add) and
//! 7.3 (sticky bits); Hauser's *Berkeley SoftFloat* for the name "jam".

/// Position of the exponent field.
const FRACTION_BITS: u32 = 23;
/// The significand's leading bit, which the encoding leaves out.
const IMPLICIT: u32 = 1 << FRACTION_BITS;
/// The sign bit.
const SIGN: u32 = 1 << 31;
/// Positive infinity; a magnitude above it is not a number.
const INFINITY: u32 = 0xff << FRACTION_BITS;
/// The quiet NaN that is returned for every invalid operation.
const NAN: u32 = 0x7fc0_0000;

/// `a * b + c`, rounded once to the nearest number, ties to even.
///
/// Never panics; the same bits as the hardware instruction, except for a NaN's.
pub fn fma(a: f32, b: f32, c: f32) -> f32 {
    let (a, b, c) = (a.to_bits(), b.to_bits(), c.to_bits());
    let (ea, eb, ec) = (exponent(a), exponent(b), exponent(c));
    // Normal numbers have exponents 1 to 254.
    let normal = |e: i32| (e - 1) as u32 <= 253;
    if !(normal(ea) && normal(eb) && normal(ec)) {
        return rare(a, b, c);
    }
    let p = u64::from((a | IMPLICIT) << 8) * u64::from(((b | IMPLICIT) << 8) >> 3);
    let upper_c = ((c | IMPLICIT) << 8) >> 2;
    // All ones if the product and the addend have opposite signs: `(x ^ mask) - mask` is then -x.
    let mask = (a ^ b ^ c) as i32 >> 31;
    let d = ea + eb - ec - 125;

    // The sum's magnitude is `n`, highest bit at 30, sticky; `e` is its biased exponent.
    let (sign, n, e) = if d < 0 {
        let (upper_p, lower_p) = ((p >> 32) as u32, p as u32);
        let shift = (-d).min(31) as u32;
        let shifted = upper_p >> shift;
        let lost = lower_p | (shifted << shift ^ upper_p);
        let jammed = (shifted | u32::from(lost != 0)) as i32;
        let sum = upper_c.wrapping_add_signed((jammed ^ mask) - mask);
        let zeros = sum.leading_zeros();
        (c & SIGN, sum << (zeros - 1), ec + 2 - zeros as i32)
    } else {
        if d > 31 {
            return rare(a, b, c);
        }
        // `(upper_c << 32) >> d`, in a third of the instructions of a 64-bit shift by 0 to 63.
        let lower = (upper_c << 1) << (31 - d);
        let shifted = (u64::from(upper_c >> d) << 32 | u64::from(lower)) as i64;
        let mask = i64::from(mask);
        let sum = p as i64 + ((shifted ^ mask) - mask);
        let sign = (a ^ b ^ (sum >> 32) as u32) & SIGN;
        let mut sum = sum.unsigned_abs();
        let mut e = ea + eb - 123;
        if sum < 1 << 57 {
            if sum == 0 {
                return 0.0;
            }
            let zeros = sum.leading_zeros() - 1;
            sum <<= zeros;
            e -= zeros as i32;
        }
        let jammed = (sum >> 32) as u32 | u32::from(sum as u32 != 0);
        let zeros = jammed.leading_zeros();
        (sign, jammed << (zeros - 1), e - zeros as i32)
    };
    // A carry out of exponent 254 gives infinity, as it should.
    if (e - 1) as u32 > 253 {
        return rare(a, b, c);
    }
    f32::from_bits((sign | ((e - 1) as u32) << FRACTION_BITS) + round(n))
}

/// `a * b + c` in double precision, rounded once to the nearest number, ties to even.
///
/// For the few sums that are kept in `f64`; it is not tuned.
pub fn fma64(a: f64, b: f64, c: f64) -> f64 {
    libm::fma(a, b, c)
}

/// [`fma`] of encodings, for all operands, without haste.
#[cold]
#[inline(never)]
fn rare(a: u32, b: u32, c: u32) -> f32 {
    let (abs_a, abs_b, abs_c) = (a & !SIGN, b & !SIGN, c & !SIGN);
    let product_sign = (a ^ b) & SIGN;
    let c_sign = c & SIGN;

    // Zero operands come first: half of a network's activations are zero.
    if (abs_a == 0 && abs_b < INFINITY) || (abs_b == 0 && abs_a < INFINITY) {
        // A zero product changes nothing but the sign of a zero: -0 only if both are -0.
        let sum = if abs_c == 0 { product_sign & c } else { c };
        return f32::from_bits(sum);
    }
    if abs_a > INFINITY || abs_b > INFINITY || abs_c > INFINITY {
        return f32::from_bits(NAN);
    }
    if abs_a == INFINITY || abs_b == INFINITY {
        let invalid = abs_a == 0 || abs_b == 0 || (abs_c == INFINITY && c_sign != product_sign);
        return f32::from_bits(if invalid {
            NAN
        } else {
            product_sign | INFINITY
        });
    }
    if abs_c == INFINITY {
        return f32::from_bits(c);
    }

    let (ma, ea) = significand(abs_a);
    let (mb, eb) = significand(abs_b);
    let (mc, ec) = significand(abs_c);
    let mut p = u64::from(ma << 8) * u64::from(mb << 5);
    let mut wide_c = u64::from(mc) << 38;
    let d = ea + eb - ec - 125;
    // Biased exponent of a sum whose highest bit is bit 63.
    let base = if d < 0 {
        p = shift_right_jam(p, d.unsigned_abs());
        ec + 2
    } else {
        wide_c = shift_right_jam(wide_c, d.unsigned_abs());
        ea + eb - 123
    };
    let sum = if product_sign == c_sign {
        (p + wide_c) as i64
    } else {
        p as i64 - wide_c as i64
    };
    if sum == 0 {
        return 0.0;
    }
    let sign = if sum < 0 {
        product_sign ^ SIGN
    } else {
        product_sign
    };
    let sum = sum.unsigned_abs();
    let zeros = sum.leading_zeros();
    let normalised = sum << (zeros - 1);
    let e = base - zeros as i32;
    if e >= 255 {
        return f32::from_bits(sign | INFINITY);
    }
    // Below the normal range the exponent stays at its least and the significand moves.
    let normalised = shift_right_jam(normalised, (1 - e).max(0) as u32);
    let n = shift_right_jam(normalised, 32) as u32;
    f32::from_bits((sign | ((e.max(1) - 1) as u32) << FRACTION_BITS) + round(n))
}

/// Biased exponent field of an encoding.
#[inline(always)]
fn exponent(bits: u32) -> i32 {
    ((bits >> FRACTION_BITS) & 0xff) as i32
}

/// Keeps the 24 highest of 31 bits, the lowest of which is sticky, to nearest, ties to even.
#[inline(always)]
fn round(n: u32) -> u32 {
    (n + 63 + ((n >> 7) & 1)) >> 7
}

/// Significand with its highest bit at 23, and biased exponent, which is below 1 for subnormal
/// numbers. Zero has an exponent too, low enough to lose no bit that counts when a product is
/// aligned with it.
fn significand(magnitude: u32) -> (u32, i32) {
    let e = exponent(magnitude);
    if e == 0 {
        let shift = magnitude.leading_zeros() - 8;
        (magnitude << shift, 1 - shift as i32)
    } else {
        ((magnitude & (IMPLICIT - 1)) | IMPLICIT, e)
    }
}

/// `x >> n` for any `n`, with the lowest bit set if a set bit was shifted out.
fn shift_right_jam(x: u64, n: u32) -> u64 {
    match n {
        0 => x,
        1..64 => (x >> n) | u64::from(x << (64 - n) != 0),
        _ => u64::from(x != 0),
    }
}
