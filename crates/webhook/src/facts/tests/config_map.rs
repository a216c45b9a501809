use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::time::{Instant, sleep};

use super::*;
use crate::configuration::Configuration;

const LIST: &str = "/api/v1/namespaces/eks/configmaps?fieldSelector=metadata.name%3Dmap&limit=5000";

fn config_map(version: u64, data: Value) -> Value {
    json!({
        "kind": "ConfigMap", "apiVersion": "v1", "data": data,
        "metadata": {"namespace": "eks", "name": "map", "resourceVersion": version.to_string()},
    })
}

async fn with_watch<T>(facts: &Facts, readiness: &Readiness, server_side: impl Future<Output = T>) -> T {
    let at = ConfigMapKey { namespace: "eks".into(), name: "map".into(), key: "config".into() };
    let settings = Arc::new(ArcSwap::from_pointee(Configuration::read("{}".to_owned()).unwrap()));
    tokio::select! {
        ended = facts.watch_config_map(at, settings, readiness.pending("mapping")) => panic!("{ended:?}"),
        result = server_side => result,
    }
}

// The task can be spawned.
const _: fn(&Facts, ConfigMapKey, Arc<ArcSwap<Configuration>>, crate::readiness::Pending) =
    |facts, at, settings, pending| {
        fn can_be_sent(_: impl Send) {}
        can_be_sent(facts.watch_config_map(at, settings, pending));
    };

fn shown(facts: &Facts) -> String {
    match &*facts.mapping() {
        Mapping::There(index) => format!("there: {}", index.text()),
        Mapping::NotThere => "not there".to_owned(),
        Mapping::Unknown(Unknown { reason, remedy }) => format!("unknown: {reason}; {remedy}"),
    }
}

/// Entries, problems and changes.
fn numbers(metrics: &Metrics) -> Vec<String> {
    let names = ["config_map_entries", "configuration_problems", "reloads_total"];
    names.iter().flat_map(|name| metric(metrics, &format!("pod_identity_webhook_{name}"))).collect()
}

#[tokio::test(start_paused = true)]
async fn one_that_is_not_there_is_an_empty_mapping() {
    let (facts, mut server, metrics) = facts();
    let readiness = Readiness::default();
    let unknown = "unknown: the API server has not said whether it is there; \
                   grant the webhook `list` and `watch` on this one";
    assert_eq!(shown(&facts), unknown);
    with_watch(&facts, &readiness, async {
        let asked = server.asked().await;
        assert_eq!(asked.path, LIST);
        assert_eq!(shown(&facts), unknown);
        assert_eq!(readiness.missing(), ["mapping"]);
        asked.answer(200, list(5, "", &[]));
        let watch = server.asked().await.stream();
        assert_eq!((shown(&facts).as_str(), readiness.missing().len()), ("not there", 0));
        watch.event("ADDED", &config_map(6, json!({"config": "{\"a/b\":\"x\"}"})));
        sleep(Duration::from_millis(1)).await;
        assert_eq!(shown(&facts), r#"there: {"a/b":"x"}"#);
    })
    .await;
    assert_eq!(numbers(&metrics), [" 1", r#"{source="config_map"} 0"#, r#"{source="config_map"} 1"#]);
}

#[tokio::test(start_paused = true)]
async fn the_last_good_one_stays() {
    let (facts, mut server, metrics) = facts();
    let readiness = Readiness::default();
    let good = r#"{"default/app":{"RoleARN":"arn:aws:iam::111122223333:role/x","TokenExpiration":0},"b/":"x","c/d":7}"#;
    with_watch(&facts, &readiness, async {
        server.expect(LIST, 200, list(5, "", &[config_map(5, json!({"config": good}))])).await;
        let watch = server.asked().await.stream();
        assert_eq!(shown(&facts), format!("there: {good}"));
        assert_eq!(numbers(&metrics), [" 3", r#"{source="config_map"} 2"#]);
        for (version, malformed) in [
            (6, json!({"config": "[]"})),
            (7, json!({"config": "{\"a/b\":"})),
            (8, json!({"config": "a/b: x"})),
            (9, json!({"config": "{\"a/b\":\"x\",\"a/b\":\"y\"}"})),
            // Not even a text.
            (10, json!({"config": 7})),
        ] {
            watch.event("MODIFIED", &config_map(version, malformed.clone()));
            sleep(Duration::from_millis(1)).await;
            assert_eq!(shown(&facts), format!("there: {good}"), "{malformed}");
            assert_eq!(numbers(&metrics), [" 3", r#"{source="config_map"} 1"#]);
        }
        for (version, data, expected) in [
            (11, json!({"config": ""}), "there: "),
            (12, json!({"config": good}), &format!("there: {good}")),
            (13, json!({"other": good}), "not there"),
            (14, json!({"config": "{}"}), "there: {}"),
            (15, json!(null), "not there"),
        ] {
            watch.event("MODIFIED", &config_map(version, data.clone()));
            sleep(Duration::from_millis(1)).await;
            assert_eq!(shown(&facts), expected, "{data}");
        }
        watch.event("MODIFIED", &config_map(16, json!({"config": "{}"})));
        watch.event("DELETED", &config_map(17, json!({"config": "{}"})));
        sleep(Duration::from_millis(1)).await;
        assert_eq!(shown(&facts), "not there");
        assert_eq!(numbers(&metrics), [" 0", r#"{source="config_map"} 0"#, r#"{source="config_map"} 7"#]);
    })
    .await;
    let skipped = metric(&metrics, "pod_identity_webhook_undecodable_objects_total");
    assert_eq!(skipped, [r#"{kind="config_map"} 1"#]);
}

#[tokio::test(start_paused = true)]
async fn a_malformed_one_is_not_the_same_as_none() {
    let (facts, mut server, metrics) = facts();
    let readiness = Readiness::default();
    with_watch(&facts, &readiness, async {
        server.expect(LIST, 200, list(5, "", &[config_map(5, json!({"config": "[]"}))])).await;
        let watch = server.asked().await.stream();
        assert_eq!((shown(&facts).as_str(), readiness.missing().len()), ("there: []", 0));
        // Gone while nobody watched.
        watch.event("ERROR", &json!({"kind": "Status", "code": 410}));
        server.expect(LIST, 200, list(9, "", &[])).await;
        let _watch = server.asked().await;
        assert_eq!(shown(&facts), "not there");
    })
    .await;
    assert_eq!(numbers(&metrics), [" 0", r#"{source="config_map"} 0"#, r#"{source="config_map"} 1"#]);
}

#[tokio::test(start_paused = true)]
async fn readiness_waits_for_so_long_only() {
    let (facts, mut server, _) = facts();
    let readiness = Readiness::default();
    with_watch(&facts, &readiness, async {
        let start = Instant::now();
        while !readiness.missing().is_empty() {
            if let Ok(asked) = tokio::time::timeout(Duration::from_millis(100), server.asked()).await {
                asked.answer(403, "");
            }
        }
        assert!((10.0..10.2).contains(&start.elapsed().as_secs_f64()), "{:?}", start.elapsed());
        assert!(shown(&facts).starts_with("unknown: "), "{}", shown(&facts));
        server.expect(LIST, 200, list(5, "", &[config_map(5, json!({"config": "{}"}))])).await;
        let _watch = server.asked().await;
        assert_eq!(shown(&facts), "there: {}");
    })
    .await;
}

#[tokio::test]
async fn what_is_no_name_is_not_watched() {
    let (facts, _server, _) = facts();
    for (namespace, name) in [("eks", "a?watch=true"), ("eks", ""), ("e/ks", "map"), ("eks", "a,b")] {
        let at = ConfigMapKey { namespace: namespace.into(), name: name.into(), key: "config".into() };
        let settings = Arc::new(ArcSwap::from_pointee(Configuration::read("{}".to_owned()).unwrap()));
        let readiness = Readiness::default();
        let error = facts.watch_config_map(at, settings, readiness.pending("mapping")).await.unwrap_err();
        let expected = format!(
            "cannot watch the config map `{namespace}/{name}`: expected the names of a namespace and of a config map"
        );
        assert_eq!(error.to_string(), expected);
    }
}
