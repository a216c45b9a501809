//! How long to wait before the next attempt.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::time::Duration;

/// A few replicas that ask every few seconds burden nobody, and once the API server is back nobody waits for long.
const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(3);

/// Twice as long each time, up to three seconds, and up to a third less, so that replicas do not ask at the same time.
#[derive(Debug)]
pub(super) struct Backoff(Duration);

impl Default for Backoff {
    fn default() -> Self {
        Self(FIRST)
    }
}

impl Backoff {
    /// How long to wait this time.
    pub(super) fn next(&mut self) -> Duration {
        let longest = self.0;
        self.0 = LONGEST.min(longest * 2);
        let random = RandomState::new().hash_one(()) % 1024;
        longest.mul_f64(1.0 - random as f64 / 3072.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grows_to_a_limit_and_is_never_the_same() {
        let mut backoff = Backoff::default();
        let waits: Vec<Duration> = std::iter::repeat_with(|| backoff.next()).take(10).collect();
        let expected = [100, 200, 400, 800, 1600, 3000, 3000, 3000, 3000, 3000];
        for (wait, longest) in waits.iter().zip(expected.map(Duration::from_millis)) {
            assert!(*wait <= longest && *wait >= longest.mul_f64(0.66), "{waits:?}");
        }
    }
}
