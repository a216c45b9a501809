//! Applies a case's documents to a real API server and hands out the review of the last.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use super::{
    documents::{Document, ReviewVersion, Verb},
    webhook::{Recorded, Webhook},
};
use crate::{
    client::Request,
    environment::{Environment, Options},
    error::{Error, Result},
};

const WEBHOOKS_PATH: &str = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations";
/// What the API server makes for itself.
const OWN_NAMESPACES: [&str; 4] = ["default", "kube-node-lease", "kube-public", "kube-system"];
const WEBHOOK_LIMIT: Duration = Duration::from_secs(30);

/// An API server and a webhook that it tells of all that happens in it.
pub struct Recorder {
    environment: Environment,
    webhook: Webhook,
    /// By group and version: what the API server serves.
    resources: BTreeMap<String, Vec<Resource>>,
}

#[derive(Clone, Debug)]
struct Resource {
    name: String,
    kind: String,
    namespaced: bool,
}

/// What a case needs besides its documents, and what has to go when it is over.
#[derive(Default)]
struct Leftovers {
    namespaces: BTreeSet<String>,
    /// Paths.
    objects: Vec<String>,
    /// ServiceAccounts that no document creates: namespace and name.
    accounts: BTreeSet<(String, String)>,
}

impl Recorder {
    /// Starts an API server and a webhook, and waits until the one calls the other.
    ///
    /// # Errors
    ///
    /// If the API server does not start, or does not call within half a minute.
    pub async fn start(options: Options) -> Result<Recorder> {
        let environment = Environment::start(options).await?;
        let webhook = Webhook::start().await?;
        let recorder = Recorder { environment, webhook, resources: BTreeMap::new() };
        recorder.configure().await?;
        Ok(recorder)
    }

    /// Applies the documents in order, returns the review that came for the last one as it came, and removes
    /// all that the case left behind.
    ///
    /// # Errors
    ///
    /// If the API server refuses a document or sends no review for the last.
    pub async fn record(&mut self, documents: &[Document]) -> Result<String> {
        let mut leftovers = Leftovers::default();
        let recorded = self.apply(documents, &mut leftovers).await;
        let cleaned = self.clean(leftovers).await;
        let recorded = recorded?;
        cleaned?;
        Ok(recorded)
    }

    /// One webhook for each version of the review: the API server sends the first that it knows of a webhook's list.
    async fn configure(&self) -> Result<()> {
        let entry = |version: ReviewVersion| {
            json!({
                "name": format!("{}.record-reviews.example.com", version.name()),
                "clientConfig": self.webhook.client_config(version.path()),
                "rules": [{"apiGroups": ["*"], "apiVersions": ["*"], "operations": ["*"], "resources": ["*/*"]}],
                "admissionReviewVersions": [version.name()],
                "sideEffects": "None",
                "failurePolicy": "Fail",
            })
        };
        let configuration = json!({
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "MutatingWebhookConfiguration",
            "metadata": {"name": "record-reviews"},
            "webhooks": [entry(ReviewVersion::V1), entry(ReviewVersion::V1Beta1)],
        });
        self.environment.client().post(WEBHOOKS_PATH, &configuration).await?;
        // Impersonated users of the inputs have no roles: what they may do is not what is recorded.
        let binding = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": "record-reviews"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "system:authenticated"}],
        });
        let bindings = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings";
        self.environment.client().post(bindings, &binding).await?;

        let probe = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "record-reviews"}});
        let start = Instant::now();
        loop {
            let probed = self
                .environment
                .client()
                .post("/api/v1/namespaces/default/configmaps?dryRun=All", &probe)
                .await;
            let reviews = self.webhook.take();
            if reviews
                .iter()
                .any(|review| review.value.pointer("/request/name") == Some(&json!("record-reviews")))
            {
                return probed.map(drop);
            }
            if start.elapsed() > WEBHOOK_LIMIT {
                return Err(Error::Start("the API server does not call the webhook".to_owned()));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn apply(&mut self, documents: &[Document], leftovers: &mut Leftovers) -> Result<String> {
        self.prepare(documents, leftovers).await?;
        let mut last = None;
        for (index, document) in documents.iter().enumerate() {
            // Only the last one's review counts; whatever came for the others goes.
            self.webhook.take();
            let applied = self.apply_one(document, leftovers).await;
            last = Some(applied.map_err(|error| Error::Input(format!("document {}: {error}", index + 1)))?);
        }
        let (Some((resource, namespace)), Some(document)) = (last, documents.last()) else {
            return Err(Error::Input("no document".to_owned()));
        };
        let reviews = self.webhook.take();
        let mut matching =
            reviews.iter().filter(|review| matches(review, document, &resource, namespace.as_deref()));
        let review = match document.verb {
            // The API server asks again when it meets a conflict of its own.
            Verb::Update => matching.next_back(),
            // It deletes a pod in two steps, and asks in both: in the second it is marked as deleted.
            Verb::Create | Verb::Delete | Verb::Connect => matching.next(),
        };
        review.map(|review| review.text.clone()).ok_or_else(|| {
            Error::Input(format!("the API server sent no {} review for it", document.review.name()))
        })
    }

    /// Creates the namespaces that documents name, and the ServiceAccounts in them.
    async fn prepare(&mut self, documents: &[Document], leftovers: &mut Leftovers) -> Result<()> {
        for document in documents {
            let (resource, _) = self.resource(document).await?;
            if !resource.namespaced {
                continue;
            }
            let namespace = document.namespace();
            leftovers.accounts.insert((namespace.to_owned(), "default".to_owned()));
            if document.kind() == "Pod" {
                let named =
                    document.text("/spec/serviceAccountName").or(document.text("/spec/serviceAccount"));
                let named = named.filter(|name| !name.is_empty());
                leftovers.accounts.extend(named.map(|name| (namespace.to_owned(), name.to_owned())));
            }
            let is_created = |other: &Document| other.creates_object("Namespace", namespace);
            if !OWN_NAMESPACES.contains(&namespace) && !documents.iter().any(is_created) {
                leftovers.namespaces.insert(namespace.to_owned());
            }
        }
        leftovers.accounts.retain(|(namespace, name)| {
            let is_created = |document: &Document| {
                document.creates_object("ServiceAccount", name) && document.namespace() == namespace
            };
            !documents.iter().any(is_created)
        });
        for namespace in &leftovers.namespaces {
            let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}});
            self.environment.client().post("/api/v1/namespaces", &object).await?;
        }
        let namespaces: Vec<String> = leftovers.namespaces.iter().cloned().collect();
        for namespace in namespaces.iter().map(String::as_str).chain(OWN_NAMESPACES) {
            self.create_accounts(namespace, leftovers).await?;
        }
        Ok(())
    }

    /// Creates those ServiceAccounts of a namespace that pods need and no document creates.
    async fn create_accounts(&self, namespace: &str, leftovers: &mut Leftovers) -> Result<()> {
        for (namespace, name) in leftovers.accounts.iter().filter(|(account, _)| account == namespace) {
            self.environment.create_service_account(namespace, name).await?;
            leftovers.objects.push(format!("/api/v1/namespaces/{namespace}/serviceaccounts/{name}"));
        }
        Ok(())
    }

    /// Sends a document; returns the resource and namespace that it went to.
    async fn apply_one(
        &mut self,
        document: &Document,
        leftovers: &mut Leftovers,
    ) -> Result<(String, Option<String>)> {
        let (resource, base) = self.resource(document).await?;
        let namespace = resource.namespaced.then(|| document.namespace().to_owned());
        let collection = match &namespace {
            Some(namespace) => format!("{base}/namespaces/{namespace}/{}", resource.name),
            None => format!("{base}/{}", resource.name),
        };
        let object_path = format!("{collection}/{}", document.name().unwrap_or_default());
        let path = match &document.subresource {
            Some(subresource) => format!("{object_path}/{subresource}"),
            None => object_path.clone(),
        };
        match document.verb {
            Verb::Create => {
                let path = if document.subresource.is_some() { &path } else { &collection };
                let request = Request::post(&with_query(path, document), &document.object);
                let created = self.send(document, request).await?.json()?;
                if document.creates()
                    && let Some(name) = created.pointer("/metadata/name").and_then(Value::as_str)
                {
                    if resource.name == "namespaces" {
                        leftovers.namespaces.insert(name.to_owned());
                        self.create_accounts(name, leftovers).await?;
                    } else {
                        leftovers.objects.push(format!("{collection}/{name}"));
                    }
                }
            }
            Verb::Update => {
                let current = self.environment.client().get(&object_path).await?;
                let mut object = document.object.clone();
                if document.subresource.is_some() || document.kind() == "Pod" {
                    object = current;
                    merge(&mut object, &document.object);
                } else if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
                    let version = current.pointer("/metadata/resourceVersion").cloned();
                    metadata.insert("resourceVersion".to_owned(), version.unwrap_or_default());
                }
                self.send(document, Request::put(&with_query(&path, document), &object)).await?;
            }
            Verb::Delete => {
                // As kubectl does.
                let mut options = json!({
                    "apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background",
                });
                if document.dry_run
                    && let Some(options) = options.as_object_mut()
                {
                    options.insert("dryRun".to_owned(), json!(["All"]));
                }
                self.send(document, Request::delete(&path, Some(&options))).await?;
            }
            Verb::Connect => {
                let request =
                    Request::post(&format!("{path}?command=sh&stdin=true&stdout=true"), &Value::Null);
                // There is no kubelet to connect to; admission has been asked by then.
                match self.send(document, request).await {
                    Ok(_) | Err(Error::Refused { .. }) => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok((resource.name, namespace))
    }

    async fn send(&self, document: &Document, request: Request) -> Result<crate::client::Response> {
        let user = document.identity.as_ref().map_or("", |identity| identity.user.as_str());
        let mut request = request.user_agent(&format!("{}/v1", manager(user)));
        if let Some(identity) = &document.identity {
            request = request.impersonate(identity);
        }
        self.environment.client().send(request).await
    }

    async fn clean(&self, leftovers: Leftovers) -> Result<()> {
        let client = self.environment.client();
        let options = json!({
            "apiVersion": "v1", "kind": "DeleteOptions",
            "gracePeriodSeconds": 0, "propagationPolicy": "Background",
        });
        for path in leftovers.objects.iter().rev() {
            let deleted = client.send(Request::delete(path, Some(&options))).await;
            let object = match deleted {
                Ok(response) => response.json()?,
                Err(Error::Refused { status: 404, .. }) => continue,
                Err(error) => return Err(error),
            };
            if object.pointer("/metadata/finalizers").is_some() {
                client.merge_patch(path, &json!({"metadata": {"finalizers": null}})).await?;
            }
        }
        for namespace in &leftovers.namespaces {
            match self.environment.delete_namespace(namespace).await {
                Ok(()) | Err(Error::Refused { status: 404, .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// What the API server calls a document's kind, and where it serves that.
    async fn resource(&mut self, document: &Document) -> Result<(Resource, String)> {
        let api_version = document.text("/apiVersion").unwrap_or_default();
        // A Binding is posted to a pod: the kind of what it belongs to counts.
        let parent = match (document.subresource.as_deref(), document.kind()) {
            (Some("binding" | "eviction"), _) => Some(("v1", "Pod")),
            (Some("token"), _) => Some(("v1", "ServiceAccount")),
            _ => None,
        };
        let (api_version, kind) = parent.unwrap_or((api_version, document.kind()));
        let base = if api_version.contains('/') {
            format!("/apis/{api_version}")
        } else {
            format!("/api/{api_version}")
        };
        if !self.resources.contains_key(api_version) {
            let list = self.environment.client().get(&base).await?;
            self.resources.insert(api_version.to_owned(), resources(&list));
        }
        let served = self.resources.get(api_version).into_iter().flatten();
        let resource = served.into_iter().find(|resource| resource.kind == kind).cloned();
        let resource = resource
            .ok_or_else(|| Error::Input(format!("the API server serves no `{kind}` in `{api_version}`")))?;
        Ok((resource, base))
    }
}

impl ReviewVersion {
    fn name(self) -> &'static str {
        match self {
            ReviewVersion::V1 => "v1",
            ReviewVersion::V1Beta1 => "v1beta1",
        }
    }

    fn path(self) -> &'static str {
        match self {
            ReviewVersion::V1 => "/v1",
            ReviewVersion::V1Beta1 => "/v1beta1",
        }
    }
}

fn resources(list: &Value) -> Vec<Resource> {
    let text = |resource: &Value, key: &str| resource.get(key).and_then(Value::as_str).map(str::to_owned);
    let resource = |resource: &Value| {
        Some(Resource {
            name: text(resource, "name").filter(|name| !name.contains('/'))?,
            kind: text(resource, "kind")?,
            namespaced: resource.get("namespaced").and_then(Value::as_bool)?,
        })
    };
    list.get("resources").and_then(Value::as_array).into_iter().flatten().filter_map(resource).collect()
}

fn matches(review: &Recorded, document: &Document, resource: &str, namespace: Option<&str>) -> bool {
    let text = |pointer: &str| review.value.pointer(pointer).and_then(Value::as_str);
    let operation = match document.verb {
        Verb::Create => "CREATE",
        Verb::Update => "UPDATE",
        Verb::Delete => "DELETE",
        Verb::Connect => "CONNECT",
    };
    review.path == document.review.path()
        && text("/request/operation") == Some(operation)
        && text("/request/resource/resource") == Some(resource)
        && text("/request/subResource") == document.subresource.as_deref()
        // A Namespace is in itself.
        && (resource == "namespaces" || text("/request/namespace") == namespace)
}

/// The program that a user is known for: it stands in `managedFields`.
fn manager(user: &str) -> &str {
    match user.strip_prefix("system:") {
        None => "kubectl",
        Some(rest) if rest.starts_with("node:") => "kubelet",
        Some(rest) if rest.starts_with("serviceaccount:kube-system:") => "kube-controller-manager",
        Some(rest) => rest.rsplit(':').next().unwrap_or(rest),
    }
}

/// What kubectl adds; controllers add nothing.
fn with_query(path: &str, document: &Document) -> String {
    let mut query = Vec::new();
    let is_kubectl = document.identity.as_ref().is_none_or(|identity| manager(&identity.user) == "kubectl");
    match (document.verb, &document.subresource) {
        (Verb::Create, None) if is_kubectl => {
            query.push("fieldManager=kubectl-create&fieldValidation=Strict")
        }
        (Verb::Update, None) if is_kubectl => {
            query.push("fieldManager=kubectl-replace&fieldValidation=Strict")
        }
        _ => {}
    }
    if document.dry_run {
        query.push("dryRun=All");
    }
    if query.is_empty() { path.to_owned() } else { format!("{path}?{}", query.join("&")) }
}

/// As `kubectl apply` would: objects merge, `null` removes, lists of named things merge by name, others are
/// replaced.
fn merge(into: &mut Value, from: &Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                match into.get_mut(key) {
                    _ if value.is_null() => drop(into.remove(key)),
                    Some(member) => merge(member, value),
                    None => drop(into.insert(key.clone(), value.clone())),
                }
            }
        }
        (Value::Array(into), Value::Array(from))
            if from.iter().all(|element| element.get("name").is_some()) =>
        {
            for element in from {
                match into.iter_mut().find(|other| other.get("name") == element.get("name")) {
                    Some(other) => merge(other, element),
                    None => into.push(element.clone()),
                }
            }
        }
        (into, from) => *into = from.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{manager, merge};

    #[test]
    fn merges_as_kubectl_apply_does() {
        let mut pod = json!({
            "metadata": {"name": "app", "labels": {"a": "1", "b": "2"}},
            "spec": {"containers": [{"name": "x", "image": "1"}, {"name": "y"}], "command": ["a"]},
        });
        merge(
            &mut pod,
            &json!({
                "metadata": {"labels": {"a": null, "c": "3"}},
                "spec": {
                    "containers": [{"name": "x", "image": "2"}],
                    "ephemeralContainers": [{"name": "debug"}],
                    "command": ["b"],
                },
            }),
        );
        let expected = json!({
            "metadata": {"name": "app", "labels": {"b": "2", "c": "3"}},
            "spec": {
                "containers": [{"name": "x", "image": "2"}, {"name": "y"}],
                "ephemeralContainers": [{"name": "debug"}],
                "command": ["b"],
            },
        });
        assert_eq!(pod, expected);
    }

    #[test]
    fn knows_managers() {
        for (user, expected) in [
            ("", "kubectl"),
            ("jane@example.com", "kubectl"),
            ("system:node:worker-1", "kubelet"),
            ("system:kube-scheduler", "kube-scheduler"),
            ("system:serviceaccount:kube-system:replicaset-controller", "kube-controller-manager"),
            ("system:serviceaccount:argocd:argocd-server", "argocd-server"),
        ] {
            assert_eq!(manager(user), expected, "{user}");
        }
    }
}
