use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};

use proptest::prelude::*;

use super::super::record::MAX_RECORD;
use super::*;

/// That of the settings' default.
const PREFIX: &str = "eks.amazonaws.com";

fn object(name: &str, version: u64, annotations: &[(&str, &str)]) -> ServiceAccount<'static> {
    let owned = |text: &str| Cow::Owned(text.to_owned());
    ServiceAccount {
        namespace: Cow::Borrowed("shop"),
        name: owned(name),
        version: Some(version),
        annotations: Some(annotations.iter().map(|(key, value)| (owned(key), owned(value))).collect()),
    }
}

fn held(annotations: &[(&str, &str)]) -> Held {
    if annotations.is_empty() {
        return Held::Bare;
    }
    Held::Annotated(object("", 0, annotations).held_annotations(PREFIX))
}

fn counts(annotated: usize, bare: usize, left_out: usize) -> Counts {
    Counts { annotated, bare, left_out }
}

impl Store {
    /// Bytes that are allocated, exactly.
    fn allocated(&self) -> usize {
        let shards = self.shards.iter().map(|shard| {
            let shard = shard.read().unwrap();
            let records: usize = shard.annotated.iter().map(Record::size).sum();
            records + shard.annotated.allocation_size() + shard.bare.allocation_size()
        });
        shards.sum::<usize>() + self.shards.len() * size_of::<RwLock<Shard>>()
    }
}

#[test]
fn annotations_come_and_go() {
    let store = Store::new(PREFIX);
    let role = [("role-arn", "arn:aws:iam::111122223333:role/x"), ("region", "")];
    assert_eq!(store.held("shop", "api"), Held::Missing);
    for (version, annotations) in [(2, &[][..]), (3, &role[..]), (4, &role[1..]), (5, &[]), (6, &role)] {
        store.changed(&object("api", version, annotations));
        assert_eq!(store.held("shop", "api"), held(annotations), "{version}");
        assert_eq!(store.held("shop", "ap"), Held::Missing);
        assert_eq!(store.held("shopa", "pi"), Held::Missing);
    }
    assert_eq!(store.counts(), counts(1, 0, 0));
    store.deleted(&object("api", 7, &[]));
    assert_eq!(store.held("shop", "api"), Held::Missing);
    assert_eq!(store.counts(), counts(0, 0, 0));
    store.changed(&object("api", 8, &[]));
    assert_eq!(store.held("shop", "api"), Held::Bare);
    store.deleted(&object("api", 9, &role));
    assert_eq!(store.held("shop", "api"), Held::Missing);
    assert_eq!(store.counts(), counts(0, 0, 0));
}

#[test]
fn what_a_list_does_not_have_is_gone_also_after_one_that_broke_off() {
    let store = Store::new(PREFIX);
    let role = [("role-arn", "x")];
    for (name, annotations) in [("a", &role[..]), ("b", &[]), ("c", &role), ("d", &[])] {
        store.changed(&object(name, 1, annotations));
    }
    assert!(!store.is_complete());
    store.begin();
    store.changed(&object("a", 1, &role));
    store.changed(&object("b", 1, &[]));
    store.begin();
    store.changed(&object("c", 1, &role));
    store.changed(&object("d", 1, &[]));
    // Until the list is complete, what was held is held.
    assert_eq!(store.held("shop", "a"), held(&role));
    store.complete(Some(9));
    let all = ["a", "b", "c", "d"].map(|name| store.held("shop", name));
    assert_eq!(all, [Held::Missing, Held::Missing, held(&role), Held::Bare]);
    assert_eq!(store.counts(), counts(1, 1, 0));
    assert!(store.is_complete());
}

#[test]
fn what_is_too_large_is_not_held_and_counted() {
    let store = Store::new(PREFIX);
    let large = "x".repeat(MAX_RECORD);
    store.changed(&object("a", 1, &[("role-arn", "x")]));
    store.changed(&object("a", 2, &[("role-arn", &large)]));
    assert_eq!(store.held("shop", "a"), Held::Missing);
    let unreadable = ServiceAccount { annotations: None, ..object("b", 3, &[]) };
    store.changed(&object("b", 2, &[]));
    store.changed(&unreadable);
    assert_eq!(store.held("shop", "b"), Held::Missing);
    assert_eq!(store.counts(), counts(0, 0, 2));
    // Handed out nevertheless.
    let found = store.found(&object("a", 9, &[("role-arn", &large)]));
    assert_eq!(Held::Annotated(found), held(&[("role-arn", &large)]));
    store.begin();
    store.complete(Some(10));
    assert_eq!(store.counts(), counts(0, 0, 0));
}

#[test]
fn bytes_are_bounded_whatever_is_there() {
    let store = Store::new(PREFIX);
    let large = "x".repeat(MAX_RECORD - 100);
    for i in 0..4000 {
        store.changed(&object(&i.to_string(), i, &[("role-arn", &large)]));
    }
    let Counts { annotated, left_out, .. } = store.counts();
    assert_eq!(annotated + left_out, 4000);
    assert!(left_out > 0);
    assert!(store.allocated() < MAX_BYTES + (1 << 20), "{}", store.allocated());
    for i in 0..4000 {
        store.deleted(&object(&i.to_string(), 4000 + i, &[]));
    }
    assert_eq!(store.counts().annotated, 0);
    store.changed(&object("a", 9000, &[("role-arn", &large)]));
    assert_eq!(store.counts().annotated, 1);
}

#[test]
fn a_bare_service_account_costs_at_most_24_bytes() {
    let store = Store::new(PREFIX);
    let mut worst = 0.0_f64;
    for i in 1..=200_000 {
        store.changed(&object(&i.to_string(), i, &[]));
        if i >= 20_000 && i % 1000 == 0 {
            worst = worst.max(store.allocated() as f64 / i as f64);
        }
    }
    assert!(worst <= 24.0, "{worst}");
    assert_eq!(store.counts(), counts(0, 200_000, 0));
    // Growing takes one shard at a time.
    let largest =
        store.shards.iter().map(|shard| shard.read().unwrap().bare.allocation_size()).max().unwrap();
    assert!(largest * 100 < store.allocated(), "{largest}");

    // As if there were so many.
    store.progress().counts.bare = MAX_BARE;
    store.changed(&object("one-more", 1, &[]));
    assert_eq!(store.counts(), counts(0, MAX_BARE, 1));
    assert_eq!(store.held("shop", "one-more"), Held::Missing);

    // Most of the cluster is deleted.
    store.begin();
    store.changed(&object("1", 1, &[]));
    store.complete(Some(2));
    assert_eq!(store.counts(), counts(0, 1, 0));
    assert!(store.allocated() < 30_000, "{}", store.allocated());
}

#[test]
fn an_annotated_service_account_costs_its_text_and_at_most_48_bytes() {
    let store = Store::new(PREFIX);
    let role = "arn:aws:iam::111122223333:role/some-role-of-a-team";
    let mut worst = 0.0_f64;
    let mut text = 0;
    for i in 1..=50_000 {
        let name = format!("service-account-{i}");
        store.changed(&object(&name, i, &[("role-arn", role)]));
        text += "shop".len() + name.len() + "role-arn".len() + role.len();
        if i >= 10_000 && i % 1000 == 0 {
            worst = worst.max((store.allocated() - text) as f64 / i as f64);
        }
    }
    assert!(worst <= 48.0, "{worst}");

    // Listed again, it takes nothing more, not even meanwhile.
    let allocated = store.allocated();
    store.begin();
    for i in 1..=50_000 {
        store.changed(&object(&format!("service-account-{i}"), i, &[("role-arn", role)]));
        if i % 1000 == 0 {
            assert_eq!(store.allocated(), allocated);
        }
    }
    store.complete(Some(50_000));
    assert_eq!((store.counts(), store.allocated()), (counts(50_000, 0, 0), allocated));
}

/// What happens in a cluster, and in which order we hear of it.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// Somebody makes or changes a ServiceAccount.
    Put(u8, u8),
    Delete(u8),
    /// The watch tells of the next change.
    Hear,
    Bookmark,
    /// A list begins, perhaps instead of one that is read.
    List,
    /// The API server answers with the list's next item; what it lists is settled with the first.
    Item,
    ListEnds,
    /// The API server answers a live read.
    Read(u8),
    /// The oldest answer arrives.
    Answered,
}

fn step() -> impl Strategy<Value = Step> {
    let name = 0..4_u8;
    prop_oneof![
        4 => (name.clone(), 0..3_u8).prop_map(|(name, annotations)| Step::Put(name, annotations)),
        2 => name.clone().prop_map(Step::Delete),
        4 => Just(Step::Hear),
        1 => Just(Step::Bookmark),
        1 => Just(Step::List),
        3 => Just(Step::Item),
        1 => Just(Step::ListEnds),
        3 => name.prop_map(Step::Read),
        3 => Just(Step::Answered),
    ]
}

type Object = (u64, u8);

#[derive(Default)]
struct Model {
    version: u64,
    objects: BTreeMap<u8, Object>,
    /// The version, the name, and what became of it.
    changes: Vec<(u64, u8, Option<u8>)>,
    heard: usize,
    list: Option<Listing>,
    answers: VecDeque<(u8, Object)>,
    /// The versions that answers had when they were taken over: from then on nothing older is held.
    taken_over: BTreeMap<u8, u64>,
}

#[derive(Default)]
struct Listing {
    snapshot: Option<(u64, VecDeque<(u8, Object)>)>,
}

fn annotations(number: u8) -> Vec<(&'static str, &'static str)> {
    [("role-arn", "x"), ("region", "y")].into_iter().take(number.into()).collect()
}

fn as_object(name: u8, (version, number): Object) -> ServiceAccount<'static> {
    object(&name.to_string(), version, &annotations(number))
}

impl Model {
    fn change(&mut self, name: u8, to: Option<u8>) {
        self.version += 1;
        match to {
            Some(number) => _ = self.objects.insert(name, (self.version, number)),
            None if self.objects.remove(&name).is_none() => return,
            None => {}
        }
        self.changes.push((self.version, name, to));
    }

    fn hear(&mut self, store: &Store) -> bool {
        let Some(&(version, name, to)) = self.changes.get(self.heard).filter(|_| self.list.is_none()) else {
            return false;
        };
        self.heard += 1;
        match to {
            Some(number) => store.changed(&as_object(name, (version, number))),
            None => store.deleted(&as_object(name, (version, 0))),
        }
        store.reached(version);
        true
    }

    fn item(&mut self, store: &Store) -> bool {
        let Some(list) = &mut self.list else { return false };
        let snapshot = || {
            (
                self.version,
                self.objects.iter().map(|(name, object)| (*name, *object)).collect::<VecDeque<_>>(),
            )
        };
        let (version, items) = list.snapshot.get_or_insert_with(snapshot);
        store.lists(Some(*version));
        match items.pop_front() {
            Some((name, object)) => store.changed(&as_object(name, object)),
            None => return false,
        }
        true
    }

    fn list_ends(&mut self, store: &Store) {
        while self.item(store) {}
        if let Some(Listing { snapshot: Some((version, _)) }) = self.list.take() {
            store.complete(Some(version));
            self.heard = self.changes.iter().filter(|(change, ..)| *change <= version).count();
        }
    }

    fn answered(&mut self, store: &Store) -> bool {
        let Some((name, object)) = self.answers.pop_front() else { return false };
        let stands = store.found(&as_object(name, object));
        // What is handed out was never older than what was read, or is what was read.
        let read = as_object(name, object).held_annotations(PREFIX);
        let later = self.changes.iter().filter(|(version, other, _)| *other == name && *version > object.0);
        let mut later = later.filter_map(|(_, _, to)| *to);
        assert!(
            stands == read || later.any(|to| as_object(name, (0, to)).held_annotations(PREFIX) == stands),
            "{stands:?} instead of {read:?}"
        );
        if store.held("shop", &name.to_string()) == held(&annotations(object.1)) {
            let version = self.taken_over.entry(name).or_default();
            *version = object.0.max(*version);
        }
        true
    }

    /// Nothing that is held is older than what an answer said.
    fn check_taken_over(&self, store: &Store) {
        for (name, version) in &self.taken_over {
            let mut since = self.changes.iter().filter(|(at, other, _)| other == name && at >= version);
            let held_now = store.held("shop", &name.to_string());
            let is_recent = since.any(|(_, _, to)| match to {
                Some(number) => held_now == held(&annotations(*number)),
                None => held_now == Held::Missing,
            });
            assert!(is_recent, "{name}: {held_now:?}");
        }
    }

    fn take(&mut self, step: Step, store: &Store) {
        match step {
            Step::Put(name, number) => self.change(name, Some(number)),
            Step::Delete(name) => self.change(name, None),
            Step::Hear => _ = self.hear(store),
            Step::Bookmark => {
                if self.list.is_none() {
                    while self.hear(store) {}
                    store.reached(self.version);
                }
            }
            Step::List => {
                self.list = Some(Listing::default());
                store.begin();
            }
            Step::Item => _ = self.item(store),
            Step::ListEnds => self.list_ends(store),
            Step::Read(name) => {
                if let Some(object) = self.objects.get(&name) {
                    self.answers.push_back((name, *object));
                }
            }
            Step::Answered => _ = self.answered(store),
        }
    }

    fn check(&self, store: &Store) {
        let mut expected = Counts::default();
        for name in 0..4 {
            let there = self.objects.get(&name).map(|(_, number)| annotations(*number));
            match &there {
                Some(annotations) if annotations.is_empty() => expected.bare += 1,
                Some(_) => expected.annotated += 1,
                None => {}
            }
            let there = there.map_or(Held::Missing, |annotations| held(&annotations));
            assert_eq!(store.held("shop", &name.to_string()), there, "{name}");
        }
        assert_eq!(store.counts(), expected);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    /// In whichever order lists, changes and answers come: in the end it is what there is.
    #[test]
    fn ends_up_with_what_there_is(steps in prop::collection::vec(step(), 0..60)) {
        let store = Store::new(PREFIX);
        let mut model = Model::default();
        model.take(Step::List, &store);
        for step in steps {
            model.take(step, &store);
            model.check_taken_over(&store);
        }
        model.list_ends(&store);
        while model.hear(&store) {}
        model.check(&store);
        // Answers that arrive late change nothing.
        while model.answered(&store) {}
        model.check(&store);
        prop_assert!(store.progress().ahead.is_empty());
    }
}
