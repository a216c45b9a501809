//! Lists of containers, as the Go webhook reads them and as they are read here.

/// The fields of the first line of a CSV file that is not empty
/// (<https://pkg.go.dev/encoding/csv>); none when it is malformed.
pub(super) fn first_line(text: &str) -> Vec<String> {
    let text = text.replace("\r\n", "\n");
    let mut rest = text.trim_start_matches('\n');
    let mut fields = Vec::new();
    if rest.is_empty() {
        return fields;
    }
    loop {
        let (field, after) = match rest.strip_prefix('"') {
            Some(quoted) => match quoted_field(quoted) {
                Some(found) => found,
                None => return Vec::new(),
            },
            None => {
                let (field, after) = rest.split_at(rest.find([',', '\n']).unwrap_or(rest.len()));
                if field.contains('"') {
                    return Vec::new();
                }
                (field.to_owned(), after)
            }
        };
        fields.push(field);
        match after.strip_prefix(',') {
            Some(more) => rest = more,
            None => return fields,
        }
    }
}

/// A field behind its first quote, and what follows its last.
fn quoted_field(text: &str) -> Option<(String, &str)> {
    let mut field = String::new();
    let mut rest = text;
    loop {
        let (before, after) = rest.split_once('"')?;
        field.push_str(before);
        match after.strip_prefix('"') {
            Some(more) => {
                field.push('"');
                rest = more;
            }
            None if after.is_empty() || after.starts_with([',', '\n']) => return Some((field, after)),
            None => return None,
        }
    }
}

/// Names between commas, without blanks and quotes around them.
pub(super) fn names(list: &str) -> Vec<String> {
    list.split(',')
        .map(|name| name.trim_matches(|c: char| c.is_whitespace() || c == '"' || c == '\''))
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_names() {
        for (list, go, here) in [
            ("a,b", vec!["a", "b"], vec!["a", "b"]),
            ("a, b", vec!["a", " b"], vec!["a", "b"]),
            ("\"a\",b", vec!["a", "b"], vec!["a", "b"]),
            ("\"a,b\"", vec!["a,b"], vec!["a", "b"]),
            ("\"a\"\"b\"", vec!["a\"b"], vec!["a\"\"b"]),
            (" \"a\",b", vec![], vec!["a", "b"]),
            ("\"a\" ,b", vec![], vec!["a", "b"]),
            ("\"a", vec![], vec!["a"]),
            ("'a'", vec!["'a'"], vec!["a"]),
            ("\na,\nb", vec!["a", ""], vec!["a", "b"]),
            ("a\nb", vec!["a"], vec!["a\nb"]),
            ("", vec![], vec![]),
            (",", vec!["", ""], vec![]),
        ] {
            assert_eq!(first_line(list), go, "{list}");
            assert_eq!(names(list), here, "{list}");
        }
    }
}
