//! Rows of a max-pool and of a relu in integer arithmetic, and their codes: the definitions, and
//! what runs where there is no assembly. As in [`conv2d`](crate::layers::conv2d::definition),
//! [`Simd`](crate::arch::Simd) has a hook for each row.

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

/// One output row of max-pooling with windows of 2 x 2 side by side, then relu; and the codes of
/// the winners, four bits each, from code number `first` on: 0 where the activation is off, else 1
/// more than the winner's number. They were 0 before.
///
/// Of positive numbers the largest is the one with the largest bit pattern, so this is integer
/// arithmetic, also where there is no floating-point unit. False when there may have been a NaN,
/// which that does not see, or a slice is too short; then the results hold anything.
#[inline(always)]
pub fn pool_positive(
    upper: &[f32],
    lower: &[f32],
    y: &mut [f32],
    codes: &mut [f32],
    first: usize,
) -> bool {
    // The largest magnitude, doubled: the sign drops out.
    let mut magnitude = 0;
    let windows = upper
        .as_chunks::<2>()
        .0
        .iter()
        .zip(lower.as_chunks::<2>().0);
    for (c, (y, (upper, lower))) in y.iter_mut().zip(windows).enumerate() {
        let (mut best, mut code) = (0, 0);
        for (k, v) in [upper[0], upper[1], lower[0], lower[1]]
            .into_iter()
            .enumerate()
        {
            let bits = v.to_bits();
            if bits as i32 > best {
                (best, code) = (bits as i32, k as u32 + 1);
            }
            if bits << 1 > magnitude {
                magnitude = bits << 1;
            }
        }
        *y = f32::from_bits(best as u32);
        let bit = (first + c) * 4;
        if let Some(word) = codes.get_mut(bit / 32) {
            *word = f32::from_bits(word.to_bits() | code << (bit % 32));
        }
    }
    magnitude <= f32::INFINITY.to_bits() << 1
}

/// The same for windows of 1 x 2, with codes of two bits.
#[inline(always)]
pub fn pool_pairs_positive(x: &[f32], y: &mut [f32], codes: &mut [f32], first: usize) -> bool {
    let mut magnitude = 0;
    for (c, (y, pair)) in y.iter_mut().zip(x.as_chunks::<2>().0).enumerate() {
        let (mut best, mut code) = (0, 0);
        for (k, v) in pair.iter().enumerate() {
            let bits = v.to_bits();
            if bits as i32 > best {
                (best, code) = (bits as i32, k + 1);
            }
            magnitude = magnitude.max(bits << 1);
        }
        *y = f32::from_bits(best as u32);
        write_code(codes, 2, first + c, code);
    }
    magnitude <= f32::INFINITY.to_bits() << 1
}

/// `y[c] = 0` where `x[c] < 0`, else `x[c]`; and the codes, of one bit, from number `first` on: 1
/// where `y[c] > 0`. They were 0 before. Integer arithmetic. False when there may have been a NaN,
/// or a slice is too short; then the results hold anything.
#[inline(always)]
pub fn relu_row(x: &[f32], y: &mut [f32], codes: &mut [f32], first: usize) -> bool {
    const NEGATIVE_ZERO: u32 = 1 << 31;
    let mut magnitude = 0;
    for (c, (y, x)) in y.iter_mut().zip(x).enumerate() {
        let bits = x.to_bits();
        magnitude = magnitude.max(bits << 1);
        *y = if bits > NEGATIVE_ZERO { 0.0 } else { *x };
        write_code(codes, 1, first + c, usize::from(bits as i32 > 0));
    }
    magnitude <= f32::INFINITY.to_bits() << 1
}
