//! Finds kube-apiserver and etcd, or builds them from their Go modules, once.

use std::{
    env, fs,
    io::ErrorKind,
    path::{Path, PathBuf},
    process::{self, Command},
    time::Instant,
};

use serde_json::Value;

use crate::error::{Error, Result};

/// The Kubernetes version that is built when `KUBEBUILDER_ASSETS` names no other.
pub const KUBERNETES_VERSION: &str = "v1.36.4";
/// The etcd version that is built when `KUBEBUILDER_ASSETS` names no other.
pub const ETCD_VERSION: &str = "v3.6.16";

const KUBERNETES_MODULE: &str = "k8s.io/kubernetes";
const ETCD_MODULE: &str = "go.etcd.io/etcd/server/v3";

/// Where the two programs are.
#[derive(Clone, Debug)]
pub struct Binaries {
    /// The program `kube-apiserver`.
    pub kube_apiserver: PathBuf,
    /// The program `etcd`.
    pub etcd: PathBuf,
}

impl Binaries {
    /// Takes both from the folder that `KUBEBUILDER_ASSETS` names; without it from the cache, into which they are
    /// built the first time: some minutes, and it needs Go. Blocks for as long.
    ///
    /// The cache is `$XDG_CACHE_HOME` or `~/.cache`, then `pod-identity-policy/envtest/<versions>/`. Two
    /// processes that start at once build once: the second waits.
    ///
    /// # Errors
    ///
    /// If a program is missing in `KUBEBUILDER_ASSETS`, Go is not there, or a build fails.
    pub fn find_or_build() -> Result<Binaries> {
        if let Some(assets) = assets() {
            return Ok(Binaries {
                kube_apiserver: asset(&assets, "kube-apiserver")?,
                etcd: asset(&assets, "etcd")?,
            });
        }
        let cache = cache_directory()?;
        Ok(Binaries {
            etcd: ETCD.find_or_build(&cache)?,
            kube_apiserver: KUBE_APISERVER.find_or_build(&cache)?,
        })
    }
}

/// `kubectl` of the same version, found or built as [`Binaries::find_or_build`] does.
///
/// # Errors
///
/// As there.
pub fn kubectl() -> Result<PathBuf> {
    match assets() {
        Some(assets) => asset(&assets, "kubectl"),
        None => KUBECTL.find_or_build(&cache_directory()?),
    }
}

struct Program {
    name: &'static str,
    module: &'static str,
    version: &'static str,
    package: &'static str,
}

const KUBE_APISERVER: Program = Program {
    name: "kube-apiserver",
    module: KUBERNETES_MODULE,
    version: KUBERNETES_VERSION,
    package: "k8s.io/kubernetes/cmd/kube-apiserver",
};
const KUBECTL: Program = Program {
    name: "kubectl",
    module: KUBERNETES_MODULE,
    version: KUBERNETES_VERSION,
    package: "k8s.io/kubernetes/cmd/kubectl",
};
const ETCD: Program =
    Program { name: "etcd", module: ETCD_MODULE, version: ETCD_VERSION, package: ETCD_MODULE };

impl Program {
    fn find_or_build(&self, cache: &Path) -> Result<PathBuf> {
        let program = cache.join(self.name);
        if program.is_file() {
            return Ok(program);
        }
        fs::create_dir_all(cache).map_err(Error::file("create", cache))?;
        let lock_path = cache.join(format!("{}.lock", self.name));
        let lock = fs::File::create(&lock_path).map_err(Error::file("create", &lock_path))?;
        if lock.try_lock().is_err() {
            say(&format!("waiting for another process that builds {}", self.name));
            lock.lock().map_err(Error::file("lock", &lock_path))?;
        }
        if program.is_file() {
            return Ok(program);
        }
        // Whoever held the lock before and left this behind was killed.
        let work = cache.join(format!("{}.build", self.name));
        remove(&work)?;
        fs::create_dir_all(&work).map_err(Error::file("create", &work))?;
        say(&format!(
            "building {} {} into {} (once; kube-apiserver takes some minutes)",
            self.name,
            self.version,
            cache.display()
        ));
        let start = Instant::now();
        let built = self.build(&work);
        if let Ok(built) = &built {
            fs::rename(built, &program).map_err(Error::file("create", &program))?;
            say(&format!("built {} in {} s", self.name, start.elapsed().as_secs()));
        }
        remove(&work)?;
        built.map(|_| program)
    }

    /// A module of its own that requires the program's module, so that Go's checksum database vouches for each
    /// download.
    fn build(&self, work: &Path) -> Result<PathBuf> {
        go(work, &["mod", "init", "envtest.invalid/build"])?;
        for replacement in self.replacements(work)? {
            go(work, &["mod", "edit", &replacement])?;
        }
        go(work, &["get", &format!("{}@{}", self.package, self.version)])?;
        let mut linker_flags = "-s -w".to_owned();
        if self.module == KUBERNETES_MODULE {
            // Without it kubectl cannot parse its own version and refuses to work.
            linker_flags += &format!(" -X k8s.io/component-base/version.gitVersion={}", self.version);
        }
        let built = work.join("out");
        go(
            work,
            &["build", "-trimpath", "-ldflags", &linker_flags, "-o", &built.to_string_lossy(), self.package],
        )?;
        Ok(built)
    }

    /// Kubernetes' go.mod replaces its staging modules by folders, which counts only inside its own repository:
    /// they are published as v0.N.M beside v1.N.M.
    fn replacements(&self, work: &Path) -> Result<Vec<String>> {
        let Some(staging_version) =
            self.version.strip_prefix("v1.").filter(|_| self.module == KUBERNETES_MODULE)
        else {
            return Ok(Vec::new());
        };
        let download =
            go_json(work, &["mod", "download", "-json", &format!("{}@{}", self.module, self.version)])?;
        let go_mod = download.get("GoMod").and_then(Value::as_str).unwrap_or_default();
        let edit = go_json(work, &["mod", "edit", "-json", go_mod])?;
        let replaced = edit.get("Replace").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let is_staging = |replace: &&Value| {
            let new = replace.pointer("/New/Path").and_then(Value::as_str);
            new.is_some_and(|path| path.starts_with("./staging/"))
        };
        Ok(replaced
            .iter()
            .filter(is_staging)
            .filter_map(|replace| replace.pointer("/Old/Path").and_then(Value::as_str))
            .map(|path| format!("-replace={path}={path}@v0.{staging_version}"))
            .collect())
    }
}

fn assets() -> Option<PathBuf> {
    env::var_os("KUBEBUILDER_ASSETS").filter(|assets| !assets.is_empty()).map(PathBuf::from)
}

fn asset(assets: &Path, name: &str) -> Result<PathBuf> {
    let program = assets.join(name);
    if program.is_file() {
        return Ok(program);
    }
    Err(Error::Binary(format!("KUBEBUILDER_ASSETS is `{}`, which holds no `{name}`", assets.display())))
}

fn cache_directory() -> Result<PathBuf> {
    let absolute = |name: &str| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let base =
        absolute("XDG_CACHE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".cache"))).ok_or_else(
            || Error::Binary("neither XDG_CACHE_HOME nor HOME is set: no place for a cache".to_owned()),
        )?;
    let versions = format!("kubernetes-{KUBERNETES_VERSION}_etcd-{ETCD_VERSION}");
    Ok(base.join("pod-identity-policy").join("envtest").join(versions))
}

fn go_json(directory: &Path, arguments: &[&str]) -> Result<Value> {
    let output = go(directory, arguments)?;
    serde_json::from_slice(&output)
        .map_err(|error| Error::Binary(format!("`go {}` answered no JSON: {error}", arguments.join(" "))))
}

fn go(directory: &Path, arguments: &[&str]) -> Result<Vec<u8>> {
    let output = Command::new("go")
        .args(arguments)
        .current_dir(directory)
        .env("CGO_ENABLED", "0")
        .env("GOWORK", "off")
        .env_remove("GOOS")
        .env_remove("GOARCH")
        .stdin(process::Stdio::null())
        .output();
    match output {
        Ok(output) if output.status.success() => Ok(output.stdout),
        Ok(output) => Err(Error::Binary(format!(
            "`go {}` failed ({}):\n{}{}",
            arguments.join(" "),
            output.status,
            last_lines(&output.stdout),
            last_lines(&output.stderr)
        ))),
        Err(error) if error.kind() == ErrorKind::NotFound => Err(Error::Binary(
            "the API server and etcd are built with Go, and there is no `go` on the PATH: install Go 1.26 or \
             later (https://go.dev/dl), or set KUBEBUILDER_ASSETS to a folder that holds kube-apiserver and etcd"
                .to_owned(),
        )),
        Err(error) => Err(Error::Io { what: "cannot run `go`".to_owned(), source: error }),
    }
}

/// The end of a program's output, for an error text.
pub(crate) fn last_lines(output: &[u8]) -> String {
    const LINES: usize = 15;
    let text = String::from_utf8_lossy(output);
    let lines: Vec<&str> = text.lines().collect();
    let skipped = lines.len().saturating_sub(LINES);
    lines.iter().skip(skipped).map(|line| format!("{line}\n")).collect()
}

fn remove(directory: &Path) -> Result<()> {
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(Error::file("remove", directory)(error)),
        _ => Ok(()),
    }
}

fn say(what: &str) {
    eprintln!("envtest: {what}");
}
