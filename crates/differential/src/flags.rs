//! The flags of a run, which both webhooks understand, and the same as settings.

use std::path::Path;

use serde_json::{Map, Value, json};

/// The namespace of the ConfigMap that the Go webhook reads unless it is told another.
pub(crate) const DEFAULT_NAMESPACE: &str = "eks";
/// The namespace of a ConfigMap that the Go webhook cannot read.
pub(crate) const FORMS_NAMESPACE: &str = "forms";
/// The name that both webhooks expect.
pub(crate) const CONFIG_MAP: &str = "pod-identity-webhook";

/// What a webhook is started with. Every field is a flag; `None` leaves it out.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Flags {
    pub(crate) variant: &'static str,
    pub(crate) annotation_prefix: Option<&'static str>,
    pub(crate) token_audience: Option<&'static str>,
    pub(crate) token_mount_path: Option<&'static str>,
    pub(crate) token_expiration: Option<i64>,
    pub(crate) aws_default_region: Option<&'static str>,
    pub(crate) sts_regional_endpoint: bool,
    pub(crate) watch_config_map: bool,
    /// Where the ConfigMap is.
    pub(crate) namespace: Option<&'static str>,
    /// Whether the identities file is watched.
    pub(crate) container_credentials: bool,
    pub(crate) credentials_audience: Option<&'static str>,
    pub(crate) credentials_mount_path: Option<&'static str>,
    pub(crate) credentials_volume_name: Option<&'static str>,
    pub(crate) credentials_token_path: Option<&'static str>,
    pub(crate) credentials_full_uri: Option<&'static str>,
    pub(crate) lookup_grace_period: Option<&'static str>,
}

const NONE: Flags = Flags {
    variant: "",
    annotation_prefix: None,
    token_audience: None,
    token_mount_path: None,
    token_expiration: None,
    aws_default_region: None,
    sts_regional_endpoint: false,
    watch_config_map: false,
    namespace: None,
    container_credentials: false,
    credentials_audience: None,
    credentials_mount_path: None,
    credentials_volume_name: None,
    credentials_token_path: None,
    credentials_full_uri: None,
    lookup_grace_period: None,
};

/// The variants that are compared.
pub(crate) const VARIANTS: &[Flags] = &[
    Flags { variant: "defaults", ..NONE },
    Flags { variant: "region", aws_default_region: Some("eu-west-1"), sts_regional_endpoint: true, ..NONE },
    Flags { variant: "prefix", annotation_prefix: Some("iam.example.com"), ..NONE },
    Flags {
        variant: "token",
        token_audience: Some("sts.amazonaws.com.cn"),
        token_mount_path: Some("/var/run/secrets/aws//"),
        token_expiration: Some(3600),
        ..NONE
    },
    Flags {
        variant: "drive",
        token_mount_path: Some("D:/aws/iam"),
        token_expiration: Some(60),
        aws_default_region: Some("us-gov-west-1"),
        ..NONE
    },
    Flags { variant: "config-map", watch_config_map: true, ..NONE },
    Flags {
        variant: "config-map-flags",
        watch_config_map: true,
        token_audience: Some("aws"),
        token_expiration: Some(7200),
        aws_default_region: Some("ap-southeast-2"),
        sts_regional_endpoint: true,
        ..NONE
    },
    Flags { variant: "config-map-forms", watch_config_map: true, namespace: Some(FORMS_NAMESPACE), ..NONE },
    Flags { variant: "credentials", container_credentials: true, ..NONE },
    Flags {
        variant: "credentials-flags",
        container_credentials: true,
        credentials_audience: Some("pods.example.com"),
        credentials_mount_path: Some("/var/run/secrets/pods/"),
        credentials_volume_name: Some("pods-token"),
        credentials_token_path: Some("dir/credentials"),
        credentials_full_uri: Some("http://127.0.0.1:8080/v1/credentials"),
        aws_default_region: Some("eu-central-1"),
        sts_regional_endpoint: true,
        token_expiration: Some(86_400),
        ..NONE
    },
    Flags {
        variant: "credentials-config-map",
        container_credentials: true,
        watch_config_map: true,
        token_expiration: Some(10_000),
        sts_regional_endpoint: true,
        ..NONE
    },
    Flags {
        variant: "grace-period",
        lookup_grace_period: Some("50ms"),
        aws_default_region: Some("cn-north-1"),
        ..NONE
    },
];

impl Flags {
    pub(crate) fn prefix(&self) -> &'static str {
        self.annotation_prefix.unwrap_or("eks.amazonaws.com")
    }

    pub(crate) fn audience(&self) -> &'static str {
        self.token_audience.unwrap_or("sts.amazonaws.com")
    }

    pub(crate) fn mount_path(&self) -> &'static str {
        self.token_mount_path.unwrap_or("/var/run/secrets/eks.amazonaws.com/serviceaccount")
    }

    /// As both bring it into bounds.
    pub(crate) fn expiration(&self) -> i64 {
        self.token_expiration.unwrap_or(86_400).max(600)
    }

    pub(crate) fn config_map_namespace(&self) -> &'static str {
        self.namespace.unwrap_or(DEFAULT_NAMESPACE)
    }

    pub(crate) fn credentials_audience(&self) -> &'static str {
        self.credentials_audience.unwrap_or("pods.eks.amazonaws.com")
    }

    pub(crate) fn credentials_mount_path(&self) -> &'static str {
        self.credentials_mount_path.unwrap_or("/var/run/secrets/pods.eks.amazonaws.com/serviceaccount")
    }

    pub(crate) fn credentials_volume_name(&self) -> &'static str {
        self.credentials_volume_name.unwrap_or("eks-pod-identity-token")
    }

    pub(crate) fn credentials_token_path(&self) -> &'static str {
        self.credentials_token_path.unwrap_or("eks-pod-identity-token")
    }

    pub(crate) fn credentials_full_uri(&self) -> &'static str {
        self.credentials_full_uri.unwrap_or("http://169.254.170.23/v1/credentials")
    }

    /// What is put on the command line; `identities` is the identities file.
    pub(crate) fn arguments(&self, identities: &Path) -> Vec<String> {
        let mut arguments = Vec::new();
        let mut text = |flag: &str, value: Option<&str>| {
            arguments.extend(value.map(|value| format!("--{flag}={value}")));
        };
        text("annotation-prefix", self.annotation_prefix);
        text("token-audience", self.token_audience);
        text("token-mount-path", self.token_mount_path);
        text("token-expiration", self.token_expiration.map(|seconds| seconds.to_string()).as_deref());
        text("aws-default-region", self.aws_default_region);
        text("sts-regional-endpoint", self.sts_regional_endpoint.then_some("true"));
        text("watch-config-map", self.watch_config_map.then_some("true"));
        text("namespace", self.namespace);
        let identities = identities.display().to_string();
        text("watch-container-credentials-config", self.container_credentials.then_some(&identities));
        text("container-credentials-audience", self.credentials_audience);
        text("container-credentials-token-mount-path", self.credentials_mount_path);
        text("container-credentials-token-volume-name", self.credentials_volume_name);
        text("container-credentials-token-path", self.credentials_token_path);
        text("container-credentials-full-uri", self.credentials_full_uri);
        text("service-account-lookup-grace-period", self.lookup_grace_period);
        arguments
    }

    /// The same as settings.
    pub(crate) fn settings(&self, identities: &Value) -> Value {
        let mut settings = Map::new();
        let mut set = |field: &str, value: Option<Value>| {
            settings.extend(value.map(|value| (field.to_owned(), value)));
        };
        set("annotationPrefix", self.annotation_prefix.map(Value::from));
        set("tokenAudience", self.token_audience.map(Value::from));
        set("tokenMountPath", self.token_mount_path.map(Value::from));
        // A flag is brought into bounds, a setting out of bounds is an error.
        set("tokenExpiration", self.token_expiration.map(|_| self.expiration().into()));
        set("awsDefaultRegion", self.aws_default_region.map(Value::from));
        set("stsRegionalEndpoints", self.sts_regional_endpoint.then_some(true.into()));
        let config_map = json!({"namespace": self.config_map_namespace(), "name": CONFIG_MAP});
        set("mappingConfigMap", self.watch_config_map.then_some(config_map));
        let credentials = json!({
            "identities": identities,
            "audience": self.credentials_audience,
            "mountPath": self.credentials_mount_path,
            "volumeName": self.credentials_volume_name,
            "tokenPath": self.credentials_token_path,
            "fullUri": self.credentials_full_uri,
        });
        set("containerCredentials", self.container_credentials.then_some(credentials));
        Value::Object(settings)
    }
}
