//! Forward rows of convolutions.
//!
//! Three kinds of tile share the work. *Slides* know the columns of the kernel (3 or 5) and have
//! stride 1: of a kernel row they load each pixel once. *Taps* take any kernel, a column of it at a
//! time, and load the tile's pixels anew for each; where the kernel has one column they step from
//! one of its rows, or from one input channel, to the next. A tile of a single pixel takes any
//! stride.

use super::super::single::{Rows, Windows};
use super::tile::{FLOAT, channel, tap, taps};
use core::arch::asm;

/// What tiles of four channels need besides pointers in registers. The assembly knows where each
/// field lies.
#[repr(C)]
struct Frame {
    y: *mut f32,
    /// Bytes from the first channel's row of `y` to the second's.
    second: usize,
    /// Rows of the kernel.
    rows: usize,
    /// Columns of the kernel.
    taps: usize,
    /// Bytes from behind the last kernel row of a channel to its first in the next channel.
    skip: usize,
    /// The first window of the tile.
    x: *const f32,
    /// Bytes from there to the first window of the next tile.
    advance: usize,
    /// Input channels.
    inputs: usize,
    /// Bytes of an output channel's weights.
    weights: usize,
    /// Tiles to go, at least one.
    tiles: usize,
    /// The sums' beginnings.
    bias: [[f32; 5]; 4],
    /// Bytes from the second channel's row of `y` to the third's, and from there to the fourth's.
    third: usize,
    fourth: usize,
}

/// How a tile walks over the map: bytes from a kernel row to the next, and from a tap to the next.
#[derive(Clone, Copy)]
struct Walk {
    row: usize,
    step: usize,
}

/// A function for some adjacent tiles.
type Tiles = unsafe fn(Walk, [*const f32; 4], &mut Frame);

/// Defines tiles of four channels: bytes of a row of a tile, instructions that fetch the sums,
/// those that add all terms, and the registers of each channel's sums.
macro_rules! tile {
    ($(#[$doc:meta])* $name:ident, $width:literal, $start:expr, $body:expr, [$ra:literal $rb:literal $rc:literal $rd:literal]) => {
        $(#[$doc])*
        ///
        /// # Safety
        /// The pixels of all windows of the tiles can be read from `frame.x` on, the weights of
        /// four channels from `w` on, and four rows can be written from `frame.y` on; `walk` and
        /// `frame` say what lies between.
        unsafe fn $name(walk: Walk, w: [*const f32; 4], frame: &mut Frame) {
            // SAFETY: as above; every register that is written is declared.
            unsafe {
                asm!(
                    "8:",
                    "add {u}, {frame}, #40",
                    $start,
                    $body,
                    "ldrd {u}, {r}, [{frame}]",
                    concat!("vstmia {u}, {{", $ra, "}}"),
                    "add {u}, {r}",
                    concat!("vstmia {u}, {{", $rb, "}}"),
                    "ldr {r}, [{frame}, #120]",
                    "add {u}, {r}",
                    concat!("vstmia {u}, {{", $rc, "}}"),
                    "ldr {r}, [{frame}, #124]",
                    "add {u}, {r}",
                    concat!("vstmia {u}, {{", $rd, "}}"),
                    "ldr {u}, [{frame}, #36]",
                    "subs {u}, #1",
                    "beq 9f",
                    "str {u}, [{frame}, #36]",
                    "ldrd {inputs}, {u}, [{frame}, #28]",
                    "sub {w0}, {u}",
                    "sub {w1}, {u}",
                    "sub {w2}, {u}",
                    "sub {w3}, {u}",
                    "ldr {u}, [{frame}]",
                    concat!("add {u}, #", $width),
                    "str {u}, [{frame}]",
                    "ldrd {u}, {x}, [{frame}, #20]",
                    "add {x}, {u}",
                    "str {x}, [{frame}, #20]",
                    "b 8b",
                    "9: /* {step} */",
                    x = inout(reg) frame.x => _,
                    w0 = inout(reg) w[0] => _,
                    w1 = inout(reg) w[1] => _,
                    w2 = inout(reg) w[2] => _,
                    w3 = inout(reg) w[3] => _,
                    frame = in(reg) frame,
                    row = in(reg) walk.row,
                    step = in(reg) walk.step,
                    inputs = inout(reg) frame.inputs => _,
                    r = out(reg) _,
                    u = out(reg) _,
                    out("s0") _, out("s1") _, out("s2") _, out("s3") _, out("s4") _, out("s5") _, out("s6") _, out("s7") _,
                    out("s8") _, out("s9") _, out("s10") _, out("s11") _, out("s12") _, out("s13") _, out("s14") _,
                    out("s15") _, out("s16") _, out("s17") _, out("s18") _, out("s19") _, out("s20") _, out("s21") _,
                    out("s22") _, out("s23") _, out("s24") _, out("s25") _, out("s26") _, out("s27") _, out("s28") _,
                    out("s29") _, out("s30") _, out("s31") _,
                    options(nostack),
                );
            }
        }
    };
}

/// The sums of five pixels begin with the frame's biases.
macro_rules! start5 {
    () => {
        "vldmia {u}, {{s0-s19}}"
    };
}

/// The same for four pixels: each channel's first four of five.
macro_rules! start4 {
    () => {
        "vldmia {u}!, {{s0-s4}}\nvldmia {u}!, {{s4-s8}}\nvldmia {u}!, {{s8-s12}}\nvldmia {u}, {{s12-s16}}"
    };
}

/// The same for one pixel.
macro_rules! start1 {
    () => {
        "vldmia {u}!, {{s0-s4}}\nvldmia {u}!, {{s1-s5}}\nvldmia {u}!, {{s2-s6}}\nvldmia {u}, {{s3-s7}}"
    };
}

/// A kernel row of a slide, for all four channels.
macro_rules! kernel_row {
    ($pixels:literal $x:tt, $range:literal $w:tt, [$a:tt $b:tt $c:tt $d:tt]) => {
        concat!(
            "vldmia {x}, {{",
            $pixels,
            "}}\n",
            channel!("{w0}", $range, $w, $a, $x),
            channel!("{w1}", $range, $w, $b, $x),
            channel!("{w2}", $range, $w, $c, $x),
            channel!("{w3}", $range, $w, $d, $x)
        )
    };
}

/// A slide: for each input channel and each kernel row.
macro_rules! slide {
    ($($row:tt)*) => {
        concat!(
            "2:\nldr {r}, [{frame}, #8]\n",
            "3:\n",
            kernel_row!($($row)*),
            "add {x}, {row}\nsubs {r}, #1\nbne 3b\n",
            "ldr {u}, [{frame}, #16]\nadd {x}, {u}\nsubs {inputs}, #1\nbne 2b"
        )
    };
}

/// A slide of three kernel rows; a step leads from the last to the next channel.
macro_rules! slide_3 {
    ($($row:tt)*) => {
        concat!(
            "2:\n",
            kernel_row!($($row)*),
            "add {x}, {row}\n",
            kernel_row!($($row)*),
            "add {x}, {row}\n",
            kernel_row!($($row)*),
            "add {x}, {step}\nsubs {inputs}, #1\nbne 2b"
        )
    };
}

/// A tap for all four channels.
macro_rules! all {
    ($pixels:literal $x:tt, [$wa:literal $wb:literal $wc:literal $wd:literal], [$a:tt $b:tt $c:tt $d:tt]) => {
        concat!(
            "vldmia {x}, {{",
            $pixels,
            "}}\nadd {x}, {step}\n",
            channel!("{w0}", $wa, [$wa], $a, $x),
            channel!("{w1}", $wb, [$wb], $b, $x),
            channel!("{w2}", $wc, [$wc], $c, $x),
            channel!("{w3}", $wd, [$wd], $d, $x)
        )
    };
}

/// Taps: for each input channel, each kernel row and each of its columns. `$x` are the pixels that
/// count of those loaded.
macro_rules! any {
    ($($tap:tt)*) => {
        concat!(
            "2:\nldr {r}, [{frame}, #8]\n",
            "3:\nldr {u}, [{frame}, #12]\n",
            "4:\n",
            all!($($tap)*),
            "subs {u}, #1\nbne 4b\n",
            "add {x}, {row}\nsubs {r}, #1\nbne 3b\n",
            "ldr {u}, [{frame}, #16]\nadd {x}, {u}\nsubs {inputs}, #1\nbne 2b"
        )
    };
}

/// The same, two taps at a time, so that one instruction loads both weights of a channel; an odd
/// last one alone.
macro_rules! pairs {
    ([$first:literal $x:tt] [$second:literal $y:tt], [$range:literal $v:literal $w:literal], $sums:tt) => {
        concat!(
            "2:\nldr {r}, [{frame}, #8]\n",
            "3:\nldr {u}, [{frame}, #12]\nlsrs {u}, {u}, #1\nbeq 5f\n",
            "4:\nvldmia {x}, {{",
            $first,
            "}}\nadd {x}, {step}\nvldmia {x}, {{",
            $second,
            "}}\nadd {x}, {step}\n",
            pairs!(@channels $range [$v $w] $sums $x $y),
            "subs {u}, #1\nbne 4b\n",
            "5:\nldr {u}, [{frame}, #12]\nlsls {u}, {u}, #31\nbeq 6f\n",
            all!($first $x, [$v $w $v $w], $sums),
            "6:\nadd {x}, {row}\nsubs {r}, #1\nbne 3b\n",
            "ldr {u}, [{frame}, #16]\nadd {x}, {u}\nsubs {inputs}, #1\nbne 2b"
        )
    };
    (@channels $range:literal $w:tt [$a:tt $b:tt $c:tt $d:tt] $x:tt $y:tt) => {
        concat!(
            pairs!(@channel "{w0}" $range $w $a $x $y),
            pairs!(@channel "{w1}" $range $w $b $x $y),
            pairs!(@channel "{w2}" $range $w $c $x $y),
            pairs!(@channel "{w3}" $range $w $d $x $y)
        )
    };
    (@channel $pointer:literal $range:literal [$v:literal $w:literal] $sums:tt $x:tt $y:tt) => {
        concat!("vldmia ", $pointer, "!, {{", $range, "}}\n", tap!($v $sums $x), tap!($w $sums $y))
    };
}

tile!(
    /// Kernels of 3 x 3, five pixels.
    slide_3x3,
    "20",
    start5!(),
    slide_3!("s20-s26" ["s20" "s21" "s22" "s23" "s24" "s25" "s26"], "s27-s29" ["s27" "s28" "s29"],
        [["s0" "s1" "s2" "s3" "s4"] ["s5" "s6" "s7" "s8" "s9"]
         ["s10" "s11" "s12" "s13" "s14"] ["s15" "s16" "s17" "s18" "s19"]]),
    ["s0-s4" "s5-s9" "s10-s14" "s15-s19"]
);

tile!(
    /// Kernels of 3 columns, four pixels.
    slide3_4,
    "16",
    start4!(),
    slide!("s16-s21" ["s16" "s17" "s18" "s19" "s20" "s21"], "s22-s24" ["s22" "s23" "s24"],
        [["s0" "s1" "s2" "s3"] ["s4" "s5" "s6" "s7"] ["s8" "s9" "s10" "s11"] ["s12" "s13" "s14" "s15"]]),
    ["s0-s3" "s4-s7" "s8-s11" "s12-s15"]
);

tile!(
    /// Kernels of 3 columns, one pixel, any stride.
    slide3_1,
    "4",
    start1!(),
    slide!("s4-s6" ["s4" "s5" "s6"], "s8-s10" ["s8" "s9" "s10"], [["s0"] ["s1"] ["s2"] ["s3"]]),
    ["s0" "s1" "s2" "s3"]
);

tile!(
    /// Kernels of 5 columns, four pixels.
    slide5_4,
    "16",
    start4!(),
    slide!("s16-s23" ["s16" "s17" "s18" "s19" "s20" "s21" "s22" "s23"], "s24-s28" ["s24" "s25" "s26" "s27" "s28"],
        [["s0" "s1" "s2" "s3"] ["s4" "s5" "s6" "s7"] ["s8" "s9" "s10" "s11"] ["s12" "s13" "s14" "s15"]]),
    ["s0-s3" "s4-s7" "s8-s11" "s12-s15"]
);

tile!(
    /// Any kernel, five pixels, stride 1.
    any_5,
    "20",
    start5!(),
    pairs!(["s20-s24" ["s20" "s21" "s22" "s23" "s24"]] ["s25-s29" ["s25" "s26" "s27" "s28" "s29"]],
        ["s30-s31" "s30" "s31"],
        [["s0" "s1" "s2" "s3" "s4"] ["s5" "s6" "s7" "s8" "s9"]
         ["s10" "s11" "s12" "s13" "s14"] ["s15" "s16" "s17" "s18" "s19"]]),
    ["s0-s4" "s5-s9" "s10-s14" "s15-s19"]
);

tile!(
    /// Any kernel, four pixels, stride 1.
    any_4,
    "16",
    start4!(),
    any!("s16-s19" ["s16" "s17" "s18" "s19"], ["s28" "s29" "s30" "s31"],
        [["s0" "s1" "s2" "s3"] ["s4" "s5" "s6" "s7"] ["s8" "s9" "s10" "s11"] ["s12" "s13" "s14" "s15"]]),
    ["s0-s3" "s4-s7" "s8-s11" "s12-s15"]
);

tile!(
    /// Any kernel, four pixels, stride 2.
    any2_4,
    "16",
    start4!(),
    any!("s16-s22" ["s16" "s18" "s20" "s22"], ["s28" "s29" "s30" "s31"],
        [["s0" "s1" "s2" "s3"] ["s4" "s5" "s6" "s7"] ["s8" "s9" "s10" "s11"] ["s12" "s13" "s14" "s15"]]),
    ["s0-s3" "s4-s7" "s8-s11" "s12-s15"]
);

tile!(
    /// Any kernel, one pixel, any stride.
    any_1,
    "4",
    start1!(),
    any!("s4" ["s4"], ["s8" "s9" "s10" "s11"], [["s0"] ["s1"] ["s2"] ["s3"]]),
    ["s0" "s1" "s2" "s3"]
);

/// [`Simd::conv_rows`](super::super::Simd::conv_rows).
#[inline(never)]
pub(super) fn rows(
    windows: Windows,
    stride: usize,
    rows: Rows,
    x: &[f32],
    w: &[f32],
    bias: &[f32],
    plane: usize,
    y: &mut [f32],
) -> bool {
    fitting(windows, stride, rows, x, w, bias, plane, y).is_some()
}

/// The same; `None` for false.
#[inline(always)]
fn fitting(
    windows: Windows,
    stride: usize,
    rows: Rows,
    x: &[f32],
    w: &[f32],
    bias: &[f32],
    plane: usize,
    y: &mut [f32],
) -> Option<()> {
    let last = bias.len().checked_sub(1)?;
    let last_row = rows.count.checked_sub(1)?;
    let terms = windows.terms()?;
    let span = rows.columns.checked_sub(1)?.checked_mul(stride)?;
    let read = last_row.checked_mul(rows.step)?.checked_add(span)?;
    let written = last_row
        .checked_mul(rows.pitch)?
        .checked_add(rows.columns)?;
    let fits = x.len() >= windows.reach()?.checked_add(read)?
        && w.len() >= terms.checked_mul(last + 1)?
        && y.len() >= last.checked_mul(plane)?.checked_add(written)?;
    if !fits || last > 3 || stride == 0 {
        return None;
    }
    // A channel that is not there computes the last one's values over again, to the same place.
    let mut weights = [w.as_ptr(); 4];
    let next = |channel: usize| if channel <= last { plane * FLOAT } else { 0 };
    let mut frame = Frame {
        y: y.as_mut_ptr(),
        second: next(1),
        rows: windows.rows,
        taps: windows.columns,
        skip: 0,
        x: x.as_ptr(),
        advance: 0,
        inputs: windows.inputs,
        weights: terms * FLOAT,
        tiles: 0,
        bias: [[0.0; 5]; 4],
        third: next(2),
        fourth: next(3),
    };
    for (b, (weights, start)) in weights.iter_mut().zip(&mut frame.bias).enumerate() {
        let channel = b.min(last);
        *weights = weights.wrapping_add(channel * terms);
        *start = [*bias.get(channel)?; 5];
    }
    let mut walk = Walk {
        row: windows.row * FLOAT,
        step: FLOAT,
    };
    let mut plane = windows.plane * FLOAT;
    if frame.rows == 1 {
        // The channels of a kernel of one row are like the rows of another kernel.
        (frame.rows, frame.inputs) = (frame.inputs, 1);
        (walk.row, plane) = (plane, 0);
    }
    frame.skip = plane.wrapping_sub(frame.rows.wrapping_mul(walk.row));
    // The same for taps: where there is one column, the rows are like columns of one row.
    let mut taps = walk;
    if frame.taps == 1 {
        (frame.taps, frame.rows) = (frame.rows, 1);
        (taps.step, taps.row) = (taps.row, 0);
    } else {
        taps.row = taps.row.wrapping_sub(frame.taps * FLOAT);
    }
    let unrolled = stride == 1 && windows.rows == 3 && windows.columns == 3;
    if unrolled {
        walk.step = frame.skip.wrapping_add(walk.row);
    }
    let fives: (Tiles, Walk) = match unrolled {
        true => (slide_3x3, walk),
        false => (any_5, taps),
    };
    let fours: (Tiles, Walk) = match (stride, windows.columns) {
        (1, 3) => (slide3_4, walk),
        (1, 5) => (slide5_4, walk),
        (1, _) => (any_4, taps),
        _ => (any2_4, taps),
    };
    let ones: (Tiles, Walk) = match windows.columns {
        3 => (slide3_1, walk),
        _ => (any_1, taps),
    };
    let Rows {
        mut count,
        mut columns,
        step,
        pitch,
    } = rows;
    if stride == 1 && windows.columns == 1 && step == columns && pitch == columns {
        // Such rows are one.
        (count, columns) = (1, count * columns);
    }
    // As few pixels as possible are computed twice, and most by the faster tiles.
    let (mut four, mut five, mut one) = (columns / 4, 0, 0);
    if columns < 4 || stride > 2 {
        (four, one) = (0, columns);
    } else if stride == 1 && !unrolled && matches!(windows.columns, 3 | 5) {
        five = usize::from(columns % 4 == 1);
        four -= five;
    } else if stride == 1 && columns >= 4 * ((5 - columns % 5) % 5) {
        four = (5 - columns % 5) % 5;
        five = (columns - 4 * four) / 5;
    }
    // Where too few pixels are left, a tile begins further left and computes some values over
    // again.
    let rest = usize::from(4 * four + 5 * five + one < columns);
    let runs = [
        (fours, 4, four, 0),
        (fives, 5, five, 4 * four),
        (ones, 1, one, 0),
        (fours, 4, rest, columns.saturating_sub(4)),
    ];
    for ((tiles, walk), width, number, at) in runs {
        if number == 0 {
            continue;
        }
        frame.advance = width * stride * FLOAT;
        for r in 0..count {
            frame.y = y.as_mut_ptr().wrapping_add(r * pitch + at);
            frame.x = x.as_ptr().wrapping_add(r * step + at * stride);
            frame.tiles = number;
            // SAFETY: the slices are as long as all windows of the rows, four channels' weights
            // and the rows of `y` need, and a row's last tile ends at its end at the latest.
            unsafe { tiles(walk, weights, &mut frame) };
        }
    }
    Some(())
}
