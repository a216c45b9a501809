use std::{io, path::Path};

/// What can go wrong between looking for the programs and reading an answer of the API server.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A program is not where it has to be, or could not be built.
    #[error("{0}")]
    Binary(String),
    /// A file could not be read or written, or a program could not be started.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// Why it failed.
        source: io::Error,
    },
    /// A program ended or did not become ready.
    #[error("{0}")]
    Start(String),
    /// A key or certificate could not be made.
    #[error("certificates: {0}")]
    Certificate(String),
    /// No answer from the server.
    #[error("{what}: {message}")]
    Http {
        /// Method and path.
        what: String,
        /// Why there is none.
        message: String,
    },
    /// The API server said no.
    #[error("{what}: {status}: {message}")]
    Refused {
        /// Method and path.
        what: String,
        /// The status code.
        status: u16,
        /// The API server's own words.
        message: String,
    },
    /// An input document or an answer is not what it has to be.
    #[error("{0}")]
    Input(String),
}

/// A result with this crate's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Error {
        let what = what.into();
        move |source| Error::Io { what, source }
    }

    pub(crate) fn file(verb: &str, path: &Path) -> impl FnOnce(io::Error) -> Error {
        Error::io(format!("cannot {verb} `{}`", path.display()))
    }

    pub(crate) fn certificate(error: impl std::fmt::Display) -> Error {
        Error::Certificate(error.to_string())
    }
}
