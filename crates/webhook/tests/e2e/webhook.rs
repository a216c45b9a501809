//! The webhook's process.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::Path,
    process,
    sync::atomic::{AtomicU16, Ordering},
    thread,
    time::Duration,
};

use bytes::Bytes;
use envtest::{Authority, Processes};
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, time::sleep};

use crate::{
    certificate_files::{CertificateFiles, Layout},
    cluster::Cluster,
};

const NAME: &str = "pod-identity-webhook";
const START_LIMIT: Duration = Duration::from_secs(60);
const END_LIMIT: Duration = Duration::from_secs(60);

/// A running webhook; killed when it is dropped or when the test process ends.
pub(crate) struct Webhook {
    processes: Processes,
    certificates: Option<CertificateFiles>,
    address: SocketAddr,
    metrics_address: SocketAddr,
}

/// How to start.
pub(crate) struct Start<'a> {
    pub(crate) cluster: &'a Cluster,
    /// The bearer token for the API server.
    pub(crate) token: &'a str,
    /// Files in the webhook's directory, by name; a flag reaches them as `{directory}/name`.
    pub(crate) files: &'a [(&'a str, String)],
    pub(crate) flags: &'a [&'a str],
    /// Certificate files, by whom they are signed and how they lie; without it the webhook makes its own.
    pub(crate) certificates: Option<(&'a Authority, Layout)>,
}

impl Webhook {
    /// Starts it and waits until it is ready.
    pub(crate) async fn start(start: &Start<'_>) -> Webhook {
        let mut webhook = Webhook::spawn(start);
        webhook.until("ready", async |webhook| matches!(webhook.readiness().await, Some((200, _)))).await;
        webhook
    }

    /// Starts it and waits until it accepts connections.
    pub(crate) async fn start_unready(start: &Start<'_>) -> Webhook {
        let mut webhook = Webhook::spawn(start);
        webhook.until("listening", async |webhook| TcpStream::connect(webhook.address).await.is_ok()).await;
        webhook
    }

    fn spawn(start: &Start<'_>) -> Webhook {
        let mut processes = Processes::new().unwrap();
        let directory = processes.directory().to_owned();
        let certificates = start.certificates.map(|(authority, layout)| {
            let pair = authority.server(&["127.0.0.1"]).unwrap();
            CertificateFiles::new(directory.join("certificates"), layout, &pair)
        });
        let kubeconfig = start.cluster.environment().kubeconfig(start.token);
        let kubeconfig = processes.write("kubeconfig", &kubeconfig).unwrap();
        for (name, content) in start.files {
            processes.write(name, content).unwrap();
        }
        let (port, metrics_port) = (free_port(), free_port());
        let mut flags = vec![
            format!("--port={port}"),
            format!("--metrics-port={metrics_port}"),
            format!("--kubeconfig={}", kubeconfig.display()),
        ];
        if let Some(certificates) = &certificates {
            flags.push("--in-cluster=false".to_owned());
            flags.push(format!("--tls-cert={}", certificates.certificate().display()));
            flags.push(format!("--tls-key={}", certificates.key().display()));
        }
        let directory = directory.display().to_string();
        flags.extend(start.flags.iter().map(|flag| flag.replace("{directory}", &directory)));
        processes.spawn(NAME, Path::new(env!("CARGO_BIN_EXE_pod-identity-webhook")), &flags).unwrap();
        let address = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        Webhook { processes, certificates, address: address(port), metrics_address: address(metrics_port) }
    }

    /// Where it serves reviews.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The directory with its files.
    pub(crate) fn directory(&self) -> &Path {
        self.processes.directory()
    }

    /// Its certificate's files.
    pub(crate) fn certificates(&self) -> &CertificateFiles {
        self.certificates.as_ref().unwrap()
    }

    /// Replaces one of its files in one step.
    pub(crate) fn replace_file(&self, name: &str, content: &str) {
        let new = self.processes.write(&format!("{name}.new"), content).unwrap();
        fs::rename(new, self.directory().join(name)).unwrap();
    }

    /// What it has logged so far.
    pub(crate) fn log(&self) -> String {
        self.processes.output(NAME)
    }

    /// Asks it to end, as a kubelet does.
    pub(crate) fn terminate(&self) {
        self.processes.signal(NAME, "TERM").unwrap();
    }

    /// Waits until it has ended, and says how.
    pub(crate) async fn ended(&mut self) -> process::ExitStatus {
        let ended = async {
            loop {
                if let Some((_, status, _)) = self.processes.ended() {
                    return status;
                }
                sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(END_LIMIT, ended).await.expect("the webhook did not end")
    }

    /// Panics with its log if it has ended.
    pub(crate) fn assert_running(&mut self) {
        if let Some((_, status, log)) = self.processes.ended() {
            panic!("the webhook ended ({status}):\n{log}");
        }
    }

    async fn until(&mut self, what: &str, condition: impl AsyncFn(&Webhook) -> bool) {
        let wait = async {
            loop {
                self.assert_running();
                if condition(self).await {
                    return;
                }
                sleep(Duration::from_millis(50)).await;
            }
        };
        if tokio::time::timeout(START_LIMIT, wait).await.is_err() {
            panic!("the webhook is not {what}:\n{}", self.log());
        }
    }

    /// What `/readyz` says.
    pub(crate) async fn readiness(&self) -> Option<(u16, String)> {
        get(self.metrics_address, "/readyz").await
    }
}

impl Drop for Webhook {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("the webhook's log:\n{}", self.processes.log(NAME));
        }
    }
}

async fn get(address: SocketAddr, path: &str) -> Option<(u16, String)> {
    let stream = TcpStream::connect(address).await.ok()?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.ok()?;
    let connection = tokio::spawn(connection);
    let request = hyper::Request::get(path).header("host", "127.0.0.1").body(Empty::<Bytes>::new()).unwrap();
    let response = sender.send_request(request).await.ok()?;
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.ok()?.to_bytes();
    connection.abort();
    Some((status, String::from_utf8(body.to_vec()).ok()?))
}

/// A port below those from which systems take the ports of outgoing connections: nobody else comes upon it.
fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = 20_000 + u16::try_from(process::id() % 10_000).unwrap();
    loop {
        let port = start + NEXT.fetch_add(1, Ordering::Relaxed) % 2_000;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
}
