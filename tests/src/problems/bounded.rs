//! Problems with bounds, and problems with an L1 penalty. `tests/peers/scipy_bounds.py` states them
//! anew, so that the reference runs on the same functions.
//!
//! Sources: W. Hock, K. Schittkowski, *Test examples for nonlinear programming codes*, Lecture
//! Notes in Economics and Mathematical Systems 187 (1981), for HS; quadratics and least squares
//! from drawn numbers for the rest.

/// Value and gradient of a function; overwrites the gradient.
pub type Function = Box<dyn Fn(&[f64], &mut [f64]) -> f64>;

/// A problem with bounds.
pub struct Bounded {
    /// Its usual name.
    pub name: &'static str,
    /// Where to start; the nearest point in the box counts.
    pub start: Vec<f64>,
    /// Lower bounds.
    pub lower: Vec<f64>,
    /// Upper bounds.
    pub upper: Vec<f64>,
    /// What is minimised.
    pub function: Function,
    /// The value where the reference ends.
    pub least: f64,
    /// Evaluations of the reference, scipy's L-BFGS-B (1.17.1, 10 pairs), until the value is within
    /// `1e-6 max(1, |least|)` of that.
    pub reference: u32,
}

/// `f(x) + weight |x|_1`.
pub struct Penalised {
    /// A name.
    pub name: &'static str,
    /// Variables; the run starts from zero.
    pub dimension: usize,
    /// The factor of the penalty.
    pub weight: f64,
    /// f.
    pub function: Function,
    /// As for bounds, the reference working with the positive and negative parts of x.
    pub least: f64,
    /// As for bounds.
    pub reference: u32,
}

/// Lehmer's generator: short enough to be written again in another language.
pub struct Lehmer(u64);

impl Lehmer {
    /// The sequence of a seed below 2^31 - 1.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Uniform in (-1, 1).
    pub fn draw(&mut self) -> f64 {
        self.0 = self.0 * 48_271 % 2_147_483_647;
        2.0 * (self.0 as f64 / 2_147_483_647.0) - 1.0
    }

    fn vector(&mut self, n: usize) -> Vec<f64> {
        (0..n).map(|_| self.draw()).collect()
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn hs1(lower: f64, name: &'static str) -> Bounded {
    let inf = f64::INFINITY;
    Bounded {
        name,
        start: vec![-2.0, 1.0],
        lower: vec![-inf, lower],
        upper: vec![inf; 2],
        function: Box::new(|x, g| {
            let (a, b) = (1.0 - x[0], x[1] - x[0] * x[0]);
            g[0] = -2.0 * a - 400.0 * x[0] * b;
            g[1] = 200.0 * b;
            a * a + 100.0 * b * b
        }),
        least: f64::NAN,
        reference: 0,
    }
}

fn hs3() -> Bounded {
    let inf = f64::INFINITY;
    Bounded {
        name: "HS 3",
        start: vec![10.0, 1.0],
        lower: vec![-inf, 0.0],
        upper: vec![inf; 2],
        function: Box::new(|x, g| {
            let d = x[1] - x[0];
            g[0] = -2e-5 * d;
            g[1] = 1.0 + 2e-5 * d;
            x[1] + 1e-5 * d * d
        }),
        least: f64::NAN,
        reference: 0,
    }
}

fn hs4() -> Bounded {
    Bounded {
        name: "HS 4",
        start: vec![1.125, 0.125],
        lower: vec![1.0, 0.0],
        upper: vec![f64::INFINITY; 2],
        function: Box::new(|x, g| {
            let a = x[0] + 1.0;
            g[0] = a * a;
            g[1] = 1.0;
            a * a * a / 3.0 + x[1]
        }),
        least: f64::NAN,
        reference: 0,
    }
}

fn hs5() -> Bounded {
    Bounded {
        name: "HS 5",
        start: vec![0.0, 0.0],
        lower: vec![-1.5, -3.0],
        upper: vec![4.0, 3.0],
        function: Box::new(|x, g| {
            let (c, d) = (libm::cos(x[0] + x[1]), x[0] - x[1]);
            g[0] = c + 2.0 * d - 1.5;
            g[1] = c - 2.0 * d + 2.5;
            libm::sin(x[0] + x[1]) + d * d - 1.5 * x[0] + 2.5 * x[1] + 1.0
        }),
        least: f64::NAN,
        reference: 0,
    }
}

fn hs25() -> Bounded {
    Bounded {
        name: "HS 25",
        start: vec![100.0, 12.5, 3.0],
        lower: vec![0.1, 0.0, 0.0],
        upper: vec![100.0, 25.6, 5.0],
        function: Box::new(|x, g| {
            g.fill(0.0);
            let mut value = 0.0;
            for i in 1..100 {
                let t = 0.01 * f64::from(i);
                let u = 25.0 + libm::pow(-50.0 * libm::log(t), 2.0 / 3.0);
                let d = u - x[1];
                let power = libm::pow(d, x[2]);
                let e = libm::exp(-power / x[0]);
                let r = e - t;
                value += r * r;
                g[0] += 2.0 * r * e * power / (x[0] * x[0]);
                g[1] += 2.0 * r * e * x[2] * power / (d * x[0]);
                g[2] -= 2.0 * r * e * power * libm::log(d) / x[0];
            }
            value
        }),
        least: f64::NAN,
        reference: 0,
    }
}

fn hs38() -> Bounded {
    Bounded {
        name: "HS 38",
        start: vec![-3.0, -1.0, -3.0, -1.0],
        lower: vec![-10.0; 4],
        upper: vec![10.0; 4],
        function: Box::new(|x, g| {
            let (a, b) = (x[1] - x[0] * x[0], 1.0 - x[0]);
            let (d, e) = (x[3] - x[2] * x[2], 1.0 - x[2]);
            let (f, h) = (x[1] - 1.0, x[3] - 1.0);
            g[0] = -400.0 * a * x[0] - 2.0 * b;
            g[1] = 200.0 * a + 20.2 * f + 19.8 * h;
            g[2] = -360.0 * d * x[2] - 2.0 * e;
            g[3] = 180.0 * d + 20.2 * h + 19.8 * f;
            100.0 * a * a + b * b + 90.0 * d * d + e * e + 10.1 * (f * f + h * h) + 19.8 * f * h
        }),
        least: f64::NAN,
        reference: 0,
    }
}

fn hs45() -> Bounded {
    Bounded {
        name: "HS 45",
        start: vec![2.0; 5],
        lower: vec![0.0; 5],
        upper: vec![1.0, 2.0, 3.0, 4.0, 5.0],
        function: Box::new(|x, g| {
            for j in 0..5 {
                let others: f64 = (0..5).filter(|&k| k != j).map(|k| x[k]).product();
                g[j] = -others / 120.0;
            }
            2.0 - x.iter().product::<f64>() / 120.0
        }),
        least: f64::NAN,
        reference: 0,
    }
}

fn hs110() -> Bounded {
    Bounded {
        name: "HS 110",
        start: vec![9.0; 10],
        lower: vec![2.001; 10],
        upper: vec![9.999; 10],
        function: Box::new(|x, g| {
            let product: f64 = x.iter().product();
            let root = libm::pow(product, 0.2);
            let mut value = -root;
            for (&x, g) in x.iter().zip(g) {
                let (a, b) = (libm::log(x - 2.0), libm::log(10.0 - x));
                value += a * a + b * b;
                *g = 2.0 * a / (x - 2.0) - 2.0 * b / (10.0 - x) - 0.2 * root / x;
            }
            value
        }),
        least: f64::NAN,
        reference: 0,
    }
}

/// `|A x - b|^2 / 2`, x >= 0, the columns of A being of sizes from 1 to `1 / spread`.
fn nonnegative(name: &'static str, seed: u64, spread: f64) -> Bounded {
    let (m, n) = (60, 30);
    let mut random = Lehmer::new(seed);
    let mut a = random.vector(m * n);
    let b = random.vector(m);
    for row in a.chunks_mut(n) {
        for (j, a) in row.iter_mut().enumerate() {
            *a *= libm::pow(spread, -(j as f64) / (n - 1) as f64);
        }
    }
    Bounded {
        name,
        start: vec![1.0; n],
        lower: vec![0.0; n],
        upper: vec![f64::INFINITY; n],
        function: Box::new(move |x, g| {
            g.fill(0.0);
            let mut value = 0.0;
            for (row, b) in a.chunks(n).zip(&b) {
                let r = dot(row, x) - b;
                value += 0.5 * r * r;
                for (g, a) in g.iter_mut().zip(row) {
                    *g += r * a;
                }
            }
            value
        }),
        least: f64::NAN,
        reference: 0,
    }
}

/// `(x - c)' Q (x - c) / 2` in `[-1, 1]^50`, Q with eigenvalues from 1 to kappa, c in (-2, 2).
fn quadratic(name: &'static str, kappa: f64) -> Bounded {
    let n = 50;
    let mut random = Lehmer::new(7);
    let centre: Vec<f64> = random.vector(n).iter().map(|c| 2.0 * c).collect();
    // Q = V diag(e) V with a reflection V = I - 2 v v' / v.v.
    let v = random.vector(n);
    let square = dot(&v, &v);
    Bounded {
        name,
        start: vec![0.0; n],
        lower: vec![-1.0; n],
        upper: vec![1.0; n],
        function: Box::new(move |x, g| {
            let reflect = |u: &mut [f64]| {
                let factor = 2.0 * dot(&v, u) / square;
                for (u, v) in u.iter_mut().zip(&v) {
                    *u -= factor * v;
                }
            };
            let mut u: Vec<f64> = x.iter().zip(&centre).map(|(x, c)| x - c).collect();
            reflect(&mut u);
            let mut value = 0.0;
            for (j, u) in u.iter_mut().enumerate() {
                let e = libm::pow(kappa, j as f64 / (n - 1) as f64);
                value += 0.5 * e * *u * *u;
                *u *= e;
            }
            reflect(&mut u);
            g.copy_from_slice(&u);
            value
        }),
        least: f64::NAN,
        reference: 0,
    }
}

/// The chained Rosenbrock function of 100 variables in `[-2, upper]`, from the lower corner.
fn corner(name: &'static str, upper: f64) -> Bounded {
    let n = 100;
    Bounded {
        name,
        start: vec![-2.0; n],
        lower: vec![-2.0; n],
        upper: vec![upper; n],
        function: Box::new(move |x, g| {
            g.fill(0.0);
            let mut value = 0.0;
            for i in 0..n - 1 {
                let (a, b) = (1.0 - x[i], x[i + 1] - x[i] * x[i]);
                value += a * a + 100.0 * b * b;
                g[i] -= 2.0 * a + 400.0 * b * x[i];
                g[i + 1] += 200.0 * b;
            }
            value
        }),
        least: f64::NAN,
        reference: 0,
    }
}

/// All problems with bounds.
pub fn bounded() -> Vec<Bounded> {
    // Least value and evaluations of the reference, as scipy_bounds.py prints them.
    [
        (hs1(-1.5, "HS 1"), 0.0, 45),
        (hs1(1.5, "HS 2"), 4.941229317989185, 15),
        (hs3(), 0.0, 4),
        (hs4(), 2.6666666666666665, 2),
        (hs5(), -1.9132229549810367, 6),
        (hs25(), 32.834999999663594, 1),
        (hs38(), 0.0, 28),
        (hs45(), 1.0, 10),
        (hs110(), -45.778469707446305, 5),
        (
            nonnegative("Nonnegative squares", 3, 1.0),
            6.8172516217876735,
            15,
        ),
        (
            nonnegative("Nonnegative squares, 1e3", 5, 1e3),
            7.214335577600984,
            1256,
        ),
        (quadratic("Box, kappa 1e2", 1e2), 52.93229611769946, 34),
        (quadratic("Box, kappa 1e4", 1e4), 1088.0843630317645, 190),
        (quadratic("Box, kappa 1e6", 1e6), 30125.246573404846, 1018),
        (corner("Rosenbrock 100, [-2, 2]", 2.0), 0.0, 43),
        (
            corner("Rosenbrock 100, [-2, 0.8]", 0.8),
            95.09173506163808,
            408,
        ),
        (corner("Rosenbrock 100, [-2, 100]", 100.0), 0.0, 38),
    ]
    .map(|(problem, least, reference)| Bounded {
        least,
        reference,
        ..problem
    })
    .into()
}

/// `|A x - b|^2 / 2` with 100 rows and 200 columns and a sparse answer, `correlation` of each
/// column in the one before it.
fn lasso(name: &'static str, seed: u64, correlation: f64, weight: f64) -> Penalised {
    let (m, n) = (100, 200);
    let mut random = Lehmer::new(seed);
    let mut a = random.vector(m * n);
    for row in a.chunks_mut(n) {
        for j in 1..n {
            row[j] = correlation * row[j - 1] + (1.0 - correlation) * row[j];
        }
    }
    let truth: Vec<f64> = (0..n)
        .map(|j| {
            if j % 20 == 0 {
                3.0 * random.draw()
            } else {
                0.0
            }
        })
        .collect();
    let b: Vec<f64> = a
        .chunks(n)
        .map(|row| dot(row, &truth) + 0.1 * random.draw())
        .collect();
    Penalised {
        name,
        dimension: n,
        weight,
        function: Box::new(move |x, g| {
            g.fill(0.0);
            let mut value = 0.0;
            for (row, b) in a.chunks(n).zip(&b) {
                let r = dot(row, x) - b;
                value += 0.5 * r * r;
                for (g, a) in g.iter_mut().zip(row) {
                    *g += r * a;
                }
            }
            value
        }),
        least: f64::NAN,
        reference: 0,
    }
}

/// The mean logistic loss of 200 samples with 50 features, correlated likewise.
fn logistic(name: &'static str, seed: u64, correlation: f64, weight: f64) -> Penalised {
    let (m, n) = (200, 50);
    let mut random = Lehmer::new(seed);
    let mut a = random.vector(m * n);
    for row in a.chunks_mut(n) {
        for j in 1..n {
            row[j] = correlation * row[j - 1] + (1.0 - correlation) * row[j];
        }
    }
    let truth: Vec<f64> = (0..n)
        .map(|j| if j % 5 == 0 { 5.0 * random.draw() } else { 0.0 })
        .collect();
    for row in a.chunks_mut(n) {
        let sign = if dot(row, &truth) + 0.3 * random.draw() > 0.0 {
            1.0
        } else {
            -1.0
        };
        row.iter_mut().for_each(|a| *a *= sign);
    }
    Penalised {
        name,
        dimension: n,
        weight,
        function: Box::new(move |x, g| {
            g.fill(0.0);
            let mut value = 0.0;
            for row in a.chunks(n) {
                let margin = dot(row, x);
                let e = libm::exp(-margin.abs());
                value += (libm::log1p(e) + if margin < 0.0 { -margin } else { 0.0 }) / m as f64;
                let share = if margin > 0.0 {
                    e / (1.0 + e)
                } else {
                    1.0 / (1.0 + e)
                };
                for (g, a) in g.iter_mut().zip(row) {
                    *g -= share * a / m as f64;
                }
            }
            value
        }),
        least: f64::NAN,
        reference: 0,
    }
}

/// All problems with an L1 penalty.
pub fn penalised() -> Vec<Penalised> {
    [
        (lasso("Lasso", 11, 0.0, 1.0), 18.35203992990358, 35),
        (
            lasso("Lasso, small weight", 11, 0.0, 0.1),
            1.8896374766899247,
            113,
        ),
        (
            lasso("Lasso, correlated", 13, 0.8, 0.1),
            1.7855568667578188,
            94,
        ),
        (
            logistic("Logistic", 17, 0.0, 0.003),
            0.16743403954038721,
            15,
        ),
        (
            logistic("Logistic, correlated", 19, 0.9, 0.001),
            0.09826139226738509,
            45,
        ),
        (
            logistic("Logistic, large weight", 17, 0.0, 0.03),
            0.5057810583907214,
            8,
        ),
    ]
    .map(|(problem, least, reference)| Penalised {
        least,
        reference,
        ..problem
    })
    .into()
}
