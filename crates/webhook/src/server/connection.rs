//! One connection, from its handshake to its end.

use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt as _;
use futures::future::Fuse;
use hyper::body::Incoming;
use hyper::header::{CONNECTION, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
#[cfg(target_os = "linux")]
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{RecvFlags, recv};
use rustls::ServerConfig;
use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, AsyncWrite, AsyncWriteExt as _, Interest};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep_until, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::Limits;
use super::activity::{Activity, Phase};
use super::arriving::Arriving;
use super::connections::Told;
use super::stream::Stream;
use super::timed::Timed;
use super::turns::Turn;
use crate::metrics::Metrics;
use crate::router::{Holder, Router};
use crate::shutdown::{self, Phases};

/// What hyper holds of what was read but not taken, in bytes: a TLS record, so that a review comes in few parts. The longest
/// head as well; the API server's has some hundred.
const BUFFER: usize = 16 << 10;
/// What is encrypted ahead of the network, in bytes: as much as fits into one TLS record.
const ENCRYPTED: usize = 16 << 10;
/// After so long without a request, a connection keeps nothing but its TLS state: a flood of idle ones is cheap.
const PARKED: Duration = Duration::from_secs(1);

/// What a connection needs.
#[derive(Clone)]
pub(super) struct Connection {
    pub(super) router: Router,
    pub(super) limits: Limits,
    pub(super) phases: Phases,
    pub(super) activity: Activity,
    pub(super) metrics: Metrics,
    pub(super) turn: Turn,
}

impl Connection {
    /// Serves it until it ends, or is told to: then it ends as soon as no request is being answered.
    pub(super) async fn serve(self, stream: TcpStream, tls: Option<Arc<ServerConfig>>, told: Told) {
        let Some(tls) = tls else {
            let stream = Stream::new(stream, self.activity.clone(), self.turn.clone());
            return self.serve_http(stream, told).await;
        };
        let (mut told, limit) = (told, self.limits.handshake);
        let handshake = handshake(stream, tls, self.activity.clone(), self.turn.clone());
        let accepted = tokio::select! {
            biased;
            // In a box, so that the memory it takes is given back, and nothing as large is moved about.
            accepted = timeout(limit, Box::pin(handshake)) => accepted,
            _ = &mut told => return,
            () = poll_fn(|cx| self.turn.poll_ends(cx)) => return self.count_slow(),
        };
        match accepted {
            Ok(Ok(mut stream)) => {
                stream.get_mut().1.set_buffer_limit(Some(ENCRYPTED));
                self.serve_http(stream, told).await;
            }
            Ok(Err(error)) => handshake_failed(&self.metrics, &error),
            Err(_) => tracing::debug!("handshake took too long"),
        }
    }

    /// Serves a stream of which the handshake is done.
    pub(super) async fn serve_http(self, mut stream: impl AsyncBufRead + AsyncWrite + Unpin, told: Told) {
        let mut told = pin!(told.fuse());
        let (mut read, mut is_last) = (Bytes::new(), false);
        self.activity.enter(Phase::Idle);
        loop {
            let had_turn = AtomicBool::new(false);
            let looks = poll_fn(|_| {
                had_turn.store(self.turn.has_begun(), Ordering::Relaxed);
                Poll::<Infallible>::Pending
            });
            let begins = async {
                let has_more = !read.is_empty() || stream.fill_buf().await.is_ok_and(|read| !read.is_empty());
                if has_more {
                    poll_fn(|cx| self.turn.poll_begin(cx)).await;
                }
                has_more
            };
            let rests = poll_fn(|_| {
                // Nothing more has come, at most part of a record.
                if had_turn.load(Ordering::Relaxed) {
                    self.turn.end();
                }
                Poll::<Infallible>::Pending
            });
            let ends = poll_fn(|cx| {
                let mut gives_way = false;
                if let Poll::Ready(told) = told.as_mut().poll(cx) {
                    (is_last, gives_way) = (true, told.is_ok());
                }
                // What was sent before it was told is answered.
                if gives_way || is_last && !self.turn.waits() { Poll::Ready(()) } else { Poll::Pending }
            });
            let has_begun = tokio::select! {
                biased;
                never = looks => match never {},
                has_begun = begins => has_begun,
                never = rests => match never {},
                () = ends => false,
                () = sleep_until(self.activity.since() + self.limits.idle) => false,
            };
            if !has_begun {
                self.turn.end();
                // A farewell, to whoever listens.
                let _ = timeout(self.limits.write, stream.shutdown()).await;
                return;
            }
            self.activity.begin();
            let timed = Timed::new(read, stream, self.activity.clone(), self.turn.clone());
            let Some(idle) = self.serve_requests(timed, told.as_mut()).await else { return };
            // What came with the last request is the beginning of the next one. Nothing of it keeps its buffer too.
            (read, stream) = idle;
            if read.is_empty() {
                read = Bytes::new();
            }
            self.turn.end();
        }
    }

    /// Serves requests until the connection ends, or is idle, for a while if nobody else wants its turn: then what was
    /// read and the stream are given back.
    async fn serve_requests<S: AsyncBufRead + AsyncWrite + Unpin>(
        &self,
        stream: Timed<S>,
        mut told: Pin<&mut Fuse<Told>>,
    ) -> Option<(Bytes, S)> {
        let Self { router, phases, activity, turn, .. } = self;
        let limits = Limits { idle: PARKED, ..self.limits };
        let holder = Holder::default();
        let service = service_fn(|request: Request<Incoming>| {
            let request = request.map(|body| Arriving::new(body, activity.clone()));
            async {
                let mut is_last = request.headers().get(CONNECTION).is_some_and(|value| value == "close");
                let mut answer = router.route(request, &holder).await;
                if phases.now() >= shutdown::Phase::Draining {
                    answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
                    is_last = true;
                }
                if is_last {
                    activity.answer_last();
                }
                activity.enter(Phase::Idle);
                Ok::<Response<_>, Infallible>(answer)
            }
        });
        let mut http = http1::Builder::new()
            .header_read_timeout(None)
            .max_buf_size(BUFFER)
            // Without a copy, so that an answer takes room for as long as its share says.
            .writev(true)
            .serve_connection(TokioIo::new(stream), service);
        let mut takes_room = pin!(holder.told());
        let mut timer = pin!(sleep_until(Instant::now() + limits.idle));
        let ended = poll_fn(|cx| {
            loop {
                if let Poll::Ready(ended) = Pin::new(&mut http).poll(cx) {
                    return Poll::Ready(Some(ended));
                }
                if takes_room.as_mut().poll(cx).is_ready() {
                    if activity.is_stalled() {
                        self.metrics.refused_connections.get_or_create(&"bodies".into()).inc();
                        return Poll::Ready(Some(Ok(())));
                    }
                    takes_room.set(holder.told());
                    continue;
                }
                if activity.is_at_rest() {
                    activity.rest();
                }
                if turn.poll_wanted(cx).is_ready() && activity.is_at_rest() {
                    return Poll::Ready(None);
                }
                if turn.poll_ends(cx).is_ready() {
                    self.count_slow();
                    return Poll::Ready(Some(Ok(())));
                }
                let gives_way = match told.as_mut().poll(cx) {
                    Poll::Ready(told) => told.is_ok(),
                    Poll::Pending if !is_overdue(activity, &limits, timer.as_mut(), cx) => {
                        return Poll::Pending;
                    }
                    Poll::Pending if activity.is_at_rest() => return Poll::Ready(None),
                    Poll::Pending => true,
                };
                // Whoever is in the middle of something has kept us waiting, and does not wait for a farewell.
                if gives_way && (activity.phase() != Phase::Idle || activity.is_closing()) {
                    return Poll::Ready(Some(Ok(())));
                }
                activity.close();
                Pin::new(&mut http).graceful_shutdown();
            }
        })
        .await;
        match ended {
            None => {
                let parts = http.into_parts();
                let (rest, stream) = parts.io.into_inner().into_parts();
                let read =
                    if rest.is_empty() { parts.read_buf } else { [parts.read_buf, rest].concat().into() };
                return Some((read, stream));
            }
            Some(Err(error)) => tracing::debug!(%error, "connection failed"),
            Some(Ok(())) => {}
        }
        None
    }

    fn count_slow(&self) {
        self.metrics.refused_connections.get_or_create(&"slow".into()).inc();
    }
}

/// Whether the connection has waited too long; otherwise it will be woken when it has.
///
/// The timer is only moved when it would fire too late, for moving it takes longer than looking at the clock: as
/// long as requests come and go it fires once in a while, and finds nothing.
fn is_overdue(
    activity: &Activity,
    limits: &Limits,
    mut timer: Pin<&mut Sleep>,
    cx: &mut Context<'_>,
) -> bool {
    let later = || Instant::now() + limits.idle;
    if let Some(deadline) = activity.deadline(limits).filter(|deadline| *deadline < timer.deadline()) {
        timer.as_mut().reset(deadline);
    }
    while timer.as_mut().poll(cx).is_ready() {
        match activity.deadline(limits) {
            Some(deadline) if deadline <= Instant::now() => return true,
            deadline => timer.as_mut().reset(deadline.unwrap_or_else(later)),
        }
    }
    false
}

/// Counts and logs a handshake that failed by what was said in it: the certificate is not trusted here or there, or
/// nothing is spoken that both sides know. Whoever connects and goes away again is no news.
pub(super) fn handshake_failed(metrics: &Metrics, error: &io::Error) {
    // What rustls complains about is of this kind.
    let is_news = error.kind() == io::ErrorKind::InvalidData && {
        metrics.handshake_errors.inc();
        // Ever fewer of them: anybody who can connect can make one.
        metrics.handshake_errors.get().is_power_of_two()
    };
    if is_news {
        tracing::warn!(%error, count = metrics.handshake_errors.get(), "a TLS handshake failed");
    } else {
        tracing::debug!(%error, "a TLS handshake failed");
    }
}

async fn handshake(
    stream: TcpStream,
    tls: Arc<ServerConfig>,
    activity: Activity,
    turn: Turn,
) -> io::Result<Box<TlsStream<Stream>>> {
    still_waiting(&stream).await?;
    let stream = Stream::new(stream, activity, turn);
    TlsAcceptor::from(tls).accept(stream).await.map(Box::new)
}

/// Waits for the first byte; an error when the caller has gone already. After a standstill many have, and each
/// handshake that nobody waits for would keep the others waiting.
pub(super) async fn still_waiting(stream: &TcpStream) -> io::Result<()> {
    let has_gone = match sends_no_more(stream)? {
        Some(has_gone) => has_gone,
        // tokio takes it for granted that an accepted stream is ready, until it finds nothing.
        None => match stream.try_io(Interest::READABLE, || Ok(recv(stream, &mut [0], RecvFlags::PEEK)?.0)) {
            Ok(length) => length == 0,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                stream.ready(Interest::READABLE).await?.is_read_closed()
            }
            Err(error) => return Err(error),
        },
    };
    if has_gone { Err(io::ErrorKind::ConnectionAborted.into()) } else { Ok(()) }
}

/// Whether the caller has ended its side, whatever there is to be read before; `None` when there is nothing.
#[cfg(target_os = "linux")]
fn sends_no_more(stream: &TcpStream) -> io::Result<Option<bool>> {
    let mut asked = [PollFd::new(stream, PollFlags::IN | PollFlags::RDHUP)];
    let is_news = poll(&mut asked, Some(&Timespec::default()))? > 0;
    Ok(is_news.then(|| asked.iter().any(|asked| asked.revents().contains(PollFlags::RDHUP))))
}

/// Elsewhere it cannot be asked for.
#[cfg(not(target_os = "linux"))]
fn sends_no_more(_: &TcpStream) -> io::Result<Option<bool>> {
    Ok(None)
}
