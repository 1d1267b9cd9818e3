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

/// The weight gradients of four output channels by four input channels, over a row of pixels.
///
/// # Safety
/// `columns` floats can be read from each pointer of `x` and `dy` on.
#[inline(always)]
unsafe fn weights_4x4(x: [*const f32; 4], dy: [*const f32; 4], columns: usize, dw: &mut [f32; 16]) {
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
            "vldmia {dw}, {{s0-s15}}",
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
            "vstmia {dw}, {{s0-s15}}",
            x0 = inout(reg) x[0] => _,
            x1 = inout(reg) x[1] => _,
            x2 = inout(reg) x[2] => _,
            x3 = inout(reg) x[3] => _,
            dy0 = inout(reg) dy[0] => _,
            dy1 = inout(reg) dy[1] => _,
            dy2 = inout(reg) dy[2] => _,
            dy3 = inout(reg) dy[3] => _,
            dw = in(reg) dw.as_mut_ptr(),
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
            let os: [usize; 4] = core::array::from_fn(|k| (o + k).min(outputs - 1));
            let is: [usize; 4] = core::array::from_fn(|k| (i + k).min(inputs - 1));
            let mut sums = [0.0; 16];
            for (k, sum) in sums.iter_mut().enumerate() {
                *sum = dw
                    .get(os[k / 4] * inputs + is[k % 4])
                    .copied()
                    .unwrap_or(0.0);
            }
            for r in 0..rows.count {
                let x = is.map(|i| x.as_ptr().wrapping_add(i * windows.plane + r * rows.step));
                let dy = os.map(|o| dy.as_ptr().wrapping_add(o * plane + r * rows.pitch));
                // SAFETY: both maps hold all rows of all channels.
                unsafe { weights_4x4(x, dy, rows.columns, &mut sums) };
            }
            for (k, sum) in sums.iter().enumerate() {
                if let Some(dw) = dw.get_mut(os[k / 4] * inputs + is[k % 4]) {
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

/// Defines a tile of input gradients of four channels: the gradients' registers, and those of each
/// channel's sums.
macro_rules! inputs {
    ($(#[$doc:meta])* $name:ident, $range:literal $dy:tt, [$ra:literal $a:tt] [$rb:literal $b:tt] [$rc:literal $c:tt] [$rd:literal $d:tt]) => {
        $(#[$doc])*
        ///
        /// # Safety
        /// The pixels' gradients can be read from `dy` on and four weights from `w` on, for each
        /// output channel; the pixels of four channels can be written from `dx` on.
        unsafe fn $name(walk: Walk, w: *const f32, dy: *const f32, dx: *mut f32) {
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
                    concat!("vldmia {dy}, {{", $range, "}}"),
                    "add {dy}, {next_dy}",
                    "vldmia {w}, {{s25-s28}}",
                    "add {w}, {next_w}",
                    tap!("s25" $a $dy),
                    tap!("s26" $b $dy),
                    tap!("s27" $c $dy),
                    tap!("s28" $d $dy),
                    "subs {outputs}, #1",
                    "bne 2b",
                    concat!("vstmia {dx}, {{", $ra, "}}"),
                    "add {dx}, {next_dx}",
                    concat!("vstmia {dx}, {{", $rb, "}}"),
                    "add {dx}, {next_dx}",
                    concat!("vstmia {dx}, {{", $rc, "}}"),
                    "add {dx}, {next_dx}",
                    concat!("vstmia {dx}, {{", $rd, "}}"),
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
    };
}

inputs!(
    /// Five pixels.
    inputs_5, "s20-s24" ["s20" "s21" "s22" "s23" "s24"],
    ["s0-s4" ["s0" "s1" "s2" "s3" "s4"]] ["s5-s9" ["s5" "s6" "s7" "s8" "s9"]]
    ["s10-s14" ["s10" "s11" "s12" "s13" "s14"]] ["s15-s19" ["s15" "s16" "s17" "s18" "s19"]]
);
inputs!(
    /// One pixel.
    inputs_1, "s20" ["s20"], ["s0" ["s0"]] ["s1" ["s1"]] ["s2" ["s2"]] ["s3" ["s3"]]
);

/// [`Simd::pointwise_input_gradient`](super::super::Simd::pointwise_input_gradient).
#[inline(never)]
pub(super) fn inputs(
    windows: Windows,
    rows: Rows,
    plane: usize,
    w: &[f32],
    dy: &[f32],
    dx: &mut [f32],
) -> bool {
    let inputs = windows.inputs;
    let Some(outputs @ 1..) = w.len().checked_div(inputs) else {
        return false;
    };
    let fits = fits(windows, rows, (outputs, plane), dx.len(), dy.len());
    if fits != Some(true) || inputs < 4 {
        return false;
    }
    let rows = joined(rows);
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
            let mut c = 0;
            while c < rows.columns {
                let (width, tile): (usize, unsafe fn(Walk, *const f32, *const f32, *mut f32)) =
                    if rows.columns >= 5 {
                        (5, inputs_5)
                    } else {
                        (1, inputs_1)
                    };
                c = c.min(rows.columns - width);
                // SAFETY: both maps hold all rows of all channels, and `w` all weights.
                unsafe { tile(walk, w, dy.wrapping_add(c), dx.wrapping_add(c)) };
                c += width;
            }
        }
    }
    true
}
