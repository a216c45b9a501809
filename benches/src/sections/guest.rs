//! Guests in Wasmtime, by `policy-host bench`: a new instance for every call and epoch interruption on, as in
//! policy-server.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use anyhow::{Context as _, bail, ensure};
use serde_json::{Value, json};

use crate::{
    context::Context,
    inputs::{self, Input},
    results::{EMPTY, OURS, Record, SDK, TEMPLATE},
    sections::parts,
};

/// Mapping entries where there are many.
const MANY: usize = 10_000;

/// What `policy-host bench` says of one policy with one request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bench {
    /// Instantiation, initialization and call, the median, in microseconds.
    pub(crate) time: f64,
    /// Of the module, in milliseconds.
    compile: f64,
    memory: f64,
    payload: f64,
    /// The same in every run, so the first round alone counts it.
    fuel: Option<f64>,
}

pub(crate) fn run(context: &mut Context, record: &mut Record) -> anyhow::Result<()> {
    let policies = policies(context);
    for (name, path) in &policies {
        let size = fs::metadata(path).with_context(|| format!("cannot read `{}`", path.display()))?.len();
        record.add("guest.module", name, f64::from(u32::try_from(size)?));
    }
    if let Err(error) = parts::run(context, record) {
        record.fail("parts", &error);
    }
    let settings = write(context, "settings.json", &inputs::settings(0, &context.pods))?;
    if let Err(error) = check_patches(context, &settings) {
        record.fail("patches", &error);
    }
    for round in 0..context.effort.guest_rounds {
        eprintln!("bench: guest: round {} of {}", round + 1, context.effort.guest_rounds);
        for pod in &context.pods {
            measure(context, record, &policies, pod, &settings, round == 0)?;
        }
        unchanged(context, record)?;
        many_entries(context, record, &settings)?;
    }
    Ok(())
}

/// Ours and what it is compared with.
pub(crate) fn policies(context: &Context) -> [(&'static str, PathBuf); 4] {
    [
        (OURS, context.policy()),
        (SDK, context.peer_policy("sdk-peer.wasm")),
        (TEMPLATE, context.peer_policy("sdk-peer-template.wasm")),
        (EMPTY, context.peer_policy("empty.wasm")),
    ]
}

/// Writes a document into the folder of the run.
pub(crate) fn write(context: &Context, name: &str, document: &Value) -> anyhow::Result<PathBuf> {
    let path = context.work.join(name);
    fs::write(&path, document.to_string()).with_context(|| format!("cannot write `{}`", path.display()))?;
    Ok(path)
}

/// Measures one policy; the cluster is what it finds when it asks.
pub(crate) fn bench(
    context: &Context,
    record: &mut Record,
    policy: &Path,
    pod: &Input,
    settings: &Path,
    cluster: Option<&Path>,
    fuel: bool,
) -> anyhow::Result<Bench> {
    let calls = context.effort.calls / if pod.size == "200kb" { 5 } else { 1 };
    record.command(format!(
        "policy-host bench POLICY --request pod-{}.json --settings SETTINGS --iterations {calls}{}",
        pod.size,
        if fuel { " --fuel" } else { "" }
    ));
    let calls = calls.to_string();
    let mut more = vec!["--iterations", &calls];
    if fuel {
        more.push("--fuel");
    }
    let report = policy_host(context, "bench", policy, pod, settings, cluster, &more)?;
    let number = |pointer: &str| {
        report
            .pointer(pointer)
            .and_then(Value::as_f64)
            .with_context(|| format!("policy-host gave no `{pointer}`"))
    };
    Ok(Bench {
        time: number("/microseconds/p50")?,
        compile: number("/compileMicroseconds")? / 1000.0,
        memory: number("/memoryBytes")?,
        payload: number("/payloadBytes")?,
        fuel: number("/fuel").ok(),
    })
}

/// Every policy with one pod that gets a role, in turn.
fn measure(
    context: &Context,
    record: &mut Record,
    policies: &[(&'static str, PathBuf)],
    pod: &Input,
    settings: &Path,
    fuel: bool,
) -> anyhow::Result<()> {
    let mut empty = 0.0;
    // The empty one comes first: the others' shares are what they need more.
    for (name, policy) in policies.iter().rev() {
        let bench = bench(context, record, policy, pod, settings, None, fuel)?;
        record.add(&format!("guest.time.{}", pod.size), name, bench.time);
        if let Some(fuel) = bench.fuel {
            record.add(&format!("guest.fuel.{}", pod.size), name, fuel);
        }
        record.add(&format!("guest.memory.{}", pod.size), name, bench.memory);
        record.add("guest.compile", name, bench.compile);
        match *name {
            EMPTY => empty = bench.time,
            _ => record.add(&format!("guest.share.{}", pod.size), name, bench.time - empty),
        }
    }
    Ok(())
}

/// A pod that is excused, with the default settings, and one for which the mapping holds nothing.
fn unchanged(context: &Context, record: &mut Record) -> anyhow::Result<()> {
    let [pod, ..] = &context.pods;
    let left_alone = pod.left_alone()?;
    let defaults = write(context, "settings-defaults.json", &json!({}))?;
    let nothing = write(context, "settings-nothing.json", &inputs::settings(0, &[]))?;
    for (id, pod, settings) in
        [("guest.left-alone", &left_alone, &defaults), ("guest.no-match", pod, &nothing)]
    {
        for (name, policy) in [(EMPTY, context.peer_policy("empty.wasm")), (OURS, context.policy())] {
            let time = bench(context, record, &policy, pod, settings, None, false)?.time;
            record.add(id, name, time);
        }
        let report = policy_host(context, "run", &context.policy(), pod, settings, None, &[])?;
        ensure!(report.get("patch").is_none_or(Value::is_null), "{id}: expected no patch");
        let calls = report.get("hostCalls").and_then(Value::as_array).map_or(0, Vec::len);
        record.add("guest.calls", OURS, f64::from(u32::try_from(calls)?));
    }
    Ok(())
}

/// What the guest needs for a long mapping, less the empty policy with the same settings.
fn many_entries(context: &Context, record: &mut Record, few: &Path) -> anyhow::Result<()> {
    let [pod, ..] = &context.pods;
    let many = write(context, "settings-many.json", &inputs::settings(MANY, &context.pods))?;
    let empty_policy = context.peer_policy("empty.wasm");
    let empty = bench(context, record, &empty_policy, pod, &many, None, false)?;
    let ours = bench(context, record, &context.policy(), pod, &many, None, false)?;
    let with_few = bench(context, record, &context.policy(), pod, few, None, false)?;
    record.add("guest.entries.share", OURS, (ours.time - empty.time) / 1000.0);
    let grown = (ours.memory - with_few.memory) - (ours.payload - with_few.payload);
    record.add("guest.entries.memory", OURS, grown);
    let sdk = bench(context, record, &context.peer_policy("sdk-peer.wasm"), pod, &many, None, false)?;
    record.add("guest.entries.share", SDK, (sdk.time - empty.time) / 1000.0);
    Ok(())
}

/// Ours and the SDK-built one have to do the same, or the comparison says nothing.
fn check_patches(context: &Context, settings: &Path) -> anyhow::Result<()> {
    for pod in &context.pods {
        let mut patches = Vec::new();
        for policy in [context.policy(), context.peer_policy("sdk-peer.wasm")] {
            let report = policy_host(context, "run", &policy, pod, settings, None, &[])?;
            let operations = report.get("patch").and_then(Value::as_array).cloned().unwrap_or_default();
            patches.push(operations.iter().map(Value::to_string).collect::<BTreeSet<_>>());
        }
        let [ours, sdk] = patches.as_slice() else { bail!("expected two patches") };
        ensure!(!ours.is_empty() && ours == sdk, "{}: the policies' patches differ", pod.size);
    }
    Ok(())
}

fn policy_host(
    context: &Context,
    subcommand: &str,
    policy: &Path,
    pod: &Input,
    settings: &Path,
    cluster: Option<&Path>,
    more: &[&str],
) -> anyhow::Result<Value> {
    let mut command = command(context, subcommand, policy, pod, settings);
    if let Some(cluster) = cluster {
        command.arg("--cluster").arg(cluster);
    }
    let output = command.args(more).output().with_context(|| {
        format!(
            "cannot run `{}`: cargo build --profile profiling --package policy-host",
            context.policy_host.display()
        )
    })?;
    report(&output).with_context(|| {
        format!("policy-host {subcommand} {}", policy.file_name().unwrap_or_default().display())
    })
}

/// What `policy-host` has printed.
pub(crate) fn report(output: &Output) -> anyhow::Result<Value> {
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr).trim());
    let report: Value = serde_json::from_slice(&output.stdout).context("cannot read its report")?;
    match report.get("failure").and_then(Value::as_str) {
        Some(failure) => bail!("the guest did not answer: {failure}"),
        None => Ok(report),
    }
}

/// `policy-host`, as it prints a report.
pub(crate) fn command(
    context: &Context,
    subcommand: &str,
    policy: &Path,
    pod: &Input,
    settings: &Path,
) -> Command {
    let mut command = Command::new(&context.policy_host);
    command.args([subcommand, "--output", "json"]).arg(policy);
    command.arg("--request").arg(&pod.file).arg("--settings").arg(settings);
    command
}
