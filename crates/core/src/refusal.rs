//! A request that is refused, and why.

use alloc::string::String;

use crate::error::ReadError;
use crate::message::message;
use crate::settings::Problems;

/// Why a request is refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum RefusalReason {
    /// The object could not be read.
    Unreadable,
    /// The pod's own namespace is another one than the request's.
    NamespaceMismatch,
    /// The role is malformed.
    InvalidRole,
    /// The role is not allowed.
    RoleNotAllowed,
    /// A look-up gave no answer.
    LookupUnknown,
    /// The pod does not carry what it should.
    Unverified,
    /// The settings are malformed.
    Settings,
}

/// A request is refused.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Refusal {
    /// The HTTP status code.
    pub code: u16,
    /// Why, from a closed set.
    pub reason: RefusalReason,
    /// Why, ready to be shown.
    pub message: String,
}

impl Refusal {
    #[cold]
    pub(crate) fn unreadable(what: &str, error: &ReadError) -> Self {
        let message = message("{=} could not be read: {=}", &[what, &error.message()]);
        Self { code: 400, reason: RefusalReason::Unreadable, message }
    }

    #[cold]
    pub(crate) fn settings(problems: &Problems) -> Self {
        let message = message("the settings are malformed: {=}", &[&problems.message()]);
        Self { code: 500, reason: RefusalReason::Settings, message }
    }
}
