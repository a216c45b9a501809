//! What the operating system accounts to a process, and processes that end with their owner.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, bail, ensure};

/// Of the unit in which `/proc/<pid>/stat` counts: `USER_HZ`, 100 on every architecture that Rust runs on.
/// The sum of both times is scaled to what the scheduler measured, so it is exact to a tick.
/// <https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html>
const TICKS_PER_SECOND: f64 = 100.0;

/// A program that was started. It is killed when this is dropped.
pub(crate) struct Process {
    child: Child,
    log: PathBuf,
}

/// Resident memory, in bytes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Memory {
    pub(crate) resident: f64,
    /// The most that it ever was.
    pub(crate) peak: f64,
    /// Of the resident, what is in files: the program and its libraries.
    pub(crate) file: f64,
}

impl Process {
    /// What it prints goes to the file `log`.
    pub(crate) fn start(command: &mut Command, log: PathBuf) -> anyhow::Result<Self> {
        let file = File::create(&log).with_context(|| format!("cannot write `{}`", log.display()))?;
        let child = command
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()
            .with_context(|| format!("cannot start `{}`", name(command)))?;
        Ok(Self { child, log })
    }

    /// User and system time so far.
    pub(crate) fn cpu_time(&self) -> anyhow::Result<Duration> {
        let stat = fs::read_to_string(self.file("stat"))?;
        cpu_time(&stat).context("cannot read the times in /proc/<pid>/stat")
    }

    pub(crate) fn memory(&self) -> anyhow::Result<Memory> {
        let status = fs::read_to_string(self.file("status"))?;
        memory(&status).context("cannot read VmRSS, VmHWM and RssFile in /proc/<pid>/status")
    }

    /// An error with the end of its log when it has ended.
    pub(crate) fn is_running(&mut self) -> anyhow::Result<()> {
        let Some(status) = self.child.try_wait()? else { return Ok(()) };
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        let end = lines.get(lines.len().saturating_sub(5)..).unwrap_or_default();
        bail!("it ended ({status}): {}", end.join(" / "))
    }

    /// Asks it to end, and waits for it.
    pub(crate) fn end(&mut self) -> anyhow::Result<()> {
        let asked =
            Command::new("kill").args(["-s", "TERM", &self.id()]).status().context("cannot run `kill`")?;
        ensure!(asked.success(), "`kill` failed ({asked})");
        let status = self.child.wait()?;
        ensure!(status.success(), "it did not end well ({status})");
        Ok(())
    }

    pub(crate) fn id(&self) -> String {
        self.child.id().to_string()
    }

    fn file(&self, name: &str) -> PathBuf {
        Path::new("/proc").join(self.id()).join(name)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What the scheduler measured of the threads that a process has.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Scheduled {
    /// On a processor.
    pub(crate) running: Duration,
    /// Able to run, but without a processor.
    pub(crate) waiting: Duration,
}

/// Of a process by its number, or of this one (`self`).
pub(crate) fn scheduled(process: &str) -> io::Result<Scheduled> {
    let mut sum = Scheduled::default();
    for thread in fs::read_dir(Path::new("/proc").join(process).join("task"))? {
        // One that has just ended is left out.
        let Ok(text) = fs::read_to_string(thread?.path().join("schedstat")) else { continue };
        let Some(Scheduled { running, waiting }) = schedstat(&text) else {
            return Err(io::Error::other(format!("expected two times in `{text}`")));
        };
        sum.running += running;
        sum.waiting += waiting;
    }
    Ok(sum)
}

/// <https://docs.kernel.org/scheduler/sched-stats.html#proc-pid-schedstat>
fn schedstat(text: &str) -> Option<Scheduled> {
    let mut fields = text.split_ascii_whitespace().map(|field| field.parse().map(Duration::from_nanos));
    Some(Scheduled { running: fields.next()?.ok()?, waiting: fields.next()?.ok()? })
}

/// Without its folder, which differs from machine to machine.
fn name(command: &Command) -> String {
    let program = Path::new(command.get_program());
    program.file_name().unwrap_or_default().display().to_string()
}

/// Fields 14 and 15; the second field, the program's name in parentheses, may hold blanks and parentheses.
fn cpu_time(stat: &str) -> Option<Duration> {
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<f64>().ok();
    Some(Duration::from_secs_f64((ticks()? + ticks()?) / TICKS_PER_SECOND))
}

fn memory(status: &str) -> Option<Memory> {
    let bytes = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        let kibibytes: f64 = line.strip_suffix("kB")?.trim().parse().ok()?;
        Some(kibibytes * 1024.0)
    };
    Some(Memory { resident: bytes("VmRSS:")?, peak: bytes("VmHWM:")?, file: bytes("RssFile:")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_come_after_the_name() {
        let stat = "42 (a) b) S 1 42 42 0 -1 4194560 300 0 0 0 150 25 7 9 20 0 1 0 77 3985408 500 1844674407";
        assert_eq!(cpu_time(stat), Some(Duration::from_millis(1750)));
        assert_eq!(
            ["", "42 (a", "42 (a) S 1 2", "42 (a) S 1 2 3 4 5 6 7 8 9 10 x y"].map(cpu_time),
            [None; 4]
        );
    }

    #[test]
    fn threads_run_and_wait() {
        let expected = Scheduled { running: Duration::from_nanos(1500), waiting: Duration::from_nanos(20) };
        assert_eq!(schedstat("1500 20 3\n"), Some(expected));
        assert_eq!(["", "1", "1 x 2"].map(schedstat), [None; 3]);
        assert!(scheduled("self").unwrap().running > Duration::ZERO);
    }

    #[test]
    fn memory_is_in_kibibytes() {
        let status = "Name:\ta\nVmPeak:\t    9000 kB\nVmHWM:\t    2088 kB\nVmRSS:\t    1024 kB\nRssFile:\t 512 kB\nThreads:\t1\n";
        let expected = Memory { resident: 1_048_576.0, peak: 2_138_112.0, file: 524_288.0 };
        assert_eq!(memory(status), Some(expected));
        assert_eq!(memory("VmRSS:\t1024 kB\n"), None);
    }

    #[test]
    fn a_process_that_ended_says_so() {
        let log = std::env::temp_dir().join(format!("bench-process-{}.log", std::process::id()));
        let mut command = Command::new("sh");
        let mut process = Process::start(command.args(["-c", "echo why; exit 3"]), log.clone()).unwrap();
        process.child.wait().unwrap();
        let message = process.is_running().unwrap_err().to_string();
        fs::remove_file(log).unwrap();
        assert_eq!(message, "it ended (exit status: 3): why");
    }
}
