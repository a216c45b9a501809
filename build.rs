//! Makes the metadata section of the module from `metadata.yml`, as `kwctl annotate` would.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::path::PathBuf;
use std::{env, fs};

use serde::{Deserialize, Serialize};

/// The fields in the order in which kwctl writes them.
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Metadata {
    #[serde(default = "protocol_version")]
    protocol_version: String,
    rules: Vec<Rule>,
    annotations: BTreeMap<String, String>,
    mutating: bool,
    background_audit: bool,
    execution_mode: String,
    policy_type: String,
    context_aware_resources: BTreeSet<Resource>,
    host_capabilities: BTreeSet<String>,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Rule {
    api_groups: Vec<String>,
    api_versions: Vec<String>,
    resources: Vec<String>,
    operations: Vec<String>,
}

#[derive(Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Resource {
    api_version: String,
    kind: String,
}

fn protocol_version() -> String {
    "v1".to_owned()
}

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=metadata.yml");
    let metadata: Metadata = serde_saphyr::from_str(&fs::read_to_string("metadata.yml")?)?;
    let path = PathBuf::from(env::var("OUT_DIR")?).join("metadata.json");
    fs::write(path, serde_json::to_vec(&metadata)?)?;
    Ok(())
}
