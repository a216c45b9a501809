//! Where the arrays and objects of a value end that was skipped once, and is read later on.

use alloc::vec::Vec;

/// The least length of what is noted. Most arrays and objects are shorter, and soon skipped again.
const LENGTH: usize = 64;

/// The larger arrays and objects of a value, in the order of their ends.
#[derive(Debug, Default)]
pub(super) struct Spans {
    /// The address of the opening bracket, and the one after the closing bracket.
    noted: Vec<(usize, usize)>,
}

impl Spans {
    /// Notes an array or object, if it is worth it; those inside of it come first.
    #[inline(always)]
    pub(super) fn note(&mut self, start: usize, end: usize) {
        if end - start >= LENGTH {
            self.noted.push((start, end));
        }
    }

    /// The address after the array or object that begins at an address. Only those inside of it are passed over, so
    /// reading a value takes linear time.
    pub(super) fn end(&self, start: usize) -> Option<usize> {
        let after = self.noted.partition_point(|(_, end)| *end <= start);
        let (begins, end) = self.noted.get(after..)?.iter().find(|(begins, _)| *begins <= start)?;
        (*begins == start).then_some(*end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::{Arena, Scanner};

    #[test]
    fn what_was_skipped_once_ends_where_it_ended() {
        let long = format!("[{{\"{}\": [2]}}, [ ]]", "]}".repeat(40));
        let text = format!("{{\"a\": {long}, \"b\": {{}}, \"c\": {{\"d\": {long}}}}}");
        let arena = Arena::default();
        assert_eq!(Scanner::new(&text, &arena).skip_first(), text);
        let spans = arena.spans.get().unwrap();
        let plain = Arena::default();
        let mut noted = 0;
        for (at, _) in text.match_indices(['{', '[']).filter(|(at, _)| !long_name(&text, *at)) {
            let rest = text.get(at..).unwrap();
            let expected = Scanner::new(rest, &plain).skip();
            let found = spans.end(text.as_ptr().addr() + at).map(|end| end - text.as_ptr().addr() - at);
            assert_eq!(found, (expected.len() >= LENGTH).then_some(expected.len()), "{rest}");
            assert_eq!(Scanner::new(rest, &arena).skip(), expected);
            noted += usize::from(found.is_some());
        }
        assert_eq!(noted, spans.noted.len());
        assert_eq!(noted, 6);
    }

    /// Whether a bracket stands inside of the name.
    fn long_name(text: &str, at: usize) -> bool {
        text.get(..at).unwrap().matches('"').count() % 2 == 1
    }
}
