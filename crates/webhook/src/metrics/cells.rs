//! What is counted on every processor at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// How many threads count apart; with more of them, some share.
const CELLS: usize = 8;

/// Something for each of the threads that count, so that a processor need not wait for what another one has just counted.
#[derive(Debug, Default)]
pub(super) struct Cells<T>(Arc<[Cell<T>; CELLS]>);

/// On cache lines of its own; two, for processors fetch them in pairs.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Cell<T>(T);

impl<T> Cells<T> {
    /// The one that this thread counts in. Threads get theirs in turn.
    pub(super) fn own(&self) -> &T {
        static THREADS: AtomicUsize = AtomicUsize::new(0);
        thread_local! {
            static OWN: usize = THREADS.fetch_add(1, Ordering::Relaxed) % CELLS;
        }
        let [first, ..] = &*self.0;
        let own = OWN.with(|own| self.0.get(*own));
        &own.unwrap_or(first).0
    }

    /// All of them.
    pub(super) fn all(&self) -> impl Iterator<Item = &T> {
        self.0.iter().map(|cell| &cell.0)
    }
}

impl<T> Clone for Cells<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}
