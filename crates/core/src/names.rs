//! Names of Kubernetes objects
//! (<https://kubernetes.io/docs/concepts/overview/working-with-objects/names/>).

/// A label of [RFC 1123](https://www.rfc-editor.org/rfc/rfc1123) in lower case: the name of a namespace, a
/// container or a volume. At most 63 characters.
#[must_use]
pub fn is_dns_label(name: &str) -> bool {
    name.len() <= 63
        && name.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'))
        && !name.starts_with('-')
        && !name.ends_with('-')
        && !name.is_empty()
}

/// Labels joined by dots: the name of a service account or a config map. At most 253 characters.
///
/// Unlike [`is_dns_label`], a part may be longer than 63 characters: Kubernetes checks the whole only.
#[must_use]
pub fn is_dns_subdomain(name: &str) -> bool {
    name.len() <= 253
        && name.split('.').all(|part| {
            part.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'))
                && !part.starts_with('-')
                && !part.ends_with('-')
                && !part.is_empty()
        })
}
