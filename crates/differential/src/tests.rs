//! The rules on fixed examples, without a peer.

use std::collections::BTreeSet;

use crate::compare::{Reply, Verdict, judge, steps};
use crate::differences::{Difference, Set};
use crate::examples;
use crate::library;
use crate::model::Model;
use crate::scene::{Answer, Cluster, Scene};

/// What only the form of a patch shows.
const OF_THE_FORM: [Difference; 2] = [Difference::TypedContainers, Difference::NeedlessPatch];

fn cluster() -> Cluster {
    let mut cluster = Cluster::default();
    examples::add_all(&mut cluster).unwrap();
    cluster
}

#[test]
fn examples_differ_as_they_say() {
    let cluster = cluster();
    for example in examples::all().unwrap() {
        let scene = Scene { flags: example.flags().unwrap(), cluster: &cluster, review: example.review() };
        let found: Vec<&str> = steps(&scene).into_iter().map(|difference| difference.text().name).collect();
        let expected: Vec<&str> = example
            .differences
            .iter()
            .map(String::as_str)
            .filter(|name| OF_THE_FORM.iter().all(|difference| difference.text().name != *name))
            .collect();
        assert_eq!(found, expected, "{}", example.name);
    }
}

/// As the Go webhook would answer, each is explained; whatever else it did, it would not be.
#[test]
fn nothing_else_is_excused() {
    let cluster = cluster();
    for example in examples::all().unwrap() {
        let scene = Scene { flags: example.flags().unwrap(), cluster: &cluster, review: example.review() };
        let ours = library::review(&scene).unwrap();
        let go = as_a_patch(Model::answer(&scene, Set::default()).0);
        let verdict = judge(&scene, &go, &ours);
        assert!(!matches!(verdict, Verdict::Unexplained(_)), "{}: {verdict:#?}", example.name);
        let Some(patch) = &go.patch else { continue };
        for (place, value) in [
            ("/metadata/name", "another"),
            ("/spec/containers/0/image", "another"),
            ("/spec/futureField", "another"),
        ] {
            let mut patch = patch.clone();
            patch
                .as_array_mut()
                .unwrap()
                .push(serde_json::json!({"op": "add", "path": place, "value": value}));
            let other = Reply { allowed: true, patch: Some(patch) };
            for verdict in [judge(&scene, &other, &ours), judge(&scene, &go, &other)] {
                assert!(matches!(verdict, Verdict::Unexplained(_)), "{} {place}", example.name);
            }
        }
    }
}

fn as_a_patch(answer: Answer) -> Reply {
    match answer {
        Answer::Refused => Reply { allowed: false, patch: None },
        Answer::Pod(mut pod) => {
            // The middle of what is drawn from.
            let drawn = "/spec/volumes/0/projected/sources/0/serviceAccountToken/expirationSeconds";
            if let Some(seconds) = pod.pointer_mut(drawn)
                && *seconds == crate::model::DRAWN
            {
                *seconds = 82_800.into();
            }
            let patch = serde_json::json!([{"op": "replace", "path": "", "value": pod}]);
            Reply { allowed: true, patch: Some(patch) }
        }
    }
}

#[test]
fn each_difference_has_an_example() {
    let examples = examples::all().unwrap();
    let shown: BTreeSet<&str> =
        examples.iter().flat_map(|example| &example.differences).map(String::as_str).collect();
    let named: BTreeSet<&str> = Difference::ALL.iter().map(|difference| difference.text().name).collect();
    assert_eq!(shown, named);
    let names: BTreeSet<&str> = examples.iter().map(|example| example.name.as_str()).collect();
    assert_eq!(names.len(), examples.len(), "two examples have the same name");
}
