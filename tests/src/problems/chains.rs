//! Problems of any size in which each variable meets its neighbours.

use super::{Number, Problem, c};

/// The start that repeats a pattern.
fn repeat(pattern: &[f64], n: usize) -> Vec<f64> {
    (0..n).map(|i| pattern[i % pattern.len()]).collect()
}

pub(super) fn rosenbrock<R: Number>(n: usize) -> Problem<R> {
    let name = if n == 100 {
        "Rosenbrock, paired 100"
    } else {
        "Rosenbrock, paired"
    };
    Problem::<R>::smooth(name, repeat(&[-1.2, 1.0], n), 0.0, |x, g| {
        let mut value = R::ZERO;
        for (x, g) in x.chunks_exact(2).zip(g.chunks_exact_mut(2)) {
            let t1 = R::ONE - x[0];
            let t2 = c::<R>(10.0) * (x[1] - x[0] * x[0]);
            g[1] = c::<R>(20.0) * t2;
            g[0] = c::<R>(-2.0) * (x[0] * g[1] + t1);
            value += t1 * t1 + t2 * t2;
        }
        value
    })
}

pub(super) fn chained_rosenbrock<R: Number>(n: usize) -> Problem<R> {
    Problem::<R>::smooth("Rosenbrock, chained", vec![-1.0; n], f64::NAN, |x, g| {
        let mut value = R::ZERO;
        for i in 0..x.len() - 1 {
            let (a, b) = (R::ONE - x[i], x[i + 1] - x[i] * x[i]);
            value += a * a + c::<R>(100.0) * b * b;
            g[i] += c::<R>(-2.0) * a - c::<R>(400.0) * b * x[i];
            g[i + 1] += c::<R>(200.0) * b;
        }
        value
    })
}

pub(super) fn powell_singular<R: Number>(n: usize) -> Problem<R> {
    let name = if n == 40 {
        "Powell singular 40"
    } else {
        "Powell singular"
    };
    Problem::<R>::smooth(name, repeat(&[3.0, -1.0, 0.0, 1.0], n), 0.0, |x, g| {
        let mut value = R::ZERO;
        for (x, g) in x.chunks_exact(4).zip(g.chunks_exact_mut(4)) {
            let a = x[0] + c::<R>(10.0) * x[1];
            let b = x[2] - x[3];
            let d = x[1] - c::<R>(2.0) * x[2];
            let e = x[0] - x[3];
            let (d3, e3) = (d * d * d, e * e * e);
            value += a * a + c::<R>(5.0) * b * b + d * d3 + c::<R>(10.0) * e * e3;
            g[0] = c::<R>(2.0) * a + c::<R>(40.0) * e3;
            g[1] = c::<R>(20.0) * a + c::<R>(4.0) * d3;
            g[2] = c::<R>(10.0) * b - c::<R>(8.0) * d3;
            g[3] = c::<R>(-10.0) * b - c::<R>(40.0) * e3;
        }
        value
    })
}

pub(super) fn wood<R: Number>(n: usize) -> Problem<R> {
    let name = if n == 40 { "Wood 40" } else { "Wood" };
    Problem::<R>::smooth(name, repeat(&[-3.0, -1.0], n), 0.0, |x, g| {
        let mut value = R::ZERO;
        for (x, g) in x.chunks_exact(4).zip(g.chunks_exact_mut(4)) {
            let (a, b) = (x[1] - x[0] * x[0], R::ONE - x[0]);
            let (d, e) = (x[3] - x[2] * x[2], R::ONE - x[2]);
            let (f, h) = (x[1] + x[3] - c(2.0), x[1] - x[3]);
            value += c::<R>(100.0) * a * a
                + b * b
                + c::<R>(90.0) * d * d
                + e * e
                + c::<R>(10.0) * f * f
                + c::<R>(0.1) * h * h;
            g[0] = c::<R>(-400.0) * a * x[0] - c::<R>(2.0) * b;
            g[1] = c::<R>(200.0) * a + c::<R>(20.0) * f + c::<R>(0.2) * h;
            g[2] = c::<R>(-360.0) * d * x[2] - c::<R>(2.0) * e;
            g[3] = c::<R>(180.0) * d + c::<R>(20.0) * f - c::<R>(0.2) * h;
        }
        value
    })
}

pub(super) fn dixon3dq<R: Number>(n: usize) -> Problem<R> {
    let name = if n == 100 { "DIXON3DQ 100" } else { "DIXON3DQ" };
    Problem::<R>::smooth(name, vec![-1.0; n], 0.0, |x, g| {
        let n = x.len();
        let two = c::<R>(2.0);
        let (a, b) = (x[0] - R::ONE, x[n - 1] - R::ONE);
        let mut value = a * a + b * b;
        g[0] += two * a;
        g[n - 1] += two * b;
        for i in 1..n - 1 {
            let d = x[i] - x[i + 1];
            value += d * d;
            g[i] += two * d;
            g[i + 1] -= two * d;
        }
        value
    })
}

pub(super) fn engval1<R: Number>(n: usize) -> Problem<R> {
    let (name, least) = if n == 5000 {
        ("ENGVAL1", 5548.6684)
    } else {
        ("ENGVAL1 100", f64::NAN)
    };
    Problem::<R>::smooth(name, vec![2.0; n], least, |x, g| {
        let mut value = R::ZERO;
        for i in 0..x.len() - 1 {
            let t = x[i] * x[i] + x[i + 1] * x[i + 1];
            value += t * t - c::<R>(4.0) * x[i] + c(3.0);
            g[i] += c::<R>(4.0) * t * x[i] - c(4.0);
            g[i + 1] += c::<R>(4.0) * t * x[i + 1];
        }
        value
    })
}

pub(super) fn freudenstein_roth<R: Number>(n: usize) -> Problem<R> {
    let mut start = vec![0.0; n];
    (start[0], start[1]) = (0.5, -2.0);
    Problem::<R>::smooth("FREUROTH", start, 608_159.189, |x, g| {
        let two = c::<R>(2.0);
        let mut value = R::ZERO;
        for i in 0..x.len() - 1 {
            let y = x[i + 1];
            let a = c::<R>(-13.0) + x[i] + ((c::<R>(5.0) - y) * y - two) * y;
            let b = c::<R>(-29.0) + x[i] + ((y + R::ONE) * y - c(14.0)) * y;
            value += a * a + b * b;
            g[i] += two * (a + b);
            g[i + 1] += two * a * ((c::<R>(10.0) - c::<R>(3.0) * y) * y - two)
                + two * b * ((two + c::<R>(3.0) * y) * y - c(14.0));
        }
        value
    })
}

pub(super) fn discrete_boundary_value<R: Number>(n: usize) -> Problem<R> {
    let h = 1.0 / (n as f64 + 1.0);
    let t = move |j: usize| (j as f64 + 1.0) * h;
    let start = (0..n).map(|j| t(j) * (t(j) - 1.0)).collect();
    Problem::<R>::smooth("Discrete boundary value", start, 0.0, move |x, g| {
        let two = c::<R>(2.0);
        let mut value = R::ZERO;
        for i in 0..n {
            let base = x[i] + c(t(i)) + R::ONE;
            let before = if i > 0 { x[i - 1] } else { R::ZERO };
            let after = if i + 1 < n { x[i + 1] } else { R::ZERO };
            let r = two * x[i] - before - after + c::<R>(h * h / 2.0) * base * base * base;
            value += r * r;
            g[i] += two * r * (two + c::<R>(1.5 * h * h) * base * base);
            if i > 0 {
                g[i - 1] -= two * r;
            }
            if i + 1 < n {
                g[i + 1] -= two * r;
            }
        }
        value
    })
}

pub(super) fn broyden_tridiagonal<R: Number>(n: usize) -> Problem<R> {
    Problem::<R>::smooth("Broyden tridiagonal", vec![-1.0; n], 0.0, move |x, g| {
        let two = c::<R>(2.0);
        let mut value = R::ZERO;
        for i in 0..n {
            let before = if i > 0 { x[i - 1] } else { R::ZERO };
            let after = if i + 1 < n { x[i + 1] } else { R::ZERO };
            let r = (c::<R>(3.0) - two * x[i]) * x[i] - before - two * after + R::ONE;
            value += r * r;
            g[i] += two * r * (c::<R>(3.0) - c::<R>(4.0) * x[i]);
            if i > 0 {
                g[i - 1] -= two * r;
            }
            if i + 1 < n {
                g[i + 1] -= c::<R>(4.0) * r;
            }
        }
        value
    })
}

pub(super) fn broyden_banded<R: Number>(n: usize) -> Problem<R> {
    Problem::<R>::smooth("Broyden banded", vec![-1.0; n], 0.0, move |x, g| {
        let mut value = R::ZERO;
        for i in 0..n {
            let neighbours = (i.saturating_sub(5)..(i + 2).min(n)).filter(move |&j| j != i);
            let mut r = x[i] * (c::<R>(2.0) + c::<R>(5.0) * x[i] * x[i]) + R::ONE;
            for j in neighbours.clone() {
                r -= x[j] * (R::ONE + x[j]);
            }
            value += r * r;
            let twice = c::<R>(2.0) * r;
            g[i] += twice * (c::<R>(2.0) + c::<R>(15.0) * x[i] * x[i]);
            for j in neighbours {
                g[j] -= twice * (R::ONE + c::<R>(2.0) * x[j]);
            }
        }
        value
    })
}

pub(super) fn tridia<R: Number>(n: usize) -> Problem<R> {
    Problem::<R>::smooth("TRIDIA", vec![1.0; n], 0.0, |x, g| {
        let two = c::<R>(2.0);
        let a = x[0] - R::ONE;
        let mut value = a * a;
        g[0] += two * a;
        for i in 1..x.len() {
            let weight = c::<R>(i as f64 + 1.0);
            let d = two * x[i] - x[i - 1];
            value += weight * d * d;
            g[i] += c::<R>(4.0) * weight * d;
            g[i - 1] -= two * weight * d;
        }
        value
    })
}

pub(super) fn arwhead<R: Number>(n: usize) -> Problem<R> {
    Problem::<R>::smooth("ARWHEAD", vec![1.0; n], 0.0, |x, g| {
        let last = x.len() - 1;
        let mut value = R::ZERO;
        for i in 0..last {
            let t = x[i] * x[i] + x[last] * x[last];
            value += t * t - c::<R>(4.0) * x[i] + c(3.0);
            g[i] += c::<R>(4.0) * t * x[i] - c(4.0);
            g[last] += c::<R>(4.0) * t * x[last];
        }
        value
    })
}

pub(super) fn bdqrtic<R: Number>(n: usize) -> Problem<R> {
    Problem::<R>::smooth("BDQRTIC", vec![1.0; n], f64::NAN, |x, g| {
        let last = x.len() - 1;
        let mut value = R::ZERO;
        for i in 0..x.len() - 4 {
            let a = c::<R>(3.0) - c::<R>(4.0) * x[i];
            let terms = [
                (i, 1.0),
                (i + 1, 2.0),
                (i + 2, 3.0),
                (i + 3, 4.0),
                (last, 5.0),
            ];
            let b = terms
                .iter()
                .fold(R::ZERO, |sum, &(j, w)| sum + c::<R>(w) * x[j] * x[j]);
            value += a * a + b * b;
            g[i] -= c::<R>(8.0) * a;
            for (j, w) in terms {
                g[j] += c::<R>(4.0 * w) * b * x[j];
            }
        }
        value
    })
}

pub(super) fn dqdrtic<R: Number>(n: usize) -> Problem<R> {
    Problem::<R>::smooth("DQDRTIC", vec![3.0; n], 0.0, |x, g| {
        let mut value = R::ZERO;
        for i in 0..x.len() - 2 {
            for (j, weight) in [(i, 1.0), (i + 1, 100.0), (i + 2, 100.0)] {
                value += c::<R>(weight) * x[j] * x[j];
                g[j] += c::<R>(2.0 * weight) * x[j];
            }
        }
        value
    })
}

pub(super) fn dqrtic<R: Number>(n: usize) -> Problem<R> {
    Problem::<R>::smooth("DQRTIC", vec![2.0; n], 0.0, |x, g| {
        let mut value = R::ZERO;
        for (i, (&x, g)) in x.iter().zip(g).enumerate() {
            let d = x - c(i as f64 + 1.0);
            value += d * d * d * d;
            *g = c::<R>(4.0) * d * d * d;
        }
        value
    })
}

pub(super) fn edensch<R: Number>(n: usize) -> Problem<R> {
    Problem::<R>::smooth("EDENSCH", vec![8.0; n], f64::NAN, |x, g| {
        let two = c::<R>(2.0);
        let mut value = c::<R>(16.0);
        for i in 0..x.len() - 1 {
            let a = x[i] - two;
            let b = x[i] * x[i + 1] - two * x[i + 1];
            let d = x[i + 1] + R::ONE;
            value += a * a * a * a + b * b + d * d;
            g[i] += c::<R>(4.0) * a * a * a + two * b * x[i + 1];
            g[i + 1] += two * b * a + two * d;
        }
        value
    })
}

pub(super) fn liarwhd<R: Number>(n: usize) -> Problem<R> {
    Problem::<R>::smooth("LIARWHD", vec![4.0; n], 0.0, |x, g| {
        let mut value = R::ZERO;
        for i in 0..x.len() {
            let (a, b) = (x[i] * x[i] - x[0], x[i] - R::ONE);
            value += c::<R>(4.0) * a * a + b * b;
            g[i] += c::<R>(16.0) * a * x[i] + c::<R>(2.0) * b;
            g[0] -= c::<R>(8.0) * a;
        }
        value
    })
}

pub(super) fn nondia<R: Number>(n: usize) -> Problem<R> {
    Problem::<R>::smooth("NONDIA", vec![-1.0; n], 0.0, |x, g| {
        let a = x[0] - R::ONE;
        let mut value = a * a;
        g[0] += c::<R>(2.0) * a;
        for i in 1..x.len() {
            let b = x[0] - x[i - 1] * x[i - 1];
            value += c::<R>(100.0) * b * b;
            g[0] += c::<R>(200.0) * b;
            g[i - 1] -= c::<R>(400.0) * b * x[i - 1];
        }
        value
    })
}

pub(super) fn nondquar<R: Number>(n: usize) -> Problem<R> {
    Problem::<R>::smooth("NONDQUAR", repeat(&[1.0, -1.0], n), 0.0, |x, g| {
        let n = x.len();
        let two = c::<R>(2.0);
        let (a, b) = (x[0] - x[1], x[n - 2] + x[n - 1]);
        let mut value = a * a + b * b;
        g[0] += two * a;
        g[1] -= two * a;
        g[n - 2] += two * b;
        g[n - 1] += two * b;
        for i in 0..n - 2 {
            let d = x[i] + x[i + 1] + x[n - 1];
            let slope = c::<R>(4.0) * d * d * d;
            value += d * d * d * d;
            g[i] += slope;
            g[i + 1] += slope;
            g[n - 1] += slope;
        }
        value
    })
}

pub(super) fn cragglvy<R: Number>(n: usize) -> Problem<R> {
    let mut start = vec![2.0; n];
    start[0] = 1.0;
    Problem::<R>::smooth("CRAGGLVY", start, f64::NAN, |x, g| {
        let mut value = R::ZERO;
        let four = c::<R>(4.0);
        for i in (0..x.len() - 3).step_by(2) {
            let e = x[i].exp();
            let a = e - x[i + 1];
            let b = x[i + 1] - x[i + 2];
            let d = x[i + 2] - x[i + 3];
            let t = d.sin() / d.cos();
            let f = x[i + 3] - R::ONE;
            let (a3, b2, t3, x3) = (a * a * a, b * b, t * t * t, x[i] * x[i] * x[i]);
            value += a * a3 + c::<R>(100.0) * b2 * b2 * b2 + t * t3 + x3 * x3 * x[i] * x[i] + f * f;
            g[i] += four * a3 * e + c::<R>(8.0) * x3 * x3 * x[i];
            g[i + 1] += -four * a3 + c::<R>(600.0) * b2 * b2 * b;
            let tangent = four * t3 * (R::ONE + t * t);
            g[i + 2] += c::<R>(-600.0) * b2 * b2 * b + tangent;
            g[i + 3] += -tangent + c::<R>(2.0) * f;
        }
        value
    })
}

pub(super) fn power<R: Number>(n: usize) -> Problem<R> {
    Problem::<R>::smooth("POWER", vec![1.0; n], 0.0, |x, g| {
        let mut sum = R::ZERO;
        for (i, &x) in x.iter().enumerate() {
            sum += c::<R>(i as f64 + 1.0) * x * x;
        }
        for (i, (g, &x)) in g.iter_mut().zip(x).enumerate() {
            *g = c::<R>(4.0) * sum * c(i as f64 + 1.0) * x;
        }
        sum * sum
    })
}

pub(super) fn quartic_chain<R: Number>(n: usize) -> Problem<R> {
    Problem::<R>::smooth("TQUARTIC", vec![0.1; n], 0.0, |x, g| {
        let a = x[0] - R::ONE;
        let mut value = a * a;
        g[0] += c::<R>(2.0) * a;
        for i in 1..x.len() {
            let b = x[0] * x[0] - x[i] * x[i];
            value += b * b;
            g[0] += c::<R>(4.0) * b * x[0];
            g[i] -= c::<R>(4.0) * b * x[i];
        }
        value
    })
}

pub(super) fn extrosnb<R: Number>(n: usize) -> Problem<R> {
    Problem::<R>::smooth("EXTROSNB", vec![-1.0; n], 0.0, |x, g| {
        let a = x[0] + R::ONE;
        let mut value = a * a;
        g[0] = c::<R>(2.0) * a;
        for i in 1..x.len() {
            let b = x[i] - x[i - 1] * x[i - 1];
            value += c::<R>(100.0) * b * b;
            g[i] += c::<R>(200.0) * b;
            g[i - 1] -= c::<R>(400.0) * b * x[i - 1];
        }
        value
    })
}

pub(super) fn genrose<R: Number>(n: usize) -> Problem<R> {
    let start = (1..=n).map(|i| i as f64 / (n + 1) as f64).collect();
    Problem::<R>::smooth("GENROSE", start, 1.0, |x, g| {
        let mut value = R::ONE;
        for i in 1..x.len() {
            let (a, b) = (x[i] - R::ONE, x[i] - x[i - 1] * x[i - 1]);
            value += c::<R>(100.0) * b * b + a * a;
            g[i] += c::<R>(200.0) * b + c::<R>(2.0) * a;
            g[i - 1] -= c::<R>(400.0) * b * x[i - 1];
        }
        value
    })
}
