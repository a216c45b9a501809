//! `wrk`, which makes load (<https://github.com/wg/wrk>).

use std::{fs, path::Path, process::Command, time::Duration};

use anyhow::{Context as _, bail};

use crate::{
    context::Context,
    process::{Process, scheduled},
};

/// Prints what is needed in one line: wrk's own report is for people.
/// <https://github.com/wg/wrk/blob/master/SCRIPTING>
const REPORT: &str = r#"
done = function(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format("bench %d %d %d %d %d\n", summary.requests, summary.duration,
    latency:percentile(50), latency:percentile(99),
    errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
"#;

/// What to send.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load<'a> {
    pub(crate) url: &'a str,
    /// A file to POST; GET without.
    pub(crate) body: Option<&'a Path>,
    pub(crate) connections: u32,
    /// A new connection for every request.
    pub(crate) close: bool,
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Outcome {
    requests: f64,
    duration: Duration,
    pub(crate) p50: Duration,
    pub(crate) p99: Duration,
    failed: u64,
}

/// An outcome, and what it cost the server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cost {
    pub(crate) outcome: Outcome,
    /// The server's processor time for a request, in microseconds.
    pub(crate) cpu: f64,
    /// For how long its threads had to wait for a processor, for a request, in microseconds.
    pub(crate) waiting: f64,
}

impl Outcome {
    pub(crate) fn requests_per_second(&self) -> f64 {
        self.requests / self.duration.as_secs_f64()
    }
}

/// Makes load for some seconds and takes the server's processor time.
///
/// # Errors
///
/// When wrk is missing or any request failed.
pub(crate) fn measure(
    context: &Context,
    server: &Process,
    load: Load<'_>,
    seconds: u32,
) -> anyhow::Result<Cost> {
    let (before, waiting) = (server.cpu_time()?, scheduled(&server.id())?.waiting);
    let outcome = run(context, load, seconds)?;
    let used = server.cpu_time()?.saturating_sub(before);
    let waited = scheduled(&server.id())?.waiting.saturating_sub(waiting);
    let each = |time: Duration| time.as_secs_f64() * 1e6 / outcome.requests;
    Ok(Cost { outcome, cpu: each(used), waiting: each(waited) })
}

/// The command as the report shows it.
pub(crate) fn shown(load: Load<'_>, seconds: u32) -> String {
    let body = load.body.and_then(Path::file_name).map(|name| format!(" (POST {})", name.display()));
    let path = load.url.splitn(4, '/').nth(3).unwrap_or_default();
    let scheme = load.url.split(':').next().unwrap_or_default();
    let close = if load.close { " -H 'Connection: close'" } else { "" };
    let (threads, connections) = (threads(load), load.connections);
    let body = body.unwrap_or_default();
    format!("wrk -t{threads} -c{connections} -d{seconds}s{close} {scheme}://127.0.0.1:PORT/{path}{body}")
}

fn run(context: &Context, load: Load<'_>, seconds: u32) -> anyhow::Result<Outcome> {
    let script = context.work.join("load.lua");
    fs::write(&script, script_for(load))?;
    let mut command = Command::new("wrk");
    command.arg(format!("-t{}", threads(load)));
    command.arg(format!("-c{}", load.connections)).arg(format!("-d{seconds}s"));
    command.args(["--timeout", "10s", "-s"]).arg(&script);
    if load.close {
        command.args(["-H", "Connection: close"]);
    }
    let output = command
        .arg(load.url)
        .output()
        .context("cannot run `wrk` (Debian and Ubuntu: apt-get install wrk)")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let Some(outcome) = parse(&text) else {
        bail!("wrk gave no result ({}): {}", output.status, String::from_utf8_lossy(&output.stderr).trim())
    };
    if outcome.failed > 0 || outcome.requests == 0.0 {
        bail!("{} of {} requests failed: {load:?}", outcome.failed, outcome.requests);
    }
    Ok(outcome)
}

/// Two, for the two processors that load and server share.
fn threads(load: Load<'_>) -> u32 {
    load.connections.min(2)
}

fn script_for(load: Load<'_>) -> String {
    let body = load.body.map(|path| {
        format!(
            "wrk.method = \"POST\"\nwrk.headers[\"Content-Type\"] = \"application/json\"\n\
             local file = io.open([[{}]], \"rb\")\nwrk.body = file:read(\"*a\")\nfile:close()\n",
            path.display()
        )
    });
    body.unwrap_or_default() + REPORT
}

fn parse(text: &str) -> Option<Outcome> {
    let line = text.lines().find_map(|line| line.strip_prefix("bench "))?;
    let numbers: Vec<u64> = line.split(' ').map(|word| word.parse().ok()).collect::<Option<_>>()?;
    let [requests, duration, p50, p99, failed] = numbers.try_into().ok()?;
    Some(Outcome {
        requests: f64::from(u32::try_from(requests).ok()?),
        duration: Duration::from_micros(duration),
        p50: Duration::from_micros(p50),
        p99: Duration::from_micros(p99),
        failed,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_of_the_script_is_found() {
        let text = "Running 1s test @ https://127.0.0.1:1/mutate\n  2 threads and 8 connections\n\
                    Requests/sec:   8400.00\nbench 8400 1000000 950 11700 3\n";
        let outcome = Outcome {
            requests: 8400.0,
            duration: Duration::from_secs(1),
            p50: Duration::from_micros(950),
            p99: Duration::from_micros(11_700),
            failed: 3,
        };
        assert_eq!(parse(text), Some(outcome));
        assert_eq!(outcome.requests_per_second(), 8400.0);
        assert_eq!(["", "bench 1 2 3", "bench 1 2 3 4 x", "bench 1 2 3 4 5 6"].map(parse), [None; 4]);
    }

    #[test]
    fn a_command_is_shown_without_what_differs() {
        let load = Load {
            url: "https://127.0.0.1:4711/mutate?timeout=2s",
            body: Some(Path::new("inputs/pod-4kb.json")),
            connections: 8,
            close: true,
        };
        assert_eq!(
            shown(load, 4),
            "wrk -t2 -c8 -d4s -H 'Connection: close' https://127.0.0.1:PORT/mutate?timeout=2s (POST pod-4kb.json)"
        );
        let load = Load { body: None, connections: 1, close: false, url: "http://127.0.0.1:1/healthz" };
        assert_eq!(shown(load, 1), "wrk -t1 -c1 -d1s http://127.0.0.1:PORT/healthz");
    }
}
