//! What is counted, and how Prometheus reads it.
//!
//! Labels come from closed sets: nothing that somebody can write into a pod or a request becomes one.

use std::sync::Arc;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

mod counter;
pub use counter::Counter;

/// How the text is to be announced
/// (<https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format>).
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Bounds of the latency histogram: from what a request takes to what the API server waits.
const SECONDS: [f64; 13] =
    [0.000_01, 0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.0025, 0.01, 0.05, 0.25, 1.0, 2.0];

/// Labels of requests, with the Go webhook's names.
#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
pub struct RequestLabels {
    /// The method, or `other`.
    pub verb: &'static str,
    /// The path, or `other`.
    pub path: &'static str,
    /// The status.
    pub code: u16,
}

/// One label of a closed set, `kind`.
macro_rules! label {
    ($(#[$doc:meta])* $name:ident, $field:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
        pub struct $name {
            /// One of a closed set.
            pub $field: &'static str,
        }

        impl From<&'static str> for $name {
            fn from($field: &'static str) -> Self {
                Self { $field }
            }
        }
    };
}

label!(
    /// `container_credentials` or `sts_web_identity`.
    Method, method
);
label!(
    /// Why: see where it is counted.
    Reason, reason
);
label!(
    /// Which path.
    Path, path
);
label!(
    /// How it ended.
    Outcome, outcome
);
label!(
    /// Of which kind.
    Kind, kind
);
label!(
    /// Where it comes from.
    Source, source
);

/// Labels of decisions.
#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
pub struct DecisionLabels {
    /// `changed`, `unchanged`, `verified`, `refused` or `failed`.
    pub outcome: &'static str,
    /// Why, from a closed set.
    pub reason: &'static str,
}

/// Everything that is counted.
#[derive(Clone, Debug, Default)]
pub struct Metrics(Arc<Families>);

impl std::ops::Deref for Metrics {
    type Target = Families;

    fn deref(&self) -> &Families {
        &self.0
    }
}

/// The families.
#[derive(Debug)]
#[allow(missing_docs, reason = "the help texts in `registry` say it")]
pub struct Families {
    pub http_requests: Family<RequestLabels, Counter>,
    pub pods: Family<Method, Counter>,
    pub missing_service_accounts: Counter,
    pub used: Gauge,
    pub decisions: Family<DecisionLabels, Counter>,
    pub warnings: Family<Reason, Counter>,
    pub request_seconds: Family<Path, Histogram, fn() -> Histogram>,
    pub connections: Gauge,
    pub refused_connections: Family<Reason, Counter>,
    pub handshake_errors: Counter,
    pub body_bytes: Gauge,
    pub service_accounts: Family<Kind, Gauge>,
    pub watch_heard: Family<Kind, Gauge<f64, std::sync::atomic::AtomicU64>>,
    pub watch_errors: Family<Kind, Counter>,
    pub undecodable_objects: Family<Kind, Counter>,
    pub live_reads: Family<Outcome, Counter>,
    pub config_map_entries: Gauge,
    pub configuration_problems: Family<Source, Gauge>,
    pub reloads: Family<Source, Counter>,
    pub certificate_expiry: Family<Kind, Gauge>,
    pub registration_writes: Counter,
}

impl Default for Families {
    fn default() -> Self {
        Self {
            http_requests: Family::default(),
            pods: Family::default(),
            missing_service_accounts: Counter::default(),
            used: Gauge::default(),
            decisions: Family::default(),
            warnings: Family::default(),
            request_seconds: Family::new_with_constructor(|| Histogram::new(SECONDS)),
            connections: Gauge::default(),
            refused_connections: Family::default(),
            handshake_errors: Counter::default(),
            body_bytes: Gauge::default(),
            service_accounts: Family::default(),
            watch_heard: Family::default(),
            watch_errors: Family::default(),
            undecodable_objects: Family::default(),
            live_reads: Family::default(),
            config_map_entries: Gauge::default(),
            configuration_problems: Family::default(),
            reloads: Family::default(),
            certificate_expiry: Family::default(),
            registration_writes: Counter::default(),
        }
    }
}

/// Series that alerts look at, and that a healthy webhook never counts.
const DECISIONS: [(&str, &str); 3] =
    [("failed", "panic"), ("unchanged", "lookup_unknown"), ("refused", "lookup_unknown")];
const WATCHED: [&str; 2] = ["service_account", "config_map"];
const TOO_MUCH: [&str; 4] = ["connections", "gave_way", "slow", "bodies"];
const FRUITLESS: [&str; 7] =
    ["forbidden", "unauthorized", "timed_out", "unreachable", "unreadable", "refused", "limited"];

impl Metrics {
    /// Begins to count at zero what alerts look at: a series that appears with its first event has not increased
    /// (<https://prometheus.io/docs/practices/instrumentation/#avoid-missing-metrics>).
    pub fn begin_at_zero(&self) {
        for (outcome, reason) in DECISIONS {
            drop(self.decisions.get_or_create(&DecisionLabels { outcome, reason }));
        }
        drop(self.warnings.get_or_create(&"lookup_unknown".into()));
        for kind in WATCHED {
            drop(self.watch_errors.get_or_create(&kind.into()));
            drop(self.undecodable_objects.get_or_create(&kind.into()));
        }
        for reason in TOO_MUCH {
            drop(self.refused_connections.get_or_create(&reason.into()));
        }
        for outcome in FRUITLESS {
            drop(self.live_reads.get_or_create(&outcome.into()));
        }
    }

    /// All of them under their names, to be encoded.
    #[must_use]
    pub fn registry(&self) -> Registry {
        let mut registry = Registry::default();
        let r = &mut registry;
        // The Go webhook's names (https://github.com/aws/amazon-eks-pod-identity-webhook/blob/master/pkg/handler/middleware.go).
        r.register(
            "http_request_count",
            "HTTP requests by method, path and status",
            self.http_requests.clone(),
        );
        r.register(
            "pod_identity_webhook_pod_count",
            "Pods that were given an identity, by method",
            self.pods.clone(),
        );
        r.register(
            "pod_identity_webhook_missing_sa_count",
            "Pods whose ServiceAccount was not there",
            self.missing_service_accounts.clone(),
        );
        r.register("pod_identity_webhook_used", "1 once a pod was given an identity", self.used.clone());
        let r = registry.sub_registry_with_prefix("pod_identity_webhook");
        r.register("decisions_total", "Decisions by outcome and reason", self.decisions.clone());
        r.register("warnings_total", "Warnings that were given, by reason", self.warnings.clone());
        r.register_with_unit(
            "request_duration",
            "Time from the last byte of a request to the first of its answer, by path",
            Unit::Seconds,
            self.request_seconds.clone(),
        );
        r.register("connections", "Connections that are open", self.connections.clone());
        r.register(
            "refused_total",
            "Connections and requests that were refused because there was too much at once, by reason",
            self.refused_connections.clone(),
        );
        r.register(
            "handshake_errors_total",
            "TLS handshakes that failed by what was said in them",
            self.handshake_errors.clone(),
        );
        r.register_with_unit(
            "body",
            "Bytes of request bodies, and of answers that were not sent yet, that are held",
            Unit::Bytes,
            self.body_bytes.clone(),
        );
        r.register(
            "service_accounts",
            "ServiceAccounts that are held, with and without annotations that count",
            self.service_accounts.clone(),
        );
        r.register_with_unit(
            "watch_heard_timestamp",
            "When a watch last said something, since the epoch",
            Unit::Seconds,
            self.watch_heard.clone(),
        );
        r.register("watch_errors_total", "Errors of lists and watches", self.watch_errors.clone());
        r.register(
            "undecodable_objects_total",
            "Objects in lists and watches that could not be read and were skipped",
            self.undecodable_objects.clone(),
        );
        r.register(
            "live_reads_total",
            "ServiceAccounts read because what was held did not answer, by how that ended",
            self.live_reads.clone(),
        );
        r.register(
            "config_map_entries",
            "Entries in the mapping's ConfigMap",
            self.config_map_entries.clone(),
        );
        r.register(
            "configuration_problems",
            "Problems in what was last read, by source; the last good state is used",
            self.configuration_problems.clone(),
        );
        r.register("reloads_total", "Changes that were taken over, by source", self.reloads.clone());
        r.register_with_unit(
            "certificate_expiry_timestamp",
            "When a certificate expires, since the epoch",
            Unit::Seconds,
            self.certificate_expiry.clone(),
        );
        r.register(
            "registration_writes_total",
            "Writes to the webhook configurations and to the Secret",
            self.registration_writes.clone(),
        );
        registry
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::text::encode;

    use super::*;

    #[test]
    fn what_alerts_look_at_is_there_from_the_start() {
        let metrics = Metrics::default();
        metrics.begin_at_zero();
        let mut text = String::new();
        encode(&mut text, &metrics.registry()).unwrap();
        let mut series: Vec<&str> = text.lines().filter(|line| line.contains('{')).collect();
        series.sort_unstable();
        assert_eq!(
            series,
            [
                r#"pod_identity_webhook_decisions_total{outcome="failed",reason="panic"} 0"#,
                r#"pod_identity_webhook_decisions_total{outcome="refused",reason="lookup_unknown"} 0"#,
                r#"pod_identity_webhook_decisions_total{outcome="unchanged",reason="lookup_unknown"} 0"#,
                r#"pod_identity_webhook_live_reads_total{outcome="forbidden"} 0"#,
                r#"pod_identity_webhook_live_reads_total{outcome="limited"} 0"#,
                r#"pod_identity_webhook_live_reads_total{outcome="refused"} 0"#,
                r#"pod_identity_webhook_live_reads_total{outcome="timed_out"} 0"#,
                r#"pod_identity_webhook_live_reads_total{outcome="unauthorized"} 0"#,
                r#"pod_identity_webhook_live_reads_total{outcome="unreachable"} 0"#,
                r#"pod_identity_webhook_live_reads_total{outcome="unreadable"} 0"#,
                r#"pod_identity_webhook_refused_total{reason="bodies"} 0"#,
                r#"pod_identity_webhook_refused_total{reason="connections"} 0"#,
                r#"pod_identity_webhook_refused_total{reason="gave_way"} 0"#,
                r#"pod_identity_webhook_refused_total{reason="slow"} 0"#,
                r#"pod_identity_webhook_undecodable_objects_total{kind="config_map"} 0"#,
                r#"pod_identity_webhook_undecodable_objects_total{kind="service_account"} 0"#,
                r#"pod_identity_webhook_warnings_total{reason="lookup_unknown"} 0"#,
                r#"pod_identity_webhook_watch_errors_total{kind="config_map"} 0"#,
                r#"pod_identity_webhook_watch_errors_total{kind="service_account"} 0"#,
            ]
        );
    }
}
