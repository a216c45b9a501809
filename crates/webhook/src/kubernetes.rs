//! The connection to the API server.

use std::path::Path;

use anyhow::Context as _;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

/// A client as the Go webhook makes one: from a kubeconfig, whose server `kube_api` overrides; with neither from
/// the pod's own ServiceAccount.
///
/// # Errors
///
/// When the kubeconfig, or the mounted token, cannot be read.
pub async fn client(kubeconfig: Option<&Path>, kube_api: Option<&str>) -> anyhow::Result<Client> {
    let mut config = match (kubeconfig, kube_api) {
        (Some(path), _) => {
            let kubeconfig = Kubeconfig::read_from(path)
                .with_context(|| format!("cannot read the kubeconfig `{}`", path.display()))?;
            Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
                .await
                .with_context(|| format!("cannot use the kubeconfig `{}`", path.display()))?
        }
        (None, Some(url)) => Config::new(url.parse().context("cannot read `--kube-api`: expected a URL")?),
        (None, None) => Config::incluster().context("cannot find the API server from inside a pod")?,
    };
    if let (Some(_), Some(url)) = (kubeconfig, kube_api) {
        config.cluster_url = url.parse().context("cannot read `--kube-api`: expected a URL")?;
    }
    Client::try_from(config).context("cannot make a client for the API server")
}
