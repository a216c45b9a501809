//! What is read of the API server's objects, and how: nothing is kept but what counts.
//!
//! The types of a client library would do, but for two things: a list that holds one object they cannot read is lost as a
//! whole, and they are made for every object before anything is dropped.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::Annotations;

/// What is read of a ServiceAccount.
#[derive(Debug)]
pub(super) struct ServiceAccount<'a> {
    pub(super) namespace: Cow<'a, str>,
    pub(super) name: Cow<'a, str>,
    /// A number that grows with every change, as Kubernetes 1.35 promises and every version before had it
    /// (<https://kubernetes.io/docs/reference/using-api/api-concepts/#resource-versions>); `None` when it is none.
    pub(super) version: Option<u64>,
    /// Those with the prefix, without it. `None` when they cannot be read.
    pub(super) annotations: Option<Vec<(Cow<'a, str>, Cow<'a, str>)>>,
}

/// An object as it comes. A list's items do not say what they are.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Object<'a> {
    #[serde(borrow)]
    api_version: Option<Text<'a>>,
    #[serde(borrow)]
    kind: Option<Text<'a>>,
    #[serde(borrow)]
    metadata: Metadata<'a>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata<'a> {
    #[serde(borrow)]
    namespace: Option<Text<'a>>,
    #[serde(borrow)]
    name: Option<Text<'a>>,
    #[serde(borrow)]
    resource_version: Option<Text<'a>>,
    #[serde(borrow)]
    annotations: Option<&'a RawValue>,
}

/// Text that is borrowed when it has no escapes.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'a> ServiceAccount<'a> {
    /// Reads a ServiceAccount; `None` when it has no names, or is something else.
    pub(super) fn read(json: &'a [u8], prefix: &str) -> Option<Self> {
        let object = Object::read(json, "ServiceAccount")?;
        let annotations = match object.metadata.annotations {
            None => Some(Vec::new()),
            Some(map) => {
                Prefixed(prefix).deserialize(&mut serde_json::Deserializer::from_str(map.get())).ok()
            }
        };
        Some(Self {
            namespace: object.metadata.namespace?.0,
            name: object.metadata.name?.0,
            version: object.metadata.resource_version.and_then(|version| version.0.parse().ok()),
            annotations,
        })
    }

    /// Its annotations, as they are handed out.
    pub(super) fn held_annotations(&self, prefix: &str) -> Annotations {
        let mut annotations = Annotations::default();
        for (key, value) in self.annotations.iter().flatten() {
            annotations.push(prefix, key, value);
        }
        annotations
    }
}

/// What is read of a ConfigMap: the document under a key. `None` when it cannot be read or is another one.
pub(super) fn config_map_document(json: &[u8], namespace: &str, name: &str, key: &str) -> Option<Document> {
    let object = Object::read(json, "ConfigMap")?;
    if object.metadata.namespace?.0 != namespace || object.metadata.name?.0 != name {
        return None;
    }
    let Some(data) = object.data else { return Some(Document::NotThere) };
    let document = Member(key).deserialize(&mut serde_json::Deserializer::from_str(data.get())).ok()?;
    Some(document.map_or(Document::NotThere, |document| Document::There(document.into_owned())))
}

/// A document in a ConfigMap.
#[derive(Debug, Eq, Hash, PartialEq)]
pub(super) enum Document {
    /// Its text.
    There(String),
    /// There is no such key.
    NotThere,
}

/// The version of whatever it is, as it stands.
pub(super) fn resource_version(json: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Versioned<'a> {
        #[serde(borrow)]
        metadata: ListMetadata<'a>,
    }
    let object: Versioned<'_> = serde_json::from_slice(json).ok()?;
    object.metadata.version()
}

/// What is read of a list besides its items.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ListMetadata<'a> {
    #[serde(borrow)]
    resource_version: Option<Text<'a>>,
    #[serde(borrow, rename = "continue")]
    next: Option<Text<'a>>,
}

impl ListMetadata<'_> {
    /// The list's version.
    pub(super) fn version(self) -> Option<String> {
        self.resource_version.map(|version| version.0.into_owned()).filter(|version| !version.is_empty())
    }

    /// How the next page is asked for; `None` on the last.
    pub(super) fn next(&self) -> Option<String> {
        self.next.as_ref().map(|next| next.0.to_string()).filter(|next| !next.is_empty())
    }
}

/// A line of a watch.
#[derive(Deserialize)]
pub(super) struct Event<'a> {
    /// `ADDED`, `MODIFIED`, `DELETED`, `BOOKMARK` or `ERROR`.
    #[serde(borrow, rename = "type")]
    pub(super) kind: Cow<'a, str>,
    #[serde(borrow)]
    object: &'a RawValue,
}

impl Event<'_> {
    /// What it happened to.
    pub(super) fn object(&self) -> &[u8] {
        self.object.get().as_bytes()
    }
}

/// What the API server says when something is wrong
/// (<https://kubernetes.io/docs/reference/generated/kubernetes-api/v1.33/#status-v1-meta>).
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Status {
    kind: String,
    reason: String,
    code: u16,
    details: Option<StatusDetails>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct StatusDetails {
    name: String,
    causes: Option<Vec<StatusCause>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct StatusCause {
    reason: String,
}

impl Status {
    /// Reads it; anything else says nothing.
    pub(super) fn read(json: &[u8]) -> Self {
        let status: Self = serde_json::from_slice(json).unwrap_or_default();
        if status.kind == "Status" { status } else { Self::default() }
    }

    /// The HTTP status that goes with it.
    pub(super) fn code(&self) -> u16 {
        self.code
    }

    /// Whether the API server itself says that an object is not there: a proxy may answer 404, too.
    pub(super) fn says_not_found(&self, name: &str) -> bool {
        self.reason == "NotFound" && self.details.as_ref().is_some_and(|details| details.name == name)
    }

    /// Whether a version is too old to go on from, or one that this API server has not reached: after a restore
    /// of etcd it may never.
    pub(super) fn says_expired(&self) -> bool {
        let causes = self.details.iter().flat_map(|details| details.causes.iter().flatten());
        self.code == 410
            || matches!(self.reason.as_str(), "Expired" | "Gone")
            || causes.into_iter().any(|cause| cause.reason == "ResourceVersionTooLarge")
    }
}

impl<'a> Object<'a> {
    fn read(json: &'a [u8], kind: &str) -> Option<Self> {
        let object: Self = serde_json::from_slice(json).ok()?;
        let is =
            |found: &Option<Text<'_>>, wanted: &str| found.as_ref().is_none_or(|found| found.0 == wanted);
        (is(&object.kind, kind) && is(&object.api_version, "v1")).then_some(object)
    }
}

/// The members of a map of texts whose keys have a prefix.
struct Prefixed<'p>(&'p str);

impl<'de> DeserializeSeed<'de> for Prefixed<'_> {
    type Value = Vec<(Cow<'de, str>, Cow<'de, str>)>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Prefixed<'_> {
    type Value = Vec<(Cow<'de, str>, Cow<'de, str>)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map of texts")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Vec::new())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = Vec::new();
        while let Some(Text(key)) = map.next_key()? {
            match without_prefix(&key, self.0) {
                Some(name) => found.push((Cow::Owned(name.to_owned()), map.next_value::<Text<'_>>()?.0)),
                None => _ = map.next_value::<IgnoredAny>()?,
            }
        }
        Ok(found)
    }
}

fn without_prefix<'k>(key: &'k str, prefix: &str) -> Option<&'k str> {
    key.strip_prefix(prefix)?.strip_prefix('/')
}

/// One member of a map of texts.
struct Member<'k>(&'k str);

impl<'de> DeserializeSeed<'de> for Member<'_> {
    type Value = Option<Cow<'de, str>>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Member<'_> {
    type Value = Option<Cow<'de, str>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map of texts")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(Text(key)) = map.next_key()? {
            if key == self.0 {
                found = Some(map.next_value::<Text<'_>>()?.0);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Read = (String, String, Option<u64>, Option<Vec<(String, String)>>);

    fn read(json: &str) -> Option<Read> {
        let object = ServiceAccount::read(json.as_bytes(), "eks.amazonaws.com")?;
        let annotations = object.annotations.map(|annotations| {
            annotations.into_iter().map(|(key, value)| (key.into_owned(), value.into_owned())).collect()
        });
        Some((object.namespace.into_owned(), object.name.into_owned(), object.version, annotations))
    }

    #[test]
    fn reads_what_counts_of_service_accounts() {
        let names = r#""namespace":"shop","name":"api""#;
        let is = |version, annotations: Option<&[(&str, &str)]>| {
            let annotations = annotations.map(|some| {
                some.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
            });
            Some(("shop".to_owned(), "api".to_owned(), version, annotations))
        };
        for (json, expected) in [
            (format!(r#"{{"metadata":{{{names},"resourceVersion":"42"}}}}"#), is(Some(42), Some(&[]))),
            (
                format!(r#"{{"metadata":{{{names},"annotations":null,"labels":[1]}},"x":{{}}}}"#),
                is(None, Some(&[])),
            ),
            (
                format!(
                    r#"{{"kind":"ServiceAccount","apiVersion":"v1","metadata":{{{names},"resourceVersion":"x","annotations":
                    {{"eks.amazonaws.com/role-arn":"a\n","eks.amazonaws.comx/y":1,"eks.amazonaws.com":"","o\u0074her/z":[]}}}}}}"#
                ),
                is(None, Some(&[("role-arn", "a\n")])),
            ),
            (
                format!(r#"{{"metadata":{{{names},"annotations":{{"eks.amazonaws.com/region":1}}}}}}"#),
                is(None, None),
            ),
            (format!(r#"{{"metadata":{{{names},"annotations":[]}}}}"#), is(None, None)),
            (format!(r#"{{"kind":"ConfigMap","metadata":{{{names}}}}}"#), None),
            (format!(r#"{{"apiVersion":"v2","metadata":{{{names}}}}}"#), None),
            (r#"{"metadata":{"name":"api"}}"#.to_owned(), None),
            (r#"{"metadata":{"namespace":"shop","name":7}}"#.to_owned(), None),
            ("{}".to_owned(), None),
            ("null".to_owned(), None),
            ("<html>".to_owned(), None),
            (format!(r#"{{"metadata":{{{names}"#), None),
        ] {
            assert_eq!(read(&json), expected, "{json}");
        }
    }

    #[test]
    fn reads_one_document_of_the_config_map_that_was_asked_for() {
        let names = r#""namespace":"eks","name":"map""#;
        for (json, expected) in [
            (
                format!(r#"{{"metadata":{{{names}}},"data":{{"other":"","config":"{{\"a\":1}}"}}}}"#),
                Some(Document::There(r#"{"a":1}"#.to_owned())),
            ),
            (format!(r#"{{"metadata":{{{names}}},"data":{{"other":""}}}}"#), Some(Document::NotThere)),
            (format!(r#"{{"metadata":{{{names}}},"data":null}}"#), Some(Document::NotThere)),
            (format!(r#"{{"metadata":{{{names}}}}}"#), Some(Document::NotThere)),
            (format!(r#"{{"metadata":{{{names}}},"data":{{"config":1}}}}"#), None),
            (r#"{"metadata":{"namespace":"eks","name":"other"},"data":{"config":""}}"#.to_owned(), None),
        ] {
            assert_eq!(config_map_document(json.as_bytes(), "eks", "map", "config"), expected, "{json}");
        }
    }

    #[test]
    fn knows_what_a_status_says() {
        let says = |json: &str| {
            let status = Status::read(json.as_bytes());
            (status.code(), status.says_not_found("api"), status.says_expired())
        };
        for (json, expected) in [
            (
                r#"{"kind":"Status","code":404,"reason":"NotFound","details":{"name":"api"}}"#,
                (404, true, false),
            ),
            (
                r#"{"kind":"Status","code":404,"reason":"NotFound","details":{"name":"x"}}"#,
                (404, false, false),
            ),
            (r#"{"kind":"Status","code":404,"reason":"NotFound"}"#, (404, false, false)),
            (
                r#"{"kind":"Other","code":404,"reason":"NotFound","details":{"name":"api"}}"#,
                (0, false, false),
            ),
            (r#"{"kind":"Status","code":410,"reason":"Expired"}"#, (410, false, true)),
            (
                r#"{"kind":"Status","code":504,"details":{"causes":[{"reason":"ResourceVersionTooLarge"}]}}"#,
                (504, false, true),
            ),
            ("404 page not found", (0, false, false)),
        ] {
            assert_eq!(says(json), expected, "{json}");
        }
    }
}
