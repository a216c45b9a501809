//! The ServiceAccounts that are held: as few bytes as it takes, and a relist without a second store.
//!
//! A ServiceAccount without annotations that count is a keyed hash of its names, eight bytes. Two names can have the same
//! hash: then one that is not there looks bare, or one that is there looks missing once the other goes. Either is asked for
//! live, so a collision costs a read and never an answer.
//!
//! Tables double when they are full, and hold the old one meanwhile. There are many small ones, so that this is
//! never felt.

use std::collections::hash_map::{HashMap, RandomState};
use std::hash::{BuildHasher, Hasher};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use hashbrown::{HashTable, hash_table::Entry};

use super::object::ServiceAccount;
use super::record::Record;
use super::{Annotations, Held};

const SHARDS: usize = 256;

/// Records that are held, in bytes. Whoever may create ServiceAccounts decides how many there are: those beyond are
/// read live.
const MAX_BYTES: usize = 24 << 20;
/// Bare ones that are held, likewise.
const MAX_BARE: usize = 1 << 20;
/// Those that a live read found before the watch told of them.
const MAX_AHEAD: usize = 1024;

/// The bit of a hash that says whether the list that is being read has it: one that the tables do not use.
const MARK: u64 = 1 << 48;

/// The ServiceAccounts that are held. One watch writes, live reads add what they find, everybody reads.
pub(super) struct Store {
    prefix: Box<str>,
    hasher: RandomState,
    shards: Box<[RwLock<Shard>]>,
    /// Taken by whoever writes, before the lock of a shard.
    progress: Mutex<Progress>,
}

#[derive(Default)]
struct Shard {
    annotated: HashTable<Record>,
    bare: HashTable<u64>,
}

/// How many are held.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Counts {
    pub(super) annotated: usize,
    pub(super) bare: usize,
    /// Those that did not fit, or could not be read.
    pub(super) left_out: usize,
}

#[derive(Default)]
struct Progress {
    counts: Counts,
    /// Bytes in records.
    bytes: usize,
    listing: bool,
    /// The version of the list that is read, once it is known.
    list: Option<u64>,
    /// A list was read to its end.
    complete: bool,
    /// The version up to which the watch told everything.
    reached: u64,
    /// Versions of what live reads found beyond that, by `namespace/name`: older news are ignored.
    ahead: HashMap<Box<str>, u64>,
}

impl Store {
    /// Holds annotations with a prefix.
    pub(super) fn new(prefix: &str) -> Self {
        Self {
            prefix: prefix.into(),
            hasher: RandomState::new(),
            shards: (0..SHARDS).map(|_| RwLock::default()).collect(),
            progress: Mutex::default(),
        }
    }

    /// The prefix of the annotations that are held.
    pub(super) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// What is held of a ServiceAccount.
    pub(super) fn held(&self, namespace: &str, name: &str) -> Held {
        let hash = self.hash(namespace, name);
        let shard = self.read(hash);
        if let Some(record) = shard.annotated.find(hash, |record| record.names() == (namespace, name)) {
            Held::Annotated(record.annotations(&self.prefix))
        } else if shard.bare.find(hash, |bare| bare & !MARK == hash).is_some() {
            Held::Bare
        } else {
            Held::Missing
        }
    }

    /// Whether a list was read to its end.
    pub(super) fn is_complete(&self) -> bool {
        self.progress().complete
    }

    /// How many are held.
    pub(super) fn counts(&self) -> Counts {
        self.progress().counts
    }

    /// A list begins, perhaps again: what it does not have by its end is gone.
    pub(super) fn begin(&self) {
        let mut progress = self.progress();
        progress.listing = true;
        progress.list = None;
        progress.counts.left_out = 0;
        for shard in &self.shards {
            let mut shard = write(shard);
            shard.annotated.iter_mut().for_each(|record| record.set_mark(false));
            shard.bare.iter_mut().for_each(|bare| *bare &= !MARK);
        }
    }

    /// This is the version of the list.
    pub(super) fn lists(&self, version: Option<u64>) {
        self.progress().list = version;
    }

    /// The list has ended; this is its version.
    pub(super) fn complete(&self, version: Option<u64>) {
        let mut progress = self.progress();
        let progress = &mut *progress;
        // The list may be older than a live read.
        let reached = version.unwrap_or_default();
        progress.ahead.retain(|_, found| *found > reached);
        for key in progress.ahead.keys() {
            if let Some((namespace, name)) = key.split_once('/') {
                let hash = self.hash(namespace, name);
                self.write(hash).mark(hash, namespace, name);
            }
        }
        progress.reached = reached;
        progress.listing = false;
        progress.complete = true;
        let left_out = progress.counts.left_out;
        progress.counts = Counts { left_out, ..Counts::default() };
        progress.bytes = 0;
        for shard in &self.shards {
            let mut shard = write(shard);
            shard.annotated.retain(|record| record.is_marked());
            shard.bare.retain(|bare| *bare & MARK == MARK);
            self.shrink(&mut shard);
            progress.counts.annotated += shard.annotated.len();
            progress.counts.bare += shard.bare.len();
            progress.bytes += shard.annotated.iter().map(Record::size).sum::<usize>();
        }
    }

    /// The list has it, or the watch says that it was made or changed.
    pub(super) fn changed(&self, object: &ServiceAccount<'_>) {
        let mut progress = self.progress();
        progress.advance(object.version);
        let hash = self.hash(&object.namespace, &object.name);
        if !progress.is_behind(object) {
            self.put(&mut progress, hash, object);
        }
        self.write(hash).mark(hash, &object.namespace, &object.name);
    }

    /// The watch says that it was deleted.
    pub(super) fn deleted(&self, object: &ServiceAccount<'_>) {
        let mut progress = self.progress();
        progress.advance(object.version);
        if !progress.is_behind(object) {
            let hash = self.hash(&object.namespace, &object.name);
            self.write(hash).remove(&mut progress, hash, &object.namespace, &object.name);
        }
    }

    /// There is one of which not even the name could be read.
    pub(super) fn leave_out(&self) {
        self.progress().counts.left_out += 1;
    }

    /// The watch told everything up to a version.
    pub(super) fn reached(&self, version: u64) {
        self.progress().advance(Some(version));
    }

    /// A live read found it. Gives what stands: that, or what is held when that is newer.
    pub(super) fn found(&self, object: &ServiceAccount<'_>) -> Annotations {
        let mut progress = self.progress();
        let held = self.held(&object.namespace, &object.name);
        let is_newer =
            object.version.is_some_and(|version| version > progress.reached) && !progress.is_behind(object);
        // What the watch has passed and is not held was deleted since: added, it would stay for ever. While a list is
        // read, what is held may be as new as the list.
        let may_replace = !progress.listing || progress.list.is_some_and(|list| object.version > Some(list));
        let is_folded =
            is_newer && (held == Held::Missing || may_replace) && progress.ahead.len() < MAX_AHEAD;
        if is_folded {
            self.put(&mut progress, self.hash(&object.namespace, &object.name), object);
            let key = format!("{}/{}", object.namespace, object.name);
            progress.ahead.insert(key.into(), object.version.unwrap_or_default());
        }
        match held {
            Held::Annotated(annotations) if !is_newer => annotations,
            Held::Bare if !is_newer => Annotations::default(),
            _ => object.held_annotations(&self.prefix),
        }
    }

    fn put(&self, progress: &mut Progress, hash: u64, object: &ServiceAccount<'_>) {
        let ServiceAccount { namespace, name, annotations, .. } = object;
        let mut shard = self.write(hash);
        let is_held = match annotations {
            None => false,
            Some(annotations) if annotations.is_empty() => {
                shard.remove_annotated(progress, hash, namespace, name);
                shard.put_bare(progress, hash)
            }
            Some(annotations) => {
                let annotations = annotations.iter().map(|(key, value)| (key.as_ref(), value.as_ref()));
                Record::new(namespace, name, annotations)
                    .is_some_and(|record| self.put_record(&mut shard, progress, hash, record))
            }
        };
        if !is_held {
            shard.remove(progress, hash, namespace, name);
            progress.counts.left_out += 1;
        }
    }

    fn put_record(&self, shard: &mut Shard, progress: &mut Progress, hash: u64, record: Record) -> bool {
        if shard.annotated.find(hash, |held| held.says_the_same(&record)).is_some() {
            return true;
        }
        let (namespace, name) = record.names();
        shard.remove(progress, hash, namespace, name);
        if progress.bytes + record.size() > MAX_BYTES {
            return false;
        }
        progress.bytes += record.size();
        progress.counts.annotated += 1;
        shard.annotated.insert_unique(hash, record, |record| self.hash_of(record));
        true
    }

    /// Gives back what a large list took that is gone.
    fn shrink(&self, shard: &mut Shard) {
        if shard.annotated.capacity() > 4 * (shard.annotated.len() + 4) {
            shard.annotated.shrink_to_fit(|record| self.hash_of(record));
        }
        if shard.bare.capacity() > 4 * (shard.bare.len() + 4) {
            shard.bare.shrink_to_fit(|bare| bare & !MARK);
        }
    }

    fn hash_of(&self, record: &Record) -> u64 {
        let (namespace, name) = record.names();
        self.hash(namespace, name)
    }

    /// SipHash with a random key: nobody can choose names that collide.
    fn hash(&self, namespace: &str, name: &str) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        hasher.write(namespace.as_bytes());
        hasher.write(b"/");
        hasher.write(name.as_bytes());
        hasher.finish() & !MARK
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bits that the tables use neither for the place nor, mostly, for the tag.
    #[allow(clippy::indexing_slicing, reason = "as many shards as the eight bits can count")]
    fn shard(&self, hash: u64) -> &RwLock<Shard> {
        &self.shards[usize::from((hash >> 40) as u8)]
    }

    fn read(&self, hash: u64) -> RwLockReadGuard<'_, Shard> {
        self.shard(hash).read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, hash: u64) -> RwLockWriteGuard<'_, Shard> {
        write(self.shard(hash))
    }
}

impl Progress {
    /// The watch has told of this version. A list's objects say nothing about how far it is.
    fn advance(&mut self, version: Option<u64>) {
        if let Some(version) = version
            && !self.listing
        {
            self.reached = version;
            if !self.ahead.is_empty() {
                self.ahead.retain(|_, found| *found > version);
            }
        }
    }

    /// Whether a live read found it as it was later.
    fn is_behind(&self, object: &ServiceAccount<'_>) -> bool {
        if self.ahead.is_empty() {
            return false;
        }
        let found = self.ahead.get(format!("{}/{}", object.namespace, object.name).as_str());
        // A version that cannot be compared is the watch's: it is believed.
        matches!((found, object.version), (Some(found), Some(version)) if version < *found)
    }
}

impl Shard {
    fn mark(&mut self, hash: u64, namespace: &str, name: &str) {
        if let Some(record) = self.annotated.find_mut(hash, |record| record.names() == (namespace, name)) {
            record.set_mark(true);
        } else if let Some(bare) = self.bare.find_mut(hash, |bare| *bare & !MARK == hash) {
            *bare |= MARK;
        }
    }

    fn put_bare(&mut self, progress: &mut Progress, hash: u64) -> bool {
        match self.bare.entry(hash, |bare| bare & !MARK == hash, |bare| bare & !MARK) {
            Entry::Occupied(_) => {}
            Entry::Vacant(_) if progress.counts.bare == MAX_BARE => return false,
            Entry::Vacant(place) => {
                place.insert(hash);
                progress.counts.bare += 1;
            }
        }
        true
    }

    fn remove(&mut self, progress: &mut Progress, hash: u64, namespace: &str, name: &str) {
        self.remove_annotated(progress, hash, namespace, name);
        if let Ok(bare) = self.bare.find_entry(hash, |bare| bare & !MARK == hash) {
            bare.remove();
            progress.counts.bare -= 1;
        }
    }

    fn remove_annotated(&mut self, progress: &mut Progress, hash: u64, namespace: &str, name: &str) {
        if let Ok(record) = self.annotated.find_entry(hash, |record| record.names() == (namespace, name)) {
            let (record, _) = record.remove();
            progress.bytes -= record.size();
            progress.counts.annotated -= 1;
        }
    }
}

fn write(shard: &RwLock<Shard>) -> RwLockWriteGuard<'_, Shard> {
    shard.write().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
