//! Between the network and the [`Router`]: connections, TLS, time limits, and an orderly end.
//!
//! HTTP/1.1 only, as the API server speaks it to webhooks.
//!
//! **Too many connections.** When [`Limits::connections`] are open, a new one takes the place of another, or is
//! refused. Nobody loses one to an address that has as many connections or more: what gives way is a connection of
//! the address that has most of them, the one that has waited longest, be it for a request, for the rest of one, or
//! for more than two seconds for an answer; or else an idle one of the newcomer's own address, on which nothing waits
//! to be read. So a flood from one address closes its own connections, not those that the API server keeps open for its
//! next requests.
//!
//! **Too much at once.** Of all connections only so many are in the middle of something, and hold buffers (`turns`).

use std::io;
use std::net::SocketAddr;
#[cfg(target_os = "linux")]
use std::os::fd::AsRawFd;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep_until};

use crate::metrics::Metrics;
use crate::router::Router;
use crate::shutdown::{Phase, Phases};
use crate::tls::Published;

mod activity;
mod arriving;
mod connection;
mod connections;
mod crowd;
mod own_thread;
mod stream;
#[cfg(test)]
mod tests;
mod timed;
mod turns;

pub use own_thread::interrupt_nobody;

use connection::Connection;
use connections::Connections;
use crowd::Crowd;
use turns::{TURNS, Turn, Turns};

/// What a listener allows.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections that are open at once.
    pub connections: usize,
    /// How long a handshake may take.
    pub handshake: Duration,
    /// How long the head of a request may take, from its first byte.
    pub head: Duration,
    /// How long a connection stays open without a request. The API server uses one again within 90 s, and does not
    /// repeat what it sent on one that was just closed
    /// (<https://github.com/linkerd/linkerd2/issues/14096>).
    pub idle: Duration,
    /// How long the other side may read nothing of an answer.
    pub write: Duration,
}

impl Limits {
    /// For the API server.
    pub const ADMISSION: Self = Self {
        connections: 1024,
        handshake: Duration::from_secs(5),
        head: Duration::from_secs(5),
        idle: Duration::from_secs(180),
        write: Duration::from_secs(10),
    };
    /// For the kubelet and Prometheus.
    pub const HEALTH: Self = Self { connections: 64, ..Self::ADMISSION };
}

/// Serves a listener until [`Phase::Stopping`], and what is in flight to its end. Without `tls` in the clear.
///
/// Nothing that happens to a connection, and nothing that `accept` says, ends it earlier.
pub async fn serve(
    listener: TcpListener,
    tls: Option<Published>,
    router: Router,
    limits: Limits,
    mut phases: Phases,
    metrics: Metrics,
) {
    let mut connections = Connections::new(limits, metrics.clone());
    let turns = Turns::new(TURNS);
    let mut watch = pin!(turns.watch());
    let crowd = Arc::new(Crowd::new());
    let mut acceptor = Acceptor { listener, retry: None, pause: SHORTEST_PAUSE };
    loop {
        tokio::select! {
            () = phases.reached(Phase::Stopping) => break,
            never = &mut watch => match never {},
            (stream, peer) = acceptor.accept() => {
                // Without a certificate there is nothing to say in the handshake.
                let tls = match tls.as_ref().map(|published| published.load_full()) {
                    Some(None) => continue,
                    Some(Some(tls)) => Some(tls),
                    None => None,
                };
                let peer = peer.ip().to_canonical();
                connections.admit(peer, |activity, told| {
                    let (router, phases, metrics) = (router.clone(), phases.clone(), metrics.clone());
                    let turn = Turn::new(&turns, peer, activity.clone());
                    let connection =
                        Connection { router, limits, phases, activity: activity.clone(), metrics, turn };
                    own_thread::serve(connection.serve(stream, tls, told), activity, Arc::clone(&crowd))
                });
            }
        }
    }
    drop(acceptor);
    tokio::select! {
        () = connections.finish() => {}
        never = watch => match never {},
    }
}

/// Lets the kernel keep a connection to itself until something has been sent on it, or for a second when nothing is: then what is
/// accepted can be read at once, and need not be waited for once more. Without it everything is the same, but dearer.
#[cfg(target_os = "linux")]
pub fn defer_accept(listener: &impl AsRawFd) {
    // In seconds: <https://man7.org/linux/man-pages/man7/tcp.7.html>.
    let patience: libc::c_int = 1;
    #[allow(unsafe_code, reason = "the option's value is an `int`, which lives until the call is over")]
    let _ = unsafe {
        libc::setsockopt(
            listener.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_DEFER_ACCEPT,
            (&raw const patience).cast(),
            size_of_val(&patience) as libc::socklen_t,
        )
    };
}

/// Others have no such option.
#[cfg(not(target_os = "linux"))]
pub fn defer_accept<T>(_: &T) {}

const SHORTEST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Accepts connections, and waits a little when that fails.
struct Acceptor {
    listener: TcpListener,
    /// Not before then.
    retry: Option<Instant>,
    pause: Duration,
}

impl Acceptor {
    /// The next connection. May be dropped and called again.
    async fn accept(&mut self) -> (TcpStream, SocketAddr) {
        loop {
            if let Some(retry) = self.retry {
                sleep_until(retry).await;
                self.retry = None;
            }
            match self.listener.accept().await {
                Ok(accepted) => {
                    self.pause = SHORTEST_PAUSE;
                    return accepted;
                }
                // This one connection failed before it was accepted: on to the next.
                Err(error) if is_of_the_connection(&error) => {}
                // No file descriptors, no memory: what is open is served all the same.
                Err(error) => {
                    tracing::warn!(%error, "cannot accept connections, trying again in {:?}", self.pause);
                    self.retry = Some(Instant::now() + self.pause);
                    self.pause = (self.pause * 2).min(LONGEST_PAUSE);
                }
            }
        }
    }
}

fn is_of_the_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}
