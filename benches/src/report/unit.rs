//! What figures are counted in, and how they are shown.

#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Unit {
    Microseconds,
    Milliseconds,
    Seconds,
    /// Better when larger.
    PerSecond,
    Bytes,
    BytesEach,
    Count,
}

use Unit::{Bytes, BytesEach, Count, Microseconds, Milliseconds, PerSecond, Seconds};

impl Unit {
    /// How many times better a figure is than another one.
    pub(crate) fn times(self, figure: f64, other: f64) -> f64 {
        if self == PerSecond { figure / other } else { other / figure }
    }

    pub(crate) fn show(self, figure: f64) -> String {
        match self {
            Microseconds if figure.abs() >= 10_000.0 => Milliseconds.show(figure / 1000.0),
            Microseconds => format!("{} µs", three_digits(figure)),
            Milliseconds => format!("{} ms", three_digits(figure)),
            Seconds => format!("{figure:.2} s"),
            PerSecond => format!("{}/s", thousands(figure)),
            Bytes if figure.abs() >= f64::from(1 << 20) => {
                format!("{} MiB", three_digits(figure / f64::from(1 << 20)))
            }
            Bytes => format!("{} KiB", three_digits(figure / 1024.0)),
            BytesEach => format!("{} bytes", three_digits(figure)),
            Count => thousands(figure),
        }
    }
}

/// A ratio, and between which it lies where enough rounds say so.
pub(crate) fn with_interval(ratio: f64, between: Option<(f64, f64)>) -> String {
    let between = between
        .map(|(from, to)| format!(" ({} to {})", three_digits(from), three_digits(to)))
        .unwrap_or_default();
    three_digits(ratio) + &between
}

/// As many digits as say something.
pub(crate) fn three_digits(figure: f64) -> String {
    match figure.abs() {
        0.0 => "0".to_owned(),
        1000.0.. => thousands(figure),
        99.95.. => format!("{figure:.0}"),
        9.995.. => format!("{figure:.1}"),
        _ => format!("{figure:.2}"),
    }
}

/// A whole number with commas.
pub(crate) fn thousands(figure: f64) -> String {
    let digits = format!("{:.0}", figure.abs());
    let mut text = if figure < -0.5 { "-".to_owned() } else { String::new() };
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_three_digits() {
        let shown = [0.0, 5.25, 29.04, 142.4, 1180.0, -3.5].map(three_digits);
        assert_eq!(shown, ["0", "5.25", "29.0", "142", "1,180", "-3.50"]);
        assert_eq!(
            [0.0, 999.6, 55_800.0, 1e6, -1234.0].map(thousands),
            ["0", "1,000", "55,800", "1,000,000", "-1,234"]
        );
        assert_eq!(
            [Bytes.show(2_516_582.0), Bytes.show(65_536.0), Microseconds.show(11_700.0)],
            ["2.40 MiB", "64.0 KiB", "11.7 ms"]
        );
    }
}
