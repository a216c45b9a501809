//! The instance metadata service (<https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instance-identity-documents.html>).

/// The account of an instance, and the partition of its region.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct InstanceIdentity {
    /// 12 digits.
    pub account_id: String,
    /// Such as `aws` or `aws-cn`.
    pub partition: &'static str,
}
