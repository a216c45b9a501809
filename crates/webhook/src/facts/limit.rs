//! How often the API server is asked.

use std::collections::{HashSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

const SECOND: Duration = Duration::from_secs(1);

/// ServiceAccounts that are remembered at most; one more is as if it had been asked for already.
const MAX_RECENT: usize = 4096;

/// So many a second, and as many at once after a second without any.
#[derive(Debug)]
pub(super) struct Limit {
    /// `None`: never.
    interval: Option<Duration>,
    /// When what was granted is used up, were it used evenly.
    used: Mutex<Option<Instant>>,
}

impl Limit {
    pub(super) fn new(a_second: u32) -> Self {
        Self { interval: SECOND.checked_div(a_second), used: Mutex::default() }
    }

    /// How long to wait; `None` when that is longer than the patience lasts, and then nothing is used.
    pub(super) fn grant(&self, now: Instant, patience: Duration) -> Option<Duration> {
        let interval = self.interval?;
        let mut used = lock(&self.used);
        let until = used.unwrap_or(now).max(now) + interval;
        let wait = until.saturating_duration_since(now + SECOND);
        if wait > patience {
            return None;
        }
        *used = Some(until);
        Some(wait)
    }
}

/// What was asked for within the last second.
#[derive(Debug, Default)]
pub(super) struct Recent(Mutex<Ring>);

#[derive(Debug, Default)]
struct Ring {
    in_order: VecDeque<(Instant, Box<str>)>,
    names: HashSet<Box<str>>,
}

impl Recent {
    pub(super) fn contains(&self, name: &str, now: Instant) -> bool {
        let mut ring = lock(&self.0);
        ring.forget(now);
        ring.names.contains(name) || ring.names.len() >= MAX_RECENT
    }

    pub(super) fn insert(&self, name: &str, now: Instant) {
        let mut ring = lock(&self.0);
        if ring.names.insert(name.into()) {
            ring.in_order.push_back((now, name.into()));
        }
    }
}

impl Ring {
    fn forget(&mut self, now: Instant) {
        while let Some((_, name)) =
            self.in_order.pop_front_if(|(asked, _)| now.duration_since(*asked) >= SECOND)
        {
            self.names.remove(&name);
        }
        if self.names.is_empty() {
            *self = Self::default();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grants_so_many_a_second() {
        let start = Instant::now();
        let ms = Duration::from_millis;
        let limit = Limit::new(4);
        let granted = |at, patience| limit.grant(start + ms(at), ms(patience));
        for _ in 0..4 {
            assert_eq!(granted(0, 0), Some(ms(0)));
        }
        assert_eq!(granted(0, 0), None);
        assert_eq!(granted(0, 249), None);
        assert_eq!(granted(0, 250), Some(ms(250)));
        assert_eq!(granted(0, 1000), Some(ms(500)));
        assert_eq!(granted(700, 0), None);
        assert_eq!(granted(750, 0), Some(ms(0)));
        // After a long time as many as after a second.
        for _ in 0..4 {
            assert_eq!(granted(60_000, 0), Some(ms(0)));
        }
        assert_eq!(granted(60_000, 0), None);
        assert_eq!(Limit::new(0).grant(start, SECOND), None);
    }

    #[test]
    fn forgets_after_a_second_and_remembers_no_more_than_so_many() {
        let recent = Recent::default();
        let start = Instant::now();
        recent.insert("a", start);
        assert!(recent.contains("a", start + Duration::from_millis(999)));
        assert!(!recent.contains("b", start));
        assert!(!recent.contains("a", start + SECOND));
        for i in 0..MAX_RECENT {
            recent.insert(&i.to_string(), start);
        }
        assert!(recent.contains("b", start));
        assert!(!recent.contains("b", start + SECOND));
        assert_eq!(lock(&recent.0).in_order.capacity(), 0);
    }
}
