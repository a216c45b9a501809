//! The `caBundle` of webhook configurations: certificates as PEM, as base64.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::{Value, json};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::plan::{Bundle, Root};

/// A service that entries name.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Service {
    pub(super) namespace: String,
    pub(super) name: String,
}

/// The bundles of the entries that name the service.
pub(super) fn read(configuration: &Value, service: &Service) -> Vec<Bundle> {
    ours(configuration, service)
        .map(|entry| {
            let text = entry.pointer("/clientConfig/caBundle").and_then(Value::as_str).unwrap_or_default();
            bundle(text)
        })
        .collect()
}

/// A strategic merge patch that replaces them, one by one in their order, if nobody has written in between: the
/// entries are merged by name.
pub(super) fn patch(configuration: &Value, service: &Service, bundles: &[Vec<Root>]) -> Value {
    let entries: Vec<Value> = ours(configuration, service)
        .zip(bundles)
        .map(|(entry, roots)| {
            let text: String = roots.iter().map(|root| pem(&root.der)).collect();
            json!({"name": entry.get("name"), "clientConfig": {"caBundle": STANDARD.encode(text)}})
        })
        .collect();
    let version = configuration.pointer("/metadata/resourceVersion");
    json!({"metadata": {"resourceVersion": version}, "webhooks": entries})
}

/// A certificate in PEM.
pub(super) fn pem(der: &[u8]) -> String {
    let mut text = "-----BEGIN CERTIFICATE-----\n".to_owned();
    for line in STANDARD.encode(der).as_bytes().chunks(64) {
        text.extend(line.iter().copied().map(char::from));
        text.push('\n');
    }
    text + "-----END CERTIFICATE-----\n"
}

/// A certificate as one that others are checked against; none if it cannot be read.
pub(super) fn root(der: &[u8]) -> Option<Root> {
    let (_, parsed) = X509Certificate::from_der(der).ok()?;
    let validity = parsed.validity();
    let (from, until) = (validity.not_before.timestamp(), validity.not_after.timestamp());
    Some(Root { der: der.to_vec(), from, until })
}

fn ours<'c>(configuration: &'c Value, service: &'c Service) -> impl Iterator<Item = &'c Value> {
    let entries = configuration.get("webhooks").and_then(Value::as_array);
    entries.into_iter().flatten().filter(|entry| {
        let names = |key, expected: &str| {
            let named = entry.pointer("/clientConfig/service").and_then(|service| service.get(key));
            named.and_then(Value::as_str) == Some(expected)
        };
        names("name", &service.name) && names("namespace", &service.namespace)
    })
}

fn bundle(text: &str) -> Bundle {
    let Ok(text) = STANDARD.decode(text) else { return Bundle { has_garbage: true, ..Bundle::default() } };
    let mut bundle = Bundle::default();
    for certificate in CertificateDer::pem_slice_iter(&text) {
        match certificate.ok().as_deref().and_then(root) {
            Some(root) => bundle.roots.push(root),
            // kube-apiserver refuses the whole of it.
            None => bundle.has_garbage = true,
        }
    }
    bundle.has_garbage |= bundle.roots.is_empty() && !text.is_empty();
    bundle
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::certificates::authority::Authority;
    use crate::certificates::plan::Lifetimes;

    #[test]
    fn only_entries_that_name_the_service() {
        let [one, other] = [1_800_000_000, 1_900_000_000]
            .map(|now| Authority::make(&Lifetimes::default(), now).unwrap().root);
        let of =
            |roots: &[&Root]| STANDARD.encode(roots.iter().map(|root| pem(&root.der)).collect::<String>());
        let service = Service { namespace: "eks".to_owned(), name: "webhook".to_owned() };
        let entry = |name: &str, namespace: &str, service: &str, bundle: Value| {
            let service = json!({"namespace": namespace, "name": service, "path": "/mutate"});
            json!({"name": name, "clientConfig": {"service": service, "caBundle": bundle}})
        };
        let configuration = json!({
            "metadata": {"resourceVersion": "7", "name": "webhook"},
            "webhooks": [
                entry("both", "eks", "webhook", of(&[&one, &other]).into()),
                entry("other-namespace", "kube-system", "webhook", Value::Null),
                {"name": "url", "clientConfig": {"url": "https://example.com/mutate"}},
                entry("other-service", "eks", "webhook-2", of(&[&one]).into()),
                entry("none", "eks", "webhook", Value::Null),
                entry("garbage", "eks", "webhook", STANDARD.encode("garbage").into()),
                entry("not-base64", "eks", "webhook", "%".into()),
                entry(
                    "both-and-garbage", "eks", "webhook",
                    STANDARD.encode(format!("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n{}", pem(&one.der))).into(),
                ),
            ],
        });
        let bundle = |roots: &[&Root], has_garbage| Bundle {
            roots: roots.iter().map(|&root| root.clone()).collect(),
            has_garbage,
        };
        let expected = [
            bundle(&[&one, &other], false),
            bundle(&[], false),
            bundle(&[], true),
            bundle(&[], true),
            bundle(&[&one], true),
        ];
        assert_eq!(read(&configuration, &service), expected);

        let written =
            [vec![one.clone()], vec![other.clone()], vec![], vec![one.clone(), other.clone()], vec![]];
        let part =
            |name: &str, roots: &[&Root]| json!({"name": name, "clientConfig": {"caBundle": of(roots)}});
        let expected = json!({
            "metadata": {"resourceVersion": "7"},
            "webhooks": [
                part("both", &[&one]),
                part("none", &[&other]),
                part("garbage", &[]),
                part("not-base64", &[&one, &other]),
                part("both-and-garbage", &[]),
            ],
        });
        assert_eq!(patch(&configuration, &service, &written), expected);
        assert_eq!(read(&json!({}), &service), []);
    }
}
