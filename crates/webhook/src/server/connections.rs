//! The connections of a listener: how many there are, and which gives way to another.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::{mpsc, oneshot};

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
    open: Arc<Register>,
    admitted: u64,
    /// Each connection holds one for as long as it is there.
    alive: mpsc::Sender<Infallible>,
    /// Hears it when no connection is there any more.
    ended: mpsc::Receiver<Infallible>,
}

/// Those that were not told anything yet, by the order in which they came.
#[derive(Default)]
struct Register(Mutex<HashMap<u64, Open>>);

struct Open {
    peer: IpAddr,
    activity: Activity,
    tell: oneshot::Sender<()>,
}

/// Strikes a connection off when it ends. It does so itself: the accept loop would be woken for each.
struct Presence {
    id: u64,
    open: Arc<Register>,
    count: Gauge,
    _alive: mpsc::Sender<Infallible>,
}

impl Register {
    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Open>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        self.open.lock().remove(&self.id);
        self.count.dec();
        if thread::panicking() {
            // What the panic says may quote what was sent.
            tracing::error!("a connection panicked, which is a bug of this software");
        }
    }
}

impl Connections {
    pub(super) fn new(limits: Limits, metrics: Metrics) -> Self {
        let (alive, ended) = mpsc::channel(1);
        Self { limits, metrics, open: Arc::default(), admitted: 0, alive, ended }
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
        self.admitted += 1;
        let (id, activity) = (self.admitted, Activity::new());
        let (tell, told) = oneshot::channel();
        self.open.lock().insert(id, Open { peer, activity: activity.clone(), tell });
        self.metrics.connections.inc();
        let (count, alive) = (self.metrics.connections.clone(), self.alive.clone());
        let presence = Presence { id, open: Arc::clone(&self.open), count, _alive: alive };
        let served = serve(activity, told);
        tokio::spawn(async move {
            let _presence = presence;
            served.await;
        });
    }

    /// How many there are, those that are about to end included.
    fn count(&self) -> usize {
        self.alive.strong_count() - 1
    }

    /// Whether there is room for a newcomer, after another may have been told to give way.
    fn has_room(&self, newcomer: IpAddr) -> bool {
        let mut open = self.open.lock();
        if open.len() < self.limits.connections {
            return true;
        }
        // Those that were told need a moment. When many do, nobody else is told.
        if self.count() >= self.limits.connections + self.limits.connections.div_ceil(8) {
            return false;
        }
        let Some(told) = gives_way(&open, newcomer).and_then(|id| open.remove(&id)) else {
            return false;
        };
        self.metrics.refused_connections.get_or_create(&"gave_way".into()).inc();
        // It may have ended by itself, which is as good.
        let _ = told.tell.send(());
        true
    }

    /// Lets all of them finish what they are at.
    pub(super) async fn finish(self) {
        let Self { open, alive, mut ended, .. } = self;
        // Dropped, so that they end when they are idle.
        open.lock().clear();
        drop(alive);
        let _ = ended.recv().await;
    }
}

/// Which connection gives way to a newcomer: see the documentation of the server.
fn gives_way(open: &HashMap<u64, Open>, newcomer: IpAddr) -> Option<u64> {
    let mut counts: HashMap<IpAddr, usize> = HashMap::new();
    for open in open.values() {
        *counts.entry(open.peer).or_default() += 1;
    }
    let count = |peer: &IpAddr| counts.get(peer).copied().unwrap_or_default();
    let own = count(&newcomer);
    let candidates = open.iter().filter(|(_, open)| match open.activity.phase() {
        Phase::Idle if open.peer == newcomer && !open.activity.has_unread() => true,
        Phase::Body | Phase::Answer if open.activity.since().elapsed() < PATIENCE => false,
        _ => count(&open.peer) > own,
    });
    let longest = |open: &Open| (count(&open.peer), std::cmp::Reverse(open.activity.since()));
    candidates.max_by_key(|(_, open)| longest(open)).map(|(id, _)| *id)
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
        let before = connections.count();
        connections.admit(peer, |activity, told| {
            activity.enter(phase);
            async move {
                let _ = told.await;
            }
        });
        connections.count() > before
    }

    /// Those that were told to do it end.
    async fn told_end(connections: &Connections) {
        while connections.count() > connections.open.lock().len() {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_may_take_two_seconds_before_its_connection_gives_way() {
        let mut connections = full_of(Phase::Answer);
        assert!(!admit(&mut connections, OTHER, Phase::Idle));
        tokio::time::advance(PATIENCE).await;
        assert!(!admit(&mut connections, FLOOD, Phase::Idle), "not to its own address");
        assert!(admit(&mut connections, OTHER, Phase::Idle));
        told_end(&connections).await;
        assert_eq!((connections.open.lock().len(), connections.count()), (4, 4));
    }

    #[tokio::test(start_paused = true)]
    async fn addresses_come_to_have_as_many_connections_each() {
        for phase in [Phase::Handshake, Phase::Idle, Phase::Head] {
            let mut connections = full_of(phase);
            for has_room in [true, true, false] {
                assert_eq!(admit(&mut connections, OTHER, Phase::Answer), has_room, "{phase:?}");
                if has_room {
                    told_end(&connections).await;
                }
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_sent_and_not_read_yet_is_not_lost_to_the_same_address() {
        let mut connections = full_of(Phase::Idle);
        for open in connections.open.lock().values() {
            open.activity.wait_for_turn();
        }
        assert!(!admit(&mut connections, FLOOD, Phase::Idle));
        for open in connections.open.lock().values() {
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

    #[tokio::test]
    async fn one_that_panics_is_struck_off() {
        let mut connections = full_of(Phase::Idle);
        connections.open.lock().clear();
        told_end(&connections).await;
        assert_eq!((connections.count(), connections.metrics.connections.get()), (0, 0));
        connections.admit(FLOOD, |_, _| async { panic!("as a bug would") });
        assert_eq!((connections.open.lock().len(), connections.metrics.connections.get()), (1, 1));
        while connections.count() > 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!((connections.open.lock().len(), connections.metrics.connections.get()), (0, 0));
        connections.finish().await;
    }
}
