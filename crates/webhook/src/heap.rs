//! Memory that bursts leave behind.

use std::convert::Infallible;
use std::time::Duration;

/// How often what is free goes back. It takes microseconds when there is little, some milliseconds after a flood.
const INTERVAL: Duration = Duration::from_secs(10);

/// Gives memory that nobody uses back to the system, again and again.
///
/// glibc keeps it by itself wherever something lies behind that is still in use: 90 MiB after a flood on a thousand
/// connections.
pub async fn give_back() -> Infallible {
    loop {
        tokio::time::sleep(INTERVAL).await;
        // Not on a thread that serves. It does not panic.
        let _ = tokio::task::spawn_blocking(trim).await;
    }
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn trim() {
    #[allow(
        unsafe_code,
        reason = "it is declared as in malloc.h, takes any number and may be called at any time"
    )]
    unsafe extern "C" {
        /// <https://man7.org/linux/man-pages/man3/malloc_trim.3.html>
        safe fn malloc_trim(pad: usize) -> std::ffi::c_int;
    }
    // It says whether there was anything.
    let _ = malloc_trim(0);
}

/// Other allocators do it by themselves.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn trim() {}
