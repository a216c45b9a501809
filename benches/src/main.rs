//! `make bench`: measures webhook and policy against their peers, and writes BENCHMARKS.md.
//!
//! Peers come by environment variable: `GO_WEBHOOK` (the Go webhook's program) and `POLICY_SERVER` (policy-server's).
//! What is ours can be named as well: `WEBHOOK`, `WEBHOOK_PROFILING`,
//! `POLICY_HOST`. Linux alone: times and memory come from /proc.

mod cluster;
mod context;
mod floor;
mod inputs;
mod machine;
mod perf;
mod process;
mod report;
mod results;
mod sections;
mod simulated;
mod symbols;
mod training;
mod webhook;
mod wrk;

use std::{path::PathBuf, process::ExitCode, time::Instant};

use clap::Parser;

use crate::{
    context::{Context, Effort},
    floor::{Source, With},
    results::{Record, Results},
    sections::{
        Section,
        handler::{self, Logging},
    },
};

/// The webhook's, for its handler and the servers that it is compared with.
#[global_allocator]
static HEAP: ::webhook::heap::Heap = ::webhook::heap::Heap;

/// Measures webhook and policy against their peers
///
/// Peers: GO_WEBHOOK=… (the Go webhook's program), POLICY_SERVER=… (policy-server's program).
#[derive(Parser)]
#[command(name = "bench")]
struct Arguments {
    /// What to measure [default: all, or what a run that was ended left over]
    #[arg(value_enum)]
    sections: Vec<Section>,
    /// Write the report again from what was measured, and measure nothing
    #[arg(long, conflicts_with = "sections")]
    report: bool,
    /// See whether everything works: little is measured, and BENCHMARKS.md stays as it is
    #[arg(long)]
    quick: bool,
    /// Put this webhook under the load that its profile is made of, and measure nothing (tools/build-webhook profile)
    #[arg(long, value_name = "PROGRAM", conflicts_with_all = ["sections", "report", "quick"])]
    training: Option<PathBuf>,
    /// What the handler section starts: call our handler for so many milliseconds with each pod
    #[arg(long, hide = true, value_enum, requires = "milliseconds")]
    in_process: Option<Logging>,
    #[arg(long, hide = true)]
    milliseconds: Option<u64>,
    /// What the https section starts: serve what the files of this folder hold, or what our handler answers
    #[arg(long, hide = true, requires_all = ["with", "source", "port"])]
    floor: Option<PathBuf>,
    #[arg(long, hide = true, value_enum)]
    with: Option<With>,
    #[arg(long, hide = true, value_enum)]
    source: Option<Source>,
    #[arg(long, hide = true)]
    port: Option<u16>,
}

fn main() -> ExitCode {
    ::webhook::heap::keep();
    match run(&Arguments::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Whether everything could be measured.
fn run(arguments: &Arguments) -> anyhow::Result<bool> {
    if let (Some(logging), Some(milliseconds)) = (arguments.in_process, arguments.milliseconds) {
        return handler::in_process(logging, milliseconds).map(|()| true);
    }
    if let (Some(folder), Some(with), Some(source), Some(port)) =
        (&arguments.floor, arguments.with, arguments.source, arguments.port)
    {
        return floor::serve(folder, with, source, port).map(|()| true);
    }
    if let Some(program) = &arguments.training {
        return training::run(&Context::new(Effort::QUICK)?, program).map(|()| true);
    }
    let effort = if arguments.quick { Effort::QUICK } else { Effort::FULL };
    let mut context = Context::new(effort)?;
    let path = context.work.join(if arguments.quick { "results-quick.json" } else { "results.json" });
    let mut results = Results::read(&path)?;
    if !arguments.report {
        let commit = machine::commit(&context.root);
        let former = results.sections.clone();
        let all = arguments.sections.is_empty();
        let sections = match all {
            true => left_over(&mut results, &commit),
            false => arguments.sections.clone(),
        };
        for section in sections {
            let record = measure(&mut context, section, &commit);
            let former = former.get(section.name()).filter(|_| section == Section::Profile);
            results.sections.insert(section.name().to_owned(), record.or_former(former));
            results.write(&path)?;
        }
        context.end_clusters();
        if all {
            results.complete = true;
            results.write(&path)?;
        }
    }
    let report = report::Report::new(&context, &results);
    println!("{}", report.table());
    for (section, record) in &results.sections {
        for failure in &record.failures {
            println!("{section}: {failure}");
        }
    }
    if arguments.quick {
        println!("{}: written", report.write_text(&context.work)?.display());
    } else {
        report.write(&context.root)?;
        println!("BENCHMARKS.md, docs/benchmarks and the advice on sizing in docs/operations.md: written");
    }
    Ok(results.sections.values().all(|record| record.failures.is_empty()))
}

/// All sections; but when the last run was ended, those that it had not measured at this commit.
fn left_over(results: &mut Results, commit: &str) -> Vec<Section> {
    if results.complete {
        *results = Results::default();
    }
    let is_measured = |section: &Section| {
        let record = results.sections.get(section.name());
        record.is_some_and(|record| record.commit == commit && record.failures.is_empty())
    };
    let (measured, left): (Vec<_>, Vec<_>) = Section::ALL.into_iter().partition(is_measured);
    for section in measured {
        eprintln!("bench: {} was measured by the run before, which was ended", section.name());
    }
    left
}

fn measure(context: &mut Context, section: Section, commit: &str) -> Record {
    let start = Instant::now();
    let mut record = Record { commit: commit.to_owned(), ..Record::default() };
    eprintln!("bench: {}", section.name());
    if let Err(error) = section.run(context, &mut record) {
        record.fail(section.name(), &error);
    }
    record.seconds = start.elapsed().as_secs();
    record.finished = machine::now();
    eprintln!("bench: {}: {} s", section.name(), record.seconds);
    record
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn a_run_that_was_ended_is_taken_up() {
        let record = |commit: &str, failures: Vec<String>| Record {
            commit: commit.to_owned(),
            failures,
            ..Record::default()
        };
        let results = |complete| Results {
            complete,
            sections: [
                ("handler".to_owned(), record("new", vec![])),
                ("guest".to_owned(), record("old", vec![])),
                ("https".to_owned(), record("new", vec!["no".to_owned()])),
            ]
            .into(),
        };
        let names = |sections: Vec<Section>| sections.into_iter().map(Section::name).collect::<Vec<_>>();
        assert_eq!(
            names(left_over(&mut results(false), "new")),
            [
                "guest",
                "policy-server",
                "policy-server-start",
                "https",
                "profile",
                "scale",
                "startup",
                "memory"
            ]
        );
        let mut afresh = results(true);
        assert_eq!(left_over(&mut afresh, "new"), Section::ALL);
        assert_eq!(afresh, Results::default());
    }
}
