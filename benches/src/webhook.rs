//! A webhook: any program with the flags of the Go webhook.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use envtest::{Authority, Client, KeyPairPem, Request};
use serde_json::Value;

use crate::{
    context::{Context, Subject},
    inputs::Input,
    process::Process,
};

/// For how long a first right answer is waited for.
const START_LIMIT: Duration = Duration::from_secs(180);
/// As kube-apiserver asks.
pub(crate) const MUTATE: &str = "/mutate?timeout=2s";
/// Between two questions while there is none.
const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// Where a webhook finds its API server.
#[derive(Clone, Copy, Debug)]
pub(crate) enum ApiServer<'a> {
    Kubeconfig(&'a Path),
    Url(&'a str),
}

/// A webhook that runs. It is killed when this is dropped.
pub(crate) struct Webhook {
    pub(crate) name: &'static str,
    pub(crate) process: Process,
    port: u16,
    client: Client,
    started: Instant,
}

/// How a webhook started.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Start {
    /// From its start to the first right answer.
    pub(crate) time: Duration,
    /// Pods that were admitted without their identity before.
    pub(crate) wrong: u32,
}

impl Webhook {
    /// Starts it with a new P-256 certificate.
    pub(crate) fn start(
        context: &Context,
        subject: &Subject,
        api_server: ApiServer<'_>,
        more: &[String],
    ) -> anyhow::Result<Self> {
        let folder = context.work.join(subject.name.replace(' ', "-"));
        fs::create_dir_all(&folder)?;
        let (authority, pair) = certificate()?;
        let (certificate, key) = (folder.join("tls.crt"), folder.join("tls.key"));
        fs::write(&certificate, pair.certificate)?;
        fs::write(&key, pair.key)?;

        let [port, metrics_port] = free_ports()?;
        let mut command = Command::new(&subject.binary);
        command.arg("--in-cluster=false");
        command.arg(format!("--port={port}")).arg(format!("--metrics-port={metrics_port}"));
        command.arg(format!("--tls-cert={}", certificate.display()));
        command.arg(format!("--tls-key={}", key.display()));
        match api_server {
            ApiServer::Kubeconfig(path) => command.arg(format!("--kubeconfig={}", path.display())),
            ApiServer::Url(url) => command.arg(format!("--kube-api={url}")),
        };
        command.args(more);

        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let client = Client::new(address, &authority.pem(), "")?;
        let started = Instant::now();
        let process = Process::start(&mut command, folder.join("log"))?;
        Ok(Self { name: subject.name, process, port, client, started })
    }

    /// The address of a path.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("https://127.0.0.1:{}{path}", self.port)
    }

    /// What it answers to a pod's review, byte by byte.
    pub(crate) fn answer(&self, context: &Context, pod: &Input) -> anyhow::Result<Vec<u8>> {
        let answer = context.runtime.block_on(self.client.send(Request::post(MUTATE, &pod.review)))?;
        Ok(answer.body.to_vec())
    }

    /// Asks until a pod gets its role.
    pub(crate) fn first_right_answer(&mut self, context: &Context, pod: &Input) -> anyhow::Result<Start> {
        let role = pod.role();
        let mut wrong = 0;
        loop {
            let answer = context.runtime.block_on(self.client.send(Request::post("/mutate", &pod.review)));
            match answer.map_err(anyhow::Error::from).and_then(|answer| Ok(answer.json()?)) {
                Ok(answer) if gives(&answer, &role) => {
                    return Ok(Start { time: self.started.elapsed(), wrong });
                }
                Ok(answer) if answer.pointer("/response/allowed") == Some(&Value::Bool(true)) => wrong += 1,
                _ => {}
            }
            self.process.is_running().with_context(|| self.name)?;
            if self.started.elapsed() > START_LIMIT {
                bail!("{}: no right answer within {} s", self.name, START_LIMIT.as_secs());
            }
            std::thread::sleep(POLL_INTERVAL);
        }
    }

    /// Waits until it is ready: everything that the API server has is held. Gives the time since its start; none when
    /// there is no `/readyz` to ask, as with the Go webhook.
    pub(crate) fn ready(&mut self, context: &Context) -> anyhow::Result<Option<Duration>> {
        loop {
            match context.runtime.block_on(self.client.send(Request::get("/readyz"))) {
                Ok(_) => return Ok(Some(self.started.elapsed())),
                Err(error) if is_not_there(&error) => return Ok(None),
                Err(error) if self.started.elapsed() > START_LIMIT => {
                    return Err(error).with_context(|| format!("{} does not get ready", self.name));
                }
                Err(_) => self.process.is_running().with_context(|| self.name)?,
            }
            std::thread::sleep(POLL_INTERVAL);
        }
    }
}

/// A new P-256 certificate for this machine, and who vouches for it.
pub(crate) fn certificate() -> anyhow::Result<(Authority, KeyPairPem)> {
    let authority = Authority::new("bench")?;
    let pair = authority.server(&["127.0.0.1", "localhost"])?;
    Ok((authority, pair))
}

/// Whether a readiness probe says that the path is not there.
fn is_not_there(error: &envtest::Error) -> bool {
    matches!(error, envtest::Error::Refused { status: 404, .. })
}

/// Two ports that are free and differ.
pub(crate) fn free_ports() -> anyhow::Result<[u16; 2]> {
    let listen = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
    let (first, second) = (listen()?, listen()?);
    Ok([first.local_addr()?.port(), second.local_addr()?.port()])
}

/// Whether an answer's patch sets the role.
pub(crate) fn gives(answer: &Value, role: &str) -> bool {
    let patch = answer.pointer("/response/patch").and_then(Value::as_str);
    let patch = patch.and_then(|patch| STANDARD.decode(patch).ok()).unwrap_or_default();
    let patch = String::from_utf8_lossy(&patch);
    patch.contains("AWS_ROLE_ARN") && patch.contains(&format!("\"{role}\""))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_answer_is_right_when_its_patch_sets_the_role() {
        let answer = |patch: &str| json!({"response": {"allowed": true, "patch": STANDARD.encode(patch)}});
        let patch = r#"[{"op":"add","path":"/x","value":{"name":"AWS_ROLE_ARN","value":"arn:a"}}]"#;
        let answers = [
            (answer(patch), "arn:a"),
            (answer(patch), "arn:"),
            (json!({"response": {"allowed": true, "patch": "%"}}), "arn:a"),
            (json!({"response": {"allowed": true}}), "arn:a"),
        ];
        assert_eq!(answers.map(|(answer, role)| gives(&answer, role)), [true, false, false, false]);
    }
}
