//! Turns: so many connections are in the middle of something at once.
//!
//! A connection at rest holds ten kilobytes, one that reads and answers a review of twenty holds a hundred. So when many are
//! sent something at once, most wait until others are through, and what they were sent waits in the operating system. Nobody
//! reads without a turn. Whoever has one keeps it for the next request, with its buffers, unless somebody waits.
//!
//! A turn goes to the address that has fewest, of those to the one that has got none for longest, and there to the connection
//! that has waited longest. So a flood from one address keeps nobody else waiting for long. While somebody waits,
//!
//! - a connection at rest gives its turn back at once,
//! - one that waits itself, be it for its other side or for the API server, lends it after [`TICK`], as long as no more than
//!   [`LENT`] have that wait for their other side,
//! - and when there are more, those end that had to wait for [`PATIENCE`], from the first time they had to.

use std::collections::{HashMap, VecDeque};
use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::task::AtomicWaker;
use tokio::sync::Notify;
use tokio::time::sleep;

use super::activity::Activity;

/// So many have a turn at once. Each has 85 KB allocated when a review of 20 KB has come but for its last byte, and 64 KB
/// while it rests, not all of it touched (memcheck). More would not make more work of the processor, and an API server
/// rarely has more connections.
pub(super) const TURNS: usize = 32;
/// So many may be slow to send or to read besides.
const LENT: usize = 32;
/// How long one of too many may wait for its other side.
const PATIENCE: Duration = Duration::from_millis(500);
/// How often it is looked at who waits.
const TICK: Duration = Duration::from_millis(10);

/// The turns of a listener.
#[derive(Debug)]
pub(super) struct Turns {
    state: Mutex<State>,
    /// How many wait for a turn.
    waiting: AtomicUsize,
    /// Somebody does.
    begun: Notify,
}

#[derive(Debug)]
struct State {
    free: usize,
    /// How many have begun to wait.
    tickets: u64,
    /// Those who have a turn, or have lent it, or wait for one.
    peers: HashMap<IpAddr, Peer>,
}

#[derive(Debug, Default)]
struct Peer {
    /// The last ticket of those that got a turn.
    served: u64,
    has: Vec<Arc<Place>>,
    waits: VecDeque<(u64, Arc<Place>)>,
}

/// A connection's turn, if it has one. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Turn(Arc<Place>);

#[derive(Debug)]
struct Place {
    turns: Arc<Turns>,
    peer: IpAddr,
    activity: Activity,
    /// A [`Stage`]. Written under the lock.
    stage: AtomicU8,
    /// It rests, and has been asked for its turn.
    asked: AtomicBool,
    /// It is one of too many that are slow.
    ends: AtomicBool,
    waker: AtomicWaker,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
enum Stage {
    Rests,
    Waits,
    Has,
    /// It has begun, and another has its turn.
    Lent,
}

impl Turns {
    pub(super) fn new(count: usize) -> Arc<Self> {
        let state = State { free: count, tickets: 0, peers: HashMap::new() };
        Arc::new(Self { state: Mutex::new(state), waiting: AtomicUsize::new(0), begun: Notify::new() })
    }

    /// Sees to it, for ever, that nobody has a turn for nothing while others wait.
    pub(super) async fn watch(&self) -> Infallible {
        loop {
            while self.somebody_waits() {
                sleep(TICK).await;
                self.ask_all();
            }
            self.begun.notified().await;
        }
    }

    fn somebody_waits(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > 0
    }

    fn ask_all(&self) {
        let state = &mut *self.lock();
        let all = || state.peers.values().flat_map(|peer| &peer.has);
        let mut slow =
            all().filter(|place| place.is(Stage::Lent) && place.activity.keeps_waiting(TICK)).count();
        let (mut free, mut kept) = (0, 0);
        for place in all().filter(|place| place.is(Stage::Has)) {
            let is_slow = place.activity.keeps_waiting(TICK);
            if place.activity.is_at_rest() {
                place.ask();
            } else if place.activity.is_deciding_for(TICK) || is_slow && slow < LENT {
                place.enter(Stage::Lent);
                slow += usize::from(is_slow);
                free += 1;
            } else {
                kept += usize::from(is_slow);
            }
        }
        for place in all() {
            let ends = kept > 0 && place.activity.keeps_waiting(PATIENCE);
            place.ends.store(ends, Ordering::Relaxed);
            if ends {
                place.waker.wake();
            }
        }
        state.free += free;
        self.hand_out(state);
    }

    /// Gives free turns to those who wait.
    fn hand_out(&self, state: &mut State) {
        while state.free > 0 {
            let next = state.peers.values_mut().filter(|peer| !peer.waits.is_empty());
            let next = next.min_by_key(|peer| (peer.has.len(), peer.served));
            let Some((peer, (ticket, place))) =
                next.and_then(|peer| peer.waits.pop_front().map(|first| (peer, first)))
            else {
                return;
            };
            state.free -= 1;
            peer.served = ticket;
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            place.begin();
            place.waker.wake();
            peer.has.push(place);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    fn is(&self, stage: Stage) -> bool {
        self.stage.load(Ordering::Relaxed) == stage as u8
    }

    fn enter(&self, stage: Stage) {
        self.stage.store(stage as u8, Ordering::Relaxed);
    }

    fn begin(&self) {
        self.activity.begin_turn();
        self.asked.store(false, Ordering::Relaxed);
        self.ends.store(false, Ordering::Relaxed);
        self.enter(Stage::Has);
    }

    fn ask(&self) {
        self.asked.store(true, Ordering::Relaxed);
        self.waker.wake();
    }
}

impl Turn {
    /// For a connection from an address; it has no turn yet.
    pub(super) fn new(turns: &Arc<Turns>, peer: IpAddr, activity: Activity) -> Self {
        Self(Arc::new(Place {
            turns: Arc::clone(turns),
            peer,
            activity,
            stage: AtomicU8::new(Stage::Rests as u8),
            asked: AtomicBool::new(false),
            ends: AtomicBool::new(false),
            waker: AtomicWaker::new(),
        }))
    }

    /// It may read.
    pub(super) fn has_begun(&self) -> bool {
        self.0.is(Stage::Has) || self.0.is(Stage::Lent)
    }

    /// Ready once it may read.
    pub(super) fn poll_begin(&self, cx: &mut Context<'_>) -> Poll<()> {
        let Self(place) = self;
        if self.has_begun() {
            return Poll::Ready(());
        }
        place.waker.register(cx.waker());
        let state = &mut *place.turns.lock();
        if self.has_begun() {
            return Poll::Ready(());
        }
        if place.is(Stage::Waits) {
            return Poll::Pending;
        }
        let peer = state.peers.entry(place.peer).or_default();
        if let Some(free) = state.free.checked_sub(1) {
            state.free = free;
            place.begin();
            peer.has.push(Arc::clone(place));
            return Poll::Ready(());
        }
        state.tickets += 1;
        peer.waits.push_back((state.tickets, Arc::clone(place)));
        place.enter(Stage::Waits);
        place.activity.wait_for_turn();
        place.turns.waiting.fetch_add(1, Ordering::Relaxed);
        place.turns.begun.notify_one();
        // Most of the time somebody rests.
        let mut all = state.peers.values().flat_map(|peer| &peer.has);
        let rests = all.find(|other| other.activity.is_at_rest() && !other.asked.load(Ordering::Relaxed));
        rests.inspect(|other| other.ask());
        Poll::Pending
    }

    /// It waits until it may read.
    pub(super) fn waits(&self) -> bool {
        self.0.is(Stage::Waits)
    }

    /// It is to give its turn back when it rests.
    pub(super) fn is_wanted(&self) -> bool {
        self.0.turns.somebody_waits() || self.0.is(Stage::Lent)
    }

    /// Ready while it is to give its turn back when it rests.
    pub(super) fn poll_wanted(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.0.waker.register(cx.waker());
        // Who asked may have got another's by now.
        self.0.asked.store(false, Ordering::Relaxed);
        if self.is_wanted() { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Ready when it has to end, for it has kept all waiting.
    pub(super) fn poll_ends(&self, cx: &mut Context<'_>) -> Poll<()> {
        let Self(place) = self;
        place.waker.register(cx.waker());
        let ends = place.turns.somebody_waits() && place.ends.load(Ordering::Relaxed);
        if ends && place.activity.keeps_waiting(PATIENCE) { Poll::Ready(()) } else { Poll::Pending }
    }

    /// It rests from now on.
    pub(super) fn end(&self) {
        let Self(place) = self;
        // Only it begins to wait, and whoever does not gets no turn.
        if place.is(Stage::Rests) {
            return;
        }
        let turns = &*place.turns;
        let state = &mut *turns.lock();
        let Some(peer) = state.peers.get_mut(&place.peer) else { return };
        if place.is(Stage::Waits) {
            peer.waits.retain(|(_, other)| !Arc::ptr_eq(other, place));
            turns.waiting.fetch_sub(1, Ordering::Relaxed);
        } else {
            peer.has.retain(|other| !Arc::ptr_eq(other, place));
            state.free += usize::from(place.is(Stage::Has));
        }
        place.enter(Stage::Rests);
        if peer.has.is_empty() && peer.waits.is_empty() {
            state.peers.remove(&place.peer);
        }
        turns.hand_out(state);
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::task::Waker;

    use super::super::activity::Phase;
    use super::*;

    const FLOOD: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
    const OTHER: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2));
    const MOMENT: Duration = Duration::from_millis(1);

    struct Connection {
        turn: Turn,
        activity: Activity,
    }

    impl Connection {
        fn new(turns: &Arc<Turns>, peer: IpAddr) -> Self {
            let activity = Activity::new();
            activity.enter(Phase::Idle);
            Self { turn: Turn::new(turns, peer, activity.clone()), activity }
        }

        fn begins(&self) -> bool {
            self.turn.poll_begin(&mut Context::from_waker(Waker::noop())).is_ready()
        }

        /// Whether it is to give its turn back when it rests, and whether it is to end.
        fn hears(&self) -> (bool, bool) {
            let cx = &mut Context::from_waker(Waker::noop());
            (self.turn.poll_wanted(cx).is_ready(), self.turn.poll_ends(cx).is_ready())
        }

        /// It waits for its other side in the middle of something.
        fn waits(&self) {
            self.activity.enter(Phase::Body);
            self.activity.wait();
        }
    }

    fn connections(turns: &Arc<Turns>, peer: IpAddr, count: usize) -> Vec<Connection> {
        (0..count).map(|_| Connection::new(turns, peer)).collect()
    }

    fn begun(connections: &[Connection]) -> Vec<usize> {
        (0..connections.len()).filter(|i| connections[*i].begins()).collect()
    }

    /// Time goes on, and the turns are watched meanwhile.
    async fn pass(turns: &Turns, time: Duration) {
        let watched = tokio::time::timeout(time, turns.watch()).await;
        assert!(watched.is_err());
    }

    #[test]
    fn those_of_one_address_get_turns_in_the_order_they_came() {
        let turns = Turns::new(2);
        let all = connections(&turns, FLOOD, 5);
        assert_eq!(begun(&all), [0, 1]);
        all[0].turn.end();
        assert_eq!(begun(&all[1..]), [0, 1]);
        // One that leaves while it waits is passed over.
        all[3].turn.end();
        all[1].turn.end();
        all[2].turn.end();
        assert!(all[4].turn.has_begun());
        all[4].turn.end();
        assert_eq!(turns.lock().free, 2);
        assert!(turns.lock().peers.is_empty() && !turns.somebody_waits());
    }

    #[test]
    fn the_address_with_fewest_is_next() {
        let turns = Turns::new(3);
        let flood = connections(&turns, FLOOD, 20);
        assert_eq!(begun(&flood), [0, 1, 2]);
        let others = connections(&turns, OTHER, 2);
        assert!(begun(&others).is_empty());
        flood[0].turn.end();
        flood[1].turn.end();
        // As many each: whoever has waited longest.
        assert_eq!((begun(&flood[2..]).len(), begun(&others)), (2, vec![0]));
        others[0].turn.end();
        assert_eq!((begun(&flood[2..]).len(), begun(&others[1..])), (2, vec![0]));
    }

    #[test]
    fn one_at_rest_is_asked_at_once() {
        let turns = Turns::new(2);
        let (first, second) = (Connection::new(&turns, FLOOD), Connection::new(&turns, FLOOD));
        assert!(first.begins() && second.begins());
        first.activity.enter(Phase::Head);
        assert_eq!([first.hears(), second.hears()], [(false, false); 2]);
        let third = Connection::new(&turns, OTHER);
        assert!(!third.begins());
        assert!(second.turn.0.asked.load(Ordering::Relaxed) && !first.turn.0.asked.load(Ordering::Relaxed));
        assert_eq!([first.hears(), second.hears()], [(true, false); 2]);
        second.turn.end();
        assert!(third.begins());
        assert_eq!(first.hears(), (false, false));
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_waits_itself_lends_its_turn() {
        let turns = Turns::new(2);
        let (slow, deciding) = (Connection::new(&turns, FLOOD), Connection::new(&turns, FLOOD));
        assert!(slow.begins() && deciding.begins());
        slow.waits();
        deciding.activity.enter(Phase::Answer);
        pass(&turns, TICK * 5).await;
        assert!(slow.turn.0.is(Stage::Has) && deciding.turn.0.is(Stage::Has), "nobody else wants one");
        let others = connections(&turns, FLOOD, 3);
        assert!(begun(&others).is_empty());
        pass(&turns, TICK + MOMENT).await;
        assert_eq!(begun(&others), [0, 1]);
        // It goes on, and rests afterwards.
        assert!(slow.begins() && deciding.begins());
        others[2].turn.end();
        assert_eq!(
            [slow.hears(), deciding.hears(), others[0].hears()],
            [(true, false), (true, false), (false, false)]
        );
        for connection in [&slow, &deciding, &others[0], &others[1]] {
            connection.turn.end();
        }
        assert_eq!(turns.lock().free, 2, "what was lent is not given back twice");
    }

    #[tokio::test(start_paused = true)]
    async fn of_too_many_that_are_slow_those_end_that_have_been_for_long() {
        let turns = Turns::new(4);
        let slow = connections(&turns, FLOOD, LENT + 4);
        let mut rounds = 0;
        while begun(&slow).len() < slow.len() {
            slow.iter().filter(|connection| connection.begins()).for_each(Connection::waits);
            pass(&turns, TICK + MOMENT).await;
            rounds += 1;
        }
        assert_eq!(rounds, LENT / 4);
        slow.iter().for_each(Connection::waits);
        let others = connections(&turns, OTHER, 2);
        assert!(begun(&others).is_empty());
        pass(&turns, PATIENCE - MOMENT).await;
        assert!(slow.iter().all(|connection| !connection.hears().1));
        // One goes on just in time, so another may be as slow, and lend its turn.
        slow[0].activity.enter(Phase::Answer);
        pass(&turns, TICK * 2).await;
        assert_eq!(begun(&others), [0]);
        let ends: Vec<_> = (0..slow.len()).filter(|i| slow[*i].hears().1).collect();
        assert_eq!(ends, (1..slow.len()).collect::<Vec<_>>());
        slow[LENT + 3].turn.end();
        assert_eq!(begun(&others), [0, 1]);
        assert!(slow.iter().all(|connection| !connection.hears().1), "nobody waits any more");
    }
}
