//! What the API server makes of what the webhook answers.

use std::{path::Path, process::Output};

use envtest::Request;
use serde_json::{Value, json};

use crate::{
    cluster::{self, Cluster},
    pod::{ROLE, identity, no_identity, pod, web_identity},
    review,
    scenario::{Scenario, until},
    second_webhook::SecondWebhook,
};

const ROLE_ANNOTATION: &str = "eks.amazonaws.com/role-arn";

#[test]
fn mirror_pod_is_left_alone() {
    cluster::run(async {
        let scenario = Scenario::new(Cluster::shared().await, "mirror").await;
        let webhook = scenario.webhook(&[]).await;
        scenario.service_account("app", json!({ROLE_ANNOTATION: ROLE})).await;
        // As a kubelet shows a static pod.
        let mirror = json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "static-node-1", "annotations": {"kubernetes.io/config.mirror": "705ab4f5"}},
            "spec": {
                "nodeName": "node-1",
                "containers": [{"name": "app", "image": "registry.example.com/app:1"}],
            },
        });
        let created = scenario.create(&mirror).await;
        assert_eq!(identity(&created), no_identity(&["app"]));

        // The API server refuses one with a ServiceAccount, but only after the webhooks.
        let mut mirror = mirror;
        mirror["spec"]["serviceAccountName"] = json!("app");
        let client = review::client(webhook.address(), &scenario.authority);
        let admitted = review::admit(&client, &scenario.namespace, &mirror).await.unwrap();
        assert_eq!(admitted.patch, [] as [Value; 0]);
        scenario.say("a mirror pod is created, without a token volume");
    });
}

#[test]
fn ephemeral_container() {
    cluster::run(async {
        let scenario = Scenario::new(Cluster::shared().await, "ephemeral").await;
        let _webhook = scenario.webhook(&[]).await;
        scenario.service_account("app", json!({ROLE_ANNOTATION: ROLE})).await;
        let mut created = scenario.create(&pod("app", "app")).await;
        created["spec"]["ephemeralContainers"] =
            json!([{"name": "debugger", "image": "registry.example.com/debugger:1"}]);
        let path = format!("{}/app/ephemeralcontainers", scenario.pods());
        scenario.send(Request::put(&path, &created)).await.unwrap();
        let read = scenario.cluster.client().get(&format!("{}/app", scenario.pods())).await.unwrap();
        assert_eq!(identity(&read), web_identity(&["app", "debugger"], ROLE));

        // `kubectl debug` sends the whole list each time: only what is new is served.
        created = read;
        let list = created["spec"]["ephemeralContainers"].as_array_mut().unwrap();
        list.push(json!({"name": "debugger-2", "image": "registry.example.com/debugger:1"}));
        scenario.send(Request::put(&path, &created)).await.unwrap();
        let read = scenario.cluster.client().get(&format!("{}/app", scenario.pods())).await.unwrap();
        assert_eq!(identity(&read), web_identity(&["app", "debugger", "debugger-2"], ROLE));
        scenario.say("two containers for debugging have the identity of their pod");
    });
}

#[test]
fn container_added_by_a_later_webhook() {
    cluster::run(async {
        let scenario = Scenario::new(Cluster::shared().await, "reinvocation").await;
        let _webhook = scenario.webhook(&[]).await;
        scenario.service_account("app", json!({ROLE_ANNOTATION: ROLE})).await;
        let second = SecondWebhook::start("sidecar").await;
        scenario.register(&second.registration("reinvocation-later", &scenario.namespace)).await;
        until("the second webhook is called", async || {
            let admitted = scenario.dry_run(&pod("probe", "app")).await.unwrap();
            admitted["spec"]["containers"].as_array().unwrap().len() == 2
        })
        .await;
        let created = scenario.create(&pod("app", "app")).await;
        assert_eq!(identity(&created), web_identity(&["app", "sidecar"], ROLE));
        scenario.say("the container that came later has the identity too, and the first has it once");
    });
}

#[test]
fn fields_that_the_webhook_does_not_know() {
    cluster::run(async {
        let cluster = Cluster::shared().await;
        let scenario = Scenario::new(cluster, "unknown-fields").await;
        let webhook = scenario.webhook(&[]).await;
        scenario.service_account("app", json!({ROLE_ANNOTATION: ROLE})).await;
        let without = "unknown-fields-without";
        cluster.environment().create_namespace(without).await.unwrap();
        cluster.environment().create_service_account(without, "app").await.unwrap();

        // Fields of recent versions, at each level.
        let mut recent = pod("app", "app");
        recent["spec"]["hostnameOverride"] = json!("app.example.com");
        recent["spec"]["resources"] = json!({"limits": {"cpu": "2", "memory": "1Gi"}});
        recent["spec"]["restartPolicy"] = json!("Never");
        recent["spec"]["volumes"] =
            json!([{"name": "data", "image": {"reference": "registry.example.com/data:1"}}]);
        recent["spec"]["containers"][0]["resizePolicy"] =
            json!([{"resourceName": "cpu", "restartPolicy": "NotRequired"}]);
        recent["spec"]["containers"][0]["restartPolicy"] = json!("Never");
        recent["spec"]["containers"][0]["restartPolicyRules"] =
            json!([{"action": "Restart", "exitCodes": {"operator": "In", "values": [42]}}]);
        recent["spec"]["containers"][0]["lifecycle"] = json!({"stopSignal": "SIGUSR1"});
        recent["spec"]["containers"][0]["volumeMounts"] = json!([{"name": "data", "mountPath": "/data", "recursiveReadOnly": "Disabled", "readOnly": true}]);
        recent["spec"]["os"] = json!({"name": "linux"});
        let plain =
            cluster.client().post(&format!("/api/v1/namespaces/{without}/pods"), &recent).await.unwrap();
        let mut given = scenario.create(&recent).await;
        assert_ne!(given["spec"], plain["spec"]);
        take_identity_out(&mut given);
        assert_eq!(given["spec"], plain["spec"]);

        // What no API server knows yet: it would drop it before the webhook sees it.
        let mut future = pod("app", "app");
        future["future"] = json!({"nested": [1, 2.50, null, "text"]});
        future["metadata"]["future"] = json!(12345678901234567890_u64);
        future["spec"]["future"] = json!([{"deep": {"deeper": true}}]);
        future["spec"]["containers"][0]["future"] = json!({"a": {"b": "c"}});
        future["spec"]["volumes"] = json!([{"name": "data", "future": {"kind": "of volume"}}]);
        future["spec"]["containers"][0]["env"] =
            json!([{"name": "A", "valueFrom": {"futureRef": {"key": "b"}}}]);
        let client = review::client(webhook.address(), &scenario.authority);
        let admitted = review::admit(&client, &scenario.namespace, &future).await.unwrap();
        assert!(admitted.patch.iter().all(|operation| operation["op"] == "add"), "{:?}", admitted.patch);
        let mut given = admitted.pod;
        assert_ne!(given, future);
        take_identity_out(&mut given);
        assert_eq!(given, future);
        scenario.say("nothing is lost: fields of 1.36, and fields that do not exist");
    });
}

/// Takes out what a web identity adds, an array with nothing else in it included.
fn take_identity_out(pod: &mut Value) {
    fn take_out(object: &mut Value, key: &str, names: &[&str]) {
        let Some(elements) = object[key].as_array_mut() else { return };
        elements.retain(|element| !names.iter().any(|name| element["name"] == **name));
        if elements.is_empty() {
            object.as_object_mut().unwrap().remove(key);
        }
    }
    take_out(&mut pod["spec"], "volumes", &["aws-iam-token"]);
    let container = &mut pod["spec"]["containers"][0];
    take_out(container, "volumeMounts", &["aws-iam-token"]);
    take_out(container, "env", &["AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE"]);
}

#[test]
fn kubectl_shows_warnings() {
    cluster::run(async {
        let scenario = Scenario::new(Cluster::shared().await, "kubectl-warnings").await;
        let webhook = scenario.webhook(&[]).await;
        let role = "arn:aws:iam::123:role/app";
        scenario.service_account("app", json!({ROLE_ANNOTATION: role})).await;
        webhook.replace_file("pod.json", &pod("app", "app").to_string());
        let output = kubectl(&scenario, &["create", "-f"], &webhook.directory().join("pod.json"));
        assert_eq!(String::from_utf8_lossy(&output.stdout), "pod/app created\n");
        assert_eq!(
            String::from_utf8_lossy(&output.stderr),
            "Warning: annotation `eks.amazonaws.com/role-arn` of service account `kubectl-warnings/app`: \
             `arn:aws:iam::123:role/app` is not a role ARN: the account must have 12 digits\n",
        );

        // Pods are mostly made by controllers; the person who writes the annotation reads it, too.
        scenario.register_service_accounts(|_| {}).await;
        let account = json!({
            "apiVersion": "v1", "kind": "ServiceAccount",
            "metadata": {"name": "other", "annotations": {ROLE_ANNOTATION: role}},
        });
        webhook.replace_file("account.json", &account.to_string());
        let path = webhook.directory().join("account.json");
        until("the ServiceAccount is reviewed", async || {
            !kubectl(&scenario, &["create", "--dry-run=server", "-f"], &path).stderr.is_empty()
        })
        .await;
        let output = kubectl(&scenario, &["apply", "-f"], &path);
        assert_eq!(String::from_utf8_lossy(&output.stdout), "serviceaccount/other created\n");
        assert_eq!(
            String::from_utf8_lossy(&output.stderr),
            "Warning: annotation `eks.amazonaws.com/role-arn` of service account `kubectl-warnings/other`: \
             `arn:aws:iam::123:role/app` is not a role ARN: the account must have 12 digits\n",
        );
        scenario.say("kubectl says what is wrong with the annotation, of a pod and of a ServiceAccount");
    });
}

#[test]
fn kubectl_apply() {
    cluster::run(async {
        let scenario = Scenario::new(Cluster::shared().await, "kubectl-apply").await;
        let webhook = scenario.webhook(&[]).await;
        scenario.service_account("app", json!({ROLE_ANNOTATION: ROLE})).await;
        let mut manifest = pod("app", "app");
        let path = webhook.directory().join("pod.json");
        for (flags, label, expected) in [
            (["apply", "-f"].as_slice(), "a", "pod/app created\n"),
            (&["apply", "-f"], "a", "pod/app unchanged\n"),
            (&["apply", "-f"], "b", "pod/app configured\n"),
            (&["apply", "--server-side", "--force-conflicts", "-f"], "c", "pod/app serverside-applied\n"),
        ] {
            manifest["metadata"]["labels"] = json!({"tier": label});
            webhook.replace_file("pod.json", &manifest.to_string());
            let output = kubectl(&scenario, flags, &path);
            assert_eq!(
                (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr)),
                (expected.into(), "".into())
            );
            let read = scenario.cluster.client().get(&format!("{}/app", scenario.pods())).await.unwrap();
            assert_eq!(identity(&read), web_identity(&["app"], ROLE));
        }
        scenario.say("applied, applied again, with another label, and server-side: the identity stays");
    });
}

fn kubectl(scenario: &Scenario<'_>, arguments: &[&str], file: &Path) -> Output {
    let mut kubectl = scenario.cluster.kubectl();
    kubectl.args(["--namespace", &scenario.namespace]).args(arguments).arg(file).output().unwrap()
}
