//! A volume: its name, and whether it holds the token that is asked for.

use alloc::vec::Vec;

use crate::json::{Scanner, members, names};
use crate::path::{NormalPath, Os};

use super::Slot;

/// What is read of a volume.
#[derive(Clone, Debug, Default)]
pub(crate) struct Volume<'a> {
    pub(crate) name: &'a str,
    /// What a projected volume is made of.
    sources: Vec<Source<'a>>,
}

/// A file that a projected volume holds.
#[derive(Clone, Debug)]
pub(crate) struct Source<'a> {
    path: &'a str,
    /// The audience, when it is a service account's token.
    audience: Option<&'a str>,
}

members!(Member { Name: "name", Projected: "projected" });

impl<'a> Volume<'a> {
    pub(super) fn read_all(s: &mut Scanner<'a>) -> (Vec<Self>, Slot) {
        let mut volumes = Vec::new();
        let Some(mut elements) = s.array() else { return (volumes, Slot::null(s)) };
        while elements.next(s) {
            volumes.push(Self::read(s));
        }
        (volumes, Slot::present(s, elements.count() == 0))
    }

    fn read(s: &mut Scanner<'a>) -> Self {
        let mut volume = Self::default();
        let Some(mut members) = s.object(Member::NAMES) else { return volume };
        while let Some(member) = members.next(s).and_then(Member::at) {
            match member {
                Member::Name => volume.name = s.text(),
                Member::Projected => read_projected(s, &mut volume.sources),
            }
        }
        volume
    }

    /// Whether it holds a token for this audience at this path, and nothing else writes there.
    pub(crate) fn serves(&self, path: &str, audience: &str, os: Os) -> bool {
        // Of most volumes that is all there is to see. In the policy, whose size counts, it is seen below.
        #[cfg(not(target_arch = "wasm32"))]
        if !self.sources.iter().any(|source| source.audience == Some(audience)) {
            return false;
        }
        let path = NormalPath::new(path, os);
        let mut at_path = self.sources.iter().filter(|source| NormalPath::new(source.path, os) == path);
        at_path.next().is_some_and(|source| source.audience == Some(audience)) && at_path.next().is_none()
    }
}

fn read_projected<'a>(s: &mut Scanner<'a>, sources: &mut Vec<Source<'a>>) {
    let Some(mut members) = s.object(names!["sources"]) else { return };
    while members.next(s).is_some() {
        let Some(mut elements) = s.array() else { continue };
        while elements.next(s) {
            read_source(s, sources);
        }
    }
}

members!(SourceMember {
    Audience: "audience",
    Path: "path",
    Items: "items",
    CredentialBundlePath: "credentialBundlePath",
    KeyPath: "keyPath",
    CertificateChainPath: "certificateChainPath",
});

/// Reads a source. Without items, what a secret or a config map writes are keys that are not known here.
fn read_source<'a>(s: &mut Scanner<'a>, sources: &mut Vec<Source<'a>>) {
    const SERVICE_ACCOUNT_TOKEN: usize = 0;
    let kinds = names![
        "serviceAccountToken",
        "secret",
        "configMap",
        "downwardAPI",
        "clusterTrustBundle",
        "podCertificate",
    ];
    let Some(mut members) = s.object(kinds) else { return };
    while let Some(kind) = members.next(s) {
        let (mut path, mut audience) = (None, "");
        let Some(mut members) = s.object(SourceMember::NAMES) else { continue };
        while let Some(member) = members.next(s).and_then(SourceMember::at) {
            match member {
                SourceMember::Path => path = s.optional_string(),
                SourceMember::Audience => audience = s.text(),
                SourceMember::Items => read_items(s, sources),
                SourceMember::CredentialBundlePath
                | SourceMember::KeyPath
                | SourceMember::CertificateChainPath => {
                    sources.extend(s.optional_string().map(|path| Source { path, audience: None }));
                }
            }
        }
        let audience = (kind == SERVICE_ACCOUNT_TOKEN).then_some(audience);
        sources.extend(path.map(|path| Source { path, audience }));
    }
}

fn read_items<'a>(s: &mut Scanner<'a>, sources: &mut Vec<Source<'a>>) {
    let Some(mut elements) = s.array() else { return };
    while elements.next(s) {
        let Some(mut item) = s.object(names!["path"]) else { continue };
        while item.next(s).is_some() {
            sources.extend(s.optional_string().map(|path| Source { path, audience: None }));
        }
    }
}
