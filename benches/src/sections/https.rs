//! Webhooks under load, over HTTPS.

use std::collections::BTreeMap;

use crate::{
    context::Context,
    floor::{Floor, Source, With},
    inputs::Input,
    process::Process,
    results::{FLOOR, FLOOR_WITH_HANDLER, OURS, Record},
    webhook::{ApiServer, MUTATE, Webhook},
    wrk::{self, Cost, Load},
};

/// As many as an API server that is busy opens; it keeps 25 idle ones.
pub(crate) const CONNECTIONS: u32 = 8;

pub(crate) fn run(context: &mut Context, record: &mut Record) -> anyhow::Result<()> {
    let kubeconfig = context.small_cluster()?;
    let webhooks = start_all(context, record, ApiServer::Kubeconfig(&kubeconfig), &[]);
    let ours = webhooks.iter().find(|webhook| webhook.name == OURS);
    let mut floors = Vec::new();
    for (with, source) in [With::OwnThread, With::Libraries]
        .into_iter()
        .flat_map(|with| [(with, Source::Files), (with, Source::Handler)])
    {
        floors.extend(ours.map(|webhook| Floor::start(context, webhook, with, source)).transpose()?);
    }
    let mut sides: Vec<Side<'_>> =
        webhooks.iter().map(Side::Webhook).chain(floors.iter().map(Side::Floor)).collect();
    for round in 0..context.effort.load_rounds {
        eprintln!("bench: https: round {} of {}", round + 1, context.effort.load_rounds);
        // Rounds with an even and with an odd number begin with another one.
        sides.reverse();
        // What `GET /healthz` takes over connections that are kept.
        let mut around = BTreeMap::new();
        // The sides take turns with each load, so that what is compared is some seconds apart.
        for (pod, close) in [None]
            .into_iter()
            .chain(context.pods.iter().map(Some))
            .flat_map(|pod| [(pod, false), (pod, true)])
        {
            for side in &sides {
                let Some(url) = side.url(pod) else { continue };
                let cpu = match measure(context, record, side, &url, pod, close) {
                    Ok(cpu) => cpu,
                    Err(error) => {
                        record.fail(side.name(), &error);
                        continue;
                    }
                };
                match (pod, close) {
                    (None, false) => drop(around.insert(side.name(), cpu)),
                    (Some(Input { size, .. }), false) if let Some(around) = around.get(side.name()) => {
                        record.add(&format!("handler.alike.{size}"), side.name(), cpu - around);
                    }
                    _ => {}
                }
            }
        }
    }
    Ok(())
}

/// What is measured.
enum Side<'s> {
    Webhook(&'s Webhook),
    Floor(&'s Floor),
}

impl Side<'_> {
    fn name(&self) -> &'static str {
        match self {
            Self::Webhook(webhook) => webhook.name,
            Self::Floor(floor) => floor.name,
        }
    }

    fn process(&self) -> &Process {
        match self {
            Self::Webhook(webhook) => &webhook.process,
            Self::Floor(floor) => &floor.process,
        }
    }

    /// Where it takes a pod, or `GET /healthz`, which only webhooks do.
    fn url(&self, pod: Option<&Input>) -> Option<String> {
        match (self, pod) {
            (Self::Webhook(webhook), Some(_)) => Some(webhook.url(MUTATE)),
            (Self::Webhook(webhook), None) => Some(webhook.url("/healthz")),
            (Self::Floor(floor), Some(pod)) => Some(floor.url(pod.size)),
            (Self::Floor(_), None) => None,
        }
    }
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

/// One load on one side: reviews of a pod or `GET /healthz`, over connections that are kept or over new ones. Gives the
/// processor time of a request.
fn measure(
    context: &Context,
    record: &mut Record,
    side: &Side<'_>,
    url: &str,
    pod: Option<&Input>,
    close: bool,
) -> anyhow::Result<f64> {
    let (name, seconds) = (side.name(), context.effort.load_seconds);
    let body = pod.map(|pod| pod.file.as_path());
    let load = Load { url, body, connections: CONNECTIONS, close };
    record.command(wrk::shown(load, seconds));
    let Cost { outcome, cpu, waiting } = wrk::measure(context, side.process(), load, seconds)?;
    match (pod.map(|pod| pod.size), close) {
        (None, false) => record.add("https.healthz.cpu", name, cpu),
        (None, true) => record.add("https.healthz.new.cpu", name, cpu),
        (Some(size), false) => {
            record.add(&format!("https.cpu.{size}"), name, cpu);
            // Of threads that have ended nobody knows.
            if ![FLOOR, FLOOR_WITH_HANDLER].contains(&name) {
                record.add(&format!("https.waiting.{size}"), name, waiting);
            }
            record.add(&format!("https.rate.{size}"), name, outcome.requests_per_second());
            record.add(&format!("https.p50.{size}"), name, outcome.p50.as_secs_f64() * 1e6);
            record.add(&format!("https.p99.{size}"), name, outcome.p99.as_secs_f64() * 1e6);
        }
        (Some(size), true) => {
            record.add(&format!("https.new.cpu.{size}"), name, cpu);
            record.add(&format!("https.new.rate.{size}"), name, outcome.requests_per_second());
        }
    }
    Ok(cpu)
}
