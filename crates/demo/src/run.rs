//! Runs the policy, and measures.

use std::{fs, path::Path, time::Duration};

use anyhow::{Context as _, Result};
use policy_host::{Cluster, Error, Evaluation, Options, PolicyHost, Request};
use serde_json::Value;

/// What the policy is given.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scene {
    pub(crate) title: String,
    pub(crate) review: Value,
    pub(crate) settings: Value,
    /// What is in the cluster.
    pub(crate) objects: Vec<Value>,
    /// Whether the ServiceAccount among them is there because a pod always has one.
    pub(crate) is_service_account_assumed: bool,
}

/// What came of it.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// The policy does not take the settings, and says why.
    SettingsRefused(String),
    /// The policy answered.
    Evaluated(Box<Evaluation>, Cost),
}

impl Outcome {
    /// Whether the policy took the settings and did not fail. A refusal is an answer.
    pub(crate) fn is_answer(&self) -> bool {
        matches!(self, Self::Evaluated(evaluation, _) if evaluation.guest.outcome.is_ok())
    }
}

/// What it took.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cost {
    /// How many calls the times are the median of.
    pub(crate) calls: u32,
    /// A new instance, and the call.
    pub(crate) time: Duration,
    /// A new instance, and a call that does nothing.
    pub(crate) instance: Duration,
    pub(crate) fuel: u64,
}

/// The module itself.
#[derive(Clone, Debug)]
pub(crate) struct Module {
    pub(crate) name: String,
    pub(crate) bytes: usize,
    pub(crate) compile_time: Duration,
}

/// A compiled policy.
pub(crate) struct Runner {
    host: PolicyHost,
    /// Compiled differently, so its times do not count.
    fuel_host: PolicyHost,
    module: Module,
    calls: u32,
}

impl Runner {
    pub(crate) fn load(path: &Path, calls: u32) -> Result<Self> {
        let policy = || format!("cannot load the policy `{}`", path.display());
        let wasm = fs::read(path).with_context(policy)?;
        let host = PolicyHost::load(&wasm, Options::default()).with_context(policy)?;
        let counting = Options { count_fuel: true, ..Options::default() };
        let fuel_host = PolicyHost::load(&wasm, counting).with_context(policy)?;
        let annotation = |name: &str| {
            let metadata = &host.metadata()?.json;
            metadata
                .get("annotations")?
                .get(format!("io.kubewarden.policy.{name}"))?
                .as_str()
                .map(str::to_owned)
        };
        let name = [annotation("title").unwrap_or_else(|| path.display().to_string())];
        let name = name.into_iter().chain(annotation("version")).collect::<Vec<_>>().join(" ");
        let module = Module { name, bytes: wasm.len(), compile_time: host.compile_time() };
        Ok(Self { host, fuel_host, module, calls })
    }

    pub(crate) fn module(&self) -> &Module {
        &self.module
    }

    pub(crate) fn run(&self, scene: &Scene) -> Result<Outcome> {
        let mut cluster = Cluster::default();
        for object in &scene.objects {
            cluster.insert(object.clone())?;
        }
        let request = Request::from_json(&scene.review)?;
        let policy = match self.host.with_settings(scene.settings.clone()) {
            Err(Error::SettingsRefused { message }) => return Ok(Outcome::SettingsRefused(message)),
            policy => policy?,
        };
        let evaluation = policy.evaluate(&request, &cluster)?;
        let payload = policy.payload(&request)?;
        let cost = Cost {
            calls: self.calls,
            time: self.median("validate", &payload, &cluster)?,
            instance: self.median("protocol_version", &[], &cluster)?,
            fuel: self.fuel_host.call("validate", &payload, &cluster)?.fuel.unwrap_or_default(),
        };
        Ok(Outcome::Evaluated(Box::new(evaluation), cost))
    }

    /// Of calls in a new instance each. A tenth of them is made beforehand and does not count.
    fn median(&self, operation: &str, payload: &[u8], cluster: &Cluster) -> Result<Duration> {
        let call = || Ok(self.host.call(operation, payload, cluster)?.time);
        (0..self.calls / 10).try_for_each(|_| call().map(drop))?;
        let mut times = (0..self.calls).map(|_| call()).collect::<Result<Vec<Duration>>>()?;
        times.sort_unstable();
        Ok(times.get(times.len() / 2).copied().unwrap_or_default())
    }
}
