//! ServiceAccounts that are asked for because what is held does not answer.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::{BoxFuture, Shared, WeakShared};
use pod_identity_core::{Found, Unknown};
use tokio::time::{Instant, timeout_at};

use super::limit::{Limit, Recent};
use super::object::ServiceAccount;
use super::request::{Failure, get};
use super::store::Store;
use super::stream::MAX_OBJECT;
use super::{Annotations, Held, LiveReads};
use crate::kubernetes::Client;
use crate::metrics::Metrics;

/// Reads in flight. A bound for when many come at once: the limit a second is what counts.
const MAX_FLIGHTS: usize = 1024;

/// Asks the API server. Nothing runs by itself: a read is driven by those who wait for it, and ends with the last of them.
pub(super) struct Live {
    client: Client,
    settings: LiveReads,
    limit: Limit,
    recent: Recent,
    flights: Arc<Flights>,
    store: Arc<Store>,
    metrics: Metrics,
}

/// What came of a read.
type Answer = Result<Found<Annotations>, Failed>;

/// Why nothing came of it.
#[derive(Clone, Debug)]
struct Failed {
    outcome: &'static str,
    unknown: Unknown,
}

impl Live {
    pub(super) fn new(client: Client, settings: LiveReads, store: Arc<Store>, metrics: Metrics) -> Self {
        Self {
            client,
            settings,
            limit: Limit::new(settings.limit),
            recent: Recent::default(),
            flights: Arc::default(),
            store,
            metrics,
        }
    }

    /// Whether the API server may be asked.
    pub(super) fn is_on(&self) -> bool {
        !self.settings.grace_period.is_zero()
    }

    /// Asks for a ServiceAccount that is not held.
    pub(super) async fn read_missing(self: &Arc<Self>, namespace: &str, name: &str) -> Found<Annotations> {
        let asked = Instant::now();
        let deadline = asked + self.settings.grace_period;
        loop {
            let Some(flight) = self.join(namespace, name, asked, Patience::UntilGranted) else {
                return Found::Unknown(Failed::limited().unknown);
            };
            let answer = match timeout_at(deadline, flight.answer).await {
                Ok(answer) => answer,
                Err(_) => Err(Failed::new(&Failure::TimedOut)),
            };
            match answer {
                // Somebody else's question may be older than the ServiceAccount.
                Ok(Found::NotThere) if flight.begun < asked => {}
                Ok(Found::NotThere) => return self.not_there_unless_held(namespace, name),
                Ok(found) => return found,
                Err(failed) => return Found::Unknown(failed.unknown),
            }
        }
    }

    /// Asks for a ServiceAccount that is held without what is looked for. `None` when that was done a moment ago, or
    /// when the limit is used up.
    pub(super) async fn read_held(
        self: &Arc<Self>,
        namespace: &str,
        name: &str,
    ) -> Option<Found<Annotations>> {
        let asked = Instant::now();
        let deadline = asked + self.settings.grace_period;
        let flight = self.join(namespace, name, asked, Patience::None)?;
        Some(match timeout_at(deadline, flight.answer).await {
            Ok(Ok(found)) => found,
            Ok(Err(failed)) => Found::Unknown(failed.unknown),
            Err(_) => Found::Unknown(Failed::new(&Failure::TimedOut).unknown),
        })
    }

    /// The watch may have told of it meanwhile, and is believed: an answer that it is not there has no version.
    fn not_there_unless_held(&self, namespace: &str, name: &str) -> Found<Annotations> {
        match self.store.held(namespace, name) {
            Held::Annotated(annotations) => Found::There(annotations),
            Held::Bare => Found::There(Annotations::default()),
            Held::Missing => Found::NotThere,
        }
    }

    /// The read that is in flight, or a new one if there may be one. It begins when it was asked for, also if it has to
    /// wait.
    fn join(
        self: &Arc<Self>,
        namespace: &str,
        name: &str,
        begun: Instant,
        patience: Patience,
    ) -> Option<Flight> {
        let key = format!("{namespace}/{name}");
        let mut flights = self.flights.lock();
        if let Some(entry) = flights.by_name.get(&key)
            && let Some(answer) = entry.answer.upgrade()
        {
            return Some(Flight { begun: entry.begun, answer });
        }
        let is_full = flights.by_name.len() >= MAX_FLIGHTS;
        let wait = match patience {
            _ if is_full => None,
            // The other half is for the answer.
            Patience::UntilGranted => self.limit.grant(begun, self.settings.grace_period / 2),
            Patience::None if self.recent.contains(&key, begun) => return None,
            Patience::None => self.limit.grant(begun, Duration::ZERO),
        };
        let Some(wait) = wait else {
            self.count("limited");
            return None;
        };
        if patience == Patience::None {
            self.recent.insert(&key, begun);
        }
        flights.count += 1;
        let landing = Landing { flights: self.flights.clone(), key: key.clone(), number: flights.count };
        let number = landing.number;
        let answer: BoxFuture<'static, Answer> =
            self.clone().fly(namespace.to_owned(), name.to_owned(), begun, wait, landing).boxed();
        let answer = answer.shared();
        if let Some(weak) = answer.downgrade() {
            flights.by_name.insert(key, Entry { begun, number, answer: weak });
        }
        Some(Flight { begun, answer })
    }

    async fn fly(
        self: Arc<Self>,
        namespace: String,
        name: String,
        begun: Instant,
        wait: Duration,
        _landing: Landing,
    ) -> Answer {
        tokio::time::sleep(wait).await;
        let deadline = begun + self.settings.grace_period;
        let answer = match self.get(&namespace, &name, deadline).await {
            Ok(annotations) => Ok(Found::There(annotations)),
            Err(Failure::NotThere) => Ok(Found::NotThere),
            Err(failure) => Err(Failed::new(&failure)),
        };
        self.count(match &answer {
            Ok(Found::There(_)) => "found",
            Ok(_) => "not_found",
            Err(failed) => failed.outcome,
        });
        answer
    }

    async fn get(&self, namespace: &str, name: &str, deadline: Instant) -> Result<Annotations, Failure> {
        let path = format!("/api/v1/namespaces/{namespace}/serviceaccounts/{name}");
        let answer = get(&self.client, &path, deadline).await?;
        let body = answer.collect(MAX_OBJECT, deadline).await?;
        let object = ServiceAccount::read(&body, self.store.prefix())
            .filter(|object| object.namespace == namespace && object.name == name)
            .filter(|object| object.annotations.is_some())
            .ok_or(Failure::Malformed)?;
        Ok(self.store.found(&object))
    }

    #[cfg(test)]
    pub(super) fn in_flight(&self) -> usize {
        self.flights.lock().by_name.len()
    }

    fn count(&self, outcome: &'static str) {
        self.metrics.live_reads.get_or_create(&outcome.into()).inc();
    }
}

impl Failed {
    fn new(failure: &Failure) -> Self {
        let (outcome, remedy) = match failure {
            Failure::Status(403) => ("forbidden", "grant the webhook `get` on `serviceaccounts`"),
            Failure::Status(401) => ("unauthorized", "give the webhook a token that the API server accepts"),
            Failure::TimedOut => ("timed_out", "see why the API server is slow"),
            Failure::Unreachable(_) => ("unreachable", "see why the webhook does not reach the API server"),
            Failure::Malformed => ("unreadable", "see what stands between the webhook and the API server"),
            _ => ("refused", "see why the API server refuses"),
        };
        Self { outcome, unknown: Unknown { reason: failure.to_string(), remedy } }
    }

    fn limited() -> Self {
        let reason = "it is not held and the limit of live reads is used up".to_owned();
        Self { outcome: "limited", unknown: Unknown { reason, remedy: "raise `--live-read-limit`" } }
    }
}

/// Whether to wait until the limit allows a read.
#[derive(Clone, Copy, PartialEq)]
enum Patience {
    UntilGranted,
    None,
}

struct Flight {
    begun: Instant,
    answer: Shared<BoxFuture<'static, Answer>>,
}

/// The reads in flight.
#[derive(Default)]
struct Flights(Mutex<FlightsByName>);

#[derive(Default)]
struct FlightsByName {
    by_name: HashMap<String, Entry>,
    count: u64,
}

struct Entry {
    begun: Instant,
    number: u64,
    answer: WeakShared<BoxFuture<'static, Answer>>,
}

impl Flights {
    fn lock(&self) -> MutexGuard<'_, FlightsByName> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Part of every read, so that nothing is left of one that ends in whatever way.
struct Landing {
    flights: Arc<Flights>,
    key: String,
    number: u64,
}

impl Drop for Landing {
    fn drop(&mut self) {
        let mut flights = self.flights.lock();
        // Another may have begun since nobody waited for this one.
        if flights.by_name.get(&self.key).is_some_and(|entry| entry.number == self.number) {
            flights.by_name.remove(&self.key);
        }
    }
}
