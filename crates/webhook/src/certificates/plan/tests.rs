use proptest::prelude::*;

use super::*;

mod world;
use world::{Event, World};

/// Leaves of a minute, an authority of ten.
const COMPRESSED: Lifetimes =
    Lifetimes { leaf: 60, authority: 600, backdate: 10, settle: 3, between_writes: 5, poll: 2 };

const NOW: Seconds = 1_000_000;

fn root(name: &str, from: Seconds, until: Seconds) -> Root {
    Root { der: name.as_bytes().to_vec(), from, until }
}

fn bundle(roots: &[&Root]) -> Bundle {
    Bundle { roots: roots.iter().map(|&root| root.clone()).collect(), has_garbage: false }
}

fn observed(authorities: &[&Root], mutating: Seen<Vec<Bundle>>) -> Observed {
    let authorities = Seen::There(authorities.iter().map(|&root| root.clone()).collect());
    Observed { now: NOW, authorities, mutating, validating: Seen::NotThere }
}

/// A planner that serves a certificate which was signed `age` ago.
fn serving(authority: &Root, age: Seconds) -> Planner {
    let mut planner = Planner::new(COMPRESSED);
    let until = authority.until.min(NOW - age + COMPRESSED.leaf);
    planner.issued(Leaf { authority: authority.clone(), from: NOW - age, until });
    planner
}

fn issue(authority: &Root) -> Step {
    Step::Issue { authority: authority.clone(), until: authority.until.min(NOW + COMPRESSED.leaf) }
}

fn store(keep: &[&Root]) -> Step {
    Step::StoreAuthority { keep: keep.iter().map(|&root| root.clone()).collect() }
}

fn register(bundles: &[&[&Root]]) -> Step {
    let bundles = bundles.iter().map(|roots| roots.iter().map(|&root| root.clone()).collect()).collect();
    Step::Register { object: Object::Mutating, bundles }
}

#[test]
fn a_first_replica() {
    let ca = root("ca", NOW - 10, NOW + 600);
    let old = root("old", NOW - 500, NOW + 100);
    let (expired, future) = (root("expired", NOW - 610, NOW), root("future", NOW + 1, NOW + 600));
    let there = |bundles: &[Bundle]| Seen::There(bundles.to_vec());
    let empty = Bundle::default();
    for (what, seen, expected) in [
        ("an empty Secret is filled", observed(&[], there(std::slice::from_ref(&empty))), store(&[])),
        ("nothing usable in the Secret", observed(&[&expired, &future], Seen::NotThere), store(&[])),
        (
            "the authority is registered",
            observed(&[&ca], there(std::slice::from_ref(&empty))),
            register(&[&[&ca]]),
        ),
        ("in all entries", observed(&[&ca], there(&[bundle(&[&ca]), empty])), register(&[&[&ca], &[&ca]])),
        ("somebody else's stay", observed(&[&ca], there(&[bundle(&[&old])])), register(&[&[&old, &ca]])),
        ("expired ones do not", observed(&[&ca], there(&[bundle(&[&expired])])), register(&[&[&ca]])),
        ("it was read back", observed(&[&ca], there(&[bundle(&[&ca])])), issue(&ca)),
        ("nobody to be registered with", observed(&[&ca], Seen::NotThere), issue(&ca)),
        ("no entry of ours", observed(&[&ca], there(&[])), issue(&ca)),
        ("the configuration is unknown", observed(&[&ca], Seen::Unknown), Step::Wait(2)),
        ("the older one is registered", observed(&[&ca, &old], there(&[bundle(&[&old])])), issue(&old)),
        (
            "the Secret is unknown",
            Observed { authorities: Seen::Unknown, ..observed(&[], there(&[Bundle::default()])) },
            Step::Wait(2),
        ),
        (
            "there is no Secret",
            Observed { authorities: Seen::NotThere, ..observed(&[], there(&[Bundle::default()])) },
            Step::Wait(2),
        ),
        (
            "the other configuration counts as much",
            Observed {
                validating: there(&[Bundle::default()]),
                ..observed(&[&ca], there(&[bundle(&[&ca])]))
            },
            Step::Register { object: Object::Validating, bundles: vec![vec![ca.clone()]] },
        ),
    ] {
        assert_eq!(Planner::new(COMPRESSED).next(&seen), expected, "{what}");
    }
}

#[test]
fn a_replica_that_serves() {
    let [ca, other] = ["ca", "other"].map(|name| root(name, NOW - 10, NOW + 600));
    let due = root("due", NOW - 410, NOW + 200);
    let (ending, expired) = (root("ending", NOW - 600, NOW + 10), root("expired", NOW - 620, NOW - 10));
    let in_it = |roots: &[&Root]| Seen::There(vec![bundle(roots)]);
    for (what, planner, seen, expected) in [
        ("nothing to do", serving(&ca, 39), observed(&[&ca], in_it(&[&ca])), Step::Wait(2)),
        ("a third is left", serving(&ca, 40), observed(&[&ca], in_it(&[&ca])), issue(&ca)),
        ("unknown, and a third is left", serving(&ca, 40), observed(&[&ca], Seen::Unknown), issue(&ca)),
        ("somebody emptied it", serving(&ca, 0), observed(&[&ca], in_it(&[])), register(&[&[&ca]])),
        (
            "what is served stays registered while the Secret is lost",
            serving(&ca, 0),
            Observed { authorities: Seen::NotThere, ..observed(&[], in_it(&[])) },
            register(&[&[&ca]]),
        ),
        (
            "garbage goes",
            serving(&ca, 0),
            observed(&[&ca], Seen::There(vec![Bundle { has_garbage: true, ..bundle(&[&ca]) }])),
            register(&[&[&ca]]),
        ),
        (
            "an expired one goes",
            serving(&ca, 0),
            observed(&[&ca], in_it(&[&expired, &ca])),
            register(&[&[&ca]]),
        ),
        ("the authority is renewed", serving(&due, 0), observed(&[&due], in_it(&[&due])), store(&[&due])),
        (
            "and registered",
            serving(&due, 0),
            observed(&[&ca, &due], in_it(&[&due])),
            register(&[&[&due, &ca]]),
        ),
        (
            "and only used once API servers had time to read it",
            serving(&due, 0),
            observed(&[&ca, &due], in_it(&[&due, &ca])),
            Step::Wait(2),
        ),
        (
            "without waiting when the one that is served is not registered",
            serving(&other, 0),
            observed(&[&ca], in_it(&[&ca])),
            issue(&ca),
        ),
        ("or has expired", serving(&ca, 60), observed(&[&ca], in_it(&[&ca])), issue(&ca)),
        (
            "back to one that is registered",
            serving(&ca, 0),
            observed(&[&ca, &due], in_it(&[&due])),
            issue(&due),
        ),
        (
            "nothing is gained from an authority that ends itself",
            serving(&ending, 50),
            Observed { authorities: Seen::There(vec![ending.clone()]), ..observed(&[], in_it(&[&ending])) },
            store(&[&ending]),
        ),
    ] {
        let mut planner = planner;
        assert_eq!(planner.next(&seen), expected, "{what}");
    }
}

#[test]
fn a_new_authority_is_used_once_it_has_settled() {
    let (ca, due) = (root("ca", NOW - 10, NOW + 600), root("due", NOW - 410, NOW + 200));
    let mut planner = serving(&due, 0);
    let mut seen = observed(&[&ca, &due], Seen::There(vec![bundle(&[&due, &ca])]));
    assert_eq!(planner.next(&seen), Step::Wait(2));
    seen.now += 2;
    assert_eq!(planner.next(&seen), Step::Wait(1));
    // Not to be known for a moment changes nothing.
    let unknown = Observed { mutating: Seen::Unknown, ..seen.clone() };
    assert!(matches!(planner.next(&unknown), Step::Wait(_)));
    seen.now += 3;
    let until = seen.now + 60;
    assert!(matches!(planner.next(&seen), Step::Wait(_) | Step::Issue { .. }));
    seen.now += 3;
    let step = planner.next(&seen);
    assert_eq!(step, Step::Issue { authority: ca, until: until + 3 });
}

#[test]
fn one_write_in_a_while() {
    let ca = root("ca", NOW - 10, NOW + 600);
    let mut planner = serving(&ca, 0);
    let mut seen = observed(&[&ca], Seen::There(vec![Bundle::default()]));
    let whole = Observed { mutating: Seen::There(vec![bundle(&[&ca])]), ..seen.clone() };
    assert_eq!(planner.next(&seen), register(&[&[&ca]]));
    planner.wrote(Object::Mutating, NOW);
    for (after, expected) in [(0, Step::Wait(2)), (4, Step::Wait(1)), (5, register(&[&[&ca]]))] {
        seen.now = NOW + after;
        assert_eq!(planner.next(&seen), expected, "{after}");
    }
    // Somebody else's counts.
    let whole = Observed { now: seen.now, ..whole };
    assert_eq!(planner.next(&whole), Step::Wait(2));
    seen.now += 3;
    assert_eq!(planner.next(&seen), Step::Wait(2));
    seen.now += 2;
    assert_eq!(planner.next(&seen), register(&[&[&ca]]));
    // A clock that jumps back, as when another API server answers, does not stop it for ever.
    planner.wrote(Object::Mutating, seen.now + 3600);
    assert_eq!(planner.next(&seen), register(&[&[&ca]]));
}

#[test]
fn lifetimes_fit_each_other() {
    for lifetimes in [Lifetimes::default(), COMPRESSED] {
        assert!(
            lifetimes.leaf < lifetimes.authority / 3,
            "a leaf must not outlive what is left of its authority"
        );
        assert!(lifetimes.settle < lifetimes.leaf / 3);
        assert!(lifetimes.poll < lifetimes.leaf / 3);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever the order in which replicas read and write: nothing that is served is ever untrusted or expired, and
    /// nobody writes without need.
    #[test]
    fn undisturbed(replicas in 1_usize..6, order in prop::collection::vec((any::<prop::sample::Index>(), 0_i64..3), 400..1600)) {
        let mut world = World::new(COMPRESSED, replicas);
        world.apply(&Event::Configure { object: Object::Mutating, entries: 3 });
        world.apply(&Event::Configure { object: Object::Validating, entries: 1 });
        let mut started = false;
        for (i, (replica, seconds)) in order.iter().enumerate() {
            // Each gets its turn in every round, one of them one more.
            world.turn(i % replicas);
            world.turn(replica.index(replicas));
            if i % replicas == 0 {
                world.advance(*seconds);
            }
            started = started || world.all_ready();
            if started {
                prop_assert!(world.all_ready(), "{world:#?}");
            }
            for served in world.served() {
                prop_assert!(world.is_trusted(served), "{world:#?}");
            }
        }
        prop_assert!(started);
        let rotations = 1 + world.elapsed() / 380;
        prop_assert!(world.writes(Object::Secret) <= rotations);
        prop_assert!(world.writes(Object::Mutating) <= 2 * rotations, "{}", world.writes(Object::Mutating));
        prop_assert!(world.writes(Object::Validating) <= 2 * rotations);
    }

    /// After everything that others can do to the objects, it comes right, and then it is quiet.
    #[test]
    fn disturbed(replicas in 1_usize..6, events in prop::collection::vec(world::event(), 0..400)) {
        let mut world = World::new(COMPRESSED, replicas);
        for event in &events {
            world.apply(event);
        }
        let bound = replicas as i64 * (1 + world.restarts()) * (1 + world.elapsed() / COMPRESSED.between_writes);
        for object in Object::ALL {
            prop_assert!(world.writes(object) <= bound);
        }
        world.repair();
        let mut writes = Vec::new();
        for _ in 0..90 {
            for _ in 0..8 {
                (0..replicas).for_each(|replica| world.turn(replica));
            }
            world.advance(1);
            writes.push(Object::ALL.map(|object| world.writes(object)));
        }
        prop_assert!(world.all_ready(), "{world:#?}");
        // Replicas that undo each other's writes would write every so often; a renewal may fall into one.
        let longest = 3 * COMPRESSED.between_writes as usize;
        let quiet = writes.windows(longest).filter(|window| window.first() == window.last()).count();
        prop_assert!(quiet > 0, "{writes:?}");
    }

    /// Somebody keeps emptying `caBundle`: one write in a while over all replicas, as long as they see each other's.
    #[test]
    fn attacked(replicas in 1_usize..6, times in prop::collection::vec(0_i64..3, 30..300)) {
        let mut world = World::new(COMPRESSED, replicas);
        world.apply(&Event::Configure { object: Object::Mutating, entries: 2 });
        let start = world.elapsed();
        for seconds in times {
            world.apply(&Event::Empty { object: Object::Mutating, entry: 0 });
            for _ in 0..2 * 4 {
                (0..replicas).for_each(|replica| world.turn(replica));
            }
            world.advance(seconds);
        }
        let due = (world.elapsed() - start) / COMPRESSED.between_writes + 2;
        // A rotation's are made in the same writes.
        prop_assert!(world.writes(Object::Mutating) <= due, "{} > {due}", world.writes(Object::Mutating));
        prop_assert!(world.served().count() == replicas);
    }
}
