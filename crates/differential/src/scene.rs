//! What is compared: a review, the flags, and what the cluster holds.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::flags::Flags;

/// What the cluster holds.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cluster {
    /// The annotations of each ServiceAccount, by namespace and name.
    pub(crate) accounts: BTreeMap<(String, String), BTreeMap<String, String>>,
    /// The mapping of each ConfigMap, by namespace.
    pub(crate) mappings: BTreeMap<String, Value>,
    /// The list in the identities file.
    pub(crate) identities: Vec<Value>,
}

impl Cluster {
    /// A ServiceAccount as the API server would hand it out.
    pub(crate) fn account(&self, namespace: &str, name: &str) -> Option<Value> {
        let annotations = self.accounts.get(&(namespace.to_owned(), name.to_owned()))?;
        Some(json!({
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {"namespace": namespace, "name": name, "annotations": annotations},
        }))
    }

    /// The text of a ConfigMap's mapping.
    pub(crate) fn mapping(&self, namespace: &str) -> Option<String> {
        self.mappings.get(namespace).map(|mapping| format!("{mapping:#}"))
    }
}

/// An AdmissionReview.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Review {
    pub(crate) value: Value,
    /// The pod's ServiceAccount is named twice, which no [`Value`] can hold.
    pub(crate) repeats_account: bool,
}

impl Review {
    /// As it is sent.
    pub(crate) fn text(&self) -> String {
        let text = self.value.to_string();
        if !self.repeats_account() {
            return text;
        }
        let key = "\"serviceAccountName\":";
        text.replacen(key, &format!("{key}\"first\",{key}"), 1)
    }

    /// Whether a key is there twice that is read.
    pub(crate) fn repeats_account(&self) -> bool {
        self.repeats_account && self.pod().pointer("/spec/serviceAccountName").is_some()
    }

    pub(crate) fn request(&self) -> &Value {
        self.value.get("request").unwrap_or(&Value::Null)
    }

    /// The pod that it is about.
    pub(crate) fn pod(&self) -> &Value {
        self.request().get("object").unwrap_or(&Value::Null)
    }

    pub(crate) fn pod_mut(&mut self) -> Option<&mut Value> {
        self.value.pointer_mut("/request/object")
    }

    /// Around a pod, as the API server sends it for its creation.
    pub(crate) fn of(pod: Value, namespace: &str, uid: &str) -> Self {
        let value = json!({
            "apiVersion": "admission.k8s.io/v1",
            "kind": "AdmissionReview",
            "request": {
                "uid": uid,
                "kind": {"group": "", "version": "v1", "kind": "Pod"},
                "resource": {"group": "", "version": "v1", "resource": "pods"},
                "requestKind": {"group": "", "version": "v1", "kind": "Pod"},
                "requestResource": {"group": "", "version": "v1", "resource": "pods"},
                "name": pod.pointer("/metadata/name"),
                "namespace": namespace,
                "operation": "CREATE",
                "userInfo": {"username": "system:serviceaccount:kube-system:replicaset-controller"},
                "object": pod,
                "oldObject": null,
                "dryRun": false,
                "options": {"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1"},
            },
        });
        Self { value, repeats_account: false }
    }
}

/// A review with all that it meets.
#[derive(Clone, Debug)]
pub(crate) struct Scene<'c> {
    pub(crate) flags: &'c Flags,
    pub(crate) cluster: &'c Cluster,
    pub(crate) review: Review,
}

/// What becomes of a pod.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Answer {
    Refused,
    Pod(Value),
}

/// A member's text; empty when there is none.
pub(crate) fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// A member's elements; none when there is no list.
pub(crate) fn list<'v>(value: &'v Value, key: &str) -> &'v [Value] {
    value.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}
