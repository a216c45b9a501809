//! The text of JSON strings: finding where the plain part ends, resolving escapes, writing.

const ONES: u64 = u64::MAX / 255;
const HIGH: u64 = ONES << 7;

/// Marks the bytes of a word that are zero by their highest bit. A borrow may mark a byte above one that is zero
/// wrongly, never one below, and only the lowest mark counts.
/// <https://graphics.stanford.edu/~seander/bithacks.html#ZeroInWord>
#[inline(always)]
fn zeros(word: u64) -> u64 {
    word.wrapping_sub(ONES) & !word
}

/// The byte at or after a position that is a quote, a backslash or a control character, eight at a time; the end
/// when there is none.
#[inline(always)]
pub(super) fn plain_end(bytes: &[u8], at: usize) -> usize {
    let mut rest = bytes.get(at..).unwrap_or_default();
    while let Some((word, after)) = rest.split_first_chunk::<8>() {
        let word = u64::from_le_bytes(*word);
        let marks = (zeros(word ^ (ONES * b'"' as u64))
            | zeros(word ^ (ONES * b'\\' as u64))
            | word.wrapping_sub(ONES * 0x20) & !word)
            & HIGH;
        if marks != 0 {
            return bytes.len() - rest.len() + (marks.trailing_zeros() / 8) as usize;
        }
        rest = after;
    }
    while let [byte, after @ ..] = rest
        && !matches!(byte, b'"' | b'\\' | ..0x20)
    {
        rest = after;
    }
    bytes.len() - rest.len()
}

/// Whether a text holds a wildcard, or a backslash, behind which there may be one.
#[inline(always)]
pub(crate) fn may_hold_wildcard(text: &[u8]) -> bool {
    let marked = |word: &[u8; 8]| {
        let word = u64::from_le_bytes(*word);
        (zeros(word ^ (ONES * b'*' as u64))
            | zeros(word ^ (ONES * b'?' as u64))
            | zeros(word ^ (ONES * b'\\' as u64)))
            & HIGH
            != 0
    };
    let Some(last) = text.last_chunk::<8>() else {
        return text.iter().any(|byte| matches!(byte, b'*' | b'?' | b'\\'));
    };
    let mut rest = text;
    while let Some((word, after)) = rest.split_first_chunk::<8>() {
        if marked(word) {
            return true;
        }
        rest = after;
    }
    marked(last)
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
