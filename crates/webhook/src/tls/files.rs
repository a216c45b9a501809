//! A certificate in files, such as a mounted Secret.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use jiff::Timestamp;
use tracing::{error, info, warn};

use super::{Certificate, Publisher};
use crate::files::{Content, PolledFiles};
use crate::metrics::Metrics;

/// The label of what is counted and reported here.
const SOURCE: &str = "certificate";

/// How often an expired certificate is complained about.
const COMPLAINT: Duration = Duration::from_secs(3600);

/// A certificate chain and a private key in files, served and followed.
#[derive(Debug)]
pub struct CertificateFiles {
    certificate: PathBuf,
    key: PathBuf,
    files: PolledFiles,
    expires: Timestamp,
    publisher: Publisher,
    metrics: Metrics,
}

impl CertificateFiles {
    /// Reads both files (`--tls-cert`, `--tls-key`) and serves what is in them.
    ///
    /// # Errors
    ///
    /// When there is nothing to start with.
    pub fn read(
        certificate: PathBuf,
        key: PathBuf,
        publisher: Publisher,
        metrics: Metrics,
    ) -> anyhow::Result<Self> {
        let files = PolledFiles::new(vec![certificate.clone(), key.clone()]);
        let expires = Timestamp::MAX;
        let mut this = Self { certificate, key, files, expires, publisher, metrics };
        this.take_over()?;
        Ok(this)
    }

    /// Serves what the files hold whenever they change, for ever. Files that cannot be used leave what was served
    /// before: a swap that is only half done is whole at a later look.
    pub async fn follow(mut self) -> anyhow::Result<()> {
        let mut complaint = self.until_complaint();
        loop {
            tokio::select! {
                _ = self.files.changed() => {
                    if let Err(error) = self.take_over() {
                        error!("the certificate is not taken over, the last good one stays: {error:#}");
                        self.metrics.configuration_problems.get_or_create(&SOURCE.into()).set(1);
                    }
                    complaint = self.until_complaint();
                }
                () = tokio::time::sleep(complaint) => {
                    self.complain_if_expired();
                    complaint = self.until_complaint().max(COMPLAINT);
                }
            }
        }
    }

    fn take_over(&mut self) -> anyhow::Result<()> {
        let certificate = self.certificate()?;
        self.publisher.publish(certificate.key)?;
        self.expires = certificate.expires;
        self.metrics.certificate_expiry.get_or_create(&"serving".into()).set(self.expires.as_second());
        self.metrics.configuration_problems.get_or_create(&SOURCE.into()).set(0);
        self.metrics.reloads.get_or_create(&SOURCE.into()).inc();
        let path = self.certificate.display();
        info!("serving the certificate in `{path}`, valid until {}", self.expires);
        if !certificate.has_alternative_name {
            warn!(
                "the certificate in `{path}` has no subject alternative name: kube-apiserver will refuse it"
            );
        }
        self.complain_if_expired();
        Ok(())
    }

    fn certificate(&self) -> anyhow::Result<Certificate> {
        let [chain, key] = self.files.contents() else {
            anyhow::bail!("expected two files");
        };
        let chain = content(chain).with_context(|| {
            let path = self.certificate.display();
            format!("cannot read `{path}` (`--tls-cert`): expected the certificate chain as PEM")
        })?;
        let key = content(key).with_context(|| {
            format!("cannot read `{}` (`--tls-key`): expected the private key as PEM", self.key.display())
        })?;
        Certificate::read(chain, key, self.publisher.protocol().provider()).with_context(|| {
            let (certificate, key) = (self.certificate.display(), self.key.display());
            format!("cannot use `{certificate}` (`--tls-cert`) with `{key}` (`--tls-key`)")
        })
    }

    /// An expired certificate is served all the same: whoever does not check the date gets an answer, nobody gets
    /// less than from a closed port.
    fn complain_if_expired(&self) {
        if self.expires <= Timestamp::now() {
            let path = self.certificate.display();
            error!(
                "the certificate in `{path}` expired at {}: kube-apiserver refuses it, and no pod is given an \
                 identity; replace it, the files are read again",
                self.expires
            );
        }
    }

    fn until_complaint(&self) -> Duration {
        let left = self.expires.duration_since(Timestamp::now());
        // A second more: then it is over. Tokio's timers end some years from now.
        Duration::try_from(left).unwrap_or_default().min(COMPLAINT * 24) + Duration::from_secs(1)
    }
}

/// What was read, or why not.
pub(super) fn content(content: &Content) -> anyhow::Result<&[u8]> {
    content.as_deref().map_err(|kind| anyhow::anyhow!("{kind}"))
}
