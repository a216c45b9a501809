//! What each part of the policy's module takes, from the names that a build of its own keeps.

use std::{collections::BTreeMap, fs, process::Command};

use anyhow::{Context as _, ensure};

use crate::{context::Context, results::Record};

/// The figure: a sample for each part, in bytes.
pub(crate) const FIGURE: &str = "guest.parts";
/// The whole of it, before wasm-opt, without the names.
pub(crate) const TOTAL: &str = "total";

/// Our crates, and those from which code comes into the module, as they stand in the names of functions.
const CRATES: [(&str, &str); 6] = [
    ("pod_identity_core", ""),
    ("pod_identity_policy", "the policy around the core"),
    ("4core", "Rust's core and alloc"),
    ("5alloc", "Rust's core and alloc"),
    ("core..", "Rust's core and alloc"),
    ("alloc..", "Rust's core and alloc"),
];

pub(crate) fn run(context: &Context, record: &mut Record) -> anyhow::Result<()> {
    let command = "tools/build-module names";
    record.command(command);
    let output = Command::new(context.root.join("tools/build-module"))
        .arg("names")
        .output()
        .with_context(|| format!("cannot run `{command}`"))?;
    ensure!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr).trim());
    let stdout = String::from_utf8(output.stdout)?;
    let path = stdout.lines().last().context("tools/build-module named no module")?;
    let module = fs::read(path).with_context(|| format!("cannot read `{path}`"))?;
    let parts = parts(&module).with_context(|| format!("`{path}` is no module with names"))?;
    for (part, bytes) in &parts {
        record.add(FIGURE, part, f64::from(u32::try_from(*bytes)?));
    }
    record.add(FIGURE, TOTAL, f64::from(u32::try_from(parts.values().sum::<usize>())?));
    Ok(())
}

/// The bytes of each part; the names themselves do not count.
fn parts(module: &[u8]) -> Option<BTreeMap<String, usize>> {
    let mut parts = BTreeMap::new();
    let mut add = |part: &str, bytes: usize| *parts.entry(part.to_owned()).or_default() += bytes;
    let (mut imported, mut bodies, mut names) = (0, Vec::new(), BTreeMap::new());
    let mut rest = Reader(module.get(8..)?);
    add("tables", 8);
    while let Some((id, mut section, whole)) = rest.section() {
        match id {
            0 => match section.text()? {
                "name" => names = function_names(&mut section)?,
                "io.kubewarden.metadata" => add("Kubewarden's metadata", whole),
                _ => {}
            },
            2 => {
                add("tables", whole);
                imported = section.number()?;
            }
            10 => {
                let count = section.number()?;
                bodies = (0..count).map(|_| section.bytes().map(<[u8]>::len)).collect::<Option<Vec<_>>>()?;
                add("tables", whole - bodies.iter().sum::<usize>());
            }
            11 => add("texts and tables of values", whole),
            _ => add("tables", whole),
        }
    }
    ensure_all_imports_are_functions(module)?;
    for (i, bytes) in bodies.into_iter().enumerate() {
        add(&part_of(names.get(&(imported + i)).copied().unwrap_or_default()), bytes);
    }
    (!names.is_empty()).then_some(parts)
}

/// Other imports would shift the numbers of functions.
fn ensure_all_imports_are_functions(module: &[u8]) -> Option<()> {
    let mut rest = Reader(module.get(8..)?);
    while let Some((id, mut section, _)) = rest.section() {
        if id == 2 {
            for _ in 0..section.number()? {
                section.text()?;
                section.text()?;
                (section.byte()? == 0).then_some(())?;
                section.number()?;
            }
        }
    }
    Some(())
}

fn function_names<'m>(section: &mut Reader<'m>) -> Option<BTreeMap<usize, &'m str>> {
    while let Some((id, mut names, _)) = section.section() {
        if id == 1 {
            return (0..names.number()?).map(|_| Some((names.number()?, names.text()?))).collect();
        }
    }
    None
}

/// The crate, or the core's module, that a function's name begins with; what it was inlined into counts.
fn part_of(name: &str) -> String {
    let found = CRATES.iter().filter_map(|(mark, part)| Some((name.find(mark)? + mark.len(), *part)));
    match found.min_by_key(|(end, _)| *end) {
        Some((end, "")) => {
            // `4json` in one kind of names, `..json` in another.
            let rest = name.get(end..).unwrap_or_default();
            let module = rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
            let digits = rest.get(..rest.len() - module.len()).and_then(|digits| digits.parse().ok());
            let length = digits.unwrap_or_else(|| {
                module.find(|c: char| !c.is_ascii_lowercase() && c != '_').unwrap_or(module.len())
            });
            format!("core: {}", module.get(..length).unwrap_or(module))
        }
        Some((_, part)) => part.to_owned(),
        None if name.starts_with("__guest") => "the policy around the core".to_owned(),
        None => "others".to_owned(),
    }
}

/// The binary format (<https://webassembly.github.io/spec/core/binary/>).
struct Reader<'m>(&'m [u8]);

impl<'m> Reader<'m> {
    fn byte(&mut self) -> Option<u8> {
        let (byte, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*byte)
    }

    fn number(&mut self) -> Option<usize> {
        let mut number = 0;
        for shift in (0..35).step_by(7) {
            let byte = self.byte()?;
            number |= usize::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }

    fn bytes(&mut self) -> Option<&'m [u8]> {
        let length = self.number()?;
        let (bytes, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(bytes)
    }

    fn text(&mut self) -> Option<&'m str> {
        str::from_utf8(self.bytes()?).ok()
    }

    /// Its number, what is in it, and its length with its head.
    fn section(&mut self) -> Option<(u8, Reader<'m>, usize)> {
        let before = self.0.len();
        let id = self.byte()?;
        let content = self.bytes()?;
        Some((id, Reader(content), before - self.0.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_counted_where_they_are() {
        let name = "_ZN17pod_identity_core4jsonE";
        let length = |bytes: &[u8]| u8::try_from(bytes.len()).unwrap();
        let names =
            [b"\x02\x01", &[length(name.as_bytes())][..], name.as_bytes(), b"\x02\x06memcmp"].concat();
        let names = [b"\x04name\x01", &[length(&names)][..], &names].concat();
        let head = b"\0asm\x01\0\0\0\x02\x07\x01\x01a\x01b\0\0\x0a\x07\x02\x02\0\x0b\x02\0\x0b";
        let module = [&head[..], &[0, length(&names)], &names].concat();
        let expected = [("core: json", 2), ("others", 2), ("tables", 8 + 9 + 5)];
        assert_eq!(parts(&module), Some(expected.map(|(part, bytes)| (part.to_owned(), bytes)).into()));
        assert_eq!(parts(&head[..]), None);
    }

    #[test]
    fn functions_belong_to_what_their_names_begin_with() {
        for (name, part) in [
            ("_ZN17pod_identity_core7mapping5entry5Entry3set17h83fc813e4a886346E", "core: mapping"),
            (
                "_ZN90_$LT$pod_identity_core..ascii..Parts$u20$as$u20$core..iter..Iterator$GT$4nextE",
                "core: ascii",
            ),
            ("_RNvMNtCsi9YzqDQQz2q_5alloc6stringNtB2_6String8push_str", "Rust's core and alloc"),
            ("_ZN19pod_identity_policy8validate17h22af3021511a64cfE", "the policy around the core"),
            ("__guest_call", "the policy around the core"),
            ("memcmp", "others"),
        ] {
            assert_eq!(part_of(name), part);
        }
    }
}
