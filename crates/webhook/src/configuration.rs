//! The settings as the webhook holds them: read once, used by every request until others take their place.

use std::sync::Arc;

use arc_swap::ArcSwap;
use pod_identity_core::{Arena, Mode, Problems, Settings};

/// The settings that hold now. Whoever reads newer ones stores them here.
pub type Published = Arc<ArcSwap<Configuration>>;

self_cell::self_cell!(
    struct Document {
        owner: Source,
        #[covariant]
        dependent: Modes,
    }
);

/// The settings as they are written, and with [`Mode::Verify`] whatever they say.
struct Modes<'a> {
    written: Settings<'a>,
    verifying: Settings<'a>,
}

struct Source {
    text: String,
    arena: Arena,
}

/// Settings, with the text that they were read from.
pub struct Configuration(Document);

// What `Configuration` hands out is shared between threads.
const _: fn() = || {
    fn is_shared<T: Send + Sync>() {}
    is_shared::<Settings<'_>>();
};

#[allow(
    unsafe_code,
    reason = "the arena is not Sync, but it is only reached while the settings are read: after that nobody but \
              its own drop touches it, and what points into it is Sync"
)]
/// SAFETY: see the reason above.
unsafe impl Sync for Configuration {}

impl Configuration {
    /// Reads settings as JSON.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with them, at once.
    pub fn read(text: String) -> Result<Self, Problems> {
        let mut problems = Problems::default();
        let document = Document::new(Source { text, arena: Arena::default() }, |source| {
            let (settings, found) = Settings::read(&source.text, &source.arena);
            problems = found;
            settings.check(&mut problems, &source.arena);
            Modes { verifying: Settings { mode: Mode::Verify, ..settings.clone() }, written: settings }
        });
        if problems.is_empty() { Ok(Self(document)) } else { Err(problems) }
    }

    /// The settings.
    #[must_use]
    pub fn settings(&self) -> &Settings<'_> {
        &self.0.borrow_dependent().written
    }

    /// The settings of `POST /validate`: the same, but that pods are only checked.
    #[must_use]
    pub fn verifying(&self) -> &Settings<'_> {
        &self.0.borrow_dependent().verifying
    }
}

impl std::fmt::Debug for Configuration {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.settings().fmt(f)
    }
}
