//! YAML for people.

use anyhow::{Context as _, Result};
use serde_json::Value;
use similar::TextDiff;

/// A document as kubectl prints it: sorted, lists not indented.
pub(crate) fn text(document: &Value) -> Result<String> {
    let options = serde_saphyr::ser_options! { prefer_block_scalars: true, folded_wrap_chars: usize::MAX };
    serde_saphyr::to_string_with_options(document, options).context("cannot print YAML")
}

/// What changed, as a unified diff.
pub(crate) fn diff(before: &Value, after: &Value) -> Result<String> {
    let (before, after) = (text(before)?, text(after)?);
    let diff = TextDiff::from_lines(&before, &after);
    Ok(diff
        .unified_diff()
        .context_radius(3)
        .header("pod, as it was sent", "pod, as it is admitted")
        .to_string())
}
