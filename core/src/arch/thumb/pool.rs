//! Max-pool and relu of a row; and back, the list of a row's pixels that have a gradient.

use super::super::single::Winners;
use core::arch::asm;

/// Defines the pool of windows of two columns, then relu, for values without a NaN: what the first
/// value does, what each of the others does, and what becomes of the window's code.
macro_rules! pool {
    ($(#[$doc:meta])* $name:ident, $bits:literal, [$($first:literal)*] [$($second:literal)*] [$($lower:literal)*] [$($code:literal)*]) => {
        $(#[$doc])*
        ///
        /// Each window turns the word of codes by a code to the right and puts its own at the
        /// bottom. The word comes, and goes, turned accordingly; with it goes its address. `left`
        /// windows have their codes in it, at least one, and `count` more in the words behind.
        ///
        /// # Safety
        /// Two floats for each window can be read from `upper` on (and from `lower`, for windows of
        /// two rows), and one written at `y`; so can the words from `codes` on that hold the codes.
        unsafe fn $name(
            upper: *const f32,
            lower: *const f32,
            y: *mut f32,
            codes: *mut f32,
            word: u32,
            left: usize,
            count: usize,
        ) -> (*mut f32, u32) {
            let (mut codes, mut word) = (codes, word);
            // SAFETY: as above; every register that is written is declared.
            unsafe {
                asm!(
                    // s0 keeps the address of the word of codes, whose register holds values.
                    "vmov s0, {a}",
                    "2:",
                    "ldrd {a}, {b}, [{upper}], #8",
                    "bic {best}, {a}, {a}, asr #31",
                    $($first,)*
                    "cmp {b}, {best}",
                    $($second,)*
                    $($lower,)*
                    "str {best}, [{y}], #4",
                    $($code,)*
                    "subs {left}, #1",
                    "bne 2b",
                    "cmp {count}, #0",
                    "beq 3f",
                    "vmov {a}, s0",
                    concat!("ror {word}, {word}, #", $bits),
                    "str {word}, [{a}], #4",
                    "ldr {word}, [{a}]",
                    concat!("ror {word}, {word}, #32-", $bits),
                    "vmov s0, {a}",
                    concat!("mov {left}, #32/", $bits),
                    "cmp {count}, {left}",
                    "it lo",
                    "movlo {left}, {count}",
                    "sub {count}, {left}",
                    "b 2b",
                    "3:",
                    "vmov {a}, s0",
                    "/* {lower} {code} {zero} */",
                    upper = inout(reg) upper => _,
                    lower = inout(reg) lower => _,
                    y = inout(reg) y => _,
                    a = inout(reg) codes,
                    b = out(reg) _,
                    best = out(reg) _,
                    code = out(reg) _,
                    word = inout(reg) word,
                    left = inout(reg) left => _,
                    count = inout(reg) count => _,
                    zero = in(reg) 0,
                    out("s0") _,
                    options(nostack),
                );
            }
            (codes, word)
        }
    };
}

pool!(
    /// Windows of 2 x 2, codes of four bits.
    pool_2x2_with_codes, "4",
    ["cmp {best}, #1" "adc {code}, {zero}, {zero}"] ["itt gt" "movgt {best}, {b}" "movgt {code}, #2"]
    ["ldrd {a}, {b}, [{lower}], #8" "cmp {a}, {best}" "itt gt" "movgt {best}, {a}" "movgt {code}, #3"
     "cmp {b}, {best}" "itt gt" "movgt {best}, {b}" "movgt {code}, #4"]
    ["orr {word}, {code}, {word}, ror #4"]
);
pool!(
    /// Windows of 2 x 2, no codes.
    pool_2x2, "4",
    [] ["it gt" "movgt {best}, {b}"]
    ["ldrd {a}, {b}, [{lower}], #8" "cmp {a}, {best}" "it gt" "movgt {best}, {a}"
     "cmp {b}, {best}" "it gt" "movgt {best}, {b}"]
    []
);
pool!(
    /// Windows of 1 x 2, codes of two bits.
    pool_1x2_with_codes, "2",
    ["cmp {best}, #1" "adc {code}, {zero}, {zero}"] ["itt gt" "movgt {best}, {b}" "movgt {code}, #2"]
    [] ["orr {word}, {code}, {word}, ror #2"]
);
pool!(
    /// Windows of 1 x 2, no codes.
    pool_1x2, "2", [] ["it gt" "movgt {best}, {b}"] [] []
);

/// A function for a row of windows.
type Pool =
    unsafe fn(*const f32, *const f32, *mut f32, *mut f32, u32, usize, usize) -> (*mut f32, u32);

/// A row of windows of two columns, with `slots` codes in a word.
///
/// # Safety
/// Both rows hold two floats for each float of `y`, if the functions read them.
#[inline(never)]
unsafe fn pool(
    (plain, with_codes): (Pool, Pool),
    slots: usize,
    (upper, lower): (*const f32, *const f32),
    y: &mut [f32],
    codes: &mut [f32],
    first: Option<usize>,
) -> bool {
    let (count, y) = (y.len(), y.as_mut_ptr());
    let Some(last) = count.checked_sub(1) else {
        return true;
    };
    let Some(first) = first else {
        // SAFETY: as above; there are no codes.
        unsafe { plain(upper, lower, y, codes.as_mut_ptr(), 0, count, 0) };
        return true;
    };
    let last = first + last;
    // `slots` is a power of two.
    let (slot, last_slot) = (first & (slots - 1), last & (slots - 1));
    let shift = slots.trailing_zeros();
    let enough = codes.len() > last >> shift;
    let (Some(word), true) = (codes.get_mut(first >> shift), enough) else {
        return false;
    };
    let bits = 32 >> shift;
    let turned = word.to_bits().rotate_right((slot as u32) * bits);
    let left = count.min(slots - slot);
    // SAFETY: as above, and there are words for all codes, the last one's too.
    unsafe {
        let turned = turned.rotate_left(bits);
        let (word, turned) = with_codes(upper, lower, y, word, turned, left, count - left);
        word.write(f32::from_bits(turned.rotate_left(last_slot as u32 * bits)));
    }
    true
}

/// [`Simd::pool_positive`](super::super::Simd::pool_positive).
pub(super) fn positive(
    upper: &[f32],
    lower: &[f32],
    y: &mut [f32],
    codes: &mut [f32],
    first: Option<usize>,
) -> bool {
    let kinds: (Pool, Pool) = (pool_2x2, pool_2x2_with_codes);
    let rows = (upper.as_ptr(), lower.as_ptr());
    let fits = upper.len().min(lower.len()) / 2 >= y.len();
    // SAFETY: both rows are long enough.
    fits && unsafe { pool(kinds, 8, rows, y, codes, first) }
}

/// [`Simd::pool_pairs_positive`](super::super::Simd::pool_pairs_positive).
pub(super) fn pairs_positive(
    x: &[f32],
    y: &mut [f32],
    codes: &mut [f32],
    first: Option<usize>,
) -> bool {
    let kinds: (Pool, Pool) = (pool_1x2, pool_1x2_with_codes);
    // SAFETY: the row is long enough; there is no other.
    x.len() / 2 >= y.len() && unsafe { pool(kinds, 16, (x.as_ptr(), x.as_ptr()), y, codes, first) }
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
    // Codes in a word.
    let slots = match width {
        1 => 32,
        2 => 16,
        _ => 8,
    };
    let slot = first % slots;
    let word = codes.get(first / slots)?.to_bits() >> (slot * width);
    let next = codes.as_ptr().wrapping_add(first / slots + 1);
    let left = dy.len().min(slots - slot);
    let begin = list.as_mut_ptr();
    let mut end = begin;
    let (mut base, mut place) = (winners.base, winners.place);
    /// The list grows by the windows' pixels; `$select` decides on a window from its code, puts its
    /// place into `t`, or goes on at label 3.
    macro_rules! gather {
        ($($select:literal)*) => {
            asm!(
                // s0 is a number of windows: those that have their codes in the next words.
                "vmov s0, s1, {v}, {t}",
                "2:",
                "ldr {g}, [{dy}], #4",
                $($select,)*
                "strd {t}, {g}, [{list}], #8",
                "3:",
                "add {place}, {step}",
                "subs {left}, #1",
                "bne 2b",
                "vmov {t}, s0",
                "cmp {t}, #0",
                "beq 4f",
                "ldr {word}, [{next}], #4",
                "mov {left}, #{full}",
                "cmp {t}, {left}",
                "it lo",
                "movlo {left}, {t}",
                "sub {t}, {left}",
                "vmov s0, {t}",
                "b 2b",
                "4: /* {base} */",
                dy = inout(reg) dy.as_ptr() => _,
                next = inout(reg) next => _,
                word = inout(reg) word => _,
                left = inout(reg) left => _,
                full = const 32 / WIDTH,
                base = in(reg) base,
                place = inout(reg) place => _,
                step = in(reg) winners.step,
                list = inout(reg) end,
                g = out(reg) _,
                v = inout(reg) dy.len() - left => _,
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
                        "and {v}, {word}, #3" "lsr {word}, {word}, #2" "sub {v}, {base}" "cmp {v}, #2" "bhs 3f"
                        "lsls {t}, {g}, #1" "beq 3f" "vmov {t}, s1" "mla {t}, {v}, {t}, {place}"
                    );
                }
                _ => {
                    const WIDTH: usize = 4;
                    gather!(
                        "and {v}, {word}, #15" "lsr {word}, {word}, #4" "sub {v}, {base}" "cmp {v}, #2" "bhs 3f"
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
