//! What follows a convolution: max-pool and relu of a row.

use core::arch::asm;

/// [`positive`] for `count` windows, at least 1; returns how many values were negative infinity or a negative NaN.
///
/// # Safety
/// `2 count` floats can be read from `upper` and from `lower` on, `count` written at `y`, and `4 count` bits at `codes`,
/// of which the first has number `shift`, a multiple of 4 below 32.
#[inline(never)]
unsafe fn pool_row(
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
            "ldrd {a}, {b}, [{lower}], #8",
            "cmn {a}, #0x800000",
            "adc {suspects}, {suspects}, #0",
            "cmp {a}, {best}",
            "itt gt",
            "movgt {best}, {a}",
            "movgt {code}, #3",
            "cmn {b}, #0x800000",
            "adc {suspects}, {suspects}, #0",
            "cmp {b}, {best}",
            "itt gt",
            "movgt {best}, {b}",
            "movgt {code}, #4",
            "str {best}, [{y}], #4",
            "lsl {code}, {code}, {shift}",
            "orr {word}, {word}, {code}",
            "add {shift}, #4",
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
            unsafe { pool_row(upper, lower, y, codes, first % 8 * 4, count) == 0 }
        }
        _ => false,
    }
}
