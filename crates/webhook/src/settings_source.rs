//! Where settings come from: flags over the `--config` file over defaults, as one document for the core to read.
//!
//! So every value goes through the core's parsers, wherever it was written. What is wrong is reported with the flag
//! or the place in the file that it comes from.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use pod_identity_core::values::TokenExpiration;
use pod_identity_core::{Arena, Problem, ServiceAccountLookup, mapping};

use crate::args::{Args, ContainerCredentialsFlags, IdentityFlags};
use crate::configuration::Configuration;
use crate::document::{Document, DocumentError, Member, Position, Value};
use crate::files::{Content, PolledFiles};
use crate::instance_metadata::InstanceIdentity;

mod identities;
mod reload;
use identities::Identities;
pub use reload::{CONFIG_FILE, IDENTITIES_FILE, Reload};

/// Where identities stand in the settings.
const IDENTITIES: &[&str] = &["containerCredentials", "identities"];

/// The ConfigMap that `--watch-config-map` means, as in the Go webhook.
const CONFIG_MAP: (&str, &str) = ("pod-identity-webhook", "config");

/// Flags and files that settings are made of.
#[derive(Debug)]
pub struct SettingsSource {
    config: Option<PathBuf>,
    identities: Option<PathBuf>,
    /// What flags say, each with the place that it stands for.
    given: Vec<Given>,
    /// What keeps its value until the next start, put over everything else.
    kept: Vec<Given>,
    notices: Vec<String>,
}

/// A value that does not come from the `--config` file.
#[derive(Clone, Debug)]
struct Given {
    path: &'static [&'static str],
    value: Value,
    /// Such as `--token-audience`.
    by: &'static str,
}

/// Settings that were read.
#[derive(Debug)]
pub struct Loaded {
    /// The settings.
    pub configuration: Configuration,
    /// What somebody should know, though it is not wrong.
    pub warnings: Vec<String>,
}

/// Everything that is wrong with the settings.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub struct SettingsError {
    problems: Vec<SettingsProblem>,
}

/// One thing that is wrong with the settings.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SettingsProblem {
    /// Whether it is in the file with identities.
    in_identities: bool,
    /// A flag, or a file with line and column.
    pub source: String,
    /// Such as `mapping["pay/api"].roleArn`; empty for a flag or a whole file.
    pub path: String,
    /// What is wrong and what was expected.
    pub message: String,
}

impl SettingsError {
    /// One after the other.
    pub fn problems(&self) -> impl Iterator<Item = &SettingsProblem> {
        self.problems.iter()
    }
}

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("cannot use the settings: ")?;
        for (index, problem) in self.problems.iter().enumerate() {
            write!(f, "{}{problem}", if index > 0 { "; " } else { "" })?;
        }
        Ok(())
    }
}

impl fmt::Display for SettingsProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.source)?;
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)
    }
}

impl SettingsSource {
    /// What flags say, and the files that they name. The identity of the instance is there when
    /// [`Self::asks_for_instance`] says so.
    #[must_use]
    pub fn new(args: &Args, instance: Option<&InstanceIdentity>) -> Self {
        let IdentityFlags {
            config,
            annotation_prefix,
            token_audience,
            token_expiration,
            token_mount_path,
            aws_default_region,
            sts_regional_endpoint,
            watch_config_map,
            compose_role_arn,
        } = args.identity.clone();
        let ContainerCredentialsFlags {
            watch_container_credentials_config,
            container_credentials_audience,
            container_credentials_token_mount_path,
            container_credentials_token_volume_name,
            container_credentials_token_path,
            container_credentials_full_uri,
        } = args.container_credentials.clone();
        let mut notices = Vec::new();
        let expiration = token_expiration.map(|seconds| clamped(seconds, &mut notices));
        let config_map = watch_config_map.map(|watched| {
            let (name, key) = CONFIG_MAP;
            if watched {
                object([("namespace", args.kubernetes.namespace.as_str()), ("name", name), ("key", key)])
            } else {
                Value::Null
            }
        });
        let compose = match (compose_role_arn, instance) {
            (Some(true), Some(instance)) => {
                Some(object([("accountId", instance.account_id.as_str()), ("partition", instance.partition)]))
            }
            (Some(false), _) => Some(Value::Null),
            _ => None,
        };
        let text = |text: Option<String>| text.map(Value::String);
        let given: [(&'static [&'static str], Option<Value>, &'static str); 13] = [
            (&["annotationPrefix"], text(annotation_prefix), "--annotation-prefix"),
            (&["tokenAudience"], text(token_audience), "--token-audience"),
            (&["tokenExpiration"], expiration, "--token-expiration"),
            (&["tokenMountPath"], text(token_mount_path), "--token-mount-path"),
            (&["awsDefaultRegion"], text(aws_default_region), "--aws-default-region"),
            (&["stsRegionalEndpoints"], sts_regional_endpoint.map(Value::Bool), "--sts-regional-endpoint"),
            (&["mappingConfigMap"], config_map, "--watch-config-map"),
            (&["composeRoleArn"], compose, "--compose-role-arn"),
            (
                &["containerCredentials", "audience"],
                text(container_credentials_audience),
                "--container-credentials-audience",
            ),
            (
                &["containerCredentials", "mountPath"],
                text(container_credentials_token_mount_path),
                "--container-credentials-token-mount-path",
            ),
            (
                &["containerCredentials", "volumeName"],
                text(container_credentials_token_volume_name),
                "--container-credentials-token-volume-name",
            ),
            (
                &["containerCredentials", "tokenPath"],
                text(container_credentials_token_path),
                "--container-credentials-token-path",
            ),
            (
                &["containerCredentials", "fullUri"],
                text(container_credentials_full_uri),
                "--container-credentials-full-uri",
            ),
        ];
        let given = given
            .into_iter()
            .filter_map(|(path, value, by)| Some(Given { path, value: value?, by }))
            .collect();
        let identities = watch_container_credentials_config;
        Self { config, identities, given, kept: Vec::new(), notices }
    }

    /// Whether the instance metadata service has to be asked first.
    #[must_use]
    pub fn asks_for_instance(args: &Args) -> bool {
        args.identity.compose_role_arn == Some(true)
    }

    /// Reads the files for the first time, and the settings.
    ///
    /// # Errors
    ///
    /// Everything that is wrong.
    pub fn load(self) -> Result<(Loaded, Reload), SettingsError> {
        let files = PolledFiles::new(self.paths());
        let mut loaded = self.read(files.contents())?;
        loaded.warnings.splice(0..0, self.notices.iter().cloned());
        let reload = Reload::new(self, files, &loaded.configuration);
        Ok((loaded, reload))
    }

    /// The files, in the order in which [`Self::read`] takes their contents.
    fn paths(&self) -> Vec<PathBuf> {
        self.config.iter().chain(&self.identities).cloned().collect()
    }

    /// Reads the settings from what the files hold.
    fn read(&self, contents: &[Content]) -> Result<Loaded, SettingsError> {
        let mut contents = contents.iter();
        let mut problems = Vec::new();
        let mut warnings = Vec::new();
        let mut document = Document::empty();
        let mut places = Places::default();
        if let Some(path) = &self.config {
            match contents.next().map_or(Ok(Document::empty()), read_document) {
                Ok(found) => document = found,
                Err(error) => problems.push(error.in_file(path, false)),
            }
            places.config = document.positions();
        }
        for given in &self.given {
            document.set(given.path, given.value.clone());
        }
        if let Some(path) = &self.identities {
            if places.config.contains_key(IDENTITIES.join(".").as_str()) {
                warnings.push(
                    "`--watch-container-credentials-config` takes the place of `containerCredentials.identities`"
                        .to_owned(),
                );
            }
            match contents.next().map_or(Ok(Identities::default()), identities::read) {
                Ok(found) => {
                    document.set(IDENTITIES, found.list);
                    places.identities = found.positions;
                }
                Err(error) => problems.push(error.in_file(path, true)),
            }
        }
        for kept in &self.kept {
            document.set(kept.path, kept.value.clone());
        }
        let read = document.json().map(Configuration::read);
        match read {
            Ok(Ok(configuration)) if problems.is_empty() => {
                let arena = Arena::default();
                let ambiguous = mapping::ambiguous_templates(configuration.settings(), &arena);
                warnings.extend(ambiguous.iter().map(|problem| self.locate(problem, &places).to_string()));
                if configuration.settings().service_account_lookup == ServiceAccountLookup::Cached {
                    warnings.push(
                        "`serviceAccountLookup` has no effect: it is for Kubewarden, here ServiceAccounts are watched"
                            .to_owned(),
                    );
                }
                Ok(Loaded { configuration, warnings })
            }
            Ok(Ok(_)) => Err(SettingsError { problems }),
            Ok(Err(found)) => {
                problems.extend(found.iter().map(|problem| self.locate(problem, &places)));
                Err(SettingsError { problems })
            }
            // Texts, numbers and names as keys can always be written.
            Err(error) => {
                problems.push(SettingsProblem {
                    in_identities: false,
                    source: "the settings".to_owned(),
                    path: String::new(),
                    message: error.to_string(),
                });
                Err(SettingsError { problems })
            }
        }
    }

    /// Says where a problem that the core has found comes from.
    fn locate(&self, problem: &Problem, places: &Places) -> SettingsProblem {
        let Problem { path, message } = problem.clone();
        let below = |outer: &str| {
            path.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        };
        let in_file = |file: &Path, path: &str, places: &HashMap<String, Position>, in_identities| {
            let position = nearest(path, places);
            let error = DocumentError { position, message: message.clone() };
            SettingsProblem { path: path.to_owned(), ..error.in_file(file, in_identities) }
        };
        if let Some(file) = &self.identities
            && below(&IDENTITIES.join("."))
        {
            let path = path.strip_prefix("containerCredentials.").unwrap_or(&path);
            return in_file(file, path, &places.identities, true);
        }
        if let Some(given) = self.given.iter().find(|given| below(&given.path.join("."))) {
            let exact = given.path.join(".") == path;
            return SettingsProblem {
                in_identities: false,
                source: given.by.to_owned(),
                path: if exact { String::new() } else { path },
                message,
            };
        }
        match &self.config {
            Some(file) => in_file(file, &path, &places.config, false),
            None => {
                SettingsProblem { in_identities: false, source: "the settings".to_owned(), path, message }
            }
        }
    }
}

/// Where things stand in the files.
#[derive(Default)]
struct Places {
    config: HashMap<String, Position>,
    identities: HashMap<String, Position>,
}

/// Where something stands, or the nearest thing around it.
fn nearest(path: &str, places: &HashMap<String, Position>) -> Option<Position> {
    let mut path = path;
    loop {
        if let Some(position) = places.get(path) {
            return Some(*position);
        }
        path = path.rsplit_once(['.', '[']).map_or("", |(outer, _)| outer);
        if path.is_empty() {
            return places.get(path).copied();
        }
    }
}

fn read_document(content: &Content) -> Result<Document, DocumentError> {
    match content {
        Ok(bytes) => Document::read(bytes),
        Err(kind) => Err(unreadable(*kind)),
    }
}

fn unreadable(kind: io::ErrorKind) -> DocumentError {
    DocumentError { position: None, message: format!("cannot be read: {kind}") }
}

impl DocumentError {
    fn in_file(self, file: &Path, in_identities: bool) -> SettingsProblem {
        let file = file.display();
        SettingsProblem {
            in_identities,
            source: match self.position {
                Some(position) => format!("{file}:{position}"),
                None => file.to_string(),
            },
            path: String::new(),
            message: self.message,
        }
    }
}

/// What the core takes, so that the flag alone does not keep the webhook from starting.
fn clamped(seconds: i64, notices: &mut Vec<String>) -> Value {
    let seconds = seconds.to_string();
    let Some(found) = TokenExpiration::clamped(&seconds) else { return Value::String(seconds) };
    let value = found.value.seconds();
    if found.clamped {
        notices.push(format!(
            "`--token-expiration` was brought from `{seconds}` to `{value}`: expected 600 to 4294967296"
        ));
    }
    Value::Number(value.into())
}

fn object<const N: usize>(members: [(&str, &str); N]) -> Value {
    let member = |(name, value): (&str, &str)| Member {
        name: name.to_owned(),
        position: None,
        value: Value::String(value.to_owned()),
    };
    Value::Map(members.into_iter().map(member).collect())
}

#[cfg(test)]
mod tests;
