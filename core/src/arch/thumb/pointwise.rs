//! Gradients of convolutions with kernels of 1 x 1 and stride 1: products of matrices, in dense
//! tiles, whether a gradient is zero or not. Lists of the pixels that have one would take longer.

use super::super::single::{Rows, Windows};
use super::tile::{FLOAT, tap};
use core::arch::asm;

/// Rows of pixels that lie without anything between them in both maps are one.
#[inline(always)]
fn joined(rows: Rows) -> Rows {
    if rows.step == rows.columns && rows.pitch == rows.columns {
        let columns = rows.count * rows.columns;
        return Rows {
            count: 1,
            columns,
            ..rows
        };
    }
    rows
}

/// Whether both maps are as long as all rows of all channels need, and there is a pixel.
#[inline(always)]
fn fits(
    windows: Windows,
    rows: Rows,
    (outputs, plane): (usize, usize),
    x: usize,
    dy: usize,
) -> Option<bool> {
    let last = rows.count.checked_sub(1)?;
    rows.columns.checked_sub(1)?;
    let end = |channels: usize, plane: usize, step: usize| {
        let channels = channels.checked_sub(1)?.checked_mul(plane)?;
        channels
            .checked_add(last.checked_mul(step)?)?
            .checked_add(rows.columns)
    };
    Some(
        [windows.rows, windows.columns] == [1, 1]
            && x >= end(windows.inputs, windows.plane, rows.step)?
            && dy >= end(outputs, plane, rows.pitch)?,
    )
}

/// The terms of some pixels for a row of four sums: with each pixel of the first list those of the
/// four others.
macro_rules! products {
    ($sums:tt [$g:literal $($gs:literal)*] [$x:tt $($xs:tt)*]) => {
        concat!(products!(@pixel $sums $g $x), products!($sums [$($gs)*] [$($xs)*]))
    };
    ($sums:tt [] []) => { "" };
    (@pixel [$a:literal $b:literal $c:literal $d:literal] $g:literal [$w:literal $x:literal $y:literal $z:literal]) => {
        concat!(
            "vfma.f32 ", $a, ", ", $g, ", ", $w, "\n",
            "vfma.f32 ", $b, ", ", $g, ", ", $x, "\n",
            "vfma.f32 ", $c, ", ", $g, ", ", $y, "\n",
            "vfma.f32 ", $d, ", ", $g, ", ", $z, "\n"
        )
    };
}

/// The weight gradients of four output channels by four input channels, over a row of pixels of the
/// four inputs and, behind these in `maps`, the four outputs.
///
/// # Safety
/// `columns` floats can be read from each pointer on.
unsafe fn weights_4x4(maps: &[*const f32; 8], columns: usize, sums: &mut [f32; 16]) {
    /// Three pixels, then one, for the sums of an output channel.
    macro_rules! three {
        ($dy:literal $sums:tt) => {
            concat!(
                "vldmia ",
                $dy,
                "!, {{s28-s30}}\n",
                products!($sums ["s28" "s29" "s30"]
                    [["s16" "s19" "s22" "s25"] ["s17" "s20" "s23" "s26"] ["s18" "s21" "s24" "s27"]])
            )
        };
    }
    macro_rules! one {
        ($dy:literal $sums:tt) => {
            concat!("vldmia ", $dy, "!, {{s28}}\n", products!($sums ["s28"] [["s16" "s19" "s22" "s25"]]))
        };
    }
    // SAFETY: as above; every register that is written is declared.
    unsafe {
        asm!(
            "vldmia {sums}, {{s0-s15}}",
            "ldrd {x0}, {x1}, [{dy0}], #8",
            "ldrd {x2}, {x3}, [{dy0}], #8",
            "ldrd {dy2}, {dy3}, [{dy0}, #8]",
            "ldrd {dy0}, {dy1}, [{dy0}]",
            "cmp {threes}, #0",
            "beq 3f",
            "2:",
            "vldmia {x0}!, {{s16-s18}}",
            "vldmia {x1}!, {{s19-s21}}",
            "vldmia {x2}!, {{s22-s24}}",
            "vldmia {x3}!, {{s25-s27}}",
            three!("{dy0}" ["s0" "s1" "s2" "s3"]),
            three!("{dy1}" ["s4" "s5" "s6" "s7"]),
            three!("{dy2}" ["s8" "s9" "s10" "s11"]),
            three!("{dy3}" ["s12" "s13" "s14" "s15"]),
            "subs {threes}, #1",
            "bne 2b",
            "3:",
            "cmp {ones}, #0",
            "beq 5f",
            "4:",
            "vldmia {x0}!, {{s16}}",
            "vldmia {x1}!, {{s19}}",
            "vldmia {x2}!, {{s22}}",
            "vldmia {x3}!, {{s25}}",
            one!("{dy0}" ["s0" "s1" "s2" "s3"]),
            one!("{dy1}" ["s4" "s5" "s6" "s7"]),
            one!("{dy2}" ["s8" "s9" "s10" "s11"]),
            one!("{dy3}" ["s12" "s13" "s14" "s15"]),
            "subs {ones}, #1",
            "bne 4b",
            "5:",
            "vstmia {sums}, {{s0-s15}}",
            x0 = out(reg) _,
            x1 = out(reg) _,
            x2 = out(reg) _,
            x3 = out(reg) _,
            dy0 = inout(reg) maps.as_ptr() => _,
            dy1 = out(reg) _,
            dy2 = out(reg) _,
            dy3 = out(reg) _,
            sums = in(reg) sums.as_mut_ptr(),
            threes = inout(reg) columns / 3 => _,
            ones = inout(reg) columns % 3 => _,
            out("s0") _, out("s1") _, out("s2") _, out("s3") _, out("s4") _, out("s5") _, out("s6") _, out("s7") _,
            out("s8") _, out("s9") _, out("s10") _, out("s11") _, out("s12") _, out("s13") _, out("s14") _,
            out("s15") _, out("s16") _, out("s17") _, out("s18") _, out("s19") _, out("s20") _, out("s21") _,
            out("s22") _, out("s23") _, out("s24") _, out("s25") _, out("s26") _, out("s27") _, out("s28") _,
            out("s29") _, out("s30") _,
            options(nostack),
        );
    }
}

/// [`Simd::pointwise_weight_gradient`](super::super::Simd::pointwise_weight_gradient).
#[inline(never)]
pub(super) fn weights(
    windows: Windows,
    rows: Rows,
    plane: usize,
    x: &[f32],
    dy: &[f32],
    dw: &mut [f32],
) -> bool {
    let inputs = windows.inputs;
    let Some(outputs) = dw.len().checked_div(inputs) else {
        return false;
    };
    if fits(windows, rows, (outputs, plane), x.len(), dy.len()) != Some(true) {
        return false;
    }
    let rows = joined(rows);
    for o in (0..outputs).step_by(4) {
        for i in (0..inputs).step_by(4) {
            // A channel that is not there is the last one once more: its sums are the same.
            let place =
                |k: usize| (o + k / 4).min(outputs - 1) * inputs + (i + k % 4).min(inputs - 1);
            let mut sums = [0.0; 16];
            for (k, sum) in sums.iter_mut().enumerate() {
                *sum = dw.get(place(k)).copied().unwrap_or_default();
            }
            for r in 0..rows.count {
                let mut maps = [x.as_ptr(); 8];
                for (k, map) in maps.iter_mut().enumerate() {
                    *map = match k {
                        ..4 => x
                            .as_ptr()
                            .wrapping_add((i + k).min(inputs - 1) * windows.plane + r * rows.step),
                        _ => dy
                            .as_ptr()
                            .wrapping_add((o + k - 4).min(outputs - 1) * plane + r * rows.pitch),
                    };
                }
                // SAFETY: both maps hold all rows of all channels.
                unsafe { weights_4x4(&maps, rows.columns, &mut sums) };
            }
            for (k, sum) in sums.iter().enumerate() {
                if let Some(dw) = dw.get_mut(place(k)) {
                    *dw = *sum;
                }
            }
        }
    }
    true
}

/// Channels and floats between what is next to each other, for a tile of input gradients.
#[derive(Clone, Copy)]
struct Walk {
    /// Output channels, at least one.
    outputs: usize,
    /// Bytes from an output channel's gradients to the next one's.
    dy: usize,
    /// The same for weights.
    w: usize,
    /// The same for input channels.
    dx: usize,
}

/// The input gradients of four channels and five pixels.
///
/// # Safety
/// The pixels' gradients can be read from `dy` on and four weights from `w` on, for each output
/// channel; the pixels of four channels can be written from `dx` on.
unsafe fn inputs_4x5(walk: Walk, w: *const f32, dy: *const f32, dx: *mut f32) {
    // SAFETY: as above; every register that is written is declared.
    unsafe {
        asm!(
            "vmov s0, s1, {zero}, {zero}",
            "vmov s2, s3, {zero}, {zero}",
            "vmov s4, s5, {zero}, {zero}",
            "vmov s6, s7, {zero}, {zero}",
            "vmov s8, s9, {zero}, {zero}",
            "vmov s10, s11, {zero}, {zero}",
            "vmov s12, s13, {zero}, {zero}",
            "vmov s14, s15, {zero}, {zero}",
            "vmov s16, s17, {zero}, {zero}",
            "vmov s18, s19, {zero}, {zero}",
            "2:",
            "vldmia {dy}, {{s20-s24}}",
            "add {dy}, {next_dy}",
            "vldmia {w}, {{s25-s28}}",
            "add {w}, {next_w}",
            tap!("s25" ["s0" "s1" "s2" "s3" "s4"] ["s20" "s21" "s22" "s23" "s24"]),
            tap!("s26" ["s5" "s6" "s7" "s8" "s9"] ["s20" "s21" "s22" "s23" "s24"]),
            tap!("s27" ["s10" "s11" "s12" "s13" "s14"] ["s20" "s21" "s22" "s23" "s24"]),
            tap!("s28" ["s15" "s16" "s17" "s18" "s19"] ["s20" "s21" "s22" "s23" "s24"]),
            "subs {outputs}, #1",
            "bne 2b",
            "vstmia {dx}, {{s0-s4}}",
            "add {dx}, {next_dx}",
            "vstmia {dx}, {{s5-s9}}",
            "add {dx}, {next_dx}",
            "vstmia {dx}, {{s10-s14}}",
            "add {dx}, {next_dx}",
            "vstmia {dx}, {{s15-s19}}",
            zero = in(reg) 0,
            dy = inout(reg) dy => _,
            w = inout(reg) w => _,
            dx = inout(reg) dx => _,
            outputs = inout(reg) walk.outputs => _,
            next_dy = in(reg) walk.dy,
            next_w = in(reg) walk.w,
            next_dx = in(reg) walk.dx,
            out("s0") _, out("s1") _, out("s2") _, out("s3") _, out("s4") _, out("s5") _, out("s6") _, out("s7") _,
            out("s8") _, out("s9") _, out("s10") _, out("s11") _, out("s12") _, out("s13") _, out("s14") _,
            out("s15") _, out("s16") _, out("s17") _, out("s18") _, out("s19") _, out("s20") _, out("s21") _,
            out("s22") _, out("s23") _, out("s24") _, out("s25") _, out("s26") _, out("s27") _, out("s28") _,
            options(nostack),
        );
    }
}

/// [`Simd::pointwise_input_gradient`](super::super::Simd::pointwise_input_gradient).
#[inline(never)]
pub(super) fn inputs(
    windows: Windows,
    rows: Rows,
    plane: usize,
    w: &[f32],
    dy: &[f32],
    dx: &mut [f32],
) -> Option<bool> {
    let (inputs, rows) = (windows.inputs, joined(rows));
    if inputs < 4 || rows.columns < 5 {
        return None;
    }
    let Some(outputs @ 1..) = w.len().checked_div(inputs) else {
        return Some(false);
    };
    if fits(windows, rows, (outputs, plane), dx.len(), dy.len()) != Some(true) {
        return Some(false);
    }
    let walk = Walk {
        outputs,
        dy: plane * FLOAT,
        w: inputs * FLOAT,
        dx: windows.plane * FLOAT,
    };
    for i in (0..inputs).step_by(4) {
        // Where too few channels or pixels are left, a tile begins further in front and computes
        // some values over again.
        let i = i.min(inputs - 4);
        let w = w.as_ptr().wrapping_add(i);
        for r in 0..rows.count {
            let dy = dy.as_ptr().wrapping_add(r * rows.pitch);
            let dx = dx
                .as_mut_ptr()
                .wrapping_add(i * windows.plane + r * rows.step);
            for c in (0..rows.columns).step_by(5) {
                let c = c.min(rows.columns - 5);
                // SAFETY: both maps hold all rows of all channels, and `w` all weights.
                unsafe { inputs_4x5(walk, w, dy.wrapping_add(c), dx.wrapping_add(c)) };
            }
        }
    }
    Some(true)
}
