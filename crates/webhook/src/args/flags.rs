//! The flags, in the groups of the help.
//!
//! Flags that stand for a setting are optional and have no default here: the `--config` file may set it. Their help
//! shows the core's default.

use std::path::PathBuf;
use std::time::Duration;

use clap::ArgAction::{Append, Set};
use clap::Args;

use super::values::{self, CommaSeparated};
use crate::log::Format;

/// kube-apiserver waits no longer than this for a webhook
/// (<https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/#timeouts>).
const LONGEST_GRACE_PERIOD: Duration = Duration::from_secs(30);

/// What is listened on, and for how long.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Serving")]
pub struct ServingFlags {
    /// Port for the API server (HTTPS)
    #[arg(long, value_name = "PORT", default_value = "443", value_parser = values::port)]
    pub port: u16,
    /// Port for metrics, health and readiness (HTTP)
    #[arg(long, value_name = "PORT", default_value = "9999", value_parser = values::port)]
    pub metrics_port: u16,
    /// How long requests are still answered after SIGTERM, while the endpoints change
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = values::duration)]
    pub drain_period: Duration,
    /// Show what is held, on loopback only: http://127.0.0.1:10000/debug/, the port after --metrics-port
    #[arg(
        long, value_name = "BOOL", action = Set, num_args = 0..=1, require_equals = true,
        default_value = "false", default_missing_value = "true", value_parser = values::switch
    )]
    pub enable_debugging_handlers: bool,
}

/// Certificates.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "TLS")]
pub struct TlsFlags {
    /// Make and renew certificates, kept in --tls-secret; otherwise read --tls-cert and --tls-key
    #[arg(
        long, value_name = "BOOL", action = Set, num_args = 0..=1, require_equals = true,
        default_value = "true", default_missing_value = "true", value_parser = values::switch
    )]
    pub in_cluster: bool,
    /// Service in front of the webhook, whose names the certificate holds
    #[arg(long, value_name = "NAME", default_value = "pod-identity-webhook")]
    pub service_name: String,
    /// Secret that holds the certificate authority
    #[arg(long, value_name = "NAME", default_value = "pod-identity-webhook")]
    pub tls_secret: String,
    /// Webhook configurations that are given the caBundle [default: --service-name]
    #[arg(long, value_name = "NAME")]
    pub webhook_configuration: Option<String>,
    /// Certificate chain as PEM; read again when it changes
    #[arg(long, value_name = "FILE", default_value = "/etc/webhook/certs/tls.crt")]
    pub tls_cert: PathBuf,
    /// Private key as PEM; read again when it changes
    #[arg(long, value_name = "FILE", default_value = "/etc/webhook/certs/tls.key")]
    pub tls_key: PathBuf,
    /// Lowest TLS version: 1.2 or 1.3; lower ones are raised to 1.2 [default: 1.2]
    #[arg(long, value_name = "VERSION")]
    pub tls_min_version: Option<String>,
    /// Cipher suites by their names in Go, separated by commas [default: all that are safe]
    #[arg(long, value_name = "NAMES", action = Set)]
    pub tls_cipher_suites: Option<CommaSeparated>,
    /// Certificate authorities of clients as PEM; with it every caller needs a certificate
    #[arg(long, value_name = "FILE")]
    pub client_ca_file: Option<PathBuf>,
    /// Common names of clients that may call, separated by commas; may be given several times
    #[arg(
        long, value_name = "NAMES", action = Append, value_delimiter = ',', default_value = "kube-apiserver"
    )]
    pub client_allowed_names: Vec<String>,
}

/// What pods are given.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Identity")]
pub struct IdentityFlags {
    /// Settings in YAML or JSON; read again when they change
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// What stands before the `/` of annotations [default: eks.amazonaws.com]
    #[arg(long, value_name = "PREFIX")]
    pub annotation_prefix: Option<String>,
    /// Audience of tokens, unless an annotation says otherwise [default: sts.amazonaws.com]
    #[arg(long, value_name = "AUDIENCE")]
    pub token_audience: Option<String>,
    /// Seconds for which tokens are valid, from 600 to 4294967296 [default: 86400]
    #[arg(long, value_name = "SECONDS", value_parser = values::integer)]
    pub token_expiration: Option<i64>,
    /// Where tokens are mounted [default: /var/run/secrets/eks.amazonaws.com/serviceaccount]
    #[arg(long, value_name = "PATH")]
    pub token_mount_path: Option<String>,
    /// Value of AWS_REGION and AWS_DEFAULT_REGION; unless it is given they are not set
    #[arg(long, value_name = "REGION")]
    pub aws_default_region: Option<String>,
    /// Set AWS_STS_REGIONAL_ENDPOINTS to `regional` [default: false]
    #[arg(
        long, value_name = "BOOL", action = Set, num_args = 0..=1, require_equals = true,
        default_missing_value = "true", value_parser = values::switch
    )]
    pub sts_regional_endpoint: Option<bool>,
    /// Read the mapping in the ConfigMap pod-identity-webhook in --namespace, too [default: false]
    #[arg(
        long, value_name = "BOOL", action = Set, num_args = 0..=1, require_equals = true,
        default_missing_value = "true", value_parser = values::switch
    )]
    pub watch_config_map: Option<bool>,
    /// Complete bare role names, with account and partition from the instance metadata service
    /// [default: false]
    #[arg(
        long, value_name = "BOOL", action = Set, num_args = 0..=1, require_equals = true,
        default_missing_value = "true", value_parser = values::switch
    )]
    pub compose_role_arn: Option<bool>,
}

/// What pods are given of EKS Pod Identity.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Container credentials")]
pub struct ContainerCredentialsFlags {
    /// Who is given container credentials, {"identities": [{"namespace", "serviceAccount"}]}; read again when
    /// it changes
    #[arg(long, value_name = "FILE")]
    pub watch_container_credentials_config: Option<PathBuf>,
    /// Audience of tokens [default: pods.eks.amazonaws.com]
    #[arg(long, value_name = "AUDIENCE")]
    pub container_credentials_audience: Option<String>,
    /// Where tokens are mounted [default: /var/run/secrets/pods.eks.amazonaws.com/serviceaccount]
    #[arg(long, value_name = "PATH")]
    pub container_credentials_token_mount_path: Option<String>,
    /// Name of the token's volume [default: eks-pod-identity-token]
    #[arg(long, value_name = "NAME")]
    pub container_credentials_token_volume_name: Option<String>,
    /// Path of the token in its volume [default: eks-pod-identity-token]
    #[arg(long, value_name = "PATH")]
    pub container_credentials_token_path: Option<String>,
    /// Value of AWS_CONTAINER_CREDENTIALS_FULL_URI [default: http://169.254.170.23/v1/credentials]
    #[arg(long, value_name = "URI")]
    pub container_credentials_full_uri: Option<String>,
}

/// How the API server is asked.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Kubernetes")]
pub struct KubernetesFlags {
    /// How the API server is reached [default: as a pod, by its own ServiceAccount]
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// The API server; outranks the server in --kubeconfig
    #[arg(long, value_name = "URL")]
    pub kube_api: Option<String>,
    /// Namespace of the webhook, its Secret and its ConfigMap
    #[arg(long, value_name = "NAME", default_value = "eks")]
    pub namespace: String,
    /// How long a ServiceAccount that is not known yet is looked up, at most 30s; 0: never
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = values::duration)]
    pub service_account_lookup_grace_period: Duration,
    /// How many ServiceAccounts are looked up in a second, at most
    #[arg(long, value_name = "NUMBER", default_value = "50", value_parser = values::count)]
    pub live_read_limit: u32,
}

/// What is logged, and how.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Logging")]
pub struct LoggingFlags {
    /// How much is logged: 0 what happens, 2 details, 6 everything
    #[arg(short, long, value_name = "LEVEL", default_value = "0", value_parser = values::verbosity)]
    pub v: i32,
    /// How log lines look: human, or json
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t, hide_possible_values = true)]
    pub log_format: Format,
}

/// Declares what is accepted and does nothing: texts and switches, under klog's names.
macro_rules! without_effect {
    ($($(#[$doc:meta])* $field:ident: $name:literal $($switch:ident)?,)*) => {
        /// What is accepted and does nothing.
        #[derive(Args, Clone, Debug)]
        #[command(next_help_heading = "Compatibility (accepted, without effect)")]
        pub struct CompatibilityFlags {
            $(
                $(#[$doc])*
                #[arg(long = $name, value_name = "VALUE")]
                $(#[arg(
                    value_name = "BOOL", num_args = 0..=1, require_equals = true,
                    default_missing_value = stringify!($switch)
                )])?
                pub $field: Option<String>,
            )*
        }

        impl CompatibilityFlags {
            /// Whether a flag is one of them.
            pub(super) fn has(name: &str) -> bool {
                [$($name),*].contains(&name)
            }
        }
    };
}

without_effect! {
    /// Period of the Go webhook's informers
    resync_period: "resync-period",
    /// Log to stderr
    logtostderr: "logtostderr" true,
    /// Log to stderr and to files
    alsologtostderr: "alsologtostderr" true,
    /// Severity from which on logs go to stderr, too
    alsologtostderrthreshold: "alsologtostderrthreshold",
    /// Severity from which on logs go to stderr
    stderrthreshold: "stderrthreshold",
    /// How --stderrthreshold and --logtostderr go together
    legacy_stderr_threshold_behavior: "legacy_stderr_threshold_behavior" true,
    /// Directory of log files
    log_dir: "log_dir",
    /// Log file
    log_file: "log_file",
    /// Size of a log file
    log_file_max_size: "log_file_max_size",
    /// How often log files are written
    log_flush_frequency: "log_flush_frequency",
    /// Line at which a stack trace is logged
    log_backtrace_at: "log_backtrace_at",
    /// Verbosity of single source files
    vmodule: "vmodule",
    /// Leave out the prefix of log lines
    skip_headers: "skip_headers" true,
    /// Leave out the head of log files
    skip_log_headers: "skip_log_headers" true,
    /// Add the directory to the prefix of log lines
    add_dir_header: "add_dir_header" true,
    /// Write a line to the file of its severity only
    one_output: "one_output" true,
}

impl KubernetesFlags {
    pub(super) fn clamp(&mut self, notices: &mut Vec<String>) {
        if self.service_account_lookup_grace_period > LONGEST_GRACE_PERIOD {
            self.service_account_lookup_grace_period = LONGEST_GRACE_PERIOD;
            notices.push(
                "`--service-account-lookup-grace-period` was brought down to `30s`: no caller waits longer"
                    .to_owned(),
            );
        }
    }
}
