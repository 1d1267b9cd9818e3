//! Problems of CUTEst that came after the settings: they judge. Of what was chosen since, only the
//! share that the diagonal forgets and the growth of steps were chosen with them in view.
//!
//! `tests/tests/conformance.rs` holds them against scipy's L-BFGS-B, whose counts
//! `tests/peers/scipy_unseen.py` prints, and checks their gradients by differences.
//!
//! Source: N. Gould, D. Orban, Ph. Toint, *CUTEst*, Comput. Optim. Appl. 60 (2015), the problems of
//! that name; the smaller of the sizes that they come in.

use super::{Number, Problem, c};

/// Two variables: CLIFF.
fn cliff<R: Number>() -> Problem<R> {
    Problem::<R>::smooth("CLIFF", vec![0.0, -1.0], 0.19978661, |x, g| {
        let (a, d) = ((x[0] - c(3.0)) / c(100.0), x[0] - x[1]);
        let e = (c::<R>(20.0) * d).exp();
        let slope = c::<R>(20.0) * e - R::ONE;
        (g[0], g[1]) = (a / c(50.0) + slope, -slope);
        a * a - d + e
    })
}

fn denschna<R: Number>() -> Problem<R> {
    Problem::<R>::squares("DENSCHNA", vec![1.0, 1.0], 0.0, 3, |i, x, row| match i {
        0 => {
            row[0] = c::<R>(2.0) * x[0];
            x[0] * x[0]
        }
        1 => {
            row.fill(R::ONE);
            x[0] + x[1]
        }
        _ => {
            row[1] = x[1].exp();
            x[1].exp() - R::ONE
        }
    })
}

fn denschnb<R: Number>() -> Problem<R> {
    Problem::<R>::squares("DENSCHNB", vec![1.0, 1.0], 0.0, 3, |i, x, row| match i {
        0 => {
            row[0] = R::ONE;
            x[0] - c(2.0)
        }
        1 => {
            (row[0], row[1]) = (x[1], x[0] - c(2.0));
            (x[0] - c(2.0)) * x[1]
        }
        _ => {
            row[1] = R::ONE;
            x[1] + R::ONE
        }
    })
}

fn denschnc<R: Number>() -> Problem<R> {
    Problem::<R>::squares("DENSCHNC", vec![2.0, 3.0], 0.0, 2, |i, x, row| {
        if i == 0 {
            (row[0], row[1]) = (c::<R>(2.0) * x[0], c::<R>(2.0) * x[1]);
            x[0] * x[0] + x[1] * x[1] - c(2.0)
        } else {
            let e = (x[0] - R::ONE).exp();
            (row[0], row[1]) = (e, c::<R>(3.0) * x[1] * x[1]);
            e + x[1] * x[1] * x[1] - c(2.0)
        }
    })
}

fn denschnd<R: Number>() -> Problem<R> {
    Problem::<R>::squares("DENSCHND", vec![10.0; 3], 0.0, 3, |i, x, row| {
        let (a, b, d) = (x[0], x[1], x[2]);
        match i {
            0 => {
                row[0] = c::<R>(2.0) * a;
                row[1] = c::<R>(3.0) * b * b;
                row[2] = c::<R>(-4.0) * d * d * d;
                a * a + b * b * b - d * d * d * d
            }
            1 => {
                let two = c::<R>(2.0);
                (row[0], row[1], row[2]) = (two * b * d, two * a * d, two * a * b);
                two * a * b * d
            }
            _ => {
                row[0] = c::<R>(2.0) * b + d;
                row[1] = c::<R>(2.0) * a - c::<R>(3.0) * d;
                row[2] = a - c::<R>(3.0) * b;
                c::<R>(2.0) * a * b - c::<R>(3.0) * b * d + a * d
            }
        }
    })
}

fn denschne<R: Number>() -> Problem<R> {
    let start = vec![2.0, 3.0, -8.0];
    Problem::<R>::squares("DENSCHNE", start, f64::NAN, 3, |i, x, row| match i {
        0 => {
            row[0] = R::ONE;
            x[0]
        }
        1 => {
            row[1] = R::ONE + c::<R>(2.0) * x[1];
            x[1] + x[1] * x[1]
        }
        _ => {
            row[2] = x[2].exp();
            x[2].exp() - R::ONE
        }
    })
}

fn denschnf<R: Number>() -> Problem<R> {
    Problem::<R>::squares("DENSCHNF", vec![2.0, 0.0], 0.0, 2, |i, x, row| {
        if i == 0 {
            let (a, b) = (x[0] + x[1], x[0] - x[1]);
            row[0] = c::<R>(4.0) * a + c::<R>(2.0) * b;
            row[1] = c::<R>(4.0) * a - c::<R>(2.0) * b;
            c::<R>(2.0) * a * a + b * b - c(8.0)
        } else {
            let b = x[1] - c(3.0);
            (row[0], row[1]) = (c::<R>(10.0) * x[0], c::<R>(2.0) * b);
            c::<R>(5.0) * x[0] * x[0] + b * b - c(9.0)
        }
    })
}

fn hairy<R: Number>() -> Problem<R> {
    Problem::<R>::smooth("HAIRY", vec![-5.0, -7.0], f64::NAN, |x, g| {
        let seven = c::<R>(7.0);
        let (s, k) = ((seven * x[0]).sin(), (seven * x[1]).cos());
        let d = x[0] - x[1];
        let (p, q) = (
            (c::<R>(0.01) + d * d).sqrt(),
            (c::<R>(0.01) + x[0] * x[0]).sqrt(),
        );
        let (ds, dk) = (
            c::<R>(420.0) * s * (seven * x[0]).cos() * k * k,
            c::<R>(-420.0) * k * (seven * x[1]).sin() * s * s,
        );
        let hundred = c::<R>(100.0);
        g[0] = ds + hundred * d / p + hundred * x[0] / q;
        g[1] = dk - hundred * d / p;
        c::<R>(30.0) * s * s * k * k + hundred * p + hundred * q
    })
}

fn himmelbg<R: Number>() -> Problem<R> {
    Problem::<R>::smooth("HIMMELBG", vec![0.5, 0.5], f64::NAN, |x, g| {
        let e = (-x[0] - x[1]).exp();
        let q = c::<R>(2.0) * x[0] * x[0] + c::<R>(3.0) * x[1] * x[1];
        g[0] = e * (c::<R>(4.0) * x[0] - q);
        g[1] = e * (c::<R>(6.0) * x[1] - q);
        e * q
    })
}

fn himmelbh<R: Number>() -> Problem<R> {
    Problem::<R>::smooth("HIMMELBH", vec![0.0, 2.0], -1.0, |x, g| {
        g[0] = c::<R>(3.0) * x[0] * x[0] - c(3.0);
        g[1] = c::<R>(2.0) * x[1] - c(2.0);
        x[0] * x[0] * x[0] - c::<R>(3.0) * x[0] + x[1] * x[1] - c::<R>(2.0) * x[1] + c(2.0)
    })
}

fn mexhat<R: Number>() -> Problem<R> {
    Problem::<R>::smooth("MEXHAT", vec![0.86, 0.72], f64::NAN, |x, g| {
        let p = c::<R>(10_000.0);
        let (a, b) = (x[0] - R::ONE, x[1] - x[0] * x[0]);
        let t = b * b / p + a * a - c(0.02);
        let two = c::<R>(2.0);
        let slope = two * p * t;
        g[0] = -two * two * a + slope * (two * a - two * two * b * x[0] / p);
        g[1] = slope * two * b / p;
        p * t * t - two * a * a
    })
}

fn s308<R: Number>() -> Problem<R> {
    Problem::<R>::squares("S308", vec![3.0, 0.1], 0.77319906, 3, |i, x, row| match i {
        0 => {
            row[0] = c::<R>(2.0) * x[0] + x[1];
            row[1] = c::<R>(2.0) * x[1] + x[0];
            x[0] * x[0] + x[0] * x[1] + x[1] * x[1]
        }
        1 => {
            row[0] = x[0].cos();
            x[0].sin()
        }
        _ => {
            row[1] = -x[1].sin();
            x[1].cos()
        }
    })
}

fn sisser<R: Number>() -> Problem<R> {
    Problem::<R>::smooth("SISSER", vec![1.0, 0.1], 0.0, |x, g| {
        let (a, b) = (x[0] * x[0], x[1] * x[1]);
        g[0] = x[0] * (c::<R>(12.0) * a - c::<R>(4.0) * b);
        g[1] = x[1] * (c::<R>(12.0) * b - c::<R>(4.0) * a);
        c::<R>(3.0) * a * a - c::<R>(2.0) * a * b + c::<R>(3.0) * b * b
    })
}

fn zangwil2<R: Number>() -> Problem<R> {
    Problem::<R>::smooth("ZANGWIL2", vec![3.0, 8.0], -18.2, |x, g| {
        let fifteenth = R::ONE / c(15.0);
        g[0] = fifteenth * (c::<R>(32.0) * x[0] - c::<R>(8.0) * x[1] - c(56.0));
        g[1] = fifteenth * (c::<R>(32.0) * x[1] - c::<R>(8.0) * x[0] - c(256.0));
        fifteenth
            * (c::<R>(16.0) * (x[0] * x[0] + x[1] * x[1])
                - c::<R>(8.0) * x[0] * x[1]
                - c::<R>(56.0) * x[0]
                - c::<R>(256.0) * x[1]
                + c(991.0))
    })
}

fn brkmcc<R: Number>() -> Problem<R> {
    Problem::<R>::smooth("BRKMCC", vec![2.0, 2.0], f64::NAN, |x, g| {
        let (a, b) = (x[0] - c(2.0), x[1] - R::ONE);
        let d = R::ONE - c::<R>(0.25) * x[0] * x[0] - x[1] * x[1];
        let e = x[0] - c::<R>(2.0) * x[1] + R::ONE;
        let steep = c::<R>(0.04) / (d * d);
        g[0] = c::<R>(2.0) * a + steep * c(0.5) * x[0] + c::<R>(10.0) * e;
        g[1] = c::<R>(2.0) * b + steep * c(2.0) * x[1] - c::<R>(20.0) * e;
        a * a + b * b + c::<R>(0.04) / d + c::<R>(5.0) * e * e
    })
}

fn expfit<R: Number>() -> Problem<R> {
    Problem::<R>::squares("EXPFIT", vec![0.0, 0.0], f64::NAN, 10, |i, x, row| {
        let t = c::<R>(0.25 * (i + 1) as f64);
        let e = (x[1] * t).exp();
        (row[0], row[1]) = (e, x[0] * t * e);
        x[0] * e - t
    })
}

/// Four variables: ALLINITU.
fn allinitu<R: Number>() -> Problem<R> {
    Problem::<R>::smooth("ALLINITU", vec![0.0; 4], 5.74438491, |x, g| {
        let two = c::<R>(2.0);
        let &[a, b, d, e] = x else { return R::NAN };
        let (s, k) = (d.sin(), d.cos());
        let (t, u) = (e.sin(), e.cos());
        let p = d + e;
        let q = d * d + (e + a) * (e + a);
        let r = a - c(4.0) + t * t + b * b * d * d;
        g[0] = two * a + two * a * b * b + c::<R>(4.0) * q * (e + a) + two * r;
        g[1] = two * b + two * a * a * b + c::<R>(4.0) * b * b * b + c::<R>(4.0) * r * b * d * d;
        g[2] = R::ONE
            + two * p
            + c::<R>(4.0) * s * k
            + c::<R>(4.0) * q * d
            + c::<R>(4.0) * r * b * b * d;
        g[3] = two * p
            + R::ONE
            + two * (e - R::ONE)
            + c::<R>(4.0) * q * (e + a)
            + c::<R>(4.0) * r * t * u
            + c::<R>(4.0) * t * t * t * u;
        d + a * a + b * b + p * p + two * s * s + a * a * b * b + e - c(4.0)
            + (e - R::ONE) * (e - R::ONE)
            + b * b * b * b
            + q * q
            + r * r
            + t * t * t * t
    })
}

/// The factors of CHNROSNB and ERRINROS.
const ALPHA: [f64; 50] = [
    1.25, 1.40, 2.40, 1.40, 1.75, 1.20, 2.25, 1.20, 1.00, 1.10, 1.50, 1.60, 1.25, 1.25, 1.20, 1.20,
    1.40, 0.50, 0.50, 1.25, 1.80, 0.75, 1.25, 1.40, 1.60, 2.00, 1.00, 1.60, 1.25, 2.75, 1.25, 1.25,
    1.25, 3.00, 1.50, 2.00, 1.25, 1.40, 1.80, 1.50, 2.20, 1.40, 1.50, 1.25, 2.00, 1.50, 1.25, 1.40,
    0.60, 1.50,
];

fn chnrosnb<R: Number>() -> Problem<R> {
    Problem::<R>::squares("CHNROSNB", vec![-1.0; 50], 0.0, 98, |i, x, row| {
        let j = 1 + i / 2;
        if i % 2 == 0 {
            let a = c::<R>(4.0 * ALPHA[j]);
            (row[j - 1], row[j]) = (a, c::<R>(-2.0) * a * x[j]);
            a * (x[j - 1] - x[j] * x[j])
        } else {
            row[j] = R::ONE;
            x[j] - R::ONE
        }
    })
}

fn errinros<R: Number>() -> Problem<R> {
    Problem::<R>::squares("ERRINROS", vec![-1.0; 50], f64::NAN, 98, |i, x, row| {
        let j = 1 + i / 2;
        if i % 2 == 0 {
            let a = c::<R>(16.0 * ALPHA[j] * ALPHA[j]);
            (row[j - 1], row[j]) = (R::ONE, c::<R>(-2.0) * a * x[j]);
            x[j - 1] - a * x[j] * x[j]
        } else {
            row[j] = R::ONE;
            x[j] - R::ONE
        }
    })
}

fn fletchcr<R: Number>() -> Problem<R> {
    Problem::<R>::squares("FLETCHCR", vec![0.0; 100], 0.0, 99, |i, x, row| {
        let ten = c::<R>(10.0);
        (row[i], row[i + 1]) = (-ten - c::<R>(20.0) * x[i], ten);
        ten * (x[i + 1] - x[i] + R::ONE - x[i] * x[i])
    })
}

fn cosine<R: Number>() -> Problem<R> {
    Problem::<R>::smooth("COSINE", vec![1.0; 100], -99.0, |x, g| {
        let mut value = R::ZERO;
        for i in 0..x.len() - 1 {
            let t = x[i] * x[i] - R::HALF * x[i + 1];
            value += t.cos();
            g[i] -= c::<R>(2.0) * x[i] * t.sin();
            g[i + 1] += R::HALF * t.sin();
        }
        value
    })
}

fn sinquad<R: Number>() -> Problem<R> {
    Problem::<R>::squares("SINQUAD", vec![0.1; 50], f64::NAN, 50, |i, x, row| {
        let (n, two) = (x.len(), c::<R>(2.0));
        if i == 0 {
            let a = x[0] - R::ONE;
            row[0] = two * a;
            a * a
        } else if i == n - 1 {
            (row[0], row[i]) = (-two * x[0], two * x[i]);
            x[i] * x[i] - x[0] * x[0]
        } else {
            let d = x[i] - x[n - 1];
            row[0] = -two * x[0];
            row[i] = d.cos() + two * x[i];
            row[n - 1] = -d.cos();
            d.sin() - x[0] * x[0] + x[i] * x[i]
        }
    })
}

/// DIXMAANA, E and I: the weights of the first and the last sum grow with `(i / n)^power`.
fn dixmaan<R: Number>(name: &'static str, power: i32) -> Problem<R> {
    Problem::<R>::smooth(name, vec![2.0; 90], 1.0, move |x, g| {
        let n = x.len();
        let m = n / 3;
        let two = c::<R>(2.0);
        let mut value = R::ONE;
        for i in 0..n {
            let share = (i + 1) as f64 / n as f64;
            let weight = c::<R>((0..power).fold(1.0, |w, _| w * share));
            value += weight * x[i] * x[i];
            g[i] += two * weight * x[i];
            let eighth = c::<R>(0.125);
            if i < 2 * m {
                let (a, b) = (x[i], x[i + m]);
                value += eighth * a * a * b * b * b * b;
                g[i] += two * eighth * a * b * b * b * b;
                g[i + m] += R::HALF * a * a * b * b * b;
            }
            if i < m {
                value += eighth * weight * x[i] * x[i + 2 * m];
                g[i] += eighth * weight * x[i + 2 * m];
                g[i + 2 * m] += eighth * weight * x[i];
            }
        }
        value
    })
}

fn schmvett<R: Number>() -> Problem<R> {
    Problem::<R>::smooth("SCHMVETT", vec![0.5; 50], -144.0, |x, g| {
        let mut value = R::ZERO;
        let pi = c::<R>(core::f64::consts::PI);
        for i in 0..x.len() - 2 {
            let (a, b, d) = (x[i], x[i + 1], x[i + 2]);
            let p = R::ONE / (R::ONE + (a - b) * (a - b));
            let q = R::HALF * (pi * b + d);
            let r = (a + d) / b - c(2.0);
            let e = (-r * r).exp();
            value -= p + q.sin() + e;
            let dp = c::<R>(2.0) * p * p * (a - b);
            let de = c::<R>(2.0) * r * e;
            g[i] += dp + de / b;
            g[i + 1] += -dp - R::HALF * pi * q.cos() - de * (a + d) / (b * b);
            g[i + 2] += de / b - R::HALF * q.cos();
        }
        value
    })
}

fn testquad<R: Number>() -> Problem<R> {
    Problem::<R>::smooth("TESTQUAD", vec![1.0; 100], 0.0, |x, g| {
        let mut value = R::ZERO;
        for (i, (x, g)) in x.iter().zip(g).enumerate() {
            let weight = c::<R>((i + 1) as f64);
            value += weight * *x * *x;
            *g = c::<R>(2.0) * weight * *x;
        }
        value
    })
}

fn tointgss<R: Number>() -> Problem<R> {
    Problem::<R>::smooth("TOINTGSS", vec![3.0; 50], f64::NAN, |x, g| {
        let (mut value, two) = (R::ZERO, c::<R>(2.0));
        let share = c::<R>(10.0 / (x.len() - 2) as f64);
        for i in 0..x.len() - 2 {
            let (d, z) = (x[i] - x[i + 1], x[i + 2]);
            let w = c::<R>(0.1) + z * z;
            let e = (-d * d / w).exp();
            let first = share + z * z;
            value += first * (two - e);
            let slope = two * first * e * d / w;
            g[i] += slope;
            g[i + 1] -= slope;
            g[i + 2] += two * z * (two - e) - first * e * d * d * two * z / (w * w);
        }
        value
    })
}

fn broydn7d<R: Number>() -> Problem<R> {
    Problem::<R>::smooth("BROYDN7D", vec![1.0; 50], f64::NAN, |x, g| {
        let (mut value, n) = (R::ZERO, x.len());
        let power = |t: R| {
            let size = if t < R::ZERO { -t } else { t };
            let third = size.pow(c(4.0 / 3.0));
            let sign = if t < R::ZERO { -R::ONE } else { R::ONE };
            (size * third, sign * c(7.0 / 3.0) * third)
        };
        for i in 0..n {
            let before = if i > 0 { x[i - 1] } else { R::ZERO };
            let after = if i + 1 < n { x[i + 1] } else { R::ZERO };
            let two = c::<R>(2.0);
            let (v, slope) =
                power((c::<R>(3.0) - two * x[i]) * x[i] - before - two * after + R::ONE);
            value += v;
            g[i] += slope * (c::<R>(3.0) - c::<R>(4.0) * x[i]);
            if i > 0 {
                g[i - 1] -= slope;
            }
            if i + 1 < n {
                g[i + 1] -= two * slope;
            }
            if i < n / 2 {
                let (v, slope) = power(x[i] + x[i + n / 2]);
                value += v;
                g[i] += slope;
                g[i + n / 2] += slope;
            }
        }
        value
    })
}

fn eg2<R: Number>() -> Problem<R> {
    Problem::<R>::smooth("EG2", vec![0.0; 50], f64::NAN, |x, g| {
        let (mut value, n) = (R::ZERO, x.len());
        for i in 0..n - 1 {
            let t = x[0] + x[i] * x[i] - R::ONE;
            value += t.sin();
            g[0] += t.cos();
            g[i] += c::<R>(2.0) * x[i] * t.cos();
        }
        let t = x[n - 1] * x[n - 1];
        g[n - 1] += x[n - 1] * t.cos();
        value + R::HALF * t.sin()
    })
}

/// Pairs of the reference's runs.
pub const PAIRS: [usize; 4] = [5, 6, 8, 10];

/// All of them, each with the evaluations of scipy's L-BFGS-B (1.17.1) with [`PAIRS`] pairs until
/// `|g| <= 1e-5 max(1, |x|)`; 0 where it fails.
pub fn unseen<R: Number>() -> Vec<(Problem<R>, [u32; 4])> {
    vec![
        (cliff(), [41, 41, 42, 43]),
        (denschna(), [11, 11, 11, 11]),
        (denschnb(), [9, 9, 9, 9]),
        (denschnc(), [17, 18, 16, 17]),
        (denschnd(), [56, 53, 40, 40]),
        (denschne(), [0, 34, 35, 37]),
        (denschnf(), [10, 10, 10, 10]),
        (hairy(), [120, 72, 70, 74]),
        (himmelbg(), [13, 13, 13, 13]),
        (himmelbh(), [6, 6, 6, 6]),
        (mexhat(), [7, 7, 7, 7]),
        (s308(), [14, 14, 14, 14]),
        (sisser(), [13, 13, 13, 13]),
        (zangwil2(), [3, 3, 3, 3]),
        (brkmcc(), [8, 8, 8, 8]),
        (expfit(), [16, 16, 16, 16]),
        (allinitu(), [14, 13, 13, 13]),
        (chnrosnb(), [268, 252, 261, 238]),
        (errinros(), [149, 130, 134, 131]),
        (fletchcr(), [458, 386, 407, 364]),
        (cosine(), [23, 23, 23, 23]),
        (sinquad(), [66, 73, 67, 73]),
        (dixmaan("DIXMAANA", 0), [12, 12, 12, 12]),
        (dixmaan("DIXMAANE", 1), [63, 62, 60, 57]),
        (dixmaan("DIXMAANI", 2), [285, 337, 276, 326]),
        (schmvett(), [47, 41, 40, 34]),
        (testquad(), [79, 79, 82, 71]),
        (tointgss(), [51, 51, 53, 50]),
        (broydn7d(), [80, 79, 80, 76]),
        (eg2(), [5, 5, 5, 5]),
    ]
}
