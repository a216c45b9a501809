//! The objects that the policy finds when it asks for them.

use std::{collections::BTreeMap, fmt, sync::Arc};

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::error::Error;

/// A table of Kubernetes objects, and of lookups that fail. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Cluster {
    entries: Arc<BTreeMap<ObjectKey, Entry>>,
}

/// What names an object.
#[derive(Clone, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct ObjectKey {
    /// `v1`, `apps/v1`.
    pub api_version: String,
    /// `ServiceAccount`.
    pub kind: String,
    /// None for objects that belong to no namespace.
    #[serde(default)]
    pub namespace: Option<String>,
    /// The object's name.
    pub name: String,
}

#[derive(Clone, Debug)]
enum Entry {
    Object(Value),
    Error(String),
}

/// The answer to a lookup.
#[derive(Debug, PartialEq)]
pub(crate) enum Lookup<'a> {
    Found(&'a Value),
    /// The text that the guest gets.
    Failed(String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ClusterFile {
    #[serde(default)]
    objects: Vec<Value>,
    #[serde(default)]
    errors: Vec<ErrorEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct ErrorEntry {
    api_version: String,
    kind: String,
    #[serde(default)]
    namespace: Option<String>,
    name: String,
    message: String,
}

impl Cluster {
    /// Reads `{"objects": […], "errors": [{"apiVersion", "kind", "namespace", "name", "message"}]}`. Both lists are
    /// optional.
    pub fn from_json(file: &Value) -> Result<Self, Error> {
        let file = ClusterFile::deserialize(file).map_err(|error| Error::Cluster(error.to_string()))?;
        let mut cluster = Self::default();
        for object in file.objects {
            cluster.insert(object)?;
        }
        for ErrorEntry { api_version, kind, namespace, name, message } in file.errors {
            cluster.insert_error(ObjectKey { api_version, kind, namespace, name }, message)?;
        }
        Ok(cluster)
    }

    /// Adds an object under the name that it has in itself.
    pub fn insert(&mut self, object: Value) -> Result<(), Error> {
        let key = ObjectKey::of(&object)?;
        self.add(key, Entry::Object(typed_metadata(object)))
    }

    /// Makes the lookup of one object fail. The guest gets the message as it is: what comes from the API server is
    /// prefixed with `Callback evaluation failure: ` by policy-server, what comes from its own queue is not.
    pub fn insert_error(&mut self, key: ObjectKey, message: impl Into<String>) -> Result<(), Error> {
        self.add(key, Entry::Error(message.into()))
    }

    fn add(&mut self, key: ObjectKey, entry: Entry) -> Result<(), Error> {
        let entries = Arc::make_mut(&mut self.entries);
        if entries.contains_key(&key) {
            return Err(Error::Cluster(format!("{key} is given twice")));
        }
        entries.insert(key, entry);
        Ok(())
    }

    /// policy-server knows from the API server's discovery which kinds live in namespaces. Here the entries of a kind
    /// tell; a kind without entries is taken for one that lives where the guest looks for it.
    pub(crate) fn lookup(&self, key: &ObjectKey) -> Lookup<'_> {
        let mut of_kind = self
            .entries
            .keys()
            .filter(|other| other.api_version == key.api_version && other.kind == key.kind)
            .map(|other| other.namespace.is_some())
            .peekable();
        let known = of_kind.peek().is_some();
        let namespaced = of_kind.any(|namespaced| namespaced);

        if namespaced && key.namespace.is_none() {
            return Lookup::Failed(callback_failure(format!(
                "Resource {}/{} is namespaced, but no namespace was provided",
                key.api_version, key.kind
            )));
        }
        let entry = if known && !namespaced {
            self.entries.get(&ObjectKey { namespace: None, ..key.clone() })
        } else {
            self.entries.get(key)
        };
        match entry {
            Some(Entry::Object(object)) => Lookup::Found(object),
            Some(Entry::Error(message)) => Lookup::Failed(message.clone()),
            None => Lookup::Failed(callback_failure(format!(
                "Cannot find {}/{} named '{}' inside of namespace '{:?}'",
                key.api_version, key.kind, key.name, key.namespace
            ))),
        }
    }
}

impl ObjectKey {
    fn of(object: &Value) -> Result<Self, Error> {
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
        let required = |pointer: &str| {
            text(pointer).ok_or_else(|| {
                let name = pointer.trim_start_matches('/').replace('/', ".");
                Error::Cluster(format!("expected a string `{name}` in every object"))
            })
        };
        Ok(Self {
            api_version: required("/apiVersion")?,
            kind: required("/kind")?,
            namespace: text("/metadata/namespace"),
            name: required("/metadata/name")?,
        })
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { api_version, kind, namespace, name } = self;
        write!(formatter, "{api_version}/{kind} `")?;
        if let Some(namespace) = namespace {
            write!(formatter, "{namespace}/")?;
        }
        write!(formatter, "{name}`")
    }
}

/// How policy-server hands on an error of its Kubernetes client.
fn callback_failure(message: String) -> String {
    format!("Callback evaluation failure: {message}")
}

/// policy-server reads an object's metadata into a struct with these fields and prints it again, which drops nulls and
/// fields that the struct does not have.
fn typed_metadata(mut object: Value) -> Value {
    const FIELDS: [&str; 15] = [
        "annotations",
        "creationTimestamp",
        "deletionGracePeriodSeconds",
        "deletionTimestamp",
        "finalizers",
        "generateName",
        "generation",
        "labels",
        "managedFields",
        "name",
        "namespace",
        "ownerReferences",
        "resourceVersion",
        "selfLink",
        "uid",
    ];
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.retain(|field, value| FIELDS.contains(&field.as_str()) && !value.is_null());
    }
    object
}

/// Prints an object in policy-server's order: the fields that it keeps apart come first, the others sorted.
pub(crate) fn print(object: &Value) -> Result<Vec<u8>, serde_json::Error> {
    const FIRST: [&str; 3] = ["apiVersion", "kind", "metadata"];
    let empty = Map::new();
    let fields = object.as_object().unwrap_or(&empty);
    let first = FIRST.iter().filter_map(|name| fields.get_key_value(*name));
    let others = fields.iter().filter(|(name, _)| !FIRST.contains(&name.as_str()));

    let mut printed = vec![b'{'];
    for (index, (name, value)) in first.chain(others).enumerate() {
        if index > 0 {
            printed.push(b',');
        }
        serde_json::to_writer(&mut printed, name)?;
        printed.push(b':');
        serde_json::to_writer(&mut printed, value)?;
    }
    printed.push(b'}');
    Ok(printed)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn key(kind: &str, namespace: Option<&str>, name: &str) -> ObjectKey {
        ObjectKey {
            api_version: "v1".to_owned(),
            kind: kind.to_owned(),
            namespace: namespace.map(str::to_owned),
            name: name.to_owned(),
        }
    }

    fn cluster() -> Cluster {
        Cluster::from_json(&json!({
            "objects": [
                {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "ns"}},
                {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "ns"}},
            ],
            "errors": [
                {"apiVersion": "v1", "kind": "ConfigMap", "namespace": "ns", "name": "b", "message": "text"},
            ],
        }))
        .unwrap()
    }

    #[track_caller]
    fn check(wanted: ObjectKey, expected: Lookup<'_>) {
        assert_eq!(cluster().lookup(&wanted), expected);
    }

    #[test]
    fn objects_are_found_where_they_live() {
        let config_map =
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "ns"}});
        check(key("ConfigMap", Some("ns"), "a"), Lookup::Found(&config_map));
    }

    #[test]
    fn the_namespace_of_a_cluster_wide_kind_is_ignored() {
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "ns"}});
        check(key("Namespace", Some("other"), "ns"), Lookup::Found(&namespace));
    }

    #[test]
    fn failures_have_the_texts_of_policy_server() {
        let not_found =
            |text: &str| Lookup::Failed(format!("Callback evaluation failure: Cannot find {text}"));
        check(
            key("ConfigMap", Some("ns"), "x"),
            not_found("v1/ConfigMap named 'x' inside of namespace 'Some(\"ns\")'"),
        );
        check(key("Namespace", None, "x"), not_found("v1/Namespace named 'x' inside of namespace 'None'"));
        check(key("Pod", None, "x"), not_found("v1/Pod named 'x' inside of namespace 'None'"));
        check(
            key("ConfigMap", None, "a"),
            Lookup::Failed(
                "Callback evaluation failure: Resource v1/ConfigMap is namespaced, but no namespace was provided"
                    .to_owned(),
            ),
        );
        check(key("ConfigMap", Some("ns"), "b"), Lookup::Failed("text".to_owned()));
    }

    #[test]
    fn an_object_is_given_once() {
        let error = cluster().insert_error(key("ConfigMap", Some("ns"), "a"), "text").unwrap_err();
        assert_eq!(error.to_string(), "cannot use the cluster table: v1/ConfigMap `ns/a` is given twice");
    }

    #[test]
    fn metadata_is_typed_and_comes_first() {
        let mut cluster = Cluster::default();
        cluster
            .insert(json!({
                "aField": 1,
                "apiVersion": "v1",
                "kind": "Namespace",
                "metadata": {"annotations": null, "name": "ns", "newField": 1, "labels": {"a": "b"}},
                "zField": null,
            }))
            .unwrap();
        let Lookup::Found(object) = cluster.lookup(&key("Namespace", None, "ns")) else {
            panic!("not found")
        };
        assert_eq!(
            String::from_utf8(print(object).unwrap()).unwrap(),
            r#"{"apiVersion":"v1","kind":"Namespace","metadata":{"labels":{"a":"b"},"name":"ns"},"aField":1,"zField":null}"#
        );
    }
}
