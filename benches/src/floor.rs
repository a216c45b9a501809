//! About the least that an answer over HTTPS takes: a server that reads each request to its end and either decides nothing,
//! and writes what our webhook answers, or has our handler decide, with nothing else of our webhook around it.
//!
//! TLS is the webhook's, and so is how connections are accepted.

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

use anyhow::{Context as _, ensure};
use clap::ValueEnum;
use envtest::{Authority, Client, Request};
use hyper::body::Bytes;
use tokio::runtime::Builder;
use webhook::{
    admission::Admission,
    log::{self, Format},
    tls::{Certificate, Protocol, Publisher},
};

use crate::{
    context::{self, Context},
    inputs,
    process::Process,
    results::{FLOOR, FLOOR_WITH_HANDLER, LIBRARIES, LIBRARIES_WITH_HANDLER},
    sections::handler,
    webhook::{Webhook, certificate, free_ports, gives},
};

/// What serves.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum With {
    OwnThread,
    Libraries,
}

/// Where answers come from.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Source {
    /// They were read before.
    Files,
    /// Our handler, as the handler's own benchmark has it.
    Handler,
}

enum Answers {
    /// By path, without the slash.
    Known(HashMap<String, Bytes>),
    Decided(Admission),
}

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
    pub(crate) fn start(
        context: &Context,
        webhook: &Webhook,
        with: With,
        source: Source,
    ) -> anyhow::Result<Self> {
        let (name, with, source) = match (with, source) {
            (With::OwnThread, Source::Files) => (FLOOR, "own-thread", "files"),
            (With::OwnThread, Source::Handler) => (FLOOR_WITH_HANDLER, "own-thread", "handler"),
            (With::Libraries, Source::Files) => (LIBRARIES, "libraries", "files"),
            (With::Libraries, Source::Handler) => (LIBRARIES_WITH_HANDLER, "libraries", "handler"),
        };
        let folder = context.work.join(name);
        fs::create_dir_all(&folder)?;
        for pod in &context.pods {
            fs::write(folder.join(pod.size), webhook.answer(context, pod)?)?;
        }
        let (authority, pair) = certificate()?;
        fs::write(folder.join(CERTIFICATE), pair.certificate)?;
        fs::write(folder.join(KEY), pair.key)?;
        let [port, _] = free_ports()?;
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("--floor").arg(&folder);
        command.args([format!("--with={with}"), format!("--source={source}"), format!("--port={port}")]);
        let mut floor = Self { name, process: Process::start(&mut command, folder.join("log"))?, port };
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            floor.process.is_running()?;
            thread::sleep(Duration::from_millis(5));
        }
        floor.check(context, &authority)?;
        Ok(floor)
    }

    /// Checks that it gives every pod its role: what a wrong answer takes is no floor.
    fn check(&self, context: &Context, authority: &Authority) -> anyhow::Result<()> {
        let client = Client::new((Ipv4Addr::LOCALHOST, self.port).into(), &authority.pem(), "")?;
        for pod in &context.pods {
            let review = Request::post(&format!("/{}", pod.size), &pod.review);
            let answer = context.runtime.block_on(client.send(review))?.json()?;
            ensure!(
                gives(&answer, &pod.role()),
                "{}: it does not give the pod of {} its role",
                self.name,
                pod.size
            );
        }
        Ok(())
    }

    /// Where reviews of a size are answered.
    pub(crate) fn url(&self, size: &str) -> String {
        format!("https://127.0.0.1:{}/{size}", self.port)
    }
}

/// Serves what the files of a folder hold, each under its own name, or what our handler answers.
pub(crate) fn serve(folder: &Path, with: With, source: Source, port: u16) -> anyhow::Result<()> {
    let mut files = HashMap::<String, Bytes>::new();
    for file in fs::read_dir(folder)? {
        let path = file?.path();
        files.insert(name(&path)?, fs::read(&path)?.into());
    }
    let file = |name: &str| files.get(name).with_context(|| format!("expected a file `{name}`"));
    let publisher = Publisher::new(Protocol::default(), None);
    let provider = publisher.protocol().provider();
    publisher.publish(Certificate::read(file(CERTIFICATE)?, file(KEY)?, provider)?.key)?;
    let tls = publisher.published().load_full().context("it was just published")?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
    ::webhook::server::defer_accept(&listener);
    // It has to be there for as long as our handler is, which could ask an API server.
    let runtime = Builder::new_current_thread().enable_all().build()?;
    // Our handler logs each pod.
    let _flush = matches!(source, Source::Handler).then(|| log::init(Format::Human, 0)).transpose()?;
    let answers = Arc::new(match source {
        Source::Files => Answers::Known(files),
        Source::Handler => {
            let root = context::root();
            let pods = inputs::pods(&root, &context::target(&root).join("bench"))?;
            Answers::Decided(handler::admission(&runtime, &pods)?)
        }
    });
    match with {
        With::OwnThread => own_thread::serve(&listener, &tls, &answers),
        With::Libraries => libraries::serve(listener, tls, answers),
    }
}

fn name(path: &Path) -> anyhow::Result<String> {
    let name = path.file_name().and_then(|name| name.to_str());
    name.map(str::to_owned).with_context(|| format!("`{}` has no name", path.display()))
}
