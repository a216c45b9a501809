//! A stream that reads from the network in large pieces.
//!
//! rustls asks for four kilobytes at a time, and asking the operating system costs more than decrypting what comes of
//! it. What was read and not asked for is held for as long as there is any: a connection that waits holds nothing.

use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// What is read at once, in bytes: a review of the usual size. What is left of a larger one comes next.
const PIECE: usize = 24 << 10;

/// A stream of a connection, below TLS.
#[derive(Debug)]
pub(super) struct ReadAhead {
    stream: TcpStream,
    read: BytesMut,
}

impl ReadAhead {
    pub(super) fn new(stream: TcpStream) -> Self {
        Self { stream, read: BytesMut::new() }
    }
}

impl AsyncRead for ReadAhead {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Self { stream, read } = self.get_mut();
        if read.is_empty() {
            // Nothing is allocated while there is nothing.
            ready!(stream.poll_read_ready(cx))?;
            let mut piece = BytesMut::with_capacity(PIECE);
            ready!(pin!(stream.read_buf(&mut piece)).poll(cx))?;
            *read = piece;
        }
        let length = read.len().min(buffer.remaining());
        buffer.put_slice(read.get(..length).unwrap_or_default());
        read.advance(length);
        if read.is_empty() {
            *read = BytesMut::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for ReadAhead {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::AsyncWriteExt as _;
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn everything_comes_in_its_order_and_nothing_is_kept() {
        let sent: Vec<u8> = (0..3 * PIECE).map(|i| (i / 7) as u8).collect();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut other = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let mut stream = ReadAhead::new(listener.accept().await.unwrap().0);
        let mut part = [0; 1000];
        let waits = poll_fn(|cx| {
            Poll::Ready(Pin::new(&mut stream).poll_read(cx, &mut ReadBuf::new(&mut part)).is_pending())
        });
        assert!(waits.await);
        assert_eq!(stream.read.capacity(), 0);
        let all = sent.clone();
        let sender = tokio::spawn(async move {
            other.write_all(&all).await.unwrap();
            other
        });
        let mut read = Vec::new();
        while read.len() < sent.len() {
            let length = stream.read(&mut part).await.unwrap();
            read.extend_from_slice(&part[..length]);
        }
        assert!(read == sent);
        assert_eq!(stream.read.capacity(), 0);
        drop(sender.await.unwrap());
        assert_eq!(stream.read(&mut part).await.unwrap(), 0);
    }
}
