//! Relu, the way back, and the search for a NaN that comes before.
//!
//! Without a NaN relu is integer arithmetic: a float is positive where its bit pattern is.

use core::arch::asm;

/// [`Simd::may_have_nan`](super::super::Simd::may_have_nan): adds up products of two values each. A
/// NaN makes such a sum a NaN, and so may infinities.
#[inline(never)]
pub(super) fn may_have_nan(x: &[f32]) -> bool {
    let check: u32;
    // SAFETY: reads the slice's floats, sixteen at a time and then one at a time; every register
    // that is written is declared.
    unsafe {
        asm!(
            // Four zeros.
            "mov {check}, #0",
            "vmov s0, s1, {check}, {check}",
            "vmov s2, s3, {check}, {check}",
            "cmp {blocks}, #0",
            "beq 3f",
            "2:",
            "vldmia {x}!, {{s16-s31}}",
            "vfma.f32 s0, s16, s17",
            "vfma.f32 s1, s18, s19",
            "vfma.f32 s2, s20, s21",
            "vfma.f32 s3, s22, s23",
            "vfma.f32 s0, s24, s25",
            "vfma.f32 s1, s26, s27",
            "vfma.f32 s2, s28, s29",
            "vfma.f32 s3, s30, s31",
            "subs {blocks}, #1",
            "bne 2b",
            "3:",
            "cmp {rest}, #0",
            "beq 5f",
            "4:",
            "vldmia {x}!, {{s16}}",
            "vfma.f32 s0, s16, s16",
            "subs {rest}, #1",
            "bne 4b",
            "5:",
            "vadd.f32 s0, s0, s1",
            "vadd.f32 s2, s2, s3",
            "vadd.f32 s0, s0, s2",
            "vmov {check}, s0",
            check = out(reg) check,
            x = inout(reg) x.as_ptr() => _,
            blocks = inout(reg) x.len() / 16 => _,
            rest = inout(reg) x.len() % 16 => _,
            out("s0") _, out("s1") _, out("s2") _, out("s3") _, out("s16") _, out("s17") _, out("s18") _,
            out("s19") _, out("s20") _, out("s21") _, out("s22") _, out("s23") _, out("s24") _, out("s25") _,
            out("s26") _, out("s27") _, out("s28") _, out("s29") _, out("s30") _, out("s31") _,
            options(nostack, readonly),
        );
    }
    f32::from_bits(check).is_nan()
}

/// Defines a loop over values, four at a time and then one at a time: what becomes of four values
/// in `r0` to `r3`, and of one in `r0`. `state` goes through it.
macro_rules! each {
    ($(#[$doc:meta])* $name:ident, [$($four:literal)*], [$($one:literal)*]) => {
        $(#[$doc])*
        ///
        /// # Safety
        /// `count` floats can be read from `x` on and written from `y` on; both may be one.
        #[inline(always)]
        unsafe fn $name(x: *const f32, y: *mut f32, count: usize, state: u32) -> u32 {
            let mut state = state;
            // SAFETY: as above; every register that is written is declared.
            unsafe {
                asm!(
                    "cmp {fours}, #0",
                    "beq 3f",
                    "2:",
                    "ldmia {x}!, {{r0-r3}}",
                    $($four,)*
                    "stmia {y}!, {{r0-r3}}",
                    "subs {fours}, #1",
                    "bne 2b",
                    "3:",
                    "cmp {ones}, #0",
                    "beq 5f",
                    "4:",
                    "ldr r0, [{x}], #4",
                    $($one,)*
                    "str r0, [{y}], #4",
                    "subs {ones}, #1",
                    "bne 4b",
                    "5: /* {state} {t} */",
                    x = inout(reg) x => _,
                    y = inout(reg) y => _,
                    fours = inout(reg) count / 4 => _,
                    ones = inout(reg) count % 4 => _,
                    state = inout(reg) state,
                    t = out(reg) _,
                    out("r0") _, out("r1") _, out("r2") _, out("r3") _,
                    options(nostack),
                );
            }
            state
        }
    };
}

each!(
    /// Relu.
    positive,
    ["bic r0, r0, r0, asr #31" "bic r1, r1, r1, asr #31" "bic r2, r2, r2, asr #31" "bic r3, r3, r3, asr #31"],
    ["bic r0, r0, r0, asr #31"]
);
each!(
    /// Relu; each value moves a bit into `state` from above: 1 where it is positive.
    positive_with_codes,
    ["bic r0, r0, r0, asr #31" "cmp r0, #1" "rrx {state}, {state}"
     "bic r1, r1, r1, asr #31" "cmp r1, #1" "rrx {state}, {state}"
     "bic r2, r2, r2, asr #31" "cmp r2, #1" "rrx {state}, {state}"
     "bic r3, r3, r3, asr #31" "cmp r3, #1" "rrx {state}, {state}"],
    ["bic r0, r0, r0, asr #31" "cmp r0, #1" "rrx {state}, {state}"]
);
each!(
    /// 0 for each value whose bit in `state`, from the lowest on, is 0.
    where_set,
    ["sbfx {t}, {state}, #0, #1" "and r0, r0, {t}" "sbfx {t}, {state}, #1, #1" "and r1, r1, {t}"
     "sbfx {t}, {state}, #2, #1" "and r2, r2, {t}" "sbfx {t}, {state}, #3, #1" "and r3, r3, {t}"
     "lsr {state}, {state}, #4"],
    ["sbfx {t}, {state}, #0, #1" "and r0, r0, {t}" "lsr {state}, {state}, #1"]
);

/// [`Simd::relu_row`](super::super::Simd::relu_row).
#[inline(never)]
pub(super) fn row(
    x: Option<&[f32]>,
    y: &mut [f32],
    codes: &mut [f32],
    first: Option<usize>,
) -> bool {
    let Some(from) = source(x, y) else {
        return false;
    };
    let Some(first) = first else {
        // SAFETY: `y` is so long, and what it comes from.
        unsafe { positive(from, y.as_mut_ptr(), y.len(), 0) };
        return true;
    };
    by_words(y.len(), first, |done, count, word, bit| {
        let Some(word) = codes.get_mut(word) else {
            return false;
        };
        let (from, to) = (from.wrapping_add(done), y.as_mut_ptr().wrapping_add(done));
        // SAFETY: as above; `count` more follow.
        let on = unsafe { positive_with_codes(from, to, count, 0) } >> (32 - count);
        *word = f32::from_bits(word.to_bits() | on << bit);
        true
    })
}

/// [`Simd::relu_gradient`](super::super::Simd::relu_gradient).
#[inline(never)]
pub(super) fn gradient(dy: Option<&[f32]>, dx: &mut [f32], codes: &[f32], first: usize) -> bool {
    let Some(from) = source(dy, dx) else {
        return false;
    };
    by_words(dx.len(), first, |done, count, word, bit| {
        let Some(word) = codes.get(word) else {
            return false;
        };
        let (from, to) = (from.wrapping_add(done), dx.as_mut_ptr().wrapping_add(done));
        // SAFETY: `dx` is so long, and what it comes from.
        unsafe { where_set(from, to, count, word.to_bits() >> bit) };
        true
    })
}

/// Where the values of `y` come from: another slice, if it is as long, or the same.
#[inline(always)]
fn source(x: Option<&[f32]>, y: &[f32]) -> Option<*const f32> {
    match x {
        Some(x) => (x.len() >= y.len()).then_some(x.as_ptr()),
        None => Some(y.as_ptr()),
    }
}

/// Calls `work` for runs of values that have their codes in one word: values before the run, its
/// values (1 to 32), the word's number and the first code's bit.
#[inline(always)]
fn by_words(
    length: usize,
    first: usize,
    mut work: impl FnMut(usize, usize, usize, usize) -> bool,
) -> bool {
    let mut done = 0;
    while done < length {
        let (word, bit) = ((first + done) / 32, (first + done) % 32);
        let count = (length - done).min(32 - bit);
        if !work(done, count, word, bit) {
            return false;
        }
        done += count;
    }
    true
}
