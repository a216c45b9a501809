//! The corpus: each folder below `testdata/cases` is one behaviour, and every host has to show it.
//!
//! | file | holds |
//! | --- | --- |
//! | `why.txt` | one line: which behaviour, and why it is so |
//! | `input.yaml` | what was sent to the API server to record the request; absent when it was written by hand |
//! | `request.json` | the AdmissionReview; absent when the case is about settings alone |
//! | `settings.json` | the settings; absent for the defaults |
//! | `cluster.json` | `objects` that a host finds, and `errors` that it meets; absent for an empty cluster |
//! | `expected.json` | the [`Answer`] |
//! | `expected-webhook.json` | the answer of the webhook, where it is meant to differ: see [`Host::Webhook`] |

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One folder.
#[derive(Clone, Debug)]
pub struct Case {
    /// The folder's name.
    pub name: String,
    /// The AdmissionReview.
    pub review: Option<Value>,
    /// The settings, as they are written.
    pub settings: String,
    /// What a host finds: `objects` and `errors`.
    pub cluster: Value,
    /// What is expected; `null` for a new case.
    pub expected: Value,
    /// What is expected of the webhook, when that is something else.
    expected_of_webhook: Option<Value>,
    folder: PathBuf,
}

/// Who answers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Host {
    /// The core, or the policy.
    Policy,
    /// The webhook. It answers as the policy does, but for three things.
    ///
    /// - With malformed settings it does not start, so there is no answer to a request.
    /// - It holds the mapping's ConfigMap, so that is never looked up for a request.
    /// - When it cannot look something up, what is to be done about it and how the API server's answer reads are
    ///   other words: these cases have an `expected-webhook.json`, which may differ in nothing else.
    Webhook,
}

/// What a host answers.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Answer {
    /// Whether the settings are accepted: what is wrong with them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settings_message: Option<String>,
    /// The objects that were looked up, in order, such as `v1/ServiceAccount pay/api`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lookups: Vec<String>,
    /// Whether the request is allowed; absent when the case is about settings alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allowed: Option<bool>,
    /// The HTTP status code of a refusal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<u16>,
    /// Why it is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The JSON Patch; absent when nothing changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patch: Option<Value>,
    /// What the user is told.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// What the audit log is told.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub audit_annotations: BTreeMap<String, String>,
}

impl Case {
    /// The object of the request.
    #[must_use]
    pub fn object(&self) -> Value {
        self.review.as_ref().and_then(|review| review.pointer("/request/object")).cloned().unwrap_or_default()
    }

    /// The object after a patch.
    ///
    /// # Errors
    ///
    /// When the patch does not fit.
    pub fn patched(&self, patch: &Value) -> Result<Value, String> {
        let mut object = self.object();
        let patch: json_patch::Patch =
            serde_json::from_value(patch.clone()).map_err(|error| error.to_string())?;
        json_patch::patch(&mut object, &patch).map_err(|error| error.to_string())?;
        Ok(object)
    }

    /// What is expected of a host.
    fn expected_of(&self, host: Host) -> Value {
        match (host, &self.expected_of_webhook) {
            (Host::Policy, _) => self.expected.clone(),
            (Host::Webhook, Some(expected)) => expected.clone(),
            (Host::Webhook, None) => self.without_what_only_policies_do(),
        }
    }

    /// Whether what is expected of the webhook is the same as of the policy, or differs in more than the words for
    /// why something could not be read.
    fn is_needlessly_different(&self) -> bool {
        let Some(expected) = &self.expected_of_webhook else { return false };
        let of_policy = self.without_what_only_policies_do();
        *expected == of_policy || without_reasons(expected) != without_reasons(&of_policy)
    }

    fn without_what_only_policies_do(&self) -> Value {
        let mut expected = self.expected.clone();
        let Some(members) = expected.as_object_mut() else { return expected };
        if members.contains_key("settingsMessage") {
            members.retain(|key, _| key == "settingsMessage");
        }
        let is_held = |lookup: &Value| lookup.as_str().is_some_and(|text| text.starts_with("v1/ConfigMap "));
        if let Some(Value::Array(lookups)) = members.get_mut("lookups") {
            lookups.retain(|lookup| !is_held(lookup));
        }
        members.retain(|key, value| key != "lookups" || value.as_array().is_none_or(|list| !list.is_empty()));
        expected
    }

    /// What the cluster answers for an object: its text, `None` when it is not there, or an error.
    ///
    /// # Errors
    ///
    /// What the cluster says.
    pub fn look_up(&self, kind: &str, namespace: &str, name: &str) -> Result<Option<String>, String> {
        let list = |key: &str| self.cluster.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
        if let Some(error) = list("errors").iter().find(|error| {
            is(error, "/kind", kind) && is(error, "/namespace", namespace) && is(error, "/name", name)
        }) {
            return Err(error.get("message").and_then(Value::as_str).unwrap_or_default().to_owned());
        }
        let is_wanted = |object: &&Value| {
            is(object, "/kind", kind)
                && is(object, "/metadata/namespace", namespace)
                && is(object, "/metadata/name", name)
        };
        Ok(list("objects").iter().find(is_wanted).map(Value::to_string))
    }
}

/// Texts as far as they say that something could not be read, not why.
fn without_reasons(value: &Value) -> Value {
    let cut = |text: &str| match text.split_once(" could not be read") {
        Some((what, _)) => what.to_owned(),
        None => text.to_owned(),
    };
    match value {
        Value::String(text) => cut(text).into(),
        Value::Array(values) => values.iter().map(without_reasons).collect(),
        Value::Object(members) => {
            members.iter().map(|(key, value)| (key.clone(), without_reasons(value))).collect()
        }
        value => value.clone(),
    }
}

fn is(object: &Value, pointer: &str, text: &str) -> bool {
    object.pointer(pointer).and_then(Value::as_str) == Some(text)
}

/// Every case, in the order of their names.
///
/// # Errors
///
/// When a file cannot be read.
pub fn cases(root: &Path) -> io::Result<Vec<Case>> {
    let mut folders: Vec<PathBuf> =
        fs::read_dir(root)?.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?;
    folders.retain(|folder| folder.is_dir());
    folders.sort();
    folders.into_iter().map(read_case).collect()
}

fn read_case(folder: PathBuf) -> io::Result<Case> {
    let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let read = |file: &str| match fs::read_to_string(folder.join(file)) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    };
    let json = |file: &str| match read(file)? {
        Some(text) => serde_json::from_str(&text)
            .map(Some)
            .map_err(|error| io::Error::other(format!("{name}/{file}: {error}"))),
        None => Ok(None),
    };
    if read("why.txt")?.is_none_or(|why| why.trim().is_empty() || why.trim().contains('\n')) {
        return Err(io::Error::other(format!("{name}/why.txt: expected one line")));
    }
    Ok(Case {
        review: json("request.json")?,
        settings: read("settings.json")?.unwrap_or_else(|| "{}".to_owned()),
        cluster: json("cluster.json")?.unwrap_or_default(),
        expected: json("expected.json")?.unwrap_or_default(),
        expected_of_webhook: json("expected-webhook.json")?,
        name,
        folder,
    })
}

/// Runs every case and compares whole answers; gives the differences, one text for each case that differs.
///
/// With `UPDATE_EXPECTATIONS=1` in the environment, what is answered becomes what is expected, so that the
/// change is seen as a diff. `CASES=part-of-a-name` runs some of them.
///
/// # Errors
///
/// When a file cannot be read or written.
pub fn differences(
    root: &Path,
    host: Host,
    mut answer: impl FnMut(&Case) -> Answer,
) -> io::Result<Vec<String>> {
    let update = env::var("UPDATE_EXPECTATIONS").is_ok_and(|value| value == "1");
    let only = env::var("CASES").unwrap_or_default();
    let mut differences = Vec::new();
    for case in cases(root)?.iter().filter(|case| case.name.contains(&only)) {
        if host == Host::Webhook && !update && case.is_needlessly_different() {
            let why = "expected-webhook.json may only differ in why something could not be read, and has to";
            differences.push(format!("{}\n{why}\n", case.name));
        }
        let found = serde_json::to_value(answer(case))?;
        let expected = case.expected_of(host);
        if found == expected {
            continue;
        }
        let (expected, found) = (pretty(&expected)?, pretty(&found)?);
        if update {
            let file = match host {
                Host::Policy => "expected.json",
                Host::Webhook => "expected-webhook.json",
            };
            fs::write(case.folder.join(file), found)?;
        } else {
            let diff = similar::TextDiff::from_lines(&expected, &found);
            differences.push(format!("{}\n{}", case.name, diff.unified_diff().context_radius(4)));
        }
    }
    Ok(differences)
}

fn pretty(value: &Value) -> io::Result<String> {
    Ok(serde_json::to_string_pretty(value)? + "\n")
}
