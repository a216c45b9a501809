//! Settings that change while the webhook runs.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use pod_identity_core::Settings;
use tokio::time::timeout;

use crate::configuration::Configuration;
use crate::document::Value;
use crate::files::{Content, PolledFiles};
use crate::metrics::Metrics;

use super::{Given, Loaded, SettingsError, SettingsSource, object};

/// The `--config` file, as a label of metrics. Problems of flags count there, too.
pub const CONFIG_FILE: &str = "config_file";
/// The file with identities, as a label of metrics.
pub const IDENTITIES_FILE: &str = "identities_file";

/// Files have settled when they were the same for longer than it takes to look again.
const SETTLED: Duration = Duration::from_millis(1500);

/// A file that never settles is read all the same.
const MAX_CHANGES: usize = 5;

/// Follows the files that settings come from.
#[derive(Debug)]
pub struct Reload {
    files: PolledFiles,
    state: State,
}

#[derive(Debug)]
struct State {
    source: SettingsSource,
    started_with: Bound,
    /// Of the files' contents, in their order.
    fingerprints: Vec<u64>,
}

/// Settings that watches were started with. They keep their value until the next start: what is held of
/// ServiceAccounts is their annotations with one prefix, and one ConfigMap is watched.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Bound {
    annotation_prefix: String,
    service_account_annotations: bool,
    /// Namespace, name and key.
    mapping_config_map: Option<[String; 3]>,
}

impl Reload {
    pub(super) fn new(source: SettingsSource, files: PolledFiles, configuration: &Configuration) -> Self {
        let fingerprints = fingerprints(files.contents());
        let started_with = Bound::of(configuration.settings());
        Self { files, state: State { source, started_with, fingerprints } }
    }

    /// Publishes settings whenever the files have changed. What is malformed leaves the last good ones in place; it
    /// is logged once and counted. Runs until it is dropped.
    ///
    /// # Errors
    ///
    /// When reading the settings has panicked.
    pub async fn run(
        mut self,
        published: Arc<ArcSwap<Configuration>>,
        metrics: Metrics,
    ) -> anyhow::Result<()> {
        if self.files.contents().is_empty() {
            return std::future::pending().await;
        }
        loop {
            let contents = settled(&mut self.files).await;
            let mut state = self.state;
            let (published, metrics) = (Arc::clone(&published), metrics.clone());
            // A large mapping takes longer than other tasks should wait.
            self.state = tokio::task::spawn_blocking(move || {
                state.take(&contents, &published, &metrics);
                state
            })
            .await?;
        }
    }
}

/// Waits for a change, and until nothing changes any more: a file that is written in place is empty for a moment,
/// and then holds its first half, which may well be a document.
async fn settled(files: &mut PolledFiles) -> Vec<Content> {
    let mut contents = files.changed().await.to_vec();
    for _ in 0..MAX_CHANGES {
        match timeout(SETTLED, files.changed()).await {
            Ok(later) => contents = later.to_vec(),
            Err(_) => break,
        }
    }
    contents
}

impl State {
    /// Takes what the files hold now.
    fn take(&mut self, contents: &[Content], published: &ArcSwap<Configuration>, metrics: &Metrics) {
        let before = std::mem::replace(&mut self.fingerprints, fingerprints(contents));
        let error = match self.read(contents) {
            Ok(Loaded { configuration, warnings }) => {
                published.store(Arc::new(configuration));
                for warning in warnings {
                    tracing::warn!("{warning}");
                }
                let labels = self.source.config.iter().map(|_| CONFIG_FILE);
                let labels = labels.chain(self.source.identities.iter().map(|_| IDENTITIES_FILE));
                for (label, (old, new)) in labels.zip(before.iter().zip(&self.fingerprints)) {
                    if old != new {
                        tracing::info!(source = label, "settings were read again");
                        metrics.reloads.get_or_create(&label.into()).inc();
                    }
                }
                None
            }
            Err(error) => Some(error),
        };
        let problems: Vec<_> = error.iter().flat_map(SettingsError::problems).collect();
        for problem in &problems {
            tracing::error!("{problem}");
        }
        if !problems.is_empty() {
            tracing::error!(problems = problems.len(), "the settings stay as they were");
        }
        let in_identities = problems.iter().filter(|problem| problem.in_identities).count();
        for (label, count) in
            [(CONFIG_FILE, problems.len() - in_identities), (IDENTITIES_FILE, in_identities)]
        {
            let count = i64::try_from(count).unwrap_or(i64::MAX);
            metrics.configuration_problems.get_or_create(&label.into()).set(count);
        }
    }

    /// Reads settings that differ from the first ones only in what may change.
    fn read(&mut self, contents: &[Content]) -> Result<Loaded, SettingsError> {
        self.source.kept = Vec::new();
        let loaded = self.source.read(contents)?;
        let kept = self.started_with.other_than(&Bound::of(loaded.configuration.settings()));
        if kept.is_empty() {
            return Ok(loaded);
        }
        let names: Vec<String> = kept.iter().map(|kept| format!("`{}`", kept.path.join("."))).collect();
        self.source.kept = kept;
        let mut loaded = self.source.read(contents)?;
        loaded.warnings.push(format!("a change of {} takes effect at the next start", names.join(", ")));
        Ok(loaded)
    }
}

impl Bound {
    fn of(settings: &Settings<'_>) -> Self {
        let config_map = settings.mapping_config_map.as_ref();
        Self {
            annotation_prefix: settings.annotation_prefix.to_owned(),
            service_account_annotations: settings.service_account_annotations,
            mapping_config_map: config_map
                .map(|at| [at.namespace.to_owned(), at.name.to_owned(), at.key.to_owned()]),
        }
    }

    /// Those values that are others now.
    fn other_than(&self, now: &Self) -> Vec<Given> {
        let Self { annotation_prefix, service_account_annotations, mapping_config_map } = self;
        let mut kept = Vec::new();
        let mut keep = |differs: bool, path: &'static [&'static str], value: Value| {
            if differs {
                kept.push(Given { path, value, by: "the last start" });
            }
        };
        keep(
            *annotation_prefix != now.annotation_prefix,
            &["annotationPrefix"],
            Value::String(annotation_prefix.clone()),
        );
        keep(
            *service_account_annotations != now.service_account_annotations,
            &["serviceAccountAnnotations"],
            Value::Bool(*service_account_annotations),
        );
        keep(
            *mapping_config_map != now.mapping_config_map,
            &["mappingConfigMap"],
            mapping_config_map.as_ref().map_or(Value::Null, |[namespace, name, key]| {
                object([("namespace", namespace), ("name", name), ("key", key)])
            }),
        );
        kept
    }
}

/// Tells contents apart without keeping them.
fn fingerprints(contents: &[Content]) -> Vec<u64> {
    let fingerprint = |content: &Content| {
        let mut hasher = DefaultHasher::new();
        content.hash(&mut hasher);
        hasher.finish()
    };
    contents.iter().map(fingerprint).collect()
}

#[cfg(test)]
mod tests;
