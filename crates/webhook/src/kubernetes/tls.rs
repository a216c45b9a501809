//! Whom the API server's certificate may come from.

use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use tracing::warn;

/// For how long a CA bundle is used that was read of a file.
const FRESH: Duration = Duration::from_secs(60);

/// Whose certificate counts.
pub(super) enum Trust {
    /// What the machine trusts.
    System,
    /// Certificates as PEM.
    Pem(Vec<u8>),
    /// What a file holds: it is read again.
    File(PathBuf, Vec<u8>),
    /// Anybody's (`insecure-skip-tls-verify`).
    Anybody,
}

impl Trust {
    /// # Errors
    ///
    /// When it cannot be read now.
    pub(super) fn file(path: PathBuf) -> anyhow::Result<Self> {
        let pem =
            fs::read(&path).with_context(|| format!("cannot read the CA bundle `{}`", path.display()))?;
        Ok(Self::File(path, pem))
    }
}

/// What connections need; `identity` is the certificate, and the key, that this side shows.
pub(super) fn configuration(trust: &Trust, identity: Option<&[u8]>) -> anyhow::Result<ClientConfig> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let roots = match trust {
        Trust::System => {
            let mut roots = RootCertStore::empty();
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            roots
        }
        Trust::Pem(pem) | Trust::File(_, pem) => authorities(pem)?,
        Trust::Anybody => RootCertStore::empty(),
    };
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots);
    let mut configuration = match identity {
        None => builder.with_no_client_auth(),
        Some(pem) => {
            let certificates = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>();
            let certificates = certificates.context("cannot read the client certificate")?;
            ensure!(
                !certificates.is_empty(),
                "the client certificate holds no `-----BEGIN CERTIFICATE-----`"
            );
            let key = PrivateKeyDer::from_pem_slice(pem).context("cannot read the client key")?;
            builder
                .with_client_auth_cert(certificates, key)
                .context("cannot use the client certificate with its key")?
        }
    };
    match trust {
        Trust::System | Trust::Pem(_) => {}
        Trust::File(path, pem) => {
            let last = Mutex::new((verifier(pem, &provider)?, Instant::now()));
            let bundle = Bundle { path: path.clone(), provider, last };
            configuration.dangerous().set_certificate_verifier(Arc::new(bundle));
        }
        Trust::Anybody => {
            configuration.dangerous().set_certificate_verifier(Arc::new(Anybody(provider)));
        }
    }
    Ok(configuration)
}

fn authorities(pem: &[u8]) -> anyhow::Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.context("the CA bundle is not PEM")?;
        roots.add(certificate).context("the CA bundle holds a certificate that cannot be read")?;
    }
    ensure!(!roots.is_empty(), "the CA bundle holds no `-----BEGIN CERTIFICATE-----`");
    Ok(roots)
}

fn verifier(pem: &[u8], provider: &Arc<CryptoProvider>) -> anyhow::Result<Arc<WebPkiServerVerifier>> {
    let roots = Arc::new(authorities(pem)?);
    WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(provider))
        .build()
        .context("the CA bundle cannot be used")
}

/// Certificates of a file. The last good ones stay.
#[derive(Debug)]
struct Bundle {
    path: PathBuf,
    provider: Arc<CryptoProvider>,
    last: Mutex<(Arc<WebPkiServerVerifier>, Instant)>,
}

impl Bundle {
    fn verifier(&self, now: Instant) -> Arc<WebPkiServerVerifier> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if now.saturating_duration_since(last.1) >= FRESH {
            let read = fs::read(&self.path).map_err(anyhow::Error::from);
            match read.and_then(|pem| verifier(&pem, &self.provider)) {
                Ok(verifier) => last.0 = verifier,
                Err(error) => {
                    warn!(
                        "`{}` is not taken over, the last good CA bundle stays: {error:#}",
                        self.path.display()
                    );
                }
            }
            last.1 = now;
        }
        Arc::clone(&last.0)
    }
}

impl ServerCertVerifier for Bundle {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verifier = self.verifier(Instant::now());
        verifier.verify_server_cert(certificate, intermediates, name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(
            message,
            certificate,
            signature,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(
            message,
            certificate,
            signature,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// Any certificate counts, if its key is there.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _certificate: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use envtest::Authority;
    use rustls::ServerConfig;
    use tokio::io::duplex;
    use tokio_rustls::{TlsAcceptor, TlsConnector};

    use super::*;

    /// Whether a client comes to trust a server.
    async fn is_trusted(authority: &Authority, trust: &Trust) -> bool {
        let pair = authority.server(&["api.test"]).unwrap();
        let certificates =
            CertificateDer::pem_slice_iter(pair.certificate.as_bytes()).map(Result::unwrap).collect();
        let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).unwrap();
        let server = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(certificates, key)
            .unwrap();
        let identity = format!("{}\n{}", pair.key, pair.certificate);
        let client = configuration(trust, Some(identity.as_bytes())).unwrap();
        let (here, there) = duplex(1 << 16);
        let connector = TlsConnector::from(Arc::new(client));
        let acceptor = TlsAcceptor::from(Arc::new(server));
        let (connected, _) = tokio::join!(
            connector.connect(ServerName::try_from("api.test").unwrap(), here),
            acceptor.accept(there)
        );
        connected.is_ok()
    }

    #[tokio::test]
    async fn servers_are_trusted_by_their_authority() {
        let [ours, other] = ["ours", "other"].map(|name| Authority::new(name).unwrap());
        let pem = |authority: &Authority| authority.pem().into_bytes();
        let path = std::env::temp_dir().join(format!("webhook-ca-{}", std::process::id()));
        fs::write(&path, ours.pem()).unwrap();
        for (trust, expected) in [
            (Trust::System, false),
            (Trust::Pem(pem(&ours)), true),
            (Trust::Pem(pem(&other)), false),
            (Trust::Pem([pem(&other), pem(&ours)].concat()), true),
            (Trust::file(path.clone()).unwrap(), true),
            (Trust::Anybody, true),
        ] {
            assert_eq!(is_trusted(&ours, &trust).await, expected);
        }
        fs::remove_file(path).unwrap();
    }

    #[test]
    fn a_bundle_is_read_again_after_a_while_and_the_last_good_one_stays() {
        let [first, second] = ["first", "second"].map(|name| Authority::new(name).unwrap().pem());
        let path = std::env::temp_dir().join(format!("webhook-bundle-{}", std::process::id()));
        let start = Instant::now();
        let provider = Arc::new(aws_lc_rs::default_provider());
        let last = Mutex::new((verifier(first.as_bytes(), &provider).unwrap(), start));
        let bundle = Bundle { path: path.clone(), provider, last };
        let after = |seconds| bundle.verifier(start + Duration::from_secs(seconds));
        let begin = after(0);
        fs::write(&path, second).unwrap();
        assert!(Arc::ptr_eq(&begin, &after(59)));
        let next = after(60);
        assert!(!Arc::ptr_eq(&begin, &next));
        fs::write(&path, "half of").unwrap();
        assert!(Arc::ptr_eq(&next, &after(120)));
        fs::remove_file(&path).unwrap();
        assert!(Arc::ptr_eq(&next, &after(180)));
    }

    #[test]
    fn says_what_is_wrong() {
        for (trust, identity, expected) in [
            (Trust::Pem(b"x".to_vec()), None, "the CA bundle holds no `-----BEGIN CERTIFICATE-----`"),
            (Trust::System, Some(&b"x"[..]), "the client certificate holds no `-----BEGIN CERTIFICATE-----`"),
        ] {
            assert_eq!(configuration(&trust, identity).unwrap_err().to_string(), expected);
        }
    }
}
