//! What a mapping says of a service account.

use alloc::borrow::ToOwned;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use crate::account::out_of_bounds;
use crate::arn;
use crate::ascii::holds;
use crate::json::{Arena, Value, members};
use crate::message::message;
use crate::names;
use crate::settings::{Object, Place, Problems, Settings, Take, expected, is_default, repeated};
use crate::url::PlainHttp;
use crate::values::{self, Region, TokenExpiration};

use super::Pair;
use super::template::expand;

/// An entry that matches. What it does not say is left to the settings.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Entry<'a> {
    /// The key under which it stands.
    pub key: &'a str,
    /// The role, filled in and completed; without one the entry gives none, and stops less exact keys.
    pub role: Option<&'a str>,
    /// The audience of the token.
    pub audience: Option<&'a str>,
    /// Whether to use regional STS endpoints.
    pub sts_regional_endpoints: Option<bool>,
    /// How long the token is valid.
    pub token_expiration: Option<TokenExpiration>,
    /// The region for the SDKs.
    pub region: Option<Region<'a>>,
    /// Another STS endpoint. Only the settings may set it.
    pub sts_endpoint_url: Option<&'a str>,
    /// Roles for single containers, by name.
    pub containers: Vec<(&'a str, &'a str)>,
}

members!(Field {
    RoleArn: "roleArn",
    Audience: "audience",
    StsRegionalEndpoints: "stsRegionalEndpoints",
    TokenExpiration: "tokenExpiration",
    Region: "region",
    StsEndpointUrl: "stsEndpointUrl",
    Containers: "containers",
});

/// What was left out or ignored in a config map, ready to be shown.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Notices(pub(crate) Vec<String>);

impl Notices {
    pub(super) fn left_out(&mut self, key: &str, why: &str) {
        self.0.push(message("entry `{}` is left out: {=}", &[key, why]));
    }

    fn clamped(&mut self, key: &str, field: &str, text: &str, to: TokenExpiration) {
        let text = out_of_bounds(text, to.seconds());
        self.0.push(message("field `{=}` of entry `{}`: {=}", &[field, key, &text]));
    }

    fn bad(&mut self, key: &str, field: &str, text: &str, expected: &str) {
        self.0.push(message(
            "field `{=}` of entry `{}` is ignored: `{}` is not {=}",
            &[field, key, text, expected],
        ));
    }

    fn ignored(&mut self, key: &str, field: &str, why: &str) {
        self.0.push(message("field `{}` of entry `{}` is ignored: {=}", &[field, key, why]));
    }
}

impl<'a> Entry<'a> {
    /// Reads an entry of the settings; everything that is wrong with it is a problem.
    pub(super) fn read_settings(
        key: &'a str,
        value: Value<'a>,
        settings: &Settings<'a>,
        pair: Pair<'_>,
        place: &Place<'_>,
        problems: &mut Problems,
        arena: &'a Arena,
    ) -> Option<Box<Self>> {
        let mut entry = Box::new(Self { key, ..Self::default() });
        let before = problems.len();
        match value {
            Value::Object(object) => {
                let mut object = Object::new(object, arena);
                while let Some((i, place, value)) = object.next_known(Field::NAMES, place, problems) {
                    if let Some(field) = Field::at(i) {
                        entry.set(field, value, settings, pair, &place, problems, arena);
                    }
                }
                object.report(place, problems);
            }
            value => entry.role = checked_role(value, settings, pair, place, problems, arena),
        }
        (problems.len() == before).then_some(entry)
    }

    #[allow(clippy::too_many_arguments, reason = "what is set, for whom, and where to report")]
    fn set(
        &mut self,
        field: Field,
        value: Value<'a>,
        settings: &Settings<'a>,
        pair: Pair<'_>,
        place: &Place<'_>,
        problems: &mut Problems,
        arena: &'a Arena,
    ) {
        let mut take = Take { place, problems };
        match field {
            Field::RoleArn => self.role = checked_role(value, settings, pair, place, problems, arena),
            Field::Audience => {
                self.audience = take.optional_text(value, values::is_audience, values::AUDIENCE);
                if let Some(audience) = self.audience
                    && !settings.allows_audience(audience)
                {
                    problems.add(
                        place,
                        message("expected an audience from `allowedAudiences`, found `{}`", &[audience]),
                    );
                }
            }
            Field::StsRegionalEndpoints => self.sts_regional_endpoints = take.optional_bool(value),
            Field::TokenExpiration => self.token_expiration = take.expiration(value),
            Field::Region => self.region = take.region(value),
            Field::StsEndpointUrl => {
                self.sts_endpoint_url = take.endpoint(value, PlainHttp::LoopbackOrCluster)
            }
            Field::Containers => {
                if let Some(object) = take.object(value) {
                    let mut object = Object::new(object, arena);
                    while let Some((container, value)) = object.next() {
                        let place = place.member(container);
                        if !names::is_dns_label(container) {
                            problems.add(&place, "expected the name of a container".to_owned());
                        } else if let Some(role) =
                            checked_role(value, settings, pair, &place, problems, arena)
                        {
                            self.containers.push((container, role));
                        }
                    }
                    object.report(place, problems);
                }
            }
        }
    }

    /// Reads an entry of a config map. A malformed one is left out; a bad value, or a field that is not known
    /// or not allowed there, is ignored. Both are noted.
    pub(super) fn read_config_map(
        key: &'a str,
        value: Value<'a>,
        settings: &Settings<'a>,
        pair: Pair<'_>,
        notices: &mut Notices,
        arena: &'a Arena,
    ) -> Option<Box<Self>> {
        match Self::try_config_map(key, value, settings, pair, notices, arena) {
            Ok(entry) => Some(entry),
            Err(why) => {
                notices.left_out(key, &why);
                None
            }
        }
    }

    fn try_config_map(
        key: &'a str,
        value: Value<'a>,
        settings: &Settings<'a>,
        pair: Pair<'_>,
        notices: &mut Notices,
        arena: &'a Arena,
    ) -> Result<Box<Self>, String> {
        let mut entry = Box::new(Self { key, ..Self::default() });
        let object = match value {
            Value::Object(object) => object,
            value => {
                entry.role = plain_role(value, settings, pair, arena)?;
                return Ok(entry);
            }
        };
        let mut malformed = None;
        let mut known = Vec::new();
        let mut object = Object::new(object, arena);
        while let Some((name, value)) = object.next() {
            known.extend(canonical(name));
            if malformed.is_none() {
                malformed = entry.set_from_config_map(name, value, settings, pair, notices, arena).err();
            }
        }
        object.names().map_err(|error| error.message())?;
        if let Some(field) = repeated(known).first() {
            return Err(message(
                "field `{=}` stands there twice, perhaps in kOps' spelling too: expected once",
                &[field],
            ));
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
        arena: &'a Arena,
    ) -> Result<(), String> {
        let Some(field) = canonical(name) else {
            notices.ignored(self.key, name, "unknown field");
            return Ok(());
        };
        if is_default(&value) {
            return Ok(());
        }
        let wrong =
            |what: &str, value: &Value<'_>| message("field `{}`: {=}", &[name, &expected(what, value)]);
        match field {
            "roleArn" => {
                self.role = plain_role(value, settings, pair, arena)
                    .map_err(|why| message("field `{}`: {=}", &[name, &why]))?;
            }
            "audience" => match value {
                Value::String(audience) if !values::is_audience(audience) => {
                    notices.bad(self.key, name, audience, values::AUDIENCE);
                }
                Value::String(audience) if !settings.allows_audience(audience) => {
                    notices.bad(self.key, name, audience, "one of `allowedAudiences`");
                }
                Value::String(audience) => self.audience = Some(audience),
                value => return Err(wrong("an audience", &value)),
            },
            "stsRegionalEndpoints" => match value {
                Value::Bool(regional) => self.sts_regional_endpoints = Some(regional),
                value => return Err(wrong("`true` or `false` without quotes", &value)),
            },
            "tokenExpiration" => {
                let seconds = match value {
                    // Go writes a number that nobody set as 0, and kOps does so.
                    Value::Number("0") | Value::String("0") if name != field => return Ok(()),
                    Value::Number(text) | Value::String(text) => text,
                    value => return Err(wrong("a whole number of seconds", &value)),
                };
                match TokenExpiration::clamped(seconds) {
                    Some(found) => {
                        self.token_expiration = Some(found.value);
                        if found.clamped {
                            notices.clamped(self.key, name, seconds, found.value);
                        }
                    }
                    None => notices.bad(self.key, name, seconds, "a whole number of seconds"),
                }
            }
            "region" => match value {
                Value::String(text) => match Region::parse(text) {
                    Some(region) => self.region = Some(region),
                    None => notices.bad(self.key, name, text, Region::EXPECTED),
                },
                value => return Err(wrong(Region::EXPECTED, &value)),
            },
            "stsEndpointUrl" => {
                notices.ignored(self.key, name, "only the settings may say where tokens are sent");
            }
            _ => match value {
                Value::Object(object) => {
                    let mut malformed = None;
                    let mut object = Object::new(object, arena);
                    while let Some((container, value)) = object.next() {
                        match plain_role(value, settings, pair, arena) {
                            Ok(Some(role)) => self.containers.push((container, role)),
                            Ok(None) => {}
                            Err(why) => malformed = Some(message("field `{}`: {=}", &[name, &why])),
                        }
                    }
                    let names = object.names().map_err(|error| error.message())?;
                    if let Some(container) = repeated(names).first() {
                        return Err(message(
                            "container `{}` stands there twice, expected once",
                            &[container],
                        ));
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
        name => Field::NAMES.iter().map(|field| field.text).find(|field| *field == name),
    }
}

/// A role with its template filled in, completed when it is a bare name.
fn plain_role<'a>(
    value: Value<'a>,
    settings: &Settings<'a>,
    pair: Pair<'_>,
    arena: &'a Arena,
) -> Result<Option<&'a str>, String> {
    match value {
        Value::String(text) => {
            let role = expand(text, &settings.variables, pair, arena).map_err(|error| error.message())?;
            Ok(Some(settings.role(role, arena)).filter(|role| !role.is_empty()))
        }
        Value::Null => Ok(None),
        value => Err(expected("a role in quotes", &value)),
    }
}

fn is_template(role: &Value<'_>) -> bool {
    matches!(role, Value::String(text) if holds(text, b"{"))
}

/// A role of the settings: what is malformed whatever it is filled with is a problem.
fn checked_role<'a>(
    value: Value<'a>,
    settings: &Settings<'a>,
    pair: Pair<'_>,
    place: &Place<'_>,
    problems: &mut Problems,
    arena: &'a Arena,
) -> Option<&'a str> {
    match plain_role(value, settings, pair, arena) {
        Ok(role) => {
            // How long a template grows is known with the pod only: that is `onInvalidIdentity`'s to decide.
            if let Some(Err(error)) = role.map(arn::check_role_arn)
                && !(error == arn::ArnError::NameTooLong && is_template(&value))
            {
                problems.add(
                    place,
                    message("`{}` is not a role ARN: {=}", &[role.unwrap_or_default(), error.expected()]),
                );
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
pub(super) fn each_role<'a>(value: Value<'a>, arena: &'a Arena, on_role: &mut dyn FnMut(&str)) {
    match value {
        Value::String(role) => on_role(role),
        Value::Object(object) => {
            let mut object = Object::new(object, arena);
            while let Some(member) = object.next() {
                if let ("roleArn", Value::String(role)) = member {
                    on_role(role);
                }
            }
        }
        _ => {}
    }
}
