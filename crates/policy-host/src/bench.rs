//! How long the guest takes.

use std::{fmt::Write as _, time::Duration};

use policy_host::{Cluster, Error, PolicyHost};
use serde_json::{Value, json};

use crate::show::in_microseconds;

/// Times of many calls with the same payload.
pub(crate) struct Report {
    compile_time: Duration,
    payload: usize,
    memory: usize,
    /// Why the guest did not answer, in case somebody measures failures.
    failure: Option<String>,
    /// Sorted.
    times: Vec<Duration>,
}

impl Report {
    /// A tenth of the iterations is run beforehand and not counted.
    pub(crate) fn measure(
        host: &PolicyHost,
        payload: &[u8],
        cluster: &Cluster,
        iterations: u32,
    ) -> Result<Self, Error> {
        for _ in 0..iterations / 10 {
            host.call("validate", payload, cluster)?;
        }
        let mut memory = 0;
        let mut failure = None;
        let mut times = Vec::new();
        for _ in 0..iterations {
            let answer = host.call("validate", payload, cluster)?;
            memory = answer.memory;
            failure = answer.outcome.err().map(|failure| failure.to_string());
            times.push(answer.time);
        }
        times.sort_unstable();
        Ok(Self { compile_time: host.compile_time(), payload: payload.len(), memory, failure, times })
    }

    fn quantile(&self, percent: usize) -> Duration {
        let last = self.times.len().saturating_sub(1);
        self.times.get(last * percent / 100).copied().unwrap_or_default()
    }

    pub(crate) fn to_json(&self, fuel: Option<u64>) -> Value {
        json!({
            "compileMicroseconds": in_microseconds(self.compile_time),
            "failure": self.failure,
            "fuel": fuel,
            "iterations": self.times.len(),
            "memoryBytes": self.memory,
            "microseconds": {
                "min": in_microseconds(self.quantile(0)),
                "p50": in_microseconds(self.quantile(50)),
                "p90": in_microseconds(self.quantile(90)),
                "p99": in_microseconds(self.quantile(99)),
                "max": in_microseconds(self.quantile(100)),
            },
            "payloadBytes": self.payload,
        })
    }

    pub(crate) fn to_text(&self, fuel: Option<u64>) -> String {
        let mut text = format!(
            "payload      {} bytes\ncompilation  {:.1} µs\nmemory       {} bytes\n",
            self.payload,
            in_microseconds(self.compile_time),
            self.memory
        );
        if let Some(failure) = &self.failure {
            let _ = writeln!(text, "failure      {failure}");
        }
        if let Some(fuel) = fuel {
            let _ = writeln!(text, "fuel         {fuel}");
        }
        let _ = write!(text, "{} calls, each in a new instance", self.times.len());
        for (name, percent) in [("min", 0), ("p50", 50), ("p90", 90), ("p99", 99), ("max", 100)] {
            let _ = write!(text, "\n  {name}  {:9.1} µs", in_microseconds(self.quantile(percent)));
        }
        text
    }
}
