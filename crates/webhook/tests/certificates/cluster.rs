//! An API server with what `deploy/` puts into it, and replicas of the task that keeps certificates.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use envtest::{Client, Environment, Options};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_rustls::{TlsAcceptor, TlsConnector};
use webhook::certificates::{Certificates, Lifetimes, Names};
use webhook::metrics::Metrics;
use webhook::readiness::Readiness;
use webhook::tls::{Protocol, Published, Publisher};

pub(crate) const NAME: &str = "pod-identity-webhook";
pub(crate) const SECRET: &str = "/api/v1/namespaces/pod-identity-webhook/secrets/pod-identity-webhook";
pub(crate) const MUTATING: &str = "mutatingwebhookconfigurations";

/// Where a webhook configuration is.
pub(crate) fn path(resource: &str) -> String {
    format!("/apis/admissionregistration.k8s.io/v1/{resource}/{NAME}")
}

pub(crate) struct Cluster {
    environment: Environment,
    folder: PathBuf,
}

impl Cluster {
    pub(crate) async fn start() -> Self {
        static NUMBER: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let folder =
            std::env::temp_dir().join(format!("webhook-certificates-{}-{number}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        let policy = json!({
            "apiVersion": "audit.k8s.io/v1", "kind": "Policy", "omitStages": ["RequestReceived"],
            "rules": [{"level": "Metadata", "verbs": ["update", "patch", "create", "delete"]}],
        });
        fs::write(folder.join("policy.yaml"), policy.to_string()).unwrap();
        let options = Options::default()
            .api_server_flag(format!("--audit-policy-file={}", folder.join("policy.yaml").display()))
            .api_server_flag(format!("--audit-log-path={}", folder.join("audit.log").display()))
            .api_server_flag("--audit-log-mode=blocking");
        Self { environment: Environment::start(options).await.unwrap(), folder }
    }

    pub(crate) fn admin(&self) -> &Client {
        self.environment.client()
    }

    pub(crate) async fn create_namespace(&self, name: &str) {
        self.environment.create_namespace(name).await.unwrap();
    }

    /// `kubectl apply -f`, as `deploy/README.md` says.
    pub(crate) fn apply(&self, path: &str) {
        self.kubectl(&["apply", "-f", path]);
    }

    pub(crate) fn kubectl(&self, arguments: &[&str]) {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let output = Command::new(envtest::kubectl().unwrap())
            .args(arguments)
            .current_dir(root)
            .env("KUBECONFIG", self.environment.kubeconfig_path())
            .output()
            .unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && errors.is_empty(), "kubectl {arguments:?}: {errors}");
    }

    /// A token of the webhook's ServiceAccount.
    pub(crate) async fn token(&self) -> String {
        self.environment.service_account_token(NAME, NAME, &[]).await.unwrap()
    }

    /// Replicas of the task, with the rights that are shipped, started at once.
    pub(crate) async fn replicas(&self, count: usize, lifetimes: Lifetimes) -> Vec<Replica> {
        let kubeconfig = self.folder.join("kubeconfig");
        fs::write(&kubeconfig, self.environment.kubeconfig(&self.token().await)).unwrap();
        let mut replicas = Vec::new();
        for _ in 0..count {
            let client = webhook::kubernetes::client(Some(&kubeconfig), None).await.unwrap();
            replicas.push(Replica::start(client, lifetimes));
        }
        replicas
    }

    /// As before the first start.
    pub(crate) async fn reset(&self) {
        self.admin().merge_patch(SECRET, &json!({"data": null})).await.unwrap();
        let mut configuration = self.admin().get(&path(MUTATING)).await.unwrap();
        for entry in configuration["webhooks"].as_array_mut().unwrap() {
            entry["clientConfig"].as_object_mut().unwrap().remove("caBundle");
        }
        self.admin().put(&path(MUTATING), &configuration).await.unwrap();
    }

    pub(crate) async fn change_bundle(&self, resource: &str, entry: usize, bundle: &Value) {
        loop {
            let mut configuration = self.admin().get(&path(resource)).await.unwrap();
            configuration["webhooks"][entry]["clientConfig"]["caBundle"] = bundle.clone();
            match self.admin().put(&path(resource), &configuration).await {
                Err(envtest::Error::Refused { status: 409, .. }) => {}
                result => break drop(result.unwrap()),
            }
        }
    }

    /// The certificates in each entry's `caBundle`.
    pub(crate) async fn bundles(&self, resource: &str) -> Vec<Vec<Vec<u8>>> {
        let configuration = self.admin().get(&path(resource)).await.unwrap();
        let entries = configuration["webhooks"].as_array().unwrap();
        entries.iter().map(|entry| certificates(&entry["clientConfig"]["caBundle"])).collect()
    }

    /// The certificates of the authorities in the Secret.
    pub(crate) async fn authorities(&self) -> Vec<Vec<u8>> {
        certificates(&self.admin().get(SECRET).await.unwrap()["data"]["ca.crt"])
    }

    /// Successful writes by the webhook so far: to the Secret, to webhook configurations.
    pub(crate) fn writes(&self) -> [usize; 2] {
        let log = fs::read_to_string(self.folder.join("audit.log")).unwrap();
        let events: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let ours = |resource: &str| {
            let is_ours = |event: &&Value| {
                event["user"]["username"] == "system:serviceaccount:pod-identity-webhook:pod-identity-webhook"
                    && event["objectRef"]["resource"] == resource
                    && event["responseStatus"]["code"] == 200
            };
            events.iter().filter(is_ours).count()
        };
        [ours("secrets"), ours(MUTATING)]
    }

    /// Waits until it is so.
    pub(crate) async fn until(&self, what: &str, condition: impl AsyncFn() -> bool) {
        until(what, condition).await;
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

pub(crate) struct Replica {
    published: Published,
    readiness: Readiness,
    metrics: Metrics,
    task: JoinHandle<anyhow::Result<()>>,
}

impl Replica {
    fn start(client: webhook::kubernetes::Client, lifetimes: Lifetimes) -> Self {
        let publisher = Publisher::new(Protocol::default(), None);
        let (readiness, metrics) = (Readiness::default(), Metrics::default());
        let [namespace, service, secret, configuration] = [(); 4].map(|()| NAME.to_owned());
        let names = Names { namespace, service, secret, configuration };
        let (published, pending) = (publisher.published(), readiness.pending("certificate"));
        let certificates = Certificates::new(client, names, lifetimes, publisher, pending, metrics.clone());
        Self { published, readiness, metrics, task: tokio::spawn(certificates.run()) }
    }

    pub(crate) fn missing(&self) -> Vec<&'static str> {
        self.readiness.missing()
    }

    pub(crate) async fn ready(&self) {
        until("it is ready", async || self.missing().is_empty()).await;
    }

    pub(crate) fn problems(&self) -> i64 {
        self.metrics.configuration_problems.get_or_create(&"certificate".into()).get()
    }

    /// A handshake, as kube-apiserver makes it with this `caBundle`; gives the certificate that is served.
    pub(crate) async fn connect(&self, bundle: &[Vec<u8>]) -> Result<Vec<u8>, String> {
        let mut roots = RootCertStore::empty();
        for der in bundle {
            roots.add(der.as_slice().into()).unwrap();
        }
        let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let acceptor = TlsAcceptor::from(self.published.load_full().ok_or("nothing is served")?);
        let (near, far) = tokio::io::duplex(1 << 16);
        let name = ServerName::try_from(format!("{NAME}.{NAME}.svc")).unwrap();
        let connector = TlsConnector::from(Arc::new(config));
        let (connected, _) = tokio::join!(connector.connect(name, near), acceptor.accept(far));
        let stream = connected.map_err(|error| error.to_string())?;
        let (_, connection) = stream.get_ref();
        Ok(connection.peer_certificates().unwrap()[0].to_vec())
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn certificates(bundle: &Value) -> Vec<Vec<u8>> {
    let bundle = STANDARD.decode(bundle.as_str().unwrap_or_default()).unwrap();
    CertificateDer::pem_slice_iter(&bundle)
        .filter_map(Result::ok)
        .map(|certificate| certificate.to_vec())
        .collect()
}

async fn until(what: &str, condition: impl AsyncFn() -> bool) {
    for _ in 0..600 {
        if condition().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("for a minute it was not so that {what}");
}
