//! AArch64 starts without virtual memory, when all memory counts as a device's and unaligned access
//! traps. This maps the first GiB of the `virt` board's addresses as devices and the second as
//! memory, each to itself.

use aarch64_rt::{InitialPagetable, initial_pagetable};

/// A block of device memory that may be accessed, and not run by unprivileged code.
const DEVICE: usize = 1 | 1 << 10 | 1 << 54;
/// A block of ordinary, inner shareable memory (attribute 1).
const MEMORY: usize = 1 | 1 << 2 | 3 << 8 | 1 << 10;

initial_pagetable!({
    let mut map = [0; 512];
    map[0] = DEVICE;
    map[1] = MEMORY | 0x4000_0000;
    InitialPagetable(map)
});
