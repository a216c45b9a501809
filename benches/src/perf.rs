//! `perf`, which says where a process spends its processor time (<https://perfwiki.github.io/main/>).

pub(crate) mod compilation;
pub(crate) mod parts;

use std::{
    path::Path,
    process::{Command, Output},
};

use anyhow::{Context as _, ensure};

use crate::{context::Context, process::Process};

/// What `perf` is told first. The clock serves where processors do not count. The samples a second, of each processor, are no round
/// number, so that they do not march in step with timers.
const RECORD: [&str; 7] = ["record", "-e", "cpu-clock", "-F", "997", "--call-graph", "fp"];

/// Where a thread was found: the innermost function first.
pub(crate) type Sample<'t> = Vec<Frame<'t>>;

/// A function and the file that it is in.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Frame<'t> {
    symbol: &'t str,
    file: &'t str,
}

impl Frame<'_> {
    fn is_in_a_library(&self) -> bool {
        self.file.rsplit('/').next().is_some_and(|name| name.starts_with("lib"))
    }
}

/// How a process is recorded. The whole machine is, for whoever records threads is asked at each switch from one to another,
/// which took half as long as a review of 4 KB.
pub(crate) fn shown(seconds: u32) -> String {
    format!("perf {} -a -- sleep {seconds}", RECORD.join(" "))
}

/// How a program is recorded from its start to its end.
pub(crate) fn shown_program(program: &str) -> String {
    format!("perf {} -- {program}", RECORD.join(" "))
}

/// Whether there is one.
pub(crate) fn is_there() -> bool {
    Command::new("perf").arg("--version").output().is_ok_and(|output| output.status.success())
}

/// Records a process for some seconds, while something is done. Gives what came of that, and the samples as text.
pub(crate) fn record<T>(
    context: &Context,
    process: &Process,
    seconds: u32,
    during: impl FnOnce() -> anyhow::Result<T>,
) -> anyhow::Result<(T, String)> {
    let data = context.work.join("perf.data");
    let recording = recorder(&data)
        .args(["-a", "--", "sleep", &seconds.to_string()])
        .spawn()
        .context("cannot run `perf`")?;
    let done = during();
    let output = recording.wait_with_output()?;
    let done = done?;
    ensure!(output.status.success(), "`perf record` failed ({})", output.status);
    Ok((done, script(&data, &["--pid", &process.id()])?))
}

/// Records a program from its start to its end. Gives what it printed, and the samples as text.
pub(crate) fn record_program(context: &Context, program: &Command) -> anyhow::Result<(Output, String)> {
    let data = context.work.join("perf.data");
    let output = recorder(&data)
        .arg("--")
        .arg(program.get_program())
        .args(program.get_args())
        .output()
        .context("cannot run `perf`")?;
    // perf ends as the program did.
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "`perf record` failed ({}) {}", output.status, said.trim());
    let samples = script(&data, &[])?;
    Ok((output, samples))
}

fn recorder(data: &Path) -> Command {
    let mut command = Command::new("perf");
    command.args(RECORD).arg("-q").arg("-o").arg(data);
    command
}

fn script(data: &Path, of: &[&str]) -> anyhow::Result<String> {
    let output = Command::new("perf")
        .args(["script", "--no-inline", "-F", "ip,sym,dso"])
        .args(of)
        .arg("-i")
        .arg(data)
        .output()
        .context("cannot run `perf`")?;
    ensure!(output.status.success(), "`perf script`: {}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Reads what `perf script` prints: a paragraph for each sample, a line for each function.
pub(crate) fn samples(text: &str) -> impl Iterator<Item = Sample<'_>> {
    let samples = text.split("\n\n").map(|paragraph| paragraph.lines().filter_map(frame).collect());
    samples.filter(|sample: &Sample<'_>| !sample.is_empty())
}

/// `ffffffff815e6d7c do_fault ([kernel.kallsyms])`.
fn frame(line: &str) -> Option<Frame<'_>> {
    let (_, rest) = line.trim().split_once(' ')?;
    let (symbol, file) = rest.rsplit_once(" (")?;
    Some(Frame { symbol, file: file.strip_suffix(')')? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_read() {
        let text = "\n\tffffffff815e6d7c do_fault ([kernel.kallsyms])\n\
                    \t          16d835 __memmove_avx (/usr/lib/libc.so.6)\n\n\
                    \t          63ebe9 <a::B as c::D<E (F)>>::f (/bin/a (deleted))\n\n\n";
        let frame = |symbol, file| Frame { symbol, file };
        assert_eq!(
            samples(text).collect::<Vec<_>>(),
            [
                vec![frame("do_fault", "[kernel.kallsyms]"), frame("__memmove_avx", "/usr/lib/libc.so.6")],
                vec![frame("<a::B as c::D<E (F)>>::f (/bin/a", "deleted)")],
            ]
        );
    }
}
