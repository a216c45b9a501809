//! Every case of the corpus through the webhook: bytes in, bytes out, once without a network and once over TLS.
//!
//! What differs from the policy, and may, is with [`Host::Webhook`].

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that panics has failed, which is what it is for"
)]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use corpus::{Answer, Case, Host};
use http_body_util::BodyExt as _;
use hyper::Response;
use serde::Deserialize;
use serde_json::{Value, json};
use webhook::configuration::Configuration;
use webhook::facts::ConfigMapKey;
use webhook::router::Holder;
use webhook::server::Limits;

use serving::{Answered, Webhook, api_server, post};

mod serving;

#[test]
fn the_router_answers_as_expected() {
    assert_no_differences(|case| answer(case, false));
}

#[test]
fn the_server_answers_as_expected() {
    assert_no_differences(|case| answer(case, true));
}

fn assert_no_differences(answer: impl FnMut(&Case) -> Answer) {
    let cases = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/cases"));
    let differences = corpus::differences(cases, Host::Webhook, answer).unwrap();
    assert!(differences.is_empty(), "{} cases differ\n\n{}", differences.len(), differences.join("\n"));
}

fn answer(case: &Case, over_tls: bool) -> Answer {
    if let Err(problems) = Configuration::read(case.settings.clone()) {
        return Answer { settings_message: Some(problems.message()), ..Answer::default() };
    }
    let Some(review) = &case.review else { return Answer::default() };
    // A case that only checks is one for `/validate`, where it has to make no difference what the settings say.
    let settings: Value = serde_json::from_str(&case.settings).unwrap();
    let (path, settings) = if settings["mode"] == "verify" {
        let mut settings = settings;
        settings["mode"] = "mutate".into();
        ("/validate", settings.to_string())
    } else {
        ("/mutate", case.settings.clone())
    };
    let body = review.to_string();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (answered, asked) = runtime.block_on(async {
        let (client, asked) = cluster(case);
        let webhook = Webhook::new(&settings, client);
        hold_config_map(&webhook, &asked).await;
        if over_tls {
            let served = webhook.serve(Limits::ADMISSION).await;
            let mut client = served.client().await;
            let first = client.send(post(path, body.clone())).await.unwrap();
            let lookups = asked.lock().unwrap().clone();
            let second = client.send(post(path, body)).await.unwrap();
            assert_eq!(first.body(), second.body(), "{}: the same connection answers otherwise", case.name);
            assert_eq!(served.metrics.connections.get(), 1, "{}", case.name);
            served.stop().await;
            (first, lookups)
        } else {
            let (parts, body) = webhook.router.route(post(path, body), &Holder::default()).await.into_parts();
            let body = body.collect().await.unwrap().to_bytes();
            (Response::from_parts(parts, body), asked.lock().unwrap().clone())
        }
    });
    read(case, review, &answered, &asked)
}

/// An API server that has the objects of a case, and its errors.
fn cluster(case: &Case) -> (webhook::kubernetes::Client, Arc<Mutex<Vec<String>>>) {
    let case = case.clone();
    api_server(Box::new(move |path| {
        if path.contains("watch=") {
            return None;
        }
        let status = |code: u16, reason: &str, message: &str, name: &str| {
            let status = json!({
                "kind": "Status", "apiVersion": "v1", "status": "Failure",
                "message": message, "reason": reason, "code": code, "details": { "name": name },
            });
            (code, status.to_string())
        };
        let (kind, namespace, name) = object(path);
        let found = case
            .look_up(kind, namespace, name)
            .map(|text| text.map(|text| serde_json::from_str::<Value>(&text).unwrap()));
        Some(match (kind, found) {
            (_, Err(message)) if message.contains("forbidden") => status(403, "Forbidden", &message, name),
            (_, Err(message)) => status(500, "InternalError", &message, name),
            ("ConfigMap", Ok(found)) => {
                let items: Vec<Value> = found.into_iter().collect();
                let metadata = json!({ "resourceVersion": "7" });
                let list = json!({ "kind": "ConfigMapList", "apiVersion": "v1", "metadata": metadata, "items": items });
                (200, list.to_string())
            }
            (_, Ok(Some(found))) => (200, found.to_string()),
            (_, Ok(None)) => status(404, "NotFound", "not found", name),
        })
    }))
}

/// Kind, namespace and name of the object that is asked for.
fn object(path: &str) -> (&'static str, &str, &str) {
    let (namespace, rest) = path.strip_prefix("/api/v1/namespaces/").unwrap().split_once('/').unwrap();
    match rest.split_once('?').unwrap_or((rest, "")) {
        ("configmaps", query) => {
            let name = query.split('&').find_map(|part| part.strip_prefix("fieldSelector=metadata.name%3D"));
            ("ConfigMap", namespace, name.unwrap())
        }
        (rest, _) => ("ServiceAccount", namespace, rest.strip_prefix("serviceaccounts/").unwrap()),
    }
}

/// Watches the mapping's ConfigMap until it is held, or the API server has said that it does not say.
async fn hold_config_map(webhook: &Webhook, asked: &Mutex<Vec<String>>) {
    let settings = webhook.configuration.load_full();
    let Some(place) = &settings.settings().mapping_config_map else { return };
    let at = ConfigMapKey {
        namespace: place.namespace.to_owned(),
        name: place.name.to_owned(),
        key: place.key.to_owned(),
    };
    let ready = webhook.readiness.pending("config map");
    let (facts, configuration) = (webhook.facts.clone(), webhook.configuration.clone());
    tokio::spawn(async move { facts.watch_config_map(at, configuration, ready).await });
    while webhook.readiness.missing() == ["config map"] && asked.lock().unwrap().len() < 2 {
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
}

/// An `AdmissionReview` with a response, and nothing else.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Review {
    api_version: String,
    kind: String,
    response: Reviewed,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Reviewed {
    uid: String,
    allowed: bool,
    status: Option<Status>,
    patch_type: Option<String>,
    patch: Option<String>,
    #[serde(default)]
    warnings: Vec<String>,
    #[serde(default)]
    audit_annotations: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Status {
    code: u16,
    message: String,
    reason: String,
}

fn read(case: &Case, asked: &Value, answered: &Answered, paths: &[String]) -> Answer {
    let name = &case.name;
    assert_eq!(answered.status(), 200, "{name}");
    assert_eq!(answered.headers()["content-type"], "application/json", "{name}");
    let Review { api_version, kind, response } = serde_json::from_slice(answered.body()).expect(name);
    assert_eq!(asked["apiVersion"], *api_version, "{name}");
    assert_eq!(asked["kind"], *kind, "{name}");
    assert_eq!(asked["request"]["uid"], *response.uid, "{name}");
    assert_eq!(response.allowed, response.status.is_none(), "{name}");
    assert_eq!(response.patch_type.as_deref(), response.patch.as_ref().map(|_| "JSONPatch"), "{name}");
    let patch = response.patch.map(|text| {
        let patch: Value = serde_json::from_slice(&STANDARD.decode(text).unwrap()).unwrap();
        assert_only_additions(case, &patch);
        patch
    });
    if let Some(status) = &response.status {
        assert_eq!(webhook::status::reason(status.code), status.reason, "{name}");
    }
    Answer {
        settings_message: None,
        lookups: paths
            .iter()
            .map(|path| object(path))
            .filter(|(kind, ..)| *kind == "ServiceAccount")
            .map(|(kind, namespace, name)| format!("v1/{kind} {namespace}/{name}"))
            .collect(),
        allowed: Some(response.allowed),
        code: response.status.as_ref().map(|status| status.code),
        message: response.status.map(|status| status.message),
        patch,
        warnings: response.warnings,
        audit_annotations: response.audit_annotations,
    }
}

/// A pod is only added to; what is replaced was `null`.
fn assert_only_additions(case: &Case, patch: &Value) {
    if case.object()["kind"] == "ServiceAccount" {
        return;
    }
    for operation in patch.as_array().unwrap() {
        let is_addition = match operation["op"].as_str().unwrap() {
            "add" => true,
            "replace" => case.object().pointer(operation["path"].as_str().unwrap()) == Some(&Value::Null),
            _ => false,
        };
        assert!(is_addition, "{}: {operation}", case.name);
    }
}
