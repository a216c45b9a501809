//! Metrics by labels.

use std::fmt;
use std::sync::{Arc, OnceLock};

use prometheus_client::encoding::{EncodeLabelSet, EncodeMetric, MetricEncoder};
use prometheus_client::metrics::{MetricType, TypedMetric};

/// A metric for each set of labels from a closed set: dozens at most. They are looked through in the order in which they
/// came, without a lock, for each review counts, and on every processor.
#[derive(Debug)]
pub struct Family<L, M>(Arc<Series<L, M>>);

/// The first of the series that are left, if there is one.
type Series<L, M> = OnceLock<Box<Entry<L, M>>>;

#[derive(Debug)]
struct Entry<L, M> {
    labels: L,
    metric: M,
    next: Series<L, M>,
}

impl<L: Clone + PartialEq, M: Default> Family<L, M> {
    /// The metric with these labels. It begins at zero.
    pub fn get_or_create(&self, labels: &L) -> &M {
        let mut series = &*self.0;
        loop {
            let first =
                || Box::new(Entry { labels: labels.clone(), metric: M::default(), next: OnceLock::new() });
            // Another thread may have been faster, with these labels or with others.
            let entry = series.get_or_init(first);
            if entry.labels == *labels {
                return &entry.metric;
            }
            series = &entry.next;
        }
    }
}

// Not derived: nothing is asked of labels and metrics.
impl<L, M> Default for Family<L, M> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<L, M> Clone for Family<L, M> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<L, M: TypedMetric> TypedMetric for Family<L, M> {
    const TYPE: MetricType = M::TYPE;
}

impl<L: EncodeLabelSet, M: EncodeMetric + TypedMetric> EncodeMetric for Family<L, M> {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> Result<(), fmt::Error> {
        let mut series = &*self.0;
        while let Some(entry) = series.get() {
            entry.metric.encode(encoder.encode_family(&entry.labels)?)?;
            series = &entry.next;
        }
        Ok(())
    }

    fn metric_type(&self) -> MetricType {
        M::TYPE
    }

    fn is_empty(&self) -> bool {
        self.0.get().is_none()
    }
}
