//! The grammar of JSON without blanks, on masks.

use super::brackets::Brackets;
use super::lanes::Lanes;
use super::processor::{Masks, Processor};
use super::{LANES, STRETCH};

/// What is carried from one stretch to the next. What stands before it is kept as the lowest bit.
pub(super) struct Grammar<'t, P> {
    processor: P,
    bytes: &'t [u8],
    at: u32,
    /// All ones inside of a string.
    in_string: u64,
    /// And that string does not come after a colon.
    in_item: bool,
    /// What was shown since the last bracket.
    showed_object: bool,
    showed_array: bool,
    /// The next byte is escaped.
    escaped: u64,
    opens: u64,
    colons: u64,
    expects: u64,
    scalars: u64,
    items: u64,
}

impl<'t, P: Processor> Grammar<'t, P> {
    /// At the start of a document.
    #[inline(always)]
    pub(super) fn new(processor: P, bytes: &'t [u8]) -> Self {
        Self {
            processor,
            bytes,
            at: 0,
            in_string: 0,
            in_item: false,
            showed_object: false,
            showed_array: false,
            escaped: 0,
            opens: 0,
            colons: 0,
            // As after an opening bracket: a value may come.
            expects: 1,
            scalars: 0,
            items: 0,
        }
    }

    pub(super) fn is_in_string(&self) -> bool {
        self.in_string != 0
    }

    /// Checks a stretch, of which so many bytes are the document's, and gives its brackets. `None` when something is
    /// wrong.
    #[inline(always)]
    pub(super) fn check(
        &mut self,
        stretch: &[u8; STRETCH],
        length: usize,
        brackets: &mut Brackets,
    ) -> Option<()> {
        let masks: [Masks; LANES] =
            stretch.as_chunks().0.as_array()?.each_ref().map(|chunk| self.processor.masks(chunk));
        let lanes = |field: fn(&Masks) -> u64| Lanes(masks.each_ref().map(field));

        let all_quotes = lanes(|masks| masks.quotes);
        let backslashes = lanes(|masks| masks.backslashes);
        let mut escaped = Lanes::default();
        if backslashes.any() || self.escaped != 0 {
            escaped = backslashes.each(|backslashes| self.escaped(backslashes));
        }
        let quotes = all_quotes & !escaped;
        // From an opening quote to the byte before the closing one.
        let inside = quotes.each(|quotes| {
            let inside = self.processor.prefix_xor(quotes) ^ self.in_string;
            self.in_string = (inside.cast_signed() >> 63).cast_unsigned();
            inside
        });
        // Most of what is escaped are quotes.
        let sequences = escaped & inside & !all_quotes;
        if (lanes(|masks| masks.controls) & inside).any() || !self.all(sequences, is_escape) {
            return None;
        }
        let outside = Lanes::first(length) & !inside;

        let string_opens = quotes & inside;
        let string_closes = quotes & outside;
        let commas = lanes(|masks| masks.commas) & outside;
        let colons = lanes(|masks| masks.colons) & outside;
        let opens = lanes(|masks| masks.opens) & outside;
        let closes = lanes(|masks| masks.closes) & outside;
        let curly = lanes(|masks| masks.curly);
        // Blanks and backslashes are among them, and are none.
        let scalars = outside & !(quotes | commas | colons | opens | closes);
        // What a value, a key or the end has to come after. Everything else ends a value.
        let expects = opens | commas | colons;

        let after_open = opens.after(self.opens);
        let after_colon = colons.after(self.colons);
        let after_expects = expects.after(self.expects);
        let scalar_starts = scalars & !scalars.after(self.scalars);
        // The closing quotes of keys, and of texts in arrays.
        let items = ends(string_opens & !after_colon, inside, &mut self.in_item) & string_closes;
        let after_item = items.after(self.items);
        self.opens = opens.last();
        self.colons = colons.last();
        self.expects = expects.last();
        self.scalars = scalars.last();
        self.items = items.last();

        let others = opens | scalar_starts;
        let misplaced = (string_opens | others) & !after_expects
            | commas & after_expects
            | closes & after_expects & !after_open
            | colons & !after_item;
        if misplaced.any() || !self.all(scalar_starts, is_scalar) {
            return None;
        }

        // An empty array or object does not change the level.
        let same = curly.each(|curly| !(curly ^ curly >> 1));
        let empty = opens & closes.each(|closes| closes >> 1) & same;
        let visited = (opens | closes) & !empty.each(|empty| empty | empty << 1);
        // What can only stand in an object, and in an array: a key, or a value without one.
        let in_object = since_last(after_item & colons, visited, &mut self.showed_object);
        let in_array =
            since_last(after_item & !colons | others & !after_colon, visited, &mut self.showed_array);
        brackets.set(self.processor, self.at, visited, in_object, in_array);
        self.at += STRETCH as u32;
        Some(())
    }

    /// Whether all that is said to begin here does so.
    #[inline(always)]
    fn all(&self, starts: Lanes, begins: fn(&[u8], usize) -> bool) -> bool {
        if !starts.any() {
            return true;
        }
        let mut at = self.at;
        starts.0.into_iter().all(|mut left| {
            let lane = at;
            at += 64;
            while left != 0 {
                if !begins(self.bytes, (lane + left.trailing_zeros()) as usize) {
                    return false;
                }
                left &= left - 1;
            }
            true
        })
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

/// The closing quotes of some strings, and whether one of them goes on behind the stretch: a sum carries from the first
/// byte of each to the one after its last.
#[inline(always)]
fn ends(starts: Lanes, inside: Lanes, goes_on: &mut bool) -> Lanes {
    starts.zip(inside, |starts, inside| {
        let (sum, first) = inside.overflowing_add(starts);
        let (sum, second) = sum.overflowing_add(u64::from(*goes_on));
        *goes_on = first | second;
        sum
    })
}

/// The brackets before which, up to the one before them, a bit is set; and whether one is behind the last of them. A sum
/// carries from the first such bit to the bracket.
#[inline(always)]
fn since_last(set: Lanes, brackets: Lanes, behind: &mut bool) -> Lanes {
    set.zip(brackets, |set, brackets| {
        let between = !brackets;
        let (sum, first) = between.overflowing_add(set & between);
        let (sum, second) = sum.overflowing_add(u64::from(*behind));
        *behind = first | second;
        (sum | set) & brackets
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
