//! What is said of a panic.

use std::panic::{self, PanicHookInfo};

/// From here on a panic is logged as one line, with its place. Its message is not: it may quote what was worked on,
/// and that may be a token.
pub fn install() {
    panic::set_hook(Box::new(|panicked| {
        let place = place(panicked);
        // Whoever catches it says what it means for the request or the task.
        tracing::error!(place, "something panicked, which is a bug of this software");
    }));
}

fn place(panicked: &PanicHookInfo<'_>) -> String {
    panicked.location().map_or_else(|| "unknown".to_owned(), ToString::to_string)
}
