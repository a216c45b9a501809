//! What each request says of who asks.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::header::HeaderValue;

use super::plugin::Plugin;
use super::reread::Reread;

/// For how long a token of a file is used. The kubelet replaces it long before it expires.
const MAX_AGE: Duration = Duration::from_secs(50);

/// What the header `Authorization` says.
pub(super) enum Authorization {
    Fixed(HeaderValue),
    File(Reread<HeaderValue>),
    Plugin(Plugin),
}

impl Authorization {
    pub(super) fn token(token: &str) -> anyhow::Result<Self> {
        bearer(token).map(Self::Fixed)
    }

    pub(super) fn basic(username: &str, password: &str) -> anyhow::Result<Self> {
        secret(format!("Basic {}", STANDARD.encode(format!("{username}:{password}")))).map(Self::Fixed)
    }

    /// A token that a file holds; `otherwise` as long as it does not.
    ///
    /// # Errors
    ///
    /// When there is none yet.
    pub(super) fn file(path: PathBuf, otherwise: Option<HeaderValue>) -> anyhow::Result<Self> {
        let parse = |token: &[u8]| bearer(str::from_utf8(token).context("expected UTF-8")?.trim());
        Reread::new(path, MAX_AGE, parse, otherwise).map(Self::File).context("the token")
    }

    pub(super) async fn header(&self) -> anyhow::Result<HeaderValue> {
        match self {
            Self::Fixed(value) => Ok(value.clone()),
            Self::File(file) => Ok(file.get(Instant::now())),
            Self::Plugin(plugin) => plugin.header().await,
        }
    }

    /// The API server does not know who that is.
    pub(super) fn refused(&self, sent: &HeaderValue) {
        match self {
            Self::Fixed(_) => {}
            Self::File(file) => file.refused(sent),
            Self::Plugin(plugin) => plugin.refused(sent),
        }
    }
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

    #[tokio::test]
    async fn a_file_outranks_the_token_beside_it() {
        let path = std::env::temp_dir().join(format!("webhook-token-{}", std::process::id()));
        let header = async || {
            let token = Authorization::file(path.clone(), Some(bearer("beside").unwrap())).unwrap();
            token.header().await.unwrap().to_str().unwrap().to_owned()
        };
        assert_eq!(header().await, "Bearer beside");
        std::fs::write(&path, "of the file\n").unwrap();
        assert_eq!(header().await, "Bearer of the file");
        std::fs::write(&path, " \n").unwrap();
        assert_eq!(header().await, "Bearer beside");
        let error = format!("{:#}", Authorization::file(path.clone(), None).err().unwrap());
        assert_eq!(error, format!("the token: cannot use `{}`: it is empty", path.display()));
        std::fs::remove_file(&path).unwrap();
    }
}
