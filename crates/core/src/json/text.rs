//! The text of JSON strings: finding where the plain part ends, resolving escapes, writing.

use alloc::string::String;

const ONES: u64 = u64::MAX / 255;
const HIGH: u64 = ONES << 7;

/// The bytes before the first quote, backslash or control character.
// In the policy, whose size counts, it is there once.
#[cfg_attr(target_arch = "wasm32", inline(never))]
#[cfg_attr(not(target_arch = "wasm32"), inline(always))]
pub(super) fn plain_length(text: &[u8]) -> usize {
    #[cfg(any(target_feature = "simd128", not(target_arch = "wasm32")))]
    let rest = match after_plain_blocks(text) {
        (rest, Some(length)) => return text.len() - rest.len() + length,
        (rest, None) => rest,
    };
    #[cfg(not(any(target_feature = "simd128", not(target_arch = "wasm32"))))]
    let rest = text;
    text.len() - after_plain(rest).len()
}

/// A text up to its first quote, if that is among its first thirty-two bytes, and no backslash or control character before
/// it. Most are that short.
#[cfg(not(target_arch = "wasm32"))]
#[inline(always)]
pub(super) fn short(text: &str) -> Option<&str> {
    let [low, high] = text.as_bytes().first_chunk::<32>()?.as_chunks().0 else { return None };
    let end = (ends(low) | ends(high) << 16).trailing_zeros() as usize;
    if text.as_bytes().get(end) == Some(&b'"') { text.get(..end) } else { None }
}

/// A bit for each of sixteen bytes that is a quote, backslash or control character.
#[cfg(any(target_feature = "simd128", not(target_arch = "wasm32")))]
#[inline(always)]
fn ends(block: &[u8; 16]) -> u32 {
    use wide::u8x16;

    let block = u8x16::from(*block);
    let control = block.min(u8x16::splat(0x1f)).simd_eq(block);
    let ends = control | block.simd_eq(u8x16::splat(b'"')) | block.simd_eq(u8x16::splat(b'\\'));
    ends.to_bitmask()
}

/// A text from the sixteen bytes on that hold a quote, backslash or control character, and where in them it stands: behind
/// them when there is none. Or what is left, in which nobody has looked for it.
#[cfg(any(target_feature = "simd128", not(target_arch = "wasm32")))]
#[inline(always)]
fn after_plain_blocks(text: &[u8]) -> (&[u8], Option<usize>) {
    let mut rest = text;
    while let Some((block, after)) = rest.split_first_chunk::<16>() {
        let ends = ends(block);
        if ends != 0 {
            return (rest, Some(ends.trailing_zeros() as usize));
        }
        rest = after;
    }
    // What is left, together with what stands before it.
    #[cfg(not(target_arch = "wasm32"))]
    if let Some((_, last)) = text.split_last_chunk() {
        return (last, Some(ends(last).trailing_zeros().min(16) as usize));
    }
    (rest, None)
}

/// A text from its first quote, backslash or control character on.
#[inline(always)]
pub(super) fn after_plain(text: &[u8]) -> &[u8] {
    from_mark(text, |word| {
        // With one bit turned, the quote (0x22) comes right after the control characters.
        let ends = (word ^ (ONES * 0x02)).wrapping_sub(ONES * 0x21);
        (ends | zeros(word ^ (ONES * b'\\' as u64))) & !word
    })
}

/// A text from its first quote, backslash, `*` or `?` on, or from any other character of ASCII that Kubernetes' names
/// do not hold.
#[inline(always)]
pub(super) fn after_name(text: &[u8]) -> &[u8] {
    from_mark(text, |word| {
        // `-`, `.`, `/` and digits follow each other. In them and in small letters the bit 0x20 is set.
        let below = word.wrapping_sub(ONES * b'-' as u64);
        (below | zeros(word ^ (ONES * b'?' as u64)) | !word << 2) & !word
    })
}

/// Whether a text holds a wildcard.
pub(crate) fn holds_wildcard(text: &str) -> bool {
    after_name(text.as_bytes()).iter().any(|byte| matches!(byte, b'*' | b'?'))
}

/// A text from its first byte on that is marked, eight at a time.
///
/// A mark is the highest bit of a byte; a zero byte is always marked. Above the lowest mark there may be wrong ones,
/// for a subtraction borrows from the next byte
/// (<https://graphics.stanford.edu/~seander/bithacks.html#ZeroInWord>).
#[inline(always)]
fn from_mark(text: &[u8], marks: impl Fn(u64) -> u64) -> &[u8] {
    let mut rest = text;
    let marked = loop {
        let Some((word, after)) = rest.split_first_chunk::<8>() else {
            break marks(padded(rest)) & HIGH;
        };
        let marked = marks(u64::from_le_bytes(*word)) & HIGH;
        if marked != 0 {
            break marked;
        }
        rest = after;
    };
    rest.get(marked.trailing_zeros() as usize / 8..).unwrap_or_default()
}

/// Less than a word, with zeros after it.
#[cold]
#[inline(never)]
fn padded(rest: &[u8]) -> u64 {
    rest.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte))
}

/// Marks the bytes of a word that are zero, and others that are not ASCII.
#[inline(always)]
fn zeros(word: u64) -> u64 {
    word.wrapping_sub(ONES)
}

/// Resolves the escapes of a string whose syntax was checked; `None` for half of a surrogate pair, which is no
/// character.
pub(super) fn unescape(raw: &str) -> Option<String> {
    let mut out = String::with_capacity(raw.len());
    let mut rest = raw;
    // Nothing else that ends a plain text is in it.
    while let Some((plain, escape)) = rest.split_at_checked(plain_length(rest.as_bytes()))
        && !escape.is_empty()
    {
        out.push_str(plain);
        let mut chars = escape.chars();
        chars.next();
        match chars.next()? {
            'b' => out.push('\u{8}'),
            'f' => out.push('\u{c}'),
            'n' => out.push('\n'),
            'r' => out.push('\r'),
            't' => out.push('\t'),
            'u' => {
                let (unit, after) = code_unit(chars.as_str())?;
                chars = after.chars();
                if let Some(c) = char::from_u32(unit) {
                    out.push(c);
                } else {
                    let (low, after) = code_unit(chars.as_str().strip_prefix("\\u")?)?;
                    chars = after.chars();
                    let pair = [u16::try_from(unit).ok()?, u16::try_from(low).ok()?];
                    out.push(char::decode_utf16(pair).next()?.ok()?);
                }
            }
            other => out.push(other),
        }
        rest = chars.as_str();
    }
    out.push_str(rest);
    Some(out)
}

fn code_unit(hex: &str) -> Option<(u32, &str)> {
    let digit = |unit, b: u8| Some(unit << 4 | char::from(b).to_digit(16)?);
    Some((hex.get(..4)?.bytes().try_fold(0, digit)?, hex.get(4..)?))
}

/// Appends a JSON string, quotes included.
pub fn write_string(out: &mut String, text: &str) {
    out.push('"');
    let mut rest = text;
    loop {
        let plain = plain_length(rest.as_bytes());
        let (plain, from) = rest.split_at_checked(plain).unwrap_or((rest, ""));
        out.push_str(plain);
        let mut chars = from.chars();
        let Some(c) = chars.next() else { break };
        rest = chars.as_str();
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            _ => {
                out.push_str("\\u00");
                for digit in [c as u32 >> 4, c as u32 & 15] {
                    out.push(char::from_digit(digit, 16).unwrap_or_default());
                }
            }
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each byte of ASCII, at each place, among bytes that are next to those that are looked for.
    #[test]
    fn ends_are_found_wherever_they_are() {
        for around in *b"a/09z.!#[]~\x7f" {
            for (length, at) in (0..36_usize).flat_map(|length| (0..length).map(move |at| (length, at))) {
                for byte in 0..128 {
                    let mut text = vec![around; length];
                    text[at] = byte;
                    let rest = |ends: &dyn Fn(u8) -> bool| {
                        let end = text.iter().position(|byte| ends(*byte)).unwrap_or(length);
                        &text[end..]
                    };
                    assert_eq!(plain_length(&text), length - after_plain(&text).len(), "{text:?}");
                    assert_eq!(after_plain(&text), rest(&|b| matches!(b, b'"' | b'\\' | ..0x20)), "{text:?}");
                    let ends_name = |b: u8| b < b'-' || b == b'?' || b & 0x20 == 0;
                    assert_eq!(after_name(&text), rest(&ends_name), "{text:?}");
                }
            }
        }
        for text in ["é/ü", "日本語日本語日本語", "ÿÿÿÿÿÿÿÿ"] {
            assert!(after_plain(text.as_bytes()).is_empty(), "{text}");
        }
        for (text, expected) in [("", false), ("pay/api", false), ("p y*", true), ("PAY/日本語?", true)] {
            assert_eq!(holds_wildcard(text), expected, "{text}");
        }
    }
}
