//! A few cases of the corpus, compiled in, so that something from one end to the other runs wherever the core does:
//! also where there are no files.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "a test that panics has failed, which is what it is for"
)]

use std::cell::OnceCell;

use pod_identity_core::{
    Admission, Arena, ConfigMap, Facts, Found, Lookup, Outcome, Review, ServiceAccount, Settings, response,
};
use serde_json::{Value, json};

macro_rules! case {
    ($name:literal) => {
        case!($name, "{}", "")
    };
    ($name:literal, settings) => {
        case!($name, include_str!(concat!("../../../testdata/cases/", $name, "/settings.json")), "")
    };
    ($name:literal, cluster) => {
        case!($name, "{}", include_str!(concat!("../../../testdata/cases/", $name, "/cluster.json")))
    };
    ($name:literal, settings, cluster) => {
        case!(
            $name,
            include_str!(concat!("../../../testdata/cases/", $name, "/settings.json")),
            include_str!(concat!("../../../testdata/cases/", $name, "/cluster.json"))
        )
    };
    ($name:literal, $settings:expr, $cluster:expr) => {
        check(
            $name,
            include_str!(concat!("../../../testdata/cases/", $name, "/request.json")),
            $settings,
            $cluster,
            include_str!(concat!("../../../testdata/cases/", $name, "/expected.json")),
        )
    };
}

#[test]
fn cases_of_the_corpus() {
    case!("annotation-audience", cluster);
    case!("annotation-allowed-audiences-and-container-credentials", settings, cluster);
    case!("complete-web-identity", cluster);
    case!("complete-windows", cluster);
    case!("configmap-kops-spelling", settings, cluster);
    case!("configmap-malformed-is-refused", settings, cluster);
    case!("configmap-not-there", settings);
    case!("ephemeral-several-new", cluster);
    case!("ephemeral-without-a-volume", cluster);
    case!("serviceaccount-annotated", settings);
}

#[track_caller]
fn check(name: &str, review: &str, settings: &str, cluster: &str, expected: &str) {
    let cluster: Value =
        if cluster.is_empty() { Value::Null } else { serde_json::from_str(cluster).unwrap() };
    let expected: Value = serde_json::from_str(expected).unwrap();
    // Operations stand in the order of the text, and what is expected was made from sorted keys.
    let review: Value = serde_json::from_str(review).unwrap();
    assert_eq!(answer(&review.to_string(), settings, &cluster), expected, "{name}");
}

fn answer(review: &str, settings: &str, cluster: &Value) -> Value {
    let arena = Arena::default();
    let (settings, problems) = Settings::read(settings, &arena);
    assert!(problems.is_empty(), "{problems:?}");
    let request = Review::read(review, &arena).unwrap().request.unwrap();
    let admission = Admission::new(&request, &settings, &problems);
    let (account, config_map) = (OnceCell::new(), OnceCell::new());
    let mut facts = Facts::default();
    let mut answer = json!({});
    let mut lookups = Vec::new();
    while let Some(lookup) = admission.next_lookup(&facts) {
        match lookup {
            Lookup::ServiceAccount { namespace, name } => {
                lookups.push(format!("v1/ServiceAccount {namespace}/{name}"));
                facts.service_account =
                    Some(found(cluster, "ServiceAccount", namespace, name, &account, |text| {
                        Some(ServiceAccount::read(text, namespace, name, &arena).unwrap())
                    }));
            }
            Lookup::ConfigMap { namespace, name, key } => {
                lookups.push(format!("v1/ConfigMap {namespace}/{name}"));
                facts.config_map = Some(found(cluster, "ConfigMap", namespace, name, &config_map, |text| {
                    ConfigMap::read(text, namespace, name, key, &arena).unwrap()
                }));
            }
        }
    }
    let decision = admission.decide(&facts);
    answer["allowed"] = json!(!matches!(decision.outcome, Outcome::Refused(_)));
    match &decision.outcome {
        Outcome::Refused(refusal) => {
            answer["code"] = json!(refusal.code);
            answer["message"] = json!(refusal.message);
        }
        Outcome::Changed(_, change) => {
            let mut patch = String::new();
            change.write_patch(&mut patch);
            answer["patch"] = serde_json::from_str(&patch).unwrap();
        }
        Outcome::Unchanged(_) | Outcome::Verified { .. } => {}
    }
    let audit: serde_json::Map<String, Value> = response::audit_annotations(&decision)
        .into_iter()
        .map(|(key, value)| (key.to_owned(), json!(value)))
        .collect();
    for (key, value) in [
        ("lookups", json!(lookups)),
        ("warnings", json!(response::warnings(&decision))),
        ("auditAnnotations", json!(audit)),
    ] {
        if value != json!([]) && value != json!({}) {
            answer[key] = value;
        }
    }
    answer
}

fn found<'a, T>(
    cluster: &Value,
    kind: &str,
    namespace: &str,
    name: &str,
    cell: &'a OnceCell<String>,
    read: impl FnOnce(&'a str) -> Option<T>,
) -> Found<T> {
    let objects = cluster["objects"].as_array().into_iter().flatten();
    let mut wanted = objects.filter(|object| {
        object["kind"] == kind
            && object["metadata"]["namespace"] == namespace
            && object["metadata"]["name"] == name
    });
    match wanted.next() {
        Some(object) => read(cell.get_or_init(|| object.to_string())).map_or(Found::NotThere, Found::There),
        None => Found::NotThere,
    }
}
