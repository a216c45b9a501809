//! Logs: to stderr, one event a line, for people or for machines.

use std::io::{self, Write};

use tracing::level_filters::LevelFilter;
use tracing::{Level, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;

mod lines;

pub use lines::Flush;
use lines::Lines;

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, clap::ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Human,
    /// One JSON object a line.
    Json,
}

/// Begins to log to stderr. To be kept until the end, so that the last lines are written as well.
///
/// # Errors
///
/// When somebody has begun already, or there can be no thread that writes.
pub fn init(format: Format, verbosity: i32) -> anyhow::Result<Flush> {
    let (lines, flush) = Lines::to(io::stderr())?;
    tracing::dispatcher::set_global_default(match format {
        Format::Human => human(verbosity, lines).into(),
        Format::Json => json(verbosity, lines).into(),
    })?;
    Ok(flush)
}

fn human<W: for<'w> MakeWriter<'w> + Send + Sync + 'static>(
    verbosity: i32,
    writer: W,
) -> impl Subscriber + Send + Sync {
    let lines = tracing_subscriber::fmt::layer().with_ansi(false).with_writer(OneLine(writer, Format::Human));
    tracing_subscriber::registry().with(levels(verbosity)).with(lines)
}

fn json<W: for<'w> MakeWriter<'w> + Send + Sync + 'static>(
    verbosity: i32,
    writer: W,
) -> impl Subscriber + Send + Sync {
    let lines = tracing_subscriber::fmt::layer()
        .json()
        .flatten_event(true)
        .with_span_list(false)
        .with_writer(OneLine(writer, Format::Json));
    tracing_subscriber::registry().with(levels(verbosity)).with(lines)
}

/// What is logged at a verbosity, on klog's scale
/// (<https://github.com/kubernetes/community/blob/master/contributors/devel/sig-instrumentation/logging.md>): 2 is for
/// details that are worth having, 6 for every request. Libraries are a step quieter; none gets to say
/// everything, for that holds headers.
fn levels(verbosity: i32) -> Targets {
    let (ours, theirs) = match verbosity {
        ..=1 => (Level::INFO, LevelFilter::WARN),
        2..=5 => (Level::DEBUG, LevelFilter::INFO),
        6.. => (Level::TRACE, LevelFilter::DEBUG),
    };
    Targets::new().with_default(theirs).with_target("webhook", ours).with_target("pod_identity_webhook", ours)
}

/// Writes an event as one line of printable ASCII, whatever is in it: logs are read by line, and terminals obey
/// escape sequences. It is done here, on the finished line, so that no field can be forgotten.
struct OneLine<W>(W, Format);

/// Where one event goes.
struct Event<W>(W, Format);

impl<'w, W: MakeWriter<'w>> MakeWriter<'w> for OneLine<W> {
    type Writer = Event<W::Writer>;

    fn make_writer(&'w self) -> Self::Writer {
        Event(self.0.make_writer(), self.1)
    }
}

impl<W: Write> Write for Event<W> {
    /// Is handed whole events.
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        // The usual case: nothing to escape.
        if let [line @ .., b'\n'] = event
            && line.iter().all(|byte| matches!(byte, b' '..=b'~'))
        {
            self.0.write_all(event)?;
            return Ok(event.len());
        }
        let text = String::from_utf8_lossy(event);
        let mut line = String::with_capacity(text.len() + 1);
        for c in text.strip_suffix('\n').unwrap_or(&text).chars() {
            match c {
                ' '..='~' => line.push(c),
                // In JSON, what is left to escape stands in a string.
                c if self.1 == Format::Json => {
                    for unit in c.encode_utf16(&mut [0; 2]) {
                        line.push_str(&format!("\\u{unit:04x}"));
                    }
                }
                c => line.extend(c.escape_default()),
            }
        }
        line.push('\n');
        self.0.write_all(line.as_bytes())?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use serde_json::{Value, json};
    use tracing::subscriber::with_default;

    use super::*;

    #[derive(Clone, Default)]
    struct Buffer(Arc<Mutex<Vec<u8>>>);

    impl Write for Buffer {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Buffer {
        fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    const HOSTILE: &str = "a\nlevel=ERROR \u{1b}[31m\r\t\u{7f}\u{9b}\u{e9}\u{202e}\u{1f600}\0\"";

    fn log_hostile() {
        tracing::warn!(display = %HOSTILE, debug = ?HOSTILE, text = HOSTILE, "said {HOSTILE}");
    }

    #[test]
    fn an_event_is_one_line_of_printable_ascii() {
        for format in [Format::Human, Format::Json] {
            let buffer = Buffer::default();
            let writer = buffer.clone();
            let make = move || writer.clone();
            match format {
                Format::Human => with_default(human(0, make), log_hostile),
                Format::Json => with_default(json(0, make), log_hostile),
            }
            let text = buffer.text();
            let line = text.strip_suffix('\n').unwrap();
            assert!(line.contains("31m"), "{line}");
            assert!(line.bytes().all(|b| matches!(b, b' '..=b'~')), "{line}");
        }
    }

    #[test]
    fn json_holds_what_was_logged() {
        let buffer = Buffer::default();
        let writer = buffer.clone();
        with_default(json(0, move || writer.clone()), || {
            tracing::info!(text = "caf\u{e9}\n\u{1f600}", count = 3, "done");
        });
        let mut found: Value = serde_json::from_str(&buffer.text()).unwrap();
        let time = found.as_object_mut().unwrap().remove("timestamp").unwrap();
        assert!(time.as_str().unwrap().ends_with('Z'), "{time}");
        assert_eq!(
            found,
            json!({"level": "INFO", "target": module_path!(), "message": "done", "text": "caf\u{e9}\n\u{1f600}",
                "count": 3})
        );
    }

    #[test]
    fn levels_follow_the_verbosity() {
        use Level as L;
        for (verbosity, ours, theirs) in [
            (-1, L::INFO, L::WARN),
            (0, L::INFO, L::WARN),
            (1, L::INFO, L::WARN),
            (2, L::DEBUG, L::INFO),
            (5, L::DEBUG, L::INFO),
            (6, L::TRACE, L::DEBUG),
            (i32::MAX, L::TRACE, L::DEBUG),
        ] {
            let targets = levels(verbosity);
            for (target, most) in
                [("webhook::run", ours), ("pod_identity_webhook", ours), ("hyper_util", theirs)]
            {
                let mut logged = [L::ERROR, L::WARN, L::INFO, L::DEBUG, L::TRACE]
                    .into_iter()
                    .filter(|level| targets.would_enable(target, level));
                assert_eq!(logged.next_back(), Some(most), "{verbosity} {target}");
            }
        }
    }
}
