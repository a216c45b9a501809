//! What a connection is waiting for, and since when: written by the connection, read by the accept loop as well.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use super::Limits;
use super::own_thread::PATIENCE;

/// What a connection is waiting for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Phase {
    /// The handshake.
    Handshake,
    /// The first byte of a request.
    Idle,
    /// The rest of a request's head.
    Head,
    /// The rest of its body. The router has its own limits.
    Body,
    /// The answer. The router has its own limits.
    Answer,
}

/// What a connection is waiting for, and since when. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Activity(Arc<State>);

#[derive(Debug)]
struct State {
    origin: Instant,
    /// Milliseconds since `origin`, and the phase in the three lowest bits.
    phase: AtomicU64,
    /// Milliseconds since `origin`, and one, of when it had to wait for the other side, for the first time in this
    /// phase and turn; 0 when it had not.
    waits: AtomicU64,
    /// The same, of when it began with something after its last rest.
    busy: AtomicU64,
    /// Milliseconds since `origin`, and one, of the first write that could not go on; 0 when none waits.
    stalled: AtomicU64,
    /// The same, of when it was told to end.
    closing: AtomicU64,
    /// Something was sent that is not read before it has a turn.
    unread: AtomicBool,
    /// The last request came right after the answer before it.
    prompt: AtomicBool,
    own_thread: AtomicBool,
    /// No request is answered after this one.
    last: AtomicBool,
}

impl Activity {
    /// A connection that has just been accepted.
    pub(super) fn new() -> Self {
        Self(Arc::new(State {
            origin: Instant::now(),
            phase: AtomicU64::new(Phase::Handshake as u64),
            waits: AtomicU64::new(0),
            busy: AtomicU64::new(1),
            stalled: AtomicU64::new(0),
            closing: AtomicU64::new(0),
            unread: AtomicBool::new(false),
            prompt: AtomicBool::new(false),
            own_thread: AtomicBool::new(false),
            last: AtomicBool::new(false),
        }))
    }

    pub(super) fn enter(&self, phase: Phase) {
        self.enter_at(phase, self.now());
    }

    fn enter_at(&self, phase: Phase, now: u64) {
        self.0.phase.store(now << 3 | phase as u64, Ordering::Relaxed);
        self.0.waits.store(0, Ordering::Relaxed);
        if matches!(phase, Phase::Head | Phase::Body) {
            mark(&self.0.busy, || now);
        }
    }

    /// Nothing is left to do, for now.
    pub(super) fn rest(&self) {
        self.0.busy.store(0, Ordering::Relaxed);
    }

    /// The first bytes of a request have come, after a rest.
    pub(super) fn begin(&self) {
        self.0.prompt.store(false, Ordering::Relaxed);
        self.enter(Phase::Head);
    }

    /// The first bytes of the next request have come.
    pub(super) fn begin_next(&self) {
        let now = self.now();
        self.0.prompt.store(self.is_recent(now), Ordering::Relaxed);
        self.enter_at(Phase::Head, now);
    }

    pub(super) fn phase(&self) -> Phase {
        match self.0.phase.load(Ordering::Relaxed) & 7 {
            0 => Phase::Handshake,
            1 => Phase::Idle,
            2 => Phase::Head,
            3 => Phase::Body,
            _ => Phase::Answer,
        }
    }

    /// When the phase began.
    pub(super) fn since(&self) -> Instant {
        self.at(self.0.phase.load(Ordering::Relaxed) >> 3)
    }

    /// Something was sent, and waits until it has a turn.
    pub(super) fn wait_for_turn(&self) {
        self.0.unread.store(true, Ordering::Relaxed);
    }

    /// Something was sent, and it has no turn to read it.
    pub(super) fn has_unread(&self) -> bool {
        self.0.unread.load(Ordering::Relaxed)
    }

    /// It has a turn from now on.
    pub(super) fn begin_turn(&self) {
        self.0.unread.store(false, Ordering::Relaxed);
        self.0.waits.store(0, Ordering::Relaxed);
        self.rest();
        if self.phase() != Phase::Idle {
            mark(&self.0.busy, || self.now());
        }
    }

    /// It has to wait for the other side, who has sent nothing more.
    pub(super) fn wait(&self) {
        mark(&self.0.waits, || self.now());
    }

    /// A write cannot go on, or does again.
    pub(super) fn stall(&self, stalls: bool) {
        if stalls {
            mark(&self.0.stalled, || self.now());
            self.wait();
        } else {
            self.0.stalled.store(0, Ordering::Relaxed);
        }
    }

    /// In the middle of something, it waits for the other side, and had to so long ago for the first time. Or it has had
    /// something to do for twice as long, however small the parts are in which the other side sends it.
    pub(super) fn keeps_waiting(&self, patience: Duration) -> bool {
        let waits = match self.phase() {
            Phase::Handshake | Phase::Head | Phase::Body => true,
            Phase::Idle | Phase::Answer => self.is_stalled(),
        };
        let is_past = |moment: &AtomicU64, patience| match moment.load(Ordering::Relaxed) {
            0 => false,
            moment => self.at(moment - 1).elapsed() >= patience,
        };
        waits && (is_past(&self.0.waits, patience) || is_past(&self.0.busy, patience * 2))
    }

    /// An answer has been made for so long.
    pub(super) fn is_deciding_for(&self, time: Duration) -> bool {
        self.phase() == Phase::Answer && !self.is_stalled() && self.since().elapsed() >= time
    }

    pub(super) fn is_stalled(&self) -> bool {
        self.0.stalled.load(Ordering::Relaxed) != 0
    }

    /// Nothing is being read, answered or sent, and it is not about to end.
    pub(super) fn is_at_rest(&self) -> bool {
        self.phase() == Phase::Idle && !self.is_stalled() && !self.is_closing()
    }

    /// It has just answered, and the next request is likely to come soon.
    pub(super) fn is_busy(&self) -> bool {
        self.0.prompt.load(Ordering::Relaxed) && self.is_at_rest() && self.is_recent(self.now())
    }

    /// It is served on a thread of its own from now on.
    pub(super) fn enter_thread(&self) {
        self.0.own_thread.store(true, Ordering::Relaxed);
    }

    /// It is not, and has to be busy again first.
    pub(super) fn leave_thread(&self) {
        if self.has_thread() {
            self.0.own_thread.store(false, Ordering::Relaxed);
            self.0.prompt.store(false, Ordering::Relaxed);
        }
    }

    pub(super) fn has_thread(&self) -> bool {
        self.0.own_thread.load(Ordering::Relaxed)
    }

    /// Its thread may wait for the caller, but not for one who sends byte after byte.
    pub(super) fn may_block(&self) -> bool {
        self.has_thread() && self.is_recent(self.now())
    }

    /// The phase has just begun.
    fn is_recent(&self, now: u64) -> bool {
        now.saturating_sub(self.0.phase.load(Ordering::Relaxed) >> 3) < PATIENCE.as_millis() as u64
    }

    /// Its last answer has been made.
    pub(super) fn answer_last(&self) {
        self.0.last.store(true, Ordering::Relaxed);
    }

    /// What it sends from now on is its last answer, and its farewell.
    pub(super) fn answers_last(&self) -> bool {
        self.0.last.load(Ordering::Relaxed)
    }

    /// It is to end.
    pub(super) fn close(&self) {
        self.0.closing.store(self.now() + 1, Ordering::Relaxed);
    }

    pub(super) fn is_closing(&self) -> bool {
        self.0.closing.load(Ordering::Relaxed) != 0
    }

    /// When it has waited too long; `None` while nobody is waited for.
    pub(super) fn deadline(&self, limits: &Limits) -> Option<Instant> {
        let after = |marked: &AtomicU64| match marked.load(Ordering::Relaxed) {
            0 => None,
            marked => Some(self.at(marked - 1) + limits.write),
        };
        let (phase, stalled, closes) = (self.phase(), after(&self.0.stalled), after(&self.0.closing));
        let waits = match phase {
            Phase::Handshake => Some(limits.handshake),
            // What was answered has to be sent first.
            Phase::Idle if stalled.is_some() => None,
            Phase::Idle => Some(limits.idle),
            Phase::Head => Some(limits.head),
            Phase::Body | Phase::Answer => None,
        };
        let waits = waits.map(|limit| self.since() + limit);
        // A request that is being answered may take its time, whatever was said meanwhile.
        let closes = closes.filter(|_| !matches!(phase, Phase::Body | Phase::Answer));
        [waits, stalled, closes].into_iter().flatten().min()
    }

    fn now(&self) -> u64 {
        self.0.origin.elapsed().as_millis() as u64
    }

    fn at(&self, milliseconds: u64) -> Instant {
        self.0.origin + Duration::from_millis(milliseconds)
    }
}

/// The first time counts.
fn mark(moment: &AtomicU64, now: impl FnOnce() -> u64) {
    if moment.load(Ordering::Relaxed) == 0 {
        moment.store(now() + 1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn requests_that_come_right_after_answers_make_a_connection_busy() {
        let activity = Activity::new();
        let moment = Duration::from_millis(1);
        for (pause, is_busy) in [(PATIENCE - moment, true), (PATIENCE, false), (Duration::ZERO, true)] {
            activity.enter(Phase::Idle);
            tokio::time::advance(pause).await;
            activity.begin_next();
            assert!(!activity.is_busy(), "it has to answer first");
            activity.enter(Phase::Answer);
            assert!(!activity.is_busy());
            activity.enter(Phase::Idle);
            assert_eq!(activity.is_busy(), is_busy, "{pause:?}");
        }
        activity.stall(true);
        assert!(!activity.is_busy(), "it cannot write");
        activity.stall(false);
        assert!(activity.is_busy());
        tokio::time::advance(PATIENCE).await;
        assert!(!activity.is_busy(), "it was");
        activity.begin();
        activity.enter(Phase::Idle);
        assert!(!activity.is_busy(), "it had a rest");
        activity.begin_next();
        activity.enter(Phase::Idle);
        assert!(activity.is_busy());
        activity.enter_thread();
        activity.leave_thread();
        assert!(!activity.is_busy(), "it does not go back and forth");
    }

    #[tokio::test(start_paused = true)]
    async fn a_thread_waits_for_each_part_of_a_request_for_a_while() {
        let activity = Activity::new();
        assert!(!activity.may_block());
        activity.enter_thread();
        for phase in [Phase::Idle, Phase::Head, Phase::Body, Phase::Answer] {
            activity.enter(phase);
            tokio::time::advance(PATIENCE - Duration::from_millis(1)).await;
            assert!(activity.may_block());
            tokio::time::advance(Duration::from_millis(1)).await;
            assert!(!activity.may_block());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_sends_in_small_parts_keeps_waiting_as_well() {
        let (activity, patience) = (Activity::new(), Duration::from_millis(100));
        activity.enter(Phase::Idle);
        activity.begin_turn();
        tokio::time::advance(patience * 9).await;
        for waits in [false, true] {
            activity.enter(Phase::Head);
            activity.enter(Phase::Body);
            if waits {
                activity.wait();
            }
            let most = if waits { patience } else { patience * 2 };
            tokio::time::advance(most - Duration::from_millis(1)).await;
            assert!(!activity.keeps_waiting(patience));
            tokio::time::advance(Duration::from_millis(1)).await;
            assert!(activity.keeps_waiting(patience));
            activity.enter(Phase::Answer);
            assert!(!activity.keeps_waiting(patience), "it waits for us");
            activity.enter(Phase::Idle);
            activity.enter(Phase::Head);
            tokio::time::advance(patience).await;
            assert!(activity.keeps_waiting(patience), "it has not rested since");
            activity.enter(Phase::Idle);
            activity.rest();
        }
    }
}
