//! Checks a whole document sixty-four bytes at a time, and notes where its arrays and objects end, so that reading it
//! need not look into those that nobody reads.
//!
//! It is about documents without blanks between tokens, as the API server writes them, and only ever says that one
//! is well-formed: the plain reader is there for all others, and to say what is wrong. Masks of the bytes that
//! matter, and of those inside of strings, are made as in simdjson (<https://arxiv.org/abs/1902.08318>, section 3).
//! The grammar is checked on the masks, too: without blanks, what may stand beside each other is a matter of
//! neighbouring bits. Only brackets are visited one by one, later on and without branches: a processor guesses badly
//! what comes next in a pod.

use super::MAX_DEPTH;

mod processor;

use processor::Processor;

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
        let mut block = Block::default();
        // As after an opening bracket: a value may come.
        block.before.expects = 1;
        let mut brackets = Brackets::default();
        let mut at = 0_u32;
        let mut rest = bytes;
        while let Some((chunk, after)) = rest.split_first_chunk::<64>() {
            block.check(processor, chunk, bytes, at, u64::MAX, &mut brackets)?;
            if brackets.is_full() {
                levels.visit(&mut brackets)?;
            }
            at += 64;
            rest = after;
        }
        let mut chunk = [b' '; 64];
        for (to, from) in chunk.iter_mut().zip(rest) {
            *to = *from;
        }
        block.check(processor, &chunk, bytes, at, !(u64::MAX << rest.len()), &mut brackets)?;
        levels.visit(&mut brackets)?;
        if block.in_string == 0 { levels.outline() } else { None }
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

/// Which of 64 bytes are what, wherever they stand.
#[derive(Default)]
struct Masks {
    quotes: u64,
    backslashes: u64,
    /// Control characters.
    controls: u64,
    commas: u64,
    colons: u64,
    opens: u64,
    closes: u64,
    /// Among the brackets, those of objects.
    curly: u64,
}

/// What of the block before matters: its last byte, as the lowest bit.
#[derive(Clone, Copy, Default)]
struct Before {
    opens: u64,
    colons: u64,
    /// What a value, a key or the end has to come after.
    expects: u64,
    scalars: u64,
    /// Closing quotes of strings that do not come after a colon.
    items: u64,
}

/// What is carried from one block to the next.
#[derive(Default)]
struct Block {
    /// All ones when the block begins inside of a string.
    in_string: u64,
    /// And that string does not come after a colon.
    in_item: bool,
    /// What was shown since the last bracket.
    showed_object: bool,
    showed_array: bool,
    /// Whether the block's first byte is escaped.
    escaped: u64,
    before: Before,
}

impl Block {
    /// Checks a block, of which `text` are the bytes of the document. `None` when something is wrong.
    #[inline(always)]
    fn check<P: Processor>(
        &mut self,
        processor: P,
        chunk: &[u8; 64],
        bytes: &[u8],
        at: u32,
        text: u64,
        brackets: &mut Brackets,
    ) -> Option<()> {
        let masks = processor.masks(chunk);
        let escaped =
            if masks.backslashes | self.escaped == 0 { 0 } else { self.escaped(masks.backslashes) };
        let quotes = masks.quotes & !escaped;
        // From an opening quote to the byte before the closing one.
        let inside = processor.prefix_xor(quotes) ^ self.in_string;
        self.in_string = (inside.cast_signed() >> 63).cast_unsigned();
        // Most of what is escaped are quotes.
        let sequences = escaped & inside & !masks.quotes;
        if masks.controls & inside != 0
            || sequences != 0 && !bits(sequences).all(|bit| is_escape(bytes, (at + bit) as usize))
        {
            return None;
        }
        let outside = text & !inside;

        let string_opens = quotes & inside;
        let string_closes = quotes & outside;
        let commas = masks.commas & outside;
        let colons = masks.colons & outside;
        let opens = masks.opens & outside;
        let closes = masks.closes & outside;
        // Blanks and backslashes are among them, and are none.
        let scalars = outside & !(quotes | commas | colons | opens | closes);
        let expects = opens | commas | colons;

        let before = self.before;
        let after_open = after(opens, before.opens);
        let after_colon = after(colons, before.colons);
        let after_expects = after(expects, before.expects);
        let scalar_starts = scalars & !after(scalars, before.scalars);
        // Keys, and what stands in arrays.
        let items = ends(string_opens & !after_colon, inside, &mut self.in_item) & string_closes;
        let after_item = after(items, before.items);
        self.before = Before {
            opens: opens >> 63,
            colons: colons >> 63,
            expects: expects >> 63,
            scalars: scalars >> 63,
            items: items >> 63,
        };

        // Everything that ends a value expects nothing.
        let others = opens | scalar_starts;
        let misplaced = (string_opens | others) & !after_expects
            | commas & after_expects
            | closes & after_expects & !after_open
            | colons & !after_item;
        // An empty array or object does not change the level.
        let empty = opens & closes >> 1 & !(masks.curly ^ masks.curly >> 1);
        let visited = (opens | closes) & !(empty | empty << 1);
        // What can only stand in an object, and in an array: a key, or a value without one.
        let in_object = after_item & colons;
        let in_array = after_item & !colons | others & !after_colon;
        let in_object = since_last(in_object, visited, &mut self.showed_object);
        if misplaced != 0 || !bits(scalar_starts).all(|bit| is_scalar(bytes, (at + bit) as usize)) {
            return None;
        }
        let in_array = since_last(in_array, visited, &mut self.showed_array);
        brackets.push(processor, at, visited, [in_object, in_array]);
        Some(())
    }

    /// The bytes that a backslash stands before that is not itself escaped: those after each run of backslashes that
    /// is odd in length.
    #[inline(always)]
    fn escaped(&mut self, backslashes: u64) -> u64 {
        const EVEN: u64 = u64::MAX / 3;
        let backslashes = backslashes & !self.escaped;
        let after = backslashes << 1 | self.escaped;
        let odd_starts = backslashes & !EVEN & !after;
        let (even_runs, goes_on) = odd_starts.overflowing_add(backslashes);
        self.escaped = u64::from(goes_on);
        (EVEN ^ even_runs << 1) & after
    }
}

/// Each byte's left neighbour.
#[inline(always)]
fn after(mask: u64, before: u64) -> u64 {
    mask << 1 | before
}

/// The closing quotes of some strings, and whether one of them goes on behind the block: a sum carries from the first
/// byte of each to the one after its last.
#[inline(always)]
fn ends(starts: u64, inside: u64, goes_on: &mut bool) -> u64 {
    let (sum, first) = inside.overflowing_add(starts);
    let (sum, second) = sum.overflowing_add(u64::from(*goes_on));
    *goes_on = first | second;
    sum
}

/// The brackets before which, up to the one before them, a bit is set; and whether one is behind the last of them. A sum
/// carries from the first such bit to the bracket.
#[inline(always)]
fn since_last(set: u64, brackets: u64, behind: &mut bool) -> u64 {
    let between = !brackets;
    let (sum, first) = between.overflowing_add(set & between);
    let (sum, second) = sum.overflowing_add(u64::from(*behind));
    *behind = first | second;
    (sum | set) & brackets
}

/// Blocks whose brackets are visited together.
const BLOCKS: usize = 8;
/// Places that are written at once, however few there are.
const WRITTEN: usize = 16;

/// Brackets that are still to be visited.
struct Brackets {
    places: [u32; BLOCKS * 64 + WRITTEN],
    count: usize,
    /// For each block, the brackets before which an object was shown, and those before which an array was: what must
    /// not be in an array, and in an object.
    shown: [[u64; 2]; BLOCKS],
    blocks: usize,
}

impl Default for Brackets {
    fn default() -> Self {
        Self { places: [0; BLOCKS * 64 + WRITTEN], count: 0, shown: [[0; 2]; BLOCKS], blocks: 0 }
    }
}

impl Brackets {
    #[inline(always)]
    fn is_full(&self) -> bool {
        self.blocks == BLOCKS
    }

    /// Adds those of a block.
    #[inline(always)]
    fn push<P: Processor>(&mut self, processor: P, at: u32, mut visited: u64, shown: [u64; 2]) {
        if let Some(slot) = self.shown.get_mut(self.blocks) {
            *slot = shown;
        }
        self.blocks += 1;
        let all = self.count + visited.count_ones() as usize;
        while let Some(places) = self.places.get_mut(self.count..).and_then(|rest| rest.first_chunk_mut()) {
            visited = processor.places(visited, at, places);
            self.count += WRITTEN;
            if self.count >= all {
                break;
            }
        }
        self.count = all;
    }
}

/// The arrays and objects that are open.
struct Levels<'t> {
    bytes: &'t [u8],
    /// One bit for each, the innermost lowest: 1 is an object.
    objects: u64,
    /// The outermost first, their places in `spans`.
    open: [u32; MAX_DEPTH],
    depth: usize,
    /// The most that ever were open; more than can be when more were closed than opened.
    deepest: usize,
    spans: Vec<Span>,
    /// How many of them are more than room.
    count: usize,
}

impl<'t> Levels<'t> {
    fn new(bytes: &'t [u8]) -> Self {
        // About one array or object in forty bytes is not empty.
        let room = bytes.len() / 24 + BLOCKS * 64;
        Self {
            bytes,
            objects: 0,
            open: [0; MAX_DEPTH],
            depth: 0,
            deepest: 0,
            spans: Vec::with_capacity(room),
            count: 0,
        }
    }

    /// Visits brackets in their order, and forgets them. Each is taken for an opening and for a closing one: what is
    /// written of the wrong kind is written over by the next.
    // By itself it has registers enough.
    #[inline(never)]
    fn visit(&mut self, brackets: &mut Brackets) -> Option<()> {
        self.spans.resize(self.count + brackets.count + 1, Span::default());
        let spans = self.spans.as_mut_slice();
        let Self { bytes, mut objects, mut depth, mut deepest, mut count, .. } = *self;
        let mut wrong = false;
        for place in brackets.places.get(..brackets.count)? {
            let at = *place as usize;
            // The codes of the four differ in these bits.
            let byte = *bytes.get(at)?;
            let (closes, object) = (byte >> 1 & 1 ^ 1, byte >> 5 & 1);
            let in_object = objects as u8 & 1;
            let shown = brackets.shown.get(at / 64 % BLOCKS)?;
            let shown = *shown.get(usize::from(in_object))?;
            wrong |= shown >> (at % 64) & 1 == 1;
            wrong |= closes & (object ^ in_object) == 1;

            *self.open.get_mut(depth % MAX_DEPTH)? = count as u32;
            spans.get_mut(count)?.open = *place;
            count += usize::from(1 - closes);
            depth = depth.wrapping_sub(usize::from(closes));
            let opened = *self.open.get(depth % MAX_DEPTH)?;
            let span = spans.get_mut(opened as usize)?;
            (span.close, span.next) = (*place, count as u32);
            depth = depth.wrapping_add(usize::from(1 - closes));
            objects = (objects << 1 | u64::from(object)) >> (2 * closes);
            deepest = deepest.max(depth);
        }
        (self.objects, self.depth, self.deepest, self.count) = (objects, depth, deepest, count);
        (brackets.count, brackets.blocks) = (0, 0);
        (!wrong).then_some(())
    }

    /// The outline, if nothing is open any more, too many never were, and the first was closed as the last.
    fn outline(&mut self) -> Option<Outline> {
        let mut spans = core::mem::take(&mut self.spans);
        spans.truncate(self.count);
        let closed = spans.first()?.close as usize == self.bytes.len() - 1;
        (closed && self.depth == 0 && self.deepest < MAX_DEPTH).then_some(Outline { spans })
    }
}

/// The positions of the bits that are set.
#[inline(always)]
fn bits(mut mask: u64) -> impl Iterator<Item = u32> {
    core::iter::from_fn(move || {
        let bit = (mask != 0).then(|| mask.trailing_zeros());
        mask &= mask.wrapping_sub(1);
        bit
    })
}

/// Whether what stands after a backslash makes an escape sequence.
fn is_escape(bytes: &[u8], at: usize) -> bool {
    match bytes.get(at..) {
        Some([b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't', ..]) => true,
        Some([b'u', a, b, c, d, ..]) => [a, b, c, d].into_iter().all(u8::is_ascii_hexdigit),
        _ => false,
    }
}

/// Whether a number or a literal stands here, up to a comma or a closing bracket.
fn is_scalar(bytes: &[u8], at: usize) -> bool {
    let text = bytes.get(at..).unwrap_or_default();
    let rest = match text {
        [b't', b'r', b'u', b'e', rest @ ..]
        | [b'f', b'a', b'l', b's', b'e', rest @ ..]
        | [b'n', b'u', b'l', b'l', rest @ ..] => Some(rest),
        _ => number(text),
    };
    matches!(rest, Some([b',' | b']' | b'}', ..]))
}

/// What follows a number.
fn number(text: &[u8]) -> Option<&[u8]> {
    let rest = match text.strip_prefix(b"-").unwrap_or(text) {
        [b'0', rest @ ..] => rest,
        rest => digits(rest)?,
    };
    let rest = rest.strip_prefix(b".").map_or(Some(rest), digits)?;
    match rest {
        [b'e' | b'E', b'+' | b'-', rest @ ..] | [b'e' | b'E', rest @ ..] => digits(rest),
        _ => Some(rest),
    }
}

fn digits(text: &[u8]) -> Option<&[u8]> {
    let end = text.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    if end == 0 { None } else { text.get(end..) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::{Arena, Scanner};

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
        assert_eq!([1, array, text.len() - 2].map(|at| cursor.end(at)), [None, Some(array + ends[1].len()), None]);
    }
}
