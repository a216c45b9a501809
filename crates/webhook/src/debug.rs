//! What is held, for whoever looks for a fault: with `--enable-debugging-handlers`, on loopback only, on the port after
//! the one for metrics.
//!
//! | path | shows |
//! | --- | --- |
//! | `/debug/` | these paths |
//! | `/debug/service-account?namespace=…&name=…` | what is held of a ServiceAccount |
//! | `/debug/mapping` | how much of a mapping there is, in the settings and in the ConfigMap |
//! | `/debug/settings` | the settings, but for the large ones |
//!
//! How many ServiceAccounts are held is among the metrics.

use std::collections::BTreeMap;
use std::io;
use std::net::Ipv4Addr;

use hyper::StatusCode;
use pod_identity_core::{Mode, Settings};
use serde::Serialize;
use tokio::net::TcpListener;

use crate::configuration;
use crate::facts::{Facts, Held, Mapping};
use crate::status::Failure;

/// Listens on loopback, where only the pod's own containers and `kubectl port-forward` get to. A free port for 0.
///
/// # Errors
///
/// When the port is taken.
pub async fn bind(port: u16) -> io::Result<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await
}

/// Shows what is held. Cheap to clone.
#[derive(Clone)]
pub struct Debug {
    configuration: configuration::Published,
    facts: Facts,
}

impl Debug {
    /// Shows the settings that are published in `configuration` and what `facts` hold.
    #[must_use]
    pub fn new(configuration: configuration::Published, facts: Facts) -> Self {
        Self { configuration, facts }
    }

    /// What a path below `/debug/` shows, as JSON.
    pub(crate) fn show(&self, path: &str, query: &str) -> Result<String, Failure> {
        match path {
            "/debug/" => json(&PATHS),
            "/debug/service-account" => {
                let message = "expected `?namespace=…&name=…`";
                let missing = || Failure::new(StatusCode::BAD_REQUEST, message);
                let namespace = parameter(query, "namespace").ok_or_else(missing)?;
                self.service_account(namespace, parameter(query, "name").ok_or_else(missing)?)
            }
            "/debug/mapping" => self.mapping(),
            "/debug/settings" => json(&Summary::of(self.configuration.load().settings())),
            _ => Err(Failure::new(StatusCode::NOT_FOUND, "there is nothing at this path")),
        }
    }

    fn service_account(&self, namespace: &str, name: &str) -> Result<String, Failure> {
        let held = self.facts.held(namespace, name);
        json(&ServiceAccount {
            namespace,
            name,
            held: match &held {
                Held::Annotated(_) => "annotated",
                Held::Bare => "bare",
                Held::Missing => "missing",
            },
            annotations: match &held {
                Held::Annotated(annotations) => annotations.iter().collect(),
                Held::Bare | Held::Missing => BTreeMap::new(),
            },
        })
    }

    fn mapping(&self) -> Result<String, Failure> {
        let settings = self.configuration.load().settings().mapping.map_or(0, |mapping| mapping.text().len());
        let config_map = match &*self.facts.mapping() {
            Mapping::There(index) => Some(index.text().len()),
            Mapping::NotThere | Mapping::Unknown(_) => None,
        };
        json(&MappingSizes { settings_bytes: settings, config_map_bytes: config_map })
    }
}

#[derive(Serialize)]
struct ServiceAccount<'a> {
    namespace: &'a str,
    name: &'a str,
    held: &'static str,
    annotations: BTreeMap<&'a str, &'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct MappingSizes {
    settings_bytes: usize,
    config_map_bytes: Option<usize>,
}

/// Settings that are short, under their names.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Summary<'a> {
    mode: &'static str,
    annotation_prefix: &'a str,
    service_account_annotations: bool,
    mapping_config_map: Option<String>,
    container_credentials: bool,
    token_audience: &'a str,
    token_mount_path: &'a str,
    token_volume_name: &'a str,
    sts_regional_endpoints: bool,
    sts_endpoint_url: Option<&'a str>,
    allowed_roles: bool,
    allowed_audiences: Option<&'a [&'a str]>,
    annotate_service_accounts: bool,
}

impl<'a> Summary<'a> {
    fn of(settings: &'a Settings<'a>) -> Self {
        Self {
            mode: if settings.mode == Mode::Verify { "verify" } else { "mutate" },
            annotation_prefix: settings.annotation_prefix,
            service_account_annotations: settings.service_account_annotations,
            mapping_config_map: settings
                .mapping_config_map
                .as_ref()
                .map(|place| format!("{}/{}:{}", place.namespace, place.name, place.key)),
            container_credentials: settings.container_credentials.is_some(),
            token_audience: settings.token_audience,
            token_mount_path: settings.token_mount_path,
            token_volume_name: settings.token_volume_name,
            sts_regional_endpoints: settings.sts_regional_endpoints,
            sts_endpoint_url: settings.sts_endpoint_url,
            allowed_roles: settings.allowed_roles.is_some(),
            allowed_audiences: settings.allowed_audiences.as_deref(),
            annotate_service_accounts: settings.annotate_service_accounts,
        }
    }
}

/// What there is to ask for.
const PATHS: [&str; 3] =
    ["/debug/service-account?namespace=NAMESPACE&name=NAME", "/debug/mapping", "/debug/settings"];

fn json(value: &impl Serialize) -> Result<String, Failure> {
    serde_json::to_string(value)
        .map_err(|_| Failure::new(StatusCode::INTERNAL_SERVER_ERROR, "what is held could not be written"))
}

/// A parameter as it is written: what is looked for are names, which need no escapes.
fn parameter<'q>(query: &'q str, name: &str) -> Option<&'q str> {
    query.split('&').find_map(|parameter| parameter.strip_prefix(name)?.strip_prefix('='))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use crate::kubernetes::Body;
    use crate::kubernetes::Client;
    use arc_swap::ArcSwap;
    use hyper::{Request, Response};

    use super::*;
    use crate::configuration::Configuration;
    use crate::facts::LiveReads;
    use crate::metrics::Metrics;

    #[tokio::test]
    async fn what_is_listed_is_there() {
        let (service, _asked) = tower_test::mock::pair::<Request<Body>, Response<Body>>();
        let live = LiveReads { grace_period: Duration::ZERO, limit: 0 };
        let facts = Facts::new(Client::new(service), "eks.amazonaws.com", live, Metrics::default());
        let settings = Configuration::read("{}".to_owned()).unwrap();
        let debug = Debug::new(Arc::new(ArcSwap::from_pointee(settings)), facts);
        let paths: Vec<String> = serde_json::from_str(&debug.show("/debug/", "").unwrap()).unwrap();
        assert_eq!(paths, PATHS);
        for path in paths {
            let (path, query) = path.split_once('?').unwrap_or((&path, ""));
            debug.show(path, query).unwrap();
        }
        assert_eq!(
            debug.show("/debug/alpha/cache", ""),
            Err(Failure::new(StatusCode::NOT_FOUND, "there is nothing at this path"))
        );
    }
}
