//! What is written in two places is the same in both.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "a test that panics has failed, which is what it is for"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::sync::OnceLock;

use policy_host::{Cluster, HostCallPayload, Options, PolicyHost};
use serde_json::{Value, json};

/// With its metadata, in bytes. It travels with every policy, and is compiled at every start of policy-server.
const MODULE_SIZE: usize = 99_600;
const MODULE_SIZE_WITHOUT_WASM_OPT: usize = 116_300;

/// How far the fuel of a review may be from what is recorded, in percent.
const FUEL_TOLERANCE: f64 = 2.0;

const WITH_WASM_OPT: &str = "with wasm-opt";
const WITHOUT_WASM_OPT: &str = "without wasm-opt";

const SECTION: &str = "io.kubewarden.metadata";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn module_path() -> PathBuf {
    root().join("annotated-policy.wasm")
}

fn module() -> &'static [u8] {
    static MODULE: OnceLock<Vec<u8>> = OnceLock::new();
    MODULE.get_or_init(|| {
        fs::read(module_path()).expect("annotated-policy.wasm is there: `make annotated-policy.wasm`")
    })
}

/// As the compiler made it; `None` when the module was not built in this target folder.
fn module_without_wasm_opt() -> Option<&'static [u8]> {
    static MODULE: OnceLock<Option<Vec<u8>>> = OnceLock::new();
    MODULE
        .get_or_init(|| {
            let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent()?;
            fs::read(target.join("wasm32-wasip1/policy/pod_identity_policy.wasm")).ok()
        })
        .as_deref()
}

/// The module as it is, and as the compiler made it: without npm, `tools/build-module` leaves it so.
fn modules() -> Vec<(&'static str, &'static [u8])> {
    let mut modules = Vec::new();
    if module_without_wasm_opt() != Some(module()) {
        modules.push((WITH_WASM_OPT, module()));
    }
    modules.extend(module_without_wasm_opt().map(|module| (WITHOUT_WASM_OPT, module)));
    modules
}

fn load(module: &[u8]) -> PolicyHost {
    PolicyHost::load(module, Options { count_fuel: true, ..Options::default() }).unwrap()
}

fn host() -> &'static PolicyHost {
    static HOST: OnceLock<PolicyHost> = OnceLock::new();
    HOST.get_or_init(|| load(module()))
}

/// The one line that begins with a key, without the key and quotes.
fn line_with<'t>(text: &'t str, key: &str, file: &str) -> &'t str {
    let mut found = text.lines().filter_map(|line| line.trim_start().strip_prefix(key));
    let value = found.next().unwrap_or_else(|| panic!("{file}: no `{key}`"));
    assert_eq!(found.next(), None, "{file}: `{key}` twice");
    value.trim().trim_matches('"')
}

#[test]
fn one_version_everywhere() {
    let version = env!("CARGO_PKG_VERSION");
    let found = line_with(&read("metadata.yml"), "io.kubewarden.policy.version:", "metadata.yml").to_owned();
    assert_eq!(found, version, "metadata.yml");
    if root().join("artifacthub-pkg.yml").exists() {
        let text = read("artifacthub-pkg.yml");
        assert_eq!(line_with(&text, "version:", "artifacthub-pkg.yml"), version, "artifacthub-pkg.yml");
        let url = line_with(&read("metadata.yml"), "io.kubewarden.policy.ociUrl:", "metadata.yml").to_owned();
        let images: Vec<&str> = text
            .split_whitespace()
            .filter_map(|word| word.trim_matches('"').rsplit_once(&url))
            .map(|(_, rest)| rest)
            .collect();
        assert!(!images.is_empty(), "artifacthub-pkg.yml names no `{url}`");
        for tag in images {
            assert!(
                tag.is_empty() || tag.trim_start_matches(':').trim_start_matches('v') == version,
                "artifacthub-pkg.yml: `{url}{tag}`"
            );
        }
    }
    for (manifest, text) in manifests() {
        assert!(
            text.contains("\nversion.workspace = true\n"),
            "{manifest}: its version is not the workspace's"
        );
    }
    let lock = read("Cargo.lock");
    let locked = lock
        .split("[[package]]")
        .find(|package| package.contains("name = \"pod-identity-policy\"\n"))
        .unwrap();
    assert_eq!(line_with(locked, "version =", "Cargo.lock"), version, "Cargo.lock");
}

fn manifests() -> Vec<(String, String)> {
    let mut found = vec![("Cargo.toml".to_owned(), read("Cargo.toml"))];
    for entry in fs::read_dir(root().join("crates")).unwrap() {
        let path = format!("crates/{}/Cargo.toml", entry.unwrap().file_name().to_string_lossy());
        if root().join(&path).exists() {
            found.push((path.clone(), read(&path)));
        }
    }
    found
}

/// A table whose first column is a field, the second its default, both in backticks.
#[test]
fn the_readme_lists_every_setting() {
    let readme = read("README.md");
    let table: Vec<(&str, &str)> = readme
        .lines()
        .filter_map(|line| {
            let mut cells = line.strip_prefix('|')?.split('|').map(str::trim);
            Some((code(cells.next()?)?, code(cells.next()?)?))
        })
        .filter(|(name, _)| {
            name.bytes().all(|b| b.is_ascii_alphanumeric()) && !name.starts_with(char::is_uppercase)
        })
        .collect();
    assert_eq!(table, pod_identity_core::FIELDS);
}

fn code(cell: &str) -> Option<&str> {
    cell.strip_prefix('`')?.strip_suffix('`').filter(|text| !text.contains('`'))
}

#[test]
fn the_core_depends_on_few_crates() {
    let manifest = read("crates/core/Cargo.toml");
    let mut section = "";
    let mut everywhere = BTreeSet::new();
    for line in manifest.lines() {
        if line.starts_with('[') {
            section = line;
            // `[dependencies.name]`
            assert!(!section.contains("dependencies."), "{section}");
            continue;
        }
        let name = line.split_once('=').map(|(name, _)| name.trim().trim_end_matches(".workspace"));
        match section {
            "[dependencies]" | "[build-dependencies]" => everywhere.extend(name),
            other => assert!(!other.starts_with("[target"), "{other}"),
        }
    }
    assert_eq!(everywhere, BTreeSet::from(["bumpalo", "wide"]));
}

#[test]
fn the_module_is_small() {
    for (made, module) in modules() {
        let most = if made == WITH_WASM_OPT { MODULE_SIZE } else { MODULE_SIZE_WITHOUT_WASM_OPT };
        let size = module.len();
        println!("{made}: {size} of {most} bytes");
        assert!(size <= most, "the module has {size} bytes {made}, {most} at most are allowed");
    }
}

/// The cost of ordinary reviews, so that a change of it is seen. `UPDATE_EXPECTATIONS=1` records what it is.
#[test]
fn reviews_cost_what_they_did() {
    let path = "testdata/fuel.json";
    let mut recorded: BTreeMap<String, BTreeMap<String, u64>> = serde_json::from_str(&read(path)).unwrap();
    let found: Vec<(&str, BTreeMap<String, u64>)> = modules()
        .into_iter()
        .map(|(made, module)| {
            let host = load(module);
            (made, ["pod-4kb", "pod-20kb"].map(|name| (name.to_owned(), fuel(&host, name))).into())
        })
        .collect();
    if std::env::var("UPDATE_EXPECTATIONS").is_ok_and(|value| value == "1") {
        recorded.extend(found.iter().map(|(made, fuel)| ((*made).to_owned(), fuel.clone())));
        fs::write(root().join(path), serde_json::to_string_pretty(&recorded).unwrap() + "\n").unwrap();
    }
    assert_eq!(recorded.keys().collect::<Vec<_>>(), [WITH_WASM_OPT, WITHOUT_WASM_OPT], "{path}");
    for (made, found) in found {
        let recorded = &recorded[made];
        assert!(recorded.keys().eq(found.keys()), "{path} holds {:?} {made}", recorded.keys());
        for (name, fuel) in found {
            let change = (fuel as f64 / recorded[&name] as f64 - 1.0) * 100.0;
            println!("{name} {made}: {fuel} ({change:+.2} %)");
            assert!(
                change.abs() <= FUEL_TOLERANCE,
                "{name} costs {fuel} {made}, {change:+.2} % of what {path} says; UPDATE_EXPECTATIONS=1 records it"
            );
        }
    }
}

fn fuel(host: &PolicyHost, name: &str) -> u64 {
    let review: Value = serde_json::from_str(&read(&format!("testdata/reviews/{name}.json"))).unwrap();
    let request = &review["request"];
    let text = |place: &str| request.pointer(place).and_then(Value::as_str).unwrap();
    let cluster = json!({"objects": [{"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {
        "name": text("/object/spec/serviceAccountName"),
        "namespace": text("/namespace"),
        "annotations": {"eks.amazonaws.com/role-arn": "arn:aws:iam::111122223333:role/api"},
    }}]});
    let policy = host.with_settings(json!({})).unwrap();
    let evaluation = policy.validate(&review, &Cluster::from_json(&cluster).unwrap()).unwrap();
    assert!(evaluation.patch.is_some(), "{name} is not changed");
    evaluation.guest.fuel.unwrap()
}

#[test]
fn every_case_asks_for_an_object_once_at_most() {
    for case in corpus::cases(&root().join("testdata/cases")).unwrap() {
        let Some(review) = &case.review else { continue };
        let mut cluster = if case.cluster.is_null() { json!({}) } else { case.cluster.clone() };
        // As in the corpus, an error hides the object.
        let errors = cluster["errors"].clone();
        if let Some(objects) = cluster["objects"].as_array_mut() {
            let name = |object: &Value| {
                (
                    object["kind"].clone(),
                    object["metadata"]["namespace"].clone(),
                    object["metadata"]["name"].clone(),
                )
            };
            let hidden =
                |error: &Value| (error["kind"].clone(), error["namespace"].clone(), error["name"].clone());
            objects.retain(|object| {
                !errors.as_array().into_iter().flatten().any(|error| hidden(error) == name(object))
            });
        }
        cluster.as_object_mut().unwrap().retain(|_, list| !list.is_null());
        let policy = host().with_unchecked_settings(serde_json::from_str(&case.settings).unwrap()).unwrap();
        let evaluation = policy.validate(review, &Cluster::from_json(&cluster).unwrap()).unwrap();
        let mut seen: Vec<&Value> = Vec::new();
        for call in &evaluation.guest.host_calls {
            let HostCallPayload::Json(payload) = &call.payload else { panic!("{}: {call:?}", case.name) };
            // One repetition is for a queue that was full.
            let full = call.outcome
                == policy_host::HostCallOutcome::Failed(
                    "Error sending request over callback channel: Full".to_owned(),
                );
            assert!(full || !seen.contains(&payload), "{}: {payload} again", case.name);
            seen.push(payload);
        }
        let objects: BTreeSet<String> = seen.iter().map(|payload| payload["kind"].to_string()).collect();
        assert!(objects.len() <= 2 && seen.len() <= objects.len() + 1, "{}: {seen:?}", case.name);
    }
}

/// `build.rs` writes the metadata itself, so that no tool is needed to build the module; here the tool is the judge.
#[test]
fn the_metadata_is_what_kwctl_writes() {
    let annotated = Path::new(env!("CARGO_TARGET_TMPDIR")).join("annotated-by-kwctl.wasm");
    let (metadata, output, input) = (root().join("metadata.yml"), annotated.clone(), module_path());
    let arguments =
        ["annotate", "--metadata-path", text(&metadata), "--output-path", text(&output), text(&input)];
    let Some(status) = kwctl(&arguments) else {
        println!("NOT COMPARED: there is no `kwctl` on the PATH (https://github.com/kubewarden/kwctl)");
        return;
    };
    assert!(status.success(), "kwctl annotate: {status}");
    let ours = sections(module());
    assert_eq!(ours.len(), 1, "the module has one section `{SECTION}`");
    let theirs = sections(&fs::read(&annotated).unwrap());
    assert_eq!(theirs.len(), 2, "kwctl appends one");
    let read = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).unwrap();
    let mut theirs = read(theirs.last().unwrap());
    theirs["annotations"]
        .as_object_mut()
        .unwrap()
        .remove("io.kubewarden.kwctl")
        .expect("kwctl says which version it is");
    assert_eq!(read(&ours[0]), theirs);
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// `None` when there is none.
fn kwctl(arguments: &[&str]) -> Option<ExitStatus> {
    match Command::new("kwctl").args(arguments).env("HOME", env!("CARGO_TARGET_TMPDIR")).output() {
        Ok(output) => {
            print!("{}", String::from_utf8_lossy(&output.stderr));
            Some(output.status)
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => panic!("kwctl: {error}"),
    }
}

/// The custom sections with the metadata, in order
/// (<https://webassembly.github.io/spec/core/binary/modules.html#custom-section>).
fn sections(module: &[u8]) -> Vec<Vec<u8>> {
    let mut rest = module.strip_prefix(b"\0asm\x01\0\0\0").unwrap();
    let mut found = Vec::new();
    while let Some((id, after)) = rest.split_first() {
        let (length, after) = leb128(after);
        let (section, behind) = after.split_at(length);
        if *id == 0 {
            let (length, name) = leb128(section);
            let (name, content) = name.split_at(length);
            if name == SECTION.as_bytes() {
                found.push(content.to_owned());
            }
        }
        rest = behind;
    }
    found
}

fn leb128(bytes: &[u8]) -> (usize, &[u8]) {
    let length = bytes.iter().take_while(|byte| **byte >= 0x80).count() + 1;
    let (number, rest) = bytes.split_at(length);
    (number.iter().rev().fold(0, |n, byte| n << 7 | usize::from(byte & 0x7f)), rest)
}
