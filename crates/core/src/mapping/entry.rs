//! What a mapping says of a service account.

use std::borrow::Cow;

use crate::account::Escaped;
use crate::arn;
use crate::json::Value;
use crate::names;
use crate::settings::{Place, Problems, Settings, Take, each_member, expected, is_default, object_fields};
use crate::url::PlainHttp;
use crate::values::{self, Region, TokenExpiration};

use super::Pair;
use super::template::expand;

/// An entry that matches. What it does not say is left to the settings.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Entry<'a> {
    /// The key under which it stands.
    pub key: Cow<'a, str>,
    /// The role, filled in and completed; without one the entry gives none, and stops less exact keys.
    pub role: Option<Cow<'a, str>>,
    /// The audience of the token.
    pub audience: Option<Cow<'a, str>>,
    /// Whether to use regional STS endpoints.
    pub sts_regional_endpoints: Option<bool>,
    /// How long the token is valid.
    pub token_expiration: Option<TokenExpiration>,
    /// The region for the SDKs.
    pub region: Option<Region<'a>>,
    /// Another STS endpoint. Only the settings may set it.
    pub sts_endpoint_url: Option<Cow<'a, str>>,
    /// Roles for single containers, by name.
    pub containers: Vec<(Cow<'a, str>, Cow<'a, str>)>,
}

const FIELDS: &[&str] =
    &["roleArn", "audience", "stsRegionalEndpoints", "tokenExpiration", "region", "stsEndpointUrl", "containers"];

/// What was left out or ignored in a config map, ready to be shown.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Notices(pub(crate) Vec<String>);

impl Notices {
    pub(super) fn left_out(&mut self, key: &str, why: &str) {
        self.0.push(format!("entry `{}` is left out: {why}", Escaped(key)));
    }

    fn clamped(&mut self, key: &str, field: &str, text: &str, to: TokenExpiration) {
        let (key, text) = (Escaped(key), Escaped(text));
        self.0.push(format!("field `{field}` of entry `{key}`: `{text}` is out of bounds, {} is used", to.seconds()));
    }

    fn ignored(&mut self, key: &str, field: &str, why: &str) {
        self.0.push(format!("field `{}` of entry `{}` is ignored: {why}", Escaped(field), Escaped(key)));
    }
}

impl<'a> Entry<'a> {
    /// Reads an entry of the settings; everything that is wrong with it is a problem.
    pub(super) fn read_settings(
        key: Cow<'a, str>,
        value: Value<'a>,
        settings: &Settings<'a>,
        pair: Pair<'_>,
        place: &Place<'_>,
        problems: &mut Problems,
    ) -> Option<Self> {
        let mut entry = Self { key, ..Self::default() };
        let before = problems.len();
        match value {
            Value::Object(object) => {
                object_fields(object, place, problems, FIELDS, &mut |name, value, place, problems| {
                    entry.set(name, value, settings, pair, place, problems);
                });
            }
            value => entry.role = checked_role(value, settings, pair, place, problems),
        }
        (problems.len() == before).then_some(entry)
    }

    fn set(
        &mut self,
        name: &str,
        value: Value<'a>,
        settings: &Settings<'a>,
        pair: Pair<'_>,
        place: &Place<'_>,
        problems: &mut Problems,
    ) {
        let mut take = Take { place, problems };
        match name {
            "roleArn" => self.role = checked_role(value, settings, pair, place, problems),
            "audience" => {
                self.audience = take.optional_text(value, values::is_audience, "an audience in printable ASCII without blanks");
                if let Some(audience) = &self.audience
                    && !settings.allows_audience(audience)
                {
                    problems.add(place, format!("expected an audience from `allowedAudiences`, found `{}`", Escaped(audience)));
                }
            }
            "stsRegionalEndpoints" => self.sts_regional_endpoints = take.optional_bool(value),
            "tokenExpiration" => self.token_expiration = take.expiration(value),
            "region" => self.region = take.region(value),
            "stsEndpointUrl" => self.sts_endpoint_url = take.endpoint(value, PlainHttp::LoopbackOrCluster),
            _ => {
                if let Some(object) = take.object(value) {
                    let members = each_member(object, &mut |container, value| {
                        let place = place.member(&container);
                        if !names::is_dns_label(&container) {
                            problems.add(&place, "expected the name of a container".to_owned());
                        } else if let Some(role) = checked_role(value, settings, pair, &place, problems) {
                            self.containers.push((container, role));
                        }
                    });
                    match members {
                        Ok(names) => {
                            for name in crate::settings::repeated(names) {
                                problems.add(&place.member(&name), "stands there twice, expected once".to_owned());
                            }
                        }
                        Err(error) => problems.add(place, error.to_string()),
                    }
                }
            }
        }
    }

    /// Reads an entry of a config map. A malformed one is left out; a bad value, or a field that is not known
    /// or not allowed there, is ignored. Both are noted.
    pub(super) fn read_config_map(
        key: Cow<'a, str>,
        value: Value<'a>,
        settings: &Settings<'a>,
        pair: Pair<'_>,
        notices: &mut Notices,
    ) -> Option<Self> {
        match Self::try_config_map(key.clone(), value, settings, pair, notices) {
            Ok(entry) => Some(entry),
            Err(why) => {
                notices.left_out(&key, &why);
                None
            }
        }
    }

    fn try_config_map(
        key: Cow<'a, str>,
        value: Value<'a>,
        settings: &Settings<'a>,
        pair: Pair<'_>,
        notices: &mut Notices,
    ) -> Result<Self, String> {
        let object = match value {
            Value::Object(object) => object,
            value => return Ok(Self { role: plain_role(value, settings, pair)?, key, ..Self::default() }),
        };
        let mut entry = Self { key, ..Self::default() };
        let mut malformed = None;
        let names = each_member(object, &mut |name, value| {
            if malformed.is_none() {
                malformed = entry.set_from_config_map(&name, value, settings, pair, notices).err();
            }
        })
        .map_err(|error| error.to_string())?;
        let canonical = names.into_iter().map(|name| Cow::Borrowed(canonical(&name).unwrap_or_default()));
        let known = canonical.filter(|name| !name.is_empty()).collect();
        if let Some(name) = crate::settings::repeated(known).first() {
            return Err(format!("field `{name}` stands there twice, expected once"));
        }
        malformed.map_or(Ok(entry), Err)
    }

    fn set_from_config_map(
        &mut self,
        name: &str,
        value: Value<'a>,
        settings: &Settings<'a>,
        pair: Pair<'_>,
        notices: &mut Notices,
    ) -> Result<(), String> {
        let Some(field) = canonical(name) else {
            notices.ignored(&self.key, name, "unknown field");
            return Ok(());
        };
        if is_default(&value) {
            return Ok(());
        }
        let wrong = |what: &str, value: &Value<'_>| format!("field `{name}`: {}", expected(what, value));
        match field {
            "roleArn" => {
                self.role = plain_role(value, settings, pair).map_err(|why| format!("field `{name}`: {why}"))?;
            }
            "audience" => match value {
                Value::String(audience) if !values::is_audience(&audience) => {
                    notices.ignored(&self.key, name, "expected an audience in printable ASCII without blanks");
                }
                Value::String(audience) if !settings.allows_audience(&audience) => {
                    notices.ignored(&self.key, name, "expected an audience from `allowedAudiences`");
                }
                Value::String(audience) => self.audience = Some(audience),
                value => return Err(wrong("an audience", &value)),
            },
            "stsRegionalEndpoints" => match value {
                Value::Bool(regional) => self.sts_regional_endpoints = Some(regional),
                value => return Err(wrong("`true` or `false`", &value)),
            },
            "tokenExpiration" => {
                let seconds = match &value {
                    // Go writes a number that nobody set as 0, and kOps does so.
                    Value::Number("0") if name != field => return Ok(()),
                    Value::Number(text) => *text,
                    Value::String(text) => text,
                    value => return Err(wrong("a whole number of seconds", value)),
                };
                match TokenExpiration::clamped(seconds) {
                    Some(found) => {
                        self.token_expiration = Some(found.value);
                        if found.clamped {
                            notices.clamped(&self.key, name, seconds, found.value);
                        }
                    }
                    None => notices.ignored(&self.key, name, "expected a whole number of seconds"),
                }
            }
            "region" => match value {
                Value::String(text) => match Region::parse(text) {
                    Some(region) => self.region = Some(region),
                    None => notices.ignored(&self.key, name, "expected a region such as `eu-west-1`, or `none`"),
                },
                value => return Err(wrong(Region::EXPECTED, &value)),
            },
            "stsEndpointUrl" => {
                notices.ignored(&self.key, name, "only the settings may say where tokens are sent");
            }
            _ => match value {
                Value::Object(object) => {
                    let mut malformed = None;
                    let names = each_member(object, &mut |container, value| match plain_role(value, settings, pair) {
                        Ok(Some(role)) => self.containers.push((container, role)),
                        Ok(None) => {}
                        Err(why) => malformed = Some(format!("field `{name}`: {why}")),
                    })
                    .map_err(|error| error.to_string())?;
                    if let Some(container) = crate::settings::repeated(names).first() {
                        return Err(format!("container `{}` stands there twice, expected once", Escaped(container)));
                    }
                    return malformed.map_or(Ok(()), Err);
                }
                value => return Err(wrong("an object", &value)),
            },
        }
        Ok(())
    }
}

/// The field that a name in a config map means: kOps writes the names of Go's struct
/// (<https://github.com/kubernetes/kops/tree/master/upup/models/cloudup/resources/addons/eks-pod-identity-webhook.addons.k8s.io>).
fn canonical(name: &str) -> Option<&'static str> {
    match name {
        "RoleARN" => Some("roleArn"),
        "Audience" => Some("audience"),
        "UseRegionalSTS" => Some("stsRegionalEndpoints"),
        "TokenExpiration" => Some("tokenExpiration"),
        name => FIELDS.iter().copied().find(|field| *field == name),
    }
}

/// A role with its template filled in, completed when it is a bare name.
fn plain_role<'a>(
    value: Value<'a>,
    settings: &Settings<'a>,
    pair: Pair<'_>,
) -> Result<Option<Cow<'a, str>>, String> {
    match value {
        Value::String(text) => {
            let role = expand(text, &settings.variables, pair).map_err(|error| error.to_string())?;
            Ok(Some(settings.role(role)).filter(|role| !role.is_empty()))
        }
        Value::Null => Ok(None),
        value => Err(expected("a role", &value)),
    }
}

/// A role of the settings: what is malformed whatever it is filled with is a problem.
fn checked_role<'a>(
    value: Value<'a>,
    settings: &Settings<'a>,
    pair: Pair<'_>,
    place: &Place<'_>,
    problems: &mut Problems,
) -> Option<Cow<'a, str>> {
    let is_template = matches!(&value, Value::String(text) if text.contains('{'));
    match plain_role(value, settings, pair) {
        Ok(role) => {
            // How long a template grows is known with the pod only: that is `onInvalidIdentity`'s to decide.
            if let Some(Err(error)) = role.as_deref().map(arn::check_role_arn)
                && !(is_template && error == arn::ArnError::NameTooLong)
            {
                problems.add(place, format!("`{}` {error}", Escaped(role.as_deref().unwrap_or_default())));
            }
            role
        }
        Err(why) => {
            problems.add(place, why);
            None
        }
    }
}

/// Calls back for each role that an entry names, as it is written.
pub(super) fn each_role(value: &Value<'_>, on_role: &mut dyn FnMut(&str)) {
    match value {
        Value::String(role) => on_role(role),
        Value::Object(object) => {
            let members = each_member(object, &mut |name, value| {
                if matches!(&*name, "roleArn") && matches!(value, Value::String(_)) {
                    each_role(&value, on_role);
                }
            });
            // The text was checked when the settings were read.
            drop(members);
        }
        _ => {}
    }
}
