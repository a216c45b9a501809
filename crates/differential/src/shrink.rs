//! Makes a review smaller that nothing explains.

use anyhow::Result;
use serde_json::Value;

use crate::compare::{Unexplained, Verdict};
use crate::run::Peers;
use crate::scene::{Review, Scene};

/// What stays, so that it is a pod.
const NEEDED: [&str; 4] = ["metadata", "name", "serviceAccountName", "spec"];

/// Leaves out one member or element after the other for as long as nothing explains what is left.
pub(crate) async fn shrink(
    scene: Scene<'_>,
    unexplained: Unexplained,
    peers: &Peers,
) -> Result<(Review, Unexplained)> {
    let (mut scene, mut unexplained) = (scene, unexplained);
    let mut places = places(scene.review.pod());
    while let Some(place) = places.pop() {
        let mut smaller = scene.clone();
        if !smaller.review.pod_mut().is_some_and(|pod| remove(pod, &place)) {
            continue;
        }
        // What cannot be asked is not smaller.
        let Ok(verdict) = peers.judge(&smaller).await else { continue };
        if let Verdict::Unexplained(found) = verdict
            && found.why == unexplained.why
        {
            (scene, unexplained) = (smaller, *found);
            places.retain(|other| !other.starts_with(&place));
        }
    }
    Ok((scene.review, unexplained))
}

#[derive(Clone, Debug, PartialEq)]
enum Step {
    Key(String),
    Index(usize),
}

/// Where something stands that can be left out, the outermost and the last at the end.
fn places(value: &Value) -> Vec<Vec<Step>> {
    let mut found = Vec::new();
    collect(value, &mut Vec::new(), &mut found);
    found.sort_by_key(|place| std::cmp::Reverse(place.len()));
    found
}

fn collect(value: &Value, place: &mut Vec<Step>, found: &mut Vec<Vec<Step>>) {
    let members: Vec<(Step, &Value)> = match value {
        Value::Object(object) => object.iter().map(|(key, value)| (Step::Key(key.clone()), value)).collect(),
        Value::Array(list) => {
            list.iter().enumerate().map(|(index, value)| (Step::Index(index), value)).collect()
        }
        _ => Vec::new(),
    };
    for (step, value) in members {
        let is_needed = matches!(&step, Step::Key(key) if NEEDED.contains(&key.as_str()));
        place.push(step);
        if !is_needed {
            found.push(place.clone());
        }
        collect(value, place, found);
        place.pop();
    }
}

fn remove(value: &mut Value, place: &[Step]) -> bool {
    match (place, value) {
        ([Step::Key(key)], Value::Object(object)) => object.remove(key).is_some(),
        ([Step::Index(index)], Value::Array(list)) => {
            let is_there = *index < list.len();
            if is_there {
                list.remove(*index);
            }
            is_there
        }
        ([Step::Key(key), rest @ ..], Value::Object(object)) => {
            object.get_mut(key).is_some_and(|value| remove(value, rest))
        }
        ([Step::Index(index), rest @ ..], Value::Array(list)) => {
            list.get_mut(*index).is_some_and(|value| remove(value, rest))
        }
        _ => false,
    }
}
