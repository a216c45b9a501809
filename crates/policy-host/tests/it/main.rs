//! Runs small guests written in the text format, each of which does one thing.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "these are tests, helpers included"
)]

mod evaluation;
mod guest;
mod host_calls;
mod protocol;
