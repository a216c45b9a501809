//! A thread for each connection, which waits in `read`: for a request there is nothing but the calls that fetch it, the call
//! that answers, and TLS between them.

use std::{
    io::{self, BufRead as _, BufReader, Read, Write},
    mem,
    net::{TcpListener, TcpStream},
    pin::pin,
    sync::Arc,
    task::{self, Poll, Waker},
    thread,
};

use anyhow::{Context as _, bail};
use hyper::body::Bytes;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use webhook::{
    admission::{Admission, Task},
    server::interrupt_nobody,
};

use super::{Answers, READ_SIZE};

pub(super) fn serve(
    listener: &TcpListener,
    tls: &Arc<ServerConfig>,
    answers: &Arc<Answers>,
) -> anyhow::Result<()> {
    for stream in listener.incoming() {
        let (stream, tls, answers) = (stream?, Arc::clone(tls), Arc::clone(answers));
        // Whoever goes away goes away.
        thread::spawn(move || converse(stream, tls, &answers).ok());
    }
    Ok(())
}

/// Answers until the other side has enough.
fn converse(stream: TcpStream, tls: Arc<ServerConfig>, answers: &Answers) -> anyhow::Result<()> {
    stream.set_nodelay(true)?;
    let mut tls = ServerConnection::new(tls)?;
    // Answers are written at once.
    tls.set_buffer_limit(None);
    let stream = Buffered(BufReader::with_capacity(READ_SIZE, stream));
    let mut stream = BufReader::with_capacity(READ_SIZE, StreamOwned::new(tls, stream));
    let (mut line, mut body) = (String::new(), Vec::new());
    let mut is_kept = false;
    while stream.read_line(&mut line)? > 0 {
        let path = line.split([' ', '/']).nth(2).unwrap_or_default().to_owned();
        let (mut length, mut close) = (0, false);
        loop {
            line.clear();
            stream.read_line(&mut line)?;
            let Some((name, value)) = line.trim().split_once(": ") else { break };
            if name.eq_ignore_ascii_case("content-length") {
                length = value.parse()?;
            } else if name.eq_ignore_ascii_case("connection") {
                close = value.eq_ignore_ascii_case("close");
            }
        }
        body.resize(length, 0);
        stream.read_exact(&mut body)?;
        let answer = match answers {
            Answers::Known(answers) => answers.get(&path).context("no such path")?.clone(),
            Answers::Decided(admission) => decide(admission, &body)?,
        };
        let end = if close { "connection: close\r\n" } else { "" };
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n{end}\r\n",
            answer.len()
        );
        let out = stream.get_mut();
        out.conn.writer().write_all(&[head.as_bytes(), &answer].concat())?;
        if close {
            out.conn.send_close_notify();
        }
        out.flush()?;
        if close {
            break;
        }
        // As ours does once a connection is busy.
        if !mem::replace(&mut is_kept, true) {
            interrupt_nobody();
        }
        line.clear();
    }
    Ok(())
}

/// What our handler answers. Its roles are in the settings, so that it waits for nobody.
fn decide(admission: &Admission, body: &[u8]) -> anyhow::Result<Bytes> {
    let review = pin!(admission.review(body, Task::Mutate, None));
    match review.poll(&mut task::Context::from_waker(Waker::noop())) {
        Poll::Ready(answer) => answer.ok().context("our handler failed"),
        Poll::Pending => bail!("our handler waits, where everything it asks for is in its settings"),
    }
}

/// Read in large pieces, written as it comes.
struct Buffered(BufReader<TcpStream>);

impl Read for Buffered {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.0.read(into)
    }
}

impl Write for Buffered {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.get_mut().write(bytes)
    }

    fn write_vectored(&mut self, pieces: &[io::IoSlice<'_>]) -> io::Result<usize> {
        self.0.get_mut().write_vectored(pieces)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
