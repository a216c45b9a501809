//! What the guest asks the host.

use std::{collections::BTreeSet, sync::Arc};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    cluster::{self, Cluster, Lookup, ObjectKey},
    field_mask::{FieldMasks, Mask},
    metadata::ResourceKind,
};

/// One call of the host by the guest.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct HostCall {
    /// `kubewarden`.
    pub binding: String,
    /// `kubernetes`.
    pub namespace: String,
    /// `get_resource`.
    pub operation: String,
    /// What the guest sent.
    pub payload: HostCallPayload,
    /// What it got.
    pub outcome: HostCallOutcome,
}

/// The payload of a host call.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum HostCallPayload {
    /// It was JSON.
    Json(Value),
    /// It was not.
    Bytes(Vec<u8>),
}

/// How a host call ended.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum HostCallOutcome {
    /// The guest got this object, after field masks.
    Answered(Value),
    /// The guest logged something, which policy-server always takes.
    Logged,
    /// The guest got this error, as it would from policy-server.
    Failed(String),
    /// The guest asked for something that this host does not have, and got this error.
    Unexpected(String),
}

impl HostCall {
    /// Whether the guest asked for an answer that is not from the cache, if it was asked for an object at all.
    pub fn disable_cache(&self) -> Option<bool> {
        match &self.payload {
            HostCallPayload::Json(payload) => payload.get("disable_cache").and_then(Value::as_bool),
            HostCallPayload::Bytes(_) => None,
        }
    }
}

/// The payload of `get_resource`, with the same required fields as in policy-server.
#[derive(Deserialize)]
struct GetResource {
    api_version: String,
    kind: String,
    name: String,
    namespace: Option<String>,
    #[expect(dead_code, reason = "policy-server refuses a payload without it")]
    disable_cache: bool,
    field_masks: Option<BTreeSet<String>>,
}

/// Answers host calls and remembers them.
#[derive(Debug)]
pub(crate) struct Capabilities {
    cluster: Cluster,
    allowed: Arc<BTreeSet<ResourceKind>>,
    field_masks: FieldMasks,
    calls: Vec<HostCall>,
}

/// An outcome, and the bytes in it if it is a good one.
type Answer = (HostCallOutcome, Vec<u8>);

impl Capabilities {
    pub(crate) fn new(
        cluster: Cluster,
        allowed: Arc<BTreeSet<ResourceKind>>,
        field_masks: FieldMasks,
    ) -> Self {
        Self { cluster, allowed, field_masks, calls: Vec::new() }
    }

    pub(crate) fn into_calls(self) -> Vec<HostCall> {
        self.calls
    }

    /// Answers with bytes, or with the text of an error.
    pub(crate) fn answer(
        &mut self,
        binding: &str,
        namespace: &str,
        operation: &str,
        payload: &[u8],
    ) -> Result<Vec<u8>, String> {
        let (outcome, bytes) = match (binding, namespace, operation) {
            ("kubewarden", "kubernetes", "get_resource") => self.get_resource(payload),
            ("kubewarden", "tracing", "log") => (HostCallOutcome::Logged, Vec::new()),
            _ => unexpected(unknown(binding, namespace, operation)),
        };
        let result = match &outcome {
            HostCallOutcome::Answered(_) | HostCallOutcome::Logged => Ok(bytes),
            HostCallOutcome::Failed(message) | HostCallOutcome::Unexpected(message) => Err(message.clone()),
        };
        self.calls.push(HostCall {
            binding: binding.to_owned(),
            namespace: namespace.to_owned(),
            operation: operation.to_owned(),
            payload: serde_json::from_slice(payload)
                .map_or_else(|_| HostCallPayload::Bytes(payload.to_owned()), HostCallPayload::Json),
            outcome,
        });
        result
    }

    fn get_resource(&self, payload: &[u8]) -> Answer {
        let request: GetResource = match serde_json::from_slice(payload) {
            Ok(request) => request,
            Err(error) => return failed(error.to_string()),
        };
        let GetResource { api_version, kind, name, namespace, field_masks, .. } = request;
        if !self.allowed.contains(&ResourceKind::new(&api_version, &kind)) {
            return failed(format!(
                "Policy has not been granted access to Kubernetes {api_version}/{kind} resources. The violation has \
                 been reported."
            ));
        }
        let mut object = match self.cluster.lookup(&ObjectKey { api_version, kind, namespace, name }) {
            Lookup::Found(object) => object.clone(),
            Lookup::Failed(message) => return failed(message),
        };
        if let Some(paths) = field_masks {
            self.prune(&mut object, &paths);
        }
        match cluster::print(&object) {
            Ok(bytes) => (HostCallOutcome::Answered(object), bytes),
            Err(error) => failed(error.to_string()),
        }
    }

    fn prune(&self, object: &mut Value, paths: &BTreeSet<String>) {
        let mask = Mask::new(paths);
        match self.field_masks {
            FieldMasks::Ignored => {}
            FieldMasks::Literal => mask.prune(object),
            FieldMasks::AsPolicyServer => {
                let kept = ["apiVersion", "kind", "metadata"]
                    .map(|name| (name, object.as_object_mut().and_then(|fields| fields.remove(name))));
                mask.prune(object);
                for (name, value) in kept {
                    if let (Some(fields), Some(value)) = (object.as_object_mut(), value) {
                        fields.insert(name.to_owned(), value);
                    }
                }
            }
        }
    }
}

fn failed(message: String) -> Answer {
    (HostCallOutcome::Failed(message), Vec::new())
}

fn unexpected(message: String) -> Answer {
    (HostCallOutcome::Unexpected(message), Vec::new())
}

/// policy-server's texts for what it does not know either, and an own one for what only it has.
fn unknown(binding: &str, namespace: &str, operation: &str) -> String {
    if binding != "kubewarden" {
        return format!("unknown binding: {binding}");
    }
    let known: &[&str] = match namespace {
        "crypto" => &["v1/is_certificate_trusted"],
        "kubernetes" => &["can_i", "list_resources_all", "list_resources_by_namespace"],
        "net" => &["v1/dns_lookup_host"],
        "oci" => {
            &["v1/manifest_digest", "v1/oci_manifest", "v1/oci_manifest_config", "v1/verify", "v2/verify"]
        }
        "tracing" => &[],
        _ => return format!("unknown namespace: {namespace}"),
    };
    if known.contains(&operation) {
        format!("policy-host does not answer `{binding}/{namespace}/{operation}`")
    } else {
        format!("unknown operation: {operation}")
    }
}
