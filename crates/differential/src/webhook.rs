//! A webhook at an address.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use envtest::{Authority, Client, Environment, Request};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::compare::Reply;
use crate::differences::Set;
use crate::flags::Flags;
use crate::model::Model;
use crate::scene::{Answer, Scene};

const START_LIMIT: Duration = Duration::from_secs(60);

/// Which of the two is asked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Side {
    Go,
    Here,
}

/// A webhook that answers reviews.
#[derive(Clone)]
pub(crate) struct Webhook {
    client: Client,
    side: Side,
}

/// The files that webhooks are started with.
pub(crate) struct Files {
    ca_pem: String,
    certificate: PathBuf,
    key: PathBuf,
    pub(crate) identities: PathBuf,
}

impl Files {
    /// Written into the environment's directory.
    pub(crate) fn write(environment: &Environment, identities: &[Value]) -> Result<Self> {
        let authority = Authority::new("differential")?;
        let pair = authority.server(&["127.0.0.1", "localhost"])?;
        let identities = serde_json::json!({"identities": identities}).to_string();
        Ok(Self {
            ca_pem: authority.pem(),
            certificate: environment.write_file("webhook.crt", &pair.certificate)?,
            key: environment.write_file("webhook.key", &pair.key)?,
            identities: environment.write_file("identities.json", &identities)?,
        })
    }

    /// What a webhook is started with.
    pub(crate) fn arguments(&self, flags: &Flags, kubeconfig: &Path, port: u16) -> Vec<String> {
        let mut arguments = vec![
            "--in-cluster=false".to_owned(),
            format!("--kubeconfig={}", kubeconfig.display()),
            format!("--tls-cert={}", self.certificate.display()),
            format!("--tls-key={}", self.key.display()),
            format!("--port={port}"),
        ];
        arguments.extend(flags.arguments(&self.identities));
        arguments
    }
}

impl Webhook {
    /// Starts a program and waits until it holds what the cluster holds.
    pub(crate) async fn start(
        side: Side,
        program: &Path,
        environment: &mut Environment,
        files: &Files,
        flags: &Flags,
        probes: &[Scene<'_>],
    ) -> Result<Self> {
        let (port, metrics_port) = free_ports()?;
        let mut arguments = files.arguments(flags, environment.kubeconfig_path(), port);
        arguments.push(format!("--metrics-port={metrics_port}"));
        if side == Side::Go {
            // It says what its cache holds there.
            arguments.push("--enable-debugging-handlers".to_owned());
        }
        let name = format!("{}-{}", if side == Side::Go { "go" } else { "here" }, flags.variant);
        environment.start_program(&name, program, &arguments)?;
        let webhook = Self::at(side, (Ipv4Addr::LOCALHOST, port).into(), files)?;
        let start = Instant::now();
        loop {
            let state = webhook.state(metrics_port, probes).await;
            environment.check_programs()?;
            match state {
                Ok(()) => return Ok(webhook),
                Err(error) if start.elapsed() > START_LIMIT => {
                    return Err(error).with_context(|| format!("{name} is not ready"));
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    }

    /// A webhook that somebody else started with the same flags.
    pub(crate) fn at(side: Side, address: SocketAddr, files: &Files) -> Result<Self> {
        Ok(Self { client: Client::new(address, &files.ca_pem, "")?, side })
    }

    /// Waits until it answers the probes as it does when it holds everything.
    pub(crate) async fn wait(&self, probes: &[Scene<'_>]) -> Result<()> {
        let start = Instant::now();
        loop {
            match self.probe(probes).await {
                Err(error) if start.elapsed() > START_LIMIT => return Err(error),
                Err(_) => tokio::time::sleep(Duration::from_millis(200)).await,
                Ok(()) => return Ok(()),
            }
        }
    }

    async fn state(&self, metrics_port: u16, probes: &[Scene<'_>]) -> Result<()> {
        match self.side {
            Side::Go => {
                let held: Value = serde_json::from_str(&get(metrics_port, "/debug/alpha/cache").await?)?;
                let accounts = probes.iter().flat_map(|probe| probe.cluster.accounts.keys());
                for (namespace, name) in accounts {
                    if held.get(format!("{namespace}/{name}")).is_none() {
                        bail!("it does not hold {namespace}/{name}");
                    }
                }
            }
            Side::Here => drop(get(metrics_port, "/readyz").await?),
        }
        self.probe(probes).await
    }

    async fn probe(&self, probes: &[Scene<'_>]) -> Result<()> {
        let here = if self.side == Side::Go { Set::default() } else { Set::all() };
        for probe in probes {
            let unchanged = Answer::Pod(probe.review.pod().clone());
            let is_changed = Model::answer(probe, here).0 != unchanged;
            if self.review(probe).await?.patch.is_some() != is_changed {
                bail!("a probe is not answered as expected: {}", probe.review.text());
            }
        }
        Ok(())
    }

    /// What it answers.
    pub(crate) async fn review(&self, scene: &Scene<'_>) -> Result<Reply> {
        let response =
            self.client.send(Request::post_text("/mutate?timeout=10s", scene.review.text())).await?;
        let answer = response.json()?;
        let expected = |pointer: &str, wanted: Option<&Value>| {
            if answer.pointer(pointer) == wanted {
                Ok(())
            } else {
                Err(anyhow!("`{pointer}` of the answer is not the review's: {answer}"))
            }
        };
        expected("/apiVersion", scene.review.value.get("apiVersion"))?;
        expected("/kind", scene.review.value.get("kind"))?;
        expected("/response/uid", scene.review.request().get("uid"))?;
        let member = |key: &str| answer.pointer(&format!("/response/{key}"));
        let Some(allowed) = member("allowed").and_then(Value::as_bool) else {
            bail!("no `allowed` in the answer: {answer}");
        };
        let patch = match (member("patch").and_then(Value::as_str), member("patchType")) {
            (Some(patch), Some(kind)) if kind == "JSONPatch" => Some(serde_json::from_slice(
                &STANDARD.decode(patch).map_err(|error| anyhow!("the patch is not base64: {error}"))?,
            )?),
            (None, None) => None,
            _ => bail!("patch and patchType do not come together: {answer}"),
        };
        Ok(Reply { allowed, patch })
    }
}

/// Both are held until both are known, so that they differ.
fn free_ports() -> io::Result<(u16, u16)> {
    let listen = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
    let (first, second) = (listen()?, listen()?);
    Ok((first.local_addr()?.port(), second.local_addr()?.port()))
}

/// The body of an answer with status 200, over plain HTTP.
async fn get(port: u16, path: &str) -> Result<String> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
    // HTTP/1.0 has no chunks: the body ends with the connection.
    stream.write_all(format!("GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n").as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    match answer.split_once("\r\n\r\n") {
        Some((head, body)) if head.split(' ').nth(1) == Some("200") => Ok(body.to_owned()),
        _ => bail!("{path}: {answer}"),
    }
}
