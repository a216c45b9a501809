//! Annotations as they are handed out.

/// Annotations that are read, of one ServiceAccount: those with the configured prefix.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Annotations {
    /// Keys and values, one after the other.
    text: String,
    /// Where each ends.
    ends: Vec<usize>,
}

impl Annotations {
    /// Each key with its value.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let mut start = 0;
        let mut texts = self.ends.iter().map(move |end| {
            let text = self.text.get(start..*end).unwrap_or_default();
            start = *end;
            text
        });
        std::iter::from_fn(move || Some((texts.next()?, texts.next()?)))
    }

    /// Adds one, whose key is without the prefix.
    pub(super) fn push(&mut self, prefix: &str, key: &str, value: &str) {
        self.text.extend([prefix, "/", key]);
        self.ends.push(self.text.len());
        self.text.push_str(value);
        self.ends.push(self.text.len());
    }
}
