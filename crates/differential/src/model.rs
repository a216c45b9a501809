//! What both do with a pod, in one place, with the named differences as switches.
//!
//! With every switch on the Go webhook's side, the model has to give the Go webhook's answer; with every switch on
//! this side, ours. What lies between are the differences, one at a time.

use std::cell::Cell;

use serde_json::Value;

use crate::differences::{Difference, Set};
use crate::scene::{Answer, Scene, list, text};

mod csv;
mod identity;
mod injection;
mod mapping;
mod paths;
pub(crate) use injection::{DRAWN, HASHED};

/// The switches, and which of them were asked about.
pub(crate) struct Model<'s> {
    scene: &'s Scene<'s>,
    here: Set,
    asked: Cell<Set>,
}

impl<'s> Model<'s> {
    /// What becomes of the pod when the differences in `here` are on this side, and the switches that mattered.
    pub(crate) fn answer(scene: &'s Scene<'s>, here: Set) -> (Answer, Set) {
        let model = Self { scene, here, asked: Cell::default() };
        let answer = model.decide();
        (answer, model.asked.get())
    }

    /// Whether a difference is on this side. Asked only where it can matter.
    fn here(&self, difference: Difference) -> bool {
        self.asked.set(self.asked.get().with(difference));
        self.here.holds(difference)
    }

    /// One value or the other; the switch is asked about when they differ.
    fn either<T: PartialEq>(&self, difference: Difference, go: T, here: T) -> T {
        if go != here && self.here(difference) { here } else { go }
    }

    fn decide(&self) -> Answer {
        let pod = self.scene.review.pod();
        let unchanged = || Answer::Pod(pod.clone());
        if depth(&self.scene.review.value) > 64 && self.here(Difference::Bounds) {
            return Answer::Refused;
        }
        let ephemeral = match self.operation() {
            Operation::Creation => false,
            Operation::Other if self.here(Difference::OtherRequests) => return unchanged(),
            Operation::EphemeralContainers if self.here(Difference::OtherRequests) => true,
            Operation::EphemeralContainers | Operation::Other => false,
        };
        if ephemeral && !self.here(Difference::EphemeralContainers) {
            return unchanged();
        }
        if self.scene.review.repeats_account() && self.here(Difference::RepeatedKeys) {
            return Answer::Refused;
        }
        if count_containers(pod) > 1000 && self.here(Difference::Bounds) {
            return Answer::Refused;
        }
        if has_wrong_types(pod) && !self.here(Difference::WrongTypes) {
            return Answer::Refused;
        }
        let metadata = pod.get("metadata").unwrap_or(&Value::Null);
        let has = |map: &str, key: &str| metadata.get(map).is_some_and(|map| map.get(key).is_some());
        if has("annotations", "kubernetes.io/config.mirror") && self.here(Difference::MirrorPods) {
            return unchanged();
        }
        let label = format!("{}/skip-pod-identity-webhook", self.scene.flags.prefix());
        if has("labels", &label) && self.here(Difference::SkipLabel) {
            return unchanged();
        }
        let Some(account) = self.account_name().filter(|name| is_name(name)) else { return unchanged() };
        let namespace = text(metadata, "namespace");
        if !namespace.is_empty() && namespace != self.namespace() && self.here(Difference::NamespaceMismatch)
        {
            return Answer::Refused;
        }
        match self.identity(account) {
            Some(identity) => Answer::Pod(self.inject(&identity, ephemeral)),
            None => unchanged(),
        }
    }

    fn operation(&self) -> Operation {
        let request = self.scene.review.request();
        match (text(request, "operation"), text(request, "subResource")) {
            ("CREATE", "") => Operation::Creation,
            ("UPDATE", "ephemeralcontainers") => Operation::EphemeralContainers,
            _ => Operation::Other,
        }
    }

    fn namespace(&self) -> &'s str {
        text(self.scene.review.request(), "namespace")
    }

    /// The pod's ServiceAccount.
    fn account_name(&self) -> Option<&'s str> {
        let spec = self.scene.review.pod().get("spec")?;
        let mut name = text(spec, "serviceAccountName");
        if name.is_empty() {
            let in_another_case = text(spec, "ServiceAccountName");
            name = self.either(Difference::KeysInAnyCase, in_another_case, "");
        }
        if name.is_empty() {
            name = self.either(Difference::DeprecatedServiceAccount, "", text(spec, "serviceAccount"));
        }
        (!name.is_empty()).then_some(name)
    }
}

/// Whether a ServiceAccount can have the name: nobody holds one that cannot.
fn is_name(name: &str) -> bool {
    name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte))
}

/// How deep a document is nested.
fn depth(value: &Value) -> usize {
    match value {
        Value::Array(list) => 1 + list.iter().map(depth).max().unwrap_or_default(),
        Value::Object(members) => 1 + members.values().map(depth).max().unwrap_or_default(),
        _ => 0,
    }
}

fn count_containers(pod: &Value) -> usize {
    let lists = ["initContainers", "containers", "ephemeralContainers"];
    let spec = pod.get("spec").unwrap_or(&Value::Null);
    lists.iter().map(|key| list(spec, key).len()).sum()
}

enum Operation {
    Creation,
    EphemeralContainers,
    Other,
}

/// Fields with types that the API server would not send, and that only the Go webhook reads.
fn has_wrong_types(pod: &Value) -> bool {
    let is = |pointer: &str, wanted: fn(&Value) -> bool| pod.pointer(pointer).is_none_or(wanted);
    !(is("/spec/priority", Value::is_i64)
        && is("/spec/hostNetwork", Value::is_boolean)
        && is("/spec/containers/0/image", Value::is_string))
}
