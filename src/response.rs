//! Answers as policy-server reads them
//! (<https://docs.kubewarden.io/reference/spec/mutating-policies>).

use alloc::borrow::ToOwned;
use alloc::string::String;

use pod_identity_core::{Decision, Outcome, number, response, write_string};

/// The answer to a request.
#[must_use]
pub fn of(decision: &Decision<'_>) -> String {
    // What is written last can grow where it is.
    let annotations = response::audit_annotations(decision);
    let warnings = response::warnings(decision);
    let mut out = match &decision.outcome {
        Outcome::Unchanged(_) | Outcome::Verified { .. } => String::from("{\"accepted\":true"),
        Outcome::Changed(_, change) => {
            let mut out = String::with_capacity(change.object_len() + 512);
            out.push_str("{\"accepted\":true,\"mutated_object\":");
            change.write_object(&mut out);
            out
        }
        Outcome::Refused(refusal) => refusal_head(refusal.code, &refusal.message),
    };
    if !annotations.is_empty() {
        out.push_str(",\"audit_annotations\":{");
        for (i, (key, value)) in annotations.iter().enumerate() {
            if i > 0 {
                out.push(',');
            }
            write_string(&mut out, key);
            out.push(':');
            write_string(&mut out, value);
        }
        out.push('}');
    }
    if !warnings.is_empty() {
        out.push_str(",\"warnings\":[");
        for (i, warning) in warnings.iter().enumerate() {
            if i > 0 {
                out.push(',');
            }
            write_string(&mut out, warning);
        }
        out.push(']');
    }
    out.push('}');
    out
}

/// A refusal without a decision.
#[must_use]
pub fn refused(code: u16, message: &str) -> String {
    refusal_head(code, message) + "}"
}

fn refusal_head(code: u16, message: &str) -> String {
    let mut out = "{\"accepted\":false,\"code\":".to_owned() + &number(code.into()) + ",\"message\":";
    write_string(&mut out, message);
    out
}

/// The answer to `validate_settings`: valid, unless there is something to say.
#[must_use]
pub fn settings(message: Option<&str>) -> String {
    match message {
        None => "{\"valid\":true}".to_owned(),
        Some(message) => {
            let mut out = String::from("{\"valid\":false,\"message\":");
            write_string(&mut out, message);
            out.push('}');
            out
        }
    }
}
