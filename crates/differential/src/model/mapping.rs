//! Entries of the ConfigMap, and who is given container credentials.

use std::cmp::Reverse;

use serde_json::{Map, Value};

use super::Model;
use crate::differences::Difference;
use crate::scene::text;

/// What an entry of the ConfigMap says.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Entry {
    pub(super) role: String,
    /// By container.
    pub(super) containers: Vec<(String, String)>,
    /// Absent when the flag decides.
    pub(super) audience: Option<String>,
    pub(super) regional: Option<bool>,
    pub(super) expiration: Option<i64>,
    pub(super) region: Option<String>,
}

impl Entry {
    /// What an entry says besides counts only when its role does.
    pub(super) fn gives_a_role(&self) -> bool {
        !self.role.is_empty() || !self.containers.is_empty()
    }
}

const GO_FIELDS: [&str; 4] = ["RoleARN", "Audience", "UseRegionalSTS", "TokenExpiration"];
const FIELDS: [&str; 4] = ["roleArn", "audience", "stsRegionalEndpoints", "tokenExpiration"];

impl<'s> Model<'s> {
    /// Whether a ServiceAccount is given container credentials.
    pub(super) fn has_credentials(&self, account: &str) -> bool {
        if !self.scene.flags.container_credentials {
            return false;
        }
        let matches = |matches: fn(&str, &str) -> bool| {
            self.scene.cluster.identities.iter().any(|identity| {
                matches(text(identity, "namespace"), self.namespace())
                    && matches(text(identity, "serviceAccount"), account)
            })
        };
        self.either(Difference::IdentityGlobs, matches(|name, other| name == other), matches(is_match))
    }

    /// The entry for a ServiceAccount.
    pub(super) fn entry(&self, account: &str) -> Option<Entry> {
        if !self.scene.flags.watch_config_map {
            return None;
        }
        let mapping = self.scene.cluster.mappings.get(self.scene.flags.config_map_namespace())?;
        let mapping = mapping.as_object()?;
        if !mapping.values().all(is_go_entry) && !self.here(Difference::EntryForms) {
            return None;
        }
        let mut matching: Vec<_> =
            mapping.iter().filter_map(|(key, value)| Some((self.rank(key, account)?, value))).collect();
        matching.sort_by_key(|(rank, _)| *rank);
        matching.into_iter().find_map(|(_, value)| self.read_entry(value, account))
    }

    /// How well a key matches, the smaller the better; `None` when it does not.
    fn rank<'k>(&self, key: &'k str, account: &str) -> Option<(u8, Reverse<usize>, &'k str)> {
        let mut parts = key.split('/');
        let (namespace, name) = (parts.next()?, parts.next()?);
        if !is_match(namespace, self.namespace()) || !is_match(name, account) {
            return None;
        }
        if parts.next().is_some() && self.here(Difference::MappingSlashes) {
            return None;
        }
        let is_exact = |text: &str| !text.contains(['*', '?']);
        let class = match (is_exact(namespace), is_exact(name)) {
            (true, true) => 0,
            (true, false) => 1,
            (false, true) => 2,
            (false, false) => 3,
        };
        let is_go = class == 0 || namespace == "*" && is_exact(name);
        if !is_go && !self.here(Difference::MappingGlobs) {
            return None;
        }
        let literal = key.bytes().filter(|byte| !b"*?/".contains(byte)).count();
        Some((class, Reverse(literal), key))
    }

    /// `None` when it is malformed.
    fn read_entry(&self, value: &Value, account: &str) -> Option<Entry> {
        let entry = match value {
            Value::Object(entry) => entry,
            Value::String(role) => {
                return Some(Entry { role: self.entry_role(role, account)?, ..Entry::default() });
            }
            Value::Null => return Some(Entry::default()),
            _ => return None,
        };
        let fields = GO_FIELDS.iter().zip(&FIELDS);
        if fields.clone().any(|(go, ours)| entry.contains_key(*go) && entry.contains_key(*ours))
            && self.here(Difference::EntryFieldTwice)
        {
            return None;
        }
        let role = match self.field(entry, 0) {
            Some(Value::String(role)) => self.entry_role(role, account)?,
            Some(Value::Null) | None => String::new(),
            Some(_) => return None,
        };
        let flags = self.scene.flags;
        let audience = match self.field(entry, 1) {
            Some(Value::String(audience)) if audience.is_empty() => None,
            Some(Value::String(audience)) if !is_audience(audience) => {
                self.either(Difference::BadAudience, Some(audience.clone()), None)
            }
            Some(Value::String(audience)) => Some(audience.clone()),
            Some(Value::Null) | None => None,
            Some(_) => return None,
        };
        let regional = match self.field(entry, 2) {
            Some(Value::Bool(regional)) => Some(*regional),
            Some(Value::Null) | None => None,
            Some(_) => return None,
        };
        // What an entry does not say is empty to Go.
        let empty = |is_missing: bool| is_missing && !self.here(Difference::EntryDefaults);
        let audience = if empty(audience.is_none()) { Some(String::new()) } else { audience };
        let is_missing = regional.is_none() && flags.sts_regional_endpoint;
        let regional = if empty(is_missing) { Some(false) } else { regional };
        Some(Entry {
            role,
            containers: self.entry_containers(entry, account)?,
            audience,
            regional,
            expiration: self.entry_expiration(entry)?,
            region: entry
                .get("region")
                .and_then(Value::as_str)
                .filter(|region| super::identity::is_region(region))
                .filter(|_| self.here(Difference::EntryFields))
                .map(str::to_owned),
        })
    }

    /// A field in whichever spelling counts.
    fn field<'e>(&self, entry: &'e Map<String, Value>, index: usize) -> Option<&'e Value> {
        let (go, ours) = (*GO_FIELDS.get(index)?, *FIELDS.get(index)?);
        // What is last in the order of keys is what Go takes; serde_json sorts them.
        let by_go = entry.iter().rev().find(|(key, _)| key.eq_ignore_ascii_case(go));
        let known = |key: &str| key == go || key == ours;
        match by_go {
            Some((key, value)) if known(key) => Some(value),
            Some((_, value)) => (!self.here(Difference::KeysInAnyCase)).then_some(value),
            // Only `stsRegionalEndpoints` has another name.
            None => entry.get(ours).filter(|_| self.here(Difference::EntryFields)),
        }
    }

    /// `None` for an entry whose template cannot be filled in.
    fn entry_role(&self, role: &str, account: &str) -> Option<String> {
        let mut role = role.to_owned();
        if role.contains(['{', '}']) && self.here(Difference::RoleTemplates) {
            role = role.replace("{namespace}", self.namespace()).replace("{serviceAccount}", account);
            if role.contains(['{', '}']) {
                return None;
            }
        }
        Some(self.without_blanks(&role).to_owned())
    }

    fn entry_containers(&self, entry: &Map<String, Value>, account: &str) -> Option<Vec<(String, String)>> {
        let Some(containers) = entry.get("containers").and_then(Value::as_object) else {
            return Some(Vec::new());
        };
        if !self.here(Difference::RolePerContainer) {
            return Some(Vec::new());
        }
        let mut roles = Vec::new();
        for (name, role) in containers {
            let role = self.entry_role(role.as_str()?, account)?;
            if !role.is_empty() {
                roles.push((name.clone(), role));
            }
        }
        Some(roles)
    }

    fn entry_expiration(&self, entry: &Map<String, Value>) -> Option<Option<i64>> {
        let seconds = match self.field(entry, 3) {
            Some(Value::Number(seconds)) => seconds.as_i64()?,
            Some(Value::Null) | None => return Some(None),
            Some(_) => return None,
        };
        let is_zero_in_ours = seconds == 0 && entry.contains_key("tokenExpiration");
        if seconds == 0 && !(is_zero_in_ours && self.here(Difference::EntryExpiration)) {
            return Some(None);
        }
        let clamped = seconds.clamp(600, 1 << 32);
        Some(Some(self.either(Difference::EntryExpiration, seconds, clamped)))
    }
}

/// Whether the Go webhook can read an entry.
fn is_go_entry(value: &Value) -> bool {
    let Some(entry) = value.as_object() else { return false };
    entry.iter().all(|(key, value)| match key.to_ascii_lowercase().as_str() {
        "rolearn" | "audience" => value.is_string() || value.is_null(),
        "useregionalsts" => value.is_boolean() || value.is_null(),
        "tokenexpiration" => value.is_i64() || value.is_null(),
        _ => true,
    })
}

/// Printable ASCII without blanks.
pub(super) fn is_audience(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Whether a glob matches a whole text.
fn is_match(glob: &str, text: &str) -> bool {
    let mut characters = glob.chars();
    match characters.next() {
        None => text.is_empty(),
        Some('*') => text
            .char_indices()
            .map(|(at, _)| at)
            .chain([text.len()])
            .any(|at| text.get(at..).is_some_and(|rest| is_match(characters.as_str(), rest))),
        Some(wanted) => {
            let mut rest = text.chars();
            rest.next().is_some_and(|found| wanted == '?' || wanted == found)
                && is_match(characters.as_str(), rest.as_str())
        }
    }
}
