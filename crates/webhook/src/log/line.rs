//! One event as one line of printable ASCII, whatever is in it: logs are read by line, and terminals obey escape
//! sequences. What is not known to be plain goes through [`Line::shown`].
//!
//! tracing-subscriber's lines look the same, and took more than twice the instructions: a tenth of a whole decision.

use std::fmt::{self, Debug, Write as _};
use std::mem;

use jiff::Timestamp;
use jiff::tz::Offset;
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Event, Metadata, Subscriber};

use super::{Format, Levels};

/// What most lines take, in bytes.
const ROOM: usize = 512;
/// The field of what stands first in an event, which has no name for people.
const MESSAGE: &str = "message";

/// Hands each event to `write`, as a line with its end.
pub(super) struct Log<W> {
    pub(super) format: Format,
    pub(super) levels: Levels,
    pub(super) write: W,
}

impl<W: Fn(&str) + 'static> Subscriber for Log<W> {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if self.enabled(metadata) { Interest::always() } else { Interest::never() }
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        !metadata.is_span() && self.levels.enable(metadata.target(), metadata.level())
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.levels.most())
    }

    fn event(&self, event: &Event<'_>) {
        let mut line = Line { text: String::with_capacity(ROOM), format: self.format, is_first: true };
        line.event(event);
        (self.write)(&line.text);
    }

    // Spans are not enabled.
    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

struct Line {
    text: String,
    format: Format,
    /// No field was written yet.
    is_first: bool,
}

impl Line {
    fn event(&mut self, event: &Event<'_>) {
        let (level, target) = (event.metadata().level().as_str(), event.metadata().target());
        match self.format {
            Format::Human => {
                self.time();
                self.text.push_str(if level.len() < 5 { "  " } else { " " });
                self.text.push_str(level);
                self.text.push(' ');
                self.shown(target);
                self.text.push_str(": ");
                event.record(self);
                self.text.push('\n');
            }
            Format::Json => {
                self.text.push_str("{\"timestamp\":\"");
                self.time();
                self.text.push_str("\",\"level\":\"");
                self.text.push_str(level);
                self.text.push('"');
                event.record(self);
                self.text.push_str(",\"target\":\"");
                self.shown(target);
                self.text.push_str("\"}\n");
            }
        }
    }

    /// The time in UTC, to the microsecond.
    fn time(&mut self) {
        let now = Offset::UTC.to_datetime(Timestamp::now());
        let (year, microseconds) = (i32::from(now.year()), now.subsec_nanosecond() / 1000);
        let mut text = *b"0000-00-00T00:00:00.000000Z";
        for (at, number) in [
            (0, year / 100),
            (2, year % 100),
            (5, now.month().into()),
            (8, now.day().into()),
            (11, now.hour().into()),
            (14, now.minute().into()),
            (17, now.second().into()),
            (20, microseconds / 10_000),
            (22, microseconds / 100 % 100),
            (24, microseconds % 100),
        ] {
            if let Some([tens, ones]) = text.get_mut(at..at + 2) {
                (*tens, *ones) = (b'0' + (number / 10) as u8, b'0' + (number % 10) as u8);
            }
        }
        self.text.push_str(str::from_utf8(&text).unwrap_or_default());
    }

    fn name(&mut self, name: &str) {
        let is_first = mem::take(&mut self.is_first);
        // Names are those of variables.
        match self.format {
            Format::Json => {
                self.text.push_str(",\"");
                self.text.push_str(name);
                self.text.push_str("\":");
            }
            Format::Human => {
                if !is_first {
                    self.text.push(' ');
                }
                if name != MESSAGE {
                    self.text.push_str(name);
                    self.text.push('=');
                }
            }
        }
    }

    /// What JSON writes without quotation marks.
    fn bare(&mut self, field: &Field, value: impl Debug) {
        self.name(field.name());
        // It is never refused.
        let _ = write!(self.text, "{value:?}");
    }

    fn shown(&mut self, text: &str) {
        if is_plain(text) {
            return self.text.push_str(text);
        }
        for c in text.chars() {
            match (self.format, c) {
                (Format::Human, ' '..='~') => self.text.push(c),
                (Format::Human, c) => self.text.extend(c.escape_default()),
                (Format::Json, '"' | '\\') => self.text.extend(['\\', c]),
                (Format::Json, ' '..='~') => self.text.push(c),
                (Format::Json, '\n' | '\r' | '\t') => self.text.extend(c.escape_default()),
                (Format::Json, c) => {
                    for unit in c.encode_utf16(&mut [0; 2]) {
                        let _ = write!(self.text, "\\u{unit:04x}");
                    }
                }
            }
        }
    }
}

/// Whether nothing is to be escaped, in quotation marks as well.
pub(crate) fn is_plain(text: &str) -> bool {
    let text = text.as_bytes();
    let Some(last) = text.last_chunk::<8>() else {
        return text.iter().all(|byte| matches!(byte, b' ' | b'!' | b'#'..=b'[' | b']'..=b'~'));
    };
    let others = text.as_chunks::<8>().0;
    others.iter().fold(marks(last), |found, word| found | marks(word)) & ONES << 7 == 0
}

const ONES: u64 = u64::MAX / 255;

/// The highest bit of a byte is set when something in the eight is to be escaped
/// (<https://graphics.stanford.edu/~seander/bithacks.html#ZeroInWord>).
fn marks(word: &[u8; 8]) -> u64 {
    let word = u64::from_le_bytes(*word);
    let below = |word: u64, byte: u8| word.wrapping_sub(ONES * u64::from(byte)) & !word;
    let is = |byte: u8| below(word ^ (ONES * u64::from(byte)), 1);
    word | below(word, b' ') | word.wrapping_add(ONES) | is(b'"') | is(b'\\')
}

/// What is formatted.
impl fmt::Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.shown(text);
        Ok(())
    }
}

impl Visit for Line {
    fn record_str(&mut self, field: &Field, value: &str) {
        let name = field.name();
        let is_message = name == MESSAGE;
        if !is_message && is_plain(value) {
            self.name(name);
            self.text.push('"');
            self.text.push_str(value);
            self.text.push('"');
        } else if self.format == Format::Json || is_message {
            self.record_debug(field, &format_args!("{value}"));
        } else {
            self.record_debug(field, &value);
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let quote = if self.format == Format::Json { "\"" } else { "" };
        self.name(field.name());
        self.text.push_str(quote);
        let _ = write!(self, "{value:?}");
        self.text.push_str(quote);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.bare(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.bare(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.bare(field, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each byte of ASCII, at each place, in texts of any length that matters.
    #[test]
    fn plain_is_what_nothing_is_escaped_in() {
        for length in 1..20 {
            for (at, byte) in (0..length).flat_map(|at| (0..128).map(move |byte| (at, byte))) {
                for around in *b" !#[]~" {
                    let mut text = vec![around; length];
                    text[at] = byte;
                    let is_escaped = matches!(byte, ..b' ' | b'"' | b'\\' | 0x7f);
                    assert_eq!(is_plain(str::from_utf8(&text).unwrap()), !is_escaped, "{text:?}");
                }
            }
        }
        for text in
            ["\u{e9}", "\u{7f}\u{80}", "aaaaaa\u{e9}", "aaaaaaaaaa\u{65e5}", "\u{ff}\u{ff}\u{ff}\u{ff}"]
        {
            assert!(!is_plain(text), "{text}");
        }
        assert!(is_plain(""));
    }
}
