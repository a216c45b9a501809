//! The part of the settings that this policy knows.

use std::collections::HashMap;

use kubewarden_policy_sdk::settings::Validatable;
use serde::{Deserialize, Serialize};

/// Fields and defaults as those of the policy that this one is compared with.
#[derive(Debug, Deserialize, Serialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Settings {
    /// Roles by `namespace/serviceaccount`.
    pub(crate) mapping: HashMap<String, String>,
    pub(crate) token_audience: String,
    pub(crate) token_expiration: i64,
    pub(crate) token_mount_path: String,
    pub(crate) token_volume_name: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            mapping: HashMap::new(),
            token_audience: "sts.amazonaws.com".to_owned(),
            token_expiration: 86_400,
            token_mount_path: "/var/run/secrets/eks.amazonaws.com/serviceaccount".to_owned(),
            token_volume_name: "aws-iam-token".to_owned(),
        }
    }
}

impl Validatable for Settings {
    fn validate(&self) -> Result<(), String> {
        match self.mapping.iter().find(|(_, role)| !role.starts_with("arn:")) {
            Some((key, role)) => Err(format!("mapping `{key}`: `{role}` is not a role ARN")),
            None => Ok(()),
        }
    }
}
