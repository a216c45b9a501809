//! What holds for every pod.

use std::collections::{BTreeMap, BTreeSet};

use pod_identity_core::Unchanged;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use serde_json::{Value, json};

use crate::check;
use crate::decide::{Change, Decided, Kind, PodPlan, decide, decide_object};
use crate::generate::{SECRET, scenario, settings};
use crate::json::{self, Node};

#[test]
fn generated_settings_have_no_problem() {
    check(settings(), |settings| {
        assert_eq!(
            pod_identity_policy::validate_settings(settings.to_string().as_bytes()),
            r#"{"valid":true}"#
        );
    });
}

/// The generators are worth nothing if hardly any pod is given anything.
#[test]
fn generated_scenarios_reach_every_outcome() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let strategy = scenario();
    let mut reached = BTreeMap::new();
    let mut changed = 0;
    for _ in 0..3_000 {
        let scenario = strategy.new_tree(&mut runner).unwrap().current();
        let decided = decide(&scenario);
        let mut count = |what: String| *reached.entry(what).or_insert(0) += 1;
        let outcome = match &decided.outcome {
            Kind::Unchanged(why) => format!("{why:?}"),
            Kind::Verified { sound } => format!("Verified {sound}"),
            Kind::Refused { code, .. } => format!("Refused {code}"),
            Kind::Changed(change) => {
                changed += 1;
                for (i, op) in change.patch.as_array().unwrap().iter().enumerate() {
                    count(format!(
                        "{} {}",
                        op["op"].as_str().unwrap(),
                        if i == 0 { "first" } else { "later" }
                    ));
                }
                for addition in &change.plan.additions {
                    count(format!("{} mount {}", addition.list, addition.mount.is_some()));
                }
                format!("Changed volume {} label {}", change.plan.volume.is_some(), change.plan.label)
            }
        };
        count(outcome);
    }
    println!("{changed} of 3000 changed; {reached:#?}");
    assert!(changed > 1_000, "{changed} of 3000 changed");
    for expected in [
        "MirrorPod",
        "SkipLabel",
        "NoServiceAccount",
        "InvalidName",
        "NoIdentity",
        "NoContainer",
        "Complete",
        "LookupUnknown",
        "Verified true",
        "Verified false",
        "Refused 400",
        "Refused 403",
        "Refused 500",
        "Changed volume true label true",
        "Changed volume true label false",
        "Changed volume false label false",
        "replace first",
        "add first",
        "initContainers mount true",
        "containers mount false",
        "ephemeralContainers mount true",
    ] {
        assert!(reached.contains_key(expected), "{expected} is not among {reached:#?}");
    }
}

#[test]
fn applying_twice_equals_applying_once() {
    check(scenario(), |scenario| {
        let Some(Change { object, .. }) = decide(&scenario).change().map(|change| Change {
            plan: PodPlan::default(),
            object: change.object.clone(),
            patch: Value::Null,
        }) else {
            return;
        };
        let again = decide_object(&scenario, &object);
        assert!(again.change().is_none(), "{object}\nis given more: {again:#?}");
        assert!(!matches!(again.outcome, Kind::Refused { .. }), "{object}\nis refused: {again:#?}");
    });
}

#[test]
fn without_the_additions_every_byte_is_the_same() {
    check(scenario(), |scenario| {
        let object = scenario.object();
        let decided = decide(&scenario);
        let Some(change) = decided.change() else { return };
        assert_eq!(without_additions(&object, change), object);
    });
}

/// Cuts out of the object what the patch says was put there.
fn without_additions(before: &str, change: &Change) -> String {
    let after = Node::read(&change.object);
    let before = Node::read(before);
    let mut cuts: Vec<(std::ops::Range<usize>, &str)> = Vec::new();
    let mut appended: BTreeMap<&str, usize> = BTreeMap::new();
    for operation in change.patch.as_array().unwrap() {
        let path = operation["path"].as_str().unwrap();
        let path = match path.strip_suffix("/-") {
            Some(list) => {
                let count = appended.entry(list).or_insert_with(|| before.find(list).unwrap().node.len());
                *count += 1;
                format!("{list}/{}", *count - 1)
            }
            None => path.to_owned(),
        };
        let found = after.find(&path).unwrap();
        if operation["op"] == "replace" {
            cuts.push((found.node.span.clone(), "null"));
        } else {
            // With the comma before it, unless it is the first.
            let comma = usize::from(found.index > 0);
            assert!(
                comma == 0 || change.object.as_bytes()[found.start - 1] == b',',
                "{path} follows no comma"
            );
            cuts.push((found.start - comma..found.node.span.end, ""));
        }
    }
    cuts.sort_by_key(|(range, _)| std::cmp::Reverse(range.start));
    let mut text = change.object.clone();
    for (range, instead) in cuts {
        text.replace_range(range, instead);
    }
    text
}

#[test]
fn whatever_was_there_is_there_at_the_same_place() {
    check(scenario(), |scenario| {
        if let Some(change) = decide(&scenario).change() {
            let after: Value = serde_json::from_str(&change.object).unwrap();
            assert_holds(&after, &scenario.pod, "");
        }
    });
}

fn assert_holds(after: &Value, before: &Value, path: &str) {
    match (before, after) {
        (Value::Object(before), Value::Object(after)) => {
            for (key, value) in before {
                let path = format!("{path}/{key}");
                assert_holds(after.get(key).unwrap_or_else(|| panic!("{path} is gone")), value, &path);
            }
        }
        (Value::Array(before), Value::Array(after)) => {
            assert!(before.len() <= after.len(), "{path} is shorter");
            for (i, value) in before.iter().enumerate() {
                assert_holds(&after[i], value, &format!("{path}/{i}"));
            }
        }
        (Value::Null, Value::Array(_) | Value::Object(_)) => {}
        (before, after) => assert_eq!(after, before, "{path}"),
    }
}

#[test]
fn containers_that_are_not_served_are_the_same_bytes() {
    check(scenario(), |scenario| {
        let object = scenario.object();
        let decided = decide(&scenario);
        let Some(change) = decided.change() else { return };
        let (before, after) = (Node::read(&object), Node::read(&change.object));
        for list in ["initContainers", "containers", "ephemeralContainers"] {
            let path = format!("/spec/{list}");
            for i in 0..before.find(&path).map_or(0, |found| found.node.len()) {
                if change.plan.additions.iter().any(|addition| addition.list == list && addition.index == i) {
                    continue;
                }
                let text = |root: &Node, text: &str| {
                    text[root.find(&format!("{path}/{i}")).unwrap().node.span.clone()].to_owned()
                };
                assert_eq!(text(&after, &change.object), text(&before, &object), "{path}/{i}");
            }
        }
    });
}

#[test]
fn the_patch_gives_the_written_object_and_holds_additions_only() {
    check(scenario(), |scenario| {
        let decided = decide(&scenario);
        let Some(change) = decided.change() else { return };
        let operations = change.patch.as_array().unwrap();
        assert!(!operations.is_empty(), "an empty patch");
        for operation in operations {
            let path = operation["path"].as_str().unwrap();
            match operation["op"].as_str().unwrap() {
                "add" => assert!(scenario.pod.pointer(path).is_none(), "{path} is there already"),
                "replace" => assert_eq!(scenario.pod.pointer(path), Some(&Value::Null), "{path}"),
                op => panic!("{op} {path}"),
            }
        }
        let mut patched = scenario.pod.clone();
        let patch: json_patch::Patch = serde_json::from_value(change.patch.clone()).unwrap();
        json_patch::patch(&mut patched, &patch).unwrap();
        assert_eq!(patched, serde_json::from_str::<Value>(&change.object).unwrap());
    });
}

/// What mutation made without a warning, verification with the same facts finds sound.
#[test]
fn what_was_mutated_without_a_warning_is_verified() {
    check(scenario(), |mut scenario| {
        scenario.settings["allowedRoles"] = Value::Null;
        let decided = decide(&scenario);
        let Some(change) = decided.change() else { return };
        // A pod that brings variables of its own may be complete and yet not what is expected.
        let own = scenario.pod.to_string().contains("AWS_");
        if !decided.warnings.is_empty() || own {
            return;
        }
        scenario.settings["mode"] = json!("verify");
        let verified = decide_object(&scenario, &change.object);
        assert!(
            matches!(verified.outcome, Kind::Verified { sound: true }),
            "{}\n{verified:#?}",
            change.object
        );
    });
}

#[test]
fn verifying_never_changes_anything() {
    check(scenario(), |mut scenario| {
        scenario.settings["mode"] = json!("verify");
        let decided = decide(&scenario);
        assert!(decided.change().is_none(), "{decided:#?}");
    });
}

#[test]
fn warnings_are_what_the_api_server_passes_on() {
    check(scenario(), |scenario| assert_warnings(&decide(&scenario)));
}

fn assert_warnings(decided: &Decided) {
    let printable = |text: &str| text.bytes().all(|b| (b' '..=b'~').contains(&b));
    for warning in &decided.warnings {
        assert!(
            printable(warning) && !warning.is_empty() && warning.len() <= 256,
            "{} bytes: {warning:?}",
            warning.len()
        );
    }
    let total: usize = decided.warnings.iter().map(String::len).sum();
    assert!(total <= 4096, "{total} bytes of warnings");
    let distinct: BTreeSet<_> = decided.warnings.iter().collect();
    assert_eq!(distinct.len(), decided.warnings.len(), "a warning twice: {:#?}", decided.warnings);
    for (key, value) in &decided.audit_annotations {
        assert!(printable(value), "{key}: {value:?}");
    }
    if let Kind::Refused { code, message } = &decided.outcome {
        assert!(printable(message), "{code}: {message:?}");
        assert!([400, 403, 500].contains(code), "{code}: {message}");
    }
}

#[test]
fn what_the_pod_holds_is_in_no_message() {
    check(scenario(), |scenario| {
        let decided = decide(&scenario);
        for text in decided.warnings.iter().chain(decided.audit_annotations.iter().map(|(_, value)| value)) {
            assert!(!text.contains(SECRET), "{text}");
        }
        if let Kind::Refused { message, .. } = &decided.outcome {
            assert!(!message.contains(SECRET), "{message}");
        }
    });
}

#[test]
fn a_pod_left_alone_costs_no_lookup_and_any_other_one_for_each_object() {
    check(scenario(), |scenario| {
        let decided = decide(&scenario);
        let prefix = match scenario.settings["annotationPrefix"].as_str() {
            None | Some("") => "eks.amazonaws.com",
            Some(prefix) => prefix,
        };
        let metadata = &scenario.pod["metadata"];
        let name = |key: &str| scenario.pod["spec"][key].as_str().filter(|name| !name.is_empty());
        let account = name("serviceAccountName").or(name("serviceAccount"));
        let left_alone = metadata["annotations"].get("kubernetes.io/config.mirror").is_some()
            || metadata["labels"].get(format!("{prefix}/skip-pod-identity-webhook")).is_some()
            || account.is_none_or(|name| name != "api");
        if left_alone {
            assert_eq!(decided.lookups, [""; 0]);
            let expected = [
                Unchanged::MirrorPod,
                Unchanged::SkipLabel,
                Unchanged::NoServiceAccount,
                Unchanged::InvalidName,
            ];
            match &decided.outcome {
                Kind::Unchanged(why) => assert!(expected.contains(why), "{why:?}"),
                Kind::Verified { .. } | Kind::Refused { .. } => {
                    assert_eq!(scenario.settings["mode"], "verify")
                }
                Kind::Changed(change) => panic!("{change:#?}"),
            }
        }
        let distinct: BTreeSet<_> = decided.lookups.iter().collect();
        assert_eq!(distinct.len(), decided.lookups.len(), "{:?}", decided.lookups);
        if scenario.settings["serviceAccountAnnotations"] == false {
            assert!(!decided.lookups.contains(&"ServiceAccount"));
        }
        if scenario.settings["mappingConfigMap"].is_null() {
            assert!(!decided.lookups.contains(&"ConfigMap"));
        }
    });
}

#[test]
fn how_a_pod_is_written_does_not_matter() {
    check((scenario(), any::<u64>()), |(scenario, style)| {
        let one = decide(&scenario);
        let other = decide_object(&scenario, &json::write(&scenario.pod, style));
        assert_eq!((one.lookups, one.warnings), (other.lookups, other.warnings));
        match (&one.outcome, &other.outcome) {
            (Kind::Changed(one), Kind::Changed(other)) => {
                let read = |text: &str| serde_json::from_str::<Value>(text).unwrap();
                assert_eq!(read(&one.object), read(&other.object));
            }
            (one, other) => assert_eq!(format!("{one:?}"), format!("{other:?}")),
        }
    });
}
