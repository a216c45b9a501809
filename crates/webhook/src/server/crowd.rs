//! How many connections are busy: few are served on threads, a crowd is not.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::time::Instant;

/// With more busy connections than these none keeps its thread: from about 30 on, tokio was faster. An API server keeps 25
/// connections open.
const THREADS: u64 = 25;
/// The most that is counted.
const MOST: u64 = u16::MAX as u64;

/// How many connections of a listener are busy, in this tenth of a second and in the one before.
pub(super) struct Crowd {
    origin: Instant,
    /// The tenth's number, how many were busy in the one before, and how many in this one: 32, 16 and 16 bits.
    counts: AtomicU64,
}

/// A busy connection among others.
pub(super) struct Member {
    crowd: Arc<Crowd>,
    /// The tenth of a second in which it was counted last.
    counted: Option<u64>,
}

impl Crowd {
    pub(super) fn new() -> Self {
        Self { origin: Instant::now(), counts: AtomicU64::new(0) }
    }
}

impl Member {
    pub(super) fn new(crowd: Arc<Crowd>) -> Self {
        Self { crowd, counted: None }
    }

    /// Whether few connections are busy, this one among them.
    pub(super) fn is_among_few(&mut self) -> bool {
        let Crowd { origin, counts } = &*self.crowd;
        let now = u64::from((origin.elapsed().as_millis() / 100) as u32);
        let is_new = self.counted.replace(now) != Some(now);
        let count = |counts: u64| {
            let (tenth, before, busy) = (counts >> 32, counts >> 16 & MOST, counts & MOST);
            let (before, busy) = match now.saturating_sub(tenth) {
                0 => (before, busy),
                1 => (busy, 0),
                _ => (0, 0),
            };
            (before, (busy + u64::from(is_new)).min(MOST))
        };
        let found = if is_new {
            let write = |found| {
                let (before, busy) = count(found);
                Some(now.max(found >> 32) << 32 | before << 16 | busy)
            };
            match counts.fetch_update(Ordering::Relaxed, Ordering::Relaxed, write) {
                Ok(found) | Err(found) => found,
            }
        } else {
            counts.load(Ordering::Relaxed)
        };
        let (before, busy) = count(found);
        before.max(busy) <= THREADS
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn no_connection_among_many_that_are_busy_has_a_thread() {
        let crowd = Arc::new(Crowd::new());
        let mut members: Vec<_> = (0..=THREADS).map(|_| Member::new(Arc::clone(&crowd))).collect();
        let (last, few) = members.split_last_mut().unwrap();
        let tenth = Duration::from_millis(100);
        for _ in 0..3 {
            // Each is counted once, however often it asks.
            assert!(few.iter_mut().all(Member::is_among_few));
            assert!(few.iter_mut().all(Member::is_among_few));
            assert!(!last.is_among_few());
            assert!(!few[0].is_among_few());
            // As many may come in this one.
            tokio::time::advance(tenth).await;
            assert!(!few[0].is_among_few());
            tokio::time::advance(tenth).await;
        }
        tokio::time::advance(tenth * 5).await;
        assert!(last.is_among_few());
    }
}
