//! With what nearly all processors of this architecture have
//! (<https://en.wikipedia.org/wiki/X86-64#Microarchitecture_levels>): level 3 and a product without carries; or what is in
//! those with level 4 since 2019.
#![allow(unsafe_code, reason = "instructions are taken that not every processor has, after asking for them")]

use core::arch::x86_64::{
    __m256i, __m512i, _mm_clmulepi64_si128, _mm_cvtsi64_si128, _mm_cvtsi128_si64, _mm_set1_epi8,
    _mm256_cmpeq_epi8, _mm256_loadu_si256, _mm256_min_epu8, _mm256_movemask_epi8, _mm256_or_si256,
    _mm256_set1_epi8, _mm512_add_epi64, _mm512_alignr_epi64, _mm512_and_si512, _mm512_clmulepi64_epi128,
    _mm512_cmpeq_epi64_mask, _mm512_cmplt_epu64_mask, _mm512_gf2p8affine_epi64_epi8, _mm512_loadu_si512,
    _mm512_mask_sub_epi64, _mm512_mask_xor_epi64, _mm512_min_epu8, _mm512_movepi64_mask, _mm512_or_si512,
    _mm512_permutex2var_epi8, _mm512_permutexvar_epi8, _mm512_set1_epi8, _mm512_set1_epi64,
    _mm512_set4_epi32, _mm512_setzero_si512, _mm512_shldi_epi64, _mm512_shuffle_epi8, _mm512_shuffle_i64x2,
    _mm512_storeu_si512, _mm512_test_epi64_mask, _mm512_unpackhi_epi64, _mm512_unpacklo_epi64,
    _mm512_xor_si512, _pext_u64,
};
use core::ops::{BitAnd, BitOr, Not};

use super::{BLOCKS, Bits, CONTROL, CURLY, Masks, Outline, Processor, Row, inside};

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

/// Sixty-four bytes at a time, and the bits of as many words; `None` when this processor cannot.
pub(super) fn avx512(text: &str) -> Option<Option<Outline>> {
    #[target_feature(
        enable = "avx512f,avx512bw,avx512dq,avx512vbmi,avx512vbmi2,gfni,vpclmulqdq,bmi1,bmi2,lzcnt,popcnt,pclmulqdq"
    )]
    fn outline(text: &str) -> Option<Outline> {
        Outline::scan(text, Avx512)
    }
    let is_there = is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512vbmi")
        && is_x86_feature_detected!("avx512vbmi2")
        && is_x86_feature_detected!("gfni")
        && is_x86_feature_detected!("vpclmulqdq")
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
    type Bits = u64;

    #[inline(always)]
    fn masks(self, blocks: &[[u8; 64]]) -> Masks<u64> {
        // SAFETY: it is made where the processor has what it needs.
        unsafe { masks_avx2(blocks) }
    }

    #[inline(always)]
    fn inside(self, quotes: u64, before: &mut u64) -> u64 {
        // SAFETY: as above.
        inside(unsafe { prefix_xor(quotes) }, before)
    }

    #[inline(always)]
    fn compress(self, row: Row, mask: u64) -> Row {
        // SAFETY: as above.
        unsafe { compress(row, mask) }
    }
}

impl Processor for Avx512 {
    type Bits = Wide;

    #[inline(always)]
    fn masks(self, blocks: &[[u8; 64]]) -> Masks<Wide> {
        // SAFETY: it is made where the processor has what it needs.
        unsafe { masks_avx512(blocks) }
    }

    #[inline(always)]
    fn inside(self, quotes: Wide, before: &mut u64) -> Wide {
        // SAFETY: as above.
        unsafe { inside_avx512(quotes, before) }
    }

    #[inline(always)]
    fn compress(self, row: Row, mask: u64) -> Row {
        Avx2.compress(row, mask)
    }
}

#[target_feature(enable = "avx2")]
#[inline]
fn masks_avx2(blocks: &[[u8; 64]]) -> Masks<u64> {
    let load = |part: Option<&[u8; 32]>| {
        let part = part.unwrap_or(&[0; 32]);
        // SAFETY: it has the thirty-two bytes that are read.
        unsafe { _mm256_loadu_si256(part.as_ptr().cast()) }
    };
    let parts = blocks.as_flattened().as_chunks().0;
    let parts = [load(parts.first()), load(parts.get(1))];
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

/// The product with all ones, without carries.
#[target_feature(enable = "pclmulqdq")]
#[inline]
fn prefix_xor(mask: u64) -> u64 {
    let product = _mm_clmulepi64_si128::<0>(_mm_cvtsi64_si128(mask.cast_signed()), _mm_set1_epi8(-1));
    _mm_cvtsi128_si64(product).cast_unsigned()
}

#[target_feature(enable = "bmi2")]
#[inline]
fn compress(row: Row, mask: u64) -> Row {
    Row {
        opens: _pext_u64(row.opens, mask),
        curly: _pext_u64(row.curly, mask),
        after_member: _pext_u64(row.after_member, mask),
    }
}

/// Bits of eight words.
#[derive(Clone, Copy)]
struct Wide(__m512i);

/// What each byte of ASCII is: a bit for each of the masks, in their order.
#[allow(clippy::indexing_slicing, reason = "it is done while this is compiled")]
const KINDS: [[u8; 64]; 2] = {
    let mut kinds = [[0; 64]; 2];
    let mut byte = 0;
    while byte < 128 {
        kinds[byte / 64][byte % 64] = match byte as u8 {
            b'"' => 1,
            b'\\' => 1 << 1,
            ..=CONTROL => 1 << 2,
            b',' => 1 << 3,
            b':' => 1 << 4,
            b'[' => 1 << 5,
            b'{' => 1 << 5 | 1 << 7,
            b']' => 1 << 6,
            b'}' => 1 << 6 | 1 << 7,
            _ => 0,
        };
        byte += 1;
    }
    kinds
};

/// Looks up what each byte is, turns the bits of eight bytes into bytes of eight bits, and puts those together that belong
/// to the same mask.
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi,gfni")]
#[inline]
fn masks_avx512(blocks: &[[u8; 64]]) -> Masks<Wide> {
    let load = |bytes: &[u8; 64]| {
        // SAFETY: it has the sixty-four bytes that are read.
        unsafe { _mm512_loadu_si512(bytes.as_ptr().cast()) }
    };
    let [low, high] = KINDS.each_ref().map(load);
    let last = _mm512_set1_epi8(0x7f);
    // A place in each byte for each of eight; the first byte of eight comes last in a matrix.
    let places = _mm512_set1_epi64(0x8040_2010_0804_0201_u64.cast_signed());
    let backwards = _mm512_set4_epi32(0x0809_0a0b, 0x0c0d_0e0f, 0x0001_0203, 0x0405_0607);
    let by_mask = load(&BY_MASK);
    let mut words = [_mm512_setzero_si512(); BLOCKS];
    for (words, block) in words.iter_mut().zip(blocks) {
        // The last character of ASCII stands for all others.
        let bytes = _mm512_min_epu8(load(block), last);
        let kinds = _mm512_permutex2var_epi8(low, bytes, high);
        let kinds = _mm512_shuffle_epi8(kinds, backwards);
        let bits = _mm512_gf2p8affine_epi64_epi8::<0>(places, kinds);
        *words = _mm512_permutexvar_epi8(by_mask, bits);
    }
    let [quotes, backslashes, controls, commas, colons, opens, closes, curly] = transposed(words).map(Wide);
    Masks { quotes, backslashes, controls, commas, colons, opens, closes, curly }
}

/// Takes the first of each eight bytes first.
#[allow(clippy::indexing_slicing, reason = "it is done while this is compiled")]
const BY_MASK: [u8; 64] = {
    let mut from = [0; 64];
    let mut to = 0;
    while to < 64 {
        from[to] = (to % 8 * 8 + to / 8) as u8;
        to += 1;
    }
    from
};

/// The first words of eight, then the second ones, and so on.
#[target_feature(enable = "avx512f")]
#[inline]
fn transposed(words: [__m512i; 8]) -> [__m512i; 8] {
    // Words that are even, and odd, in places; then pairs of words.
    let four = |[a, b, c, d]: [__m512i; 4]| {
        let (ab, cd) = (_mm512_shuffle_i64x2::<0x88>(a, b), _mm512_shuffle_i64x2::<0x88>(c, d));
        let (ef, gh) = (_mm512_shuffle_i64x2::<0xdd>(a, b), _mm512_shuffle_i64x2::<0xdd>(c, d));
        [
            _mm512_shuffle_i64x2::<0x88>(ab, cd),
            _mm512_shuffle_i64x2::<0x88>(ef, gh),
            _mm512_shuffle_i64x2::<0xdd>(ab, cd),
            _mm512_shuffle_i64x2::<0xdd>(ef, gh),
        ]
    };
    let [a, b, c, d, e, f, g, h] = words;
    let pairs = [[a, b], [c, d], [e, f], [g, h]];
    let even = four(pairs.map(|[a, b]| _mm512_unpacklo_epi64(a, b)));
    let odd = four(pairs.map(|[a, b]| _mm512_unpackhi_epi64(a, b)));
    [even[0], odd[0], even[1], odd[1], even[2], odd[2], even[3], odd[3]]
}

/// As [`prefix_xor`] in each word, turned around where an odd number is set in the words before.
#[target_feature(enable = "avx512f,avx512dq,vpclmulqdq")]
#[inline]
fn inside_avx512(Wide(quotes): Wide, before: &mut u64) -> Wide {
    let ones = _mm512_set1_epi8(-1);
    let even = _mm512_clmulepi64_epi128::<0>(quotes, ones);
    let odd = _mm512_clmulepi64_epi128::<1>(quotes, ones);
    let words = _mm512_unpacklo_epi64(even, odd);
    // A bit for each word.
    let mut turned = u64::from(_mm512_movepi64_mask(words));
    for shift in [1, 2, 4] {
        turned ^= turned << shift;
    }
    turned ^= *before;
    let earlier = (turned << 1 | *before & 1) as u8;
    *before = (turned << 56).cast_signed().wrapping_shr(63).cast_unsigned();
    Wide(_mm512_mask_xor_epi64(words, earlier, words, ones))
}

impl Bits for Wide {
    const BLOCKS: usize = BLOCKS;

    #[inline(always)]
    fn first(count: usize) -> Self {
        let mut words = [0; BLOCKS];
        for (i, word) in words.iter_mut().enumerate() {
            *word = u64::first(count.saturating_sub(64 * i));
        }
        Self::read(&words)
    }

    #[inline(always)]
    fn read(from: &[u64; BLOCKS]) -> Self {
        // SAFETY: it is used where the processor has what it needs, and reads the words that are there.
        Self(unsafe { _mm512_loadu_si512(from.as_ptr().cast()) })
    }

    #[inline(always)]
    fn write(self, to: &mut [u64; BLOCKS], _at: usize) {
        // SAFETY: as above.
        unsafe { _mm512_storeu_si512(to.as_mut_ptr().cast(), self.0) }
    }

    #[inline(always)]
    fn any(self) -> bool {
        // SAFETY: as above.
        unsafe { _mm512_test_epi64_mask(self.0, self.0) != 0 }
    }

    #[inline(always)]
    fn after(self, before: Self) -> Self {
        // SAFETY: as above.
        Self(unsafe { _mm512_shldi_epi64::<1>(self.0, _mm512_alignr_epi64::<7>(self.0, before.0)) })
    }

    #[inline(always)]
    fn sum(self, other: Self, carry: &mut u64) -> Self {
        // SAFETY: as above.
        unsafe { sum(self, other, carry) }
    }
}

/// Each word for itself; and then one more for those to which something is carried, which goes through words that are
/// full.
#[target_feature(enable = "avx512f")]
#[inline]
fn sum(Wide(a): Wide, Wide(b): Wide, carry: &mut u64) -> Wide {
    let ones = _mm512_set1_epi8(-1);
    let sum = _mm512_add_epi64(a, b);
    let carried = u64::from(_mm512_cmplt_epu64_mask(sum, a)) << 1 | *carry;
    let full = u64::from(_mm512_cmpeq_epi64_mask(sum, ones));
    let through = carried + full;
    *carry = through >> 8;
    Wide(_mm512_mask_sub_epi64(sum, (through ^ full) as u8, sum, ones))
}

impl Default for Wide {
    #[inline(always)]
    fn default() -> Self {
        // SAFETY: as above.
        Self(unsafe { _mm512_setzero_si512() })
    }
}

impl BitAnd for Wide {
    type Output = Self;

    #[inline(always)]
    fn bitand(self, other: Self) -> Self {
        // SAFETY: as above.
        Self(unsafe { _mm512_and_si512(self.0, other.0) })
    }
}

impl BitOr for Wide {
    type Output = Self;

    #[inline(always)]
    fn bitor(self, other: Self) -> Self {
        // SAFETY: as above.
        Self(unsafe { _mm512_or_si512(self.0, other.0) })
    }
}

impl Not for Wide {
    type Output = Self;

    #[inline(always)]
    fn not(self) -> Self {
        // SAFETY: as above.
        Self(unsafe { _mm512_xor_si512(self.0, _mm512_set1_epi8(-1)) })
    }
}
