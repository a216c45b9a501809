//! `record-reviews FOLDER [--only NAME]...`: see `envtest::record`.

use std::{env, path::PathBuf, process::ExitCode};

use envtest::{
    Error, Options, Result,
    record::{Case, Recorder, Written, cases},
};

const USAGE: &str = "\
Records the AdmissionReviews that a real kube-apiserver sends for Kubernetes objects written in YAML.

Usage: record-reviews FOLDER [--only NAME]...

  FOLDER       NAME/input.yaml in it gives NAME/request.json, indented; NAME.yaml gives NAME.json, on one line
  --only NAME  only the case of that name; may be repeated

The review of an input's last document is written. Comment lines above a document may say what is done with it:

  # create [SUBRESOURCE]      the default; `# binding` is `# create binding`
  # update [SUBRESOURCE]      pods and subresources: merged into what is there; others: replaced
  # delete
  # connect SUBRESOURCE       such as exec; the document names the pod
  # dry-run
  # as USER [GROUP]...        a node's group comes by itself
  # review v1beta1

Commas put several into one line. Exit status: 1 when a case could not be recorded, 2 when the command line is wrong.";

fn main() -> ExitCode {
    let (folder, only) = match arguments() {
        Ok(Some(arguments)) => arguments,
        Ok(None) => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        Err(message) => {
            eprintln!("error: {message}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(run(&folder, &only)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn arguments() -> std::result::Result<Option<(PathBuf, Vec<String>)>, String> {
    let mut folder = None;
    let mut only = Vec::new();
    let mut arguments = env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "-h" | "--help" => return Ok(None),
            "--only" => only.push(arguments.next().ok_or("--only needs a name")?),
            option if option.starts_with('-') => match option.strip_prefix("--only=") {
                Some(name) => only.push(name.to_owned()),
                None => return Err(format!("unknown option `{option}`")),
            },
            path if folder.is_none() => folder = Some(PathBuf::from(path)),
            other => return Err(format!("unexpected argument `{other}`")),
        }
    }
    folder.map(|folder| Some((folder, only))).ok_or_else(|| "FOLDER is missing".to_owned())
}

/// Whether every case was recorded.
async fn run(folder: &std::path::Path, only: &[String]) -> Result<bool> {
    let mut cases = cases(folder)?;
    if let Some(unknown) = only.iter().find(|name| !cases.iter().any(|case| case.name == **name)) {
        return Err(Error::Input(format!("`{}` holds no case `{unknown}` with an input", folder.display())));
    }
    cases.retain(|case| only.is_empty() || only.contains(&case.name));
    if cases.is_empty() {
        println!("no case with an input in {}", folder.display());
        return Ok(true);
    }
    let mut recorder = Recorder::start(Options::default()).await?;
    let width = cases.iter().map(|case| case.name.chars().count()).max().unwrap_or_default();
    let (mut changed, mut failed) = (0, 0);
    for case in &cases {
        let outcome = record(case, &mut recorder, &mut changed, &mut failed).await;
        println!("{:width$}  {outcome}", case.name);
    }
    println!(
        "{} recorded ({} unchanged, {changed} new or changed), {failed} failed",
        cases.len() - failed,
        cases.len() - failed - changed
    );
    Ok(failed == 0)
}

async fn record(case: &Case, recorder: &mut Recorder, changed: &mut usize, failed: &mut usize) -> String {
    match case.record(recorder).await {
        Ok(Written::Unchanged) => "unchanged".to_owned(),
        Ok(written) => {
            *changed += 1;
            if written == Written::New { "new".to_owned() } else { "changed".to_owned() }
        }
        Err(error) => {
            *failed += 1;
            format!("FAILED: {error}")
        }
    }
}
