//! The NIST Statistical Reference Datasets for nonlinear regression: 27 curve fits with certified
//! answers. The numbers are in `tests/data/nist_strd.txt`, with their source; the models are here.

use super::{Number, Problem, c};

/// One problem of the collection.
pub struct Certified {
    /// Its name.
    pub name: &'static str,
    /// The two starts: far from the answer, and near it.
    pub starts: [Vec<f64>; 2],
    /// The certified estimates.
    pub estimates: Vec<f64>,
    /// Their certified standard deviations.
    pub deviations: Vec<f64>,
    /// The certified residual sum of squares.
    pub squares: f64,
    y: Vec<f64>,
    x: Vec<f64>,
    /// The second predictor, where there is one.
    z: Vec<f64>,
}

/// The collection, in the order in which it is published.
///
/// # Panics
/// When the file of the data is not what it should be.
pub fn certified() -> Vec<Certified> {
    let mut problems: Vec<Certified> = Vec::new();
    let text = include_str!("../../data/nist_strd.txt");
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let Some((word, rest)) = line.split_once(' ') else {
            continue;
        };
        if word == "problem" {
            problems.push(Certified {
                name: rest,
                starts: [Vec::new(), Vec::new()],
                estimates: Vec::new(),
                deviations: Vec::new(),
                squares: f64::NAN,
                y: Vec::new(),
                x: Vec::new(),
                z: Vec::new(),
            });
            continue;
        }
        let problem = problems.last_mut().expect("a problem has a name first");
        let numbers = rest
            .split(' ')
            .map(|text| text.parse::<f64>().expect("a number"));
        match word {
            "start1" => problem.starts[0].extend(numbers),
            "start2" => problem.starts[1].extend(numbers),
            "certified" => problem.estimates.extend(numbers),
            "deviation" => problem.deviations.extend(numbers),
            "squares" => problem.squares = numbers.sum(),
            "y" => problem.y.extend(numbers),
            "x" => problem.x.extend(numbers),
            "z" => problem.z.extend(numbers),
            _ => panic!("{word}: no such line"),
        }
    }
    problems
}

impl Certified {
    /// The problem from one of its starts, 0 or 1.
    pub fn problem<R: Number>(&self, start: usize) -> Problem<R> {
        let model = model::<R>(self.name);
        let x: Vec<R> = self.x.iter().map(|&x| c(x)).collect();
        let z: Vec<R> = self.z.iter().map(|&z| c(z)).collect();
        // The model of one of them is that of a logarithm.
        let logarithm = self.name == "Nelson";
        let y = |&y: &f64| c(if logarithm { libm::log(y) } else { y });
        let y: Vec<R> = self.y.iter().map(y).collect();
        let start = self.starts[start].clone();
        let value = self.squares;
        Problem::squares(self.name, start, value, y.len(), move |i, b, row| {
            let z = z.get(i).copied().unwrap_or(R::ZERO);
            model(b, x[i], z, row) - y[i]
        })
    }
}

/// A model: its value at (x, z) with parameters b, and its derivatives with respect to b.
type Model<R> = fn(&[R], R, R, &mut [R]) -> R;

fn model<R: Number>(name: &str) -> Model<R> {
    match name {
        "Misra1a" | "BoxBOD" => saturation,
        "Misra1b" => misra1b,
        "Misra1c" => misra1c,
        "Misra1d" => misra1d,
        "Chwirut1" | "Chwirut2" => chwirut,
        "Lanczos1" | "Lanczos2" | "Lanczos3" => lanczos,
        "Gauss1" | "Gauss2" | "Gauss3" => gauss,
        "DanWood" => dan_wood,
        "Kirby2" => kirby2,
        "Hahn1" | "Thurber" => cubic_over_cubic,
        "Nelson" => nelson,
        "MGH09" => mgh09,
        "MGH10" => mgh10,
        "MGH17" => mgh17,
        "Roszman1" => roszman1,
        "ENSO" => enso,
        "Rat42" => rat42,
        "Rat43" => rat43,
        "Eckerle4" => eckerle4,
        "Bennett5" => bennett5,
        _ => panic!("{name} has no model"),
    }
}

fn saturation<R: Number>(b: &[R], x: R, _: R, row: &mut [R]) -> R {
    let e = (-b[1] * x).exp();
    row[0] = R::ONE - e;
    row[1] = b[0] * x * e;
    b[0] * (R::ONE - e)
}

fn misra1b<R: Number>(b: &[R], x: R, _: R, row: &mut [R]) -> R {
    let u = R::ONE / (R::ONE + b[1] * x * R::HALF);
    row[0] = R::ONE - u * u;
    row[1] = b[0] * x * u * u * u;
    b[0] * row[0]
}

fn misra1c<R: Number>(b: &[R], x: R, _: R, row: &mut [R]) -> R {
    let u = R::ONE + c::<R>(2.0) * b[1] * x;
    let p = R::ONE / u.sqrt();
    row[0] = R::ONE - p;
    row[1] = b[0] * x * p / u;
    b[0] * row[0]
}

fn misra1d<R: Number>(b: &[R], x: R, _: R, row: &mut [R]) -> R {
    let u = R::ONE + b[1] * x;
    row[0] = b[1] * x / u;
    row[1] = b[0] * x / (u * u);
    b[0] * row[0]
}

fn chwirut<R: Number>(b: &[R], x: R, _: R, row: &mut [R]) -> R {
    let q = b[1] + b[2] * x;
    let value = (-b[0] * x).exp() / q;
    row[0] = -x * value;
    row[1] = -value / q;
    row[2] = -x * value / q;
    value
}

fn lanczos<R: Number>(b: &[R], x: R, _: R, row: &mut [R]) -> R {
    let mut value = R::ZERO;
    for (b, row) in b.chunks(2).zip(row.chunks_mut(2)) {
        let e = (-b[1] * x).exp();
        row[0] = e;
        row[1] = -b[0] * x * e;
        value += b[0] * e;
    }
    value
}

fn gauss<R: Number>(b: &[R], x: R, _: R, row: &mut [R]) -> R {
    let e = (-b[1] * x).exp();
    row[0] = e;
    row[1] = -b[0] * x * e;
    let mut value = b[0] * e;
    for (b, row) in b[2..].chunks(3).zip(row[2..].chunks_mut(3)) {
        let z = (x - b[1]) / b[2];
        let e = (-z * z).exp();
        row[0] = e;
        row[1] = c::<R>(2.0) * b[0] * e * z / b[2];
        row[2] = row[1] * z;
        value += b[0] * e;
    }
    value
}

fn dan_wood<R: Number>(b: &[R], x: R, _: R, row: &mut [R]) -> R {
    let p = x.pow(b[1]);
    row[0] = p;
    row[1] = b[0] * p * x.ln();
    b[0] * p
}

fn kirby2<R: Number>(b: &[R], x: R, _: R, row: &mut [R]) -> R {
    ratio(&b[..3], &b[3..], x, row)
}

fn cubic_over_cubic<R: Number>(b: &[R], x: R, _: R, row: &mut [R]) -> R {
    ratio(&b[..4], &b[4..], x, row)
}

/// `(a0 + a1 x + ...) / (1 + b1 x + ...)`.
fn ratio<R: Number>(a: &[R], b: &[R], x: R, row: &mut [R]) -> R {
    let horner = |b: &[R]| b.iter().rev().fold(R::ZERO, |sum, &b| sum * x + b);
    let bottom = R::ONE + horner(b) * x;
    let value = horner(a) / bottom;
    let (top, rest) = row.split_at_mut(a.len());
    let mut power = R::ONE;
    for row in top {
        *row = power / bottom;
        power *= x;
    }
    let mut power = x;
    for row in rest {
        *row = -value * power / bottom;
        power *= x;
    }
    value
}

fn nelson<R: Number>(b: &[R], x: R, z: R, row: &mut [R]) -> R {
    let e = (-b[2] * z).exp();
    row[0] = R::ONE;
    row[1] = -x * e;
    row[2] = b[1] * x * z * e;
    b[0] - b[1] * x * e
}

fn mgh09<R: Number>(b: &[R], x: R, _: R, row: &mut [R]) -> R {
    let top = x * x + x * b[1];
    let bottom = x * x + x * b[2] + b[3];
    row[0] = top / bottom;
    row[1] = b[0] * x / bottom;
    row[2] = -b[0] * top / bottom * x / bottom;
    row[3] = -b[0] * top / bottom / bottom;
    b[0] * top / bottom
}

fn mgh10<R: Number>(b: &[R], x: R, _: R, row: &mut [R]) -> R {
    let d = x + b[2];
    let e = (b[1] / d).exp();
    row[0] = e;
    row[1] = b[0] * e / d;
    row[2] = -b[0] * e * b[1] / d / d;
    b[0] * e
}

fn mgh17<R: Number>(b: &[R], x: R, _: R, row: &mut [R]) -> R {
    let (e, f) = ((-x * b[3]).exp(), (-x * b[4]).exp());
    row.copy_from_slice(&[R::ONE, e, f, -x * b[1] * e, -x * b[2] * f]);
    b[0] + b[1] * e + b[2] * f
}

fn roszman1<R: Number>(b: &[R], x: R, _: R, row: &mut [R]) -> R {
    let pi = c::<R>(std::f64::consts::PI);
    let t = x - b[3];
    let square = t * t + b[2] * b[2];
    row.copy_from_slice(&[R::ONE, -x, -t / square / pi, -b[2] / square / pi]);
    b[0] - b[1] * x - (b[2] / t).atan() / pi
}

fn enso<R: Number>(b: &[R], x: R, _: R, row: &mut [R]) -> R {
    let turn = c::<R>(2.0 * std::f64::consts::PI) * x;
    let year = turn / c(12.0);
    row[0] = R::ONE;
    row[1] = year.cos();
    row[2] = year.sin();
    let mut value = b[0] + b[1] * row[1] + b[2] * row[2];
    for (b, row) in b[3..].chunks(3).zip(row[3..].chunks_mut(3)) {
        let w = turn / b[0];
        row[1] = w.cos();
        row[2] = w.sin();
        row[0] = (b[1] * row[2] - b[2] * row[1]) * w / b[0];
        value += b[1] * row[1] + b[2] * row[2];
    }
    value
}

fn rat42<R: Number>(b: &[R], x: R, _: R, row: &mut [R]) -> R {
    let e = (b[1] - b[2] * x).exp();
    let u = R::ONE / (R::ONE + e);
    row[0] = u;
    row[1] = -b[0] * u * u * e;
    row[2] = b[0] * u * u * e * x;
    b[0] * u
}

fn rat43<R: Number>(b: &[R], x: R, _: R, row: &mut [R]) -> R {
    let e = (b[1] - b[2] * x).exp();
    let u = R::ONE + e;
    let p = u.pow(-R::ONE / b[3]);
    row[0] = p;
    row[1] = -b[0] / b[3] * p * e / u;
    row[2] = -row[1] * x;
    row[3] = b[0] * p * u.ln() / (b[3] * b[3]);
    b[0] * p
}

fn eckerle4<R: Number>(b: &[R], x: R, _: R, row: &mut [R]) -> R {
    let z = (x - b[2]) / b[1];
    let e = (-(z * z) * R::HALF).exp();
    row[0] = e / b[1];
    row[1] = b[0] / b[1] * e / b[1] * (z * z - R::ONE);
    row[2] = b[0] / b[1] * e / b[1] * z;
    b[0] / b[1] * e
}

fn bennett5<R: Number>(b: &[R], x: R, _: R, row: &mut [R]) -> R {
    let u = b[1] + x;
    let p = u.pow(-R::ONE / b[2]);
    row[0] = p;
    row[1] = -b[0] / b[2] * p / u;
    row[2] = b[0] * p * u.ln() / (b[2] * b[2]);
    b[0] * p
}
