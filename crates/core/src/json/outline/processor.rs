//! What of an [`Outline`] depends on the processor: finding bytes, many at a time.

use core::ops::{BitAnd, BitOr, Not};

use wide::u8x16;

use super::brackets::Row;
use super::{BLOCKS, Outline};

#[cfg(target_arch = "x86_64")]
mod x86_64;

/// The outline of a document, by the best that this processor has.
pub(super) fn outline(text: &str) -> Option<Outline> {
    #[cfg(target_arch = "x86_64")]
    if let Some(outline) = x86_64::avx512(text).or_else(|| x86_64::avx2(text)) {
        return outline;
    }
    Outline::scan(text, Any)
}

/// The same by each way there is, of which this processor may not have all.
#[cfg(test)]
pub(super) fn every_outline(text: &str) -> [Option<Option<Outline>>; 3] {
    let any = Some(Outline::scan(text, Any));
    #[cfg(target_arch = "x86_64")]
    return [any, x86_64::avx2(text), x86_64::avx512(text)];
    #[cfg(not(target_arch = "x86_64"))]
    return [any, None, None];
}

/// A bit for each byte of one or several blocks, the first the lowest.
pub(super) trait Bits:
    Copy + Default + BitAnd<Output = Self> + BitOr<Output = Self> + Not<Output = Self>
{
    const BLOCKS: usize;

    /// The first so many.
    fn first(count: usize) -> Self;

    /// The first words.
    fn read(from: &[u64; BLOCKS]) -> Self;

    /// Writes them as words, from a place on.
    fn write(self, to: &mut [u64; BLOCKS], at: usize);

    fn any(self) -> bool;

    /// Each bit's lower neighbour; that of the first is the last before.
    fn after(self, before: Self) -> Self;

    /// The sum of two numbers, and of what is carried from the one to the next. That is only added where the other one
    /// is even.
    fn sum(self, other: Self, carry: &mut u64) -> Self;
}

/// Which bytes are what, wherever they stand.
pub(super) struct Masks<B> {
    pub(super) quotes: B,
    pub(super) backslashes: B,
    /// Control characters.
    pub(super) controls: B,
    pub(super) commas: B,
    pub(super) colons: B,
    pub(super) opens: B,
    pub(super) closes: B,
    /// Among the brackets, those of objects.
    pub(super) curly: B,
}

/// What is asked of a processor.
pub(super) trait Processor: Copy {
    type Bits: Bits;

    /// Of as many blocks as there are bits for.
    fn masks(self, blocks: &[[u8; 64]]) -> Masks<Self::Bits>;

    /// Those bits up to which an odd number of quotes are set, counting those before, for which all ones stand.
    fn inside(self, quotes: Self::Bits, before: &mut u64) -> Self::Bits;

    /// Puts the bits at which the mask is set close together.
    fn compress(self, row: Row, mask: u64) -> Row;
}

/// The bit in which `[` and `{` differ, as `]` and `}` do.
const CURLY: u8 = b'[' ^ b'{';
/// The last of the control characters.
const CONTROL: u8 = 0x1f;

impl Bits for u64 {
    const BLOCKS: usize = 1;

    #[inline(always)]
    fn first(count: usize) -> Self {
        if count < 64 { !(Self::MAX << count) } else { Self::MAX }
    }

    #[inline(always)]
    fn read(from: &[u64; BLOCKS]) -> Self {
        let [first, ..] = from;
        *first
    }

    #[inline(always)]
    fn write(self, to: &mut [u64; BLOCKS], at: usize) {
        if let Some(to) = to.get_mut(at) {
            *to = self;
        }
    }

    #[inline(always)]
    fn any(self) -> bool {
        self != 0
    }

    #[inline(always)]
    fn after(self, before: Self) -> Self {
        self << 1 | before >> 63
    }

    #[inline(always)]
    fn sum(self, other: Self, carry: &mut u64) -> Self {
        let (sum, carried) = self.overflowing_add(other | *carry);
        *carry = Self::from(carried);
        sum
    }
}

/// Sixteen bytes at a time, which every processor has in one way or another.
#[derive(Clone, Copy)]
struct Any;

impl Processor for Any {
    type Bits = u64;

    #[inline(always)]
    fn masks(self, blocks: &[[u8; 64]]) -> Masks<u64> {
        let mask = |matches: &dyn Fn(u8x16) -> u8x16| {
            let parts = blocks.as_flattened().as_chunks::<16>().0;
            let bits = |part: &[u8; 16]| u64::from(matches(u8x16::from(*part)).to_bitmask());
            parts.iter().rev().fold(0, |mask, part| mask << 16 | bits(part))
        };
        let is = |part: u8x16, byte: u8| part.simd_eq(u8x16::splat(byte));
        let curly = |part: u8x16| part | u8x16::splat(CURLY);
        Masks {
            quotes: mask(&|part| is(part, b'"')),
            backslashes: mask(&|part| is(part, b'\\')),
            controls: mask(&|part| part.min(u8x16::splat(CONTROL)).simd_eq(part)),
            commas: mask(&|part| is(part, b',')),
            colons: mask(&|part| is(part, b':')),
            opens: mask(&|part| is(curly(part), b'{')),
            closes: mask(&|part| is(curly(part), b'}')),
            curly: mask(&|part| curly(part).simd_eq(part)),
        }
    }

    #[inline(always)]
    fn inside(self, mut quotes: u64, before: &mut u64) -> u64 {
        for shift in [1, 2, 4, 8, 16, 32] {
            quotes ^= quotes << shift;
        }
        inside(quotes, before)
    }

    #[inline(always)]
    fn compress(self, row: Row, mut mask: u64) -> Row {
        let mut out = Row::default();
        let mut bit = 1;
        while mask != 0 {
            let lowest = mask & mask.wrapping_neg();
            let of = |bits: u64| if bits & lowest == 0 { 0 } else { bit };
            out.opens |= of(row.opens);
            out.curly |= of(row.curly);
            out.after_member |= of(row.after_member);
            bit <<= 1;
            mask ^= lowest;
        }
        out
    }
}

/// From whether an odd number of quotes are set up to each bit.
#[inline(always)]
fn inside(odd: u64, before: &mut u64) -> u64 {
    let inside = odd ^ *before;
    *before = (inside.cast_signed() >> 63).cast_unsigned();
    inside
}
