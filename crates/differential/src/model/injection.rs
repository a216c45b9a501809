//! What a pod is given.

use serde_json::{Value, json};

use super::Model;
use super::identity::{Expiration, Identity, Method};
use super::paths;
use crate::differences::Difference;
use crate::scene::{list, text};

/// Stands for an expiration that was drawn.
pub(crate) const DRAWN: i64 = -1;
/// Stands for an expiration that came from a hash.
pub(crate) const HASHED: i64 = -2;

/// The label of EKS Pod Identity, whatever the prefix.
const LABEL: &str = "eks.amazonaws.com/pod-identity";

const REGIONAL: &str = "AWS_STS_REGIONAL_ENDPOINTS";
const REGIONS: [&str; 2] = ["AWS_DEFAULT_REGION", "AWS_REGION"];

/// What is the same for all containers.
struct Token {
    variables: [&'static str; 2],
    mount_path: &'static str,
    file: String,
    path: String,
    volume: String,
    is_volume_there: bool,
    /// The names of the volumes that hold the token.
    serving: Vec<String>,
    windows: bool,
}

/// What stands at the path of the mount.
#[derive(Clone, Copy, PartialEq)]
enum AtPath {
    Free,
    Served,
    Taken,
}

/// What became of a container.
#[derive(Clone, Copy, Default)]
struct Given {
    identity: bool,
    mount: bool,
}

impl Model<'_> {
    /// The pod with its identity.
    pub(super) fn inject(&self, identity: &Identity, ephemeral: bool) -> Value {
        let mut pod = self.scene.review.pod().clone();
        let token = self.token(identity, &pod);
        if ephemeral && !token.is_volume_there {
            return pod;
        }
        let old: Vec<&str> = self
            .scene
            .review
            .request()
            .pointer("/oldObject/spec")
            .map(|spec| list(spec, "ephemeralContainers").iter().map(|old| text(old, "name")).collect())
            .unwrap_or_default();
        let lists: &[&str] =
            if ephemeral { &["ephemeralContainers"] } else { &["initContainers", "containers"] };
        let mut given = Given::default();
        for list in lists {
            let containers = pod.get_mut("spec").and_then(|spec| spec.get_mut(*list));
            for container in containers.and_then(Value::as_array_mut).into_iter().flatten() {
                let name = text(container, "name").to_owned();
                let is_old = ephemeral && old.contains(&name.as_str());
                if is_old || !self.is_served(&name, self.account(), ephemeral) {
                    continue;
                }
                let role = identity.role(container).map(str::to_owned);
                if role.is_none() && identity.method != Method::ContainerCredentials {
                    continue;
                }
                let container = self.serve(container, role, identity, &token);
                given.identity |= container.identity;
                given.mount |= container.mount;
            }
        }
        if !ephemeral {
            self.add_volume(&mut pod, identity, &token, given.mount);
            if identity.method == Method::ContainerCredentials {
                self.label(&mut pod, given.identity);
            }
        }
        pod
    }

    fn token(&self, identity: &Identity, pod: &Value) -> Token {
        let flags = self.scene.flags;
        let (variables, mount_path, volume, path) = match identity.method {
            Method::WebIdentity { .. } => (
                ["AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE"],
                flags.mount_path(),
                "aws-iam-token",
                "token",
            ),
            Method::ContainerCredentials => (
                ["AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"],
                flags.credentials_mount_path(),
                flags.credentials_volume_name(),
                flags.credentials_token_path(),
            ),
        };
        let spec = pod.get("spec").unwrap_or(&Value::Null);
        let windows = self.either(Difference::WindowsByOs, selects_windows(spec), is_windows(spec));
        let mut file = paths::join(mount_path, path);
        if windows {
            let drive =
                if paths::has_drive(mount_path) && self.here(Difference::WindowsDrive) { "" } else { "C:" };
            file = format!("{drive}{}", file.replace('/', "\\"));
        }
        let volumes = list(spec, "volumes");
        let serving: Vec<String> = volumes
            .iter()
            .filter(|volume| serves(volume, path, &identity.audience, windows))
            .map(|volume| text(volume, "name").to_owned())
            .collect();
        let by_name = (volume.to_owned(), volumes.iter().any(|other| text(other, "name") == volume));
        let by_content = if serving.iter().any(|name| name == volume) {
            (volume.to_owned(), true)
        } else if let Some(first) = serving.first() {
            (first.clone(), true)
        } else {
            (free_name(spec, volume), false)
        };
        let (volume, is_volume_there) = self.either(Difference::VolumeByContent, by_name, by_content);
        Token {
            variables,
            mount_path,
            file,
            path: path.to_owned(),
            volume,
            is_volume_there,
            serving,
            windows,
        }
    }

    fn serve(
        &self,
        container: &mut Value,
        role: Option<String>,
        identity: &Identity,
        token: &Token,
    ) -> Given {
        let defined: Vec<&str> =
            list(container, "env").iter().map(|variable| text(variable, "name")).collect();
        let defines = |name: &str| defined.contains(&name);
        let has_region = REGIONS.iter().any(|name| defines(name));
        let own = token.variables.map(defines);
        if own.contains(&true)
            && has_region
            && defines(REGIONAL)
            && !self.here(Difference::CompleteContainers)
        {
            return Given::default();
        }
        let mut env: Vec<(&str, String)> = Vec::new();
        if identity.regional && !defines(REGIONAL) {
            env.push((REGIONAL, "regional".to_owned()));
        }
        if let Some(region) = identity.region.as_ref().filter(|_| !has_region) {
            env.extend(REGIONS.map(|name| (name, region.clone())));
        }
        let (has_identity, mount) = self.mount(container, token);
        let mut given = Given { identity: false, mount };
        if has_identity {
            let first = role.unwrap_or_else(|| self.scene.flags.credentials_full_uri().to_owned());
            let pair = token.variables.iter().zip(own).zip([first, token.file.clone()]);
            let is_half = own == [true, false] || own == [false, true];
            if own == [false, false] || is_half && self.here(Difference::CompletePairs) {
                for ((name, is_defined), value) in pair {
                    if !is_defined {
                        env.push((*name, value));
                        given.identity = true;
                    }
                }
            }
        }
        append(
            container,
            "env",
            env.into_iter().map(|(name, value)| json!({"name": name, "value": value})).collect(),
        );
        if mount {
            let mount = json!({"name": token.volume, "readOnly": true, "mountPath": token.mount_path});
            append(container, "volumeMounts", vec![mount]);
        }
        given
    }

    /// Whether a container is given the variables of an identity, and whether the mount.
    fn mount(&self, container: &Value, token: &Token) -> (bool, bool) {
        let mounts = list(container, "volumeMounts");
        let is_named = mounts.iter().any(|mount| text(mount, "name") == token.volume);
        let last = list(container, "env")
            .iter()
            .rfind(|variable| Some(text(variable, "name")) == token.variables.get(1).copied());
        let is_elsewhere = last.is_some_and(|variable| {
            let path = text(variable, "value");
            let is_literal = variable.get("valueFrom").is_none_or(Value::is_null) && !path.contains("$(");
            let normal = |path: &str| paths::normal(path, token.windows);
            is_literal && normal(path) != normal(&token.file)
        });
        match at_path(container, token) {
            AtPath::Taken => {
                if self.here(Difference::TakenPath) {
                    (false, false)
                } else {
                    (true, !is_named)
                }
            }
            AtPath::Served => (true, self.either(Difference::ServedPath, !is_named, false)),
            AtPath::Free => match (is_named, is_elsewhere) {
                (true, false) => (true, self.here(Difference::MountedElsewhere)),
                (false, true) => (true, !self.here(Difference::TokenFileElsewhere)),
                (true, true) => (true, false),
                (false, false) => (true, true),
            },
        }
    }

    fn add_volume(&self, pod: &mut Value, identity: &Identity, token: &Token, is_mounted: bool) {
        if token.is_volume_there || !is_mounted && self.here(Difference::VolumeUnmounted) {
            return;
        }
        let seconds = match identity.expiration {
            Expiration::Seconds(seconds) => seconds,
            Expiration::Spread => self.either(Difference::SpreadByHash, DRAWN, HASHED),
        };
        let mut source = json!({"expirationSeconds": seconds, "path": token.path});
        if !identity.audience.is_empty() {
            set(&mut source, "audience", json!(identity.audience));
        }
        let sources = json!([{"serviceAccountToken": source}]);
        let volume = json!({"name": token.volume, "projected": {"sources": sources}});
        let Some(spec) = pod.get_mut("spec") else { return };
        let is_first = !list(spec, "volumes").is_empty() && !self.here(Difference::VolumeOrder);
        append(spec, "volumes", vec![volume]);
        if is_first && let Some(volumes) = spec.get_mut("volumes").and_then(Value::as_array_mut) {
            volumes.rotate_right(1);
        }
    }

    fn label(&self, pod: &mut Value, is_given: bool) {
        let Some(metadata) = pod.get_mut("metadata") else { return };
        let current = metadata.get("labels").and_then(|labels| labels.get(LABEL));
        let is_kept = match current.map(|value| value == "enabled") {
            Some(true) => true,
            Some(false) => self.here(Difference::LabelKept),
            None => !is_given && self.here(Difference::LabelUnserved),
        };
        if is_kept {
            return;
        }
        if !metadata.get("labels").is_some_and(Value::is_object) {
            set(metadata, "labels", json!({}));
        }
        if let Some(labels) = metadata.get_mut("labels") {
            set(labels, LABEL, json!("enabled"));
        }
    }
}

fn at_path(container: &Value, token: &Token) -> AtPath {
    let is_ours =
        |path: &str| paths::normal(path, token.windows) == paths::normal(token.mount_path, token.windows);
    let there: Vec<&Value> =
        list(container, "volumeMounts").iter().filter(|mount| is_ours(text(mount, "mountPath"))).collect();
    let serves = |mount: &&Value| {
        text(mount, "subPath").is_empty()
            && text(mount, "subPathExpr").is_empty()
            && token.serving.iter().any(|name| name == text(mount, "name"))
    };
    let is_device = list(container, "volumeDevices").iter().any(|device| is_ours(text(device, "devicePath")));
    if there.iter().any(serves) {
        AtPath::Served
    } else if is_device || !there.is_empty() {
        AtPath::Taken
    } else {
        AtPath::Free
    }
}

/// What a projected volume is made of, of what is generated. What others write is not known.
const SOURCES: [&str; 4] = ["configMap", "downwardAPI", "secret", "serviceAccountToken"];

/// Whether a volume holds a token for the audience at the path, and nothing else writes there.
fn serves(volume: &Value, path: &str, audience: &str, windows: bool) -> bool {
    let sources = volume.get("projected").map(|projected| list(projected, "sources")).unwrap_or_default();
    let mut at_path = Vec::new();
    for (kind, source) in sources.iter().filter_map(Value::as_object).flatten() {
        if !SOURCES.contains(&kind.as_str()) {
            continue;
        }
        let is_token = kind == "serviceAccountToken";
        let items = list(source, "items").iter().map(|item| text(item, "path"));
        let paths = items.chain(source.get("path").and_then(Value::as_str));
        for found in paths.filter(|found| paths::normal(found, windows) == paths::normal(path, windows)) {
            at_path.push(is_token && !found.is_empty() && text(source, "audience") == audience);
        }
    }
    at_path == [true]
}

/// The name, or the first with a number behind it that neither a volume nor a mount has.
fn free_name(spec: &Value, name: &str) -> String {
    let lists = ["initContainers", "containers", "ephemeralContainers"];
    let containers = lists.iter().flat_map(|key| list(spec, key));
    let mounts = containers.flat_map(|container| list(container, "volumeMounts"));
    let taken: Vec<&str> =
        list(spec, "volumes").iter().chain(mounts).map(|named| text(named, "name")).collect();
    let numbered = (2..).map(|number| format!("{name}-{number}"));
    std::iter::once(name.to_owned())
        .chain(numbered)
        .find(|name| !taken.contains(&name.as_str()))
        .unwrap_or_default()
}

const OS_LABELS: [&str; 2] = ["kubernetes.io/os", "beta.kubernetes.io/os"];

fn selects_windows(spec: &Value) -> bool {
    let selector = spec.get("nodeSelector").unwrap_or(&Value::Null);
    OS_LABELS.iter().any(|label| text(selector, label) == "windows")
}

fn is_windows(spec: &Value) -> bool {
    let os = spec.get("os").map(|os| text(os, "name")).unwrap_or_default();
    if !os.is_empty() {
        return os == "windows";
    }
    let selector = spec.get("nodeSelector").unwrap_or(&Value::Null);
    if OS_LABELS.iter().any(|label| selector.get(label).is_some()) {
        return selects_windows(spec);
    }
    let required = "/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution";
    let terms = spec.pointer(required).map(|required| list(required, "nodeSelectorTerms"));
    let requires = |expression: &Value| {
        let values = list(expression, "values");
        OS_LABELS.contains(&text(expression, "key"))
            && text(expression, "operator") == "In"
            && !values.is_empty()
            && values.iter().all(|value| value == "windows")
    };
    terms.is_some_and(|terms| {
        !terms.is_empty() && terms.iter().all(|term| list(term, "matchExpressions").iter().any(requires))
    })
}

/// Appends to a list that may not be there yet.
fn append(object: &mut Value, key: &str, mut values: Vec<Value>) {
    if values.is_empty() {
        return;
    }
    match object.get_mut(key).and_then(Value::as_array_mut) {
        Some(list) => list.append(&mut values),
        None => set(object, key, Value::Array(values)),
    }
}

fn set(object: &mut Value, key: &str, value: Value) {
    if let Some(object) = object.as_object_mut() {
        object.insert(key.to_owned(), value);
    }
}
