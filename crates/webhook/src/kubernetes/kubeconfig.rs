//! What a kubeconfig says of its current context
//! (<https://kubernetes.io/docs/reference/config-api/kubeconfig.v1/>).

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::Uri;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use serde::Deserialize;
use serde_json::{Value, json};
use tracing::warn;

use super::Access;
use super::authorization::Authorization;
use super::plugin::{self, Credentials, Exec};
use super::tls::Trust;
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
    tls_server_name: Option<String>,
    proxy_url: String,
    extensions: Vec<Extension>,
}

#[derive(Deserialize)]
struct Extension {
    name: String,
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
    let document = Document::read(&bytes).map_err(|error| match error.position {
        Some(position) => anyhow::anyhow!("{position}: {}", error.message),
        None => anyhow::anyhow!(error.message),
    })?;
    let kubeconfig: Value = serde_json::from_str(&document.json()?)?;
    let name = kubeconfig.get("current-context").and_then(Value::as_str).unwrap_or_default();
    let context: Context = find(&kubeconfig, "context", name)?
        .with_context(|| format!("its `current-context` is `{name}`: expected one of its `contexts`"))?;
    let cluster: Cluster = find(&kubeconfig, "cluster", &context.cluster)?.with_context(|| {
        format!("its context is for the cluster `{}`: expected one of its `clusters`", context.cluster)
    })?;
    // As in Go, nobody in particular is somebody.
    let user: User = find(&kubeconfig, "user", &context.user)?.unwrap_or_default();

    let file = |name: &str| folder.join(name);
    let url = match url {
        Some(url) => url,
        None => server(&cluster.server)?,
    };
    check_proxy(&cluster.proxy_url)?;
    let trust = if cluster.insecure_skip_tls_verify {
        Trust::Anybody
    } else {
        match pem(&cluster.certificate_authority_data, &cluster.certificate_authority, folder)
            .context("`certificate-authority`")?
        {
            Some(pem) => Trust::Pem(pem),
            None => Trust::System,
        }
    };
    let mut identity = identity(&user, folder)?;
    let headers = impersonation(&user).context("it impersonates somebody whom a header cannot hold")?;
    ensure!(
        user.auth_provider.is_none(),
        "its user has an `auth-provider`, which Kubernetes no longer knows: expected `exec`"
    );
    let authorization = if !user.username.is_empty() {
        Some(Authorization::basic(&user.username, &user.password).context("`username` and `password`")?)
    } else if !user.token.is_empty() {
        Some(Authorization::token(&user.token).context("`token`")?)
    } else if !user.token_file.is_empty() {
        Some(Authorization::file(file(&user.token_file))?)
    } else if let Some(mut exec) = user.exec {
        if exec.command.contains('/') {
            exec.command = file(&exec.command).to_string_lossy().into_owned();
        }
        match plugin::credentials(exec, told(&cluster, &trust)).await? {
            Credentials::Token(token) => Some(Authorization::Fixed(token)),
            Credentials::Plugin(plugin) => Some(Authorization::Plugin(plugin)),
            Credentials::Identity(pem) => {
                identity = Some(pem);
                None
            }
        }
    } else {
        None
    };
    Ok(Access { url, trust, server_name: cluster.tls_server_name, identity, authorization, headers })
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

/// Says what is wrong, but for what is there, which may be a secret.
#[allow(clippy::needless_pass_by_value, reason = "an error is handed on")]
fn malformed(error: serde_json::Error) -> anyhow::Error {
    let text = error.to_string();
    match text.split_once(", expected ") {
        Some((_, expected)) => {
            anyhow::anyhow!("expected {}", expected.split(" at line ").next().unwrap_or_default())
        }
        None => anyhow::anyhow!("{}", text.split(" at line ").next().unwrap_or_default().to_owned()),
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

/// What is there itself, or in a file.
fn pem(data: &str, file: &str, folder: &Path) -> anyhow::Result<Option<Vec<u8>>> {
    Ok(if !data.is_empty() {
        Some(STANDARD.decode(data).ok().context("expected base64")?)
    } else if !file.is_empty() {
        let path: PathBuf = folder.join(file);
        Some(fs::read(&path).with_context(|| format!("cannot read `{}`", path.display()))?)
    } else {
        None
    })
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
            add(&format!("impersonate-extra-{}", escaped(key)), value)?;
        }
    }
    Ok(headers)
}

/// What the name of a header cannot hold, as `%` and two digits.
fn escaped(key: &str) -> String {
    let mut out = String::new();
    for byte in key.bytes() {
        match byte {
            b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(byte.into()),
            b'A'..=b'Z' => out.push(byte.to_ascii_lowercase().into()),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// What a program is told of the cluster.
fn told(cluster: &Cluster, trust: &Trust) -> Value {
    let config = cluster.extensions.iter().find(|extension| extension.name == EXEC_EXTENSION);
    let pem = if let Trust::Pem(pem) = trust { Some(STANDARD.encode(pem)) } else { None };
    // What is not there is null, which is as good as not being there.
    json!({
        "server": cluster.server,
        "insecure-skip-tls-verify": cluster.insecure_skip_tls_verify,
        "certificate-authority-data": pem,
        "tls-server-name": cluster.tls_server_name,
        "config": config.map(|extension| &extension.extension),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder of a test, which goes with it.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("webhook-kubeconfig-{name}-{}", std::process::id()));
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }

        fn write(&self, name: &str, text: &str) -> PathBuf {
            let path = self.0.join(name);
            fs::write(&path, text).unwrap();
            path
        }

        /// Reads a kubeconfig with this cluster and user, in the words of whoever looks at it.
        async fn read(&self, cluster: Value, user: Value) -> Result<Value, String> {
            let kubeconfig = json!({
                "clusters": [{"name": "other"}, {"name": "c", "cluster": cluster}],
                "users": [{"name": "u", "user": user}], "preferences": {},
                "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}], "current-context": "x",
            });
            let path = self.write("kubeconfig", &kubeconfig.to_string());
            read(&path, None).await.map(describe).map_err(|error| format!("{error:#}"))
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).unwrap();
        }
    }

    fn text(bytes: Vec<u8>) -> String {
        String::from_utf8(bytes).unwrap()
    }

    fn describe(access: Access) -> Value {
        let trust = match access.trust {
            Trust::System => "the system's".to_owned(),
            Trust::Pem(pem) => text(pem),
            Trust::File(path, _) => path.display().to_string(),
            Trust::Anybody => "anybody's".to_owned(),
        };
        let authorization = access.authorization.map(|authorization| match authorization {
            Authorization::Fixed(value) => value.to_str().unwrap().to_owned(),
            Authorization::File(_) => "file".to_owned(),
            Authorization::Plugin(_) => "plugin".to_owned(),
        });
        let headers: Vec<String> = access
            .headers
            .iter()
            .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
            .collect();
        json!({
            "url": access.url.to_string(), "trust": trust, "server_name": access.server_name,
            "identity": access.identity.map(text), "authorization": authorization, "headers": headers,
        })
    }

    #[tokio::test]
    async fn says_what_its_context_says() {
        let folder = Folder::new("says");
        folder.write("ca.crt", "CA");
        folder.write("token", "of-a-file");
        let plain = |changes: Value| {
            let mut expected = json!({
                "url": "https://a:1/", "trust": "the system's", "server_name": null, "identity": null,
                "authorization": null, "headers": [],
            });
            for (key, value) in changes.as_object().unwrap() {
                expected[key] = value.clone();
            }
            Ok(expected)
        };
        let server = "https://a:1/";
        let say = |token: &str| json!(["-c", format!("echo '{{\"status\":{{\"token\":\"{token}\"}}}}'")]);
        let exec = json!({"apiVersion": "v1", "command": "sh", "args": say("of-a-program")});
        for (cluster, user, expected) in [
            (json!({"server": server}), json!({}), plain(json!({}))),
            (json!({"server": server}), json!({"token": null, "exec": null}), plain(json!({}))),
            (
                json!({"server": server, "certificate-authority": "ca.crt", "tls-server-name": "b"}),
                json!({"tokenFile": "token"}),
                plain(json!({"trust": "CA", "server_name": "b", "authorization": "file"})),
            ),
            (
                json!({"server": server, "certificate-authority-data": "Q0EtZGF0YQ==", "certificate-authority": "ca.crt"}),
                json!({"client-certificate-data": "Qw==", "client-key-data": "Sw=="}),
                plain(json!({"trust": "CA-data", "identity": "K\nC"})),
            ),
            (
                json!({"server": server, "insecure-skip-tls-verify": true}),
                json!({"username": "u", "password": "p", "token": "t"}),
                plain(json!({"trust": "anybody's", "authorization": "Basic dTpw"})),
            ),
            (
                json!({"server": server}),
                json!({"token": "t", "tokenFile": "missing"}),
                plain(json!({"authorization": "Bearer t"})),
            ),
            (
                json!({"server": server}),
                json!({"exec": exec}),
                plain(json!({"authorization": "Bearer of-a-program"})),
            ),
            (
                json!({"server": server}),
                json!({"as": "a", "as-groups": ["g", "h"], "as-user-extra": {"Scopes/x": ["y"]}}),
                plain(json!({"headers": [
                    "impersonate-user: a", "impersonate-group: g", "impersonate-group: h",
                    "impersonate-extra-scopes%2fx: y",
                ]})),
            ),
        ] {
            assert_eq!(folder.read(cluster.clone(), user.clone()).await, expected, "{cluster} {user}");
        }
    }

    #[tokio::test]
    async fn says_what_is_wrong_but_no_secret() {
        let folder = Folder::new("wrong");
        let missing = folder.0.join("missing").display().to_string();
        let server = json!({"server": "https://a:1/"});
        let no_file = "No such file or directory (os error 2)";
        for (cluster, user, expected) in [
            (
                json!({}),
                json!({}),
                "its cluster's server is ``: expected a URL such as `https://10.0.0.1:6443`".to_owned(),
            ),
            (
                json!({"server": "a:1"}),
                json!({}),
                "its cluster's server is `a:1`: expected a URL such as `https://10.0.0.1:6443`".to_owned(),
            ),
            (json!({"server": 5}), json!({}), "its cluster `c`: expected a string".to_owned()),
            (server.clone(), json!({"token": 12345}), "its user `u`: expected a string".to_owned()),
            (
                server.clone(),
                json!({"exec": {"command": "x"}}),
                "its user `u`: missing field `apiVersion`".to_owned(),
            ),
            (
                server.clone(),
                json!({"token": "secret\n"}),
                "`token`: it holds characters that a header cannot hold".to_owned(),
            ),
            (server.clone(), json!({"client-key-data": "!"}), "`client-key`: expected base64".to_owned()),
            (
                server.clone(),
                json!({"client-key-data": "Sw=="}),
                "its user has one of `client-certificate` and `client-key`: expected both".to_owned(),
            ),
            (
                server.clone(),
                json!({"client-key": "missing"}),
                format!("`client-key`: cannot read `{missing}`: {no_file}"),
            ),
            (
                server.clone(),
                json!({"tokenFile": "missing"}),
                format!("cannot read the token `{missing}`: {no_file}"),
            ),
            (
                server.clone(),
                json!({"exec": {"apiVersion": "v1", "command": "./missing"}}),
                format!(
                    "cannot use what the program `{}` (`exec`) says: it cannot be started: {no_file}",
                    folder.0.join("./missing").display()
                ),
            ),
            (
                server.clone(),
                json!({"auth-provider": {"name": "gcp"}}),
                "its user has an `auth-provider`, which Kubernetes no longer knows: expected `exec`"
                    .to_owned(),
            ),
        ] {
            assert_eq!(folder.read(cluster.clone(), user.clone()).await, Err(expected), "{cluster} {user}");
        }
        for (text, expected) in [
            ("", "its `current-context` is ``: expected one of its `contexts`"),
            ("current-context: x", "its `current-context` is `x`: expected one of its `contexts`"),
            (
                "{current-context: x, contexts: [{name: x, context: {cluster: c}}]}",
                "its context is for the cluster `c`: expected one of its `clusters`",
            ),
        ] {
            let path = folder.write("other", text);
            assert_eq!(format!("{:#}", read(&path, None).await.err().unwrap()), expected);
        }
        let path = folder.write("other", "users: [}");
        let error = format!("{:#}", read(&path, None).await.err().unwrap());
        assert_eq!(error, "1:8: mismatched bracket '[' closed by '}'");
    }
}
