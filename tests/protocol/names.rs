//! Names that are none are neither looked up nor taken for settings.

use serde_json::{Value, json};

use super::*;

const HOSTILE: &[&str] = &[
    "?watch=true",
    "api?watch=true",
    "?limit=1",
    "x/",
    "../y",
    "..",
    ".",
    "a/../b",
    "%2e%2e",
    "API",
    "Api",
    "a b",
    " ",
    "a\n",
    "\u{0}",
    "a#b",
    "-a",
    "a-",
    "a_b",
    "é",
    "а",
    "a\u{202e}b",
    "😀",
];

#[test]
fn hostile_names_are_never_looked_up() {
    let long = "a".repeat(254);
    let longest_namespace = "a".repeat(64);
    let settings = json!({
        "mapping": {"*/*": ROLE},
        "mappingConfigMap": {"namespace": "eks"},
        "containerCredentials": {"identities": [{"namespace": "*", "serviceAccount": "*"}]},
    });
    for settings in [json!({}), settings] {
        for name in HOSTILE.iter().copied().chain(["a.b", "", &long, &longest_namespace]) {
            let mut request = request(&pod());
            request["namespace"] = json!(name);
            for own in [Some(name), None] {
                match own {
                    Some(name) => request["object"]["metadata"]["namespace"] = json!(name),
                    None => drop(request["object"]["metadata"].as_object_mut().unwrap().remove("namespace")),
                }
                check_validate(envelope(&request, &settings).as_bytes(), &json!({"accepted": true}));
            }
        }
        for name in HOSTILE.iter().copied().chain([".a", "a.", "a..b", &long]) {
            let mut first = request(&pod());
            first["object"]["spec"]["serviceAccountName"] = json!(name);
            check_validate(envelope(&first, &settings).as_bytes(), &json!({"accepted": true}));
            first["object"]["spec"]["serviceAccount"] = json!("api");
            check_validate(envelope(&first, &settings).as_bytes(), &json!({"accepted": true}));
            for absent in [json!(""), Value::Null] {
                let mut second = request(&pod());
                second["object"]["spec"]["serviceAccountName"] = absent;
                second["object"]["spec"]["serviceAccount"] = json!(name);
                check_validate(envelope(&second, &settings).as_bytes(), &json!({"accepted": true}));
            }
        }
    }
}

/// A service account that is written is never looked up; nor is a config map for a name that is none.
#[test]
fn hostile_names_of_service_accounts() {
    let settings = json!({"annotateServiceAccounts": true, "mappingConfigMap": {"namespace": "eks"}});
    for name in HOSTILE {
        for (namespace, account) in [("pay", *name), (*name, "api")] {
            let mut request = request(&service_account(&json!({})));
            request["resource"]["resource"] = json!("serviceaccounts");
            request["namespace"] = json!(namespace);
            request["object"]["metadata"]["namespace"] = json!(namespace);
            request["object"]["metadata"]["name"] = json!(account);
            check_validate(envelope(&request, &settings).as_bytes(), &json!({"accepted": true}));
        }
    }
}

#[test]
fn hostile_names_in_the_settings_are_problems() {
    for name in HOSTILE {
        for (settings, path, expected) in [
            (
                json!({"mappingConfigMap": {"namespace": name}}),
                "mappingConfigMap.namespace",
                "the name of a namespace",
            ),
            (
                json!({"mappingConfigMap": {"namespace": "eks", "name": name}}),
                "mappingConfigMap.name",
                "the name of a config map",
            ),
        ] {
            let shown: String = name
                .chars()
                .map(
                    |c| if (' '..='~').contains(&c) { c.to_string() } else { c.escape_default().to_string() },
                )
                .collect();
            check_settings(
                settings.to_string().as_bytes(),
                Some(&format!("{path}: expected {expected}, found `{shown}`")),
            );
        }
    }
}
