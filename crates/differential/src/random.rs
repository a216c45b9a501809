//! Random numbers that are the same for the same seed, everywhere.

/// SplitMix64 (<https://prng.di.unimi.it/splitmix64.c>).
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    /// One of its own for a part of the work, so that the part can be done again alone.
    pub(crate) fn of(seed: u64, name: &str, index: u64) -> Self {
        let mixed = name.bytes().fold(seed, |state, byte| Self(state ^ u64::from(byte)).next());
        Self(Self(mixed ^ index).next())
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    /// A number below `limit`.
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        let limit = u64::try_from(limit.max(1)).unwrap_or(1);
        usize::try_from(self.next() % limit).unwrap_or_default()
    }

    /// True in so many of a hundred cases.
    pub(crate) fn percent(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    /// One of them; the default when there is none.
    pub(crate) fn one_of<T: Clone + Default>(&mut self, items: &[T]) -> T {
        items.get(self.below(items.len())).cloned().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::Random;

    #[test]
    fn is_steady_and_spread() {
        let numbers = |mut random: Random| (0..1000).map(|_| random.below(10)).collect::<Vec<_>>();
        assert_eq!(numbers(Random::of(1, "a", 2)), numbers(Random::of(1, "a", 2)));
        assert_ne!(numbers(Random::of(1, "a", 2)), numbers(Random::of(1, "a", 3)));
        let counts = (0..10).map(|n| numbers(Random::of(7, "", 0)).iter().filter(|m| **m == n).count());
        assert!(counts.into_iter().all(|count| count > 50));
    }
}
