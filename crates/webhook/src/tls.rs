//! What is needed for handshakes.
//!
//! A [`Publisher`] makes the configuration for the next handshake out of what stays ([`Protocol`], [`Clients`]) and
//! what is renewed, the certificate. That comes from files ([`CertificateFiles`]) or is made here
//! ([`crate::certificates`]).

use std::sync::Arc;

use anyhow::Context as _;
use arc_swap::ArcSwapOption;
use rustls::ServerConfig;
use rustls::server::NoServerSessionStorage;
use rustls::sign::{CertifiedKey, SingleCertAndKey};

mod certificate;
mod clients;
mod files;
mod protocol;

pub use certificate::{Certificate, CertificateError};
pub use clients::Clients;
pub use files::CertificateFiles;
pub use protocol::{MinVersion, Protocol, UnknownVersion};

/// The configuration for the next handshake; none until there is a certificate. Whoever has a newer certificate
/// stores another.
pub type Published = Arc<ArcSwapOption<ServerConfig>>;

/// Stores a configuration for each new certificate. Clones store in the same place.
#[derive(Clone, Debug)]
pub struct Publisher {
    protocol: Protocol,
    clients: Option<Arc<Clients>>,
    published: Published,
}

impl Publisher {
    /// With `clients`, only they get through a handshake; otherwise no certificate is asked for.
    #[must_use]
    pub fn new(protocol: Protocol, clients: Option<Arc<Clients>>) -> Self {
        Self { protocol, clients, published: Published::default() }
    }

    /// Where the configurations are stored.
    #[must_use]
    pub fn published(&self) -> Published {
        Arc::clone(&self.published)
    }

    /// The versions, cipher suites and key exchange that are spoken.
    #[must_use]
    pub fn protocol(&self) -> &Protocol {
        &self.protocol
    }

    /// Serves a certificate from the next handshake on.
    ///
    /// # Errors
    ///
    /// When rustls does not accept the protocol's choice of versions and suites.
    pub fn publish(&self, certificate: Arc<CertifiedKey>) -> anyhow::Result<()> {
        let builder = ServerConfig::builder_with_provider(Arc::clone(self.protocol.provider()))
            .with_protocol_versions(self.protocol.versions())
            .context("cannot use these TLS versions and cipher suites")?;
        let builder = match &self.clients {
            Some(clients) => builder.with_client_cert_verifier(Arc::clone(clients) as Arc<_>),
            None => builder.with_no_client_auth(),
        };
        let mut config = builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(certificate)));
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        // kube-apiserver never resumes a session; tickets would only cost, and outlive a client's right to come in.
        config.send_tls13_tickets = 0;

        config.session_storage = Arc::new(NoServerSessionStorage {});
        // Ours begins with the cheapest of the good ones, as that of kube-apiserver does; OpenSSL's with the dearest.
        config.ignore_client_order = true;
        self.published.store(Some(Arc::new(config)));
        Ok(())
    }
}
