//! Problems of two and three variables.

use super::{Number, Problem, c};

pub(super) fn rosenbrock<R: Number>() -> Problem<R> {
    Problem::<R>::squares("Rosenbrock", vec![-1.2, 1.0], 0.0, 2, |i, x, row| match i {
        0 => {
            row[0] = c::<R>(-20.0) * x[0];
            row[1] = c(10.0);
            c::<R>(10.0) * (x[1] - x[0] * x[0])
        }
        _ => {
            row[0] = -R::ONE;
            R::ONE - x[0]
        }
    })
}

pub(super) fn freudenstein_roth<R: Number>() -> Problem<R> {
    // From (.5, -2) descent leads to the local minimum at 48.9842.
    Problem::<R>::squares(
        "Freudenstein-Roth",
        vec![0.5, -2.0],
        48.984_25,
        2,
        |i, x, row| {
            let y = x[1];
            row[0] = R::ONE;
            if i == 0 {
                row[1] = (c::<R>(10.0) - c::<R>(3.0) * y) * y - c(2.0);
                c::<R>(-13.0) + x[0] + ((c::<R>(5.0) - y) * y - c(2.0)) * y
            } else {
                row[1] = (c::<R>(2.0) + c::<R>(3.0) * y) * y - c(14.0);
                c::<R>(-29.0) + x[0] + ((y + R::ONE) * y - c(14.0)) * y
            }
        },
    )
}

pub(super) fn powell_badly_scaled<R: Number>() -> Problem<R> {
    Problem::<R>::squares(
        "Powell badly scaled",
        vec![0.0, 1.0],
        0.0,
        2,
        |i, x, row| {
            if i == 0 {
                row[0] = c::<R>(1e4) * x[1];
                row[1] = c::<R>(1e4) * x[0];
                c::<R>(1e4) * x[0] * x[1] - R::ONE
            } else {
                row[0] = -(-x[0]).exp();
                row[1] = -(-x[1]).exp();
                (-x[0]).exp() + (-x[1]).exp() - c(1.0001)
            }
        },
    )
}

pub(super) fn brown_badly_scaled<R: Number>() -> Problem<R> {
    Problem::<R>::squares(
        "Brown badly scaled",
        vec![1.0, 1.0],
        0.0,
        3,
        |i, x, row| match i {
            0 => {
                row[0] = R::ONE;
                x[0] - c(1e6)
            }
            1 => {
                row[1] = R::ONE;
                x[1] - c(2e-6)
            }
            _ => {
                row[0] = x[1];
                row[1] = x[0];
                x[0] * x[1] - c(2.0)
            }
        },
    )
}

pub(super) fn beale<R: Number>() -> Problem<R> {
    Problem::<R>::squares("Beale", vec![1.0, 1.0], 0.0, 3, |i, x, row| {
        let y = [c::<R>(1.5), c(2.25), c(2.625)][i];
        let mut power = R::ONE;
        for _ in 0..i {
            power *= x[1];
        }
        row[0] = -(R::ONE - power * x[1]);
        row[1] = x[0] * c::<R>(i as f64 + 1.0) * power;
        y - x[0] * (R::ONE - power * x[1])
    })
}

pub(super) fn helical_valley<R: Number>() -> Problem<R> {
    let turn = 2.0 * std::f64::consts::PI;
    Problem::<R>::squares(
        "Helical valley",
        vec![-1.0, 0.0, 0.0],
        0.0,
        3,
        move |i, x, row| {
            let square = x[0] * x[0] + x[1] * x[1];
            match i {
                0 => {
                    let angle = (x[1] / x[0]).atan() / c(turn)
                        + if x[0] < R::ZERO { R::HALF } else { R::ZERO };
                    row[0] = c::<R>(100.0) * x[1] / (c::<R>(turn) * square);
                    row[1] = c::<R>(-100.0) * x[0] / (c::<R>(turn) * square);
                    row[2] = c(10.0);
                    c::<R>(10.0) * (x[2] - c::<R>(10.0) * angle)
                }
                1 => {
                    let radius = square.sqrt();
                    row[0] = c::<R>(10.0) * x[0] / radius;
                    row[1] = c::<R>(10.0) * x[1] / radius;
                    c::<R>(10.0) * (radius - R::ONE)
                }
                _ => {
                    row[2] = R::ONE;
                    x[2]
                }
            }
        },
    )
}

pub(super) fn cube<R: Number>() -> Problem<R> {
    Problem::<R>::squares("CUBE", vec![-1.2, 1.0], 0.0, 2, |i, x, row| {
        if i == 0 {
            row[0] = R::ONE;
            x[0] - R::ONE
        } else {
            row[0] = c::<R>(-30.0) * x[0] * x[0];
            row[1] = c(10.0);
            c::<R>(10.0) * (x[1] - x[0] * x[0] * x[0])
        }
    })
}

pub(super) fn sineval<R: Number>() -> Problem<R> {
    Problem::<R>::squares("SINEVAL", vec![4.712389, -1.0], 0.0, 2, |i, x, row| {
        if i == 0 {
            row[0] = c::<R>(-100.0) * x[0].cos();
            row[1] = c(100.0);
            c::<R>(100.0) * (x[1] - x[0].sin())
        } else {
            row[0] = R::HALF;
            R::HALF * x[0]
        }
    })
}

pub(super) fn himmelblau<R: Number>() -> Problem<R> {
    Problem::<R>::squares("Himmelblau", vec![1.0, 1.0], 0.0, 2, |i, x, row| {
        let two = c::<R>(2.0);
        if i == 0 {
            (row[0], row[1]) = (two * x[0], R::ONE);
            x[0] * x[0] + x[1] - c(11.0)
        } else {
            (row[0], row[1]) = (R::ONE, two * x[1]);
            x[0] + x[1] * x[1] - c(7.0)
        }
    })
}

pub(super) fn booth<R: Number>() -> Problem<R> {
    Problem::<R>::squares("Booth", vec![0.0, 0.0], 0.0, 2, |i, x, row| {
        let (a, b, y) = if i == 0 {
            (1.0, 2.0, 7.0)
        } else {
            (2.0, 1.0, 5.0)
        };
        (row[0], row[1]) = (c(a), c(b));
        c::<R>(a) * x[0] + c::<R>(b) * x[1] - c(y)
    })
}
