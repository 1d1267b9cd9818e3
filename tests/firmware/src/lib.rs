//! What the programs of the firmware share, and, for the host, the scenario alone.
#![cfg_attr(target_os = "none", no_std)]

pub mod scenario;
#[cfg(target_arch = "arm")]
pub mod stack;
#[cfg(target_arch = "arm")]
pub mod timer;

use core::fmt;

/// Where lines go: the emulator's semihosting, or the host's standard output.
pub struct Console;

impl fmt::Write for Console {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        #[cfg(target_os = "none")]
        semihosting::print!("{text}");
        #[cfg(not(target_os = "none"))]
        print!("{text}");
        Ok(())
    }
}

/// Ends the emulation.
#[cfg(target_os = "none")]
pub fn exit(ok: bool) -> ! {
    semihosting::process::exit(i32::from(!ok))
}

/// Prints what went wrong, and ends the emulation.
#[cfg(all(target_os = "none", not(feature = "no-panic")))]
#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    let _ = fmt::Write::write_fmt(&mut Console, format_args!("{info}\n"));
    exit(false)
}

/// Calls what is nowhere defined: the linker tells whether a panic can be reached.
#[cfg(all(target_os = "none", feature = "no-panic"))]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    unsafe extern "C" {
        safe fn a_panic_can_be_reached() -> !;
    }
    a_panic_can_be_reached()
}
