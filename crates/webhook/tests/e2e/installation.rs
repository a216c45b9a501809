//! The manifests as they are shipped, all of them.

use std::net::SocketAddr;

use envtest::Request;
use serde_json::{Value, json};

use crate::{
    balancer::Balancer,
    cluster::{self, Cluster, NAME, NAMESPACE, deploy},
    pod::{ROLE, identity, no_identity, pod, web_identity},
    scenario::until,
    webhook::{Start, Webhook},
};

#[test]
fn manifests_as_shipped() {
    cluster::run(async {
        let cluster = Cluster::start().await;
        let balancer = Balancer::start().await;
        install(&cluster, balancer.address()).await;
        let deployment = format!("/apis/apps/v1/namespaces/{NAMESPACE}/deployments/{NAME}");
        let template = cluster.client().get(&deployment).await.unwrap()["spec"]["template"].take();

        // The namespace enforces the Pod Security Standard `restricted`.
        let own = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": "own", "labels": template["metadata"]["labels"]}, "spec": template["spec"],
        });
        let created = Request::post(&format!("/api/v1/namespaces/{NAMESPACE}/pods"), &own);
        assert_eq!(cluster.client().send(created).await.unwrap().warnings, [] as [&str; 0]);

        let container = &template["spec"]["containers"][0];
        let flags: Vec<&str> = container["args"].as_array().unwrap().iter().flat_map(Value::as_str).collect();
        let flags: Vec<&str> = flags.into_iter().filter(|flag| !flag.starts_with("--port=")).collect();
        let start = Start {
            cluster: &cluster,
            token: cluster.webhook_token(),
            files: &[],
            flags: &flags,
            certificates: None,
        };
        // Both at once make one certificate authority.
        let (first, second) = tokio::join!(Webhook::start(&start), Webhook::start(&start));
        balancer.add(first.address());
        balancer.add(second.address());

        let environment = cluster.environment();
        for namespace in ["shop", "kube-system"] {
            environment.create_namespace(namespace).await.unwrap();
            cluster.service_account(namespace, "app", json!({"eks.amazonaws.com/role-arn": ROLE})).await;
            let pods = format!("/api/v1/namespaces/{namespace}/pods");
            // The API server hears of the `caBundle` in its own time; until then `Ignore` admits pods as they are.
            until("pods get their identity", async || {
                let admitted = cluster.client().post(&format!("{pods}?dryRun=All"), &pod("app", "app")).await;
                identity(&admitted.unwrap()) == web_identity(&["app"], ROLE)
            })
            .await;
            let created = cluster.client().post(&pods, &pod("app", "app")).await.unwrap();
            assert_eq!(identity(&created), web_identity(&["app"], ROLE));
            let mut skipped = pod("skipped", "app");
            skipped["metadata"]["labels"] = json!({"eks.amazonaws.com/skip-pod-identity-webhook": "true"});
            let created = cluster.client().post(&pods, &skipped).await.unwrap();
            assert_eq!(identity(&created), no_identity(&["app"]));
        }
        println!(
            "installation: all manifests applied, two replicas with one authority of their own: pods in a \
                  usual and in a critical namespace have their identity"
        );
    });
}

/// Applies the manifests. The Service leads to `address`, for nothing runs the Deployment's pods.
async fn install(cluster: &Cluster, address: SocketAddr) {
    for file in ["30-webhook.yaml", "40-registration.yaml"] {
        let output = cluster.kubectl().args(["apply", "--filename", &deploy(file)]).output().unwrap();
        assert!(output.status.success(), "{file}: {}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{file}");
    }
    let services = format!("/api/v1/namespaces/{NAMESPACE}/services");
    cluster.client().delete(&format!("{services}/{NAME}")).await.unwrap();
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": NAME},
        "spec": {"type": "ExternalName", "externalName": "localhost"},
    });
    cluster.client().post(&services, &service).await.unwrap();

    // To such a Service the API server goes on the port that the registration names.
    let registration =
        "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/pod-identity-webhook";
    let mut object = cluster.client().get(registration).await.unwrap();
    for webhook in object["webhooks"].as_array_mut().unwrap() {
        webhook["clientConfig"]["service"]["port"] = json!(address.port());
    }
    cluster.client().put(registration, &object).await.unwrap();
}
