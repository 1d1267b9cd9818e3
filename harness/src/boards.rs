//! Well-known boards and the memory of their chips, bank by bank.
//!
//! A linker lays statics into one region, and no array spans two banks. So the largest block
//! decides what fits; the other banks are listed, for who places arrays there by hand.

use serde::Serialize;

/// Memory at consecutive addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Bank {
    /// Its name in the data sheet.
    pub name: &'static str,
    /// Its first address.
    pub start: u32,
    /// Bytes.
    pub bytes: usize,
}

/// A board.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Board {
    /// Its name.
    pub name: &'static str,
    /// Its processor.
    pub core: &'static str,
    /// The banks that data can lie in, the largest first. Memory for backups and peripherals is
    /// left out.
    pub banks: &'static [Bank],
    /// Where the figures are from.
    pub source: &'static str,
}

impl Board {
    /// Bytes of the largest bank.
    pub const fn block(&self) -> usize {
        match self.banks {
            [largest, ..] => largest.bytes,
            [] => 0,
        }
    }

    /// Whether statics and stack of so many bytes fit one bank.
    pub const fn fits(&self, bytes: usize) -> bool {
        bytes <= self.block()
    }
}

const fn bank(name: &'static str, start: u32, kib: usize) -> Bank {
    Bank {
        name,
        start,
        bytes: kib << 10,
    }
}

const fn board(
    name: &'static str,
    core: &'static str,
    banks: &'static [Bank],
    source: &'static str,
) -> Board {
    Board {
        name,
        core,
        banks,
        source,
    }
}

/// The boards, the smallest block first. Banks that follow one another count as one block, but for
/// the RP2040 and the RP2350, whose usual linker scripts keep two small banks for the stacks.
pub const BOARDS: [Board; 12] = [
    board(
        "Nucleo-L476RG (STM32L476)",
        "Cortex-M4F",
        &[
            bank("SRAM1", 0x2000_0000, 96),
            bank("SRAM2", 0x1000_0000, 32),
        ],
        "STMicroelectronics, data sheet DS10198 and manual RM0351, memory map",
    ),
    board(
        "BBC micro:bit v2 (nRF52833)",
        "Cortex-M4F",
        &[bank("RAM", 0x2000_0000, 128)],
        "Nordic Semiconductor, nRF52833 Product Specification, memory",
    ),
    board(
        "Nucleo-F411RE (STM32F411)",
        "Cortex-M4F",
        &[bank("SRAM", 0x2000_0000, 128)],
        "STMicroelectronics, data sheet DS10314, memory map",
    ),
    board(
        "STM32F4 Discovery (STM32F407)",
        "Cortex-M4F",
        &[
            bank("SRAM1-2", 0x2000_0000, 128),
            bank("CCM", 0x1000_0000, 64),
        ],
        "STMicroelectronics, data sheet DS8626 and manual RM0090, memory map",
    ),
    board(
        "nRF52840 DK",
        "Cortex-M4F",
        &[bank("RAM", 0x2000_0000, 256)],
        "Nordic Semiconductor, nRF52840 Product Specification, memory",
    ),
    board(
        "Raspberry Pi Pico (RP2040)",
        "Cortex-M0+",
        &[
            bank("SRAM0-3", 0x2000_0000, 256),
            bank("SRAM4-5", 0x2004_0000, 8),
        ],
        "Raspberry Pi, RP2040 Datasheet, SRAM",
    ),
    board(
        "ESP32-C3",
        "RV32IMC",
        &[bank("SRAM1", 0x3fc8_0000, 384)],
        "Espressif, ESP32-C3 Technical Reference Manual, system and memory (SRAM0 is the cache's)",
    ),
    board(
        "nRF5340 DK",
        "Cortex-M33",
        &[bank("RAM", 0x2000_0000, 512)],
        "Nordic Semiconductor, nRF5340 Product Specification, application core",
    ),
    board(
        "Nucleo-F767ZI (STM32F767)",
        "Cortex-M7",
        &[bank("DTCM, SRAM1-2", 0x2000_0000, 512), bank("ITCM", 0, 16)],
        "STMicroelectronics, data sheet DS11532 and manual RM0410, memory map",
    ),
    board(
        "Nucleo-H743ZI (STM32H743)",
        "Cortex-M7",
        &[
            bank("AXI SRAM", 0x2400_0000, 512),
            bank("SRAM1-3", 0x3000_0000, 288),
            bank("DTCM", 0x2000_0000, 128),
            bank("SRAM4", 0x3800_0000, 64),
            bank("ITCM", 0, 64),
        ],
        "STMicroelectronics, data sheet DS12110 and manual RM0433, memory map",
    ),
    board(
        "Raspberry Pi Pico 2 (RP2350)",
        "Cortex-M33",
        &[
            bank("SRAM0-7", 0x2000_0000, 512),
            bank("SRAM8-9", 0x2008_0000, 8),
        ],
        "Raspberry Pi, RP2350 Datasheet, SRAM",
    ),
    board(
        "Teensy 4.1 (i.MX RT1062)",
        "Cortex-M7",
        &[
            bank("OCRAM2", 0x2020_0000, 512),
            bank("FlexRAM, shared with code", 0x2000_0000, 512),
        ],
        "NXP, i.MX RT1060 Reference Manual, memory map",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boards_and_banks_are_in_order_and_banks_apart() {
        assert!(BOARDS.is_sorted_by_key(Board::block));
        for board in &BOARDS {
            let sizes = board.banks.iter().map(|bank| bank.bytes);
            assert!(sizes.is_sorted_by(|a, b| a >= b), "{}", board.name);
            let end = |bank: &Bank| u64::from(bank.start) + bank.bytes as u64;
            for (i, a) in board.banks.iter().enumerate() {
                for b in &board.banks[i + 1..] {
                    let apart = end(a) <= u64::from(b.start) || end(b) <= u64::from(a.start);
                    assert!(apart, "{}: {} and {}", board.name, a.name, b.name);
                }
            }
        }
    }
}
