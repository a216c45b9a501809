//! A volume: its name, and whether it holds the token that is asked for.

use std::borrow::Cow;

use crate::error::{Inside, ReadError};
use crate::json::Scanner;
use crate::path::{NormalPath, Os};

use super::Slot;

/// What is read of a volume.
#[derive(Clone, Debug, Default)]
pub(crate) struct Volume<'a> {
    pub(crate) name: Cow<'a, str>,
    /// What a projected volume is made of.
    sources: Vec<Source<'a>>,
}

/// A file that a projected volume holds.
#[derive(Clone, Debug)]
pub(crate) struct Source<'a> {
    path: Cow<'a, str>,
    /// The audience, when it is a service account's token.
    audience: Option<Cow<'a, str>>,
}

/// The sources that name files, each with the fields that name one.
const FILES: &[(&str, &[&str])] = &[
    ("clusterTrustBundle", &["path"]),
    ("podCertificate", &["credentialBundlePath", "keyPath", "certificateChainPath"]),
];

impl<'a> Volume<'a> {
    pub(super) fn read_all(s: &mut Scanner<'a>) -> Result<(Vec<Self>, Slot), ReadError> {
        let mut volumes = Vec::new();
        let Some(mut elements) = s.array()? else { return Ok((volumes, Slot::null(s))) };
        while elements.next(s)? {
            volumes.push(Self::read(s).inside_index(elements.count() - 1)?);
        }
        Ok((volumes, Slot::present(s, elements.count() == 0)))
    }

    fn read(s: &mut Scanner<'a>) -> Result<Self, ReadError> {
        let mut volume = Self::default();
        let Some(mut members) = s.object(&["name", "projected"])? else { return Ok(volume) };
        while let Some(field) = members.next(s)? {
            match field {
                "name" => volume.name = s.optional_string().inside(field)?.unwrap_or_default(),
                _ => read_projected(s, &mut volume.sources).inside(field)?,
            }
        }
        Ok(volume)
    }

    /// Whether it holds a token for this audience at this path, and nothing else writes there.
    pub(crate) fn serves(&self, path: &str, audience: &str, os: Os) -> bool {
        let path = NormalPath::new(path, os);
        let mut at_path = self.sources.iter().filter(|source| NormalPath::new(&source.path, os) == path);
        at_path.next().is_some_and(|source| source.audience.as_deref() == Some(audience)) && at_path.next().is_none()
    }
}

fn read_projected<'a>(s: &mut Scanner<'a>, sources: &mut Vec<Source<'a>>) -> Result<(), ReadError> {
    let Some(mut members) = s.object(&["sources"])? else { return Ok(()) };
    while let Some(field) = members.next(s)? {
        let Some(mut elements) = s.array().inside(field)? else { continue };
        while elements.next(s)? {
            read_source(s, sources).inside_index(elements.count() - 1).inside(field)?;
        }
    }
    Ok(())
}

fn read_source<'a>(s: &mut Scanner<'a>, sources: &mut Vec<Source<'a>>) -> Result<(), ReadError> {
    let known =
        &["serviceAccountToken", "secret", "configMap", "downwardAPI", "clusterTrustBundle", "podCertificate"];
    let Some(mut members) = s.object(known)? else { return Ok(()) };
    while let Some(kind) = members.next(s)? {
        match kind {
            "serviceAccountToken" => {
                let (mut path, mut audience) = (None, Cow::default());
                if let Some(mut token) = s.object(&["path", "audience"]).inside(kind)? {
                    while let Some(field) = token.next(s)? {
                        match field {
                            "path" => path = s.optional_string().inside(field).inside(kind)?,
                            _ => audience = s.optional_string().inside(field).inside(kind)?.unwrap_or_default(),
                        }
                    }
                }
                let path = path.unwrap_or_default();
                sources.push(Source { path, audience: Some(audience) });
            }
            // Without items, the files are the keys of an object that is not known here.
            "secret" | "configMap" | "downwardAPI" => read_items(s, sources).inside(kind)?,
            _ => {
                let fields = FILES.iter().find(|(name, _)| *name == kind).map_or(&[][..], |(_, fields)| fields);
                if let Some(mut members) = s.object(fields).inside(kind)? {
                    while let Some(field) = members.next(s)? {
                        let path = s.optional_string().inside(field).inside(kind)?;
                        sources.extend(path.map(|path| Source { path, audience: None }));
                    }
                }
            }
        }
    }
    Ok(())
}

fn read_items<'a>(s: &mut Scanner<'a>, sources: &mut Vec<Source<'a>>) -> Result<(), ReadError> {
    let Some(mut members) = s.object(&["items"])? else { return Ok(()) };
    while let Some(field) = members.next(s)? {
        let Some(mut elements) = s.array().inside(field)? else { continue };
        while elements.next(s)? {
            let Some(mut item) = s.object(&["path"]).inside(field)? else { continue };
            while let Some(name) = item.next(s)? {
                let path = s.optional_string().inside(name).inside(field)?;
                sources.extend(path.map(|path| Source { path, audience: None }));
            }
        }
    }
    Ok(())
}
