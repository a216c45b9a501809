//! The webhook's own token may change `caBundle` in its own registration, and nothing else.

use envtest::{Client, Error, Request};
use serde_json::{Value, json};

use crate::cluster::{Cluster, MUTATING, NAME, path};

const VALIDATING: &str = "validatingwebhookconfigurations";
const BINDING: &str = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings";

/// What is tried, in a JSON Patch each.
fn changes() -> Vec<(&'static str, Value)> {
    let set = |path: &str, value: Value| json!([{"op": "add", "path": path, "value": value}]);
    let entry = |field: &str, value: Value| set(&format!("/webhooks/0/{field}"), value);
    let rule = json!({
        "apiGroups": [""], "apiVersions": ["v1"], "operations": ["*"], "resources": ["secrets"], "scope": "*",
    });
    let url = json!([
        {"op": "remove", "path": "/webhooks/0/clientConfig/service"},
        {"op": "add", "path": "/webhooks/0/clientConfig/url", "value": "https://attacker.example.com/"},
    ]);
    let copied = json!([
        {"op": "copy", "from": "/webhooks/0", "path": "/webhooks/0"},
        {"op": "replace", "path": "/webhooks/0/name", "value": "another.example.com"},
        {"op": "replace", "path": "/webhooks/0/rules/0/resources", "value": ["secrets"]},
    ]);
    let swapped = json!([{"op": "move", "from": "/webhooks/0", "path": "/webhooks/1"}]);
    let condition = json!([{"name": "never", "expression": "false"}]);
    let selector = json!({"matchLabels": {"a": "b"}});
    let owner = json!([{"apiVersion": "v1", "kind": "Namespace", "name": NAME, "uid": "u"}]);
    vec![
        ("rules", entry("rules", json!([rule]))),
        ("one more rule", entry("rules/-", rule)),
        ("rules' resources", entry("rules/0/resources", json!(["pods", "secrets"]))),
        ("failure policy", entry("failurePolicy", "Fail".into())),
        ("url", url),
        ("service", entry("clientConfig/service/name", "attacker".into())),
        ("namespace of the service", entry("clientConfig/service/namespace", "attacker".into())),
        ("path", entry("clientConfig/service/path", "/elsewhere".into())),
        ("port", entry("clientConfig/service/port", 8443.into())),
        ("namespace selector", entry("namespaceSelector", json!({}))),
        ("object selector", entry("objectSelector", selector)),
        ("match conditions", entry("matchConditions", condition)),
        ("no match conditions", json!([{"op": "remove", "path": "/webhooks/0/matchConditions"}])),
        ("match policy", entry("matchPolicy", "Exact".into())),
        ("time-out", entry("timeoutSeconds", 30.into())),
        ("side effects", entry("sideEffects", "NoneOnDryRun".into())),
        ("versions", entry("admissionReviewVersions", json!(["v1"]))),
        ("name", entry("name", "another.example.com".into())),
        ("an entry more", copied),
        ("an entry less", json!([{"op": "remove", "path": "/webhooks/0"}])),
        ("all entries", json!([{"op": "remove", "path": "/webhooks"}])),
        ("another order", swapped),
        ("labels", set("/metadata/labels", json!({"a": "b"}))),
        ("annotations", set("/metadata/annotations/a", "b".into())),
        ("finalizers", set("/metadata/finalizers", json!(["example.com/never"]))),
        ("owners", set("/metadata/ownerReferences", owner)),
    ]
}

async fn try_it(client: &Client, resource: &str, patch: &Value) -> Result<(), Error> {
    client.send(Request::json_patch(&path(resource), patch)).await.map(drop)
}

#[tokio::test]
async fn its_own_token_changes_nothing_but_ca_bundle() {
    let cluster = Cluster::start().await;
    cluster.apply("deploy");
    cluster.apply("deploy/optional/verify.yaml");
    let own = cluster.admin().with_token(&cluster.token().await);
    let number = std::cell::Cell::new(0);
    let label = || {
        number.set(number.get() + 1);
        json!([{"op": "add", "path": "/metadata/labels", "value": {"number": number.get().to_string()}}])
    };
    // A label does no harm until then.
    let in_force = async || try_it(&own, MUTATING, &label()).await.is_err();
    cluster.until("the policy is in force", in_force).await;
    for resource in [MUTATING, VALIDATING] {
        let before = cluster.admin().get(&path(resource)).await.unwrap();
        let mut changes = changes();
        if resource == MUTATING {
            let never = json!([{"op": "add", "path": "/webhooks/0/reinvocationPolicy", "value": "Never"}]);
            changes.push(("reinvocation policy", never));
        }
        for (what, patch) in &changes {
            let refused = try_it(&own, resource, patch).await.unwrap_err();
            let Error::Refused { status: 422, message, .. } = &refused else { panic!("{what}: {refused}") };
            assert!(message.contains("may change nothing but caBundle"), "{what}: {message}");
            // It would be a change, and a valid one.
            let change = format!("{}?dryRun=All", path(resource));
            let changed = cluster.admin().send(Request::json_patch(&change, patch)).await;
            let changed = changed.unwrap_or_else(|error| panic!("{what}: {error}")).json().unwrap();
            let rest = |value: &Value| {
                let mut value = value.clone();
                for field in ["managedFields", "generation", "resourceVersion"] {
                    value["metadata"].as_object_mut().unwrap().remove(field);
                }
                value
            };
            assert_ne!(rest(&changed), rest(&before), "{what}");
        }
        assert_eq!(cluster.admin().get(&path(resource)).await.unwrap(), before);

        let bundle = json!([{"op": "add", "path": "/webhooks/0/clientConfig/caBundle", "value": "YQ=="}]);
        try_it(&own, resource, &bundle).await.unwrap();
        let mut expected = before;
        expected["webhooks"][0]["clientConfig"]["caBundle"] = "YQ==".into();
        let after = cluster.admin().get(&path(resource)).await.unwrap();
        assert_eq!(after["webhooks"], expected["webhooks"]);
    }
}

#[tokio::test]
async fn its_own_token_reaches_nothing_else() {
    let cluster = Cluster::start().await;
    cluster.apply("deploy");
    let own = cluster.admin().with_token(&cluster.token().await);
    let configuration = cluster.admin().get(&path(MUTATING)).await.unwrap();
    let mut another = configuration.clone();
    another["metadata"] = json!({"name": "another"});
    let collection = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations";
    let secrets = "/api/v1/namespaces/pod-identity-webhook/secrets";
    let policy = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies/pod-identity-webhook";
    let apply = |name: &str| format!("{collection}/{name}?fieldManager=own&force=true");
    for (what, request) in [
        ("create", Request::post(collection, &another)),
        ("update", Request::put(&path(MUTATING), &configuration)),
        ("delete", Request::delete(&path(MUTATING), None)),
        ("patch another", Request::merge_patch(&format!("{collection}/another"), &json!({}))),
        ("create by applying", Request::apply_patch(&apply("another"), &another)),
        ("list", Request::get(collection)),
        ("list Secrets", Request::get(secrets)),
        ("another Secret", Request::get(&format!("{secrets}/another"))),
        ("create a Secret", Request::post(secrets, &json!({"metadata": {"name": "another"}}))),
        ("delete its Secret", Request::delete(crate::cluster::SECRET, None)),
        ("Secrets elsewhere", Request::get("/api/v1/namespaces/kube-system/secrets/pod-identity-webhook")),
        ("the policy", Request::delete(policy, None)),
        ("its rights", Request::get(&format!("{BINDING}/{NAME}"))),
        ("pods", Request::get("/api/v1/pods")),
        ("tokens", Request::post("/api/v1/namespaces/kube-system/serviceaccounts/default/token", &json!({}))),
    ] {
        let refused = own.send(request).await.map(drop).unwrap_err();
        assert!(matches!(refused, Error::Refused { status: 403, .. }), "{what}: {refused}");
    }
    // What it needs.
    let accounts = own.get("/api/v1/serviceaccounts?limit=1").await.unwrap();
    assert_eq!(accounts["kind"], "ServiceAccountList");
    let map = own.get("/api/v1/namespaces/pod-identity-webhook/configmaps?fieldSelector=metadata.name%3Dpod-identity-webhook");
    assert_eq!(map.await.unwrap()["items"], json!([]));
}
