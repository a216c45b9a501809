//! What is sent: reviews as real API servers send them, settings and mappings of any length.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use serde_json::{Map, Value, json};

/// What the mappings' ConfigMap is called, with the Go webhook and here.
pub(crate) const CONFIG_MAP: &str = "pod-identity-webhook";
/// Where it is.
pub(crate) const CONFIG_MAP_NAMESPACE: &str = "eks";
/// For how long a large pod is made longer.
const LARGE: usize = 200_000;

/// A review, and the file from which it is sent.
#[derive(Clone, Debug)]
pub(crate) struct Input {
    /// `4kb`: part of the figures' names.
    pub(crate) size: &'static str,
    pub(crate) namespace: String,
    pub(crate) service_account: String,
    pub(crate) file: PathBuf,
    pub(crate) review: Value,
}

impl Input {
    /// The role that the pod is to get.
    pub(crate) fn role(&self) -> String {
        role(&self.service_account)
    }

    /// The same pod with something else about it.
    pub(crate) fn changed(&self, name: &str, change: impl FnOnce(&mut Value)) -> anyhow::Result<Self> {
        let mut review = self.review.clone();
        change(&mut review);
        let file = self.file.with_file_name(format!("pod-{}-{name}.json", self.size));
        input(self.size, review, file)
    }

    /// The same pod in another namespace.
    pub(crate) fn in_namespace(&self, namespace: &str) -> anyhow::Result<Self> {
        self.changed(namespace, |review| {
            for pointer in ["/request/namespace", "/request/object/metadata/namespace"] {
                if let Some(value) = review.pointer_mut(pointer) {
                    *value = json!(namespace);
                }
            }
        })
    }

    /// The same pod with the label that excuses it.
    pub(crate) fn left_alone(&self) -> anyhow::Result<Self> {
        self.changed("left-alone", |review| {
            let labels = review.pointer_mut("/request/object/metadata/labels").and_then(Value::as_object_mut);
            if let Some(labels) = labels {
                labels.insert("eks.amazonaws.com/skip-pod-identity-webhook".to_owned(), json!("true"));
            }
        })
    }
}

/// Pods of 4 KB and 20 KB as `testdata/reviews` has them, and one of 200 KB: the second with its containers ten times.
pub(crate) fn pods(root: &Path, work: &Path) -> anyhow::Result<[Input; 3]> {
    let read = |size: &'static str| {
        let name = format!("pod-{size}.json");
        let source = root.join("testdata/reviews").join(&name);
        let text = fs::read(&source).with_context(|| format!("cannot read `{}`", source.display()))?;
        input(size, serde_json::from_slice(&text)?, work.join(name))
    };
    let (small, medium) = (read("4kb")?, read("20kb")?);
    let large = input("200kb", enlarge(&medium.review), work.join("pod-200kb.json"))?;
    Ok([small, medium, large])
}

/// `{"serviceAccountAnnotations": false, "mapping": …}`.
pub(crate) fn settings(entries: usize, pods: &[Input]) -> Value {
    json!({"serviceAccountAnnotations": false, "mapping": mapping(entries, pods, Value::String)})
}

/// The document in the ConfigMap, as kOps writes it.
pub(crate) fn kops_mapping(entries: usize, pods: &[Input]) -> String {
    mapping(entries, pods, |role| json!({"RoleARN": role})).to_string()
}

/// A role's ARN.
pub(crate) fn role(name: &str) -> String {
    format!("arn:aws:iam::111122223333:role/{name}")
}

/// The pods' own entries, and others up to a number.
fn mapping(entries: usize, pods: &[Input], entry: impl Fn(String) -> Value) -> Value {
    let own =
        pods.iter().map(|pod| (format!("{}/{}", pod.namespace, pod.service_account), entry(pod.role())));
    let mut mapping: Map<String, Value> = own.collect();
    for number in 0..entries.saturating_sub(mapping.len()) {
        let name = format!("app-{number:05}");
        mapping.insert(format!("team-{:03}/{name}", number % 100), entry(role(&name)));
    }
    Value::Object(mapping)
}

/// More containers, with names of their own, until the review is long enough.
fn enlarge(review: &Value) -> Value {
    let mut review = review.clone();
    let mut length = review.to_string().len();
    let containers = review.pointer("/request/object/spec/containers").and_then(Value::as_array);
    let containers = containers.cloned().unwrap_or_default();
    let mut more = Vec::new();
    for round in 2.. {
        if length >= LARGE || containers.is_empty() {
            break;
        }
        for container in &containers {
            let mut container = container.clone();
            if let Some(Value::String(name)) = container.get_mut("name") {
                *name = format!("{name}-{round}");
            }
            length += container.to_string().len() + 1;
            more.push(container);
        }
    }
    if let Some(all) = review.pointer_mut("/request/object/spec/containers").and_then(Value::as_array_mut) {
        all.extend(more);
    }
    review
}

fn input(size: &'static str, review: Value, file: PathBuf) -> anyhow::Result<Input> {
    let text = |pointer: &str| {
        let value = review.pointer(pointer).and_then(Value::as_str);
        value.map(str::to_owned).with_context(|| format!("expected `{pointer}` in a review"))
    };
    let namespace = text("/request/namespace")?;
    let service_account = text("/request/object/spec/serviceAccountName")?;
    fs::write(&file, review.to_string()).with_context(|| format!("cannot write `{}`", file.display()))?;
    Ok(Input { size, namespace, service_account, file, review })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod() -> Input {
        let review = json!({"request": {"namespace": "shop", "object": {
            "metadata": {"namespace": "shop", "labels": {}},
            "spec": {"serviceAccountName": "api", "containers": [{"name": "a", "image": "i".repeat(1000)}]},
        }}});
        let file = std::env::temp_dir().join(format!("bench-input-{}.json", std::process::id()));
        input("4kb", review, file).unwrap()
    }

    #[test]
    fn mappings_hold_the_pods_own_entries_among_others() {
        let pods = [pod()];
        assert_eq!(
            settings(3, &pods),
            json!({"serviceAccountAnnotations": false, "mapping": {
                "shop/api": "arn:aws:iam::111122223333:role/api",
                "team-000/app-00000": "arn:aws:iam::111122223333:role/app-00000",
                "team-001/app-00001": "arn:aws:iam::111122223333:role/app-00001",
            }})
        );
        assert_eq!(
            kops_mapping(0, &pods),
            r#"{"shop/api":{"RoleARN":"arn:aws:iam::111122223333:role/api"}}"#
        );
        // A ConfigMap holds at most 1 MiB.
        assert!(kops_mapping(10_000, &pods).len() < 1 << 20);
    }

    #[test]
    fn a_large_pod_has_containers_of_different_names() {
        let large = enlarge(&pod().review);
        let length = large.to_string().len();
        assert!((LARGE..LARGE + 2000).contains(&length), "{length}");
        let containers = large.pointer("/request/object/spec/containers").unwrap().as_array().unwrap();
        let mut names: Vec<&str> =
            containers.iter().map(|container| container["name"].as_str().unwrap()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), containers.len());
    }

    #[test]
    fn a_pod_moves_with_its_request() {
        let moved = pod().in_namespace("other").unwrap();
        fs::remove_file(&moved.file).unwrap();
        assert_eq!(
            (moved.namespace.as_str(), moved.review.pointer("/request/object/metadata/namespace")),
            ("other", Some(&json!("other")))
        );
    }
}
