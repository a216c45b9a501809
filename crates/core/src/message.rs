//! Messages: lower case, no full stop, somebody's text in backticks and harmless.

use alloc::string::String;

use crate::ascii::cut;

/// Characters of somebody's text that a message shows.
const SHOWN: usize = 200;

/// Fills in a template: `{}` stands for somebody's text, which is escaped and cut, `{=}` for one of ours.
///
/// In place of `format!`, so that nothing gets into a message as it came, and for a third of the code.
pub(crate) fn message(template: &str, texts: &[&str]) -> String {
    let mut out = String::with_capacity(template.len() + 64);
    let mut texts = texts.iter().copied();
    let mut rest = template;
    while let Some((before, after)) = cut(rest, b'{') {
        out.push_str(before);
        rest = if let Some(behind) = after.strip_prefix('}') {
            escape_into(&mut out, texts.next().unwrap_or_default(), SHOWN);
            behind
        } else if let Some(behind) = after.strip_prefix("=}") {
            out.push_str(texts.next().unwrap_or_default());
            behind
        } else {
            out.push('{');
            after
        };
    }
    out.push_str(rest);
    out
}

/// Appends somebody's text: what is not printable ASCII is escaped, and a long one is cut.
///
/// The API server drops a warning with a control character without a word, terminals obey escape sequences,
/// and logs are read by line.
pub(crate) fn escape_into(out: &mut String, text: &str, limit: usize) {
    let (mut rest, mut left) = (text, limit);
    loop {
        let plain = rest.bytes().take(left).take_while(|b| matches!(b, b' '..=b'~')).count();
        let (shown, after) = rest.split_at_checked(plain).unwrap_or_default();
        out.push_str(shown);
        left -= plain;
        let mut chars = after.chars();
        let Some(c) = chars.next() else { return };
        if left == 0 {
            out.push_str("...");
            return;
        }
        left -= 1;
        rest = chars.as_str();
        match c {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c => {
                out.push_str("\\u{");
                let digits = (32 - (c as u32 | 1).leading_zeros()).div_ceil(4);
                for i in (0..digits).rev() {
                    out.push(char::from_digit(c as u32 >> (4 * i) & 15, 16).unwrap_or_default());
                }
                out.push('}');
            }
        }
    }
}

/// Somebody's text, escaped and cut.
pub(crate) fn escaped(text: &str) -> String {
    let mut out = String::new();
    escape_into(&mut out, text, SHOWN);
    out
}

/// A number in decimal digits.
#[must_use]
pub fn number(n: u64) -> String {
    let mut out = String::new();
    write_number(&mut out, n);
    out
}

/// Appends a number in decimal digits.
pub(crate) fn write_number(out: &mut String, n: u64) {
    if n > 9 {
        write_number(out, n / 10);
    }
    out.push(char::from(b'0' + (n % 10) as u8));
}

/// Texts with something between them.
pub(crate) fn joined(texts: &[String], separator: &str) -> String {
    let mut out = String::new();
    for text in texts {
        if !out.is_empty() {
            out.push_str(separator);
        }
        out.push_str(text);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn somebody_s_text_is_harmless() {
        assert_eq!(
            message("a `{}` and {=}{x}", &["\u{1b}[31m\n\u{e9}\u{1f600}~", "b"]),
            "a `\\u{1b}[31m\\n\\u{e9}\\u{1f600}~` and b{x}"
        );
        assert_eq!(escaped(&"x".repeat(201)), "x".repeat(200) + "...");
    }
}
