//! The annotations of a service account, and the ones that this software writes there.

use alloc::borrow::ToOwned;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use crate::account::{Account, Reason};
use crate::error::{Fault, ReadError};
use crate::json::{Arena, Value, write_string};
use crate::mapping::Entry;
use crate::message::{message, number};
use crate::names::Names;
use crate::plan::{AnnotationChange, ServiceAccountPlan};
use crate::pod::StringMap;
use crate::settings::Object;

/// The record of what this software wrote.
const MANAGED: &str = "managed-annotations";

/// The annotations that are read, of a service account or of a pod.
#[derive(Clone, Debug, Default)]
pub(crate) struct Annotations<'a> {
    pub(crate) role: Option<&'a str>,
    pub(crate) container_roles: Vec<(&'a str, &'a str)>,
    pub(crate) audience: Option<&'a str>,
    pub(crate) sts_regional_endpoints: Option<&'a str>,
    pub(crate) token_expiration: Option<&'a str>,
    pub(crate) region: Option<&'a str>,
    pub(crate) skip: Option<&'a str>,
    pub(crate) include: Option<&'a str>,
    managed: Option<&'a str>,
}

/// Those of an object that has none.
pub(crate) static NO_ANNOTATIONS: Annotations<'static> = Annotations {
    role: None,
    container_roles: Vec::new(),
    audience: None,
    sts_regional_endpoints: None,
    token_expiration: None,
    region: None,
    skip: None,
    include: None,
    managed: None,
};

impl<'a> Annotations<'a> {
    /// Picks the annotations with the prefix.
    ///
    /// # Errors
    ///
    /// When one of them is there twice.
    pub(crate) fn read(map: &StringMap<'a>, prefix: &str) -> Result<Self, Box<ReadError>> {
        let mut found = Self::default();
        for (key, value) in map.iter() {
            let Some(name) = key.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('/')) else {
                continue;
            };
            let slot = match name {
                "role-arn" => &mut found.role,
                "audience" => &mut found.audience,
                "sts-regional-endpoints" => &mut found.sts_regional_endpoints,
                "token-expiration" => &mut found.token_expiration,
                "region" => &mut found.region,
                "skip-containers" => &mut found.skip,
                "include-containers" => &mut found.include,
                MANAGED => &mut found.managed,
                name => {
                    if let Some(container) = name.strip_prefix("role-arn.") {
                        found.container_roles.push((container, value));
                    }
                    continue;
                }
            };
            if slot.replace(value).is_some() {
                return Err(ReadError::new(Fault::Duplicate));
            }
        }
        if Names::of(found.container_roles.iter().map(|(container, _)| *container)).repeated().is_empty() {
            Ok(found)
        } else {
            Err(ReadError::new(Fault::Duplicate))
        }
    }

    /// The annotations that somebody else wrote: without those that still are as this software left them, which
    /// count as the mapping that they were taken from.
    pub(crate) fn without_managed(
        mut self,
        prefix: &str,
        account: &mut Account<'a>,
        arena: &'a Arena,
    ) -> Self {
        for (key, recorded) in self.record(account, arena) {
            let Some(name) = key.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('/')) else {
                continue;
            };
            let slot = match name {
                "role-arn" => &mut self.role,
                "audience" => &mut self.audience,
                "sts-regional-endpoints" => &mut self.sts_regional_endpoints,
                "token-expiration" => &mut self.token_expiration,
                _ => continue,
            };
            if *slot == Some(recorded) {
                *slot = None;
            }
        }
        self
    }

    fn record(&self, account: &mut Account<'a>, arena: &'a Arena) -> Vec<(&'a str, &'a str)> {
        let Some(text) = self.managed else { return Vec::new() };
        let mut record = Vec::new();
        let mut strings = true;
        let mut members = Object::new(text, arena);
        while let Some((key, value)) = members.next() {
            match value {
                Value::String(value) => record.push((key, value)),
                _ => strings = false,
            }
        }
        if members.names().is_err() || !strings {
            let place = &account.scope;
            let text = message(
                "annotation `{=}/{=}` of service account `{}/{}` is ignored: `{}` is not a JSON object of texts",
                &[place.prefix, MANAGED, place.namespace, place.service_account, text],
            );
            account.warn(Reason::BadValue, text);
            return Vec::new();
        }
        record
    }

    /// What brings the service account's annotations up to date with its entry in the mapping; `None` when they
    /// are.
    pub(crate) fn complete(
        &self,
        map: &StringMap<'a>,
        entry: Option<&Entry<'a>>,
        prefix: &str,
        account: &mut Account<'a>,
        arena: &'a Arena,
    ) -> Option<ServiceAccountPlan> {
        let record = self.record(account, arena);
        let mut changes = Vec::new();
        let mut managed = String::new();
        for (name, value) in wanted(entry, arena) {
            let key = message("{=}/{=}", &[prefix, name]);
            let recorded = record.iter().find(|(k, _)| *k == key).map(|(_, value)| *value);
            let current = map.iter().find(|(k, _)| *k == key).map(|(_, value)| value);
            // The user's is untouched, and no longer on record. An empty role is none.
            let empty_role = name == "role-arn" && current.is_some_and(|role| role.trim().is_empty());
            if current.is_some() && current != recorded && !(empty_role && value.is_some()) {
                continue;
            }
            if let Some(value) = value {
                managed.push(if managed.is_empty() { '{' } else { ',' });
                write_string(&mut managed, &key);
                managed.push(':');
                write_string(&mut managed, value);
            }
            if current != value {
                changes.push(AnnotationChange {
                    key,
                    present: current.is_some(),
                    value: value.map(ToOwned::to_owned),
                });
            }
        }
        let managed = (!managed.is_empty()).then(|| managed + "}");
        if managed.as_deref() != self.managed {
            let key = message("{=}/{=}", &[prefix, MANAGED]);
            changes.push(AnnotationChange { key, present: self.managed.is_some(), value: managed });
        }
        (!changes.is_empty()).then_some(ServiceAccountPlan { annotations: changes })
    }
}

/// The annotations that an entry is written as.
fn wanted<'a>(entry: Option<&Entry<'a>>, arena: &'a Arena) -> [(&'static str, Option<&'a str>); 4] {
    let nothing = Entry::default();
    let entry = entry.filter(|entry| entry.role.is_some()).unwrap_or(&nothing);
    let regional = entry.sts_regional_endpoints.map(|on| if on { "true" } else { "false" });
    let expiration = entry.token_expiration.map(|found| arena.keep(&number(found.seconds())));
    [
        ("role-arn", entry.role),
        ("audience", entry.audience),
        ("sts-regional-endpoints", regional),
        ("token-expiration", expiration),
    ]
}
