//! The load under which a webhook that counts what it does is put (`tools/build-webhook profile`), so that the compiler
//! knows what it does most: what the https section measures, many connections, both sources of roles, and pods that
//! are left alone.

use std::{fs, path::Path};

use anyhow::Context as _;

use crate::{
    cluster::LAST_NAMESPACE,
    context::{Context, Subject},
    inputs::{self, Input},
    results::OURS,
    sections::https,
    simulated::{Accounts, SimulatedApiServer},
    webhook::{ApiServer, MUTATE, Webhook},
    wrk::{self, Load},
};

/// ServiceAccounts that the webhook has to read, and entries of its mapping.
const COUNT: usize = 1000;
/// More than get a thread of their own.
const CROWD: u32 = 64;
/// How long one load lasts.
const SECONDS: u32 = 2;

/// Puts it under load, and ends it as Kubernetes does, when it writes down what it counted.
pub(crate) fn run(context: &Context, program: &Path) -> anyhow::Result<()> {
    let pods = (context.pods.iter())
        .map(|pod| pod.in_namespace(LAST_NAMESPACE))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let last = pods.iter().map(|pod| pod.service_account.clone()).collect();
    let server = SimulatedApiServer::start(Accounts { count: COUNT, annotate_every: Some(10), last })
        .context("cannot listen on 127.0.0.1")?;
    let config = context.work.join("training.json");
    fs::write(&config, inputs::settings(COUNT, &pods).to_string())?;
    let subject = Subject { name: OURS, binary: program.to_owned() };
    for (roles, more) in
        [("ServiceAccounts", vec![]), ("a mapping", vec![format!("--config={}", config.display())])]
    {
        eprintln!("bench: training: roles from {roles}");
        let more = [more, vec!["--drain-period=0s".to_owned()]].concat();
        let mut webhook = Webhook::start(context, &subject, ApiServer::Url(server.url()), &more)?;
        for pod in &pods {
            webhook.first_right_answer(context, pod)?;
        }
        webhook.ready(context)?;
        load(context, &webhook, &pods)?;
        webhook.process.end()?;
    }
    Ok(())
}

fn load(context: &Context, webhook: &Webhook, pods: &[Input]) -> anyhow::Result<()> {
    let url = webhook.url(MUTATE);
    for pod in pods {
        let left_alone = pod.left_alone()?;
        for (pod, connections, close) in [
            (pod, https::CONNECTIONS, false),
            (pod, https::CONNECTIONS, true),
            (pod, CROWD, false),
            (&left_alone, https::CONNECTIONS, false),
        ] {
            let load = Load { url: &url, body: Some(&pod.file), connections, close };
            wrk::measure(context, &webhook.process, load, SECONDS)?;
        }
    }
    let healthz = Load { url: &webhook.url("/healthz"), body: None, connections: 1, close: true };
    wrk::measure(context, &webhook.process, healthz, 1)?;
    Ok(())
}
