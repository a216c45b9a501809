//! How cost grows.

mod accounts;
mod connections;
mod entries;

use crate::{context::Context, results::Record};

pub(crate) fn run(context: &mut Context, record: &mut Record) -> anyhow::Result<()> {
    for (what, part) in [
        ("connections", connections::run as fn(&mut Context, &mut Record) -> anyhow::Result<()>),
        ("mapping entries", entries::run),
        ("ServiceAccounts", accounts::run),
    ] {
        if let Err(error) = part(context, record) {
            record.fail(what, &error);
        }
    }
    Ok(())
}
