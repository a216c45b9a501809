//! What an object and an array consist of, one after the other.

use crate::error::{Fault, Segment};

use super::Scanner;

mod name;
pub(crate) use name::Name;

/// An enumeration of the members of an object that are read. [`Members::next`] gives places among their names: telling
/// members apart by number is shorter, and faster, than by name.
macro_rules! members {
    ($object:ident { $($member:ident: $name:literal),+ $(,)? }) => {
        #[derive(Clone, Copy)]
        enum $object {
            $($member),+
        }

        impl $object {
            const NAMES: &'static [$crate::json::Name] = $crate::json::names![$($name),+];

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

/// The names of the members of an object that are read: the one behind the last that was found is looked for first. What is
/// written by the API server comes in the order of the fields of Go's struct.
macro_rules! names {
    ($($name:literal),+ $(,)?) => {
        const { &[$($crate::json::Name::new($name)),+] }
    };
}
pub(crate) use names;

/// The members of an object that is being read.
pub(crate) struct Members {
    known: &'static [Name],
    /// The place among them of the name that may come next.
    #[cfg(not(target_arch = "wasm32"))]
    expected: usize,
    /// A bit for each length that one in `known` has.
    #[cfg(not(target_arch = "wasm32"))]
    lengths: u64,
    /// A bit for each name in `known`.
    seen: u32,
    empty: bool,
}

impl Members {
    #[cfg_attr(not(target_arch = "wasm32"), inline(always))]
    pub(super) fn new(known: &'static [Name]) -> Self {
        Self {
            known,
            #[cfg(not(target_arch = "wasm32"))]
            expected: 0,
            // Worked out when this is compiled.
            #[cfg(not(target_arch = "wasm32"))]
            lengths: known
                .iter()
                .fold(0, |lengths, name| lengths | 1_u64.wrapping_shl(name.text.len() as u32)),
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
        #[cfg(not(target_arch = "wasm32"))]
        if let Some(place) = self.next_expected(s) {
            return Some(place);
        }
        while let Some(key) = self.next_any(s) {
            // Most that nobody asked for.
            #[cfg(not(target_arch = "wasm32"))]
            if self.lengths & 1_u64.wrapping_shl(key.len() as u32) == 0 {
                s.skip();
                continue;
            }
            let Some((i, name)) = self.known.iter().enumerate().find(|(_, name)| is(name.text, key)) else {
                s.skip();
                continue;
            };
            s.at_segment(Segment::Member(name.text));
            if self.seen & 1 << i != 0 {
                s.fail(Fault::Duplicate);
                return None;
            }
            self.seen |= 1 << i;
            #[cfg(not(target_arch = "wasm32"))]
            {
                self.expected = i + 1;
            }
            return Some(i);
        }
        None
    }

    /// The next member, if it is the one that is expected, and there are no blanks. Behind one that nobody asked for, the
    /// names are searched.
    #[cfg(not(target_arch = "wasm32"))]
    #[inline(always)]
    fn next_expected(&mut self, s: &mut Scanner<'_>) -> Option<usize> {
        let place = self.expected;
        let name = self.known.get(place)?;
        let (at, before) = if self.empty { (s.at.checked_sub(1)?, b'{') } else { (s.at, b',') };
        let window = s.text.as_bytes().get(at..)?.first_chunk()?;
        if !name.start.is_in(window, before) || self.seen & 1 << place != 0 {
            return None;
        }
        s.at = at + name.text.len() + 4;
        s.at_segment(Segment::Member(name.text));
        self.empty = false;
        self.seen |= 1 << place;
        self.expected = place + 1;
        Some(place)
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

#[cfg(all(test, not(target_arch = "wasm32")))]
mod tests {
    use super::*;
    use crate::error::ReadError;
    use crate::json::Arena;

    // The longest that fits into a window, and one that does not.
    const NAMES: &[Name] = names!["a", "volumeMounts", "volumeDevices", "b"];

    /// The members that were asked for, each with its value.
    type Read = Result<Vec<(usize, String)>, Box<ReadError>>;

    fn read(text: &str, expects: bool) -> Read {
        let arena = Arena::default();
        let mut s = Scanner::new(text, &arena);
        let mut read = Vec::new();
        if let Some(mut members) = s.object(NAMES) {
            loop {
                if !expects {
                    members.expected = NAMES.len();
                }
                let Some(place) = members.next(&mut s) else { break };
                read.push((place, s.skip().to_owned()));
            }
        }
        s.result(read)
    }

    /// All sequences of so many of the members.
    fn sequences(members: &[&str], length: usize, text: &mut String, visit: &mut impl FnMut(&str)) {
        visit(text);
        if length > 0 {
            for member in members {
                let end = text.len();
                text.push_str(if end == 1 { "" } else { "," });
                text.push_str(member);
                sequences(members, length - 1, text, visit);
                text.truncate(end);
            }
        }
    }

    #[test]
    fn what_is_expected_is_read_as_what_is_not() {
        let members = [
            r#""a":1"#,
            r#""volumeMounts":[]"#,
            r#""volumeDevices":{}"#,
            r#""b":"x""#,
            r#" "a" : 1 "#,
            r#""\u0061":1"#,
            r#""A":1"#,
            r#""ab":1"#,
            r#""a";1"#,
            r#""a":1}"volumeMounts":[]"#,
            r#""a":{"a":1]"volumeMounts":[]}"#,
            r#""a":"#,
            "",
        ];
        let mut found = 0;
        // A member that is followed by nothing is shorter than a window.
        for end in ["}", "} ", "}}", ",}", "", "                "] {
            sequences(&members, 4, &mut "{".to_owned(), &mut |text| {
                let text = format!("{text}{end}");
                let expected = read(&text, false);
                assert_eq!(read(&text, true), expected, "{text}");
                found += usize::from(expected.is_ok());
            });
        }
        assert!(found > 1000, "{found} were well-formed");
    }

    #[test]
    fn what_comes_in_order_is_expected() {
        let arena = Arena::default();
        let text = r#"{"a":1,"volumeMounts":2,"c":{},"volumeDevices":3,"b":4,"padding":"0123456789abcdef"}"#;
        let mut s = Scanner::new(text, &arena);
        let mut members = s.object(NAMES).unwrap();
        let mut at_once = Vec::new();
        for place in 0..NAMES.len() {
            assert_eq!(members.expected, place);
            let expected = members.next_expected(&mut s);
            at_once.push(expected.is_some());
            assert_eq!(expected.or_else(|| members.next(&mut s)), Some(place));
            s.skip();
        }
        assert_eq!(members.next(&mut s), None);
        assert_eq!(at_once, [true, true, false, true]);
    }
}
