//! The functions that the host calls.

mod allocator;

use wapc_guest::{CallResult, host_call, register_function};

/// Called by the host before anything else, for every request: so it does next to nothing.
#[allow(unsafe_code, reason = "waPC asks for this name")]
#[unsafe(no_mangle)]
#[allow(unreachable_pub, reason = "the host reaches it")]
pub extern "C" fn wapc_init() {
    register_function("validate", validate);
    register_function("validate_settings", validate_settings);
    register_function("protocol_version", protocol_version);
}

fn validate(payload: &[u8]) -> CallResult {
    let ask = |operation: &str, request: &str| {
        host_call("kubewarden", "kubernetes", operation, request.as_bytes())
            // What wapc-guest puts before the host's text says nothing.
            .map_err(|error| {
                let text = error.to_string();
                text.strip_prefix("Host error: ").map(str::to_owned).unwrap_or(text)
            })
            .and_then(|answer| {
                String::from_utf8(answer).map_err(|_| "the host's answer is not UTF-8".to_owned())
            })
    };
    Ok(crate::validate(payload, &ask).into_bytes())
}

fn validate_settings(payload: &[u8]) -> CallResult {
    Ok(crate::validate_settings(payload).into_bytes())
}

fn protocol_version(_: &[u8]) -> CallResult {
    Ok(b"\"v1\"".to_vec())
}
