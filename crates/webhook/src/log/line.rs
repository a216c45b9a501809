//! One event as one line of printable ASCII, whatever is in it: logs are read by line, and terminals obey escape
//! sequences. What is not known to be plain goes through [`Line::shown`].
//!
//! tracing-subscriber's lines look the same, and took more than twice the instructions: a tenth of a whole decision.

use std::fmt::{self, Debug, Write as _};

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
        self.two_digits(year / 100, "");
        self.two_digits(year % 100, "-");
        self.two_digits(now.month().into(), "-");
        self.two_digits(now.day().into(), "T");
        self.two_digits(now.hour().into(), ":");
        self.two_digits(now.minute().into(), ":");
        self.two_digits(now.second().into(), ".");
        self.two_digits(microseconds / 10_000, "");
        self.two_digits(microseconds / 100 % 100, "");
        self.two_digits(microseconds % 100, "Z");
    }

    fn two_digits(&mut self, number: i32, end: &str) {
        for digit in [number / 10, number % 10] {
            self.text.push(char::from(b'0' + digit as u8));
        }
        self.text.push_str(end);
    }

    fn name(&mut self, field: &Field) {
        let (before, after) = match (self.format, field.name()) {
            (Format::Json, _) => (",\"", "\":"),
            (Format::Human, "message") => (if self.is_first { "" } else { " " }, ""),
            (Format::Human, _) => (if self.is_first { "" } else { " " }, "="),
        };
        self.is_first = false;
        self.text.push_str(before);
        // Names are those of variables.
        self.text.push_str(if after.is_empty() { after } else { field.name() });
        self.text.push_str(after);
    }

    /// What JSON writes without quotation marks.
    fn bare(&mut self, field: &Field, value: impl Debug) {
        self.name(field);
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
fn is_plain(text: &str) -> bool {
    // All of it is looked at, so that many are at once.
    text.bytes()
        .fold(true, |plain, byte| plain & matches!(byte, b' '..=b'~') & (byte != b'"') & (byte != b'\\'))
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
        let is_message = field.name() == "message";
        if !is_message && is_plain(value) {
            self.name(field);
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
        self.name(field);
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
