//! What a connection is waiting for, and since when: written by the connection, read by the accept loop as well.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use super::Limits;

/// What a connection is waiting for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Phase {
    /// The handshake.
    Handshake,
    /// The first byte of a request.
    Idle,
    /// The rest of a request's head.
    Head,
    /// The answer. The router has its own limits.
    Answer,
}

/// What a connection is waiting for, and since when. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Activity(Arc<State>);

#[derive(Debug)]
struct State {
    origin: Instant,
    /// Milliseconds since `origin`, and the phase in the two lowest bits.
    phase: AtomicU64,
    /// Milliseconds since `origin`, and one, of the first write that could not go on; 0 when none waits.
    stalled: AtomicU64,
    /// The same, of when it was told to end.
    closing: AtomicU64,
}

impl Activity {
    /// A connection that has just been accepted.
    pub(super) fn new() -> Self {
        Self(Arc::new(State {
            origin: Instant::now(),
            phase: AtomicU64::new(Phase::Handshake as u64),
            stalled: AtomicU64::new(0),
            closing: AtomicU64::new(0),
        }))
    }

    pub(super) fn enter(&self, phase: Phase) {
        self.0.phase.store(self.now() << 2 | phase as u64, Ordering::Relaxed);
    }

    pub(super) fn phase(&self) -> Phase {
        match self.0.phase.load(Ordering::Relaxed) & 3 {
            0 => Phase::Handshake,
            1 => Phase::Idle,
            2 => Phase::Head,
            _ => Phase::Answer,
        }
    }

    /// When the phase began.
    pub(super) fn since(&self) -> Instant {
        self.at(self.0.phase.load(Ordering::Relaxed) >> 2)
    }

    /// A write cannot go on, or does again.
    pub(super) fn stall(&self, stalls: bool) {
        if !stalls {
            self.0.stalled.store(0, Ordering::Relaxed);
        } else if self.0.stalled.load(Ordering::Relaxed) == 0 {
            self.0.stalled.store(self.now() + 1, Ordering::Relaxed);
        }
    }

    pub(super) fn is_stalled(&self) -> bool {
        self.0.stalled.load(Ordering::Relaxed) != 0
    }

    /// Nothing is being read, answered or sent, and it is not about to end.
    pub(super) fn is_at_rest(&self) -> bool {
        self.phase() == Phase::Idle && !self.is_stalled() && !self.is_closing()
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
            Phase::Answer => None,
        };
        let waits = waits.map(|limit| self.since() + limit);
        // An answer that is being made may take its time, whatever was said meanwhile.
        let closes = closes.filter(|_| phase != Phase::Answer);
        [waits, stalled, closes].into_iter().flatten().min()
    }

    fn now(&self) -> u64 {
        self.0.origin.elapsed().as_millis() as u64
    }

    fn at(&self, milliseconds: u64) -> Instant {
        self.0.origin + Duration::from_millis(milliseconds)
    }
}
