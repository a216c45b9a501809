//! The text of JSON strings: finding where the plain part ends, resolving escapes, writing.

const ONES: u64 = u64::MAX / 255;
const HIGH: u64 = ONES << 7;

/// The number of leading bytes that are neither a quote, nor a backslash, nor a control character.
///
/// Eight bytes at a time: a borrow shows which bytes of a word are zero, or below a bound. It may mark a byte
/// above a marked one wrongly, never one below, and only the lowest mark counts.
/// <https://graphics.stanford.edu/~seander/bithacks.html#ZeroInWord>
#[inline]
pub(super) fn plain_length(bytes: &[u8]) -> usize {
    let (words, _) = bytes.as_chunks::<8>();
    let mut length = 0;
    for word in words {
        let word = u64::from_le_bytes(*word);
        let quote = word ^ (ONES * b'"' as u64);
        let backslash = word ^ (ONES * b'\\' as u64);
        let marks = (quote.wrapping_sub(ONES) & !quote
            | backslash.wrapping_sub(ONES) & !backslash
            | word.wrapping_sub(ONES * 0x20) & !word)
            & HIGH;
        if marks != 0 {
            return length + (marks.trailing_zeros() / 8) as usize;
        }
        length += 8;
    }
    let tail = bytes.get(length..).unwrap_or_default();
    length + tail.iter().position(|byte| matches!(byte, b'"' | b'\\' | ..0x20)).unwrap_or(tail.len())
}

/// Resolves the escapes of a string whose syntax was checked; `None` for half of a surrogate pair, which is no
/// character.
pub(super) fn unescape(raw: &str) -> Option<String> {
    let mut out = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some((plain, escape)) = rest.split_once('\\') {
        out.push_str(plain);
        let mut chars = escape.chars();
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
    Some((u32::from_str_radix(hex.get(..4)?, 16).ok()?, hex.get(4..)?))
}

/// Appends a JSON string, quotes included.
pub fn write_string(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\0'..'\x20' => {
                out.push_str("\\u00");
                for digit in [c as u32 >> 4, c as u32 & 15] {
                    out.push(char::from_digit(digit, 16).unwrap_or_default());
                }
            }
            _ => out.push(c),
        }
    }
    out.push('"');
}
