//! Whom the API server's certificate may come from.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

use super::reread::Reread;

/// For how long a CA bundle is used that was read of a file.
const MAX_AGE: Duration = Duration::from_secs(60);

/// Whose certificate counts.
#[derive(Debug, PartialEq)]
pub(super) enum Trust {
    /// What the machine trusts.
    System,
    /// Certificates as PEM.
    Pem(Vec<u8>),
    /// What a file holds: it is read again.
    File(PathBuf),
    /// Anybody's (`insecure-skip-tls-verify`).
    Anybody,
}

/// What connections need; `identity` is the certificate, and the key, that this side shows.
pub(super) fn configuration(trust: &Trust, identity: Option<&[u8]>) -> anyhow::Result<ClientConfig> {
    let verifier = Arc::new(Verifier::new(trust)?);
    let builder = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let Some(pem) = identity else { return Ok(builder.with_no_client_auth()) };
    let certificates = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>();
    let certificates = certificates.context("cannot read the client certificate")?;
    ensure!(!certificates.is_empty(), "the client certificate holds no `-----BEGIN CERTIFICATE-----`");
    let key = PrivateKeyDer::from_pem_slice(pem).context("cannot read the client key")?;
    builder.with_client_auth_cert(certificates, key).context("cannot use the client certificate with its key")
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

/// Says whether a certificate counts.
#[derive(Debug)]
struct Verifier {
    authorities: Authorities,
    provider: Arc<CryptoProvider>,
}

#[derive(Debug)]
enum Authorities {
    Fixed(Arc<WebPkiServerVerifier>),
    File(Reread<Arc<WebPkiServerVerifier>>),
    /// Whoever has the key to the certificate.
    Anybody,
}

impl Verifier {
    fn new(trust: &Trust) -> anyhow::Result<Self> {
        let authorities = match trust {
            Trust::System => Authorities::Fixed(system()?),
            Trust::Pem(pem) => Authorities::Fixed(bundle(pem).context("the CA bundle")?),
            Trust::File(path) => {
                Authorities::File(Reread::new(path.clone(), MAX_AGE, bundle, None).context("the CA bundle")?)
            }
            Trust::Anybody => Authorities::Anybody,
        };
        Ok(Self { authorities, provider: provider() })
    }
}

fn system() -> anyhow::Result<Arc<WebPkiServerVerifier>> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    ensure!(
        !roots.is_empty(),
        "this machine trusts no authority: expected the system's CA certificates, or a kubeconfig with a \
         `certificate-authority`"
    );
    authorities(roots)
}

fn bundle(pem: &[u8]) -> anyhow::Result<Arc<WebPkiServerVerifier>> {
    let mut roots = RootCertStore::empty();
    // As in Go, one that cannot be read does no harm to the others.
    roots.add_parsable_certificates(CertificateDer::pem_slice_iter(pem).flatten());
    ensure!(
        !roots.is_empty(),
        "it holds no certificate that can be read: expected `-----BEGIN CERTIFICATE-----`"
    );
    authorities(roots)
}

fn authorities(roots: RootCertStore) -> anyhow::Result<Arc<WebPkiServerVerifier>> {
    Ok(WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider()).build()?)
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let authorities = match &self.authorities {
            Authorities::Fixed(authorities) => Arc::clone(authorities),
            Authorities::File(file) => file.get(Instant::now()),
            Authorities::Anybody => return Ok(ServerCertVerified::assertion()),
        };
        authorities.verify_server_cert(certificate, intermediates, name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use envtest::{Authority, KeyPairPem};
    use rustls::server::WebPkiClientVerifier;
    use rustls::{ServerConfig, SupportedProtocolVersion, version};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};
    use tokio_rustls::{TlsAcceptor, TlsConnector};

    use super::*;

    fn chain(pair: &KeyPairPem) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
        (
            CertificateDer::pem_slice_iter(pair.certificate.as_bytes()).map(Result::unwrap).collect(),
            PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).unwrap(),
        )
    }

    /// A server whose certificate is for `api.test`. It wants to see one of its own authority, if so told.
    fn server(
        authority: &Authority,
        version: &'static SupportedProtocolVersion,
        wants_certificate: bool,
    ) -> Arc<ServerConfig> {
        let (certificates, key) = chain(&authority.server(&["api.test"]).unwrap());
        let builder =
            ServerConfig::builder_with_provider(provider()).with_protocol_versions(&[version]).unwrap();
        let builder = if wants_certificate {
            let mut roots = RootCertStore::empty();
            roots.add(CertificateDer::from_pem_slice(authority.pem().as_bytes()).unwrap()).unwrap();
            let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider());
            builder.with_client_cert_verifier(clients.build().unwrap())
        } else {
            builder.with_no_client_auth()
        };
        Arc::new(builder.with_single_cert(certificates, key).unwrap())
    }

    /// Whether the client hears of a server by this name.
    async fn hears(client: ClientConfig, server: Arc<ServerConfig>, name: &'static str) -> bool {
        let (here, there) = duplex(1 << 16);
        let (connector, acceptor) = (TlsConnector::from(Arc::new(client)), TlsAcceptor::from(server));
        let asking = async {
            let mut stream = connector.connect(ServerName::try_from(name).unwrap(), here).await?;
            stream.read_u8().await
        };
        let answering = async { acceptor.accept(there).await?.write_u8(1).await };
        tokio::join!(asking, answering).0.is_ok()
    }

    #[tokio::test]
    async fn servers_are_trusted_by_their_authority_and_name() {
        let [ours, other] = ["ours", "other"].map(|name| Authority::new(name).unwrap());
        let pem = |authority: &Authority| authority.pem().into_bytes();
        let broken = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        let path = std::env::temp_dir().join(format!("webhook-ca-{}", std::process::id()));
        fs::write(&path, ours.pem()).unwrap();
        for version in [&version::TLS12, &version::TLS13] {
            for (trust, name, expected) in [
                (Trust::Pem(pem(&ours)), "api.test", true),
                (Trust::Pem(pem(&ours)), "other.test", false),
                (Trust::Pem(pem(&other)), "api.test", false),
                (Trust::Pem([broken.to_vec(), pem(&other), pem(&ours)].concat()), "api.test", true),
                (Trust::File(path.clone()), "api.test", true),
                (Trust::File(path.clone()), "other.test", false),
                (Trust::Anybody, "other.test", true),
            ] {
                let client = configuration(&trust, None).unwrap();
                let heard = hears(client, server(&ours, version, false), name).await;
                assert_eq!(heard, expected, "{trust:?} {name} {version:?}");
            }
        }
        fs::remove_file(path).unwrap();
    }

    #[tokio::test]
    async fn a_certificate_is_shown_to_who_wants_to_see_one() {
        let [ours, other] = ["ours", "other"].map(|name| Authority::new(name).unwrap());
        let trust = Trust::Pem(ours.pem().into_bytes());
        let pem = |authority: &Authority| {
            let pair = authority.client("webhook", &[]).unwrap();
            format!("{}\n{}", pair.key, pair.certificate).into_bytes()
        };
        for (identity, expected) in [(None, false), (Some(pem(&ours)), true), (Some(pem(&other)), false)] {
            let client = configuration(&trust, identity.as_deref()).unwrap();
            assert_eq!(hears(client, server(&ours, &version::TLS13, true), "api.test").await, expected);
        }
    }

    #[test]
    fn says_what_is_wrong() {
        let path = std::env::temp_dir().join("webhook-no-such-ca");
        for (trust, identity, expected) in [
            (
                Trust::Pem(b"x".to_vec()),
                None,
                "the CA bundle: it holds no certificate that can be read: expected `-----BEGIN CERTIFICATE-----`"
                    .to_owned(),
            ),
            (
                Trust::File(path.clone()),
                None,
                format!(
                    "the CA bundle: cannot read `{}`: No such file or directory (os error 2)",
                    path.display()
                ),
            ),
            (
                Trust::Anybody,
                Some(&b"x"[..]),
                "the client certificate holds no `-----BEGIN CERTIFICATE-----`".to_owned(),
            ),
        ] {
            assert_eq!(format!("{:#}", configuration(&trust, identity).unwrap_err()), expected);
        }
    }
}
