use std::collections::BTreeMap;

use clap::error::ErrorKind;
use serde_json::{Value, json};

use super::*;

fn parse(arguments: &[&str]) -> Result<Args, clap::Error> {
    let arguments = [NAME].iter().chain(arguments).map(OsString::from);
    let Command::Serve(args) = Command::parse(arguments)?;
    Ok(*args)
}

/// Every flag with its value as text, `None` where it was not given and has no default.
fn values(args: Args) -> BTreeMap<&'static str, Option<String>> {
    let Args {
        serving: ServingFlags { port, metrics_port, drain_period, enable_debugging_handlers },
        tls:
            TlsFlags {
                in_cluster,
                service_name,
                tls_secret,
                webhook_configuration,
                tls_cert,
                tls_key,
                tls_min_version,
                tls_cipher_suites,
                client_ca_file,
                client_allowed_names,
            },
        identity:
            IdentityFlags {
                config,
                annotation_prefix,
                token_audience,
                token_expiration,
                token_mount_path,
                aws_default_region,
                sts_regional_endpoint,
                watch_config_map,
                compose_role_arn,
            },
        container_credentials:
            ContainerCredentialsFlags {
                watch_container_credentials_config,
                container_credentials_audience,
                container_credentials_token_mount_path,
                container_credentials_token_volume_name,
                container_credentials_token_path,
                container_credentials_full_uri,
            },
        kubernetes:
            KubernetesFlags {
                kubeconfig,
                kube_api,
                namespace,
                service_account_lookup_grace_period,
                live_read_limit,
            },
        logging: LoggingFlags { v, log_format },
        compatibility:
            CompatibilityFlags {
                resync_period,
                logtostderr,
                alsologtostderr,
                alsologtostderrthreshold,
                stderrthreshold,
                legacy_stderr_threshold_behavior,
                log_dir,
                log_file,
                log_file_max_size,
                log_flush_frequency,
                log_backtrace_at,
                vmodule,
                skip_headers,
                skip_log_headers,
                add_dir_header,
                one_output,
            },
        notices: _,
    } = args;
    let path = |path: Option<std::path::PathBuf>| path.map(|path| path.display().to_string());
    let text = |value: &dyn ToString| Some(value.to_string());
    BTreeMap::from([
        ("port", text(&port)),
        ("metrics-port", text(&metrics_port)),
        ("drain-period", text(&drain_period.as_nanos())),
        ("enable-debugging-handlers", text(&enable_debugging_handlers)),
        ("in-cluster", text(&in_cluster)),
        ("service-name", Some(service_name)),
        ("tls-secret", Some(tls_secret)),
        ("webhook-configuration", webhook_configuration),
        ("tls-cert", path(Some(tls_cert))),
        ("tls-key", path(Some(tls_key))),
        ("tls-min-version", tls_min_version),
        ("tls-cipher-suites", tls_cipher_suites.map(|names| names.0.join(","))),
        ("client-ca-file", path(client_ca_file)),
        ("client-allowed-names", Some(client_allowed_names.join(","))),
        ("config", path(config)),
        ("annotation-prefix", annotation_prefix),
        ("token-audience", token_audience),
        ("token-expiration", token_expiration.map(|seconds| seconds.to_string())),
        ("token-mount-path", token_mount_path),
        ("aws-default-region", aws_default_region),
        ("sts-regional-endpoint", sts_regional_endpoint.map(|on| on.to_string())),
        ("watch-config-map", watch_config_map.map(|on| on.to_string())),
        ("compose-role-arn", compose_role_arn.map(|on| on.to_string())),
        ("watch-container-credentials-config", path(watch_container_credentials_config)),
        ("container-credentials-audience", container_credentials_audience),
        ("container-credentials-token-mount-path", container_credentials_token_mount_path),
        ("container-credentials-token-volume-name", container_credentials_token_volume_name),
        ("container-credentials-token-path", container_credentials_token_path),
        ("container-credentials-full-uri", container_credentials_full_uri),
        ("kubeconfig", path(kubeconfig)),
        ("kube-api", kube_api),
        ("namespace", Some(namespace)),
        ("service-account-lookup-grace-period", text(&service_account_lookup_grace_period.as_nanos())),
        ("live-read-limit", text(&live_read_limit)),
        ("v", text(&v)),
        ("log-format", text(&format!("{log_format:?}").to_lowercase())),
        ("resync-period", resync_period),
        ("logtostderr", logtostderr),
        ("alsologtostderr", alsologtostderr),
        ("alsologtostderrthreshold", alsologtostderrthreshold),
        ("stderrthreshold", stderrthreshold),
        ("legacy_stderr_threshold_behavior", legacy_stderr_threshold_behavior),
        ("log_dir", log_dir),
        ("log_file", log_file),
        ("log_file_max_size", log_file_max_size),
        ("log_flush_frequency", log_flush_frequency),
        ("log_backtrace_at", log_backtrace_at),
        ("vmodule", vmodule),
        ("skip_headers", skip_headers),
        ("skip_log_headers", skip_log_headers),
        ("add_dir_header", add_dir_header),
        ("one_output", one_output),
    ])
}

/// What `testdata/go-flags.json` holds: what the Go webhook made of a list of arguments (values as Go prints them,
/// durations in nanoseconds, words that belong to no flag under no name; null where it refused them), and what is
/// made of it here where that differs. It was recorded from the Go webhook with klog v2.140.0 and pflag v1.0.9; flags without effect are compared by whether they are accepted.
#[test]
fn arguments_are_read_as_the_go_webhook_reads_them() {
    #[derive(serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Row {
        arguments: Vec<String>,
        go: Value,
        here: Option<Value>,
        why: Option<String>,
    }
    // A field that is there, be it null.
    let table: Vec<Value> = serde_json::from_str(include_str!("../../testdata/go-flags.json")).unwrap();
    assert!(table.len() > 150, "{}", table.len());
    let defaults = values(parse(&[]).unwrap());
    for row in table {
        let differs = row.get("here").is_some();
        let Row { arguments, go, here, why } = serde_json::from_value(row).unwrap();
        assert_eq!(differs, why.is_some(), "{arguments:?}: a difference and its reason go together");
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let mut strays = go.get("").cloned().unwrap_or(json!([]));
        if let Some(words) = strays.as_array_mut()
            && words.first().is_some_and(|word| word == "serve")
        {
            words.remove(0);
        }
        let expected = if differs { here.unwrap_or(Value::Null) } else { go };
        let found = match parse(&arguments) {
            Ok(args) => {
                for word in strays.as_array().unwrap() {
                    let start = format!("`{}` has no effect", word.as_str().unwrap());
                    assert!(args.notices.iter().any(|notice| notice.starts_with(&start)), "{arguments:?}");
                }
                json!(effective(values(args)))
            }
            Err(error) if error.exit_code() == 2 => Value::Null,
            Err(error) if error.kind() == ErrorKind::DisplayHelp => json!("help"),
            Err(error) if error.kind() == ErrorKind::DisplayVersion => json!("version"),
            Err(error) => panic!("{arguments:?}: {error:?}"),
        };
        let expected = match expected {
            Value::Object(given) => {
                let mut all = defaults.clone();
                for (name, value) in &mut all {
                    // An empty text means the default.
                    if let Some(text) =
                        given.get(*name).and_then(Value::as_str).filter(|text| !text.is_empty())
                    {
                        *value = Some(text.to_owned());
                    }
                }
                json!(effective(all))
            }
            other => other,
        };
        assert_eq!(found, expected, "{arguments:?}");
    }
}

fn effective(mut values: BTreeMap<&'static str, Option<String>>) -> BTreeMap<&'static str, Option<String>> {
    values.retain(|name, _| !CompatibilityFlags::has(name));
    values
}

/// Flags that the Go webhook does not have, and what it does not refuse until later.
#[test]
fn our_own_flags() {
    #[track_caller]
    fn check(arguments: &[&str], expected: &[(&str, &str)]) {
        let mut all = values(parse(&[]).unwrap());
        for (name, value) in expected {
            *all.get_mut(name).unwrap() = Some((*value).to_owned());
        }
        assert_eq!(values(parse(arguments).unwrap()), all);
    }
    check(&["serve", "--config", "c.yaml"], &[("config", "c.yaml")]);
    check(
        &["--webhook-configuration=w", "--live_read_limit=0"],
        &[("webhook-configuration", "w"), ("live-read-limit", "0")],
    );
    check(
        &["--client-ca-file=ca", "--client-allowed-names=a,b", "--client-allowed-names", "c"],
        &[("client-ca-file", "ca"), ("client-allowed-names", "a,b,c")],
    );
    check(&["--client-allowed-names="], &[]);
    check(&["--client-allowed-names=a", "--client-allowed-names="], &[]);
    check(&["--tls-cipher-suites=A", "--tls-cipher-suites= B, ,C "], &[("tls-cipher-suites", "B,C")]);
    check(&["--tls-cipher-suites="], &[]);
    check(&["--log-format=json", "--log-format", "human"], &[]);
    check(&["--log-format", "json", "--drain-period=0"], &[("log-format", "json"), ("drain-period", "0")]);
    check(&["--config=a", "--config="], &[]);
    check(&["--service-name=", "--namespace", ""], &[]);
}

#[test]
fn errors_say_what_was_expected_and_exit_with_2() {
    for (arguments, expected) in [
        (&["--annotation-prefx=x"][..], "'--annotation-prefix'"),
        (&["-annotation-prefx=x"], "'-a'"),
        (&["servee"], "'serve'"),
        (&["--port"], "a value is required for '--port <PORT>'"),
        (&["--port=x"], "expected a whole number"),
        (&["--in-cluster=maybe"], "expected `true`"),
        (&["--drain-period=5"], "with a unit, such as `500ms`"),
        (&["--log-format=xml"], "[possible values: human, json]"),
        (&["--live-read-limit=-1"], "expected a number from 0"),
    ] {
        let error = parse(arguments).unwrap_err();
        let text = error.to_string();
        assert!(text.contains(expected), "{arguments:?}: {text}");
        assert_eq!(error.exit_code(), 2, "{arguments:?}");
    }
}

#[test]
fn version_and_help_exit_with_0() {
    for (arguments, kind) in [
        (&["--version"][..], ErrorKind::DisplayVersion),
        (&["serve", "--version"], ErrorKind::DisplayVersion),
        (&["--help"], ErrorKind::DisplayHelp),
        (&["serve", "-h"], ErrorKind::DisplayHelp),
    ] {
        let error = parse(arguments).unwrap_err();
        assert_eq!((error.kind(), error.exit_code()), (kind, 0), "{arguments:?}");
    }
    let version = parse(&["--version"]).unwrap_err().to_string();
    assert_eq!(version, concat!("pod-identity-webhook ", env!("CARGO_PKG_VERSION"), "\n"));
}

#[test]
fn what_has_no_effect_is_said_once() {
    #[track_caller]
    fn check(arguments: &[&str], expected: &[&str]) {
        assert_eq!(parse(arguments).unwrap().notices, expected);
    }
    check(&["--in-cluster=false", "--tls-key=k", "--port=1", "-v=4"], &[]);
    check(
        &["--resync-period=5s", "--resync-period=6s"],
        &["`--resync-period` has no effect: watches need no resync"],
    );
    check(
        &["-logtostderr", "--log-dir=/x"],
        &[
            "`--logtostderr` has no effect: logs go to stderr, see `--v` and `--log-format`",
            "`--log_dir` has no effect: logs go to stderr, see `--v` and `--log-format`",
        ],
    );
    check(&["--tls-cert=c"], &["`--tls-cert` has no effect: files are read with `--in-cluster=false` only"]);
    check(
        &["--in-cluster", "false", "x", "--", "y"],
        &[
            "`false` has no effect: a switch takes its value after `=`, as in `--in-cluster=false`",
            "`x` has no effect: it belongs to no flag",
            "`y` has no effect: it belongs to no flag",
        ],
    );
    check(
        &["--service-account-lookup-grace-period=31s"],
        &["`--service-account-lookup-grace-period` was brought down to `30s`: no caller waits longer"],
    );
}

#[test]
fn the_help_fits_into_80_columns() {
    let help = parse(&["--help"]).unwrap_err().to_string();
    for line in help.lines() {
        assert!(line.chars().count() <= 80, "{line}");
    }
    let headings: Vec<&str> =
        help.lines().filter(|line| line.ends_with(':') && !line.starts_with(' ')).collect();
    assert_eq!(
        headings,
        [
            "Commands:",
            "Options:",
            "Serving:",
            "TLS:",
            "Identity:",
            "Container credentials:",
            "Kubernetes:",
            "Logging:",
            "Compatibility (accepted, without effect):",
        ]
    );
}

/// The defaults in the help of flags that stand for settings.
#[test]
fn flags_have_the_core_s_defaults() {
    let settings = pod_identity_core::Settings::default();
    let credentials = pod_identity_core::ContainerCredentials::default();
    let expiration = pod_identity_core::values::TokenExpiration::DEFAULT.seconds().to_string();
    let regional = settings.sts_regional_endpoints.to_string();
    assert_eq!(
        (settings.aws_default_region, &settings.mapping_config_map, &settings.compose_role_arn),
        (None, &None, &None)
    );
    let command = Command::definition();
    for (name, expected) in [
        ("annotation-prefix", settings.annotation_prefix),
        ("token-audience", settings.token_audience),
        ("token-expiration", &expiration),
        ("token-mount-path", settings.token_mount_path),
        ("sts-regional-endpoint", &regional),
        ("watch-config-map", "false"),
        ("compose-role-arn", "false"),
        ("container-credentials-audience", credentials.audience),
        ("container-credentials-token-mount-path", credentials.mount_path),
        ("container-credentials-token-volume-name", credentials.volume_name),
        ("container-credentials-token-path", credentials.token_path),
        ("container-credentials-full-uri", credentials.full_uri),
    ] {
        let flag = command.get_arguments().find(|flag| flag.get_long() == Some(name)).unwrap();
        let help = flag.get_help().unwrap().to_string();
        assert!(help.ends_with(&format!("[default: {expected}]")), "--{name}: {help}");
    }
}

/// `docs/webhook-flags.md` is made from the definitions: `UPDATE_EXPECTATIONS=1` writes it anew.
#[test]
fn the_documentation_lists_every_flag() {
    let mut text = "# Flags of the webhook\n\n\
        Names and meanings are those of the Go webhook where it has them. A switch takes its value after `=`; an empty \
        text\ncounts as not given. A flag outranks the `--config` file, and that the default.\n\n\
        Settings are taken over while the webhook runs, when the files that they come from have changed. \
        `annotationPrefix`,\n`serviceAccountAnnotations` and `mappingConfigMap` are taken over at the next start.\n"
        .to_owned();
    let command = Command::definition();
    let mut heading = "";
    for flag in command.get_arguments() {
        let group = flag.get_help_heading().unwrap();
        if group != heading {
            heading = group;
            text += &format!("\n## {heading}\n\n| flag | default | meaning |\n| --- | --- | --- |\n");
        }
        let help = flag.get_help().unwrap().to_string();
        let (meaning, default) = match help.split_once(" [default: ") {
            Some((meaning, default)) => (meaning, default.trim_end_matches(']').to_owned()),
            None => {
                let defaults: Vec<String> =
                    flag.get_default_values().iter().map(|text| text.to_string_lossy().into()).collect();
                (help.as_str(), defaults.join(","))
            }
        };
        let default = if default.is_empty() { default } else { format!("`{default}`") };
        let value = flag.get_value_names().unwrap()[0].as_str();
        let value = if flag.is_require_equals_set() { format!("[={value}]") } else { format!(" {value}") };
        let short = flag.get_short().map(|short| format!("-{short}, ")).unwrap_or_default();
        text += &format!("| `{short}--{}{value}` | {default} | {meaning} |\n", flag.get_long().unwrap());
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/webhook-flags.md");
    if std::env::var_os("UPDATE_EXPECTATIONS").is_some() {
        std::fs::write(path, &text).unwrap();
    }
    assert_eq!(std::fs::read_to_string(path).unwrap(), text, "`UPDATE_EXPECTATIONS=1` writes {path} anew");
}

proptest::proptest! {
    #[test]
    fn no_arguments_make_it_panic(
        arguments in proptest::collection::vec(
            "(-{0,3}(port|v|in.cluster|drain-period|token_expiration|client-allowed-names|version)?=?[-+0-9._xbsmhµ, ]{0,8})|\\PC{0,8}",
            0..4,
        )
    ) {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let _ = parse(&arguments);
    }
}
