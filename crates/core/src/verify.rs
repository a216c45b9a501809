//! Checks that a pod carries what it should, without changing anything.

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;

use crate::account::{Account, Reason};
use crate::identity::{Identity, Method};
use crate::json::Arena;
use crate::message::{joined, message};
use crate::path::NormalPath;
use crate::plan::{Target, Token};
use crate::pod::{Container, EnvState, Mount, Pod, Variable};
use crate::refusal::{Refusal, RefusalReason};
use crate::settings::{OnUnverified, Settings};

/// What is checked, and against what.
pub(crate) struct Verification<'v, 'a> {
    pub(crate) pod: &'v Pod<'a>,
    pub(crate) settings: &'a Settings<'a>,
    pub(crate) namespace: &'v str,
    pub(crate) account: &'v mut Account<'a>,
    /// What was found wanting.
    pub(crate) failures: Vec<String>,
    pub(crate) arena: &'a Arena,
}

impl<'a> Verification<'_, 'a> {
    /// Checks the containers that the decision serves.
    pub(crate) fn containers(
        &mut self,
        identity: &Identity<'a>,
        targets: &[Target<'_, 'a>],
    ) -> Result<(), Refusal> {
        let token = Token::new(identity, self.settings, self.pod, self.arena);
        for target in targets {
            let container = target.container;
            match &identity.method {
                Method::WebIdentity(roles) => {
                    if let Some(role) = roles.of(container.name) {
                        self.role(container, role.arn)?;
                    }
                }
                Method::ContainerCredentials(_) => {
                    self.defined(container, Variable::ContainerCredentialsFullUri);
                }
            }
            self.token(container, &token);
        }
        Ok(())
    }

    /// Checks every role that is written into the pod, whoever wrote it.
    pub(crate) fn literal_roles(&mut self) -> Result<(), Refusal> {
        let Some(allowed) = &self.settings.allowed_roles else { return Ok(()) };
        for container in self.pod.all_containers() {
            let role = match container.env(Variable::RoleArn) {
                EnvState::Absent => continue,
                EnvState::Literal(role) => role,
                EnvState::Reference => {
                    self.defined(container, Variable::RoleArn);
                    continue;
                }
            };
            if !allowed
                .allow(self.namespace, role, self.arena)
                .map_err(|problems| Refusal::settings(&problems))?
            {
                self.failures.push(message("container `{}`: `{=}` is `{}`, expected a role that a rule of `allowedRoles` allows in namespace `{}`", &[container.name, Variable::RoleArn.name(), role, self.namespace]));
            }
        }
        Ok(())
    }

    /// Refuses or warns, if anything was found wanting.
    pub(crate) fn conclude(self) -> Result<bool, Refusal> {
        if self.failures.is_empty() {
            return Ok(true);
        }
        match self.settings.on_unverified {
            OnUnverified::Reject => Err(Refusal {
                code: 403,
                reason: RefusalReason::Unverified,
                message: joined(&self.failures, "; "),
            }),
            OnUnverified::Warn => {
                for failure in self.failures {
                    self.account.warn(Reason::Unverified, failure);
                }
                Ok(false)
            }
        }
    }

    fn role(&mut self, container: &Container<'a>, expected: &str) -> Result<(), Refusal> {
        match container.env(Variable::RoleArn) {
            EnvState::Literal(role) if role == expected => {}
            EnvState::Literal(role) => {
                let allowed = match &self.settings.allowed_roles {
                    Some(rules) => rules
                        .allow(self.namespace, role, self.arena)
                        .map_err(|problems| Refusal::settings(&problems))?,
                    None => false,
                };
                // With rules, a role that they do not allow is reported with the literal ones.
                if !allowed && self.settings.allowed_roles.is_none() {
                    self.failures.push(message(
                        "container `{}`: `{=}` is `{}`, expected `{}`",
                        &[container.name, Variable::RoleArn.name(), role, expected],
                    ));
                }
            }
            // With rules, what cannot be checked is reported with the literal ones.
            EnvState::Reference if self.settings.allowed_roles.is_some() => {}
            EnvState::Absent | EnvState::Reference => {
                self.defined(container, Variable::RoleArn);
            }
        }
        Ok(())
    }

    /// Whether a variable is there and can be checked.
    fn defined(&mut self, container: &Container<'a>, variable: Variable) -> bool {
        let (name, variable_name) = (container.name, variable.name());
        match container.env(variable) {
            EnvState::Absent => {
                self.failures
                    .push(message("container `{}`: expected `{=}`, found none", &[name, variable_name]));
                false
            }
            EnvState::Reference => {
                let text = message(
                    "container `{}`: `{=}` cannot be checked, for its value is only known when it runs",
                    &[name, variable_name],
                );
                self.account.warn(Reason::Unverified, text);
                false
            }
            EnvState::Literal(_) => true,
        }
    }

    /// The token file's path has to lead through a mount to a volume with the token.
    fn token(&mut self, container: &Container<'a>, token: &Token<'a>) {
        let variable = token.file_variable();
        if !self.defined(container, variable) {
            return;
        }
        let EnvState::Literal(file) = container.env(variable) else { return };
        let os = self.pod.os();
        let path = NormalPath::new(file, os);
        // The innermost mount hides the others: what is left of the path is the shortest.
        let mut found: Option<(&Mount<'_>, &str)> = None;
        for mount in &container.mounts {
            if let Some(rest) = path.below(&NormalPath::new(mount.path, os))
                && found.is_none_or(|(_, shortest)| rest.len() <= shortest.len())
            {
                found = Some((mount, rest));
            }
        }
        if let Some((mount, _)) = found
            && mount.sub_path_expr
        {
            let name = container.name;
            let text = message(
                "container `{}`: the token's mount cannot be checked, for `subPathExpr` is only known when it runs",
                &[name],
            );
            self.account.warn(Reason::Unverified, text);
            return;
        }
        let served = found.is_some_and(|(mount, rest)| {
            let inside = match mount.sub_path {
                Some(sub_path) => message("{=}/{=}", &[sub_path, rest]),
                None => rest.to_owned(),
            };
            self.pod
                .volumes
                .iter()
                .any(|volume| volume.name == mount.volume && volume.serves(&inside, token.audience, os))
        });
        if !served {
            self.failures.push(message(
                "container `{}`: `{=}` is `{}`, expected the path of a mounted token for `{}`",
                &[container.name, variable.name(), file, token.audience],
            ));
        }
    }
}
