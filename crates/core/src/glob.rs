//! Globs: `*` stands for any characters, none included, `?` for exactly one.

use crate::ascii::is_one;
use crate::names::{is_dns_label, is_dns_subdomain};

/// Characters that a glob may have.
pub const MAX_LENGTH: usize = 253;
/// Wildcards that a glob may have.
pub const MAX_WILDCARDS: usize = 8;

/// A pattern within the bounds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Glob<'a>(&'a str);

/// Why a pattern is none.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum GlobError {
    /// Longer than [`MAX_LENGTH`].
    TooLong,
    /// More wildcards than [`MAX_WILDCARDS`].
    TooManyWildcards,
    /// It would match nothing.
    Empty,
}

impl GlobError {
    /// What is wrong, and what was expected.
    #[must_use]
    pub fn message(self) -> &'static str {
        match self {
            Self::TooLong => "a glob is too long: expected at most 253 characters",
            Self::TooManyWildcards => "a glob has too many wildcards: expected at most 8 of `*` and `?`",
            Self::Empty => "a glob is empty: expected at least one character",
        }
    }
}

impl<'a> Glob<'a> {
    /// Checks the bounds.
    ///
    /// # Errors
    ///
    /// When the pattern is beyond them.
    pub fn parse(pattern: &'a str) -> Result<Self, GlobError> {
        if pattern.is_empty() {
            Err(GlobError::Empty)
        } else if pattern.len() > MAX_LENGTH {
            Err(GlobError::TooLong)
        } else if pattern.len() - literal_length(pattern) > MAX_WILDCARDS {
            Err(GlobError::TooManyWildcards)
        } else {
            Ok(Self(pattern))
        }
    }

    /// As it is written.
    #[must_use]
    pub fn text(self) -> &'a str {
        self.0
    }

    /// No wildcard in it.
    #[must_use]
    pub fn is_exact(self) -> bool {
        literal_length(self.0) == self.0.len()
    }

    /// Whether it can match the name of a namespace.
    #[must_use]
    pub fn is_namespace(self) -> bool {
        if self.is_exact() { is_dns_label(self.0) } else { self.consists_of(b"-*?") }
    }

    /// Whether it can match the name of a service account.
    #[must_use]
    pub fn is_service_account(self) -> bool {
        if self.is_exact() { is_dns_subdomain(self.0) } else { self.consists_of(b"-.*?") }
    }

    fn consists_of(self, others: &[u8]) -> bool {
        self.0.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || is_one(b, others))
    }

    /// The number of characters that are no wildcards.
    #[must_use]
    pub fn literal_length(self) -> usize {
        literal_length(self.0)
    }

    /// Whether the whole text matches. Works on bytes: `?` is for texts in ASCII, as names and ARNs are.
    #[must_use]
    pub fn matches(self, text: &str) -> bool {
        let (mut pattern, mut rest) = (self.0.as_bytes(), text.as_bytes());
        // Where to go on when the present attempt fails: what follows the last `*`, and the text from which it
        // was tried. An earlier `*` never needs to be tried again, for the last one can take all that it could.
        let mut retry: Option<(&[u8], &[u8])> = None;
        loop {
            match (pattern.split_first(), rest.split_first()) {
                (Some((b'*', after)), _) => {
                    pattern = after;
                    retry = Some((after, rest));
                }
                (Some((p, after)), Some((t, behind))) if *p == b'?' || p == t => {
                    pattern = after;
                    rest = behind;
                }
                (None, None) => return true,
                _ => match retry.and_then(|(after, from)| Some((after, from.split_first()?.1))) {
                    Some((after, behind)) => {
                        pattern = after;
                        rest = behind;
                        retry = Some((after, behind));
                    }
                    None => return false,
                },
            }
        }
    }
}

fn literal_length(pattern: &str) -> usize {
    pattern.bytes().filter(|byte| !matches!(byte, b'*' | b'?')).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matches_whole_texts() {
        for (pattern, text, expected) in [
            ("a", "a", true),
            ("a", "b", false),
            ("a", "aa", false),
            ("*", "", true),
            ("*", "anything", true),
            ("?", "", false),
            ("?", "x", true),
            ("a*", "a", true),
            ("*a", "ba", true),
            ("*a", "ab", false),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-c-b", false),
            ("*a*a*a*b", "aaaaaaaaaaaaaaaa", false),
            ("*a*a*a*b", "aaaaaaaaaaaaaaab", true),
            ("a?c*", "abcd", true),
            ("**", "x", true),
        ] {
            assert_eq!(Glob::parse(pattern).unwrap().matches(text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn keeps_its_bounds() {
        assert_eq!(Glob::parse(""), Err(GlobError::Empty));
        assert_eq!(Glob::parse(&"a".repeat(254)), Err(GlobError::TooLong));
        assert!(Glob::parse(&"a".repeat(253)).is_ok());
        assert_eq!(Glob::parse("*?*?*?*?*"), Err(GlobError::TooManyWildcards));
        assert!(Glob::parse("*?*?*?*?").is_ok());
    }
}
