//! Which bracket closes which, many at a time.
//!
//! Brackets are put close together, a bit for each. One that opens right before one that closes is paired with it. Both are
//! left out, and the same is done again: as often as arrays and objects are nested.

use crate::json::MAX_DEPTH;

use super::processor::Processor;
use super::{BLOCKS, Block};

/// What is found in a stretch: a bit for each byte, in one word for each block.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) brackets: [u64; BLOCKS],
    /// Of brackets, as in a [`Row`].
    pub(super) opens: [u64; BLOCKS],
    pub(super) curly: [u64; BLOCKS],
    pub(super) after_member: [u64; BLOCKS],
    /// The bytes of numbers and literals, and the first ones of each.
    pub(super) scalars: [u64; BLOCKS],
    pub(super) scalar_starts: [u64; BLOCKS],
}

/// Brackets one after the other, a bit for each.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Row {
    pub(super) opens: u64,
    /// Those of objects.
    pub(super) curly: u64,
    /// Those before which one is inside of an object.
    pub(super) after_member: u64,
}

/// The brackets of a document, but for the outermost, which are those of an object.
pub(super) struct Brackets<P> {
    processor: P,
    rows: Rows,
    /// The first one of all, until it was left out.
    outermost: u64,
    depth: i32,
}

impl<P: Processor> Brackets<P> {
    /// None so far, of a document of so many bytes.
    #[inline(always)]
    pub(super) fn new(processor: P, bytes: usize) -> Self {
        // Nearly a tenth of a pod's bytes are brackets.
        let rows = Rows::with_capacity(bytes / 512 + 8);
        Self { processor, rows, outermost: 1, depth: 0 }
    }

    /// Adds those of one of the blocks.
    #[inline(always)]
    pub(super) fn add(&mut self, found: &Found, block: usize) -> Option<Block> {
        let brackets = *found.brackets.get(block)?;
        let row = Row {
            opens: *found.opens.get(block)?,
            curly: *found.curly.get(block)?,
            after_member: *found.after_member.get(block)?,
        };
        self.rows.add(self.processor, row, brackets & !core::mem::take(&mut self.outermost));
        let closes = brackets & !row.opens;
        let (depth, closing) = (self.depth, closes.count_ones().cast_signed());
        self.depth += row.opens.count_ones().cast_signed() - closing;
        Some(Block { opens: row.opens, closes, depth, least: depth - closing })
    }

    /// Whether each bracket has its counterpart, all between two others are in the same, and not too many are open
    /// anywhere.
    #[inline(always)]
    pub(super) fn are_paired(self) -> bool {
        let Self { processor, mut rows, .. } = self;
        // The last one of all is left out, too.
        rows.count = rows.count.saturating_sub(1);
        let mut left = Rows::with_capacity(rows.full.len());
        for _ in 1..MAX_DEPTH {
            if rows.count == 0 {
                return true;
            }
            if !rows.leave_pairs_out(processor, &mut left) {
                return false;
            }
            core::mem::swap(&mut rows, &mut left);
        }
        rows.count == 0
    }
}

/// Brackets, sixty-four in a row.
struct Rows {
    full: Vec<Row>,
    last: Row,
    count: u32,
}

impl Rows {
    fn with_capacity(rows: usize) -> Self {
        Self { full: Vec::with_capacity(rows), last: Row::default(), count: 0 }
    }

    /// Adds those that are set in a mask.
    #[inline(always)]
    fn add<P: Processor>(&mut self, processor: P, row: Row, mask: u64) {
        let Row { opens, curly, after_member } = processor.compress(row, mask);
        let filled = self.count % 64;
        let added = mask.count_ones();
        self.count += added;
        self.last.opens |= opens << filled;
        self.last.curly |= curly << filled;
        self.last.after_member |= after_member << filled;
        if filled + added >= 64 {
            self.full.push(self.last);
            let behind = |bits: u64| bits.checked_shr(64 - filled).unwrap_or_default();
            let (opens, curly, after_member) = (behind(opens), behind(curly), behind(after_member));
            self.last = Row { opens, curly, after_member };
        }
    }

    /// Puts into `left` what is left without those that open right before one that closes. Whether there are any, each of
    /// one kind, and inside of the same as what follows.
    #[inline(always)]
    fn leave_pairs_out<P: Processor>(&mut self, processor: P, left: &mut Self) -> bool {
        let count = self.count;
        // After the last one is the end of an object.
        let unfilled = u64::MAX << (count % 64);
        let Row { opens, curly, after_member } = self.last;
        self.full.push(Row { opens: opens | unfilled, curly, after_member: after_member | unfilled });
        self.full.push(Row { opens: u64::MAX, curly: 0, after_member: u64::MAX });
        left.full.clear();
        (left.last, left.count) = (Row::default(), 0);
        let (mut wrong, mut closes, mut there) = (0, 0, count);
        for rows in self.full.windows(2) {
            let [row, next] = rows else { break };
            let pair_opens = row.opens & !(row.opens >> 1 | next.opens << 63);
            let pair_closes = pair_opens << 1 | closes;
            closes = pair_opens >> 63;
            let other_kind = row.curly ^ (row.curly >> 1 | next.curly << 63);
            let elsewhere = row.after_member ^ (row.after_member >> 2 | next.after_member << 62);
            wrong |= pair_opens & (other_kind | elsewhere);
            let all = if there < 64 { !(u64::MAX << there) } else { u64::MAX };
            there = there.saturating_sub(64);
            left.add(processor, *row, all & !(pair_opens | pair_closes));
        }
        wrong == 0 && left.count < count
    }
}
