//! Where in a mapping to look, for hosts that hold it for many requests.

use alloc::boxed::Box;

use std::borrow::Cow;
use std::ops::Range;

use crate::error::ReadError;
use crate::json::{Arena, Scanner, Value, holds_wildcard};

use super::{Best, Entry, Key, MAX_ENTRIES, OnMatch, Pair, TOO_MANY};

/// A document with its entries in order: a look-up reads those that may match, whatever their number, and answers as
/// one that passes over the text. Takes 32 bytes for an entry, besides the document.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Index<'d> {
    document: Cow<'d, str>,
    /// The keys that are written with escapes, without them.
    unescaped: String,
    /// In the order of the document, up to the one at which reading ended.
    entries: Vec<Position>,
    /// Places in `entries`, in the order of the keys: those without wildcards, malformed or not.
    plain: Vec<usize>,
    /// Those with wildcards in the name alone, in the order of the namespaces.
    by_namespace: Vec<usize>,
    /// Those with wildcards in the namespace alone, in the order of the names.
    by_name: Vec<usize>,
    /// Those with wildcards on both sides, and malformed ones with wildcards, of which everybody is told.
    for_all: Vec<usize>,
    /// Why reading ended before the end.
    error: Option<Box<ReadError>>,
}

/// Where an entry stands.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Position {
    /// The key, in the document, or behind it in `unescaped`.
    key: Range<usize>,
    /// The byte before its value.
    value: usize,
}

impl<'d> Index<'d> {
    /// Reads a document. What is wrong with it is left to those who look something up.
    #[must_use]
    pub fn new(document: impl Into<Cow<'d, str>>) -> Self {
        let mut index = Self { document: document.into(), ..Self::default() };
        index.find_entries();
        for i in 0..index.entries.len() {
            let key = index.key(i);
            let list = match Key::parse(key) {
                _ if !holds_wildcard(key) => &mut index.plain,
                Ok(key) if key.namespace.is_exact() => &mut index.by_namespace,
                Ok(key) if key.service_account.is_exact() => &mut index.by_name,
                _ => &mut index.for_all,
            };
            list.push(i);
        }
        index.plain = index.sorted(&index.plain, Self::key);
        index.by_namespace = index.sorted(&index.by_namespace, Self::namespace);
        index.by_name = index.sorted(&index.by_name, Self::name);
        index.entries.shrink_to_fit();
        index
    }

    /// The document.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.document
    }

    fn find_entries(&mut self) {
        let arena = Arena::default();
        let mut s = Scanner::new(&self.document, &arena);
        if let Some(mut members) = s.object(&[]) {
            while let Some((key, quote)) = members.next_any_at(&mut s) {
                if self.entries.len() == MAX_ENTRIES {
                    s.fail(TOO_MANY);
                    break;
                }
                let mut start = quote + 1;
                if self.document.get(start..start + key.len()) != Some(key) {
                    start = self.document.len() + self.unescaped.len();
                    self.unescaped.push_str(key);
                }
                self.entries.push(Position { key: start..start + key.len(), value: s.position() });
                // As a look-up does, which reads a value before it knows whether a glob matches.
                if holds_wildcard(key) {
                    Value::read(&mut s);
                } else {
                    s.skip();
                }
            }
        }
        self.error = s.result(()).err();
    }

    fn key(&self, i: usize) -> &str {
        let Some(Position { key, .. }) = self.entries.get(i) else { return "" };
        let behind = self.document.len();
        match key.start.checked_sub(behind) {
            None => self.document.get(key.clone()),
            Some(start) => self.unescaped.get(start..key.end - behind),
        }
        .unwrap_or_default()
    }

    fn namespace(&self, i: usize) -> &str {
        self.key(i).split_once('/').unwrap_or_default().0
    }

    fn name(&self, i: usize) -> &str {
        self.key(i).split_once('/').unwrap_or_default().1
    }

    fn sorted(&self, list: &[usize], by: fn(&Self, usize) -> &str) -> Vec<usize> {
        let mut list = list.to_vec();
        list.sort_by_key(|i| by(self, *i));
        list
    }

    /// The entries that may match a pair, or of which it is told, in the order of the document.
    fn candidates(&self, pair: Pair<'_>) -> Vec<usize> {
        let own = &pair.own_key();
        let mut found = self.for_all.clone();
        found.extend(self.range(&self.plain, Self::key, own).take_while(|i| self.key(*i).starts_with(own)));
        let (namespace, name) = (pair.namespace, pair.service_account);
        let by_namespace = self.range(&self.by_namespace, Self::namespace, namespace);
        found.extend(by_namespace.take_while(|i| self.namespace(*i) == namespace));
        let by_name = self.range(&self.by_name, Self::name, name);
        found.extend(by_name.take_while(|i| self.name(*i) == name));
        found.sort_unstable();
        found
    }

    /// The entries of a list from a text on, in the order of which they are.
    fn range<'l>(
        &'l self,
        list: &'l [usize],
        by: fn(&Self, usize) -> &str,
        from: &str,
    ) -> impl Iterator<Item = usize> + use<'l, 'd> {
        let first = list.partition_point(|i| by(self, *i) < from);
        list.iter().skip(first).copied()
    }
}

impl<'a> Best<'_, 'a> {
    pub(super) fn in_index(
        mut self,
        index: &'a Index<'a>,
        arena: &'a Arena,
        on_match: OnMatch<'_, 'a>,
    ) -> Result<Option<Box<Entry<'a>>>, Box<ReadError>> {
        let mut s = Scanner::inside(index.text(), arena);
        for i in index.candidates(self.pair) {
            let Some(position) = index.entries.get(i) else { continue };
            s.go_to(position.value);
            self.consider(index.key(i), &mut s, on_match);
            if s.error().is_some() {
                break;
            }
        }
        s.error().or(index.error.as_deref()).map_or(Ok(self.entry), |error| Err(Box::new(error.clone())))
    }
}
