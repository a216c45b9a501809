//! What is still missing before requests can be answered.

use std::sync::{Arc, Mutex, PoisonError};

/// The parts that are not there yet.
#[derive(Clone, Debug, Default)]
pub struct Readiness(Arc<Mutex<Vec<&'static str>>>);

/// A part that is not there yet.
#[derive(Debug)]
#[must_use = "a part that is never ready keeps the webhook from being ready"]
pub struct Pending {
    readiness: Readiness,
    part: &'static str,
}

impl Readiness {
    /// Names a part that has to be there first, such as `service accounts`.
    pub fn pending(&self, part: &'static str) -> Pending {
        self.parts().push(part);
        Pending { readiness: self.clone(), part }
    }

    /// The parts that are missing, in the order in which they were named.
    #[must_use]
    pub fn missing(&self) -> Vec<&'static str> {
        self.parts().clone()
    }

    fn parts(&self) -> std::sync::MutexGuard<'_, Vec<&'static str>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pending {
    /// The part is there.
    pub fn ready(self) {
        self.readiness.parts().retain(|part| *part != self.part);
    }
}
