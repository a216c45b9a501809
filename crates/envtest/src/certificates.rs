//! A certificate authority that lives as long as a test.

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose,
};

use crate::error::{Error, Result};

/// A self-made certificate authority.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// A certificate and its private key.
#[derive(Clone)]
pub struct KeyPairPem {
    /// The certificate.
    pub certificate: String,
    /// The private key, PKCS#8.
    pub key: String,
}

impl Authority {
    /// Makes a key and signs itself.
    ///
    /// # Errors
    ///
    /// If the crypto library cannot.
    pub fn new(name: &str) -> Result<Authority> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().map_err(Error::certificate)?;
        Ok(Authority { issuer: CertifiedIssuer::self_signed(params, key).map_err(Error::certificate)? })
    }

    /// The authority's own certificate: what goes into a kubeconfig or a `caBundle`.
    pub fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// The same in the form in which a webhook configuration's `caBundle` wants it.
    pub fn ca_bundle(&self) -> String {
        base64(&self.pem())
    }

    /// Signs a certificate for a server known under these DNS names and IP addresses.
    ///
    /// # Errors
    ///
    /// If a name is neither.
    pub fn server(&self, names: &[&str]) -> Result<KeyPairPem> {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let mut params = CertificateParams::new(names).map_err(Error::certificate)?;
        params.distinguished_name.push(DnType::CommonName, "server");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.sign(params)
    }

    /// Signs a client certificate: the API server takes `user` and `groups` from it.
    ///
    /// # Errors
    ///
    /// If the crypto library cannot.
    pub fn client(&self, user: &str, groups: &[&str]) -> Result<KeyPairPem> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, user);
        for &group in groups {
            params.distinguished_name.push(DnType::OrganizationName, group);
        }
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.sign(params)
    }

    fn sign(&self, mut params: CertificateParams) -> Result<KeyPairPem> {
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate().map_err(Error::certificate)?;
        let certificate = params.signed_by(&key, &self.issuer).map_err(Error::certificate)?;
        Ok(KeyPairPem { certificate: certificate.pem(), key: key.serialize_pem() })
    }
}

/// A private key for ServiceAccount tokens: RSA, as EKS and kubeadm have it.
pub(crate) fn service_account_key() -> Result<String> {
    let key = KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).map_err(Error::certificate)?;
    Ok(key.serialize_pem())
}

/// What `caBundle` and kubeconfigs want.
pub(crate) fn base64(text: &str) -> String {
    use base64::{Engine, engine::general_purpose::STANDARD};
    STANDARD.encode(text)
}
