//! Logs: to stderr, one event a line, for people or for machines.

use std::io;

use tracing::Level;
use tracing::level_filters::LevelFilter;

mod line;
mod lines;

use line::Log;
pub(crate) use line::is_plain;
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
    let log = Log { format, levels: Levels::of(verbosity), write: move |line: &str| lines.push(line) };
    tracing::dispatcher::set_global_default(log.into())?;
    Ok(flush)
}

/// What is logged.
#[derive(Clone, Copy, Debug)]
struct Levels {
    ours: LevelFilter,
    theirs: LevelFilter,
}

impl Levels {
    /// What is logged at a verbosity, on klog's scale
    /// (<https://github.com/kubernetes/community/blob/master/contributors/devel/sig-instrumentation/logging.md>): 2 is
    /// for details that are worth having, 6 for every request. Libraries are a step quieter; none gets to say
    /// everything, for that holds headers.
    fn of(verbosity: i32) -> Self {
        let (ours, theirs) = match verbosity {
            ..=1 => (LevelFilter::INFO, LevelFilter::WARN),
            2..=5 => (LevelFilter::DEBUG, LevelFilter::INFO),
            6.. => (LevelFilter::TRACE, LevelFilter::DEBUG),
        };
        Self { ours, theirs }
    }

    fn enable(self, target: &str, level: &Level) -> bool {
        let is_ours = target.starts_with("webhook") || target.starts_with("pod_identity_webhook");
        *level <= if is_ours { self.ours } else { self.theirs }
    }

    fn most(self) -> LevelFilter {
        self.ours.max(self.theirs)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use jiff::Timestamp;
    use serde_json::{Value, json};
    use tracing::subscriber::with_default;

    use super::*;

    /// What is written of what is logged.
    fn logged(format: Format, log: impl FnOnce()) -> String {
        let text = Arc::new(Mutex::new(String::new()));
        let written = Arc::clone(&text);
        let write = move |line: &str| written.lock().unwrap().push_str(line);
        with_default(Log { format, levels: Levels::of(0), write }, log);
        text.lock().unwrap().clone()
    }

    const HOSTILE: &str = "a\nlevel=ERROR \u{1b}[31m\r\t\u{7f}\u{9b}\u{e9}\u{202e}\u{1f600}\0\"";

    fn log_hostile() {
        tracing::warn!(display = %HOSTILE, debug = ?HOSTILE, text = HOSTILE, "said {HOSTILE}");
    }

    #[test]
    fn an_event_is_one_line_of_printable_ascii() {
        for format in [Format::Human, Format::Json] {
            let text = logged(format, log_hostile);
            let line = text.strip_suffix('\n').unwrap();
            assert!(line.contains("31m"), "{line}");
            assert!(line.bytes().all(|b| matches!(b, b' '..=b'~')), "{line}");
        }
    }

    #[test]
    fn json_holds_what_was_logged() {
        let text = logged(Format::Json, || {
            log_hostile();
            tracing::info!(is = true, count = 3, less = -3, debug = ?Some("\"a\""), "done");
        });
        let mut lines = text.lines().map(|line| {
            let mut line: Value = serde_json::from_str(line).unwrap();
            let time = line.as_object_mut().unwrap().remove("timestamp").unwrap();
            assert!(time.as_str().unwrap().parse::<Timestamp>().is_ok(), "{time}");
            line
        });
        assert_eq!(
            lines.next().unwrap(),
            json!({"level": "WARN", "target": module_path!(), "message": format!("said {HOSTILE}"),
                "display": HOSTILE, "debug": format!("{HOSTILE:?}"), "text": HOSTILE})
        );
        assert_eq!(
            lines.next().unwrap(),
            json!({"level": "INFO", "target": module_path!(), "message": "done", "is": true, "count": 3,
                "less": -3, "debug": "Some(\"\\\"a\\\"\")"})
        );
        assert!(lines.next().is_none());
    }

    #[test]
    fn people_read_the_message_first() {
        let log = || {
            tracing::info!(text = "a b", count = 3, empty = "", display = %"c\u{e9}\"", "done: {}", "\"it\"\n");
            tracing::error!(quoted = "\"\\\n\u{202e}");
        };
        let text = logged(Format::Human, log);
        let lines: Vec<_> = text.lines().map(|line| line.split_once(' ').unwrap()).collect();
        assert!(
            lines.iter().all(|(time, _)| time.len() == 27 && time.parse::<Timestamp>().is_ok()),
            "{text}"
        );
        let target = module_path!();
        assert_eq!(
            lines.iter().map(|(_, rest)| *rest).collect::<Vec<_>>(),
            [
                format!(
                    " INFO {target}: done: \"it\"\\n text=\"a b\" count=3 empty=\"\" display=c\\u{{e9}}\""
                ),
                format!("ERROR {target}: quoted=\"\\\"\\\\\\n\\u{{202e}}\""),
            ]
        );
    }

    #[test]
    fn whoever_asks_is_told_what_is_logged() {
        let text = logged(Format::Human, || {
            assert_eq!((tracing::enabled!(Level::INFO), tracing::enabled!(Level::DEBUG)), (true, false));
        });
        assert_eq!(text, "");
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
            let levels = Levels::of(verbosity);
            for (target, most) in
                [("webhook::run", ours), ("pod_identity_webhook", ours), ("hyper_util", theirs)]
            {
                let mut logged = [L::ERROR, L::WARN, L::INFO, L::DEBUG, L::TRACE]
                    .into_iter()
                    .filter(|level| levels.enable(target, level));
                assert_eq!(logged.next_back(), Some(most), "{verbosity} {target}");
            }
        }
    }
}
