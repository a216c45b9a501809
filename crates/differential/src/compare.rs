//! Compares two answers, and explains what differs by names.

use serde_json::Value;

use crate::differences::{Difference, Set};
use crate::model::{DRAWN, HASHED, Model};
use crate::scene::{Answer, Scene};

/// What a webhook answered.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Reply {
    pub(crate) allowed: bool,
    pub(crate) patch: Option<Value>,
}

/// What came of a comparison.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Verdict {
    Equal,
    Explained(Vec<Difference>),
    Unexplained(Box<Unexplained>),
}

/// Why there is no explanation.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Unexplained {
    pub(crate) why: &'static str,
    pub(crate) expected: Value,
    pub(crate) found: Value,
}

/// Whether both answers are what the named differences make of the review.
pub(crate) fn judge(scene: &Scene<'_>, go: &Reply, ours: &Reply) -> Verdict {
    let unexplained = |why, expected: &Answer, found: &Answer| {
        let value = |answer: &Answer| match answer {
            Answer::Refused => Value::from("refused"),
            Answer::Pod(pod) => pod.clone(),
        };
        let (expected, found) = (value(expected), value(found));
        Verdict::Unexplained(Box::new(Unexplained { why, expected, found }))
    };
    let before = Answer::Pod(scene.review.pod().clone());
    let Some(written) = patched(scene, go) else {
        return unexplained("the Go webhook's patch does not fit", &before, &before);
    };
    let Some(found_here) = patched(scene, ours) else {
        return unexplained("the patch from here does not fit", &before, &before);
    };
    let found_there = restored(scene, &written);
    let (expected_there, _) = Model::answer(scene, Set::default());
    let settled_there = settled(&expected_there, &found_there);
    if settled_there != expected_there {
        return unexplained("the Go webhook does not do what it is known for", &expected_there, &found_there);
    }
    let (expected_here, _) = Model::answer(scene, Set::all());
    let settled_here = settled(&expected_here, &found_here);
    if settled_here != expected_here {
        return unexplained("not what the named differences lead to", &expected_here, &found_here);
    }
    if ours.patch.is_some() && found_here == before {
        return unexplained("a patch that changes nothing", &before, &found_here);
    }
    let is_same = settled_there == settled_here;
    let mut steps = if is_same { Vec::new() } else { steps(scene) };
    if found_there != written {
        steps.push(Difference::TypedContainers);
    }
    if go.patch.is_some() && ours.patch.is_none() && is_same {
        steps.push(Difference::NeedlessPatch);
    }
    if steps.is_empty() { Verdict::Equal } else { Verdict::Explained(steps) }
}

/// The differences that lead from the Go webhook's answer to ours, each of which changes something.
pub(crate) fn steps(scene: &Scene<'_>) -> Vec<Difference> {
    let mut here = Set::default();
    let (mut answer, mut asked) = Model::answer(scene, here);
    let mut steps = Vec::new();
    for difference in Difference::ALL {
        here = here.with(*difference);
        if !asked.holds(*difference) {
            continue;
        }
        let next = Model::answer(scene, here);
        if next.0 != answer {
            steps.push(*difference);
        }
        (answer, asked) = next;
    }
    steps
}

/// What a reply makes of the pod; `None` when its patch does not fit.
pub(crate) fn patched(scene: &Scene<'_>, reply: &Reply) -> Option<Answer> {
    if !reply.allowed {
        return Some(Answer::Refused);
    }
    let mut pod = scene.review.pod().clone();
    if let Some(patch) = &reply.patch {
        let patch: json_patch::Patch = serde_json::from_value(patch.clone()).ok()?;
        json_patch::patch(&mut pod, &patch).ok()?;
    }
    Some(Answer::Pod(pod))
}

/// Puts back what the Go webhook loses when it writes containers anew.
fn restored(scene: &Scene<'_>, written: &Answer) -> Answer {
    let Answer::Pod(written) = written else { return written.clone() };
    let mut pod = written.clone();
    for list in ["/spec/initContainers", "/spec/containers"] {
        let before = scene.review.pod().pointer(list);
        match (before, pod.pointer_mut(list)) {
            (Some(before), Some(after)) => restore(before, after),
            (None, Some(after)) if after.as_array().is_some_and(Vec::is_empty) => {
                if let Some(spec) = pod.get_mut("spec").and_then(Value::as_object_mut) {
                    spec.remove(list.trim_start_matches("/spec/"));
                }
            }
            _ => {}
        }
    }
    Answer::Pod(pod)
}

/// Only what is gone comes back, and only when it is empty or has a name that the Go webhook cannot know.
fn restore(before: &Value, after: &mut Value) {
    match (before, after) {
        (Value::Object(before), Value::Object(after)) => {
            for (key, value) in before {
                match after.get_mut(key) {
                    Some(after) => restore(value, after),
                    None if is_empty(value) || key.starts_with("future") => {
                        after.insert(key.clone(), value.clone());
                    }
                    None => {}
                }
            }
            if !before.contains_key("resources") && after.get("resources").is_some_and(is_empty) {
                after.remove("resources");
            }
        }
        (Value::Array(before), Value::Array(after)) => {
            for (before, after) in before.iter().zip(after) {
                restore(before, after);
            }
        }
        (Value::Null, after) if is_empty(after) => *after = Value::Null,
        _ => {}
    }
}

/// What Go leaves out.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(value) => !value,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(object) => object.values().all(is_empty),
    }
}

/// An answer in which a spread expiration that is within its range stands for all of them.
fn settled(expected: &Answer, found: &Answer) -> Answer {
    let (Answer::Pod(expected), Answer::Pod(found)) = (expected, found) else { return found.clone() };
    let mut settled = found.clone();
    let count = found.pointer("/spec/volumes").and_then(Value::as_array).map_or(0, Vec::len);
    for index in 0..count {
        let place =
            format!("/spec/volumes/{index}/projected/sources/0/serviceAccountToken/expirationSeconds");
        let wanted = expected.pointer(&place).and_then(Value::as_i64);
        if let (Some(wanted @ (DRAWN | HASHED)), Some(seconds)) = (wanted, settled.pointer_mut(&place))
            && seconds.as_i64().is_some_and(|seconds| (79_200..=86_400).contains(&seconds))
        {
            *seconds = wanted.into();
        }
    }
    Answer::Pod(settled)
}
