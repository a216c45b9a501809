//! Files that may change while the webhook runs.
//!
//! They are read again and again and compared by content. Watching them by inotify misses how the kubelet changes
//! what is mounted: it swaps the symbolic link `..data`
//! (<https://kubernetes.io/docs/concepts/configuration/secret/#using-secrets-as-files-from-a-pod>).

use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// How often files are read.
const INTERVAL: Duration = Duration::from_secs(1);

/// What was read of a file, the error as its kind so that it can be compared.
pub type Content = Result<Vec<u8>, io::ErrorKind>;

/// Files that belong together.
#[derive(Debug)]
pub struct PolledFiles {
    paths: Vec<PathBuf>,
    last: Vec<Content>,
}

impl PolledFiles {
    /// Reads the files for the first time.
    #[must_use]
    pub fn new(paths: Vec<PathBuf>) -> Self {
        let last = read(&paths);
        Self { paths, last }
    }

    /// What the files hold, in the order of their paths.
    pub fn contents(&self) -> &[Content] {
        &self.last
    }

    /// Waits until one of them has changed.
    pub async fn changed(&mut self) -> &[Content] {
        loop {
            tokio::time::sleep(INTERVAL).await;
            let now = read(&self.paths);
            if now != self.last {
                self.last = now;
                return &self.last;
            }
        }
    }
}

fn read(paths: &[PathBuf]) -> Vec<Content> {
    paths.iter().map(|path| std::fs::read(path).map_err(|error| error.kind())).collect()
}
