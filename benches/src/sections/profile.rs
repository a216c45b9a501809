//! Where our webhook spends a request's processor time, by `perf`, on a build that has its symbols, and that was made
//! without a profile: in the released one nearly everything that a request needs is one function. And where the compilation of
//! our policy spends its time.

use anyhow::{Context as _, bail, ensure};

use crate::{
    context::{Context, Subject},
    inputs,
    perf::{self, compilation, parts},
    results::{OURS, Record},
    sections::{guest, https},
    webhook::{ApiServer, MUTATE, Webhook},
    wrk::{self, Cost, Load},
};

/// What is sent: the figures' name, the pod's size (none: GET /healthz), whether each request has a connection of its
/// own.
pub(crate) const LOADS: [(&str, Option<&str>, bool); 6] = [
    ("kept.4kb", Some("4kb"), false),
    ("kept.20kb", Some("20kb"), false),
    ("kept.healthz", None, false),
    ("new.4kb", Some("4kb"), true),
    ("new.20kb", Some("20kb"), true),
    ("new.healthz", None, true),
];

/// The figures' name where a module is compiled.
pub(crate) const COMPILATION: &str = "compilation";

pub(crate) fn run(context: &mut Context, record: &mut Record) -> anyhow::Result<()> {
    if !perf::is_there() {
        bail!("cannot run `perf` (Debian and Ubuntu: apt-get install linux-perf)");
    }
    eprintln!("bench: profile: {COMPILATION}");
    if let Err(error) = compile(context, record) {
        record.fail(COMPILATION, &error);
    }
    let binary = context.profiled.clone();
    ensure!(
        binary.exists(),
        "there is no `{}`: cargo build --profile profiling --package webhook",
        binary.display()
    );
    let kubeconfig = context.small_cluster()?;
    let subject = Subject { name: OURS, binary };
    let mut webhook = Webhook::start(context, &subject, ApiServer::Kubeconfig(&kubeconfig), &[])?;
    for pod in &context.pods {
        webhook.first_right_answer(context, pod)?;
    }
    webhook.ready(context)?;
    for (name, size, close) in LOADS {
        eprintln!("bench: profile: {name}");
        if let Err(error) = profile(context, record, &webhook, (name, size, close)) {
            record.fail(name, &error);
        }
    }
    Ok(())
}

fn profile(
    context: &Context,
    record: &mut Record,
    webhook: &Webhook,
    (name, size, close): (&str, Option<&str>, bool),
) -> anyhow::Result<()> {
    let body = context.pods.iter().find(|pod| Some(pod.size) == size).map(|pod| pod.file.as_path());
    let url = webhook.url(if body.is_some() { MUTATE } else { "/healthz" });
    let load = Load { url: &url, body, connections: https::CONNECTIONS, close };
    let seconds = context.effort.seconds;
    // Not counted.
    wrk::measure(context, &webhook.process, load, 1)?;
    record.command(perf::shown(seconds));
    // The load begins a little later and has to last.
    record.command(wrk::shown(load, seconds + 1));
    let (Cost { cpu, .. }, text) = perf::record(context, &webhook.process, seconds, || {
        wrk::measure(context, &webhook.process, load, seconds + 1)
    })?;
    let samples: Vec<&str> = perf::samples(&text).map(|sample| parts::part(&sample)).collect();
    add(record, name, &parts::ALL, &samples, cpu)
}

/// A process that compiles our policy, and calls it once, again and again.
fn compile(context: &Context, record: &mut Record) -> anyhow::Result<()> {
    let [pod, ..] = &context.pods;
    let settings = guest::write(context, "settings.json", &inputs::settings(0, &context.pods))?;
    let mut command = guest::command(context, "bench", &context.policy(), pod, &settings);
    command.args(["--iterations", "1"]);
    record.command(perf::shown_program(&format!(
        "policy-host bench POLICY --request pod-{}.json --settings SETTINGS --iterations 1",
        pod.size
    )));
    let mut samples = Vec::new();
    for _ in 0..context.effort.guest_rounds {
        let (output, text) = perf::record_program(context, &command)?;
        guest::report(&output).context("policy-host bench")?;
        samples.extend(perf::samples(&text).map(|sample| compilation::part(&sample)));
    }
    add(record, COMPILATION, &compilation::ALL, &samples, 100.0)
}

/// Each part's share of the samples, of a whole.
fn add(record: &mut Record, name: &str, parts: &[&str], samples: &[&str], whole: f64) -> anyhow::Result<()> {
    ensure!(!samples.is_empty(), "`perf` took no samples");
    for part in parts {
        let share = samples.iter().filter(|of| *of == part).count() as f64 / samples.len() as f64;
        record.add(&figure(name, part), OURS, share * whole);
    }
    Ok(())
}

/// The name of a figure: microseconds a request, percent where a module is compiled.
pub(crate) fn figure(load: &str, part: &str) -> String {
    format!("profile.{load}: {part}")
}
