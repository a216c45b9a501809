//! The connections of a listener: how many there are, and which gives way to another.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::{Id, JoinError, JoinSet};

use super::Limits;
use super::activity::{Activity, Phase};
use crate::metrics::Metrics;

/// How long an answer may take before its connection may have to give way: the API server has given up by then, as
/// the webhook is registered.
const PATIENCE: Duration = Duration::from_secs(2);

/// What a connection is told: to give way now; to end when it is idle, when the other end is dropped.
pub(super) type Told = oneshot::Receiver<()>;

/// The connections of a listener.
pub(super) struct Connections {
    limits: Limits,
    metrics: Metrics,
    tasks: JoinSet<()>,
    /// Those that were not told anything yet.
    open: HashMap<Id, Open>,
}

struct Open {
    peer: IpAddr,
    activity: Activity,
    tell: oneshot::Sender<()>,
}

impl Connections {
    pub(super) fn new(limits: Limits, metrics: Metrics) -> Self {
        Self { limits, metrics, tasks: JoinSet::new(), open: HashMap::new() }
    }

    /// Serves one more, if there is room or room is made.
    pub(super) fn admit<F>(&mut self, peer: IpAddr, serve: impl FnOnce(Activity, Told) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        if !self.has_room(peer) {
            self.metrics.refused_connections.get_or_create(&"connections".into()).inc();
            return;
        }
        let activity = Activity::new();
        let (tell, told) = oneshot::channel();
        let id = self.tasks.spawn(serve(activity.clone(), told)).id();
        self.open.insert(id, Open { peer, activity, tell });
        self.metrics.connections.inc();
    }

    /// Whether there is room for a newcomer, after another may have been told to give way.
    fn has_room(&mut self, newcomer: IpAddr) -> bool {
        if self.open.len() < self.limits.connections {
            return true;
        }
        // Those that were told need a moment. When many do, nobody else is told.
        if self.tasks.len() >= self.limits.connections + self.limits.connections.div_ceil(8) {
            return false;
        }
        let Some(open) = self.gives_way(newcomer).and_then(|id| self.open.remove(&id)) else { return false };
        self.metrics.refused_connections.get_or_create(&"gave_way".into()).inc();
        // It may have ended by itself, which is as good.
        let _ = open.tell.send(());
        true
    }

    /// Which connection gives way to a newcomer: see the documentation of the server.
    fn gives_way(&self, newcomer: IpAddr) -> Option<Id> {
        let mut counts: HashMap<IpAddr, usize> = HashMap::new();
        for open in self.open.values() {
            *counts.entry(open.peer).or_default() += 1;
        }
        let count = |peer: &IpAddr| counts.get(peer).copied().unwrap_or_default();
        let own = count(&newcomer);
        let candidates = self.open.iter().filter(|(_, open)| match open.activity.phase() {
            Phase::Idle if open.peer == newcomer && !open.activity.has_unread() => true,
            Phase::Body | Phase::Answer if open.activity.since().elapsed() < PATIENCE => false,
            _ => count(&open.peer) > own,
        });
        let longest = |open: &Open| (count(&open.peer), std::cmp::Reverse(open.activity.since()));
        candidates.max_by_key(|(_, open)| longest(open)).map(|(id, _)| *id)
    }

    /// Waits for one to end, for ever when there is none.
    pub(super) async fn ended(&mut self) {
        match self.tasks.join_next_with_id().await {
            Some(ended) => self.forget(ended),
            None => std::future::pending().await,
        }
    }

    /// Lets all of them finish what they are at.
    pub(super) async fn finish(mut self) {
        // Dropped, so that they end when they are idle.
        self.open.clear();
        while let Some(ended) = self.tasks.join_next_with_id().await {
            self.forget(ended);
        }
    }

    fn forget(&mut self, ended: Result<(Id, ()), JoinError>) {
        let id = match ended {
            Ok((id, ())) => id,
            Err(error) => {
                // What the panic says may quote what was sent.
                tracing::error!("a connection panicked, which is a bug of this software");
                error.id()
            }
        };
        self.open.remove(&id);
        self.metrics.connections.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FLOOD: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));
    const OTHER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 2));

    /// Connections that wait for the answer to a request, all of one address.
    fn full_of(phase: Phase) -> Connections {
        let mut connections =
            Connections::new(Limits { connections: 4, ..Limits::ADMISSION }, Metrics::default());
        for _ in 0..4 {
            admit(&mut connections, FLOOD, phase);
        }
        connections
    }

    /// Admits one that stays until it is told, and says whether it got in.
    fn admit(connections: &mut Connections, peer: IpAddr, phase: Phase) -> bool {
        let before = connections.tasks.len();
        connections.admit(peer, |activity, told| {
            activity.enter(phase);
            async move {
                let _ = told.await;
            }
        });
        connections.tasks.len() > before
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_may_take_two_seconds_before_its_connection_gives_way() {
        let mut connections = full_of(Phase::Answer);
        assert!(!admit(&mut connections, OTHER, Phase::Idle));
        tokio::time::advance(PATIENCE).await;
        assert!(!admit(&mut connections, FLOOD, Phase::Idle), "not to its own address");
        assert!(admit(&mut connections, OTHER, Phase::Idle));
        connections.ended().await;
        assert_eq!((connections.open.len(), connections.tasks.len()), (4, 4));
    }

    #[tokio::test(start_paused = true)]
    async fn addresses_come_to_have_as_many_connections_each() {
        for phase in [Phase::Handshake, Phase::Idle, Phase::Head] {
            let mut connections = full_of(phase);
            for has_room in [true, true, false] {
                assert_eq!(admit(&mut connections, OTHER, Phase::Answer), has_room, "{phase:?}");
                if has_room {
                    connections.ended().await;
                }
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_sent_and_not_read_yet_is_not_lost_to_the_same_address() {
        let mut connections = full_of(Phase::Idle);
        for open in connections.open.values() {
            open.activity.wait_for_turn();
        }
        assert!(!admit(&mut connections, FLOOD, Phase::Idle));
        for open in connections.open.values() {
            open.activity.begin_turn();
        }
        assert!(admit(&mut connections, FLOOD, Phase::Idle));
        connections.finish().await;
    }

    #[tokio::test(start_paused = true)]
    async fn only_so_many_are_about_to_end() {
        let mut connections = full_of(Phase::Idle);
        // Nobody has been polled since, so nobody has ended.
        assert!(admit(&mut connections, OTHER, Phase::Idle));
        assert!(!admit(&mut connections, OTHER, Phase::Idle));
        connections.finish().await;
    }
}
