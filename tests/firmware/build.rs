//! Writes the linker's map of the emulated board's memory, and sets `cfg(device)` where there is no
//! operating system. Every target belongs to one family of boards.

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
/// QEMU's `virt` for AArch64.
const VIRT_AARCH64: &str = "MEMORY { image : ORIGIN = 0x40080000, LENGTH = 64M }";

fn main() -> std::io::Result<()> {
    println!("cargo:rerun-if-changed=build.rs");
    // What `run` has compiled of exported networks.
    println!("cargo:rerun-if-env-changed=SECANT_EXPORTED");
    if std::env::var_os("CARGO_FEATURE_EXPORTED").is_some() {
        let folder = std::env::var("SECANT_EXPORTED").unwrap_or_default();
        println!("cargo:rerun-if-changed={folder}");
        for file in std::fs::read_dir(folder)? {
            let path = file?.path();
            if path.extension().is_some_and(|ending| ending == "o") {
                println!("cargo:rustc-link-arg-bin=exported={}", path.display());
            }
        }
    }
    let target = std::env::var("TARGET").unwrap_or_default();
    if target.contains("-none") || target.starts_with("wasm32-unknown") {
        println!("cargo:rustc-cfg=device");
    }
    let script = match target.as_str() {
        "aarch64-unknown-none" => "image.ld",
        _ => "link.x",
    };
    let memory = match target.as_str() {
        "thumbv7em-none-eabihf" | "thumbv7m-none-eabi" => MPS2,
        "thumbv8m.main-none-eabihf" => MPS2_SECURE,
        "riscv32imac-unknown-none-elf" => VIRT,
        "aarch64-unknown-none" => VIRT_AARCH64,
        _ => return Ok(()),
    };
    let folder = PathBuf::from(std::env::var_os("OUT_DIR").unwrap_or_default());
    std::fs::write(folder.join("memory.x"), memory)?;
    println!("cargo:rustc-link-search={}", folder.display());
    if script == "image.ld" {
        println!("cargo:rustc-link-arg-bins=-Tmemory.x");
    }
    println!("cargo:rustc-link-arg-bins=-T{script}");
    if std::env::var_os("CARGO_FEATURE_DEFMT").is_some() {
        println!("cargo:rustc-link-arg-bins=-Tdefmt.x");
    }
    println!(
        "cargo:rustc-link-arg-bins=-Map={}/{target}.map",
        folder.display()
    );
    Ok(())
}
