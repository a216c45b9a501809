//! Where an identity comes from.

use envtest::Request;
use futures::{StreamExt, stream};
use serde_json::json;

use crate::{
    cluster::{self, Cluster, NAMESPACE},
    load::Tally,
    pod::{ROLE, WebIdentity, identity, no_identity, pod, web_identity},
    scenario::{Scenario, until},
};

const OTHER_ROLE: &str = "arn:aws:iam::123456789012:role/other";

#[test]
fn annotation() {
    cluster::run(async {
        let scenario = Scenario::new(Cluster::shared().await, "annotation").await;
        let _webhook = scenario.webhook(&[]).await;
        scenario.service_account("app", json!({"eks.amazonaws.com/role-arn": ROLE})).await;
        let created = scenario.create(&pod("app", "app")).await;
        assert_eq!(identity(&created), web_identity(&["app"], ROLE));
        let created = scenario.create(&pod("without", "default")).await;
        assert_eq!(identity(&created), no_identity(&["app"]));
        scenario.say("a pod has the role of its ServiceAccount's annotation; one without has none");
    });
}

#[test]
fn mapping_in_the_configuration_file() {
    cluster::run(async {
        let scenario = Scenario::new(Cluster::shared().await, "mapping").await;
        let settings = format!("mapping:\n  mapping/app: {ROLE}\n");
        let webhook = scenario
            .webhook_with_files(&[("settings.yaml", settings)], &["--config={directory}/settings.yaml"])
            .await;
        scenario.service_account("app", json!({})).await;
        let created = scenario.create(&pod("app", "app")).await;
        assert_eq!(identity(&created), web_identity(&["app"], ROLE));

        let settings = "mapping:\n  '*/app': 'arn:aws:iam::123456789012:role/{namespace}'\n";
        webhook.replace_file("settings.yaml", settings);
        let role = "arn:aws:iam::123456789012:role/mapping";
        scenario.until_identity(&pod("app-2", "app"), &web_identity(&["app"], role)).await;
        scenario.say("a pod has the role of the mapping, and that of the changed mapping without a restart");
    });
}

#[test]
fn config_map_changed_while_running() {
    cluster::run(async {
        let cluster = Cluster::shared().await;
        let scenario = Scenario::new(cluster, "config-map").await;
        let flags = [&format!("--namespace={NAMESPACE}"), "--watch-config-map"];
        // Nothing is there yet, and nobody waits for it.
        let _webhook = scenario.webhook(&flags).await;
        scenario.service_account("app", json!({})).await;
        let pod = pod("app", "app");
        assert_eq!(identity(&scenario.dry_run(&pod).await.unwrap()), no_identity(&["app"]));

        // As kOps writes it.
        let kops = json!({"config-map/app": {
            "RoleARN": ROLE, "Audience": "amazonaws.com", "UseRegionalSTS": true, "TokenExpiration": 0,
        }});
        cluster.put_mapping(&kops.to_string()).await;
        let expected = WebIdentity {
            audience: "amazonaws.com",
            variables: &[("AWS_STS_REGIONAL_ENDPOINTS", "regional")],
            ..WebIdentity::default()
        };
        scenario.until_identity(&pod, &expected.of(&["app"])).await;

        cluster.put_mapping(&json!({"config-map/app": {"roleArn": OTHER_ROLE}}).to_string()).await;
        scenario.until_identity(&pod, &web_identity(&["app"], OTHER_ROLE)).await;

        // What cannot be read changes nothing: after it an annotation made later is seen, the mapping still holds.
        cluster.put_mapping("{").await;
        scenario.service_account("later", json!({"eks.amazonaws.com/role-arn": ROLE})).await;
        let later = crate::pod::pod("later", "later");
        scenario.until_identity(&later, &web_identity(&["app"], ROLE)).await;
        assert_eq!(identity(&scenario.dry_run(&pod).await.unwrap()), web_identity(&["app"], OTHER_ROLE));

        cluster.put_mapping("{}").await;
        scenario.until_identity(&pod, &no_identity(&["app"])).await;
        scenario.say("made, changed, broken and emptied: pods followed, but for the broken one");
    });
}

#[test]
fn service_account_made_in_the_same_instant_as_its_pod() {
    const PAIRS: usize = 500;
    cluster::run(async {
        let scenario = Scenario::new(Cluster::shared().await, "same-instant").await;
        // The default of a second is over before an API server answers that shares two cores with all scenarios.
        let _webhook = scenario.webhook(&["--service-account-lookup-grace-period=8s"]).await;
        let expected = web_identity(&["app"], ROLE);
        let pair = async |number: usize| {
            let name = format!("app-{number}");
            scenario.service_account(&name, json!({"eks.amazonaws.com/role-arn": ROLE})).await;
            let mut tally = Tally::default();
            let request = Request::post(&format!("{}?dryRun=All", scenario.pods()), &pod(&name, &name));
            match scenario.send(request).await {
                // Whoever is not given an identity is told why.
                Ok(created) if !created.warnings.is_empty() => tally.wrong.extend(created.warnings),
                Ok(created) => tally.count(Ok(created.json().unwrap()), &expected),
                Err(error) => tally.wrong.push(error.to_string()),
            }
            tally
        };
        // The API server takes 200 changes at a time.
        let tallies: Vec<Tally> = stream::iter(0..PAIRS).map(pair).buffer_unordered(150).collect().await;
        let sum: Tally = tallies.into_iter().sum();
        assert_eq!(sum.assert_right(), PAIRS);
        scenario.say(&format!("{PAIRS} pods have the role of a ServiceAccount made just before"));
    });
}

#[test]
fn annotation_changed_while_running() {
    cluster::run(async {
        let scenario = Scenario::new(Cluster::shared().await, "changed").await;
        let _webhook = scenario.webhook(&[]).await;
        scenario.service_account("app", json!({"eks.amazonaws.com/role-arn": ROLE})).await;
        let pod = pod("app", "app");
        assert_eq!(identity(&scenario.dry_run(&pod).await.unwrap()), web_identity(&["app"], ROLE));
        let path = format!("/api/v1/namespaces/{}/serviceaccounts/app", scenario.namespace);
        for (role, expected) in [
            (json!(OTHER_ROLE), web_identity(&["app"], OTHER_ROLE)),
            (json!(null), no_identity(&["app"])),
            (json!(ROLE), web_identity(&["app"], ROLE)),
        ] {
            let patch = json!({"metadata": {"annotations": {"eks.amazonaws.com/role-arn": role}}});
            scenario.send(Request::merge_patch(&path, &patch)).await.unwrap();
            scenario.until_identity(&pod, &expected).await;
        }
        scenario.say("another role, none, and the first again: pods followed");
    });
}

/// <https://github.com/kedacore/charts/blob/main/keda/templates/manager/serviceaccount.yaml>
#[test]
fn keda_operator() {
    cluster::run(async {
        let scenario = Scenario::new(Cluster::shared().await, "keda").await;
        let _webhook = scenario.webhook(&[]).await;
        scenario.service_account("keda-operator", keda_annotations()).await;
        let created = scenario.create(&pod("keda-operator", "keda-operator")).await;
        let expected = WebIdentity {
            variables: &[("AWS_STS_REGIONAL_ENDPOINTS", "regional")],
            ..WebIdentity::default()
        };
        assert_eq!(identity(&created), expected.of(&["app"]));
        scenario.say("the operator has what its annotations say");
    });
}

/// As KEDA's chart writes them.
pub(crate) fn keda_annotations() -> serde_json::Value {
    json!({
        "eks.amazonaws.com/role-arn": ROLE,
        "eks.amazonaws.com/audience": "sts.amazonaws.com",
        "eks.amazonaws.com/sts-regional-endpoints": "true",
        "eks.amazonaws.com/token-expiration": "86400",
    })
}

/// KEDA reads the annotation of the workload's ServiceAccount (`identityOwner: workload`), the role stands in the
/// mapping only.
#[test]
fn keda_workload_with_a_role_from_the_mapping() {
    cluster::run(async {
        let scenario = Scenario::new(Cluster::shared().await, "keda-workload").await;
        let settings = format!("annotateServiceAccounts: true\nmapping:\n  keda-workload/app: {ROLE}\n");
        let _webhook = scenario
            .webhook_with_files(&[("settings.yaml", settings)], &["--config={directory}/settings.yaml"])
            .await;
        scenario
            .register_service_accounts(|webhook| {
                // As its comment says.
                webhook.as_object_mut().unwrap().remove("matchConditions").unwrap();
            })
            .await;
        let path = format!("/api/v1/namespaces/{}/serviceaccounts", scenario.namespace);
        until("a ServiceAccount is completed", async || {
            let account = json!({
                "apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "app"},
            });
            let created =
                scenario.send(Request::post(&format!("{path}?dryRun=All"), &account)).await.unwrap();
            created.json().unwrap()["metadata"]["annotations"]["eks.amazonaws.com/role-arn"] == ROLE
        })
        .await;
        let created = scenario.service_account("app", json!({})).await;
        assert_eq!(
            created["metadata"]["annotations"],
            json!({
                "eks.amazonaws.com/role-arn": ROLE,
                "eks.amazonaws.com/managed-annotations":
                    json!({"eks.amazonaws.com/role-arn": ROLE}).to_string(),
            })
        );
        let created = scenario.create(&pod("app", "app")).await;
        assert_eq!(identity(&created), web_identity(&["app"], ROLE));
        scenario
            .say("the ServiceAccount carries the role of the mapping, as KEDA reads it, and its pod has it");
    });
}
