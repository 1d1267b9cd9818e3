//! Writes the linker's map of the emulated board's memory. Every target belongs to one family of boards.

use std::path::PathBuf;

/// QEMU's `mps2-an385`, `-an386` and `-an500`: 4 MiB for code and 4 MiB for data.
const MPS2: &str = "MEMORY { FLASH : ORIGIN = 0x00000000, LENGTH = 4M
         RAM : ORIGIN = 0x20000000, LENGTH = 4M }";
/// QEMU's `mps2-an505`, through its secure addresses.
const MPS2_SECURE: &str = "MEMORY { FLASH : ORIGIN = 0x10000000, LENGTH = 4M
         RAM : ORIGIN = 0x38000000, LENGTH = 2M }";
/// QEMU's `virt` for RISC-V, which starts what is loaded at the beginning of its memory.
const VIRT: &str = "MEMORY { FLASH : ORIGIN = 0x80000000, LENGTH = 4M
         RAM : ORIGIN = 0x80400000, LENGTH = 4M }
REGION_ALIAS(\"REGION_TEXT\", FLASH);
REGION_ALIAS(\"REGION_RODATA\", FLASH);
REGION_ALIAS(\"REGION_DATA\", RAM);
REGION_ALIAS(\"REGION_BSS\", RAM);
REGION_ALIAS(\"REGION_HEAP\", RAM);
REGION_ALIAS(\"REGION_STACK\", RAM);";

fn main() -> std::io::Result<()> {
    println!("cargo:rerun-if-changed=build.rs");
    let target = std::env::var("TARGET").unwrap_or_default();
    let memory = match target.as_str() {
        "thumbv7em-none-eabihf" | "thumbv7m-none-eabi" => MPS2,
        "thumbv8m.main-none-eabihf" => MPS2_SECURE,
        "riscv32imac-unknown-none-elf" => VIRT,
        _ => return Ok(()),
    };
    let folder = PathBuf::from(std::env::var_os("OUT_DIR").unwrap_or_default());
    std::fs::write(folder.join("memory.x"), memory)?;
    println!("cargo:rustc-link-search={}", folder.display());
    println!("cargo:rustc-link-arg-bins=-Tlink.x");
    println!(
        "cargo:rustc-link-arg-bins=-Map={}/{target}.map",
        folder.display()
    );
    Ok(())
}
