//! What is held of a real cluster: `cargo test -p webhook --features real-apiserver --test facts`.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that panics has failed, which is what it is for"
)]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use envtest::{Environment, Options, Request};
use futures::{StreamExt as _, stream};
use http_body_util::BodyExt as _;
use pod_identity_core::{Found, Unknown};
use serde_json::{Value, json};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use webhook::configuration::Configuration;
use webhook::facts::{ConfigMapKey, Facts, Held, LiveReads, Mapping};
use webhook::kubernetes;
use webhook::metrics::Metrics;
use webhook::readiness::Readiness;

const ROLE: &str = "arn:aws:iam::111122223333:role/x";
const LIVE: LiveReads = LiveReads { grace_period: Duration::from_secs(5), limit: 50 };

/// Facts about a cluster, and what they say of themselves.
#[derive(Clone)]
struct Subject {
    facts: Facts,
    metrics: Metrics,
    readiness: Readiness,
}

impl Subject {
    async fn new(kubeconfig: &Path, kube_api: Option<&str>) -> Self {
        let client = kubernetes::client(Some(kubeconfig), kube_api).await.unwrap();
        let metrics = Metrics::default();
        let facts = Facts::new(client, "eks.amazonaws.com", LIVE, metrics.clone());
        Self { facts, metrics, readiness: Readiness::default() }
    }

    /// Does something while ServiceAccounts and the mapping are watched.
    async fn watching<T>(&self, doing: impl Future<Output = T>) -> T {
        let at = ConfigMapKey { namespace: "eks".into(), name: "map".into(), key: "config".into() };
        let settings = Arc::new(ArcSwap::from_pointee(Configuration::read("{}".to_owned()).unwrap()));
        let accounts = self.facts.watch_service_accounts(self.readiness.pending("service accounts"));
        let mapping = self.facts.watch_config_map(at, settings, self.readiness.pending("mapping"));
        tokio::select! {
            _ = accounts => unreachable!(),
            ended = mapping => panic!("{ended:?}"),
            result = doing => result,
        }
    }

    async fn ready(&self) {
        until("ready", || self.readiness.missing().is_empty()).await;
    }

    fn holds(&self, name: &str, expected: Option<bool>) -> bool {
        expected == self.held(name)
    }

    /// Whether it is annotated; none when it is not held.
    fn held(&self, name: &str) -> Option<bool> {
        match self.facts.held("shop", name) {
            Held::Missing => None,
            Held::Bare => Some(false),
            Held::Annotated(annotations) => {
                let annotations: Vec<_> = annotations.iter().collect();
                assert_eq!(annotations, [("eks.amazonaws.com/role-arn", ROLE)]);
                Some(true)
            }
        }
    }

    async fn read(&self, name: &str) -> String {
        match self.facts.read("shop", name, &Held::Missing).await.unwrap() {
            Found::There(annotations) => format!("there with {}", annotations.iter().count()),
            Found::NotThere => "not there".to_owned(),
            Found::Unknown(Unknown { reason, remedy }) => format!("{reason}; {remedy}"),
        }
    }
}

async fn until(what: &str, mut is: impl FnMut() -> bool) {
    let poll = async {
        while !is() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    // Far more than it takes.
    tokio::time::timeout(Duration::from_secs(90), poll).await.unwrap_or_else(|_| panic!("not yet: {what}"));
}

async fn environment(options: Options) -> Environment {
    let environment = Environment::start(options).await.unwrap();
    for namespace in ["eks", "shop"] {
        environment.create_namespace(namespace).await.unwrap();
    }
    environment
}

fn path(name: &str) -> String {
    format!("/api/v1/namespaces/shop/serviceaccounts/{name}")
}

async fn create(environment: &Environment, name: &str, annotated: bool) {
    let annotations =
        if annotated { json!({"eks.amazonaws.com/role-arn": ROLE, "other": "x"}) } else { json!(null) };
    let account = json!({
        "apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "annotations": annotations},
    });
    environment.client().post("/api/v1/namespaces/shop/serviceaccounts", &account).await.unwrap();
}

async fn annotate(environment: &Environment, name: &str, role: Value) {
    let patch = json!({"metadata": {"annotations": {"eks.amazonaws.com/role-arn": role}}});
    let request = Request::merge_patch(&path(name), &patch);
    environment.client().send(request).await.unwrap();
}

async fn delete(environment: &Environment, name: &str) {
    environment.client().delete(&path(name)).await.unwrap();
}

fn signal(signal: &str, pid: u32) {
    assert!(Command::new("kill").args([signal, &pid.to_string()]).status().unwrap().success());
}

/// The file is in the environment's directory and goes with it.
fn kubeconfig(environment: &Environment, token: &str) -> PathBuf {
    let file = environment.directory().join("other-kubeconfig");
    std::fs::write(&file, environment.kubeconfig(token)).unwrap();
    file
}

#[tokio::test(flavor = "multi_thread")]
async fn follows_a_cluster_with_many_service_accounts() {
    let environment = environment(Options::default()).await;
    let names: Vec<String> = (0..6000).map(|i| format!("account-{i}")).collect();
    let create_one = |(i, name): (usize, &String)| {
        let (environment, name) = (&environment, name.clone());
        async move { create(environment, &name, i % 10 == 0).await }
    };
    stream::iter(names.iter().enumerate()).for_each_concurrent(32, create_one).await;

    let subject = Subject::new(environment.kubeconfig_path(), None).await;
    subject
        .watching(async {
            subject.ready().await;
            let mut expected: BTreeMap<&str, Option<bool>> =
                names.iter().enumerate().map(|(i, name)| (name.as_str(), Some(i % 10 == 0))).collect();
            expected.insert("default", Some(false));
            expected.insert("account-6000", None);
            for (name, expected) in &expected {
                assert_eq!(subject.held(name), *expected, "{name}");
            }

            // Made, annotated, emptied, deleted, made again.
            for (round, annotated) in [(0, false), (1, true)] {
                create(&environment, "life", annotated).await;
                until("made", || subject.holds("life", Some(annotated))).await;
                annotate(&environment, "life", json!(ROLE)).await;
                until("annotated", || subject.holds("life", Some(true))).await;
                annotate(&environment, "life", json!(null)).await;
                until("emptied", || subject.holds("life", Some(false))).await;
                delete(&environment, "life").await;
                until("deleted", || subject.holds("life", None)).await;
                assert_eq!(round, usize::from(annotated));
            }

            // The mapping, likewise.
            let map = "/api/v1/namespaces/eks/configmaps/map";
            let holds = |expected: &str| match &*subject.facts.mapping() {
                Mapping::There(index) => index.text() == expected,
                Mapping::NotThere => expected.is_empty(),
                Mapping::Unknown(_) => false,
            };
            assert!(holds(""));
            let config_map = json!({
                "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "map"}, "data": {"config": "{}"},
            });
            environment.client().post("/api/v1/namespaces/eks/configmaps", &config_map).await.unwrap();
            until("mapping", || holds("{}")).await;
            let patch = json!({"data": {"config": "[]"}});
            environment.client().send(Request::merge_patch(map, &patch)).await.unwrap();
            let patch = json!({"data": {"config": "{\"a/b\":\"x\"}"}});
            environment.client().send(Request::merge_patch(map, &patch)).await.unwrap();
            until("mapping changed", || holds("{\"a/b\":\"x\"}")).await;
            environment.client().delete(map).await.unwrap();
            until("mapping deleted", || holds("")).await;

            // The API server stands still, longer than any watch.
            let pid = environment.api_server_pid().unwrap();
            signal("-STOP", pid);
            let read = subject.read("nobody").await;
            tokio::time::sleep(Duration::from_secs(22)).await;
            signal("-CONT", pid);
            assert_eq!(read, "the API server did not answer in time; see why the API server is slow");
            create(&environment, "after", true).await;
            until("followed again", || subject.holds("after", Some(true))).await;
            assert_eq!(subject.read("nobody").await, "not there");
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn says_what_to_grant_and_goes_on_when_it_was() {
    let environment = environment(Options::default()).await;
    environment.create_service_account("eks", "webhook").await.unwrap();
    let token = environment.service_account_token("eks", "webhook", &[]).await.unwrap();
    create(&environment, "api", true).await;
    let subject = Subject::new(&kubeconfig(&environment, &token), None).await;
    let role = |verbs: &[&str]| {
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "webhook"},
            "rules": [
                {"apiGroups": [""], "resources": ["serviceaccounts"], "verbs": verbs},
                {"apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["map"], "verbs": ["list", "watch"]},
            ],
        })
    };
    let roles = "/apis/rbac.authorization.k8s.io/v1/clusterroles";
    subject
        .watching(async {
            let forbidden = "the API server answered 403; grant the webhook `get` on `serviceaccounts`";
            assert_eq!(subject.read("api").await, forbidden);
            assert_eq!(subject.readiness.missing().first(), Some(&"service accounts"));

            environment.client().post(roles, &role(&["list", "watch"])).await.unwrap();
            let binding = json!({
                "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": "webhook"},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "webhook"},
                "subjects": [{"kind": "ServiceAccount", "namespace": "eks", "name": "webhook"}],
            });
            let bindings = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings";
            environment.client().post(bindings, &binding).await.unwrap();
            subject.ready().await;
            assert_eq!(subject.held("api"), Some(true));
            assert!(matches!(&*subject.facts.mapping(), Mapping::NotThere));
            // One that is held without a role stands as long as the watch is sound.
            assert!(subject.facts.read("shop", "default", &Held::Bare).await.is_none());
            assert_eq!(subject.read("nobody").await, forbidden);

            let put = Request::put(&format!("{roles}/webhook"), &role(&["get", "list", "watch"]));
            environment.client().send(put).await.unwrap();
            let granted = async {
                while subject.read("nobody").await == forbidden {}
            };
            tokio::time::timeout(Duration::from_secs(60), granted).await.unwrap();
            assert_eq!(subject.read("nobody").await, "not there");
            assert_eq!(subject.read("api").await, "there with 1");
        })
        .await;
    let stranger = Subject::new(&kubeconfig(&environment, "stranger"), None).await;
    assert_eq!(
        stranger.read("api").await,
        "the API server answered 401; give the webhook a token that the API server accepts"
    );
}

/// Stands between the webhook and the API server.
struct Proxy {
    address: SocketAddr,
    control: watch::Sender<Control>,
    accepting: JoinHandle<()>,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct Control {
    /// Connections end, and new ones are refused.
    is_closed: bool,
    /// When it grows, connections pass nothing any more and stay open; new ones are not concerned.
    silences: u64,
}

impl Proxy {
    async fn start(to: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (control, receiver) = watch::channel(Control::default());
        let accepting = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(pass(stream, to, receiver.clone()));
            }
        });
        Self { address, control, accepting }
    }

    fn url(&self) -> String {
        format!("https://{}", self.address)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn pass(mut from: TcpStream, to: SocketAddr, mut control: watch::Receiver<Control>) {
    let born = *control.borrow_and_update();
    if born.is_closed {
        return;
    }
    let mut to = TcpStream::connect(to).await.unwrap();
    let stopped = async {
        let _ = control.wait_for(|now| now.is_closed || now.silences > born.silences).await;
    };
    tokio::select! {
        _ = copy_bidirectional(&mut from, &mut to) => return,
        () = stopped => {}
    }
    let _ = control.wait_for(|now| now.is_closed).await;
}

/// Makes etcd forget what happened.
async fn compact(environment: &Environment) {
    let etcd = kubernetes::client(None, Some(environment.etcd_url())).await.unwrap();
    let post = async |path: &str, body: Value| {
        let request = hyper::Request::post(path).body(body.to_string().into_bytes().into()).unwrap();
        let answer = etcd.send(request).await.unwrap();
        assert_eq!(answer.status(), 200);
        serde_json::from_slice::<Value>(&answer.into_body().collect().await.unwrap().to_bytes()).unwrap()
    };
    let head = post("/v3/kv/range", json!({"key": "AA=="})).await;
    let revision = head.pointer("/header/revision").unwrap().as_str().unwrap();
    post("/v3/kv/compaction", json!({"revision": revision, "physical": true})).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn misses_nothing_whatever_happens_on_the_way() {
    // With its cache the API server remembers what etcd forgot.
    let environment = environment(Options::default().api_server_flag("--watch-cache=false")).await;
    for name in ["a", "b"] {
        create(&environment, name, false).await;
    }
    let proxy = Proxy::start(environment.url().trim_start_matches("https://").parse().unwrap()).await;
    let subject = Subject::new(environment.kubeconfig_path(), Some(&proxy.url())).await;
    subject
        .watching(async {
            subject.ready().await;
            // Half open: nobody says that the connection is gone.
            proxy.control.send_modify(|control| control.silences += 1);
            annotate(&environment, "a", json!(ROLE)).await;
            until("a watch that was silent is followed again", || subject.holds("a", Some(true))).await;

            proxy.control.send_modify(|control| control.is_closed = true);
            delete(&environment, "b").await;
            create(&environment, "c", true).await;
            compact(&environment).await;
            assert!(subject.read("nobody").await.starts_with("the API server cannot be reached: "));
            assert_eq!((subject.held("b"), subject.held("c")), (Some(false), None));
            proxy.control.send_modify(|control| control.is_closed = false);
            until("what etcd forgot is listed", || {
                subject.holds("b", None) && subject.holds("c", Some(true))
            })
            .await;
        })
        .await;
    assert!(subject.metrics.watch_errors.get_or_create(&"service_account".into()).get() >= 2);
}
