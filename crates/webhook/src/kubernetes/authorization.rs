//! What each request says of who asks.

use std::fs;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::header::HeaderValue;

use super::plugin::Plugin;

/// For how long a token is used that was read of a file. The kubelet replaces it long before it expires.
const FRESH: Duration = Duration::from_secs(50);

/// What the header `Authorization` says.
pub(super) enum Authorization {
    /// Always the same.
    Fixed(HeaderValue),
    /// What a file holds.
    File(File),
    /// What a program says.
    Plugin(Plugin),
}

/// A token in a file, and what it was when it was read.
pub(super) struct File {
    path: PathBuf,
    last: Mutex<(HeaderValue, Instant)>,
}

impl Authorization {
    pub(super) fn token(token: &str) -> anyhow::Result<Self> {
        bearer(token).map(Self::Fixed)
    }

    pub(super) fn basic(username: &str, password: &str) -> anyhow::Result<Self> {
        secret(format!("Basic {}", STANDARD.encode(format!("{username}:{password}")))).map(Self::Fixed)
    }

    /// # Errors
    ///
    /// When there is none yet.
    pub(super) fn file(path: PathBuf) -> anyhow::Result<Self> {
        let value = read(&path)?;
        Ok(Self::File(File { path, last: Mutex::new((value, Instant::now())) }))
    }

    pub(super) async fn header(&self) -> anyhow::Result<HeaderValue> {
        match self {
            Self::Fixed(value) => Ok(value.clone()),
            Self::File(file) => Ok(file.header(Instant::now())),
            Self::Plugin(plugin) => plugin.header().await,
        }
    }
}

impl File {
    /// The last good one stays, as in Go: some tokens are taken away once they were read
    /// (<https://github.com/kubernetes/kubernetes/issues/68164>).
    fn header(&self, now: Instant) -> HeaderValue {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if now.saturating_duration_since(last.1) >= FRESH {
            *last = (read(&self.path).unwrap_or_else(|_| last.0.clone()), now);
        }
        last.0.clone()
    }
}

fn read(path: &PathBuf) -> anyhow::Result<HeaderValue> {
    let token =
        fs::read_to_string(path).with_context(|| format!("cannot read the token `{}`", path.display()))?;
    bearer(token.trim()).with_context(|| format!("cannot use the token `{}`", path.display()))
}

/// A token as a header.
pub(super) fn bearer(token: &str) -> anyhow::Result<HeaderValue> {
    anyhow::ensure!(!token.is_empty(), "it is empty");
    secret(format!("Bearer {token}"))
}

/// Is not shown by `Debug`.
fn secret(value: String) -> anyhow::Result<HeaderValue> {
    let mut value =
        HeaderValue::try_from(value).ok().context("it holds characters that a header cannot hold")?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn says_what_was_given() {
        for (authorization, expected) in [
            (Authorization::token("abc"), "Bearer abc"),
            // RFC 7617, section 2.
            (Authorization::basic("Aladdin", "open sesame"), "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="),
        ] {
            let value = authorization.unwrap().header().await.unwrap();
            assert_eq!((value.to_str().unwrap(), value.is_sensitive()), (expected, true));
        }
        for (token, expected) in
            [("", "it is empty"), ("a\nb", "it holds characters that a header cannot hold")]
        {
            assert_eq!(Authorization::token(token).err().unwrap().to_string(), expected);
        }
    }

    #[test]
    fn a_file_is_read_again_after_a_while_and_the_last_good_token_stays() {
        let path = std::env::temp_dir().join(format!("webhook-token-{}", std::process::id()));
        let write = |text: &str| fs::write(&path, text).unwrap();
        write("first\n");
        let Ok(Authorization::File(file)) = Authorization::file(path.clone()) else { panic!("no token") };
        let start = Instant::now();
        let after = |seconds| file.header(start + Duration::from_secs(seconds)).to_str().unwrap().to_owned();
        write("second");
        assert_eq!((after(49), after(51)), ("Bearer first".to_owned(), "Bearer second".to_owned()));
        write("");
        assert_eq!(after(102), "Bearer second");
        fs::remove_file(&path).unwrap();
        assert_eq!(after(153), "Bearer second");
        let error = Authorization::file(path.clone()).err().unwrap().to_string();
        assert_eq!(error, format!("cannot read the token `{}`", path.display()));
    }
}
