//! Processes and a directory that do not outlive their owner.

use std::{
    env, fs,
    io::Write,
    os::unix::{fs::DirBuilderExt, process::CommandExt},
    path::{Path, PathBuf},
    process::{self, Child, Command, ExitStatus, Stdio},
    sync::atomic::{AtomicU32, Ordering},
};

use crate::{
    binaries::last_lines,
    error::{Error, Result},
};

/// Reads process ids from its standard input, which ends when its parent does, however it does; then kills them
/// and removes the directory. An orderly parent writes `done` instead.
const WATCHDOG: &str = r#"
pids=
while read -r line; do
    [ "$line" = done ] && exit 0
    pids="$pids $line"
done
[ -n "$pids" ] && kill -9 $pids 2>/dev/null
sleep 1
rm -rf "$1"
"#;

/// A temporary directory and the processes that work in it. The processes are killed and the directory goes when
/// it is dropped or when this process ends in whatever way.
pub struct Processes {
    directory: PathBuf,
    children: Vec<(String, Child)>,
    watchdog: Child,
}

impl Processes {
    /// Makes the directory, which only its owner can read.
    ///
    /// # Errors
    ///
    /// If it cannot be made, or `sh` is not there.
    pub fn new() -> Result<Processes> {
        static COUNTER: AtomicU32 = AtomicU32::new(0);
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let directory = env::temp_dir().join(format!("envtest-{}-{number}", process::id()));
        // A process id comes round again: what lies there belongs to nobody.
        let _ = fs::remove_dir_all(&directory);
        fs::DirBuilder::new().mode(0o700).create(&directory).map_err(Error::file("create", &directory))?;
        let watchdog = Command::new("sh")
            .args(["-c", WATCHDOG, "envtest-watchdog"])
            .arg(&directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // Ctrl-C in a terminal must not reach it.
            .process_group(0)
            .spawn();
        match watchdog {
            Ok(watchdog) => Ok(Processes { directory, children: Vec::new(), watchdog }),
            Err(source) => {
                let _ = fs::remove_dir_all(&directory);
                Err(Error::Io { what: "cannot start `sh`".to_owned(), source })
            }
        }
    }

    /// Where they work.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Writes a file that only its owner can read.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    pub fn write(&self, name: &str, content: &str) -> Result<PathBuf> {
        use std::os::unix::fs::OpenOptionsExt;
        let path = self.directory.join(name);
        let file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path);
        file.and_then(|mut file| file.write_all(content.as_bytes())).map_err(Error::file("write", &path))?;
        Ok(path)
    }

    /// Starts a program; what it prints goes to `<name>.log`.
    ///
    /// # Errors
    ///
    /// If it cannot be started.
    pub fn spawn(&mut self, name: &str, program: &Path, arguments: &[String]) -> Result<()> {
        let path = self.log_path(name);
        let log = fs::File::create(&path).map_err(Error::file("create", &path))?;
        let errors = log.try_clone().map_err(Error::file("create", &path))?;
        let child = Command::new(program)
            .args(arguments)
            .current_dir(&self.directory)
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors)
            .spawn()
            .map_err(Error::file("start", program))?;
        let line = format!("{}\n", child.id());
        self.children.push((name.to_owned(), child));
        self.tell(&line);
        Ok(())
    }

    /// The first process that has ended, with the end of its log.
    pub fn ended(&mut self) -> Option<(String, ExitStatus, String)> {
        let ended = |(name, child): &mut (String, Child)| {
            child.try_wait().ok().flatten().map(|status| (name.clone(), status))
        };
        let (name, status) = self.children.iter_mut().find_map(ended)?;
        let log = self.log(&name);
        Some((name, status, log))
    }

    /// The process id of a program that was started.
    pub fn pid(&self, name: &str) -> Option<u32> {
        self.children.iter().find(|(child, _)| *child == name).map(|(_, child)| child.id())
    }

    /// The end of a program's log.
    pub fn log(&self, name: &str) -> String {
        fs::read(self.log_path(name)).map(|log| last_lines(&log)).unwrap_or_default()
    }

    /// Sends a signal, such as `TERM`, to a program that was started.
    ///
    /// # Errors
    ///
    /// If it does not run any more.
    pub fn signal(&self, name: &str, signal: &str) -> Result<()> {
        let pid = self.pid(name).ok_or_else(|| Error::Start(format!("`{name}` was not started")))?;
        let kill = Command::new("kill").args(["-s", signal, &pid.to_string()]).stderr(Stdio::null()).status();
        match kill {
            Ok(status) if status.success() => Ok(()),
            Ok(_) => Err(Error::Start(format!("no process {pid} to send SIG{signal} to"))),
            Err(source) => Err(Error::Io { what: "cannot start `kill`".to_owned(), source }),
        }
    }

    /// Everything a program has printed so far.
    pub fn output(&self, name: &str) -> String {
        fs::read(self.log_path(name))
            .map(|log| String::from_utf8_lossy(&log).into_owned())
            .unwrap_or_default()
    }

    fn log_path(&self, name: &str) -> PathBuf {
        self.directory.join(format!("{name}.log"))
    }

    fn tell(&mut self, line: &str) {
        if let Some(stdin) = &mut self.watchdog.stdin {
            let _ = stdin.write_all(line.as_bytes());
        }
    }
}

impl Drop for Processes {
    fn drop(&mut self) {
        // The last that was started goes first: an API server without its etcd fills its log.
        for (_, child) in self.children.iter_mut().rev() {
            let _ = child.kill();
            let _ = child.wait();
        }
        let _ = fs::remove_dir_all(&self.directory);
        self.tell("done\n");
        self.watchdog.stdin = None;
        let _ = self.watchdog.wait();
    }
}
