//! A list that is kept up to date by a watch, for as long as the process lives.
//!
//! No page is lost to one object that cannot be read, none is held as objects, and a silent connection is noticed in
//! seconds.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use tokio::time::Instant;
use tracing::{debug, info, warn};

use super::backoff::Backoff;
use super::object::{Event, ListMetadata, Status, resource_version};
use super::request::{Failure, get};
use super::stream::{Lines, List, Part};
use crate::kubernetes::{Client, percent_encoded};
use crate::metrics::Metrics;

/// Objects in a page of a list. A page takes no memory here, and costs the API server the more the smaller it is: of
/// 100,000 ServiceAccounts, `kubectl`'s 500 take 11 s, these 2 s, all at once as controllers ask 1 s (Kubernetes 1.36, two
/// busy cores).
const PAGE: u32 = 5000;

/// How long the API server keeps a watch open. Two seconds before the end it says how far it is, whether anything
/// happened or not, so going on costs it nothing: there is nothing to catch up with
/// (<https://github.com/kubernetes/kubernetes/blob/v1.33.0/staging/src/k8s.io/apiserver/pkg/storage/cacher/cache_watcher.go>).
const WATCH: Duration = Duration::from_secs(20);

/// A watch that has not been heard of for so long is given up: it should have ended. What follows has until 25 s to
/// say something.
const SILENCE: Duration = Duration::from_secs(21);

/// How long the API server may take until it begins with a page: from etcd, if need be.
const PAGE_BEGINS: Duration = Duration::from_secs(30);

/// How long it may take until a watch begins: that costs it nothing.
const WATCH_BEGINS: Duration = Duration::from_secs(10);

/// A watch that lived for so long was not broken.
const SOUND: Duration = Duration::from_secs(1);

/// The same failure is logged again after so long.
const LOGGED_AGAIN: Duration = Duration::from_secs(60);

/// What is watched.
#[derive(Clone, Debug)]
pub(super) struct Resource {
    /// In metrics, such as `service_account`.
    pub(super) kind: &'static str,
    /// In logs and in the names of rights, such as `serviceaccounts`.
    pub(super) plural: &'static str,
    /// The path of the list.
    pub(super) path: String,
    /// A part of the query that narrows it down: empty, or ends with `&`.
    pub(super) selector: String,
}

/// Who is told what the objects are.
pub(super) trait Fold: Send {
    /// A list begins, perhaps again.
    fn begin(&mut self);
    /// This is the version of the list; said with each page, perhaps after its objects.
    fn lists(&mut self, version: Option<u64>);
    /// The list has an object; an empty text when it was too large. Gives whether it could be read.
    fn listed(&mut self, object: &[u8]) -> bool;
    /// That was all.
    fn complete(&mut self, version: Option<u64>);
    /// An object was made or changed, likewise.
    fn changed(&mut self, object: &[u8]) -> bool;
    /// An object was deleted.
    fn deleted(&mut self, object: &[u8]) -> bool;
    /// Everything up to a version was told.
    fn reached(&mut self, version: u64);
}

/// When a watch was last heard of.
#[derive(Debug)]
pub(super) struct Heard {
    start: Instant,
    /// In milliseconds since the start, and one.
    last: AtomicU64,
}

impl Heard {
    pub(super) fn new() -> Self {
        Self { start: Instant::now(), last: AtomicU64::new(0) }
    }

    /// How long ago that is; `None` when it never was.
    pub(super) fn age(&self) -> Option<Duration> {
        let last = self.last.load(Ordering::Relaxed).checked_sub(1)?;
        Some(self.start.elapsed().saturating_sub(Duration::from_millis(last)))
    }

    fn now(&self) {
        let since_start = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX - 1);
        self.last.store(since_start + 1, Ordering::Relaxed);
    }
}

/// Lists and watches.
pub(super) struct Watch<'w, F> {
    client: &'w Client,
    resource: Resource,
    metrics: &'w Metrics,
    heard: &'w Heard,
    fold: F,
    backoff: Backoff,
    logged: Option<(Failure, Instant)>,
}

impl<'w, F: Fold> Watch<'w, F> {
    pub(super) fn new(
        client: &'w Client,
        resource: Resource,
        metrics: &'w Metrics,
        heard: &'w Heard,
        fold: F,
    ) -> Self {
        Self { client, resource, metrics, heard, fold, backoff: Backoff::default(), logged: None }
    }

    /// Lists until a list is complete; gives its version.
    pub(super) async fn list(&mut self) -> String {
        'list: loop {
            self.fold.begin();
            let mut next = None;
            loop {
                match self.page(next.as_deref()).await {
                    Ok(Page { next: Some(following), .. }) => next = Some(following),
                    Ok(page) => {
                        self.fold.complete(page.number());
                        self.recovered();
                        return page.version;
                    }
                    // The API server holds a list that is read in pages for some minutes.
                    Err(Failure::Expired | Failure::Status(400)) if next.is_some() => {
                        self.failed("list", &Failure::Expired).await;
                        continue 'list;
                    }
                    // The page is asked for again, not the whole list.
                    Err(failure) => self.failed("list", &failure).await,
                }
            }
        }
    }

    /// Watches from a version on, until it has to be listed again.
    pub(super) async fn follow(&mut self, mut version: String) {
        loop {
            let start = Instant::now();
            match self.watch(&mut version).await {
                Ok(()) if start.elapsed() >= SOUND => self.recovered(),
                Ok(()) => self.pause().await,
                Err(Failure::Expired) => {
                    self.failed("watch", &Failure::Expired).await;
                    return;
                }
                Err(failure) => self.failed("watch", &failure).await,
            }
        }
    }

    async fn page(&mut self, next: Option<&str>) -> Result<Page, Failure> {
        let Resource { path, selector, .. } = &self.resource;
        let mut path = format!("{path}?{selector}limit={PAGE}");
        if let Some(next) = next {
            path += "&continue=";
            path += &percent_encoded(next);
        }
        let mut answer = get(self.client, &path, Instant::now() + PAGE_BEGINS).await?;
        let (mut list, mut metadata, mut skipped) = (List::default(), None, 0);
        while let Some(chunk) = answer.next(SILENCE).await? {
            self.hear();
            list.feed(&chunk, &mut |part| {
                let is_read = match part {
                    Part::Item(object) => self.fold.listed(object),
                    Part::TooLarge => self.fold.listed(&[]),
                    Part::Metadata(json) => {
                        metadata = Page::read(json);
                        self.fold.lists(metadata.as_ref().and_then(Page::number));
                        true
                    }
                    Part::Line(_) => true,
                };
                skipped += u64::from(!is_read);
            })
            .map_err(|_| Failure::Malformed)?;
        }
        self.skipped(skipped);
        list.finish().map_err(|_| Failure::Malformed)?;
        metadata.ok_or(Failure::Malformed)
    }

    /// Watches until the watch ends; `version` is where the next has to begin.
    async fn watch(&mut self, version: &mut String) -> Result<(), Failure> {
        let Resource { path, selector, .. } = &self.resource;
        let path = format!(
            "{path}?{selector}watch=true&allowWatchBookmarks=true&timeoutSeconds={}&resourceVersion={}",
            WATCH.as_secs(),
            percent_encoded(version),
        );
        let mut answer = get(self.client, &path, Instant::now() + WATCH_BEGINS).await?;
        self.hear();
        let mut lines = Lines::default();
        let mut end = None;
        while let Some(chunk) = answer.next(SILENCE).await? {
            self.hear();
            lines.feed(&chunk, &mut |line| {
                if end.is_none() {
                    end = self.line(&line, version).err();
                }
            });
            if let Some(failure) = end {
                return Err(failure);
            }
        }
        Ok(())
    }

    fn line(&mut self, line: &Part<'_>, version: &mut String) -> Result<(), Failure> {
        let Part::Line(line) = line else {
            self.fold.changed(&[]);
            self.skipped(1);
            return Ok(());
        };
        let event: Event<'_> = serde_json::from_slice(line).map_err(|_| Failure::Malformed)?;
        let is_read = match event.kind.as_ref() {
            "ADDED" | "MODIFIED" => self.fold.changed(event.object()),
            "DELETED" => self.fold.deleted(event.object()),
            "BOOKMARK" => true,
            "ERROR" => {
                let status = Status::read(event.object());
                return Err(if status.says_expired() {
                    Failure::Expired
                } else {
                    Failure::Status(status.code())
                });
            }
            _ => return Err(Failure::Malformed),
        };
        if !is_read {
            self.skipped(1);
        }
        if let Some(reached) = resource_version(event.object()) {
            if let Ok(reached) = reached.parse() {
                self.fold.reached(reached);
            }
            *version = reached;
        }
        Ok(())
    }

    fn hear(&self) {
        self.heard.now();
        let since_epoch = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
        self.metrics.watch_heard.get_or_create(&self.resource.kind.into()).set(since_epoch.as_secs_f64());
    }

    fn skipped(&self, objects: u64) {
        if objects > 0 {
            self.metrics.undecodable_objects.get_or_create(&self.resource.kind.into()).inc_by(objects);
            debug!(resource = self.resource.plural, objects, "objects that cannot be read are skipped");
        }
    }

    async fn failed(&mut self, verb: &'static str, failure: &Failure) {
        self.metrics.watch_errors.get_or_create(&self.resource.kind.into()).inc();
        let is_news =
            self.logged.as_ref().is_none_or(|(logged, at)| logged != failure || at.elapsed() > LOGGED_AGAIN);
        if is_news {
            let resource = self.resource.plural;
            match failure {
                Failure::Expired => info!(resource, "lists again: {failure}"),
                Failure::Status(401 | 403) => {
                    warn!(resource, "cannot {verb}: {failure}, grant `list` and `watch` on `{resource}`");
                }
                _ => warn!(resource, "cannot {verb}: {failure}"),
            }
            self.logged = Some((failure.clone(), Instant::now()));
        }
        self.pause().await;
    }

    async fn pause(&mut self) {
        tokio::time::sleep(self.backoff.next()).await;
    }

    fn recovered(&mut self) {
        self.backoff = Backoff::default();
        if let Some((failure, _)) = self.logged.take()
            && failure != Failure::Expired
        {
            info!(resource = self.resource.plural, "lists and watches again");
        }
    }
}

struct Page {
    version: String,
    next: Option<String>,
}

impl Page {
    fn read(json: &[u8]) -> Option<Self> {
        let metadata: ListMetadata<'_> = serde_json::from_slice(json).ok()?;
        Some(Self { next: metadata.next(), version: metadata.version()? })
    }

    fn number(&self) -> Option<u64> {
        self.version.parse().ok()
    }
}
