//! `/healthz`, `/readyz`, `/metrics`: for the kubelet and for Prometheus.

use hyper::StatusCode;
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;

use crate::metrics::Metrics;
use crate::process::Process;
use crate::readiness::Readiness;
use crate::shutdown::{Phase, Phases};

/// How the webhook is. Cheap to make.
#[derive(Debug)]
pub struct Health {
    readiness: Readiness,
    phases: Phases,
    registry: Registry,
}

impl Health {
    /// What these three say. `phases` may end readiness before anything else does.
    #[must_use]
    pub fn new(readiness: Readiness, phases: Phases, metrics: &Metrics) -> Self {
        let mut registry = metrics.registry();
        registry.register_collector(Box::new(Process));
        Self { readiness, phases, registry }
    }

    /// Whether requests are answered as they should be; otherwise what is missing.
    pub(crate) fn readyz(&self) -> (StatusCode, String) {
        if self.phases.now() > Phase::Serving {
            return (StatusCode::SERVICE_UNAVAILABLE, "not ready: shutting down\n".to_owned());
        }
        let missing = self.readiness.missing();
        if missing.is_empty() {
            return (StatusCode::OK, "ok\n".to_owned());
        }
        (StatusCode::SERVICE_UNAVAILABLE, format!("not ready, still missing: {}\n", missing.join(", ")))
    }

    /// All metrics as text.
    pub(crate) fn metrics(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::with_capacity(16 << 10);
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}
