//! What a kubeconfig says of its current context
//! (<https://kubernetes.io/docs/reference/config-api/kubeconfig.v1/>).

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, anyhow, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::Uri;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use serde::Deserialize;
use serde_json::{Value, json};
use tracing::warn;

use super::authorization::{Authorization, bearer};
use super::plugin::{self, Exec};
use super::tls::Trust;
use super::{Access, percent_encoded};
use crate::document::Document;

/// The extension of a cluster that programs are told (`provideClusterInfo`).
const EXEC_EXTENSION: &str = "client.authentication.k8s.io/exec";

#[derive(Deserialize)]
struct Context {
    cluster: String,
    #[serde(default)]
    user: String,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
struct Cluster {
    server: String,
    insecure_skip_tls_verify: bool,
    certificate_authority: String,
    certificate_authority_data: String,
    tls_server_name: String,
    proxy_url: String,
    extensions: Vec<Extension>,
}

#[derive(Deserialize)]
struct Extension {
    name: String,
    #[serde(default)]
    extension: Value,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
struct User {
    client_certificate: String,
    client_certificate_data: String,
    client_key: String,
    client_key_data: String,
    token: String,
    #[serde(rename = "tokenFile")]
    token_file: String,
    username: String,
    password: String,
    #[serde(rename = "as")]
    impersonate: String,
    as_uid: String,
    as_groups: Vec<String>,
    as_user_extra: BTreeMap<String, Vec<String>>,
    auth_provider: Option<Value>,
    exec: Option<Exec>,
}

/// Reads one. `url` is where the server is whatever it says.
pub(super) async fn read(path: &Path, url: Option<Uri>) -> anyhow::Result<Access> {
    let bytes = fs::read(path).context("it cannot be read")?;
    let folder = path.parent().unwrap_or(Path::new(""));
    // What is wrong with it may be a secret.
    let document = Document::read(&bytes).map_err(|error| match error.position {
        Some(position) => anyhow!("{position}: it is not YAML that can be read"),
        None => anyhow!("it is not YAML that can be read"),
    })?;
    let kubeconfig: Value = serde_json::from_str(&document.json()?)?;
    let name = kubeconfig.get("current-context").and_then(Value::as_str).unwrap_or_default();
    let context: Context = find(&kubeconfig, "context", name)?
        .with_context(|| format!("its `current-context` is `{name}`: expected one of its `contexts`"))?;
    let mut cluster: Cluster = find(&kubeconfig, "cluster", &context.cluster)?.with_context(|| {
        format!("its context is for the cluster `{}`: expected one of its `clusters`", context.cluster)
    })?;
    // As in Go, nobody in particular is somebody.
    let user: User = find(&kubeconfig, "user", &context.user)?.unwrap_or_default();

    check_proxy(&cluster.proxy_url)?;
    let url = match url {
        Some(url) => {
            // It was the name at the other URL.
            cluster.tls_server_name.clear();
            url
        }
        None => server(&cluster.server)?,
    };
    let trust = trust(&cluster, folder)?;
    let mut identity = identity(&user, folder)?;
    let headers = impersonation(&user).context("it impersonates somebody whom a header cannot hold")?;
    ensure!(
        user.auth_provider.is_none(),
        "its user has an `auth-provider`, which Kubernetes no longer knows: expected `exec`"
    );
    ensure!(
        user.username.is_empty() || (user.token.is_empty() && user.token_file.is_empty()),
        "its user has a `username` and a token: expected one of them"
    );
    let authorization = if !user.username.is_empty() {
        Some(Authorization::basic(&user.username, &user.password).context("`username` and `password`")?)
    } else if !user.token_file.is_empty() {
        let otherwise = match &*user.token {
            "" => None,
            token => Some(bearer(token).context("`token`")?),
        };
        Some(Authorization::file(folder.join(&user.token_file), otherwise)?)
    } else if !user.token.is_empty() {
        Some(Authorization::token(&user.token).context("`token`")?)
    } else if let Some(mut exec) = user.exec {
        if exec.command.contains('/') {
            exec.command = folder.join(&exec.command).to_string_lossy().into_owned();
        }
        let said = plugin::credentials(exec, cluster_info(&url, &cluster, &trust)?).await?;
        identity = said.identity.or(identity);
        said.token.map(Authorization::Plugin)
    } else {
        None
    };
    let server_name = Some(cluster.tls_server_name).filter(|name| !name.is_empty());
    Ok(Access { url, trust, server_name, identity, authorization, headers })
}

/// What a name stands for.
fn find<T: for<'de> Deserialize<'de>>(
    kubeconfig: &Value,
    kind: &str,
    name: &str,
) -> anyhow::Result<Option<T>> {
    let all = kubeconfig.get(format!("{kind}s")).and_then(Value::as_array);
    let named = |entry: &&Value| entry.get("name").and_then(Value::as_str) == Some(name);
    let found =
        all.into_iter().flatten().find(named).and_then(|entry| entry.get(kind)).and_then(Value::as_object);
    let Some(found) = found else { return Ok(None) };
    // What is null is not there.
    let members = found.iter().filter(|(_, value)| !value.is_null());
    let value = members.map(|(key, value)| (key.clone(), value.clone())).collect();
    serde_json::from_value(Value::Object(value))
        .map(Some)
        .map_err(malformed)
        .with_context(|| format!("its {kind} `{name}`"))
}

/// Says what is expected, but not what is there, which may be a secret.
#[allow(clippy::needless_pass_by_value, reason = "an error is handed on")]
fn malformed(error: serde_json::Error) -> anyhow::Error {
    let text = error.to_string();
    match text.rsplit_once(", expected ") {
        Some((_, expected)) => anyhow!("expected {expected}"),
        None => anyhow!("{text}"),
    }
}

fn server(server: &str) -> anyhow::Result<Uri> {
    let url: Option<Uri> = server.parse().ok().filter(|url: &Uri| url.scheme().is_some());
    url.with_context(|| {
        format!("its cluster's server is `{server}`: expected a URL such as `https://10.0.0.1:6443`")
    })
}

/// Whoever names a proxy in a kubeconfig means it. `HTTPS_PROXY` may be meant for others.
fn check_proxy(proxy: &str) -> anyhow::Result<()> {
    if !proxy.is_empty() {
        bail!("it has a `proxy-url`, expected a direct way to the API server");
    }
    let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    if is_set("HTTPS_PROXY") || is_set("https_proxy") {
        warn!("`HTTPS_PROXY` is set, and not used for the API server");
    }
    Ok(())
}

fn trust(cluster: &Cluster, folder: &Path) -> anyhow::Result<Trust> {
    Ok(match (&*cluster.certificate_authority_data, &*cluster.certificate_authority) {
        ("", "") if cluster.insecure_skip_tls_verify => Trust::Anybody,
        ("", "") => Trust::System,
        _ if cluster.insecure_skip_tls_verify => {
            bail!(
                "its cluster has `insecure-skip-tls-verify` and a `certificate-authority`: expected one of them"
            )
        }
        ("", file) => Trust::File(folder.join(file)),
        (data, _) => Trust::Pem(decode(data).context("`certificate-authority-data`")?),
    })
}

/// What is there itself, or in a file.
fn pem(data: &str, file: &str, folder: &Path) -> anyhow::Result<Option<Vec<u8>>> {
    Ok(match (data, file) {
        ("", "") => None,
        ("", file) => {
            let path = folder.join(file);
            Some(fs::read(&path).with_context(|| format!("cannot read `{}`", path.display()))?)
        }
        (data, _) => Some(decode(data)?),
    })
}

/// Base64 may be broken into lines.
fn decode(data: &str) -> anyhow::Result<Vec<u8>> {
    let data: Vec<u8> = data.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    STANDARD.decode(data).ok().context("expected base64")
}

/// Certificate and key.
fn identity(user: &User, folder: &Path) -> anyhow::Result<Option<Vec<u8>>> {
    let certificate = pem(&user.client_certificate_data, &user.client_certificate, folder)
        .context("`client-certificate`")?;
    let key = pem(&user.client_key_data, &user.client_key, folder).context("`client-key`")?;
    match (key, certificate) {
        (None, None) => Ok(None),
        (Some(mut pair), Some(certificate)) => {
            pair.push(b'\n');
            pair.extend(certificate);
            Ok(Some(pair))
        }
        _ => bail!("its user has one of `client-certificate` and `client-key`: expected both"),
    }
}

/// <https://kubernetes.io/docs/reference/access-authn-authz/authentication/#user-impersonation>
fn impersonation(user: &User) -> anyhow::Result<HeaderMap> {
    let mut headers = HeaderMap::new();
    let mut add = |name: &str, value: &str| {
        if !value.is_empty() {
            headers.append(HeaderName::try_from(name)?, HeaderValue::from_str(value)?);
        }
        anyhow::Ok(())
    };
    add("impersonate-user", &user.impersonate)?;
    add("impersonate-uid", &user.as_uid)?;
    for group in &user.as_groups {
        add("impersonate-group", group)?;
    }
    for (key, values) in &user.as_user_extra {
        for value in values {
            add(&format!("impersonate-extra-{}", percent_encoded(&key.to_ascii_lowercase())), value)?;
        }
    }
    Ok(headers)
}

/// What a program is told of the cluster
/// (<https://kubernetes.io/docs/reference/config-api/client-authentication.v1/#client-authentication-k8s-io-v1-Cluster>).
fn cluster_info(url: &Uri, cluster: &Cluster, trust: &Trust) -> anyhow::Result<Value> {
    let config = cluster.extensions.iter().find(|extension| extension.name == EXEC_EXTENSION);
    let pem = match trust {
        Trust::Pem(pem) => Some(STANDARD.encode(pem)),
        Trust::File(path) => Some(
            STANDARD.encode(fs::read(path).with_context(|| format!("cannot read `{}`", path.display()))?),
        ),
        Trust::System | Trust::Anybody => None,
    };
    // What is not there is null, which is as good as not being there.
    Ok(json!({
        "server": url.to_string(),
        "insecure-skip-tls-verify": cluster.insecure_skip_tls_verify,
        "certificate-authority-data": pem,
        "tls-server-name": cluster.tls_server_name,
        "config": config.map(|extension| &extension.extension),
    }))
}

#[cfg(test)]
mod tests;
