//! The functions that the host calls.

use alloc::borrow::ToOwned;
use alloc::string::String;

mod allocator;
mod wapc;

/// Answers a call: the functions that a policy has.
fn call(operation: &[u8], payload: &[u8]) -> Option<String> {
    match operation {
        b"validate" => Some(crate::validate(payload, &ask)),
        b"validate_settings" => Some(crate::validate_settings(payload)),
        b"protocol_version" => Some("\"v1\"".to_owned()),
        _ => None,
    }
}

/// Asks the host for something that Kubernetes holds.
fn ask(operation: &str, request: &str) -> Result<String, String> {
    let (answered, answer) = wapc::host_call("kubewarden", "kubernetes", operation, request);
    match String::from_utf8(answer) {
        Ok(text) if answered => Ok(text),
        Ok(error) => Err(error),
        Err(_) => Err("the host's answer is not UTF-8".to_owned()),
    }
}
