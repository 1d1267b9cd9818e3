//! Whatever bytes come in from outside, as functions of bytes that must neither panic nor hang nor
//! need much memory. What they return says how far the bytes got.
//!
//! Two drivers share them: `tests/tests/fuzz.rs` (stable Rust, in CI), which also replays every
//! input that ever failed, and those in `fuzz_targets` (coverage guided: `cargo +nightly fuzz run
//! NAME` in the folder `tests`).

pub mod command;
pub mod files;
pub mod import;
pub mod library;
pub mod mutate;
pub mod results;
pub mod run;

/// A target: its name, and what it does with bytes.
pub struct Target {
    /// Its name, also of the folder with its seeds.
    pub name: &'static str,
    /// True if the bytes were accepted.
    pub run: fn(&[u8]) -> bool,
}

impl Target {
    const fn new(name: &'static str, run: fn(&[u8]) -> bool) -> Target {
        Target { name, run }
    }
}

/// Every target.
pub const TARGETS: [Target; 17] = [
    Target::new("idx", files::idx),
    Target::new("npy", files::npy),
    Target::new("npz", files::npz),
    Target::new("csv", files::csv),
    Target::new("ts", files::ts),
    Target::new("png", files::png),
    Target::new("safetensors", files::safetensors),
    Target::new("onnx", import::onnx),
    Target::new("tensors", import::tensors),
    Target::new("command_line", command::command_line),
    Target::new("model", command::model),
    Target::new("reference", results::reference),
    Target::new("shapes", library::shapes),
    Target::new("checkpoint", library::checkpoint),
    Target::new("resume", run::resume),
    Target::new("options", run::options),
    Target::new("state", library::state),
];

/// Numbers out of bytes, zeros behind their end.
struct Numbers<'a>(&'a [u8]);

impl Numbers<'_> {
    fn byte(&mut self) -> u8 {
        let byte = self.0.first().copied().unwrap_or(0);
        self.0 = self.0.get(1..).unwrap_or_default();
        byte
    }

    fn word(&mut self) -> u64 {
        u64::from_le_bytes(std::array::from_fn(|_| self.byte()))
    }

    /// A small size mostly; else a power of two, one beside it, or anything.
    fn size(&mut self) -> usize {
        match self.byte() {
            small @ 0..=179 => usize::from(small % 12),
            near @ 180..=239 => {
                let bit = u32::from(self.byte()) % usize::BITS;
                (1_usize << bit)
                    .wrapping_add(usize::from(near % 3))
                    .wrapping_sub(1)
            }
            _ => self.word() as usize,
        }
    }

    /// A float of any bits, or a plain one.
    fn float(&mut self) -> f32 {
        match self.byte() {
            plain @ 0..=199 => f32::from(plain) / 100.0 - 1.0,
            _ => f32::from_bits(self.word() as u32),
        }
    }
}
