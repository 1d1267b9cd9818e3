//! Linear layers, sums, and bytes as floats.

use core::arch::asm;

/// [`load_row`] for `count` bytes, at least 1.
///
/// # Safety
/// `count` bytes can be read at `bytes` and as many floats written at `x`.
#[inline(always)]
unsafe fn load(bytes: *const u8, x: *mut f32, count: usize, scale: f32, offset: f32) {
    let offsets = [offset; 4];
    // SAFETY: as above; every register that is written is declared.
    unsafe {
        asm!(
            "vmov s0, {a}",
            "cmp {fours}, #0",
            "beq 3f",
            "2:",
            "ldrb {a}, [{bytes}], #1",
            "ldrb {b}, [{bytes}], #1",
            "vmov s4, s5, {a}, {b}",
            "ldrb {a}, [{bytes}], #1",
            "ldrb {b}, [{bytes}], #1",
            "vmov s6, s7, {a}, {b}",
            "vldmia {offsets}, {{s8-s11}}",
            "vcvt.f32.u32 s4, s4",
            "vcvt.f32.u32 s5, s5",
            "vcvt.f32.u32 s6, s6",
            "vcvt.f32.u32 s7, s7",
            "vfma.f32 s8, s4, s0",
            "vfma.f32 s9, s5, s0",
            "vfma.f32 s10, s6, s0",
            "vfma.f32 s11, s7, s0",
            "vstmia {x}!, {{s8-s11}}",
            "subs {fours}, #1",
            "bne 2b",
            "3:",
            "cmp {ones}, #0",
            "beq 5f",
            "4:",
            "ldrb {a}, [{bytes}], #1",
            "vldmia {offsets}, {{s8}}",
            "vmov s4, {a}",
            "vcvt.f32.u32 s4, s4",
            "vfma.f32 s8, s4, s0",
            "vstmia {x}!, {{s8}}",
            "subs {ones}, #1",
            "bne 4b",
            "5:",
            a = inout(reg) scale.to_bits() => _,
            b = out(reg) _,
            offsets = in(reg) offsets.as_ptr(),
            bytes = inout(reg) bytes => _,
            x = inout(reg) x => _,
            fours = inout(reg) count / 4 => _,
            ones = inout(reg) count % 4 => _,
            out("s0") _, out("s4") _, out("s5") _, out("s6") _, out("s7") _, out("s8") _, out("s9") _,
            out("s10") _, out("s11") _,
            options(nostack),
        );
    }
}

/// [`Simd::load_row`](super::super::Simd::load_row).
#[inline]
pub(super) fn load_row(bytes: &[u8], scale: f32, offset: f32, x: &mut [f32]) -> bool {
    let count = bytes.len().min(x.len());
    if count > 0 {
        // SAFETY: both slices are so long.
        unsafe { load(bytes.as_ptr(), x.as_mut_ptr(), count, scale, offset) };
    }
    true
}

/// [`Simd::linear_rows`](super::super::Simd::linear_rows).
#[inline]
pub(super) fn rows(w: &[f32], bias: &[f32], x: &[f32], y: &mut [f32]) -> bool {
    let outputs = y.len().min(bias.len());
    let inputs = x.len();
    if inputs > 0 && w.len() / inputs < outputs {
        return false;
    }
    let (blocks, rest) = (inputs / 8, inputs % 8);
    let mut o = 0;
    while o < outputs {
        let last = (o + 1).min(outputs - 1);
        let (Some(first_bias), Some(last_bias)) = (bias.get(o), bias.get(last)) else {
            return false;
        };
        let mut sums = [*first_bias, *last_bias];
        let row = |o: usize| w.as_ptr().wrapping_add(o * inputs);
        // SAFETY: `x` and the two rows of `w` are `8 blocks + rest` long.
        unsafe {
            asm!(
                "vldmia {sums}, {{s0-s1}}",
                "cmp {blocks}, #0",
                "beq 5f",
                "2:",
                "vldmia {x}!, {{s8-s15}}",
                "vldmia {w0}!, {{s16-s23}}",
                "vldmia {w1}!, {{s24-s31}}",
                    "vfma.f32 s0, s8, s16",
                    "vfma.f32 s1, s8, s24",
                    "vfma.f32 s0, s9, s17",
                    "vfma.f32 s1, s9, s25",
                    "vfma.f32 s0, s10, s18",
                    "vfma.f32 s1, s10, s26",
                    "vfma.f32 s0, s11, s19",
                    "vfma.f32 s1, s11, s27",
                    "vfma.f32 s0, s12, s20",
                    "vfma.f32 s1, s12, s28",
                    "vfma.f32 s0, s13, s21",
                    "vfma.f32 s1, s13, s29",
                    "vfma.f32 s0, s14, s22",
                    "vfma.f32 s1, s14, s30",
                    "vfma.f32 s0, s15, s23",
                    "vfma.f32 s1, s15, s31",
                "subs {blocks}, #1",
                "bne 2b",
                "5:",
                "cmp {rest}, #0",
                "beq 4f",
                "3:",
                "vldmia {x}!, {{s8}}",
                "vldmia {w0}!, {{s16}}",
                "vldmia {w1}!, {{s24}}",
                "vfma.f32 s0, s8, s16",
                "vfma.f32 s1, s8, s24",
                "subs {rest}, #1",
                "bne 3b",
                "4:",
                "vstmia {sums}, {{s0-s1}}",
                x = inout(reg) x.as_ptr() => _,
                w0 = inout(reg) row(o) => _,
                w1 = inout(reg) row(last) => _,
                sums = in(reg) sums.as_mut_ptr(),
                blocks = inout(reg) blocks => _,
                rest = inout(reg) rest => _,
                out("s0") _, out("s1") _, out("s8") _, out("s9") _, out("s10") _, out("s11") _, out("s12") _,
                out("s13") _, out("s14") _, out("s15") _, out("s16") _, out("s17") _, out("s18") _, out("s19") _,
                out("s20") _, out("s21") _, out("s22") _, out("s23") _, out("s24") _, out("s25") _, out("s26") _,
                out("s27") _, out("s28") _, out("s29") _, out("s30") _, out("s31") _,
                options(nostack),
            );
        }
        for (y, sum) in y.iter_mut().skip(o).zip(sums) {
            *y = sum;
        }
        o += 2;
    }
    true
}

/// [`Simd::add_scaled`](super::super::Simd::add_scaled).
#[inline(never)]
pub(super) fn add_scaled(a: f32, x: &[f32], y: &mut [f32]) -> bool {
    let length = x.len().min(y.len());
    if length == 0 {
        return true;
    }
    // SAFETY: both slices are so long.
    unsafe {
        asm!(
            "vmov s0, {a}",
            "cmp {blocks}, #0",
            "beq 3f",
            "2:",
            "vldmia {x}!, {{s8-s15}}",
            "vldmia {y}, {{s16-s23}}",
            "vfma.f32 s16, s0, s8",
            "vfma.f32 s17, s0, s9",
            "vfma.f32 s18, s0, s10",
            "vfma.f32 s19, s0, s11",
            "vfma.f32 s20, s0, s12",
            "vfma.f32 s21, s0, s13",
            "vfma.f32 s22, s0, s14",
            "vfma.f32 s23, s0, s15",
            "vstmia {y}!, {{s16-s23}}",
            "subs {blocks}, #1",
            "bne 2b",
            "3:",
            "cmp {rest}, #0",
            "beq 5f",
            "4:",
            "vldmia {x}!, {{s8}}",
            "vldmia {y}, {{s16}}",
            "vfma.f32 s16, s0, s8",
            "vstmia {y}!, {{s16}}",
            "subs {rest}, #1",
            "bne 4b",
            "5:",
            a = in(reg) a.to_bits(),
            x = inout(reg) x.as_ptr() => _,
            y = inout(reg) y.as_mut_ptr() => _,
            blocks = inout(reg) length / 8 => _,
            rest = inout(reg) length % 8 => _,
            out("s0") _, out("s8") _, out("s9") _, out("s10") _, out("s11") _, out("s12") _, out("s13") _,
            out("s14") _, out("s15") _, out("s16") _, out("s17") _, out("s18") _, out("s19") _, out("s20") _,
            out("s21") _, out("s22") _, out("s23") _,
            options(nostack),
        );
    }
    true
}

/// [`Simd::add_up`](super::super::Simd::add_up).
#[inline(never)]
pub(super) fn add_up(start: f32, x: &[f32]) -> f32 {
    let mut sum = start.to_bits();
    // SAFETY: reads the slice's floats; every register that is written is declared.
    unsafe {
        asm!(
            "vmov s0, {sum}",
            "cmp {blocks}, #0",
            "beq 3f",
            "2:",
            "vldmia {x}!, {{s8-s15}}",
            "vadd.f32 s0, s0, s8",
            "vadd.f32 s0, s0, s9",
            "vadd.f32 s0, s0, s10",
            "vadd.f32 s0, s0, s11",
            "vadd.f32 s0, s0, s12",
            "vadd.f32 s0, s0, s13",
            "vadd.f32 s0, s0, s14",
            "vadd.f32 s0, s0, s15",
            "subs {blocks}, #1",
            "bne 2b",
            "3:",
            "cmp {rest}, #0",
            "beq 5f",
            "4:",
            "vldmia {x}!, {{s8}}",
            "vadd.f32 s0, s0, s8",
            "subs {rest}, #1",
            "bne 4b",
            "5:",
            "vmov {sum}, s0",
            sum = inout(reg) sum,
            x = inout(reg) x.as_ptr() => _,
            blocks = inout(reg) x.len() / 8 => _,
            rest = inout(reg) x.len() % 8 => _,
            out("s0") _, out("s8") _, out("s9") _, out("s10") _, out("s11") _, out("s12") _, out("s13") _,
            out("s14") _, out("s15") _,
            options(nostack, readonly),
        );
    }
    f32::from_bits(sum)
}
