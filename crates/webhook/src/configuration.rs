//! The settings as the webhook holds them: read once, used by every request until others take their place.

use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwap;
use pod_identity_core::mapping::{Index, Mapping};
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
    /// Of the mapping, which is not to be passed over for each request.
    mapping: OnceLock<Index<'static>>,
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
        let source = Source { text, arena: Arena::default(), mapping: OnceLock::new() };
        let document = Document::new(source, |source| {
            let (mut settings, found) = Settings::read(&source.text, &source.arena);
            problems = found;
            settings.check(&mut problems, &source.arena);
            settings.mapping = settings.mapping.map(|mapping| {
                Mapping::Index(source.mapping.get_or_init(|| Index::new(mapping.text().to_owned())))
            });
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
