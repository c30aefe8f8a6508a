//! Meters in a fixed number of places: whoever sends whatever, they take no more memory.
//!
//! A meter is one number, the moment at which its bucket of tokens is full again (the generic cell rate
//! algorithm). Each hash has eight places; where all are taken, the meter that is full soonest gives
//! way, since it has the least to forget.

use std::hash::{BuildHasher as _, Hash, RandomState};
use std::sync::{Mutex, PoisonError};

/// Places for one hash.
const WAYS: usize = 8;
/// Parts of the table, each with a lock of its own.
const SHARDS: usize = 64;

/// What a bucket of tokens holds, and how fast it fills.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rate {
    /// Microseconds for one token.
    pub(super) token_us: u64,
    /// Tokens of a full bucket.
    pub(super) tokens: u64,
}

/// A place: whose meter it is, and when its bucket is full again, in microseconds since the epoch.
#[derive(Debug, Clone, Copy, Default)]
struct Place {
    tag: u64,
    full_at: u64,
}

/// The meters of one kind.
#[derive(Debug)]
pub(super) struct Table {
    /// Each without any place until its first meter: while nobody fails a table takes no memory.
    shards: [Mutex<Vec<[Place; WAYS]>>; SHARDS],
    /// Sets of places in a shard.
    sets: usize,
    /// Drawn at random: nobody outside knows which addresses share places.
    hasher: RandomState,
}

impl Rate {
    /// So many tokens in a second, of which ten seconds' worth may be saved.
    pub(super) const fn per_second(tokens: u64) -> Self {
        let saved = tokens.saturating_mul(10);
        Self {
            token_us: 1_000_000 / if tokens == 0 { 1 } else { tokens },
            tokens: saved,
        }
    }

    /// So many tokens in a minute, all of which may be saved.
    pub(super) const fn per_minute(tokens: u64) -> Self {
        Self {
            token_us: 60_000_000 / if tokens == 0 { 1 } else { tokens },
            tokens,
        }
    }

    const fn whole_us(self) -> u64 {
        self.token_us.saturating_mul(self.tokens)
    }

    /// How many microseconds there are until the bucket that is full at `full_at` holds a token.
    const fn wait_us(self, full_at: u64, now_us: u64) -> u64 {
        let missing = full_at.saturating_sub(now_us);
        missing
            .saturating_add(self.token_us)
            .saturating_sub(self.whole_us())
    }
}

impl Table {
    /// A table of at least so many places.
    pub(super) fn new(places: usize) -> Self {
        Self {
            shards: [const { Mutex::new(Vec::new()) }; SHARDS],
            sets: (places / WAYS / SHARDS).max(1),
            hasher: RandomState::new(),
        }
    }

    /// How many microseconds `whose` bucket needs until it holds a token; 0: it holds one.
    pub(super) fn wait_us(&self, whose: &(impl Hash + ?Sized), rate: Rate, now_us: u64) -> u64 {
        rate.wait_us(self.get(whose), now_us)
    }

    /// Takes tokens whether they are there or not: who takes too much waits the longer.
    pub(super) fn take(&self, whose: &(impl Hash + ?Sized), rate: Rate, tokens: u64, now_us: u64) {
        let took = tokens.saturating_mul(rate.token_us);
        self.change(whose, |full_at| full_at.max(now_us).saturating_add(took));
    }

    /// Takes a token if one is there, and says how many microseconds there are until then otherwise.
    pub(super) fn try_take(
        &self,
        whose: &(impl Hash + ?Sized),
        rate: Rate,
        now_us: u64,
    ) -> Result<(), u64> {
        let mut wait = 0;
        self.change(whose, |full_at| {
            wait = rate.wait_us(full_at, now_us);
            if wait > 0 {
                return full_at;
            }
            full_at.max(now_us).saturating_add(rate.token_us)
        });
        if wait > 0 { Err(wait) } else { Ok(()) }
    }

    /// What is kept of `whose`; 0 where nothing is.
    pub(super) fn get(&self, whose: &(impl Hash + ?Sized)) -> u64 {
        self.at(whose, |tag, set, sets| {
            let places = sets.get(set)?;
            let place = places.iter().find(|place| place.tag == tag)?;
            Some(place.full_at)
        })
        .unwrap_or(0)
    }

    /// Keeps `value` of `whose`.
    pub(super) fn set(&self, whose: &(impl Hash + ?Sized), value: u64) {
        self.change(whose, |_before| value);
    }

    fn change(&self, whose: &(impl Hash + ?Sized), change: impl FnOnce(u64) -> u64) {
        self.at(whose, |tag, set, sets| {
            if sets.is_empty() {
                sets.resize(self.sets, [Place::default(); WAYS]);
            }
            let places = sets.get_mut(set)?;
            let own = places.iter().position(|place| place.tag == tag);
            let soonest = || {
                let each = places.iter().enumerate();
                let soonest = each.min_by_key(|(_at, place)| place.full_at);
                soonest.map_or(0, |(at, _place)| at)
            };
            let at = own.unwrap_or_else(soonest);
            let place = places.get_mut(at)?;
            let before = if own.is_some() { place.full_at } else { 0 };
            let full_at = change(before);
            *place = Place { tag, full_at };
            Some(())
        });
    }

    /// Has `work` look into the shard of `whose`, where they have this tag in this set.
    fn at<T>(
        &self,
        whose: &(impl Hash + ?Sized),
        work: impl FnOnce(u64, usize, &mut Vec<[Place; WAYS]>) -> Option<T>,
    ) -> Option<T> {
        // 0 marks an empty place.
        let tag = self.hasher.hash_one(whose).max(1);
        let number = usize::try_from(tag >> 32).unwrap_or(0);
        let shard = self.shards.get(number % SHARDS)?;
        let mut sets = shard.lock().unwrap_or_else(PoisonError::into_inner);
        work(tag, (number / SHARDS) % self.sets, &mut sets)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000;

    #[test]
    fn a_bucket_gives_what_it_holds_and_fills_with_time() {
        let (table, rate) = (Table::new(1024), Rate::per_minute(3));
        let now = 5_000 * SECOND;
        for _ in 0..3 {
            assert_eq!(table.try_take(&"a", rate, now), Ok(()));
        }
        assert_eq!(table.try_take(&"a", rate, now), Err(20 * SECOND));
        assert_eq!(table.wait_us(&"a", rate, now), 20 * SECOND);
        assert_eq!(table.try_take(&"b", rate, now), Ok(()), "another's");
        let later = now + 20 * SECOND;
        assert_eq!(table.wait_us(&"a", rate, later), 0);
        assert_eq!(table.try_take(&"a", rate, later), Ok(()));
        assert_eq!(table.try_take(&"a", rate, later), Err(20 * SECOND));
        for _ in 0..3 {
            assert_eq!(table.try_take(&"a", rate, later + 60 * SECOND), Ok(()));
        }
    }

    #[test]
    fn a_table_takes_no_memory_before_its_first_meter() {
        let (table, rate) = (Table::new(1024), Rate::per_minute(3));
        let places = |table: &Table| {
            let of_each = table.shards.iter().map(|shard| shard.lock().unwrap().len());
            of_each.sum::<usize>()
        };
        assert_eq!(table.wait_us(&"a", rate, 5_000 * SECOND), 0);
        assert_eq!(places(&table), 0, "who only asks leaves nothing");
        table.set(&"a", 1);
        assert_eq!(places(&table), 1024 / WAYS / SHARDS);
        assert_eq!(table.get(&"a"), 1);
    }

    #[test]
    fn a_debt_is_waited_off() {
        let (table, rate) = (Table::new(1024), Rate::per_second(1000));
        let now = 5_000 * SECOND;
        table.take(&"a", rate, 30_000, now);
        let wait = table.try_take(&"a", rate, now).unwrap_err();
        assert_eq!(wait, 20 * SECOND + 1000);
        assert_eq!(table.try_take(&"a", rate, now + wait), Ok(()));
    }

    #[test]
    fn a_flood_of_others_takes_no_memory_and_drives_out_who_waits_last() {
        let (table, rate) = (Table::new(SHARDS * WAYS), Rate::per_minute(1));
        let now = 5_000 * SECOND;
        table.take(&"locked", rate, 1000, now);
        for other in 0..100_000_u32 {
            table.take(&other, rate, 1, now);
        }
        assert!(table.wait_us(&"locked", rate, now) > 0);
        let sizes = table.shards.iter().map(|shard| shard.lock().unwrap().len());
        assert_eq!(sizes.sum::<usize>(), SHARDS);
    }
}
