//! Turns a plan into edits of the text, and these into a JSON Patch or into the changed object.
//!
//! Both come from the same edits, so that they cannot disagree. Everything that is not edited stays the same
//! bytes.

use core::ops::Range;

use crate::json::write_string;
use crate::message::{joined, message, number};
use crate::plan::{
    Addition, EnvValue, EnvVar, List, POD_IDENTITY_LABEL, PodPlan, ServiceAccountPlan, Volume,
};
use crate::pod::{Bracket, Pod, Slot, StringMap};

/// A change of a text, and what it is as operations of a JSON Patch.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Edit {
    /// The bytes that are replaced; empty for an addition.
    at: Range<usize>,
    /// Whether something stands before it in the same array or object.
    comma: bool,
    text: String,
    operations: Vec<Operation>,
}

/// An operation of a JSON Patch ([RFC 6902](https://www.rfc-editor.org/rfc/rfc6902)).
#[derive(Clone, Debug, Eq, PartialEq)]
struct Operation {
    op: &'static str,
    path: String,
    /// Absent for `remove`.
    value: Option<String>,
}

/// The labels of a pod that has none.
const POD_IDENTITY_LABELS: &str = "{\"eks.amazonaws.com/pod-identity\":\"enabled\"}";

/// What is done to an object.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Change<'a> {
    object: &'a str,
    edits: Vec<Edit>,
}

impl<'a> Change<'a> {
    pub(crate) fn new(object: &'a str, found: Vec<Edit>) -> Self {
        // They come in a few runs, each in order: these are the edits before and, the other way round, behind the
        // place of the last one. Edits at the same place stay in order.
        let mut edits: Vec<Edit> = Vec::with_capacity(found.len());
        let mut behind: Vec<Edit> = Vec::new();
        for edit in found {
            let start = edit.at.start;
            while let Some(last) = edits.pop_if(|last| last.at.start > start) {
                behind.push(last);
            }
            while let Some(next) = behind.pop_if(|next| next.at.start <= start) {
                edits.push(next);
            }
            edits.push(edit);
        }
        while let Some(next) = behind.pop() {
            edits.push(next);
        }
        Self { object, edits }
    }

    /// The length of the changed object, in bytes, or a little more.
    #[must_use]
    pub fn object_len(&self) -> usize {
        self.object.len() + self.edits.iter().map(|edit| edit.text.len() + 1).sum::<usize>()
    }

    /// Appends the changed object.
    pub fn write_object(&self, out: &mut String) {
        out.reserve(self.object_len());
        let mut from = 0;
        let mut previous = None;
        for edit in &self.edits {
            out.push_str(self.object.get(from..edit.at.start).unwrap_or_default());
            // What was added at the same place stands before it.
            if edit.comma || previous == Some(&edit.at) {
                out.push(',');
            }
            out.push_str(&edit.text);
            from = edit.at.end;
            previous = Some(&edit.at);
        }
        out.push_str(self.object.get(from..).unwrap_or_default());
    }

    /// Appends the JSON Patch.
    pub fn write_patch(&self, out: &mut String) {
        let operations = self.edits.iter().flat_map(|edit| &edit.operations);
        for (i, operation) in operations.enumerate() {
            out.push_str(if i == 0 { "[{\"op\":\"" } else { ",{\"op\":\"" });
            out.push_str(operation.op);
            out.push_str("\",\"path\":");
            write_string(out, &operation.path);
            if let Some(value) = &operation.value {
                out.push_str(",\"value\":");
                out.push_str(value);
            }
            out.push('}');
        }
        out.push(']');
    }
}

/// What a plan is as edits of the pod.
pub(crate) fn pod_edits(pod: &Pod<'_>, plan: &PodPlan<'_>) -> Vec<Edit> {
    let mut edits = Vec::new();
    for addition in &plan.additions {
        container_edits(pod, addition, &mut edits);
    }
    if let Some(volume) = &plan.volume {
        let values = vec![volume_json(volume)];
        edits.push(append(&pod.volumes_slot, pod.spec, "/spec", "volumes", values));
    }
    if plan.label {
        edits.push(label_edit(pod));
    }
    edits
}

fn container_edits(pod: &Pod<'_>, addition: &Addition<'_>, edits: &mut Vec<Edit>) {
    let (list, containers) = match addition.list {
        List::Init => ("initContainers", &pod.init_containers),
        List::Main => ("containers", &pod.containers),
        List::Ephemeral => ("ephemeralContainers", &pod.ephemeral_containers),
    };
    let Some(container) = containers.get(addition.index) else { return };
    let path = message("/spec/{=}/{=}", &[list, &number(addition.index as u64)]);
    if !addition.env.is_empty() {
        let values = addition.env.iter().map(env_json).collect();
        edits.push(append(&container.env_slot, container.bracket, &path, "env", values));
    }
    if let Some((name, mount_path)) = &addition.mount {
        let mut value = String::from("{\"name\":");
        write_string(&mut value, name);
        value.push_str(",\"readOnly\":true,\"mountPath\":");
        write_string(&mut value, mount_path);
        value.push('}');
        edits.push(append(&container.mounts_slot, container.bracket, &path, "volumeMounts", vec![value]));
    }
}

/// Appends to an array that may not be there yet.
fn append(slot: &Slot, outer: Bracket, outer_path: &str, key: &str, values: Vec<String>) -> Edit {
    let path = message("{=}/{=}", &[outer_path, key]);
    match slot {
        Slot::Present(bracket) => {
            let text = joined(&values, ",");
            let end = path + "/-";
            let operations = values
                .into_iter()
                .map(|value| Operation { op: "add", path: end.clone(), value: Some(value) })
                .collect();
            Edit { at: bracket.close..bracket.close, comma: !bracket.empty, text, operations }
        }
        slot => put(slot, outer, path, key, message("[{=}]", &[&joined(&values, ",")])),
    }
}

/// Puts a member where none is, or only a `null`.
fn put(slot: &Slot, outer: Bracket, path: String, key: &str, value: String) -> Edit {
    if let Slot::Null(range) = slot {
        let operations = vec![Operation { op: "replace", path, value: Some(value.clone()) }];
        return Edit { at: range.clone(), comma: false, text: value, operations };
    }
    let mut text = String::with_capacity(key.len() + value.len() + 3);
    write_string(&mut text, key);
    text.push(':');
    text.push_str(&value);
    let operations = vec![Operation { op: "add", path, value: Some(value) }];
    Edit { at: outer.close..outer.close, comma: !outer.empty, text, operations }
}

fn label_edit(pod: &Pod<'_>) -> Edit {
    let metadata = match &pod.metadata.slot {
        Slot::Present(bracket) => *bracket,
        slot => {
            let value = message("{\"labels\":{=}}", &[POD_IDENTITY_LABELS]);
            return put(slot, pod.root, "/metadata".to_owned(), "metadata", value);
        }
    };
    match &pod.metadata.labels.slot {
        Slot::Present(bracket) => {
            let path = "/metadata/labels/".to_owned() + &pointer_segment(POD_IDENTITY_LABEL);
            put(&Slot::Absent, *bracket, path, POD_IDENTITY_LABEL, "\"enabled\"".to_owned())
        }
        slot => put(slot, metadata, "/metadata/labels".to_owned(), "labels", POD_IDENTITY_LABELS.to_owned()),
    }
}

fn env_json(variable: &EnvVar<'_>) -> String {
    let mut out = String::from("{\"name\":");
    write_string(&mut out, variable.name);
    match &variable.value {
        EnvValue::Text(text) => {
            out.push_str(",\"value\":");
            write_string(&mut out, text);
        }
        EnvValue::PodName => out.push_str(",\"valueFrom\":{\"fieldRef\":{\"fieldPath\":\"metadata.name\"}}"),
    }
    out.push('}');
    out
}

fn volume_json(volume: &Volume<'_>) -> String {
    let mut out = String::from("{\"name\":");
    write_string(&mut out, volume.name);
    out.push_str(",\"projected\":{");
    if let Some(mode) = volume.file_mode {
        out.push_str(&message("\"defaultMode\":{=},", &[&number(mode.into())]));
    }
    out.push_str("\"sources\":[{\"serviceAccountToken\":{\"audience\":");
    write_string(&mut out, volume.audience);
    out.push_str(&message(",\"expirationSeconds\":{=},\"path\":", &[&number(volume.expiration.seconds())]));
    write_string(&mut out, volume.path);
    out.push_str("}}]}}");
    out
}

/// What a plan is as edits of the service account.
pub(crate) fn service_account_edits(
    object: &str,
    metadata: &Slot,
    annotations: &StringMap<'_>,
    plan: &ServiceAccountPlan,
) -> Vec<Edit> {
    let added =
        plan.annotations.iter().filter_map(|change| Some((change.key.as_str(), change.value.as_deref()?)));
    let Slot::Present(bracket) = &annotations.slot else {
        let Slot::Present(metadata) = metadata else { return Vec::new() };
        let path = "/metadata/annotations".to_owned();
        return vec![put(&annotations.slot, *metadata, path, "annotations", object_json(added))];
    };
    // The entries that stay keep their bytes; those that change are written at the end.
    let kept =
        annotations.spans().filter(|(key, _)| !plan.annotations.iter().any(|change| change.key == *key));
    let mut inside: Vec<String> =
        kept.map(|(_, span)| object.get(span.clone()).unwrap_or_default().to_owned()).collect();
    let written = object_json(added);
    if let Some(written) =
        written.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).filter(|w| !w.is_empty())
    {
        inside.push(written.to_owned());
    }
    let operations = plan
        .annotations
        .iter()
        .map(|change| {
            let path = "/metadata/annotations/".to_owned() + &pointer_segment(&change.key);
            let op = match (change.present, &change.value) {
                (_, None) => "remove",
                (true, Some(_)) => "replace",
                (false, Some(_)) => "add",
            };
            let value = change.value.as_ref().map(|value| {
                let mut out = String::new();
                write_string(&mut out, value);
                out
            });
            Operation { op, path, value }
        })
        .collect();
    vec![Edit {
        at: annotations.open + 1..bracket.close,
        comma: false,
        text: joined(&inside, ","),
        operations,
    }]
}

fn object_json<'t>(members: impl Iterator<Item = (&'t str, &'t str)>) -> String {
    let mut out = String::from("{");
    for (key, value) in members {
        if out.len() > 1 {
            out.push(',');
        }
        write_string(&mut out, key);
        out.push(':');
        write_string(&mut out, value);
    }
    out.push('}');
    out
}

/// A key as a part of a JSON Pointer ([RFC 6901](https://www.rfc-editor.org/rfc/rfc6901)).
fn pointer_segment(key: &str) -> String {
    let mut out = String::with_capacity(key.len() + 2);
    for c in key.chars() {
        match c {
            '~' => out.push_str("~0"),
            '/' => out.push_str("~1"),
            c => out.push(c),
        }
    }
    out
}
