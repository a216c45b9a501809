//! What the webhook does with requests that the API server would not send, and with more of them than it takes.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that panics has failed, which is what it is for"
)]

mod serving;

mod http {
    mod connections;
    mod requests;
    mod sockets;
}
