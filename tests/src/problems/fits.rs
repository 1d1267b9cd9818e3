//! Curve fits: few variables, sums of squares over measurements.

use super::{Number, Problem, c, data};

pub(super) fn bard<R: Number>() -> Problem<R> {
    Problem::<R>::squares("Bard", vec![1.0; 3], 8.214_877e-3, 15, |i, x, row| {
        let u = i as f64 + 1.0;
        let v = 16.0 - u;
        let (u, v, w) = (c::<R>(u), c::<R>(v), c::<R>(u.min(v)));
        let bottom = v * x[1] + w * x[2];
        row[0] = -R::ONE;
        row[1] = u * v / (bottom * bottom);
        row[2] = u * w / (bottom * bottom);
        c::<R>(data::BARD[i]) - (x[0] + u / bottom)
    })
}

pub(super) fn gaussian<R: Number>() -> Problem<R> {
    Problem::<R>::squares(
        "Gaussian",
        vec![0.4, 1.0, 0.0],
        1.127_932_7e-8,
        15,
        |i, x, row| {
            let t = c::<R>((7.0 - i as f64) / 2.0);
            let d = t - x[2];
            let e = (-(x[1] * d * d) * R::HALF).exp();
            row[0] = e;
            row[1] = -x[0] * e * d * d * R::HALF;
            row[2] = x[0] * e * x[1] * d;
            x[0] * e - c(data::GAUSSIAN[i])
        },
    )
}

pub(super) fn meyer<R: Number>() -> Problem<R> {
    Problem::<R>::squares(
        "Meyer",
        vec![0.02, 4000.0, 250.0],
        87.945_855,
        16,
        |i, x, row| {
            let t = c::<R>(45.0 + 5.0 * (i as f64 + 1.0));
            let d = t + x[2];
            let e = (x[1] / d).exp();
            row[0] = e;
            row[1] = x[0] * e / d;
            row[2] = -x[0] * e * x[1] / (d * d);
            x[0] * e - c(data::MEYER[i])
        },
    )
}

pub(super) fn gulf<R: Number>() -> Problem<R> {
    Problem::<R>::squares("Gulf", vec![5.0, 2.5, 0.15], 0.0, 99, |i, x, row| {
        let t = (i as f64 + 1.0) / 100.0;
        let y = 25.0 + (-50.0 * t.ln()).powf(2.0 / 3.0);
        let d = c::<R>(y) - x[1];
        let a = d.abs().pow(x[2]) / x[0];
        let e = (-a).exp();
        row[0] = e * a / x[0];
        row[1] = e * a * x[2] / d;
        row[2] = -e * a * d.abs().ln();
        e - c(t)
    })
}

pub(super) fn box_three_dimensional<R: Number>() -> Problem<R> {
    Problem::<R>::squares(
        "Box three-dimensional",
        vec![0.0, 10.0, 20.0],
        0.0,
        10,
        |i, x, row| {
            let t = 0.1 * (i as f64 + 1.0);
            let (a, b) = ((-x[0] * c(t)).exp(), (-x[1] * c(t)).exp());
            let constant = c::<R>((-t).exp() - (-10.0 * t).exp());
            row[0] = -c::<R>(t) * a;
            row[1] = c::<R>(t) * b;
            row[2] = -constant;
            a - b - x[2] * constant
        },
    )
}

pub(super) fn jennrich_sampson<R: Number>() -> Problem<R> {
    Problem::<R>::squares(
        "Jennrich-Sampson",
        vec![0.3, 0.4],
        124.362_182,
        10,
        |i, x, row| {
            let k = c::<R>(i as f64 + 1.0);
            let (a, b) = ((k * x[0]).exp(), (k * x[1]).exp());
            row[0] = -k * a;
            row[1] = -k * b;
            c::<R>(2.0) + c::<R>(2.0) * k - (a + b)
        },
    )
}

pub(super) fn kowalik_osborne<R: Number>() -> Problem<R> {
    Problem::<R>::squares(
        "Kowalik-Osborne",
        vec![0.25, 0.39, 0.415, 0.39],
        3.075_056e-4,
        11,
        |i, x, row| {
            let (y, u) = data::KOWALIK_OSBORNE[i];
            let u = c::<R>(u);
            let top = u * u + u * x[1];
            let bottom = u * u + u * x[2] + x[3];
            row[0] = -top / bottom;
            row[1] = -x[0] * u / bottom;
            row[2] = x[0] * top * u / (bottom * bottom);
            row[3] = x[0] * top / (bottom * bottom);
            c::<R>(y) - x[0] * top / bottom
        },
    )
}

pub(super) fn brown_dennis<R: Number>() -> Problem<R> {
    Problem::<R>::squares(
        "Brown-Dennis",
        vec![25.0, 5.0, -5.0, 1.0],
        85_822.201_6,
        20,
        |i, x, row| {
            let t = (i as f64 + 1.0) / 5.0;
            let a = x[0] + c::<R>(t) * x[1] - c(t.exp());
            let b = x[2] + c::<R>(t.sin()) * x[3] - c(t.cos());
            let two = c::<R>(2.0);
            row[0] = two * a;
            row[1] = two * a * c(t);
            row[2] = two * b;
            row[3] = two * b * c(t.sin());
            a * a + b * b
        },
    )
}

pub(super) fn osborne1<R: Number>() -> Problem<R> {
    Problem::<R>::squares(
        "Osborne 1",
        vec![0.5, 1.5, -1.0, 0.01, 0.02],
        5.464_895e-5,
        33,
        |i, x, row| {
            let t = c::<R>(10.0 * i as f64);
            let (a, b) = ((-t * x[3]).exp(), (-t * x[4]).exp());
            row[0] = -R::ONE;
            row[1] = -a;
            row[2] = -b;
            row[3] = t * x[1] * a;
            row[4] = t * x[2] * b;
            c::<R>(data::OSBORNE1[i]) - (x[0] + x[1] * a + x[2] * b)
        },
    )
}

pub(super) fn biggs_exp6<R: Number>() -> Problem<R> {
    // Two minima: 0, and 5.6556e-3 to which descent from this start usually leads.
    Problem::<R>::squares(
        "Biggs EXP6",
        vec![1.0, 2.0, 1.0, 1.0, 1.0, 1.0],
        f64::NAN,
        13,
        |i, x, row| {
            let t = 0.1 * (i as f64 + 1.0);
            let y = (-t).exp() - 5.0 * (-10.0 * t).exp() + 3.0 * (-4.0 * t).exp();
            let t = c::<R>(t);
            let (a, b, d) = ((-t * x[0]).exp(), (-t * x[1]).exp(), (-t * x[4]).exp());
            row[0] = -t * x[2] * a;
            row[1] = t * x[3] * b;
            row[2] = a;
            row[3] = -b;
            row[4] = -t * x[5] * d;
            row[5] = d;
            x[2] * a - x[3] * b + x[5] * d - c(y)
        },
    )
}

pub(super) fn osborne2<R: Number>() -> Problem<R> {
    let start = vec![1.3, 0.65, 0.65, 0.7, 0.6, 3.0, 5.0, 7.0, 2.0, 4.5, 5.5];
    Problem::<R>::squares("Osborne 2", start, 4.013_774e-2, 65, |i, x, row| {
        let t = c::<R>(i as f64 / 10.0);
        let a = (-t * x[4]).exp();
        row[0] = -a;
        row[4] = t * x[0] * a;
        let mut model = x[0] * a;
        for k in 0..3 {
            let d = t - x[8 + k];
            let e = (-d * d * x[5 + k]).exp();
            let height = x[1 + k];
            row[1 + k] = -e;
            row[5 + k] = d * d * height * e;
            row[8 + k] = -c::<R>(2.0) * d * x[5 + k] * height * e;
            model += height * e;
        }
        c::<R>(data::OSBORNE2[i]) - model
    })
}

pub(super) fn watson<R: Number>(n: usize) -> Problem<R> {
    let (name, least) = if n == 6 {
        ("Watson 6", 2.287_670_05e-3)
    } else {
        ("Watson 12", 4.722_381e-10)
    };
    Problem::<R>::squares(name, vec![0.0; n], least, 31, |i, x, row| {
        if i == 29 {
            row[0] = R::ONE;
            return x[0];
        }
        if i == 30 {
            row[0] = c::<R>(-2.0) * x[0];
            row[1] = R::ONE;
            return x[1] - x[0] * x[0] - R::ONE;
        }
        let t = c::<R>((i as f64 + 1.0) / 29.0);
        let (mut sum, mut slope, mut power) = (R::ZERO, R::ZERO, R::ONE);
        for j in 0..x.len() {
            sum += x[j] * power;
            if j + 1 < x.len() {
                slope += c::<R>(j as f64 + 1.0) * x[j + 1] * power;
            }
            power *= t;
        }
        let (mut power, mut before) = (R::ONE, R::ZERO);
        for (j, r) in row.iter_mut().enumerate() {
            *r = c::<R>(j as f64) * before - c::<R>(2.0) * sum * power;
            before = power;
            power *= t;
        }
        slope - sum * sum - R::ONE
    })
}
