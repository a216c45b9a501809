//! The cluster: one for all scenarios but those that stop it.

use std::{ffi::OsStr, path::Path, process::Command, sync::LazyLock};

use envtest::{Client, Environment, Options};
use serde_json::{Value, json};
use tokio::{runtime::Runtime, sync::OnceCell};

/// Where the shipped manifests put the webhook.
pub(crate) const NAMESPACE: &str = "pod-identity-webhook";
/// What they call everything.
pub(crate) const NAME: &str = "pod-identity-webhook";

/// An API server with the rights that the webhook is shipped with, and no others for its ServiceAccount.
pub(crate) struct Cluster {
    environment: Environment,
    webhook_token: String,
    registration: Value,
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
        let access = ["00-namespace.yaml", "10-access.yaml", "20-fence.yaml"].map(deploy);
        kubectl(&environment, "apply", &access.each_ref().map(|file| format!("--filename={file}")));
        let webhook_token = environment.service_account_token(NAMESPACE, NAME, &[]).await.unwrap();
        let patch = format!("--patch-file={}", deploy("optional/ephemeral-containers.yaml"));
        let file = format!("--filename={}", deploy("40-registration.yaml"));
        let registration =
            kubectl(&environment, "patch", &["--local", "--type=json", &patch, &file, "--output=json"]);
        let registration = serde_json::from_str(&registration).unwrap();
        Cluster { environment, webhook_token, registration }
    }

    pub(crate) fn environment(&self) -> &Environment {
        &self.environment
    }

    /// A client that may do everything.
    pub(crate) fn client(&self) -> &Client {
        self.environment.client()
    }

    /// The shipped registration, ephemeral containers included.
    pub(crate) fn registration(&self) -> &Value {
        &self.registration
    }

    /// The token of the webhook's own ServiceAccount.
    pub(crate) fn webhook_token(&self) -> &str {
        &self.webhook_token
    }

    /// `kubectl` for a person who may do everything.
    pub(crate) fn kubectl(&self) -> Command {
        kubectl_command(&self.environment)
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

    /// Creates or replaces the ConfigMap with the mapping.
    pub(crate) async fn put_mapping(&self, config: &str) {
        let path = format!("/api/v1/namespaces/{NAMESPACE}/configmaps");
        let object = json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": NAME}, "data": {"config": config},
        });
        match self.client().post(&path, &object).await {
            Err(envtest::Error::Refused { status: 409, .. }) => {
                self.client().put(&format!("{path}/{NAME}"), &object).await.unwrap()
            }
            created => created.unwrap(),
        };
    }
}

/// Runs kubectl as a person who may do everything, and gives what it printed.
fn kubectl(environment: &Environment, command: &str, arguments: &[impl AsRef<OsStr>]) -> String {
    let output = kubectl_command(environment).arg(command).args(arguments).output().unwrap();
    let (stdout, stderr) =
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "kubectl {command}: {stderr}");
    stdout
}

fn kubectl_command(environment: &Environment) -> Command {
    let mut command = Command::new(envtest::kubectl().unwrap());
    // What kubectl caches goes with the cluster.
    command.env("KUBECACHEDIR", environment.directory().join("kubectl"));
    command.env("KUBECONFIG", environment.kubeconfig_path());
    command
}

/// A file of the manifests.
pub(crate) fn deploy(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy").join(name);
    path.to_str().unwrap().to_owned()
}
