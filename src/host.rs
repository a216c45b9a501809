//! The one host call: an object of the cluster
//! (<https://docs.kubewarden.io/reference/spec/host-capabilities/kubernetes>).

use alloc::boxed::Box;
use alloc::string::String;
use core::cell::OnceCell;

use pod_identity_core::{Found, Lookup, ReadError, ServiceAccountLookup, Unknown, write_string};

use crate::{Answer, HostCall};

/// The host's queue was full at that moment.
const BUSY: &str = "Error sending request over callback channel: Full";

/// What a service account is read for. The host leaves out the rest.
const SERVICE_ACCOUNT_FIELDS: &str =
    r#"["apiVersion","kind","metadata.annotations","metadata.name","metadata.namespace"]"#;
const CONFIG_MAP_FIELDS: &str = r#"["data"]"#;

/// What to do when an object cannot be looked up.
#[must_use]
pub fn remedy(lookup: &Lookup<'_>) -> &'static str {
    match lookup {
        Lookup::ServiceAccount { .. } => {
            "grant the policy `v1/ServiceAccount` in `contextAwareResources`, and policy-server by RBAC"
        }
        Lookup::ConfigMap { .. } => {
            "grant the policy `v1/ConfigMap` in `contextAwareResources`, and policy-server by RBAC"
        }
    }
}

/// Looks an object up.
pub(crate) fn get(lookup: &Lookup<'_>, freshness: ServiceAccountLookup, host_call: &HostCall<'_>) -> Answer {
    let (kind, not_there, namespace, name, fields, disable_cache) = match *lookup {
        Lookup::ServiceAccount { namespace, name } => {
            let fresh = freshness == ServiceAccountLookup::Fresh;
            (
                "ServiceAccount",
                "Cannot find v1/ServiceAccount",
                namespace,
                name,
                SERVICE_ACCOUNT_FIELDS,
                fresh,
            )
        }
        Lookup::ConfigMap { namespace, name, .. } => {
            ("ConfigMap", "Cannot find v1/ConfigMap", namespace, name, CONFIG_MAP_FIELDS, false)
        }
    };
    let mut request = String::from("{\"api_version\":\"v1\",\"kind\":");
    write_string(&mut request, kind);
    request.push_str(",\"name\":");
    write_string(&mut request, name);
    request.push_str(",\"namespace\":");
    write_string(&mut request, namespace);
    request.push_str(if disable_cache { ",\"disable_cache\":true" } else { ",\"disable_cache\":false" });
    request.push_str(",\"field_masks\":");
    request.push_str(fields);
    request.push('}');

    let mut answer = host_call("get_resource", &request);
    if answer.as_ref().is_err_and(|error| holds(error, BUSY)) {
        answer = host_call("get_resource", &request);
    }
    match answer {
        Ok(text) => Found::There(text),
        Err(error) if holds(&error, not_there) => Found::NotThere,
        Err(reason) => Found::Unknown(Unknown { reason, remedy: remedy(lookup) }),
    }
}

/// As `str::contains`, without the kilobytes that a search in linear time takes.
fn holds(text: &str, part: &str) -> bool {
    text.as_bytes().windows(part.len()).any(|window| window == part.as_bytes())
}

/// Keeps the text of an answer where a reading of it can borrow from.
pub(crate) fn held<'a, T>(
    answer: Answer,
    cell: &'a OnceCell<String>,
    read: impl FnOnce(&'a str) -> Result<Option<T>, Box<ReadError>>,
) -> Found<T> {
    match answer {
        Found::There(text) => match read(cell.get_or_init(|| text)) {
            Ok(Some(found)) => Found::There(found),
            Ok(None) => Found::NotThere,
            Err(error) => {
                let remedy = "the host's answer has to be the object that was asked for";
                Found::Unknown(Unknown { reason: error.message(), remedy })
            }
        },
        Found::NotThere => Found::NotThere,
        Found::Unknown(unknown) => Found::Unknown(unknown),
    }
}
