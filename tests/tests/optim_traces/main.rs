//! The way that every optimiser goes, to the bit.
//!
//! A row of `tests/snapshots/traces_*.txt` is one run; its sum is the SHA-256 of all points that it
//! came through. So a change of any decision or of any rounding shows, even one that ends at the
//! same minimum. Every instruction set of this machine must go the same way. Where a change is meant to change results, `SECANT_UPDATE_SNAPSHOTS=1 cargo test
//! --release -p secant-tests --test optim_traces` writes the tables anew.

mod minimisers;
mod training;

use secant::Real;
use secant::arch::Isa;
use secant_tests::snapshot;
use sha2::{Digest, Sha256};

/// Compares the table that each instruction set makes with the one that is kept.
fn check(name: &str, table: impl Fn() -> String) {
    for isa in Isa::ALL.into_iter().filter(|isa| isa.is_available()) {
        Isa::force(isa).expect("it is available");
        println!("{}", isa.name());
        snapshot::check(name, &table());
    }
}

/// The sum of the points so far.
#[derive(Default)]
struct Trace(Sha256);

impl Trace {
    fn add<R: Real>(&mut self, point: &[R]) {
        for x in point {
            let x = x.to_f64();
            // One pattern for both zeros and one for all NaN.
            let x = if x.is_nan() { f64::NAN } else { x + 0.0 };
            self.0.update(x.to_le_bytes());
        }
    }

    /// Its first 48 bits.
    fn short(self) -> String {
        let sum = self.0.finalize();
        sum.iter()
            .take(6)
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }
}
