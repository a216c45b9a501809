//! What is known of the cluster.
//!
//! [`Facts`] answers from what is held, or asks the API server; the tasks [`Facts::watch_service_accounts`] and
//! [`Facts::watch_config_map`] keep what is held up to date.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use pod_identity_core::mapping::Index;
use pod_identity_core::names::{is_dns_label, is_dns_subdomain};
use pod_identity_core::{Found, Unknown};

use crate::kubernetes::Client;
use crate::metrics::Metrics;

mod annotations;
mod backoff;
mod config_map;
mod limit;
mod live;
mod object;
mod record;
mod request;
mod service_accounts;
mod store;
mod stream;
mod watch;

pub use annotations::Annotations;
pub use config_map::ConfigMapKey;
use live::Live;
use store::Store;
use watch::Heard;

/// Nothing that is held counts as older, unless the API server cannot be reached.
const STALE: Duration = Duration::from_secs(25);

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
    There(Index<'static>),
    /// There is no such ConfigMap, or no such key.
    NotThere,
    /// Nobody knows yet: it is not watched, or the API server has not answered.
    Unknown(Unknown),
}

/// How the API server is asked.
#[derive(Clone, Copy, Debug)]
pub struct LiveReads {
    /// How long an answer may take; zero: never ask.
    pub grace_period: Duration,
    /// Reads in a second, over all ServiceAccounts; zero: never ask.
    pub limit: u32,
}

/// What is known of the cluster. Cheap to clone.
#[derive(Clone)]
pub struct Facts(Arc<Shared>);

struct Shared {
    client: Client,
    metrics: Metrics,
    service_accounts: Arc<Store>,
    service_accounts_heard: Heard,
    live: Arc<Live>,
    mapping: ArcSwap<Mapping>,
    mapping_heard: Heard,
}

impl Facts {
    /// Facts that ask `client` when what is held does not answer. Annotations are held whose keys begin with
    /// `annotation_prefix` and a slash. Nothing is held until a task watches.
    #[must_use]
    pub fn new(client: Client, annotation_prefix: &str, live: LiveReads, metrics: Metrics) -> Self {
        let service_accounts = Arc::new(Store::new(annotation_prefix));
        Self(Arc::new(Shared {
            live: Arc::new(Live::new(client.clone(), live, service_accounts.clone(), metrics.clone())),
            client,
            metrics,
            service_accounts,
            service_accounts_heard: Heard::new(),
            mapping: ArcSwap::from_pointee(Mapping::Unknown(config_map::not_asked())),
            mapping_heard: Heard::new(),
        }))
    }

    /// What is held of a ServiceAccount, without asking anybody.
    #[must_use]
    pub fn held(&self, namespace: &str, name: &str) -> Held {
        self.0.service_accounts.held(namespace, name)
    }

    /// Asks the API server for a ServiceAccount: one request in flight for each, all within the limit and the grace period.
    ///
    /// `None` when what is held stands: it is held, and was asked for within the last second, or the limit is used up, or
    /// there was no answer while the watch is sound; or live reads are off. One that is missing while live reads are
    /// off is unknown until everything that the cluster has is held.
    ///
    /// When nobody waits for the future, nothing is left of the request.
    pub async fn read(&self, namespace: &str, name: &str, held: &Held) -> Option<Found<Annotations>> {
        if !is_dns_label(namespace) || !is_dns_subdomain(name) {
            return Some(Found::NotThere);
        }
        let Shared { live, .. } = &*self.0;
        match held {
            Held::Missing if live.is_on() => Some(live.read_missing(namespace, name).await),
            Held::Missing => self.doubt().map(Found::Unknown),
            _ if !live.is_on() => None,
            _ => match live.read_held(namespace, name).await? {
                Found::Unknown(_) if self.doubt().is_none() => None,
                found => Some(found),
            },
        }
    }

    /// The mapping in the ConfigMap.
    #[must_use]
    pub fn mapping(&self) -> Arc<Mapping> {
        self.0.mapping.load_full()
    }

    /// Why what is held may not be what there is.
    fn doubt(&self) -> Option<Unknown> {
        let Shared { service_accounts, service_accounts_heard, .. } = &*self.0;
        let unknown = |reason: String, remedy| Some(Unknown { reason, remedy });
        if !service_accounts.is_complete() {
            let reason = "the service accounts have not been listed yet".to_owned();
            return unknown(reason, "grant the webhook `list` and `watch` on `serviceaccounts`");
        }
        match service_accounts_heard.age() {
            Some(age) if age <= STALE => {}
            age => {
                let seconds = age.unwrap_or_default().as_secs();
                let reason = format!("the watch was last heard of {seconds} s ago");
                return unknown(reason, "see why the webhook does not reach the API server");
            }
        }
        match service_accounts.counts().left_out {
            0 => None,
            _ => unknown("there are more service accounts than are held".to_owned(), "allow live reads"),
        }
    }
}

impl std::fmt::Debug for Facts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Facts")
            .field("service_accounts", &self.0.service_accounts.counts())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
