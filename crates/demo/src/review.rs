//! What a file holds, as the API server would hand it to the policy.

use anyhow::{Result, bail};
use serde_json::{Map, Value, json};

/// An AdmissionReview as it is, or one around a Pod as the API server makes it for `kubectl create`.
pub(crate) fn of(document: Value) -> Result<Value> {
    match kind(&document) {
        ("AdmissionReview", _) if document.get("request").is_some_and(Value::is_object) => Ok(document),
        ("AdmissionReview", _) => bail!("expected an AdmissionReview with a `request`, found none in it"),
        ("Pod", "v1") => around(document),
        _ => bail!("expected a Pod of `v1` or an AdmissionReview, found {}", describe(&document)),
    }
}

/// An object of the core API group, in the namespace `default` if it names none.
pub(crate) fn object(expected: &str, mut document: Value) -> Result<Value> {
    if kind(&document) != (expected, "v1") {
        bail!("expected a {expected} of `v1`, found {}", describe(&document));
    }
    let metadata = fields(&mut document, "metadata")?;
    if !metadata.get("name").is_some_and(Value::is_string) {
        bail!("expected a string in `metadata.name`");
    }
    metadata.entry("namespace").or_insert_with(|| json!("default"));
    Ok(document)
}

/// Settings, as they stand below `settings` of a ClusterAdmissionPolicy.
pub(crate) fn settings(document: Value) -> Result<Value> {
    if !document.is_object() {
        bail!("expected settings as an object, found {}", type_of(&document));
    }
    match kind(&document) {
        ("ClusterAdmissionPolicy" | "AdmissionPolicy", _) => {
            Ok(document.pointer("/spec/settings").cloned().unwrap_or_else(|| json!({})))
        }
        _ => Ok(document),
    }
}

fn around(mut pod: Value) -> Result<Value> {
    let metadata = fields(&mut pod, "metadata")?;
    let namespace = metadata.entry("namespace").or_insert_with(|| json!("default")).clone();
    let name = metadata.get("name").cloned();
    if name.is_none() && !metadata.contains_key("generateName") {
        bail!("expected `metadata.name` or `metadata.generateName`, found neither");
    }
    let spec = fields(&mut pod, "spec")?;
    let service_account =
        ["serviceAccountName", "serviceAccount"].iter().find_map(|field| spec.get(*field)).cloned();
    let service_account = service_account.unwrap_or_else(|| json!("default"));
    spec.insert("serviceAccountName".to_owned(), service_account.clone());
    spec.insert("serviceAccount".to_owned(), service_account);

    let kind = json!({"group": "", "version": "v1", "kind": "Pod"});
    let resource = json!({"group": "", "version": "v1", "resource": "pods"});
    let mut review = json!({
        "kind": "AdmissionReview",
        "apiVersion": "admission.k8s.io/v1",
        "request": {
            "uid": "00000000-0000-4000-8000-000000000000",
            "kind": kind,
            "resource": resource,
            "requestKind": kind,
            "requestResource": resource,
            "namespace": namespace,
            "operation": "CREATE",
            "userInfo": {"username": "kubernetes-admin", "groups": ["kubeadm:cluster-admins", "system:authenticated"]},
            "object": pod,
            "oldObject": null,
            "dryRun": false,
            "options": {"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1"},
        },
    });
    if let (Some(name), Some(request)) = (name, review.get_mut("request").and_then(Value::as_object_mut)) {
        request.insert("name".to_owned(), name);
    }
    Ok(review)
}

/// Whom a review is about.
#[derive(Debug, Default, Eq, PartialEq)]
pub(crate) struct Subject {
    pub(crate) operation: String,
    pub(crate) resource: String,
    pub(crate) namespace: String,
    pub(crate) name: String,
    service_account: Option<String>,
}

impl Subject {
    pub(crate) fn of(review: &Value) -> Self {
        let text = |pointer: &str| review.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
        let generated = || text("/request/object/metadata/generateName").map(|prefix| prefix + "…");
        let sub_resource = text("/request/subResource").map(|name| format!("/{name}")).unwrap_or_default();
        Self {
            operation: text("/request/operation").unwrap_or_default(),
            resource: text("/request/resource/resource").unwrap_or_default() + &sub_resource,
            namespace: text("/request/namespace").unwrap_or_default(),
            name: text("/request/name")
                .or_else(|| text("/request/object/metadata/name"))
                .or_else(generated)
                .unwrap_or_default(),
            service_account: text("/request/object/spec/serviceAccountName"),
        }
    }

    /// The pod's ServiceAccount without annotations: there is always one, for the API server refuses the pod otherwise.
    pub(crate) fn service_account(&self) -> Option<Value> {
        self.service_account.as_ref().map(|name| {
            json!({
                "apiVersion": "v1",
                "kind": "ServiceAccount",
                "metadata": {"name": name, "namespace": self.namespace},
            })
        })
    }
}

fn kind(document: &Value) -> (&str, &str) {
    let text = |field: &str| document.get(field).and_then(Value::as_str).unwrap_or_default();
    (text("kind"), text("apiVersion"))
}

fn describe(document: &Value) -> String {
    match (kind(document), document) {
        (("", _), Value::Object(_)) => "an object without `kind`".to_owned(),
        ((kind, api_version), Value::Object(_)) => format!("`{kind}` of `{api_version}`"),
        (_, other) => type_of(other).to_owned(),
    }
}

fn fields<'a>(document: &'a mut Value, field: &str) -> Result<&'a mut Map<String, Value>> {
    match document.get_mut(field) {
        Some(Value::Object(fields)) => Ok(fields),
        Some(other) => bail!("expected an object in `{field}`, found {}", type_of(other)),
        None => bail!("expected an object in `{field}`, found nothing"),
    }
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_error<T: std::fmt::Debug>(found: Result<T>, expect: &str) {
        assert_eq!(found.unwrap_err().to_string(), expect);
    }

    #[test]
    fn a_pod_is_wrapped_as_the_api_server_does() {
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"generateName": "api-"}, "spec": {"new": null}});
        let review = of(pod).unwrap();
        assert_eq!(
            review["request"]["object"],
            json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"generateName": "api-", "namespace": "default"}, "spec": {
                "new": null, "serviceAccount": "default", "serviceAccountName": "default",
            }})
        );
        let subject = Subject::of(&review);
        assert_eq!(
            subject,
            Subject {
                operation: "CREATE".to_owned(),
                resource: "pods".to_owned(),
                namespace: "default".to_owned(),
                name: "api-…".to_owned(),
                service_account: Some("default".to_owned()),
            }
        );
        assert_eq!(
            subject.service_account().unwrap()["metadata"],
            json!({"name": "default", "namespace": "default"})
        );
    }

    #[test]
    fn the_older_field_names_the_service_account_too() {
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "spec": {"serviceAccount": "b"}});
        let review = of(pod).unwrap();
        assert_eq!(
            review["request"]["object"]["spec"],
            json!({"serviceAccount": "b", "serviceAccountName": "b"})
        );
        assert_eq!(review["request"]["name"], "a");
    }

    #[test]
    fn a_review_stays_as_it_is() {
        let review = json!({"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": {}});
        assert_eq!(of(review.clone()).unwrap(), review);
    }

    #[test]
    fn what_is_expected_is_said() {
        let expected = "expected a Pod of `v1` or an AdmissionReview, found";
        check_error(of(json!([])), &format!("{expected} a list"));
        check_error(of(json!({"a": 1})), &format!("{expected} an object without `kind`"));
        check_error(
            of(json!({"apiVersion": "apps/v1", "kind": "Deployment"})),
            &format!("{expected} `Deployment` of `apps/v1`"),
        );
        check_error(
            of(json!({"apiVersion": "v1", "kind": "Pod", "metadata": {}})),
            "expected `metadata.name` or `metadata.generateName`, found neither",
        );
        check_error(
            of(json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "spec": []})),
            "expected an object in `spec`, found a list",
        );
        check_error(
            of(json!({"kind": "AdmissionReview"})),
            "expected an AdmissionReview with a `request`, found none in it",
        );
        check_error(
            object("ServiceAccount", json!({"apiVersion": "v1", "kind": "Pod"})),
            "expected a ServiceAccount of `v1`, found `Pod` of `v1`",
        );
        check_error(settings(json!("a")), "expected settings as an object, found a string");
    }

    #[test]
    fn settings_may_stand_in_their_policy() {
        let policy = json!({"kind": "ClusterAdmissionPolicy", "spec": {"settings": {"mapping": {}}}});
        assert_eq!(settings(policy).unwrap(), json!({"mapping": {}}));
    }
}
