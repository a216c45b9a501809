//! What to do next: plain data in, one step out.
//!
//! The rule behind all of it: **a certificate is served only if its authority was read back from every entry that names
//! our service.** So an authority is stored first (the Secret), then registered (`caBundle`), and then used.

/// Seconds since the epoch.
pub type Seconds = i64;

/// How long things last, in seconds. Constants, but for tests, which cannot wait.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Lifetimes {
    /// Of the certificate that is served.
    pub leaf: Seconds,
    /// Of the certificate authority.
    pub authority: Seconds,
    /// How far back validity begins, for clocks that are behind.
    pub backdate: Seconds,
    /// From reading an authority back to serving a certificate of it, while another one holds: each API server has
    /// a cache of its own, which may be behind what was read.
    pub settle: Seconds,
    /// Between two writes to the same object.
    pub between_writes: Seconds,
    /// Between two looks, when no watch says that something changed.
    pub poll: Seconds,
}

impl Default for Lifetimes {
    fn default() -> Self {
        const DAY: Seconds = 24 * 3600;
        Self { leaf: 7 * DAY, authority: 365 * DAY, backdate: 3600, settle: 30, between_writes: 60, poll: 30 }
    }
}

/// A certificate that others are checked against.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Root {
    /// The certificate.
    pub(super) der: Vec<u8>,
    /// Not valid before.
    pub(super) from: Seconds,
    /// Not valid after.
    pub(super) until: Seconds,
}

impl Root {
    fn is_valid(&self, now: Seconds) -> bool {
        self.from <= now && now < self.until
    }

    /// A third of its time is left, or less.
    fn is_due(&self, now: Seconds) -> bool {
        is_due(self.from, self.until, now)
    }
}

/// The certificate that is served.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Leaf {
    /// Who signed it.
    pub(super) authority: Root,
    /// When it was signed.
    pub(super) from: Seconds,
    /// Not valid after.
    pub(super) until: Seconds,
}

/// What is known of an object.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Seen<T> {
    /// It was read.
    There(T),
    /// It is not there.
    NotThere,
    /// It could not be read.
    Unknown,
}

impl<T> Seen<T> {
    pub(super) fn map<U>(&self, read: impl FnOnce(&T) -> U) -> Seen<U> {
        match self {
            Self::There(content) => Seen::There(read(content)),
            Self::NotThere => Seen::NotThere,
            Self::Unknown => Seen::Unknown,
        }
    }
}

/// The `caBundle` of an entry that names our service.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Bundle {
    /// Its certificates.
    pub(super) roots: Vec<Root>,
    /// Whether there is something else in it.
    pub(super) has_garbage: bool,
}

/// What is written to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Object {
    /// The Secret.
    Secret,
    /// The MutatingWebhookConfiguration.
    Mutating,
    /// The ValidatingWebhookConfiguration of the same name.
    Validating,
}

impl Object {
    /// All of them.
    pub(super) const ALL: [Self; 3] = [Self::Secret, Self::Mutating, Self::Validating];

    /// Those with a `caBundle`.
    pub(super) const REGISTRATIONS: [Self; 2] = [Self::Mutating, Self::Validating];
}

/// Everything as it was read.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Observed {
    /// The API server's time: it is the one that checks validity, so replicas whose clocks are wrong agree.
    pub(super) now: Seconds,
    /// The authorities in the Secret with their keys, the newest first. What cannot be used is not among them.
    pub(super) authorities: Seen<Vec<Root>>,
    /// The entries that name our service, of the MutatingWebhookConfiguration.
    pub(super) mutating: Seen<Vec<Bundle>>,
    /// The same of the ValidatingWebhookConfiguration.
    pub(super) validating: Seen<Vec<Bundle>>,
}

impl Observed {
    fn bundles(&self, object: Object) -> &Seen<Vec<Bundle>> {
        if object == Object::Validating { &self.validating } else { &self.mutating }
    }

    fn is_known(&self, object: Object) -> bool {
        match object {
            Object::Secret => self.authorities != Seen::Unknown,
            Object::Mutating | Object::Validating => *self.bundles(object) != Seen::Unknown,
        }
    }

    /// Authorities that can sign.
    fn usable(&self) -> impl Iterator<Item = &Root> {
        let authorities = match &self.authorities {
            Seen::There(authorities) => authorities.as_slice(),
            Seen::NotThere | Seen::Unknown => &[],
        };
        authorities.iter().filter(|root| root.is_valid(self.now))
    }

    /// Whether an authority is in every entry. A configuration that is not there asks nobody; one that could not be
    /// read may hold anything.
    pub(super) fn is_registered(&self, root: &Root) -> bool {
        Object::REGISTRATIONS.iter().all(|&object| match self.bundles(object) {
            Seen::There(bundles) => bundles.iter().all(|bundle| bundle.roots.contains(root)),
            Seen::NotThere => true,
            Seen::Unknown => false,
        })
    }
}

/// What is to be done. After anything but waiting, everything is read again.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Step {
    /// Sign a certificate, and serve it.
    Issue {
        /// With this authority.
        authority: Root,
        /// Valid until then.
        until: Seconds,
    },
    /// Make an authority and store it before these, unless somebody was faster.
    StoreAuthority {
        /// Those that can still be used.
        keep: Vec<Root>,
    },
    /// Write each of our entries' `caBundle`, unless somebody was faster.
    Register {
        /// In which object.
        object: Object,
        /// One for each entry that names our service, in their order.
        bundles: Vec<Vec<Root>>,
    },
    /// Nothing, for so many seconds or until something changes.
    Wait(Seconds),
}

/// What a replica remembers.
#[derive(Clone, Debug)]
pub(super) struct Planner {
    lifetimes: Lifetimes,
    leaf: Option<Leaf>,
    /// Since when authorities were seen in every entry.
    registered: Vec<(Root, Seconds)>,
    /// The last write to each object, ours or one that was noticed; failed attempts count.
    writes: Vec<(Object, Seconds)>,
    /// Objects that lacked something when last read.
    lacking: Vec<Object>,
}

impl Planner {
    /// Of a replica that starts.
    #[must_use]
    pub(super) fn new(lifetimes: Lifetimes) -> Self {
        Self { lifetimes, leaf: None, registered: Vec::new(), writes: Vec::new(), lacking: Vec::new() }
    }

    /// What to do.
    pub(super) fn next(&mut self, seen: &Observed) -> Step {
        self.note(seen);
        if let Some(authority) = self.issuer(seen) {
            let until = authority.until.min(seen.now + self.lifetimes.leaf);
            return Step::Issue { authority: authority.clone(), until };
        }
        let mut wait = self.lifetimes.poll;
        for object in Object::ALL {
            let Some(step) = self.write(object, seen) else { continue };
            match self.pause(object, seen.now) {
                0 => return step,
                pause => wait = wait.min(pause),
            }
        }
        Step::Wait(wait.min(self.until_settled(seen)).max(1))
    }

    /// A certificate is served.
    pub(super) fn issued(&mut self, leaf: Leaf) {
        self.leaf = Some(leaf);
    }

    /// A write was tried, and failed for another reason than somebody else's being faster, or succeeded.
    pub(super) fn wrote(&mut self, object: Object, now: Seconds) {
        self.writes.retain(|(written, _)| *written != object);
        self.writes.push((object, now));
    }

    /// The certificate that is served.
    #[must_use]
    pub(super) fn leaf(&self) -> Option<&Leaf> {
        self.leaf.as_ref()
    }

    /// Whether callers accept what is served.
    #[must_use]
    pub(super) fn is_ready(&self, seen: &Observed) -> bool {
        self.leaf.as_ref().is_some_and(|leaf| seen.now < leaf.until && seen.is_registered(&leaf.authority))
    }

    fn note(&mut self, seen: &Observed) {
        let now = seen.now;
        let registered = std::mem::take(&mut self.registered);
        self.registered = (seen.usable().filter(|root| seen.is_registered(root)))
            .map(|root| {
                let before = registered.iter().find(|(known, _)| known == root);
                (root.clone(), before.map_or(now, |(_, since)| *since))
            })
            .collect();
        for object in Object::ALL.into_iter().filter(|object| seen.is_known(*object)) {
            let lacked = self.lacking.contains(&object);
            self.lacking.retain(|lacking| *lacking != object);
            if self.write(object, seen).is_some() {
                self.lacking.push(object);
            } else if lacked {
                // Somebody else's write counts as one's own: so there is one a minute, not one from each replica.
                self.wrote(object, now);
            }
        }
    }

    /// Whom to let sign a certificate now, if one is needed.
    fn issuer<'s>(&self, seen: &'s Observed) -> Option<&'s Root> {
        let mut registered = seen.usable().filter(|root| seen.is_registered(root));
        let Some(leaf) = &self.leaf else { return registered.next() };
        let holds = self.is_ready(seen);
        let issuer = registered
            .find(|root| !holds || self.is_settled(root, seen.now))
            // Nothing better is known: whoever trusted this one goes on to.
            .or_else(|| seen.usable().find(|root| **root == leaf.authority))?;
        let gains = issuer.until.min(seen.now + self.lifetimes.leaf) > leaf.until;
        let due = is_due(leaf.from, leaf.until, seen.now);
        (*issuer != leaf.authority || due && gains).then_some(issuer)
    }

    /// What an object lacks.
    fn write(&self, object: Object, seen: &Observed) -> Option<Step> {
        if object == Object::Secret {
            let Seen::There(_) = seen.authorities else { return None };
            let is_due = seen.usable().next().is_none_or(|newest| newest.is_due(seen.now));
            return is_due.then(|| Step::StoreAuthority { keep: seen.usable().cloned().collect() });
        }
        let Seen::There(bundles) = seen.bundles(object) else { return None };
        let served = self.leaf.iter().map(|leaf| &leaf.authority).filter(|root| root.is_valid(seen.now));
        let needed: Vec<&Root> = seen.usable().chain(served).collect();
        if needed.is_empty() {
            return None;
        }
        let wanted: Vec<_> = bundles.iter().map(|bundle| wanted(bundle, &needed, seen.now)).collect();
        let lacks = |(bundle, wanted): (&Bundle, &Vec<Root>)| bundle.has_garbage || bundle.roots != *wanted;
        (bundles.iter().zip(&wanted).any(lacks)).then_some(Step::Register { object, bundles: wanted })
    }

    /// Seconds until an object may be written.
    fn pause(&self, object: Object, now: Seconds) -> Seconds {
        let last = self.writes.iter().find(|(written, _)| *written == object);
        // API servers' clocks differ a little: a time to come is one that has just been.
        last.map_or(0, |(_, last)| (self.lifetimes.between_writes - (now - last).abs()).max(0))
    }

    fn is_settled(&self, root: &Root, now: Seconds) -> bool {
        let mut since = self.registered.iter().filter(|(known, _)| known == root).map(|(_, since)| *since);
        since.any(|since| now - since >= self.lifetimes.settle)
    }

    fn until_settled(&self, seen: &Observed) -> Seconds {
        let left = self.registered.iter().map(|(_, since)| since + self.lifetimes.settle - seen.now);
        left.filter(|left| *left > 0).min().unwrap_or(self.lifetimes.poll)
    }
}

fn is_due(from: Seconds, until: Seconds, now: Seconds) -> bool {
    (until - now).saturating_mul(3) <= until - from
}

/// What is there and not expired, somebody else's included (a certificate that was served before we came may be of
/// theirs), and what is needed.
fn wanted(bundle: &Bundle, needed: &[&Root], now: Seconds) -> Vec<Root> {
    let mut wanted: Vec<Root> = Vec::new();
    let kept = bundle.roots.iter().filter(|root| now < root.until);
    for root in kept.chain(needed.iter().copied()) {
        if !wanted.contains(root) {
            wanted.push(root.clone());
        }
    }
    wanted
}

#[cfg(test)]
mod tests;
