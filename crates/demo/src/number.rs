//! Numbers for people.

use std::time::Duration;

/// `1234567` as `1,234,567`.
pub(crate) fn grouped(number: impl TryInto<u64>) -> String {
    let digits = number.try_into().unwrap_or(u64::MAX).to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// In microseconds, or in milliseconds from ten on.
pub(crate) fn time(duration: Duration) -> String {
    let microseconds = duration.as_secs_f64() * 1e6;
    if microseconds < 10_000.0 {
        format!("{microseconds:.0} µs")
    } else {
        format!("{:.0} ms", microseconds / 1e3)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_grouped() {
        let found = [0_u64, 12, 123, 1234, 123_456, 1_234_567].map(grouped);
        assert_eq!(found, ["0", "12", "123", "1,234", "123,456", "1,234,567"]);
    }

    #[test]
    fn times_have_a_unit() {
        let found = [61, 61_400, 9_999_400, 61_000_000].map(|nanos| time(Duration::from_nanos(nanos)));
        assert_eq!(found, ["0 µs", "61 µs", "9999 µs", "61 ms"]);
    }
}
