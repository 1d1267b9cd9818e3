//! The factorisation and the damped step against their definitions.

use std::vec;
use std::vec::Vec;

use super::damped::{Model, Scratch};
use super::matrix::Matrix;
use super::qr;
use crate::Random;

fn draw(random: &mut Random, n: usize) -> Vec<f64> {
    (0..n).map(|_| f64::from(random.normal())).collect()
}

/// R'R = P'A'A P, Q'b keeps its norm, R'Q'b = P'A'b, and the diagonal falls.
#[test]
fn a_factorisation_is_one() {
    let mut random = Random::new(1, 0);
    for (m, n) in [(1, 1), (5, 1), (4, 4), (17, 3), (40, 7), (2, 5)] {
        let mut a = draw(&mut random, m * n);
        if n == 7 {
            // A column that is nearly another, so that norms have to be computed anew.
            for i in 0..m {
                a[3 * m + i] = a[i] * (1.0 + 1e-9 * i as f64);
            }
        }
        let b = draw(&mut random, m);
        let dot = |x: &[f64], y: &[f64]| x.iter().zip(y).map(|(x, y)| x * y).sum::<f64>();
        let (mut factors, mut rotated) = (a.clone(), b.clone());
        let (mut diagonal, mut norms, mut reference) = (vec![9.0; n], vec![9.0; n], vec![9.0; n]);
        let mut order: Vec<f64> = (0..n).map(|j| j as f64).collect();
        let mut matrix = Matrix::new(m, &mut factors);
        qr::factor(
            &mut matrix,
            &mut diagonal,
            &mut order,
            &mut norms,
            &mut reference,
        );
        qr::rotate(&matrix, &diagonal, &mut rotated);
        let r = |i: usize, k: usize| match i {
            _ if i == k => diagonal[k],
            _ if i < k => matrix.get(i, k),
            _ => 0.0,
        };
        assert!((dot(&rotated, &rotated) - dot(&b, &b)).abs() < 1e-12 * dot(&b, &b));
        for k in 0..n {
            let column = |k: usize| &a[order[k] as usize * m..][..m];
            for l in 0..n {
                let product: f64 = (0..m.min(n)).map(|i| r(i, k) * r(i, l)).sum();
                assert!(
                    (product - dot(column(k), column(l))).abs() < 1e-11,
                    "{m} {n}"
                );
            }
            let product: f64 = (0..m.min(n)).map(|i| r(i, k) * rotated[i]).sum();
            assert!((product - dot(column(k), &b)).abs() < 1e-11, "{m} {n}");
        }
        for k in 1..m.min(n) {
            assert!(diagonal[k].abs() <= diagonal[k - 1].abs() * (1.0 + 1e-6));
        }
    }
}

/// The step solves `(R'R + d D^2) p = -R'q`, is as long as asked for, and is undamped only where
/// that is no longer.
#[test]
fn a_damped_step_is_one() {
    let mut random = Random::new(2, 0);
    for case in 0..200 {
        let n = 1 + case % 6;
        let mut r = draw(&mut random, n * n);
        if case % 3 == 0 {
            // Nearly singular; every sixth time entirely.
            r[n * n - 1] = if case % 2 == 0 { 0.0 } else { 1e-9 };
        }
        for j in 0..n {
            r[j * n + j + 1..(j + 1) * n].fill(0.0);
        }
        let rhs = draw(&mut random, n);
        let scale = &[0.01, 0.1, 1.0, 10.0, 100.0, 1000.0][..n];
        let triangle = Matrix::new(n, &mut r);
        let model = Model {
            triangle: &triangle,
            rhs: &rhs,
            scale,
        };
        for radius in [1e-6, 1e-2, 1.0, 30.0] {
            for damping in [0.0, 1e-3, 1e6] {
                let (mut step, mut damped) = (vec![f64::NAN; n], vec![f64::NAN; 2 * n * n]);
                let (mut right, mut work) = (vec![f64::NAN; 2 * n], vec![f64::NAN; n]);
                let mut scratch = Scratch {
                    damped: &mut Matrix::new(2 * n, &mut damped),
                    right: &mut right,
                    work: &mut work,
                };
                let found = model.step(radius, damping, &mut step, &mut scratch);
                let part = |j: usize| scale[j] * step[j];
                let square: f64 = (0..n).map(|j| part(j) * part(j)).sum();
                assert!((square.sqrt() - found.length).abs() <= 1e-12 * found.length);
                if found.damping > 0.0 {
                    let wrong = (found.length / radius - 1.0).abs();
                    assert!(wrong <= 0.1 + 1e-9, "{case}: {} of {radius}", found.length);
                } else {
                    assert!(found.length <= 1.1 * radius + 1e-12);
                }
                let row = |i: usize| -> f64 {
                    (0..n).map(|k| triangle.get(i, k) * step[k]).sum::<f64>() + rhs[i]
                };
                for k in 0..n {
                    let slope: f64 = (0..n).map(|i| triangle.get(i, k) * row(i)).sum();
                    let pull = found.damping * scale[k] * scale[k] * step[k];
                    let size = (0..n).map(|i| triangle.get(i, k).abs()).sum::<f64>();
                    assert!((slope + pull).abs() <= 1e-8 * (size + pull.abs()), "{case}");
                }
            }
        }
    }
}
