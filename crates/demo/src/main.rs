//! Runs the policy on a pod, embedded, and shows the pod before and after, why, and what it costs.

mod file;
mod number;
mod render;
mod review;
mod run;
mod yaml;

use std::{io::Write as _, path::PathBuf, process::ExitCode};

use anstream::{AutoStream, ColorChoice};
use anyhow::Result;
use clap::{Parser, ValueEnum};
use serde_json::{Value, json};

use crate::{
    review::Subject,
    run::{Runner, Scene},
};

/// Shows what the policy does with a pod
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// A Pod as you would apply it, or an AdmissionReview; YAML or JSON [default: two runs of a recorded review]
    #[arg(long, value_name = "FILE")]
    pod: Option<PathBuf>,
    /// The policy's settings [default: none]
    #[arg(long, value_name = "FILE")]
    settings: Option<PathBuf>,
    /// The pod's ServiceAccount [default: one without annotations]
    #[arg(long, value_name = "FILE")]
    service_account: Option<PathBuf>,
    /// The ConfigMap that `mappingConfigMap` in the settings names [default: none]
    #[arg(long, value_name = "FILE")]
    config_map: Option<PathBuf>,
    /// The policy
    #[arg(long, value_name = "FILE", default_value = "annotated-policy.wasm")]
    policy: PathBuf,
    /// How many calls are timed
    #[arg(long, value_name = "NUMBER", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..))]
    calls: u32,
    /// When to use colours
    #[arg(long, value_name = "WHEN", value_enum, default_value_t)]
    color: Color,
}

#[derive(Clone, Copy, Default, ValueEnum)]
enum Color {
    /// On a terminal, and as NO_COLOR and CLICOLOR_FORCE say
    #[default]
    Auto,
    Always,
    Never,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match arguments.color {
        Color::Auto => ColorChoice::Auto,
        Color::Always => ColorChoice::Always,
        Color::Never => ColorChoice::Never,
    }
    .write_global();
    match show(arguments) {
        Ok(is_answered) => ExitCode::from(u8::from(!is_answered)),
        Err(error) => {
            anstream::eprintln!("{}", render::error(&error));
            ExitCode::FAILURE
        }
    }
}

/// Whether the policy answered every time.
fn show(arguments: Arguments) -> Result<bool> {
    let Arguments { pod, settings, service_account, config_map, policy, calls, color: _ } = arguments;
    let runner = Runner::load(&policy, calls)?;
    let scenes = match (&pod, &settings, &service_account, &config_map) {
        (None, None, None, None) => recorded()?,
        _ => vec![own(pod, settings, service_account, config_map)?],
    };
    let mut out = AutoStream::auto(std::io::stdout()).lock();
    writeln!(out, "{}", render::module(runner.module()))?;
    let mut is_answered = true;
    for (index, scene) in scenes.iter().enumerate() {
        let number = (scenes.len() > 1).then_some(index + 1);
        let outcome = runner.run(scene)?;
        is_answered &= outcome.is_answer();
        write!(out, "\n{}", render::run(number, scene, &outcome)?)?;
    }
    Ok(is_answered)
}

const RECORDED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/reviews/pod-4kb.json");

fn recorded() -> Result<Vec<Scene>> {
    let review = file::read(RECORDED.as_ref())?;
    let annotated = file::parse(include_str!("../scenes/annotated-service-account.yaml"))?;
    let mapping = file::parse(include_str!("../scenes/mapping.yaml"))?;
    let assumed = Subject::of(&review).service_account();
    Ok(vec![
        Scene {
            title: "The role stands in an annotation of the ServiceAccount".to_owned(),
            review: review.clone(),
            objects: vec![annotated],
            ..Scene::default()
        },
        Scene {
            title: "The role comes from a mapping in the settings".to_owned(),
            review,
            settings: mapping,
            objects: assumed.into_iter().collect(),
            ..Scene::default()
        },
    ])
}

fn own(
    pod: Option<PathBuf>,
    settings: Option<PathBuf>,
    service_account: Option<PathBuf>,
    config_map: Option<PathBuf>,
) -> Result<Scene> {
    let pod = pod.unwrap_or_else(|| RECORDED.into());
    let review = file::convert(&pod, review::of)?;
    let subject = Subject::of(&review);
    let mut objects = Vec::new();
    let assumed = match service_account {
        Some(path) => {
            objects.push(file::convert(&path, |document| review::object("ServiceAccount", document))?);
            None
        }
        None => subject.service_account(),
    };
    if let Some(path) = config_map {
        objects.push(file::convert(&path, |document| review::object("ConfigMap", document))?);
    }
    Ok(Scene {
        title: pod.file_name().unwrap_or(pod.as_os_str()).to_string_lossy().into_owned(),
        settings: match settings {
            Some(path) => file::convert(&path, review::settings)?,
            None => json!({}),
        },
        is_service_account_assumed: assumed.is_some(),
        objects: objects.into_iter().chain(assumed).collect::<Vec<Value>>(),
        review,
    })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }
}
