//! Role ARNs (<https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html#identifiers-arns>).

use crate::ascii::{cut, parts};
use crate::json::Arena;
use crate::message::message;

/// Why a text is no role ARN, and what was expected.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ArnError {
    /// It does not have the six parts of an ARN.
    NotAnArn,
    /// The partition is not `aws` or `aws-` and lower-case words.
    Partition,
    /// The service is not `iam`.
    Service,
    /// IAM is global: the region must be empty.
    Region,
    /// The account does not have 12 digits.
    Account,
    /// The resource is not a role.
    Resource,
    /// The role has no name.
    NameMissing,
    /// The role's name is longer than 64 characters.
    NameTooLong,
    /// The role's name holds a character that IAM does not allow.
    NameCharacter,
    /// The role's path holds a blank or something outside printable ASCII.
    PathCharacter,
}

impl ArnError {
    /// What was expected.
    #[must_use]
    pub fn expected(self) -> &'static str {
        match self {
            Self::NotAnArn => {
                "expected `arn:<partition>:iam::<account>:role/<name>` (`composeRoleArn` completes a bare name)"
            }
            Self::Partition => "the partition must be `aws` or `aws-` and lower-case words",
            Self::Service => "the service must be `iam`",
            Self::Region => "the region must be empty",
            Self::Account => "the account must have 12 digits",
            Self::Resource => "the resource must be `role/` and a name",
            Self::NameMissing => "the role must have a name",
            Self::NameTooLong => "the role's name must have at most 64 characters",
            Self::NameCharacter => "the role's name must consist of letters, digits and `_+=,.@-`",
            Self::PathCharacter => "the role's path must be printable ASCII without blanks",
        }
    }
}

/// Checks that a text is the ARN of an IAM role.
///
/// # Errors
///
/// Says what is wrong with it.
pub fn check_role_arn(text: &str) -> Result<(), ArnError> {
    let mut rest = text;
    let mut part = || {
        let (part, after) = cut(rest, b':')?;
        rest = after;
        Some(part)
    };
    let (Some("arn"), Some(partition), Some(service), Some(region), Some(account)) =
        (part(), part(), part(), part(), part())
    else {
        return Err(ArnError::NotAnArn);
    };
    let resource = rest;
    if !is_partition(partition) {
        return Err(ArnError::Partition);
    }
    if service != "iam" {
        return Err(ArnError::Service);
    }
    if !region.is_empty() {
        return Err(ArnError::Region);
    }
    if !is_account_id(account) {
        return Err(ArnError::Account);
    }
    let path_and_name = resource.strip_prefix("role/").ok_or(ArnError::Resource)?;
    let name_at = path_and_name.bytes().rposition(|b| b == b'/').map_or(0, |slash| slash + 1);
    let (path, name) = path_and_name.split_at_checked(name_at).unwrap_or_default();
    if name.is_empty() {
        return Err(ArnError::NameMissing);
    }
    if !name.bytes().all(is_name_character) {
        return Err(ArnError::NameCharacter);
    }
    if name.len() > 64 {
        return Err(ArnError::NameTooLong);
    }
    if !path.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(ArnError::PathCharacter);
    }
    Ok(())
}

fn is_name_character(byte: u8) -> bool {
    matches!(byte, b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'+' | b'=' | b',' | b'.' | b'@' | b'-')
}

/// An AWS account id: 12 digits.
#[must_use]
pub fn is_account_id(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit())
}

/// An AWS partition: `aws`, or `aws-` and lower-case words.
#[must_use]
pub fn is_partition(text: &str) -> bool {
    text.strip_prefix("aws").is_some_and(|words| {
        words.is_empty()
            || words.strip_prefix('-').is_some_and(|words| {
                parts(words, b"-")
                    .all(|word| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase()))
            })
    })
}

/// The partition that a region belongs to, by the prefix of its name
/// (<https://github.com/aws/aws-sdk-go-v2/blob/main/internal/endpoints/awsrulesfn/partitions.json>).
#[must_use]
pub fn partition_of_region(region: &str) -> &'static str {
    const PARTITIONS: &[(&str, &str)] = &[
        ("cn-", "aws-cn"),
        ("us-gov-", "aws-us-gov"),
        ("us-iso-", "aws-iso"),
        ("us-isob-", "aws-iso-b"),
        ("eu-isoe-", "aws-iso-e"),
        ("us-isof-", "aws-iso-f"),
        ("eusc-", "aws-eusc"),
    ];
    PARTITIONS.iter().find(|(prefix, _)| region.starts_with(prefix)).map_or("aws", |(_, partition)| partition)
}

/// What a bare role name is completed with.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ComposeRoleArn<'a> {
    /// 12 digits.
    pub account_id: &'a str,
    /// Such as `aws` or `aws-cn`.
    pub partition: &'a str,
}

impl ComposeRoleArn<'_> {
    /// Completes a role name or a path and name, one leading `/` dropped. What begins with `arn:` is left: a
    /// mistyped ARN must not become the path of a well-formed one.
    #[must_use]
    pub fn complete<'r>(&self, role: &'r str, arena: &'r Arena) -> &'r str {
        if role.starts_with("arn:") {
            return role;
        }
        let name = role.strip_prefix('/').unwrap_or(role);
        arena.keep(&message("arn:{=}:iam::{=}:role/{=}", &[self.partition, self.account_id, name]))
    }
}
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn role_arns() {
        let long = format!("arn:aws:iam::111122223333:role/{}", "a".repeat(65));
        let longest = format!("arn:aws:iam::111122223333:role/team/{}", "a".repeat(64));
        for (text, expected) in [
            ("arn:aws:iam::111122223333:role/api", Ok(())),
            ("arn:aws-cn:iam::111122223333:role/api", Ok(())),
            ("arn:aws-iso-b:iam::111122223333:role/api", Ok(())),
            ("arn:aws:iam::111122223333:role/team/api", Ok(())),
            ("arn:aws:iam::111122223333:role/arn:x/api", Ok(())),
            ("arn:aws:iam::111122223333:role/A9_+=,.@-", Ok(())),
            (&longest, Ok(())),
            (&long, Err(ArnError::NameTooLong)),
            ("api", Err(ArnError::NotAnArn)),
            ("arn:aws:iam::111122223333", Err(ArnError::NotAnArn)),
            ("ARN:aws:iam::111122223333:role/api", Err(ArnError::NotAnArn)),
            ("arn::iam::111122223333:role/api", Err(ArnError::Partition)),
            ("arn:aws-:iam::111122223333:role/api", Err(ArnError::Partition)),
            ("arn:awsx:iam::111122223333:role/api", Err(ArnError::Partition)),
            ("arn:aws-CN:iam::111122223333:role/api", Err(ArnError::Partition)),
            ("arn:aws:sts::111122223333:role/api", Err(ArnError::Service)),
            ("arn:aws:iam:eu-west-1:111122223333:role/api", Err(ArnError::Region)),
            ("arn:aws:iam::123:role/x", Err(ArnError::Account)),
            ("arn:aws:iam::11112222333a:role/x", Err(ArnError::Account)),
            ("arn:aws:iam::111122223333:user/x", Err(ArnError::Resource)),
            ("arn:aws:iam::111122223333:role/", Err(ArnError::NameMissing)),
            ("arn:aws:iam::111122223333:role/team/", Err(ArnError::NameMissing)),
            ("arn:aws:iam::111122223333:role/a b", Err(ArnError::NameCharacter)),
            ("arn:aws:iam::111122223333:role/é", Err(ArnError::NameCharacter)),
            ("arn:aws:iam::111122223333:role/a b/c", Err(ArnError::PathCharacter)),
        ] {
            assert_eq!(check_role_arn(text), expected, "{text}");
        }
    }

    #[test]
    fn bare_names_are_completed() {
        let compose = ComposeRoleArn { account_id: "111122223333", partition: "aws-cn" };
        for (role, expected) in [
            ("api", "arn:aws-cn:iam::111122223333:role/api"),
            ("/api", "arn:aws-cn:iam::111122223333:role/api"),
            ("team/api", "arn:aws-cn:iam::111122223333:role/team/api"),
            ("//api", "arn:aws-cn:iam::111122223333:role//api"),
            ("arn:aws:iam::1:role/api", "arn:aws:iam::1:role/api"),
            ("team/arn:x", "arn:aws-cn:iam::111122223333:role/team/arn:x"),
        ] {
            assert_eq!(compose.complete(role, &Arena::default()), expected);
        }
    }

    #[test]
    fn partitions() {
        for (region, partition) in [
            ("eu-west-1", "aws"),
            ("cn-north-1", "aws-cn"),
            ("us-gov-west-1", "aws-us-gov"),
            ("us-iso-east-1", "aws-iso"),
            ("us-isob-east-1", "aws-iso-b"),
            ("eu-isoe-west-1", "aws-iso-e"),
            ("us-isof-south-1", "aws-iso-f"),
            ("eusc-de-east-1", "aws-eusc"),
            ("", "aws"),
        ] {
            assert_eq!(partition_of_region(region), partition);
            assert!(is_partition(partition));
        }
    }
}
