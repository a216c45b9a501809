//! Names of Kubernetes objects
//! (<https://kubernetes.io/docs/concepts/overview/working-with-objects/names/>).

use alloc::vec::Vec;

use crate::ascii;

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
        && ascii::parts(name, b".").all(|part| {
            part.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'))
                && !part.starts_with('-')
                && !part.ends_with('-')
                && !part.is_empty()
        })
}

/// Names in order, for many look-ups in linear time.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Names<'a>(Vec<&'a str>);

impl<'a> Names<'a> {
    /// A heap sorts in a tenth of the code of a sort.
    pub(crate) fn new(names: Vec<&'a str>) -> Self {
        Self(alloc::collections::BinaryHeap::from(names).into_sorted_vec())
    }

    /// In a loop of its own: `collect` takes a kilobyte more for each kind of iterator.
    pub(crate) fn of(names: impl Iterator<Item = &'a str>) -> Self {
        let mut found = Vec::new();
        for name in names {
            found.push(name);
        }
        Self::new(found)
    }

    pub(crate) fn contain(&self, name: &str) -> bool {
        self.0.binary_search(&name).is_ok()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Those that are there more than once, each once.
    pub(crate) fn repeated(&self) -> Vec<&'a str> {
        let mut twice: Vec<&str> = Vec::new();
        for pair in self.0.windows(2) {
            if let [a, b] = pair
                && a == b
                && twice.last() != Some(a)
            {
                twice.push(a);
            }
        }
        twice
    }
}
