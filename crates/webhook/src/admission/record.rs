//! What is counted and logged of a decision.

use std::borrow::Cow;

use pod_identity_core::account::{Reason, Source};
use pod_identity_core::{Decision, Facts, Found, Method, Outcome, Plan, RefusalReason, Request, Unchanged};
use tracing::Level;

use crate::log;
use crate::metrics::{DecisionLabels, Metrics};

/// The longest name that is logged whole: longer ones are none.
const SHOWN: usize = 253;

/// What is counted and logged of a decision, once it is the one that is given.
#[derive(Debug)]
pub(super) struct Record<'r> {
    outcome: &'static str,
    reason: &'static str,
    warnings: Vec<&'static str>,
    /// How a pod was given an identity.
    method: Option<&'static str>,
    missing_service_account: bool,
    line: Option<Line<'r>>,
}

/// What a log line says of a decision, safe to show.
#[derive(Debug)]
struct Line<'r> {
    uid: Cow<'r, str>,
    namespace: Cow<'r, str>,
    pod: Cow<'r, str>,
    service_account: Cow<'r, str>,
    /// The refusal and the warnings.
    notes: String,
}

impl<'r> Record<'r> {
    pub(super) fn of(request: &'r Request<'_>, decision: &'r Decision<'_>, facts: &Facts<'_>) -> Self {
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
                uid: shown(request.uid),
                namespace: shown(request.namespace),
                pod: shown(scope.pod),
                service_account: shown(scope.service_account),
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
    pub(super) fn unreadable(uid: &'r str, message: &str) -> Self {
        Self {
            outcome: "refused",
            reason: refusal_name(RefusalReason::Unreadable),
            warnings: Vec::new(),
            method: None,
            missing_service_account: false,
            line: Some(Line {
                uid: shown(uid),
                namespace: Cow::default(),
                pod: Cow::default(),
                service_account: Cow::default(),
                notes: message.to_owned(),
            }),
        }
    }

    /// For when it can only be published once the API server was asked.
    pub(super) fn into_owned(self) -> Record<'static> {
        let owned = |text: Cow<'_, str>| Cow::Owned(text.into_owned());
        Record {
            line: self.line.map(|line| Line {
                uid: owned(line.uid),
                namespace: owned(line.namespace),
                pod: owned(line.pod),
                service_account: owned(line.service_account),
                notes: line.notes,
            }),
            ..self
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
        let [uid, namespace, pod, service_account] = [uid, namespace, pod, service_account].map(Cow::as_ref);
        let traceparent = traceparent.map(shown).unwrap_or_default();
        let traceparent = traceparent.as_ref();
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
fn shown(text: &str) -> Cow<'_, str> {
    if text.len() <= SHOWN && log::is_plain(text) {
        return text.into();
    }
    let mut characters = text.chars();
    let mut shown = String::with_capacity(text.len().min(SHOWN));
    for c in characters.by_ref().take(SHOWN) {
        match c {
            ' '..='~' => shown.push(c),
            c => shown.extend(c.escape_unicode()),
        }
    }
    shown.push_str(if characters.next().is_some() { "..." } else { "" });
    shown.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_logged_is_harmless() {
        assert_eq!(shown("a\u{1b}[31m\n\u{202e}b"), "a\\u{1b}[31m\\u{a}\\u{202e}b");
        assert_eq!(shown(&"x".repeat(254)), "x".repeat(253) + "...");
        for plain in ["api-0", "a \"b\" \\ c"] {
            assert_eq!(shown(plain), plain);
        }
    }
}
