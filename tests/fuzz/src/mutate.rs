//! A small mutation engine, without coverage: from the same seed always the same inputs.

use secant::Random;

/// Longest input.
const LONGEST: usize = 8192;

/// Bytes that mean something somewhere: ends of ranges, digits, separators, magic numbers.
const PARTS: [&[u8]; 24] = [
    &[0],
    &[0xff],
    &[0x7f],
    &[0x80],
    &[0, 0, 0, 1],
    &[0xff, 0xff, 0xff, 0xff],
    &[0x7f, 0xff, 0xff, 0xff],
    &[0, 0, 0xc0, 0x7f],
    &[0, 0, 0x80, 0x7f],
    &[0, 0, 8, 3],
    &[0, 0, 13, 1],
    &[0x1f, 0x8b, 8, 0],
    b"\x93NUMPY\x01\x00",
    b"65536",
    b"18446744073709551616",
    b"-1",
    b"1e39",
    b"nan",
    b",",
    b"\n",
    b"\"",
    b":",
    b" ",
    b"conv8k3s2p1",
];

/// Makes inputs out of seeds.
pub struct Mutator {
    random: Random,
}

impl Mutator {
    /// The inputs of this number.
    pub fn new(seed: u64) -> Mutator {
        Mutator {
            random: Random::new(seed, 0),
        }
    }

    /// A number below `bound`, 0 where that is 0.
    fn below(&mut self, bound: usize) -> usize {
        let x = f64::from(self.random.uniform());
        ((x * bound as f64) as usize).min(bound.saturating_sub(1))
    }

    /// One of the seeds, changed in one to eight places.
    pub fn next(&mut self, seeds: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = seeds[self.below(seeds.len())].clone();
        for _ in 0..=self.below(8) {
            self.change(&mut bytes, seeds);
        }
        bytes.truncate(LONGEST);
        bytes
    }

    fn change(&mut self, bytes: &mut Vec<u8>, seeds: &[Vec<u8>]) {
        let at = self.below(bytes.len() + 1);
        let end = (at + 1 + self.below(16)).min(bytes.len());
        match self.below(9) {
            0 if at < bytes.len() => bytes[at] ^= 1 << self.below(8),
            1 if at < bytes.len() => bytes[at] = self.below(256) as u8,
            2 if at < bytes.len() => bytes[at] = bytes[at].wrapping_add(1),
            3 if at < end => drop(bytes.drain(at..end)),
            4 if at < end => {
                let part = bytes[at..end].to_vec();
                let to = self.below(bytes.len());
                bytes.splice(to..to, part);
            }
            5 => {
                let part = PARTS[self.below(PARTS.len())];
                bytes.splice(at..at, part.iter().copied());
            }
            6 => {
                let part = PARTS[self.below(PARTS.len())];
                let end = (at + part.len()).min(bytes.len());
                bytes.splice(at..end, part.iter().copied());
            }
            7 => {
                let other = &seeds[self.below(seeds.len())];
                let from = self.below(other.len() + 1);
                bytes.truncate(at);
                bytes.extend(&other[from..]);
            }
            8 => bytes.truncate(at),
            _ => bytes.insert(at, self.below(256) as u8),
        }
    }
}
