//! An API server that knows any number of ServiceAccounts and nothing else: lists in pages, streams them as a watch, or
//! gives one. For more of them than a real one can be filled with in minutes.

use std::{
    io::{self, BufRead as _, BufReader, BufWriter, Write},
    net::{Ipv4Addr, TcpListener, TcpStream},
    ops::Range,
    sync::Arc,
    thread,
};

use crate::{cluster::LAST_NAMESPACE, inputs};

/// ServiceAccounts in a namespace.
const PER_NAMESPACE: usize = 1000;
const COLLECTION: &str = "/api/v1/serviceaccounts";

/// Listens until the process ends.
pub(crate) struct SimulatedApiServer {
    url: String,
}

/// What it knows: a number of ServiceAccounts, then those of [`LAST_NAMESPACE`], which have roles.
#[derive(Clone, Debug)]
pub(crate) struct Accounts {
    pub(crate) count: usize,
    /// Of how many one has a role; none without.
    pub(crate) annotate_every: Option<usize>,
    pub(crate) last: Vec<String>,
}

impl SimulatedApiServer {
    pub(crate) fn start(accounts: Accounts) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let url = format!("http://{}", listener.local_addr()?);
        let accounts = Arc::new(accounts);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let accounts = Arc::clone(&accounts);
                // It ends with the connection.
                thread::spawn(move || serve(&stream, &accounts));
            }
        });
        Ok(Self { url })
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }
}

fn serve(stream: &TcpStream, accounts: &Accounts) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut lines = BufReader::new(stream).lines();
    let mut output = BufWriter::with_capacity(1 << 16, stream);
    while let Some(line) = lines.next() {
        let line = line?;
        let target = line.split(' ').nth(1).unwrap_or_default();
        // Nothing that is served has a body.
        for header in lines.by_ref() {
            if header?.is_empty() {
                break;
            }
        }
        answer(&mut output, target, accounts)?;
        output.flush()?;
    }
    Ok(())
}

fn answer(output: &mut impl Write, target: &str, accounts: &Accounts) -> io::Result<()> {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let parameter = |name: &str| {
        query
            .split('&')
            .find_map(|pair| pair.split_once('=').filter(|(key, _)| *key == name).map(|(_, value)| value))
    };
    let is = |name: &str| matches!(parameter(name), Some("true" | "1"));
    match path {
        COLLECTION if is("watch") => {
            write!(
                output,
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
            )?;
            if is("sendInitialEvents") {
                for number in 0..accounts.total() {
                    let object = accounts.object(number, true);
                    chunk(output, &format!("{{\"type\":\"ADDED\",\"object\":{object}}}\n"))?;
                }
                chunk(output, &format!("{{\"type\":\"BOOKMARK\",\"object\":{}}}\n", accounts.bookmark()))?;
            }
            // Nothing ever changes: the answer has no end.
            Ok(())
        }
        COLLECTION => {
            let from = parameter("continue").and_then(|number| number.parse().ok()).unwrap_or(0);
            let limit =
                parameter("limit").and_then(|number| number.parse::<usize>().ok()).filter(|limit| *limit > 0);
            let to = limit.map_or(accounts.total(), |limit| accounts.total().min(from + limit));
            page(output, accounts, from..to)
        }
        _ => {
            let name = path
                .strip_prefix("/api/v1/namespaces/")
                .and_then(|rest| rest.split_once("/serviceaccounts/"));
            let number = name.and_then(|(namespace, name)| accounts.number(namespace, name));
            match number {
                Some(number) => whole(output, "200 OK", &accounts.object(number, true)),
                None => whole(
                    output,
                    "404 Not Found",
                    r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"not found","reason":"NotFound","code":404}"#,
                ),
            }
        }
    }
}

fn page(output: &mut impl Write, accounts: &Accounts, range: Range<usize>) -> io::Result<()> {
    write!(
        output,
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    )?;
    let rest = accounts.total().saturating_sub(range.end);
    let more = match rest {
        0 => String::new(),
        _ => format!(r#","continue":"{}","remainingItemCount":{rest}"#, range.end),
    };
    let (start, version) = (range.start, accounts.version());
    chunk(
        output,
        &format!(
            r#"{{"kind":"ServiceAccountList","apiVersion":"v1","metadata":{{"resourceVersion":"{version}"{more}}},"items":["#
        ),
    )?;
    for number in range {
        let comma = if number == start { "" } else { "," };
        chunk(output, &format!("{comma}{}", accounts.object(number, false)))?;
    }
    chunk(output, "]}")?;
    write!(output, "0\r\n\r\n")
}

fn chunk(output: &mut impl Write, text: &str) -> io::Result<()> {
    write!(output, "{:x}\r\n{text}\r\n", text.len())
}

fn whole(output: &mut impl Write, status: &str, body: &str) -> io::Result<()> {
    let length = body.len();
    write!(
        output,
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    )
}

impl Accounts {
    fn total(&self) -> usize {
        self.count + self.last.len()
    }

    fn version(&self) -> usize {
        self.total() + 1000
    }

    fn name(&self, number: usize) -> (String, String) {
        match number.checked_sub(self.count).and_then(|index| self.last.get(index)) {
            Some(name) => (LAST_NAMESPACE.to_owned(), name.clone()),
            None => (format!("team-{:04}", number / PER_NAMESPACE), format!("app-{number:07}")),
        }
    }

    fn number(&self, namespace: &str, name: &str) -> Option<usize> {
        let number = match self.last.iter().position(|last| last == name) {
            Some(index) => self.count + index,
            None => name.strip_prefix("app-")?.parse().ok().filter(|number| *number < self.count)?,
        };
        (self.name(number).0 == namespace).then_some(number)
    }

    /// As a real API server prints one that `kubectl create` made.
    fn object(&self, number: usize, typed: bool) -> String {
        let (namespace, name) = self.name(number);
        let kind = if typed { r#""kind":"ServiceAccount","apiVersion":"v1","# } else { "" };
        let annotated =
            number >= self.count || self.annotate_every.is_some_and(|every| number.is_multiple_of(every));
        let annotations = match annotated {
            true => format!(
                r#","annotations":{{"eks.amazonaws.com/role-arn":"{}"}},"managedFields":[{{"manager":"kubectl-create","operation":"Update","apiVersion":"v1","time":"2026-01-15T09:30:00Z","fieldsType":"FieldsV1","fieldsV1":{{"f:metadata":{{"f:annotations":{{".":{{}},"f:eks.amazonaws.com/role-arn":{{}}}}}}}}}}]"#,
                inputs::role(&name)
            ),
            false => String::new(),
        };
        format!(
            r#"{{{kind}"metadata":{{"name":"{name}","namespace":"{namespace}","uid":"00000000-0000-4000-8000-{number:012}","resourceVersion":"{}","creationTimestamp":"2026-01-15T09:30:00Z"{annotations}}}}}"#,
            number + 500
        )
    }

    /// <https://kubernetes.io/docs/reference/using-api/api-concepts/#streaming-lists>
    fn bookmark(&self) -> String {
        format!(
            r#"{{"kind":"ServiceAccount","apiVersion":"v1","metadata":{{"resourceVersion":"{}","creationTimestamp":null,"annotations":{{"k8s.io/initial-events-end":"true"}}}}}}"#,
            self.version()
        )
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn accounts() -> Accounts {
        Accounts { count: 3, annotate_every: Some(2), last: vec!["api".to_owned()] }
    }

    /// The body, without the framing.
    fn ask(target: &str) -> String {
        let mut output = Vec::new();
        answer(&mut output, target, &accounts()).unwrap();
        let text = String::from_utf8(output).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        if !head.contains("chunked") {
            return body.to_owned();
        }
        body.split("\r\n").skip(1).step_by(2).collect()
    }

    fn names(list: &Value) -> Vec<&str> {
        let items = list["items"].as_array().unwrap();
        items.iter().map(|item| item["metadata"]["name"].as_str().unwrap()).collect()
    }

    #[test]
    fn pages_make_up_the_list() {
        let whole: Value = serde_json::from_str(&ask(COLLECTION)).unwrap();
        assert_eq!(names(&whole), ["app-0000000", "app-0000001", "app-0000002", "api"]);
        let first: Value = serde_json::from_str(&ask(&format!("{COLLECTION}?limit=3"))).unwrap();
        assert_eq!(
            (names(&first), &first["metadata"]),
            (
                vec!["app-0000000", "app-0000001", "app-0000002"],
                &json!({"resourceVersion": "1004", "continue": "3", "remainingItemCount": 1})
            )
        );
        let second: Value = serde_json::from_str(&ask(&format!("{COLLECTION}?limit=3&continue=3"))).unwrap();
        assert_eq!((names(&second), &second["metadata"]), (vec!["api"], &json!({"resourceVersion": "1004"})));
    }

    #[test]
    fn a_watch_begins_with_what_is_there() {
        let events = ask(&format!("{COLLECTION}?watch=true&sendInitialEvents=true"));
        let events: Vec<Value> = events.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let types: Vec<&str> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
        assert_eq!(types, ["ADDED", "ADDED", "ADDED", "ADDED", "BOOKMARK"]);
        assert_eq!(ask(&format!("{COLLECTION}?watch=1")), "");
    }

    #[test]
    fn one_is_found_by_its_name() {
        let role = |path: &str| {
            let object: Value = serde_json::from_str(&ask(path)).unwrap();
            (object["code"].clone(), object.pointer("/metadata/annotations").is_some())
        };
        let found = (Value::Null, true);
        assert_eq!(role("/api/v1/namespaces/zzz/serviceaccounts/api"), found);
        assert_eq!(role("/api/v1/namespaces/team-0000/serviceaccounts/app-0000002"), found);
        assert_eq!(role("/api/v1/namespaces/team-0000/serviceaccounts/app-0000001"), (Value::Null, false));
        let missing = (json!(404), false);
        assert_eq!(role("/api/v1/namespaces/other/serviceaccounts/api"), missing);
        assert_eq!(role("/api/v1/namespaces/team-0000/serviceaccounts/app-0000009"), missing);
        assert_eq!(role("/version"), missing);
    }
}
