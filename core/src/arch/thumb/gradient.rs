//! Gradients of convolutions, from lists of the pixels that have one.
//!
//! A block is some kernel rows of some columns, whose weights, or weight gradients, stay in
//! registers while it goes through the list. The rows are those of a kernel, or, where a kernel has
//! one row, the input channels. Weight gradients may be cut into blocks anyhow. An input gradient
//! takes terms from several weights of a channel, in the order of the list: there a block must be a
//! whole kernel, or whole kernels of one row.

use super::super::single::Windows;
use super::tile::FLOAT;
use core::arch::asm;

/// A list of pixels: where it begins, and how many there are, at least one.
#[derive(Clone, Copy)]
struct List {
    pixels: *const f32,
    count: usize,
}

/// A block's function: the list, the map, bytes between the map's rows, and the weights or their
/// gradients.
type Weights = unsafe fn(List, *const f32, usize, *mut f32);
type Inputs = unsafe fn(List, *mut f32, usize, *const f32);

/// `sum += g pixel` for each pair of registers.
macro_rules! terms {
    ($g:literal [$($sum:literal)*] [$($factor:literal)*]) => {
        concat!($("vfma.f32 ", $sum, ", ", $g, ", ", $factor, "\n",)*)
    };
}

/// The list's next pixel: its gradient in a register, and the address of its window.
macro_rules! next {
    ($g:literal) => {
        concat!(
            "2:\nldr {at}, [{pixels}], #4\nvldmia {pixels}!, {{",
            $g,
            "}}\nadd {at}, {x}, {at}, lsl #2\n"
        )
    };
}

/// Defines a block of weight gradients: `$range` are the registers of all, and for each row there
/// are those of its sums.
macro_rules! weight_gradient {
    ($(#[$doc:meta])* $name:ident, $range:literal, $g:literal, $pixels:literal $x:tt, $first:tt $($sums:tt)*) => {
        $(#[$doc])*
        ///
        /// # Safety
        /// Of each of the list's pixels the window in each row of the block can be read, whose rows
        /// are `row` bytes apart, the first from `x` on; `dw` can be written.
        unsafe fn $name(list: List, x: *const f32, row: usize, dw: *mut f32) {
            // SAFETY: as above; every register that is written is declared.
            unsafe {
                asm!(
                    concat!("vldmia {dw}, {{", $range, "}}"),
                    next!($g),
                    concat!("vldmia {at}, {{", $pixels, "}}\n", terms!($g $first $x)),
                    $(concat!("add {at}, {row}\nvldmia {at}, {{", $pixels, "}}\n", terms!($g $sums $x)),)*
                    "subs {count}, #1",
                    "bne 2b",
                    concat!("vstmia {dw}, {{", $range, "}}"),
                    "/* {row} */",
                    pixels = inout(reg) list.pixels => _,
                    count = inout(reg) list.count => _,
                    at = out(reg) _,
                    x = in(reg) x,
                    row = in(reg) row,
                    dw = in(reg) dw,
                    out("s0") _, out("s1") _, out("s2") _, out("s3") _, out("s4") _, out("s5") _, out("s6") _, out("s7") _,
                    out("s8") _, out("s9") _, out("s10") _, out("s11") _, out("s12") _, out("s13") _, out("s14") _,
                    out("s15") _, out("s16") _, out("s17") _, out("s18") _, out("s19") _, out("s20") _, out("s21") _,
                    out("s22") _, out("s23") _, out("s24") _, out("s25") _, out("s26") _, out("s27") _, out("s28") _,
                    out("s29") _, out("s30") _,
                    options(nostack),
                );
            }
        }
    };
}

/// Defines a block of input gradients: `$range` are the registers of all weights, and for each row
/// there are those of its own.
macro_rules! input_gradient {
    ($(#[$doc:meta])* $name:ident, $range:literal, $g:literal, $pixels:literal $x:tt, $first:tt $($weights:tt)*) => {
        $(#[$doc])*
        ///
        /// # Safety
        /// Of each of the list's pixels the window in each row of the block can be written, whose
        /// rows are `row` bytes apart, the first from `x` on; `w` can be read.
        unsafe fn $name(list: List, x: *mut f32, row: usize, w: *const f32) {
            // SAFETY: as above; every register that is written is declared.
            unsafe {
                asm!(
                    concat!("vldmia {w}, {{", $range, "}}"),
                    next!($g),
                    concat!("vldmia {at}, {{", $pixels, "}}\n", terms!($g $x $first), "vstmia {at}, {{", $pixels, "}}"),
                    $(concat!("add {at}, {row}\nvldmia {at}, {{", $pixels, "}}\n", terms!($g $x $weights),
                        "vstmia {at}, {{", $pixels, "}}"),)*
                    "subs {count}, #1",
                    "bne 2b",
                    "/* {row} */",
                    pixels = inout(reg) list.pixels => _,
                    count = inout(reg) list.count => _,
                    at = out(reg) _,
                    x = in(reg) x,
                    row = in(reg) row,
                    w = in(reg) w,
                    out("s0") _, out("s1") _, out("s2") _, out("s3") _, out("s4") _, out("s5") _, out("s6") _, out("s7") _,
                    out("s8") _, out("s9") _, out("s10") _, out("s11") _, out("s12") _, out("s13") _, out("s14") _,
                    out("s15") _, out("s16") _, out("s17") _, out("s18") _, out("s19") _, out("s20") _, out("s21") _,
                    out("s22") _, out("s23") _, out("s24") _, out("s25") _, out("s26") _, out("s27") _, out("s28") _,
                    out("s29") _, out("s30") _,
                    options(nostack),
                );
            }
        }
    };
}

weight_gradient!(
    /// Five rows of five columns.
    weights_5x5, "s0-s24", "s25", "s26-s30" ["s26" "s27" "s28" "s29" "s30"],
    ["s0" "s1" "s2" "s3" "s4"] ["s5" "s6" "s7" "s8" "s9"] ["s10" "s11" "s12" "s13" "s14"]
    ["s15" "s16" "s17" "s18" "s19"] ["s20" "s21" "s22" "s23" "s24"]
);
weight_gradient!(
    /// Three rows of three columns.
    weights_3x3, "s0-s8", "s9", "s10-s12" ["s10" "s11" "s12"],
    ["s0" "s1" "s2"] ["s3" "s4" "s5"] ["s6" "s7" "s8"]
);
weight_gradient!(
    /// Eight rows of one column.
    weights_8x1, "s0-s7", "s9", "s10" ["s10"],
    ["s0"] ["s1"] ["s2"] ["s3"] ["s4"] ["s5"] ["s6"] ["s7"]
);
weight_gradient!(
    /// Five columns of a row.
    weights_5, "s0-s4", "s9", "s10-s14" ["s10" "s11" "s12" "s13" "s14"], ["s0" "s1" "s2" "s3" "s4"]
);
weight_gradient!(
    /// Three columns of a row.
    weights_3, "s0-s2", "s9", "s10-s12" ["s10" "s11" "s12"], ["s0" "s1" "s2"]
);
weight_gradient!(
    /// Two columns of a row.
    weights_2, "s0-s1", "s9", "s10-s11" ["s10" "s11"], ["s0" "s1"]
);
weight_gradient!(
    /// One column of a row.
    weights_1, "s0", "s9", "s10" ["s10"], ["s0"]
);

input_gradient!(
    /// Five rows of five columns.
    inputs_5x5, "s0-s24", "s25", "s26-s30" ["s26" "s27" "s28" "s29" "s30"],
    ["s0" "s1" "s2" "s3" "s4"] ["s5" "s6" "s7" "s8" "s9"] ["s10" "s11" "s12" "s13" "s14"]
    ["s15" "s16" "s17" "s18" "s19"] ["s20" "s21" "s22" "s23" "s24"]
);
input_gradient!(
    /// Three rows of three columns.
    inputs_3x3, "s0-s8", "s9", "s10-s12" ["s10" "s11" "s12"],
    ["s0" "s1" "s2"] ["s3" "s4" "s5"] ["s6" "s7" "s8"]
);
input_gradient!(
    /// Eight rows of one column.
    inputs_8x1, "s0-s7", "s9", "s10" ["s10"],
    ["s0"] ["s1"] ["s2"] ["s3"] ["s4"] ["s5"] ["s6"] ["s7"]
);
input_gradient!(
    /// A row of five columns.
    inputs_5, "s0-s4", "s9", "s10-s14" ["s10" "s11" "s12" "s13" "s14"], ["s0" "s1" "s2" "s3" "s4"]
);
input_gradient!(
    /// A row of three columns.
    inputs_3, "s0-s2", "s9", "s10-s12" ["s10" "s11" "s12"], ["s0" "s1" "s2"]
);
input_gradient!(
    /// A row of one column.
    inputs_1, "s0", "s9", "s10" ["s10"], ["s0"]
);

/// The input gradient of one channel for any kernel: pixel by pixel, all its rows, by pairs of
/// columns and an odd last one.
///
/// # Safety
/// As for a block of `windows.rows` x `windows.columns`, both at least 1.
unsafe fn inputs_any(list: List, x: *mut f32, windows: Windows, w: *const f32) {
    let row = windows
        .row
        .wrapping_sub(windows.columns)
        .wrapping_mul(FLOAT);
    let List { mut pixels, count } = list;
    for _ in 0..count {
        // SAFETY: as above; every register that is written is declared.
        unsafe {
            asm!(
                "ldr {at}, [{pixels}], #4",
                "vldmia {pixels}!, {{s4}}",
                "add {at}, {x}, {at}, lsl #2",
                "2:",
                "lsrs {u}, {columns}, #1",
                "beq 4f",
                "3:",
                "vldmia {w}!, {{s0-s1}}",
                "vldmia {at}, {{s2-s3}}",
                "vfma.f32 s2, s4, s0",
                "vfma.f32 s3, s4, s1",
                "vstmia {at}!, {{s2-s3}}",
                "subs {u}, #1",
                "bne 3b",
                "4:",
                "lsls {u}, {columns}, #31",
                "beq 5f",
                "vldmia {w}!, {{s0}}",
                "vldmia {at}, {{s2}}",
                "vfma.f32 s2, s4, s0",
                "vstmia {at}!, {{s2}}",
                "5:",
                "add {at}, {row}",
                "subs {rows}, #1",
                "bne 2b",
                pixels = inout(reg) pixels,
                at = out(reg) _,
                u = out(reg) _,
                x = in(reg) x,
                w = inout(reg) w => _,
                row = in(reg) row,
                rows = inout(reg) windows.rows => _,
                columns = in(reg) windows.columns,
                out("s0") _, out("s1") _, out("s2") _, out("s3") _, out("s4") _,
                options(nostack),
            );
        }
    }
}

/// The list, if all its pixels' windows lie in a map of `map` floats, and it is not empty.
#[inline(always)]
fn inside(windows: Windows, pixels: &[f32], map: usize) -> Option<List> {
    let pairs = pixels.as_chunks::<2>().0;
    let last = pairs.iter().map(|pixel| pixel[0].to_bits()).max()?;
    let fits = windows.reach()?.checked_add(last as usize)? <= map;
    fits.then_some(List {
        pixels: pixels.as_ptr(),
        count: pairs.len(),
    })
}

/// Channels, rows of each, floats between them: what blocks are cut from. The channels of a kernel
/// of one row are like the rows of another kernel.
#[inline(always)]
fn flat(windows: Windows) -> Windows {
    if windows.rows == 1 {
        return Windows {
            inputs: 1,
            rows: windows.inputs,
            row: windows.plane,
            ..windows
        };
    }
    windows
}

/// [`Simd::conv_weight_gradient`](super::super::Simd::conv_weight_gradient).
#[inline(never)]
pub(super) fn weights(windows: Windows, pixels: &[f32], x: &[f32], dw: &mut [f32]) -> bool {
    fitting_weights(windows, pixels, x, dw).is_some()
}

/// The same; `None` for false.
#[inline(always)]
fn fitting_weights(windows: Windows, pixels: &[f32], x: &[f32], dw: &mut [f32]) -> Option<()> {
    let list = inside(windows, pixels, x.len())?;
    if dw.len() < windows.terms()? {
        return None;
    }
    let windows = flat(windows);
    let (tall, rows): (Weights, usize) = match windows.columns {
        5 => (weights_5x5, 5),
        3 => (weights_3x3, 3),
        1 => (weights_8x1, 8),
        _ => (weights_1, usize::MAX),
    };
    let mut dw = dw.as_mut_ptr();
    for i in 0..windows.inputs {
        let x = x.as_ptr().wrapping_add(i * windows.plane);
        let mut u = 0;
        while u < windows.rows {
            let x = x.wrapping_add(u * windows.row);
            if windows.rows - u >= rows {
                // SAFETY: all windows lie in `x`, and `dw` holds all weights.
                unsafe { tall(list, x, windows.row * FLOAT, dw) };
                dw = dw.wrapping_add(rows * windows.columns);
                u += rows;
                continue;
            }
            let mut v = 0;
            while v < windows.columns {
                let (block, columns): (Weights, usize) = match windows.columns - v {
                    5.. => (weights_5, 5),
                    3.. => (weights_3, 3),
                    2.. => (weights_2, 2),
                    _ => (weights_1, 1),
                };
                // SAFETY: as above.
                unsafe { block(list, x.wrapping_add(v), 0, dw) };
                dw = dw.wrapping_add(columns);
                v += columns;
            }
            u += 1;
        }
    }
    Some(())
}

/// [`Simd::conv_input_gradient`](super::super::Simd::conv_input_gradient).
#[inline(never)]
pub(super) fn inputs(windows: Windows, pixels: &[f32], w: &[f32], dx: &mut [f32]) -> bool {
    fitting_inputs(windows, pixels, w, dx).is_some()
}

/// The same; `None` for false.
#[inline(always)]
fn fitting_inputs(windows: Windows, pixels: &[f32], w: &[f32], dx: &mut [f32]) -> Option<()> {
    let list = inside(windows, pixels, dx.len())?;
    if w.len() < windows.terms()? {
        return None;
    }
    let one_row = windows.rows == 1;
    let windows = flat(windows);
    let (block, rows): (Inputs, usize) = match windows.columns {
        5 => (inputs_5x5, 5),
        3 => (inputs_3x3, 3),
        _ => (inputs_8x1, 8),
    };
    // Blocks do for a kernel that is one, or for rows of different channels.
    let blocks = match windows.columns {
        1 | 3 | 5 => one_row || (windows.rows == rows),
        _ => false,
    };
    let mut w = w.as_ptr();
    for i in 0..windows.inputs {
        let dx = dx.as_mut_ptr().wrapping_add(i * windows.plane);
        if !blocks {
            // SAFETY: all windows lie in `dx`, and `w` holds all weights.
            unsafe { inputs_any(list, dx, windows, w) };
            w = w.wrapping_add(windows.rows * windows.columns);
            continue;
        }
        let mut u = 0;
        while u < windows.rows {
            let (block, rows): (Inputs, usize) = match windows.columns {
                _ if windows.rows - u >= rows => (block, rows),
                5 => (inputs_5, 1),
                3 => (inputs_3, 1),
                _ => (inputs_1, 1),
            };
            let dx = dx.wrapping_add(u * windows.row);
            // SAFETY: as above.
            unsafe { block(list, dx, windows.row * FLOAT, w) };
            w = w.wrapping_add(rows * windows.columns);
            u += rows;
        }
    }
    Some(())
}
