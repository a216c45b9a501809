//! What the sections have in common: where things are, what is compared, and clusters that are started once.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use tokio::runtime::Runtime;

use crate::{
    cluster::Cluster,
    inputs::{self, Input},
    results::{GO, OURS},
};

/// ServiceAccounts in the large cluster, and how many of them have a role.
pub(crate) const ACCOUNTS: usize = 100_000;

pub(crate) struct Context {
    pub(crate) root: PathBuf,
    /// `target/bench`.
    pub(crate) work: PathBuf,
    pub(crate) runtime: Runtime,
    pub(crate) effort: Effort,
    /// Ours, then the peer if one is given.
    pub(crate) webhooks: Vec<Subject>,
    /// Peer's program, when given.
    pub(crate) policy_server: Option<PathBuf>,
    pub(crate) policy_host: PathBuf,
    /// Our webhook with its symbols, and with its functions apart: built without what the compiler is told of it.
    pub(crate) profiled: PathBuf,
    pub(crate) pods: [Input; 3],
    small: Option<Cluster>,
    large: Option<Cluster>,
}

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Effort {
    /// How often each thing is measured, the sides taking turns.
    pub(crate) rounds: u32,
    /// How long one load lasts.
    pub(crate) seconds: u32,
    /// The same two for servers under load and for handlers: what is shared with others spreads, so many rounds, and short ones.
    pub(crate) load_rounds: u32,
    pub(crate) load_seconds: u32,
    /// Processor time for each pod in process, in each round.
    pub(crate) handler_milliseconds: u64,
    /// Of guests and their compilation, the policies taking turns.
    pub(crate) guest_rounds: u32,
    /// Of a guest; fewer with large pods.
    pub(crate) calls: u32,
    /// ServiceAccounts in the large cluster.
    pub(crate) accounts: usize,
    /// Until memory counts as settled.
    pub(crate) settle_seconds: u64,
}

impl Effort {
    pub(crate) const FULL: Self = Self {
        rounds: 3,
        seconds: 4,
        load_rounds: 24,
        load_seconds: 1,
        handler_milliseconds: 250,
        guest_rounds: 12,
        calls: 500,
        accounts: ACCOUNTS,
        settle_seconds: 30,
    };
    /// To see whether everything works. The figures say little.
    pub(crate) const QUICK: Self = Self {
        rounds: 1,
        seconds: 1,
        load_rounds: 2,
        load_seconds: 1,
        handler_milliseconds: 50,
        guest_rounds: 1,
        calls: 20,
        accounts: 2000,
        settle_seconds: 2,
    };
}

/// A program that is measured.
#[derive(Clone, Debug)]
pub(crate) struct Subject {
    pub(crate) name: &'static str,
    pub(crate) binary: PathBuf,
}

impl Context {
    pub(crate) fn new(effort: Effort) -> anyhow::Result<Self> {
        let root = root();
        let target = target(&root);
        let work = target.join("bench");
        fs::create_dir_all(&work).with_context(|| format!("cannot create `{}`", work.display()))?;
        let ours = program("WEBHOOK")?.unwrap_or_else(|| target.join("release/pod-identity-webhook"));
        let mut webhooks = vec![Subject { name: OURS, binary: ours }];
        if let Some(binary) = program("GO_WEBHOOK")? {
            webhooks.push(Subject { name: GO, binary });
        }
        Ok(Self {
            webhooks,
            policy_server: program("POLICY_SERVER")?,
            policy_host: program("POLICY_HOST")?.unwrap_or_else(|| target.join("profiling/policy-host")),
            profiled: program("WEBHOOK_PROFILING")?
                .unwrap_or_else(|| target.join("profiling/pod-identity-webhook")),
            pods: inputs::pods(&root, &work)?,
            runtime: Runtime::new()?,
            small: None,
            large: None,
            root,
            work,
            effort,
        })
    }

    /// An API server with little in it but the pods' ServiceAccounts; started when first asked for.
    pub(crate) fn small_cluster(&mut self) -> anyhow::Result<PathBuf> {
        if self.small.is_none() {
            self.small = Some(Cluster::start(&self.runtime, &self.pods)?);
        }
        self.small.as_ref().map(|cluster| cluster.kubeconfig().to_owned()).context("it was just started")
    }

    /// The small cluster, to change something in it.
    pub(crate) fn small(&self) -> anyhow::Result<&Cluster> {
        self.small.as_ref().context("the small cluster has not been started")
    }

    /// An API server with [`Effort::accounts`] ServiceAccounts besides; started and filled when first asked for.
    pub(crate) fn large_cluster(&mut self) -> anyhow::Result<PathBuf> {
        if self.large.is_none() {
            // Two API servers would share the memory and the processors.
            self.small = None;
            let cluster = Cluster::start(&self.runtime, &self.pods)?;
            cluster.fill(&self.runtime, self.effort.accounts)?;
            self.large = Some(cluster);
        }
        self.large.as_ref().map(|cluster| cluster.kubeconfig().to_owned()).context("it was just started")
    }

    /// Ends the clusters that sections have shared.
    pub(crate) fn end_clusters(&mut self) {
        (self.small, self.large) = (None, None);
    }

    /// A policy that the Makefile builds.
    pub(crate) fn peer_policy(&self, name: &str) -> PathBuf {
        self.work.join(name)
    }

    /// Our policy.
    pub(crate) fn policy(&self) -> PathBuf {
        self.root.join("annotated-policy.wasm")
    }
}

/// The repository's folder.
pub(crate) fn root() -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    folder.parent().unwrap_or(folder).to_owned()
}

/// cargo's.
pub(crate) fn target(root: &Path) -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), |folder| root.join(folder))
}

/// A program that an environment variable names.
fn program(variable: &str) -> anyhow::Result<Option<PathBuf>> {
    let Some(value) = env::var_os(variable).filter(|value| !value.is_empty()) else { return Ok(None) };
    let path = fs::canonicalize(&value)
        .with_context(|| format!("`{variable}` is `{}`: expected a program", value.display()))?;
    Ok(Some(path))
}
