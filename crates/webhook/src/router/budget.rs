//! The memory of all requests together: how much of their bodies and answers is held at once.
//!
//! When there is no room, the request that has held most for longest gives way, not the one that came last: a
//! review arrives at once, is answered in microseconds and its answer is read at once; whoever sends or reads slowly
//! holds memory until then. So large bodies that stall, and large answers that nobody reads, keep nobody out.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::Notify;
use tokio::time::Instant;

/// All requests. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Budget(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// How many bytes may be held.
    limit: usize,
    gauge: Gauge,
    held: Mutex<Held>,
    /// Somebody gave room back.
    freed: Notify,
}

#[derive(Debug, Default)]
struct Held {
    bytes: usize,
    /// What those hold who were told to give way and have not done so yet.
    leaving: usize,
    next: u64,
    shares: BTreeMap<u64, Entry>,
}

#[derive(Debug)]
struct Entry {
    bytes: usize,
    since: Instant,
    leaving: bool,
    /// Who hears of it when it has to give way.
    give_way: Arc<Notify>,
}

/// What one request holds. Given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Share {
    budget: Budget,
    key: u64,
    give_way: Arc<Notify>,
}

/// There is no room.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct NoRoom;

enum Taken {
    Yes,
    /// Others were told to give way.
    Soon,
    No,
}

impl Budget {
    /// Room for `limit` bytes; `gauge` says how many are held, and nobody else sets it.
    pub(crate) fn new(limit: usize, gauge: Gauge) -> Self {
        Self(Arc::new(Shared { limit, gauge, held: Mutex::default(), freed: Notify::new() }))
    }

    /// A share for one request, of nothing yet.
    pub(crate) fn share(&self) -> Share {
        let give_way = Arc::new(Notify::new());
        let mut held = self.held();
        let key = held.next;
        held.next += 1;
        let entry = Entry { bytes: 0, since: Instant::now(), leaving: false, give_way: give_way.clone() };
        held.shares.insert(key, entry);
        Share { budget: self.clone(), key, give_way }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.0.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, key: u64, bytes: usize) -> Taken {
        let mut held = self.held();
        let taken = held.take(key, bytes, self.0.limit);
        self.0.gauge.set(held.bytes as i64);
        taken
    }

    /// Gives back what the body took, and takes so much for the answer.
    fn take_for_answer(&self, key: u64, bytes: usize, connection: &Arc<Notify>, now: Instant) -> Taken {
        let mut held = self.held();
        held.give_back(key);
        if let Some(entry) = held.shares.get_mut(&key) {
            entry.since = now;
            entry.give_way = connection.clone();
        }
        let taken = held.take(key, bytes, self.0.limit);
        self.0.gauge.set(held.bytes as i64);
        drop(held);
        self.0.freed.notify_waiters();
        taken
    }
}

impl Held {
    fn take(&mut self, key: u64, bytes: usize, limit: usize) -> Taken {
        let Some(entry) = self.shares.get_mut(&key).filter(|entry| !entry.leaving) else { return Taken::No };
        let over = (self.bytes + bytes).saturating_sub(limit);
        if over == 0 {
            self.bytes += bytes;
            entry.bytes += bytes;
            return Taken::Yes;
        }
        if bytes > limit {
            return Taken::No;
        }
        let now = Instant::now();
        while self.leaving < over {
            let heaviest = self.shares.iter_mut().max_by_key(|(_, entry)| entry.weight(now));
            match heaviest {
                Some((heaviest, entry)) if *heaviest != key && !entry.leaving && entry.bytes > 0 => {
                    entry.leaving = true;
                    self.leaving += entry.bytes;
                    entry.give_way.notify_one();
                }
                _ => return Taken::No,
            }
        }
        Taken::Soon
    }

    fn give_back(&mut self, key: u64) {
        let Some(entry) = self.shares.get_mut(&key) else { return };
        let bytes = std::mem::take(&mut entry.bytes);
        self.bytes -= bytes;
        self.leaving -= if std::mem::take(&mut entry.leaving) { bytes } else { 0 };
    }
}

impl Entry {
    /// Bytes times how long they were held.
    fn weight(&self, now: Instant) -> u128 {
        if self.leaving { 0 } else { self.bytes as u128 * (now - self.since).as_micros().max(1) }
    }
}

impl Share {
    /// Takes room for so many bytes more, as soon as those who were told to give way have done so.
    pub(crate) async fn grow(&self, bytes: usize) -> Result<(), NoRoom> {
        self.once_taken(bytes, || self.budget.take(self.key, bytes)).await
    }

    /// When `take` said that others were told to give way, room is taken as soon as they have.
    async fn once_taken(&self, bytes: usize, take: impl FnOnce() -> Taken) -> Result<(), NoRoom> {
        let mut freed = self.budget.0.freed.notified();
        let mut taken = take();
        loop {
            match taken {
                Taken::Yes => return Ok(()),
                Taken::Soon => freed.await,
                Taken::No => return Err(NoRoom),
            }
            freed = self.budget.0.freed.notified();
            taken = self.budget.take(self.key, bytes);
        }
    }

    /// From `now` on it is an answer that is held, of so many bytes, and `connection` hears when it has to give way.
    pub(crate) async fn turn_into_answer(
        &self,
        bytes: usize,
        connection: &Arc<Notify>,
        now: Instant,
    ) -> Result<(), NoRoom> {
        self.once_taken(bytes, || self.budget.take_for_answer(self.key, bytes, connection, now)).await
    }

    /// Does the work, unless this share has to give way before it is done.
    pub(crate) async fn unless_it_gives_way<T>(&self, work: impl Future<Output = T>) -> Result<T, NoRoom> {
        tokio::select! {
            biased;
            done = work => Ok(done),
            () = self.give_way.notified() => Err(NoRoom),
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut held = self.budget.held();
        held.give_back(self.key);
        held.shares.remove(&self.key);
        self.budget.0.gauge.set(held.bytes as i64);
        drop(held);
        self.budget.0.freed.notify_waiters();
    }
}
