//! Threads that compute one chunk together: where they wait for each other, and exchange what each
//! has computed of a map.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{PoisonError, RwLock};

use secant::SharedMap;

use super::threads::wait;

/// Most threads of a team: with more, each has few channels, and what all of them compute is most of
/// their work.
pub const MOST: usize = 8;

/// A team's place of exchange.
#[derive(Default)]
pub struct Team {
    /// What each member has to give, in exchanges of even and of odd number: nobody can be two
    /// exchanges ahead of one who still reads.
    gifts: [[RwLock<Vec<f32>>; MOST]; 2],
    /// Members that have given, in all exchanges of a job.
    arrived: AtomicUsize,
}

/// A member of a team, during a job.
pub struct Member<'t> {
    team: &'t Team,
    failed: &'t AtomicBool,
    index: usize,
    count: usize,
    exchanges: usize,
}

impl Team {
    /// Begins a job, while nobody works.
    pub fn begin(&self) {
        self.arrived.store(0, Ordering::Release);
    }

    /// Member `index` of `count`.
    pub fn member<'t>(&'t self, failed: &'t AtomicBool, index: usize, count: usize) -> Member<'t> {
        Member {
            team: self,
            failed,
            index,
            count,
            exchanges: 0,
        }
    }
}

impl Member<'_> {
    /// Makes maps whole: see [`secant::Share::new`].
    pub fn exchange(&mut self, maps: &mut [SharedMap<'_>]) {
        let gifts = &self.team.gifts[self.exchanges % 2];
        {
            let gift = gifts[self.index].write();
            let mut gift = gift.unwrap_or_else(PoisonError::into_inner);
            gift.clear();
            for map in maps.iter() {
                for range in map.parts.of(self.index) {
                    gift.extend_from_slice(&map.values[range]);
                }
            }
        }
        self.exchanges += 1;
        let all = self.exchanges * self.count;
        self.team.arrived.fetch_add(1, Ordering::AcqRel);
        wait(self.failed, || {
            self.team.arrived.load(Ordering::Acquire) >= all
        });
        for other in (0..self.count).filter(|other| *other != self.index) {
            let gift = gifts[other].read().unwrap_or_else(PoisonError::into_inner);
            let mut rest = &gift[..];
            for map in maps.iter_mut() {
                for range in map.parts.of(other) {
                    let (part, behind) = rest.split_at(range.len());
                    map.values[range].copy_from_slice(part);
                    rest = behind;
                }
            }
        }
    }
}
