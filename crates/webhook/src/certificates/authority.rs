//! The certificate authority: made, kept in a Secret, and signing.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PublicKeyData as _, SerialNumber,
};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use serde_json::{Value, json};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::bundle;
use super::plan::{Lifetimes, Root, Seconds};

/// Where the Secret keeps certificates and keys. Not `tls.crt`: what is there may be another program's.
const CERTIFICATES: &str = "ca.crt";
const KEYS: &str = "ca.key";

/// An authority with its key.
#[derive(Debug)]
pub(super) struct Authority {
    pub(super) root: Root,
    key: KeyPair,
}

impl Authority {
    /// A new one.
    pub(super) fn make(lifetimes: &Lifetimes, now: Seconds) -> anyhow::Result<Self> {
        let (from, until) = (now - lifetimes.backdate, now + lifetimes.authority);
        let mut params = params("pod-identity-webhook CA", from, until)?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).context("cannot make a key")?;
        let der = params.self_signed(&key).context("cannot make a certificate authority")?.der().to_vec();
        Ok(Self { root: Root { der, from, until }, key })
    }

    /// A certificate for a server that is known under these names.
    pub(super) fn issue(
        &self,
        names: &[String],
        from: Seconds,
        until: Seconds,
        provider: &CryptoProvider,
    ) -> anyhow::Result<Arc<CertifiedKey>> {
        let certificate: CertificateDer<'_> = self.root.der.as_slice().into();
        let issuer = Issuer::from_ca_cert_der(&certificate, &self.key).context("cannot sign")?;
        // Go looks at the alternative names only.
        let mut params = params("pod-identity-webhook", from, until)?;
        params.subject_alt_names =
            CertificateParams::new(names).context("cannot use the names of the service")?.subject_alt_names;
        // Unlike the default it comes with a subject key identifier.
        params.is_ca = IsCa::ExplicitNoCa;
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).context("cannot make a key")?;
        let certificate = params.signed_by(&key, &issuer).context("cannot sign a certificate")?;
        let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
        let key = CertifiedKey::from_der(vec![certificate.into()], key, provider);
        key.map(Arc::new).context("cannot use the certificate that was made")
    }
}

/// The authorities in a Secret, the newest first, and what is wrong with the rest. An empty Secret is as shipped.
pub(super) fn read(secret: &Value) -> (Vec<Authority>, Option<String>) {
    let [certificates, keys] = [CERTIFICATES, KEYS].map(|key| {
        let data = secret.pointer("/data").and_then(|data| data.get(key)).and_then(Value::as_str);
        STANDARD.decode(data.unwrap_or_default()).unwrap_or_default()
    });
    let mut problem = None;
    let mut keys: Vec<KeyPair> =
        PrivateKeyDer::pem_slice_iter(&keys).filter_map(|key| KeyPair::try_from(&key.ok()?).ok()).collect();
    let mut authorities = Vec::new();
    let mut found = 0;
    for certificate in CertificateDer::pem_slice_iter(&certificates) {
        found += 1;
        match certificate.map_err(|_| "is not PEM").and_then(|certificate| authority(&certificate, &mut keys))
        {
            Ok(authority) => authorities.push(authority),
            Err(what) => problem = Some(format!("certificate {found} in `{CERTIFICATES}` {what}")),
        }
    }
    if found == 0 && !certificates.is_empty() {
        problem = Some(format!("`{CERTIFICATES}` holds no certificate"));
    }
    authorities.sort_by_key(|authority| std::cmp::Reverse(authority.root.from));
    (authorities, problem)
}

/// The Secret with these authorities, and with everything else that was in it.
pub(super) fn write<'a>(mut secret: Value, authorities: impl Iterator<Item = &'a Authority>) -> Value {
    let (mut certificates, mut keys) = (String::new(), String::new());
    for authority in authorities {
        certificates.push_str(&bundle::pem(&authority.root.der));
        keys.push_str(&authority.key.serialize_pem());
    }
    if let Some(secret) = secret.as_object_mut() {
        let data = secret.entry("data").or_insert(Value::Null);
        if !data.is_object() {
            *data = json!({});
        }
        if let Some(data) = data.as_object_mut() {
            data.insert(CERTIFICATES.to_owned(), STANDARD.encode(certificates).into());
            data.insert(KEYS.to_owned(), STANDARD.encode(keys).into());
        }
    }
    secret
}

fn authority(certificate: &CertificateDer<'_>, keys: &mut Vec<KeyPair>) -> Result<Authority, &'static str> {
    let (_, parsed) = X509Certificate::from_der(certificate).map_err(|_| "cannot be read: expected X.509")?;
    if !parsed.is_ca() {
        return Err("is no certificate authority");
    }
    let usage = parsed.key_usage().map_err(|_| "cannot be read: expected X.509")?;
    if usage.is_some_and(|usage| !usage.value.key_cert_sign()) {
        return Err("may not sign certificates");
    }
    let public = parsed.public_key().raw;
    let key = keys.iter().position(|key| key.subject_public_key_info() == public);
    let key = key.ok_or("has no key in `ca.key`")?;
    Ok(Authority {
        root: bundle::root(certificate).ok_or("cannot be read: expected X.509")?,
        key: keys.swap_remove(key),
    })
}

fn params(name: &str, from: Seconds, until: Seconds) -> anyhow::Result<CertificateParams> {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    params.not_before = epoch + Duration::from_secs(from.try_into().context("the time is before 1970")?);
    params.not_after = epoch + Duration::from_secs(until.try_into().context("the time is before 1970")?);
    let mut serial = [0; 16];
    aws_lc_rs::rand::fill(&mut serial).context("there is no randomness")?;
    // Positive and not zero (https://www.rfc-editor.org/rfc/rfc5280#section-4.1.2.2).
    let [first, ..] = &mut serial;
    *first = *first & 0x7f | 0x40;
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    Ok(params)
}

#[cfg(test)]
mod tests {
    use rustls::crypto::aws_lc_rs::default_provider;
    use x509_parser::prelude::{GeneralName, ParsedExtension};

    use super::*;

    const NOW: Seconds = 1_800_000_000;

    fn make() -> Authority {
        Authority::make(&Lifetimes::default(), NOW).unwrap()
    }

    fn stored(certificates: &str, keys: &str) -> Value {
        json!({"data": {"ca.crt": STANDARD.encode(certificates), "ca.key": STANDARD.encode(keys)}})
    }

    #[test]
    fn the_secret_keeps_what_it_held() {
        let (old, new) = (Authority::make(&Lifetimes::default(), NOW - 9).unwrap(), make());
        let secret = json!({"metadata": {"resourceVersion": "7"}, "type": "kubernetes.io/tls", "data": {"tls.crt": "YQ=="}});
        let written = write(secret.clone(), [&old, &new].into_iter());
        let mut rest = written.clone();
        for key in [CERTIFICATES, KEYS] {
            rest["data"].as_object_mut().unwrap().remove(key).unwrap();
        }
        assert_eq!(rest, secret);
        let (read, problem) = read(&written);
        assert_eq!(problem, None);
        let parts = |authority: &Authority| (authority.root.clone(), authority.key.serialize_pem());
        assert_eq!(
            read.iter().map(parts).collect::<Vec<_>>(),
            [parts(&new), parts(&old)],
            "the newest first"
        );
        assert_eq!(write(json!({"data": null}), [&new].into_iter())["data"].as_object().unwrap().len(), 2);
    }

    #[test]
    fn what_cannot_be_used_is_reported() {
        let (one, other) = (make(), make());
        let [pem, other_pem] = [&one, &other].map(|authority| bundle::pem(&authority.root.der));
        let [key, other_key] = [&one, &other].map(|authority| authority.key.serialize_pem());
        let server = one.issue(&["a.b.svc".to_owned()], NOW, NOW + 60, &default_provider()).unwrap();
        let server = bundle::pem(&server.cert[0]);
        for (certificates, keys, expected, problem) in [
            ("", "", 0, None),
            (&*pem, &*key, 1, None),
            (&pem, "", 0, Some("certificate 1 in `ca.crt` has no key in `ca.key`")),
            (&pem, &other_key, 0, Some("certificate 1 in `ca.crt` has no key in `ca.key`")),
            (&format!("{other_pem}{pem}"), &key, 1, Some("certificate 1 in `ca.crt` has no key in `ca.key`")),
            (&format!("{other_pem}{pem}"), &format!("{key}{other_key}"), 2, None),
            (&server, &key, 0, Some("certificate 1 in `ca.crt` is no certificate authority")),
            ("garbage", &key, 0, Some("`ca.crt` holds no certificate")),
            ("-----BEGIN CERTIFICATE-----\n", &key, 0, Some("certificate 1 in `ca.crt` is not PEM")),
            (
                "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
                &key,
                0,
                Some("certificate 1 in `ca.crt` cannot be read: expected X.509"),
            ),
        ] {
            let (authorities, found) = read(&stored(certificates, keys));
            assert_eq!((authorities.len(), found.as_deref()), (expected, problem), "{certificates}");
        }
        for secret in [json!({}), json!({"data": null}), json!({"data": {"ca.crt": "%", "ca.key": 7}})] {
            let (authorities, problem) = read(&secret);
            assert_eq!((authorities.len(), problem), (0, None), "{secret}");
        }
    }

    #[test]
    fn certificates_are_as_go_wants_them() {
        let ca = make();
        let names = ["svc.ns.svc", "svc.ns"].map(str::to_owned);
        let leaf = ca.issue(&names, NOW - 3600, NOW + 60, &default_provider()).unwrap();
        let [leaf] = leaf.cert.as_slice() else { panic!("{leaf:?}") };
        let (_, leaf) = X509Certificate::from_der(leaf).unwrap();
        let (_, ca) = X509Certificate::from_der(&ca.root.der).unwrap();
        leaf.verify_signature(Some(ca.public_key())).unwrap();
        assert_eq!(leaf.issuer(), ca.subject());
        assert_ne!(leaf.subject(), ca.subject());
        assert!(leaf.subject().iter().next().is_some());
        assert_ne!(leaf.raw_serial(), ca.raw_serial());
        for certificate in [&leaf, &ca] {
            assert_eq!((certificate.raw_serial().len(), certificate.raw_serial()[0] >> 6), (16, 1));
        }
        assert_eq!(leaf.validity().not_before.timestamp(), NOW - 3600);
        assert_eq!(leaf.validity().not_after.timestamp(), NOW + 60);
        let alternative = &leaf.subject_alternative_name().unwrap().unwrap().value.general_names;
        assert_eq!(alternative, &[GeneralName::DNSName("svc.ns.svc"), GeneralName::DNSName("svc.ns")]);
        let usage = leaf.extended_key_usage().unwrap().unwrap().value;
        assert!(usage.server_auth && !usage.client_auth && !leaf.is_ca() && ca.is_ca());
        let subject_key = |certificate: &X509Certificate<'_>| {
            certificate.extensions().iter().find_map(|extension| match extension.parsed_extension() {
                ParsedExtension::SubjectKeyIdentifier(id) => Some(id.0.to_vec()),
                _ => None,
            })
        };
        let authority_key =
            leaf.extensions().iter().find_map(|extension| match extension.parsed_extension() {
                ParsedExtension::AuthorityKeyIdentifier(id) => {
                    Some(id.key_identifier.as_ref().unwrap().0.to_vec())
                }
                _ => None,
            });
        assert_eq!(authority_key, subject_key(&ca));
        assert!(subject_key(&leaf).is_some_and(|id| Some(id) != authority_key));
    }
}
