//! Softmax regression with an L2 penalty: what training the last layer alone comes to. It is
//! strictly convex, so every optimiser looks for the same minimum and only the way there differs.

use secant::objective::{HessianProduct, Objective};

/// ```text
/// f(W) = 1/n sum over i of (log sum over c of exp(z_ic) - z_i,label(i)) + penalty/2 |W|^2,    z_i = W [x_i; 1]
/// ```
///
/// W has a row of `inputs + 1` weights a class, the last one the bias. Plain loops in f64.
pub struct SoftmaxRegression<'a> {
    /// n x inputs.
    pub features: &'a [f32],
    /// n classes.
    pub labels: &'a [u8],
    /// Length of a row of features.
    pub inputs: usize,
    /// Number of classes.
    pub classes: usize,
    /// Factor of the L2 penalty.
    pub penalty: f64,
    /// Passes over the n samples so far: a gradient is one, and so is a product with the Hessian,
    /// which costs as much.
    pub passes: u32,
}

impl SoftmaxRegression<'_> {
    fn rows(&self) -> impl Iterator<Item = (&[f32], usize)> {
        let labels = self.labels.iter().map(|label| usize::from(*label));
        self.features.chunks_exact(self.inputs).zip(labels)
    }

    /// The row's dot products with the classes' rows of `w`.
    fn scores(&self, w: &[f64], x: &[f32]) -> Vec<f64> {
        let score = |w: &[f64]| {
            let sum: f64 = w.iter().zip(x).map(|(w, x)| w * f64::from(*x)).sum();
            sum + w[self.inputs]
        };
        w.chunks_exact(self.inputs + 1).map(score).collect()
    }

    /// `out += factor [x; 1]` for each class's factor.
    fn add(&self, factors: &[f64], x: &[f32], out: &mut [f64]) {
        for (factor, out) in factors.iter().zip(out.chunks_exact_mut(self.inputs + 1)) {
            for (out, x) in out.iter_mut().zip(x) {
                *out += factor * f64::from(*x);
            }
            out[self.inputs] += factor;
        }
    }

    /// Share of the samples whose label has the highest score.
    pub fn accuracy(&self, w: &[f64]) -> f64 {
        let right = self.rows().filter(|(x, label)| {
            let z = self.scores(w, x);
            z.iter().all(|other| *other <= z[*label])
        });
        right.count() as f64 / self.labels.len() as f64
    }
}

/// Turns scores into probabilities; the logarithm of their sum before is returned.
fn softmax(z: &mut [f64]) -> f64 {
    let most = z.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let mut sum = 0.0;
    for z in &mut *z {
        *z = libm::exp(*z - most);
        sum += *z;
    }
    for z in z {
        *z /= sum;
    }
    most + libm::log(sum)
}

impl Objective<f64> for SoftmaxRegression<'_> {
    fn dimension(&self) -> usize {
        self.classes * (self.inputs + 1)
    }

    fn value_and_gradient(&mut self, w: &[f64], gradient: &mut [f64]) -> f64 {
        self.passes += 1;
        let n = self.labels.len() as f64;
        let mut value = 0.0;
        gradient.fill(0.0);
        for (x, label) in self.rows() {
            let mut p = self.scores(w, x);
            value -= p[label];
            value += softmax(&mut p);
            p[label] -= 1.0;
            self.add(&p, x, gradient);
        }
        for (g, w) in gradient.iter_mut().zip(w) {
            *g = *g / n + self.penalty * w;
        }
        value / n + 0.5 * self.penalty * w.iter().map(|w| w * w).sum::<f64>()
    }
}

impl HessianProduct<f64> for SoftmaxRegression<'_> {
    fn hessian_product(&mut self, w: &[f64], v: &[f64], product: &mut [f64]) {
        self.passes += 1;
        let n = self.labels.len() as f64;
        product.fill(0.0);
        for (x, _) in self.rows() {
            let mut p = self.scores(w, x);
            softmax(&mut p);
            let u = self.scores(v, x);
            // (diag p - p p') u
            let mean: f64 = p.iter().zip(&u).map(|(p, u)| p * u).sum();
            let factors: Vec<f64> = p.iter().zip(&u).map(|(p, u)| p * (u - mean)).collect();
            self.add(&factors, x, product);
        }
        for (product, v) in product.iter_mut().zip(v) {
            *product = *product / n + self.penalty * v;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use secant::Random;

    /// Gradient and Hessian product against central differences of the value and the gradient, f64:
    /// the error of a difference over 2h is about h^2 + eps/h, 1e-10 for h = 1e-5.
    #[test]
    fn derivatives_are_those_of_differences() {
        let mut random = Random::new(5, 0);
        let features: Vec<f32> = (0..7 * 3).map(|_| random.normal()).collect();
        let labels: Vec<u8> = (0..7).map(|_| random.below(4) as u8).collect();
        let mut problem = SoftmaxRegression {
            features: &features,
            labels: &labels,
            inputs: 3,
            classes: 4,
            penalty: 0.1,
            passes: 0,
        };
        let n = problem.dimension();
        let mut draw = || -> Vec<f64> { (0..n).map(|_| f64::from(random.normal())).collect() };
        let (w, v) = (draw(), draw());
        let h = 1e-5;
        let at =
            |sign: f64| -> Vec<f64> { w.iter().zip(&v).map(|(w, v)| w + sign * h * v).collect() };
        let (mut gradient, mut up, mut down) = (vec![0.0; n], vec![0.0; n], vec![0.0; n]);
        problem.value_and_gradient(&w, &mut gradient);
        let above = problem.value_and_gradient(&at(1.0), &mut up);
        let below = problem.value_and_gradient(&at(-1.0), &mut down);
        let slope: f64 = gradient.iter().zip(&v).map(|(g, v)| g * v).sum();
        assert!(((above - below) / (2.0 * h) - slope).abs() < 1e-8);
        let mut product = vec![0.0; n];
        problem.hessian_product(&w, &v, &mut product);
        for ((up, down), product) in up.iter().zip(&down).zip(&product) {
            assert!(((up - down) / (2.0 * h) - product).abs() < 1e-8);
        }
        assert_eq!(problem.passes, 4);
    }
}
