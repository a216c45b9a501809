//! policy-server's processor time for a request, policy by policy.

pub(crate) mod start;

use std::{
    fs,
    path::Path,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use serde_json::{Value, json};

use crate::{
    context::Context,
    inputs::{self, Input},
    process::Process,
    results::{EMPTY, OURS, Record, SDK, TEMPLATE},
    sections::guest,
    webhook,
    wrk::{self, Load},
};

/// In which policy-server compiles its policies.
const START_LIMIT: Duration = Duration::from_secs(120);
const CONNECTIONS: u32 = 8;

pub(crate) fn run(context: &mut Context, record: &mut Record) -> anyhow::Result<()> {
    let Some(program) = context.policy_server.clone() else { return Ok(()) };
    let [small, medium, _] = &context.pods;
    let left_alone = small.left_alone()?;
    // What is measured, whose it is, the policy, the pod.
    let mut loads: Vec<(String, &str, &str, &Input)> = vec![
        ("policy-server.left-alone".to_owned(), OURS, "defaults", &left_alone),
        ("policy-server.left-alone".to_owned(), EMPTY, "empty", &left_alone),
        ("policy-server.no-match".to_owned(), OURS, "nothing", small),
        ("policy-server.no-match".to_owned(), EMPTY, "empty", small),
    ];
    for pod in [small, medium] {
        let id = format!("policy-server.cpu.{}", pod.size);
        loads.extend(
            [(OURS, "ours"), (SDK, "sdk-peer"), (TEMPLATE, "sdk-peer-template"), (EMPTY, "empty")]
                .map(|(name, policy)| (id.clone(), name, policy, pod)),
        );
    }
    for round in 0..context.effort.load_rounds {
        eprintln!("bench: policy-server: round {} of {}", round + 1, context.effort.load_rounds);
        // A new process, so that no figure rests on what a single one happens to be like.
        let (server, url) = start(context, record, &program)?;
        for (id, name, policy, pod) in &loads {
            let url = format!("{url}/validate/{policy}");
            let load = Load { url: &url, body: Some(&pod.file), connections: CONNECTIONS, close: false };
            record.command(wrk::shown(load, context.effort.load_seconds));
            // The first second is not counted.
            let cost = wrk::measure(context, &server, load, 1)
                .and_then(|_| wrk::measure(context, &server, load, context.effort.load_seconds));
            match cost {
                Ok(cost) => record.add(id, name, cost.cpu),
                Err(error) => record.fail(&format!("{id}, {name}"), &error),
            }
        }
    }
    Ok(())
}

/// One that has answered. Gives its address, too.
fn start(context: &Context, record: &mut Record, program: &Path) -> anyhow::Result<(Process, String)> {
    let started = Instant::now();
    record.command(shown("policies"));
    let (mut process, port) = spawn(context, program, &policies(context)?)?;
    let url = format!("http://127.0.0.1:{port}");
    let [pod, ..] = &context.pods;
    let ready = format!("{url}/validate/empty");
    let load = Load { url: &ready, body: Some(&pod.file), connections: 1, close: false };
    let pause = Duration::from_millis(200);
    wait(&mut process, started, pause, |process| wrk::measure(context, process, load, 1).is_ok())?;
    Ok((process, url))
}

/// How it is started, with a file of policies.
fn shown(policies: &str) -> String {
    format!("policy-server --policies {policies}.json --workers 1 --log-level error --port PORT")
}

/// With one worker, so that only policies differ. Gives its port, too.
fn spawn(context: &Context, program: &Path, policies: &Value) -> anyhow::Result<(Process, u16)> {
    let folder = context.work.join("policy-server");
    fs::create_dir_all(&folder)?;
    let file = folder.join("policies.json");
    fs::write(&file, policies.to_string())?;
    let [port, readiness_port] = webhook::free_ports()?;
    let mut command = Command::new(program);
    command.current_dir(&folder).arg("--policies").arg(&file);
    command.args(["--addr", "127.0.0.1", "--workers", "1", "--log-level", "error"]);
    command.arg("--ignore-kubernetes-connection-failure");
    command.args(["--port", &port.to_string(), "--readiness-probe-port", &readiness_port.to_string()]);
    Ok((Process::start(&mut command, folder.join("log"))?, port))
}

/// Until it is ready; an error when it ends before, or takes too long.
fn wait(
    process: &mut Process,
    started: Instant,
    pause: Duration,
    is_ready: impl Fn(&Process) -> bool,
) -> anyhow::Result<()> {
    while !is_ready(process) {
        process.is_running().context("policy-server")?;
        if started.elapsed() > START_LIMIT {
            bail!("policy-server does not answer after {} s", START_LIMIT.as_secs());
        }
        thread::sleep(pause);
    }
    Ok(())
}

/// The same settings for all three, so that the same payload is sent; and ours with others.
fn policies(context: &Context) -> anyhow::Result<Value> {
    let settings = inputs::settings(0, &context.pods);
    let [(_, ours), (_, sdk), (_, template), (_, empty)] = guest::policies(context);
    Ok(json!({
        "ours": policy(&ours, &settings)?,
        "sdk-peer": policy(&sdk, &settings)?,
        "sdk-peer-template": policy(&template, &settings)?,
        "empty": policy(&empty, &settings)?,
        "defaults": policy(&ours, &json!({}))?,
        "nothing": policy(&ours, &inputs::settings(0, &[]))?,
    }))
}

/// As policy-server's file of policies has it.
fn policy(path: &Path, settings: &Value) -> anyhow::Result<Value> {
    let path = fs::canonicalize(path).with_context(|| format!("cannot read `{}`", path.display()))?;
    let module = format!("file://{}", path.display());
    Ok(json!({"module": module, "allowedToMutate": true, "settings": settings}))
}
