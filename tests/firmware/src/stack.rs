//! The memory that a program really uses: what the linker laid out, and how deep the stack gets.
//! For the latter the free part is painted, and later the part that is painted no more is measured.

use core::arch::asm;

const PAINT: u32 = 0x5ec4_517a;
/// How far below the stack's beginning we paint: more than any program here needs.
const DEPTH: usize = 16 * 1024;

unsafe extern "C" {
    /// One past the stack's first word, from the linker script.
    static _stack_start: u32;
    static __sdata: u32;
    static __edata: u32;
    static __sbss: u32;
    static __ebss: u32;
}

/// Bytes of all statics, by the linker.
pub fn statics() -> usize {
    // Only the symbols' addresses are taken.
    let data = &raw const __edata as usize - &raw const __sdata as usize;
    data + (&raw const __ebss as usize - &raw const __sbss as usize)
}

fn pointer() -> usize {
    let pointer: usize;
    // SAFETY: reads the stack pointer.
    unsafe { asm!("mov {}, sp", out(reg) pointer, options(nomem, nostack, preserves_flags)) };
    pointer
}

/// Paints the free stack.
#[inline(never)]
pub fn paint() {
    let end = pointer() - 64;
    for address in (bottom()..end).step_by(4) {
        // SAFETY: below the stack pointer nothing is in use, and the boards have megabytes of it.
        unsafe { (address as *mut u32).write_volatile(PAINT) };
    }
}

/// Bytes from the stack's beginning down to the deepest word that was written since.
#[inline(never)]
pub fn depth() -> usize {
    let deepest = (bottom()..)
        .step_by(4)
        // SAFETY: as above.
        .find(|address| unsafe { (*address as *const u32).read_volatile() } != PAINT);
    DEPTH - (deepest.unwrap_or(0) - bottom())
}

fn bottom() -> usize {
    // Only the symbol's address is taken.
    &raw const _stack_start as usize - DEPTH
}

/// Trains, prints the memory that it needed, statics and stack, and ends the emulation: well, if
/// training did, the linker laid out `planned` floats, and all of it is not more than `promised`
/// bytes. `program` is the name in front of the line.
#[cfg(not(feature = "no-panic"))]
pub fn report(program: &str, planned: usize, promised: usize, train: fn() -> Option<()>) -> ! {
    paint();
    let done = train().is_some();
    crate::exit(print(program, size_of::<f32>() * planned, promised) && done)
}

/// Prints the line; true if planned and promised bytes are what the program has. Its own stack is
/// not counted.
#[cfg(not(feature = "no-panic"))]
#[inline(never)]
fn print(program: &str, planned: usize, promised: usize) -> bool {
    #[cfg(not(feature = "defmt"))]
    use core::fmt::Write;

    let (statics, depth) = (statics(), depth());
    let total = statics + depth;
    crate::log!(
        "{=str}: planned {} bytes, linked {}, stack {}, in all {} of {}",
        program,
        planned,
        statics,
        depth,
        total,
        promised
    );
    // Text would break the frames of a log.
    #[cfg(not(feature = "defmt"))]
    let _ = writeln!(
        crate::Console,
        "{program}: planned {planned} bytes, linked {statics}, stack {depth}, in all {total} of {promised}",
    );
    // The linker may add a few flags and paddings, and nothing else.
    planned <= statics && statics <= planned + 128 && total <= promised
}
