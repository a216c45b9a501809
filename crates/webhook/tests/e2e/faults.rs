//! What happens when a part of the whole is away.

use std::time::Duration;

use envtest::Request;
use serde_json::json;
use tokio::time::{sleep, timeout};

use crate::{
    cluster::{self, Cluster, NAME},
    load::Load,
    pod::{ROLE, identity, no_identity, pod, web_identity},
    review,
    scenario::{Scenario, until},
    webhook::{Start, Webhook},
};

/// How long the API server stands still.
const OUTAGE: Duration = Duration::from_secs(30);

/// An API server that does not answer for so long stands still.
const SILENCE: Duration = Duration::from_secs(1);

/// How long after SIGTERM an endpoint still gets connections.
const ENDPOINT_LATE: [Duration; 3] = [Duration::ZERO, Duration::from_secs(2), Duration::from_secs(5)];

#[test]
fn replicas_replaced_under_load() {
    cluster::run(async {
        let scenario = Scenario::new(Cluster::shared().await, "rolling").await;
        let mut replicas = vec![scenario.webhook(&[]).await, scenario.webhook(&[]).await];
        scenario.service_account("app", json!({"eks.amazonaws.com/role-arn": ROLE})).await;
        let expected = web_identity(&["app"], ROLE);
        scenario.until_identity(&pod("app", "app"), &expected).await;
        let load = Load::start(4, &expected, scenario.admissions());
        let mut old = Vec::new();
        for late in ENDPOINT_LATE {
            replicas.push(scenario.webhook(&[]).await);
            let replica = replicas.remove(0);
            replica.terminate();
            sleep(late).await;
            scenario.balancer.remove(replica.address());
            old.push(replica);
        }
        for mut replica in old {
            assert!(replica.ended().await.success());
        }
        let right = load.finish().await.assert_right();
        scenario.say(&format!("three of two replicas replaced, {right} pods: all right"));
    });
}

#[test]
fn api_server_stopped_for_30_seconds() {
    cluster::run(async {
        let cluster = Cluster::start().await;
        let scenario = Scenario::new(&cluster, "outage").await;
        let mut webhook = scenario.webhook(&[]).await;
        scenario.service_account("app", json!({"eks.amazonaws.com/role-arn": ROLE})).await;
        let expected = web_identity(&["app"], ROLE);
        scenario.until_identity(&pod("app", "app"), &expected).await;

        cluster.environment().pause_api_server().unwrap();
        // It may answer a request or two before the signal has reached all of its threads.
        until("the API server says nothing", async || {
            timeout(SILENCE, cluster.client().get("/livez")).await.is_err()
        })
        .await;
        // What another API server would send.
        let client = review::client(webhook.address(), &scenario.authority);
        let namespace = scenario.namespace.clone();
        let known = Load::start(2, &expected, {
            let client = client.clone();
            move || {
                let (client, namespace) = (client.clone(), namespace.clone());
                async move {
                    let admitted = review::admit(&client, &namespace, &pod("app", "app")).await?;
                    Ok(review::complete(admitted.pod))
                }
            }
        });
        let unknown = review::admit(&client, &scenario.namespace, &pod("other", "other")).await.unwrap();
        sleep(OUTAGE).await;
        let right = known.finish().await.assert_right();
        assert_eq!(identity(&unknown.pod), no_identity(&["app"]));
        assert_eq!(
            unknown.warnings,
            [
                "no identity is added: service account `outage/other` could not be read, see why the API server is \
              slow: the API server did not answer in time"
            ],
            "{}",
            webhook.log().lines().filter(|line| line.contains("other")).collect::<String>()
        );

        cluster.environment().resume_api_server().unwrap();
        webhook.assert_running();
        let other = "arn:aws:iam::123456789012:role/other";
        let path = format!("/api/v1/namespaces/{}/serviceaccounts/app", scenario.namespace);
        let patch = json!({"metadata": {"annotations": {"eks.amazonaws.com/role-arn": other}}});
        scenario.send(Request::merge_patch(&path, &patch)).await.unwrap();
        scenario.until_identity(&pod("app", "app"), &web_identity(&["app"], other)).await;
        scenario.service_account("new", json!({"eks.amazonaws.com/role-arn": ROLE})).await;
        assert_eq!(identity(&scenario.create(&pod("new", "new")).await), expected);
        webhook.assert_running();
        scenario.say(&format!(
            "{right} reviews of a known ServiceAccount were right while the API server stood still; a change and a \
             new ServiceAccount were seen afterwards"
        ));
    });
}

#[test]
fn rights_missing() {
    cluster::run(async {
        let cluster = Cluster::shared().await;
        let scenario = Scenario::new(cluster, "rights").await;
        let environment = cluster.environment();
        environment.create_service_account(&scenario.namespace, "webhook").await.unwrap();
        let token = environment.service_account_token(&scenario.namespace, "webhook", &[]).await.unwrap();
        let webhook = Webhook::start_unready(&Start { token: &token, ..scenario.start(&[], &[]) }).await;
        scenario.balancer.add(webhook.address());
        scenario.service_account("app", json!({"eks.amazonaws.com/role-arn": ROLE})).await;
        let created = scenario.send(Request::post(&scenario.pods(), &pod("app", "app"))).await.unwrap();
        assert_eq!(identity(&created.json().unwrap()), no_identity(&["app"]));
        assert_eq!(
            created.warnings,
            [
                "no identity is added: service account `rights/app` could not be read, grant the webhook `get` on \
              `serviceaccounts`: the API server answered 403"
            ]
        );
        assert_eq!(
            webhook.readiness().await,
            Some((503, "not ready, still missing: service accounts\n".to_owned()))
        );

        // As the warning says; `list` and `watch` are what readiness waits for.
        let binding = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": "rights"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": NAME},
            "subjects": [{"kind": "ServiceAccount", "name": "webhook", "namespace": scenario.namespace}],
        });
        let bindings = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings";
        cluster.client().post(bindings, &binding).await.unwrap();
        scenario.until_identity(&pod("app-2", "app"), &web_identity(&["app"], ROLE)).await;
        until("it is ready", async || matches!(webhook.readiness().await, Some((200, _)))).await;
        scenario.say("the pod is admitted, a warning says what to grant, and once it is granted all is well");
    });
}
