//! The link between processes by the system's MPI library. Calls come from the thread that has
//! started it. An error of the library ends all processes: that is its own rule.

use mpi::Threading;
use mpi::environment::Universe;
use mpi::point_to_point::{MatchedReceiveVec, send_receive_into};
use mpi::topology::SimpleCommunicator;
use mpi::traits::{Communicator, CommunicatorCollectives, Destination, Root, Source};

/// Bytes of a message, at most: the library counts in 32 bits.
const LARGEST: usize = 1 << 30;

/// The processes that `mpirun` has started.
pub struct Link {
    world: SimpleCommunicator,
    /// Ends the library's work when it is dropped, once all ranks have come there.
    _universe: Universe,
}

impl Link {
    /// Starts the library.
    pub fn start(launched: usize) -> Result<Link, String> {
        let started = mpi::initialize_with_threading(Threading::Funneled);
        let (universe, _) = started.ok_or("MPI has been started before")?;
        let world = universe.world();
        if world.size() as usize != launched {
            return Err(format!(
                "the launcher has started {launched} processes, and MPI knows of {}: mpirun is of \
                 another MPI than the one that this secant is built with",
                world.size()
            ));
        }
        Ok(Link {
            world,
            _universe: universe,
        })
    }

    /// Number of this process.
    pub fn rank(&self) -> usize {
        self.world.rank() as usize
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.world.size() as usize
    }

    /// Sends a piece to `peer` and receives one from it, at once; either may be missing.
    pub fn exchange(&self, peer: usize, send: Option<&[f32]>, receive: Option<&mut [f32]>) {
        let peer = self.world.process_at_rank(peer as i32);
        match (send, receive) {
            (Some(send), Some(receive)) => {
                send_receive_into(send, &peer, receive, &peer);
            }
            (Some(send), None) => peer.send(send),
            (None, Some(receive)) => {
                peer.receive_into(receive);
            }
            (None, None) => {}
        }
    }

    /// The bytes of rank 0, which alone has some, on all.
    pub fn broadcast(&self, own: Option<Vec<u8>>) -> Vec<u8> {
        let root = self.world.process_at_rank(0);
        let mut len = own.as_ref().map_or(0, |own| own.len() as u64);
        root.broadcast_into(&mut len);
        let mut bytes = own.unwrap_or_else(|| vec![0; len as usize]);
        for piece in bytes.chunks_mut(LARGEST) {
            root.broadcast_into(piece);
        }
        bytes
    }

    /// The bytes of each rank, on all. Not for large ones: one rank after another sends its own.
    pub fn all_gather(&self, own: &[u8]) -> Vec<Vec<u8>> {
        let mut lens = vec![0u64; self.count()];
        self.world
            .all_gather_into(&(own.len() as u64), &mut lens[..]);
        let of = |rank: usize| {
            let root = self.world.process_at_rank(rank as i32);
            let mut bytes = match rank == self.rank() {
                true => own.to_vec(),
                false => vec![0; lens[rank] as usize],
            };
            for piece in bytes.chunks_mut(LARGEST) {
                root.broadcast_into(piece);
            }
            bytes
        };
        (0..self.count()).map(of).collect()
    }

    /// Sends bytes to a rank; may wait until it takes them.
    pub fn send(&self, to: usize, bytes: &[u8]) {
        self.world.process_at_rank(to as i32).send(bytes);
    }

    /// Bytes that have come from some rank.
    pub fn poll(&self) -> Option<(usize, Vec<u8>)> {
        let any = self.world.any_process();
        let (bytes, status) = any.immediate_matched_probe()?.matched_receive_vec();
        Some((status.source_rank() as usize, bytes))
    }

    /// Waits for all ranks.
    pub fn wait(&self) {
        self.world.barrier();
    }

    /// Ends all processes.
    pub fn abort(&self, status: u8) -> ! {
        self.world.abort(i32::from(status))
    }
}

impl Drop for Link {
    /// A rank that panics would wait for the others at the end, and they for it.
    fn drop(&mut self) {
        /// The status of a Rust program that panics.
        const PANICKED: u8 = 101;
        if std::thread::panicking() {
            self.abort(PANICKED);
        }
    }
}
