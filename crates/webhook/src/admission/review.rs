//! The envelope of an `AdmissionReview`
//! (<https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/#request>).

use std::borrow::Cow;

use pod_identity_core::{Request, Review};
use serde::Deserialize;

const KIND: &str = "AdmissionReview";

/// Versions of reviews, both of which are answered as they were asked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Version {
    V1,
    V1beta1,
}

impl Version {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::V1 => "admission.k8s.io/v1",
            Self::V1beta1 => "admission.k8s.io/v1beta1",
        }
    }

    /// The version of a review; absent or empty is v1.
    fn of(api_version: Option<&str>, kind: Option<&str>) -> Result<Self, &'static str> {
        if !matches!(kind, None | Some("" | KIND)) {
            return Err("expected `kind` to be `AdmissionReview`");
        }
        match api_version {
            None | Some("" | "admission.k8s.io/v1") => Ok(Self::V1),
            Some("admission.k8s.io/v1beta1") => Ok(Self::V1beta1),
            Some(_) => Err("expected `apiVersion` to be `admission.k8s.io/v1` or `admission.k8s.io/v1beta1`"),
        }
    }
}

/// The version and the request of a review, or why it is none that can be answered.
pub(super) fn request<'r, 'a>(review: &'r Review<'a>) -> Result<(Version, &'r Request<'a>), &'static str> {
    let version = Version::of(review.api_version, review.kind)?;
    match &review.request {
        Some(request) if !request.uid.is_empty() => Ok((version, request)),
        Some(_) => Err("expected `request.uid`, found none"),
        None => Err("expected an AdmissionReview with a `request`, found none"),
    }
}

/// What is read of a review whose request cannot be: enough to answer it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Envelope<'a> {
    #[serde(borrow, default)]
    api_version: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow)]
    request: EnvelopeRequest<'a>,
}

#[derive(Deserialize)]
struct EnvelopeRequest<'a> {
    #[serde(borrow)]
    uid: Cow<'a, str>,
}

/// The version and the uid of a review whose request cannot be read, such as one that is nested too deep. `None`
/// when not even these are there: then it is no review.
#[cold]
pub(super) fn envelope(text: &str) -> Option<(Version, String)> {
    let envelope: Envelope<'_> = serde_json::from_str(text).ok()?;
    let version = Version::of(envelope.api_version.as_deref(), envelope.kind.as_deref()).ok()?;
    let uid = envelope.request.uid.into_owned();
    (!uid.is_empty()).then_some((version, uid))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_read_is_answered_as_long_as_it_is_a_review() {
        let deep = |head: &str| {
            format!(
                "{{{head}\"request\":{{\"uid\":\"u\",\"object\":{}{}}}}}",
                "[".repeat(200),
                "]".repeat(200)
            )
        };
        let found = Some((Version::V1, "u".to_owned()));
        assert_eq!(envelope(&deep("")), found);
        assert_eq!(envelope(&deep(r#""kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","#)), found);
        assert_eq!(
            envelope(&deep(r#""apiVersion":"admission.k8s.io/v1beta1","#)),
            Some((Version::V1beta1, "u".to_owned()))
        );
        for other in [
            deep(r#""kind":"Pod","#),
            deep(r#""apiVersion":"admission.k8s.io/v2","#),
            r#"{"request":{"uid":""}}"#.to_owned(),
            r#"{"request":{"uid":1}}"#.to_owned(),
            r#"{"request":null}"#.to_owned(),
            r#"{"request":{"uid":"u"}"#.to_owned(),
            "[]".to_owned(),
            String::new(),
        ] {
            assert_eq!(envelope(&other), None, "{other}");
        }
    }
}
