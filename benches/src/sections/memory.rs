//! Resident memory, and the size of the programs.

use std::{fs, process::Command, thread, time::Duration};

use anyhow::{Context as _, ensure};

use crate::{
    cluster::LAST_NAMESPACE,
    context::{Context, Subject},
    process::Memory,
    results::{OURS, Record},
    symbols,
    webhook::{ApiServer, Webhook},
};

/// Of those whose symbols a program holds, the largest.
const OWNERS: usize = 8;

pub(crate) fn run(context: &mut Context, record: &mut Record) -> anyhow::Result<()> {
    for subject in context.webhooks.clone() {
        if let Err(error) = size(context, record, &subject) {
            record.fail(subject.name, &error);
        }
    }
    if context.profiled.exists() {
        record.command("nm --demangle --print-size --defined-only PROGRAM");
        match symbols::sizes(&context.profiled) {
            Ok(sizes) => {
                for (owner, size) in sizes.into_iter().take(OWNERS) {
                    record.add(&format!("size.of: {owner}"), OURS, size);
                }
            }
            Err(error) => record.fail("symbols", &error),
        }
    }
    let large = context.large_cluster()?;
    for subject in taking_turns(context) {
        eprintln!("bench: memory: {}, with many ServiceAccounts", subject.name);
        match settled(context, &subject, ApiServer::Kubeconfig(&large)) {
            Ok(Memory { resident, peak, file }) => {
                record.add("memory.settled", subject.name, resident);
                record.add("memory.settled.file", subject.name, file);
                record.add("memory.peak", subject.name, peak);
            }
            Err(error) => record.fail(subject.name, &error),
        }
    }
    context.end_clusters();
    let small = context.small_cluster()?;
    for subject in taking_turns(context) {
        eprintln!("bench: memory: {}, with hardly any", subject.name);
        match settled(context, &subject, ApiServer::Kubeconfig(&small)) {
            Ok(Memory { resident, file, .. }) => {
                record.add("memory.idle", subject.name, resident);
                record.add("memory.idle.file", subject.name, file);
            }
            Err(error) => record.fail(subject.name, &error),
        }
    }
    Ok(())
}

/// Each webhook in each round.
fn taking_turns(context: &Context) -> Vec<Subject> {
    (0..context.effort.rounds).flat_map(|_| context.webhooks.clone()).collect()
}

/// Memory some time after everything is held.
fn settled(context: &Context, subject: &Subject, api_server: ApiServer<'_>) -> anyhow::Result<Memory> {
    let [pod, ..] = &context.pods;
    let mut webhook = Webhook::start(context, subject, api_server, &[])?;
    webhook.first_right_answer(context, &pod.in_namespace(LAST_NAMESPACE)?)?;
    webhook.ready(context)?;
    thread::sleep(Duration::from_secs(context.effort.settle_seconds));
    webhook.process.memory()
}

/// Without symbols, as the Go webhook's own Dockerfile builds it; and as it is given.
fn size(context: &Context, record: &mut Record, subject: &Subject) -> anyhow::Result<()> {
    let stripped = context.work.join("stripped");
    record.command("strip -o stripped PROGRAM");
    let output = Command::new("strip").arg("-o").arg(&stripped).arg(&subject.binary).output();
    let output = output.context("cannot run `strip` (Debian and Ubuntu: apt-get install binutils)")?;
    ensure!(output.status.success(), "`strip` failed ({})", output.status);
    for (id, program) in [("size.binary", &stripped), ("size.unstripped", &subject.binary)] {
        #[allow(clippy::cast_precision_loss, reason = "programs are smaller than 2^52 bytes")]
        record.add(id, subject.name, fs::metadata(program)?.len() as f64);
    }
    fs::remove_file(stripped)?;
    Ok(())
}
