//! Webhooks under load, over HTTPS.

use crate::{
    context::Context,
    floor::{Floor, With},
    process::Process,
    results::{FLOOR, OURS, Record},
    webhook::{ApiServer, MUTATE, Webhook},
    wrk::{self, Cost, Load},
};

/// As many as an API server that is busy opens; it keeps 25 idle ones.
pub(crate) const CONNECTIONS: u32 = 8;

pub(crate) fn run(context: &mut Context, record: &mut Record) -> anyhow::Result<()> {
    let kubeconfig = context.small_cluster()?;
    let mut webhooks = start_all(context, record, ApiServer::Kubeconfig(&kubeconfig), &[]);
    let ours = webhooks.iter().find(|webhook| webhook.name == OURS);
    let mut floors = Vec::new();
    for with in [With::OwnThread, With::Libraries] {
        floors.extend(ours.map(|webhook| Floor::start(context, webhook, with)).transpose()?);
    }
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
        for floor in &floors {
            eprintln!("bench: https: {}", floor.name);
            let address = |size: &str| floor.url(size);
            if let Err(error) = reviews(context, record, floor.name, &floor.process, &address) {
                record.fail(floor.name, &error);
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
    // Not counted.
    cost(healthz, 1)?;
    let around = cost(healthz, seconds)?.cpu;
    let around_new = cost(Load { close: true, ..healthz }, seconds)?.cpu;
    let url = webhook.url(MUTATE);
    let cpu = reviews(context, record, name, &webhook.process, &|_| url.clone())?;
    record.add("https.healthz.cpu", name, around);
    record.add("https.healthz.new.cpu", name, around_new);
    for (size, cpu) in cpu {
        record.add(&format!("handler.alike.{size}"), name, cpu - around);
    }
    Ok(())
}

/// A review of each size, over connections that are kept and over new ones. Gives the processor time for one over
/// connections that are kept.
fn reviews(
    context: &Context,
    record: &mut Record,
    name: &str,
    server: &Process,
    url: &dyn Fn(&str) -> String,
) -> anyhow::Result<Vec<(&'static str, f64)>> {
    let seconds = context.effort.load_seconds;
    let mut cpus = Vec::new();
    for pod in &context.pods {
        let (size, url) = (pod.size, url(pod.size));
        let load = Load { url: &url, body: Some(&pod.file), connections: CONNECTIONS, close: false };
        let Cost { outcome, cpu, waiting } = wrk::measure(context, server, load, seconds)?;
        let load_new = Load { close: true, ..load };
        let new = wrk::measure(context, server, load_new, seconds)?;
        for load in [load, load_new] {
            record.command(wrk::shown(load, seconds));
        }
        record.add(&format!("https.cpu.{size}"), name, cpu);
        // Of threads that have ended nobody knows.
        if name != FLOOR {
            record.add(&format!("https.waiting.{size}"), name, waiting);
        }
        record.add(&format!("https.rate.{size}"), name, outcome.requests_per_second());
        record.add(&format!("https.p50.{size}"), name, outcome.p50.as_secs_f64() * 1e6);
        record.add(&format!("https.p99.{size}"), name, outcome.p99.as_secs_f64() * 1e6);
        record.add(&format!("https.new.cpu.{size}"), name, new.cpu);
        record.add(&format!("https.new.rate.{size}"), name, new.outcome.requests_per_second());
        cpus.push((size, cpu));
    }
    Ok(cpus)
}
