//! Instructions so far, by the CMSDK timer 0 of the MPS2 boards under QEMU's `-icount shift=0`.

/// The timer's registers: control, value, reload.
const TIMER: usize = 0x4000_0000;
/// Instructions a tick: the timer runs at 25 MHz, an instruction takes a nanosecond.
const TICK: u32 = 40;

/// Starts the timer.
pub fn start() {
    let timer = TIMER as *mut u32;
    // SAFETY: the board has the timer there, and nothing else uses it.
    unsafe {
        timer.add(2).write_volatile(u32::MAX);
        timer.add(1).write_volatile(u32::MAX);
        timer.write_volatile(1);
    }
}

/// Instructions since then, to 40; starts over after 4 thousand million.
pub fn instructions() -> u32 {
    // SAFETY: as above.
    let value = unsafe { (TIMER as *const u32).add(1).read_volatile() };
    (u32::MAX - value).wrapping_mul(TICK)
}
