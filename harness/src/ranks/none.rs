//! Without the feature `mpi` there is no link to another process.

use std::convert::Infallible;

/// What cannot be.
pub struct Link(Infallible);

impl Link {
    /// Says why there is none.
    pub fn start(launched: usize) -> Result<Link, String> {
        Err(format!(
            "a launcher has started {launched} processes, but this secant is built without MPI, so \
             that each would do the same; build it with --features mpi, or start it without mpirun"
        ))
    }

    pub fn rank(&self) -> usize {
        match self.0 {}
    }

    pub fn count(&self) -> usize {
        match self.0 {}
    }

    pub fn exchange(&self, _: usize, _: Option<&[f32]>, _: Option<&mut [f32]>) {
        match self.0 {}
    }

    pub fn broadcast(&self, _: Option<Vec<u8>>) -> Vec<u8> {
        match self.0 {}
    }

    pub fn all_gather(&self, _: &[u8]) -> Vec<Vec<u8>> {
        match self.0 {}
    }

    pub fn send(&self, _: usize, _: &[u8]) {
        match self.0 {}
    }

    pub fn poll(&self) -> Option<(usize, Vec<u8>)> {
        match self.0 {}
    }

    pub fn wait(&self) {
        match self.0 {}
    }

    pub fn abort(&self, _: u8) -> ! {
        match self.0 {}
    }
}
