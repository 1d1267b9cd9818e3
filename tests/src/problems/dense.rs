//! Problems in which every variable meets every other.

use super::{Number, Problem, c};

pub(super) fn variably_dimensioned<R: Number>(n: usize) -> Problem<R> {
    let start = (1..=n).map(|i| 1.0 - i as f64 / n as f64).collect();
    Problem::<R>::smooth("Variably dimensioned", start, 0.0, |x, g| {
        let (mut squares, mut sum) = (R::ZERO, R::ZERO);
        for (i, &x) in x.iter().enumerate() {
            let d = x - R::ONE;
            squares += d * d;
            sum += c::<R>(i as f64 + 1.0) * d;
        }
        let two = c::<R>(2.0);
        for (i, (g, &x)) in g.iter_mut().zip(x).enumerate() {
            *g = two * (x - R::ONE)
                + c::<R>(i as f64 + 1.0) * (two * sum + c::<R>(4.0) * sum * sum * sum);
        }
        squares + sum * sum + sum * sum * sum * sum
    })
}

pub(super) fn penalty1<R: Number>(n: usize) -> Problem<R> {
    let least = if n == 10 { 7.087_651e-5 } else { f64::NAN };
    Problem::<R>::smooth(
        "Penalty I",
        (1..=n).map(|i| i as f64).collect(),
        least,
        |x, g| {
            let a = c::<R>(1e-5);
            let excess = x.iter().fold(-c::<R>(0.25), |sum, &x| sum + x * x);
            let mut value = excess * excess;
            for (g, &x) in g.iter_mut().zip(x) {
                value += a * (x - R::ONE) * (x - R::ONE);
                *g = c::<R>(2.0) * a * (x - R::ONE) + c::<R>(4.0) * excess * x;
            }
            value
        },
    )
}

pub(super) fn penalty2<R: Number>(n: usize) -> Problem<R> {
    let least = if n == 10 { 2.936_605e-4 } else { f64::NAN };
    Problem::<R>::squares(
        "Penalty II",
        vec![0.5; n],
        least,
        2 * n,
        move |i, x, row| {
            let root = c::<R>(1e-5f64.sqrt());
            let tenth = c::<R>(0.1);
            if i == 0 {
                row[0] = R::ONE;
                x[0] - c(0.2)
            } else if i < n {
                let y = ((i as f64 + 1.0) / 10.0).exp() + (i as f64 / 10.0).exp();
                let (a, b) = ((x[i] * tenth).exp(), (x[i - 1] * tenth).exp());
                row[i] = root * a * tenth;
                row[i - 1] = root * b * tenth;
                root * (a + b - c(y))
            } else if i < 2 * n - 1 {
                let j = i - n + 1;
                let a = (x[j] * tenth).exp();
                row[j] = root * a * tenth;
                root * (a - c((-0.1f64).exp()))
            } else {
                let mut sum = -R::ONE;
                for j in 0..n {
                    let weight = c::<R>((n - j) as f64);
                    sum += weight * x[j] * x[j];
                    row[j] = c::<R>(2.0) * weight * x[j];
                }
                sum
            }
        },
    )
}

pub(super) fn trigonometric<R: Number>(n: usize) -> Problem<R> {
    // Descent from this start leads to the local minimum 2.7951e-5.
    let least = if n == 10 { 2.795_06e-5 } else { 0.0 };
    Problem::<R>::smooth(
        "Trigonometric",
        vec![1.0 / n as f64; n],
        least,
        move |x, g| {
            let cosines = x.iter().fold(R::ZERO, |sum, &x| sum + x.cos());
            let (mut value, mut sum) = (R::ZERO, R::ZERO);
            for (i, &x) in x.iter().enumerate() {
                let weight = c::<R>(i as f64 + 1.0);
                let f = c::<R>(n as f64) - cosines + weight * (R::ONE - x.cos()) - x.sin();
                value += f * f;
                sum += f;
                g[i] = c::<R>(2.0) * f * (weight * x.sin() - x.cos());
            }
            for (g, &x) in g.iter_mut().zip(x) {
                *g += c::<R>(2.0) * sum * x.sin();
            }
            value
        },
    )
}

pub(super) fn brown_almost_linear<R: Number>(n: usize) -> Problem<R> {
    // Two minima: 0 and 1.
    Problem::<R>::squares(
        "Brown almost linear",
        vec![0.5; n],
        f64::NAN,
        n,
        move |i, x, row| {
            if i + 1 < n {
                let mut sum = x[i] - c(n as f64 + 1.0);
                for (row, &x) in row.iter_mut().zip(x) {
                    sum += x;
                    *row = R::ONE;
                }
                row[i] = c(2.0);
                sum
            } else {
                for (j, row) in row.iter_mut().enumerate() {
                    *row = x
                        .iter()
                        .enumerate()
                        .filter(|(k, _)| *k != j)
                        .fold(R::ONE, |product, (_, &x)| product * x);
                }
                x.iter().fold(R::ONE, |product, &x| product * x) - R::ONE
            }
        },
    )
}

pub(super) fn discrete_integral<R: Number>(n: usize) -> Problem<R> {
    let h = 1.0 / (n as f64 + 1.0);
    let t = move |j: usize| (j as f64 + 1.0) * h;
    let start = (0..n).map(|j| t(j) * (t(j) - 1.0)).collect();
    Problem::<R>::squares(
        "Discrete integral equation",
        start,
        0.0,
        n,
        move |i, x, row| {
            let mut value = x[i];
            for j in 0..n {
                let weight = 0.5
                    * h
                    * if j <= i {
                        (1.0 - t(i)) * t(j)
                    } else {
                        t(i) * (1.0 - t(j))
                    };
                let base = x[j] + c(t(j)) + R::ONE;
                value += c::<R>(weight) * base * base * base;
                row[j] = c::<R>(3.0 * weight) * base * base;
            }
            row[i] += R::ONE;
            value
        },
    )
}

pub(super) fn chebyquad<R: Number>(n: usize) -> Problem<R> {
    let least = if n == 8 { 3.516_873e-3 } else { f64::NAN };
    let start = (1..=n).map(|j| j as f64 / (n as f64 + 1.0)).collect();
    Problem::<R>::squares("Chebyquad", start, least, n, move |i, x, row| {
        let order = i + 1;
        let mut sum = R::ZERO;
        let two = c::<R>(2.0);
        for (row, &x) in row.iter_mut().zip(x) {
            let y = two * x - R::ONE;
            let (mut before, mut now) = (R::ONE, y);
            let (mut slope_before, mut slope) = (R::ZERO, two);
            for _ in 1..order {
                (slope_before, slope) = (slope, two * (two * now + y * slope) - slope_before);
                (before, now) = (now, two * y * now - before);
            }
            sum += now;
            *row = slope / c(n as f64);
        }
        let integral = if order % 2 == 0 {
            -1.0 / ((order * order) as f64 - 1.0)
        } else {
            0.0
        };
        sum / c(n as f64) - c(integral)
    })
}

pub(super) fn hilbert<R: Number>(n: usize) -> Problem<R> {
    Problem::<R>::smooth(
        "Hilbert",
        (1..=n).map(|i| -4.0 / i as f64).collect(),
        0.0,
        |x, g| {
            let mut value = R::ZERO;
            for i in 0..x.len() {
                let product =
                    (0..x.len()).fold(R::ZERO, |sum, j| sum + x[j] / c(i as f64 + j as f64 + 1.0));
                value += x[i] * product;
                g[i] = c::<R>(2.0) * product;
            }
            value
        },
    )
}

pub(super) fn linear_full_rank<R: Number>(n: usize) -> Problem<R> {
    let m = 2 * n;
    Problem::<R>::squares(
        "Linear, full rank",
        vec![1.0; n],
        n as f64,
        m,
        move |i, x, row| {
            let weight = c::<R>(-2.0 / m as f64);
            let mut value = -R::ONE;
            for (row, &x) in row.iter_mut().zip(x) {
                value += weight * x;
                *row = weight;
            }
            if i < n {
                value += x[i];
                row[i] += R::ONE;
            }
            value
        },
    )
}
