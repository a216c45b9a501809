//! With ServiceAccounts: memory, and the time until the last of them is served. Their API server is simulated.

use std::{thread, time::Duration};

use anyhow::Context as _;

use crate::{
    cluster::LAST_NAMESPACE,
    context::{Context, Subject},
    results::Record,
    simulated::{Accounts, SimulatedApiServer},
    webhook::{ApiServer, Webhook},
};

/// Until memory is taken; shorter than where it is compared with a target.
const SETTLE_LIMIT: u64 = 10;

pub(crate) fn run(context: &mut Context, record: &mut Record) -> anyhow::Result<()> {
    // Its processors and memory are needed here.
    context.end_clusters();
    let most = context.effort.accounts * 10;
    for count in [most / 1000, most / 100, most / 10, most] {
        for subject in &context.webhooks {
            eprintln!("bench: scale: {}, {count} ServiceAccounts, a tenth with a role", subject.name);
            match observe(context, subject, count, Some(10)) {
                Ok(Observed { first, ready, memory }) => {
                    let x = f64::from(u32::try_from(count)?);
                    record.point("accounts.start", subject.name, x, first.as_secs_f64());
                    if let Some(ready) = ready {
                        let line = format!("{}, everything held", subject.name);
                        record.point("accounts.start", &line, x, ready.as_secs_f64());
                    }
                    record.point("accounts.memory", subject.name, x, memory / f64::from(1 << 20));
                }
                Err(error) => record.fail(&format!("{}, {count} ServiceAccounts", subject.name), &error),
            }
        }
    }
    for subject in &context.webhooks {
        eprintln!("bench: scale: {}, {most} ServiceAccounts without a role", subject.name);
        let grown = observe(context, subject, 0, None)
            .and_then(|none| Ok(observe(context, subject, most, None)?.memory - none.memory));
        match grown {
            Ok(bytes) => record.add("accounts.bare", subject.name, bytes / f64::from(u32::try_from(most)?)),
            Err(error) => record.fail(&format!("{}, ServiceAccounts without a role", subject.name), &error),
        }
    }
    Ok(())
}

struct Observed {
    /// To the first right answer.
    first: Duration,
    /// Until everything is held, where it says so.
    ready: Option<Duration>,
    /// Resident, settled, in bytes.
    memory: f64,
}

fn observe(
    context: &Context,
    subject: &Subject,
    count: usize,
    annotate_every: Option<usize>,
) -> anyhow::Result<Observed> {
    let [pod, ..] = &context.pods;
    let pod = pod.in_namespace(LAST_NAMESPACE)?;
    let last = vec![pod.service_account.clone()];
    let server = SimulatedApiServer::start(Accounts { count, annotate_every, last })
        .context("cannot listen on 127.0.0.1")?;
    let mut webhook = Webhook::start(context, subject, ApiServer::Url(server.url()), &[])?;
    let first = webhook.first_right_answer(context, &pod)?.time;
    let ready = webhook.ready(context)?;
    thread::sleep(Duration::from_secs(context.effort.settle_seconds.min(SETTLE_LIMIT)));
    Ok(Observed { first, ready, memory: webhook.process.memory()?.resident })
}
