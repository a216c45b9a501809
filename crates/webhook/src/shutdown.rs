//! From serving to gone.

use tokio::sync::watch;

/// How far the webhook is on its way out.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub enum Phase {
    /// Requests are answered.
    #[default]
    Serving,
    /// Requests are still answered, each with `Connection: close`: the API server stays on its open connections,
    /// whatever the endpoints say. Not ready.
    Draining,
    /// No new connections and no further requests; what is in flight is finished.
    Stopping,
}

/// Tells everybody.
#[derive(Debug)]
pub struct Shutdown(watch::Sender<Phase>);

/// Hears of it.
#[derive(Clone, Debug)]
pub struct Phases(watch::Receiver<Phase>);

impl Shutdown {
    /// Both ends.
    #[must_use]
    pub fn new() -> (Self, Phases) {
        let (sender, receiver) = watch::channel(Phase::Serving);
        (Self(sender), Phases(receiver))
    }

    /// Goes on to a phase, never back.
    pub fn enter(&self, phase: Phase) {
        self.0.send_if_modified(|now| {
            let later = phase > *now;
            *now = phase.max(*now);
            later
        });
    }
}

impl Phases {
    /// The phase now.
    #[must_use]
    pub fn now(&self) -> Phase {
        *self.0.borrow()
    }

    /// Waits for a phase, or a later one.
    pub async fn reached(&mut self, phase: Phase) {
        // The sender is gone: nobody will say anything more, which is the end.
        let _ = self.0.wait_for(|now| *now >= phase).await;
    }
}
