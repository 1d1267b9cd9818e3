//! Threads that stay, and that the caller lends work to.
//!
//! Between two pieces of work they spin for a short while, since the next is usually microseconds
//! away, and then sleep.

use std::mem;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, TryLockError, mpsc};
use std::thread::{self, JoinHandle};

use crate::workspace::Workspace;

/// Times that a thread looks for what others are about to finish before it lets them run: some ten
/// microseconds. There may be fewer processors than threads.
const SPINS: u32 = 500;

/// Times that it lets them run before a thread that has nothing to do should sleep: some hundred
/// microseconds where nobody else wants to.
const YIELDS: u32 = 500;

/// Tasks that are shared at a time: two for each of the most threads that an engine has.
const TASKS: usize = 128;

/// Looks again and again for what others are about to do.
#[derive(Default)]
struct Patience(u32);

impl Patience {
    /// Lets a moment pass; false once it would be better to sleep.
    fn pass(&mut self) -> bool {
        self.0 = self.0.saturating_add(1);
        if self.0 < SPINS {
            std::hint::spin_loop();
        } else {
            // On a busy machine what is missing may be up to a thread that waits for this processor.
            thread::yield_now();
        }
        self.0 < SPINS + YIELDS
    }
}

/// Waits until `is_done`.
///
/// # Panics
/// When a thread has `failed`: what it should do will never be done.
pub fn wait(failed: &AtomicBool, is_done: impl Fn() -> bool) {
    let mut patience = Patience::default();
    while !is_done() {
        assert!(
            !failed.load(Ordering::Acquire),
            "a worker thread has panicked"
        );
        patience.pass();
    }
}

/// What each thread does, given its number and its own memory.
pub type Work<'w> = &'w (dyn Fn(usize, &mut Workspace) + Sync);

/// The threads, the caller's among them, which is number 0.
pub struct Threads {
    post: Arc<Post>,
    workers: Vec<JoinHandle<()>>,
    own: Workspace,
}

/// Where the workers find what to do.
#[derive(Default)]
struct Post {
    posted: RwLock<Posted>,
    /// The number of what was posted last: to be looked at without the lock.
    number: AtomicU64,
    /// There will be nothing else to do.
    ended: AtomicBool,
    /// A thread has panicked: what it should do will never be done.
    failed: Arc<AtomicBool>,
}

#[derive(Default)]
struct Posted {
    number: u64,
    /// Workers that it is meant for, from number 1 on.
    helpers: usize,
    /// Nothing once the caller has stopped waiting.
    work: Option<Work<'static>>,
}

impl Threads {
    /// `count` threads, or fewer if the system allows no more, each with `room` floats.
    pub fn new(count: usize, room: usize) -> Threads {
        let post = Arc::new(Post::default());
        // A thread that starts late on a busy machine would allocate its workspace in the midst of
        // training.
        let (ready, started) = mpsc::channel();
        let spawn = |index| {
            let (post, ready) = (Arc::clone(&post), ready.clone());
            let work = move || {
                // Its own, so that it lies near its processor.
                let workspace = Workspace::new(room);
                // `new` waits for this one.
                let _ = ready.send(());
                drop(ready);
                post.serve(index, workspace);
            };
            thread::Builder::new().spawn(work).ok()
        };
        let workers: Vec<_> = (1..count).map_while(spawn).collect();
        drop(ready);
        started.iter().take(workers.len()).for_each(drop);
        Threads {
            post,
            workers,
            own: Workspace::new(room),
        }
    }

    /// Threads that there are.
    pub fn count(&self) -> usize {
        self.workers.len() + 1
    }

    /// The caller's memory.
    pub fn workspace(&mut self) -> &mut Workspace {
        &mut self.own
    }

    /// A thread has panicked.
    pub fn failed(&self) -> &Arc<AtomicBool> {
        &self.post.failed
    }

    /// Runs `own` on this thread. Meanwhile the first `helpers` workers run `work`, once each; those
    /// that find no time before `own` has ended do not. Returns once all have ended.
    ///
    /// # Panics
    /// When `own` does, or a worker has at any time.
    pub fn run(&mut self, helpers: usize, work: Work<'_>, own: impl FnOnce(&mut Workspace)) {
        self.check();
        let helpers = helpers.min(self.workers.len());
        if helpers == 0 {
            return own(&mut self.own);
        }
        let lent = self.post.lend(helpers, work);
        for worker in &self.workers[..helpers] {
            worker.thread().unpark();
        }
        own(&mut self.own);
        drop(lent);
        self.check();
    }

    fn check(&self) {
        let failed = self.post.failed.load(Ordering::Acquire);
        assert!(!failed, "a worker thread has panicked");
    }

    /// Does `work` for all `tasks`, each on some thread: on the same one in calls with as many tasks,
    /// so that what belongs to a task stays in its cache, unless another thread is free before.
    ///
    /// # Panics
    /// When `work` does.
    pub fn share<T: Send>(&mut self, tasks: impl Iterator<Item = T>, work: impl Fn(T) + Sync) {
        let mut tasks = tasks.peekable();
        while tasks.peek().is_some() {
            let table = [const { Mutex::new(None) }; TASKS];
            let mut count = 0;
            for (place, task) in table.iter().zip(&mut tasks) {
                *lock(place) = Some(task);
                count += 1;
            }
            let (table, threads) = (&table[..count], self.count());
            let work = |thread: usize| {
                let own = (0..count).skip(thread).step_by(threads);
                for place in own.chain(0..count) {
                    let task = lock(&table[place]).take();
                    if let Some(task) = task {
                        work(task);
                    }
                }
            };
            self.run(count - 1, &|thread, _| work(thread), |_| work(0));
        }
    }
}

/// No task is worked on under its lock.
fn lock<T>(place: &Mutex<Option<T>>) -> MutexGuard<'_, Option<T>> {
    place.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.post.ended.store(true, Ordering::Release);
        self.post.number.fetch_add(1, Ordering::AcqRel);
        for worker in self.workers.drain(..) {
            worker.thread().unpark();
            // A worker that has panicked has told so already.
            let _ = worker.join();
        }
    }
}

/// Work that others may do as long as this lives.
struct Lent<'p, 'w> {
    post: &'p Post,
    _work: Work<'w>,
}

impl Post {
    fn read(&self) -> RwLockReadGuard<'_, Posted> {
        self.posted.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes what is posted once nobody works on it.
    fn replace(&self, change: impl FnOnce(&mut Posted)) {
        let mut patience = Patience::default();
        loop {
            match self.posted.try_write() {
                Ok(mut posted) => return change(&mut posted),
                Err(TryLockError::Poisoned(posted)) => return change(&mut posted.into_inner()),
                // To sleep would cost more than most work takes.
                Err(TryLockError::WouldBlock) => patience.pass(),
            };
        }
    }

    /// Posts `work` until what it returns is dropped.
    fn lend<'w>(&self, helpers: usize, work: Work<'w>) -> Lent<'_, 'w> {
        // SAFETY: this only makes the lifetime longer. The reference stays in `posted`, where workers
        // use it while they hold the lock for reading, and no longer. `Lent` takes the lock for
        // writing and removes it before 'w ends, whether `run`, which alone calls this and keeps what
        // it returns in a local variable, returns or unwinds.
        #[allow(unsafe_code, reason = "threads that stay cannot borrow otherwise")]
        let work = unsafe { mem::transmute::<Work<'w>, Work<'static>>(work) };
        let mut number = 0;
        self.replace(|posted| {
            number = posted.number + 1;
            *posted = Posted {
                number,
                helpers,
                work: Some(work),
            };
        });
        self.number.store(number, Ordering::Release);
        Lent {
            post: self,
            _work: work,
        }
    }

    /// The life of worker `index`.
    fn serve(&self, index: usize, mut workspace: Workspace) {
        /// Tells the others when the worker ends by a panic.
        struct Alarm<'a>(&'a AtomicBool);
        impl Drop for Alarm<'_> {
            fn drop(&mut self) {
                self.0.fetch_or(thread::panicking(), Ordering::AcqRel);
            }
        }
        let mut seen = 0;
        loop {
            let mut patience = Patience::default();
            while self.number.load(Ordering::Acquire) == seen {
                if !patience.pass() {
                    thread::park();
                }
            }
            if self.ended.load(Ordering::Acquire) {
                return;
            }
            let posted = self.read();
            // It may be later work by now, whose number others cannot see yet.
            let new = posted.number != seen;
            seen = posted.number;
            if let Some(work) = &posted.work
                && new
                && index <= posted.helpers
            {
                // Goes before the lock does, so that the caller sees it.
                let _alarm = Alarm(&self.failed);
                work(index, &mut workspace);
            }
        }
    }
}

impl Drop for Lent<'_, '_> {
    fn drop(&mut self) {
        if thread::panicking() {
            // Others may wait for this thread.
            self.post.failed.store(true, Ordering::Release);
        }
        self.post.replace(|posted| posted.work = None);
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::atomic::AtomicUsize;

    use super::*;

    /// Rounds: fewer where each operation is checked.
    const ROUNDS: usize = if cfg!(miri) { 20 } else { 2000 };

    #[test]
    fn every_task_is_done_once_on_what_the_caller_owns() {
        for count in [1, 2, 3, 5] {
            let mut threads = Threads::new(count, 3);
            assert_eq!(threads.count(), count);
            for round in 0..ROUNDS {
                // None, one, and more tasks than threads; another memory in each round.
                let mut numbers = vec![1; [0, 1, 2, 3, 40][round % 5]];
                threads.share(numbers.iter_mut(), |x| *x += round);
                assert!(numbers.iter().all(|x| *x == round + 1));
            }
        }
    }

    #[test]
    fn each_worker_comes_once_at_most_with_its_own_memory() {
        let mut threads = Threads::new(4, 7);
        for _ in 0..ROUNDS {
            let comings: [AtomicUsize; 5] = Default::default();
            let work = |thread: usize, workspace: &mut Workspace| {
                assert_eq!(workspace.len(), 7);
                comings[thread].fetch_add(1, Ordering::Relaxed);
            };
            threads.run(2, &work, |workspace| work(0, workspace));
            let comings = comings.map(AtomicUsize::into_inner);
            assert!(comings.iter().all(|count| *count <= 1), "{comings:?}");
            assert_eq!((comings[0], comings[3], comings[4]), (1, 0, 0));
        }
    }

    #[test]
    fn a_worker_that_panics_stops_the_caller() {
        let mut threads = Threads::new(3, 0);
        let arrived = AtomicUsize::new(0);
        let run = AssertUnwindSafe(|| {
            threads.run(
                2,
                &|thread, _| {
                    arrived.fetch_add(1, Ordering::Release);
                    assert!(thread != 1, "the first worker fails on purpose");
                },
                |_| {
                    while arrived.load(Ordering::Acquire) < 2 {
                        thread::yield_now();
                    }
                },
            );
        });
        assert!(catch_unwind(run).is_err());
        let again = AssertUnwindSafe(|| threads.share([1, 2].into_iter(), |_| ()));
        assert!(catch_unwind(again).is_err(), "what it should do is missing");
    }

    #[test]
    fn a_caller_that_panics_waits_for_those_who_use_what_it_lent() {
        let mut threads = Threads::new(3, 0);
        let counts: [AtomicUsize; 2] = Default::default();
        let failed = Arc::clone(threads.failed());
        let run = AssertUnwindSafe(|| {
            let lent = Box::new([1, 2, 3]);
            threads.run(
                2,
                &|_, _| {
                    counts[0].fetch_add(1, Ordering::AcqRel);
                    // Others see that they need not wait for the caller.
                    while !failed.load(Ordering::Acquire) {
                        thread::yield_now();
                    }
                    counts[1].fetch_add(lent.iter().sum(), Ordering::AcqRel);
                },
                |_| {
                    while counts[0].load(Ordering::Acquire) < 2 {
                        thread::yield_now();
                    }
                    panic!("the caller fails on purpose");
                },
            );
        });
        assert!(catch_unwind(run).is_err());
        assert_eq!(counts.map(AtomicUsize::into_inner), [2, 12]);
    }
}
