//! Checks a whole document sixty-four bytes at a time, and notes where its brackets stand, so that reading it need not look
//! into those arrays and objects that nobody reads.
//!
//! It is about documents without blanks between tokens, as the API server writes them, and only ever says that one
//! is well-formed: the plain reader is there for all others, and to say what is wrong. Masks of the bytes that
//! matter, and of those inside of strings, are made as in simdjson (<https://arxiv.org/abs/1902.08318>, section 3).
//! The grammar is checked on the masks, too: without blanks, what may stand beside each other is a matter of
//! neighbouring bits. So is which bracket closes which, once those are left out that were paired. Nothing is visited one by
//! one but numbers and literals: a processor guesses badly what comes next in a pod.

mod brackets;
mod grammar;
mod processor;

use brackets::{Brackets, Found};
use grammar::Grammar;
use processor::Processor;

/// Blocks of sixty-four bytes that are looked at together.
const BLOCKS: usize = 8;
const STRETCH: usize = 64 * BLOCKS;

/// Where the arrays and objects of a document begin and end.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Outline {
    blocks: Vec<Block>,
}

/// Sixty-four bytes of a document: a bit for each, the first the lowest.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct Block {
    opens: u64,
    closes: u64,
    /// How many arrays and objects are open at its start.
    depth: i32,
    /// No fewer are open anywhere in it.
    least: i32,
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
        i32::try_from(bytes.len()).ok()?;
        if !bytes.starts_with(b"{\"") || bytes.last() != Some(&b'}') {
            return None;
        }
        let mut blocks = Vec::with_capacity(bytes.len() / 64 + BLOCKS);
        let mut grammar = Grammar::new(processor, bytes);
        let mut brackets = Brackets::new(processor, bytes.len());
        let (full, rest) = bytes.as_chunks::<STRETCH>();
        let mut last = [b' '; STRETCH];
        last.get_mut(..rest.len())?.copy_from_slice(rest);
        let mut found = Found::default();
        for i in 0..=full.len() {
            let (stretch, length) = full.get(i).map_or((&last, rest.len()), |stretch| (stretch, STRETCH));
            // One thing after the other: for all of it at once a processor has too few registers.
            grammar.check(stretch, length, &mut found);
            grammar.check_scalars(&found);
            for block in 0..BLOCKS {
                blocks.push(brackets.add(&found, block)?);
            }
        }
        (grammar.is_right() && brackets.are_paired()).then_some(Self { blocks })
    }

    /// The byte after the array or object that begins at a byte; `None` when none does.
    pub(super) fn end(&self, start: usize) -> Option<usize> {
        let mut index = start / 64;
        let mut block = *self.blocks.get(index)?;
        let from = u64::MAX << (start % 64);
        if block.opens & from & from.wrapping_neg() == 0 {
            return None;
        }
        // How many are open, besides those around it.
        let mut depth = 0;
        let mut left = (block.opens | block.closes) & from;
        loop {
            while left != 0 {
                depth += if block.opens & left & left.wrapping_neg() == 0 { -1 } else { 1 };
                if depth == 0 {
                    return Some(64 * index + left.trailing_zeros() as usize + 1);
                }
                left &= left - 1;
            }
            let after = self.blocks.get(index + 1..)?;
            let around = after.first()?.depth - depth;
            index += 1 + after.iter().position(|block| block.least <= around)?;
            block = *self.blocks.get(index)?;
            depth = block.depth - around;
            left = block.opens | block.closes;
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
        // Over the end of a block, and of what is outlined at once.
        for padding in (0..70).chain(490..520) {
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
        let long = format!("[1,{{\"{}\":[2]}},[],[{}3]]", "]}".repeat(40), "[[[]]],{},".repeat(30));
        let text = format!("{{\"a\":{long},\"b\":{{}},\"c\":{{\"d\":{long}}}}}");
        let outline = Outline::of(&text).unwrap();
        let plain = Arena::default();
        let mut inside = false;
        let mut found = 0;
        for (at, byte) in text.bytes().enumerate() {
            inside ^= byte == b'"';
            let begins = !inside && matches!(byte, b'{' | b'[');
            let expected = begins.then(|| at + Scanner::new(text.get(at..).unwrap(), &plain).skip().len());
            assert_eq!(outline.end(at), expected, "{at}");
            found += usize::from(begins);
        }
        assert_eq!(outline.end(text.len()), None);
        assert_eq!(outline.end(text.len() + 64), None);
        assert_eq!(found, 3 + 2 * (5 + 4 * 30));
    }
}
