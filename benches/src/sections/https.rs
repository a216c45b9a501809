//! Webhooks under load, over HTTPS.

use crate::{
    context::Context,
    results::Record,
    webhook::{ApiServer, Webhook},
    wrk::{self, Cost, Load},
};

/// As many as an API server that is busy opens; it keeps 25 idle ones.
pub(crate) const CONNECTIONS: u32 = 8;
/// As kube-apiserver asks.
pub(crate) const MUTATE: &str = "/mutate?timeout=2s";

pub(crate) fn run(context: &mut Context, record: &mut Record) -> anyhow::Result<()> {
    let kubeconfig = context.small_cluster()?;
    let mut webhooks = start_all(context, record, ApiServer::Kubeconfig(&kubeconfig), &[]);
    for round in 0..context.effort.load_rounds {
        // Rounds with an even and with an odd number begin with another one.
        webhooks.reverse();
        for webhook in &webhooks {
            eprintln!(
                "bench: https: {}, round {} of {}",
                webhook.name,
                round + 1,
                context.effort.load_rounds
            );
            if let Err(error) = measure(context, record, webhook) {
                record.fail(webhook.name, &error);
            }
        }
    }
    Ok(())
}

/// Starts every webhook that is given, and waits until it answers. One that does not is left out.
pub(crate) fn start_all(
    context: &Context,
    record: &mut Record,
    api_server: ApiServer<'_>,
    more: &[String],
) -> Vec<Webhook> {
    let mut webhooks = Vec::new();
    for subject in &context.webhooks {
        let started = Webhook::start(context, subject, api_server, more).and_then(|mut webhook| {
            for pod in &context.pods {
                webhook.first_right_answer(context, pod)?;
            }
            webhook.ready(context)?;
            Ok(webhook)
        });
        match started {
            Ok(webhook) => webhooks.push(webhook),
            Err(error) => record.fail(subject.name, &error),
        }
    }
    webhooks
}

/// Each thing once.
fn measure(context: &Context, record: &mut Record, webhook: &Webhook) -> anyhow::Result<()> {
    let (name, seconds) = (webhook.name, context.effort.load_seconds);
    let mut cost = |load: Load<'_>, seconds: u32| {
        record.command(wrk::shown(load, seconds));
        wrk::measure(context, &webhook.process, load, seconds)
    };
    let healthz = Load { url: &webhook.url("/healthz"), body: None, connections: CONNECTIONS, close: false };
    let url = webhook.url(MUTATE);
    // Not counted.
    cost(healthz, 1)?;
    let around = cost(healthz, seconds)?.cpu;
    let around_new = cost(Load { close: true, ..healthz }, seconds)?.cpu;
    let mut measured = Vec::new();
    for pod in &context.pods {
        let load = Load { url: &url, body: Some(&pod.file), ..healthz };
        let kept = cost(load, seconds)?;
        let closed = cost(Load { close: true, ..load }, seconds)?;
        measured.push((pod.size, kept, closed));
    }
    record.add("https.healthz.cpu", name, around);
    record.add("https.healthz.new.cpu", name, around_new);
    for (size, kept, closed) in measured {
        let Cost { outcome, cpu, waiting } = kept;
        record.add(&format!("handler.alike.{size}"), name, cpu - around);
        record.add(&format!("https.cpu.{size}"), name, cpu);
        record.add(&format!("https.waiting.{size}"), name, waiting);
        record.add(&format!("https.rate.{size}"), name, outcome.requests_per_second());
        record.add(&format!("https.p50.{size}"), name, outcome.p50.as_secs_f64() * 1e6);
        record.add(&format!("https.p99.{size}"), name, outcome.p99.as_secs_f64() * 1e6);
        record.add(&format!("https.new.cpu.{size}"), name, closed.cpu);
        record.add(&format!("https.new.rate.{size}"), name, closed.outcome.requests_per_second());
    }
    Ok(())
}
