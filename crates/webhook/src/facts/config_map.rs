//! Keeps the mapping that a ConfigMap holds up to date.

use std::collections::hash_map::RandomState;
use std::convert::Infallible;
use std::hash::BuildHasher as _;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use anyhow::ensure;
use arc_swap::ArcSwap;
use pod_identity_core::mapping::{ConfigMapCheck, Index, check_config_map};
use pod_identity_core::names::{is_dns_label, is_dns_subdomain};
use pod_identity_core::{Arena, Unknown};
use tokio::time::timeout;
use tracing::{info, warn};

use super::object::{Document, config_map_document};
use super::watch::{Fold, Resource, Watch};
use super::{Facts, Mapping, Shared};
use crate::configuration::Configuration;
use crate::readiness::Pending;

/// How long readiness waits to be told whether there is a mapping.
const FIRST_ANSWER: Duration = Duration::from_secs(10);

/// In metrics.
const KIND: &str = "config_map";

/// Where in the cluster the mapping is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ConfigMapKey {
    /// The ConfigMap's namespace.
    pub namespace: String,
    /// The ConfigMap's name.
    pub name: String,
    /// The key of its data.
    pub key: String,
}

impl Facts {
    /// Holds the mapping that a ConfigMap has under a key. Never ends without an error. Ready when it is known
    /// whether there is one, or after ten seconds: until then the mapping is unknown.
    ///
    /// Entries are checked with the settings of that moment, so that somebody is told what is wrong with them.
    ///
    /// # Errors
    ///
    /// When the ConfigMap has no valid name.
    pub async fn watch_config_map(
        &self,
        at: ConfigMapKey,
        settings: Arc<ArcSwap<Configuration>>,
        ready: Pending,
    ) -> anyhow::Result<Infallible> {
        let ConfigMapKey { namespace, name, .. } = &at;
        ensure!(
            is_dns_label(namespace) && is_dns_subdomain(name),
            "cannot watch the config map `{namespace}/{name}`: expected the names of a namespace and of a config map"
        );
        let shared = &*self.0;
        let resource = Resource {
            kind: KIND,
            plural: "configmaps",
            path: format!("/api/v1/namespaces/{namespace}/configmaps"),
            // So that a right to this one is enough.
            selector: format!("fieldSelector=metadata.name%3D{name}&"),
        };
        let fold = Take { shared, at, settings, is_listed: false, hasher: RandomState::new(), last: None };
        let mut watch = Watch::new(&shared.client, resource, &shared.metrics, &shared.mapping_heard, fold);
        let mut version = {
            let mut list = pin!(watch.list());
            let first = timeout(FIRST_ANSWER, &mut list).await;
            ready.ready();
            match first {
                Ok(version) => version,
                Err(_) => list.await,
            }
        };
        loop {
            watch.follow(version).await;
            version = watch.list().await;
        }
    }
}

/// What is known at first.
pub(super) fn not_asked() -> Unknown {
    Unknown {
        reason: "the API server has not said whether it is there".to_owned(),
        remedy: "grant the webhook `list` and `watch` on this one",
    }
}

/// Takes the mapping over.
struct Take<'s> {
    shared: &'s Shared,
    at: ConfigMapKey,
    settings: Arc<ArcSwap<Configuration>>,
    /// Whether the list that is read has it.
    is_listed: bool,
    hasher: RandomState,
    /// A hash of what was there last, good or not.
    last: Option<u64>,
}

impl Take<'_> {
    fn take(&mut self, document: Document) {
        let hash = self.hasher.hash_one(&document);
        let is_first = match self.last.replace(hash) {
            Some(last) if last == hash => return,
            last => last.is_none(),
        };
        let place = format!("{}/{}", self.at.namespace, self.at.name);
        let metrics = &self.shared.metrics;
        let problems = metrics.configuration_problems.get_or_create_owned(&KIND.into());
        let checked = match &document {
            Document::There(text) => {
                let configuration = self.settings.load();
                check(text, &configuration)
            }
            Document::NotThere => Ok(ConfigMapCheck::default()),
        };
        match &checked {
            Ok(check) => {
                problems.set(count(check.problems));
                metrics.config_map_entries.set(count(check.entries));
                for notice in &check.notices {
                    warn!(config_map = place, "{notice}");
                }
                info!(
                    config_map = place,
                    entries = check.entries,
                    problems = check.problems,
                    "mapping taken over"
                );
            }
            Err(error) => {
                problems.set(1);
                warn!(config_map = place, "the mapping is malformed, the last good one stays: {error}");
            }
        }
        // Without a good one before it, a malformed one is shown to whoever asks: it is not the same as none.
        if checked.is_ok() || !matches!(**self.shared.mapping.load(), Mapping::There(_)) {
            if !is_first {
                metrics.reloads.get_or_create(&KIND.into()).inc();
            }
            self.shared.mapping.store(Arc::new(match document {
                Document::There(text) => Mapping::There(Index::new(text)),
                Document::NotThere => Mapping::NotThere,
            }));
        }
    }

    fn read(&mut self, object: &[u8]) -> bool {
        let ConfigMapKey { namespace, name, key } = &self.at;
        match config_map_document(object, namespace, name, key) {
            Some(document) => {
                self.take(document);
                true
            }
            None => false,
        }
    }
}

fn check(document: &str, configuration: &Configuration) -> Result<ConfigMapCheck, String> {
    let arena = Arena::default();
    check_config_map(document, configuration.settings(), &arena)
}

fn count(number: usize) -> i64 {
    number.try_into().unwrap_or(i64::MAX)
}

impl Fold for Take<'_> {
    fn begin(&mut self) {
        self.is_listed = false;
    }

    fn lists(&mut self, _version: Option<u64>) {}

    fn listed(&mut self, object: &[u8]) -> bool {
        // One that cannot be read is there.
        self.is_listed = true;
        self.read(object)
    }

    fn complete(&mut self, _version: Option<u64>) {
        if !self.is_listed {
            self.take(Document::NotThere);
        }
    }

    fn changed(&mut self, object: &[u8]) -> bool {
        self.read(object)
    }

    fn deleted(&mut self, _object: &[u8]) -> bool {
        self.take(Document::NotThere);
        true
    }

    fn reached(&mut self, _version: u64) {}
}
