//! An admission request
//! (<https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/#request>).

use alloc::boxed::Box;

use crate::error::{Fault, ReadError};
use crate::json::{Arena, Scanner, members};
use crate::settings::{Problems, Settings};

/// What is being done to an object.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Operation {
    /// It is made.
    Create,
    /// It is changed.
    Update,
    /// Something else.
    Other,
}

/// What a request is about, as far as it is served.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Subject {
    /// `CREATE` of `pods`.
    Pod,
    /// `UPDATE` of `pods/ephemeralcontainers`.
    EphemeralContainers,
    /// `CREATE` or `UPDATE` of `serviceaccounts`.
    ServiceAccount,
    /// Anything else.
    Other,
}

/// What a host is handed: an `AdmissionReview`, or the envelope in which policy-server hands a request and the
/// settings to a policy.
#[derive(Clone, Debug)]
pub struct Review<'a> {
    /// Which version of the review it is; absent in an envelope.
    pub api_version: Option<&'a str>,
    /// `AdmissionReview`; absent in an envelope.
    pub kind: Option<&'a str>,
    /// The request.
    pub request: Option<Request<'a>>,
    /// The settings, a document of its own, and what is wrong with them; absent in a review. In a box, so that the stack of a
    /// policy fits into a page.
    pub settings: Option<Box<(Settings<'a>, Problems)>>,
}

members!(ReviewMember { Kind: "kind", ApiVersion: "apiVersion", Request: "request", Settings: "settings" });

impl<'a> Review<'a> {
    /// Reads a whole document.
    ///
    /// # Errors
    ///
    /// When it is not JSON, nested too deep, or not of this shape.
    pub fn read(text: &'a str, arena: &'a Arena) -> Result<Self, Box<ReadError>> {
        #[cfg(not(target_arch = "wasm32"))]
        arena.outline(text);
        let mut s = Scanner::new(text, arena);
        let mut review = Self { api_version: None, kind: None, request: None, settings: None };
        let Some(mut members) = s.object(ReviewMember::NAMES) else {
            s.fail(Fault::Type { expected: "an object", found: "null" });
            return s.result(review);
        };
        while let Some(member) = members.next(&mut s).and_then(ReviewMember::at) {
            match member {
                ReviewMember::ApiVersion => review.api_version = s.optional_string(),
                ReviewMember::Kind => review.kind = s.optional_string(),
                ReviewMember::Request => review.request = Request::read(&mut s, arena),
                ReviewMember::Settings => {
                    review.settings = Some(Box::new(s.document(|s| Settings::read_from(s, arena))))
                }
            }
        }
        s.result(review)
    }
}

/// What is read of a request. Its objects stay text.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// What the answer is to repeat.
    pub uid: &'a str,
    /// The namespace of the object.
    pub namespace: &'a str,
    /// What the request is about.
    pub subject: Subject,
    /// The object as it would be stored.
    pub object: Option<&'a str>,
    /// The object as it is stored.
    pub old_object: Option<&'a str>,
    /// Where texts are kept that are made for this request.
    pub(crate) arena: &'a Arena,
}

// Older hosts write some of them in another form.
members!(RequestMember {
    Uid: "uid",
    Resource: "resource",
    SubResource: "subResource",
    OlderSubResource: "sub_resource",
    Namespace: "namespace",
    Operation: "operation",
    Object: "object",
    OldObject: "oldObject",
    OlderOldObject: "old_object",
});

impl<'a> Request<'a> {
    /// Reads a request; `None` for `null`.
    fn read(s: &mut Scanner<'a>, arena: &'a Arena) -> Option<Self> {
        let (mut uid, mut namespace, mut operation) = ("", "", Operation::Other);
        let (mut resource, mut sub_resource) = (Resource::default(), None);
        let (mut object, mut old_object) = (None, None);
        let mut members = s.object(RequestMember::NAMES)?;
        while let Some(member) = members.next(s).and_then(RequestMember::at) {
            match member {
                RequestMember::Uid => uid = s.text(),
                RequestMember::Namespace => namespace = s.text(),
                RequestMember::Operation => {
                    operation = match s.optional_string() {
                        Some("CREATE") => Operation::Create,
                        Some("UPDATE") => Operation::Update,
                        _ => Operation::Other,
                    }
                }
                RequestMember::Resource => resource = Resource::read(s),
                RequestMember::SubResource | RequestMember::OlderSubResource => {
                    sub_resource = s.optional_string().filter(|name| !name.is_empty()).or(sub_resource);
                }
                RequestMember::Object => object = Some(s.skip_first()).filter(|text| *text != "null"),
                RequestMember::OldObject | RequestMember::OlderOldObject => {
                    old_object = Some(s.skip_first()).filter(|text| *text != "null")
                }
            }
        }
        let subject = resource.subject(operation, sub_resource);
        Some(Self { uid, namespace, subject, object, old_object, arena })
    }
}

members!(ResourceMember { Group: "group", Resource: "resource" });

#[derive(Default)]
struct Resource<'a> {
    group: &'a str,
    resource: &'a str,
}

impl<'a> Resource<'a> {
    fn read(s: &mut Scanner<'a>) -> Self {
        let mut resource = Self::default();
        if let Some(mut members) = s.object(ResourceMember::NAMES) {
            while let Some(member) = members.next(s).and_then(ResourceMember::at) {
                match member {
                    ResourceMember::Group => resource.group = s.text(),
                    ResourceMember::Resource => resource.resource = s.text(),
                }
            }
        }
        resource
    }

    fn subject(&self, operation: Operation, sub_resource: Option<&str>) -> Subject {
        if !self.group.is_empty() {
            return Subject::Other;
        }
        match (self.resource, sub_resource, operation) {
            ("pods", None, Operation::Create) => Subject::Pod,
            ("pods", Some("ephemeralcontainers"), Operation::Update) => Subject::EphemeralContainers,
            ("serviceaccounts", None, Operation::Create | Operation::Update) => Subject::ServiceAccount,
            _ => Subject::Other,
        }
    }
}
