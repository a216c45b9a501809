//! An example for each named difference: what the tests check, and what every run begins with.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::flags::{Flags, VARIANTS};
use crate::scene::{Cluster, Review};

const NAMESPACE: &str = "examples";

/// A review in which nothing but the named differences matter.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Example {
    /// Names the ServiceAccount, and where `NAME` stands.
    pub(crate) name: String,
    /// The names of the differences, in their order.
    pub(crate) differences: Vec<String>,
    #[serde(default = "defaults")]
    pub(crate) variant: String,
    /// The ServiceAccount's annotations, without the prefix; absent when there is no such ServiceAccount.
    account: Option<BTreeMap<String, String>>,
    /// Entries for the ConfigMap of the variant.
    #[serde(default)]
    entries: Map<String, Value>,
    /// Entries for the identities file.
    #[serde(default)]
    identities: Vec<Value>,
    /// Merged into a pod with one container.
    #[serde(default = "empty")]
    pod: Value,
    /// Merged into the request.
    #[serde(default = "empty")]
    request: Value,
    #[serde(default)]
    repeats_account: bool,
    /// Levels of a field that nobody knows.
    #[serde(default)]
    nested: usize,
}

fn defaults() -> String {
    "defaults".to_owned()
}

fn empty() -> Value {
    json!({})
}

impl Example {
    pub(crate) fn flags(&self) -> Option<&'static Flags> {
        VARIANTS.iter().find(|flags| flags.variant == self.variant)
    }

    pub(crate) fn review(&self) -> Review {
        let mut pod = json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "api-0", "namespace": NAMESPACE},
            "spec": {
                "serviceAccountName": self.name,
                "containers": [{"name": "app", "image": "registry.example.com/app:1", "resources": {"limits": {"cpu": "1"}}}],
            },
        });
        json_patch::merge(&mut pod, &self.named(&self.pod));
        if self.nested > 0 {
            let field = (0..self.nested).fold(json!([]), |inner, _| json!([inner]));
            json_patch::merge(&mut pod, &json!({"spec": {"futureField": field}}));
        }
        let mut review = Review::of(pod, NAMESPACE, "00000000-0000-4000-8000-000000000000");
        if let Some(request) = review.value.get_mut("request") {
            json_patch::merge(request, &self.named(&self.request));
        }
        review.repeats_account = self.repeats_account;
        review
    }

    /// Puts what it needs into a cluster.
    fn add_to(&self, cluster: &mut Cluster) -> Option<()> {
        let flags = self.flags()?;
        if let Some(annotations) = &self.account {
            let prefixed =
                annotations.iter().map(|(name, value)| (format!("{}/{name}", flags.prefix()), value.clone()));
            cluster.accounts.insert((NAMESPACE.to_owned(), self.name.clone()), prefixed.collect());
        }
        let mapping = cluster.mappings.entry(flags.config_map_namespace().to_owned()).or_insert(json!({}));
        for (key, entry) in &self.entries {
            mapping.as_object_mut()?.insert(key.replace("NAME", &self.name), self.named(entry));
        }
        cluster.identities.extend(self.identities.iter().map(|identity| self.named(identity)));
        Some(())
    }

    fn named(&self, value: &Value) -> Value {
        match value {
            Value::String(text) => text.replace("NAME", &self.name).into(),
            Value::Array(list) => list.iter().map(|value| self.named(value)).collect(),
            Value::Object(members) => {
                members.iter().map(|(key, value)| (key.clone(), self.named(value))).collect()
            }
            value => value.clone(),
        }
    }
}

/// All examples.
pub(crate) fn all() -> Result<Vec<Example>> {
    serde_saphyr::from_str(include_str!("../examples.yaml")).context("examples.yaml")
}

/// Puts what all examples need into a cluster.
pub(crate) fn add_all(cluster: &mut Cluster) -> Result<()> {
    for example in all()? {
        example.add_to(cluster).with_context(|| format!("example {}: no such variant", example.name))?;
    }
    Ok(())
}
