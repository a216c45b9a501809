//! The values that annotations, mapping entries and settings carry. One parser each, for every door.

use crate::ascii::{self, is_one};
use crate::names;

/// How long a token is valid, in seconds, within what the API server accepts
/// (<https://kubernetes.io/docs/reference/kubernetes-api/config-and-storage-resources/volume/#projections>).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct TokenExpiration(u64);

impl TokenExpiration {
    /// Ten minutes.
    pub const MIN: Self = Self(600);
    /// 2^32 seconds.
    pub const MAX: Self = Self(1 << 32);
    /// A day, as in the Go webhook.
    pub const DEFAULT: Self = Self(86_400);

    /// In seconds.
    #[must_use]
    pub fn seconds(self) -> u64 {
        self.0
    }

    /// A whole number of any size and sign, brought into the bounds; `None` when it is not one.
    #[must_use]
    pub fn clamped(text: &str) -> Option<Clamped> {
        let (negative, digits) = match text.strip_prefix('-') {
            Some(digits) => (true, digits),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let seconds = decimal(digits)?;
        let seconds = if negative { 0 } else { seconds };
        let value = Self(seconds.clamp(Self::MIN.0, Self::MAX.0));
        Some(Clamped { value, clamped: value.0 != seconds })
    }

    /// Spread over the last two hours of a day by a hash, so that the tokens of many pods do not expire
    /// together, and the same pod always gets the same answer. The Go webhook draws from the same range.
    #[must_use]
    pub fn spread(namespace: &str, name: &str) -> Self {
        // FNV-1a (RFC 9923), for it is short and the same everywhere.
        let hash =
            namespace.bytes().chain([b'/']).chain(name.bytes()).fold(0xcbf2_9ce4_8422_2325_u64, |hash, b| {
                (hash ^ u64::from(b)).wrapping_mul(0x0000_0100_0000_01b3)
            });
        Self(79_200 + (hash ^ hash >> 32) % 7_201)
    }
}

/// A [`TokenExpiration`] that may have been out of bounds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Clamped {
    /// Within the bounds.
    pub value: TokenExpiration,
    /// What was written was not.
    pub clamped: bool,
}

/// A region for the SDKs, or the wish to be given none.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Region<'a> {
    /// `none`: the pod brings its own.
    None,
    /// Such as `eu-west-1`.
    Named(&'a str),
}

impl<'a> Region<'a> {
    /// What is expected of a region, for messages.
    pub const EXPECTED: &'static str = "a region (at most 32 of `a-z`, `0-9` and `-`) or `none`";

    /// SDKs build host names from a region, so only `[a-z0-9-]{1,32}` is one.
    #[must_use]
    pub fn parse(text: &'a str) -> Option<Self> {
        if text == "none" {
            Some(Self::None)
        } else if (1..=32).contains(&text.len())
            && text.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'))
        {
            Some(Self::Named(text))
        } else {
            None
        }
    }

    /// As it is written.
    #[must_use]
    pub fn text(&self) -> &str {
        match self {
            Self::None => "none",
            Self::Named(name) => name,
        }
    }
}

/// A truth value as Go's `strconv.ParseBool` reads it.
#[must_use]
pub fn parse_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Some(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Some(false),
        _ => None,
    }
}

/// What is expected of an audience, for messages.
pub const AUDIENCE: &str = "an audience in printable ASCII without blanks";

/// An audience that a token can be asked for: printable ASCII without blanks.
#[must_use]
pub fn is_audience(text: &str) -> bool {
    !text.is_empty() && text.len() <= 1024 && text.bytes().all(|b| b.is_ascii_graphic())
}

/// A whole number without a sign; the largest one for all that are larger.
pub(crate) fn decimal(digits: &str) -> Option<u64> {
    let all = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    all.then(|| digits.bytes().fold(0_u64, |n, b| n.saturating_mul(10).saturating_add(u64::from(b - b'0'))))
}

/// The names in a comma-separated list, blanks and quotes around each ignored.
pub fn container_names(list: &str) -> impl Iterator<Item = &str> {
    ascii::parts(list, b",").map(bare).filter(|name| !name.is_empty())
}

fn bare(name: &str) -> &str {
    let mut name = name.trim();
    loop {
        name = match name.as_bytes() {
            [b'"' | b'\'', ..] => name.get(1..),
            [.., b'"' | b'\''] => name.get(..name.len() - 1),
            _ => return name,
        }
        .unwrap_or_default()
        .trim();
    }
}

/// The permission bits of the token file, from octal text such as `0440`.
///
/// # Errors
///
/// Says what was expected.
pub fn parse_file_mode(text: &str) -> Result<u16, &'static str> {
    let digits = text.strip_prefix('0').filter(|digits| digits.len() == 3).unwrap_or(text);
    let mode = digits.bytes().try_fold(0_u16, |mode, b| match b {
        b'0'..=b'7' => Some(mode << 3 | u16::from(b - b'0')),
        _ => None,
    });
    match mode {
        Some(mode) if digits.len() == 3 => {
            if mode & 0o333 == 0 && mode != 0 {
                Ok(mode)
            } else {
                Err("an octal mode with read bits only, such as `\"0440\"`")
            }
        }
        _ => Err("an octal mode as text, such as `\"0440\"`"),
    }
}

/// The name of a variable in a role's template: `[a-zA-Z][a-zA-Z0-9]*`.
#[must_use]
pub fn is_variable_name(name: &str) -> bool {
    name.bytes().next().is_some_and(|b| b.is_ascii_alphabetic())
        && name.bytes().all(|b| b.is_ascii_alphanumeric())
}

/// The name of a key in a config map's data.
#[must_use]
pub fn is_config_map_key(name: &str) -> bool {
    (1..=253).contains(&name.len())
        && !matches!(name, "." | "..")
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || is_one(b, b"-._"))
}

/// The prefix of the annotations that are read.
#[must_use]
pub fn is_annotation_prefix(prefix: &str) -> bool {
    names::is_dns_subdomain(prefix)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expirations() {
        for (text, expected) in [
            ("3600", Some((3600, false))),
            ("+3600", Some((3600, false))),
            ("007200", Some((7200, false))),
            ("600", Some((600, false))),
            ("599", Some((600, true))),
            ("0", Some((600, true))),
            ("-86400", Some((600, true))),
            ("-0", Some((600, true))),
            ("4294967296", Some((4_294_967_296, false))),
            ("4294967297", Some((4_294_967_296, true))),
            ("99999999999999999999999999", Some((4_294_967_296, true))),
            ("", None),
            ("+", None),
            ("-", None),
            ("1h", None),
            (" 3600", None),
            ("3600.0", None),
            ("0x10", None),
            ("1_000", None),
            ("+-1", None),
            ("٣", None),
        ] {
            let found = TokenExpiration::clamped(text).map(|c| (c.value.seconds(), c.clamped));
            assert_eq!(found, expected, "{text}");
        }
    }

    #[test]
    fn spread_is_steady_and_within_its_range() {
        assert_eq!(TokenExpiration::spread("pay", "api-0"), TokenExpiration::spread("pay", "api-0"));
        let seconds: std::collections::BTreeSet<u64> =
            (0..10_000).map(|i| TokenExpiration::spread("pay", &i.to_string()).seconds()).collect();
        assert!(seconds.iter().all(|s| (79_200..=86_400).contains(s)));
        assert!(seconds.len() > 4_000, "{}", seconds.len());
    }

    #[test]
    fn regions() {
        for (text, expected) in [
            ("eu-west-1", Some(Region::Named("eu-west-1"))),
            ("none", Some(Region::None)),
            ("", None),
            ("EU-WEST-1", None),
            ("eu.west", None),
            ("eu-west-1 ", None),
            ("x/../y", None),
            ("a@b", None),
            (&"a".repeat(33), None),
        ] {
            assert_eq!(Region::parse(text), expected, "{text}");
        }
    }

    #[test]
    fn names_in_lists() {
        for (list, expected) in [
            ("a,b", vec!["a", "b"]),
            (" a , \"b\" ,, 'c'", vec!["a", "b", "c"]),
            ("\" a \"", vec!["a"]),
            ("", vec![]),
            (" , ", vec![]),
        ] {
            assert_eq!(container_names(list).collect::<Vec<_>>(), expected, "{list}");
        }
    }

    #[test]
    fn file_modes() {
        for (text, expected) in [
            ("0440", Some(0o440)),
            ("440", Some(0o440)),
            ("0400", Some(0o400)),
            ("0444", Some(0o444)),
            ("0644", None),
            ("0755", None),
            ("0000", None),
            ("288", None),
            ("00440", None),
            ("4440", None),
            ("", None),
            ("+44", None),
            ("044", Some(0o044)),
        ] {
            assert_eq!(parse_file_mode(text).ok(), expected, "{text}");
        }
    }
}
