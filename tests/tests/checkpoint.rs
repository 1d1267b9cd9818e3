//! Checkpoints on a simulated NOR flash, through the crate `sequential-storage`: the power is cut
//! at every write and every erasure of a save; what is there afterwards is always a complete
//! checkpoint, and training goes on from it with the same bits as without the cut. Every optimiser
//! goes on from every step with the same bits as without a break.

use std::convert::Infallible;
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use embedded_storage_async::nor_flash::{
    ErrorType, MultiwriteNorFlash, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash,
};
use secant::checkpoint::{self, CheckpointError, PIECE_LEN, State, Store};
use secant::network::{Init, Network, Shape, linear, relu};
use secant::objective::{HessianProduct, Objective};
use secant::optim::{
    Adam, AdamConfig, FlatLbfgs, FlatLbfgsConfig, Freshness, Guard, GuardConfig, HessianFree,
    HessianFreeConfig, IterateAverages, LayerLbfgs, LayerLbfgsConfig, Lbfgs, LbfgsConfig, Refresh,
    SecondMoment,
};
use secant::{Batch, ConfigError, LayerInputs, Normalisation, Random, Samples, objective};
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
    /// Adam's numbers.
    adam: [u64; Adam::NUMBERS],
    random: Random,
}

impl Run {
    fn new() -> Run {
        let mut parameters = vec![0.0; N];
        NET.initialise(Init::He, &mut Random::new(0, 0), &mut parameters);
        let (mut moments, mut numbers) = (vec![0.0; Adam::memory_len(N)], [0; Adam::NUMBERS]);
        let adam = Adam::new(AdamConfig::DEFAULT, N, &mut moments).unwrap();
        adam.numbers(&mut numbers).unwrap();
        Run {
            parameters,
            moments,
            adam: numbers,
            random: Random::new(0, 1),
        }
    }

    fn step(&mut self) {
        let indices = draw(&mut self.random);
        let mut gradient = vec![0.0; N];
        gradient_at(&self.parameters, &indices, &mut gradient);
        let kept = self.moments.clone();
        let mut adam = Adam::new(AdamConfig::DEFAULT, N, &mut self.moments).unwrap();
        adam.memory_mut().copy_from_slice(&kept);
        adam.restore(&self.adam).unwrap();
        adam.step(1.0, &mut self.parameters, &gradient).unwrap();
        adam.numbers(&mut self.adam).unwrap();
    }

    fn save<S: Store>(&self, store: &mut S) -> Result<u32, CheckpointError<S::Error>> {
        let mut numbers = [0; Adam::NUMBERS + Random::NUMBERS];
        numbers[..Adam::NUMBERS].copy_from_slice(&self.adam);
        self.random.numbers(&mut numbers[Adam::NUMBERS..]).unwrap();
        checkpoint::save(store, &numbers, &[&self.parameters, &self.moments])
    }

    fn load<S: Store>(store: &mut S) -> Result<Option<Run>, CheckpointError<S::Error>> {
        let mut run = Run::new();
        let mut numbers = [0; Adam::NUMBERS + Random::NUMBERS];
        let parts: &mut [&mut [f32]] = &mut [&mut run.parameters, &mut run.moments];
        Ok(checkpoint::load(store, &mut numbers, parts)?.map(|_| {
            run.adam.copy_from_slice(&numbers[..Adam::NUMBERS]);
            run.random.restore(&numbers[Adam::NUMBERS..]).unwrap();
            run
        }))
    }
}

fn draw(random: &mut Random) -> [u32; BATCH] {
    std::array::from_fn(|_| random.below(SAMPLES as u32))
}

/// What sees the layers' inputs.
type Observe<'a> = &'a mut dyn FnMut(LayerInputs<'_>, &mut [f32]);

/// The mean loss and its gradient at `x`, of some of the samples; and what the layers' inputs are,
/// for those who ask.
fn pass(x: &[f32], indices: &[u32], gradient: &mut [f32], observe: Option<Observe<'_>>) -> f64 {
    let mut random = Random::new(9, 9);
    let pixels: Vec<u8> = (0..SAMPLES * 12).map(|_| random.next_u32() as u8).collect();
    let labels: Vec<u8> = (0..SAMPLES).map(|_| random.below(4) as u8).collect();
    let batch = Batch::new(
        Samples::bytes(&pixels, &labels, Normalisation::UNIT),
        indices,
    );
    let mut workspace = vec![0.0; LayerLbfgs::<HISTORY>::workspace_len(&NET, 1)];
    gradient.fill(0.0);
    let tally = match observe {
        Some(mut observe) => {
            NET.accumulate_gradient_observed::<1>(x, batch, gradient, &mut workspace, &mut observe)
        }
        None => NET.accumulate_gradient::<1>(x, batch, gradient, &mut workspace),
    };
    tally.unwrap().mean_loss()
}

fn gradient_at(x: &[f32], indices: &[u32], gradient: &mut [f32]) -> f64 {
    pass(x, indices, gradient, None)
}

const HISTORY: usize = 4;

/// Steps of the runs that are broken off after each of them.
const STEPS: usize = 24;

/// Memory of `length` floats for every optimiser that [`goes_on_the_same`] makes. What it holds
/// must not matter.
fn memories(length: usize) -> Vec<Vec<f32>> {
    vec![vec![f32::NAN; length]; 2 * STEPS + 1]
}

/// An optimiser in memory that `make` lends it.
trait Optimiser: State {
    fn memory(&self) -> &[f32];
    fn memory_mut(&mut self) -> &mut [f32];
}

macro_rules! optimiser {
    ($($name:ty),*) => {
        $(impl Optimiser for $name {
            fn memory(&self) -> &[f32] {
                self.memory()
            }
            fn memory_mut(&mut self) -> &mut [f32] {
                self.memory_mut()
            }
        })*
    };
}
optimiser!(
    Adam<'_>,
    FlatLbfgs<'_, HISTORY>,
    HessianFree<'_>,
    IterateAverages<'_>,
    LayerLbfgs<'_, HISTORY>,
    Borrower<'_>
);

/// Trains without a break, and with a break after each step in turn, when all but the bytes in the
/// store is made anew: parameters, memory and state must be the same at the end.
fn goes_on_the_same<'m, T: Optimiser>(
    memories: &'m mut [Vec<f32>],
    make: impl Fn(&'m mut [f32]) -> T,
    step: impl Fn(&mut T, &mut [f32], &[u32; BATCH]),
) {
    let mut memories = memories.iter_mut();
    let mut begin = || {
        let mut parameters = vec![0.0; N];
        NET.initialise(Init::He, &mut Random::new(0, 0), &mut parameters);
        let memory = memories.next().expect("there are enough");
        (parameters, Random::new(0, 1), make(memory))
    };
    let numbers = |optimiser: &T, random: &Random| {
        let mut numbers = vec![7; T::NUMBERS + 1];
        optimiser.numbers(&mut numbers).unwrap();
        random.numbers(&mut numbers[T::NUMBERS..]).unwrap();
        numbers
    };
    let mut train = |break_after: Option<usize>| {
        let (mut parameters, mut random, mut optimiser) = begin();
        for done in 1..=STEPS {
            let indices = draw(&mut random);
            step(&mut optimiser, &mut parameters, &indices);
            if Some(done) == break_after {
                let mut store = Memory::default();
                let saved = numbers(&optimiser, &random);
                let floats: &[&[f32]] = &[&parameters, optimiser.memory()];
                checkpoint::save(&mut store, &saved, floats).unwrap();
                (parameters, random, optimiser) = begin();
                let mut loaded = vec![0; saved.len()];
                let parts: &mut [&mut [f32]] = &mut [&mut parameters, optimiser.memory_mut()];
                let found = checkpoint::load(&mut store, &mut loaded, parts).unwrap();
                assert_eq!((found, &loaded), (Some(0), &saved));
                optimiser.restore(&loaded).unwrap();
                random.restore(&loaded[T::NUMBERS..]).unwrap();
            }
        }
        let bits = |values: &[f32]| values.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
        let end = numbers(&optimiser, &random);
        (bits(&parameters), bits(optimiser.memory()), end)
    };
    let whole = train(None);
    assert!(whole.2[..T::NUMBERS].iter().any(|number| *number != 0));
    for done in 1..STEPS {
        assert!(train(Some(done)) == whole, "a break after step {done}");
    }
    let (_, _, mut optimiser) = begin();
    let short = optimiser.numbers(&mut vec![0; T::NUMBERS - 1]);
    assert!(matches!(short, Err(ConfigError::TooShort { .. })));
    let short = optimiser.restore(&vec![0; T::NUMBERS - 1]);
    assert!(matches!(short, Err(ConfigError::TooShort { .. })));
}

#[test]
fn adam_goes_on_the_same() {
    goes_on_the_same(
        &mut memories(Adam::memory_len(N)),
        |memory| Adam::new(AdamConfig::DEFAULT, N, memory).unwrap(),
        |adam, w, indices| {
            let mut gradient = vec![0.0; N];
            gradient_at(w, indices, &mut gradient);
            adam.step(1.0, w, &gradient).unwrap();
        },
    );
}

#[test]
fn every_second_moment_goes_on_the_same() {
    for second_moment in SecondMoment::ALL {
        let config = LayerLbfgsConfig {
            second_moment,
            refresh_first: 2,
            refresh_every: 5,
            ..LayerLbfgsConfig::DEFAULT
        };
        goes_on_the_same(
            &mut memories(LayerLbfgs::<HISTORY>::memory_len(&NET, second_moment)),
            |memory| LayerLbfgs::<HISTORY>::new(config, &NET, memory).unwrap(),
            |lbfgs, w, indices| {
                let mut gradient = vec![0.0; N];
                if lbfgs.wants_inputs() {
                    let observe = &mut |inputs: LayerInputs<'_>, scratch: &mut [f32]| {
                        assert_eq!(lbfgs.observe(&inputs, scratch), Refresh::Updated);
                    };
                    pass(w, indices, &mut gradient, Some(observe));
                } else {
                    gradient_at(w, indices, &mut gradient);
                }
                let freshness = lbfgs.step(1.0, w, &mut gradient).unwrap();
                assert_eq!(freshness, Freshness::Current);
            },
        );
    }
}

/// A network's loss over a batch; its curvature is the identity, so that a product is cheap.
struct Rounded<'i>(&'i [u32]);

impl Objective<f32> for Rounded<'_> {
    fn dimension(&self) -> usize {
        N
    }
    fn value_and_gradient(&mut self, x: &[f32], gradient: &mut [f32]) -> f32 {
        gradient_at(x, self.0, gradient) as f32
    }
}

impl HessianProduct<f32> for Rounded<'_> {
    fn hessian_product(&mut self, _: &[f32], v: &[f32], product: &mut [f32]) {
        product.copy_from_slice(v);
    }
}

#[test]
fn hessian_free_optimisation_goes_on_the_same() {
    goes_on_the_same(
        &mut memories(HessianFree::memory_len(N)),
        |memory| HessianFree::new(HessianFreeConfig::DEFAULT, N, memory).unwrap(),
        |method, w, indices| {
            method.step(1.0, &mut Rounded(indices), w).unwrap();
        },
    );
}

#[test]
fn averages_of_iterates_go_on_the_same() {
    goes_on_the_same(
        &mut memories(IterateAverages::memory_len(N)),
        |memory| IterateAverages::new(5, N, memory).unwrap(),
        |averages, w, indices| {
            let mut gradient = vec![0.0; N];
            gradient_at(w, indices, &mut gradient);
            for (w, g) in w.iter_mut().zip(gradient) {
                *w -= 0.1 * g;
            }
            if averages.add(w).unwrap() {
                // What comes next hangs on the step.
                w.copy_from_slice(averages.step());
            }
        },
    );
}

#[test]
fn flat_lbfgs_upon_adam_goes_on_the_same() {
    let config = FlatLbfgsConfig {
        pair_every: 3,
        ..FlatLbfgsConfig::DEFAULT
    };
    goes_on_the_same(
        &mut memories(FlatLbfgs::<HISTORY>::memory_len(N)),
        |memory| FlatLbfgs::<HISTORY>::new(config, N, memory).unwrap(),
        |lbfgs, w, indices| {
            let (mut gradient, mut other) = (vec![0.0; N], vec![0.0; N]);
            gradient_at(w, indices, &mut gradient);
            if lbfgs.wants_anchor_gradient() {
                gradient_at(lbfgs.anchor(), indices, &mut other);
                lbfgs.observe(w, &gradient, &other).unwrap();
            }
            let freshness = lbfgs.step(1.0, w, &gradient).unwrap();
            assert_eq!(freshness, Freshness::Current);
        },
    );
}

/// L-BFGS gives its memory back only at its end, so this makes it anew for every step.
struct Borrower<'m> {
    config: LbfgsConfig<f32>,
    numbers: Vec<u64>,
    memory: &'m mut [f32],
}

impl Borrower<'_> {
    fn memory(&self) -> &[f32] {
        self.memory
    }

    fn memory_mut(&mut self) -> &mut [f32] {
        self.memory
    }
}

impl State for Borrower<'_> {
    const NUMBERS: usize = Lbfgs::<HISTORY>::NUMBERS;

    fn numbers(&self, numbers: &mut [u64]) -> Result<(), ConfigError> {
        let mut memory = vec![0.0; Lbfgs::<HISTORY>::memory_len(N)];
        let mut lbfgs = Lbfgs::<HISTORY>::new(self.config, N, &mut memory)?;
        lbfgs.restore(&self.numbers)?;
        lbfgs.numbers(numbers)
    }

    fn restore(&mut self, numbers: &[u64]) -> Result<(), ConfigError> {
        let mut memory = vec![0.0; Lbfgs::<HISTORY>::memory_len(N)];
        let mut lbfgs = Lbfgs::<HISTORY>::new(self.config, N, &mut memory)?;
        lbfgs.restore(numbers)?;
        lbfgs.numbers(&mut self.numbers)
    }
}

/// Both ways to use it: on one function, where value and gradient of a step are those that the next
/// begins with, and on batches that change.
#[test]
fn flat_lbfgs_goes_on_the_same() {
    for (config, changing) in [
        (LbfgsConfig::mini_batch(), true),
        (LbfgsConfig::default(), false),
    ] {
        let one = |lbfgs: &mut Lbfgs<'_, HISTORY>, w: &mut [f32], indices: &[u32]| {
            let all: Vec<u32> = (0..SAMPLES as u32).collect();
            let indices = if changing { indices } else { &all };
            let mut loss = objective::from_fn(N, |x: &[f32], gradient: &mut [f32]| {
                gradient_at(x, indices, gradient) as f32
            });
            if changing {
                lbfgs.objective_changed();
            }
            lbfgs.step(&mut loss, w).unwrap();
        };
        let length = Lbfgs::<HISTORY>::memory_len(N);
        let fresh = |memory| {
            let mut own = vec![0.0; length];
            let lbfgs = Lbfgs::<HISTORY>::new(config, N, &mut own).unwrap();
            let mut numbers = vec![0; Lbfgs::<HISTORY>::NUMBERS];
            lbfgs.numbers(&mut numbers).unwrap();
            Borrower {
                config,
                numbers,
                memory,
            }
        };
        let step = |state: &mut Borrower<'_>, w: &mut [f32], indices: &[u32; BATCH]| {
            let mut lbfgs = Lbfgs::<HISTORY>::new(state.config, N, state.memory).unwrap();
            lbfgs.restore(&state.numbers).unwrap();
            one(&mut lbfgs, w, indices);
            lbfgs.numbers(&mut state.numbers).unwrap();
        };
        let mut zeros = memories(length);
        zeros.iter_mut().for_each(|memory| memory.fill(0.0));
        goes_on_the_same(&mut zeros, fresh, step);

        // One optimiser from the beginning to the end.
        let mut made_anew = vec![0.0; N];
        NET.initialise(Init::He, &mut Random::new(0, 0), &mut made_anew);
        let mut whole = made_anew.clone();
        let (mut memory, mut other) = (vec![0.0; length], vec![0.0; length]);
        let mut lbfgs = Lbfgs::<HISTORY>::new(config, N, &mut memory).unwrap();
        let (mut state, mut random) = (fresh(&mut other), Random::new(0, 1));
        for _ in 0..24 {
            let indices = draw(&mut random);
            one(&mut lbfgs, &mut whole, &indices);
            step(&mut state, &mut made_anew, &indices);
            assert_eq!(whole, made_anew);
        }
        assert!(lbfgs.pairs().len() == HISTORY);
    }
}

#[test]
fn the_guard_goes_on_the_same() {
    let config = GuardConfig {
        every: 3,
        ..GuardConfig::default()
    };
    let losses = [2.0, 1.5, 1.4, 1.3, 9.0, 9.5, 12.0, f64::NAN, 1.2, 1.1, 1.0];
    let check = |guard: &mut Guard<'_>, loss, w: &mut [f32; 1]| {
        w[0] += 1.0;
        guard.check(loss, w).unwrap()
    };
    for broken in 0..losses.len() {
        let (mut w, mut v, mut memory) = ([0.0], [0.0], [[f32::NAN]; 3]);
        let [a, b, c] = &mut memory;
        let mut guard = Guard::new(config, 1, a).unwrap();
        let mut again = Guard::new(config, 1, b).unwrap();
        let mut third = Guard::new(config, 1, c).unwrap();
        for (i, loss) in losses.into_iter().enumerate() {
            if i == broken {
                let mut numbers = [0; Guard::NUMBERS];
                again.numbers(&mut numbers).unwrap();
                third.memory_mut().copy_from_slice(again.memory());
                third.restore(&numbers).unwrap();
                std::mem::swap(&mut again, &mut third);
            }
            let expected = check(&mut guard, loss, &mut w);
            assert_eq!(check(&mut again, loss, &mut v), expected);
            assert_eq!((&again, v), (&guard, w));
        }
        assert_eq!(guard.rollbacks(), 2);
    }
}

/// Numbers of something else may come with a right checksum; a slot or a count that cannot be must
/// be refused.
#[test]
fn numbers_that_are_no_state_are_refused() {
    fn refuses(mut optimiser: impl State) {
        let numbers = |optimiser: &dyn Fn(&mut [u64]) -> Result<(), ConfigError>| {
            let mut numbers = [0; 64];
            optimiser(&mut numbers).unwrap();
            numbers
        };
        let before = numbers(&|numbers| optimiser.numbers(numbers));
        let refused = optimiser.restore(&[u64::MAX; 64]);
        assert_eq!(refused, Err(ConfigError::NotAState));
        assert_eq!(numbers(&|numbers| optimiser.numbers(numbers)), before);
    }
    let mut memory = vec![0.0; 40 * N];
    refuses(Adam::new(AdamConfig::DEFAULT, N, &mut memory).unwrap());
    refuses(FlatLbfgs::<HISTORY>::new(FlatLbfgsConfig::DEFAULT, N, &mut memory).unwrap());
    refuses(HessianFree::new(HessianFreeConfig::DEFAULT, N, &mut memory).unwrap());
    refuses(LayerLbfgs::<HISTORY>::new(LayerLbfgsConfig::DEFAULT, &NET, &mut memory).unwrap());
    refuses(Lbfgs::<HISTORY>::new(LbfgsConfig::default(), N, &mut memory).unwrap());
    refuses(Guard::new(GuardConfig::DEFAULT, N, &mut memory).unwrap());
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
            let steps = found.adam[0] as usize;
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
    let mut numbers = [0; 3];
    assert_eq!(
        checkpoint::load(&mut store, &mut numbers, &mut [&mut [0.0; 100]]),
        Ok(None)
    );
    assert_eq!(checkpoint::save(&mut store, &[1, 2, 3], &[&floats]), Ok(0));
    assert_eq!(checkpoint::save(&mut store, &[5, 6, 7], &[&floats]), Ok(1));

    let mut loaded = [0.0; 100];
    assert_eq!(
        checkpoint::load(&mut store, &mut numbers, &mut [&mut loaded]),
        Ok(Some(1))
    );
    assert_eq!((loaded, numbers), (floats, [5, 6, 7]));
    let length = |expected| {
        Err(CheckpointError::Length {
            expected,
            found: 424,
        })
    };
    let wrong = checkpoint::load(&mut store, &mut numbers, &mut [&mut [0.0; 99]]);
    assert_eq!(wrong, length(420));
    let wrong = checkpoint::load(&mut store, &mut [0; 2], &mut [&mut [0.0; 100]]);
    assert_eq!(wrong, length(416));
    // As many bytes, of another kind.
    let wrong = checkpoint::load(&mut store, &mut [0; 2], &mut [&mut [0.0; 102]]);
    assert_eq!(wrong, length(424));

    let key = *store.0.keys().last().unwrap();
    store.0.get_mut(&key).unwrap()[3] ^= 1;
    let mut untouched = [7.0; 100];
    let damaged = checkpoint::load(&mut store, &mut numbers, &mut [&mut untouched]);
    assert_eq!(
        (damaged, untouched, numbers),
        (Err(CheckpointError::Damaged), [7.0; 100], [5, 6, 7])
    );

    store.0.insert(0, vec![1; 22]);
    assert_eq!(
        checkpoint::load(&mut store, &mut numbers, &mut [&mut untouched]),
        Err(CheckpointError::Format)
    );
}
