//! Weights as a NumPy archive: an array for each tensor, under the names and in the shapes of the
//! safetensors file.

use std::io::{self, Cursor, Write};

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

use crate::trained::Trained;
use crate::weights::{bare, names};

/// The archive. The same weights always give the same bytes.
///
/// # Errors
/// An [`io::Error`] when the library refuses to write.
pub fn bytes(trained: &Trained) -> io::Result<Vec<u8>> {
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Stored)
        .last_modified_time(DateTime::default());
    let mut add = |name: &str, shape: &[usize], values: &[f32]| -> io::Result<()> {
        archive.start_file(format!("{name}.npy"), options)?;
        archive.write_all(&header(shape))?;
        archive.write_all(&bare(values))
    };
    for (name, shape, range) in names(&trained.model.network) {
        add(&name, &shape, &trained.parameters[range])?;
    }
    let scales: Vec<f32> = trained.scalings.iter().map(|map| map.scale).collect();
    let offsets: Vec<f32> = trained.scalings.iter().map(|map| map.offset).collect();
    add("input.scale", &[scales.len()], &scales)?;
    add("input.offset", &[offsets.len()], &offsets)?;
    Ok(archive.finish()?.into_inner())
}

/// The header of an array of floats, version 1.0: a multiple of 64 bytes.
fn header(shape: &[usize]) -> Vec<u8> {
    let sizes: String = shape.iter().map(|size| format!("{size},")).collect();
    let mut text = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({sizes}), }}");
    // Magic number, version and length take 10 bytes, the end of the line one.
    while (10 + text.len() + 1) % 64 != 0 {
        text.push(' ');
    }
    text.push('\n');
    let mut header = b"\x93NUMPY\x01\x00".to_vec();
    header.extend((text.len() as u16).to_le_bytes());
    header.extend(text.bytes());
    header
}
