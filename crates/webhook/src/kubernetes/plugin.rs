//! A program that says who asks, such as `aws eks get-token`
//! (<https://kubernetes.io/docs/reference/access-authn-authz/authentication/#client-go-credential-plugins>).

use std::collections::HashMap;
use std::process::Stdio;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail, ensure};
use futures::FutureExt as _;
use futures::future::{BoxFuture, Shared};
use hyper::header::HeaderValue;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::json;
use tokio::io::AsyncReadExt as _;
use tokio::process::Command;
use tokio::time::{Instant, timeout};
use tracing::warn;

use super::authorization::bearer;
use crate::document::Document;

/// So long before a token expires the next one is asked for.
const LEEWAY: SignedDuration = SignedDuration::from_secs(60);
/// How long the program may take. Whoever is asked in between has only this.
const TIME_LIMIT: Duration = Duration::from_secs(30);
/// Between two calls, as long as the token is good or nothing else can be expected: some programs say the same token
/// until it expires.
const PAUSE: Duration = Duration::from_secs(5);
/// What is read of it, in bytes: an `ExecCredential` has some thousand.
const MAX_OUTPUT: u64 = 1 << 20;

const VERSIONS: [&str; 2] = ["client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1"];

/// What a kubeconfig says of the program.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Exec {
    pub(super) command: String,
    args: Option<Vec<String>>,
    env: Option<Vec<Variable>>,
    api_version: String,
    interactive_mode: Option<String>,
    provide_cluster_info: Option<bool>,
}

#[derive(Deserialize)]
struct Variable {
    name: String,
    #[serde(default)]
    value: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ExecCredential {
    api_version: String,
    status: Option<Status>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    token: Option<String>,
    expiration_timestamp: Option<Timestamp>,
    client_certificate_data: Option<String>,
    client_key_data: Option<String>,
}

/// What it says is good for.
pub(super) struct Credentials {
    pub(super) token: Option<Plugin>,
    /// A certificate and its key, as PEM. It is taken once: connections have to be made anew for another.
    pub(super) identity: Option<Vec<u8>>,
}

/// A program, and the token that it said last.
pub(super) struct Plugin(Arc<Inner>);

struct Inner {
    call: Call,
    state: Mutex<State>,
}

struct State {
    token: HeaderValue,
    expires: Timestamp,
    /// The call that is under way. It goes on when nobody waits for it any more.
    refresh: Option<Shared<BoxFuture<'static, ()>>>,
    /// When the last call ended, if one has.
    called: Option<Instant>,
    /// Why that said no token.
    failure: Option<String>,
}

/// How it is called.
struct Call {
    exec: Exec,
    /// The variable `KUBERNETES_EXEC_INFO`.
    info: String,
}

/// Asks for the first time. `cluster` is what the program is told of the cluster, if it wants to know.
pub(super) async fn credentials(exec: Exec, cluster: serde_json::Value) -> anyhow::Result<Credentials> {
    let command = exec.command.clone();
    first(exec, cluster)
        .await
        .with_context(|| format!("cannot use what the program `{command}` (`exec`) says"))
}

async fn first(exec: Exec, cluster: serde_json::Value) -> anyhow::Result<Credentials> {
    ensure!(
        exec.interactive_mode.as_deref() != Some("Always"),
        "its `interactiveMode` is `Always`: expected one that needs nobody"
    );
    ensure!(
        VERSIONS.contains(&exec.api_version.as_str()),
        "its `apiVersion` is `{}`: expected `{}` or `{}`",
        exec.api_version,
        VERSIONS[0],
        VERSIONS[1]
    );
    let spec = match exec.provide_cluster_info {
        Some(true) => json!({"interactive": false, "cluster": cluster}),
        _ => json!({"interactive": false}),
    };
    let info = json!({"kind": "ExecCredential", "apiVersion": exec.api_version, "spec": spec}).to_string();
    let call = Call { exec, info };
    let mut status = call.run().await?;
    let identity = match (status.client_key_data.take(), status.client_certificate_data.take()) {
        (Some(key), Some(certificate)) => Some(format!("{key}\n{certificate}\n").into_bytes()),
        (None, None) => None,
        _ => bail!("it says one of `clientCertificateData` and `clientKeyData`: expected both"),
    };
    if identity.is_some()
        && let Some(end) = status.expiration_timestamp
    {
        warn!("the certificate of `{}` is used until this process ends; it expires {end}", call.exec.command);
    }
    if status.token.is_none() && identity.is_some() {
        return Ok(Credentials { token: None, identity });
    }
    let (token, expires) = status.token()?;
    let state = Mutex::new(State { token, expires, refresh: None, called: None, failure: None });
    Ok(Credentials { token: Some(Plugin(Arc::new(Inner { call, state }))), identity })
}

impl Plugin {
    /// The token. When it is about to expire the next one is asked for; when it has expired, that is waited for.
    ///
    /// # Errors
    ///
    /// When it has expired and there is no other, with all that is to be said in one text.
    pub(super) async fn header(&self) -> anyhow::Result<HeaderValue> {
        let left = |state: &State| Timestamp::now().duration_until(state.expires);
        let refresh = {
            let mut state = self.0.state();
            let is_good = left(&state) > SignedDuration::ZERO;
            if left(&state) >= LEEWAY {
                return Ok(state.token.clone());
            }
            if state.refresh.is_none() && state.called.is_some_and(|at| at.elapsed() < PAUSE) {
                match &state.failure {
                    _ if is_good => return Ok(state.token.clone()),
                    Some(reason) => return Err(anyhow!("{reason}")),
                    None => {}
                }
            }
            let refresh = state.refresh.get_or_insert_with(|| {
                let inner = Arc::clone(&self.0);
                let task = tokio::spawn(Arc::clone(&inner).refresh());
                let ended = async move {
                    // It panicked, which is logged where it happens.
                    if task.await.is_err() {
                        inner.state().refresh = None;
                    }
                };
                ended.boxed().shared()
            });
            if is_good {
                return Ok(state.token.clone());
            }
            refresh.clone()
        };
        refresh.await;
        let state = self.0.state();
        match &state.failure {
            Some(reason) => Err(anyhow!("{reason}")),
            None => Ok(state.token.clone()),
        }
    }

    /// That token is good for nothing any more. There may be another one already.
    pub(super) fn refused(&self, sent: &HeaderValue) {
        let mut state = self.0.state();
        if state.token == *sent {
            state.expires = Timestamp::UNIX_EPOCH;
        }
    }
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn refresh(self: Arc<Self>) {
        let said = self.call.run().await.and_then(Status::token);
        let mut state = self.state();
        (state.refresh, state.called) = (None, Some(Instant::now()));
        match said {
            Ok((token, expires)) => (state.token, state.expires, state.failure) = (token, expires, None),
            Err(error) => {
                let command = &self.call.exec.command;
                let reason = format!("the program `{command}` (`exec`) says no token: {error:#}");
                warn!("{reason}");
                state.failure = Some(reason);
            }
        }
    }
}

impl Status {
    fn token(self) -> anyhow::Result<(HeaderValue, Timestamp)> {
        let token = bearer(self.token.as_deref().unwrap_or_default()).context("`status.token`")?;
        Ok((token, self.expiration_timestamp.unwrap_or(Timestamp::MAX)))
    }
}

impl Call {
    /// What it said is a secret, and may be what it complains of, so nothing of either is shown.
    async fn run(&self) -> anyhow::Result<Status> {
        let Self { exec, info } = self;
        let variables: HashMap<_, _> =
            exec.env.iter().flatten().map(|variable| (&variable.name, &variable.value)).collect();
        let mut child = Command::new(&exec.command)
            .args(exec.args.iter().flatten())
            .envs(variables)
            .env("KUBERNETES_EXEC_INFO", info)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .context("it cannot be started")?;
        let stdout = child.stdout.take().context("it has no output")?;
        let run = async {
            let mut output = Vec::new();
            stdout.take(MAX_OUTPUT + 1).read_to_end(&mut output).await?;
            ensure!(output.len() as u64 <= MAX_OUTPUT, "it says more than {MAX_OUTPUT} bytes");
            Ok((child.wait().await?, output))
        };
        let (status, output) =
            timeout(TIME_LIMIT, run).await.map_err(|_| anyhow!("it took longer than {TIME_LIMIT:?}"))??;
        ensure!(status.success(), "it failed ({status}): call it by hand to see why");
        // client-go takes YAML as well.
        let document = Document::read(&output).ok().and_then(|read| read.json().ok());
        let credential: Option<ExecCredential> = document.and_then(|json| serde_json::from_str(&json).ok());
        credential
            .filter(|credential| credential.api_version == exec.api_version)
            .and_then(|credential| credential.status)
            .with_context(|| {
                format!("expected an `ExecCredential` of `{}` with a `status`", exec.api_version)
            })
    }
}

#[cfg(test)]
mod tests;
