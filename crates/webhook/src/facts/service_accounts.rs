//! Keeps the ServiceAccounts that are held up to date.

use std::convert::Infallible;
use std::sync::Arc;

use super::Facts;
use super::object::ServiceAccount;
use super::store::Store;
use super::watch::{Fold, Resource, Watch};
use crate::metrics::Metrics;
use crate::readiness::Pending;

impl Facts {
    /// Holds all ServiceAccounts, and is ready when they were listed. Never ends.
    pub async fn watch_service_accounts(&self, ready: Pending) -> Infallible {
        let shared = &*self.0;
        let fold = Fill { store: shared.service_accounts.clone(), metrics: shared.metrics.clone() };
        let resource = Resource {
            kind: "service_account",
            plural: "serviceaccounts",
            path: "/api/v1/serviceaccounts".to_owned(),
            selector: String::new(),
        };
        let heard = &shared.service_accounts_heard;
        let mut watch = Watch::new(&shared.client, resource, &shared.metrics, heard, fold);
        let mut version = watch.list().await;
        ready.ready();
        loop {
            watch.follow(version).await;
            version = watch.list().await;
        }
    }
}

/// Fills the store.
struct Fill {
    store: Arc<Store>,
    metrics: Metrics,
}

impl Fill {
    fn read(&self, object: &[u8], take: impl FnOnce(&ServiceAccount<'_>)) -> bool {
        let Some(object) = ServiceAccount::read(object, self.store.prefix()) else {
            self.store.leave_out();
            return false;
        };
        take(&object);
        object.annotations.is_some()
    }

    fn count(&self) {
        let counts = self.store.counts();
        for (kind, count) in
            [("annotated", counts.annotated), ("bare", counts.bare), ("left_out", counts.left_out)]
        {
            self.metrics
                .service_accounts
                .get_or_create(&kind.into())
                .set(count.try_into().unwrap_or(i64::MAX));
        }
    }
}

impl Fold for Fill {
    fn begin(&mut self) {
        self.store.begin();
    }

    fn lists(&mut self, version: Option<u64>) {
        self.store.lists(version);
    }

    fn listed(&mut self, object: &[u8]) -> bool {
        self.read(object, |object| self.store.changed(object))
    }

    fn complete(&mut self, version: Option<u64>) {
        self.store.complete(version);
        self.count();
    }

    fn changed(&mut self, object: &[u8]) -> bool {
        let is_read = self.read(object, |object| self.store.changed(object));
        self.count();
        is_read
    }

    fn deleted(&mut self, object: &[u8]) -> bool {
        let is_read = self.read(object, |object| self.store.deleted(object));
        self.count();
        is_read
    }

    fn reached(&mut self, version: u64) {
        self.store.reached(version);
    }
}
