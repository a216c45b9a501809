//! An API server with optimistic concurrency, replicas, and what others do to the objects.

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
struct Versioned<T> {
    version: u64,
    /// `None`: it is not there.
    content: Option<T>,
}

#[derive(Clone, Debug)]
struct Replica {
    planner: Planner,
    /// What was decided, and what it was decided from.
    decided: Option<(Step, Observed, [u64; 3])>,
}

#[derive(Clone, Debug)]
pub(super) struct World {
    lifetimes: Lifetimes,
    now: Seconds,
    secret: Versioned<Vec<Root>>,
    mutating: Versioned<Vec<Bundle>>,
    validating: Versioned<Vec<Bundle>>,
    replicas: Vec<Replica>,
    made: usize,
    written: Vec<Object>,
    restarts: i64,
}

/// What can happen.
#[derive(Clone, Debug)]
pub(super) enum Event {
    Turn { replica: usize, unknown: Option<Object> },
    Advance(Seconds),
    Restart(usize),
    Configure { object: Object, entries: usize },
    Unconfigure(Object),
    Empty { object: Object, entry: usize },
    Spoil { object: Object, entry: usize },
    EmptySecret,
    DeleteSecret,
    ForeignAuthority { from: Seconds, until: Seconds },
}

pub(super) fn event() -> impl Strategy<Value = Event> {
    let object = || prop::sample::select(&Object::ALL[..]);
    let registration = || prop::sample::select(&Object::REGISTRATIONS[..]);
    prop_oneof![
        30 => (0_usize..6, prop::option::weighted(0.1, object()))
            .prop_map(|(replica, unknown)| Event::Turn { replica, unknown }),
        6 => (0_i64..4).prop_map(Event::Advance),
        1 => (50_i64..700).prop_map(Event::Advance),
        1 => (0_usize..6).prop_map(Event::Restart),
        1 => (registration(), 0_usize..4).prop_map(|(object, entries)| Event::Configure { object, entries }),
        1 => registration().prop_map(Event::Unconfigure),
        2 => (registration(), 0_usize..4).prop_map(|(object, entry)| Event::Empty { object, entry }),
        1 => (registration(), 0_usize..4).prop_map(|(object, entry)| Event::Spoil { object, entry }),
        1 => Just(Event::EmptySecret),
        1 => Just(Event::DeleteSecret),
        1 => (-700_i64..100, -100_i64..700).prop_map(|(from, until)| Event::ForeignAuthority { from, until }),
    ]
}

impl World {
    pub(super) fn new(lifetimes: Lifetimes, replicas: usize) -> Self {
        let replica = Replica { planner: Planner::new(lifetimes), decided: None };
        Self {
            lifetimes,
            now: NOW,
            secret: Versioned { version: 1, content: Some(Vec::new()) },
            mutating: Versioned { version: 1, content: None },
            validating: Versioned { version: 1, content: None },
            replicas: vec![replica; replicas],
            made: 0,
            written: Vec::new(),
            restarts: 0,
        }
    }

    pub(super) fn apply(&mut self, event: &Event) {
        let now = self.now;
        match event {
            Event::Turn { replica, unknown } => self.turn_with(replica % self.replicas.len(), *unknown),
            Event::Advance(seconds) => self.advance(*seconds),
            Event::Restart(replica) => {
                let replica = replica % self.replicas.len();
                self.replicas[replica] = Replica { planner: Planner::new(self.lifetimes), decided: None };
                self.restarts += 1;
            }
            Event::Configure { object, entries } => {
                self.registration(*object).change(Some(vec![Bundle::default(); *entries]));
            }
            Event::Unconfigure(object) => self.registration(*object).change(None),
            Event::Empty { object, entry } => {
                self.change_bundle(*object, *entry, |bundle| *bundle = Bundle::default());
            }
            Event::Spoil { object, entry } => self.change_bundle(*object, *entry, |bundle| {
                bundle.has_garbage = true;
                bundle.roots.insert(0, root("foreign", now - 50, now + 50));
            }),
            Event::EmptySecret => self.secret.change(Some(Vec::new())),
            Event::DeleteSecret => self.secret.change(None),
            Event::ForeignAuthority { from, until } => {
                let foreign = root(&format!("foreign {}", self.made), now + from, now + until);
                self.made += 1;
                self.secret.change(Some(vec![foreign]));
            }
        }
    }

    /// A replica reads, or does what it decided when it last read.
    pub(super) fn turn(&mut self, replica: usize) {
        self.turn_with(replica, None);
    }

    fn turn_with(&mut self, replica: usize, unknown: Option<Object>) {
        match self.replicas[replica].decided.take() {
            Some((step, seen, versions)) => self.carry_out(replica, step, &seen, versions),
            None => {
                let seen = self.observe(unknown);
                let step = self.replicas[replica].planner.next(&seen);
                let versions = [self.secret.version, self.mutating.version, self.validating.version];
                self.replicas[replica].decided = Some((step, seen, versions));
            }
        }
    }

    fn observe(&self, unknown: Option<Object>) -> Observed {
        let seen = |object, content: &Versioned<Vec<Bundle>>| match &content.content {
            _ if unknown == Some(object) => Seen::Unknown,
            Some(content) => Seen::There(content.clone()),
            None => Seen::NotThere,
        };
        let authorities = match &self.secret.content {
            _ if unknown == Some(Object::Secret) => Seen::Unknown,
            Some(authorities) => Seen::There(authorities.clone()),
            None => Seen::NotThere,
        };
        let mutating = seen(Object::Mutating, &self.mutating);
        let validating = seen(Object::Validating, &self.validating);
        Observed { now: self.now, authorities, mutating, validating }
    }

    fn carry_out(&mut self, replica: usize, step: Step, seen: &Observed, versions: [u64; 3]) {
        let (object, is_new) = match step {
            Step::Wait(seconds) => {
                assert!(seconds > 0 && seconds <= self.lifetimes.poll);
                return;
            }
            Step::Issue { authority, until } => {
                let planner = &mut self.replicas[replica].planner;
                let same = planner.leaf().is_some_and(|leaf| leaf.authority == authority);
                assert!(same || registered(seen, &authority), "not read back: {authority:?}");
                assert!(until <= authority.until && until > seen.now);
                planner.issued(Leaf { authority, from: seen.now, until });
                return;
            }
            Step::StoreAuthority { keep } => {
                let is_new = self.secret.version == versions[0];
                if is_new {
                    let name = format!("made {}", self.made);
                    self.made += 1;
                    let Lifetimes { authority, backdate, .. } = self.lifetimes;
                    let made = root(&name, seen.now - backdate, seen.now + authority);
                    self.secret.change(Some([vec![made], keep].concat()));
                }
                (Object::Secret, is_new)
            }
            Step::Register { object, bundles } => {
                let version = if object == Object::Mutating { versions[1] } else { versions[2] };
                let registration = self.registration(object);
                let is_new = registration.version == version;
                if is_new {
                    let whole = |roots| Bundle { roots, has_garbage: false };
                    registration.change(Some(bundles.into_iter().map(whole).collect()));
                }
                (object, is_new)
            }
        };
        if is_new {
            self.written.push(object);
            self.replicas[replica].planner.wrote(object, seen.now);
        }
    }

    pub(super) fn advance(&mut self, seconds: Seconds) {
        self.now += seconds;
    }

    /// What somebody has to do before it can come right: the webhook does not create Secrets.
    pub(super) fn repair(&mut self) {
        if self.secret.content.is_none() {
            self.secret.change(Some(Vec::new()));
        }
    }

    pub(super) fn all_ready(&self) -> bool {
        let seen = self.observe(None);
        self.replicas.iter().all(|replica| replica.planner.is_ready(&seen))
    }

    pub(super) fn served(&self) -> impl Iterator<Item = &Leaf> {
        self.replicas.iter().filter_map(|replica| replica.planner.leaf())
    }

    /// As an API server checks it.
    pub(super) fn is_trusted(&self, leaf: &Leaf) -> bool {
        self.now < leaf.until
            && leaf.until <= leaf.authority.until
            && registered(&self.observe(None), &leaf.authority)
    }

    pub(super) fn elapsed(&self) -> Seconds {
        self.now - NOW
    }

    pub(super) fn restarts(&self) -> i64 {
        self.restarts
    }

    pub(super) fn writes(&self, object: Object) -> i64 {
        self.written.iter().filter(|written| **written == object).count() as i64
    }

    fn registration(&mut self, object: Object) -> &mut Versioned<Vec<Bundle>> {
        if object == Object::Validating { &mut self.validating } else { &mut self.mutating }
    }

    fn change_bundle(&mut self, object: Object, entry: usize, change: impl FnOnce(&mut Bundle)) {
        let registration = self.registration(object);
        let mut bundles = registration.content.clone();
        if let Some(bundle) = bundles.as_mut().and_then(|bundles| bundles.get_mut(entry)) {
            change(bundle);
            registration.change(bundles);
        }
    }
}

impl<T> Versioned<T> {
    fn change(&mut self, content: Option<T>) {
        self.version += 1;
        self.content = content;
    }
}

fn registered(seen: &Observed, root: &Root) -> bool {
    [&seen.mutating, &seen.validating].into_iter().all(|bundles| match bundles {
        Seen::There(bundles) => bundles.iter().all(|bundle| bundle.roots.contains(root)),
        Seen::NotThere => true,
        Seen::Unknown => false,
    })
}
