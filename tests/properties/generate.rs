//! Pods, settings and clusters. Ordinary ones mostly, so that something is injected, with everything about them that
//! could be in the way.

use proptest::option::weighted;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

use crate::json::write;

#[path = "generate/pod.rs"]
mod pod;
#[path = "generate/settings.rs"]
mod settings;
#[path = "generate/values.rs"]
mod values;

pub(crate) use pod::pod;
pub(crate) use settings::settings;
pub(crate) use values::anything;
use values::{object, one_of, only_texts, or_weird, texts};

/// A text that must not be found in any answer but the object's own.
pub(crate) const SECRET: &str = "s3cr3t-of-somebody-else";

const ROLE: &str = "arn:aws:iam::111122223333:role/api";
const WEB_PATH: &str = "/var/run/secrets/eks.amazonaws.com/serviceaccount";
const CREDENTIALS_PATH: &str = "/var/run/secrets/pods.eks.amazonaws.com/serviceaccount";
const AUDIENCES: &[&str] = &["sts.amazonaws.com", "sts.amazonaws.com.cn", "x"];
const NAMES: &[&str] = &["app", "sidecar", "log", "db", "debugger"];

/// One request with all that it meets.
#[derive(Clone, Debug)]
pub(crate) struct Scenario {
    pub(crate) pod: Value,
    /// For an update of ephemeral containers, the pod as it was.
    pub(crate) old_pod: Option<Value>,
    pub(crate) settings: Value,
    pub(crate) service_account: Answer,
    pub(crate) config_map: Answer,
    /// How the pod is written.
    pub(crate) style: u64,
}

/// What the cluster says when it is asked for an object.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    There(Value),
    NotThere,
    Failed(&'static str),
    /// Another object than the one that was asked for.
    Text(&'static str),
}

impl Scenario {
    /// As the API server sent it.
    pub(crate) fn object(&self) -> String {
        write(&self.pod, self.style)
    }

    /// The request around an object.
    pub(crate) fn payload(&self, object: &str) -> String {
        let (operation, more) = match &self.old_pod {
            None => ("CREATE", String::new()),
            Some(old) => (
                "UPDATE",
                format!(r#""subResource":"ephemeralcontainers","oldObject":{},"#, write(old, self.style / 2)),
            ),
        };
        format!(
            r#"{{"request":{{"uid":"7f0b2891-916f-4ed6-b7cd-27bff1815a8c","operation":"{operation}",{more}"resource":{{"group":"","version":"v1","resource":"pods"}},"namespace":"pay","object":{object}}},"settings":{}}}"#,
            self.settings
        )
    }

    /// The host's answers.
    pub(crate) fn host_call(&self, request: &str) -> Result<String, String> {
        let request: Value = serde_json::from_str(request).unwrap();
        let kind = request["kind"].as_str().unwrap();
        let answer = if kind == "ServiceAccount" { &self.service_account } else { &self.config_map };
        match answer {
            Answer::There(object) => Ok(object.to_string()),
            Answer::NotThere => Err(format!(
                "Callback evaluation failure: Cannot find v1/{kind} named {} inside of namespace {}",
                request["name"], request["namespace"]
            )),
            Answer::Failed(text) => Err((*text).to_owned()),
            Answer::Text(text) => Ok((*text).to_owned()),
        }
    }
}

pub(crate) fn scenario() -> impl Strategy<Value = Scenario> {
    (pod(), settings(), service_account(), config_map(), any::<u64>(), weighted(0.2, 0_usize..3)).prop_map(
        |(mut pod, settings, service_account, config_map, style, update)| {
            // Most pods that run were given their volume when they were made.
            if update.is_some() && style % 4 != 0
                && let Some(spec) = pod["spec"].as_object_mut()
            {
                let volumes = spec.entry("volumes").or_insert_with(|| json!([]));
                let ours = json!({"name": "ours", "projected": {"sources": [{"serviceAccountToken": {"audience": "sts.amazonaws.com", "path": "token"}}]}});
                if let Some(volumes) = volumes.as_array_mut() {
                    volumes.push(ours);
                }
            }
            let old_pod = update.map(|kept| {
                let mut old = pod.clone();
                if let Some(list) = old.pointer_mut("/spec/ephemeralContainers").and_then(Value::as_array_mut) {
                    list.truncate(kept);
                }
                old
            });
            Scenario { pod, old_pod, settings, service_account, config_map, style }
        },
    )
}

/// The annotations of a service account.
pub(crate) fn account_annotations() -> BoxedStrategy<Value> {
    let roles = texts(&[
        ROLE,
        ROLE,
        ROLE,
        ROLE,
        ROLE,
        "  arn:aws:iam::111122223333:role/blanks\n",
        "team/api",
        "",
        "arn:aws:iam::1:role/x",
    ]);
    let record = one_of(&[
        json!(format!(r#"{{"eks.amazonaws.com/role-arn":"{ROLE}"}}"#)),
        json!(r#"{"eks.amazonaws.com/audience":"x","eks.amazonaws.com/token-expiration":"3600"}"#),
        json!("{"),
        json!(r#"{"eks.amazonaws.com/role-arn":1}"#),
        json!("{}"),
    ]);
    object(vec![
        ("eks.amazonaws.com/role-arn", 0.9, or_weird(roles.clone())),
        ("eks.amazonaws.com/role-arn.app", 0.15, or_weird(roles)),
        ("eks.amazonaws.com/audience", 0.2, or_weird(texts(AUDIENCES))),
        ("eks.amazonaws.com/sts-regional-endpoints", 0.2, or_weird(texts(&["true", "0", "yes"]))),
        ("eks.amazonaws.com/token-expiration", 0.2, or_weird(texts(&["3600", "1", "+86400"]))),
        ("eks.amazonaws.com/region", 0.2, or_weird(texts(&["eu-west-1", "none"]))),
        ("eks.amazonaws.com/skip-containers", 0.1, or_weird(texts(&["app", "log,db"]))),
        ("eks.amazonaws.com/include-containers", 0.05, or_weird(texts(&["app", ""]))),
        ("eks.amazonaws.com/managed-annotations", 0.15, record),
        ("example.com/role-arn", 0.2, texts(&[ROLE])),
        ("kubectl.kubernetes.io/last-applied-configuration", 0.1, texts(&["{\"a\":1}\n"])),
    ])
    .prop_map(only_texts)
    .boxed()
}

const FULL: &str = "Error sending request over callback channel: Full";
const NOT_GRANTED: &str = "Policy has not been granted access to Kubernetes v1/ServiceAccount resources. The violation has been reported.";
const API_ERROR: &str = "Callback evaluation failure: failed to find resource: ApiError: \u{1b}[1m timed out";

fn service_account() -> BoxedStrategy<Answer> {
    prop_oneof![
        16 => weighted(0.95, account_annotations()).prop_map(|annotations| Answer::There(json!({
            "apiVersion": "v1", "kind": "ServiceAccount",
            "metadata": {"name": "api", "namespace": "pay", "annotations": annotations.unwrap_or_default()},
        }))),
        2 => Just(Answer::NotThere),
        2 => select(&[FULL, NOT_GRANTED, API_ERROR, ""][..]).prop_map(Answer::Failed),
        1 => select(&[
            "", "null", "[]", "not JSON",
            r#"{"kind":"ServiceAccount","metadata":{"name":"api","namespace":"other"}}"#,
            r#"{"kind":"Secret","metadata":{"name":"api","namespace":"pay","annotations":{"eks.amazonaws.com/role-arn":"arn:aws:iam::111122223333:role/stolen"}}}"#,
        ][..]).prop_map(Answer::Text),
    ]
    .boxed()
}

fn config_map() -> BoxedStrategy<Answer> {
    let kops = one_of(&[
        json!({"pay/api": {"RoleARN": ROLE, "Audience": "amazonaws.com", "UseRegionalSTS": true, "TokenExpiration": 0}}),
        json!({"*/api": ROLE, "pay/ap": 1, "x": {}, "*x": "y"}),
        json!({"pay/api": {"RoleARN": ROLE, "roleArn": ROLE}, "*/*": {"roleArn": ROLE, "stsEndpointUrl": "https://evil.example.com", "unknown": 1}}),
        json!({"pay/api": {}}),
        json!({}),
    ]);
    prop_oneof![
        6 => kops.prop_map(|document| Answer::There(json!({"data": {"config": document.to_string()}}))),
        1 => Just(Answer::There(json!({"data": {"config": "not JSON"}}))),
        1 => Just(Answer::There(json!({"data": {"other": ""}}))),
        2 => Just(Answer::NotThere),
        1 => select(&[FULL, API_ERROR][..]).prop_map(Answer::Failed),
        1 => select(&["null", r#"{"kind":"Secret","data":{"config":"{}"}}"#][..]).prop_map(Answer::Text),
    ]
    .boxed()
}
