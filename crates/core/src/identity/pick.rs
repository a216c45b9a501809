//! One value of several that may be given, the most specific first.

use crate::account::{Account, Field, Said, Shown, Source};
use crate::values::{Region, TokenExpiration};

/// What comes of a text.
pub(super) enum Parsed<T> {
    Good(T),
    Clamped(T, u64),
    Bad(&'static str),
}

pub(super) fn parse_expiration(text: &str) -> Parsed<TokenExpiration> {
    match TokenExpiration::clamped(text) {
        Some(found) if found.clamped => Parsed::Clamped(found.value, found.value.seconds()),
        Some(found) => Parsed::Good(found.value),
        None => Parsed::Bad("a whole number of seconds"),
    }
}

pub(super) fn parse_region(text: &str) -> Parsed<Region<'_>> {
    Region::parse(text).map_or(Parsed::Bad(Region::EXPECTED), Parsed::Good)
}

/// Takes the first good value, and notes what every source said up to it.
pub(super) struct Pick<'p, 'a, T> {
    pub(super) account: &'p mut Account<'a>,
    field: Field,
    pub(super) value: Option<T>,
}

impl<'p, 'a, T: Copy + Show<'a>> Pick<'p, 'a, T> {
    pub(super) fn new(account: &'p mut Account<'a>, field: Field) -> Self {
        Self { account, field, value: None }
    }

    pub(super) fn annotation(
        &mut self,
        source: Source<'a>,
        text: Option<&'a str>,
        parse: impl FnOnce(&'a str) -> Parsed<T>,
    ) {
        if self.value.is_some() {
            return;
        }
        let said = match text.map(|text| (text, parse(text))) {
            None => Said::Nothing,
            Some((text, Parsed::Good(value))) => {
                self.value = Some(value);
                Said::Value(Shown::Text(text))
            }
            Some((text, Parsed::Clamped(value, used))) => {
                self.value = Some(value);
                Said::Clamped { text, used }
            }
            Some((text, Parsed::Bad(expected))) => Said::Bad { text, expected },
        };
        self.account.look(self.field, source, said);
    }

    pub(super) fn given(&mut self, source: Source<'a>, value: Option<T>) {
        if self.value.is_some() {
            return;
        }
        let said = value.as_ref().map_or(Said::Nothing, |value| Said::Value(value.show()));
        self.value = value;
        self.account.look(self.field, source, said);
    }
}

pub(super) trait Show<'a> {
    fn show(&self) -> Shown<'a>;
}

impl<'a> Show<'a> for &'a str {
    fn show(&self) -> Shown<'a> {
        Shown::Text(self)
    }
}

impl<'a> Show<'a> for bool {
    fn show(&self) -> Shown<'a> {
        Shown::Bool(*self)
    }
}

impl<'a> Show<'a> for TokenExpiration {
    fn show(&self) -> Shown<'a> {
        Shown::Number(self.seconds())
    }
}

impl<'a> Show<'a> for Region<'a> {
    fn show(&self) -> Shown<'a> {
        match self {
            Region::None => Shown::Text("none"),
            Region::Named(name) => Shown::Text(name),
        }
    }
}
