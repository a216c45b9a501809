//! A stream that notes what its connection is waiting for.

use std::io;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::io::{AsyncBufRead, AsyncRead, AsyncWrite, ReadBuf};

use super::activity::{Activity, Phase};
use super::turns::Turn;

/// A stream of a connection, above TLS.
#[derive(Debug)]
pub(super) struct Timed<S> {
    /// What was read of the stream before.
    read: Bytes,
    stream: S,
    activity: Activity,
    turn: Turn,
    /// Something was read, and hyper has not gone on since.
    has_read: bool,
    write_waits: bool,
    flush_waits: bool,
}

impl<S> Timed<S> {
    pub(super) fn new(read: Bytes, stream: S, activity: Activity, turn: Turn) -> Self {
        Self { read, stream, activity, turn, has_read: false, write_waits: false, flush_waits: false }
    }

    /// What was read before and is still to be handed on, and the stream.
    pub(super) fn into_parts(self) -> (Bytes, S) {
        (self.read, self.stream)
    }

    fn wrote<T>(&mut self, written: Poll<T>) -> Poll<T> {
        self.write_waits = written.is_pending();
        self.activity.stall(self.write_waits || self.flush_waits);
        written
    }

    fn flushed<T>(&mut self, flushed: Poll<T>) -> Poll<T> {
        self.flush_waits = flushed.is_pending();
        self.activity.stall(self.write_waits || self.flush_waits);
        flushed
    }
}

impl<S: AsyncBufRead + Unpin> AsyncRead for Timed<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Self { read, stream, activity, turn, has_read, .. } = &mut *self;
        if !read.is_empty() {
            let length = read.len().min(buffer.remaining());
            buffer.put_slice(&read.split_to(length));
            return Poll::Ready(Ok(()));
        }
        // Before hyper hands on what it has read, it looks whether the caller is still there. An answer is not to wait for
        // that.
        if mem::take(has_read)
            && activity.has_thread()
            && matches!(activity.phase(), Phase::Body | Phase::Answer)
        {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        // Between two requests it is others' turn. It will be asked again when it is at rest.
        if activity.is_at_rest() && turn.is_wanted() {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        // One record at a time: a stream of TLS that is asked for more waits for it.
        let mut stream = Pin::new(stream);
        let data = ready!(stream.as_mut().poll_fill_buf(cx))?;
        let length = data.len().min(buffer.remaining());
        buffer.put_slice(data.get(..length).unwrap_or_default());
        stream.consume(length);
        *has_read = true;
        // What arrives while an answer is awaited is its body, or a request that nobody reads before the next one:
        // the limit for idle connections holds for it.
        if activity.phase() == Phase::Idle {
            activity.begin_next();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Timed<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.wrote(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, parts);
        self.wrote(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        self.flushed(flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let closed = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.flushed(closed)
    }
}
