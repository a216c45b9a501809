//! What is shown of a run.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::Value;

use crate::differences::Difference;
use crate::flags::Flags;
use crate::run::{Failure, Outcome};
use crate::scene::{Cluster, text};

/// A row of the table, and which differences explained how many reviews.
pub(crate) fn variant(flags: &Flags, outcome: &Outcome) -> String {
    table(flags.variant, outcome)
}

/// The last row, and what was never seen.
pub(crate) fn total(total: &Outcome, is_whole: bool) -> String {
    let mut out = table("all", total);
    let never = Difference::ALL.iter().filter(|difference| !total.differences.contains_key(difference));
    let never: Vec<&str> = never.map(|difference| difference.text().name).collect();
    if is_whole && !never.is_empty() {
        let _ = writeln!(out, "never seen: {}", never.join(", "));
    }
    out
}

fn table(name: &str, outcome: &Outcome) -> String {
    let Outcome { reviews, equal, differences, unexplained, .. } = outcome;
    let explained = reviews - equal - unexplained;
    let mut out = format!(
        "{name:<24}{reviews:>7} reviews {equal:>7} equal {explained:>7} explained {unexplained:>5} unexplained\n"
    );
    let mut counts: Vec<(Difference, u64)> =
        differences.iter().map(|(difference, count)| (*difference, *count)).collect();
    counts.sort_by_key(|(difference, count)| (std::cmp::Reverse(*count), *difference));
    for (difference, count) in counts {
        let _ = writeln!(out, "    {:<36}{count:>7}", difference.text().name);
    }
    out
}

/// All that is needed to see it again.
pub(crate) fn failure(failure: &Failure, flags: &Flags, cluster: &Cluster, seed: u64) -> String {
    let Failure { index, review, unexplained } = failure;
    let request = review.request();
    let pod = review.pod();
    let spec = pod.get("spec").unwrap_or(&Value::Null);
    let account = ["serviceAccountName", "ServiceAccountName", "serviceAccount"]
        .iter()
        .map(|key| text(spec, key))
        .find(|name| !name.is_empty())
        .unwrap_or_default();
    let account = cluster.account(text(request, "namespace"), account).unwrap_or_default();
    let mapping = flags.watch_config_map.then(|| cluster.mapping(flags.config_map_namespace())).flatten();
    let identities = Value::Array(cluster.identities.clone());
    let mut settings = flags.settings(&identities);
    if let Some(credentials) = settings.get_mut("containerCredentials").and_then(Value::as_object_mut) {
        credentials.insert("identities".to_owned(), "…".into());
    }
    let mut out =
        format!("\nUNEXPLAINED: {}: {index} of variant {}, seed {seed}\n", unexplained.why, flags.variant);
    for (title, body) in [
        ("flags", flags.arguments(Path::new("identities.json")).join(" ")),
        ("settings", settings.to_string()),
        ("service account", account.to_string()),
        ("review", review.text()),
        ("pod", format!("{pod:#}")),
        ("expected", format!("{:#}", unexplained.expected)),
        ("found", format!("{:#}", unexplained.found)),
        ("mapping", mapping.unwrap_or_default()),
    ] {
        if !body.is_empty() {
            let _ = writeln!(out, "--- {title}\n{body}");
        }
    }
    out.push('\n');
    out
}
