//! Certificates of one's own, with a real API server, the manifests in `deploy/` as they are, and no other rights than
//! theirs: `cargo test -p webhook --features real-apiserver --test certificates`.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that panics has failed, which is what it is for"
)]

#[path = "certificates/cluster.rs"]
mod cluster;
#[path = "certificates/fence.rs"]
mod fence;

use std::collections::BTreeSet;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cluster::{Cluster, MUTATING, SECRET};
use envtest::Request;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, KeyPair};
use serde_json::{Value, json};
use webhook::certificates::Lifetimes;

/// As shipped, but for the pauses: the tests undo what was written.
const QUICK: fn() -> Lifetimes =
    || Lifetimes { between_writes: 2, settle: 3, poll: 2, ..Lifetimes::default() };

#[tokio::test]
async fn five_replicas_agree_on_one_authority() {
    let cluster = Cluster::start().await;
    cluster.apply("deploy");
    for round in 1..=20 {
        cluster.reset().await;
        let before = cluster.writes();
        let replicas = cluster.replicas(5, Lifetimes::default()).await;
        for replica in &replicas {
            replica.ready().await;
        }
        let bundles = cluster.bundles(MUTATING).await;
        assert_eq!(bundles.len(), 3);
        let mut leaves = BTreeSet::new();
        for bundle in &bundles {
            assert_eq!(bundle.len(), 1, "one authority");
            assert_eq!(*bundle, cluster.authorities().await);
            for replica in &replicas {
                leaves.insert(replica.connect(bundle).await.unwrap());
            }
        }
        assert_eq!(leaves.len(), 5, "each has its own");
        let after = cluster.writes();
        let written = [after[0] - before[0], after[1] - before[1]];
        assert_eq!(written, [1, 1], "one write to the Secret and one to the configuration, round {round}");
    }
    // What the webhook wrote stays when the manifests are applied again.
    let (bundles, authorities) = (cluster.bundles(MUTATING).await, cluster.authorities().await);
    cluster.apply("deploy");
    assert_eq!((cluster.bundles(MUTATING).await, cluster.authorities().await), (bundles, authorities));
}

#[tokio::test]
async fn what_somebody_breaks_is_healed() {
    let cluster = Cluster::start().await;
    cluster.apply("deploy");
    cluster.apply("deploy/optional/verify.yaml");
    let replicas = cluster.replicas(2, QUICK()).await;
    for replica in &replicas {
        replica.ready().await;
    }
    let whole = cluster.bundles(MUTATING).await;
    assert_eq!(
        cluster.bundles("validatingwebhookconfigurations").await,
        [whole[0].clone(), whole[0].clone()]
    );

    // The bundle is emptied, and filled with garbage.
    for spoilt in
        [json!(null), STANDARD.encode("-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n").into()]
    {
        cluster.change_bundle(MUTATING, 1, &spoilt).await;
        cluster.until("the bundle is whole", async || cluster.bundles(MUTATING).await == whole).await;
    }

    // Somebody else's authority stays.
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "foreign");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let foreign = params.self_signed(&key).unwrap();
    cluster.change_bundle(MUTATING, 2, &STANDARD.encode(foreign.pem()).into()).await;
    let both = [vec![foreign.der().to_vec()], whole[0].clone()].concat();
    let healed = [whole[0].clone(), whole[0].clone(), both];
    cluster.until("the bundle holds both", async || cluster.bundles(MUTATING).await == healed).await;

    // A new entry for the service gets one as well, another service's does not.
    let mut configuration = cluster.admin().get(&cluster::path(MUTATING)).await.unwrap();
    let entries = configuration["webhooks"].as_array_mut().unwrap();
    let mut new = entries[0].clone();
    new["name"] = "new.pod-identity-webhook.amazonaws.com".into();
    new["clientConfig"].as_object_mut().unwrap().remove("caBundle");
    let mut other = new.clone();
    other["name"] = "other.example.com".into();
    other["clientConfig"]["service"]["name"] = "other".into();
    entries.extend([other, new]);
    cluster.admin().put(&cluster::path(MUTATING), &configuration).await.unwrap();
    let healed = [healed.as_slice(), &[Vec::new(), whole[0].clone()]].concat();
    cluster.until("the new entry is there", async || cluster.bundles(MUTATING).await == healed).await;

    // The Secret is corrupted: it is replaced, and everybody goes over to what is there now.
    let key_only = json!({"data": {"ca.crt": STANDARD.encode("garbage")}});
    cluster.admin().merge_patch(SECRET, &key_only).await.unwrap();
    let authority = async || cluster.authorities().await.first().cloned();
    let old = whole[0][0].clone();
    cluster.until("there is a new authority", async || authority().await.is_some_and(|new| new != old)).await;
    let new = vec![authority().await.unwrap()];
    // The one before is still there, for those who have not gone over.
    let bundles = cluster.bundles(MUTATING).await;
    assert!(bundles[0].contains(&old));
    for replica in &replicas {
        cluster.until("it is served", async || replica.connect(&new).await.is_ok()).await;
    }

    // A usable one of somebody else's is used.
    let data =
        json!({"ca.crt": STANDARD.encode(foreign.pem()), "ca.key": STANDARD.encode(key.serialize_pem())});
    cluster.admin().merge_patch(SECRET, &json!({"data": data})).await.unwrap();
    let foreign = vec![foreign.der().to_vec()];
    for replica in &replicas {
        cluster.until("it is served", async || replica.connect(&foreign).await.is_ok()).await;
    }
    assert_eq!(cluster.authorities().await, foreign);
}

#[tokio::test]
async fn what_is_missing_is_waited_for() {
    let cluster = Cluster::start().await;
    cluster.apply("deploy");
    // Without a Secret.
    cluster.admin().delete(SECRET).await.unwrap();
    let replica = &cluster.replicas(1, QUICK()).await[0];
    cluster.until("it is reported", async || replica.problems() == 1).await;
    assert_eq!(replica.missing(), ["certificate"]);
    // Without rights.
    let binding = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/pod-identity-webhook";
    cluster.admin().delete(binding).await.unwrap();
    cluster.apply("deploy/30-webhook.yaml");
    cluster.until("the authority is there", async || !cluster.authorities().await.is_empty()).await;
    cluster.until("both are reported", async || replica.problems() == 2).await;
    assert_eq!(replica.missing(), ["certificate"]);
    assert_eq!(cluster.bundles(MUTATING).await, [Vec::<Vec<u8>>::new(), vec![], vec![]]);
    cluster.apply("deploy/10-access.yaml");
    replica.ready().await;
    cluster.until("nothing is wrong", async || replica.problems() == 0).await;
    replica.connect(&cluster.bundles(MUTATING).await[0]).await.unwrap();

    // Without a configuration it is ready, and says so.
    cluster.admin().delete(&cluster::path(MUTATING)).await.unwrap();
    let another = &cluster.replicas(1, QUICK()).await[0];
    another.ready().await;
    cluster.until("it is reported", async || another.problems() == 1).await;
    cluster.apply("deploy/40-registration.yaml");
    cluster.until("nothing is wrong", async || another.problems() == 0).await;
    let bundles = cluster.bundles(MUTATING).await;
    assert!(bundles.iter().all(|bundle| *bundle == bundles[0] && bundle.len() == 1), "{bundles:?}");
    another.connect(&bundles[0]).await.unwrap();
}

/// Everything is renewed while somebody connects all the time, with a bundle that is as old as an API server's cache
/// may make it.
#[tokio::test]
async fn renewal_breaks_no_handshake() {
    let lifetimes = Lifetimes { leaf: 15, authority: 60, backdate: 2, settle: 2, between_writes: 1, poll: 1 };
    let cluster = Cluster::start().await;
    cluster.apply("deploy");
    let replicas = cluster.replicas(3, lifetimes).await;
    for replica in &replicas {
        replica.ready().await;
    }
    let before = cluster.writes();
    let (mut authorities, mut leaves, mut handshakes) = (BTreeSet::new(), BTreeSet::new(), 0);
    // The third is registered once the first is gone.
    while authorities.len() < 3 {
        let bundles = cluster.bundles(MUTATING).await;
        authorities.extend(bundles[0].iter().cloned());
        for _ in 0..20 {
            for replica in &replicas {
                leaves.insert(replica.connect(&bundles[0]).await.unwrap());
                handshakes += 1;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    let after = cluster.writes();
    let bundle = &cluster.bundles(MUTATING).await[0];
    assert!(bundle.len() < 3, "the first has expired and is gone");
    assert_eq!(after[0] - before[0], 2, "the Secret was written once for each authority");
    // Each is registered, and the first taken out, perhaps at once with the third's coming in.
    assert!((2..=4).contains(&(after[1] - before[1])), "{before:?} {after:?}");
    assert!(leaves.len() > 3 * 3, "{} certificates", leaves.len());
    println!("{handshakes} handshakes, {} certificates, {} authorities", leaves.len(), authorities.len());
}

/// A change is heard of, not only looked for.
#[tokio::test]
async fn a_watch_says_what_was_broken() {
    let cluster = Cluster::start().await;
    cluster.apply("deploy");
    let never = Lifetimes { poll: 100_000, between_writes: 0, ..Lifetimes::default() };
    let replica = &cluster.replicas(1, never).await[0];
    replica.ready().await;
    let whole = cluster.bundles(MUTATING).await;
    for _ in 0..3 {
        cluster.change_bundle(MUTATING, 0, &json!(null)).await;
        cluster.until("the bundle is whole", async || cluster.bundles(MUTATING).await == whole).await;
    }
    // An object that was not there.
    cluster.apply("deploy/optional/verify.yaml");
    let both = [whole[0].clone(), whole[0].clone()];
    let validating = "validatingwebhookconfigurations";
    cluster.until("the bundle is whole", async || cluster.bundles(validating).await == both).await;
    cluster.admin().merge_patch(SECRET, &json!({"data": null})).await.unwrap();
    cluster.until("there is an authority", async || !cluster.authorities().await.is_empty()).await;
}

/// Requests that the registration sends are refused, for nobody answers; the others are not sent.
#[tokio::test]
async fn the_registration_asks_about_what_it_should() {
    let cluster = Cluster::start().await;
    cluster.apply("deploy");
    cluster.kubectl(&[
        "patch",
        "mutatingwebhookconfiguration",
        "pod-identity-webhook",
        "--type=json",
        "--patch-file=deploy/optional/ephemeral-containers.yaml",
    ]);
    for namespace in ["shop", "kube-system"] {
        cluster.create_namespace(namespace).await;
    }
    let pod = |metadata: Value| {
        let container = json!({"name": "app", "image": "registry.example.com/app:1"});
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": [container]}})
    };
    let mut mirror = pod(json!({"name": "mirror", "annotations": {"kubernetes.io/config.mirror": "a"}}));
    mirror["spec"]["nodeName"] = "node".into();
    let skipped = json!({"name": "skipped", "labels": {"eks.amazonaws.com/skip-pod-identity-webhook": ""}});
    let account = |annotations: Value| json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "api", "annotations": annotations}});
    let annotated = account(json!({"eks.amazonaws.com/role-arn": "arn:aws:iam::123456789012:role/api"}));
    let plain = account(json!({"example.com/a": "b"}));
    // While all are `Ignore`, everything is let in.
    let pods = "/api/v1/namespaces/shop/pods";
    cluster.admin().post(pods, &pod(json!({"name": "before"}))).await.unwrap();
    let entries = cluster.bundles(MUTATING).await.len();
    let fail = |entry: usize| json!({"op": "replace", "path": format!("/webhooks/{entry}/failurePolicy"), "value": "Fail"});
    let fail: Value = (0..entries).map(fail).collect();
    cluster.admin().send(Request::json_patch(&cluster::path(MUTATING), &fail)).await.unwrap();
    let asked = async |request: Request| match cluster.admin().send(request).await {
        Ok(_) => None,
        Err(error) => {
            let error = error.to_string();
            let (_, rest) =
                error.split_once("failed calling webhook \"").unwrap_or_else(|| panic!("{error}"));
            rest.split_once(".pod-identity-webhook.amazonaws.com\"").map(|(entry, _)| entry.to_owned())
        }
    };
    let dry = |path: &str, body: &Value| Request::post(&format!("{path}?dryRun=All"), body);
    let probe = pod(json!({"name": "probe"}));
    cluster.until("the change is in force", async || asked(dry(pods, &probe)).await.is_some()).await;
    let debug = json!({"spec": {"ephemeralContainers": [{"name": "debug", "image": "registry.example.com/debug:1"}]}});
    let ephemeral = Request::strategic_patch(&format!("{pods}/before/ephemeralcontainers"), &debug);
    let accounts = "/api/v1/namespaces/shop/serviceaccounts";
    for (what, request, expected) in [
        ("a pod", dry(pods, &probe), Some("pods")),
        ("in a critical namespace", dry("/api/v1/namespaces/kube-system/pods", &probe), Some("critical")),
        ("a mirror pod", dry(pods, &mirror), None),
        ("a pod with the label", dry(pods, &pod(skipped)), None),
        ("a debug container", ephemeral, Some("pods")),
        (
            "a label of a pod",
            Request::merge_patch(&format!("{pods}/before"), &json!({"metadata": {"labels": {"a": "b"}}})),
            None,
        ),
        ("an annotated ServiceAccount", dry(accounts, &annotated), Some("serviceaccounts")),
        ("another ServiceAccount", dry(accounts, &plain), None),
        ("a ServiceAccount without annotations", dry(accounts, &account(json!(null))), None),
    ] {
        assert_eq!(asked(request).await.as_deref(), expected, "{what}");
    }
}

/// A pod as the Deployment makes it is let into a namespace that is `restricted`.
#[tokio::test]
async fn the_pods_are_restricted() {
    let cluster = Cluster::start().await;
    cluster.apply("deploy");
    let deployment = "/apis/apps/v1/namespaces/pod-identity-webhook/deployments/pod-identity-webhook";
    let mut pod = cluster.admin().get(deployment).await.unwrap()["spec"]["template"].take();
    pod["metadata"]["name"] = "webhook".into();
    let pods = "/api/v1/namespaces/pod-identity-webhook/pods?dryRun=All";
    let made = cluster.admin().post(pods, &pod).await.unwrap();
    assert_eq!(made["spec"]["serviceAccountName"], Value::from("pod-identity-webhook"));
    pod["spec"]["containers"][0]["securityContext"]["readOnlyRootFilesystem"] = false.into();
    pod["spec"]["containers"][0]["securityContext"]["allowPrivilegeEscalation"] = true.into();
    let refused = cluster.admin().post(pods, &pod).await.unwrap_err().to_string();
    assert!(refused.contains("restricted"), "{refused}");
}
