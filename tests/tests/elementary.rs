//! The library's own hyperbolic tangent, logistic function and exponential against double
//! precision, and against themselves on every instruction set.
//!
//! `SECANT_EXHAUSTIVE=1 cargo test --release -p secant-tests --test elementary -- --nocapture`
//! compares every float there is and prints the worst errors; it takes two minutes on two cores.

use std::thread;

use secant::arch::{Isa, Kernel, Simd, dispatch_lanes};
use secant::math::{exponential::exp, sigmoid, tanh};
use secant_tests::draw::Draw;
use secant_tests::tolerance;

/// A function under test.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Function {
    Tanh,
    Sigmoid,
    Exp,
}

const FUNCTIONS: [Function; 3] = [Function::Tanh, Function::Sigmoid, Function::Exp];

impl Function {
    /// The same in double precision.
    fn reference(self, x: f32) -> f64 {
        let x = f64::from(x);
        match self {
            Function::Tanh => x.tanh(),
            Function::Sigmoid => 1.0 / (1.0 + (-x).exp()),
            Function::Exp => x.exp(),
        }
    }

    /// Units in the last place that a result may be off by.
    fn tolerance(self) -> f64 {
        match self {
            Function::Tanh => tolerance::TANH_UNITS,
            Function::Sigmoid => tolerance::SIGMOID_UNITS,
            Function::Exp => tolerance::EXP_UNITS,
        }
    }

    /// The values of 16 numbers, as vector code on the instruction set in use.
    fn values(self, x: &[f32; 16]) -> [f32; 16] {
        dispatch_lanes::<16, _>(Values(self, x))
    }

    /// The value of one number, as a small core computes it.
    fn value(self, x: f32) -> f32 {
        dispatch_lanes::<1, _>(Values(self, &[x]))[0]
    }
}

struct Values<'a, const L: usize>(Function, &'a [f32; L]);

impl<const L: usize> Kernel for Values<'_, L> {
    type Output = [f32; L];

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> [f32; L] {
        let Values(function, x) = self;
        let mut y = [0.0; L];
        match function {
            Function::Tanh => {
                for i in 0..L {
                    y[i] = tanh(simd, x[i]);
                }
            }
            Function::Sigmoid => {
                for i in 0..L {
                    y[i] = sigmoid(simd, x[i]);
                }
            }
            Function::Exp => {
                for i in 0..L {
                    y[i] = exp(simd, x[i]);
                }
            }
        }
        y
    }
}

/// How far `y` is from `exact`, in units in the last place of a float of that size. Infinity counts
/// as 2^128.
fn units(y: f32, exact: f64) -> f64 {
    let bits = exact.abs().min(f64::from(f32::MAX)).to_bits();
    let binade = f64::from_bits(bits & !((1 << 52) - 1)).max(f64::from(f32::MIN_POSITIVE));
    let y = if y == f32::INFINITY {
        2f64.powi(128)
    } else {
        f64::from(y)
    };
    // A result past the largest float is as far off as infinity is.
    (y - exact.min(2f64.powi(128))).abs() / (binade / 8_388_608.0)
}

/// Everything that is promised of a value, but for the order. Returns its error in units in the
/// last place.
fn check(function: Function, x: f32, y: f32) -> f64 {
    if x.is_nan() {
        assert!(y.is_nan(), "{function:?} of a NaN is {y}");
        return 0.0;
    }
    let error = units(y, function.reference(x));
    assert!(
        error <= function.tolerance(),
        "{function:?} of {x:e} ({:#010x}) is {y:e}, off by {error} units",
        x.to_bits()
    );
    match function {
        Function::Tanh => assert!(
            y.abs() <= 1.0 && y.is_sign_negative() == x.is_sign_negative(),
            "tanh of {x:e} is {y:e}"
        ),
        Function::Sigmoid => assert!((0.0..=1.0).contains(&y), "sigmoid of {x:e} is {y:e}"),
        Function::Exp => assert!(y >= 0.0, "exp of {x:e} is {y:e}"),
    }
    error
}

/// Floats of every exponent and both signs: zeros, subnormal numbers, infinities and NaNs among
/// them.
fn samples() -> Vec<[f32; 16]> {
    let mut draw = Draw::new(18);
    let mut samples = Vec::new();
    for exponent in 0..256u32 {
        // Where the functions are neither x nor constant, more of them.
        let count = if (105..140).contains(&exponent) {
            2_000
        } else {
            104
        };
        for k in 0..count {
            let fraction = match k {
                0 => 0,
                1 => 1,
                2 => 0x003f_ffff,
                3 => 0x0040_0000,
                4 => 0x007f_ffff,
                _ => draw.bits() as u32 & 0x007f_ffff,
            };
            let x = f32::from_bits(exponent << 23 | fraction);
            samples.extend([x, -x]);
        }
    }
    let (chunks, rest) = samples.as_chunks::<16>();
    assert!(rest.is_empty());
    chunks.to_vec()
}

#[test]
fn errors_are_small_and_tanh_is_odd() {
    for function in FUNCTIONS {
        for x in samples() {
            let y = function.values(&x);
            for (x, y) in x.iter().zip(&y) {
                check(function, *x, *y);
            }
            if function == Function::Tanh {
                let reflected = function.values(&x.map(|x| -x));
                for (y, reflected) in y.iter().zip(&reflected) {
                    assert!(reflected.to_bits() == (-y).to_bits() || y.is_nan());
                }
            }
        }
    }
}

#[test]
fn limits_are_exact() {
    let limits = [
        (Function::Tanh, f32::INFINITY, 1.0),
        (Function::Tanh, f32::MAX, 1.0),
        (Function::Tanh, -9.02, -1.0),
        (Function::Tanh, 0.0, 0.0),
        (Function::Tanh, -0.0, -0.0),
        (Function::Tanh, 1e-45, 1e-45),
        (Function::Sigmoid, f32::INFINITY, 1.0),
        (Function::Sigmoid, f32::MAX, 1.0),
        (Function::Sigmoid, 0.0, 0.5),
        (Function::Sigmoid, -0.0, 0.5),
        (Function::Sigmoid, -104.0, 0.0),
        (Function::Sigmoid, f32::MIN, 0.0),
        (Function::Sigmoid, f32::NEG_INFINITY, 0.0),
        (Function::Exp, f32::INFINITY, f32::INFINITY),
        (Function::Exp, 88.8, f32::INFINITY),
        (Function::Exp, 0.0, 1.0),
        (Function::Exp, -0.0, 1.0),
        (Function::Exp, f32::NEG_INFINITY, 0.0),
    ];
    for (function, x, y) in limits {
        for found in [function.value(x), function.values(&[x; 16])[7]] {
            assert_eq!(found.to_bits(), y.to_bits(), "{function:?} of {x}: {found}");
        }
    }
    for function in FUNCTIONS {
        assert!(function.value(f32::NAN).is_nan());
        assert!(function.value(-f32::NAN).is_nan());
    }
}

/// Walks all floats from `from` to `to`, which have one sign, upwards or downwards in magnitude.
fn walk(from: f32, to: f32, mut each: impl FnMut(&[f32; 16])) {
    assert_eq!(from.is_sign_negative(), to.is_sign_negative());
    let end = to.to_bits();
    for at in (from.to_bits()..=end).step_by(16) {
        each(&std::array::from_fn(|i| {
            f32::from_bits(end.min(at.saturating_add(i as u32)))
        }));
    }
}

#[test]
fn values_never_decrease() {
    // Around the seams: where a form ends, where n changes, where the result saturates or becomes
    // subnormal.
    let stretches = [
        (Function::Tanh, 0.62, 0.63),
        (Function::Tanh, 1.0, 1.05),
        (Function::Tanh, 8.9, 9.1),
        (Function::Sigmoid, 1e-7, 1.1e-7),
        (Function::Sigmoid, 16.5, 17.5),
        (Function::Sigmoid, -0.345, -0.35),
        (Function::Sigmoid, -86.9, -87.5),
        (Function::Sigmoid, -103.5, -104.5),
        (Function::Exp, 0.345, 0.35),
        (Function::Exp, 88.5, 89.5),
    ];
    for (function, from, to) in stretches {
        let rises = from > 0.0;
        let mut last = if rises { 0.0f32 } else { 1.0 };
        walk(from, to, |x| {
            for (x, y) in x.iter().zip(function.values(x)) {
                let ordered = if rises { y >= last } else { y <= last };
                assert!(ordered, "{function:?} of {x:e}: {y:e} after {last:e}");
                last = y;
            }
        });
    }
}

#[test]
fn every_instruction_set_has_the_same_bits() {
    let samples = samples();
    for function in FUNCTIONS {
        let values = |isa| {
            Isa::force(isa).ok()?;
            let bits = |y: f32| if y.is_nan() { 0 } else { y.to_bits() };
            let blocks = samples.iter().map(|x| function.values(x).map(bits));
            let singles = samples.iter().map(|x| x.map(|x| bits(function.value(x))));
            Some((blocks.collect::<Vec<_>>(), singles.collect::<Vec<_>>()))
        };
        let expected = values(Isa::Baseline).unwrap();
        assert!(expected.0 == expected.1, "{function:?}, one at a time");
        for isa in Isa::ALL {
            if let Some(found) = values(isa) {
                assert!(found == expected, "{function:?} on {}", isa.name());
            }
        }
    }
    Isa::force(Isa::detect()).unwrap();
}

#[test]
fn all_floats() {
    if std::env::var_os("SECANT_EXHAUSTIVE").is_none() {
        eprintln!("skipped: set SECANT_EXHAUSTIVE=1 to compare all 2^32 floats");
        return;
    }
    for function in FUNCTIONS {
        // One thread for each sign.
        let worst = thread::scope(|scope| {
            let signs = [0, 1 << 31].map(|sign: u32| {
                scope.spawn(move || {
                    let mut worst = (0.0, 0.0, 0u64);
                    let mut last = f32::NAN;
                    let (from, to) = (f32::from_bits(sign), f32::from_bits(sign | 0x7fff_ffff));
                    walk(from, to, |x| {
                        for (x, y) in x.iter().zip(function.values(x)) {
                            let error = check(function, *x, y);
                            if error > worst.0 {
                                (worst.0, worst.1) = (error, *x);
                            }
                            // Away from zero the values of negative numbers go down.
                            if if sign == 0 { y < last } else { y > last } {
                                worst.2 += 1;
                                // The one place where neighbours may change places, and by one
                                // unit.
                                assert!(
                                    function == Function::Tanh
                                        && (0.69..0.99).contains(&x.abs())
                                        && (y - last).abs() <= y.abs() * f32::EPSILON,
                                    "{function:?} of {x:e}: {y:e} after {last:e}"
                                );
                            }
                            last = y;
                        }
                    });
                    worst
                })
            });
            signs.map(|sign| sign.join().unwrap())
        });
        for (error, x, disorder) in worst {
            println!("{function:?}: {error:.4} units at {x:e}; {disorder} out of order");
        }
    }
}
