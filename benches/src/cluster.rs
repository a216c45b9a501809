//! A real API server with ServiceAccounts.

use std::{path::Path, sync::Arc, sync::atomic::AtomicUsize, sync::atomic::Ordering, time::Instant};

use envtest::{Environment, Options};
use serde_json::{Value, json};
use tokio::{runtime::Runtime, task::JoinSet};

use crate::inputs::{self, Input};

/// Requests in flight while it is filled.
const CONNECTIONS: usize = 16;
/// ServiceAccounts in a namespace.
const PER_NAMESPACE: usize = 1000;
/// The namespace that an API server lists last.
pub(crate) const LAST_NAMESPACE: &str = "zzz";
/// A namespace whose ServiceAccounts have no roles of their own.
pub(crate) const BARE_NAMESPACE: &str = "bare";

pub(crate) struct Cluster {
    environment: Environment,
}

impl Cluster {
    /// Starts an API server, with the ServiceAccounts of some pods: with their roles where the pods are and in the last
    /// namespace, without in another.
    pub(crate) fn start(runtime: &Runtime, pods: &[Input]) -> anyhow::Result<Self> {
        eprintln!("bench: starting an API server");
        let environment = runtime.block_on(Environment::start(Options::default()))?;
        runtime.block_on(async {
            for namespace in [BARE_NAMESPACE, LAST_NAMESPACE, inputs::CONFIG_MAP_NAMESPACE] {
                environment.create_namespace(namespace).await?;
            }
            for pod in pods {
                environment.create_namespace(&pod.namespace).await?;
                environment.create_service_account(BARE_NAMESPACE, &pod.service_account).await?;
                let annotated = account(&pod.service_account, true);
                for namespace in [pod.namespace.as_str(), LAST_NAMESPACE] {
                    let created = environment.client().post(&accounts(namespace), &annotated).await;
                    // Two pods may have the same one.
                    if !matches!(created, Err(envtest::Error::Refused { status: 409, .. })) {
                        created?;
                    }
                }
            }
            anyhow::Ok(())
        })?;
        Ok(Self { environment })
    }

    pub(crate) fn kubeconfig(&self) -> &Path {
        self.environment.kubeconfig_path()
    }

    /// Creates more ServiceAccounts, a tenth of them with a role.
    pub(crate) fn fill(&self, runtime: &Runtime, count: usize) -> anyhow::Result<()> {
        eprintln!("bench: creating {count} ServiceAccounts");
        let start = Instant::now();
        runtime.block_on(async {
            for namespace in 0..count.div_ceil(PER_NAMESPACE) {
                self.environment.create_namespace(&team(namespace)).await?;
            }
            let next = Arc::new(AtomicUsize::new(0));
            let mut tasks = JoinSet::new();
            for _ in 0..CONNECTIONS {
                let (client, next) = (self.environment.client().clone(), Arc::clone(&next));
                tasks.spawn(async move {
                    loop {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        if number >= count {
                            return Ok::<_, envtest::Error>(());
                        }
                        let (path, account) = numbered(number);
                        client.post(&path, &account).await?;
                    }
                });
            }
            while let Some(ended) = tasks.join_next().await {
                ended??;
            }
            anyhow::Ok(())
        })?;
        eprintln!("bench: created them in {} s", start.elapsed().as_secs());
        Ok(())
    }

    /// Writes the ConfigMap with the mapping.
    pub(crate) fn set_mapping(&self, runtime: &Runtime, document: &str) -> anyhow::Result<()> {
        let (name, namespace) = (inputs::CONFIG_MAP, inputs::CONFIG_MAP_NAMESPACE);
        let path = format!("/api/v1/namespaces/{namespace}/configmaps");
        let config_map = json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"config": document},
        });
        let client = self.environment.client();
        runtime.block_on(async {
            match client.post(&path, &config_map).await {
                Err(envtest::Error::Refused { status: 409, .. }) => {
                    client.put(&format!("{path}/{name}"), &config_map).await.map(drop)
                }
                created => created.map(drop),
            }
        })?;
        Ok(())
    }
}

/// The path at which one of many is created, and it.
fn numbered(number: usize) -> (String, Value) {
    let namespace = team(number / PER_NAMESPACE);
    (accounts(&namespace), account(&format!("app-{number:06}"), number.is_multiple_of(10)))
}

fn team(number: usize) -> String {
    format!("team-{number:04}")
}

fn accounts(namespace: &str) -> String {
    format!("/api/v1/namespaces/{namespace}/serviceaccounts")
}

fn account(name: &str, annotated: bool) -> Value {
    let annotations = match annotated {
        true => json!({"eks.amazonaws.com/role-arn": inputs::role(name)}),
        false => json!({}),
    };
    json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "annotations": annotations}})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenth_has_a_role() {
        let (path, annotated) = numbered(12_340);
        assert_eq!(path, "/api/v1/namespaces/team-0012/serviceaccounts");
        assert_eq!(
            annotated.pointer("/metadata/annotations"),
            Some(&json!({"eks.amazonaws.com/role-arn": "arn:aws:iam::111122223333:role/app-012340"}))
        );
        let annotated = (0..1000).filter(|number| {
            let annotations = numbered(*number).1;
            annotations.pointer("/metadata/annotations") != Some(&json!({}))
        });
        assert_eq!(annotated.count(), 100);
    }
}
