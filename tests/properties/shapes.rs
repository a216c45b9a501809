//! Payloads that grow.

use policy_host::Cluster;
use serde_json::{Value, json};

mod cluster;
mod containers;
mod document;
mod settings;

const ROLE: &str = "arn:aws:iam::111122223333:role/api";

/// A payload that grows with `n`, and what is answered, so that the shape is known to reach what it is about.
pub(super) struct Shape {
    pub(super) name: &'static str,
    pub(super) n: usize,
    pub(super) input: fn(usize) -> Input,
}

pub(super) struct Input {
    pub(super) operation: &'static str,
    pub(super) payload: String,
    pub(super) cluster: Cluster,
    /// `accepted` or `valid`, whichever the operation answers.
    pub(super) accepted: bool,
    /// Whether the pod is changed.
    pub(super) changed: bool,
}

impl Input {
    fn refused(mut self) -> Self {
        (self.accepted, self.changed) = (false, false);
        self
    }

    fn unchanged(mut self) -> Self {
        self.changed = false;
        self
    }

    fn cluster(mut self, annotations: &Value) -> Self {
        self.cluster = Cluster::from_json(&json!({"objects": [{
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {"name": "api", "namespace": "pay", "annotations": annotations},
        }]}))
        .unwrap();
        self
    }
}

/// All of them.
pub(super) fn shapes() -> impl Iterator<Item = &'static Shape> {
    [document::SHAPES, containers::SHAPES, settings::SHAPES, cluster::SHAPES].into_iter().flatten()
}

/// A pod, written member by member. What is not said is ordinary.
#[derive(Default)]
struct Pod {
    annotations: String,
    labels: String,
    spec: String,
    init_containers: Option<String>,
    containers: Option<String>,
    volumes: String,
}

impl Pod {
    fn text(&self) -> String {
        let Self { annotations, labels, spec, init_containers, containers, volumes } = self;
        let containers = containers.as_deref().unwrap_or(r#"{"name":"app"}"#);
        let init =
            init_containers.as_ref().map_or(String::new(), |list| format!(r#","initContainers":[{list}]"#));
        let comma = if spec.is_empty() { "" } else { "," };
        format!(
            r#"{{"apiVersion":"v1","kind":"Pod","metadata":{{"annotations":{{{annotations}}},"labels":{{{labels}}},"name":"api-0","namespace":"pay"}},"spec":{{"containers":[{containers}]{init},"serviceAccountName":"api"{comma}{spec},"volumes":[{volumes}]}}}}"#
        )
    }

    /// Admitted by a service account with a role.
    fn create(&self) -> Input {
        self.create_with("{}").cluster(&json!({"eks.amazonaws.com/role-arn": ROLE}))
    }

    fn create_with(&self, settings: &str) -> Input {
        validate(
            &format!(
                r#""operation":"CREATE","resource":{{"group":"","version":"v1","resource":"pods"}},"object":{}"#,
                self.text()
            ),
            settings,
        )
    }
}

fn validate(request: &str, settings: &str) -> Input {
    Input {
        operation: "validate",
        payload: format!(r#"{{"request":{{"uid":"u","namespace":"pay",{request}}},"settings":{settings}}}"#),
        cluster: Cluster::default(),
        accepted: true,
        changed: true,
    }
}

fn settings(text: String, valid: bool) -> Input {
    Input {
        operation: "validate_settings",
        payload: text,
        cluster: Cluster::default(),
        accepted: valid,
        changed: false,
    }
}

/// `n` parts with commas between them.
fn list(n: usize, mut part: impl FnMut(usize) -> String) -> String {
    let mut out = String::new();
    for i in 0..n {
        if i > 0 {
            out.push(',');
        }
        out.push_str(&part(i));
    }
    out
}

fn containers(n: usize) -> String {
    list(n, |i| {
        format!(
            r#"{{"name":"c{i}","image":"registry.example.com/team/service:{i}","resources":{{"limits":{{"cpu":"1","memory":"1Gi"}}}}}}"#
        )
    })
}
