//! Paths in containers.

/// The same for all spellings of a path; `\` and the drive `C:` are Windows'.
pub(super) fn normal(path: &str, windows: bool) -> String {
    let path = if windows {
        let path = path.to_ascii_lowercase().replace('\\', "/");
        path.strip_prefix("c:").map(str::to_owned).unwrap_or(path)
    } else {
        path.to_owned()
    };
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// Joined and without doubled slashes, as Go's `filepath.Join` does for paths without dots.
pub(super) fn join(folder: &str, file: &str) -> String {
    let joined = format!("{folder}/{file}");
    let parts: Vec<&str> = joined.split('/').filter(|part| !part.is_empty()).collect();
    let root = if joined.starts_with('/') { "/" } else { "" };
    format!("{root}{}", parts.join("/"))
}

/// Whether a path begins with a drive's letter.
pub(super) fn has_drive(path: &str) -> bool {
    matches!(path.as_bytes(), [letter, b':', ..] if letter.is_ascii_alphabetic())
}
