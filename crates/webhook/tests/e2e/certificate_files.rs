//! The serving certificate's files, and how they are replaced.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use envtest::KeyPairPem;

const BETWEEN_FILES: Duration = Duration::from_secs(2);

/// How the files lie.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Layout {
    /// Two files; each is replaced by renaming another over it. Between the two they do not belong together.
    Plain,
    /// As a kubelet mounts a Secret: `tls.crt` is a link into `..data`, itself a link to a folder, and all change
    /// together when that link is replaced
    /// (<https://github.com/kubernetes/kubernetes/blob/master/pkg/volume/util/atomic_writer.go>).
    Mounted,
}

/// `tls.crt` and `tls.key`.
pub(crate) struct CertificateFiles {
    directory: PathBuf,
    layout: Layout,
    writes: AtomicU32,
}

impl CertificateFiles {
    /// Makes the folder, with a pair.
    pub(crate) fn new(directory: PathBuf, layout: Layout, pair: &KeyPairPem) -> CertificateFiles {
        fs::create_dir(&directory).unwrap();
        if layout == Layout::Mounted {
            for name in ["tls.crt", "tls.key"] {
                symlink(Path::new("..data").join(name), directory.join(name)).unwrap();
            }
        }
        let files = CertificateFiles { directory, layout, writes: AtomicU32::new(0) };
        match layout {
            Layout::Plain => {
                files.replace_certificate(pair);
                files.replace_key(pair);
            }
            Layout::Mounted => files.swap(pair),
        }
        files
    }

    /// The certificate's path.
    pub(crate) fn certificate(&self) -> PathBuf {
        self.directory.join("tls.crt")
    }

    /// The private key's path.
    pub(crate) fn key(&self) -> PathBuf {
        self.directory.join("tls.key")
    }

    /// Puts another pair in their place.
    pub(crate) async fn replace(&self, pair: &KeyPairPem) {
        match self.layout {
            Layout::Plain => {
                self.replace_certificate(pair);
                // Long enough for the webhook to come upon a certificate without its key.
                tokio::time::sleep(BETWEEN_FILES).await;
                self.replace_key(pair);
            }
            Layout::Mounted => self.swap(pair),
        }
    }

    fn replace_certificate(&self, pair: &KeyPairPem) {
        replace_file(&self.certificate(), &pair.certificate);
    }

    fn replace_key(&self, pair: &KeyPairPem) {
        replace_file(&self.key(), &pair.key);
    }

    fn swap(&self, pair: &KeyPairPem) {
        let data = self.directory.join("..data");
        let old = fs::read_link(&data).ok();
        let folder = format!("..{}", self.writes.fetch_add(1, Ordering::Relaxed));
        let new = self.directory.join(&folder);
        fs::create_dir(&new).unwrap();
        fs::write(new.join("tls.crt"), &pair.certificate).unwrap();
        fs::write(new.join("tls.key"), &pair.key).unwrap();
        let link = self.directory.join("..data_tmp");
        symlink(folder, &link).unwrap();
        fs::rename(link, data).unwrap();
        if let Some(old) = old {
            fs::remove_dir_all(self.directory.join(old)).unwrap();
        }
    }
}

fn replace_file(path: &Path, content: &str) {
    let new = path.with_extension("new");
    fs::write(&new, content).unwrap();
    fs::rename(new, path).unwrap();
}
