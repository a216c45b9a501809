//! The cluster: one for all scenarios but those that stop it.

use std::sync::LazyLock;

use envtest::{Client, Environment, Options};
use serde_json::{Value, json};
use tokio::{runtime::Runtime, sync::OnceCell};

/// Where the shipped manifests put the webhook.
pub(crate) const WEBHOOK_NAMESPACE: &str = "pod-identity-webhook";

/// An API server with the rights that the webhook is shipped with.
pub(crate) struct Cluster {
    environment: Environment,
    webhook_token: String,
}

/// Runs a scenario. All share one runtime, as they share the cluster's connections.
pub(crate) fn run(scenario: impl Future<Output = ()>) {
    static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().unwrap());
    RUNTIME.block_on(scenario);
}

impl Cluster {
    /// The cluster that scenarios share, each in its own namespace. It ends with the test process.
    pub(crate) async fn shared() -> &'static Cluster {
        static CLUSTER: OnceCell<Cluster> = OnceCell::const_new();
        CLUSTER.get_or_init(Cluster::start).await
    }

    /// A cluster of one's own.
    pub(crate) async fn start() -> Cluster {
        let environment = Environment::start(Options::default()).await.unwrap();
        environment.create_namespace(WEBHOOK_NAMESPACE).await.unwrap();
        grant(&environment).await;
        let name = "pod-identity-webhook";
        let webhook_token = environment.service_account_token(WEBHOOK_NAMESPACE, name, &[]).await.unwrap();
        Cluster { environment, webhook_token }
    }

    pub(crate) fn environment(&self) -> &Environment {
        &self.environment
    }

    /// A client that may do everything.
    pub(crate) fn client(&self) -> &Client {
        self.environment.client()
    }

    /// The token of the webhook's own ServiceAccount.
    pub(crate) fn webhook_token(&self) -> &str {
        &self.webhook_token
    }

    /// Creates a ServiceAccount.
    pub(crate) async fn service_account(&self, namespace: &str, name: &str, annotations: Value) -> Value {
        let account = json!({
            "apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "annotations": annotations},
        });
        self.client()
            .post(&format!("/api/v1/namespaces/{namespace}/serviceaccounts"), &account)
            .await
            .unwrap()
    }

    /// Where the webhook's ServiceAccount and its ConfigMap are.
    pub(crate) fn webhook_namespace(&self) -> &str {
        WEBHOOK_NAMESPACE
    }

    /// Creates or replaces the ConfigMap with the mapping.
    pub(crate) async fn put_mapping(&self, config: &str) {
        let path = format!("/api/v1/namespaces/{WEBHOOK_NAMESPACE}/configmaps");
        let name = "pod-identity-webhook";
        let object = json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"config": config},
        });
        match self.client().post(&path, &object).await {
            Err(envtest::Error::Refused { status: 409, .. }) => {
                self.client().put(&format!("{path}/{name}"), &object).await.unwrap()
            }
            created => created.unwrap(),
        };
    }
}

async fn grant(environment: &Environment) {
    environment.create_service_account(WEBHOOK_NAMESPACE, "pod-identity-webhook").await.unwrap();
    let subject =
        json!([{"kind": "ServiceAccount", "name": "pod-identity-webhook", "namespace": WEBHOOK_NAMESPACE}]);
    let rbac = "/apis/rbac.authorization.k8s.io/v1";
    let namespaced = format!("{rbac}/namespaces/{WEBHOOK_NAMESPACE}");
    let objects = [
        (
            format!("{rbac}/clusterroles"),
            json!({
                "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
                "metadata": {"name": "pod-identity-webhook"},
                "rules": [{"apiGroups": [""], "resources": ["serviceaccounts"], "verbs": ["get", "list", "watch"]}],
            }),
        ),
        (
            format!("{rbac}/clusterrolebindings"),
            json!({
                "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
                "metadata": {"name": "pod-identity-webhook"},
                "roleRef": {
                    "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "pod-identity-webhook",
                },
                "subjects": subject,
            }),
        ),
        (
            format!("{namespaced}/roles"),
            json!({
                "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
                "metadata": {"name": "pod-identity-webhook"},
                "rules": [{
                    "apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["pod-identity-webhook"],
                    "verbs": ["get", "list", "watch"],
                }],
            }),
        ),
        (
            format!("{namespaced}/rolebindings"),
            json!({
                "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
                "metadata": {"name": "pod-identity-webhook"},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "pod-identity-webhook"},
                "subjects": subject,
            }),
        ),
    ];
    for (path, object) in objects {
        environment.client().post(&path, &object).await.unwrap();
    }
}
