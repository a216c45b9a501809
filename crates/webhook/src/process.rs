//! What the operating system says of this process, under the names that Prometheus' own clients use
//! (<https://prometheus.io/docs/instrumenting/writing_clientlibs/#process-metrics>).

use std::fs;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::metrics::MetricType;

/// Ticks in a second of `/proc`, on every architecture that Linux runs on (`man 2 times`, `USER_HZ`).
const TICKS: f64 = 100.0;

/// Read when the metrics are. What cannot be read is left out.
#[derive(Debug)]
pub struct Process;

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        for (name, help, kind, value) in metrics() {
            let Some(value) = value else { continue };
            // As a gauge is written, whatever the kind: the bare name.
            encoder.encode_descriptor(name, help, None, kind)?.encode_gauge(&value)?;
        }
        Ok(())
    }
}

/// Each with its name, help text, kind and value.
fn metrics() -> [(&'static str, &'static str, MetricType, Option<f64>); 6] {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let (status, limits, stat) =
        (read("/proc/self/status"), read("/proc/self/limits"), read("/proc/self/stat"));
    // The name of the process is in brackets and may hold anything; behind it comes the third field.
    let fields: Vec<&str> =
        stat.rsplit_once(')').map_or("", |(_, fields)| fields).split_ascii_whitespace().collect();
    let ticks = |field: usize| Some(fields.get(field - 3)?.parse::<f64>().ok()? / TICKS);
    let kilobytes = |name| Some(word_after(&status, name)?.parse::<f64>().ok()? * 1024.0);
    let start = || Some(word_after(&read("/proc/stat"), "btime")?.parse::<f64>().ok()? + ticks(22)?);
    [
        (
            "process_cpu_seconds_total",
            "User and system CPU time",
            MetricType::Counter,
            ticks(14).zip(ticks(15)).map(|(user, system)| user + system),
        ),
        ("process_open_fds", "Open file descriptors", MetricType::Gauge, open_fds()),
        (
            "process_max_fds",
            "File descriptors that may be open",
            MetricType::Gauge,
            word_after(&limits, "Max open files").and_then(|limit| limit.parse().ok()),
        ),
        ("process_virtual_memory_bytes", "Virtual memory", MetricType::Gauge, kilobytes("VmSize:")),
        ("process_resident_memory_bytes", "Resident memory", MetricType::Gauge, kilobytes("VmRSS:")),
        (
            "process_start_time_seconds",
            "When the process started, since the epoch",
            MetricType::Gauge,
            start(),
        ),
    ]
}

/// The first word behind a line's beginning.
fn word_after<'t>(text: &'t str, beginning: &str) -> Option<&'t str> {
    text.lines().find_map(|line| line.strip_prefix(beginning)?.split_ascii_whitespace().next())
}

fn open_fds() -> Option<f64> {
    // One of them is the folder that is read.
    let count = fs::read_dir("/proc/self/fd").ok()?.count();
    Some(count.saturating_sub(1) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_of_the_process_is_there() {
        for (name, _, _, value) in metrics() {
            assert!(value.is_some_and(|value| value.is_finite() && value >= 0.0), "{name}: {value:?}");
        }
    }
}
