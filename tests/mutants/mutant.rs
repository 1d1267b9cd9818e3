//! Which mutant is at work: the number in the environment variable `MUTANT`. With `MUTANT_SEEN`,
//! a file, none is, and those that a test reaches are written there.
#![allow(missing_docs)]

extern crate std;

use core::sync::atomic::{AtomicU8, AtomicU32, Ordering::Relaxed};
use std::io::Write;

const UNREAD: u32 = u32::MAX;
const SEEING: u32 = u32::MAX - 1;

static CHOSEN: AtomicU32 = AtomicU32::new(UNREAD);
static SEEN: [AtomicU8; 1 << 14] = [const { AtomicU8::new(0) }; 1 << 14];

/// Which of `count` mutants from number `first` on is at work, from 1; 0 if none is. In constants
/// none ever is.
#[inline(always)]
pub const fn at(first: u32, count: u32) -> u32 {
    core::intrinsics::const_eval_select((first, count), none, chosen)
}

const fn none(_: u32, _: u32) -> u32 {
    0
}

#[inline(always)]
fn chosen(first: u32, count: u32) -> u32 {
    let chosen = CHOSEN.load(Relaxed);
    if chosen >= SEEING {
        return cold(first, count);
    }
    let place = chosen.wrapping_sub(first);
    if place < count { place + 1 } else { 0 }
}

#[cold]
#[inline(never)]
fn cold(first: u32, count: u32) -> u32 {
    if CHOSEN.load(Relaxed) == UNREAD {
        let number = std::env::var("MUTANT").ok().and_then(|n| n.parse().ok());
        let seeing = std::env::var_os("MUTANT_SEEN").is_some();
        CHOSEN.store(if seeing { SEEING } else { number.unwrap_or(0) }, Relaxed);
        return chosen(first, count);
    }
    if SEEN[first as usize].swap(1, Relaxed) == 0 {
        let path = std::env::var_os("MUTANT_SEEN").unwrap();
        let file = std::fs::OpenOptions::new()
            .append(true)
            .create(true)
            .open(path);
        // One write: several threads do so at once.
        let lines: std::string::String = (first..first + count)
            .map(|n| std::format!("{n}\n"))
            .collect();
        file.unwrap().write_all(lines.as_bytes()).unwrap();
    }
    0
}
