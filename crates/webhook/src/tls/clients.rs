//! Who may connect.
//!
//! A CA alone is not enough: the one that signs kube-apiserver's client certificate signs every kubelet's too.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use arc_swap::ArcSwap;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError};
use rustls::{RootCertStore, SignatureScheme};
use tracing::{error, info};
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};

use super::files::content;
use crate::files::{Content, PolledFiles};
use crate::metrics::Metrics;

/// The label of what is counted and reported here.
const SOURCE: &str = "client_ca";

/// Characters of somebody's name that a message shows.
const SHOWN: usize = 100;

/// Requires a certificate of a CA, for one of some names.
#[derive(Debug)]
pub struct Clients {
    path: PathBuf,
    names: Vec<String>,
    provider: Arc<CryptoProvider>,
    /// Replaced when the file changes, while handshakes go on.
    verifier: ArcSwap<Arc<dyn ClientCertVerifier>>,
}

/// A certificate of the right CA for somebody else.
#[derive(thiserror::Error)]
#[error("the client's certificate is for {found}, which `--client-allowed-names` does not hold")]
struct NotAllowed {
    found: String,
}

/// rustls shows what it does not know by `Debug`.
impl std::fmt::Debug for NotAllowed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

impl Clients {
    /// Reads the certificate authorities (`--client-ca-file`). `names` are what a certificate has to be for
    /// (`--client-allowed-names`): a DNS name among its subject alternative names, or its common name, for Kubernetes
    /// takes a user's name from there (<https://kubernetes.io/docs/reference/access-authn-authz/authentication/#x509-client-certificates>).
    ///
    /// The second value is for [`Self::follow`].
    ///
    /// # Errors
    ///
    /// When the file holds no certificate authority, or there is no name.
    pub fn read(
        path: PathBuf,
        names: Vec<String>,
        provider: &Arc<CryptoProvider>,
    ) -> anyhow::Result<(Arc<Self>, PolledFiles)> {
        anyhow::ensure!(
            !names.is_empty(),
            "`--client-allowed-names` is empty: expected the names of certificates that may connect, such as `kube-apiserver`"
        );
        let files = PolledFiles::new(vec![path.clone()]);
        let verifier = verifier(files.contents(), provider)
            .with_context(|| format!("cannot use `{}` (`--client-ca-file`)", path.display()))?;
        let provider = Arc::clone(provider);
        Ok((Arc::new(Self { path, names, provider, verifier: ArcSwap::from_pointee(verifier) }), files))
    }

    /// Takes over what the file holds whenever it changes, for ever; what cannot be used leaves what was there.
    pub async fn follow(self: Arc<Self>, mut files: PolledFiles, metrics: Metrics) -> anyhow::Result<()> {
        loop {
            let problems = match verifier(files.changed().await, &self.provider) {
                Ok(verifier) => {
                    info!("the client certificate authorities in `{}` are taken over", self.path.display());
                    self.verifier.store(Arc::new(verifier));
                    metrics.reloads.get_or_create(&SOURCE.into()).inc();
                    0
                }
                Err(error) => {
                    let path = self.path.display();
                    error!("`{path}` is not taken over, the last good authorities stay: {error:#}");
                    1
                }
            };
            metrics.configuration_problems.get_or_create(&SOURCE.into()).set(problems);
        }
    }

    fn is_allowed(&self, certificate: &X509Certificate<'_>) -> bool {
        names(certificate).any(|name| self.names.iter().any(|allowed| allowed == name))
    }
}

fn verifier(
    contents: &[Content],
    provider: &Arc<CryptoProvider>,
) -> anyhow::Result<Arc<dyn ClientCertVerifier>> {
    let mut roots = RootCertStore::empty();
    for file in contents {
        for certificate in CertificateDer::pem_slice_iter(content(file)?) {
            let certificate = certificate.map_err(|_| anyhow::anyhow!("it is not PEM"))?;
            roots.add(certificate).context("it holds a certificate that cannot be read")?;
        }
    }
    anyhow::ensure!(!roots.is_empty(), "it holds no certificate: expected `-----BEGIN CERTIFICATE-----`");
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
        .build()
        .context("its certificates cannot be used to verify clients")
}

/// DNS names and common names that a certificate is for.
fn names<'c>(certificate: &'c X509Certificate<'_>) -> impl Iterator<Item = &'c str> {
    let alternative = certificate.subject_alternative_name().ok().flatten();
    let dns =
        alternative.into_iter().flat_map(|extension| &extension.value.general_names).filter_map(|name| {
            match name {
                GeneralName::DNSName(name) => Some(*name),
                _ => None,
            }
        });
    dns.chain(certificate.subject().iter_common_name().filter_map(|name| name.as_str().ok()))
}

impl ClientCertVerifier for Clients {
    /// None: a client that is told which authorities count keeps a certificate of an intermediate one to itself.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verified = self.verifier.load().verify_client_cert(end_entity, intermediates, now)?;
        let (_, certificate) = X509Certificate::from_der(end_entity)
            .map_err(|_| Error::InvalidCertificate(CertificateError::BadEncoding))?;
        if self.is_allowed(&certificate) {
            return Ok(verified);
        }
        let shown = |name: &str| {
            format!("`{}`", name.chars().take(SHOWN).flat_map(char::escape_default).collect::<String>())
        };
        let mut found = names(&certificate).map(shown).take(3).collect::<Vec<_>>().join(", ");
        if found.is_empty() {
            "no name".clone_into(&mut found);
        }
        let not_allowed = OtherError(Arc::new(NotAllowed { found }));
        Err(Error::InvalidCertificate(CertificateError::Other(not_allowed)))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier.load().verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier.load().verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.load().supported_verify_schemes()
    }
}
