//! Texts cut at characters of ASCII, byte by byte: the searchers of `core::str` would be kilobytes of the policy.

/// What stands before and after the first of a character.
pub(crate) fn cut(text: &str, at: u8) -> Option<(&str, &str)> {
    let at = text.bytes().position(|b| b == at)?;
    Some((text.get(..at)?, text.get(at + 1..)?))
}

/// Whether one of some characters is in a text.
pub(crate) fn holds(text: &str, any: &[u8]) -> bool {
    text.bytes().any(|b| is_one(b, any))
}

/// Whether a byte is one of a few: `contains` is made for many.
#[allow(clippy::manual_contains, reason = "it would bring memchr into the policy")]
pub(crate) fn is_one(byte: u8, any: &[u8]) -> bool {
    any.iter().any(|b| *b == byte)
}

/// What stands between some characters.
pub(crate) fn parts<'t>(text: &'t str, at: &'static [u8]) -> Parts<'t> {
    Parts { rest: Some(text), at }
}

/// See [`parts`].
#[derive(Clone)]
pub(crate) struct Parts<'t> {
    rest: Option<&'t str>,
    at: &'static [u8],
}

impl<'t> Iterator for Parts<'t> {
    type Item = &'t str;

    #[cfg_attr(target_arch = "wasm32", inline(never))]
    fn next(&mut self) -> Option<&'t str> {
        let text = self.rest?;
        let end = text.bytes().position(|b| is_one(b, self.at));
        self.rest = end.and_then(|end| text.get(end + 1..));
        text.get(..end.unwrap_or(text.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_core_does_it() {
        for text in ["", "a", "/", "a/b", "/a//b\\", "日/本\\語", "//"] {
            assert_eq!(cut(text, b'/'), text.split_once('/'), "{text}");
            assert_eq!(holds(text, b"/\\"), text.contains(['/', '\\']), "{text}");
            assert!(parts(text, b"/\\").eq(text.split(['/', '\\'])), "{text}");
        }
    }
}
