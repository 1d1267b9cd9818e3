//! Rows of a max-pool and of a relu in integer arithmetic, and their codes: the definitions, and
//! what runs where there is no assembly. As in [`conv2d`](crate::layers::conv2d::definition),
//! [`Simd`](crate::arch::Simd) has a hook for each.

/// Stores a code of `width` bits, a power of two; there was 0.
#[inline(always)]
pub fn write_code(codes: &mut [f32], width: usize, index: usize, code: usize) {
    let bit = index * width;
    if let Some(word) = codes.get_mut(bit / 32) {
        *word = f32::from_bits(word.to_bits() | (code as u32) << (bit % 32));
    }
}

/// Reads it again.
#[inline(always)]
pub fn read_code(codes: &[f32], width: usize, index: usize) -> usize {
    if width == 0 {
        return 0;
    }
    let bit = index * width;
    match codes.get(bit / 32) {
        Some(word) => (word.to_bits() >> (bit % 32)) as usize & ((1 << width) - 1),
        None => 0,
    }
}

/// Whether there may be a NaN among the values. It says so when there is one; when there is none,
/// an infinity or a large value may look like one.
#[inline(always)]
pub fn may_have_nan(x: &[f32]) -> bool {
    // The largest magnitude, doubled: the sign drops out.
    let mut magnitude = 0;
    for x in x {
        magnitude = magnitude.max(x.to_bits() << 1);
    }
    magnitude > f32::INFINITY.to_bits() << 1
}

/// One output row of max-pooling with windows of 2 x 2 side by side, then relu; and the codes of
/// the winners, four bits each, from code number `first` on if anybody reads them: 0 where the
/// activation is off, else 1 more than the winner's number. They were 0 before. There must be no
/// NaN.
///
/// Of positive numbers the largest is the one with the largest bit pattern, so this is integer
/// arithmetic, also where there is no floating-point unit.
#[inline(always)]
pub fn pool_positive(
    upper: &[f32],
    lower: &[f32],
    y: &mut [f32],
    codes: &mut [f32],
    first: Option<usize>,
) {
    let windows = upper
        .as_chunks::<2>()
        .0
        .iter()
        .zip(lower.as_chunks::<2>().0);
    for (c, (y, (upper, lower))) in y.iter_mut().zip(windows).enumerate() {
        let code = largest(&[upper[0], upper[1], lower[0], lower[1]], y);
        if let Some(first) = first {
            write_code(codes, 4, first + c, code);
        }
    }
}

/// The same for windows of 1 x 2, with codes of two bits.
#[inline(always)]
pub fn pool_pairs_positive(x: &[f32], y: &mut [f32], codes: &mut [f32], first: Option<usize>) {
    for (c, (y, pair)) in y.iter_mut().zip(x.as_chunks::<2>().0).enumerate() {
        let code = largest(pair, y);
        if let Some(first) = first {
            write_code(codes, 2, first + c, code);
        }
    }
}

/// The largest positive value, and 1 more than its number; 0 and 0 where none is positive.
#[inline(always)]
fn largest(values: &[f32], y: &mut f32) -> usize {
    let (mut best, mut code) = (0, 0);
    for (k, v) in values.iter().enumerate() {
        let bits = v.to_bits() as i32;
        if bits > best {
            (best, code) = (bits, k + 1);
        }
    }
    *y = f32::from_bits(best as u32);
    code
}

/// Relu of `x`, or in place: 0 where a value is not positive. And the codes, of one bit, from
/// number `first` on if anybody reads them: 1 where it is positive. They were 0 before. There must
/// be no NaN. Integer arithmetic.
#[inline(always)]
pub fn relu_row(x: Option<&[f32]>, y: &mut [f32], codes: &mut [f32], first: Option<usize>) {
    for (c, y) in y.iter_mut().enumerate() {
        let value = x.and_then(|x| x.get(c)).unwrap_or(y);
        let code = largest(&[*value], y);
        if let Some(first) = first {
            write_code(codes, 1, first + c, code);
        }
    }
}

/// The gradient of a relu's input from that of its output, `dy` or in place: 0 where the code, from
/// number `first` on, is 0.
#[inline(always)]
pub fn relu_gradient(dy: Option<&[f32]>, dx: &mut [f32], codes: &[f32], first: usize) {
    for (c, dx) in dx.iter_mut().enumerate() {
        let value = *dy.and_then(|dy| dy.get(c)).unwrap_or(dx);
        *dx = if read_code(codes, 1, first + c) == 0 {
            0.0
        } else {
            value
        };
    }
}
