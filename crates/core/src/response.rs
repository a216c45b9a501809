//! How a decision is shown to the API server: warnings and audit annotations.

use alloc::borrow::{Cow, ToOwned};
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use crate::admission::Decision;
use crate::identity::Method;
use crate::message::{escape_into, escaped, message, number};

/// The longest warning, in bytes: clients cut longer ones
/// (<https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/#response>).
pub const MAX_WARNING: usize = 256;
/// All warnings together, in bytes, as in the API server.
pub const MAX_WARNINGS: usize = 4096;

/// Room for the last warning, which says how many are missing.
const MISSING: usize = 40;

/// The warnings of a decision, in printable ASCII, cut to what is passed on.
#[must_use]
pub fn warnings(decision: &Decision<'_>) -> Vec<String> {
    let mut shown: Vec<String> = Vec::new();
    let mut total = 0;
    let mut missing = 0;
    for warning in decision.account.all_warnings() {
        let text = cut(&warning.text);
        if missing > 0 || total + text.len() > MAX_WARNINGS - MISSING {
            missing += 1;
        } else if !shown.contains(&text) {
            total += text.len();
            shown.push(text);
        }
    }
    if missing > 0 {
        shown.push(message("{=} more warnings are not shown", &[&number(missing)]));
    }
    shown
}

fn cut(text: &str) -> String {
    let mut out = String::new();
    escape_into(&mut out, text, usize::MAX);
    if out.len() > MAX_WARNING {
        return out.get(..MAX_WARNING - 3).unwrap_or_default().to_owned() + "...";
    }
    out
}

/// The audit annotations of a decision: which identity, which role, and who said so.
#[must_use]
pub fn audit_annotations(decision: &Decision<'_>) -> Vec<(&'static str, Cow<'static, str>)> {
    let Some(identity) = &decision.identity else { return Vec::new() };
    match &identity.method {
        Method::ContainerCredentials(_) => {
            vec![("identity", "container-credentials".into()), ("source", "identities".into())]
        }
        Method::WebIdentity(roles) => {
            let mut arns = roles.general.map_or(String::new(), |role| escaped(role.arn));
            for (name, role) in &roles.containers {
                if !arns.is_empty() {
                    arns.push(',');
                }
                arns.push_str(&message("{}={}", &[name, role.arn]));
            }
            let first = roles.general.as_ref().or(roles.containers.first().map(|(_, role)| role));
            let source = first.map_or("default", |role| role.source.name());
            vec![("identity", "web-identity".into()), ("role-arn", arns.into()), ("source", source.into())]
        }
    }
}
