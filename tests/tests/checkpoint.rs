//! Checkpoints on a simulated NOR flash, through the crate `sequential-storage`: the power is cut at every write and every
//! erasure of a save; what is there afterwards is always a complete checkpoint, and training goes on from it with the same
//! bits as without the cut.

use std::convert::Infallible;
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use embedded_storage_async::nor_flash::{
    ErrorType, MultiwriteNorFlash, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash,
};
use secant::checkpoint::{self, CheckpointError, Counters, PIECE_LEN, Store};
use secant::network::{Network, Shape, linear, relu};
use secant::optim::{Adam, AdamConfig};
use secant::{Batch, Init, Normalisation, Random, Samples};
use sequential_storage::cache::{Cache, Uncached};
use sequential_storage::map::{MapConfig, MapStorage};

const PAGE: usize = 1024;
const PAGES: usize = 16;

/// The flash's bytes, and how many operations are left before the power goes.
#[derive(Clone)]
struct Flash {
    bytes: Vec<u8>,
    left: usize,
    operations: usize,
    erasures: usize,
}

/// The power is gone.
#[derive(Debug)]
struct PowerCut;

impl std::fmt::Display for PowerCut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the power is gone")
    }
}

impl NorFlashError for PowerCut {
    fn kind(&self) -> NorFlashErrorKind {
        NorFlashErrorKind::Other
    }
}

impl ErrorType for Flash {
    type Error = PowerCut;
}

impl Flash {
    fn new() -> Flash {
        Flash {
            bytes: vec![0xff; PAGE * PAGES],
            left: usize::MAX,
            operations: 0,
            erasures: 0,
        }
    }

    /// Counts an operation: how much of it is done, of two halves.
    fn operate(&mut self) -> Result<bool, PowerCut> {
        match self.left {
            0 => Err(PowerCut),
            1 => {
                self.left = 0;
                Ok(false)
            }
            _ => {
                self.left -= 1;
                self.operations += 1;
                Ok(true)
            }
        }
    }
}

impl ReadNorFlash for Flash {
    const READ_SIZE: usize = 1;

    async fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), PowerCut> {
        if self.left == 0 {
            return Err(PowerCut);
        }
        bytes.copy_from_slice(&self.bytes[offset as usize..][..bytes.len()]);
        Ok(())
    }

    fn capacity(&self) -> usize {
        self.bytes.len()
    }
}

impl NorFlash for Flash {
    const WRITE_SIZE: usize = 4;
    const ERASE_SIZE: usize = PAGE;

    async fn erase(&mut self, from: u32, to: u32) -> Result<(), PowerCut> {
        let whole = self.operate()?;
        let page = &mut self.bytes[from as usize..to as usize];
        if whole {
            page.fill(0xff);
            self.erasures += 1;
            return Ok(());
        }
        let half = page.len() / 2;
        page[..half].fill(0xff);
        Err(PowerCut)
    }

    async fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), PowerCut> {
        let whole = self.operate()?;
        let count = if whole { bytes.len() } else { bytes.len() / 2 };
        for (old, new) in self.bytes[offset as usize..]
            .iter_mut()
            .zip(&bytes[..count])
        {
            *old &= new;
        }
        if whole { Ok(()) } else { Err(PowerCut) }
    }
}

impl MultiwriteNorFlash for Flash {}

/// Runs a future that never waits, as those of a flash in the same address space.
fn ready<T>(future: impl Future<Output = T>) -> T {
    let mut context = Context::from_waker(Waker::noop());
    match pin!(future).poll(&mut context) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("the simulated flash never waits"),
    }
}

/// A checkpoint's store in a range of flash pages.
struct FlashStore(MapStorage<u16, Flash, Cache<Uncached, Uncached, Uncached, u16>>);

type FlashError = sequential_storage::Error<PowerCut>;

impl FlashStore {
    fn new(flash: Flash) -> FlashStore {
        let config = const { MapConfig::<Flash>::new(0..(PAGE * PAGES) as u32) };
        FlashStore(MapStorage::new(flash, config, Cache::new_uncached()))
    }

    fn into_flash(self) -> Flash {
        self.0.destroy().0
    }
}

impl Store for FlashStore {
    type Error = FlashError;

    fn write(&mut self, key: u16, value: &[u8]) -> Result<(), FlashError> {
        let mut buffer = [0; PIECE_LEN + 16];
        ready(self.0.store_item(&mut buffer, &key, &value))
    }

    fn read(&mut self, key: u16, value: &mut [u8]) -> Result<Option<usize>, FlashError> {
        let mut buffer = [0; PIECE_LEN + 16];
        let found: Option<&[u8]> = ready(self.0.fetch_item(&mut buffer, &key))?;
        Ok(found.map(|found| {
            let length = found.len().min(value.len());
            value[..length].copy_from_slice(&found[..length]);
            found.len()
        }))
    }
}

const NET: Network<3> = Network::new(Shape::vector(12), [linear(16), relu(), linear(4)]);
const N: usize = NET.parameter_count();
const SAMPLES: usize = 32;
const BATCH: usize = 8;

/// A training run with all that its next step depends on.
#[derive(Clone, PartialEq, Debug)]
struct Run {
    parameters: Vec<f32>,
    moments: Vec<f32>,
    adam: Adam,
    random: Random,
}

impl Run {
    fn new() -> Run {
        let mut parameters = vec![0.0; N];
        NET.initialise(Init::He, &mut Random::new(0, 0), &mut parameters);
        Run {
            parameters,
            moments: vec![0.0; Adam::memory_len(N)],
            adam: Adam::new(AdamConfig::default()),
            random: Random::new(0, 1),
        }
    }

    fn step(&mut self) {
        let mut random = Random::new(9, 9);
        let pixels: Vec<u8> = (0..SAMPLES * 12).map(|_| random.next_u32() as u8).collect();
        let labels: Vec<u8> = (0..SAMPLES).map(|_| random.below(4) as u8).collect();
        let samples = Samples {
            pixels: &pixels,
            labels: &labels,
            normalisation: Normalisation::UNIT,
        };
        let indices: [u32; BATCH] = std::array::from_fn(|_| self.random.below(SAMPLES as u32));
        let batch = Batch {
            samples,
            indices: &indices,
            weight: 1.0 / BATCH as f32,
            dropout: None,
        };
        let mut gradient = vec![0.0; N];
        let mut workspace = vec![0.0; NET.workspace_len(1)];
        NET.accumulate_gradient::<1>(&self.parameters, batch, &mut gradient, &mut workspace)
            .unwrap();
        self.adam
            .step(1.0, &mut self.parameters, &gradient, &mut self.moments)
            .unwrap();
    }

    fn counters(&self) -> Counters {
        [u64::from(self.adam.steps()), self.random.position(), 0, 0]
    }

    fn save<S: Store>(&self, store: &mut S) -> Result<u32, CheckpointError<S::Error>> {
        checkpoint::save(store, &self.counters(), &[&self.parameters, &self.moments])
    }

    fn load<S: Store>(store: &mut S) -> Result<Option<Run>, CheckpointError<S::Error>> {
        let mut run = Run::new();
        let parts: &mut [&mut [f32]] = &mut [&mut run.parameters, &mut run.moments];
        Ok(checkpoint::load(store, parts)?.map(|counters| {
            run.adam = Adam::resumed(AdamConfig::default(), counters[0] as u32);
            run.random.seek(counters[1]);
            run
        }))
    }
}

#[test]
fn a_power_cut_at_every_write_and_erasure_leaves_a_complete_checkpoint() {
    const STEPS: usize = 8;
    // The run without a cut: its states, and the flash after each save.
    let mut run = Run::new();
    let mut store = FlashStore::new(Flash::new());
    let (mut states, mut flashes) = (vec![], vec![]);
    for _ in 0..STEPS {
        run.step();
        run.save(&mut store).unwrap();
        let flash = store.into_flash();
        flashes.push(flash.clone());
        states.push(run.clone());
        store = FlashStore::new(flash);
    }

    let mut cuts = 0;
    for saved in 1..STEPS {
        let whole = flashes[saved].operations - flashes[saved - 1].operations;
        for operations in 1..=whole {
            let mut flash = flashes[saved - 1].clone();
            flash.left = operations;
            let mut store = FlashStore::new(flash);
            let failed = states[saved].save(&mut store);
            assert!(
                failed.is_err(),
                "save {saved}, cut at operation {operations} of {whole}"
            );

            // The power comes back.
            let mut flash = store.into_flash();
            flash.left = usize::MAX;
            let mut store = FlashStore::new(flash);
            let mut found = Run::load(&mut store)
                .unwrap_or_else(|e| panic!("save {saved}, cut at operation {operations}: {e:?}"))
                .expect("there was a checkpoint before");
            let steps = found.adam.steps() as usize;
            assert!(
                steps == saved || steps == saved + 1,
                "{steps} steps after a cut in save {saved}"
            );
            assert_eq!(found, states[steps - 1]);

            // On to the end, saving again on the way.
            for _ in steps..STEPS {
                found.step();
                found.save(&mut store).unwrap();
            }
            assert_eq!(found, states[STEPS - 1]);
            assert_eq!(Run::load(&mut store).unwrap().unwrap(), states[STEPS - 1]);
            cuts += 1;
        }
    }
    assert!(cuts > 100, "{cuts} cuts");
    let erasures = flashes[STEPS - 1].erasures;
    assert!(
        erasures > 4,
        "{erasures} erasures: the flash has hardly filled up"
    );
}

/// A store in memory.
#[derive(Default)]
struct Memory(std::collections::BTreeMap<u16, Vec<u8>>);

impl Store for Memory {
    type Error = Infallible;

    fn write(&mut self, key: u16, value: &[u8]) -> Result<(), Infallible> {
        self.0.insert(key, value.to_vec());
        Ok(())
    }

    fn read(&mut self, key: u16, value: &mut [u8]) -> Result<Option<usize>, Infallible> {
        Ok(self.0.get(&key).map(|found| {
            let length = found.len().min(value.len());
            value[..length].copy_from_slice(&found[..length]);
            found.len()
        }))
    }
}

#[test]
fn what_is_wrong_is_told_and_nothing_changes() {
    let mut store = Memory::default();
    let floats = [1.5f32; 100];
    assert_eq!(
        checkpoint::load(&mut store, &mut [&mut [0.0; 100]]),
        Ok(None)
    );
    assert_eq!(
        checkpoint::save(&mut store, &[1, 2, 3, 4], &[&floats]),
        Ok(0)
    );
    assert_eq!(
        checkpoint::save(&mut store, &[5, 6, 7, 8], &[&floats]),
        Ok(1)
    );

    let mut loaded = [0.0; 100];
    assert_eq!(
        checkpoint::load(&mut store, &mut [&mut loaded]),
        Ok(Some([5, 6, 7, 8]))
    );
    assert_eq!(loaded, floats);
    let wrong = checkpoint::load(&mut store, &mut [&mut [0.0; 99]]);
    assert_eq!(
        wrong,
        Err(CheckpointError::Length {
            expected: 99,
            found: 100
        })
    );

    let key = *store.0.keys().last().unwrap();
    store.0.get_mut(&key).unwrap()[3] ^= 1;
    let mut untouched = [7.0; 100];
    let damaged = checkpoint::load(&mut store, &mut [&mut untouched]);
    assert_eq!(
        (damaged, untouched),
        (Err(CheckpointError::Damaged), [7.0; 100])
    );

    store.0.insert(0, vec![1; 50]);
    assert_eq!(
        checkpoint::load(&mut store, &mut [&mut untouched]),
        Err(CheckpointError::Format)
    );
}
