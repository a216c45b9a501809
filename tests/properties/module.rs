//! The real module answers as the library does.

use std::sync::OnceLock;

use policy_host::{Cluster, ObjectKey, Options, PolicyHost};
use serde_json::json;

use crate::decide::decide;
use crate::generate::{Answer, Scenario, scenario};
use crate::{check, load};

fn host() -> &'static PolicyHost {
    static HOST: OnceLock<PolicyHost> = OnceLock::new();
    HOST.get_or_init(|| load(Options::default()))
}

/// Asked twice, and as the real module.
#[test]
fn the_same_request_gives_the_same_answer() {
    check(scenario(), |mut scenario| {
        // What the host cannot be made to say.
        for answer in [&mut scenario.service_account, &mut scenario.config_map] {
            if matches!(answer, Answer::Text(_)) {
                *answer = Answer::NotThere;
            }
        }
        let payload = scenario.payload(&scenario.object());
        let asked = scenario.clone();
        let host_call = move |_: &str, request: &str| asked.host_call(request);
        let once = || pod_identity_policy::validate(payload.as_bytes(), &host_call);
        let answer = once();
        assert_eq!(answer, once());
        let module = host().call("validate", payload.as_bytes(), &cluster(&scenario)).unwrap();
        assert_eq!(String::from_utf8(module.outcome.unwrap()).unwrap(), answer);
        if let Some(change) = decide(&scenario).change() {
            let written = format!("{{\"accepted\":true,\"mutated_object\":{}", change.object);
            assert!(answer.starts_with(&written), "{answer}");
        }
    });
}

fn cluster(scenario: &Scenario) -> Cluster {
    let mut cluster = Cluster::default();
    let config_map = scenario.settings["mappingConfigMap"]["name"].as_str().unwrap_or("pod-identity-webhook");
    for (answer, kind, namespace, name) in [
        (&scenario.service_account, "ServiceAccount", "pay", "api"),
        (&scenario.config_map, "ConfigMap", "eks", config_map),
    ] {
        match answer {
            Answer::There(object) => {
                let mut object = object.clone();
                object["apiVersion"] = json!("v1");
                object["kind"] = json!(kind);
                object["metadata"]["namespace"] = json!(namespace);
                object["metadata"]["name"] = json!(name);
                cluster.insert(object).unwrap();
            }
            Answer::Failed(text) => {
                let key = ObjectKey {
                    api_version: "v1".to_owned(),
                    kind: kind.to_owned(),
                    namespace: Some(namespace.to_owned()),
                    name: name.to_owned(),
                };
                cluster.insert_error(key, *text).unwrap();
            }
            Answer::NotThere | Answer::Text(_) => {}
        }
    }
    cluster
}
