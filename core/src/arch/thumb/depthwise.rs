//! Depthwise convolutions, a channel at a time: forward in tiles of adjacent outputs, and both
//! gradients, row by row.

use super::super::single::{Rows, Windows};
use super::tile::{FLOAT, channel, tap, taps};
use core::arch::asm;

/// What a row of tiles needs besides pointers in registers. The assembly knows where each field
/// lies.
#[repr(C)]
struct Frame {
    w: *const f32,
    /// Rows of the kernel.
    rows: usize,
    /// Tiles in a row.
    tiles: usize,
    /// Bytes from where a tile has stopped to the next tile's first window.
    advance: usize,
    /// Bytes from behind a row's tiles to the next row's, in the map and in `y`.
    next_x: usize,
    next_y: usize,
}

/// How a tile walks over the map: bytes from a kernel row to the next, and the kernel's columns.
#[derive(Clone, Copy)]
struct Walk {
    row: usize,
    columns: usize,
}

/// A function for some adjacent tiles in each of `count` rows, both at least 1.
type Tiles = unsafe fn(&Frame, Walk, bias: f32, count: usize, *const f32, *mut f32);

/// Defines a tile of one channel: what comes before all tiles, instructions that fetch the sums,
/// those that add all terms, and the sums' registers.
macro_rules! tile {
    ($(#[$doc:meta])* $name:ident, $before:expr, $start:expr, $body:expr, $sums:literal) => {
        $(#[$doc])*
        ///
        /// # Safety
        /// The pixels of all windows of the tiles can be read from `x` on and the kernel's weights
        /// from `frame.w` on, and all of the tiles' values can be written from `y` on; `frame` and
        /// `walk` say what lies between.
        unsafe fn $name(
            frame: &Frame,
            walk: Walk,
            bias: f32,
            count: usize,
            x: *const f32,
            y: *mut f32,
        ) {
            // SAFETY: as above; every register that is written is declared.
            unsafe {
                asm!(
                    $before,
                    "8:",
                    "ldr {tiles}, [{frame}, #8]",
                    "7:",
                    $start,
                    $body,
                    concat!("vstmia {y}!, {{", $sums, "}}"),
                    "ldr {u}, [{frame}, #12]",
                    "add {x}, {u}",
                    "subs {tiles}, #1",
                    "bne 7b",
                    "ldrd {u}, {tiles}, [{frame}, #16]",
                    "add {x}, {u}",
                    "add {y}, {tiles}",
                    "subs {count}, #1",
                    "bne 8b",
                    "/* {columns} {w} {rows} */",
                    x = inout(reg) x => _,
                    y = inout(reg) y => _,
                    frame = in(reg) frame,
                    bias = in(reg) bias.to_bits(),
                    row = in(reg) walk.row,
                    columns = in(reg) walk.columns,
                    count = inout(reg) count => _,
                    tiles = out(reg) _,
                    w = out(reg) _,
                    rows = out(reg) _,
                    u = out(reg) _,
                    out("s0") _, out("s1") _, out("s2") _, out("s3") _, out("s4") _, out("s5") _, out("s6") _, out("s7") _,
                    out("s8") _, out("s9") _, out("s10") _, out("s11") _, out("s12") _, out("s13") _, out("s14") _,
                    out("s15") _, out("s16") _, out("s17") _, out("s18") _, out("s19") _, out("s20") _, out("s21") _,
                    out("s22") _, out("s23") _, out("s24") _, out("s25") _, out("s26") _,
                    options(nostack),
                );
            }
        }
    };
}

/// Kernels of 3 x 3, whose weights stay in registers from `s18` on.
macro_rules! slide_3x3 {
    ($pixels:literal $x:tt, $sums:tt) => {
        concat!(
            "vldmia {x}, {{",
            $pixels,
            "}}\nadd {x}, {row}\n",
            taps!(["s18" "s19" "s20"] $sums $x),
            "vldmia {x}, {{",
            $pixels,
            "}}\nadd {x}, {row}\n",
            taps!(["s21" "s22" "s23"] $sums $x),
            "vldmia {x}, {{",
            $pixels,
            "}}\nadd {x}, {row}\n",
            taps!(["s24" "s25" "s26"] $sums $x)
        )
    };
}

/// A slide over kernel rows of three weights.
macro_rules! slide {
    ($pixels:literal $x:tt, $range:literal $w:tt, $sums:tt) => {
        concat!(
            "ldrd {w}, {rows}, [{frame}]\n",
            "3:\nvldmia {x}, {{",
            $pixels,
            "}}\n",
            channel!("{w}", $range, $w, $sums, $x),
            "add {x}, {row}\nsubs {rows}, #1\nbne 3b"
        )
    };
}

/// A kernel of any size, tap by tap. The distance between rows is that from behind a row's last tap
/// to the next row.
macro_rules! any {
    ($pixels:literal $x:tt, $w:literal, $sums:tt) => {
        concat!(
            "ldrd {w}, {rows}, [{frame}]\n",
            "3:\nmov {u}, {columns}\n",
            "4:\nvldmia {x}, {{",
            $pixels,
            "}}\nadd {x}, #4\n",
            channel!("{w}", $w, [$w], $sums, $x),
            "subs {u}, #1\nbne 4b\n",
            "add {x}, {row}\nsubs {rows}, #1\nbne 3b"
        )
    };
}

/// Four sums begin with the bias.
macro_rules! start4 {
    () => {
        "vmov s0, s1, {bias}, {bias}\nvmov s2, s3, {bias}, {bias}"
    };
}

/// Eight sums begin with it.
macro_rules! start8 {
    () => {
        concat!(
            start4!(),
            "\nvmov s4, s5, {bias}, {bias}\nvmov s6, s7, {bias}, {bias}"
        )
    };
}

/// Loads nine weights.
macro_rules! nine {
    () => {
        "ldr {u}, [{frame}]\nvldmia {u}, {{s18-s26}}"
    };
}

tile!(
    /// Kernels of 3 x 3, eight pixels, stride 1.
    slide_3x3_8,
    nine!(),
    start8!(),
    slide_3x3!("s8-s17" ["s8" "s9" "s10" "s11" "s12" "s13" "s14" "s15" "s16" "s17"],
        ["s0" "s1" "s2" "s3" "s4" "s5" "s6" "s7"]),
    "s0-s7"
);

tile!(
    /// Kernels of 3 columns, four pixels, stride 1.
    slide3_4,
    "",
    start4!(),
    slide!("s8-s13" ["s8" "s9" "s10" "s11" "s12" "s13"], "s18-s20" ["s18" "s19" "s20"], ["s0" "s1" "s2" "s3"]),
    "s0-s3"
);

tile!(
    /// Any kernel, four pixels, stride 1.
    any_4,
    "",
    start4!(),
    any!("s8-s11" ["s8" "s9" "s10" "s11"], "s20", ["s0" "s1" "s2" "s3"]),
    "s0-s3"
);

tile!(
    /// Any kernel, four pixels, stride 2.
    any2_4,
    "",
    start4!(),
    any!("s8-s14" ["s8" "s10" "s12" "s14"], "s20", ["s0" "s1" "s2" "s3"]),
    "s0-s3"
);

tile!(
    /// Any kernel, one pixel, any stride.
    any_1,
    "",
    "vmov s0, {bias}",
    any!("s8" ["s8"], "s20", ["s0"]),
    "s0"
);

/// [`Simd::depthwise`](super::super::Simd::depthwise).
#[inline(never)]
pub(super) fn map(
    windows: Windows,
    stride: usize,
    rows: Rows,
    x: &[f32],
    w: &[f32],
    bias: f32,
    y: &mut [f32],
) -> bool {
    fitting(windows, stride, rows, x, w, bias, y).is_some()
}

/// The same; `None` for false.
#[inline(always)]
fn fitting(
    windows: Windows,
    stride: usize,
    rows: Rows,
    x: &[f32],
    w: &[f32],
    bias: f32,
    y: &mut [f32],
) -> Option<()> {
    let columns = rows.columns;
    if stride == 0 || !fits(windows, stride, rows, x.len(), w.len(), y.len())? {
        return None;
    }
    let slide = Walk {
        row: windows.row * FLOAT,
        columns: windows.columns,
    };
    let any = Walk {
        row: slide.row.wrapping_sub(windows.columns * FLOAT),
        ..slide
    };
    let kernel = [windows.rows, windows.columns];
    let (fours, walk): (Tiles, Walk) = match (stride, windows.columns) {
        (1, 3) => (slide3_4, slide),
        (1, _) => (any_4, any),
        _ => (any2_4, any),
    };
    let mut run = |tiles: Tiles, walk: Walk, width: usize, number: usize, at: usize| {
        if number == 0 {
            return;
        }
        let advance = width * stride;
        let bytes = |floats: usize| floats.wrapping_mul(FLOAT);
        let frame = Frame {
            w: w.as_ptr(),
            rows: windows.rows,
            tiles: number,
            advance: bytes(advance.wrapping_sub(windows.rows * windows.row)),
            next_x: bytes(rows.step.wrapping_sub(number * advance)),
            next_y: bytes(rows.pitch.wrapping_sub(number * width)),
        };
        let (x, y) = (
            x.as_ptr().wrapping_add(at * stride),
            y.as_mut_ptr().wrapping_add(at),
        );
        // SAFETY: the slices are as long as all windows of all rows, the kernel and the rows of
        // `y` need, and the last tile ends at the end of the row at the latest.
        unsafe { tiles(&frame, walk, bias, rows.count, x, y) };
    };
    // Where too few pixels are left, a tile begins further left and computes some values over
    // again.
    if columns < 4 || stride > 2 {
        run(any_1, any, 1, columns, 0);
        return Some(());
    }
    let mut done = 0;
    if columns >= 8 && stride == 1 && kernel == [3, 3] {
        run(slide_3x3_8, slide, 8, columns / 8, 0);
        done = columns / 8 * 8;
        if columns - done > 4 {
            run(slide_3x3_8, slide, 8, 1, columns - 8);
            done = columns;
        }
    }
    run(fours, walk, 4, (columns - done) / 4, done);
    if columns > done && !(columns - done).is_multiple_of(4) {
        run(fours, walk, 4, 1, columns - 4);
    }
    Some(())
}

/// Defines the weight gradients of one or three adjacent taps: over all rows, four pixels at a time
/// where the stride is 1, and pixel by pixel. The taps' sums are the first registers.
macro_rules! weight_gradient {
    ($(#[$doc:meta])* $name:ident, $sums:literal, four $four:literal [$($term:literal)*], one $one:literal [$($single:literal)*]) => {
        $(#[$doc])*
        ///
        /// # Safety
        /// The pixels under the taps in all rows can be read from `x` on and the gradients from
        /// `dy` on, and the taps' gradients can be written at `dw`; `rows` has a row and a pixel.
        unsafe fn $name(stride: usize, rows: Rows, x: *const f32, dy: *const f32, dw: *mut f32) {
            let fours = if stride == 1 { rows.columns / 4 } else { 0 };
            // SAFETY: as above; every register that is written is declared.
            unsafe {
                asm!(
                    concat!("vldmia {dw}, {{", $sums, "}}"),
                    "2:",
                    "movs {u}, {fours}",
                    "beq 4f",
                    "3:",
                    "vldmia {dy}!, {{s4-s7}}",
                    concat!("vldmia {x}, {{", $four, "}}"),
                    "add {x}, #16",
                    $($term,)*
                    "subs {u}, #1",
                    "bne 3b",
                    "4:",
                    "movs {u}, {ones}",
                    "beq 6f",
                    "5:",
                    "vldmia {dy}!, {{s4}}",
                    concat!("vldmia {x}, {{", $one, "}}"),
                    "add {x}, {stride}",
                    $($single,)*
                    "subs {u}, #1",
                    "bne 5b",
                    "6:",
                    "add {x}, {step}",
                    "add {dy}, {pitch}",
                    "subs {rows}, #1",
                    "bne 2b",
                    concat!("vstmia {dw}, {{", $sums, "}}"),
                    u = out(reg) _,
                    x = inout(reg) x => _,
                    dy = inout(reg) dy => _,
                    dw = in(reg) dw,
                    fours = in(reg) fours,
                    ones = in(reg) rows.columns - 4 * fours,
                    stride = in(reg) stride * FLOAT,
                    step = in(reg) rows.step.wrapping_sub(rows.columns * stride).wrapping_mul(FLOAT),
                    pitch = in(reg) rows.pitch.wrapping_sub(rows.columns).wrapping_mul(FLOAT),
                    rows = inout(reg) rows.count => _,
                    out("s0") _, out("s1") _, out("s2") _, out("s4") _, out("s5") _, out("s6") _, out("s7") _,
                    out("s8") _, out("s9") _, out("s10") _, out("s11") _, out("s12") _, out("s13") _,
                    options(nostack),
                );
            }
        }
    };
}

weight_gradient!(
    /// Three taps.
    weights_3, "s0-s2",
    four "s8-s13" ["vfma.f32 s0, s4, s8" "vfma.f32 s1, s4, s9" "vfma.f32 s2, s4, s10"
        "vfma.f32 s0, s5, s9" "vfma.f32 s1, s5, s10" "vfma.f32 s2, s5, s11"
        "vfma.f32 s0, s6, s10" "vfma.f32 s1, s6, s11" "vfma.f32 s2, s6, s12"
        "vfma.f32 s0, s7, s11" "vfma.f32 s1, s7, s12" "vfma.f32 s2, s7, s13"],
    one "s8-s10" ["vfma.f32 s0, s4, s8" "vfma.f32 s1, s4, s9" "vfma.f32 s2, s4, s10"]
);
weight_gradient!(
    /// One tap.
    weights_1, "s0",
    four "s8-s11" ["vfma.f32 s0, s4, s8" "vfma.f32 s0, s5, s9" "vfma.f32 s0, s6, s10" "vfma.f32 s0, s7, s11"],
    one "s8" ["vfma.f32 s0, s4, s8"]
);

/// The weight gradients of a kernel of 3 x 3, stride 1.
///
/// # Safety
/// The windows of all rows can be read from `x` on, whose rows are `row` floats apart, and the
/// gradients from `dy` on; nine gradients can be written at `dw`; `rows` has a row and a pixel.
unsafe fn weights_3x3(row: usize, rows: Rows, x: *const f32, dy: *const f32, dw: *mut f32) {
    /// Of a run of pixels the terms of all nine taps, row by row.
    macro_rules! window {
        ($pixels:literal $x:tt $y:tt) => {
            concat!(
                window!(@row $pixels $x $y ["s0" "s1" "s2"]),
                window!(@row $pixels $x $y ["s20" "s21" "s22"]),
                window!(@row $pixels $x $y ["s23" "s24" "s25"])
            )
        };
        (@row $pixels:literal $x:tt [$($y:literal)*] $sums:tt) => {
            concat!("vldmia {x}, {{", $pixels, "}}\nadd {x}, {row}\n", window!(@terms $x [$($y)*] $sums))
        };
        (@terms [$a:literal $b:literal $c:literal $($x:literal)*] [$y:literal $($ys:literal)*] [$s:literal $t:literal $u:literal]) => {
            concat!(
                "vfma.f32 ", $s, ", ", $y, ", ", $a, "\n",
                "vfma.f32 ", $t, ", ", $y, ", ", $b, "\n",
                "vfma.f32 ", $u, ", ", $y, ", ", $c, "\n",
                window!(@terms [$b $c $($x)*] [$($ys)*] [$s $t $u])
            )
        };
        (@terms $x:tt [] $sums:tt) => { "" };
    }
    let (fours, ones) = (rows.columns / 4, rows.columns % 4);
    let bytes = |floats: usize| floats.wrapping_mul(FLOAT);
    // SAFETY: as above; every register that is written is declared.
    unsafe {
        asm!(
            "vldmia {dw}!, {{s0-s2}}",
            "vldmia {dw}, {{s20-s25}}",
            "2:",
            "movs {u}, {fours}",
            "beq 4f",
            "3:",
            "vldmia {dy}!, {{s4-s7}}",
            window!("s8-s13" ["s8" "s9" "s10" "s11" "s12" "s13"] ["s4" "s5" "s6" "s7"]),
            "sub {x}, {back}",
            "add {x}, #16",
            "subs {u}, #1",
            "bne 3b",
            "4:",
            "movs {u}, {ones}",
            "beq 6f",
            "5:",
            "vldmia {dy}!, {{s4}}",
            window!("s8-s10" ["s8" "s9" "s10"] ["s4"]),
            "sub {x}, {back}",
            "add {x}, #4",
            "subs {u}, #1",
            "bne 5b",
            "6:",
            "add {x}, {step}",
            "add {dy}, {pitch}",
            "subs {rows}, #1",
            "bne 2b",
            "vstmia {dw}, {{s20-s25}}",
            "sub {dw}, #12",
            "vstmia {dw}, {{s0-s2}}",
            u = out(reg) _,
            x = inout(reg) x => _,
            dy = inout(reg) dy => _,
            dw = inout(reg) dw => _,
            fours = in(reg) fours,
            ones = in(reg) ones,
            row = in(reg) bytes(row),
            back = in(reg) bytes(3 * row),
            step = in(reg) bytes(rows.step.wrapping_sub(rows.columns)),
            pitch = in(reg) bytes(rows.pitch.wrapping_sub(rows.columns)),
            rows = inout(reg) rows.count => _,
            out("s0") _, out("s1") _, out("s2") _, out("s4") _, out("s5") _, out("s6") _, out("s7") _,
            out("s8") _, out("s9") _, out("s10") _, out("s11") _, out("s12") _, out("s13") _, out("s20") _,
            out("s21") _, out("s22") _, out("s23") _, out("s24") _, out("s25") _,
            options(nostack),
        );
    }
}

/// Defines the input gradients of a row of outputs from one or three adjacent taps: four outputs at
/// a time where the stride is 1, and output by output.
macro_rules! input_gradient {
    ($(#[$doc:meta])* $name:ident, $weights:literal, four $four:literal [$($term:literal)*], one $one:literal [$($single:literal)*]) => {
        $(#[$doc])*
        ///
        /// # Safety
        /// The gradients of `columns` outputs, at least one, can be read from `dy` on and the taps'
        /// weights at `w`; the pixels under the taps can be written from `dx` on.
        unsafe fn $name(stride: usize, columns: usize, w: *const f32, dy: *const f32, dx: *mut f32) {
            let fours = if stride == 1 { columns / 4 } else { 0 };
            // SAFETY: as above; every register that is written is declared.
            unsafe {
                asm!(
                    concat!("vldmia {w}, {{", $weights, "}}"),
                    "cmp {fours}, #0",
                    "beq 4f",
                    "3:",
                    "vldmia {dy}!, {{s4-s7}}",
                    concat!("vldmia {dx}, {{", $four, "}}"),
                    $($term,)*
                    concat!("vstmia {dx}, {{", $four, "}}"),
                    "add {dx}, #16",
                    "subs {fours}, #1",
                    "bne 3b",
                    "4:",
                    "cmp {ones}, #0",
                    "beq 6f",
                    "5:",
                    "vldmia {dy}!, {{s4}}",
                    concat!("vldmia {dx}, {{", $one, "}}"),
                    $($single,)*
                    concat!("vstmia {dx}, {{", $one, "}}"),
                    "add {dx}, {stride}",
                    "subs {ones}, #1",
                    "bne 5b",
                    "6:",
                    dx = inout(reg) dx => _,
                    dy = inout(reg) dy => _,
                    w = in(reg) w,
                    fours = inout(reg) fours => _,
                    ones = inout(reg) columns - 4 * fours => _,
                    stride = in(reg) stride * FLOAT,
                    out("s0") _, out("s1") _, out("s2") _, out("s4") _, out("s5") _, out("s6") _, out("s7") _,
                    out("s8") _, out("s9") _, out("s10") _, out("s11") _, out("s12") _, out("s13") _,
                    options(nostack),
                );
            }
        }
    };
}

input_gradient!(
    /// Three taps.
    inputs_3, "s0-s2",
    four "s8-s13" ["vfma.f32 s8, s4, s0" "vfma.f32 s9, s4, s1" "vfma.f32 s10, s4, s2"
        "vfma.f32 s9, s5, s0" "vfma.f32 s10, s5, s1" "vfma.f32 s11, s5, s2"
        "vfma.f32 s10, s6, s0" "vfma.f32 s11, s6, s1" "vfma.f32 s12, s6, s2"
        "vfma.f32 s11, s7, s0" "vfma.f32 s12, s7, s1" "vfma.f32 s13, s7, s2"],
    one "s8-s10" ["vfma.f32 s8, s4, s0" "vfma.f32 s9, s4, s1" "vfma.f32 s10, s4, s2"]
);
input_gradient!(
    /// One tap.
    inputs_1, "s0",
    four "s8-s11" ["vfma.f32 s8, s4, s0" "vfma.f32 s9, s5, s0" "vfma.f32 s10, s6, s0" "vfma.f32 s11, s7, s0"],
    one "s8" ["vfma.f32 s8, s4, s0"]
);

/// Whether the map, the kernel and the outputs are as long as all windows of all rows need.
fn fits(
    windows: Windows,
    stride: usize,
    rows: Rows,
    map: usize,
    kernel: usize,
    outputs: usize,
) -> Option<bool> {
    let last = rows.count.checked_sub(1)?;
    let span = rows.columns.checked_sub(1)?.checked_mul(stride)?;
    let above = last.checked_mul(rows.step)?;
    Some(
        windows.inputs == 1
            && map >= windows.reach()?.checked_add(span)?.checked_add(above)?
            && kernel >= windows.terms()?
            && outputs >= last.checked_mul(rows.pitch)?.checked_add(rows.columns)?,
    )
}

/// [`Simd::depthwise_weight_gradient`](super::super::Simd::depthwise_weight_gradient).
#[inline(never)]
pub(super) fn weights(
    windows: Windows,
    stride: usize,
    rows: Rows,
    x: &[f32],
    dy: &[f32],
    dw: &mut [f32],
) -> bool {
    if fits(windows, stride, rows, x.len(), dw.len(), dy.len()) != Some(true) {
        return false;
    }
    let mut dw = dw.as_mut_ptr();
    if stride == 1 && [windows.rows, windows.columns] == [3, 3] {
        // SAFETY: the slices are as long as all windows of all rows, the kernel and the rows of
        // `dy` need.
        unsafe { weights_3x3(windows.row, rows, x.as_ptr(), dy.as_ptr(), dw) };
        return true;
    }
    for u in 0..windows.rows {
        let mut v = 0;
        while v < windows.columns {
            let x = x.as_ptr().wrapping_add(u * windows.row + v);
            let three = windows.columns - v >= 3;
            // SAFETY: the slices are as long as all windows of all rows, the kernel and the rows of
            // `dy` need.
            unsafe {
                if three {
                    weights_3(stride, rows, x, dy.as_ptr(), dw);
                } else {
                    weights_1(stride, rows, x, dy.as_ptr(), dw);
                }
            }
            let taps = if three { 3 } else { 1 };
            dw = dw.wrapping_add(taps);
            v += taps;
        }
    }
    true
}

/// [`Simd::depthwise_input_gradient`](super::super::Simd::depthwise_input_gradient).
#[inline(never)]
pub(super) fn inputs(
    windows: Windows,
    stride: usize,
    rows: Rows,
    w: &[f32],
    dy: &[f32],
    dx: &mut [f32],
) -> bool {
    if fits(windows, stride, rows, dx.len(), w.len(), dy.len()) != Some(true) {
        return false;
    }
    for r in 0..rows.count {
        let dy = dy.as_ptr().wrapping_add(r * rows.pitch);
        for u in 0..windows.rows {
            let dx = dx
                .as_mut_ptr()
                .wrapping_add(r * rows.step + u * windows.row);
            let w = w.as_ptr().wrapping_add(u * windows.columns);
            // SAFETY: the slices are as long as all windows of all rows, the kernel and the rows of
            // `dy` need.
            unsafe {
                if windows.columns == 3 {
                    inputs_3(stride, rows.columns, w, dy, dx);
                    continue;
                }
                // A pixel has its terms from left to right, so from its last tap to its first.
                for v in (0..windows.columns).rev() {
                    inputs_1(
                        stride,
                        rows.columns,
                        w.wrapping_add(v),
                        dy,
                        dx.wrapping_add(v),
                    );
                }
            }
        }
    }
    true
}
