//! What of an [`Outline`] depends on the processor: finding bytes, many at a time.

use wide::u8x16;

use super::Outline;
use super::brackets::WRITTEN;

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

/// Which of 64 bytes are what, wherever they stand.
#[derive(Default)]
pub(super) struct Masks {
    pub(super) quotes: u64,
    pub(super) backslashes: u64,
    /// Control characters.
    pub(super) controls: u64,
    pub(super) commas: u64,
    pub(super) colons: u64,
    pub(super) opens: u64,
    pub(super) closes: u64,
    /// Among the brackets, those of objects.
    pub(super) curly: u64,
}

/// What is asked of a processor.
pub(super) trait Processor: Copy {
    fn masks(self, chunk: &[u8; 64]) -> Masks;

    /// For each bit whether an odd number of those up to it are set.
    fn prefix_xor(self, mask: u64) -> u64;

    /// Writes the first places that are set, counted from `at`, and anything after the last of them. Gives those that
    /// are left.
    #[inline(always)]
    fn places(self, mut mask: u64, at: u32, places: &mut [u32; WRITTEN]) -> u64 {
        for half in places.as_chunks_mut::<8>().0 {
            for place in half {
                *place = at + mask.trailing_zeros();
                mask &= mask.wrapping_sub(1);
            }
            if mask == 0 {
                break;
            }
        }
        mask
    }
}

/// The bit in which `[` and `{` differ, as `]` and `}` do.
const CURLY: u8 = b'[' ^ b'{';
/// The last of the control characters.
const CONTROL: u8 = 0x1f;

/// Sixteen bytes at a time, which every processor has in one way or another.
#[derive(Clone, Copy)]
struct Any;

impl Processor for Any {
    #[inline(always)]
    fn masks(self, chunk: &[u8; 64]) -> Masks {
        let mask = |matches: &dyn Fn(u8x16) -> u8x16| {
            let parts = chunk.as_chunks::<16>().0;
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
    fn prefix_xor(self, mut mask: u64) -> u64 {
        for shift in [1, 2, 4, 8, 16, 32] {
            mask ^= mask << shift;
        }
        mask
    }
}

/// With what nearly all processors of this architecture have
/// (<https://en.wikipedia.org/wiki/X86-64#Microarchitecture_levels>): level 3, or level 4, and a product without
/// carries.
#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code, reason = "instructions are taken that not every processor has, after asking for them")]
mod x86_64 {
    use core::arch::x86_64::{
        __m256i, _mm_clmulepi64_si128, _mm_cvtsi64_si128, _mm_cvtsi128_si64, _mm_set1_epi8,
        _mm256_cmpeq_epi8, _mm256_loadu_si256, _mm256_min_epu8, _mm256_movemask_epi8, _mm256_or_si256,
        _mm256_set1_epi8, _mm512_add_epi32, _mm512_castsi512_si128, _mm512_cmpeq_epi8_mask,
        _mm512_cmple_epu8_mask, _mm512_cvtepu8_epi32, _mm512_loadu_si512, _mm512_maskz_compress_epi8,
        _mm512_or_si512, _mm512_set1_epi8, _mm512_set1_epi32, _mm512_storeu_si512, _pdep_u64,
    };

    use super::super::Outline;
    use super::{CONTROL, CURLY, Masks, Processor, WRITTEN};

    /// Thirty-two bytes at a time; `None` when this processor cannot.
    pub(super) fn avx2(text: &str) -> Option<Option<Outline>> {
        #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt,pclmulqdq")]
        fn outline(text: &str) -> Option<Outline> {
            Outline::scan(text, Avx2)
        }
        let is_there = is_x86_feature_detected!("avx2") && has_level_3();
        // SAFETY: the processor has what it needs.
        is_there.then(|| unsafe { outline(text) })
    }

    /// Sixty-four bytes at a time; `None` when this processor cannot.
    pub(super) fn avx512(text: &str) -> Option<Option<Outline>> {
        #[target_feature(enable = "avx512f,avx512bw,avx512vbmi2,bmi1,bmi2,lzcnt,popcnt,pclmulqdq")]
        fn outline(text: &str) -> Option<Outline> {
            Outline::scan(text, Avx512)
        }
        let is_there = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512vbmi2")
            && has_level_3();
        // SAFETY: the processor has what it needs.
        is_there.then(|| unsafe { outline(text) })
    }

    fn has_level_3() -> bool {
        is_x86_feature_detected!("bmi1")
            && is_x86_feature_detected!("bmi2")
            && is_x86_feature_detected!("lzcnt")
            && is_x86_feature_detected!("popcnt")
            && is_x86_feature_detected!("pclmulqdq")
    }

    #[derive(Clone, Copy)]
    struct Avx2;

    #[derive(Clone, Copy)]
    struct Avx512;

    impl Processor for Avx2 {
        #[inline(always)]
        fn masks(self, chunk: &[u8; 64]) -> Masks {
            // SAFETY: it is made where the processor has what it needs.
            unsafe { masks_avx2(chunk) }
        }

        #[inline(always)]
        fn prefix_xor(self, mask: u64) -> u64 {
            // SAFETY: as above.
            unsafe { prefix_xor(mask) }
        }
    }

    impl Processor for Avx512 {
        #[inline(always)]
        fn masks(self, chunk: &[u8; 64]) -> Masks {
            // SAFETY: it is made where the processor has what it needs.
            unsafe { masks_avx512(chunk) }
        }

        #[inline(always)]
        fn prefix_xor(self, mask: u64) -> u64 {
            Avx2.prefix_xor(mask)
        }

        #[inline(always)]
        fn places(self, mask: u64, at: u32, places: &mut [u32; WRITTEN]) -> u64 {
            // SAFETY: as above.
            unsafe { places_avx512(mask, at, places) }
        }
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    fn masks_avx2(chunk: &[u8; 64]) -> Masks {
        let [low, high] = chunk.as_chunks::<32>().0 else { return Masks::default() };
        let load = |part: &[u8; 32]| {
            // SAFETY: it has the thirty-two bytes that are read.
            unsafe { _mm256_loadu_si256(part.as_ptr().cast()) }
        };
        let parts = [load(low), load(high)];
        let all = |byte: u8| _mm256_set1_epi8(byte.cast_signed());
        let is = |parts: [__m256i; 2], byte: u8| mask(parts.map(|part| _mm256_cmpeq_epi8(part, all(byte))));
        let least = parts.map(|part| _mm256_min_epu8(part, all(CONTROL)));
        let curly = parts.map(|part| _mm256_or_si256(part, all(CURLY)));
        let same = |other: [__m256i; 2]| {
            mask([_mm256_cmpeq_epi8(other[0], parts[0]), _mm256_cmpeq_epi8(other[1], parts[1])])
        };
        Masks {
            quotes: is(parts, b'"'),
            backslashes: is(parts, b'\\'),
            controls: same(least),
            commas: is(parts, b','),
            colons: is(parts, b':'),
            opens: is(curly, b'{'),
            closes: is(curly, b'}'),
            curly: same(curly),
        }
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    fn mask([low, high]: [__m256i; 2]) -> u64 {
        u64::from(_mm256_movemask_epi8(low).cast_unsigned())
            | u64::from(_mm256_movemask_epi8(high).cast_unsigned()) << 32
    }

    #[target_feature(enable = "avx512f,avx512bw")]
    #[inline]
    fn masks_avx512(chunk: &[u8; 64]) -> Masks {
        // SAFETY: it has the sixty-four bytes that are read.
        let bytes = unsafe { _mm512_loadu_si512(chunk.as_ptr().cast()) };
        let all = |byte: u8| _mm512_set1_epi8(byte.cast_signed());
        let curly = _mm512_or_si512(bytes, all(CURLY));
        Masks {
            quotes: _mm512_cmpeq_epi8_mask(bytes, all(b'"')),
            backslashes: _mm512_cmpeq_epi8_mask(bytes, all(b'\\')),
            controls: _mm512_cmple_epu8_mask(bytes, all(CONTROL)),
            commas: _mm512_cmpeq_epi8_mask(bytes, all(b',')),
            colons: _mm512_cmpeq_epi8_mask(bytes, all(b':')),
            opens: _mm512_cmpeq_epi8_mask(curly, all(b'{')),
            closes: _mm512_cmpeq_epi8_mask(curly, all(b'}')),
            curly: _mm512_cmpeq_epi8_mask(curly, bytes),
        }
    }

    #[target_feature(enable = "avx512f,avx512vbmi2,bmi2")]
    #[inline]
    fn places_avx512(mask: u64, at: u32, places: &mut [u32; WRITTEN]) -> u64 {
        #[allow(clippy::indexing_slicing, reason = "it is done while this is compiled")]
        const EVERY: [u8; 64] = {
            let mut every = [0; 64];
            let mut place = 0;
            while place < 64 {
                every[place] = place as u8;
                place += 1;
            }
            every
        };
        // SAFETY: it has the sixty-four bytes that are read.
        let every = unsafe { _mm512_loadu_si512(EVERY.as_ptr().cast()) };
        let all = _mm512_maskz_compress_epi8(mask, every);
        let first = _mm512_cvtepu8_epi32(_mm512_castsi512_si128(all));
        let first = _mm512_add_epi32(first, _mm512_set1_epi32(at.cast_signed()));
        // SAFETY: there is room for the sixteen that are written.
        unsafe { _mm512_storeu_si512(places.as_mut_ptr().cast(), first) }
        // Most blocks have fewer.
        if mask.count_ones() as usize <= WRITTEN { 0 } else { mask & !_pdep_u64(0xffff, mask) }
    }

    /// The product with all ones, without carries.
    #[target_feature(enable = "pclmulqdq")]
    #[inline]
    fn prefix_xor(mask: u64) -> u64 {
        let product = _mm_clmulepi64_si128::<0>(_mm_cvtsi64_si128(mask.cast_signed()), _mm_set1_epi8(-1));
        _mm_cvtsi128_si64(product).cast_unsigned()
    }
}
