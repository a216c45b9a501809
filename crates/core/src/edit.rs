//! Turns a plan into edits of the text, and these into a JSON Patch or into the changed object.
//!
//! Both come from the same edits, so that they cannot disagree. Everything that is not edited stays the same
//! bytes.

use alloc::string::String;
use alloc::vec::Vec;
use core::ops::Range;

use crate::ascii;
use crate::json::write_string;
use crate::message::write_number;
use crate::plan::{
    Addition, EnvValue, EnvVar, List, POD_IDENTITY_LABEL, PodPlan, ServiceAccountPlan, Volume,
};
use crate::pod::{Bracket, Pod, Slot, StringMap};
use crate::room;

/// A change of a text, and what it is as operations of a JSON Patch.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Edit {
    /// The bytes that are replaced; empty for an addition.
    at: Range<usize>,
    /// Whether something stands before it in the same array or object.
    comma: bool,
    /// What is written there, as a place in [`Edits::written`].
    text: Range<usize>,
    /// Places in [`Edits::operations`].
    operations: Range<usize>,
}

/// An operation of a JSON Patch ([RFC 6902](https://www.rfc-editor.org/rfc/rfc6902)).
#[derive(Clone, Debug, Eq, PartialEq)]
struct Operation {
    op: &'static str,
    /// A place in [`Edits::written`].
    path: Range<usize>,
    /// A place in [`Edits::written`]; empty for `remove`.
    value: Range<usize>,
}

/// Edits of a text. What they write stands in one place, once, for the patch and for the changed text.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Edits {
    written: String,
    edits: Vec<Edit>,
    operations: Vec<Operation>,
}

/// The path of a member in a JSON Patch.
struct Path<'p> {
    before: &'p str,
    /// The place of an element, when the member is in one.
    index: Option<usize>,
    /// Escaped for paths.
    name: &'p str,
}

impl<'p> Path<'p> {
    fn new(before: &'p str, name: &'p str) -> Self {
        Self { before, index: None, name }
    }

    fn write(&self, out: &mut String) {
        out.push_str(self.before);
        if let Some(index) = self.index {
            write_number(out, index as u64);
            out.push('/');
        }
        out.push_str(self.name);
    }
}

/// Writes a value, or one of several.
type Write<'w> = &'w mut dyn FnMut(&mut String, usize);

const POD_IDENTITY_LABELS: [(&str, &str); 1] = [(POD_IDENTITY_LABEL, "enabled")];

/// What is done to an object.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Change<'a> {
    object: &'a str,
    edits: Edits,
}

impl<'a> Change<'a> {
    pub(crate) fn new(object: &'a str, mut edits: Edits) -> Self {
        edits.sort();
        Self { object, edits }
    }

    /// The length of the changed object, in bytes, or a little more.
    #[must_use]
    pub fn object_len(&self) -> usize {
        self.object.len() + self.edits.written.len() + self.edits.edits.len()
    }

    /// Appends the changed object.
    pub fn write_object(&self, out: &mut String) {
        out.reserve(self.object_len());
        let mut from = 0;
        let mut previous = None;
        for edit in &self.edits.edits {
            out.push_str(self.object.get(from..edit.at.start).unwrap_or_default());
            // What was added at the same place stands before it.
            if edit.comma || previous == Some(&edit.at) {
                out.push(',');
            }
            out.push_str(self.edits.text(&edit.text));
            from = edit.at.end;
            previous = Some(&edit.at);
        }
        out.push_str(self.object.get(from..).unwrap_or_default());
    }

    /// Appends the JSON Patch.
    pub fn write_patch(&self, out: &mut String) {
        let edits = &self.edits;
        let operations = edits
            .edits
            .iter()
            .flat_map(|edit| edits.operations.get(edit.operations.clone()).unwrap_or_default());
        out.reserve(edits.written.len() + edits.operations.len() * 64);
        for (i, operation) in operations.enumerate() {
            out.push_str(if i == 0 { "[{\"op\":\"" } else { ",{\"op\":\"" });
            out.push_str(operation.op);
            out.push_str("\",\"path\":");
            write_string(out, edits.text(&operation.path));
            if !operation.value.is_empty() {
                out.push_str(",\"value\":");
                out.push_str(edits.text(&operation.value));
            }
            out.push('}');
        }
        out.push(']');
    }
}

impl Edits {
    fn text(&self, range: &Range<usize>) -> &str {
        self.written.get(range.clone()).unwrap_or_default()
    }

    /// Brings the edits into the order of the text. Those at the same place stay in order.
    #[cfg(not(target_arch = "wasm32"))]
    fn sort(&mut self) {
        self.edits.sort_by_key(|edit| edit.at.start);
    }

    /// The same in less code.
    #[cfg(target_arch = "wasm32")]
    fn sort(&mut self) {
        self.sort_runs();
    }

    #[cfg(any(target_arch = "wasm32", test))]
    fn sort_runs(&mut self) {
        // They come in a few runs, each in order: these are the edits before and, the other way round, behind the
        // place of the last one.
        let mut edits: Vec<Edit> = Vec::with_capacity(self.edits.len());
        let mut behind: Vec<Edit> = Vec::new();
        for edit in core::mem::take(&mut self.edits) {
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
        self.edits = edits;
    }

    /// Writes something, and says where.
    fn write(&mut self, write: &mut dyn FnMut(&mut String)) -> Range<usize> {
        let start = self.written.len();
        write(&mut self.written);
        start..self.written.len()
    }

    /// Appends so many values to an array that may not be there yet.
    fn append(&mut self, slot: &Slot, outer: Bracket, path: &Path<'_>, count: usize, value: Write<'_>) {
        let Slot::Present(bracket) = slot else {
            return self.put(slot, outer, path, &mut |out| {
                for i in 0..count {
                    out.push(if i == 0 { '[' } else { ',' });
                    value(out, i);
                }
                out.push(']');
            });
        };
        let first = self.operations.len();
        let path = self.write(&mut |out| {
            path.write(out);
            out.push_str("/-");
        });
        for i in 0..count {
            if i > 0 {
                self.written.push(',');
            }
            let value = self.write(&mut |out| value(out, i));
            self.operations.push(Operation { op: "add", path: path.clone(), value });
        }
        self.edits.push(Edit {
            at: bracket.close..bracket.close,
            comma: !bracket.empty,
            text: path.end..self.written.len(),
            operations: first..self.operations.len(),
        });
    }

    /// Puts a member where none is, or only a `null`.
    fn put(&mut self, slot: &Slot, outer: Bracket, path: &Path<'_>, value: &mut dyn FnMut(&mut String)) {
        let path_written = self.write(&mut |out| path.write(out));
        let (at, comma, op) = match slot {
            Slot::Null(range) => (range.clone(), false, "replace"),
            _ => {
                write_string(&mut self.written, &key_of(path.name));
                self.written.push(':');
                (outer.close..outer.close, !outer.empty, "add")
            }
        };
        let value = self.write(value);
        let first = self.operations.len();
        self.edits.push(Edit { at, comma, text: path_written.end..value.end, operations: first..first + 1 });
        self.operations.push(Operation { op, path: path_written, value });
    }
}

/// What a plan is as edits of the pod.
pub(crate) fn pod_edits(pod: &Pod<'_>, plan: &PodPlan<'_>) -> Edits {
    let count = plan.additions.len();
    let mut edits = Edits {
        written: String::with_capacity(512 + 512 * count),
        edits: room::of(2 + 2 * count),
        operations: room::of(2 + 4 * count),
    };
    for addition in &plan.additions {
        container_edits(pod, addition, &mut edits);
    }
    if let Some(volume) = &plan.volume {
        edits.append(&pod.volumes_slot, pod.spec, &Path::new("/spec/", "volumes"), 1, &mut |out, _| {
            write_volume(out, volume);
        });
    }
    if plan.label {
        label_edit(pod, &mut edits);
    }
    edits
}

fn container_edits(pod: &Pod<'_>, addition: &Addition<'_>, edits: &mut Edits) {
    let (list, containers) = match addition.list {
        List::Init => ("/spec/initContainers/", &pod.init_containers),
        List::Main => ("/spec/containers/", &pod.containers),
        List::Ephemeral => ("/spec/ephemeralContainers/", &pod.ephemeral_containers),
    };
    let Some(container) = containers.get(addition.index) else { return };
    let path = |name| Path { before: list, index: Some(addition.index), name };
    if !addition.env.is_empty() {
        edits.append(
            &container.env_slot,
            container.bracket,
            &path("env"),
            addition.env.len(),
            &mut |out, i| {
                if let Some(variable) = addition.env.get(i) {
                    write_variable(out, variable);
                }
            },
        );
    }
    if let Some((name, mount_path)) = &addition.mount {
        edits.append(&container.mounts_slot, container.bracket, &path("volumeMounts"), 1, &mut |out, _| {
            out.push_str("{\"name\":");
            write_string(out, name);
            out.push_str(",\"readOnly\":true,\"mountPath\":");
            write_string(out, mount_path);
            out.push('}');
        });
    }
}

fn label_edit(pod: &Pod<'_>, edits: &mut Edits) {
    let mut labels = |out: &mut String| write_object(out, POD_IDENTITY_LABELS.into_iter());
    match (&pod.metadata.slot, &pod.metadata.labels.slot) {
        (Slot::Present(_), Slot::Present(labels)) => {
            let name = pointer_segment(POD_IDENTITY_LABEL);
            edits.put(&Slot::Absent, *labels, &Path::new("/metadata/labels/", &name), &mut |out| {
                out.push_str("\"enabled\"")
            });
        }
        (Slot::Present(metadata), slot) => {
            edits.put(slot, *metadata, &Path::new("/metadata/", "labels"), &mut labels)
        }
        (slot, _) => edits.put(slot, pod.root, &Path::new("/", "metadata"), &mut |out| {
            out.push_str("{\"labels\":");
            labels(out);
            out.push('}');
        }),
    }
}

fn write_variable(out: &mut String, variable: &EnvVar<'_>) {
    out.push_str("{\"name\":");
    write_string(out, variable.name);
    match &variable.value {
        EnvValue::Text(text) => {
            out.push_str(",\"value\":");
            write_string(out, text);
        }
        EnvValue::PodName => out.push_str(",\"valueFrom\":{\"fieldRef\":{\"fieldPath\":\"metadata.name\"}}"),
    }
    out.push('}');
}

fn write_volume(out: &mut String, volume: &Volume<'_>) {
    out.push_str("{\"name\":");
    write_string(out, volume.name);
    out.push_str(",\"projected\":{");
    if let Some(mode) = volume.file_mode {
        out.push_str("\"defaultMode\":");
        write_number(out, mode.into());
        out.push(',');
    }
    out.push_str("\"sources\":[{\"serviceAccountToken\":{\"audience\":");
    write_string(out, volume.audience);
    out.push_str(",\"expirationSeconds\":");
    write_number(out, volume.expiration.seconds());
    out.push_str(",\"path\":");
    write_string(out, volume.path);
    out.push_str("}}]}}");
}

/// What a plan is as edits of the service account.
pub(crate) fn service_account_edits(
    object: &str,
    metadata: &Slot,
    annotations: &StringMap<'_>,
    plan: &ServiceAccountPlan,
) -> Edits {
    let mut edits = Edits::default();
    let added =
        plan.annotations.iter().filter_map(|change| Some((change.key.as_str(), change.value.as_deref()?)));
    let Slot::Present(bracket) = &annotations.slot else {
        if let Slot::Present(metadata) = metadata {
            edits.put(&annotations.slot, *metadata, &Path::new("/metadata/", "annotations"), &mut |out| {
                write_object(out, added.clone());
            });
        }
        return edits;
    };
    // The entries that stay keep their bytes; those that change are written at the end.
    let kept =
        || annotations.spans().filter(|(key, _)| !plan.annotations.iter().any(|change| change.key == *key));
    let text = edits.write(&mut |out| {
        for (_, span) in kept() {
            separate(out);
            out.push_str(object.get(span.clone()).unwrap_or_default());
        }
        write_members(out, added.clone());
    });
    for change in &plan.annotations {
        let path = edits.write(&mut |out| {
            out.push_str("/metadata/annotations/");
            out.push_str(&pointer_segment(&change.key));
        });
        let op = match (change.present, &change.value) {
            (_, None) => "remove",
            (true, Some(_)) => "replace",
            (false, Some(_)) => "add",
        };
        let value = edits.write(&mut |out| {
            if let Some(value) = &change.value {
                write_string(out, value);
            }
        });
        edits.operations.push(Operation { op, path, value });
    }
    let at = annotations.open + 1..bracket.close;
    edits.edits.push(Edit { at, comma: false, text, operations: 0..edits.operations.len() });
    edits
}

fn write_object<'t>(out: &mut String, members: impl Iterator<Item = (&'t str, &'t str)>) {
    out.push('{');
    write_members(out, members);
    out.push('}');
}

fn write_members<'t>(out: &mut String, members: impl Iterator<Item = (&'t str, &'t str)>) {
    for (key, value) in members {
        separate(out);
        write_string(out, key);
        out.push(':');
        write_string(out, value);
    }
}

/// Puts a comma after a member.
fn separate(out: &mut String) {
    if !out.is_empty() && !out.ends_with('{') {
        out.push(',');
    }
}

/// The key that a part of a JSON Pointer stands for; ours hold no `~`.
fn key_of(segment: &str) -> String {
    let mut out = String::with_capacity(segment.len());
    let mut rest = segment;
    while let Some((before, after)) = ascii::cut(rest, b'~') {
        out.push_str(before);
        out.push('/');
        rest = after.get(1..).unwrap_or_default();
    }
    out.push_str(rest);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_of_sorting_agree() {
        // All sequences of five places out of four, told apart by what is written there.
        for number in 0..4usize.pow(5) {
            let places = (0..5).map(|digit| number / 4usize.pow(digit) % 4).enumerate();
            let edits: Vec<Edit> = places
                .map(|(i, place)| Edit { at: place..place, comma: false, text: i..i, operations: 0..0 })
                .collect();
            let [mut sorted, mut sorted_runs] =
                [(); 2].map(|()| Edits { edits: edits.clone(), ..Edits::default() });
            sorted.sort();
            sorted_runs.sort_runs();
            assert_eq!(sorted.edits, sorted_runs.edits);
        }
    }
}
