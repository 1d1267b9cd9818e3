//! Eigenvalues from products, against matrices whose spectrum is known because they were made of it.

use secant::network::{Network, Shape, conv2d, linear, tanh};
use secant::spectrum::{Ending, Known, Lanczos, Node, density, signs, trace, tridiagonal};
use secant::{Batch, Curvature, Normalisation, Random, Samples};
use secant_tests::draw::Draw;
use secant_tests::tolerance::{DENSITY_MOMENTS, GOLDEN_EIGENVALUES, LANCZOS};

/// `Q diag(values) Q'`, Q being a product of reflections: known spectrum, no zero element.
struct Made {
    values: Vec<f64>,
    reflectors: Vec<Vec<f64>>,
}

impl Made {
    fn new(values: &[f64], seed: u64) -> Made {
        let mut draw = Draw::new(seed);
        let n = values.len();
        let reflector = |_| {
            let mut v: Vec<f64> = (0..n).map(|_| f64::from(draw.symmetric()) + 1e-3).collect();
            let length = v.iter().map(|x| x * x).sum::<f64>().sqrt();
            v.iter_mut().for_each(|x| *x /= length);
            v
        };
        Made {
            values: values.to_vec(),
            reflectors: (0..3).map(reflector).collect(),
        }
    }

    fn reflect(v: &[f64], x: &mut [f64]) {
        let product: f64 = v.iter().zip(&*x).map(|(a, b)| a * b).sum();
        for (x, v) in x.iter_mut().zip(v) {
            *x -= 2.0 * product * v;
        }
    }

    fn multiply(&self, x: &[f64], y: &mut [f64]) {
        y.copy_from_slice(x);
        for v in &self.reflectors {
            Made::reflect(v, y);
        }
        for (y, value) in y.iter_mut().zip(&self.values) {
            *y *= value;
        }
        for v in self.reflectors.iter().rev() {
            Made::reflect(v, y);
        }
    }

    fn size(&self) -> f64 {
        self.values
            .iter()
            .fold(0.0, |size, value| f64::max(size, value.abs()))
    }
}

fn start(n: usize) -> Vec<f64> {
    let mut start = vec![0.0; n];
    signs(&mut Random::new(5, 1), &mut start);
    start
}

/// Runs k steps and hands the outcome to `check`.
fn lanczos(made: &Made, k: usize, check: impl FnOnce(&Lanczos<'_, f64>, Ending)) {
    let n = made.values.len();
    let mut memory = vec![f64::NAN; Lanczos::<f64>::memory_len(n, k)];
    let mut lanczos = Lanczos::new(n, k, &mut memory).unwrap();
    let ending = lanczos.run(&start(n), |x, y| made.multiply(x, y)).unwrap();
    check(&lanczos, ending);
}

#[test]
fn extremes_and_their_vectors_are_those_of_the_matrix() {
    // A few large values over a bulk, as Hessians have; indefinite; with a tiny gap at the top.
    let spectra: [fn(usize) -> f64; 3] = [
        |i| {
            if i < 5 {
                10.0 - i as f64
            } else {
                1e-3 * (i % 97) as f64
            }
        },
        |i| match i {
            3 => -9.0,
            7 => 6.0,
            _ => (i as f64 * 0.37).sin(),
        },
        |i| {
            if i < 2 {
                1.0 + 1e-6 * i as f64
            } else {
                0.3 / (1.0 + i as f64)
            }
        },
    ];
    for (s, spectrum) in spectra.into_iter().enumerate() {
        let mut values: Vec<f64> = (0..300).map(spectrum).collect();
        let made = Made::new(&values, s as u64);
        values.sort_by(f64::total_cmp);
        lanczos(&made, 90, |lanczos, ending| {
            assert_eq!(ending, Ending::Steps);
            let (found, size) = (lanczos.values(), made.size());
            assert!(
                (found[89] - values[299]).abs() < LANCZOS * size,
                "{s}: {}",
                found[89]
            );
            assert!(lanczos.noise() < 1e-12 * size);
            for i in [0, 89] {
                // The bound holds for the residual, and the residual is that of the vector.
                let (mut v, mut image) = (vec![0.0; 300], vec![0.0; 300]);
                lanczos.vector(i, &mut v).unwrap();
                made.multiply(&v, &mut image);
                let residual: f64 = (0..300).map(|j| (image[j] - found[i] * v[j]).powi(2)).sum();
                let apart = (residual.sqrt() - lanczos.bound(i)).abs();
                assert!(apart < 1e-12 * size, "{s}, {i}");
                let near = values
                    .iter()
                    .map(|x| (x - found[i]).abs())
                    .fold(1.0, f64::min);
                assert!(near <= lanczos.bound(i) + 1e-12 * size, "{s}, {i}");
            }
            if s == 1 {
                assert!(
                    (found[0] - values[0]).abs() < LANCZOS * size,
                    "the smallest"
                );
            }
        });
    }
}

#[test]
fn a_run_ends_where_nothing_is_left() {
    // Repeated eigenvalues appear once; a zero matrix has one; n = 1; more steps than rows.
    for (values, distinct) in [
        (vec![3.0, 3.0, 3.0, -1.0, -1.0], vec![-1.0, 3.0]),
        (vec![0.0; 7], vec![0.0]),
        (vec![-2.5], vec![-2.5]),
        (vec![1.0, 2.0, 4.0, 8.0], vec![1.0, 2.0, 4.0, 8.0]),
    ] {
        let made = Made::new(&values, 9);
        lanczos(&made, 12, |lanczos, ending| {
            assert_eq!(ending, Ending::Invariant, "{values:?}");
            assert_eq!(lanczos.values().len(), distinct.len(), "{values:?}");
            let mut weights = 0.0;
            for (i, value) in distinct.iter().enumerate() {
                assert!((lanczos.values()[i] - value).abs() < 1e-12);
                assert!(lanczos.bound(i) < 1e-12);
                weights += lanczos.weight(i);
            }
            assert!((weights - 1.0).abs() < 1e-12);
        });
    }
}

#[test]
fn what_is_not_finite_is_told_and_lengths_are_checked() {
    let mut memory = vec![0.0; Lanczos::<f64>::memory_len(3, 2)];
    let mut lanczos = Lanczos::new(3, 2, &mut memory).unwrap();
    assert_eq!(lanczos.run(&[0.0; 3], |_, _| ()).unwrap(), Ending::Unusable);
    let nan = |_: &[f64], y: &mut [f64]| y.fill(f64::NAN);
    assert_eq!(lanczos.run(&[1.0; 3], nan).unwrap(), Ending::Unusable);
    assert!(lanczos.values().is_empty());
    assert!(lanczos.run(&[1.0; 4], nan).is_err());
    assert!(
        lanczos.run_in_metric(&[1.0; 3], nan, nan).is_err(),
        "memory for no metric"
    );
    assert!(lanczos.vector(0, &mut [0.0; 3]).is_err());
    assert!(Lanczos::<f64>::new(3, 0, &mut []).is_err());
    assert!(Lanczos::<f64>::new(3, 2, &mut [0.0; 5]).is_err());
    let found = density(
        &mut lanczos,
        Known::NOTHING,
        2,
        &mut Random::new(0, 0),
        &mut [0.0; 3],
        nan,
        &mut [Node::default(); 4],
    );
    assert_eq!(found, Ok(0));
}

/// The eigenvalues of M A against those of `M^1/2 A M^1/2`, for a diagonal M: by Lanczos on that.
#[test]
fn in_a_metric_the_eigenvalues_are_those_of_the_product() {
    let n = 40;
    let values: Vec<f64> = (0..n).map(|i| (i as f64 - 7.0) * 0.3).collect();
    let made = Made::new(&values, 3);
    let metric: Vec<f64> = (0..n).map(|i| 0.01 + (i * i % 13) as f64).collect();
    let apply = |x: &[f64], y: &mut [f64]| (0..n).for_each(|i| y[i] = metric[i] * x[i]);
    let mut memory = vec![0.0; Lanczos::<f64>::metric_memory_len(n, n)];
    let mut one = Lanczos::new(n, n, &mut memory).unwrap();
    let _ = one
        .run_in_metric(&start(n), |x, y| made.multiply(x, y), apply)
        .unwrap();
    let mut memory = vec![0.0; Lanczos::<f64>::memory_len(n, n)];
    let mut other = Lanczos::new(n, n, &mut memory).unwrap();
    let both = |x: &[f64], y: &mut [f64]| {
        let turned: Vec<f64> = (0..n).map(|i| metric[i].sqrt() * x[i]).collect();
        made.multiply(&turned, y);
        (0..n).for_each(|i| y[i] *= metric[i].sqrt());
    };
    let _ = other.run(&start(n), both).unwrap();
    assert_eq!(one.values().len(), n);
    let size = other.values()[n - 1];
    for (a, b) in one.values().iter().zip(other.values()) {
        assert!((a - b).abs() < LANCZOS * size, "{a} is not {b}");
    }
    let near = |a: &f64, b: &f64| (a - b).abs() < 1e-3;
    assert!(
        !one.values().iter().zip(&values).all(|(a, b)| near(a, b)),
        "M matters"
    );
}

/// The ten largest of 400 eigenvalues hold nearly all of the higher moments.
#[test]
fn the_moments_of_the_density_are_those_of_the_spectrum() {
    let n = 400;
    let values: Vec<f64> = (0..n)
        .map(|i| match i {
            0..10 => 20.0 - i as f64,
            10..14 => -3.0,
            _ => 0.5 * ((i * 7 % 100) as f64 / 100.0).powi(2),
        })
        .collect();
    let made = Made::new(&values, 4);
    let mut memory = vec![0.0; Lanczos::<f64>::memory_len(n, 60)];
    let mut lanczos = Lanczos::new(n, 60, &mut memory).unwrap();
    let product = |x: &[f64], y: &mut [f64]| made.multiply(x, y);
    let _ = lanczos.run(&start(n), product).unwrap();
    let mut vectors = vec![0.0; 10 * n];
    let known: Vec<f64> = (0..10).map(|i| lanczos.values()[59 - i]).collect();
    for (i, v) in vectors.chunks_exact_mut(n).enumerate() {
        assert!(lanczos.bound(59 - i) < 1e-6);
        lanczos.vector(59 - i, v).unwrap();
    }
    let known = Known {
        values: &known,
        vectors: &vectors,
    };
    let exact = |p: i32| values.iter().map(|x| x.powi(p)).sum::<f64>() / n as f64;
    let mut errors = Vec::new();
    for known in [known, Known::NOTHING] {
        let mut nodes = vec![Node::default(); known.values.len() + 8 * 60];
        let mut random = Random::new(1, 2);
        let mut probe = vec![0.0; n];
        let count = density(
            &mut lanczos,
            known,
            8,
            &mut random,
            &mut probe,
            product,
            &mut nodes,
        )
        .unwrap();
        nodes.truncate(count);
        let total: f64 = nodes.iter().map(|node| node.weight).sum();
        assert!((total - 1.0).abs() < 1e-12, "{total}");
        let moment = |p: i32| {
            nodes
                .iter()
                .map(|x| x.weight * x.value.powi(p))
                .sum::<f64>()
        };
        errors.push([1, 2, 3, 4].map(|p| (moment(p) / exact(p) - 1.0).abs()));
        let negative: f64 = nodes
            .iter()
            .filter(|x| x.value < -1.0)
            .map(|x| x.weight)
            .sum();
        assert!((n as f64 * negative - 4.0).abs() < 1.5, "{negative}");
        let mut scratch = vec![0.0; 2 * n];
        let found = trace(known, 32, &mut Random::new(2, 2), &mut scratch, product).unwrap();
        let off = (found.value - n as f64 * exact(1)).abs();
        assert!(
            off < 4.0 * found.error,
            "{off} with a standard error of {}",
            found.error
        );
        errors.push([found.error; 4]);
    }
    assert!(
        errors[0].iter().all(|e| *e < DENSITY_MOMENTS),
        "{:?}",
        errors[0]
    );
    let worst = |errors: &[f64; 4]| errors.iter().copied().fold(0.0, f64::max);
    let (with, without) = (worst(&errors[0]), worst(&errors[2]));
    assert!(
        without > 3.0 * with,
        "the large ones known: {with}; without: {without}"
    );
    assert!(errors[1][0] < 0.2 * errors[3][0], "nor is the trace");
}

#[test]
fn a_tridiagonal_matrix_is_put_together_again() {
    for k in [1, 2, 3, 10, 57] {
        for kind in 0..4 {
            let mut draw = Draw::new(k as u64 * 10 + kind);
            let mut number = |scale: f64| match kind {
                0 => f64::from(draw.symmetric()) * scale,
                1 => 0.0,
                2 => 1e200 * f64::from(draw.symmetric()),
                // Two halves that hang together by a thread.
                _ => 1.0 + 1e-14 * f64::from(draw.symmetric()),
            };
            let diagonal: Vec<f64> = (0..k).map(|_| number(1.0)).collect();
            let off: Vec<f64> = (0..k).map(|_| number(1e-3)).collect();
            let (mut d, mut e, mut v) = (diagonal.clone(), off.clone(), vec![0.0; k * k]);
            assert!(tridiagonal(&mut d, &mut e, &mut v), "{k}, {kind}");
            assert!(d.windows(2).all(|pair| pair[0] <= pair[1]));
            let size = d.iter().chain(&off).fold(0.0, |s, x| f64::max(s, x.abs()));
            for i in 0..k {
                for j in 0..k {
                    let sum = |f: &dyn Fn(usize) -> f64| (0..k).map(f).sum::<f64>();
                    let back = sum(&|l| d[l] * v[l * k + i] * v[l * k + j]);
                    let unit = sum(&|l| v[i * k + l] * v[j * k + l]);
                    let expected = match i.abs_diff(j) {
                        0 => diagonal[i],
                        1 => off[i.min(j)],
                        _ => 0.0,
                    };
                    assert!(
                        (back - expected).abs() <= 1e-13 * size,
                        "{k}, {kind}: {i}, {j}"
                    );
                    assert!((unit - f64::from(u8::from(i == j))).abs() < 1e-13);
                }
            }
        }
    }
    assert!(!tridiagonal(&mut [f64::NAN], &mut [0.0], &mut [0.0]));
    assert!(
        !tridiagonal(&mut [1.0, 2.0], &mut [0.0], &mut [0.0; 4]),
        "lengths"
    );
}

/// Golden values by PyTorch's automatic differentiation: `tests/peers/torch_hessian.py`, which has
/// the network, its weights and its images from the same formulas.
///
/// ```text
/// hessian = torch.autograd.functional.hessian(lambda w: F.cross_entropy(outputs(w), labels), weights)
/// torch.linalg.eigvalsh(hessian)
/// ```
#[test]
fn the_extremes_of_a_network_are_those_that_pytorch_finds() {
    const NET: Network<5> = Network::new(
        Shape::new(1, 6, 6),
        [conv2d(4, 3), tanh(), linear(7), tanh(), linear(3)],
    );
    const N: usize = NET.parameter_count();
    assert_eq!(N, 519);
    let weights: Vec<f32> = (0..N)
        .map(|i| (0.4 * (1.7 * i as f64 + 0.3).sin()) as f32)
        .collect();
    let pixels: Vec<u8> = (0..20 * 36)
        .map(|i| ((i * i * 31 + i * 17) % 256) as u8)
        .collect();
    let labels: Vec<u8> = (0..20u32).map(|i| (i * i % 3) as u8).collect();
    let indices: Vec<u32> = (0..20).collect();
    let samples = Samples::bytes(&pixels, &labels, Normalisation::UNIT);
    let batch = Batch::new(samples, &indices).weight(1.0 / 20.0);
    let mut workspace = vec![0.0; NET.curvature_workspace_len(16)];
    let mut product = |curvature: Curvature, x: &[f64], y: &mut [f64]| {
        let x: Vec<f32> = x.iter().map(|x| *x as f32).collect();
        let mut out = vec![0.0; N];
        NET.curvature_product::<16>(curvature, &weights, &x, batch, &mut out, &mut workspace)
            .unwrap();
        for (y, x) in y.iter_mut().zip(&out) {
            *y = f64::from(*x);
        }
    };
    // Smallest two, largest two, the first four moments.
    let golden = [
        (
            Curvature::Hessian,
            [
                -1.9954608427472662,
                -1.664925779255661,
                1.7725734349045583,
                2.538976037460097,
            ],
            [
                0.000904125036583501,
                0.07209041957431195,
                0.011770992808726502,
                0.19138315658229402,
            ],
        ),
        (
            Curvature::GaussNewton,
            [0.0, 0.0, 0.37895302037259065, 1.1019342505355132],
            [
                0.005955012082862406,
                0.0032513295377910624,
                0.002853619273766819,
                0.0029318877965067163,
            ],
        ),
    ];
    let mut memory = vec![0.0; Lanczos::<f64>::memory_len(N, 90)];
    let mut lanczos = Lanczos::new(N, 90, &mut memory).unwrap();
    for (curvature, extremes, moments) in golden {
        let ending = lanczos
            .run(&start(N), |x, y| product(curvature, x, y))
            .unwrap();
        assert_ne!(ending, Ending::Unusable);
        let values = lanczos.values();
        let k = values.len();
        for (found, expected) in [0, 1, k - 2, k - 1].into_iter().zip(extremes) {
            let error = (values[found] - expected).abs() / extremes[3];
            assert!(
                error < GOLDEN_EIGENVALUES,
                "{curvature:?}: {} {expected}",
                values[found]
            );
        }
        // The density's moments, the large eigenvalues known.
        let mut good: Vec<usize> = (0..k).filter(|i| lanczos.bound(*i) < 1e-4).collect();
        good.sort_by(|a, b| values[*b].abs().total_cmp(&values[*a].abs()));
        good.truncate(40);
        let known: Vec<f64> = good.iter().map(|i| values[*i]).collect();
        let mut vectors = vec![0.0; good.len() * N];
        for (v, i) in vectors.chunks_exact_mut(N).zip(&good) {
            lanczos.vector(*i, v).unwrap();
        }
        let known = Known {
            values: &known,
            vectors: &vectors,
        };
        let mut nodes = vec![Node::default(); known.values.len() + 8 * 90];
        let count = density(
            &mut lanczos,
            known,
            8,
            &mut Random::new(3, 0),
            &mut vec![0.0; N],
            |x, y| product(curvature, x, y),
            &mut nodes,
        );
        nodes.truncate(count.unwrap());
        for (p, expected) in (1..).zip(moments) {
            let found: f64 = nodes.iter().map(|x| x.weight * x.value.powi(p)).sum();
            // The Hessian's trace is a difference of large numbers: relative to the size of its terms.
            let size: f64 = nodes.iter().map(|x| x.weight * x.value.abs().powi(p)).sum();
            let error = (found - expected).abs() / size;
            assert!(
                error < DENSITY_MOMENTS,
                "{curvature:?}, moment {p}: {found} {expected}"
            );
        }
    }
}
