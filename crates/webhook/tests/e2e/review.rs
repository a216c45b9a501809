//! Reviews posted to the webhook as the API server posts them, but without it.

use std::net::SocketAddr;

use base64::{Engine, engine::general_purpose::STANDARD};
use envtest::{Authority, Client};
use serde_json::{Value, json};

/// The review of a pod that is created.
pub(crate) fn of_pod(namespace: &str, pod: &Value) -> Value {
    json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "705ab4f5-6393-11e8-b7cc-42010a800002",
            "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "resource": {"group": "", "version": "v1", "resource": "pods"},
            "operation": "CREATE",
            "namespace": namespace,
            "name": pod["metadata"]["name"],
            "object": pod,
            "oldObject": null,
            "dryRun": true,
            "options": {"apiVersion": "meta.k8s.io/v1", "kind": "CreateOptions"},
        },
    })
}

/// What became of it.
#[derive(Debug)]
pub(crate) struct Admitted {
    pub(crate) pod: Value,
    pub(crate) patch: Vec<Value>,
    pub(crate) warnings: Vec<String>,
}

/// A client that opens its connections to a webhook itself; `authority` signed the webhook's certificate.
pub(crate) fn client(webhook: SocketAddr, authority: &Authority) -> Client {
    Client::new(webhook, &authority.pem(), "").unwrap()
}

/// Posts a pod and applies the patch that comes back.
pub(crate) async fn admit(client: &Client, namespace: &str, pod: &Value) -> Result<Admitted, String> {
    let answer = client.post("/mutate?timeout=10s", &of_pod(namespace, pod)).await;
    let response = answer.map_err(|error| error.to_string())?["response"].take();
    if response["allowed"] != json!(true) {
        return Err(format!("not allowed: {response}"));
    }
    let patch = match &response["patch"] {
        Value::Null => Vec::new(),
        patch => {
            let patch =
                STANDARD.decode(patch.as_str().unwrap_or_default()).map_err(|error| error.to_string())?;
            serde_json::from_slice(&patch).map_err(|error| error.to_string())?
        }
    };
    let mut pod = pod.clone();
    let operations: json_patch::Patch =
        serde_json::from_value(json!(patch)).map_err(|error| error.to_string())?;
    json_patch::patch(&mut pod, &operations).map_err(|error| error.to_string())?;
    let warnings = response["warnings"].as_array().into_iter().flatten();
    let warnings = warnings.filter_map(|warning| warning.as_str().map(str::to_owned)).collect();
    Ok(Admitted { pod, patch, warnings })
}

/// Adds to a pod what the API server adds to the volumes of an identity.
pub(crate) fn complete(mut pod: Value) -> Value {
    for volume in pod["spec"]["volumes"].as_array_mut().into_iter().flatten() {
        volume["projected"]["defaultMode"] = json!(420);
    }
    pod
}
