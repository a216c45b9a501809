//! The masks of a stretch of bytes, sixty-four in each, of which a processor may handle several at once.

use core::array::from_fn;
use core::ops::{BitAnd, BitOr, BitXor, Not};

/// Masks that are handled together.
pub(super) const LANES: usize = 8;

/// A bit for each byte of a stretch, the first the lowest of the first mask.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Lanes(pub(super) [u64; LANES]);

impl Lanes {
    /// One mask after the other.
    #[inline(always)]
    pub(super) fn each(mut self, mut mask: impl FnMut(u64) -> u64) -> Self {
        for lane in &mut self.0 {
            *lane = mask(*lane);
        }
        self
    }

    /// Two masks after the others.
    #[inline(always)]
    pub(super) fn zip(mut self, other: Self, mut mask: impl FnMut(u64, u64) -> u64) -> Self {
        for (lane, other) in self.0.iter_mut().zip(other.0) {
            *lane = mask(*lane, other);
        }
        self
    }

    /// The first so many bits.
    #[inline(always)]
    pub(super) fn first(count: usize) -> Self {
        Self(from_fn(|lane| match count.saturating_sub(64 * lane) {
            left @ 0..64 => !(u64::MAX << left),
            _ => u64::MAX,
        }))
    }

    /// Each bit's lower neighbour; the one before the first is given as the lowest bit.
    #[inline(always)]
    pub(super) fn after(self, before: u64) -> Self {
        let [a, b, c, d, e, f, g, _] = self.0;
        let neighbours = Self([before << 63, a, b, c, d, e, f, g]);
        self.zip(neighbours, |mask, before| mask << 1 | before >> 63)
    }

    /// The last bit, as the lowest one.
    #[inline(always)]
    pub(super) fn last(self) -> u64 {
        let [.., last] = self.0;
        last >> 63
    }

    #[inline(always)]
    pub(super) fn any(self) -> bool {
        self.0.into_iter().fold(0, |all, mask| all | mask) != 0
    }
}

impl BitAnd for Lanes {
    type Output = Self;

    #[inline(always)]
    fn bitand(self, other: Self) -> Self {
        self.zip(other, |mask, other| mask & other)
    }
}

impl BitOr for Lanes {
    type Output = Self;

    #[inline(always)]
    fn bitor(self, other: Self) -> Self {
        self.zip(other, |mask, other| mask | other)
    }
}

impl BitXor for Lanes {
    type Output = Self;

    #[inline(always)]
    fn bitxor(self, other: Self) -> Self {
        self.zip(other, |mask, other| mask ^ other)
    }
}

impl Not for Lanes {
    type Output = Self;

    #[inline(always)]
    fn not(self) -> Self {
        self.each(|mask| !mask)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_counted_across_lanes() {
        let first = |count| Lanes::first(count).0;
        assert_eq!(first(0), [0; LANES]);
        assert_eq!(first(65), [u64::MAX, 1, 0, 0, 0, 0, 0, 0]);
        assert_eq!(first(64 * LANES), [u64::MAX; LANES]);
        let mut lanes = [0; LANES];
        lanes[2] = 1 << 63;
        lanes[7] = 1 << 63 | 1;
        let mut after = [0; LANES];
        after[0] = 1;
        after[3] = 1;
        after[7] = 2;
        assert_eq!(Lanes(lanes).after(1), Lanes(after));
        assert_eq!((Lanes(lanes).last(), Lanes(after).last()), (1, 0));
        assert_eq!((Lanes(lanes).any(), Lanes::default().any()), (true, false));
    }
}
