//! Cortex-M with a floating-point unit (M4F, M7, M33 and their like).
//!
//! The compiler does not offer `vfma.f32` on these cores: it has no intrinsic, and inline assembly may not take a float in a
//! register. So a scalar multiply-add goes through integer registers, and each inner loop of a training step is one block
//! of assembly that takes pointers. Each has its twin in [`single`], which names the sums and their order.
//!
//! Every block checks the extent of its slices first; inside, addresses depend on nothing but that.
#![allow(unsafe_code)] // inline assembly; the checks are in front of each block

use super::single::{self, Windows};
use super::{Kernel, Simd};
use core::arch::asm;

/// The target has a floating-point unit of the M profile.
#[derive(Clone, Copy)]
pub(super) struct Thumb;

/// Bytes of a float.
const FLOAT: usize = 4;

/// What a tile needs besides pointers in registers.
#[repr(C)]
struct Frame<const T: usize> {
    y: *mut f32,
    /// Bytes from a row of `y` to the next.
    pitch: usize,
    /// The sums' beginnings.
    bias: [[f32; T]; 4],
}

/// One channel's part of a kernel row of three weights: loads the weights, then each sum of the tile gets its three terms.
/// Sums are `$s`, pixels `$x` (two more than sums), weights `$w`.
macro_rules! channel {
    ($pointer:literal, $w:tt, [$($s:literal)*], $x:tt) => {
        concat!("vldmia ", $pointer, "!, {{", channel!(@range $w), "}}\n", channel!(@taps $w [$($s)*] $x))
    };
    (@range [$first:literal $middle:literal $last:literal]) => { concat!($first, "-", $last) };
    (@taps [$w0:literal $w1:literal $w2:literal] [$($s:literal)*] [$($x:literal)*]) => {
        concat!(
            channel!(@tap $w0 [$($s)*] [$($x)*]),
            channel!(@tap1 $w1 [$($s)*] [$($x)*]),
            channel!(@tap2 $w2 [$($s)*] [$($x)*])
        )
    };
    (@tap2 $w:literal $s:tt [$first:literal $($x:literal)*]) => { channel!(@tap1 $w $s [$($x)*]) };
    (@tap1 $w:literal $s:tt [$first:literal $($x:literal)*]) => { channel!(@tap $w $s [$($x)*]) };
    (@tap $w:literal [$s:literal $($sums:literal)*] [$x:literal $($xs:literal)*]) => {
        concat!("vfma.f32 ", $s, ", ", $x, ", ", $w, "\n", channel!(@tap $w [$($sums)*] [$($xs)*]))
    };
    (@tap $w:literal [] [$($x:literal)*]) => { "" };
}

/// Defines a tile of four channels by some adjacent columns, for kernels of 3 x 3 and stride 1.
///
/// The sums stay in registers; of a map's row under the kernel the tile loads each pixel once.
macro_rules! tile {
    ($name:ident, $columns:literal, [$a:tt $b:tt $c:tt $d:tt], $x:tt, $w:tt, sums $sums:literal, pixels $pixels:literal,
     rows $ra:literal $rb:literal $rc:literal $rd:literal) => {
        /// # Safety
        /// All `windows.inputs` channels can be read from `x` on, the weights of four channels from `w` on, and four rows
        /// can be written as the frame says.
        #[inline(always)]
        unsafe fn $name(
            windows: Windows,
            x: *const f32,
            w: [*const f32; 4],
            frame: &Frame<$columns>,
        ) {
            // SAFETY: as above; every register that is written is declared.
            unsafe {
                asm!(
                    "add {left}, {frame}, #8",
                    concat!("vldmia {left}, {{", $sums, "}}"),
                    "2:",
                    kernel_row!($pixels, $w, $a, $b, $c, $d, $x),
                    "add {x}, {row}",
                    kernel_row!($pixels, $w, $a, $b, $c, $d, $x),
                    "add {x}, {row}",
                    kernel_row!($pixels, $w, $a, $b, $c, $d, $x),
                    "add {x}, {skip}",
                    "subs {inputs}, #1",
                    "bne 2b",
                    "ldrd {x}, {left}, [{frame}]",
                    concat!("vstmia {x}, {{", $ra, "}}"),
                    "add {x}, {left}",
                    concat!("vstmia {x}, {{", $rb, "}}"),
                    "add {x}, {left}",
                    concat!("vstmia {x}, {{", $rc, "}}"),
                    "add {x}, {left}",
                    concat!("vstmia {x}, {{", $rd, "}}"),
                    x = inout(reg) x => _,
                    w0 = inout(reg) w[0] => _,
                    w1 = inout(reg) w[1] => _,
                    w2 = inout(reg) w[2] => _,
                    w3 = inout(reg) w[3] => _,
                    frame = in(reg) frame,
                    row = in(reg) windows.row * FLOAT,
                    skip = in(reg) windows.plane.wrapping_sub(2 * windows.row).wrapping_mul(FLOAT),
                    inputs = inout(reg) windows.inputs => _,
                    left = out(reg) _,
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

/// A row of the kernel, for all four channels.
macro_rules! kernel_row {
    ($pixels:literal, $w:tt, $a:tt, $b:tt, $c:tt, $d:tt, $x:tt) => {
        concat!(
            "vldmia {x}, {{",
            $pixels,
            "}}\n",
            channel!("{w0}", $w, $a, $x),
            channel!("{w1}", $w, $b, $x),
            channel!("{w2}", $w, $c, $x),
            channel!("{w3}", $w, $d, $x)
        )
    };
}

tile!(tile5, 5,
    [["s0" "s1" "s2" "s3" "s4"] ["s5" "s6" "s7" "s8" "s9"] ["s10" "s11" "s12" "s13" "s14"] ["s15" "s16" "s17" "s18" "s19"]],
    ["s20" "s21" "s22" "s23" "s24" "s25" "s26"], ["s27" "s28" "s29"],
    sums "s0-s19", pixels "s20-s26", rows "s0-s4" "s5-s9" "s10-s14" "s15-s19");

tile!(tile4, 4,
    [["s0" "s1" "s2" "s3"] ["s4" "s5" "s6" "s7"] ["s8" "s9" "s10" "s11"] ["s12" "s13" "s14" "s15"]],
    ["s16" "s17" "s18" "s19" "s20" "s21"], ["s22" "s23" "s24"],
    sums "s0-s15", pixels "s16-s21", rows "s0-s3" "s4-s7" "s8-s11" "s12-s15");

tile!(tile1, 1,
    [["s0"] ["s1"] ["s2"] ["s3"]], ["s4" "s5" "s6"], ["s7" "s8" "s9"],
    sums "s0-s3", pixels "s4-s6", rows "s0" "s1" "s2" "s3");

/// Adds the pixels' terms to the nine weight gradients of one input and one output channel.
///
/// # Safety
/// `pixels` holds `count` pixels, `count` at least 1; from `x` on, each pixel's window of 3 x 3 can be read, whose rows are
/// `row` floats apart; nine floats can be written at `dw`.
#[inline(always)]
unsafe fn weight_gradient3(
    pixels: *const f32,
    count: usize,
    x: *const f32,
    row: usize,
    dw: *mut f32,
) {
    // SAFETY: as above; every register that is written is declared.
    unsafe {
        asm!(
            "vldmia {dw}, {{s0-s8}}",
            "2:",
            "ldr {at}, [{pixels}], #4",
            "vldmia {pixels}!, {{s9}}",
            "add {at}, {x}, {at}, lsl #2",
            "vldmia {at}, {{s10-s12}}",
            "add {at}, {row}",
            "vldmia {at}, {{s13-s15}}",
            "add {at}, {row}",
            "vldmia {at}, {{s16-s18}}",
            "vfma.f32 s0, s9, s10",
            "vfma.f32 s1, s9, s11",
            "vfma.f32 s2, s9, s12",
            "vfma.f32 s3, s9, s13",
            "vfma.f32 s4, s9, s14",
            "vfma.f32 s5, s9, s15",
            "vfma.f32 s6, s9, s16",
            "vfma.f32 s7, s9, s17",
            "vfma.f32 s8, s9, s18",
            "subs {count}, #1",
            "bne 2b",
            "vstmia {dw}, {{s0-s8}}",
            pixels = inout(reg) pixels => _,
            count = inout(reg) count => _,
            at = out(reg) _,
            x = in(reg) x,
            row = in(reg) row * FLOAT,
            dw = in(reg) dw,
            out("s0") _, out("s1") _, out("s2") _, out("s3") _, out("s4") _, out("s5") _, out("s6") _, out("s7") _,
            out("s8") _, out("s9") _, out("s10") _, out("s11") _, out("s12") _, out("s13") _, out("s14") _,
            out("s15") _, out("s16") _, out("s17") _, out("s18") _,
            options(nostack),
        );
    }
}

/// Adds the pixels' terms to the input gradient of one input channel, from one output channel's nine weights.
///
/// # Safety
/// As [`weight_gradient3`], with windows of `dx` that are read and written, and nine weights at `w`.
#[inline(always)]
unsafe fn input_gradient3(
    pixels: *const f32,
    count: usize,
    dx: *mut f32,
    row: usize,
    w: *const f32,
) {
    // SAFETY: as above; every register that is written is declared.
    unsafe {
        asm!(
            "vldmia {w}, {{s0-s8}}",
            "2:",
            "ldr {at}, [{pixels}], #4",
            "vldmia {pixels}!, {{s9}}",
            "add {at}, {dx}, {at}, lsl #2",
            "vldmia {at}, {{s10-s12}}",
            "vfma.f32 s10, s9, s0",
            "vfma.f32 s11, s9, s1",
            "vfma.f32 s12, s9, s2",
            "vstmia {at}, {{s10-s12}}",
            "add {at}, {row}",
            "vldmia {at}, {{s13-s15}}",
            "vfma.f32 s13, s9, s3",
            "vfma.f32 s14, s9, s4",
            "vfma.f32 s15, s9, s5",
            "vstmia {at}, {{s13-s15}}",
            "add {at}, {row}",
            "vldmia {at}, {{s10-s12}}",
            "vfma.f32 s10, s9, s6",
            "vfma.f32 s11, s9, s7",
            "vfma.f32 s12, s9, s8",
            "vstmia {at}, {{s10-s12}}",
            "subs {count}, #1",
            "bne 2b",
            pixels = inout(reg) pixels => _,
            count = inout(reg) count => _,
            at = out(reg) _,
            dx = in(reg) dx,
            row = in(reg) row * FLOAT,
            w = in(reg) w,
            out("s0") _, out("s1") _, out("s2") _, out("s3") _, out("s4") _, out("s5") _, out("s6") _, out("s7") _,
            out("s8") _, out("s9") _, out("s10") _, out("s11") _, out("s12") _, out("s13") _, out("s14") _,
            out("s15") _,
            options(nostack),
        );
    }
}

/// [`single::load_row`] for `count` bytes, at least 1.
///
/// # Safety
/// `count` bytes can be read at `bytes` and as many floats written at `x`.
#[inline(always)]
unsafe fn load(bytes: *const u8, x: *mut f32, count: usize, scale: f32, offset: f32) {
    // SAFETY: as above; every register that is written is declared.
    unsafe {
        asm!(
            "vmov s0, s1, {scale}, {offset}",
            "2:",
            "ldrb {byte}, [{bytes}], #1",
            "vmov.f32 s3, s1",
            "vmov s2, {byte}",
            "vcvt.f32.u32 s2, s2",
            "vfma.f32 s3, s2, s0",
            "vstmia {x}!, {{s3}}",
            "subs {count}, #1",
            "bne 2b",
            scale = in(reg) scale.to_bits(),
            offset = in(reg) offset.to_bits(),
            byte = out(reg) _,
            bytes = inout(reg) bytes => _,
            x = inout(reg) x => _,
            count = inout(reg) count => _,
            out("s0") _, out("s1") _, out("s2") _, out("s3") _,
            options(nostack),
        );
    }
}

/// The windows are 3 x 3, and all the pixels' windows lie in a map of `map` floats.
fn inside3(windows: Windows, pixels: &[f32], map: usize) -> Option<()> {
    let last = pixels
        .as_chunks::<2>()
        .0
        .iter()
        .map(|pixel| pixel[0].to_bits())
        .max()?;
    (windows.rows == 3
        && windows.columns == 3
        && windows.reach()?.checked_add(last as usize)? <= map)
        .then_some(())
}

/// [`single::pool_positive`] for `count` windows, at least 1; returns how many values were negative infinity or a negative NaN.
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

impl Simd for Thumb {
    type V = f32;
    const WIDTH: usize = 1;
    const BLOCK: usize = 4;

    #[inline(always)]
    fn splat(self, x: f32) -> f32 {
        x
    }

    #[inline(always)]
    fn load(self, source: &[f32], at: usize) -> f32 {
        source[at]
    }

    #[inline(always)]
    fn store(self, target: &mut [f32], at: usize, v: f32) {
        target[at] = v;
    }

    #[inline(always)]
    fn first(self, x: f32) -> f32 {
        x
    }

    #[inline(always)]
    fn add(self, a: f32, b: f32) -> f32 {
        a + b
    }

    #[inline(always)]
    fn mul(self, a: f32, b: f32) -> f32 {
        a * b
    }

    #[inline(always)]
    fn fma(self, a: f32, b: f32, c: f32) -> f32 {
        self.fma_f32(a, b, c)
    }

    #[inline(always)]
    fn relu(self, x: f32) -> f32 {
        if x < 0.0 { 0.0 } else { x }
    }

    #[inline(always)]
    fn where_positive(self, y: f32, v: f32) -> f32 {
        if y > 0.0 { v } else { 0.0 }
    }

    #[inline(always)]
    fn split(self, bits: u32, v: f32) -> (f32, f32) {
        if bits & 1 == 1 { (0.0, v) } else { (v, 0.0) }
    }

    #[inline(always)]
    fn first_max(self, best: f32, v: f32) -> (f32, u32) {
        if v > best || v.is_nan() {
            (v, 1)
        } else {
            (best, 0)
        }
    }

    #[inline(always)]
    fn sum(self, v: f32) -> f32 {
        v
    }

    #[inline(never)]
    fn apart<K: Kernel>(self, kernel: K) -> K::Output {
        kernel.run(self)
    }

    #[inline(always)]
    fn sqrt_f32(self, x: f32) -> f32 {
        let mut bits = x.to_bits();
        // SAFETY: reads and writes only the declared registers.
        unsafe {
            asm!(
                "vmov s0, {x}",
                "vsqrt.f32 s0, s0",
                "vmov {x}, s0",
                x = inout(reg) bits,
                out("s0") _,
                options(pure, nomem, nostack, preserves_flags),
            );
        }
        f32::from_bits(bits)
    }

    #[inline(always)]
    fn fma_f32(self, a: f32, b: f32, c: f32) -> f32 {
        let mut bits = c.to_bits();
        // SAFETY: reads and writes only the declared registers.
        unsafe {
            asm!(
                "vmov s0, s1, {a}, {b}",
                "vmov s2, {c}",
                "vfma.f32 s2, s0, s1",
                "vmov {c}, s2",
                a = in(reg) a.to_bits(),
                b = in(reg) b.to_bits(),
                c = inout(reg) bits,
                out("s0") _, out("s1") _, out("s2") _,
                options(pure, nomem, nostack, preserves_flags),
            );
        }
        f32::from_bits(bits)
    }

    #[inline(always)]
    fn fma_f64(self, a: f64, b: f64, c: f64) -> f64 {
        super::integer::fma64(a, b, c)
    }

    #[inline]
    fn conv_row(
        self,
        windows: Windows,
        stride: usize,
        x: &[f32],
        w: &[f32],
        bias: &[f32],
        columns: usize,
        y: &mut [f32],
    ) -> Option<()> {
        let count = bias.len().min(4);
        if windows.rows != 3 || windows.columns != 3 || stride != 1 || count == 0 || columns == 0 {
            return single::conv_row(self, windows, stride, x, w, bias, columns, y);
        }
        let terms = windows.terms()?;
        let fits = x.len() >= windows.reach()?.checked_add(columns - 1)?
            && w.len() >= terms.checked_mul(count)?
            && y.len() >= columns.checked_mul(4)?;
        if !fits {
            return None;
        }
        // A channel that is not there computes the last one's values over again.
        let mut rows = [w.as_ptr(); 4];
        let mut biases = [0.0; 4];
        for (b, (row, start)) in rows.iter_mut().zip(&mut biases).enumerate() {
            let channel = b.min(count - 1);
            *row = row.wrapping_add(channel * terms);
            *start = *bias.get(channel)?;
        }
        let (x, y, pitch) = (x.as_ptr(), y.as_mut_ptr(), columns * FLOAT);
        let mut at = 0;
        // SAFETY: the slices are as long as all windows of the row, four channels' weights and four rows of `y` need, and a
        // tile ends at the end of the row at the latest.
        unsafe {
            if columns >= 5 {
                let bias = biases.map(|bias| [bias; 5]);
                let mut frame = Frame { y, pitch, bias };
                while columns - at >= 5 {
                    tile5(windows, x.wrapping_add(at), rows, &frame);
                    frame.y = frame.y.wrapping_add(5);
                    at += 5;
                }
            }
            if at < columns && columns >= 4 {
                // Fewer than four columns left: the tile begins further left and computes some values over again.
                at = columns - 4;
                let bias = biases.map(|bias| [bias; 4]);
                let y = y.wrapping_add(at);
                tile4(windows, x.wrapping_add(at), rows, &Frame { y, pitch, bias });
                at = columns;
            }
            while at < columns {
                let bias = biases.map(|bias| [bias]);
                let y = y.wrapping_add(at);
                tile1(windows, x.wrapping_add(at), rows, &Frame { y, pitch, bias });
                at += 1;
            }
        }
        Some(())
    }

    #[inline]
    fn conv_weight_gradient(
        self,
        windows: Windows,
        pixels: &[f32],
        x: &[f32],
        dw: &mut [f32],
    ) -> Option<()> {
        let Some(()) = inside3(windows, pixels, x.len()) else {
            return single::conv_weight_gradient(self, windows, pixels, x, dw);
        };
        let dw = dw.as_chunks_mut::<9>().0.get_mut(..windows.inputs)?;
        let mut x = x.as_ptr();
        for dw in dw {
            // SAFETY: all windows lie in `x`, and there is at least one pixel.
            unsafe {
                weight_gradient3(
                    pixels.as_ptr(),
                    pixels.len() / 2,
                    x,
                    windows.row,
                    dw.as_mut_ptr(),
                )
            };
            x = x.wrapping_add(windows.plane);
        }
        Some(())
    }

    #[inline]
    fn conv_input_gradient(
        self,
        windows: Windows,
        pixels: &[f32],
        w: &[f32],
        dx: &mut [f32],
    ) -> Option<()> {
        let Some(()) = inside3(windows, pixels, dx.len()) else {
            return single::conv_input_gradient(self, windows, pixels, w, dx);
        };
        let w = w.as_chunks::<9>().0.get(..windows.inputs)?;
        let mut dx = dx.as_mut_ptr();
        for w in w {
            // SAFETY: all windows lie in `dx`, and there is at least one pixel.
            unsafe {
                input_gradient3(
                    pixels.as_ptr(),
                    pixels.len() / 2,
                    dx,
                    windows.row,
                    w.as_ptr(),
                )
            };
            dx = dx.wrapping_add(windows.plane);
        }
        Some(())
    }

    #[inline]
    fn load_row(self, bytes: &[u8], scale: f32, offset: f32, x: &mut [f32]) {
        let count = bytes.len().min(x.len());
        if count > 0 {
            // SAFETY: both slices are so long.
            unsafe { load(bytes.as_ptr(), x.as_mut_ptr(), count, scale, offset) };
        }
    }

    #[inline]
    fn pool_positive(
        self,
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

    #[inline]
    fn linear_rows(self, w: &[f32], bias: &[f32], x: &[f32], y: &mut [f32]) {
        let outputs = y.len().min(bias.len());
        let inputs = x.len();
        if outputs < 2 || inputs < 8 || w.len() / inputs < outputs {
            return single::linear_rows(self, w, bias, x, y);
        }
        let (blocks, rest) = (inputs / 8, inputs % 8);
        let mut o = 0;
        while o < outputs {
            // Two outputs at a time; an odd last one takes the one before along again.
            let first = o.min(outputs - 2);
            let rows = w.as_ptr().wrapping_add(first * inputs);
            // SAFETY: `x` and two rows of `w` are `8 blocks + rest` long; two values of `bias` and `y` begin at `first`.
            unsafe {
                asm!(
                    "vldmia {bias}, {{s0-s1}}",
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
                    "vstmia {y}, {{s0-s1}}",
                    x = inout(reg) x.as_ptr() => _,
                    w0 = inout(reg) rows => _,
                    w1 = inout(reg) rows.wrapping_add(inputs) => _,
                    bias = in(reg) bias.as_ptr().wrapping_add(first),
                    y = in(reg) y.as_mut_ptr().wrapping_add(first),
                    blocks = inout(reg) blocks => _,
                    rest = inout(reg) rest => _,
                    out("s0") _, out("s1") _, out("s8") _, out("s9") _, out("s10") _, out("s11") _, out("s12") _,
                    out("s13") _, out("s14") _, out("s15") _, out("s16") _, out("s17") _, out("s18") _, out("s19") _,
                    out("s20") _, out("s21") _, out("s22") _, out("s23") _, out("s24") _, out("s25") _, out("s26") _,
                    out("s27") _, out("s28") _, out("s29") _, out("s30") _, out("s31") _,
                    options(nostack),
                );
            }
            o += 2;
        }
    }

    #[inline]
    fn add_scaled(self, a: f32, x: &[f32], y: &mut [f32]) {
        let length = x.len().min(y.len());
        let blocks = length / 8;
        if blocks > 0 {
            // SAFETY: both slices hold `blocks` times eight floats.
            unsafe {
                asm!(
                    "vmov s0, {a}",
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
                    a = in(reg) a.to_bits(),
                    x = inout(reg) x.as_ptr() => _,
                    y = inout(reg) y.as_mut_ptr() => _,
                    blocks = inout(reg) blocks => _,
                    out("s0") _, out("s8") _, out("s9") _, out("s10") _, out("s11") _, out("s12") _, out("s13") _,
                    out("s14") _, out("s15") _, out("s16") _, out("s17") _, out("s18") _, out("s19") _, out("s20") _,
                    out("s21") _, out("s22") _, out("s23") _,
                    options(nostack),
                );
            }
        }
        let tail = x.iter().zip(y.iter_mut()).skip(blocks * 8);
        for (x, y) in tail {
            *y = self.fma_f32(a, *x, *y);
        }
    }
}
