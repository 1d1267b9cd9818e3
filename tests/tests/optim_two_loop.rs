//! The two-loop recursion against a dense matrix that is built from the same pairs, and against
//! exact vectors.

use secant::optim::{Initial, Pair, two_loop};
use secant::{Real, vector};

/// `H <- V H V' + rho s s'`, `V = I - rho s y'`, in f64, row-major.
fn dense_bfgs(h: &mut [f64], s: &[f64], y: &[f64]) {
    let n = s.len();
    let rho = 1.0 / s.iter().zip(y).map(|(a, b)| a * b).sum::<f64>();
    let v = |i: usize, j: usize| f64::from(u8::from(i == j)) - rho * s[i] * y[j];
    let mut left = vec![0.0; n * n];
    for i in 0..n {
        for j in 0..n {
            left[i * n + j] = (0..n).map(|k| v(i, k) * h[k * n + j]).sum();
        }
    }
    for i in 0..n {
        for j in 0..n {
            h[i * n + j] =
                (0..n).map(|k| left[i * n + k] * v(j, k)).sum::<f64>() + rho * s[i] * s[j];
        }
    }
}

/// Numbers in (-1, 1), the same in every run.
fn numbers(seed: u64) -> impl FnMut() -> f64 {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    }
}

fn agrees<R: Real>(n: usize, m: usize, diagonal: bool, tolerance: f64) {
    let mut next = numbers((n * 31 + m) as u64);
    let pairs: Vec<(Vec<R>, Vec<R>)> = (0..m)
        .map(|_| {
            let s: Vec<R> = (0..n).map(|_| R::of(next())).collect();
            // y near a positive multiple of s, so that s . y > 0.
            let y = s
                .iter()
                .map(|&s| R::of(1.5) * s + R::of(0.5 * next()))
                .collect();
            (s, y)
        })
        .collect();
    let weights: Vec<R> = (0..n)
        .map(|_| R::of(if diagonal { 1.5 + next() } else { 0.7 }))
        .collect();
    let g: Vec<R> = (0..n).map(|_| R::of(next())).collect();

    let mut h = vec![0.0; n * n];
    for i in 0..n {
        h[i * n + i] = weights[i].to_f64();
    }
    let wide = |x: &[R]| x.iter().map(|x| x.to_f64()).collect::<Vec<_>>();
    for (s, y) in &pairs {
        dense_bfgs(&mut h, &wide(s), &wide(y));
    }
    let views: Vec<Pair<R>> = pairs.iter().map(|(s, y)| Pair::new(s, y)).collect();
    let initial = if diagonal {
        Initial::Diagonal(&weights)
    } else {
        Initial::Scalar(weights[0])
    };
    let mut q = g.clone();
    two_loop(&views, initial, &mut q, &mut vec![R::ZERO; m]);
    let mut size = 0.0f64;
    let mut error = 0.0f64;
    for i in 0..n {
        let exact: f64 = (0..n).map(|j| h[i * n + j] * g[j].to_f64()).sum();
        size = size.max(exact.abs());
        assert!(q[i].to_f64().is_finite());
        error = error.max((exact - q[i].to_f64()).abs());
    }
    assert!(
        error <= tolerance * size,
        "n {n} m {m} diagonal {diagonal}: error {error:e} of {size:e}"
    );

    let mut again = g.clone();
    two_loop(&views, initial, &mut again, &mut vec![R::ZERO; m]);
    assert_eq!(q, again, "the same call twice");
}

#[test]
fn agrees_with_the_dense_matrix_at_awkward_sizes() {
    for n in [1, 2, 15, 16, 17, 33, 64] {
        for m in [0, 1, 2, 3, 7] {
            for diagonal in [false, true] {
                agrees::<f64>(n, m, diagonal, 1e-12);
                agrees::<f32>(n, m, diagonal, 1e-3);
            }
        }
    }
}

#[test]
fn one_pair_gives_the_exact_vector() {
    let (s, y, g) = ([0.1, 0.2, -0.3], [-0.5, 0.6, -1.2], [-3.1, 1.5, 2.1]);
    let expected = [
        -1.100_601_247_872_944,
        -0.086_568_349_404_424,
        0.948_633_011_911_515,
    ];
    let scale = vector::dot(&s, &y) / vector::dot(&y, &y);
    let mut q: [f64; 3] = g;
    two_loop(
        &[Pair::new(&s, &y)],
        Initial::Scalar(scale),
        &mut q,
        &mut [0.0],
    );
    for (found, exact) in q.iter().zip(expected) {
        assert!(
            (found - exact).abs() <= 1e-15 * exact.abs().max(1.0),
            "{found} {exact}"
        );
    }
}

#[test]
fn too_little_scratch_uses_the_newest_pairs() {
    let (s, y) = ([1.0f32, 0.0], [2.0, 1.0]);
    let (t, z) = ([0.0f32, 1.0], [1.0, 3.0]);
    let mut q = z;
    two_loop(
        &[Pair::new(&s, &y), Pair::new(&t, &z)],
        Initial::Scalar(1.0),
        &mut q,
        &mut [0.0],
    );
    assert_eq!(q, t);
}

/// The fused verbs give the bits of the plain ones, at sizes around the number of lanes.
#[test]
fn fused_verbs_equal_plain_ones() {
    let mut next = numbers(5);
    for n in [0usize, 1, 15, 16, 17, 31, 32, 100] {
        let mut draw = || (0..n).map(|_| next() as f32).collect::<Vec<f32>>();
        let (x, z, y) = (draw(), draw(), draw());
        let (mut fused, mut plain) = (y.clone(), y.clone());
        let product = vector::axpy_dot(0.3, &x, &z, &mut fused);
        vector::axpy(0.3, &x, &mut plain);
        assert_eq!(fused, plain);
        assert_eq!(product, vector::dot(&plain, &z));

        // The documented order, written out.
        let mut partial = [0.0f32; 16];
        for j in 0..n {
            partial[j % 16] = x[j].mul_add(z[j], partial[j % 16]);
        }
        for half in [8, 4, 2, 1] {
            for lane in 0..half {
                partial[lane] += partial[lane + half];
            }
        }
        assert_eq!(vector::dot(&x, &z), partial[0]);
    }
}
