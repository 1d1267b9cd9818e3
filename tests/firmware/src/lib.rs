//! What the programs of the firmware share. On a device they have no operating system
//! (`cfg(device)`, set by `build.rs`); the same programs run on the host.
#![cfg_attr(device, no_std)]

#[path = "../../src/golden.rs"]
pub mod golden;
#[path = "../../src/golden_products.rs"]
pub mod golden_products;
#[path = "../../src/motions.rs"]
pub mod motions;
pub mod scenario;
#[cfg(target_arch = "arm")]
pub mod stack;
#[cfg(all(target_arch = "aarch64", device))]
mod start;
#[cfg(not(target_arch = "wasm32"))]
pub mod store;
#[cfg(target_arch = "arm")]
pub mod timer;

use core::fmt;

// The logger, and the critical section that it runs in.
#[cfg(feature = "defmt")]
use {cortex_m as _, defmt_semihosting as _};

#[doc(hidden)]
pub mod export {
    #[cfg(all(target_arch = "aarch64", device))]
    pub use aarch64_rt;
    #[cfg(target_arch = "arm")]
    pub use cortex_m_rt;
    #[cfg(target_arch = "riscv32")]
    pub use riscv_rt;
}

/// Where lines go: the emulator's semihosting, the function `host.print` that a WebAssembly program
/// is given, or the host's standard output.
pub struct Console;

impl fmt::Write for Console {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        #[cfg(target_os = "none")]
        semihosting::print!("{text}");
        #[cfg(all(target_arch = "wasm32", device))]
        {
            #[link(wasm_import_module = "host")]
            unsafe extern "C" {
                safe fn print(text: *const u8, length: usize);
            }
            print(text.as_ptr(), text.len());
        }
        #[cfg(not(device))]
        print!("{text}");
        Ok(())
    }
}

/// Logs through `defmt`. Without the feature it is nothing: its arguments are not even evaluated.
#[macro_export]
macro_rules! log {
    ($format:literal $(, $argument:expr)*) => {
        #[cfg(feature = "defmt")]
        defmt::info!($format $(, $argument)*);
        #[cfg(not(feature = "defmt"))]
        let _ = || { $(let _ = &$argument;)* };
    };
}

/// Makes a function of type `fn() -> bool` the program of every target; false means failure.
#[macro_export]
macro_rules! program {
    ($run:path) => {
        #[cfg(all(target_arch = "arm", device))]
        #[$crate::export::cortex_m_rt::entry]
        fn main() -> ! {
            $crate::exit($run())
        }

        #[cfg(all(target_arch = "riscv32", device))]
        #[$crate::export::riscv_rt::entry]
        fn main() -> ! {
            $crate::exit($run())
        }

        #[cfg(all(target_arch = "aarch64", device))]
        fn main(_: u64, _: u64, _: u64, _: u64) -> ! {
            $crate::exit($run())
        }
        #[cfg(all(target_arch = "aarch64", device))]
        use $crate::export::aarch64_rt::entry;
        #[cfg(all(target_arch = "aarch64", device))]
        entry!(main);

        #[cfg(all(target_arch = "wasm32", device))]
        #[unsafe(no_mangle)]
        extern "C" fn program() -> bool {
            $run()
        }

        #[cfg(not(device))]
        fn main() -> std::process::ExitCode {
            std::process::ExitCode::from(u8::from(!$run()))
        }
    };
}

/// Ends the emulation.
#[cfg(target_os = "none")]
pub fn exit(ok: bool) -> ! {
    semihosting::process::exit(i32::from(!ok))
}

/// Ends the program: WebAssembly has no other way out than a trap.
#[cfg(all(target_arch = "wasm32", device))]
pub fn exit(_: bool) -> ! {
    core::arch::wasm32::unreachable()
}

/// Prints what went wrong, and ends the emulation.
#[cfg(all(device, not(feature = "no-panic")))]
#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    let _ = fmt::Write::write_fmt(&mut Console, format_args!("{info}\n"));
    exit(false)
}

/// Calls what is nowhere defined: the linker tells whether a panic can be reached.
#[cfg(all(device, feature = "no-panic"))]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    unsafe extern "C" {
        safe fn a_panic_can_be_reached() -> !;
    }
    a_panic_can_be_reached()
}
