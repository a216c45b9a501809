//! Paths inside containers: joined, compared, and turned into Windows' form.

use alloc::borrow::Cow;
use alloc::string::String;

#[cfg(not(target_arch = "wasm32"))]
use wide::u8x16;

use crate::ascii::{holds, parts};

/// Whether a pod runs on Windows, where paths have another form and no case.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Os {
    /// Everything but Windows.
    Unix,
    /// Windows.
    Windows,
}

/// A path that is equal to another one exactly when both name the same place: no doubled, trailing or `.`
/// parts; for Windows with `/`, in lower case and without the drive `C:`, which is the default one.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NormalPath<'p>(Cow<'p, str>);

impl<'p> NormalPath<'p> {
    /// Brings a path into its normal form.
    #[must_use]
    pub fn new(path: &'p str, os: Os) -> Self {
        // Nearly all paths are in it, but for the `/` in front.
        if os == Os::Unix {
            let rest = path.strip_prefix('/').unwrap_or(path);
            if is_normal(rest) {
                return Self(Cow::Borrowed(rest));
            }
        }
        let path = match os {
            Os::Unix => path,
            Os::Windows => path.strip_prefix("C:").or(path.strip_prefix("c:")).unwrap_or(path),
        };
        let mut out = String::with_capacity(path.len());
        for part in parts(path, if os == Os::Windows { b"/\\" } else { b"/" }) {
            match part {
                "" | "." => {}
                ".." => while out.pop().is_some_and(|c| c != '/') {},
                part => {
                    if !out.is_empty() {
                        out.push('/');
                    }
                    out.push_str(part);
                }
            }
        }
        if os == Os::Windows {
            out.make_ascii_lowercase();
        }
        Self(Cow::Owned(out))
    }

    /// What is left of this path below a folder: empty when it is the folder itself, `None` when it is not
    /// below it.
    #[must_use]
    pub fn below(&self, folder: &NormalPath<'_>) -> Option<&str> {
        if folder.0.is_empty() {
            return Some(&self.0);
        }
        let rest = self.0.strip_prefix(&*folder.0)?;
        if rest.is_empty() { Some(rest) } else { rest.strip_prefix('/') }
    }

    /// Without the leading `/`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether no part of a path is empty or begins with a dot.
fn is_normal(path: &str) -> bool {
    let begins_part = |byte: u8| byte != b'/' && byte != b'.';
    // Many are looked at together: a slash that something else than the beginning of a part comes after.
    #[cfg(not(target_arch = "wasm32"))]
    if let (Some(first), Some((_, last))) = (path.bytes().next(), path.as_bytes().split_last_chunk::<17>()) {
        let wrong = |bytes: &[u8; 17]| {
            let (Some(slashes), Some(after)) = (bytes.first_chunk::<16>(), bytes.last_chunk::<16>()) else {
                return 0;
            };
            let is = |block: &[u8; 16], byte| u8x16::from(*block).simd_eq(u8x16::splat(byte));
            (is(slashes, b'/') & (is(after, b'/') | is(after, b'.'))).to_bitmask()
        };
        let mut rest = path.as_bytes();
        let mut found = wrong(last);
        while let Some((block, _)) = rest.split_first_chunk::<17>() {
            found |= wrong(block);
            rest = rest.get(16..).unwrap_or_default();
        }
        return found == 0 && begins_part(first) && !path.ends_with('/');
    }
    let (mut before, mut is_normal) = (b'/', true);
    for byte in path.bytes() {
        is_normal &= before != b'/' || begins_part(byte);
        before = byte;
    }
    is_normal && before != b'/'
}

/// The path of a file in a mounted folder, as a process in the container writes it. `C:` is put before it on
/// Windows unless the folder names a drive.
#[must_use]
pub fn file_in(folder: &str, file: &str, os: Os) -> String {
    let mut path = String::with_capacity(folder.len() + file.len() + 3);
    // As with `NormalPath`: nearly all folders are in it. In the policy, whose size counts, all go the longer way.
    #[cfg(not(target_arch = "wasm32"))]
    if os == Os::Unix
        && !has_drive(folder)
        && let NormalPath(Cow::Borrowed(normal)) = NormalPath::new(folder, os)
    {
        for text in ["/", normal, "/", file] {
            path.push_str(text);
        }
        return path;
    }
    let mut folder = folder;
    while let Some(rest) =
        folder.strip_suffix('/').or(folder.strip_suffix('\\').filter(|_| os == Os::Windows))
    {
        folder = rest;
    }
    let drive = has_drive(folder);
    if os == Os::Windows && !drive {
        path.push_str("C:");
    }
    let separator = if os == Os::Windows { '\\' } else { '/' };
    for part in parts(folder, b"/").filter(|part| !part.is_empty()).chain(parts(file, b"/")) {
        if !(path.is_empty() && drive) {
            path.push(separator);
        }
        path.push_str(part);
    }
    path
}

fn has_drive(path: &str) -> bool {
    matches!(path.as_bytes(), [drive, b':', ..] if drive.is_ascii_alphabetic())
}

/// An absolute path to mount at: not the root, no `..`, printable ASCII, with `/` or a drive in front.
#[must_use]
pub fn is_mount_path(path: &str) -> bool {
    let below = if has_drive(path) { path.get(2..).unwrap_or_default() } else { path };
    matches!(below.as_bytes(), [b'/' | b'\\', ..])
        && !parts(below, b"/\\").any(|part| part == "..")
        && !holds(below, b":")
        && path.bytes().all(|b| b.is_ascii_graphic() || b == b' ')
        && !NormalPath::new(path, Os::Windows).0.is_empty()
        && path.len() <= 1024
}

/// A path inside a volume: relative, no `..`, not empty, printable ASCII.
#[must_use]
pub fn is_relative_path(path: &str) -> bool {
    !path.starts_with('/')
        && !parts(path, b"/").any(|part| matches!(part, "" | "." | ".."))
        && path.bytes().all(|b| b.is_ascii_graphic())
        && !holds(path, b"\\:")
        && path.len() <= 1024
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_when_the_same_place() {
        for (a, b, os, same) in [
            ("/a", "/a/", Os::Unix, true),
            ("/a", "/a//", Os::Unix, true),
            ("/a/b", "/a/./b", Os::Unix, true),
            ("/a/b", "/a/c/../b", Os::Unix, true),
            ("/a", "/A", Os::Unix, false),
            ("/a", "/A", Os::Windows, true),
            ("C:\\a\\b", "/a/b", Os::Windows, true),
            ("D:\\a", "/a", Os::Windows, false),
            ("/a/b", "/a", Os::Unix, false),
        ] {
            assert_eq!(NormalPath::new(a, os) == NormalPath::new(b, os), same, "{a} {b}");
        }
    }

    #[test]
    fn below_a_folder() {
        let path = NormalPath::new("/a/b/c", Os::Unix);
        for (folder, rest) in [
            ("/a", Some("b/c")),
            ("/a/b/c", Some("")),
            ("/", Some("a/b/c")),
            ("/a/bb", None),
            ("/a/b/c/d", None),
            ("/a/", Some("b/c")),
        ] {
            assert_eq!(path.below(&NormalPath::new(folder, Os::Unix)), rest, "{folder}");
        }
    }

    /// With both of its characters at each place, in paths of any length that matters.
    #[test]
    fn normal_paths() {
        for (length, at) in (0..40_usize).flat_map(|length| (0..=length).map(move |at| (length, at))) {
            for text in ["", "/", ".", "//", "/.", "a/", "a."] {
                let path = "a".repeat(at) + text + &"a".repeat(length - at);
                let expected = path.split('/').all(|part| !part.is_empty() && !part.starts_with('.'));
                assert_eq!(is_normal(&path), expected, "{path}");
            }
        }
    }

    #[test]
    fn token_files() {
        for (folder, os, expected) in [
            ("/var/run/x", Os::Unix, "/var/run/x/token"),
            ("/var/run/x/", Os::Unix, "/var/run/x/token"),
            ("/var//run/x//", Os::Unix, "/var/run/x/token"),
            ("/", Os::Unix, "/token"),
            ("//", Os::Unix, "/token"),
            ("a/b", Os::Unix, "/a/b/token"),
            ("/a/./b", Os::Unix, "/a/./b/token"),
            ("/a/..b", Os::Unix, "/a/..b/token"),
            (r"/a\", Os::Unix, r"/a\/token"),
            ("C:/x", Os::Unix, "C:/x/token"),
            ("/var/run/x", Os::Windows, r"C:\var\run\x\token"),
            ("D:/x", Os::Windows, r"D:\x\token"),
            (r"c:\x\", Os::Windows, r"c:\x\token"),
        ] {
            assert_eq!(file_in(folder, "token", os), expected, "{folder}");
        }
    }

    #[test]
    fn mount_paths() {
        for (path, valid) in [
            ("/a", true),
            ("C:\\a", true),
            ("D:/a b", true),
            ("a", false),
            ("/", false),
            ("//", false),
            ("C:\\", false),
            ("C:a", false),
            ("/a/../b", false),
            ("/a:b", false),
            ("/a\n", false),
            ("", false),
        ] {
            assert_eq!(is_mount_path(path), valid, "{path}");
        }
        for (path, valid) in [
            ("token", true),
            ("a/b", true),
            ("", false),
            ("/a", false),
            ("a/", false),
            ("../a", false),
            ("a:b", false),
        ] {
            assert_eq!(is_relative_path(path), valid, "{path}");
        }
    }
}
