//! From the bytes of a review to the bytes of an answer.
//!
//! An attempt is synchronous, with what is held: nothing that is borrowed crosses an await. Only when what is held
//! does not answer is the API server asked, and the attempt made again with what it said.

use std::cell::OnceCell;
use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::Bytes;
use hyper::StatusCode;
use pod_identity_core::mapping;
use pod_identity_core::{
    Arena, ConfigMap, Found, Lookup, Problems, ReadError, Request, Review, ServiceAccount, Settings,
};

use crate::configuration;
use crate::facts::{Annotations, Facts, Held, Mapping};
use crate::metrics::Metrics;
use crate::status::Failure;

mod answer;
mod record;
mod review;

use record::Record;
use review::Version;

/// What a review is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Task {
    /// As the settings' mode says.
    Mutate,
    /// Only checks, whatever the settings' mode says.
    Validate,
}

/// Decides reviews. Cheap to clone.
#[derive(Clone)]
pub struct Admission {
    configuration: configuration::Published,
    facts: Facts,
    metrics: Metrics,
}

impl Admission {
    /// Decides by what is published in `configuration` and known in `facts`, and counts it.
    #[must_use]
    pub fn new(configuration: configuration::Published, facts: Facts, metrics: Metrics) -> Self {
        Self { configuration, facts, metrics }
    }

    /// The answer to a review, as JSON. `traceparent` is what the caller calls the request
    /// (<https://www.w3.org/TR/trace-context/#traceparent-header>).
    ///
    /// # Errors
    ///
    /// When the body is no review with a uid, so that there is nothing to answer; and when deciding panicked.
    pub async fn review(&self, body: &[u8], task: Task, traceparent: Option<&str>) -> Result<Bytes, Failure> {
        let text = simdutf8::basic::from_utf8(body)
            .map_err(|_| Failure::new(StatusCode::BAD_REQUEST, "expected an AdmissionReview in UTF-8"))?;
        let Attempt { mut answer, doubt } = self.attempt(text, task, traceparent, None)?;
        if let Some(Doubt { namespace, name, held, record }) = doubt {
            match self.facts.read(&namespace, &name, &held).await {
                None => record.publish(&self.metrics, traceparent),
                Some(found) => answer = self.attempt(text, task, traceparent, Some(&found))?.answer,
            }
        }
        Ok(Bytes::from(answer))
    }

    /// Decides with what is held, or with the service account that was read.
    fn attempt(
        &self,
        text: &str,
        task: Task,
        traceparent: Option<&str>,
        read: Option<&Found<Annotations>>,
    ) -> Result<Attempt, Failure> {
        guarded(&self.metrics, || {
            let arena = Arena::default();
            match &Review::read(text, &arena) {
                Ok(review) => {
                    let (version, request) = review::request(review).map_err(bad_request)?;
                    let configuration = self.configuration.load();
                    let settings = match task {
                        Task::Mutate => configuration.settings(),
                        Task::Validate => configuration.verifying(),
                    };
                    Ok(self.decide(version, request, settings, traceparent, read))
                }
                Err(error) => self.unreadable(text, error, traceparent),
            }
        })
    }

    fn decide(
        &self,
        version: Version,
        request: &Request<'_>,
        settings: &Settings<'_>,
        traceparent: Option<&str>,
        read: Option<&Found<Annotations>>,
    ) -> Attempt {
        let problems = Problems::default();
        let admission = pod_identity_core::Admission::new(request, settings, &problems);
        let (held, mapping) = (OnceCell::new(), OnceCell::new());
        let mut facts = pod_identity_core::Facts::default();
        while let Some(lookup) = admission.next_lookup(&facts) {
            match lookup {
                Lookup::ServiceAccount { namespace, name } => {
                    facts.service_account = Some(match read {
                        Some(Found::There(annotations)) => Found::There(service_account(annotations)),
                        Some(Found::NotThere) => Found::NotThere,
                        Some(Found::Unknown(unknown)) => Found::Unknown(unknown.clone()),
                        None => match held.get_or_init(|| self.facts.held(namespace, name)) {
                            Held::Annotated(annotations) => Found::There(service_account(annotations)),
                            Held::Bare => Found::There(ServiceAccount::from_annotations(std::iter::empty())),
                            Held::Missing => Found::NotThere,
                        },
                    });
                }
                Lookup::ConfigMap { .. } => {
                    let mapping = mapping.get_or_init(|| self.facts.mapping());
                    facts.config_map = Some(match &**mapping {
                        Mapping::There(index) => {
                            Found::There(ConfigMap::from(mapping::Mapping::Index(index)))
                        }
                        Mapping::NotThere => Found::NotThere,
                        Mapping::Unknown(unknown) => Found::Unknown(unknown.clone()),
                    });
                }
            }
        }
        let decision = admission.decide(&facts);
        let answer = answer::decided(version, request.uid, &decision);
        let record = Record::of(request, &decision, &facts);
        let doubtful = held.get().filter(|held| match held {
            Held::Missing => true,
            held => decision.identity.is_none() && !names_a_role(held, settings.annotation_prefix),
        });
        let doubt = match doubtful {
            Some(held) => Some(Doubt {
                namespace: request.namespace.to_owned(),
                name: decision.account.scope.service_account.to_owned(),
                held: held.clone(),
                record: record.into_owned(),
            }),
            None => {
                record.publish(&self.metrics, traceparent);
                None
            }
        };
        Attempt { answer, doubt }
    }

    /// A review whose request cannot be read is refused; anything else is no review.
    #[cold]
    fn unreadable(
        &self,
        text: &str,
        error: &ReadError,
        traceparent: Option<&str>,
    ) -> Result<Attempt, Failure> {
        let (version, uid) = review::envelope(text)
            .ok_or_else(|| bad_request("expected an AdmissionReview with a `request` that has a `uid`"))?;
        let message = format!("the request could not be read: {error}");
        Record::unreadable(&uid, &message).publish(&self.metrics, traceparent);
        Ok(Attempt { answer: answer::unreadable(version, &uid, &message), doubt: None })
    }
}

/// An attempt, with what is held or with what was read.
struct Attempt {
    /// The answer, which stands when there is no doubt, or nobody to ask.
    answer: String,
    doubt: Option<Doubt>,
}

/// A service account that may be another one than what is held of it.
struct Doubt {
    namespace: String,
    name: String,
    held: Held,
    /// Of the decision, which was not published yet.
    record: Record<'static>,
}

/// Keeps the server up when a decision panics. The call fails then.
fn guarded<T>(metrics: &Metrics, decide: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
    // Nothing is left half-done: a decision only reads, and writes what it owns.
    catch_unwind(AssertUnwindSafe(decide)).unwrap_or_else(|_| {
        record::panicked(metrics);
        Err(Failure::new(StatusCode::INTERNAL_SERVER_ERROR, "the request could not be decided"))
    })
}

fn service_account(annotations: &Annotations) -> ServiceAccount<'_> {
    ServiceAccount::from_annotations(annotations.iter())
}

/// Whether what is held of a service account names a role: then nobody is asked for one.
fn names_a_role(held: &Held, prefix: &str) -> bool {
    let Held::Annotated(annotations) = held else { return false };
    annotations.iter().any(|(key, value)| {
        let name = key.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('/'));
        name.is_some_and(|name| name == "role-arn" || name.starts_with("role-arn."))
            && !value.trim().is_empty()
    })
}

fn bad_request(message: &'static str) -> Failure {
    Failure::new(StatusCode::BAD_REQUEST, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::DecisionLabels;

    #[test]
    fn a_panic_fails_the_call_and_is_counted() {
        let metrics = Metrics::default();
        let failed = guarded(&metrics, || -> Result<(), Failure> { panic!("a bug") }).unwrap_err();
        assert_eq!(failed.code, StatusCode::INTERNAL_SERVER_ERROR);
        let labels = DecisionLabels { outcome: "failed", reason: "panic" };
        assert_eq!(metrics.decisions.get_or_create(&labels).get(), 1);
        assert_eq!(guarded(&metrics, || Ok(1)), Ok(1));
    }
}
