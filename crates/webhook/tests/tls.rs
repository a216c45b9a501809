//! Handshakes with certificates in files, which change.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that panics has failed, which is what it is for"
)]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use envtest::{Authority, KeyPairPem};
use rcgen::{CertificateParams, DnType, KeyPair};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{CipherSuite, ClientConfig, ProtocolVersion, RootCertStore, SupportedProtocolVersion};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_rustls::{TlsAcceptor, TlsConnector};
use webhook::metrics::Metrics;
use webhook::tls::{CertificateFiles, Clients, MinVersion, Protocol, Publisher};

const NAME: &str = "pod-identity-webhook.eks.svc";

/// A folder that goes when the test ends, and what is served from it.
struct Server {
    folder: PathBuf,
    publisher: Publisher,
    metrics: Metrics,
}

impl Server {
    fn new(name: &str, protocol: Protocol, clients: Option<Arc<Clients>>) -> Self {
        let folder = folder(name);
        Self { folder, publisher: Publisher::new(protocol, clients), metrics: Metrics::default() }
    }

    fn write(&self, pair: &KeyPairPem) {
        write(&self.folder, pair);
    }

    fn read(&self) -> anyhow::Result<CertificateFiles> {
        let files = [self.folder.join("tls.crt"), self.folder.join("tls.key")];
        let [certificate, key] = files;
        CertificateFiles::read(certificate, key, self.publisher.clone(), self.metrics.clone())
    }

    fn problems(&self) -> i64 {
        self.metrics.configuration_problems.get_or_create(&"certificate".into()).get()
    }

    fn reloads(&self) -> u64 {
        self.metrics.reloads.get_or_create(&"certificate".into()).get()
    }

    /// Waits until the files were looked at again with this result.
    async fn until(&self, what: &str, condition: impl Fn(&Self) -> bool) {
        for _ in 0..300 {
            if condition(self) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("{what} did not happen");
    }

    /// A handshake, and a byte each way: with TLS 1.3 a client only learns from the answer that it was refused.
    async fn connect(&self, client: ClientConfig) -> Result<Spoken, String> {
        let (near, far) = tokio::io::duplex(1 << 16);
        let acceptor =
            TlsAcceptor::from(self.publisher.published().load_full().expect("nothing is published"));
        let server = tokio::spawn(async move {
            let mut stream = acceptor.accept(far).await.map_err(|error| error.to_string())?;
            let byte = stream.read_u8().await.map_err(|error| error.to_string())?;
            stream.write_u8(byte).await.map_err(|error| error.to_string())?;
            stream.shutdown().await.map_err(|error| error.to_string())
        });
        let name = ServerName::try_from(NAME).unwrap();
        let connected = async {
            let mut stream = TlsConnector::from(Arc::new(client)).connect(name, near).await?;
            stream.write_u8(7).await?;
            assert_eq!(stream.read_u8().await?, 7);
            let (_, connection) = stream.get_ref();
            Ok::<_, std::io::Error>(Spoken {
                certificate: connection.peer_certificates().unwrap()[0].to_vec(),
                version: connection.protocol_version().unwrap(),
                suite: connection.negotiated_cipher_suite().unwrap().suite(),
                alpn: connection.alpn_protocol().map(<[u8]>::to_vec),
                tickets: connection.tls13_tickets_received(),
            })
        };
        let connected = connected.await.map_err(|error| error.to_string());
        match server.await.unwrap() {
            Ok(()) => connected,
            Err(refused) => {
                assert!(connected.is_err(), "the server refused and the client did not notice: {refused}");
                Err(refused)
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

#[derive(Clone, Debug, Eq, PartialEq)]
struct Spoken {
    certificate: Vec<u8>,
    version: ProtocolVersion,
    suite: CipherSuite,
    alpn: Option<Vec<u8>>,
    tickets: u32,
}

fn folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("webhook-tls-{name}-{}", std::process::id()));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

fn write(folder: &Path, pair: &KeyPairPem) {
    fs::write(folder.join("tls.crt"), &pair.certificate).unwrap();
    fs::write(folder.join("tls.key"), &pair.key).unwrap();
}

fn der(pem: &str) -> Vec<u8> {
    CertificateDer::from_pem_slice(pem.as_bytes()).unwrap().to_vec()
}

fn client(authority: &Authority) -> ClientConfig {
    client_with(authority, &[&rustls::version::TLS13, &rustls::version::TLS12], None)
}

fn client_with(
    authority: &Authority,
    versions: &[&'static SupportedProtocolVersion],
    identity: Option<&KeyPairPem>,
) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(der(&authority.pem()).into()).unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots);
    let mut config = match identity {
        Some(pair) => {
            let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).unwrap();
            builder.with_client_auth_cert(vec![der(&pair.certificate).into()], key).unwrap()
        }
        None => builder.with_no_client_auth(),
    };
    // As kube-apiserver does for webhooks.
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config
}

#[tokio::test]
async fn files_are_served_and_followed() {
    let authority = Authority::new("test").unwrap();
    let server = Server::new("followed", Protocol::default(), None);
    let [first, second] = [(); 2].map(|()| authority.server(&[NAME]).unwrap());
    server.write(&first);
    let task = tokio::spawn(server.read().unwrap().follow());
    let spoken = server.connect(client(&authority)).await.unwrap();
    let expected = Spoken {
        certificate: der(&first.certificate),
        version: ProtocolVersion::TLSv1_3,
        suite: CipherSuite::TLS13_AES_128_GCM_SHA256,
        alpn: Some(b"http/1.1".to_vec()),
        tickets: 0,
    };
    assert_eq!(spoken, expected);

    server.write(&second);
    server.until("the reload", |server| server.reloads() == 2).await;
    let spoken = server.connect(client(&authority)).await.unwrap();
    assert_eq!(spoken, Spoken { certificate: der(&second.certificate), ..expected });
    task.abort();
}

#[tokio::test]
async fn a_torn_swap_leaves_the_last_good_pair() {
    let authority = Authority::new("test").unwrap();
    let server = Server::new("torn", Protocol::default(), None);
    let [first, second] = [(); 2].map(|()| authority.server(&[NAME]).unwrap());
    server.write(&first);
    let task = tokio::spawn(server.read().unwrap().follow());

    for torn in [
        KeyPairPem { key: first.key.clone(), ..second.clone() },
        KeyPairPem { certificate: String::new(), ..second.clone() },
        KeyPairPem { key: second.key.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY"), ..second.clone() },
        KeyPairPem { certificate: second.certificate.chars().take(200).collect(), ..second.clone() },
    ] {
        // Through a good state each time, so that the report is seen to come anew.
        server.write(&torn);
        server.until("the report", |server| server.problems() == 1).await;
        let served = server.connect(client(&authority)).await.unwrap().certificate;
        assert_eq!(served, der(&first.certificate));
        server.write(&first);
        server.until("the recovery", |server| server.problems() == 0).await;
    }
    fs::remove_file(server.folder.join("tls.key")).unwrap();
    server.until("the report", |server| server.problems() == 1).await;
    server.write(&second);
    server.until("the recovery", |server| server.problems() == 0).await;
    let served = server.connect(client(&authority)).await.unwrap().certificate;
    assert_eq!(served, der(&second.certificate));
    task.abort();
}

/// As the kubelet changes a mounted Secret.
#[tokio::test]
async fn the_swap_of_a_mounted_volume_is_seen() {
    let authority = Authority::new("test").unwrap();
    let server = Server::new("mounted", Protocol::default(), None);
    let [first, second] = [(); 2].map(|()| authority.server(&[NAME]).unwrap());
    for (version, pair) in [("..1", &first), ("..2", &second)] {
        let folder = server.folder.join(version);
        fs::create_dir(&folder).unwrap();
        write(&folder, pair);
    }
    symlink("..1", server.folder.join("..data")).unwrap();
    for file in ["tls.crt", "tls.key"] {
        symlink(Path::new("..data").join(file), server.folder.join(file)).unwrap();
    }
    let task = tokio::spawn(server.read().unwrap().follow());
    assert_eq!(server.connect(client(&authority)).await.unwrap().certificate, der(&first.certificate));

    symlink("..2", server.folder.join("..data_tmp")).unwrap();
    fs::rename(server.folder.join("..data_tmp"), server.folder.join("..data")).unwrap();
    fs::remove_dir_all(server.folder.join("..1")).unwrap();
    server.until("the reload", |server| server.reloads() == 2).await;
    assert_eq!(server.connect(client(&authority)).await.unwrap().certificate, der(&second.certificate));
    task.abort();
}

#[test]
fn without_a_usable_pair_it_does_not_start() {
    let authority = Authority::new("test").unwrap();
    let server = Server::new("start", Protocol::default(), None);
    let [pair, other] = [(); 2].map(|()| authority.server(&[NAME]).unwrap());
    let folder = server.folder.display();
    let (certificate, key) =
        (format!("`{folder}/tls.crt` (`--tls-cert`)"), format!("`{folder}/tls.key` (`--tls-key`)"));
    let both = format!("cannot use {certificate} with {key}");
    let started = || server.read().map(drop).map_err(|error| format!("{error:#}"));

    let expected = "expected the certificate chain as PEM: entity not found";
    assert_eq!(started(), Err(format!("cannot read {certificate}: {expected}")));
    fs::write(server.folder.join("tls.crt"), &pair.certificate).unwrap();
    let expected = "expected the private key as PEM: entity not found";
    assert_eq!(started(), Err(format!("cannot read {key}: {expected}")));
    for (certificate, key, expected) in [
        (
            pair.certificate.as_str(),
            other.key.as_str(),
            "certificate and private key do not belong together: expected the key of the chain's first certificate",
        ),
        (
            &pair.key,
            &pair.key,
            "the certificate file holds no certificate: expected `-----BEGIN CERTIFICATE-----` (there is no such section)",
        ),
        (
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
            &pair.key,
            "certificate 1 of the chain cannot be read: expected X.509",
        ),
        (
            &pair.certificate,
            &pair.certificate,
            "the key file holds no private key: expected `-----BEGIN PRIVATE KEY-----`, not encrypted (there is no such section)",
        ),
        (
            &pair.certificate,
            "-----BEGIN PRIVATE KEY-----\nSECRET",
            "the key file holds no private key: expected `-----BEGIN PRIVATE KEY-----`, not encrypted (a section does not end)",
        ),
    ] {
        server.write(&KeyPairPem { certificate: certificate.to_owned(), key: key.to_owned() });
        assert_eq!(started(), Err(format!("{both}: {expected}")));
    }
    server.write(&pair);
    assert_eq!(started(), Ok(()));
}

#[tokio::test]
async fn an_expired_certificate_is_served_and_its_expiry_shown() {
    let server = Server::new("expired", Protocol::default(), None);
    let mut params = CertificateParams::new(vec![NAME.to_owned()]).unwrap();
    params.not_before = rcgen::date_time_ymd(2020, 1, 1);
    params.not_after = rcgen::date_time_ymd(2020, 1, 2);
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    server.write(&KeyPairPem { certificate: certificate.pem(), key: key.serialize_pem() });
    server.read().unwrap();
    assert!(server.publisher.published().load().is_some());
    let expiry = server.metrics.certificate_expiry.get_or_create(&"serving".into()).get();
    assert_eq!(expiry, 1_577_923_200);
}

#[tokio::test]
async fn only_allowed_clients_get_in() {
    let serving = Authority::new("serving").unwrap();
    let [authority, other] = ["cluster", "other"].map(|name| Authority::new(name).unwrap());
    let allowed_folder = folder("allowed");
    let ca = allowed_folder.join("ca.crt");
    fs::write(&ca, authority.pem()).unwrap();
    let names = vec!["kube-apiserver".to_owned(), "apiserver.example.com".to_owned()];
    let protocol = Protocol::default();
    let (clients, files) = Clients::read(ca.clone(), names, protocol.provider()).unwrap();
    let server = Server::new("clients", protocol, Some(Arc::clone(&clients)));
    server.write(&serving.server(&[NAME]).unwrap());
    server.read().unwrap();

    let api_server = authority.client("kube-apiserver", &[]).unwrap();
    let kubelet = authority.client("system:node:\nkube-apiserver", &["system:nodes"]).unwrap();
    let wrong_name = "invalid peer certificate: Other(OtherError(the client's certificate is for \
         `system:node:\\nkube-apiserver`, which `--client-allowed-names` does not hold))";
    let mut nameless = CertificateParams::default();
    nameless.distinguished_name.remove(DnType::CommonName);
    let key = KeyPair::generate().unwrap();
    let nameless =
        KeyPairPem { certificate: nameless.self_signed(&key).unwrap().pem(), key: key.serialize_pem() };
    for versions in [&[&rustls::version::TLS13], &[&rustls::version::TLS12]] {
        let connect =
            |identity: Option<&KeyPairPem>| server.connect(client_with(&serving, versions, identity));
        connect(Some(&api_server)).await.unwrap();
        assert_eq!(connect(Some(&kubelet)).await.unwrap_err(), wrong_name);
        assert_eq!(connect(None).await.unwrap_err(), "peer sent no certificates");
        let stranger = other.client("kube-apiserver", &[]).unwrap();
        assert_eq!(connect(Some(&stranger)).await.unwrap_err(), "invalid peer certificate: UnknownIssuer");
        assert_eq!(connect(Some(&nameless)).await.unwrap_err(), "invalid peer certificate: UnknownIssuer");
        // A server's certificate is no client's, whatever its name.
        let node = authority.server(&["apiserver.example.com"]).unwrap();
        let refused = connect(Some(&node)).await.unwrap_err();
        assert!(refused.starts_with("invalid peer certificate: "), "{refused}");
        assert!(refused.contains("usage") || refused.contains("Purpose"), "{refused}");
    }

    // The authority is replaced; in between the file is broken.
    let metrics = server.metrics.clone();
    let task = tokio::spawn(clients.follow(files, metrics.clone()));
    let problems = || metrics.configuration_problems.get_or_create(&"client_ca".into()).get();
    fs::write(&ca, "-----BEGIN").unwrap();
    server.until("the report", |_| problems() == 1).await;
    server.connect(client_with(&serving, &[&rustls::version::TLS13], Some(&api_server))).await.unwrap();
    fs::write(&ca, other.pem()).unwrap();
    server.until("the recovery", |_| problems() == 0).await;
    let refused = server.connect(client_with(&serving, &[&rustls::version::TLS13], Some(&api_server)));
    assert_eq!(refused.await.unwrap_err(), "invalid peer certificate: UnknownIssuer");
    let api_server = other.client("kube-apiserver", &[]).unwrap();
    server.connect(client_with(&serving, &[&rustls::version::TLS13], Some(&api_server))).await.unwrap();
    task.abort();
    fs::remove_dir_all(allowed_folder).unwrap();
}

#[tokio::test]
async fn an_alternative_name_is_a_name() {
    let serving = Authority::new("serving").unwrap();
    let key = KeyPair::generate().unwrap();
    let mut ca = CertificateParams::default();
    ca.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let ca = rcgen::CertifiedIssuer::self_signed(ca, key).unwrap();
    let path = folder("alternative");
    fs::write(path.join("ca.crt"), ca.pem()).unwrap();
    let protocol = Protocol::default();
    let names = vec!["apiserver.example.com".to_owned()];
    let (clients, _) = Clients::read(path.join("ca.crt"), names, protocol.provider()).unwrap();
    let server = Server::new("alternative-server", protocol, Some(clients));
    server.write(&serving.server(&[NAME]).unwrap());
    server.read().unwrap();
    for (names, gets_in) in [
        (vec!["other.example.com", "apiserver.example.com"], true),
        (vec!["*.example.com"], false),
        (vec!["apiserver.example.com.evil.test"], false),
    ] {
        let names: Vec<String> = names.into_iter().map(str::to_owned).collect();
        let mut params = CertificateParams::new(names.clone()).unwrap();
        params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &ca).unwrap().pem();
        let pair = KeyPairPem { certificate, key: key.serialize_pem() };
        let connected = server.connect(client_with(&serving, &[&rustls::version::TLS13], Some(&pair))).await;
        assert_eq!(connected.is_ok(), gets_in, "{names:?}: {connected:?}");
    }
    fs::remove_dir_all(path).unwrap();
}

#[test]
fn without_authorities_or_names_it_does_not_start() {
    let folder = folder("no-authority");
    let path = folder.join("ca.crt");
    let provider = Arc::clone(Protocol::default().provider());
    let read = |names: &[&str]| {
        let names = names.iter().map(|&name| name.to_owned()).collect();
        Clients::read(path.clone(), names, &provider).map(drop).map_err(|error| format!("{error:#}"))
    };
    let cannot = format!("cannot use `{}` (`--client-ca-file`)", path.display());
    assert_eq!(read(&["a"]), Err(format!("{cannot}: entity not found")));
    fs::write(&path, "").unwrap();
    let expected = "it holds no certificate: expected `-----BEGIN CERTIFICATE-----`";
    assert_eq!(read(&["a"]), Err(format!("{cannot}: {expected}")));
    fs::write(&path, Authority::new("test").unwrap().pem()).unwrap();
    assert_eq!(read(&["a"]), Ok(()));
    assert!(read(&[]).unwrap_err().starts_with("`--client-allowed-names` is empty"));
    fs::remove_dir_all(folder).unwrap();
}

#[tokio::test]
async fn versions_and_suites_are_those_that_were_asked_for() {
    let authority = Authority::new("test").unwrap();
    let pair = authority.server(&[NAME]).unwrap();
    let suite = "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256";
    let tls12: &[_] = &[&rustls::version::TLS12];
    for (name, version, suites, expected) in [
        ("min-default", MinVersion::Tls10, "", Ok(CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256)),
        (
            "min-suite",
            MinVersion::Tls12,
            suite,
            Ok(CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256),
        ),
        ("min-13", MinVersion::Tls13, "", Err("peer is incompatible: ")),
    ] {
        let server = Server::new(name, Protocol::new(version, suites).0, None);
        server.write(&pair);
        server.read().unwrap();
        let spoken = server.connect(client_with(&authority, tls12, None)).await;
        match expected {
            Ok(suite) => assert_eq!(spoken.unwrap().suite, suite),
            Err(start) => assert!(spoken.unwrap_err().starts_with(start), "{name}"),
        }
        server.connect(client_with(&authority, &[&rustls::version::TLS13], None)).await.unwrap();
    }
}

#[tokio::test]
async fn tls_1_1_is_refused() {
    let authority = Authority::new("test").unwrap();
    // Asked for, and raised.
    let server = Server::new("tls11", Protocol::new(MinVersion::Tls10, "").0, None);
    server.write(&authority.server(&[NAME]).unwrap());
    server.read().unwrap();
    let acceptor = TlsAcceptor::from(server.publisher.published().load_full().unwrap());
    let (mut near, far) = tokio::io::duplex(1 << 16);
    let accepted = tokio::spawn(async move { acceptor.accept(far).await.map(drop) });
    // A ClientHello of TLS 1.1 with TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA, x25519 and ecdsa_secp256r1_sha256.
    let mut body = vec![3, 2];
    body.extend([9; 32]);
    body.extend([0, 0, 2, 0xc0, 0x13, 1, 0, 0, 16]);
    body.extend([0, 10, 0, 4, 0, 2, 0, 29, 0, 13, 0, 4, 0, 2, 4, 3]);
    let mut record = vec![22, 3, 1, 0, body.len() as u8 + 4, 1, 0, 0, body.len() as u8];
    record.extend(body);
    near.write_all(&record).await.unwrap();
    let mut answer = Vec::new();
    near.read_to_end(&mut answer).await.unwrap();
    // A fatal alert, protocol_version (https://www.rfc-editor.org/rfc/rfc8446#section-6.2).
    assert_eq!((answer[0], &answer[5..]), (21, &[2, 70][..]));
    accepted.await.unwrap().unwrap_err();
}

#[tokio::test]
async fn http_2_is_not_spoken() {
    let authority = Authority::new("test").unwrap();
    let server = Server::new("alpn", Protocol::default(), None);
    server.write(&authority.server(&[NAME]).unwrap());
    server.read().unwrap();
    let mut config = client(&authority);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    assert_eq!(server.connect(config).await.unwrap().alpn, Some(b"http/1.1".to_vec()));
    let mut config = client(&authority);
    config.alpn_protocols = Vec::new();
    assert_eq!(server.connect(config).await.unwrap().alpn, None);
}
