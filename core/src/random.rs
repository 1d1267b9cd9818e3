//! Random numbers: Philox4x32-10, a counter-based generator (Salmon, Moraes, Dror, Shaw, "Parallel
//! random numbers: as easy as 1, 2, 3", SC 2011). The n-th number is a function of the seed, the
//! stream and n, the same on every target, so a generator's whole state is one counter that a
//! checkpoint can keep.

use crate::math;

/// Ten rounds of Philox on the 128-bit `counter` with the 64-bit `key`: four words that pass for
/// random.
#[inline]
pub const fn philox4x32(counter: [u32; 4], key: [u32; 2]) -> [u32; 4] {
    let ([mut a, mut b, mut c, mut d], [mut k0, mut k1]) = (counter, key);
    let mut round = 0;
    while round < 10 {
        let p0 = a as u64 * 0xD251_1F53;
        let p1 = c as u64 * 0xCD9E_8D57;
        (a, b, c, d) = (
            (p1 >> 32) as u32 ^ b ^ k0,
            p1 as u32,
            (p0 >> 32) as u32 ^ d ^ k1,
            p0 as u32,
        );
        k0 = k0.wrapping_add(0x9E37_79B9);
        k1 = k1.wrapping_add(0xBB67_AE85);
        round += 1;
    }
    [a, b, c, d]
}

/// A seeded stream of random numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Random {
    key: [u32; 2],
    stream: u64,
    /// Words drawn so far.
    position: u64,
}

impl Random {
    /// The generator of `seed`; streams of one seed are independent of each other.
    pub const fn new(seed: u64, stream: u64) -> Random {
        Random {
            key: [seed as u32, (seed >> 32) as u32],
            stream,
            position: 0,
        }
    }

    /// Words drawn so far; [`Random::seek`] goes there.
    pub const fn position(&self) -> u64 {
        self.position
    }

    /// Goes on as if `position` words had been drawn.
    pub const fn seek(&mut self, position: u64) {
        self.position = position;
    }

    /// 32 random bits.
    pub const fn next_u32(&mut self) -> u32 {
        let block = self.position / 4;
        let counter = [
            block as u32,
            (block >> 32) as u32,
            self.stream as u32,
            (self.stream >> 32) as u32,
        ];
        let word = philox4x32(counter, self.key)[(self.position % 4) as usize];
        self.position += 1;
        word
    }

    /// A whole number below `bound`, each equally likely (Lemire's method: the product's low word
    /// rejects the surplus). 0 for a bound of 0.
    pub const fn below(&mut self, bound: u32) -> u32 {
        if bound == 0 {
            return 0;
        }
        let surplus = bound.wrapping_neg() % bound;
        loop {
            let product = self.next_u32() as u64 * bound as u64;
            if product as u32 >= surplus {
                return (product >> 32) as u32;
            }
        }
    }

    /// A number in [0, 1), a multiple of 2^-24.
    pub const fn uniform(&mut self) -> f32 {
        (self.next_u32() >> 8) as f32 * (1.0 / 16_777_216.0)
    }

    /// A normally distributed number with mean 0 and variance 1, by the Box-Muller transform:
    /// `sqrt(-2 ln u) cos(2 pi v)`, `u` in (0, 1], `v` in [0, 1). Draws two words.
    pub fn normal(&mut self) -> f32 {
        let u = 1.0 - self.uniform();
        let v = self.uniform();
        math::sqrt(-2.0 * math::ln(u)) * math::cos(core::f32::consts::TAU * v)
    }

    /// Puts `items` into random order, each order equally likely (Fisher-Yates from the end).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            let other = self.below(last as u32 + 1) as usize;
            items.swap(last, other);
        }
    }
}
