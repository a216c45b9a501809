//! Records AdmissionReviews: what a kube-apiserver sends to a mutating webhook for objects written in YAML.

mod documents;
mod normalise;
mod recorder;
mod webhook;

use std::{
    fs,
    path::{Path, PathBuf},
};

pub use documents::{Document, ReviewVersion, Verb, read as read_documents};
pub use normalise::normalise;
pub use recorder::Recorder;

use crate::{
    error::{Error, Result},
    json::Text,
};

/// One input and the file that its review goes to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Case {
    /// The folder's or file's name: what the replaced uids are made from.
    pub name: String,
    /// The documents.
    pub input: PathBuf,
    /// The review.
    pub output: PathBuf,
    /// Whether the review is indented.
    pub pretty: bool,
}

/// What writing a review did.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Written {
    /// The file is new.
    New,
    /// The file had another content.
    Changed,
    /// The file had this content.
    Unchanged,
}

/// The cases below a folder, by name: each `NAME/input.yaml` gives an indented `NAME/request.json`, each `NAME.yaml`
/// gives `NAME.json` on one line, as the API server sends it.
///
/// # Errors
///
/// If the folder cannot be read.
pub fn cases(folder: &Path) -> Result<Vec<Case>> {
    let mut cases = Vec::new();
    for entry in fs::read_dir(folder).map_err(Error::file("read", folder))? {
        let path = entry.map_err(Error::file("read", folder))?.path();
        let input = path.join("input.yaml");
        let is_yaml = path.extension().is_some_and(|extension| extension == "yaml");
        let Some(stem) = path.file_stem() else { continue };
        if input.is_file() {
            let name = path.file_name().unwrap_or(stem).to_string_lossy().into_owned();
            cases.push(Case { name, input, output: path.join("request.json"), pretty: true });
        } else if is_yaml && path.is_file() {
            let name = stem.to_string_lossy().into_owned();
            cases.push(Case { name, output: path.with_extension("json"), input: path, pretty: false });
        }
    }
    cases.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(cases)
}

impl Case {
    /// Applies the case's documents and writes the last one's review.
    ///
    /// # Errors
    ///
    /// If the documents cannot be read, the API server refuses one, or no review came.
    pub async fn record(&self, recorder: &mut Recorder) -> Result<Written> {
        let input = fs::read_to_string(&self.input).map_err(Error::file("read", &self.input))?;
        let documents = read_documents(&input)?;
        let recorded = recorder.record(&documents).await?;
        let mut review = Text::parse(&recorded)
            .map_err(|message| Error::Input(format!("the review is no JSON: {message}")))?;
        normalise(&mut review, &self.name, &input);
        let review = if self.pretty { review.pretty() } else { review.compact() } + "\n";
        let written = match fs::read_to_string(&self.output) {
            Ok(before) if before == review => return Ok(Written::Unchanged),
            Ok(_) => Written::Changed,
            Err(_) => Written::New,
        };
        fs::write(&self.output, review).map_err(Error::file("write", &self.output))?;
        Ok(written)
    }
}
