//! Looks that are done, in files, so that a search that was stopped goes on with the next one.
//!
//! A look depends on the build, the data and its weights by class, the settings, the samples, the
//! weights of the network, and in a run that trains along on all of its settings: their digest is in
//! the file, beside one of the rest. A file that is cut off, edited, or of anything else is as good
//! as none, and is replaced.

use std::fs;
use std::path::{Path, PathBuf};

use secant::spectrum::Node;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{Place, Point, Settings, Subject, Times, point};
use crate::digest::sha256;
use crate::error::Error;
use crate::export::{sweep, write_whole};
use crate::machine;
use crate::optimizers::step::Stepper;

/// Folder of the looks in that of the command.
const FOLDER: &str = "looks";

/// An optimiser that trains, with the number of its last step and of all.
pub type Trains<'o> = (&'o mut dyn Stepper, (u32, u32));

/// The looks of one search.
pub struct Looks {
    /// How closely to look.
    pub settings: Settings,
    folder: PathBuf,
    /// What all looks depend on.
    common: String,
}

/// What a file holds behind its digest.
#[derive(Serialize, Deserialize)]
struct Kept {
    /// Of all that the look depends on.
    key: [u8; 32],
    point: Point,
    /// The density.
    nodes: Vec<(f64, f64)>,
    times: Times,
}

impl Looks {
    /// The looks in the folder `out`, which the caller has locked; files that a program left
    /// half-written are taken away. `subject` says what they are of, beside samples and weights.
    ///
    /// # Errors
    /// [`Error::Output`] when the folder cannot be made, [`Error::Run`] when the program cannot read
    /// its own file.
    pub fn new(out: &Path, settings: Settings, subject: &str) -> Result<Looks, Error> {
        let folder = out.join(FOLDER);
        fs::create_dir_all(&folder).map_err(|source| Error::Output {
            path: folder.clone(),
            source,
        })?;
        let beginnings = ["hessian.json", "spectrum-", "metrics-", "sharpness."];
        sweep(out, |name| beginnings.iter().any(|b| name.starts_with(b)));
        sweep(&folder, |_| true);
        let build = machine::known_build()?;
        let text = serde_json::to_string(&settings).map_err(|e| Error::Run(e.to_string()))?;
        Ok(Looks {
            settings,
            folder,
            common: format!("{build}\n{text}\n{subject}"),
        })
    }

    /// Looks where `subject` stands, or takes what an earlier start has found there.
    ///
    /// # Errors
    /// As [`point::look`], and [`Error::Output`] when the file cannot be written.
    pub fn look(
        &self,
        subject: &mut Subject<'_>,
        place: Place,
        optimizer: Option<Trains<'_>>,
    ) -> Result<Point, Error> {
        let path = self.folder.join(format!("{}.bin", place.file_name()));
        let key = self.key(
            subject,
            &place,
            optimizer.as_ref().map(|(_, progress)| *progress),
        );
        if let Some(kept) = read(&path).filter(|kept| kept.key == key) {
            (0..kept.times.products.0).for_each(|_| (subject.progress)());
            subject.times += kept.times;
            let nodes = kept.nodes.into_iter();
            return Ok(Point {
                nodes: nodes
                    .map(|(value, weight)| Node { value, weight })
                    .collect(),
                ..kept.point
            });
        }
        let before = std::mem::take(&mut subject.times);
        let point = point::look(subject, &self.settings, place, optimizer)?;
        let times = subject.times;
        subject.times += before;
        let nodes = point.nodes.iter().map(|node| (node.value, node.weight));
        let kept = Kept {
            key,
            nodes: nodes.collect(),
            point: point.clone(),
            times,
        };
        let bytes = postcard::to_stdvec(&kept).map_err(|error| Error::Run(error.to_string()))?;
        write_whole(&path, &[&Sha256::digest(&bytes)[..], &bytes].concat())?;
        Ok(point)
    }

    /// The digest of all that a look depends on.
    fn key(&self, subject: &Subject<'_>, place: &Place, progress: Option<(u32, u32)>) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(&self.common);
        hash.update(format!("\n{place:?} {progress:?}\n"));
        hash.update(sha256(&subject.parameters));
        for index in &subject.indices {
            hash.update(index.to_le_bytes());
        }
        hash.finalize().into()
    }
}

/// A file as it was written; none where it is anything else.
fn read(path: &Path) -> Option<Kept> {
    let bytes = fs::read(path).ok()?;
    let (sum, payload) = bytes.split_first_chunk::<32>()?;
    if Sha256::digest(payload)[..] != sum[..] {
        return None;
    }
    match postcard::take_from_bytes(payload) {
        Ok((kept, [])) => Some(kept),
        _ => None,
    }
}
