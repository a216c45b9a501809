//! The manifests in `deploy/` grant what is listed here, and agree with each other.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that panics has failed, which is what it is for"
)]

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

/// Who may do what. A change here is a change of what a webhook that somebody has taken over can do.
const RIGHTS: &[&str] = &[
    "ClusterRole pod-identity-webhook: serviceaccounts: get list watch",
    "ClusterRole pod-identity-webhook: admissionregistration.k8s.io/mutatingwebhookconfigurations pod-identity-webhook: get watch patch",
    "ClusterRole pod-identity-webhook: admissionregistration.k8s.io/validatingwebhookconfigurations pod-identity-webhook: get watch patch",
    "Role pod-identity-webhook/pod-identity-webhook: secrets pod-identity-webhook: get watch update",
    "Role pod-identity-webhook/pod-identity-webhook: configmaps pod-identity-webhook: get list watch",
    "ClusterRoleBinding pod-identity-webhook: ClusterRole pod-identity-webhook to ServiceAccount pod-identity-webhook/pod-identity-webhook",
    "RoleBinding pod-identity-webhook/pod-identity-webhook: Role pod-identity-webhook to ServiceAccount pod-identity-webhook/pod-identity-webhook",
];

fn documents(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_saphyr::from_multiple(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn folder() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy")
}

/// All documents below the folder.
fn manifests(folder: &Path) -> Vec<Value> {
    let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
        .iter()
        .flat_map(|path| match path.extension().and_then(|extension| extension.to_str()) {
            Some("yaml") => documents(path),
            None => manifests(path),
            _ => Vec::new(),
        })
        .collect()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value}")).to_owned()
}

fn texts(value: &Value) -> Vec<String> {
    value.as_array().map(|texts| texts.iter().map(text).collect()).unwrap_or_default()
}

fn name(object: &Value) -> String {
    let metadata = object.get("metadata").unwrap_or(object);
    let namespace = metadata.get("namespace").map(|namespace| text(namespace) + "/").unwrap_or_default();
    namespace + &text(&metadata["name"])
}

#[test]
fn rights_are_those_that_are_listed() {
    let mut rights = Vec::new();
    for object in manifests(&folder()) {
        let kind = text(object.get("kind").unwrap_or(&json!("patch")));
        let (name, kind) = (object.get("kind").map(|_| name(&object)).unwrap_or_default(), kind.as_str());
        for rule in object["rules"].as_array().into_iter().flatten().filter(|_| kind.ends_with("Role")) {
            let known = ["apiGroups", "resources", "resourceNames", "verbs"];
            assert!(rule.as_object().unwrap().keys().all(|key| known.contains(&key.as_str())), "{rule}");
            for group in texts(&rule["apiGroups"]) {
                let group = if group.is_empty() { group } else { group + "/" };
                for resource in texts(&rule["resources"]) {
                    let names = texts(rule.get("resourceNames").unwrap_or(&Value::Null));
                    let names: String = names.iter().map(|name| format!(" {name}")).collect();
                    let verbs = texts(&rule["verbs"]).join(" ");
                    rights.push(format!("{kind} {name}: {group}{resource}{names}: {verbs}"));
                }
            }
        }
        if let Some(role) = object.get("roleRef") {
            let subjects = object["subjects"].as_array().unwrap();
            let subjects =
                subjects.iter().map(|subject| format!("{} {}", text(&subject["kind"]), self::name(subject)));
            let subjects: Vec<_> = subjects.collect();
            let role = format!("{} {}", text(&role["kind"]), text(&role["name"]));
            rights.push(format!("{kind} {name}: {role} to {}", subjects.join(", ")));
        }
    }
    let (mut expected, mut found) = (RIGHTS.to_vec(), rights.iter().map(String::as_str).collect::<Vec<_>>());
    expected.sort_unstable();
    found.sort_unstable();
    assert_eq!(found, expected);
}

/// What most outages of webhooks come from.
#[test]
fn the_registration_holds_nobody_up() {
    let mutating = &documents(&folder().join("40-registration.yaml"))[0];
    let validating = &documents(&folder().join("optional/verify.yaml"))[0];
    let critical = json!(["kube-system", "pod-identity-webhook"]);
    let selector = |operator: &str| {
        let namespaces =
            json!({"key": "kubernetes.io/metadata.name", "operator": operator, "values": critical});
        json!({"matchExpressions": [namespaces]})
    };
    for configuration in [mutating, validating] {
        let entries = configuration["webhooks"].as_array().unwrap();
        for entry in entries {
            let name = text(&entry["name"]);
            assert_eq!(entry["failurePolicy"], "Ignore", "{name}");
            assert_eq!(entry["timeoutSeconds"], 2, "{name}");
            assert_eq!(entry["sideEffects"], "None", "{name}");
            assert_eq!(entry["matchPolicy"], "Equivalent", "{name}");
            assert_eq!(entry["admissionReviewVersions"], json!(["v1", "v1beta1"]), "{name}");
            assert_eq!(
                entry["clientConfig"].get("caBundle"),
                None,
                "{name}: it would undo what the webhook wrote"
            );
            let is_mutating = configuration["kind"] == "MutatingWebhookConfiguration";
            let reinvocation = if is_mutating { Some("IfNeeded") } else { None };
            assert_eq!(entry.get("reinvocationPolicy").and_then(Value::as_str), reinvocation, "{name}");
        }
        assert_eq!(entries[0]["namespaceSelector"], selector("NotIn"));
        assert_eq!(entries[1]["namespaceSelector"], selector("In"));
        for field in ["rules", "matchConditions", "clientConfig"] {
            assert_eq!(entries[0][field], entries[1][field]);
        }
    }
    let conditions = |entry: &Value| {
        let conditions = entry["matchConditions"].as_array().unwrap();
        conditions.iter().map(|condition| text(&condition["name"])).collect::<Vec<_>>()
    };
    assert_eq!(conditions(&mutating["webhooks"][0]), ["not-a-mirror-pod", "not-skipped"]);
    assert_eq!(conditions(&validating["webhooks"][0]), ["not-a-mirror-pod"]);
}

#[test]
fn one_version() {
    let image = format!("pod-identity-webhook:{}", env!("CARGO_PKG_VERSION"));
    let objects = documents(&folder().join("30-webhook.yaml"));
    let deployment = objects.iter().find(|object| object["kind"] == "Deployment").unwrap();
    assert_eq!(deployment["spec"]["template"]["spec"]["containers"][0]["image"], image.as_str());
    let readme = fs::read_to_string(folder().join("README.md")).unwrap();
    assert_eq!(readme.matches(&image).count(), 2);
}
