//! What an object and an array consist of, one after the other.

use crate::error::{Fault, Segment};

use super::Scanner;

/// An enumeration of the members of an object that are read. [`Members::next`] gives places among their names: telling
/// members apart by number is shorter, and faster, than by name.
macro_rules! members {
    ($object:ident { $($member:ident: $name:literal),+ $(,)? }) => {
        #[derive(Clone, Copy)]
        enum $object {
            $($member),+
        }

        impl $object {
            const NAMES: &'static [&'static str] = &[$($name),+];

            fn at(place: usize) -> Option<Self> {
                match place {
                    $(place if place == Self::$member as usize => Some(Self::$member),)+
                    _ => None,
                }
            }
        }
    };
}
pub(crate) use members;

/// The members of an object that is being read.
pub(crate) struct Members {
    known: &'static [&'static str],
    /// A bit for each length that one in `known` has.
    #[cfg(not(target_arch = "wasm32"))]
    lengths: u64,
    /// A bit for each name in `known`.
    seen: u32,
    empty: bool,
}

impl Members {
    #[cfg_attr(not(target_arch = "wasm32"), inline(always))]
    pub(super) fn new(known: &'static [&'static str]) -> Self {
        Self {
            known,
            // Worked out when this is compiled.
            #[cfg(not(target_arch = "wasm32"))]
            lengths: known.iter().fold(0, |lengths, name| lengths | 1_u64.wrapping_shl(name.len() as u32)),
            seen: 0,
            empty: true,
        }
    }

    /// The name of the next member, whatever it is; its value comes next. `None` after the last one: the
    /// closing brace is the byte before the scanner's position.
    #[cfg_attr(not(target_arch = "wasm32"), inline(always))]
    pub(crate) fn next_any<'a>(&mut self, s: &mut Scanner<'a>) -> Option<&'a str> {
        Some(self.next_any_at(s)?.0)
    }

    /// As [`Self::next_any`], with the byte at which the name begins.
    // In the policy, whose size counts, it is there once.
    #[cfg_attr(not(target_arch = "wasm32"), inline(always))]
    pub(crate) fn next_any_at<'a>(&mut self, s: &mut Scanner<'a>) -> Option<(&'a str, usize)> {
        match s.peek() {
            Some(b'}') => {
                s.leave();
                return None;
            }
            Some(b',') if !self.empty => {
                s.at += 1;
                s.peek();
            }
            _ if !self.empty => {
                s.syntax("`,` or `}`");
                return None;
            }
            _ => {}
        }
        self.empty = false;
        if s.byte() != Some(b'"') {
            s.syntax("a key");
            return None;
        }
        s.at_segment(Segment::Other);
        let start = s.at;
        let key = s.quoted();
        s.colon().then_some((key, start))
    }

    /// The next member that was asked for, by its place among the names; the others are skipped.
    #[cfg_attr(not(target_arch = "wasm32"), inline(never))]
    pub(crate) fn next(&mut self, s: &mut Scanner<'_>) -> Option<usize> {
        while let Some(key) = self.next_any(s) {
            // Most that nobody asked for.
            #[cfg(not(target_arch = "wasm32"))]
            if self.lengths & 1_u64.wrapping_shl(key.len() as u32) == 0 {
                s.skip();
                continue;
            }
            let Some((i, name)) = self.known.iter().enumerate().find(|(_, name)| is(name, key)) else {
                s.skip();
                continue;
            };
            s.at_segment(Segment::Member(name));
            if self.seen & 1 << i != 0 {
                s.fail(Fault::Duplicate);
                return None;
            }
            self.seen |= 1 << i;
            return Some(i);
        }
        None
    }

    /// No member so far.
    pub(crate) fn is_empty(&self) -> bool {
        self.empty
    }
}

/// Whether they are the same. Most that differ differ in their ends.
#[inline(always)]
fn is(name: &str, key: &str) -> bool {
    name.len() == key.len() && name.as_bytes().last() == key.as_bytes().last() && is_same(name, key)
}

/// Whether texts of one length are the same. In WebAssembly they are compared byte by byte.
#[cfg(target_arch = "wasm32")]
#[inline(always)]
fn is_same(name: &str, key: &str) -> bool {
    name == key
}

/// Whether texts of one length are the same. A call of `memcmp` takes longer for so few bytes.
#[cfg(not(target_arch = "wasm32"))]
#[inline(always)]
fn is_same(name: &str, key: &str) -> bool {
    let (name, key) = (name.as_bytes(), key.as_bytes());
    match (name.last_chunk::<8>(), key.last_chunk::<8>()) {
        (Some(end), Some(other)) => {
            let words = name.as_chunks::<8>().0.iter().zip(key.as_chunks::<8>().0);
            end == other && words.into_iter().all(|(word, other)| word == other)
        }
        _ => match (name.first_chunk::<4>(), name.last_chunk::<4>()) {
            (Some(start), Some(end)) => key.first_chunk() == Some(start) && key.last_chunk() == Some(end),
            _ => name.iter().zip(key).all(|(byte, other)| byte == other),
        },
    }
}

/// The elements of an array that is being read.
pub(crate) struct Elements {
    count: usize,
}

impl Elements {
    pub(super) fn new() -> Self {
        Self { count: 0 }
    }

    /// Whether another element comes next. When not, the closing bracket is the byte before the scanner's
    /// position.
    pub(crate) fn next(&mut self, s: &mut Scanner<'_>) -> bool {
        match s.peek() {
            Some(b']') => {
                s.leave();
                return false;
            }
            Some(b',') if self.count > 0 => s.at += 1,
            Some(_) if self.count == 0 => {}
            _ => {
                s.syntax("`,` or `]`");
                return false;
            }
        }
        s.at_segment(Segment::Index(self.count));
        self.count += 1;
        true
    }

    /// The number of elements so far.
    pub(crate) fn count(&self) -> usize {
        self.count
    }
}
