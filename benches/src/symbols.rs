//! What takes the room in a program, by its symbols.

use std::{collections::BTreeMap, path::Path, process::Command};

use anyhow::{Context as _, ensure};

/// What is no crate's: C and assembler come from there.
const AWS_LC: &str = "aws-lc";
const STANDARD: &str = "Rust's standard library";

/// Bytes by crate, the largest first.
pub(crate) fn sizes(program: &Path) -> anyhow::Result<Vec<(String, f64)>> {
    let output =
        Command::new("nm").args(["--demangle", "--print-size", "--defined-only"]).arg(program).output();
    let output = output.context("cannot run `nm` (Debian and Ubuntu: apt-get install binutils)")?;
    ensure!(output.status.success(), "`nm` failed ({})", output.status);
    let mut sizes = BTreeMap::<&str, f64>::new();
    let text = String::from_utf8_lossy(&output.stdout);
    for (size, name) in text.lines().filter_map(symbol) {
        *sizes.entry(owner(name)).or_default() += f64::from(size);
    }
    let mut sizes: Vec<(String, f64)> =
        sizes.into_iter().map(|(name, size)| (name.to_owned(), size)).collect();
    sizes.sort_by(|(_, a), (_, b)| b.total_cmp(a));
    Ok(sizes)
}

/// `00000000005a1c20 0000000000000b3e t hyper::proto::h1::…`: what has no size has a field less.
fn symbol(line: &str) -> Option<(u32, &str)> {
    let mut fields = line.splitn(4, ' ');
    let (_, size) = (fields.next()?, u32::from_str_radix(fields.next()?, 16).ok()?);
    Some((size, fields.nth(1)?))
}

/// The crate that a symbol is named after.
fn owner(name: &str) -> &str {
    let path = name.trim_start_matches(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let path = path.strip_prefix("dyn ").or(path.strip_prefix("mut ")).unwrap_or(path);
    match path.split_once("::") {
        Some((
            "core" | "alloc" | "std" | "hashbrown" | "gimli" | "addr2line" | "rustc_demangle" | "__rustc",
            _,
        )) => STANDARD,
        Some((name, _)) if name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') => name,
        // Data that has no name of its own.
        _ if path.starts_with("anon.") => "constants",
        _ if path.starts_with("__rust") || path.contains("::") => STANDARD,
        _ => AWS_LC,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn symbols_belong_to_crates() {
        let line = "00000000005a1c20 0000000000000b3e t <hyper::proto::h1::Server as a::B>::parse";
        assert_eq!(symbol(line), Some((2878, "<hyper::proto::h1::Server as a::B>::parse")));
        assert_eq!(["", "0000000000000000 t a", "0000000000000000 t a b"].map(symbol), [None; 3]);
        for (name, expected) in [
            ("<hyper::proto::h1::Server as a::B>::parse", "hyper"),
            ("<&dyn tracing::Value as core::fmt::Debug>::fmt", "tracing"),
            ("core::ptr::drop_in_place<hyper::A>", STANDARD),
            ("webhook::run::run::{{closure}}", "webhook"),
            ("aws_lc_0_47_0_EVP_AEAD_CTX_open", AWS_LC),
            ("__ecp_nistz256_mul_montx", AWS_LC),
            ("anon.0a1b.12.llvm.1", "constants"),
        ] {
            assert_eq!(owner(name), expected, "{name}");
        }
    }
}
