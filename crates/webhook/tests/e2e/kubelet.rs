//! The part of a kubelet that gives a container its tokens and its environment.

use std::{collections::BTreeMap, fs, path::Path};

use serde_json::{Value, json};

use crate::cluster::Cluster;

/// The container's environment. Its tokens are asked of the API server with the audience and the expiration of the
/// pod's volumes, and written where its mounts say, which has to be below `root`: there is no container.
pub(crate) async fn start_container(
    cluster: &Cluster,
    pod: &Value,
    container: &str,
    root: &Path,
) -> BTreeMap<String, String> {
    let container = elements(&pod["spec"]["containers"]).find(|other| other["name"] == container).unwrap();
    for mount in elements(&container["volumeMounts"]) {
        let directory = Path::new(mount["mountPath"].as_str().unwrap());
        assert!(directory.starts_with(root), "`{}` is not below `{}`", directory.display(), root.display());
        let volume =
            elements(&pod["spec"]["volumes"]).find(|volume| volume["name"] == mount["name"]).unwrap();
        for source in elements(&volume["projected"]["sources"]) {
            let token = &source["serviceAccountToken"];
            fs::create_dir_all(directory).unwrap();
            let file = directory.join(token["path"].as_str().unwrap());
            fs::write(file, request_token(cluster, pod, token).await).unwrap();
        }
    }
    elements(&container["env"]).map(|variable| variable_of(pod, variable)).collect()
}

async fn request_token(cluster: &Cluster, pod: &Value, source: &Value) -> String {
    let metadata = &pod["metadata"];
    let path = format!(
        "/api/v1/namespaces/{}/serviceaccounts/{}/token",
        metadata["namespace"].as_str().unwrap(),
        pod["spec"]["serviceAccountName"].as_str().unwrap(),
    );
    let request = json!({
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "spec": {
            "audiences": [source["audience"]],
            "expirationSeconds": source["expirationSeconds"],
            "boundObjectRef": {
                "apiVersion": "v1", "kind": "Pod", "name": metadata["name"], "uid": metadata["uid"],
            },
        },
    });
    let answer = cluster.client().post(&path, &request).await.unwrap();
    answer["status"]["token"].as_str().unwrap().to_owned()
}

fn variable_of(pod: &Value, variable: &Value) -> (String, String) {
    let field = variable["valueFrom"]["fieldRef"]["fieldPath"].as_str();
    let value = match field {
        None => &variable["value"],
        Some("metadata.name") => &pod["metadata"]["name"],
        Some(other) => panic!("field `{other}`"),
    };
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    (text(&variable["name"]), text(value))
}

fn elements(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}
