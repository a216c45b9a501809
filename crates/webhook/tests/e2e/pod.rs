//! Pods, and what of them counts here.

use serde_json::{Map, Value, json};

/// The role that scenarios use.
pub(crate) const ROLE: &str = "arn:aws:iam::123456789012:role/app";

/// A pod with one container, `app`. The API server's own token is left out: its volume has a random name.
pub(crate) fn pod(name: &str, service_account: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {
            "serviceAccountName": service_account,
            "automountServiceAccountToken": false,
            "containers": [{"name": "app", "image": "registry.example.com/app:1"}],
        },
    })
}

/// Variables and mounts of each container, and the volumes.
pub(crate) fn identity(pod: &Value) -> Value {
    let mut containers = Map::new();
    for kind in ["initContainers", "containers", "ephemeralContainers"] {
        for container in pod["spec"][kind].as_array().into_iter().flatten() {
            let name = container["name"].as_str().unwrap().to_owned();
            containers
                .insert(name, json!({"env": container["env"], "volumeMounts": container["volumeMounts"]}));
        }
    }
    json!({"containers": containers, "volumes": pod["spec"]["volumes"]})
}

/// What [`identity`] gives for a pod without one whose containers have these names.
pub(crate) fn no_identity(containers: &[&str]) -> Value {
    let none = json!({"env": null, "volumeMounts": null});
    let containers: Map<_, _> = containers.iter().map(|&name| (name.to_owned(), none.clone())).collect();
    json!({"containers": containers, "volumes": null})
}

/// What [`identity`] gives for a pod with web identity, as defaults have it.
pub(crate) fn web_identity(containers: &[&str], role: &str) -> Value {
    WebIdentity { role, ..WebIdentity::default() }.of(containers)
}

/// A web identity.
pub(crate) struct WebIdentity<'a> {
    pub(crate) role: &'a str,
    /// Variables that come before the role's.
    pub(crate) variables: &'a [(&'a str, &'a str)],
    pub(crate) audience: &'a str,
    pub(crate) expiration: u64,
    pub(crate) mount_path: &'a str,
}

impl Default for WebIdentity<'_> {
    fn default() -> Self {
        WebIdentity {
            role: ROLE,
            variables: &[],
            audience: "sts.amazonaws.com",
            expiration: 86400,
            mount_path: "/var/run/secrets/eks.amazonaws.com/serviceaccount",
        }
    }
}

impl WebIdentity<'_> {
    /// What [`identity`] gives for a pod whose containers all have it.
    pub(crate) fn of(&self, containers: &[&str]) -> Value {
        let token_file = format!("{}/token", self.mount_path);
        let given = self.variables.iter().copied();
        let own = [("AWS_ROLE_ARN", self.role), ("AWS_WEB_IDENTITY_TOKEN_FILE", token_file.as_str())];
        let env: Vec<Value> =
            given.chain(own).map(|(name, value)| json!({"name": name, "value": value})).collect();
        let container = json!({
            "env": env,
            "volumeMounts": [{"name": "aws-iam-token", "readOnly": true, "mountPath": self.mount_path}],
        });
        let containers: Map<_, _> =
            containers.iter().map(|&name| (name.to_owned(), container.clone())).collect();
        let source = json!({"serviceAccountToken": {
            "audience": self.audience, "expirationSeconds": self.expiration, "path": "token",
        }});
        json!({
            "containers": containers,
            // The API server adds the mode.
            "volumes": [{"name": "aws-iam-token", "projected": {"sources": [source], "defaultMode": 420}}],
        })
    }
}
