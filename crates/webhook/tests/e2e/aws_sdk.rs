//! A real AWS SDK in a pod with what was injected, and nothing else.

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    process::{Command, Output},
};

use serde_json::{Value, json};

use crate::{
    aws::{AGENT_ACCESS_KEY, Aws, Trust, python},
    cluster::{self, Cluster},
    identities::keda_annotations,
    kubelet,
    pod::{ROLE, pod},
    scenario::Scenario,
    token::{Claims, Verifier},
};

#[test]
fn assumes_the_role_with_web_identity() {
    cluster::run(async {
        let annotations = json!({"eks.amazonaws.com/role-arn": ROLE});
        web_identity("sdk-web-identity", "app", annotations).await;
    });
}

#[test]
fn keda_operator_assumes_the_role_with_web_identity() {
    cluster::run(web_identity("sdk-keda", "keda-operator", keda_annotations()));
}

#[test]
fn takes_credentials_from_the_agent() {
    cluster::run(container_credentials("sdk-agent", "app", json!({})));
}

/// Its audience annotation is for STS; the agent would refuse it.
#[test]
fn keda_operator_takes_credentials_from_the_agent() {
    cluster::run(container_credentials("sdk-agent-keda", "keda-operator", keda_annotations()));
}

async fn web_identity(namespace: &str, account: &str, annotations: Value) {
    let cluster = Cluster::shared().await;
    let scenario = Scenario::new(cluster, namespace).await;
    let subject = format!("system:serviceaccount:{namespace}:{account}");
    let verifier = Verifier::of(cluster).await;
    let trust = Trust { role: ROLE, subject: subject.clone() };
    let aws = Aws::start(verifier.clone(), trust).await;
    // There is no container: what a pod sees under this path is this directory.
    let mount_path = aws.directory().join("pod/serviceaccount");
    let settings = json!({
        "tokenMountPath": mount_path,
        "awsDefaultRegion": "eu-west-1",
        "stsRegionalEndpoints": true,
        "stsEndpointUrl": aws.sts_url(),
        "roleSessionName": "podName",
    });
    let _webhook = scenario
        .webhook_with_files(
            &[("settings.json", settings.to_string())],
            &["--config={directory}/settings.json"],
        )
        .await;
    scenario.service_account(account, annotations).await;

    let created = scenario.create(&pod("app-7d4b", account)).await;
    let environment = kubelet::start_container(cluster, &created, "app", aws.directory()).await;
    let token = fs::read_to_string(&environment["AWS_WEB_IDENTITY_TOKEN_FILE"]).unwrap();
    assert_eq!(verifier.verify(&token, "sts.amazonaws.com"), Ok(Claims { subject, lifetime: 86400 }));
    assert_eq!(
        sdk(&environment, aws.directory()),
        Ok(json!({
            "method": "assume-role-with-web-identity",
            "arn": "arn:aws:sts::123456789012:assumed-role/app/app-7d4b",
        }))
    );

    // The check can say no: to another's token, and to one for somebody else.
    scenario.service_account("stranger", json!({"eks.amazonaws.com/role-arn": ROLE})).await;
    let created = scenario.create(&pod("stranger", "stranger")).await;
    let environment = kubelet::start_container(cluster, &created, "app", aws.directory()).await;
    let refused = sdk(&environment, aws.directory()).unwrap_err();
    assert!(refused.contains("InvalidIdentityToken"), "{refused}");
    let token = fs::read_to_string(&environment["AWS_WEB_IDENTITY_TOKEN_FILE"]).unwrap();
    verifier.verify(&token, "pods.eks.amazonaws.com").unwrap_err();
    scenario.say(&format!("boto3 assumed {ROLE} as `{account}` of its namespace, and as no other"));
}

async fn container_credentials(namespace: &str, account: &str, annotations: Value) {
    let cluster = Cluster::shared().await;
    let scenario = Scenario::new(cluster, namespace).await;
    let subject = format!("system:serviceaccount:{namespace}:{account}");
    let verifier = Verifier::of(cluster).await;
    let trust = Trust { role: ROLE, subject: subject.clone() };
    let aws = Aws::start(verifier.clone(), trust).await;
    let identities = json!({"identities": [{"namespace": namespace, "serviceAccount": account}]});
    let mount_path = aws.directory().join("pod/serviceaccount");
    let _webhook = scenario
        .webhook_with_files(
            &[("identities.json", identities.to_string())],
            &[
                "--watch-container-credentials-config={directory}/identities.json",
                &format!("--container-credentials-full-uri={}", aws.agent_url()),
                &format!("--container-credentials-token-mount-path={}", mount_path.display()),
                "--token-expiration=43200",
            ],
        )
        .await;
    let expiration = annotations.get("eks.amazonaws.com/token-expiration").map_or(43200, |_| 86400);
    scenario.service_account(account, annotations).await;

    let created = scenario.create(&pod("app-7d4b", account)).await;
    assert_eq!(created["metadata"]["labels"], json!({"eks.amazonaws.com/pod-identity": "enabled"}));
    let environment = kubelet::start_container(cluster, &created, "app", aws.directory()).await;
    let token = fs::read_to_string(&environment["AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"]).unwrap();
    assert_eq!(
        verifier.verify(&token, "pods.eks.amazonaws.com"),
        Ok(Claims { subject, lifetime: expiration })
    );
    assert_eq!(
        sdk(&environment, aws.directory()),
        Ok(json!({"method": "container-role", "access_key": AGENT_ACCESS_KEY}))
    );
    scenario.say(&format!("boto3 took the credentials of the agent as `{account}`"));
}

/// Runs a program with the SDK; without its answer, what went wrong.
fn sdk(environment: &BTreeMap<String, String>, home: &Path) -> Result<Value, String> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/e2e/sdk.py");
    let mut command = Command::new(python());
    // The developer's own files and variables have no part in it.
    command.arg(script).env_clear().env("HOME", home).envs(environment);
    let Output { status, stdout, stderr } = command.output().unwrap();
    if status.success() {
        Ok(serde_json::from_slice(&stdout).unwrap())
    } else {
        Err(String::from_utf8_lossy(&stderr).into_owned())
    }
}
