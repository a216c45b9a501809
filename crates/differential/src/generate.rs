//! Clusters and reviews: ordinary ones mostly, so that something is injected, with everything about them that
//! could be in the way.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::flags::{DEFAULT_NAMESPACE, FORMS_NAMESPACE};
use crate::random::Random;
use crate::scene::Cluster;

mod pod;
pub(crate) use pod::review;

pub(crate) const NAMESPACES: [&str; 4] = ["pay", "shop", "team-a", "team-b"];
/// ServiceAccounts in each namespace whose annotations are random.
const ACCOUNTS: usize = 80;
/// ServiceAccounts that entries of the ConfigMap are about, in each namespace.
const MAPPED: [&str; 14] = [
    "agent",
    "bad-template",
    "blank",
    "case",
    "default",
    "everywhere",
    "family-1",
    "high",
    "low",
    "ours",
    "opt-out",
    "slash",
    "template",
    "twice",
];

const ROLES: [&str; 8] = [
    "arn:aws:iam::111122223333:role/api",
    "arn:aws:iam::111122223333:role/team/api",
    "arn:aws-cn:iam::111122223333:role/api",
    "arn:aws-us-gov:iam::111122223333:role/api+=,.@-_",
    "arn:aws:iam::123:role/short",
    "arn:aws:iam::111122223333:user/api",
    "api",
    "team/api",
];
const EXPIRATIONS: [&str; 20] = [
    "3600",
    "86400",
    "+7200",
    "007200",
    "599",
    "600",
    "0",
    "-1",
    "4294967296",
    "4294967297",
    "9223372036854775807",
    "9223372036854775808",
    "-99999999999999999999",
    "1h",
    "",
    " 3600",
    "3_600",
    "0x10",
    "3600.0",
    "+",
];
const BOOLEANS: [&str; 14] =
    ["true", "false", "t", "f", "T", "F", "1", "0", "True", "FALSE", "yes", "", " true", "tRue"];
const AUDIENCES: [&str; 7] =
    ["sts.amazonaws.com", "sts.amazonaws.com.cn", "aws", "", "  ", " padded ", "two words"];
const LISTS: [&str; 16] = [
    "app",
    "app,sidecar",
    "app, sidecar",
    " app ,log",
    "\"app\",log",
    "\"app\" ,log",
    " \"app\",log",
    "\"app",
    "\"app,sidecar\"",
    "'app'",
    "app\nsidecar",
    "\r\napp,\r\nsidecar\r\n",
    "",
    " , ",
    "nobody",
    "app,sidecar,log,db,init,setup",
];
const REGIONS: [&str; 6] = ["eu-west-3", "none", "EU-WEST-1", "", "us east", "cn-northwest-1"];

/// What the cluster holds, without what examples need.
pub(crate) fn cluster(seed: u64) -> Cluster {
    let mut random = Random::of(seed, "cluster", 0);
    let mut cluster = Cluster::default();
    for namespace in NAMESPACES {
        for name in (0..ACCOUNTS).map(account) {
            cluster.accounts.insert((namespace.to_owned(), name), account_annotations(&mut random, 70));
        }
        for name in MAPPED {
            if random.percent(75) {
                let annotations = account_annotations(&mut random, 10);
                cluster.accounts.insert((namespace.to_owned(), name.to_owned()), annotations);
            }
        }
    }
    for name in ["mapped", "credentials"] {
        cluster.accounts.insert(("probe".to_owned(), name.to_owned()), BTreeMap::new());
    }
    cluster.mappings.insert(DEFAULT_NAMESPACE.to_owned(), mapping(&mut random));
    cluster.mappings.insert(FORMS_NAMESPACE.to_owned(), other_forms(&mut random));
    cluster.identities = identities();
    cluster
}

fn account(number: usize) -> String {
    format!("gen-{number}")
}

/// The name of a ServiceAccount that pods run as; some are not there.
fn any_account(random: &mut Random) -> String {
    match random.below(20) {
        0 => random.one_of(&["missing", "missing", "API", "../x"]).to_owned(),
        1..=5 => random.one_of(&MAPPED).to_owned(),
        // Some numbers are beyond the last.
        _ => account(random.below(ACCOUNTS + 4)),
    }
}

/// Annotations of every kind; a role in so many of a hundred.
fn account_annotations(random: &mut Random, role: usize) -> BTreeMap<String, String> {
    let mut annotations = BTreeMap::new();
    let prefixes: &[&str] = match random.below(10) {
        0..6 => &["eks.amazonaws.com"],
        6..8 => &["iam.example.com"],
        _ => &["eks.amazonaws.com", "iam.example.com"],
    };
    for prefix in prefixes {
        let mut add = |name: &str, value: String| {
            annotations.insert(format!("{prefix}/{name}"), value);
        };
        if random.percent(role) {
            add("role-arn", role_text(random));
        }
        for (name, often, values) in [
            ("audience", 20, &AUDIENCES[..]),
            ("sts-regional-endpoints", 25, &BOOLEANS[..]),
            ("token-expiration", 30, &EXPIRATIONS[..]),
            ("region", 10, &REGIONS[..]),
            ("skip-containers", 8, &LISTS[..]),
            ("include-containers", 5, &LISTS[..]),
            ("managed-by", 10, &["somebody"][..]),
        ] {
            if random.percent(often) {
                add(name, random.one_of(values).to_owned());
            }
        }
        if random.percent(8) {
            add("role-arn.sidecar", role_text(random));
        }
        if random.percent(5) {
            let record = match annotations.get(&format!("{prefix}/role-arn")) {
                Some(role) if random.percent(80) => json!({format!("{prefix}/role-arn"): role}),
                _ => json!({format!("{prefix}/role-arn"): "another", format!("{prefix}/audience"): "aws"}),
            };
            let record = if random.percent(10) { "{".to_owned() } else { record.to_string() };
            annotations.insert(format!("{prefix}/managed-annotations"), record);
        }
    }
    annotations
}

fn role_text(random: &mut Random) -> String {
    let role = random.one_of(&ROLES);
    match random.below(12) {
        0 => String::new(),
        1 => "  ".to_owned(),
        2 => format!(" {role}\n"),
        _ => role.to_owned(),
    }
}

/// Entries as kOps writes them, and some that people would write; all of them the Go webhook can read.
fn mapping(random: &mut Random) -> Value {
    let arn = |name: &str| format!("arn:aws:iam::111122223333:role/{name}");
    let mut mapping = json!({
        "probe/mapped": {"RoleARN": arn("probe"), "Audience": "amazonaws.com", "UseRegionalSTS": true, "TokenExpiration": 0},
        "*/everywhere": {"RoleARN": arn("everywhere"), "Audience": "aws", "UseRegionalSTS": false, "TokenExpiration": 3600},
        "pay/everywhere": {"RoleARN": arn("pay-everywhere")},
        "team-*/family-1": {"RoleARN": arn("teams")},
        "*/family-?": {"RoleARN": arn("family")},
        "shop/f*": {"RoleARN": arn("shop"), "Audience": " padded "},
        "team-?/agent": {"RoleARN": arn("agent"), "UseRegionalSTS": true},
        "*/opt-out": {"RoleARN": arn("opted-out")},
        "pay/opt-out": {},
        "shop/opt-out": {"RoleARN": "", "Audience": "aws"},
        "team-a/slash/x": {"RoleARN": arn("slash"), "Audience": "aws"},
        "*/low": {"RoleARN": arn("low"), "Audience": "aws", "TokenExpiration": 5},
        "pay/low": {"RoleARN": arn("negative"), "Audience": "aws", "TokenExpiration": -7},
        "*/high": {"RoleARN": arn("high"), "Audience": "aws", "TokenExpiration": 9_000_000_000_i64},
        "*/ours": {"roleArn": arn("ours"), "audience": "ours", "stsRegionalEndpoints": true, "tokenExpiration": 0, "region": "eu-north-1"},
        "pay/ours": {"roleArn": arn("ours"), "containers": {"app": arn("app"), "sidecar": " "}, "region": "none"},
        "shop/ours": {"containers": {"sidecar": arn("sidecar")}, "region": "Bad Region", "other": {"a": 1}},
        "pay/case": {"ROLEARN": arn("case"), "AUDIENCE": "aws"},
        "shop/case": {"rolearn": arn("case"), "Audience": "aws", "useregionalsts": true},
        "pay/twice": {"RoleARN": arn("one"), "roleArn": arn("two"), "Audience": "aws"},
        "*/twice": {"RoleARN": arn("other"), "Audience": "aws"},
        "*/template": {"RoleARN": arn("{namespace}/{serviceAccount}"), "Audience": "aws"},
        "*/bad-template": {"RoleARN": arn("{cluster}"), "Audience": "aws"},
        "pay/bad-template": {"RoleARN": arn("{namespace"), "Audience": "aws"},
        "pay/blank": {"RoleARN": "  ", "Audience": "aws"},
        "shop/blank": {"RoleARN": arn("padded ") , "Audience": "two words"},
    });
    if let Some(entries) = mapping.as_object_mut() {
        for number in (0..ACCOUNTS).step_by(4) {
            let mut entry = Map::new();
            entry.insert("RoleARN".to_owned(), role_text(random).into());
            entry.insert("Audience".to_owned(), random.one_of(&AUDIENCES).into());
            if random.percent(50) {
                entry.insert("UseRegionalSTS".to_owned(), random.percent(50).into());
            }
            if random.percent(50) {
                let seconds = random.one_of(&[0_i64, 600, 7200, 86_400]);
                entry.insert("TokenExpiration".to_owned(), seconds.into());
            }
            entries.insert(format!("pay/{}", account(number)), Value::Object(entry));
        }
    }
    mapping
}

/// Entries of which some are beyond the Go webhook.
fn other_forms(random: &mut Random) -> Value {
    let mut mapping = Map::new();
    for namespace in ["pay", "*", "team-*"] {
        for number in (0..ACCOUNTS).step_by(3) {
            let entry = match random.below(6) {
                0 => json!(role_text(random)),
                1 => json!(5),
                2 => json!({"RoleARN": 5}),
                3 => {
                    json!({"roleArn": "arn:aws:iam::111122223333:role/{namespace}", "UseRegionalSTS": "true"})
                }
                _ => json!({"RoleARN": role_text(random), "UseRegionalSTS": random.percent(50)}),
            };
            mapping.insert(format!("{namespace}/{}", account(number)), entry);
        }
    }
    Value::Object(mapping)
}

fn identities() -> Vec<Value> {
    let mut identities = vec![
        json!({"namespace": "probe", "serviceAccount": "credentials"}),
        json!({"namespace": "*", "serviceAccount": "agent"}),
        json!({"namespace": "team-?", "serviceAccount": "gen-1*"}),
        json!({"namespace": "pay", "serviceAccount": "missing"}),
        json!({"namespace": "shop", "serviceAccount": "everywhere"}),
    ];
    for namespace in NAMESPACES {
        let numbers = (0..ACCOUNTS + 4).filter(|number| number % 2 == 0);
        identities
            .extend(numbers.map(|number| json!({"namespace": namespace, "serviceAccount": account(number)})));
    }
    identities
}
