//! What holds for every input. `PROPTEST_CASES` says how many are tried; 256 unless it does.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "a test that panics has failed, which is what it is for"
)]

#[path = "properties/decide.rs"]
mod decide;
#[path = "properties/generate.rs"]
mod generate;
#[path = "properties/hostile.rs"]
mod hostile;
#[path = "properties/index.rs"]
mod index;
#[path = "properties/json.rs"]
mod json;
#[path = "properties/module.rs"]
mod module;
#[path = "properties/pods.rs"]
mod pods;
#[path = "properties/readers.rs"]
mod readers;
#[path = "properties/scaling.rs"]
mod scaling;
#[path = "properties/service_accounts.rs"]
mod service_accounts;
#[path = "properties/typed.rs"]
mod typed;

use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe};
use std::path::Path;
use std::sync::Once;

use policy_host::{Options, PolicyHost};
use proptest::strategy::Strategy;
use proptest::test_runner::{Config, RngSeed, TestCaseError, TestError, TestRunner};

thread_local! {
    /// Panics are taken for answers, so nobody needs to read each of them.
    static QUIET: Cell<bool> = const { Cell::new(false) };
}

/// Tries a property, which panics when it does not hold. In CI always with the same inputs.
fn check<S: Strategy>(strategy: S, property: impl Fn(S::Value)) {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let loud = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !QUIET.get() {
                loud(info);
            }
        }));
    });
    let mut config = Config { failure_persistence: None, max_shrink_iters: 4096, ..Config::default() };
    if std::env::var_os("CI").is_some() {
        config.rng_seed = RngSeed::Fixed(20_260_115);
    }
    QUIET.set(true);
    let found = TestRunner::new(config).run(&strategy, |input| {
        panic::catch_unwind(AssertUnwindSafe(|| property(input))).map_err(|why| {
            let text =
                why.downcast_ref::<String>().map(String::as_str).or(why.downcast_ref::<&str>().copied());
            TestCaseError::fail(text.unwrap_or_default().to_owned())
        })
    });
    QUIET.set(false);
    match found {
        Ok(()) => {}
        Err(TestError::Fail(why, input)) => panic!("{why}\nminimal input: {input:#?}"),
        Err(TestError::Abort(why)) => panic!("{why}"),
    }
}

/// The real module.
fn load(options: Options) -> PolicyHost {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("annotated-policy.wasm");
    let module = std::fs::read(path).expect("annotated-policy.wasm is there: `make annotated-policy.wasm`");
    PolicyHost::load(&module, options).unwrap()
}
