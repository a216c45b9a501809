//! Needs the real API server: `cargo test -p envtest --features real-apiserver`.

use std::{fs, path::Path};

use envtest::{
    Environment, Error, Options,
    record::{Recorder, Written, cases},
};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

#[test]
fn starts_serves_and_leaves_nothing_behind() {
    let runtime = Runtime::new().unwrap();
    let environment = runtime.block_on(Environment::start(Options::default())).unwrap();
    let directory = environment.directory().to_owned();
    let pids = [environment.api_server_pid().unwrap(), environment.etcd_pid().unwrap()];
    runtime.block_on(async {
        environment.create_namespace("shop").await.unwrap();
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "app"},
            "spec": {"containers": [{"name": "app", "image": "registry.example.com/app:1"}]},
        });
        let pods = "/api/v1/namespaces/shop/pods";
        let created = environment.client().post(pods, &pod).await.unwrap();
        // The ServiceAccount admission plugin is on.
        assert_eq!(created.pointer("/spec/serviceAccountName"), Some(&json!("default")));

        let token = environment.service_account_token("shop", "default", &[]).await.unwrap();
        let refused = environment.client().with_token(&token).get(pods).await.unwrap_err();
        assert!(matches!(refused, Error::Refused { status: 403, .. }), "{refused}");

        environment.delete_namespace("shop").await.unwrap();
        environment.client().get("/api/v1/namespaces/shop").await.unwrap_err();
    });
    let kubeconfig = fs::read_to_string(environment.kubeconfig_path()).unwrap();
    let kubeconfig: Value = serde_json::from_str(&kubeconfig).unwrap();
    assert_eq!(kubeconfig.pointer("/clusters/0/cluster/server"), Some(&json!(environment.url())));

    drop(environment);
    assert!(!directory.exists());
    for pid in pids {
        assert!(!Path::new(&format!("/proc/{pid}")).exists());
    }
}

#[test]
fn recording_again_gives_the_same_bytes() {
    let folder = std::env::temp_dir().join(format!("envtest-recording-{}", std::process::id()));
    fs::create_dir_all(folder.join("update")).unwrap();
    let pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: app, namespace: shop";
    let spec = "spec: {containers: [{name: app, image: registry.example.com/app:1}]}";
    let input = format!("{pod}}}\n{spec}\n---\n# update\n{pod}, labels: {{tier: front}}}}\n");
    fs::write(folder.join("update/input.yaml"), input).unwrap();
    fs::write(folder.join("bad.yaml"), format!("{pod}}}\n")).unwrap();

    let runtime = Runtime::new().unwrap();
    runtime.block_on(async {
        for expected in [Written::New, Written::Unchanged] {
            let mut recorder = Recorder::start(Options::default()).await.unwrap();
            let cases = cases(&folder).unwrap();
            let [bad, update] = cases.as_slice() else { panic!("{cases:?}") };
            let refused = bad.record(&mut recorder).await.unwrap_err().to_string();
            assert!(refused.contains("spec.containers"), "{refused}");
            assert_eq!(update.record(&mut recorder).await.unwrap(), expected);
        }
    });
    let review = fs::read_to_string(folder.join("update/request.json")).unwrap();
    assert!(review.starts_with("{\n  \"kind\": \"AdmissionReview\",\n  \"apiVersion\""), "{review}");
    let review: Value = serde_json::from_str(&review).unwrap();
    assert_eq!(review.pointer("/request/operation"), Some(&json!("UPDATE")));
    assert_eq!(review.pointer("/request/object/metadata/labels/tier"), Some(&json!("front")));
    fs::remove_dir_all(folder).unwrap();
}
