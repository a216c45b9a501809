//! The stream of a connection, below TLS.
//!
//! It is read in large pieces: rustls asks for four kilobytes at a time, and asking the operating system costs more than
//! decrypting what comes of it. A connection that waits for long holds nothing.
//!
//! tokio says when there is something to read, unless the connection has a thread of its own ([`super::own_thread`]):
//! then reading waits in the operating system, which is one call instead of three, but never for long.

use std::io::{self, BufRead as _, BufReader, IoSlice, Write as _};
use std::mem;
use std::net::Shutdown;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, BytesMut};
#[cfg(target_os = "linux")]
use rustix::net::sockopt::set_tcp_cork;
use tokio::io::{AsyncBufRead, AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

#[cfg(test)]
mod tests;

use super::activity::Activity;
use super::own_thread::PATIENCE;
use super::turns::Turn;

/// What is read at once, in bytes: a review of the usual size. What is left of a larger one comes next.
const PIECE: usize = 24 << 10;

/// A stream of a connection, below TLS.
#[derive(Debug)]
pub(super) struct Stream {
    socket: Socket,
    activity: Activity,
    /// Nothing is read without it.
    turn: Turn,
    /// What is written goes once it is the end, or fills a packet.
    holds: bool,
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.turn.end();
    }
}

#[derive(Debug)]
enum Socket {
    /// tokio says when. What was read and not asked for is held for as long as there is any.
    Polled { stream: TcpStream, read: BytesMut },
    /// Calls wait, as long as [`PATIENCE`].
    Blocking(BufReader<std::net::TcpStream>),
    /// It could not be made the one or the other.
    Lost,
}

impl Stream {
    pub(super) fn new(stream: TcpStream, activity: Activity, turn: Turn) -> Self {
        Self { socket: Socket::Polled { stream, read: BytesMut::new() }, activity, turn, holds: false }
    }

    /// Reads something, unless there is something left.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.filled().is_empty() {
            return Poll::Ready(Ok(()));
        }
        self.settle()?;
        if let Socket::Blocking(reader) = &mut self.socket {
            match waits(|| reader.fill_buf().map(drop)) {
                Some(filled) => return Poll::Ready(filled),
                None => self.unblock()?,
            }
        }
        let Self { socket: Socket::Polled { stream, read }, activity, turn, .. } = self else {
            return Poll::Ready(Err(lost()));
        };
        let piece = poll_piece(stream, turn, cx);
        if piece.is_pending() {
            activity.wait();
        }
        *read = ready!(piece)?;
        Poll::Ready(Ok(()))
    }

    fn filled(&self) -> &[u8] {
        match &self.socket {
            Socket::Polled { read, .. } => read,
            Socket::Blocking(reader) => reader.buffer(),
            Socket::Lost => &[],
        }
    }

    fn use_up(&mut self, length: usize) {
        match &mut self.socket {
            Socket::Polled { read, .. } => {
                read.advance(length);
                if read.is_empty() {
                    *read = BytesMut::new();
                }
            }
            Socket::Blocking(reader) => reader.consume(length),
            Socket::Lost => {}
        }
    }

    /// Makes the socket fit the place where the connection is served. Whoever takes byte after byte is not waited for either.
    fn settle(&mut self) -> io::Result<()> {
        if self.activity.may_block() && self.turn.has_begun() { self.block() } else { self.unblock() }
    }

    /// From now on calls wait, once nothing is left that was read before.
    fn block(&mut self) -> io::Result<()> {
        if !matches!(&self.socket, Socket::Polled { read, .. } if read.is_empty()) {
            return Ok(());
        }
        if let Socket::Polled { stream, .. } = mem::replace(&mut self.socket, Socket::Lost) {
            let stream = stream.into_std()?;
            stream.set_nonblocking(false)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.set_write_timeout(Some(PATIENCE))?;
            self.socket = Socket::Blocking(BufReader::with_capacity(PIECE, stream));
        }
        Ok(())
    }

    /// From now on calls do not wait, and so the connection needs no thread of its own.
    fn unblock(&mut self) -> io::Result<()> {
        self.activity.leave_thread();
        if !matches!(self.socket, Socket::Blocking(_)) {
            return Ok(());
        }
        if let Socket::Blocking(reader) = mem::replace(&mut self.socket, Socket::Lost) {
            let read = BytesMut::from(reader.buffer());
            let stream = reader.into_inner();
            stream.set_nonblocking(true)?;
            self.socket = Socket::Polled { stream: TcpStream::from_std(stream)?, read };
        }
        Ok(())
    }

    /// Lets the last answer, the farewell of TLS, and the end go together: they would be three packets.
    fn hold(&self) {
        #[cfg(target_os = "linux")]
        let _ = match &self.socket {
            Socket::Polled { stream, .. } => set_tcp_cork(stream, true),
            Socket::Blocking(reader) => set_tcp_cork(reader.get_ref(), true),
            Socket::Lost => Ok(()),
        };
    }

    /// Writes, and waits for it in one way or the other.
    fn poll_put(
        &mut self,
        block: impl Fn(&mut std::net::TcpStream) -> io::Result<usize>,
        poll: impl FnOnce(Pin<&mut TcpStream>) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        self.settle()?;
        if self.activity.answers_last() && !mem::replace(&mut self.holds, true) {
            self.hold();
        }
        if let Socket::Blocking(reader) = &mut self.socket {
            match waits(|| block(reader.get_mut())) {
                Some(written) => return Poll::Ready(written),
                None => self.unblock()?,
            }
        }
        let Socket::Polled { stream, .. } = &mut self.socket else { return Poll::Ready(Err(lost())) };
        let written = poll(Pin::new(stream));
        if written.is_pending() {
            self.activity.leave_thread();
        }
        written
    }
}

/// Something, as soon as there is something. While there is nothing, nothing is allocated, and nobody takes a turn.
fn poll_piece(stream: &mut TcpStream, turn: &Turn, cx: &mut Context<'_>) -> Poll<io::Result<BytesMut>> {
    ready!(stream.poll_read_ready(cx))?;
    ready!(turn.poll_begin(cx));
    let mut piece = BytesMut::with_capacity(PIECE);
    ready!(pin!(stream.read_buf(&mut piece)).poll(cx))?;
    Poll::Ready(Ok(piece))
}

/// What a call says that may wait; `None` when it has waited as long as it may.
fn waits<T>(mut call: impl FnMut() -> io::Result<T>) -> Option<io::Result<T>> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return None,
            said => return Some(said),
        }
    }
}

fn lost() -> io::Error {
    io::Error::new(io::ErrorKind::NotConnected, "the socket could not be handed over")
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(self.poll_fill(cx))?;
        let length = self.filled().len().min(buffer.remaining());
        buffer.put_slice(self.filled().get(..length).unwrap_or_default());
        self.use_up(length);
        Poll::Ready(Ok(()))
    }
}

impl AsyncBufRead for Stream {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        let this = self.get_mut();
        ready!(this.poll_fill(cx))?;
        Poll::Ready(Ok(this.filled()))
    }

    fn consume(mut self: Pin<&mut Self>, length: usize) {
        self.use_up(length);
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_put(|stream| stream.write(bytes), |stream| stream.poll_write(cx, bytes))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_put(|stream| stream.write_vectored(parts), |stream| stream.poll_write_vectored(cx, parts))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // A socket holds nothing back. One that has just left its thread is not to keep its buffer while it waits.
        Poll::Ready(if self.activity.has_thread() { Ok(()) } else { self.unblock() })
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.socket {
            Socket::Polled { stream, .. } => Pin::new(stream).poll_shutdown(cx),
            Socket::Blocking(reader) => Poll::Ready(reader.get_ref().shutdown(Shutdown::Write)),
            Socket::Lost => Poll::Ready(Err(lost())),
        }
    }
}
