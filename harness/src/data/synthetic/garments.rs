//! The ten garments, as polygons.

use super::canvas::{Canvas, Dice, PIXELS};

/// One garment of class `class`.
pub(super) fn draw(class: u8, dice: &mut Dice) -> [u8; PIXELS] {
    let mut canvas = Canvas::new(dice);
    match class {
        0 => top(
            &mut canvas,
            dice,
            Top {
                sleeve: (3.0, 7.5),
                hem: (21.0, 25.0),
                front: 0.1,
                collar: 0.1,
            },
        ),
        1 => trouser(&mut canvas, dice),
        2 => top(
            &mut canvas,
            dice,
            Top {
                sleeve: (12.5, 17.5),
                hem: (21.0, 24.5),
                front: 0.05,
                collar: 0.15,
            },
        ),
        3 => dress(&mut canvas, dice),
        4 => top(
            &mut canvas,
            dice,
            Top {
                sleeve: (14.0, 18.5),
                hem: (23.5, 26.5),
                front: 0.9,
                collar: 0.6,
            },
        ),
        5 => sandal(&mut canvas, dice),
        6 => top(
            &mut canvas,
            dice,
            Top {
                sleeve: (5.5, 17.5),
                hem: (22.0, 26.0),
                front: 0.6,
                collar: 0.8,
            },
        ),
        7 => sneaker(&mut canvas, dice),
        8 => bag(&mut canvas, dice),
        _ => boot(&mut canvas, dice),
    }
    canvas.finish(dice)
}

/// What tells the upper garments apart: ranges of lengths in pixels, and how often a detail is
/// there.
struct Top {
    sleeve: (f32, f32),
    hem: (f32, f32),
    front: f32,
    collar: f32,
}

fn top(canvas: &mut Canvas, dice: &mut Dice, kind: Top) {
    let shoulder = dice.between(5.0, 7.0);
    let waist = dice.between(4.6, 6.6);
    let hem = dice.between(kind.hem.0, kind.hem.1);
    let neck = dice.between(1.6, 3.0);
    let sleeve = dice.between(kind.sleeve.0, kind.sleeve.1);
    let spread = dice.between(0.22, 0.5);
    let cuff = dice.between(2.4, 3.6);
    let shade = canvas.shade;

    canvas.mirrored(
        &[
            (0.0, 4.0),
            (neck, 3.0),
            (shoulder, 4.6),
            (waist, 12.0),
            (waist + 0.4, hem),
            (0.0, hem),
        ],
        shade,
    );
    let hand = (shoulder + sleeve * spread, 5.0 + sleeve);
    canvas.mirrored(
        &[
            (shoulder - 0.6, 4.3),
            (shoulder + 1.0, 5.0),
            hand,
            (hand.0 - cuff, hand.1 + 0.6),
            (waist, 10.0),
        ],
        shade * dice.between(0.8, 1.0),
    );
    let depth = dice.between(0.6, 3.4);
    canvas.mirrored(&[(0.0, 2.5), (neck, 2.5), (0.0, 3.4 + depth)], 0.0);
    if dice.chance(kind.front) {
        let width = dice.between(0.3, 0.8);
        canvas.mirrored(
            &[
                (0.0, 4.5 + depth),
                (width, 4.5 + depth),
                (width, hem),
                (0.0, hem),
            ],
            shade * 0.35,
        );
    }
    if dice.chance(kind.collar) {
        canvas.mirrored(
            &[
                (0.2, 3.6 + depth),
                (neck, 2.4),
                (neck + 1.5, 4.4),
                (1.4, 5.4 + depth),
            ],
            shade * 0.7,
        );
    }
}

fn trouser(canvas: &mut Canvas, dice: &mut Dice) {
    let waist = dice.between(3.0, 5.0);
    let hip = waist + dice.between(0.2, 1.2);
    let foot = dice.between(1.0, 5.0);
    let width = dice.between(1.8, 3.4);
    let crotch = dice.between(9.0, 13.0);
    let end = dice.between(23.5, 27.0);
    let shade = canvas.shade;
    let inner = (foot - width * 0.5).max(0.3);
    canvas.mirrored(
        &[
            (0.0, 1.5),
            (waist, 1.5),
            (hip, 8.0),
            (foot + width * 0.5, end),
            (inner, end),
            (0.25, crotch),
            (0.0, crotch),
        ],
        shade,
    );
    canvas.mirrored(
        &[(0.0, 1.5), (waist, 1.5), (waist, 2.8), (0.0, 2.8)],
        shade * 0.7,
    );
}

fn dress(canvas: &mut Canvas, dice: &mut Dice) {
    let bust = dice.between(2.8, 4.4);
    let waist = dice.between(2.2, 3.6);
    let flare = dice.between(3.4, 8.0);
    let height = dice.between(10.0, 13.0);
    let hem = dice.between(24.0, 27.5);
    let shade = canvas.shade;
    canvas.mirrored(
        &[
            (0.0, 3.5),
            (bust, 3.0),
            (bust, 7.5),
            (waist, height),
            (flare, hem),
            (0.0, hem),
        ],
        shade,
    );
    let strap = dice.between(0.8, 2.2);
    canvas.mirrored(
        &[(strap, 0.8), (strap + 1.1, 0.8), (bust, 3.2), (strap, 4.0)],
        shade,
    );
    if dice.chance(0.45) {
        let sleeve = dice.between(2.5, 12.0);
        canvas.mirrored(
            &[
                (bust - 0.5, 3.0),
                (bust + 1.5, 4.0),
                (bust + 2.6, 4.0 + sleeve),
                (bust, 4.0 + sleeve),
            ],
            shade,
        );
    }
}

fn sandal(canvas: &mut Canvas, dice: &mut Dice) {
    let heel = dice.between(0.5, 8.0);
    let sole = dice.between(0.8, 2.0);
    let ground = 21.0;
    let shade = canvas.shade;
    // The toe stands left, the heel right and higher.
    canvas.polygon(
        &[
            (1.5, ground - sole),
            (10.0, ground - sole),
            (25.5, ground - heel - sole),
            (25.5, ground - heel),
            (10.0, ground),
            (1.5, ground),
        ],
        shade,
    );
    let stem = dice.between(0.8, 3.0);
    canvas.polygon(
        &[
            (25.5, ground - heel),
            (25.5, ground),
            (25.5 - stem, ground),
            (24.5 - stem, ground - heel),
        ],
        shade,
    );
    for _ in 0..2 + dice.below(3) {
        let from = dice.between(3.0, 12.0);
        let to = from + dice.between(2.0, 10.0);
        let rise = dice.between(4.0, 9.0);
        let width = dice.between(0.8, 1.6);
        canvas.polygon(
            &[
                (from, ground - 1.0),
                (from + width, ground - 1.0),
                (to + width, ground - 1.0 - rise),
                (to, ground - 1.0 - rise),
            ],
            shade * dice.between(0.6, 1.0),
        );
    }
}

fn sneaker(canvas: &mut Canvas, dice: &mut Dice) {
    let height = dice.between(5.5, 9.5);
    let toe = dice.between(2.6, 4.6);
    let sole = dice.between(1.2, 2.6);
    let tongue = dice.between(13.0, 17.0);
    let ground = 20.5;
    let shade = canvas.shade;
    canvas.polygon(
        &[
            (1.5, ground),
            (2.0, ground - toe),
            (9.0, ground - toe - 1.4),
            (tongue, ground - height),
            (tongue + 3.5, ground - height * 0.75),
            (25.0, ground - height),
            (26.5, ground),
        ],
        shade,
    );
    canvas.polygon(
        &[
            (1.0, ground),
            (26.8, ground),
            (26.3, ground + sole),
            (1.6, ground + sole),
        ],
        shade * dice.between(0.4, 1.1),
    );
    if dice.chance(0.6) {
        canvas.polygon(
            &[
                (11.0, ground - 2.0),
                (18.0, ground - height * 0.7),
                (19.5, ground - height * 0.7),
                (13.0, ground - 1.0),
            ],
            shade * 0.5,
        );
    }
}

fn boot(canvas: &mut Canvas, dice: &mut Dice) {
    let shaft = dice.between(9.0, 18.5);
    let left = dice.between(12.0, 15.5);
    let toe = dice.between(3.0, 5.0);
    let heel = dice.between(0.4, 4.5);
    let ground = 24.0;
    let shade = canvas.shade;
    canvas.polygon(
        &[
            (2.0, ground),
            (2.4, ground - toe),
            (8.5, ground - toe - 1.8),
            (left, ground - 8.0),
            (left - 0.5, ground - shaft),
            (24.5, ground - shaft),
            (25.0, ground - heel),
            (17.0, ground - heel),
            (12.0, ground),
        ],
        shade,
    );
    canvas.polygon(
        &[
            (21.0, ground - heel),
            (25.0, ground - heel),
            (25.0, ground),
            (22.0, ground),
        ],
        shade * 0.8,
    );
    if dice.chance(0.4) {
        canvas.polygon(
            &[
                (left + 2.0, ground - shaft),
                (left + 4.0, ground - shaft),
                (left + 4.0, ground - 6.0),
            ],
            shade * 0.4,
        );
    }
}

fn bag(canvas: &mut Canvas, dice: &mut Dice) {
    let half = dice.between(7.5, 12.5);
    let rim = half - dice.between(0.0, 3.0);
    let rise = dice.between(2.5, 8.5);
    let body = dice.between(9.0, 13.0);
    let floor = dice.between(22.0, 25.0);
    let shade = canvas.shade;
    let top = floor - body;
    let grip = dice.between(2.5, 6.0);
    if dice.chance(0.85) {
        canvas.mirrored(
            &[
                (0.0, top - rise),
                (grip, top - rise),
                (grip + 2.0, top),
                (0.0, top),
            ],
            shade * 0.8,
        );
        canvas.mirrored(
            &[
                (0.0, top - rise + 1.2),
                (grip - 0.8, top - rise + 1.2),
                (grip + 0.8, top),
                (0.0, top),
            ],
            0.0,
        );
    }
    canvas.mirrored(
        &[(0.0, top), (rim, top), (half, floor), (0.0, floor)],
        shade,
    );
    if dice.chance(0.5) {
        canvas.mirrored(
            &[
                (0.0, top),
                (rim, top),
                (rim * 0.9, top + body * 0.45),
                (0.0, top + body * 0.5),
            ],
            shade * 0.7,
        );
    }
}
