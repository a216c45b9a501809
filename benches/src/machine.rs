//! Where and with what was measured.

use std::{fs, path::Path, process::Command};

use crate::context::Context;

pub(crate) const GO_WEBHOOK: &str = "github.com/aws/amazon-eks-pod-identity-webhook";

/// The commit that is checked out, with `+` when files differ from it.
pub(crate) fn commit(root: &Path) -> String {
    let folder = root.display().to_string();
    let commit = output("git", &["-C", &folder, "rev-parse", "--short=10", "HEAD"]);
    let Some(commit) = commit else { return "unknown".to_owned() };
    // What a run writes is no change.
    let but = [":!BENCHMARKS.md", ":!docs"];
    let status =
        [["-C", &folder, "status", "--porcelain", "--untracked-files=no", "--", "."].as_slice(), &but]
            .concat();
    match output("git", &status) {
        Some(changed) if !changed.is_empty() => commit + "+",
        _ => commit,
    }
}

/// RFC 3339, to the second.
pub(crate) fn now() -> String {
    let now = jiff::Timestamp::now();
    now.round(jiff::Unit::Second).unwrap_or(now).to_string()
}

/// Name and value of what a reader wants to know about the machine.
pub(crate) fn machine() -> Vec<(&'static str, String)> {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    vec![
        ("processor", format!("{}, {cores} cores", field(&read("/proc/cpuinfo"), "model name"))),
        ("memory", gibibytes(&field(&read("/proc/meminfo"), "MemTotal"))),
        ("kernel", read("/proc/sys/kernel/osrelease").trim().to_owned()),
    ]
}

/// Name and version of everything that has a part in the figures.
pub(crate) fn versions(context: &Context) -> Vec<(&'static str, String)> {
    let first_line = |program: &str, arguments: &[&str]| {
        let text = output(program, arguments).unwrap_or_default();
        text.lines().next().unwrap_or("missing").trim().to_owned()
    };
    let lock = fs::read_to_string(context.root.join("Cargo.lock")).unwrap_or_default();
    let mut versions = vec![
        ("Rust", first_line("rustc", &["--version"])),
        ("Wasmtime", locked(&lock, "wasmtime").to_owned()),
        ("kube-apiserver, etcd", format!("{}, {}", envtest::KUBERNETES_VERSION, envtest::ETCD_VERSION)),
        ("wrk", first_line("wrk", &["-v"]).split(" [").next().unwrap_or_default().to_owned()),
        ("perf", first_line("perf", &["--version"])),
    ];
    let module = fs::read_to_string(context.root.join("benches/go-handler/go.mod")).unwrap_or_default();
    versions.push(("Go webhook's handler", required(&module, GO_WEBHOOK).to_owned()));
    if let Some(peer) = context.webhooks.get(1) {
        let program = peer.binary.display().to_string();
        versions.push((
            "Go webhook",
            format!("{}; {}", first_line(&program, &["--version"]), go_build(&program)),
        ));
    }
    if let Some(policy_server) = &context.policy_server {
        versions.push(("policy-server", first_line(&policy_server.display().to_string(), &["--version"])));
    }
    versions
}

/// What Go writes into programs: its own version, and the commit.
fn go_build(program: &str) -> String {
    let text = output("go", &["version", "-m", program]).unwrap_or_default();
    let version =
        text.lines().next().and_then(|line| line.rsplit(' ').next()).unwrap_or("Go's version unknown");
    let revision =
        text.lines().find_map(|line| line.split_once("vcs.revision=")).map(|(_, revision)| revision);
    match revision.and_then(|revision| revision.get(..8)) {
        Some(revision) => format!("{version}, commit {revision}"),
        None => version.to_owned(),
    }
}

/// What a program prints, on either output, whatever its exit code says: `wrk -v` ends with 1.
fn output(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok()?;
    let text = if output.stdout.is_empty() { output.stderr } else { output.stdout };
    Some(String::from_utf8_lossy(&text).trim().to_owned())
}

fn field(text: &str, name: &str) -> String {
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.trim_start().strip_prefix(':'));
    value.unwrap_or("unknown").trim().to_owned()
}

fn gibibytes(kibibytes: &str) -> String {
    match kibibytes.trim_end_matches(" kB").parse::<f64>() {
        Ok(number) => format!("{:.0} GiB", number / f64::from(1 << 20)),
        Err(_) => "unknown".to_owned(),
    }
}

/// The version of a module in go.mod.
fn required<'m>(go_mod: &'m str, module: &str) -> &'m str {
    let version = go_mod.lines().find_map(|line| line.trim().strip_prefix(module)?.strip_prefix(' '));
    version.unwrap_or("unknown")
}

/// The version of a crate in Cargo.lock.
fn locked<'l>(lock: &'l str, name: &str) -> &'l str {
    let package =
        lock.split("[[package]]").find(|package| package.contains(&format!("\nname = \"{name}\"\n")));
    let version =
        package.and_then(|package| package.lines().find_map(|line| line.strip_prefix("version = ")));
    version.unwrap_or("unknown").trim_matches('"')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_the_kernel_are_read() {
        let text = "processor\t: 0\nmodel name\t: AMD EPYC\nMemTotal:       24657492 kB\n";
        assert_eq!(
            (field(text, "model name").as_str(), gibibytes(&field(text, "MemTotal")).as_str()),
            ("AMD EPYC", "24 GiB")
        );
        assert_eq!((field("", "x").as_str(), gibibytes("x").as_str()), ("unknown", "unknown"));
    }

    #[test]
    fn versions_are_found_in_go_mod() {
        let module =
            "module a\n\nrequire (\n\texample.com/a/b v1.0.0\n\texample.com/a v0.6.18-0.2026-3bf80a34\n)\n";
        assert_eq!(required(module, "example.com/a"), "v0.6.18-0.2026-3bf80a34");
        assert_eq!(required(module, "example.com/c"), "unknown");
    }

    #[test]
    fn versions_are_found_in_the_lock_file() {
        let lock = "[[package]]\nname = \"wasmtime-wasi\"\nversion = \"1.0.0\"\n\n[[package]]\nname = \"wasmtime\"\nversion = \"48.0.8\"\n";
        assert_eq!([locked(lock, "wasmtime"), locked(lock, "other")], ["48.0.8", "unknown"]);
    }
}
