//! Who a pod is.

use std::collections::BTreeMap;

use serde_json::Value;

use super::Model;
use super::csv;
use super::mapping::{Entry, is_audience};
use crate::differences::Difference;
use crate::scene::text;

/// Who a pod is, and everything that its credentials depend on.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Identity {
    pub(super) method: Method,
    pub(super) audience: String,
    pub(super) expiration: Expiration,
    pub(super) region: Option<String>,
    pub(super) regional: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Method {
    ContainerCredentials,
    /// The role for all containers, and those for single ones.
    WebIdentity {
        role: String,
        containers: Vec<(String, String)>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Expiration {
    Seconds(i64),
    /// Somewhere in the last two hours of a day.
    Spread,
}

/// What is ever written to a ServiceAccount.
const MANAGED: [&str; 4] = ["role-arn", "audience", "sts-regional-endpoints", "token-expiration"];
/// How long is a day, which the Go webhook takes for "nobody said".
const DAY: i64 = 86_400;

impl<'s> Model<'s> {
    pub(super) fn identity(&self, account: &str) -> Option<Identity> {
        if self.has_credentials(account) {
            return Some(self.credentials(account));
        }
        let flags = self.scene.flags;
        let annotations = self.annotations(account);
        let role = annotations.get("role-arn").copied().unwrap_or_default();
        let role = self.without_blanks(role).to_owned();
        let mut containers: Vec<(String, String)> = annotations
            .iter()
            .filter_map(|(key, role)| {
                Some((key.strip_prefix("role-arn.")?.to_owned(), role.trim().to_owned()))
            })
            .filter(|(_, role)| !role.is_empty())
            .collect();
        if !containers.is_empty() && !self.here(Difference::RolePerContainer) {
            containers.clear();
        }
        let (role, entry) = match (role, self.entry(account)) {
            (role, Some(entry)) if role.is_empty() && entry.gives_a_role() => {
                (entry.role.clone(), Some(entry))
            }
            (role, _) => (role, None),
        };
        if let Some(entry) = &entry {
            for (name, role) in &entry.containers {
                if !containers.iter().any(|(own, _)| own == name) {
                    containers.push((name.clone(), role.clone()));
                }
            }
        }
        if role.is_empty() && containers.is_empty() {
            return None;
        }
        let from_mapping = entry.is_some();
        let annotations = if from_mapping && !self.counts_with_mapping(&annotations) {
            BTreeMap::new()
        } else {
            annotations
        };
        let entry = entry.unwrap_or_default();
        let audience = self.audience(annotations.get("audience").copied());
        let seconds = self
            .pod_expiration()
            .or_else(|| self.expiration(annotations.get("token-expiration").copied()))
            .or(entry.expiration)
            .unwrap_or_else(|| flags.expiration());
        let regional = annotations.get("sts-regional-endpoints").and_then(|text| boolean(text));
        Some(Identity {
            method: Method::WebIdentity { role, containers },
            audience: audience
                .or_else(|| entry.audience.clone())
                .unwrap_or_else(|| flags.audience().to_owned()),
            expiration: Expiration::Seconds(seconds),
            region: self.region(account, Some(&entry)),
            regional: regional.or(entry.regional).unwrap_or(flags.sts_regional_endpoint),
        })
    }

    fn credentials(&self, account: &str) -> Identity {
        let flags = self.scene.flags;
        let annotations = self.annotations(account);
        let annotated = self.expiration(annotations.get("token-expiration").copied());
        let regional = annotations.get("sts-regional-endpoints").and_then(|text| boolean(text));
        let (mut seconds, mut regional) = (
            annotated.unwrap_or_else(|| flags.expiration()),
            regional.unwrap_or(flags.sts_regional_endpoint),
        );
        if !self.is_account_there(account) {
            let go = self.go_values_without_account(account);
            (seconds, regional) = self.either(Difference::CredentialsWithoutAccount, go, (seconds, regional));
        }
        let on_pod = self.pod_expiration();
        let seconds = on_pod.unwrap_or(seconds);
        let is_set = on_pod.is_some() || annotated.is_some() || flags.token_expiration.is_some();
        let is_spread = seconds == DAY && !(is_set && self.here(Difference::AnyDayIsSpread));
        Identity {
            method: Method::ContainerCredentials,
            audience: flags.credentials_audience().to_owned(),
            expiration: if is_spread { Expiration::Spread } else { Expiration::Seconds(seconds) },
            region: self.region(account, None),
            regional,
        }
    }

    /// Only an entry under the very name counts there, with what it says; else neither flags nor defaults.
    fn go_values_without_account(&self, account: &str) -> (i64, bool) {
        let flags = self.scene.flags;
        let key = format!("{}/{account}", self.namespace());
        let mapping = self.scene.cluster.mappings.get(flags.config_map_namespace());
        match mapping.filter(|_| flags.watch_config_map).and_then(|mapping| mapping.get(&key)) {
            Some(entry) => {
                let seconds = entry.get("TokenExpiration").and_then(Value::as_i64).filter(|n| *n != 0);
                let regional = entry.get("UseRegionalSTS").and_then(Value::as_bool);
                (seconds.unwrap_or_else(|| flags.expiration()), regional.unwrap_or_default())
            }
            None => (DAY, false),
        }
    }

    fn is_account_there(&self, account: &str) -> bool {
        let key = (self.namespace().to_owned(), account.to_owned());
        self.scene.cluster.accounts.contains_key(&key)
    }

    /// The ServiceAccount's annotations with the prefix, without it.
    fn annotations(&self, account: &str) -> BTreeMap<&'s str, &'s str> {
        let key = (self.namespace().to_owned(), account.to_owned());
        let annotations = self.scene.cluster.accounts.get(&key);
        let mut own: BTreeMap<&str, &str> = annotations
            .into_iter()
            .flatten()
            .filter_map(|(key, value)| {
                let name = key.strip_prefix(self.scene.flags.prefix())?.strip_prefix('/')?;
                Some((name, value.as_str()))
            })
            .collect();
        if let Some(record) = own.get("managed-annotations")
            && let Ok(record) = serde_json::from_str::<BTreeMap<String, String>>(record)
            && self.here(Difference::ManagedAnnotations)
        {
            own.retain(|name, value| {
                let key = format!("{}/{name}", self.scene.flags.prefix());
                !(MANAGED.contains(name) && record.get(&key).is_some_and(|recorded| recorded == value))
            });
        }
        own
    }

    fn pod_annotation(&self, name: &str) -> Option<&'s str> {
        let key = format!("{}/{name}", self.scene.flags.prefix());
        let value = self.scene.review.pod().pointer("/metadata/annotations")?.get(&key)?;
        // `null` is an empty text to Kubernetes.
        Some(value.as_str().unwrap_or_default())
    }

    /// Whether there is anything in a ServiceAccount's annotations that an entry could be overruled by.
    fn counts_with_mapping(&self, annotations: &BTreeMap<&str, &str>) -> bool {
        ["audience", "token-expiration", "sts-regional-endpoints"]
            .iter()
            .any(|name| annotations.contains_key(name))
            && self.here(Difference::AccountValuesWithMapping)
    }

    pub(super) fn without_blanks<'t>(&self, role: &'t str) -> &'t str {
        self.either(Difference::BlanksInRoles, role, role.trim())
    }

    fn audience(&self, annotation: Option<&str>) -> Option<String> {
        let annotation = annotation?;
        let here = Some(annotation.trim()).filter(|audience| is_audience(audience));
        self.either(Difference::BadAudience, Some(annotation), here).map(str::to_owned)
    }

    fn pod_expiration(&self) -> Option<i64> {
        self.expiration(self.pod_annotation("token-expiration"))
    }

    fn expiration(&self, annotation: Option<&str>) -> Option<i64> {
        let annotation = annotation?;
        let go = annotation.parse::<i64>().ok().map(|seconds| seconds.max(600));
        let digits = annotation.strip_prefix(['+', '-']).unwrap_or(annotation);
        let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        // No number of seconds that matters has more digits than these.
        let here = is_number.then(|| match annotation.parse::<i64>() {
            Ok(seconds) => seconds.clamp(600, 1 << 32),
            Err(_) if annotation.starts_with('-') => 600,
            Err(_) => 1 << 32,
        });
        self.either(Difference::HighestExpiration, go, here)
    }

    fn region(&self, account: &str, entry: Option<&Entry>) -> Option<String> {
        let annotations = self.annotations(account);
        let on_account = annotations.get("region").copied();
        let mut annotated =
            [self.pod_annotation("region"), on_account].into_iter().flatten().filter(|text| is_region(text));
        let region = match annotated.next() {
            Some(region) if self.here(Difference::RegionAnnotation) => Some(region.to_owned()),
            _ => entry
                .and_then(|entry| entry.region.clone())
                .or_else(|| self.scene.flags.aws_default_region.map(str::to_owned)),
        };
        region.filter(|region| region != "none")
    }

    /// Whether a container is served.
    pub(super) fn is_served(&self, container: &str, account_name: &str, ephemeral: bool) -> bool {
        let holds = |names: Vec<String>| names.iter().any(|name| name == container);
        let annotations = self.annotations(account_name);
        let on_pod = self.pod_annotation("skip-containers").unwrap_or_default();
        let mut skipped =
            self.either(Difference::SkipListForm, holds(csv::first_line(on_pod)), holds(csv::names(on_pod)));
        let on_account = annotations.get("skip-containers").copied().unwrap_or_default();
        skipped |= self.either(Difference::SkipListOfAccount, false, holds(csv::names(on_account)));
        let include = self.pod_annotation("include-containers");
        let include = include.or_else(|| annotations.get("include-containers").copied());
        let included = include.is_none_or(|names| ephemeral || holds(csv::names(names)));
        !skipped && self.either(Difference::IncludeContainers, true, included)
    }

    /// The name under which a pod's ServiceAccount is looked up.
    pub(super) fn account(&self) -> &'s str {
        self.account_name().unwrap_or_default()
    }
}

impl Identity {
    /// The role of a container.
    pub(super) fn role(&self, container: &Value) -> Option<&str> {
        let Method::WebIdentity { role, containers } = &self.method else { return None };
        let own = containers.iter().find(|(name, _)| name == text(container, "name"));
        let role = own.map_or(role, |(_, role)| role);
        (!role.is_empty()).then_some(role)
    }
}

/// `none`, or what a host name can be built from.
pub(super) fn is_region(text: &str) -> bool {
    (1..=32).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

/// As Go's `strconv.ParseBool`.
fn boolean(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}
