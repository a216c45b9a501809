//! The grammar of JSON without blanks, on masks.

use super::brackets::Found;
use super::processor::{Bits, Masks, Processor};
use super::{BLOCKS, STRETCH};

/// What is carried from one part of a document to the next.
pub(super) struct Grammar<'t, P: Processor> {
    processor: P,
    bytes: &'t [u8],
    /// The part and the stretch that come next.
    at: usize,
    scalars_at: usize,
    /// Bits where something is wrong.
    wrong: P::Bits,
    /// A backslash, a number or a literal is.
    wrong_text: bool,
    /// All ones inside of a string.
    in_string: u64,
    /// And that string does not come after a colon.
    in_item: u64,
    /// What was shown since the last bracket.
    showed_object: u64,
    showed_array: u64,
    /// Those of the part before, of which the last one counts.
    backslashes: P::Bits,
    opens: P::Bits,
    colons: P::Bits,
    expects: P::Bits,
    scalars: P::Bits,
    items: P::Bits,
}

impl<'t, P: Processor> Grammar<'t, P> {
    /// At the start of a document.
    #[inline(always)]
    pub(super) fn new(processor: P, bytes: &'t [u8]) -> Self {
        let none = P::Bits::default();
        // As after a colon: one value may come.
        let before = !none;
        Self {
            processor,
            bytes,
            at: 0,
            scalars_at: 0,
            wrong: none,
            wrong_text: false,
            in_string: 0,
            in_item: 0,
            showed_object: 0,
            showed_array: 0,
            backslashes: none,
            opens: none,
            colons: before,
            expects: before,
            scalars: none,
            items: none,
        }
    }

    /// Whether everything was right, and no string goes on.
    #[inline(always)]
    pub(super) fn is_right(&self) -> bool {
        !self.wrong.any() && !self.wrong_text && self.in_string == 0
    }

    /// Checks a stretch, of which so many bytes are the document's.
    #[inline(always)]
    pub(super) fn check(&mut self, stretch: &[u8; STRETCH], length: usize, found: &mut Found) {
        let parts = stretch.as_chunks().0.chunks_exact(P::Bits::BLOCKS);
        for (i, blocks) in parts.enumerate() {
            let first = i * P::Bits::BLOCKS;
            let there = match length {
                STRETCH => !P::Bits::default(),
                length => P::Bits::first(length.saturating_sub(64 * first)),
            };
            self.check_part(blocks, there, first, found);
        }
    }

    #[inline(always)]
    fn check_part(&mut self, blocks: &[[u8; 64]], there: P::Bits, first: usize, found: &mut Found) {
        let masks = self.processor.masks(blocks);
        let mut escaped = masks.backslashes.after(self.backslashes);
        let backslashes = core::mem::replace(&mut self.backslashes, masks.backslashes);
        // Nearly all of them stand alone, before a quote.
        if (escaped & (masks.backslashes | !masks.quotes)).any() {
            escaped = self.escaped(&masks, backslashes);
        }
        let quotes = masks.quotes & !escaped;
        self.at += 64 * P::Bits::BLOCKS;
        // From an opening quote to the byte before the closing one.
        let inside = self.processor.inside(quotes, &mut self.in_string);
        let outside = there & !inside;

        let string_opens = quotes & inside;
        let string_closes = quotes & outside;
        let commas = masks.commas & outside;
        let colons = masks.colons & outside;
        let opens = masks.opens & outside;
        let closes = masks.closes & outside;
        let brackets = opens | closes;
        // What a value, a key or the end has to come after. Everything else ends a value.
        let expects = opens | commas | colons;
        // Blanks and backslashes are among them, and are none.
        let scalars = outside & !(quotes | closes | expects);

        let after_open = opens.after(self.opens);
        let after_colon = colons.after(self.colons);
        let after_expects = expects.after(self.expects);
        let scalar_starts = scalars & !scalars.after(self.scalars);
        // The closing quotes of keys, and of texts in arrays: a sum carries from the first byte of each to the one after
        // its last.
        let items = inside.sum(string_opens & !after_colon, &mut self.in_item) & string_closes;
        let after_item = items.after(self.items);
        (self.opens, self.colons, self.expects) = (opens, colons, expects);
        (self.scalars, self.items) = (scalars, items);

        // Between brackets one is inside of an object or of an array, and the next bracket says of which.
        let after_member = opens & after_colon | closes & masks.curly;
        let element = after_item & !colons | scalar_starts & !after_colon;
        let after_element = brackets & !after_member;
        // Control characters are none outside of strings either.
        self.wrong = self.wrong
            | masks.controls
            | (string_opens | opens | scalar_starts) & !after_expects
            | (commas | colons | closes & !after_open) & after_expects
            | colons & !after_item
            | since_last(colons, brackets, &mut self.showed_object) & after_element
            | since_last(element, brackets, &mut self.showed_array) & after_member;
        brackets.write(&mut found.brackets, first);
        opens.write(&mut found.opens, first);
        masks.curly.write(&mut found.curly, first);
        after_member.write(&mut found.after_member, first);
        scalars.write(&mut found.scalars, first);
        scalar_starts.write(&mut found.scalar_starts, first);
    }

    /// The bytes that a backslash stands before that is not itself escaped: those after each run of backslashes that
    /// is odd in length. A backslash outside of a string is wrong anyway.
    #[cold]
    fn escaped(&mut self, masks: &Masks<P::Bits>, before: P::Bits) -> P::Bits {
        const EVEN: u64 = u64::MAX / 3;
        let (mut quotes, mut words) = ([0; BLOCKS], [0; BLOCKS]);
        masks.quotes.write(&mut quotes, 0);
        before.write(&mut words, 0);
        let mut goes_on = words.get(P::Bits::BLOCKS - 1).is_some_and(|word| word >> 63 == 1);
        masks.backslashes.write(&mut words, 0);
        let mut at = self.at;
        for (word, quotes) in words.iter_mut().zip(quotes).take(P::Bits::BLOCKS) {
            let backslashes = *word & !u64::from(goes_on);
            let after = backslashes << 1 | u64::from(goes_on);
            let odd_starts = backslashes & !EVEN & !after;
            let even_runs;
            (even_runs, goes_on) = odd_starts.overflowing_add(backslashes);
            *word = (EVEN ^ even_runs << 1) & after;
            let mut sequences = *word & !quotes;
            while sequences != 0 {
                self.wrong_text |= !is_escape(self.bytes, at + sequences.trailing_zeros() as usize);
                sequences &= sequences - 1;
            }
            at += 64;
        }
        self.backslashes = if goes_on { !P::Bits::default() } else { P::Bits::default() };
        P::Bits::read(&words)
    }

    /// Checks the numbers and literals of a stretch.
    #[inline(always)]
    pub(super) fn check_scalars(&mut self, found: &Found) {
        for (starts, scalars) in found.scalar_starts.iter().zip(&found.scalars) {
            let mut starts = *starts;
            while starts != 0 {
                let start = starts.trailing_zeros();
                let length = (!(scalars >> start)).trailing_zeros();
                let at = self.scalars_at + start as usize;
                if !is_short_scalar(self.bytes, at, length) || start + length == 64 {
                    self.wrong_text |= !is_scalar(self.bytes, at);
                }
                starts &= starts - 1;
            }
            self.scalars_at += 64;
        }
    }
}

/// Those brackets, and some other bytes, at or before which, up to the bracket before them, a bit is set; and whether one is
/// behind the last of them. A sum carries from the first such bit to the bracket.
#[inline(always)]
fn since_last<B: Bits>(set: B, brackets: B, behind: &mut u64) -> B {
    let between = !brackets;
    between.sum(set & between, behind) | set
}

/// Whether what stands after a backslash makes an escape sequence.
fn is_escape(bytes: &[u8], at: usize) -> bool {
    match bytes.get(at..) {
        Some([b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't', ..]) => true,
        Some([b'u', a, b, c, d, ..]) => [a, b, c, d].into_iter().all(u8::is_ascii_hexdigit),
        _ => false,
    }
}

/// Whether so many bytes are a literal or a whole number. Others are not known.
#[inline(always)]
fn is_short_scalar(bytes: &[u8], at: usize, length: u32) -> bool {
    const TRUE: u64 = u64::from_le_bytes(*b"true\0\0\0\0");
    const FALSE: u64 = u64::from_le_bytes(*b"false\0\0\0");
    const NULL: u64 = u64::from_le_bytes(*b"null\0\0\0\0");
    const ONES: u64 = u64::MAX / 255;
    let Some(word) = bytes.get(at..).and_then(|rest| rest.first_chunk()) else { return false };
    let Some(unused) = 64_u32.checked_sub(8 * length) else { return false };
    let word = u64::from_le_bytes(*word) & u64::MAX.checked_shr(unused).unwrap_or_default();
    let values = word ^ (ONES * b'0' as u64) & u64::MAX.checked_shr(unused).unwrap_or_default();
    // With more than nine the highest bit of a byte is set, or of one before it.
    let digits = (values | values.wrapping_add(ONES * 0x76)) & (ONES * 0x80) == 0;
    let leads_with_zero = values & 0xff == 0 && length > 1;
    word == TRUE || word == FALSE || word == NULL || digits && !leads_with_zero
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
