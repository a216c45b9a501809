//! What is said of a panic.

use std::panic::{self, PanicHookInfo};

use crate::log::Flush;

/// From here on a panic is logged as one line, with its place. Its message is not: it may quote what was worked on,
/// and that may be a token. What comes of the panic waits until that is written: it may be the end of the process.
pub fn install(flush: Flush) {
    panic::set_hook(Box::new(move |panicked| {
        let place = place(panicked);
        // Whoever catches it says what it means for the request or the task.
        tracing::error!(place, "something panicked, which is a bug of this software");
        flush.wait();
    }));
}

fn place(panicked: &PanicHookInfo<'_>) -> String {
    panicked.location().map_or_else(|| "unknown".to_owned(), ToString::to_string)
}
