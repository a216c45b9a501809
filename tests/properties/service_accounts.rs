//! What holds for every service account.

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::check;
use crate::decide::{Kind, decide_payload};
use crate::generate::{account_annotations, anything, settings};
use crate::json::{self, Node};

#[derive(Clone, Debug)]
struct Written {
    object: Value,
    settings: Value,
    update: bool,
    style: u64,
}

fn written() -> impl Strategy<Value = Written> {
    let annotations = prop_oneof![1 => Just(Value::Null), 9 => account_annotations()];
    (proptest::option::weighted(0.9, annotations), settings(), anything(), any::<bool>(), any::<u64>()).prop_map(
        |(annotations, mut settings, unknown, update, style)| {
            settings["annotateServiceAccounts"] = json!(true);
            // The host is not asked: what would be found is another matter.
            settings["mappingConfigMap"] = Value::Null;
            let mut object = json!({
                "apiVersion": "v1", "kind": "ServiceAccount", "secrets": [{"name": "s"}], "futureField": unknown,
                "metadata": {"name": "api", "namespace": "pay", "labels": {"app": "api"}},
            });
            if let Some(annotations) = annotations {
                object["metadata"]["annotations"] = annotations;
            }
            Written { object, settings, update, style }
        },
    )
}

impl Written {
    fn payload(&self, object: &str) -> String {
        let operation = if self.update { "UPDATE" } else { "CREATE" };
        format!(
            r#"{{"request":{{"uid":"u","operation":"{operation}","resource":{{"group":"","version":"v1","resource":"serviceaccounts"}},"namespace":"pay","object":{object}}},"settings":{}}}"#,
            self.settings
        )
    }

    fn decide(&self, object: &str) -> crate::decide::Decided {
        decide_payload(&self.payload(object), &self.settings.to_string(), &|request| {
            panic!("a lookup: {request}")
        })
    }
}

const MANAGED: [&str; 5] =
    ["role-arn", "audience", "sts-regional-endpoints", "token-expiration", "managed-annotations"];

#[test]
fn only_managed_annotations_change() {
    check(written(), |written| {
        let object = json::write(&written.object, written.style);
        let decided = written.decide(&object);
        assert!(!matches!(decided.outcome, Kind::Refused { .. }), "refused: {decided:#?}");
        let Some(change) = decided.change() else { return };

        let mut patched = written.object.clone();
        let patch: json_patch::Patch = serde_json::from_value(change.patch.clone()).unwrap();
        json_patch::patch(&mut patched, &patch).unwrap();
        let after: Value = serde_json::from_str(&change.object).unwrap();
        assert_eq!(patched, after, "the patch and the object disagree");

        let prefix = match written.settings["annotationPrefix"].as_str() {
            None | Some("") => "eks.amazonaws.com",
            Some(prefix) => prefix,
        };
        let others = |object: &Value| {
            let mut annotations = object["metadata"]["annotations"].as_object().cloned().unwrap_or_default();
            annotations.retain(|key, _| !MANAGED.iter().any(|name| *key == format!("{prefix}/{name}")));
            annotations
        };
        assert_eq!(others(&after), others(&written.object));

        // Around the annotations, every byte; inside, every entry of somebody else, in order.
        let (before, now) = (Node::read(&object), Node::read(&change.object));
        let place = "/metadata/annotations";
        let (Some(old), Some(new)) = (before.find(place), now.find(place)) else { return };
        let around = |text: &str, span: &std::ops::Range<usize>| {
            (text[..span.start].to_owned(), text[span.end..].to_owned())
        };
        assert_eq!(around(&change.object, &new.node.span), around(&object, &old.node.span));
        let entries = |node: &Node, text: &str| -> Vec<String> {
            let json::Kind::Object(members) = &node.kind else { return Vec::new() };
            members
                .iter()
                .filter(|(key, ..)| !MANAGED.iter().any(|name| *key == format!("{prefix}/{name}")))
                .map(|(_, start, value)| text[*start..value.span.end].to_owned())
                .collect()
        };
        assert_eq!(entries(new.node, &change.object), entries(old.node, &object));
    });
}

#[test]
fn completing_twice_equals_completing_once() {
    check(written(), |written| {
        let decided = written.decide(&json::write(&written.object, written.style));
        let Some(change) = decided.change() else { return };
        let again = written.decide(&change.object);
        assert!(again.change().is_none(), "{}\nis changed again: {again:#?}", change.object);
    });
}

#[test]
fn warnings_are_what_the_api_server_passes_on() {
    check(written(), |written| {
        let decided = written.decide(&json::write(&written.object, written.style));
        for warning in &decided.warnings {
            assert!(
                warning.bytes().all(|b| (b' '..=b'~').contains(&b)) && warning.len() <= 256,
                "{warning:?}"
            );
        }
        assert!(decided.warnings.iter().map(String::len).sum::<usize>() <= 4096, "{:#?}", decided.warnings);
    });
}
