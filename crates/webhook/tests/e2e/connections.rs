//! The connections between the API server and the webhook, and the certificates on them.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use envtest::{Authority, KeyPairPem};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use serde_json::json;
use tokio::{net::TcpStream, time::sleep};
use tokio_rustls::TlsConnector;

use crate::{
    certificate_files::Layout,
    cluster::{self, Cluster},
    load::Load,
    pod::{ROLE, identity, pod, web_identity},
    review,
    scenario::{Scenario, until},
    webhook::{Start, Webhook},
};

const ROTATIONS: usize = 5;
/// Load between two rotations, so that each falls into the middle of it.
const BETWEEN: Duration = Duration::from_secs(1);

/// kube-apiserver keeps a connection for 90 s, and does not repeat a review on one that was closed just then.
#[test]
fn idle_connection_is_used_again() {
    cluster::run(async {
        let cluster = Cluster::shared().await;
        futures::future::join_all([31, 61, 89].map(|seconds| idle(cluster, seconds))).await;
    });
}

async fn idle(cluster: &Cluster, seconds: u64) {
    let scenario = Scenario::new(cluster, &format!("idle-{seconds}")).await;
    let _webhook = scenario.webhook(&[]).await;
    scenario.service_account("app", json!({"eks.amazonaws.com/role-arn": ROLE})).await;
    let created = scenario.create(&pod("before", "app")).await;
    assert_eq!(identity(&created), web_identity(&["app"], ROLE));
    assert_eq!(scenario.balancer.passed_on(), 1);
    sleep(Duration::from_secs(seconds)).await;
    let created = scenario.create(&pod("after", "app")).await;
    assert_eq!(identity(&created), web_identity(&["app"], ROLE));
    let connections = scenario.balancer.passed_on();
    // At 89 s it is the API server that may have been first to close it.
    assert!(connections == 1 || seconds == 89, "{connections} connections");
    scenario.say(&format!("a pod after {seconds} s of silence: {connections} connection(s) in all"));
}

#[test]
fn certificate_replaced_under_load() {
    cluster::run(rotate("rotation-plain", Layout::Plain));
}

#[test]
fn mounted_certificate_replaced_under_load() {
    cluster::run(rotate("rotation-mounted", Layout::Mounted));
}

async fn rotate(namespace: &'static str, layout: Layout) {
    let scenario = Scenario::new(Cluster::shared().await, namespace).await;
    let mut webhook = Webhook::start(&Start {
        certificates: Some((&scenario.authority, layout)),
        ..scenario.start(&[], &[])
    })
    .await;
    scenario.balancer.add(webhook.address());
    scenario.service_account("app", json!({"eks.amazonaws.com/role-arn": ROLE})).await;
    let expected = web_identity(&["app"], ROLE);
    scenario.until_identity(&pod("app", "app"), &expected).await;

    // The API server keeps its connections, so there are others that are opened anew each time.
    let through_api_server = Load::start(2, &expected, scenario.admissions());
    let authority = scenario.authority.pem();
    let address = webhook.address();
    let direct = Load::start(2, &expected, move || {
        let authority = authority.clone();
        async move {
            let client = envtest::Client::new(address, &authority, "").map_err(|error| error.to_string())?;
            let admitted = review::admit(&client, namespace, &pod("app", "app")).await?;
            Ok(review::complete(admitted.pod))
        }
    });
    for _ in 0..ROTATIONS {
        sleep(BETWEEN).await;
        let pair = scenario.authority.server(&["127.0.0.1"]).unwrap();
        webhook.certificates().replace(&pair).await;
        until("the new certificate is served", async || {
            served(address, &scenario.authority).await == certificate(&pair)
        })
        .await;
    }
    webhook.assert_running();
    let through_api_server = through_api_server.finish().await.assert_right();
    let direct = direct.finish().await.assert_right();
    scenario.say(&format!(
        "{ROTATIONS} certificates, {through_api_server} pods through the API server and {direct} on connections \
         of their own: all right"
    ));
}

fn certificate(pair: &KeyPairPem) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(pair.certificate.as_bytes()).unwrap()
}

/// The certificate that a server shows.
async fn served(address: SocketAddr, authority: &Authority) -> CertificateDer<'static> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.pem().as_bytes()).unwrap()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let tcp = TcpStream::connect(address).await.unwrap();
    let name = ServerName::IpAddress(address.ip().into());
    let stream = TlsConnector::from(Arc::new(config)).connect(name, tcp).await.unwrap();
    let (_, connection) = stream.get_ref();
    connection.peer_certificates().unwrap()[0].clone().into_owned()
}
