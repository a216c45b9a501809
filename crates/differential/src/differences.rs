//! The differences that are meant: a closed list, from which the documentation is made.

/// A list of named differences, each with what it is made of.
macro_rules! differences {
    ($($variant:ident $name:literal { go: $go:literal, here: $here:literal, why: $why:literal })*) => {
        /// A named difference between the Go webhook and this software.
        #[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
        pub(crate) enum Difference {
            $(#[doc = $here] $variant,)*
        }

        impl Difference {
            /// In the order in which they explain a pod: who it is first, then what it is given.
            pub(crate) const ALL: &[Self] = &[$(Self::$variant,)*];

            pub(crate) fn text(self) -> Text {
                match self {
                    $(Self::$variant => Text { name: $name, go: $go, here: $here, why: $why },)*
                }
            }
        }
    };
}

/// What is said of a difference.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Text {
    pub(crate) name: &'static str,
    pub(crate) go: &'static str,
    pub(crate) here: &'static str,
    pub(crate) why: &'static str,
}

differences! {
    // What is read
    WrongTypes "wrong-types" {
        go: "refuses a pod in which any field has a type that it does not expect",
        here: "reads a dozen fields, and refuses wrong types only there",
        why: "the API server has checked the rest, perhaps by newer rules"
    }
    RepeatedKeys "repeated-keys" {
        go: "takes the last of two equal keys",
        here: "refuses the pod, where the key is one that is read",
        why: "two readers of the same text must not see two pods"
    }
    KeysInAnyCase "keys-in-any-case" {
        go: "reads `ServiceAccountName` as `serviceAccountName`; so in entries of the ConfigMap",
        here: "keys have the case that Kubernetes gives them",
        why: "the API server knows no others, so nothing else would act on them"
    }
    OtherRequests "other-requests" {
        go: "mutates any object that it is sent, whatever the operation",
        here: "serves `CREATE` of `pods`; everything else is admitted unchanged",
        why: "the API server refuses such changes of a pod that runs"
    }
    Bounds "bounds" {
        go: "reads a pod of any depth and length",
        here: "refuses a review that is nested more than 64 levels deep, and a pod with more than 1,000 containers",
        why: "work and memory stay bounded whatever the author of a pod writes"
    }
    EphemeralContainers "ephemeral-containers" {
        go: "does not know ephemeral containers",
        here: "`UPDATE` of `pods/ephemeralcontainers`: new ones get variables and the mount, when the pod has the volume",
        why: "a debugging container without the identity debugs something else"
    }
    NamespaceMismatch "namespace-mismatch" {
        go: "ignores a namespace in the pod that is not the request's",
        here: "refuses the pod",
        why: "nobody knows which of the two is meant"
    }
    MirrorPods "mirror-pods" {
        go: "mutates mirror pods",
        here: "leaves them alone",
        why: "the API server refuses mirror pods with a token volume"
    }
    SkipLabel "skip-label" {
        go: "leaves the label `<prefix>/skip-pod-identity-webhook` to the registration's selector",
        here: "the label counts wherever the request comes from",
        why: "a registration that was written by hand may lack the selector"
    }
    DeprecatedServiceAccount "deprecated-service-account" {
        go: "reads `spec.serviceAccountName` only",
        here: "`spec.serviceAccount` counts when the other is not there",
        why: "Kubernetes still reads it"
    }

    // Who the pod is
    IdentityGlobs "identity-globs" {
        go: "an entry of the identities file names one ServiceAccount",
        here: "`*` and `?` are wildcards",
        why: "one entry for a ServiceAccount that every namespace has"
    }
    MappingGlobs "mapping-globs" {
        go: "`*/name` is the only wildcard of the ConfigMap",
        here: "`*` and `?` anywhere in a key; the most exact key wins",
        why: "one entry for a family of namespaces"
    }
    MappingSlashes "mapping-slashes" {
        go: "the key `a/b/c` counts as `a/b`",
        here: "such a key is left out, and reported",
        why: "a mistake that gives somebody a role"
    }
    EntryForms "entry-forms" {
        go: "one entry of another form, such as a text, and none of the ConfigMap is read",
        here: "a role as a text is an entry; a malformed entry is left out alone, and reported",
        why: "one team's mistake must not take every other team's role"
    }
    EntryFieldTwice "entry-field-twice" {
        go: "takes the last of two spellings of a field",
        here: "leaves such an entry out, and reports it",
        why: "which one comes last is not something to see in a JSON object"
    }
    EntryFields "entry-fields" {
        go: "knows `RoleARN`, `Audience`, `UseRegionalSTS` and `TokenExpiration`",
        here: "also `stsRegionalEndpoints` and `region`",
        why: "one spelling for the settings and for the ConfigMap"
    }
    EntryDefaults "entry-defaults" {
        go: "an entry without an audience gives a token without one; without `UseRegionalSTS` it switches the flag off",
        here: "what an entry does not say is left to the flags",
        why: "STS refuses a token without an audience"
    }
    EntryExpiration "entry-expiration" {
        go: "takes an entry's expiration as it is",
        here: "within 600 and 4294967296 seconds, and reported when it was not",
        why: "the API server refuses the pod otherwise"
    }
    RoleTemplates "role-templates" {
        go: "gives `{namespace}` in an entry's role as it stands there",
        here: "fills in `{namespace}` and `{serviceAccount}`; an entry with an unknown name is left out",
        why: "one entry for every namespace, a role for each"
    }
    BlanksInRoles "blanks-in-roles" {
        go: "keeps blanks around a role, and gives a role of blanks",
        here: "blanks are cut off; what is left empty is no role",
        why: "STS refuses them, and YAML adds them without being asked"
    }
    RolePerContainer "role-per-container" {
        go: "one role for a pod",
        here: "also `<prefix>/role-arn.<container>`, and `containers` of an entry",
        why: "a sidecar rarely needs the role of the application"
    }
    ManagedAnnotations "managed-annotations" {
        go: "takes what `annotateServiceAccounts` wrote for the ServiceAccount's own",
        here: "an annotation that still is as `<prefix>/managed-annotations` records it counts as the mapping that it came from",
        why: "a role that is taken out of the mapping is gone"
    }
    AccountValuesWithMapping "account-values-with-mapping" {
        go: "ignores the ServiceAccount's annotations when the role comes from the ConfigMap",
        here: "its audience, expiration and regional STS count, before the entry's",
        why: "the more specific source decides, one value at a time"
    }
    BadAudience "bad-audience" {
        go: "takes any audience as it is, also an empty one",
        here: "blanks around it are cut off; one that is empty or no printable ASCII counts as absent, and is reported",
        why: "STS refuses them"
    }
    HighestExpiration "highest-expiration" {
        go: "an expiration has no upper limit, and none above 9223372036854775807 is a number",
        here: "at most 4294967296 seconds, and reported when it was more",
        why: "the API server refuses the pod otherwise"
    }
    CredentialsWithoutAccount "credentials-without-account" {
        go: "container credentials for a ServiceAccount that it does not hold: no flags, but the ConfigMap's expiration and regional STS",
        here: "the flags for expiration and regional STS count, and the ConfigMap does not",
        why: "what a pod gets must not depend on what a cache holds at that moment"
    }
    AnyDayIsSpread "any-day-is-spread" {
        go: "spreads every expiration of 86400 seconds of container credentials",
        here: "spreads only one that nobody set",
        why: "who asks for a day gets a day"
    }
    SpreadByHash "spread-by-hash" {
        go: "draws the spread expiration anew for each request",
        here: "takes it from a hash of the namespace and the pod's name",
        why: "the same request always gets the same answer"
    }
    RegionAnnotation "region-annotation" {
        go: "knows the region as a flag only",
        here: "`<prefix>/region` on the pod or the ServiceAccount decides; `none` gives no region",
        why: "clusters span regions, and some pods bring their own"
    }

    // Which containers
    SkipListForm "skip-list-form" {
        go: "reads `skip-containers` as the first line of a CSV file: blanks belong to a name, one quote in the wrong place and nobody is skipped",
        here: "names between commas, without the blanks and quotes around them",
        why: "`app, sidecar` means what it says"
    }
    SkipListOfAccount "skip-list-of-account" {
        go: "reads `skip-containers` of the pod only",
        here: "the ServiceAccount's list counts too",
        why: "injected sidecars are the same for all pods"
    }
    IncludeContainers "include-containers" {
        go: "has no such list",
        here: "`<prefix>/include-containers` serves those containers only",
        why: "a list of those who need a role stays right when a sidecar is added"
    }

    // What they are given
    WindowsByOs "windows-by-os" {
        go: "knows Windows by a node selector",
        here: "`spec.os.name` decides, then node selectors, then required node affinity",
        why: "Kubernetes asks for `spec.os.name`"
    }
    WindowsDrive "windows-drive" {
        go: "puts `C:` before every path on Windows",
        here: "not before a path that names a drive",
        why: "`C:D:\\aws` is no path"
    }
    VolumeByContent "volume-by-content" {
        go: "knows the token's volume by its name",
        here: "by its content: another volume of that name is not mounted, and a volume with the right token under another name is",
        why: "an `emptyDir` of that name holds no token"
    }
    CompleteContainers "complete-containers" {
        go: "adds no mount to a container that defines all variables",
        here: "adds it, unless the token's path leads elsewhere",
        why: "the path alone does not make a token"
    }
    CompletePairs "complete-pairs" {
        go: "adds role and token path only when neither is defined",
        here: "adds the one that is missing",
        why: "half an identity is none"
    }
    TakenPath "taken-path" {
        go: "mounts a second time where something else is mounted",
        here: "gives that container no identity, and says so",
        why: "the API server refuses two mounts at one path, and what is there is no token"
    }
    ServedPath "served-path" {
        go: "mounts a second time where a volume with the right token is mounted under another name",
        here: "leaves the mount as it is",
        why: "the API server refuses two mounts at one path"
    }
    MountedElsewhere "mounted-elsewhere" {
        go: "adds no mount when the volume is mounted anywhere",
        here: "mounts it at the path that the variable names",
        why: "the SDK would look for the token in vain"
    }
    TokenFileElsewhere "token-file-elsewhere" {
        go: "mounts the volume though the container's own variable names another path",
        here: "adds no mount",
        why: "nobody would read it"
    }
    VolumeUnmounted "volume-unmounted" {
        go: "adds the volume though no container mounts it",
        here: "adds it with a mount only",
        why: "a token that nobody asked for"
    }
    VolumeOrder "volume-order" {
        go: "puts the volume first",
        here: "puts it last",
        why: "patches of others name volumes by their place"
    }
    LabelUnserved "label-unserved" {
        go: "labels a pod for EKS Pod Identity though no container is given anything",
        here: "labels it when one is",
        why: "the label says that the pod uses it"
    }
    LabelKept "label-kept" {
        go: "overwrites the label `eks.amazonaws.com/pod-identity`",
        here: "leaves another value, and says so",
        why: "only additions"
    }

    // How it is sent
    TypedContainers "typed-containers" {
        go: "writes all containers anew from its own types: fields that it does not know and empty ones are gone, `resources: {}` comes",
        here: "adds to the text: every field stays",
        why: "a webhook must not undo what a newer API server knows"
    }
    NeedlessPatch "needless-patch" {
        go: "sends a patch that changes nothing",
        here: "sends none",
        why: "the API server would do its work twice"
    }
}

/// What is different too, but cannot be seen in the answer to a review, or only at the right moment.
pub(crate) const ELSEWHERE: &[Text] = &[
    Text {
        name: "missing-account",
        go: "a ServiceAccount that is not in the cache yet: unchanged, unless a grace period is set",
        here: "one live read, within a grace period of a second",
        why: "a pod that comes right after its ServiceAccount gets its identity",
    },
    Text {
        name: "config-map-changes",
        go: "a key without `/` or a `null` entry ends the process; after a malformed document old entries stay",
        here: "left out alone, and reported; a document is replaced as a whole",
        why: "one mistake must not stop admission",
    },
    Text {
        name: "identities-file",
        go: "reads its keys in any case",
        here: "in their own case",
        why: "one rule for all documents",
    },
    Text {
        name: "composed-roles",
        go: "`--compose-role-arn`: an empty role becomes `…:role/`; anything that holds `arn:` is left as it is",
        here: "an empty role is none; only role ARNs are ARNs",
        why: "STS refuses them",
    },
    Text {
        name: "readiness",
        go: "serves before its caches are filled",
        here: "is ready only after",
        why: "pods that come first would go without",
    },
    Text {
        name: "content-type",
        go: "refuses `application/json; charset=utf-8`, and reads bodies without limit",
        here: "takes it; at most 8 MiB",
        why: "parameters of a media type change nothing",
    },
    Text {
        name: "unreadable-bodies",
        go: "answers a body that is no AdmissionReview with `allowed: false`",
        here: "with HTTP 400, so that the failure policy decides",
        why: "it is no request that could be refused",
    },
    Text {
        name: "http-2",
        go: "offers HTTP/2",
        here: "HTTP/1.1 only",
        why: "that is what the API server speaks to webhooks",
    },
    Text {
        name: "metrics",
        go: "latency in microseconds; series of the certificate manager and of Go; counters that count on no change",
        here: "one histogram in seconds, and the process's series; the webhook's own names count what they say",
        why: "counts are to be trusted",
    },
    Text {
        name: "silence",
        go: "says nothing when a value is bad",
        here: "admission warnings, audit annotations, metrics and logs",
        why: "a pod that quietly falls back to the node's role is the most common complaint",
    },
];

/// Which differences are on this software's side, or were asked about.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Set(u64);

impl Set {
    /// Every difference.
    pub(crate) fn all() -> Self {
        Difference::ALL.iter().fold(Self::default(), |set, difference| set.with(*difference))
    }

    #[must_use]
    pub(crate) fn with(self, difference: Difference) -> Self {
        Self(self.0 | 1 << difference as u64)
    }

    pub(crate) fn holds(self, difference: Difference) -> bool {
        self.0 & 1 << difference as u64 != 0
    }
}

/// The part of the documentation that is made from the lists.
pub(crate) fn document() -> String {
    let table = |texts: &mut dyn Iterator<Item = Text>| {
        let mut table = String::from("| name | the Go webhook | here | why |\n| --- | --- | --- | --- |\n");
        for Text { name, go, here, why } in texts {
            table.push_str(&format!("| `{name}` | {go} | {here} | {why} |\n"));
        }
        table
    };
    format!(
        "{}\n## Not in the answer to a review\n\n{}",
        table(&mut Difference::ALL.iter().map(|difference| difference.text())),
        table(&mut ELSEWHERE.iter().copied())
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEGIN: &str = "<!-- made from crates/differential/src/differences.rs -->\n";

    #[test]
    fn the_documentation_holds_the_lists() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/differences.md");
        let text = std::fs::read_to_string(path).unwrap();
        let (before, after) = text.split_once(BEGIN).unwrap();
        if std::env::var("UPDATE_EXPECTATIONS").is_ok_and(|value| value == "1") {
            std::fs::write(path, format!("{before}{BEGIN}\n{}", document())).unwrap();
        } else {
            assert_eq!(after.trim(), document().trim(), "UPDATE_EXPECTATIONS=1 writes it");
        }
    }

    #[test]
    fn names_are_unique() {
        let mut names: Vec<&str> = Difference::ALL
            .iter()
            .map(|difference| difference.text())
            .chain(ELSEWHERE.iter().copied())
            .map(|text| text.name)
            .collect();
        names.sort_unstable();
        assert!(names.is_sorted_by(|a, b| a < b), "{names:?}");
        assert!(Difference::ALL.len() <= 64);
    }
}
