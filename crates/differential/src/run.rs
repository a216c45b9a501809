//! Runs the variants.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use envtest::{Environment, Options};
use serde_json::{Value, json};

use crate::compare::{Unexplained, Verdict, judge};
use crate::differences::Difference;
use crate::examples::{self, Example};
use crate::flags::{CONFIG_MAP, Flags};
use crate::generate;
use crate::library;
use crate::random::Random;
use crate::scene::{Cluster, Review, Scene};
use crate::shrink::shrink;
use crate::webhook::{Files, Side, Webhook};

/// Reviews that are under way at once.
const WORKERS: u64 = 4;

/// What decides on this side.
#[derive(Clone, Debug)]
pub(crate) enum Ours {
    /// The library, called directly.
    Core,
    /// A webhook that is started with the flags of the Go webhook.
    Program(PathBuf),
    /// A webhook that somebody else starts.
    At(SocketAddr),
}

/// What is to be run.
pub(crate) struct Plan {
    pub(crate) go: PathBuf,
    pub(crate) ours: Ours,
    pub(crate) seed: u64,
    pub(crate) variants: Vec<&'static Flags>,
    /// For each variant; examples come on top.
    pub(crate) reviews: u64,
    /// One review alone.
    pub(crate) only: Option<u64>,
}

/// What came of a variant.
#[derive(Default)]
pub(crate) struct Outcome {
    pub(crate) reviews: u64,
    pub(crate) equal: u64,
    pub(crate) differences: BTreeMap<Difference, u64>,
    pub(crate) unexplained: u64,
    /// The first of them, made small.
    pub(crate) failure: Option<Failure>,
}

/// A review that nothing explains.
pub(crate) struct Failure {
    /// Which one; a number is one for `--only`.
    pub(crate) index: String,
    pub(crate) review: Review,
    pub(crate) unexplained: Unexplained,
}

impl Outcome {
    fn count(&mut self, verdict: &Verdict) {
        self.reviews += 1;
        match verdict {
            Verdict::Equal => self.equal += 1,
            Verdict::Explained(steps) => {
                for step in steps {
                    *self.differences.entry(*step).or_default() += 1;
                }
            }
            Verdict::Unexplained(_) => self.unexplained += 1,
        }
    }

    fn add(&mut self, other: Self) {
        self.reviews += other.reviews;
        self.equal += other.equal;
        self.unexplained += other.unexplained;
        for (difference, count) in other.differences {
            *self.differences.entry(difference).or_default() += count;
        }
        self.failure = self.failure.take().or(other.failure);
    }
}

/// The two that are compared.
#[derive(Clone)]
pub(crate) struct Peers {
    go: Webhook,
    /// The library when there is none.
    here: Option<Webhook>,
}

impl Peers {
    /// Asks both.
    pub(crate) async fn judge(&self, scene: &Scene<'_>) -> Result<Verdict> {
        let go = self.go.review(scene).await?;
        let ours = match &self.here {
            Some(webhook) => webhook.review(scene).await?,
            None => library::review(scene)?,
        };
        Ok(judge(scene, &go, &ours))
    }
}

/// Runs every variant; `report` is told of each.
pub(crate) async fn run(plan: &Plan, mut report: impl FnMut(&Flags, &Outcome, &Cluster)) -> Result<Outcome> {
    let mut cluster = generate::cluster(plan.seed);
    examples::add_all(&mut cluster)?;
    let cluster = Arc::new(cluster);
    let mut environment = Environment::start(Options::default()).await?;
    create(&environment, &cluster).await?;
    let files = Files::write(&environment, &cluster.identities)?;
    let mut total = Outcome::default();
    for flags in &plan.variants {
        let outcome = variant(plan, flags, &cluster, &mut environment, &files)
            .await
            .with_context(|| format!("variant {}", flags.variant))?;
        report(flags, &outcome, &cluster);
        total.add(outcome);
    }
    Ok(total)
}

async fn variant(
    plan: &Plan,
    flags: &'static Flags,
    cluster: &Arc<Cluster>,
    environment: &mut Environment,
    files: &Files,
) -> Result<Outcome> {
    let probes: Vec<Scene<'_>> =
        ["mapped", "credentials"].map(|name| Scene { flags, cluster, review: probe(name) }).into();
    let go = Webhook::start(Side::Go, &plan.go, environment, files, flags, &probes).await?;
    let here = match &plan.ours {
        Ours::Core => None,
        Ours::Program(program) => {
            Some(Webhook::start(Side::Here, program, environment, files, flags, &probes).await?)
        }
        Ours::At(address) => {
            let arguments = files.arguments(flags, environment.kubeconfig_path(), address.port());
            println!("Waiting for a webhook at {address}, started with\n  {}", arguments.join(" "));
            let webhook = Webhook::at(Side::Here, *address, files)?;
            webhook.wait(&probes).await?;
            Some(webhook)
        }
    };
    let peers = Peers { go, here };
    let mut outcome = Outcome::default();
    if plan.only.is_none() {
        for example in examples::all()?.iter().filter(|example| example.variant == flags.variant) {
            outcome.add(check_example(example, flags, cluster, &peers).await?);
        }
    }
    let numbers = match plan.only {
        Some(number) => number..number + 1,
        None => 0..plan.reviews,
    };
    let workers: Vec<_> = (0..WORKERS)
        .map(|worker| {
            let numbers = numbers.clone().filter(move |number| number % WORKERS == worker);
            let (cluster, peers, seed) = (Arc::clone(cluster), peers.clone(), plan.seed);
            tokio::spawn(async move { work(numbers, seed, flags, &cluster, &peers).await })
        })
        .collect();
    for worker in workers {
        outcome.add(worker.await??);
    }
    Ok(outcome)
}

async fn work(
    numbers: impl Iterator<Item = u64>,
    seed: u64,
    flags: &Flags,
    cluster: &Cluster,
    peers: &Peers,
) -> Result<Outcome> {
    let mut outcome = Outcome::default();
    for number in numbers {
        let review = generate::review(&mut Random::of(seed, flags.variant, number), flags);
        let scene = Scene { flags, cluster, review };
        let verdict = peers.judge(&scene).await.with_context(|| format!("review {number}"))?;
        outcome.count(&verdict);
        if let Verdict::Unexplained(unexplained) = verdict
            && outcome.failure.is_none()
        {
            let (review, unexplained) = shrink(scene, *unexplained, peers).await?;
            outcome.failure = Some(Failure { index: format!("review {number}"), review, unexplained });
        }
    }
    Ok(outcome)
}

async fn check_example(
    example: &Example,
    flags: &Flags,
    cluster: &Cluster,
    peers: &Peers,
) -> Result<Outcome> {
    let scene = Scene { flags, cluster, review: example.review() };
    let mut verdict = peers.judge(&scene).await.with_context(|| format!("example {}", example.name))?;
    let found: Vec<&str> = match &verdict {
        Verdict::Equal => Vec::new(),
        Verdict::Explained(steps) => steps.iter().map(|difference| difference.text().name).collect(),
        Verdict::Unexplained(_) => example.differences.iter().map(String::as_str).collect(),
    };
    if found != example.differences {
        verdict = Verdict::Unexplained(Box::new(Unexplained {
            why: "the example differs in something else",
            expected: json!(example.differences),
            found: json!(found),
        }));
    }
    let mut outcome = Outcome::default();
    outcome.count(&verdict);
    if let Verdict::Unexplained(unexplained) = verdict {
        let index = format!("example {}", example.name);
        outcome.failure = Some(Failure { index, review: scene.review, unexplained: *unexplained });
    }
    Ok(outcome)
}

/// A review by whose answer one sees what a webhook holds.
fn probe(account: &str) -> Review {
    let pod = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "probe"},
        "spec": {"serviceAccountName": account, "containers": [{"name": "app"}]},
    });
    Review::of(pod, "probe", "probe")
}

/// Makes everything in the real cluster.
async fn create(environment: &Environment, cluster: &Cluster) -> Result<()> {
    let mut namespaces: Vec<&String> =
        cluster.accounts.keys().map(|(namespace, _)| namespace).chain(cluster.mappings.keys()).collect();
    namespaces.sort_unstable();
    namespaces.dedup();
    for namespace in namespaces {
        let body = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}});
        environment.client().post("/api/v1/namespaces", &body).await?;
    }
    for (namespace, name) in cluster.accounts.keys() {
        let account = cluster.account(namespace, name).unwrap_or_default();
        let path = format!("/api/v1/namespaces/{namespace}/serviceaccounts");
        environment.client().post(&path, &account).await?;
    }
    for namespace in cluster.mappings.keys() {
        let mapping = cluster.mapping(namespace).map(Value::from).unwrap_or_default();
        let metadata = json!({"name": CONFIG_MAP});
        let body = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"config": mapping}});
        let path = format!("/api/v1/namespaces/{namespace}/configmaps");
        environment.client().post(&path, &body).await?;
    }
    Ok(())
}
