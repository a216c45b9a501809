//! Values as Go reads them.

use std::str::FromStr;
use std::time::Duration;

use pod_identity_core::values::parse_bool;

/// Texts with commas between them, blanks around each and empty ones left out.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct CommaSeparated(pub Vec<String>);

impl FromStr for CommaSeparated {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let texts = text.split(',').map(str::trim).filter(|text| !text.is_empty());
        Ok(Self(texts.map(str::to_owned).collect()))
    }
}

/// As `strconv.ParseBool`.
pub(super) fn switch(text: &str) -> Result<bool, &'static str> {
    parse_bool(text).ok_or("expected `true`, `false`, `1`, `0`, `t` or `f`")
}

/// As `strconv.ParseInt` with base 0: a prefix gives the base, `_` may stand between digits.
pub(super) fn integer(text: &str) -> Result<i64, &'static str> {
    const EXPECTED: &str = "expected a whole number";
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let lower = digits.to_ascii_lowercase();
    let (base, rest) = match lower.as_bytes() {
        [b'0', b'x', ..] => (16, lower.strip_prefix("0x").unwrap_or_default()),
        [b'0', b'o', ..] => (8, lower.strip_prefix("0o").unwrap_or_default()),
        [b'0', b'b', ..] => (2, lower.strip_prefix("0b").unwrap_or_default()),
        [b'0', _, ..] => (8, lower.trim_start_matches('0')),
        _ => (10, lower.as_str()),
    };
    // After a prefix an underscore may come first.
    let prefixed = rest.len() < lower.len();
    let underscores_stand_between =
        !rest.ends_with('_') && !rest.contains("__") && (prefixed || !rest.starts_with('_'));
    if !underscores_stand_between || rest.is_empty() && lower.bytes().any(|b| b != b'0') || lower.is_empty() {
        return Err(EXPECTED);
    }
    let rest = if rest.is_empty() { "0".to_owned() } else { rest.replace('_', "") };
    if !rest.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return Err(EXPECTED);
    }
    let value = i128::from_str_radix(&rest, base).map_err(|error| match error.kind() {
        std::num::IntErrorKind::PosOverflow => "expected a number of at most 64 bits",
        _ => EXPECTED,
    })?;
    i64::try_from(if negative { -value } else { value }).map_err(|_| "expected a number of at most 64 bits")
}

/// A TCP port.
pub(super) fn port(text: &str) -> Result<u16, &'static str> {
    u16::try_from(integer(text)?).map_err(|_| "expected a port from 0 to 65535")
}

/// How many, zero or more.
pub(super) fn count(text: &str) -> Result<u32, &'static str> {
    u32::try_from(integer(text)?).map_err(|_| "expected a number from 0 to 4294967295")
}

/// As klog's `-v`.
pub(super) fn verbosity(text: &str) -> Result<i32, &'static str> {
    text.parse().map_err(|_| "expected a whole number, such as `4`")
}

/// As `time.ParseDuration`; a negative one counts as zero.
pub(super) fn duration(text: &str) -> Result<Duration, &'static str> {
    const EXPECTED: &str = "expected a duration with a unit, such as `500ms` or `1m30s`";
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Ok(Duration::ZERO);
    }
    if rest.is_empty() {
        return Err(EXPECTED);
    }
    let mut nanoseconds = 0_u64;
    while !rest.is_empty() {
        let after = |text: &str, found: &str| text.get(found.len()..).unwrap_or_default().to_owned();
        let whole: String = rest.chars().take_while(char::is_ascii_digit).collect();
        let mut tail = after(rest, &whole);
        let mut fraction = String::new();
        if let Some(digits) = tail.strip_prefix('.') {
            fraction = digits.chars().take_while(char::is_ascii_digit).collect();
            tail = after(digits, &fraction);
        }
        if whole.is_empty() && fraction.is_empty() {
            return Err(EXPECTED);
        }
        let name: String = tail.chars().take_while(|c| *c != '.' && !c.is_ascii_digit()).collect();
        let unit = unit(&name).ok_or(EXPECTED)?;
        nanoseconds = part(&whole, &fraction, unit)
            .and_then(|part| nanoseconds.checked_add(part))
            .filter(|sum| *sum <= i64::MAX as u64 + u64::from(negative))
            .ok_or("expected a duration of at most 292 years")?;
        rest = rest.get(rest.len() - (tail.len() - name.len())..).unwrap_or_default();
    }
    Ok(if negative { Duration::ZERO } else { Duration::from_nanos(nanoseconds) })
}

/// A unit in nanoseconds.
fn unit(name: &str) -> Option<u64> {
    Some(match name {
        "ns" => 1,
        // The micro sign and the Greek letter.
        "us" | "\u{b5}s" | "\u{3bc}s" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    })
}

/// `1.5` of a unit, in nanoseconds.
fn part(whole: &str, fraction: &str, unit: u64) -> Option<u64> {
    let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    // More digits than nanoseconds in an hour make no difference.
    let digits: String = fraction.chars().take(15).collect();
    let scale = 10_u128.pow(u32::try_from(digits.len()).ok()?);
    let numerator: u128 = if digits.is_empty() { 0 } else { digits.parse().ok()? };
    let fraction = u64::try_from(numerator * u128::from(unit) / scale).ok()?;
    whole.checked_mul(unit)?.checked_add(fraction)
}
