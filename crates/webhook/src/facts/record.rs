//! What is held of one annotated ServiceAccount: one allocation.

use super::Annotations;

/// Annotations of one ServiceAccount that are held, in bytes. A role ARN has at most 2,048.
pub(super) const MAX_RECORD: usize = 8 * 1024;

/// A ServiceAccount's namespace, name and annotations, and whether the list that is being read has it. First the
/// mark and the lengths of the names, then the names, then for each annotation the length of its key (one byte) and of
/// its value (two), key and value. Keys are without the prefix.
pub(super) struct Record(Box<[u8]>);

impl Record {
    /// `None` when it is larger than what is held.
    pub(super) fn new<'t>(
        namespace: &str,
        name: &str,
        annotations: impl Iterator<Item = (&'t str, &'t str)>,
    ) -> Option<Self> {
        let mut bytes = vec![0, u8::try_from(namespace.len()).ok()?, u8::try_from(name.len()).ok()?];
        bytes.extend_from_slice(namespace.as_bytes());
        bytes.extend_from_slice(name.as_bytes());
        for (key, value) in annotations {
            bytes.push(u8::try_from(key.len()).ok()?);
            bytes.extend_from_slice(&u16::try_from(value.len()).ok()?.to_le_bytes());
            bytes.extend_from_slice(key.as_bytes());
            bytes.extend_from_slice(value.as_bytes());
            if bytes.len() > MAX_RECORD {
                return None;
            }
        }
        Some(Self(bytes.into_boxed_slice()))
    }

    pub(super) fn names(&self) -> (&str, &str) {
        let (namespace, name, _) = self.parts();
        (namespace, name)
    }

    pub(super) fn annotations(&self, prefix: &str) -> Annotations {
        let mut annotations = Annotations::default();
        let mut rest = self.parts().2;
        while let Some((&[key, low, high], after)) = rest.split_first_chunk() {
            let (key, after) = text(after, key.into());
            let (value, after) = text(after, u16::from_le_bytes([low, high]).into());
            annotations.push(prefix, key, value);
            rest = after;
        }
        annotations
    }

    pub(super) fn is_marked(&self) -> bool {
        self.0.first().is_some_and(|mark| *mark == 1)
    }

    pub(super) fn set_mark(&mut self, marked: bool) {
        if let Some(mark) = self.0.first_mut() {
            *mark = marked.into();
        }
    }

    /// Whether both say the same, the mark aside.
    pub(super) fn says_the_same(&self, other: &Self) -> bool {
        self.0.get(1..) == other.0.get(1..)
    }

    /// Bytes that are allocated.
    pub(super) fn size(&self) -> usize {
        self.0.len()
    }

    fn parts(&self) -> (&str, &str, &[u8]) {
        let Some((&[_, namespace, name], rest)) = self.0.split_first_chunk() else {
            return Default::default();
        };
        let (namespace, rest) = text(rest, namespace.into());
        let (name, rest) = text(rest, name.into());
        (namespace, name, rest)
    }
}

/// What was written as text is text.
fn text(bytes: &[u8], length: usize) -> (&str, &[u8]) {
    let (text, rest) = bytes.split_at_checked(length).unwrap_or_default();
    (str::from_utf8(text).unwrap_or_default(), rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let long = "v".repeat(300);
        let annotations = [("role-arn", "arn:aws:iam::111122223333:role/x"), ("audience", ""), ("ü", &long)];
        let record = Record::new("shop", "api.v1", annotations.into_iter()).unwrap();
        assert_eq!(record.names(), ("shop", "api.v1"));
        let read = record.annotations("example.com");
        let expected = annotations.map(|(key, value)| (format!("example.com/{key}"), value.to_owned()));
        let read: Vec<_> = read.iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
        assert_eq!(read, expected);
    }

    #[test]
    fn what_is_too_large_is_no_record() {
        let fits = "v".repeat(MAX_RECORD - 3 - 2 - 3 - 1);
        let too_large = format!("{fits}v");
        assert_eq!(Record::new("n", "s", [("k", fits.as_str())].into_iter()).unwrap().size(), MAX_RECORD);
        assert!(Record::new("n", "s", [("k", too_large.as_str())].into_iter()).is_none());
        assert!(Record::new(&"n".repeat(256), "s", [("k", "")].into_iter()).is_none());
    }
}
