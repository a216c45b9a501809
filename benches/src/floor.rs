//! About the least that an answer over HTTPS takes: a server that reads each request to its end, decides nothing, and writes
//! what our webhook answers.
//!
//! TLS is the webhook's. A thread for each connection waits in `read`, so that for a request there is nothing but the
//! calls that fetch it, the call that answers, and TLS between them.

use std::{
    collections::HashMap,
    fs,
    io::{self, BufRead as _, BufReader, Read, Write},
    net::{Ipv4Addr, TcpListener, TcpStream},
    path::Path,
    process::Command,
    sync::Arc,
    thread,
    time::Duration,
};

use anyhow::Context as _;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use webhook::tls::{Certificate, Protocol, Publisher};

use crate::{
    context::Context,
    process::Process,
    webhook::{Webhook, certificate, free_ports},
};

/// What a connection reads at once, in bytes: a large review's worth.
const READ_SIZE: usize = 32 << 10;
const CERTIFICATE: &str = "tls.crt";
const KEY: &str = "tls.key";

/// The server, in a process of its own. It is killed when this is dropped.
pub(crate) struct Floor {
    pub(crate) process: Process,
    port: u16,
}

impl Floor {
    /// Starts it with what the webhook answers.
    pub(crate) fn start(context: &Context, webhook: &Webhook) -> anyhow::Result<Self> {
        let folder = context.work.join("floor");
        fs::create_dir_all(&folder)?;
        for pod in &context.pods {
            fs::write(folder.join(pod.size), webhook.answer(context, pod)?)?;
        }
        let pair = certificate()?.1;
        fs::write(folder.join(CERTIFICATE), pair.certificate)?;
        fs::write(folder.join(KEY), pair.key)?;
        let [port, _] = free_ports()?;
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("--floor").arg(&folder).arg(format!("--port={port}"));
        let mut floor = Self { process: Process::start(&mut command, folder.join("log"))?, port };
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            floor.process.is_running()?;
            thread::sleep(Duration::from_millis(5));
        }
        Ok(floor)
    }

    /// Where reviews of a size are answered.
    pub(crate) fn url(&self, size: &str) -> String {
        format!("https://127.0.0.1:{}/{size}", self.port)
    }
}

/// Serves what the files of a folder hold, each under its own name.
pub(crate) fn serve(folder: &Path, port: u16) -> anyhow::Result<()> {
    let mut answers = HashMap::new();
    for file in fs::read_dir(folder)? {
        let path = file?.path();
        answers.insert(name(&path)?, fs::read(&path)?);
    }
    let file = |name: &str| answers.get(name).with_context(|| format!("expected a file `{name}`"));
    let publisher = Publisher::new(Protocol::default(), None);
    let provider = publisher.protocol().provider();
    publisher.publish(Certificate::read(file(CERTIFICATE)?, file(KEY)?, provider)?.key)?;
    let configuration = publisher.published().load_full().context("it was just published")?;
    let shared = Arc::new((configuration, answers));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
    for stream in listener.incoming() {
        let (stream, shared) = (stream?, Arc::clone(&shared));
        // Whoever goes away goes away.
        thread::spawn(move || converse(stream, &shared.0, &shared.1).ok());
    }
    Ok(())
}

fn name(path: &Path) -> anyhow::Result<String> {
    let name = path.file_name().and_then(|name| name.to_str());
    name.map(str::to_owned).with_context(|| format!("`{}` has no name", path.display()))
}

/// Answers until the other side has enough.
fn converse(
    stream: TcpStream,
    configuration: &Arc<ServerConfig>,
    answers: &HashMap<String, Vec<u8>>,
) -> anyhow::Result<()> {
    stream.set_nodelay(true)?;
    let mut tls = ServerConnection::new(Arc::clone(configuration))?;
    // Answers are written at once.
    tls.set_buffer_limit(None);
    let stream = Buffered(BufReader::with_capacity(READ_SIZE, stream));
    let mut stream = BufReader::with_capacity(READ_SIZE, StreamOwned::new(tls, stream));
    let (mut line, mut body) = (String::new(), Vec::new());
    while stream.read_line(&mut line)? > 0 {
        let path = line.split([' ', '/']).nth(2).unwrap_or_default();
        let answer = answers.get(path).context("no such path")?;
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
        let end = if close { "connection: close\r\n" } else { "" };
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n{end}\r\n",
            answer.len()
        );
        let out = stream.get_mut();
        out.conn.writer().write_all(&[head.as_bytes(), answer].concat())?;
        if close {
            out.conn.send_close_notify();
        }
        out.flush()?;
        if close {
            break;
        }
        line.clear();
    }
    Ok(())
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
