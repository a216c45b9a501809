//! The connection to the API server.

use std::error::Error;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use hyper::Uri;
use hyper::header::{HeaderValue, USER_AGENT};
use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use kube::client::{Body, ClientBuilder, ConfigExt as _};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use tower::{BoxError, ServiceExt as _};
use tracing::warn;

/// How long a TCP connection may take.
const CONNECT: Duration = Duration::from_secs(4);

/// A connection is asked whether it is alive after so long a silence, and given up when data or probes are not
/// acknowledged for as long again: also those that are kept for later. A request must not find out.
const ALIVE: Duration = Duration::from_secs(4);

/// Connections that are kept for later.
const IDLE: usize = 4;

/// What is buffered of an answer: answers are taken apart as they come.
const BUFFER: usize = 64 << 10;

/// A client as the Go webhook makes one: from a kubeconfig, whose server `kube_api` overrides; with neither from
/// the pod's own ServiceAccount. Tokens and CA bundles that are files are read again each minute.
///
/// Requests have no time limit of their own, and are not repeated: whoever asks knows how long an answer is of use.
/// HTTP/1.1, without compression.
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
    let config = match (kubeconfig, url) {
        (Some(path), url) => {
            let kubeconfig = Kubeconfig::read_from(path)
                .with_context(|| format!("cannot read the kubeconfig `{}`", path.display()))?;
            let proxies: Vec<String> = kubeconfig
                .clusters
                .iter()
                .filter_map(|named| named.cluster.as_ref()?.proxy_url.clone())
                .collect();
            let mut config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
                .await
                .with_context(|| format!("cannot use the kubeconfig `{}`", path.display()))?;
            check_proxy(&config, &proxies, path)?;
            config.cluster_url = url.unwrap_or(config.cluster_url);
            config
        }
        (None, Some(url)) => Config::new(url),
        (None, None) => Config::incluster()
            .context("cannot find the API server from inside a pod; elsewhere, give `--kubeconfig`")?,
    };
    from_config(config).context("cannot make a client for the API server")
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

/// Whoever names a proxy in a kubeconfig means it. `HTTPS_PROXY` may be meant for others.
fn check_proxy(config: &Config, proxies: &[String], path: &Path) -> anyhow::Result<()> {
    let Some(proxy) = &config.proxy_url else { return Ok(()) };
    let is_meant = proxies.iter().any(|named| named.parse().is_ok_and(|named: Uri| named == *proxy));
    ensure!(
        !is_meant,
        "cannot use the kubeconfig `{}`: it has a `proxy-url`, expected a direct way to the API server",
        path.display()
    );
    warn!("`HTTPS_PROXY` is set, and not used for the API server");
    Ok(())
}

/// `kube` would make the client itself, but then connections could neither be watched over nor counted.
fn from_config(mut config: Config) -> kube::Result<Client> {
    // A provider that is there stays.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let user_agent = concat!("pod-identity-webhook/", env!("CARGO_PKG_VERSION"));
    config.headers.push((USER_AGENT, HeaderValue::from_static(user_agent)));

    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_connect_timeout(Some(CONNECT));
    tcp.set_keepalive(Some(ALIVE));
    tcp.set_keepalive_interval(Some(Duration::from_secs(1)));
    #[cfg(target_os = "linux")]
    tcp.set_tcp_user_timeout(Some(ALIVE));

    let http: HttpClient<_, Body> = HttpClient::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_max_idle_per_host(IDLE)
        .http1_max_buf_size(BUFFER)
        .build(config.rustls_https_connector_with_connector(tcp)?);
    let builder = ClientBuilder::new(http.map_err(BoxError::from), &config.default_namespace)
        .with_layer(&config.extra_headers_layer()?);
    let base = config.base_uri_layer();
    Ok(match config.auth_layer()? {
        Some(authorization) => builder.with_layer(&authorization).with_layer(&base).build(),
        None => builder.with_layer(&base).build(),
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use serde_json::json;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    /// A directory of a test, which goes with it.
    struct Directory(std::path::PathBuf);

    impl Directory {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("webhook-{name}-{}", std::process::id()));
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }

        /// JSON is YAML.
        fn kubeconfig(&self, cluster: serde_json::Value, user: serde_json::Value) -> std::path::PathBuf {
            let kubeconfig = json!({
                "clusters": [{"name": "c", "cluster": cluster}], "users": [{"name": "u", "user": user}],
                "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}], "current-context": "x",
            });
            let path = self.0.join("kubeconfig");
            fs::write(&path, kubeconfig.to_string()).unwrap();
            path
        }
    }

    impl Drop for Directory {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).unwrap();
        }
    }

    /// What the client sends, in lower case, each line but the empty one.
    async fn head_of_request(client: Client, listener: &TcpListener) -> Vec<String> {
        let asking = async {
            let request = hyper::Request::get("/version").body(Vec::new()).unwrap();
            client.request_text(request).await.unwrap()
        };
        let answering = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.unwrap();
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
        fs::write(directory.0.join("token"), "secret").unwrap();
        let user = json!({"tokenFile": directory.0.join("token")});
        let kubeconfig = directory.kubeconfig(json!({"server": "http://127.0.0.1:1"}), user);
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
        assert_eq!(head_of_request(with_token, &listener).await, expected(Some("bearer secret")));
        let anonymous = client(None, Some(&url)).await.unwrap();
        assert_eq!(head_of_request(anonymous, &listener).await, expected(None));
    }

    #[tokio::test]
    async fn says_what_is_wrong() {
        let directory = Directory::new("wrong");
        let missing = directory.0.join("missing");
        let proxied = directory.kubeconfig(
            json!({"server": "https://127.0.0.1:1", "proxy-url": "http://user:secret@proxy.example.com:3128"}),
            json!({}),
        );
        let no_url = || "cannot read `--kube-api`: expected a URL such as `https://10.0.0.1:6443`".to_owned();
        for (kubeconfig, kube_api, expected) in [
            (Some(&missing), None, format!("cannot read the kubeconfig `{}`", missing.display())),
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
            assert_eq!(error.to_string(), expected);
        }
    }
}
