//! The connection to the API server.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use hyper::Uri;
use hyper_rustls::{FixedServerNameResolver, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};

mod access;
mod authorization;
mod client;
mod kubeconfig;
mod plugin;
mod reread;
mod tls;

use access::Access;
use authorization::Authorization;
pub use client::{Body, Client};

/// How long a TCP connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(4);

/// A connection is asked whether it is alive after so long a silence, and given up when data or probes are not
/// acknowledged for as long again: also those that are kept for later. A request must not find out.
const SILENCE: Duration = Duration::from_secs(4);

/// Connections that are kept for later.
const IDLE_CONNECTIONS: usize = 4;

/// What is buffered of an answer: answers are taken apart as they come.
const BUFFER_SIZE: usize = 64 << 10;

/// A client as the Go webhook makes one: from a kubeconfig, whose server `kube_api` overrides; with neither from
/// the pod's own ServiceAccount. Tokens and CA bundles that are files are read again each minute.
///
/// Requests have no time limit of their own: whoever asks knows how long an answer is of use. None is repeated, but for
/// one that could not be sent because its connection had been closed. HTTP/1.1, without compression.
///
/// # Errors
///
/// When the kubeconfig, or the mounted token, cannot be read.
pub async fn client(kubeconfig: Option<&Path>, kube_api: Option<&str>) -> anyhow::Result<Client> {
    let url: Option<Uri> = kube_api.map(str::parse).transpose().ok().flatten();
    ensure!(
        url.as_ref().and_then(Uri::scheme).is_some() == kube_api.is_some(),
        "cannot read `--kube-api`: expected a URL such as `https://10.0.0.1:6443`"
    );
    let access = match (kubeconfig, url) {
        (Some(path), url) => kubeconfig::read(path, url)
            .await
            .with_context(|| format!("cannot use the kubeconfig `{}`", path.display()))?,
        (None, Some(url)) => Access::new(url),
        (None, None) => Access::in_cluster()
            .context("cannot find the API server from inside a pod; elsewhere, give `--kubeconfig`")?,
    };
    connect(access).context("cannot make a client for the API server")
}

/// Why a request got no answer: the cause that lies deepest, for those above it only say that the request failed.
pub(crate) fn cause(error: &dyn Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    let mut text = cause.to_string();
    text.truncate(text.floor_char_boundary(200));
    text
}

/// A text as it can stand in a query, or in the name of a header.
pub(crate) fn percent_encoded(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(byte.into());
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

fn connect(access: Access) -> anyhow::Result<Client> {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_connect_timeout(Some(CONNECT_TIMEOUT));
    tcp.set_keepalive(Some(SILENCE));
    tcp.set_keepalive_interval(Some(Duration::from_secs(1)));
    #[cfg(target_os = "linux")]
    tcp.set_tcp_user_timeout(Some(SILENCE));

    let tls = tls::configuration(&access.trust, access.identity.as_deref())?;
    let mut https = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http();
    if let Some(name) = access.server_name {
        let name = name.try_into().context("cannot read `tls-server-name`")?;
        https = https.with_server_name_resolver(FixedServerNameResolver::new(name));
    }
    let http = HttpClient::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_max_idle_per_host(IDLE_CONNECTIONS)
        .http1_max_buf_size(BUFFER_SIZE)
        .build(https.enable_http1().wrap_connector(tcp));
    Ok(Client::connected(http, access.url, access.headers, access.authorization.map(Arc::new)))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;

    use http_body_util::BodyExt as _;
    use serde_json::{Value, json};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    /// A directory of a test, which goes with it.
    pub(super) struct Directory(pub(super) PathBuf);

    impl Directory {
        pub(super) fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("webhook-{name}-{}", std::process::id()));
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }

        pub(super) fn write(&self, name: &str, text: &str) -> PathBuf {
            let path = self.0.join(name);
            fs::write(&path, text).unwrap();
            path
        }

        /// JSON is YAML.
        pub(super) fn kubeconfig(&self, cluster: &Value, user: &Value) -> PathBuf {
            let kubeconfig = json!({
                "clusters": [{"name": "other"}, {"name": "c", "cluster": cluster}],
                "users": [{"name": "u", "user": user}], "preferences": {},
                "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}], "current-context": "x",
            });
            self.write("kubeconfig", &kubeconfig.to_string())
        }
    }

    impl Drop for Directory {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).unwrap();
        }
    }

    /// What the client sends, in lower case, each line but the empty one.
    async fn head_of_request(client: &Client, listener: &TcpListener, status: u16) -> Vec<String> {
        let asking = async {
            let request = hyper::Request::get("/version").body(Body::empty()).unwrap();
            let answer = client.send(request).await.unwrap();
            assert_eq!(answer.status().as_u16(), status);
            answer.into_body().collect().await.unwrap().to_bytes()
        };
        let answering = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            let answer = format!("HTTP/1.1 {status} X\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok");
            stream.write_all(answer.as_bytes()).await.unwrap();
            String::from_utf8(head).unwrap().to_lowercase()
        };
        let (answer, head) = tokio::join!(asking, answering);
        assert_eq!(answer, "ok");
        let mut lines: Vec<String> = head.trim().lines().map(str::to_owned).collect();
        lines.sort();
        lines
    }

    #[test]
    fn the_cause_is_what_lies_deepest() {
        let refused = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
        let error = anyhow::Error::from(refused).context("client error (Connect)").context("ServiceError");
        assert_eq!(cause(&*error), "connection refused");
    }

    #[tokio::test]
    async fn says_who_it_is_and_nothing_else() {
        let directory = Directory::new("client");
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let user = json!({"tokenFile": directory.write("token", "secret")});
        let kubeconfig = directory.kubeconfig(&json!({"server": "http://127.0.0.1:1"}), &user);
        let url = format!("http://{address}");
        let expected = |authorization: Option<&str>| {
            let mut lines = vec![
                "get /version http/1.1".to_owned(),
                format!("host: {address}"),
                format!("user-agent: pod-identity-webhook/{}", env!("CARGO_PKG_VERSION")),
            ];
            lines.extend(authorization.map(|value| format!("authorization: {value}")));
            lines.sort();
            lines
        };
        let with_token = client(Some(&kubeconfig), Some(&url)).await.unwrap();
        assert_eq!(head_of_request(&with_token, &listener, 200).await, expected(Some("bearer secret")));
        let anonymous = client(None, Some(&url)).await.unwrap();
        assert_eq!(head_of_request(&anonymous, &listener, 200).await, expected(None));
    }

    #[tokio::test]
    async fn a_token_that_is_refused_is_asked_for_again() {
        let directory = Directory::new("refused");
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let version = "client.authentication.k8s.io/v1";
        let script = format!(
            r#"cd '{}'; echo x >> calls; echo "{{\"apiVersion\": \"{version}\", \"status\": {{\"token\": \"$(grep -c x calls)\"}}}}""#,
            directory.0.display()
        );
        let user = json!({"exec": {"apiVersion": version, "command": "sh", "args": ["-c", script]}});
        let server = format!("http://{}", listener.local_addr().unwrap());
        let kubeconfig = directory.kubeconfig(&json!({"server": server}), &user);
        let client = client(Some(&kubeconfig), None).await.unwrap();
        for (status, token) in [(200, "1"), (403, "1"), (401, "1"), (200, "2")] {
            let head = head_of_request(&client, &listener, status).await;
            assert!(head.contains(&format!("authorization: bearer {token}")), "{status} {head:?}");
        }
    }

    #[tokio::test]
    async fn says_what_is_wrong() {
        let directory = Directory::new("wrong");
        let missing = directory.0.join("missing");
        let proxied = directory.kubeconfig(
            &json!({"server": "https://127.0.0.1:1", "proxy-url": "http://user:secret@proxy.example.com:3128"}),
            &json!({}),
        );
        let no_url = || "cannot read `--kube-api`: expected a URL such as `https://10.0.0.1:6443`".to_owned();
        for (kubeconfig, kube_api, expected) in [
            (
                Some(&missing),
                None,
                format!(
                    "cannot use the kubeconfig `{}`: it cannot be read: No such file or directory (os error 2)",
                    missing.display()
                ),
            ),
            (None, Some("not a URL"), no_url()),
            (None, Some("10.0.0.1:6443"), no_url()),
            (Some(&proxied), Some(""), no_url()),
            (
                Some(&proxied),
                None,
                format!(
                    "cannot use the kubeconfig `{}`: it has a `proxy-url`, expected a direct way to the API server",
                    proxied.display()
                ),
            ),
        ] {
            let error = client(kubeconfig.map(|path| &**path), kube_api).await.err().unwrap();
            assert_eq!(format!("{error:#}"), expected);
        }
    }
}
