//! Checks a whole document sixteen bytes at a time, and notes where its arrays and objects end, so that reading it
//! need not look into those that nobody reads.
//!
//! It is about documents without blanks between tokens, as the API server writes them, and only ever says that one
//! is well-formed: the plain reader is there for all others, and to say what is wrong. Masks of the bytes that
//! matter, and of those inside of strings, are made as in simdjson (<https://arxiv.org/abs/1902.08318>, section 3).
//! The grammar is checked on the masks, too: without blanks, what may stand beside each other is a matter of
//! neighbouring bits, and only brackets are visited one by one.

use wide::u8x16;

use super::MAX_DEPTH;

/// Where the arrays and objects of a document begin and end, but for the empty ones.
#[derive(Debug)]
pub(super) struct Outline {
    /// The bytes of the opening and the closing bracket, in the order of the opening ones.
    spans: Vec<(u32, u32)>,
}

impl Outline {
    /// The outline of a well-formed object without blanks that is not nested too deep.
    pub(super) fn of(text: &str) -> Option<Self> {
        #[cfg(target_arch = "x86_64")]
        if avx2::is_there() {
            #[allow(unsafe_code, reason = "what it needs of the processor is there")]
            // SAFETY: see the reason above.
            return unsafe { avx2::outline(text) };
        }
        Self::scan(text, Masks::of)
    }

    #[inline(always)]
    fn scan(text: &str, masks: impl Fn(&[u8; 64]) -> Masks) -> Option<Self> {
        // The API server ends what it sends with a line break.
        let bytes = text.trim_ascii_end().as_bytes();
        u32::try_from(bytes.len()).ok()?;
        if bytes.first() != Some(&b'{') {
            return None;
        }
        let mut carried = Carried { before: Before::OPENS, ..Carried::default() };
        // About one array or object in forty bytes is not empty.
        let spans = Vec::with_capacity(bytes.len() / 24 + 8);
        let mut levels = Levels { objects: 0, colon_was_last: 0, open: [0; MAX_DEPTH - 1], depth: 0, spans };
        let mut at = 0_u32;
        let mut rest = bytes;
        while let Some((block, after)) = rest.split_first_chunk::<64>() {
            carried.block(block, masks(block), bytes, at, u64::MAX, &mut levels)?;
            at += 64;
            rest = after;
        }
        let mut last = [b' '; 64];
        for (to, from) in last.iter_mut().zip(rest) {
            *to = *from;
        }
        carried.block(&last, masks(&last), bytes, at, !(u64::MAX << rest.len()), &mut levels)?;
        (levels.depth == 0 && carried.in_string == 0).then_some(Self { spans: levels.spans })
    }

    /// The byte after the array or object that begins at a byte.
    pub(super) fn end(&self, start: usize) -> Option<usize> {
        let start = u32::try_from(start).ok()?;
        let i = self.spans.binary_search_by_key(&start, |(open, _)| *open).ok()?;
        self.spans.get(i).map(|(_, close)| *close as usize + 1)
    }
}

/// Which of 64 bytes are what, wherever they stand.
struct Masks {
    quotes: u64,
    /// Backslashes and control characters: what a string seldom holds.
    rare: u64,
    commas: u64,
    colons: u64,
    opens: u64,
    closes: u64,
    /// Among the brackets, those of objects.
    curly: u64,
}

impl Masks {
    #[inline(always)]
    fn of(block: &[u8; 64]) -> Self {
        let is = |part: u8x16, byte: u8| part.simd_eq(u8x16::splat(byte));
        // `[` and `{` differ in this bit alone, as `]` and `}` do.
        let curly = |part: u8x16| part | u8x16::splat(b'[' ^ b'{');
        Self {
            quotes: mask(block, |part| is(part, b'"')),
            rare: mask(block, |part| is(part, b'\\') | is_control(part)),
            commas: mask(block, |part| is(part, b',')),
            colons: mask(block, |part| is(part, b':')),
            opens: mask(block, |part| is(curly(part), b'{')),
            closes: mask(block, |part| is(curly(part), b'}')),
            curly: mask(block, |part| curly(part).simd_eq(part)),
        }
    }
}

/// The bytes of a block that match, each as a bit.
#[inline(always)]
fn mask(block: &[u8; 64], matches: impl Fn(u8x16) -> u8x16) -> u64 {
    let parts = block.as_chunks::<16>().0;
    parts.iter().rev().fold(0, |mask, part| mask << 16 | u64::from(matches(u8x16::from(*part)).to_bitmask()))
}

#[inline(always)]
fn is_control(part: u8x16) -> u8x16 {
    part.min(u8x16::splat(0x1f)).simd_eq(part)
}

/// With 32 bytes at a time, and instructions for single bits: what nearly all processors with this architecture have
/// (<https://en.wikipedia.org/wiki/X86-64#Microarchitecture_levels>, level 3).
#[cfg(target_arch = "x86_64")]
mod avx2 {
    use core::arch::x86_64::{
        __m256i, _mm256_cmpeq_epi8, _mm256_min_epu8, _mm256_movemask_epi8, _mm256_or_si256,
        _mm256_set_epi64x, _mm256_set1_epi8,
    };

    use super::{Masks, Outline};

    pub(super) fn is_there() -> bool {
        is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("bmi1")
            && is_x86_feature_detected!("bmi2")
            && is_x86_feature_detected!("lzcnt")
    }

    #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt")]
    pub(super) fn outline(text: &str) -> Option<Outline> {
        Outline::scan(text, |block| masks(block))
    }

    /// As [`Masks::of`].
    #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt")]
    #[inline]
    fn masks(block: &[u8; 64]) -> Masks {
        let is = |part: __m256i, byte: u8| _mm256_cmpeq_epi8(part, _mm256_set1_epi8(byte.cast_signed()));
        let parts = [part(block, 0), part(block, 32)];
        let curly = parts.map(|part| _mm256_or_si256(part, _mm256_set1_epi8((b'[' ^ b'{').cast_signed())));
        Masks {
            quotes: mask(parts.map(|part| is(part, b'"'))),
            rare: mask(parts.map(|part| {
                let control = _mm256_cmpeq_epi8(_mm256_min_epu8(part, _mm256_set1_epi8(0x1f)), part);
                _mm256_or_si256(is(part, b'\\'), control)
            })),
            commas: mask(parts.map(|part| is(part, b','))),
            colons: mask(parts.map(|part| is(part, b':'))),
            opens: mask(curly.map(|part| is(part, b'{'))),
            closes: mask(curly.map(|part| is(part, b'}'))),
            curly: mask([_mm256_cmpeq_epi8(curly[0], parts[0]), _mm256_cmpeq_epi8(curly[1], parts[1])]),
        }
    }

    /// Thirty-two bytes.
    #[target_feature(enable = "avx2")]
    #[inline]
    fn part(block: &[u8; 64], from: usize) -> __m256i {
        let words = block.as_chunks::<8>().0;
        let word = |i: usize| words.get(from / 8 + i).map_or(0, |word| i64::from_le_bytes(*word));
        _mm256_set_epi64x(word(3), word(2), word(1), word(0))
    }

    #[target_feature(enable = "avx2")]
    #[inline]
    fn mask([low, high]: [__m256i; 2]) -> u64 {
        u64::from(_mm256_movemask_epi8(low).cast_unsigned())
            | u64::from(_mm256_movemask_epi8(high).cast_unsigned()) << 32
    }
}

/// What the byte before a block is, each as the lowest bit.
#[derive(Clone, Copy, Default)]
struct Before {
    opens: u64,
    /// A comma or a colon.
    separates: u64,
    /// The closing quote of a string.
    string: u64,
    /// A closing bracket.
    closes: u64,
    scalar: u64,
}

impl Before {
    /// As if a bracket had been opened: a value may come.
    const OPENS: Self = Self { opens: 1, separates: 0, string: 0, closes: 0, scalar: 0 };
}

/// What is carried from one block to the next.
#[derive(Default)]
struct Carried {
    /// All ones when the block begins inside of a string.
    in_string: u64,
    /// Whether the block's first byte is escaped.
    escaped: u64,
    before: Before,
}

impl Carried {
    /// Checks a block, of which `text` are the bytes of the document. `None` when something is wrong.
    #[inline(always)]
    fn block(
        &mut self,
        block: &[u8; 64],
        masks: Masks,
        bytes: &[u8],
        at: u32,
        text: u64,
        levels: &mut Levels,
    ) -> Option<()> {
        let escaped = if masks.rare | self.escaped == 0 { 0 } else { self.escaped(block) };
        let quotes = masks.quotes & !escaped;
        // From an opening quote to the byte before the closing one.
        let inside = prefix_xor(quotes) ^ self.in_string;
        self.in_string = ((inside as i64) >> 63) as u64;
        if (masks.rare | escaped) & inside != 0 {
            let controls = mask(block, is_control) & inside;
            let mut escapes = bits(escaped & inside);
            if controls != 0 || !escapes.all(|bit| is_escape(bytes, (at + bit) as usize)) {
                return None;
            }
        }
        let outside = text & !inside;

        let string_opens = quotes & inside;
        let string_closes = quotes & outside;
        let commas = masks.commas & outside;
        let colons = masks.colons & outside;
        let opens = masks.opens & outside;
        let closes = masks.closes & outside;
        // Blanks and backslashes are among them, and are none.
        let scalars = outside & !(quotes | commas | colons | opens | closes);

        // Each byte's left neighbour.
        let before = self.before;
        let after_open = opens << 1 | before.opens;
        let after_separator = (commas | colons) << 1 | before.separates;
        let after_string = string_closes << 1 | before.string;
        let after_scalar = scalars << 1 | before.scalar;
        let after_value = after_string | closes << 1 | before.closes | after_scalar;
        self.before = Before {
            opens: opens >> 63,
            separates: (commas | colons) >> 63,
            string: string_closes >> 63,
            closes: closes >> 63,
            scalar: scalars >> 63,
        };
        let scalar_starts = scalars & !after_scalar;
        let starts = string_opens | opens | scalar_starts;
        let misplaced = starts & !(after_open | after_separator)
            | commas & !after_value
            | colons & !after_string
            | closes & !(after_value | after_open);
        if misplaced != 0 || !bits(scalar_starts).all(|bit| is_scalar(bytes, (at + bit) as usize)) {
            return None;
        }

        // An empty array or object does not change the level.
        let empty = opens & closes >> 1 & !(masks.curly ^ masks.curly >> 1);
        let mut left = (opens | closes) & !(empty | empty << 1);
        let mut separators = Separators { colons, commas, odd: prefix_xor(colons | commas) };
        while left != 0 {
            let bit = left & left.wrapping_neg();
            levels.separators(separators.split_off(bit))?;
            let place = at + bit.trailing_zeros();
            let object = masks.curly & bit != 0;
            if opens & bit != 0 {
                levels.open(object, place)?;
            } else {
                levels.close(object, place, after_open & bit != 0)?;
            }
            left ^= bit;
        }
        levels.separators(separators)
    }

    /// The bytes that a backslash stands before that is not itself escaped.
    #[cold]
    fn escaped(&mut self, block: &[u8; 64]) -> u64 {
        let mut escaped = core::mem::take(&mut self.escaped);
        let mut left = mask(block, |part| part.simd_eq(u8x16::splat(b'\\'))) & !escaped;
        while left != 0 {
            let bit = left.trailing_zeros();
            if bit == 63 {
                self.escaped = 1;
                break;
            }
            escaped |= 2 << bit;
            left &= !(3 << bit);
        }
        escaped
    }
}

/// Commas and colons of a block.
#[derive(Clone, Copy)]
struct Separators {
    colons: u64,
    commas: u64,
    /// For each place whether the number of both up to it is odd in the block.
    odd: u64,
}

impl Separators {
    /// Takes those before a place.
    #[inline(always)]
    fn split_off(&mut self, bit: u64) -> Self {
        let before = bit - 1;
        let taken = Self { colons: self.colons & before, commas: self.commas & before, odd: self.odd };
        self.colons &= !before;
        self.commas &= !before;
        taken
    }
}

/// The arrays and objects that are open.
struct Levels {
    /// One bit for each, the innermost lowest: 1 is an object.
    objects: u64,
    /// In the same order, for objects: a colon was the last separator, so that a comma or the end comes next.
    colon_was_last: u64,
    /// The places of the open ones in `spans`. The innermost level is left for those that are empty.
    open: [u32; MAX_DEPTH - 1],
    depth: usize,
    spans: Vec<(u32, u32)>,
}

impl Levels {
    /// Takes the separators between two brackets: none but commas in an array, colons and commas in turn in an
    /// object.
    #[inline(always)]
    fn separators(&mut self, Separators { colons, commas, odd }: Separators) -> Option<()> {
        let both = colons | commas;
        if both == 0 {
            return Some(());
        }
        if self.objects & 1 == 0 {
            return (self.depth > 0 && colons == 0).then_some(());
        }
        // The first, the third, and so on.
        let odd = both & if odd & both & both.wrapping_neg() != 0 { odd } else { !odd };
        let expected = if self.colon_was_last & 1 == 0 { colons } else { commas };
        self.colon_was_last = self.colon_was_last & !1 | u64::from(colons > commas);
        (odd == expected).then_some(())
    }

    #[inline(always)]
    fn open(&mut self, object: bool, at: u32) -> Option<()> {
        *self.open.get_mut(self.depth)? = u32::try_from(self.spans.len()).ok()?;
        self.spans.push((at, at));
        self.objects = self.objects << 1 | u64::from(object);
        self.colon_was_last <<= 1;
        self.depth += 1;
        Some(())
    }

    #[inline(always)]
    fn close(&mut self, object: bool, at: u32, empty: bool) -> Option<()> {
        self.depth = self.depth.checked_sub(1)?;
        self.spans.get_mut(*self.open.get(self.depth)? as usize)?.1 = at;
        let fits = object == (self.objects & 1 == 1) && (!object || empty || self.colon_was_last & 1 == 1);
        self.objects >>= 1;
        self.colon_was_last >>= 1;
        fits.then_some(())
    }
}

/// For each bit whether an odd number of those up to it are set.
#[inline(always)]
fn prefix_xor(mut mask: u64) -> u64 {
    for shift in [1, 2, 4, 8, 16, 32] {
        mask ^= mask << shift;
    }
    mask
}

/// The positions of the bits that are set.
#[inline(always)]
fn bits(mut mask: u64) -> impl Iterator<Item = u32> {
    core::iter::from_fn(move || {
        let bit = (mask != 0).then(|| mask.trailing_zeros());
        mask &= mask.wrapping_sub(1);
        bit
    })
}

/// Whether what stands after a backslash makes an escape sequence.
fn is_escape(bytes: &[u8], at: usize) -> bool {
    match bytes.get(at..) {
        Some([b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't', ..]) => true,
        Some([b'u', a, b, c, d, ..]) => [a, b, c, d].into_iter().all(u8::is_ascii_hexdigit),
        _ => false,
    }
}

/// Whether a number or a literal stands here, up to a comma or a closing bracket.
fn is_scalar(bytes: &[u8], at: usize) -> bool {
    let text = bytes.get(at..).unwrap_or_default();
    let rest = match text {
        [b't', b'r', b'u', b'e', rest @ ..]
        | [b'f', b'a', b'l', b's', b'e', rest @ ..]
        | [b'n', b'u', b'l', b'l', rest @ ..] => Some(rest),
        _ => number(text),
    };
    matches!(rest, Some([b',' | b']' | b'}', ..]))
}

/// What follows a number.
fn number(text: &[u8]) -> Option<&[u8]> {
    let rest = match text.strip_prefix(b"-").unwrap_or(text) {
        [b'0', rest @ ..] => rest,
        rest => digits(rest)?,
    };
    let rest = rest.strip_prefix(b".").map_or(Some(rest), digits)?;
    match rest {
        [b'e' | b'E', b'+' | b'-', rest @ ..] | [b'e' | b'E', rest @ ..] => digits(rest),
        _ => Some(rest),
    }
}

fn digits(text: &[u8]) -> Option<&[u8]> {
    let end = text.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    if end == 0 { None } else { text.get(end..) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::{Arena, Scanner};

    /// Whether it is well-formed, as this processor and as any processor finds.
    fn is_outlined(text: &str) -> bool {
        let outline = Outline::of(text);
        assert_eq!(
            outline.as_ref().map(|o| &o.spans),
            Outline::scan(text, Masks::of).as_ref().map(|o| &o.spans)
        );
        outline.is_some()
    }

    /// Whether the plain reader takes it.
    fn is_plain(text: &str) -> bool {
        let arena = Arena::default();
        let mut s = Scanner::new(text, &arena);
        s.skip();
        s.result(()).is_ok()
    }

    /// All sequences of so many of the parts.
    fn sequences(parts: &[&str], length: usize, text: &mut String, visit: &mut impl FnMut(&str)) {
        visit(text);
        if length > 0 {
            for part in parts {
                let end = text.len();
                text.push_str(part);
                sequences(parts, length - 1, text, visit);
                text.truncate(end);
            }
        }
    }

    #[test]
    fn agrees_with_the_plain_reader_on_every_short_document() {
        let parts = ["{", "}", "[", "]", ",", ":", "\"", "\"a\"", "\"a\":", "1", "\\"];
        let mut valid = 0;
        // The second start puts the end of a block among the parts.
        for (start, length) in [("{".to_owned(), 5), (format!("{{\"{}\":1,", "x".repeat(55)), 4)] {
            sequences(&parts, length, &mut start.clone(), &mut |text| {
                let plain = is_plain(text);
                valid += usize::from(plain);
                assert_eq!(is_outlined(text), plain, "{text}");
            });
        }
        assert!(valid > 30, "{valid} documents were well-formed");
    }

    #[test]
    fn agrees_with_the_plain_reader_on_texts_and_numbers() {
        let values = [
            "\"\\u00e9\"",
            "\"\\u00g9\"",
            "\"\\x\"",
            "\"\\\\\"",
            "\"\\\\\\\"\"",
            "\"\\\"",
            "\"\t\"",
            "\"\u{7f}é\"",
            "\"{[,:\"",
            "0",
            "-0",
            "01",
            "-",
            "1.",
            "1.5",
            ".5",
            "1e5",
            "1E+5",
            "1e",
            "1e-",
            "+1",
            "1.5e-7",
            "1a",
            "true",
            "tru",
            "truex",
            "false",
            "null",
            "nul",
            "nulll",
            "NaN",
            "\u{1}",
            "{}",
            "[]",
            "[{}]",
            "{]",
            "[}",
            "[[]]",
            "\"a\"1",
            "1\"a\"",
            "\\",
        ];
        for padding in 0..70 {
            for value in values {
                let text = format!("{{\"{}\":{value}}}", "x".repeat(padding));
                assert_eq!(is_outlined(&text), is_plain(&text), "{text}");
            }
        }
    }

    #[test]
    fn blanks_and_depth_are_for_the_plain_reader() {
        let nested = |depth: usize| "{\"a\":".repeat(depth - 1) + "{}" + &"}".repeat(depth - 1);
        assert!(Outline::of(&nested(MAX_DEPTH)).is_some());
        assert!(Outline::of(&nested(MAX_DEPTH + 1)).is_none());
        for text in ["{\"a\": 1}", " {}", "{ }", "[1]", "1", ""] {
            assert!(Outline::of(text).is_none(), "{text}");
        }
        assert!(Outline::of("{\"a\":1}\n").is_some());
    }

    #[test]
    fn ends_are_where_the_brackets_close() {
        let text = format!("{{\"a\":[1,{{\"{}\":[2]}},[]],\"b\":{{}}}}", "]}".repeat(40));
        let outline = Outline::of(&text).unwrap();
        let ends: Vec<_> = outline
            .spans
            .iter()
            .map(|&(open, close)| text.get(open as usize..=close as usize).unwrap())
            .collect();
        let inner = format!("{{\"{}\":[2]}}", "]}".repeat(40));
        assert_eq!(ends, [text.as_str(), &format!("[1,{inner},[]]"), &inner, "[2]"]);
        assert_eq!(outline.end(0), Some(text.len()));
        assert_eq!(outline.end(1), None);
    }
}
