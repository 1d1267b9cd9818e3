//! The runs of both optimisers against the golden table, to the bit, on every instruction set of
//! this machine.
//!
//! Devices check the same table (`tests/firmware`). Where a change is meant to change results,
//! write it anew and say so in the commit and the changelog:
//!
//! ```text
//! SECANT_GOLDEN=write cargo test --release -p secant-tests --test golden
//! ```

use secant::arch::Isa;
use secant_tests::golden::{FLOATS, Table};
use secant_tests::snapshot;
use std::sync::Mutex;

/// Its memory: too much for a thread's stack.
static TABLE: Mutex<Table<FLOATS>> = Mutex::new(Table::new());

fn table() -> String {
    let mut text = String::new();
    let mut table = TABLE.lock().expect("no thread has panicked with it");
    table.all(&mut text).expect("a String takes all");
    text
}

#[test]
fn the_table_is_what_every_instruction_set_computes() {
    let path = snapshot::folder("golden").join("training.txt");
    let write = std::env::var_os("SECANT_GOLDEN").is_some_and(|value| value == "write");
    if write {
        std::fs::write(&path, table()).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    }
    let golden =
        std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    for isa in Isa::ALL.into_iter().filter(|isa| isa.is_available()) {
        Isa::force(isa).expect("it is available");
        let found = table();
        let mut block = "";
        for (golden, found) in golden.lines().zip(found.lines()) {
            if golden.contains("lanes=") {
                block = golden;
            }
            assert_eq!(
                golden,
                found,
                "{} ({block}): left the table, right what was computed",
                isa.name()
            );
        }
        assert_eq!(
            golden.lines().count(),
            found.lines().count(),
            "{}: number of lines",
            isa.name()
        );
    }
}
