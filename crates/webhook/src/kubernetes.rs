//! The connection to the API server.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, ensure};
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
    let mut config = match (kubeconfig, kube_api) {
        (Some(path), _) => {
            let kubeconfig = Kubeconfig::read_from(path)
                .with_context(|| format!("cannot read the kubeconfig `{}`", path.display()))?;
            let proxies: Vec<String> = kubeconfig
                .clusters
                .iter()
                .filter_map(|named| named.cluster.as_ref()?.proxy_url.clone())
                .collect();
            let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
                .await
                .with_context(|| format!("cannot use the kubeconfig `{}`", path.display()))?;
            check_proxy(&config, &proxies, path)?;
            config
        }
        (None, Some(url)) => Config::new(url.parse().context("cannot read `--kube-api`: expected a URL")?),
        (None, None) => Config::incluster().context("cannot find the API server from inside a pod")?,
    };
    if let (Some(_), Some(url)) = (kubeconfig, kube_api) {
        config.cluster_url = url.parse().context("cannot read `--kube-api`: expected a URL")?;
    }
    from_config(config).context("cannot make a client for the API server")
}

/// Whoever names a proxy in a kubeconfig means it. `HTTPS_PROXY` may be meant for others.
fn check_proxy(config: &Config, proxies: &[String], path: &Path) -> anyhow::Result<()> {
    let Some(proxy) = &config.proxy_url else { return Ok(()) };
    let is_meant = proxies.iter().any(|named| named.parse().is_ok_and(|named: hyper::Uri| named == *proxy));
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
