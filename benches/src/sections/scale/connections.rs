//! With connections: requests per second and their time.

use crate::{
    context::Context,
    results::Record,
    sections::https::start_all,
    webhook::{ApiServer, MUTATE},
    wrk::{self, Load},
};

const CONNECTIONS: [u32; 5] = [1, 8, 25, 100, 200];

pub(crate) fn run(context: &mut Context, record: &mut Record) -> anyhow::Result<()> {
    let kubeconfig = context.small_cluster()?;
    let webhooks = start_all(context, record, ApiServer::Kubeconfig(&kubeconfig), &[]);
    let [pod, ..] = &context.pods;
    for connections in CONNECTIONS {
        eprintln!("bench: scale: {connections} connections");
        for webhook in &webhooks {
            let url = webhook.url(MUTATE);
            let load = Load { url: &url, body: Some(&pod.file), connections, close: false };
            let seconds = context.effort.seconds.min(3);
            record.command(wrk::shown(load, seconds));
            let outcome = match wrk::measure(context, &webhook.process, load, seconds) {
                Ok(cost) => cost.outcome,
                Err(error) => {
                    record.fail(webhook.name, &error);
                    continue;
                }
            };
            let (name, x) = (webhook.name, f64::from(connections));
            record.point("connections.rate", name, x, outcome.requests_per_second());
            record.point("connections.p99", name, x, outcome.p99.as_secs_f64() * 1000.0);
        }
    }
    Ok(())
}
