//! The multiply-adds of a tile: what the assembly of forward passes is made of.
//!
//! A tile is a few adjacent output pixels, of one or four channels, whose sums stay in registers.
//! Registers are written as lists of names, so that the same text serves any width.

/// Bytes of a float.
pub(super) const FLOAT: usize = 4;

/// `sum += pixel weight` for each sum of a channel and the pixel in the same place of its list.
/// Pixels may be left over.
macro_rules! tap {
    ($w:literal [$s:literal $($sums:literal)*] [$x:literal $($pixels:literal)*]) => {
        concat!("vfma.f32 ", $s, ", ", $x, ", ", $w, "\n", tap!($w [$($sums)*] [$($pixels)*]))
    };
    ($w:literal [] [$($x:literal)*]) => { "" };
}

/// The terms of a kernel row for a channel's sums, stride 1: each weight finds the pixels one
/// further.
macro_rules! taps {
    ([$w:literal $($weights:literal)*] $s:tt [$x:literal $($pixels:literal)*]) => {
        concat!(tap!($w $s [$x $($pixels)*]), taps!([$($weights)*] $s [$($pixels)*]))
    };
    ([] $s:tt [$($x:literal)*]) => { "" };
}

/// A channel's part of a kernel row: loads its weights from a pointer that moves on, then adds the
/// terms.
macro_rules! channel {
    ($pointer:literal, $range:literal, $weights:tt, $sums:tt, $pixels:tt) => {
        concat!("vldmia ", $pointer, "!, {{", $range, "}}\n", taps!($weights $sums $pixels))
    };
}

pub(super) use {channel, tap, taps};
