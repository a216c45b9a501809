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

/// A temporary directory and the processes that work in it.
pub(crate) struct Group {
    directory: PathBuf,
    children: Vec<(String, Child)>,
    watchdog: Child,
}

impl Group {
    pub(crate) fn new() -> Result<Group> {
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
            Ok(watchdog) => Ok(Group { directory, children: Vec::new(), watchdog }),
            Err(source) => {
                let _ = fs::remove_dir_all(&directory);
                Err(Error::Io { what: "cannot start `sh`".to_owned(), source })
            }
        }
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Writes a file that only its owner can read.
    pub(crate) fn write(&self, name: &str, content: &str) -> Result<PathBuf> {
        use std::os::unix::fs::OpenOptionsExt;
        let path = self.directory.join(name);
        let file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path);
        file.and_then(|mut file| file.write_all(content.as_bytes())).map_err(Error::file("write", &path))?;
        Ok(path)
    }

    /// Starts a program; what it prints goes to `<name>.log`.
    pub(crate) fn spawn(&mut self, name: &str, program: &Path, arguments: &[String]) -> Result<()> {
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
    pub(crate) fn ended(&mut self) -> Option<(String, ExitStatus, String)> {
        let ended = |(name, child): &mut (String, Child)| {
            child.try_wait().ok().flatten().map(|status| (name.clone(), status))
        };
        let (name, status) = self.children.iter_mut().find_map(ended)?;
        let log = self.log(&name);
        Some((name, status, log))
    }

    /// The process id of a program that was started.
    pub(crate) fn pid(&self, name: &str) -> Option<u32> {
        self.children.iter().find(|(child, _)| *child == name).map(|(_, child)| child.id())
    }

    /// The end of a program's log.
    pub(crate) fn log(&self, name: &str) -> String {
        fs::read(self.log_path(name)).map(|log| last_lines(&log)).unwrap_or_default()
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

impl Drop for Group {
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
