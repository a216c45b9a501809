//! The two URLs that the settings hold. Tokens are sent there, so what is not plainly right is refused.

use crate::ascii::{cut, holds, is_one, parts};
use crate::values;

/// Who may be spoken to without encryption.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum PlainHttp {
    /// The machine itself and names that only resolve in the cluster.
    LoopbackOrCluster,
    /// What the AWS SDKs allow for container credentials
    /// (<https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html>).
    LoopbackOrAgent,
}

impl PlainHttp {
    /// What was expected, for messages.
    #[must_use]
    pub fn expected(self) -> &'static str {
        match self {
            Self::LoopbackOrCluster => {
                "a URL with `https`, or with `http` to a loopback address or a host that ends in `.svc` or `.cluster.local`"
            }
            Self::LoopbackOrAgent => {
                "a URL with `https`, or with `http` to a loopback address, `169.254.170.2`, `169.254.170.23` or `[fd00:ec2::23]`"
            }
        }
    }

    fn allows(self, host: &str) -> bool {
        is_loopback(host)
            || match self {
                Self::LoopbackOrCluster => host.ends_with(".svc") || host.ends_with(".cluster.local"),
                Self::LoopbackOrAgent => {
                    matches!(host, "169.254.170.2" | "169.254.170.23" | "[fd00:ec2::23]")
                }
            }
    }
}

/// An absolute URL without user, query or fragment, over TLS or to where plain HTTP is allowed.
#[must_use]
pub fn is_endpoint(url: &str, plain: PlainHttp) -> bool {
    let (secure, rest) = match (url.strip_prefix("https://"), url.strip_prefix("http://")) {
        (Some(rest), _) => (true, rest),
        (_, Some(rest)) => (false, rest),
        _ => return false,
    };
    if !rest.bytes().all(|b| b.is_ascii_alphanumeric() || is_one(b, b"-._~%/:[]")) || url.len() > 2048 {
        return false;
    }
    let (authority, path) = cut(rest, b'/').unwrap_or((rest, ""));
    let bracket = cut(authority, b']').map_or(0, |(before, _)| before.len() + 1);
    let after = authority.get(bracket..).unwrap_or_default();
    let (rest, port) = cut(after, b':').unwrap_or((after, "443"));
    let host = authority.get(..bracket + rest.len()).unwrap_or_default();
    // No sign: the characters were checked.
    (1..=0xffff).contains(&values::decimal(port).unwrap_or_default())
        && is_host(host)
        && !holds(path, b"[]")
        && (secure || plain.allows(host))
}

fn is_host(host: &str) -> bool {
    match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        // An IPv6 address, as far as it matters: nothing but its characters.
        Some(address) => holds(address, b":") && address.bytes().all(|b| b.is_ascii_hexdigit() || b == b':'),
        None => crate::names::is_dns_subdomain(host),
    }
}

fn is_loopback(host: &str) -> bool {
    host == "localhost"
        || host == "[::1]"
        || host.strip_prefix("127.").is_some_and(|rest| {
            parts(rest, b".").count() == 3
                && parts(rest, b".")
                    .all(|part| part.len() <= 3 && values::decimal(part).is_some_and(|part| part <= 255))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints() {
        for (url, cluster, agent) in [
            ("https://sts.eu-west-1.amazonaws.com", true, true),
            ("https://sts.example.com:8443/x", true, true),
            ("http://localhost:4566", true, true),
            ("http://127.0.0.1", true, true),
            ("http://127.8.9.10:80/", true, true),
            ("http://[::1]:80/v1", true, true),
            ("http://sts.aws.svc", true, false),
            ("http://sts.aws.svc.cluster.local:80", true, false),
            ("http://169.254.170.23/v1/credentials", false, true),
            ("http://169.254.170.2/v1/credentials", false, true),
            ("http://[fd00:ec2::23]/v1/credentials", false, true),
            ("http://169.254.169.254/", false, false),
            ("http://sts.example.com", false, false),
            ("http://127.0.0.1.example.com", false, false),
            ("http://localhost.example.com", false, false),
            ("http://127.0.0.1@example.com", false, false),
            ("https://user@example.com", false, false),
            ("https://example.com?x=.svc", false, false),
            ("https://example.com#.svc", false, false),
            ("https://", false, false),
            ("https:///x", false, false),
            ("https://example.com:0", false, false),
            ("https://example.com:", false, false),
            ("https://example.com:99999", false, false),
            ("https://example.com:+80", false, false),
            ("https://exa mple.com", false, false),
            ("https://example.com\\@x", false, false),
            ("HTTPS://example.com", false, false),
            ("ftp://example.com", false, false),
            ("//example.com", false, false),
            ("http://[::1]evil", false, false),
            ("http://[::1", false, false),
            ("https://-x.example.com", false, false),
            ("", false, false),
        ] {
            assert_eq!(is_endpoint(url, PlainHttp::LoopbackOrCluster), cluster, "{url}");
            assert_eq!(is_endpoint(url, PlainHttp::LoopbackOrAgent), agent, "{url}");
        }
    }
}
