//! What follows a convolution: max-pool and relu of a row; and back, the list of a row's pixels
//! that have a gradient.

use super::super::single::Winners;
use core::arch::asm;

/// Defines the pool of windows of two columns: the bits of a code, and what the lower row's two
/// values do.
macro_rules! pool {
    ($(#[$doc:meta])* $name:ident, $bits:literal, [$($lower:literal)*]) => {
        $(#[$doc])*
        /// `count` windows, at least 1; returns how many values were negative infinity or a
        /// negative NaN.
        ///
        /// # Safety
        /// `2 count` floats can be read from `upper` on (and from `lower`, for windows of two
        /// rows), `count` written at `y`, and the codes at `codes`, of which the first begins with
        /// bit `shift` of the word.
        #[inline(never)]
        unsafe fn $name(
            upper: *const f32,
            lower: *const f32,
            y: *mut f32,
            codes: *mut f32,
            shift: usize,
            count: usize,
        ) -> u32 {
            let mut suspects = 0;
            // SAFETY: as above; every register that is written is declared.
            unsafe {
                asm!(
                    // s0 keeps the address of the word of codes, whose register holds values.
                    "ldr {word}, [{a}]",
                    "vmov s0, {a}",
                    "2:",
                    "ldrd {a}, {b}, [{upper}], #8",
                    "cmn {a}, #0x800000",
                    "adc {suspects}, {suspects}, #0",
                    "bics {best}, {a}, {a}, asr #31",
                    "ite eq",
                    "moveq {code}, #0",
                    "movne {code}, #1",
                    "cmn {b}, #0x800000",
                    "adc {suspects}, {suspects}, #0",
                    "cmp {b}, {best}",
                    "itt gt",
                    "movgt {best}, {b}",
                    "movgt {code}, #2",
                    $($lower,)*
                    "str {best}, [{y}], #4",
                    "lsl {code}, {code}, {shift}",
                    "orr {word}, {word}, {code}",
                    concat!("add {shift}, #", $bits),
                    "/* {lower} */",
                    "subs {count}, #1",
                    "beq 3f",
                    "cmp {shift}, #32",
                    "bne 2b",
                    "vmov {a}, s0",
                    "str {word}, [{a}], #4",
                    "ldr {word}, [{a}]",
                    "vmov s0, {a}",
                    "mov {shift}, #0",
                    "b 2b",
                    "3:",
                    "vmov {a}, s0",
                    "str {word}, [{a}]",
                    upper = inout(reg) upper => _,
                    lower = inout(reg) lower => _,
                    y = inout(reg) y => _,
                    a = inout(reg) codes => _,
                    b = out(reg) _,
                    best = out(reg) _,
                    code = out(reg) _,
                    word = out(reg) _,
                    shift = inout(reg) shift => _,
                    count = inout(reg) count => _,
                    suspects = inout(reg) suspects,
                    out("s0") _,
                    options(nostack),
                );
            }
            suspects
        }
    };
}

pool!(
    /// Windows of 2 x 2, codes of four bits.
    pool_2x2, "4",
    ["ldrd {a}, {b}, [{lower}], #8" "cmn {a}, #0x800000" "adc {suspects}, {suspects}, #0" "cmp {a}, {best}" "itt gt" "movgt {best}, {a}" "movgt {code}, #3" "cmn {b}, #0x800000" "adc {suspects}, {suspects}, #0" "cmp {b}, {best}" "itt gt" "movgt {best}, {b}" "movgt {code}, #4"]
);
pool!(
    /// Windows of 1 x 2, codes of two bits.
    pool_1x2, "2",
    []
);

/// [`Simd::pool_positive`](super::super::Simd::pool_positive).
#[inline(never)]
pub(super) fn positive(
    upper: &[f32],
    lower: &[f32],
    y: &mut [f32],
    codes: &mut [f32],
    first: usize,
) -> bool {
    let count = y.len().min(upper.len() / 2).min(lower.len() / 2);
    let fits = count > 0 && codes.len() > (first + count - 1) / 8;
    match codes.get_mut(first / 8..) {
        Some(codes) if fits => {
            let (upper, lower) = (upper.as_ptr(), lower.as_ptr());
            let (y, codes) = (y.as_mut_ptr(), codes.as_mut_ptr());
            // SAFETY: the slices have that many windows, and words for their codes.
            unsafe { pool_2x2(upper, lower, y, codes, first % 8 * 4, count) == 0 }
        }
        _ => false,
    }
}

/// [`Simd::pool_pairs_positive`](super::super::Simd::pool_pairs_positive).
#[inline(never)]
pub(super) fn pairs_positive(x: &[f32], y: &mut [f32], codes: &mut [f32], first: usize) -> bool {
    let count = y.len().min(x.len() / 2);
    let fits = count > 0 && codes.len() > (first + count - 1) / 16;
    match codes.get_mut(first / 16..) {
        Some(codes) if fits => {
            let (x, y, codes) = (x.as_ptr(), y.as_mut_ptr(), codes.as_mut_ptr());
            // SAFETY: the slices have that many windows, and words for their codes.
            unsafe { pool_1x2(x, x, y, codes, first % 16 * 2, count) == 0 }
        }
        _ => false,
    }
}

/// Relu of `count` values, at least 1; returns a bit for each that is off, the last one's highest.
/// `check` becomes a NaN where there is a NaN or an infinity.
///
/// # Safety
/// `count` floats can be read from `x` on and written from `y` on.
#[inline(always)]
unsafe fn relu_chunk(x: *const f32, y: *mut f32, count: usize, check: &mut u32) -> u32 {
    // `v & (v - 1)` has its highest bit where a value is below zero: then it becomes zero. `v |
    // (v - 1)` has it where a value is not positive.
    macro_rules! value {
        ($v:literal) => {
            concat!(
                "sub {t}, ",
                $v,
                ", #1\n",
                "orr {u}, {t}, ",
                $v,
                "\n",
                "and {t}, ",
                $v,
                "\n",
                "bic ",
                $v,
                ", ",
                $v,
                ", {t}, asr #31\n",
                "lsls {u}, {u}, #1\n",
                "rrx {off}, {off}\n"
            )
        };
    }
    let mut off = 0;
    // SAFETY: as above; every register that is written is declared.
    unsafe {
        asm!(
            "vmov s0, s1, {check}, {off}",
            "cmp {fours}, #0",
            "beq 3f",
            "2:",
            "vldmia {x}, {{s2-s5}}",
            "vfma.f32 s0, s2, s1",
            "vfma.f32 s0, s3, s1",
            "vfma.f32 s0, s4, s1",
            "vfma.f32 s0, s5, s1",
            "ldrd {a}, {b}, [{x}], #8",
            concat!(value!("{a}"), value!("{b}"), "strd {a}, {b}, [{y}], #8"),
            "ldrd {a}, {b}, [{x}], #8",
            concat!(value!("{a}"), value!("{b}"), "strd {a}, {b}, [{y}], #8"),
            "subs {fours}, #1",
            "bne 2b",
            "3:",
            "cmp {ones}, #0",
            "beq 5f",
            "4:",
            "ldr {a}, [{x}], #4",
            "vmov s2, {a}",
            "vfma.f32 s0, s2, s1",
            concat!(value!("{a}"), "str {a}, [{y}], #4"),
            "subs {ones}, #1",
            "bne 4b",
            "5:",
            "vmov {check}, s0",
            check = inout(reg) *check,
            off = inout(reg) off,
            x = inout(reg) x => _,
            y = inout(reg) y => _,
            fours = inout(reg) count / 4 => _,
            ones = inout(reg) count % 4 => _,
            a = out(reg) _,
            b = out(reg) _,
            t = out(reg) _,
            u = out(reg) _,
            out("s0") _, out("s1") _, out("s2") _, out("s3") _, out("s4") _, out("s5") _,
            options(nostack),
        );
    }
    off
}

/// [`Simd::relu_row`](super::super::Simd::relu_row).
#[inline(never)]
pub(super) fn relu(x: &[f32], y: &mut [f32], codes: &mut [f32], first: usize) -> bool {
    let count = x.len().min(y.len());
    let (mut done, mut check) = (0, 0);
    while done < count {
        // As many values as have their codes in one word.
        let bit = (first + done) % 32;
        let part = (count - done).min(32 - bit);
        let Some(word) = codes.get_mut((first + done) / 32) else {
            return false;
        };
        let x = x.as_ptr().wrapping_add(done);
        let y = y.as_mut_ptr().wrapping_add(done);
        // SAFETY: both slices go on for `part` values, 1 to 32.
        let off = unsafe { relu_chunk(x, y, part, &mut check) };
        *word = f32::from_bits(word.to_bits() | (!off >> (32 - part)) << bit);
        done += part;
    }
    !f32::from_bits(check).is_nan()
}

/// [`Simd::pixels`](super::super::Simd::pixels).
#[inline(never)]
pub(super) fn pixels(
    winners: Winners,
    dy: &[f32],
    codes: &[f32],
    list: &mut [[f32; 2]],
) -> Option<usize> {
    let Winners {
        width,
        first,
        rows,
        columns,
        ..
    } = winners;
    if !matches!(
        (width, columns, rows, winners.base),
        (1, 1, 1, 1) | (2 | 4, 2, _, _)
    ) {
        return None;
    }
    let last = (first + dy.len().checked_sub(1)?) * width / 32;
    if list.len() < dy.len().checked_mul(rows)? || codes.len() <= last {
        return None;
    }
    let bit = first * width % 32;
    let word = codes.get(first * width / 32)?.to_bits() >> bit;
    let next = codes.as_ptr().wrapping_add(first * width / 32 + 1);
    // Codes left in the word.
    let left = (32 - bit) / width;
    let begin = list.as_mut_ptr();
    let mut end = begin;
    let (mut base, mut place) = (winners.base, winners.place);
    /// The list grows by the windows' pixels; `$select` decides on a window from its code, puts its
    /// place into `t`, or goes on at label 3.
    macro_rules! gather {
        ($($select:literal)*) => {
            asm!(
                "vmov s0, s1, {v}, {t}",
                "2:",
                "ldr {g}, [{dy}], #4",
                $($select,)*
                "strd {t}, {g}, [{list}], #8",
                "3:",
                "add {place}, {step}",
                "subs {count}, #1",
                "beq 4f",
                "subs {left}, #1",
                "bne 2b",
                "ldr {word}, [{next}], #4",
                "mov {left}, #{full}",
                "b 2b",
                "4:",
                dy = inout(reg) dy.as_ptr() => _,
                next = inout(reg) next => _,
                word = inout(reg) word => _,
                left = inout(reg) left => _,
                full = const 32 / WIDTH,
                count = inout(reg) dy.len() => _,
                place = inout(reg) place => _,
                step = in(reg) winners.step,
                list = inout(reg) end,
                g = out(reg) _,
                v = inout(reg) base => _,
                t = inout(reg) winners.pixel => _,
                out("s0") _, out("s1") _,
                options(nostack),
            )
        };
    }
    for _ in 0..rows {
        // SAFETY: `dy` has a gradient for each window, `codes` the words of their codes, and the
        // list room for all; a word is read only when another window needs it. Every register that
        // is written is declared.
        unsafe {
            match width {
                1 => {
                    const WIDTH: usize = 1;
                    gather!(
                        "lsrs {word}, {word}, #1" "bcc 3f" "lsls {t}, {g}, #1" "beq 3f" "mov {t}, {place}" "/* {v} */"
                    );
                }
                2 => {
                    const WIDTH: usize = 2;
                    gather!(
                        "vmov {t}, s0" "and {v}, {word}, #3" "lsr {word}, {word}, #2" "sub {v}, {t}" "cmp {v}, #2" "bhs 3f"
                        "lsls {t}, {g}, #1" "beq 3f" "vmov {t}, s1" "mla {t}, {v}, {t}, {place}"
                    );
                }
                _ => {
                    const WIDTH: usize = 4;
                    gather!(
                        "vmov {t}, s0" "and {v}, {word}, #15" "lsr {word}, {word}, #4" "sub {v}, {t}" "cmp {v}, #2" "bhs 3f"
                        "lsls {t}, {g}, #1" "beq 3f" "vmov {t}, s1" "mla {t}, {v}, {t}, {place}"
                    );
                }
            }
        }
        base = base.wrapping_add(columns);
        place = place.wrapping_add(winners.row);
    }
    // SAFETY: both are within the list.
    Some(unsafe { end.offset_from_unsigned(begin) })
}
