//! With entries of the mapping, in the settings and in the ConfigMap, for the policy and for webhooks.

use std::fs;

use serde_json::json;

use crate::{
    cluster::BARE_NAMESPACE,
    context::{Context, Subject},
    inputs::{self, CONFIG_MAP, CONFIG_MAP_NAMESPACE, Input},
    results::{GO, OURS, Record, SDK},
    sections::guest,
    webhook::{ApiServer, MUTATE, Webhook},
    wrk::{self, Load},
};

const ENTRIES: [u32; 4] = [10, 100, 1000, 10_000];

pub(crate) fn run(context: &mut Context, record: &mut Record) -> anyhow::Result<()> {
    let kubeconfig = context.small_cluster()?;
    for entries in ENTRIES {
        eprintln!("bench: scale: {entries} mapping entries");
        if let Err(error) = policies(context, record, entries) {
            record.fail(&format!("policies with {entries} mapping entries"), &error);
        }
        if let Err(error) = webhooks(context, record, ApiServer::Kubeconfig(&kubeconfig), entries) {
            record.fail(&format!("webhooks with {entries} mapping entries"), &error);
        }
    }
    Ok(())
}

/// The guest's time for a call.
fn policies(context: &Context, record: &mut Record, entries: u32) -> anyhow::Result<()> {
    let [pod, ..] = &context.pods;
    let count = usize::try_from(entries)?;
    let settings = guest::write(context, "settings-scale.json", &inputs::settings(count, &context.pods))?;
    let config_map = json!({"objects": [{
        "apiVersion": "v1", "kind": "ConfigMap", "data": {"config": inputs::kops_mapping(count, &context.pods)},
        "metadata": {"name": CONFIG_MAP, "namespace": CONFIG_MAP_NAMESPACE},
    }]});
    let cluster = guest::write(context, "cluster-scale.json", &config_map)?;
    let by_config_map = json!({
        "serviceAccountAnnotations": false, "mappingConfigMap": {"namespace": CONFIG_MAP_NAMESPACE},
    });
    let by_config_map = guest::write(context, "settings-config-map.json", &by_config_map)?;
    let sdk = context.peer_policy("sdk-peer.wasm");
    for (line, policy, settings, cluster) in [
        (settings_line(OURS), context.policy(), &settings, None),
        (config_map_line(OURS), context.policy(), &by_config_map, Some(cluster.as_path())),
        (settings_line(SDK), sdk, &settings, None),
    ] {
        let time = guest::bench(context, record, &policy, pod, settings, cluster, false)?.time;
        record.point("entries.guest", &line, f64::from(entries), time);
    }
    Ok(())
}

/// The server's time for a request.
fn webhooks(
    context: &Context,
    record: &mut Record,
    api_server: ApiServer<'_>,
    entries: u32,
) -> anyhow::Result<()> {
    let pods: Vec<Input> =
        context.pods.iter().map(|pod| pod.in_namespace(BARE_NAMESPACE)).collect::<Result<_, _>>()?;
    let count = usize::try_from(entries)?;
    context.small()?.set_mapping(&context.runtime, &inputs::kops_mapping(count, &pods))?;
    let config = context.work.join("config.json");
    let mapping = inputs::settings(count, &pods);
    fs::write(&config, json!({"mapping": mapping.get("mapping")}).to_string())?;
    let by_settings = [format!("--config={}", config.display())];
    let by_config_map = ["--watch-config-map".to_owned(), format!("--namespace={CONFIG_MAP_NAMESPACE}")];
    for subject in &context.webhooks {
        let mut sources = vec![(config_map_line(subject.name), by_config_map.as_slice())];
        if subject.name != GO {
            sources.push((settings_line(subject.name), by_settings.as_slice()));
        }
        for (line, flags) in sources {
            match cost(context, record, subject, api_server, flags, &pods) {
                Ok(cpu) => record.point("entries.webhook", &line, f64::from(entries), cpu),
                Err(error) => record.fail(&line, &error),
            }
        }
    }
    Ok(())
}

fn cost(
    context: &Context,
    record: &mut Record,
    subject: &Subject,
    api_server: ApiServer<'_>,
    flags: &[String],
    pods: &[Input],
) -> anyhow::Result<f64> {
    let Some(pod) = pods.first() else { return Ok(0.0) };
    let mut webhook = Webhook::start(context, subject, api_server, flags)?;
    webhook.first_right_answer(context, pod)?;
    webhook.ready(context)?;
    let url = webhook.url(MUTATE);
    let load = Load { url: &url, body: Some(&pod.file), connections: 8, close: false };
    record.command(wrk::shown(load, context.effort.seconds.min(3)));
    Ok(wrk::measure(context, &webhook.process, load, context.effort.seconds.min(3))?.cpu)
}

fn settings_line(name: &str) -> String {
    format!("{name}, settings")
}

fn config_map_line(name: &str) -> String {
    format!("{name}, ConfigMap")
}
