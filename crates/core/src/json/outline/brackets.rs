//! Brackets, one by one.

use crate::json::MAX_DEPTH;

use super::lanes::Lanes;
use super::processor::Processor;
use super::{LANES, Outline, STRETCH, Span};

/// Places that are written at once, however few there are.
pub(super) const WRITTEN: usize = 16;

/// The brackets of a stretch, but for those of empty arrays and objects.
pub(super) struct Brackets {
    places: [u32; STRETCH + WRITTEN],
    count: usize,
    /// Those before which something was shown that must not be in an array, and in an object.
    shown: [Lanes; 2],
}

impl Default for Brackets {
    fn default() -> Self {
        Self { places: [0; STRETCH + WRITTEN], count: 0, shown: [Lanes::default(); 2] }
    }
}

impl Brackets {
    /// Those of the stretch that begins at a byte, and those before which an object was shown, and an array.
    #[inline(always)]
    pub(super) fn set<P: Processor>(
        &mut self,
        processor: P,
        mut at: u32,
        brackets: Lanes,
        in_object: Lanes,
        in_array: Lanes,
    ) {
        self.shown = [in_object, in_array];
        let mut count = 0;
        for mut left in brackets.0 {
            let mut next = count;
            count += left.count_ones() as usize;
            while let Some(places) = self.places.get_mut(next..).and_then(|rest| rest.first_chunk_mut()) {
                left = processor.places(left, at, places);
                next += WRITTEN;
                if next >= count {
                    break;
                }
            }
            at += 64;
        }
        self.count = count;
    }
}

/// The arrays and objects that are open.
pub(super) struct Levels<'t> {
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
    pub(super) fn new(bytes: &'t [u8]) -> Self {
        // About one array or object in forty bytes is not empty.
        let room = bytes.len() / 24 + STRETCH;
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

    /// Visits brackets in their order. Each is taken for an opening and for a closing one: what is
    /// written of the wrong kind is written over by the next.
    // By itself it has registers enough.
    #[inline(never)]
    pub(super) fn visit(&mut self, brackets: &Brackets) -> Option<()> {
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
            let shown = brackets.shown.get(usize::from(in_object))?.0.get(at / 64 % LANES)?;
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
        (!wrong).then_some(())
    }

    /// The outline, if nothing is open any more, too many never were, and the first was closed as the last.
    pub(super) fn outline(&mut self) -> Option<Outline> {
        let mut spans = core::mem::take(&mut self.spans);
        spans.truncate(self.count);
        let closed = spans.first()?.close as usize == self.bytes.len() - 1;
        (closed && self.depth == 0 && self.deepest < MAX_DEPTH).then_some(Outline { spans })
    }
}
