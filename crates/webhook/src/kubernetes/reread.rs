//! What a file holds, read again now and then.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tracing::warn;

/// A file, and what it held when it was read. The last good content stays, as in Go: some tokens are taken away once they
/// were read (<https://github.com/kubernetes/kubernetes/issues/68164>).
#[derive(Debug)]
pub(super) struct Reread<T> {
    path: PathBuf,
    /// For how long it is used without looking.
    max_age: Duration,
    parse: fn(&[u8]) -> anyhow::Result<T>,
    last: Mutex<Last<T>>,
}

#[derive(Debug)]
struct Last<T> {
    content: T,
    read: Instant,
    /// It is good for nothing any more.
    refused: bool,
}

/// What was refused is looked for again after so long at the earliest.
const PAUSE: Duration = Duration::from_secs(1);

impl<T: Clone> Reread<T> {
    /// Reads it for the first time; when that fails, `otherwise` is used until it can be read.
    ///
    /// # Errors
    ///
    /// When it cannot be read, and there is nothing else.
    pub(super) fn new(
        path: PathBuf,
        max_age: Duration,
        parse: fn(&[u8]) -> anyhow::Result<T>,
        otherwise: Option<T>,
    ) -> anyhow::Result<Self> {
        let content = match (read(&path, parse), otherwise) {
            (Ok(content), _) | (Err(_), Some(content)) => content,
            (Err(error), None) => return Err(error),
        };
        let last = Mutex::new(Last { content, read: Instant::now(), refused: false });
        Ok(Self { path, max_age, parse, last })
    }

    /// What it holds, as far as is known.
    pub(super) fn get(&self, now: Instant) -> T {
        {
            let mut last = self.last();
            let max_age = if last.refused { PAUSE } else { self.max_age };
            if now.saturating_duration_since(last.read) < max_age {
                return last.content.clone();
            }
            // Others go on with what there is.
            last.read = now;
        }
        let found = read(&self.path, self.parse);
        let mut last = self.last();
        match found {
            Ok(content) => {
                (last.content, last.refused) = (content, false);
            }
            Err(error) => warn!("the last good content stays: {error:#}"),
        }
        last.content.clone()
    }

    /// This content is good for nothing any more: there may be another one already.
    pub(super) fn refused(&self, content: &T)
    where
        T: PartialEq,
    {
        let mut last = self.last();
        last.refused |= last.content == *content;
    }

    fn last(&self) -> MutexGuard<'_, Last<T>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn read<T>(path: &Path, parse: fn(&[u8]) -> anyhow::Result<T>) -> anyhow::Result<T> {
    let content = fs::read(path).with_context(|| format!("cannot read `{}`", path.display()))?;
    parse(&content).with_context(|| format!("cannot use `{}`", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_read_again_after_a_while_and_the_last_good_content_stays() {
        let path = std::env::temp_dir().join(format!("webhook-reread-{}", std::process::id()));
        let parse = |bytes: &[u8]| Ok(str::from_utf8(bytes)?.trim().to_owned());
        let file = |otherwise: Option<&str>| {
            Reread::new(path.clone(), Duration::from_secs(50), parse, otherwise.map(str::to_owned))
        };
        let error = file(None).unwrap_err();
        assert_eq!(
            format!("{error:#}"),
            format!("cannot read `{}`: No such file or directory (os error 2)", path.display())
        );
        let early = file(Some("early")).unwrap();
        fs::write(&path, "first\n").unwrap();
        let file = file(Some("early")).unwrap();
        let start = Instant::now();
        let after = |seconds| file.get(start + Duration::from_secs(seconds));
        fs::write(&path, "second").unwrap();
        assert_eq!((after(49), after(51)), ("first".to_owned(), "second".to_owned()));
        assert_eq!(early.get(start), "early");
        assert_eq!(early.get(start + Duration::from_secs(51)), "second");
        fs::write(&path, [0xff]).unwrap();
        assert_eq!(after(102), "second");
        fs::remove_file(&path).unwrap();
        assert_eq!(after(153), "second");
        fs::write(&path, "third").unwrap();
        file.refused(&"first".to_owned());
        assert_eq!(after(155), "second");
        file.refused(&"second".to_owned());
        assert_eq!(after(156), "third");
        fs::write(&path, "fourth").unwrap();
        assert_eq!(after(158), "third");
    }
}
