//! How the API server is reached, and what a pod knows of that.

use std::env;
use std::net::IpAddr;
use std::path::Path;

use anyhow::Context as _;
use hyper::Uri;
use hyper::header::HeaderMap;

use super::authorization::Authorization;
use super::tls::Trust;

/// Where the kubelet mounts what a pod needs
/// (<https://kubernetes.io/docs/tasks/run-application/access-api-from-pod/#directly-accessing-the-rest-api>).
const SERVICE_ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// How the API server is reached.
pub(super) struct Access {
    /// Where it is.
    pub(super) url: Uri,
    /// Whose certificate it may have.
    pub(super) trust: Trust,
    /// What its certificate has to be for, if not the host of the URL.
    pub(super) server_name: Option<String>,
    /// A certificate that this side shows, and its key, as PEM.
    pub(super) identity: Option<Vec<u8>>,
    pub(super) authorization: Option<Authorization>,
    /// What each request says besides.
    pub(super) headers: HeaderMap,
}

impl Access {
    /// By a URL alone, with what the machine trusts.
    pub(super) fn new(url: Uri) -> Self {
        Self {
            url,
            trust: Trust::System,
            server_name: None,
            identity: None,
            authorization: None,
            headers: HeaderMap::new(),
        }
    }

    /// By the pod's own ServiceAccount.
    pub(super) fn in_cluster() -> anyhow::Result<Self> {
        let variable = |name| env::var(name).with_context(|| format!("the variable `{name}` is not set"));
        let host = variable("KUBERNETES_SERVICE_HOST")?;
        let port = variable("KUBERNETES_SERVICE_PORT")?;
        Self::in_pod(&host, &port, Path::new(SERVICE_ACCOUNT))
    }

    fn in_pod(host: &str, port: &str, mounted: &Path) -> anyhow::Result<Self> {
        let url = match host.parse() {
            Ok(IpAddr::V6(host)) => format!("https://[{host}]:{port}/"),
            _ => format!("https://{host}:{port}/"),
        };
        let url = url.parse().with_context(|| format!("`{url}` is no URL"))?;
        let trust = Trust::File(mounted.join("ca.crt"));
        let authorization = Some(Authorization::file(mounted.join("token"), None)?);
        Ok(Self { trust, authorization, ..Self::new(url) })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_pod_has_an_address_an_authority_and_a_token() {
        let mounted = env::temp_dir().join(format!("webhook-pod-{}", std::process::id()));
        fs::create_dir_all(&mounted).unwrap();
        let read = |host| Access::in_pod(host, "443", &mounted).map_err(|error| format!("{error:#}"));
        let token = mounted.join("token");
        assert_eq!(
            read("10.0.0.1").err(),
            Some(format!(
                "the token: cannot read `{}`: No such file or directory (os error 2)",
                token.display()
            ))
        );
        fs::write(token, "T\n").unwrap();
        for (host, expected) in [
            ("10.0.0.1", "https://10.0.0.1:443/"),
            ("fd00::1", "https://[fd00::1]:443/"),
            ("api.example.com", "https://api.example.com:443/"),
        ] {
            let access = read(host).unwrap();
            assert_eq!(access.url, expected);
            assert_eq!(access.trust, Trust::File(mounted.join("ca.crt")));
            assert!(matches!(access.authorization, Some(Authorization::File(_))));
        }
        assert_eq!(read("a b").err(), Some("`https://a b:443/` is no URL: invalid uri character".to_owned()));
        fs::remove_dir_all(&mounted).unwrap();
    }
}
