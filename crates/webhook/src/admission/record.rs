//! What is counted and logged of a decision.

use std::fmt;

use pod_identity_core::account::{Reason, Source};
use pod_identity_core::{Decision, Facts, Found, Method, Outcome, Plan, RefusalReason, Request, Unchanged};
use tracing::Level;

use crate::metrics::{DecisionLabels, Metrics};

/// The longest name that is logged whole: longer ones are none.
const SHOWN: usize = 253;

/// What is counted and logged of a decision, once it is the one that is given.
#[derive(Debug)]
pub(super) struct Record {
    outcome: &'static str,
    reason: &'static str,
    warnings: Vec<&'static str>,
    /// How a pod was given an identity.
    method: Option<&'static str>,
    missing_service_account: bool,
    line: Option<Line>,
}

/// What a log line says of a decision, safe to show.
#[derive(Debug)]
struct Line {
    uid: String,
    namespace: String,
    pod: String,
    service_account: String,
    /// The refusal and the warnings.
    notes: String,
}

impl Record {
    pub(super) fn of(request: &Request<'_>, decision: &Decision<'_>, facts: &Facts<'_>) -> Self {
        let (outcome, reason) = labels(decision);
        let warned: Vec<_> = decision.account.all_warnings().collect();
        let method = match (&decision.outcome, &decision.identity) {
            (Outcome::Changed(Plan::Pod(_), _), Some(identity)) => Some(match identity.method {
                Method::ContainerCredentials(_) => "container_credentials",
                Method::WebIdentity(_) => "sts_web_identity",
            }),
            _ => None,
        };
        let visible = outcome != "unchanged" || !warned.is_empty();
        let is_logged =
            if visible { tracing::enabled!(Level::INFO) } else { tracing::enabled!(Level::DEBUG) };
        let line = is_logged.then(|| {
            let scope = &decision.account.scope;
            let refusal = match &decision.outcome {
                Outcome::Refused(refusal) => Some(refusal.message.as_str()),
                _ => None,
            };
            let notes: Vec<&str> =
                refusal.into_iter().chain(warned.iter().map(|warning| warning.text.as_str())).collect();
            Line {
                uid: Shown(request.uid).to_string(),
                namespace: Shown(request.namespace).to_string(),
                pod: Shown(scope.pod).to_string(),
                service_account: Shown(scope.service_account).to_string(),
                notes: notes.join("; "),
            }
        });
        Self {
            outcome,
            reason,
            warnings: warned.iter().map(|warning| warning_name(warning.reason)).collect(),
            method,
            missing_service_account: matches!(facts.service_account, Some(Found::NotThere)),
            line,
        }
    }

    /// The record of a review whose request could not be read.
    pub(super) fn unreadable(uid: &str, message: &str) -> Self {
        Self {
            outcome: "refused",
            reason: refusal_name(RefusalReason::Unreadable),
            warnings: Vec::new(),
            method: None,
            missing_service_account: false,
            line: Some(Line {
                uid: Shown(uid).to_string(),
                namespace: String::new(),
                pod: String::new(),
                service_account: String::new(),
                notes: message.to_owned(),
            }),
        }
    }

    /// Counts and logs it.
    pub(super) fn publish(&self, metrics: &Metrics, traceparent: Option<&str>) {
        let Self { outcome, reason, .. } = *self;
        metrics.decisions.get_or_create(&DecisionLabels { outcome, reason }).inc();
        for reason in &self.warnings {
            metrics.warnings.get_or_create(&(*reason).into()).inc();
        }
        if let Some(method) = self.method {
            metrics.pods.get_or_create(&method.into()).inc();
            metrics.used.set(1);
        }
        if self.missing_service_account {
            metrics.missing_service_accounts.inc();
        }
        let Some(Line { uid, namespace, pod, service_account, notes }) = &self.line else { return };
        let traceparent = traceparent.map(|text| Shown(text).to_string()).unwrap_or_default();
        if outcome == "unchanged" && self.warnings.is_empty() {
            tracing::debug!(outcome, reason, uid, namespace, pod, service_account, traceparent, "decided");
        } else {
            tracing::info!(
                outcome,
                reason,
                uid,
                namespace,
                pod,
                service_account,
                traceparent,
                notes,
                "decided"
            );
        }
    }
}

/// Counts and logs that a decision panicked.
#[cold]
pub(super) fn panicked(metrics: &Metrics) {
    metrics.decisions.get_or_create(&DecisionLabels { outcome: "failed", reason: "panic" }).inc();
    tracing::error!(
        outcome = "failed",
        reason = "panic",
        "a decision panicked, which is a bug of this software"
    );
}

/// Outcome and reason, as labels.
fn labels(decision: &Decision<'_>) -> (&'static str, &'static str) {
    match &decision.outcome {
        Outcome::Unchanged(why) => ("unchanged", unchanged_name(*why)),
        Outcome::Changed(Plan::ServiceAccount(_), _) => ("changed", "service_account"),
        Outcome::Changed(Plan::Pod(_), _) => (
            "changed",
            decision.identity.as_ref().map_or("default", |identity| match &identity.method {
                Method::ContainerCredentials(_) => source_name(&Source::ContainerCredentials),
                Method::WebIdentity(roles) => roles
                    .general
                    .as_ref()
                    .or(roles.containers.first().map(|(_, role)| role))
                    .map_or("default", |role| source_name(&role.source)),
            }),
        ),
        Outcome::Verified { sound } => ("verified", if *sound { "sound" } else { "unsound" }),
        Outcome::Refused(refusal) => ("refused", refusal_name(refusal.reason)),
    }
}

fn unchanged_name(why: Unchanged) -> &'static str {
    match why {
        Unchanged::NotServed => "not_served",
        Unchanged::MirrorPod => "mirror_pod",
        Unchanged::SkipLabel => "skip_label",
        Unchanged::NoServiceAccount => "no_service_account",
        Unchanged::InvalidName => "invalid_name",
        Unchanged::NoIdentity => "no_identity",
        Unchanged::NoContainer => "no_container",
        Unchanged::Complete => "complete",
        Unchanged::LookupUnknown => "lookup_unknown",
        Unchanged::Checked => "checked",
    }
}

/// Who gave the identity.
fn source_name(source: &Source<'_>) -> &'static str {
    match source {
        Source::ContainerCredentials => "container_credentials",
        source => source.name(),
    }
}

fn refusal_name(reason: RefusalReason) -> &'static str {
    match reason {
        RefusalReason::Unreadable => "unreadable",
        RefusalReason::NamespaceMismatch => "namespace_mismatch",
        RefusalReason::InvalidRole => "invalid_role",
        RefusalReason::RoleNotAllowed => "role_not_allowed",
        RefusalReason::LookupUnknown => "lookup_unknown",
        RefusalReason::Unverified => "unverified",
        RefusalReason::Settings => "settings",
    }
}

fn warning_name(reason: Reason) -> &'static str {
    match reason {
        Reason::BadValue => "bad_value",
        Reason::InvalidRole => "invalid_role",
        Reason::RoleNotAllowed => "role_not_allowed",
        Reason::LookupUnknown => "lookup_unknown",
        Reason::Conflict => "conflict",
        Reason::Unverified => "unverified",
        Reason::Settings => "settings",
    }
}

/// Somebody's text, escaped and cut.
struct Shown<'a>(&'a str);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut characters = self.0.chars();
        for c in characters.by_ref().take(SHOWN) {
            match c {
                ' '..='~' => write!(f, "{c}")?,
                c => write!(f, "{}", c.escape_unicode())?,
            }
        }
        if characters.next().is_some() { f.write_str("...") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_logged_is_harmless() {
        assert_eq!(Shown("a\u{1b}[31m\n\u{202e}b").to_string(), "a\\u{1b}[31m\\u{a}\\u{202e}b");
        assert_eq!(Shown(&"x".repeat(254)).to_string(), "x".repeat(253) + "...");
    }
}
