use std::ffi::OsString;

use pod_identity_core::{ContainerCredentials, Mode, Settings};

use super::*;
use crate::args::Command;

fn args(flags: &[&str]) -> Args {
    let Command::Serve(args) = Command::parse(["webhook"].iter().chain(flags).map(OsString::from)).unwrap();
    *args
}

fn instance() -> InstanceIdentity {
    InstanceIdentity { account_id: "444455556666".to_owned(), partition: "aws-cn" }
}

/// Reads settings from flags and from what the files hold.
fn read(flags: &[&str], contents: &[&str]) -> Result<Loaded, Vec<String>> {
    let args = args(flags);
    let instance = SettingsSource::asks_for_instance(&args).then(instance);
    let contents: Vec<Content> = contents.iter().map(|text| Ok(text.as_bytes().to_vec())).collect();
    SettingsSource::new(&args, instance.as_ref())
        .read(&contents)
        .map_err(|error| error.problems().map(ToString::to_string).collect())
}

/// The settings are the same as those of a document.
#[track_caller]
fn check(flags: &[&str], contents: &[&str], expected: serde_json::Value) {
    let found = read(flags, contents).unwrap().configuration;
    let expected = Configuration::read(expected.to_string()).unwrap();
    // Mapping and identities are texts; everything else is compared as values.
    assert_eq!(found.settings(), expected.settings(), "{flags:?} {contents:?}");
}

#[track_caller]
fn check_problems(flags: &[&str], contents: &[&str], expected: &[&str]) {
    assert_eq!(read(flags, contents).unwrap_err(), expected, "{flags:?} {contents:?}");
}

#[test]
fn without_flags_settings_are_the_core_s_defaults() {
    assert_eq!(read(&[], &[]).unwrap().configuration.settings(), &Settings::default());
    for nothing in ["", "# nothing\n", "{}", "null"] {
        let found = read(&["--config=c"], &[nothing]).unwrap();
        assert_eq!(found.configuration.settings(), &Settings::default());
        assert_eq!(found.warnings, Vec::<String>::new());
    }
}

#[test]
fn every_flag_sets_its_setting() {
    use serde_json::json;
    for (flag, expected) in [
        ("--annotation-prefix=x.example", json!({"annotationPrefix": "x.example"})),
        ("--token-audience=a", json!({"tokenAudience": "a"})),
        ("--token-expiration=3600", json!({"tokenExpiration": 3600})),
        ("--token-mount-path=/t", json!({"tokenMountPath": "/t"})),
        ("--aws-default-region=eu-west-1", json!({"awsDefaultRegion": "eu-west-1"})),
        ("--sts-regional-endpoint", json!({"stsRegionalEndpoints": true})),
        (
            "--watch-config-map",
            json!({"mappingConfigMap": {"namespace": "eks", "name": "pod-identity-webhook", "key": "config"}}),
        ),
        (
            "--compose-role-arn",
            json!({"composeRoleArn": {"accountId": "444455556666", "partition": "aws-cn"}}),
        ),
        ("--container-credentials-audience=a", json!({"containerCredentials": {"audience": "a"}})),
        ("--container-credentials-token-mount-path=/t", json!({"containerCredentials": {"mountPath": "/t"}})),
        ("--container-credentials-token-volume-name=v", json!({"containerCredentials": {"volumeName": "v"}})),
        ("--container-credentials-token-path=p", json!({"containerCredentials": {"tokenPath": "p"}})),
        (
            "--container-credentials-full-uri=http://[fd00:ec2::23]/v1/credentials",
            json!({"containerCredentials": {"fullUri": "http://[fd00:ec2::23]/v1/credentials"}}),
        ),
        // Those that say what is so anyway.
        ("--sts-regional-endpoint=false", json!({})),
        ("--watch-config-map=false", json!({})),
        ("--compose-role-arn=false", json!({})),
        ("--token-audience=", json!({})),
    ] {
        check(&[flag], &[], expected);
    }
    check(
        &["--watch-config-map", "--namespace=kube-system"],
        &[],
        json!({"mappingConfigMap": {"namespace": "kube-system"}}),
    );
}

#[test]
fn flags_outrank_the_file_and_the_file_the_defaults() {
    use serde_json::json;
    let file = "
tokenAudience: file
tokenExpiration: 3600
stsRegionalEndpoints: yes
mode: verify
mappingConfigMap: {namespace: ops, name: roles}
composeRoleArn: {accountId: '111122223333'}
containerCredentials: {audience: file, tokenPath: file}
";
    let expected = |flags: serde_json::Value| {
        let mut all = json!({
            "tokenAudience": "file", "tokenExpiration": 3600, "stsRegionalEndpoints": true, "mode": "verify",
            "mappingConfigMap": {"namespace": "ops", "name": "roles"}, "composeRoleArn": {"accountId": "111122223333"},
            "containerCredentials": {"audience": "file", "tokenPath": "file"},
        });
        all.as_object_mut().unwrap().extend(flags.as_object().unwrap().clone());
        all
    };
    check(&["--config=c"], &[file], expected(json!({})));
    check(&["--config=c", "--token-audience=flag"], &[file], expected(json!({"tokenAudience": "flag"})));
    // An empty text leaves it to the file.
    check(&["--config=c", "--token-audience="], &[file], expected(json!({})));
    check(
        &["--config=c", "--container-credentials-audience=flag"],
        &[file],
        expected(json!({"containerCredentials": {"audience": "flag", "tokenPath": "file"}})),
    );
    check(
        &[
            "--config=c",
            "--sts-regional-endpoint=false",
            "--watch-config-map=false",
            "--compose-role-arn=false",
        ],
        &[file],
        expected(json!({"stsRegionalEndpoints": false, "mappingConfigMap": null, "composeRoleArn": null})),
    );
    check(
        &["--config=c", "--watch-config-map"],
        &[file],
        expected(json!({"mappingConfigMap": {"namespace": "eks"}})),
    );
    assert_eq!(read(&["--config=c"], &[file]).unwrap().configuration.settings().mode, Mode::Verify);
}

#[test]
fn a_number_out_of_range_is_clamped_in_a_flag_and_an_error_in_the_file() {
    for (flag, expected) in [
        ("--token-expiration=0", 600),
        ("--token-expiration=-1", 600),
        ("--token-expiration=4294967297", 4_294_967_296_u64),
    ] {
        let source = SettingsSource::new(&args(&[flag]), None);
        assert_eq!(source.notices.len(), 1, "{flag}");
        check(&[flag], &[], serde_json::json!({"tokenExpiration": expected}));
    }
    assert_eq!(
        SettingsSource::new(&args(&["--token-expiration=5"]), None).notices,
        ["`--token-expiration` was brought from `5` to `600`: expected 600 to 4294967296"]
    );
    assert!(SettingsSource::new(&args(&["--token-expiration=600"]), None).notices.is_empty());
    check_problems(
        &["--config=c.yaml"],
        &["tokenExpiration: 5"],
        &[
            "c.yaml:1:1: tokenExpiration: expected a whole number of seconds from 600 to 4294967296, found the number `5`",
        ],
    );
}

#[test]
fn all_problems_are_reported_with_their_source() {
    let config = "\
# by hand
tokenAudence: x
mode: both
containerCredentials:
  identities: []
  audience: 'a b'
mapping:
  pay/api:
    roleArn: arn:aws:iam::111122223333:role/{cluster}
  'pay ments/api': arn:aws:iam::111122223333:role/x
";
    let identities =
        "{\"identities\": [{\"namespace\": \"a\", \"serviceAccount\": \"b\"},\n {\"namespace\": \"a\"}]}";
    check_problems(
        &[
            "--config=/etc/c.yaml",
            "--watch-container-credentials-config=/etc/i.json",
            "--token-mount-path=relative",
            "--container-credentials-full-uri=http://example.com",
            "--watch-config-map",
            "--namespace=a.b",
        ],
        &[config, identities],
        &[
            "/etc/c.yaml:2:1: tokenAudence: unknown field, did you mean `tokenAudience`?",
            "/etc/c.yaml:3:1: mode: expected `mutate` or `verify`, found `both`",
            "/etc/c.yaml:6:3: containerCredentials.audience: expected an audience in printable ASCII without blanks, \
             found `a b`",
            "--container-credentials-full-uri: expected a URL with `https`, or with `http` to a loopback address, \
             `169.254.170.2`, `169.254.170.23` or `[fd00:ec2::23]`, found `http://example.com`",
            "--token-mount-path: expected an absolute path below the root, without `..`, found `relative`",
            "--watch-config-map: mappingConfigMap.namespace: expected the name of a namespace, found `a.b`",
            "/etc/c.yaml:9:5: mapping[\"pay/api\"].roleArn: expected `{namespace}`, `{serviceAccount}` or a name from \
             `variables`, found `{cluster}`",
            "/etc/c.yaml:10:3: mapping[\"pay ments/api\"]: expected the name of a namespace, or a glob, before the `/`",
            "/etc/i.json:2:2: identities[1].serviceAccount: expected a glob, found none",
        ],
    );
}

#[test]
fn documents_that_cannot_be_read_are_reported_together() {
    let flags = ["--config=c", "--watch-container-credentials-config=i", "--aws-default-region=EU"];
    check_problems(
        &flags,
        &["a: [", "]"],
        &[
            "c:1:4: unclosed bracket '['",
            "i:1:1: misplaced bracket",
            "--aws-default-region: expected a region (at most 32 of `a-z`, `0-9` and `-`) or `none`, found `EU`",
        ],
    );
    let source = SettingsSource::new(&args(&flags[..2]), None);
    let error =
        source.read(&[Err(io::ErrorKind::NotFound), Err(io::ErrorKind::PermissionDenied)]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot use the settings: c: cannot be read: entity not found; i: cannot be read: permission denied"
    );
}

#[test]
fn identities() {
    const FLAG: &str = "--watch-container-credentials-config=i";
    let credentials = |content: Content| {
        let loaded = SettingsSource::new(&args(&[FLAG]), None).read(&[content]).unwrap();
        let arena = Arena::default();
        let settings = loaded.configuration.settings();
        let ContainerCredentials { identities, audience, .. } =
            settings.container_credentials.clone().unwrap();
        assert_eq!(audience, "pods.eks.amazonaws.com");
        [("a", "b"), ("a", "c"), ("team-x", "api")]
            .map(|(namespace, name)| identities.contain(namespace, name, &arena).unwrap())
    };
    let text = |text: &str| credentials(Ok(text.as_bytes().to_vec()));
    assert_eq!(credentials(Err(io::ErrorKind::NotFound)), [false; 3]);
    for nothing in
        ["", " \n", "{}", "null", "{\"identities\": null}", "{\"identities\": []}", "{\"other\": [1]}"]
    {
        assert_eq!(text(nothing), [false; 3], "{nothing}");
    }
    let one =
        r#"{"version": 2, "identities": [{"namespace": "a", "serviceAccount": "b", "added": {"later": 1}}]}"#;
    assert_eq!(text(one), [true, false, false]);
    assert_eq!(text("identities:\n- {namespace: team-*, serviceAccount: api}\n"), [false, false, true]);

    check_problems(&[FLAG], &["[]"], &["i:1:1: expected an object with `identities`"]);
    check_problems(&[FLAG], &["{\"identities\": {}}"], &["i:1:2: expected a list of identities"]);
    check_problems(
        &[FLAG],
        &["identities: []\nidentities: []"],
        &["i:1:1: `identities` stands there twice, expected once"],
    );
    check_problems(
        &[FLAG],
        &["identities:\n- {namespace: a}\n- 5\n- {Namespace: a, serviceAccount: b}\n"],
        &[
            "i:2:3: identities[0].serviceAccount: expected a glob, found none",
            "i:3:3: identities[1]: expected an object, found the number `5`",
            "i:4:3: identities[2].namespace: expected a glob, found none",
        ],
    );
}

#[test]
fn identities_take_the_place_of_those_in_the_file() {
    let config = "containerCredentials: {identities: [{namespace: x, serviceAccount: y}], audience: file}";
    let loaded = read(
        &["--config=c", "--watch-container-credentials-config=i"],
        &[config, "{\"identities\": [{\"namespace\": \"a\", \"serviceAccount\": \"b\"}]}"],
    )
    .unwrap();
    assert_eq!(
        loaded.warnings,
        ["`--watch-container-credentials-config` takes the place of `containerCredentials.identities`"]
    );
    let settings = loaded.configuration.settings();
    let credentials = settings.container_credentials.as_ref().unwrap();
    let arena = Arena::default();
    assert_eq!(credentials.audience, "file");
    assert_eq!(
        [("a", "b"), ("x", "y")].map(|(ns, name)| credentials.identities.contain(ns, name, &arena).unwrap()),
        [true, false]
    );
}

#[test]
fn ambiguous_templates_are_warned_about() {
    let config = "mapping:\n  '*/*': arn:aws:iam::111122223333:role/{namespace}-{serviceAccount}\n";
    assert_eq!(
        read(&["--config=c"], &[config]).unwrap().warnings,
        [
            "c:2:3: mapping[\"*/*\"]: two service accounts can be given the same role: put a character that no name holds, \
         such as `_` or `/`, between `{namespace}` and `{serviceAccount}`",
        ]
    );
}

#[test]
fn what_is_for_kubewarden_alone_is_said() {
    assert_eq!(
        read(&["--config=c"], &["serviceAccountLookup: cached"]).unwrap().warnings,
        ["`serviceAccountLookup` has no effect: it is for Kubewarden, here ServiceAccounts are watched"]
    );
}
