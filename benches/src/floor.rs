//! About the least that an answer over HTTPS takes: a server that reads each request to its end, decides nothing, and writes
//! what our webhook answers.
//!
//! TLS is the webhook's, and so is how connections are accepted. The answers were read before.

mod libraries;
mod own_thread;

use std::{
    collections::HashMap,
    fs,
    net::{Ipv4Addr, TcpListener, TcpStream},
    path::Path,
    process::Command,
    sync::Arc,
    thread,
    time::Duration,
};

use anyhow::Context as _;
use clap::ValueEnum;
use hyper::body::Bytes;
use webhook::tls::{Certificate, Protocol, Publisher};

use crate::{
    context::Context,
    process::Process,
    results::{FLOOR, LIBRARIES},
    webhook::{Webhook, certificate, free_ports},
};

/// What serves.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum With {
    OwnThread,
    Libraries,
}

/// By path, without the slash.
type Answers = HashMap<String, Bytes>;

/// What a connection reads at once, in bytes: a large review's worth.
const READ_SIZE: usize = 32 << 10;
const CERTIFICATE: &str = "tls.crt";
const KEY: &str = "tls.key";

/// The server, in a process of its own. It is killed when this is dropped.
pub(crate) struct Floor {
    pub(crate) name: &'static str,
    pub(crate) process: Process,
    port: u16,
}

impl Floor {
    /// Starts it with what the webhook answers.
    pub(crate) fn start(context: &Context, webhook: &Webhook, with: With) -> anyhow::Result<Self> {
        let (name, value) = match with {
            With::OwnThread => (FLOOR, "own-thread"),
            With::Libraries => (LIBRARIES, "libraries"),
        };
        let folder = context.work.join(name);
        fs::create_dir_all(&folder)?;
        for pod in &context.pods {
            fs::write(folder.join(pod.size), webhook.answer(context, pod)?)?;
        }
        let pair = certificate()?.1;
        fs::write(folder.join(CERTIFICATE), pair.certificate)?;
        fs::write(folder.join(KEY), pair.key)?;
        let [port, _] = free_ports()?;
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("--floor").arg(&folder).args([format!("--with={value}"), format!("--port={port}")]);
        let mut floor = Self { name, process: Process::start(&mut command, folder.join("log"))?, port };
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
pub(crate) fn serve(folder: &Path, with: With, port: u16) -> anyhow::Result<()> {
    let mut answers = Answers::new();
    for file in fs::read_dir(folder)? {
        let path = file?.path();
        answers.insert(name(&path)?, fs::read(&path)?.into());
    }
    let file = |name: &str| answers.get(name).with_context(|| format!("expected a file `{name}`"));
    let publisher = Publisher::new(Protocol::default(), None);
    let provider = publisher.protocol().provider();
    publisher.publish(Certificate::read(file(CERTIFICATE)?, file(KEY)?, provider)?.key)?;
    let tls = publisher.published().load_full().context("it was just published")?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
    ::webhook::server::defer_accept(&listener);
    let answers = Arc::new(answers);
    match with {
        With::OwnThread => own_thread::serve(&listener, &tls, &answers),
        With::Libraries => libraries::serve(listener, tls, answers),
    }
}

fn name(path: &Path) -> anyhow::Result<String> {
    let name = path.file_name().and_then(|name| name.to_str());
    name.map(str::to_owned).with_context(|| format!("`{}` has no name", path.display()))
}
