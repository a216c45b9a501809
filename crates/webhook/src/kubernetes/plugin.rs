//! A program that says who asks, such as `aws eks get-token`
//! (<https://kubernetes.io/docs/reference/access-authn-authz/authentication/#client-go-credential-plugins>).

use std::collections::HashMap;
use std::process::{Command, Stdio};
use std::sync::Arc;

use anyhow::{Context as _, bail, ensure};
use hyper::header::HeaderValue;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::Mutex;
use tokio::task::spawn_blocking;

use super::authorization::bearer;

/// So long before a token expires the next one is asked for.
const SPARE: SignedDuration = SignedDuration::from_secs(60);

/// What a kubeconfig says of the program.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Exec {
    pub(super) command: String,
    args: Option<Vec<String>>,
    env: Option<Vec<Variable>>,
    api_version: String,
    interactive_mode: Option<String>,
    #[serde(default)]
    pub(super) provide_cluster_info: bool,
}

#[derive(Deserialize)]
struct Variable {
    name: String,
    value: String,
}

/// A program, and the token that it said last.
pub(super) struct Plugin {
    call: Arc<Call>,
    last: Mutex<(HeaderValue, Timestamp)>,
}

/// How it is called.
struct Call {
    exec: Exec,
    /// The variable `KUBERNETES_EXEC_INFO`.
    info: String,
}

/// What it says.
#[derive(Deserialize)]
struct Credential {
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
pub(super) enum Credentials {
    Token(HeaderValue),
    /// A token that expires.
    Plugin(Plugin),
    /// A certificate and its key, as PEM. It is taken once: connections have to be made anew for another.
    Identity(Vec<u8>),
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
    let spec = match exec.provide_cluster_info {
        true => json!({"interactive": false, "cluster": cluster}),
        false => json!({"interactive": false}),
    };
    let info = json!({"kind": "ExecCredential", "apiVersion": exec.api_version, "spec": spec}).to_string();
    let call = Arc::new(Call { exec, info });
    let status = Arc::clone(&call).run().await?;
    if let (Some(certificate), Some(key)) = (status.client_certificate_data, status.client_key_data) {
        return Ok(Credentials::Identity(format!("{key}\n{certificate}\n").into_bytes()));
    }
    let token = bearer(status.token.as_deref().unwrap_or_default()).context("`status.token`")?;
    Ok(match status.expiration_timestamp {
        None => Credentials::Token(token),
        Some(end) => Credentials::Plugin(Plugin { call, last: Mutex::new((token, end)) }),
    })
}

impl Plugin {
    /// The token; a new one when the last is about to expire.
    pub(super) async fn header(&self) -> anyhow::Result<HeaderValue> {
        let mut last = self.last.lock().await;
        if Timestamp::now().duration_until(last.1) < SPARE {
            let status = Arc::clone(&self.call).run().await?;
            let token = bearer(status.token.as_deref().unwrap_or_default())?;
            *last = (token, status.expiration_timestamp.unwrap_or(Timestamp::MAX));
        }
        Ok(last.0.clone())
    }
}

impl Call {
    async fn run(self: Arc<Self>) -> anyhow::Result<Status> {
        spawn_blocking(move || self.run_and_wait()).await?
    }

    fn run_and_wait(&self) -> anyhow::Result<Status> {
        let Self { exec, info } = self;
        let variables: HashMap<_, _> =
            exec.env.iter().flatten().map(|variable| (&variable.name, &variable.value)).collect();
        let output = Command::new(&exec.command)
            .args(exec.args.iter().flatten())
            .envs(variables)
            .env("KUBERNETES_EXEC_INFO", info)
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .output()
            .context("it cannot be started")?;
        if !output.status.success() {
            bail!("it failed ({})", output.status);
        }
        // What it said is a secret, so nothing of it is shown. client-go takes YAML as well.
        let document = crate::document::Document::read(&output.stdout).ok().and_then(|read| read.json().ok());
        let credential: Option<Credential> = document.and_then(|json| serde_json::from_str(&json).ok());
        credential
            .and_then(|credential| credential.status)
            .context("expected an `ExecCredential` with a `status`")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, interactive_mode: &str) -> Exec {
        serde_json::from_value(json!({
            "apiVersion": "client.authentication.k8s.io/v1", "command": "sh", "args": ["-c", script],
            "env": [{"name": "WHO", "value": "me"}], "interactiveMode": interactive_mode, "provideClusterInfo": true,
        }))
        .unwrap()
    }

    async fn said(script: &str) -> anyhow::Result<Credentials> {
        credentials(shell(script, "IfAvailable"), json!({"server": "https://a"})).await
    }

    #[tokio::test]
    async fn a_program_says_a_token_or_a_certificate() {
        let token = said(r#"echo "{\"status\": {\"token\": \"of-$WHO\"}}""#).await.unwrap();
        assert!(matches!(token, Credentials::Token(value) if value == "Bearer of-me"));
        let told = r#"echo "$KUBERNETES_EXEC_INFO" | grep -q '"cluster":{"server":"https://a"}' && "#;
        let yaml = said(&format!("{told} printf 'status:\n  token: yaml\n'")).await.unwrap();
        assert!(matches!(yaml, Credentials::Token(value) if value == "Bearer yaml"));
        let pair =
            said(r#"echo '{"status": {"clientCertificateData": "C", "clientKeyData": "K"}}'"#).await.unwrap();
        assert!(matches!(pair, Credentials::Identity(pem) if pem == b"K\nC\n"));
    }

    #[tokio::test]
    async fn a_token_that_expires_is_asked_for_again() {
        let path = std::env::temp_dir().join(format!("webhook-plugin-{}", std::process::id()));
        let script = |end: &str| {
            format!(
                r#"echo x >> {0}; echo "{{\"status\": {{\"token\": \"$(grep -c x {0})\", \"expirationTimestamp\": \"{end}\"}}}}""#,
                path.display()
            )
        };
        for (end, expected) in [("2001-01-01T00:00:00Z", ["2", "3"]), ("2999-01-01T00:00:00Z", ["1", "1"])] {
            let Credentials::Plugin(plugin) = said(&script(end)).await.unwrap() else { panic!("no token") };
            for expected in expected {
                assert_eq!(plugin.header().await.unwrap(), format!("Bearer {expected}"), "{end}");
            }
            std::fs::remove_file(&path).unwrap();
        }
    }

    #[tokio::test]
    async fn says_what_is_wrong_but_not_what_the_program_said() {
        for (script, expected) in [
            ("exit 3", "it failed (exit status: 3)"),
            ("echo secret", "expected an `ExecCredential` with a `status`"),
            ("echo '{\"status\": {\"token\": 5}}'", "expected an `ExecCredential` with a `status`"),
            ("echo '{\"status\": {}}'", "`status.token`: it is empty"),
        ] {
            let error = format!("{:#}", said(script).await.err().unwrap());
            assert_eq!(error, format!("cannot use what the program `sh` (`exec`) says: {expected}"));
        }
        let error = credentials(shell("", "Always"), json!({})).await.err().unwrap();
        assert_eq!(
            error.root_cause().to_string(),
            "its `interactiveMode` is `Always`: expected one that needs nobody"
        );
    }
}
