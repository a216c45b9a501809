//! Reads an input: YAML documents, each perhaps with directives in the comments above it.

use serde_json::Value;

use crate::{
    client::Identity,
    error::{Error, Result},
};

/// A document and what to do with it.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    /// What to do.
    pub verb: Verb,
    /// The subresource it is done to, such as `ephemeralcontainers` or `binding`.
    pub subresource: Option<String>,
    /// Whether as a server-side dry run.
    pub dry_run: bool,
    /// As whom; the cluster's administrator when `None`.
    pub identity: Option<Identity>,
    /// The version of the review that is recorded.
    pub review: ReviewVersion,
    /// The object.
    pub object: Value,
}

/// What to do with a document.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verb {
    /// POST.
    Create,
    /// PUT.
    Update,
    /// DELETE.
    Delete,
    /// POST to a subresource that opens a connection, such as `exec`.
    Connect,
}

/// A version of `admission.k8s.io`.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum ReviewVersion {
    /// `v1`.
    #[default]
    V1,
    /// `v1beta1`.
    V1Beta1,
}

impl Document {
    /// A member of the object that is a string, by JSON pointer.
    pub fn text(&self, pointer: &str) -> Option<&str> {
        self.object.pointer(pointer).and_then(Value::as_str)
    }

    /// The object's kind.
    pub fn kind(&self) -> &str {
        self.text("/kind").unwrap_or_default()
    }

    /// The namespace that it names, or `default`.
    pub fn namespace(&self) -> &str {
        self.text("/metadata/namespace").unwrap_or("default")
    }

    /// The object's name, if it has one.
    pub fn name(&self) -> Option<&str> {
        self.text("/metadata/name")
    }

    /// Whether it creates an object, rather than something below one.
    pub fn creates(&self) -> bool {
        self.verb == Verb::Create && self.subresource.is_none()
    }

    /// Whether it creates the object of that kind and name.
    pub fn creates_object(&self, kind: &str, name: &str) -> bool {
        self.creates() && !self.dry_run && self.kind() == kind && self.name() == Some(name)
    }
}

/// Reads all documents of an input.
///
/// Directives stand in the comment lines above a document's first line, one or several to a line, with commas
/// between them:
///
/// - `create` (the default), `create SUBRESOURCE`, `binding` (short for `create binding`)
/// - `update`, `update SUBRESOURCE`
/// - `delete`
/// - `connect SUBRESOURCE`
/// - `dry-run`
/// - `as USER [GROUP]...`
/// - `review v1beta1`
///
/// Any other comment is a comment, unless its first word is one of these: then it is a mistake.
///
/// # Errors
///
/// Names the document and what is wrong with it.
pub fn read(input: &str) -> Result<Vec<Document>> {
    let mut documents = Vec::new();
    for (index, text) in split(input).into_iter().enumerate() {
        let failed = |message: String| Error::Input(format!("document {}: {message}", index + 1));
        if let Some(document) = read_one(&text).map_err(failed)? {
            documents.push(document);
        }
    }
    if documents.is_empty() { Err(Error::Input("no document".to_owned())) } else { Ok(documents) }
}

fn split(input: &str) -> Vec<String> {
    let mut documents = vec![String::new()];
    for line in input.lines() {
        let after =
            line.strip_prefix("---").filter(|after| after.is_empty() || after.starts_with([' ', '\t']));
        let text = after.map_or(line, str::trim_start);
        if after.is_some() {
            documents.push(String::new());
        }
        if let Some(document) = documents.last_mut() {
            document.push_str(text);
            document.push('\n');
        }
    }
    documents
}

fn read_one(text: &str) -> std::result::Result<Option<Document>, String> {
    let lines = || text.lines().map(str::trim_end);
    if lines().all(|line| line.is_empty() || line.starts_with('#')) {
        return Ok(None);
    }
    // Kubernetes reads YAML 1.1: `0644` is octal.
    let options = serde_saphyr::options! { legacy_octal_numbers: true };
    let object: Value =
        serde_saphyr::from_str_with_options(text, options).map_err(|error| error.to_string())?;
    let mut document = Document {
        verb: Verb::Create,
        subresource: None,
        dry_run: false,
        identity: None,
        review: ReviewVersion::V1,
        object,
    };
    let head = lines().take_while(|line| line.is_empty() || line.starts_with('#'));
    for line in head.filter_map(|line| line.strip_prefix('#')) {
        direct(&mut document, line)?;
    }
    for pointer in ["/apiVersion", "/kind"] {
        if document.text(pointer).is_none_or(str::is_empty) {
            return Err(format!("`{pointer}` is missing"));
        }
    }
    if document.name().is_none() && document.text("/metadata/generateName").is_none() {
        return Err("it has neither `metadata.name` nor `metadata.generateName`".to_owned());
    }
    if document.name().is_none() && !document.creates() {
        return Err("`metadata.name` is missing".to_owned());
    }
    Ok(Some(document))
}

fn direct(document: &mut Document, line: &str) -> std::result::Result<(), String> {
    const FIRST_WORDS: [&str; 8] =
        ["create", "update", "delete", "connect", "binding", "dry-run", "as", "review"];
    if !line.split([' ', ',']).find(|word| !word.is_empty()).is_some_and(|word| FIRST_WORDS.contains(&word)) {
        return Ok(());
    }
    for directive in line.split(',') {
        let words: Vec<&str> = directive.split_whitespace().collect();
        let mut verb = |verb, subresource: Option<&&str>| {
            document.verb = verb;
            document.subresource = subresource.map(|&name| name.to_owned());
        };
        match words.as_slice() {
            ["create", subresource @ ..] if subresource.len() < 2 => verb(Verb::Create, subresource.first()),
            ["update", subresource @ ..] if subresource.len() < 2 => verb(Verb::Update, subresource.first()),
            ["connect", subresource] => verb(Verb::Connect, Some(subresource)),
            ["delete"] => verb(Verb::Delete, None),
            ["binding"] => verb(Verb::Create, Some(&"binding")),
            ["dry-run"] => document.dry_run = true,
            ["as", user, groups @ ..] => document.identity = Some(identity(user, groups)),
            ["review", "v1"] => document.review = ReviewVersion::V1,
            ["review", "v1beta1"] => document.review = ReviewVersion::V1Beta1,
            _ => {
                return Err(format!(
                    "`# {}` is no directive: expected create, update, delete, connect, binding, dry-run, as, review",
                    line.trim()
                ));
            }
        }
    }
    Ok(())
}

fn identity(user: &str, groups: &[&str]) -> Identity {
    let mut groups: Vec<String> = groups.iter().map(|&group| group.to_owned()).collect();
    if groups.is_empty() && user.starts_with("system:node:") {
        groups.push("system:nodes".to_owned());
    }
    Identity { user: user.to_owned(), groups }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{ReviewVersion, Verb, read};

    #[test]
    fn reads_documents_and_directives() {
        let input = "\
# A licence, say.
---
# Why this case is here.

apiVersion: v1
kind: ServiceAccount
metadata: {name: app, namespace: shop}
---
# update ephemeralcontainers, dry-run

# as system:node:worker-1
# review v1beta1
apiVersion: v1
kind: Pod
metadata:
  # delete
  name: app
spec: {volumes: [{name: x, secret: {secretName: y, defaultMode: 0644}}], on: yes}
--- # binding
kind: Binding
apiVersion: v1
metadata: {name: app}
";
        let documents = read(input).unwrap();
        let [account, pod, binding] = documents.as_slice() else { panic!("{documents:?}") };
        assert_eq!((account.verb, account.namespace(), account.name()), (Verb::Create, "shop", Some("app")));
        assert!(account.creates() && account.identity.is_none() && !account.dry_run);

        assert_eq!((pod.verb, pod.subresource.as_deref()), (Verb::Update, Some("ephemeralcontainers")));
        assert_eq!((pod.dry_run, pod.review), (true, ReviewVersion::V1Beta1));
        let identity = pod.identity.as_ref().unwrap();
        assert_eq!(identity.groups, ["system:nodes"]);
        assert_eq!(pod.object.pointer("/spec/volumes/0/secret/defaultMode"), Some(&json!(0o644)));
        assert_eq!(pod.namespace(), "default");

        assert_eq!((binding.verb, binding.subresource.as_deref()), (Verb::Create, Some("binding")));
    }

    #[test]
    fn says_what_is_wrong() {
        let error = |input: &str| read(input).unwrap_err().to_string();
        let head = "kind: Pod\napiVersion: v1\n";
        assert!(error("").contains("no document"));
        assert!(error(&format!("# update a b\n{head}metadata: {{name: a}}\n")).contains("is no directive"));
        assert!(error(&format!("{head}metadata: {{}}\n")).contains("document 1: it has neither"));
        assert!(
            error(&format!("# delete\n{head}metadata: {{generateName: a-}}\n")).contains("metadata.name")
        );
        assert!(error("metadata: {name: a}\nkind: Pod\n").contains("`/apiVersion` is missing"));
        assert!(error("a: [").contains("document 1"));
    }
}
