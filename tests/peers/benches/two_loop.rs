//! One application of the two-loop recursion, m = 10: Secant in f32 and f64, crate `lbfgs` (f64 is
//! all it has), and the time that reading the `4 m n` numbers takes, all in one run. `cargo bench`
//! in this folder.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use secant::Real;
use secant::optim::{Initial, Pair, two_loop};

const M: usize = 10;

/// Numbers in (-1, 1), the same in every run.
fn numbers<R: Real>(seed: u64, count: usize) -> Vec<R> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    (0..count)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            R::of((state >> 11) as f64 / (1u64 << 52) as f64 - 1.0)
        })
        .collect()
}

/// m steps, then m changes with `s . y > 0`, in one piece of memory as the optimiser has them.
fn history<R: Real>(n: usize) -> Vec<R> {
    let steps: Vec<R> = numbers(7, M * n);
    let noise: Vec<R> = numbers(8, M * n);
    let changes = steps.iter().zip(&noise).map(|(&s, &e)| R::of(1.5) * s + R::of(0.3) * e);
    steps.iter().copied().chain(changes).collect()
}

/// Reads every number of `memory` once, with 64 partial results so that nothing but the memory sets
/// the pace.
fn read(memory: &[f32]) -> f32 {
    let mut partial = [0.0f32; 64];
    for block in memory.as_chunks::<64>().0 {
        for (partial, x) in partial.iter_mut().zip(block) {
            *partial += x;
        }
    }
    partial.iter().sum()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn read_avx2(memory: &[f32]) -> f32 {
    read(memory)
}

fn read_best(memory: &[f32]) -> f32 {
    #[cfg(target_arch = "x86_64")]
    if std::is_x86_feature_detected!("avx2") {
        // SAFETY: the machine has AVX2.
        return unsafe { read_avx2(memory) };
    }
    read(memory)
}

fn secant<R: Real>(group: &mut criterion::BenchmarkGroup<'_, criterion::measurement::WallTime>, name: &str, n: usize) {
    let memory = history::<R>(n);
    let (steps, changes) = memory.split_at(M * n);
    let pairs: Vec<Pair<R>> = steps.chunks(n).zip(changes.chunks(n)).map(|(s, y)| Pair::new(s, y)).collect();
    let gradient: Vec<R> = numbers(9, n);
    let mut q = gradient.clone();
    let mut coefficients = [R::ZERO; M];
    group.bench_function(BenchmarkId::new(name, n), |bench| {
        bench.iter(|| {
            q.copy_from_slice(&gradient);
            two_loop(black_box(&pairs), Initial::Scalar(R::of(0.6)), &mut q, &mut coefficients);
            black_box(&q);
        });
    });
}

fn benches(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("two_loop");
    for n in [5_258, 159_539] {
        secant::<f32>(&mut group, "secant f32", n);
        secant::<f64>(&mut group, "secant f64", n);

        let memory = history::<f32>(n);
        group.bench_function(BenchmarkId::new("reading 4 m n of f32", n), |bench| {
            bench.iter(|| black_box(read_best(black_box(&memory))) + black_box(read_best(black_box(&memory))));
        });

        let wide = history::<f64>(n);
        let mut other = lbfgs::Lbfgs::new(n, M);
        let mut point = vec![0.0; n];
        let mut slope = vec![0.0; n];
        other.update_hessian(&slope, &point);
        for k in 0..M {
            for j in 0..n {
                point[j] += wide[k * n + j];
                slope[j] += wide[(M + k) * n + j];
            }
            assert_eq!(other.update_hessian(&slope, &point), lbfgs::UpdateStatus::UpdateOk);
        }
        let gradient: Vec<f64> = numbers(9, n);
        let mut q = gradient.clone();
        group.bench_function(BenchmarkId::new("crate lbfgs f64", n), |bench| {
            bench.iter(|| {
                q.copy_from_slice(&gradient);
                other.apply_hessian(black_box(&mut q));
            });
        });
    }
    group.finish();
}

criterion_group!(two_loop_benches, benches);
criterion_main!(two_loop_benches);
