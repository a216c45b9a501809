//! The memory of all requests together: how much of their bodies and answers is held at once.
//!
//! When there is no room, the request that has held most for longest gives way, not the one that came last: a
//! review arrives at once, is answered in microseconds and its answer is read at once; whoever sends or reads slowly
//! holds memory until then. So large bodies that stall, and large answers that nobody reads, keep nobody out.
//!
//! As long as there is room, requests of different connections meet in one number alone: what a connection holds is an
//! account of its own. Only who finds no room looks at all of them, and locks them meanwhile.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

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
    /// How many are. Changed only by who has locked an account.
    held: Gauge,
    /// Of those who are there and have held something, by number. Locked before any account is.
    accounts: Mutex<HashMap<usize, Arc<Account>>>,
    /// How many there have been.
    opened: AtomicUsize,
    /// How many requests wait until room is given back.
    waiting: AtomicUsize,
    /// Somebody gave room back.
    freed: Notify,
}

/// Who holds room: a connection, which is told when its answer takes room that others need. It belongs to the first
/// router that it is given to, and is there for as long as its answers are.
#[derive(Debug, Default)]
pub struct Holder {
    told: Arc<Notify>,
    account: OnceLock<Arc<Account>>,
}

#[derive(Debug)]
struct Account {
    budget: Budget,
    number: usize,
    shares: Mutex<Shares>,
    /// The request whose body is read, or that is decided, has to give way.
    request: Notify,
    /// The connection has to, for nobody reads its answer.
    connection: Arc<Notify>,
}

/// What the requests of a connection hold. More than one do when they are sent before answers were read.
#[derive(Debug, Default)]
struct Shares {
    next: usize,
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    key: usize,
    bytes: usize,
    since: Instant,
    is_answer: bool,
    /// It was told to give way, and has not done so yet.
    leaving: bool,
}

/// What one request holds. Given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Share {
    account: Arc<Account>,
    key: usize,
}

/// There is no room.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct NoRoom;

enum Taken {
    Yes,
    /// There is no room yet.
    Full,
    No,
}

impl Budget {
    /// Room for `limit` bytes; `gauge` counts how many are held, and is nobody else's.
    pub(crate) fn new(limit: usize, gauge: Gauge) -> Self {
        Self(Arc::new(Shared {
            limit,
            held: gauge,
            accounts: Mutex::default(),
            opened: AtomicUsize::new(0),
            waiting: AtomicUsize::new(0),
            freed: Notify::new(),
        }))
    }

    /// A share for one request, of nothing yet.
    pub(crate) fn share(&self, holder: &Holder) -> Share {
        let account = holder.account.get_or_init(|| self.open(&holder.told));
        let mut shares = account.shares();
        let key = shares.next;
        shares.next += 1;
        shares.entries.push(Entry { key, bytes: 0, since: Instant::now(), is_answer: false, leaving: false });
        Share { account: Arc::clone(account), key }
    }

    fn open(&self, connection: &Arc<Notify>) -> Arc<Account> {
        let account = Arc::new(Account {
            budget: self.clone(),
            number: self.0.opened.fetch_add(1, Ordering::Relaxed),
            shares: Mutex::default(),
            request: Notify::new(),
            connection: Arc::clone(connection),
        });
        self.accounts().insert(account.number, Arc::clone(&account));
        account
    }

    fn accounts(&self) -> MutexGuard<'_, HashMap<usize, Arc<Account>>> {
        self.0.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes so many bytes in place of those that are given back, if there is room. To give back there always is.
    fn exchange(&self, given: usize, taken: usize) -> bool {
        let by = taken as i64 - given as i64;
        let limit = self.0.limit as i64;
        let add = |held| (by <= 0 || held + by <= limit).then_some(held + by);
        self.0.held.inner().fetch_update(Ordering::Relaxed, Ordering::Relaxed, add).is_ok()
    }

    /// How many bytes there are too few for so many more.
    fn lacks(&self, bytes: usize) -> usize {
        let held = usize::try_from(self.0.held.get()).unwrap_or_default();
        (held + bytes).saturating_sub(self.0.limit)
    }

    /// Has those look again who wait. Who waits has said so before it looked at the accounts.
    fn changed(&self) {
        if self.0.waiting.load(Ordering::Relaxed) > 0 {
            self.0.freed.notify_waiters();
        }
    }
}

impl Holder {
    /// Waits until its answer has to give way.
    pub(crate) async fn told(&self) {
        self.told.notified().await;
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        if let Some(account) = self.account.get() {
            account.budget.accounts().remove(&account.number);
        }
    }
}

impl Account {
    fn shares(&self) -> MutexGuard<'_, Shares> {
        self.shares.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shares {
    fn of(&mut self, key: usize) -> Option<&mut Entry> {
        self.entries.iter_mut().find(|entry| entry.key == key)
    }

    fn take(&mut self, key: usize, bytes: usize, budget: &Budget) -> Taken {
        match self.of(key) {
            Some(entry) if !entry.leaving => {
                if !budget.exchange(0, bytes) {
                    return Taken::Full;
                }
                entry.bytes += bytes;
                Taken::Yes
            }
            _ => Taken::No,
        }
    }
}

impl Entry {
    /// Bytes times how long they were held; nothing if they are about to be given back.
    fn weight(&self, now: Instant) -> u128 {
        if self.leaving { 0 } else { self.bytes as u128 * (now - self.since).as_micros().max(1) }
    }
}

impl Share {
    fn budget(&self) -> &Budget {
        &self.account.budget
    }

    /// Takes room for so many bytes more, as soon as those who were told to give way have done so.
    pub(crate) async fn grow(&self, bytes: usize) -> Result<(), NoRoom> {
        match self.take(bytes) {
            Taken::Yes => Ok(()),
            Taken::Full => self.wait_for(bytes).await,
            Taken::No => Err(NoRoom),
        }
    }

    /// From `now` on it is an answer that is held, of so many bytes, and the connection hears when it has to give way.
    pub(crate) async fn turn_into_answer(&self, bytes: usize, now: Instant) -> Result<(), NoRoom> {
        if self.exchange_for_answer(bytes, now) { Ok(()) } else { self.wait_for(bytes).await }
    }

    /// Does the work, unless this share has to give way before it is done.
    pub(crate) async fn unless_it_gives_way<T>(&self, work: impl Future<Output = T>) -> Result<T, NoRoom> {
        tokio::select! {
            biased;
            done = work => Ok(done),
            () = self.gives_way() => Err(NoRoom),
        }
    }

    async fn gives_way(&self) {
        loop {
            self.account.request.notified().await;
            // One before it may have been told, and was done in the meantime.
            if self.account.shares().of(self.key).is_some_and(|entry| entry.leaving) {
                return;
            }
        }
    }

    fn take(&self, bytes: usize) -> Taken {
        self.account.shares().take(self.key, bytes, self.budget())
    }

    /// Gives back what the body took, and takes so much for the answer if there is room.
    fn exchange_for_answer(&self, bytes: usize, now: Instant) -> bool {
        let mut shares = self.account.shares();
        let Some(entry) = shares.of(self.key) else { return false };
        let given = std::mem::take(&mut entry.bytes);
        (entry.since, entry.is_answer, entry.leaving) = (now, true, false);
        let taken = self.budget().exchange(given, bytes);
        if taken {
            entry.bytes = bytes;
        } else {
            self.budget().exchange(given, 0);
        }
        drop(shares);
        // Even if it takes more than before: whoever waited for its body has somebody else to tell now.
        self.budget().changed();
        taken
    }

    /// Tells others to give way, and waits until they have.
    async fn wait_for(&self, bytes: usize) -> Result<(), NoRoom> {
        let budget = self.budget();
        let _waits = Waits::new(budget);
        loop {
            let freed = budget.0.freed.notified();
            match self.make_room(bytes) {
                Taken::Yes => return Ok(()),
                Taken::Full => freed.await,
                Taken::No => return Err(NoRoom),
            }
        }
    }

    /// Tells as many others to give way as have to.
    #[cold]
    fn make_room(&self, bytes: usize) -> Taken {
        let budget = self.budget();
        let accounts = budget.accounts();
        // Nothing changes while all are locked.
        let mut all: Vec<_> = accounts.values().map(|account| (account, account.shares())).collect();
        let own = all.iter_mut().find(|(account, _)| account.number == self.account.number);
        let Some((_, own)) = own else { return Taken::No };
        let taken = own.take(self.key, bytes, budget);
        if !matches!(taken, Taken::Full) {
            return taken;
        }
        if bytes > budget.0.limit {
            return Taken::No;
        }
        let lacking = budget.lacks(bytes);
        let leave = |entry: &&Entry| entry.leaving;
        let mut leaving: usize = all
            .iter()
            .flat_map(|(_, shares)| shares.entries.iter().filter(leave))
            .map(|entry| entry.bytes)
            .sum();
        let now = Instant::now();
        while leaving < lacking {
            let entries = all
                .iter_mut()
                .flat_map(|(account, shares)| shares.entries.iter_mut().map(|entry| (&**account, entry)));
            match entries.max_by_key(|(_, entry)| entry.weight(now)) {
                Some((account, entry)) if entry.weight(now) > 0 && !self.is(account, entry) => {
                    entry.leaving = true;
                    leaving += entry.bytes;
                    if entry.is_answer { &account.connection } else { &account.request }.notify_one();
                }
                _ => return Taken::No,
            }
        }
        Taken::Full
    }

    fn is(&self, account: &Account, entry: &Entry) -> bool {
        account.number == self.account.number && entry.key == self.key
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut shares = self.account.shares();
        let Some(index) = shares.entries.iter().position(|entry| entry.key == self.key) else { return };
        let entry = shares.entries.swap_remove(index);
        self.budget().exchange(entry.bytes, 0);
        drop(shares);
        self.budget().changed();
    }
}

/// A request that waits for room.
struct Waits<'b>(&'b AtomicUsize);

impl<'b> Waits<'b> {
    fn new(budget: &'b Budget) -> Self {
        budget.0.waiting.fetch_add(1, Ordering::Relaxed);
        Self(&budget.0.waiting)
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests;
