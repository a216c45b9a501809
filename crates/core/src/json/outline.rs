//! Checks a whole document sixty-four bytes at a time, and notes where its arrays and objects end, so that reading it
//! need not look into those that nobody reads.
//!
//! It is about documents without blanks between tokens, as the API server writes them, and only ever says that one
//! is well-formed: the plain reader is there for all others, and to say what is wrong. Masks of the bytes that
//! matter, and of those inside of strings, are made as in simdjson (<https://arxiv.org/abs/1902.08318>, section 3).
//! The grammar is checked on the masks, too: without blanks, what may stand beside each other is a matter of
//! neighbouring bits. Only brackets are visited one by one, later on and without branches: a processor guesses badly
//! what comes next in a pod.

mod brackets;
mod grammar;
mod lanes;
mod processor;

use brackets::{Brackets, Levels};
use grammar::Grammar;
use lanes::LANES;
use processor::Processor;

/// Bytes that are looked at together.
const STRETCH: usize = 64 * LANES;

/// Where the arrays and objects of a document begin and end, but for the empty ones.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Outline {
    /// In the order of the opening brackets.
    spans: Vec<Span>,
}

/// An array or object.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct Span {
    /// The byte of the opening bracket.
    open: u32,
    /// The byte of the closing bracket.
    close: u32,
    /// The place in [`Outline::spans`] of the first one that is not inside.
    next: u32,
}

/// A place in an outline that only moves on, so that all that is looked up on a way through the document takes
/// linear time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor<'a> {
    outline: &'a Outline,
    next: usize,
}

impl Outline {
    /// The outline of a well-formed object without blanks that is not nested too deep.
    pub(super) fn of(text: &str) -> Option<Self> {
        processor::outline(text)
    }

    #[inline(always)]
    fn scan<P: Processor>(text: &str, processor: P) -> Option<Self> {
        // The API server ends what it sends with a line break.
        let bytes = text.trim_ascii_end().as_bytes();
        u32::try_from(bytes.len()).ok()?;
        // The outermost one is visited, so it must not be empty.
        if !bytes.starts_with(b"{\"") || bytes.last() != Some(&b'}') {
            return None;
        }
        let mut levels = Levels::new(bytes);
        let mut grammar = Grammar::new(processor, bytes);
        let mut brackets = Brackets::default();
        let mut rest = bytes;
        while let Some((stretch, after)) = rest.split_first_chunk::<STRETCH>() {
            grammar.check(stretch, STRETCH, &mut brackets)?;
            levels.visit(&brackets)?;
            rest = after;
        }
        let mut stretch = [b' '; STRETCH];
        for (to, from) in stretch.iter_mut().zip(rest) {
            *to = *from;
        }
        grammar.check(&stretch, rest.len(), &mut brackets)?;
        levels.visit(&brackets)?;
        if grammar.is_in_string() { None } else { levels.outline() }
    }

    /// At the first array or object that does not begin before a byte.
    pub(super) fn cursor(&self, at: usize) -> Cursor<'_> {
        Cursor { outline: self, next: self.spans.partition_point(|span| (span.open as usize) < at) }
    }
}

impl Cursor<'_> {
    /// The byte after the array or object that begins at a byte, unless it is empty. What begins before it or inside of
    /// it cannot be looked up any more.
    #[inline]
    pub(super) fn end(&mut self, start: usize) -> Option<usize> {
        loop {
            let span = self.outline.spans.get(self.next)?;
            if span.open as usize == start {
                self.next = span.next as usize;
                return Some(span.close as usize + 1);
            }
            if span.open as usize > start {
                return None;
            }
            self.next += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::{Arena, MAX_DEPTH, Scanner};

    /// Whether it is well-formed, as this processor and as any processor finds.
    fn is_outlined(text: &str) -> bool {
        let [plain, others @ ..] = processor::every_outline(text);
        for other in others.into_iter().flatten() {
            assert_eq!(Some(&other), plain.as_ref(), "{text}");
        }
        plain.flatten().is_some()
    }

    /// Whether the plain reader takes it.
    fn is_plain(text: &str) -> bool {
        let arena = Arena::default();
        let mut s = Scanner::new(text, &arena);
        s.skip();
        s.result(()).is_ok()
    }

    /// All sequences of so many of the parts.
    fn sequences(parts: &[&str], length: usize, text: &mut String, visit: &mut impl FnMut(&str)) {
        visit(text);
        if length > 0 {
            for part in parts {
                let end = text.len();
                text.push_str(part);
                sequences(parts, length - 1, text, visit);
                text.truncate(end);
            }
        }
    }

    #[test]
    fn agrees_with_the_plain_reader_on_every_short_document() {
        let parts = ["{", "}", "[", "]", ",", ":", "\"", "\"a\"", "\"a\":", "1", "\\"];
        let mut valid = 0;
        // The second start puts the end of a block among the parts.
        for (start, length) in [("{".to_owned(), 5), (format!("{{\"{}\":1,", "x".repeat(55)), 4)] {
            sequences(&parts, length, &mut start.clone(), &mut |text| {
                let plain = is_plain(text);
                valid += usize::from(plain);
                assert_eq!(is_outlined(text), plain && text != "{}", "{text}");
            });
        }
        assert!(valid > 30, "{valid} documents were well-formed");
    }

    #[test]
    fn agrees_with_the_plain_reader_on_texts_and_numbers() {
        let values = [
            "\"\\u00e9\"",
            "\"\\u00g9\"",
            "\"\\x\"",
            "\"\\\\\"",
            "\"\\\\\\\"\"",
            "\"\\\"",
            "\"\t\"",
            "\"\u{7f}é\"",
            "\"{[,:\"",
            "0",
            "-0",
            "01",
            "-",
            "1.",
            "1.5",
            ".5",
            "1e5",
            "1E+5",
            "1e",
            "1e-",
            "+1",
            "1.5e-7",
            "1a",
            "true",
            "tru",
            "truex",
            "false",
            "null",
            "nul",
            "nulll",
            "NaN",
            "\u{1}",
            "{}",
            "[]",
            "[{}]",
            "{]",
            "[}",
            "[[]]",
            "\"a\"1",
            "1\"a\"",
            "\\",
        ];
        for padding in 0..70 {
            for value in values {
                let text = format!("{{\"{}\":{value}}}", "x".repeat(padding));
                assert_eq!(is_outlined(&text), is_plain(&text), "{text}");
            }
        }
    }

    #[test]
    fn blanks_and_depth_are_for_the_plain_reader() {
        let nested = |depth: usize| "{\"a\":".repeat(depth - 1) + "{}" + &"}".repeat(depth - 1);
        assert!(Outline::of(&nested(MAX_DEPTH)).is_some());
        assert!(Outline::of(&nested(MAX_DEPTH + 1)).is_none());
        for text in ["{\"a\": 1}", " {\"a\":1}", "{}", "[1]", "1", ""] {
            assert!(Outline::of(text).is_none(), "{text}");
        }
        assert!(Outline::of("{\"a\":1}\n").is_some());
    }

    #[test]
    fn recorded_reviews_are_outlined() {
        for text in [
            include_str!("../../../../testdata/reviews/pod-4kb.json"),
            include_str!("../../../../testdata/reviews/pod-20kb.json"),
        ] {
            assert!(is_outlined(text));
        }
    }

    #[test]
    fn ends_are_where_the_brackets_close() {
        let text = format!("{{\"a\":[1,{{\"{}\":[2]}},[]],\"b\":{{}}}}", "]}".repeat(40));
        let outline = Outline::of(&text).unwrap();
        let text_of = |span: &Span| text.get(span.open as usize..=span.close as usize).unwrap();
        let ends: Vec<_> = outline.spans.iter().map(text_of).collect();
        let inner = format!("{{\"{}\":[2]}}", "]}".repeat(40));
        assert_eq!(ends, [text.as_str(), &format!("[1,{inner},[]]"), &inner, "[2]"]);
        assert_eq!(outline.spans.iter().map(|span| span.next).collect::<Vec<_>>(), [4, 4, 4, 4]);
        assert_eq!(outline.cursor(0).end(0), Some(text.len()));
        let mut cursor = outline.cursor(1);
        let array = text.find('[').unwrap();
        assert_eq!(
            [1, array, text.len() - 2].map(|at| cursor.end(at)),
            [None, Some(array + ends[1].len()), None]
        );
    }
}
