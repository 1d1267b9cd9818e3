//! The picture that a garment is drawn on, and the random numbers of one image.

/// Rows of an image.
pub(super) const ROWS: usize = 28;
/// Columns of an image.
pub(super) const COLUMNS: usize = 28;
/// Pixels of an image.
pub(super) const PIXELS: usize = ROWS * COLUMNS;

/// A point in pixels, x to the right and y down, (0, 0) the upper left corner of the picture.
type Point = (f32, f32);

/// A grey picture with the pose that a garment is drawn in.
pub(super) struct Canvas {
    grey: [f32; PIXELS],
    /// Grey value of the cloth, 0 to 255.
    pub(super) shade: f32,
    size: Point,
    shift: Point,
    lean: f32,
    curl: f32,
}

const MIDDLE: Point = (14.0, 14.0);
/// Rows that each pixel row is sampled in.
const SUBROWS: usize = 2;
/// Most corners of a polygon.
const CORNERS: usize = 16;

impl Canvas {
    pub(super) fn new(dice: &mut Dice) -> Self {
        Self {
            grey: [0.0; PIXELS],
            shade: dice.between(70.0, 240.0),
            size: (dice.between(0.82, 1.06), dice.between(0.85, 1.04)),
            shift: (dice.between(-1.6, 1.6), dice.between(-1.4, 1.4)),
            lean: dice.between(-0.1, 0.1),
            curl: dice.between(-0.08, 0.08),
        }
    }

    fn place(&self, (x, y): Point) -> Point {
        let (u, v) = (x - MIDDLE.0, y - MIDDLE.1);
        (
            MIDDLE.0 + self.shift.0 + u * self.size.0 + v * self.lean,
            MIDDLE.1 + self.shift.1 + v * self.size.1 + u * self.curl,
        )
    }

    /// Fills a polygon, and its mirror image about the vertical middle; x counts from the middle.
    pub(super) fn mirrored(&mut self, corners: &[Point], shade: f32) {
        for side in [1.0, -1.0] {
            let mut sided = [(0.0, 0.0); CORNERS];
            for (to, from) in sided.iter_mut().zip(corners) {
                *to = (MIDDLE.0 + side * from.0, from.1);
            }
            self.polygon(&sided[..corners.len().min(CORNERS)], shade);
        }
    }

    /// Fills a polygon by the even-odd rule: exact coverage along x, [`SUBROWS`] samples along y.
    pub(super) fn polygon(&mut self, corners: &[Point], shade: f32) {
        let mut placed = [(0.0, 0.0); CORNERS];
        let corners = &corners[..corners.len().min(CORNERS)];
        for (to, &from) in placed.iter_mut().zip(corners) {
            *to = self.place(from);
        }
        let placed = &placed[..corners.len()];
        let highest = placed.iter().fold(ROWS as f32, |y, corner| y.min(corner.1));
        let lowest = placed.iter().fold(0.0f32, |y, corner| y.max(corner.1));
        for row in highest.max(0.0) as usize..ROWS.min(lowest as usize + 1) {
            let mut cover = [0.0f32; COLUMNS];
            for sub in 0..SUBROWS {
                let y = row as f32 + (sub as f32 + 0.5) / SUBROWS as f32;
                let mut crossings = [0.0f32; CORNERS];
                let mut found = 0;
                for (i, &(x0, y0)) in placed.iter().enumerate() {
                    let (x1, y1) = placed[(i + 1) % placed.len()];
                    if (y0 <= y) != (y1 <= y) {
                        crossings[found] = x0 + (x1 - x0) * ((y - y0) / (y1 - y0));
                        found += 1;
                    }
                }
                crossings[..found].sort_by(f32::total_cmp);
                for span in crossings[..found].chunks_exact(2) {
                    add_span(&mut cover, span[0], span[1], 1.0 / SUBROWS as f32);
                }
            }
            for (pixel, part) in self.grey[row * COLUMNS..][..COLUMNS].iter_mut().zip(cover) {
                *pixel += (shade - *pixel) * part;
            }
        }
    }

    /// Adds the cloth's pattern and the noise, and rounds to bytes.
    pub(super) fn finish(self, dice: &mut Dice) -> [u8; PIXELS] {
        let period = 2 + dice.below(5) as usize;
        let contrast = if dice.chance(0.4) {
            dice.between(0.1, 0.5)
        } else {
            0.0
        };
        let (across, down) = [(0, 1), (1, 0), (1, 1)][dice.below(3) as usize];
        let noise = dice.between(6.0, 26.0);
        let mut bytes = [0; PIXELS];
        for (i, (byte, grey)) in bytes.iter_mut().zip(self.grey).enumerate() {
            let phase = (i / COLUMNS * down + i % COLUMNS * across) / period % 2;
            let cloth = grey * (1.0 - contrast * phase as f32);
            // A sum of two uniform numbers; the empty background keeps a quarter of the noise.
            let random = dice.next_u32();
            let wave = (random & 0xffff) as f32 / 65_536.0 + (random >> 16) as f32 / 65_536.0 - 1.0;
            let amount = if grey > 8.0 { noise } else { noise * 0.25 };
            // The cast saturates: below zero is 0, above 255 is 255.
            *byte = (cloth + wave * amount * 2.0) as u8;
        }
        bytes
    }
}

/// Adds `weight` times the part of each pixel that lies between `from` and `to`.
fn add_span(cover: &mut [f32; COLUMNS], from: f32, to: f32, weight: f32) {
    for (column, part) in cover.iter_mut().enumerate() {
        let left = from.max(column as f32);
        let right = to.min(column as f32 + 1.0);
        if right > left {
            *part += (right - left) * weight;
        }
    }
}

/// Random numbers of one image.
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64, stream: u64) -> Self {
        let mut dice = Self(seed ^ stream.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        dice.0 = dice.next_u64();
        dice
    }

    fn next_u64(&mut self) -> u64 {
        // SplitMix64 (Steele, Lea and Flood, 2014).
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(super) fn next_u32(&mut self) -> u32 {
        (self.next_u64() >> 32) as u32
    }

    pub(super) fn below(&mut self, n: u32) -> u32 {
        ((u64::from(self.next_u32()) * u64::from(n)) >> 32) as u32
    }

    pub(super) fn between(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * ((self.next_u32() >> 8) as f32 / 16_777_216.0)
    }

    pub(super) fn chance(&mut self, probability: f32) -> bool {
        self.between(0.0, 1.0) < probability
    }
}
