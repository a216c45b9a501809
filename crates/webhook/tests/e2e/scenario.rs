//! A namespace of its own, with a webhook of its own that the API server calls for it.

use std::{
    pin::Pin,
    time::{Duration, Instant},
};

use envtest::{Authority, Request, Response};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::{
    balancer::Balancer,
    certificate_files::Layout,
    cluster::Cluster,
    pod::{identity, pod},
    webhook::{Start, Webhook},
};

const LIMIT: Duration = Duration::from_secs(60);

/// What a scenario works with.
pub(crate) struct Scenario<'a> {
    pub(crate) cluster: &'a Cluster,
    pub(crate) namespace: String,
    pub(crate) authority: Authority,
    /// What the API server calls: the Service.
    pub(crate) balancer: Balancer,
}

impl<'a> Scenario<'a> {
    /// Creates the namespace and registers the Service, which has no endpoint yet, with failure policy `Fail`.
    /// Returns when the API server calls it.
    pub(crate) async fn new(cluster: &'a Cluster, namespace: &str) -> Scenario<'a> {
        cluster.environment().create_namespace(namespace).await.unwrap();
        let scenario = Scenario {
            cluster,
            namespace: namespace.to_owned(),
            authority: Authority::new(namespace).unwrap(),
            balancer: Balancer::start().await,
        };
        let mut pods = scenario.shipped("pods.pod-identity-webhook.amazonaws.com");
        pods["failurePolicy"] = json!("Fail");
        scenario.register(&configuration(namespace, pods)).await;
        until("the API server calls the webhook", async || {
            let refused = scenario.dry_run(&pod("probe", "default")).await;
            refused.is_err_and(|error| error.to_string().contains("failed calling webhook"))
        })
        .await;
        scenario
    }

    /// Starts a webhook and makes it an endpoint when it is ready.
    pub(crate) async fn webhook(&self, flags: &[&str]) -> Webhook {
        self.webhook_with_files(&[], flags).await
    }

    /// The same, with files in its directory that flags name as `{directory}/name`.
    pub(crate) async fn webhook_with_files(&self, files: &[(&str, String)], flags: &[&str]) -> Webhook {
        let webhook = Webhook::start(&self.start(files, flags)).await;
        self.balancer.add(webhook.address());
        webhook
    }

    /// How a webhook of this scenario starts.
    pub(crate) fn start<'s>(&'s self, files: &'s [(&'s str, String)], flags: &'s [&'s str]) -> Start<'s> {
        let token = self.cluster.webhook_token();
        Start {
            cluster: self.cluster,
            token,
            files,
            flags,
            certificates: Some((&self.authority, Layout::Plain)),
        }
    }

    /// Creates a ServiceAccount in the namespace.
    pub(crate) async fn service_account(&self, name: &str, annotations: Value) -> Value {
        self.cluster.service_account(&self.namespace, name, annotations).await
    }

    /// Creates a pod and reads it back.
    pub(crate) async fn create(&self, pod: &Value) -> Value {
        self.send(Request::post(&self.pods(), pod)).await.unwrap();
        let name = pod["metadata"]["name"].as_str().unwrap();
        self.cluster.client().get(&format!("{}/{name}", self.pods())).await.unwrap()
    }

    /// Lets a pod be admitted without being kept.
    pub(crate) async fn dry_run(&self, pod: &Value) -> envtest::Result<Value> {
        self.send(Request::post(&format!("{}?dryRun=All", self.pods()), pod)).await?.json()
    }

    /// Lets pods be admitted until one has this identity.
    pub(crate) async fn until_identity(&self, pod: &Value, expected: &Value) {
        let mut last = None;
        let asked = tokio::time::timeout(LIMIT, async {
            loop {
                last = Some(self.dry_run(pod).await.map(|pod| identity(&pod)));
                if matches!(&last, Some(Ok(identity)) if identity == expected) {
                    return;
                }
                sleep(Duration::from_millis(100)).await;
            }
        });
        assert!(asked.await.is_ok(), "after {LIMIT:?} {last:#?}, expected {expected:#}");
    }

    /// What lets pods of the ServiceAccount `app` be admitted for [`crate::load::Load`].
    pub(crate) fn admissions(
        &self,
    ) -> impl Fn() -> Pin<Box<dyn Future<Output = Result<Value, String>> + Send>> + Clone + use<> {
        let (client, path) = (self.cluster.client().clone(), format!("{}?dryRun=All", self.pods()));
        move || {
            let (client, path) = (client.clone(), path.clone());
            Box::pin(async move {
                client.post(&path, &pod("app", "app")).await.map_err(|error| error.to_string())
            })
        }
    }

    /// Registers a webhook.
    pub(crate) async fn register(&self, registration: &Value) {
        let path = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations";
        self.cluster.client().post(path, registration).await.unwrap();
    }

    /// Lets the API server call the Service for ServiceAccounts as well, soon, as it is shipped but for `change`.
    pub(crate) async fn register_service_accounts(&self, change: impl FnOnce(&mut Value)) {
        let mut webhook = self.shipped("serviceaccounts.pod-identity-webhook.amazonaws.com");
        change(&mut webhook);
        self.register(&configuration(&format!("{}-service-accounts", self.namespace), webhook)).await;
    }

    /// Sends a request as a person who may do everything.
    pub(crate) async fn send(&self, request: Request) -> envtest::Result<Response> {
        self.cluster.client().send(request).await
    }

    /// The path of the namespace's pods.
    pub(crate) fn pods(&self) -> String {
        format!("/api/v1/namespaces/{}/pods", self.namespace)
    }

    /// Says what was done; shown by `--nocapture` and when the test fails.
    pub(crate) fn say(&self, what: &str) {
        println!("{}: {what}", self.namespace);
    }

    /// An entry of the shipped registration, for this namespace and this Service.
    fn shipped(&self, name: &str) -> Value {
        let webhooks = self.cluster.registration()["webhooks"].as_array().unwrap();
        let mut webhook = webhooks.iter().find(|webhook| webhook["name"] == name).unwrap().clone();
        let path = webhook["clientConfig"]["service"]["path"].as_str().unwrap();
        webhook["clientConfig"] = json!({
            "url": format!("https://{}{path}", self.balancer.address()),
            "caBundle": self.authority.ca_bundle(),
        });
        webhook["namespaceSelector"] =
            json!({"matchLabels": {"kubernetes.io/metadata.name": self.namespace}});
        // Two seconds may pass on a machine that runs all scenarios at once.
        webhook["timeoutSeconds"] = json!(10);
        webhook
    }
}

/// A MutatingWebhookConfiguration with one entry.
fn configuration(name: &str, webhook: Value) -> Value {
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingWebhookConfiguration",
        "metadata": {"name": name},
        "webhooks": [webhook],
    })
}

/// Asks again until it is so.
pub(crate) async fn until(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let start = Instant::now();
    while !condition().await {
        assert!(start.elapsed() < LIMIT, "after {LIMIT:?} still not so: {what}");
        sleep(Duration::from_millis(100)).await;
    }
}
