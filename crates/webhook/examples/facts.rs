//! What it takes to hold a cluster's ServiceAccounts: `cargo run --release -p webhook --example facts 100000`.
//!
//! Starts a real API server, makes so many ServiceAccounts, a tenth of them annotated, and holds them in a process of its
//! own. That prints its memory as Linux counts it: when the list is complete, and half a minute later.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use envtest::{Environment, Options};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::json;
use webhook::facts::{Facts, LiveReads};
use webhook::kubernetes;
use webhook::metrics::Metrics;
use webhook::readiness::Readiness;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> anyhow::Result<()> {
    let argument =
        std::env::args().nth(1).context("expected how many service accounts to make, or a kubeconfig")?;
    match argument.parse() {
        Ok(number) => measure(number).await,
        Err(_) => hold(Path::new(&argument)).await,
    }
}

async fn measure(number: usize) -> anyhow::Result<()> {
    let environment = Environment::start(Options::default()).await?;
    let namespaces: Vec<String> = (0..100).map(|i| format!("team-{i}")).collect();
    for namespace in &namespaces {
        environment.create_namespace(namespace).await?;
    }
    let create = |i: usize| {
        let (client, namespaces) = (environment.client(), &namespaces);
        async move {
            let role = format!("arn:aws:iam::111122223333:role/team-role-{i}");
            let annotations =
                if i.is_multiple_of(10) { json!({"eks.amazonaws.com/role-arn": role}) } else { json!(null) };
            let account = json!({
                "apiVersion": "v1", "kind": "ServiceAccount",
                "metadata": {"name": format!("service-account-{i}"), "annotations": annotations},
            });
            let namespace = namespaces.get(i % 100).context("a hundred")?;
            let path = format!("/api/v1/namespaces/{namespace}/serviceaccounts");
            client.post(&path, &account).await.map(drop).context("cannot make a service account")
        }
    };
    stream::iter(0..number).map(Ok).try_for_each_concurrent(32, create).await?;
    println!("{number} service accounts are there");
    for _ in 0..3 {
        let program = std::env::current_exe()?;
        let mut command = Command::new(program);
        command.arg(environment.kubeconfig_path());
        let status = tokio::task::spawn_blocking(move || command.status()).await??;
        ensure!(status.success(), "{status}");
    }
    Ok(())
}

async fn hold(kubeconfig: &Path) -> anyhow::Result<()> {
    let start = Instant::now();
    let metrics = Metrics::default();
    let client = kubernetes::client(Some(kubeconfig), None).await?;
    let live = LiveReads { grace_period: Duration::from_secs(1), limit: 50 };
    let facts = Facts::new(client, "eks.amazonaws.com", live, metrics.clone());
    let readiness = Readiness::default();
    print("before", start)?;
    let pending = readiness.pending("service accounts");
    let settling = async {
        while !readiness.missing().is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        print("ready", start)?;
        let count = |kind: &'static str| metrics.service_accounts.get_or_create(&kind.into()).get();
        println!("{} annotated, {} bare", count("annotated"), count("bare"));
        tokio::time::sleep(Duration::from_secs(30)).await;
        print("settled", start)
    };
    tokio::select! {
        never = facts.watch_service_accounts(pending) => match never {},
        printed = settling => printed,
    }
}

fn print(when: &str, start: Instant) -> anyhow::Result<()> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let memory: Vec<String> = status
        .lines()
        .filter(|line| ["VmHWM", "VmRSS", "RssAnon"].iter().any(|name| line.starts_with(name)))
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    println!("{when} after {} ms: {}", start.elapsed().as_millis(), memory.join(", "));
    Ok(())
}
