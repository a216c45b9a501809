//! The answer to an `AdmissionReview`, written as text
//! (<https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/#response>).

use base64_simd::STANDARD;
use pod_identity_core::{Decision, Outcome, number, response, write_string};

use super::review::Version;
use crate::status;

/// What an answer takes besides its patch, uid and warnings.
const ROOM: usize = 512;

/// The answer that a decision is.
pub(super) fn decided(version: Version, uid: &str, decision: &Decision<'_>) -> String {
    let mut out;
    match &decision.outcome {
        Outcome::Changed(_, change) => {
            let mut patch = String::new();
            change.write_patch(&mut patch);
            out = String::with_capacity(ROOM + uid.len() + patch.len() / 3 * 4);
            head(&mut out, version, uid, true);
            out.push_str(",\"patchType\":\"JSONPatch\",\"patch\":\"");
            STANDARD.encode_append(&patch, &mut out);
            out.push('"');
        }
        Outcome::Unchanged(_) | Outcome::Verified { .. } => {
            out = String::with_capacity(ROOM + uid.len());
            head(&mut out, version, uid, true);
        }
        Outcome::Refused(refusal) => {
            out = String::with_capacity(ROOM + uid.len() + refusal.message.len());
            head(&mut out, version, uid, false);
            self::refusal(&mut out, refusal.code, &refusal.message);
        }
    }
    let warnings = response::warnings(decision);
    for (i, warning) in warnings.iter().enumerate() {
        out.push_str(if i == 0 { ",\"warnings\":[" } else { "," });
        write_string(&mut out, warning);
    }
    out.push_str(if warnings.is_empty() { "" } else { "]" });
    let annotations = response::audit_annotations(decision);
    for (i, (key, value)) in annotations.iter().enumerate() {
        out.push_str(if i == 0 { ",\"auditAnnotations\":{" } else { "," });
        write_string(&mut out, key);
        out.push(':');
        write_string(&mut out, value);
    }
    out.push_str(if annotations.is_empty() { "}}" } else { "}}}" });
    out
}

/// The answer to a review whose request could not be read.
pub(super) fn unreadable(version: Version, uid: &str, message: &str) -> String {
    let mut out = String::with_capacity(ROOM + uid.len() + message.len());
    head(&mut out, version, uid, false);
    refusal(&mut out, 400, message);
    out.push_str("}}");
    out
}

fn head(out: &mut String, version: Version, uid: &str, allowed: bool) {
    out.push_str("{\"apiVersion\":\"");
    out.push_str(version.name());
    out.push_str("\",\"kind\":\"AdmissionReview\",\"response\":{\"uid\":");
    write_string(out, uid);
    out.push_str(if allowed { ",\"allowed\":true" } else { ",\"allowed\":false" });
}

fn refusal(out: &mut String, code: u16, message: &str) {
    out.push_str(",\"status\":{\"code\":");
    out.push_str(&number(code.into()));
    out.push_str(",\"message\":");
    write_string(out, message);
    out.push_str(",\"reason\":\"");
    out.push_str(status::reason(code));
    out.push_str("\"}");
}
