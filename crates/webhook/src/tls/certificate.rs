//! A certificate chain and its private key, read from PEM.

use std::sync::Arc;

use jiff::Timestamp;
use rustls::InconsistentKeys;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use x509_parser::prelude::{FromDer as _, X509Certificate};

/// A certificate chain with its private key.
#[derive(Clone, Debug)]
pub struct Certificate {
    /// What rustls serves.
    pub key: Arc<CertifiedKey>,
    /// When the first of the chain expires.
    pub expires: Timestamp,
    /// Whether the server's certificate has a subject alternative name: Go ignores the common name, so
    /// kube-apiserver refuses one without.
    pub has_alternative_name: bool,
}

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// Not PEM, or nothing in it.
    #[error("the certificate file holds no certificate: expected `-----BEGIN CERTIFICATE-----` ({0})")]
    NoCertificate(String),
    /// Not DER inside the PEM, or not X.509.
    #[error("certificate {0} of the chain cannot be read: expected X.509")]
    Malformed(usize),
    /// Not PEM, or no key in it.
    #[error("the key file holds no private key: expected `-----BEGIN PRIVATE KEY-----`, not encrypted ({0})")]
    NoKey(String),
    /// They were changed one after the other, or mixed up.
    #[error(
        "certificate and private key do not belong together: expected the key of the chain's first certificate"
    )]
    Mismatch,
    /// A kind of key that is not supported.
    #[error("the private key cannot be used: {0}")]
    Unusable(rustls::Error),
}

impl Certificate {
    /// Reads both, and checks that they belong together.
    ///
    /// # Errors
    ///
    /// When they do not, or one of them cannot be read. Never with anything of the key in it.
    pub fn read(chain: &[u8], key: &[u8], provider: &CryptoProvider) -> Result<Self, CertificateError> {
        let chain = CertificateDer::pem_slice_iter(chain)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| CertificateError::NoCertificate(reason(&error)))?;
        if chain.is_empty() {
            return Err(CertificateError::NoCertificate(reason(&pem::Error::NoItemsFound)));
        }
        let key =
            PrivateKeyDer::from_pem_slice(key).map_err(|error| CertificateError::NoKey(reason(&error)))?;
        let mut expires = Timestamp::MAX;
        let mut has_alternative_name = None;
        for (i, der) in chain.iter().enumerate() {
            let (_, parsed) =
                X509Certificate::from_der(der).map_err(|_| CertificateError::Malformed(i + 1))?;
            let until = Timestamp::from_second(parsed.validity().not_after.timestamp());
            expires = expires.min(until.unwrap_or(Timestamp::MAX));
            let named = matches!(parsed.subject_alternative_name(), Ok(Some(_)));
            has_alternative_name.get_or_insert(named);
        }
        let key = CertifiedKey::from_der(chain, key, provider).map_err(|error| match error {
            rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => CertificateError::Mismatch,
            error => CertificateError::Unusable(error),
        })?;
        Ok(Self {
            key: Arc::new(key),
            expires,
            has_alternative_name: has_alternative_name.unwrap_or_default(),
        })
    }
}

/// rustls' own texts may show lines of the file, which may be the key's.
fn reason(error: &pem::Error) -> String {
    let text = match error {
        pem::Error::NoItemsFound => "there is no such section",
        pem::Error::MissingSectionEnd { .. } => "a section does not end",
        pem::Error::IllegalSectionStart { .. } => "a section begins badly",
        pem::Error::Base64Decode(_) => "a section is not base64",
        _ => "not PEM",
    };
    text.to_owned()
}
