//! The forms of flags that Go's packages accept, and some that they do not, brought into the one that clap reads.
//!
//! What comes out is `--name=value`, or `--name` for a switch. So a value may begin with `-`, as it may for Go.

use std::any::TypeId;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use clap::{Arg, Command};
use pod_identity_core::values::parse_bool;

/// A command line in the one form.
#[derive(Debug, Default)]
pub(super) struct Normal {
    pub(super) arguments: Vec<OsString>,
    /// What was left out that somebody may have meant.
    pub(super) notices: Vec<String>,
}

/// Brings a command line into the one form. What is not understood is left as it is, for clap to say so.
pub(super) fn normalize(arguments: impl IntoIterator<Item = OsString>, command: &Command) -> Normal {
    let mut given = arguments.into_iter().peekable();
    let mut normal = Normal::default();
    // The program's name.
    normal.arguments.extend(given.next());
    let mut command = command;
    if let Some(word) = given.next_if(|first| !is_flag(first) && first != "--") {
        command = command.find_subcommand(&word).unwrap_or(command);
        normal.arguments.push(word);
    }
    let mut after: Option<String> = None;
    while let Some(argument) = given.next() {
        if argument == "--" {
            normal.notices.extend(given.map(|word| stray(&word, None)));
            break;
        }
        if !is_flag(&argument) {
            normal.notices.push(stray(&argument, after.as_deref()));
            continue;
        }
        let Some((flag, value)) = find(&argument, command) else {
            normal.arguments.push(argument);
            continue;
        };
        let name = flag.get_long().unwrap_or_default();
        after = Some(name.to_owned());
        match name {
            "help" => {
                normal.arguments.push("--help".into());
                continue;
            }
            "version" => {
                let switch = value.as_deref().and_then(OsStr::to_str).map_or(Some(true), parse_bool);
                match switch {
                    Some(true) => normal.arguments.push("--version".into()),
                    Some(false) => {}
                    None => normal.arguments.push(argument),
                }
                continue;
            }
            _ => {}
        }
        let value = match value {
            None if !flag.is_require_equals_set() => given.next(),
            value => value,
        };
        match value {
            // An empty text means the default, whatever was said before.
            Some(value) if value.is_empty() && is_text(flag) => {
                let before = format!("--{name}=");
                normal
                    .arguments
                    .retain(|argument| !argument.as_encoded_bytes().starts_with(before.as_bytes()));
            }
            Some(value) => {
                let mut whole = OsString::from(format!("--{name}="));
                whole.push(value);
                normal.arguments.push(whole);
            }
            None => normal.arguments.push(format!("--{name}").into()),
        }
    }
    normal
}

fn is_flag(argument: &OsStr) -> bool {
    let bytes = argument.as_encoded_bytes();
    bytes.starts_with(b"-") && bytes.len() > 1
}

/// The flag that an argument names, with one dash or two, `_` or `-` in its name, and the value that stands in
/// the same argument.
fn find<'c>(argument: &OsStr, command: &'c Command) -> Option<(&'c Arg, Option<OsString>)> {
    let text = argument.to_str()?;
    let two = text.strip_prefix("--");
    let body = two.or_else(|| text.strip_prefix('-'))?;
    let (name, value) = match body.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (body, None),
    };
    let plain = name.replace('_', "-");
    let long = command
        .get_arguments()
        .find(|flag| flag.get_long().is_some_and(|long| long.replace('_', "-") == plain));
    if let Some(flag) = long {
        return Some((flag, value.map(OsString::from)));
    }
    if two.is_some() {
        return None;
    }
    // `-v4`; `-v` and `-v=4` were found, for klog's flag has one name of one letter.
    let short = body.chars().next()?;
    let flag = command.get_arguments().find(|flag| flag.get_short() == Some(short))?;
    let rest = body.strip_prefix(short).filter(|rest| !rest.is_empty());
    match (flag.get_long(), rest) {
        (Some("help"), None) => Some((flag, None)),
        (Some("v"), Some(rest)) => Some((flag, Some(rest.into()))),
        _ => None,
    }
}

/// Whether a flag's value is taken as it is.
fn is_text(flag: &Arg) -> bool {
    let kind = flag.get_value_parser().type_id();
    [TypeId::of::<String>(), TypeId::of::<PathBuf>(), TypeId::of::<super::CommaSeparated>()]
        .iter()
        .any(|text| kind == *text)
}

/// What is said of a word that belongs to no flag. Go ignores it without a word.
fn stray(word: &OsStr, after: Option<&str>) -> String {
    let word = word.to_string_lossy();
    match after {
        Some(name) if parse_bool(&word).is_some() => {
            format!("`{word}` has no effect: a switch takes its value after `=`, as in `--{name}={word}`")
        }
        _ => format!("`{word}` has no effect: it belongs to no flag"),
    }
}
