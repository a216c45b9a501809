//! BENCHMARKS.md and its charts, from what was measured.

mod chart;
mod growth;
mod parts;
mod remains;
mod rows;
mod sizing;
mod unit;

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context as _;

use crate::{context::Context, machine, results::Results, sections::Section};

use rows::Peers;

const FOLDER: &str = "docs/benchmarks";
const OPERATIONS: &str = "docs/operations.md";

pub(crate) struct Report<'r> {
    results: &'r Results,
    peers: Peers,
    machine: Vec<(&'static str, String)>,
    versions: Vec<(&'static str, String)>,
}

impl<'r> Report<'r> {
    pub(crate) fn new(context: &Context, results: &'r Results) -> Self {
        let peers =
            Peers { go_webhook: context.webhooks.len() > 1, policy_server: context.policy_server.is_some() };
        Self { results, peers, machine: machine::machine(), versions: machine::versions(context) }
    }

    /// One line for each figure that there is a target for, and for some others.
    pub(crate) fn table(&self) -> String {
        rows::table(self.results, self.peers)
    }

    /// Writes the report alone into a folder. Gives its path.
    pub(crate) fn write_text(&self, folder: &Path) -> anyhow::Result<PathBuf> {
        let path = folder.join("BENCHMARKS.md");
        fs::write(&path, self.text()).with_context(|| format!("cannot write `{}`", path.display()))?;
        Ok(path)
    }

    /// Writes the report, the charts, and the advice on sizing.
    pub(crate) fn write(&self, root: &Path) -> anyhow::Result<()> {
        let folder = root.join(FOLDER);
        fs::create_dir_all(&folder).with_context(|| format!("cannot create `{}`", folder.display()))?;
        for growth in growth::ALL {
            if let Some(lines) = growth.lines(self.results) {
                let path = folder.join(growth.file());
                let chart = chart::Chart { title: growth.title, x: growth.x, y: growth.y, lines: &lines };
                fs::write(&path, chart.svg())
                    .with_context(|| format!("cannot write `{}`", path.display()))?;
            }
        }
        let page = root.join(OPERATIONS);
        let text = fs::read_to_string(&page).with_context(|| format!("cannot read `{}`", page.display()))?;
        match sizing::renew(&text, self.results) {
            Some(text) => {
                fs::write(&page, text).with_context(|| format!("cannot write `{}`", page.display()))?;
            }
            None => eprintln!("bench: {OPERATIONS} stays as it is: too little was measured"),
        }
        self.write_text(root).map(drop)
    }

    fn text(&self) -> String {
        let mut text = format!("{INTRODUCTION}\n{}\n", self.table());
        let failures = self.results.sections.iter().flat_map(|(section, record)| {
            record
                .failures
                .iter()
                .map(move |failure| format!("- {section}: {}\n", failure.replace('\n', " ")))
        });
        let failures: String = failures.collect();
        if !failures.is_empty() {
            let _ = write!(text, "\n## What could not be measured\n\n{failures}");
        }
        let unmet = remains::sentences(self.results, &rows::unmet(self.results));
        if !unmet.is_empty() {
            let _ = write!(text, "\n## What remains\n\nWhere a target is not met.\n\n{unmet}");
        }
        if let Some(parts) = remains::parts_table(self.results) {
            let _ = write!(text, "\n{WHERE}\n{parts}");
        }
        if let Some(parts) = remains::compilation_table(self.results) {
            let _ = write!(text, "\n{COMPILATION}\n{parts}");
        }
        let _ = write!(text, "\n## How cost grows\n");
        for growth in growth::ALL {
            if let Some(lines) = growth.lines(self.results) {
                let (title, file, sentence) = (growth.title, growth.file(), growth.sentence(&lines));
                let _ = write!(text, "\n{sentence}\n\n![{title}]({FOLDER}/{file})\n");
            }
        }
        if let Some(table) = parts::table(self.results) {
            let _ = write!(text, "\n## What the policy consists of\n\n{PARTS}\n{table}");
        }
        let _ = write!(text, "\n## Machine and versions\n\n| | |\n| --- | --- |\n");
        for (name, value) in self.machine.iter().chain(&self.versions) {
            let _ = writeln!(text, "| {name} | {} |", value.replace('|', "\\|"));
        }
        let _ = write!(text, "\n{METHOD}\n| section | ended | commit | took |\n| --- | --- | --- | --- |\n");
        for section in Section::ALL {
            if let Some(record) = self.results.sections.get(section.name()) {
                let (name, finished, commit, seconds) =
                    (section.name(), &record.finished, &record.commit, record.seconds);
                let _ = writeln!(text, "| {name} | {finished} | {commit} | {seconds} s |");
            }
        }
        let _ = write!(text, "\nWhat was run:\n\n```\n");
        for section in Section::ALL {
            for command in
                self.results.sections.get(section.name()).iter().flat_map(|record| &record.commands)
            {
                let _ = writeln!(text, "{}: {command}", section.name());
            }
        }
        text + "```\n"
    }
}

const INTRODUCTION: &str = "\
<!-- Written by `make bench`. Changes by hand are lost. -->

# Benchmarks

Written by `make bench`, from what it measured on the machine below. Only ratios carry over to other machines: both sides
were measured there, taking turns. A figure with a spread is the median of its rounds; \"spread\" is how far the furthest round was
from it, ours and the peer's. The others were taken once. The ratio says how many times better ours is; where the target is \"at most so many times\", how
many times the peer's cost ours is. It is the median of the rounds' ratios. Behind it, in brackets, is between what that lies, where there are
enough rounds: the confidence interval of the median by order statistics, of 95 % at least. A target that lies there as well is met or not \"within noise\".

`make bench` runs everything; `GO_WEBHOOK=…` names the program of the Go webhook and `POLICY_SERVER=…` that of policy-server.
Where the time goes is measured when `perf` is there. A run that was ended is taken up where it was. `target/release/bench https` measures one section again (`bench --help`).
";

const WHERE: &str = "\
## Where the time goes

Our webhook under the load of the HTTPS rows, by `perf`: each part's share of the samples, of the processor time for a
request in the same run. A function that the compiler put into another counts for that one; so the webhook was built without
its profile for this (`cargo build --profile profiling`), which leaves more functions apart. With that, and with what `perf` itself
takes, it is more time than the table above has. It is one run of some seconds for each load: a difference of some per cent between two
says nothing. What was tried to make parts smaller, and what came of it, is in ARCHITECTURE.md.
";

const COMPILATION: &str = "\
## Where the time of compilation goes

`policy-host bench` compiles our policy with Wasmtime on all processors, as policy-server does, and calls it once. Each part's share of
the samples that `perf` took of such processes, from start to end: of their processor time, not of the time until it is compiled. A
function counts for itself alone, with what the compiler put into it.
";

const PARTS: &str = "\
The module as the linker leaves it, by the names of its functions; wasm-opt mixes the parts. A function that was inlined
counts where it was inlined into: most of what admission calls once is in `core: admission`.
";

const METHOD: &str = "\
## How it was measured

- **Pods** of 4 KB and 20 KB are `testdata/reviews`, recorded from a real kube-apiserver; the one of 200 KB is the second with
  its containers repeated. Their ServiceAccounts are annotated with a role, in a real kube-apiserver.
- **Handler**: the function from a review's bytes to the answer's, called again and again in a process of its own, by that
  process' user and system time, so that Go's garbage collector counts. Both find the role without asking anybody. The Go
  webhook's is `Modifier.Handle` of its public package, called by `benches/go-handler`. Both log as they do by default, to
  stderr, which is a file: ours a line for each pod, the Go webhook's none. With `GO_WEBHOOK_SOURCE=…`, a checkout of it, it
  is built from that, else from the module proxy.
- **HTTPS**: `wrk` beside the server on the same machine, so both share its processors. Processor time is the server's,
  user and system, from /proc. Same flags and a P-256 certificate for both. p50 and p99 are of 8 connections that always have a
  request on its way, so the processors are full. Waiting is what the scheduler says of the server's threads (schedstat).
- **The server that decides nothing** (`benches/src/floor.rs`) has our TLS, accepts as ours does, reads each review to its end, and writes what our
  webhook answers. As \"floor\" a thread for each connection waits in `read`, and interrupts nobody, as ours does: over connections that are
  kept, that is about the least that a request takes. It knows no more of HTTP than what `wrk` sends, without chunks, limits and errors, so a
  webhook could not save all that it takes less than hyper. For new connections it starts a thread each. \"hyper and tokio alone\" is served by the libraries that
  serve our webhook, on tokio's workers: about the least that it could take without an HTTP server of its own, though ours has a thread
  for a busy connection, and can come out below. With our handler both decide, as the handler's row does, and have nothing else
  of our webhook: no limits on time, room or turns, no metrics of requests. Hyper is built there without the profile, which
  names the webhook's own. A target is called out of reach where the intervals of ours and of both with our handler end before it,
  and out of the libraries' reach where those of ours and theirs do.
- **Memory**: VmRSS 30 s after the first right answer and after `/readyz` said yes, and VmHWM then, from /proc; with 100,000
  ServiceAccounts (a tenth with a role) in a real kube-apiserver, and idle with a dozen. A new process each time. With many mapping
  entries a policy can come out below its payload: a small request leaves pages of the first MiB unused.
- **Start**: from the start of the process to the first review that is answered with the pod's role; its ServiceAccount is
  the last in the list. Wrong are reviews that are answered before, without it. The Go webhook is right once it holds
  everything; ours asks the API server for what it does not hold yet, so when everything is held is given as well.
- **Our webhook** is built by `tools/build-webhook`, with a profile of what it did under load (`benches/src/training.rs`:
  these pods, and other connections, sources of roles and pods besides). Go would take one too; the Go webhook's sources hold
  none. What is measured in process, and the servers that decide nothing, are built in the same way, with its allocator.
- **Programs**: the files that were named, the Go webhook's as `go build` makes it; and stripped (`strip`), which is what the Go
  webhook's Dockerfile does (`-ldflags=\"-w -s\"`) and what ours is built as. The target is held against both.
- **Guest**: `policy-host bench`, which runs policies in Wasmtime as policy-server does: a new instance for each call, epoch
  interruption on. The share of a guest is the time of a call less that of a policy which accepts everything unread. A module is
  compiled with each pod anew, which counts as a round. Fuel counts the instructions, so it is the same in every run; a test holds it
  within 2 % of `testdata/fuel.json`. All three policies are built with the same profile, linker and passes of wasm-opt, and get the
  same settings; ours has simd128 and the size of its memory besides. The peer \"as the template builds it\" is the same source with
  cargo's own release profile and without wasm-opt, as Kubewarden's template has it: faster, four megabytes, and compiled sooner.
- **Compilation**: the time that Wasmtime takes for a module in `policy-host bench`, a released build that compiles functions on all
  processors, as policy-server has it do; Wasmtime is newer there, and its allocator glibc's. Such ratios go with the number of processors, for one
  function is compiled by one of them. policy-server's start is from the start of its process until it accepts connections. What a
  policy adds is that less a start without policies just before: to read and compile the policy, and to ask it about its settings. CPU is what
  the scheduler says of its threads. The target for compilation is held against both.
- **policy-server**: the processor time of the whole process for a request, with one worker; a new process for each round.
- **Growth** with ServiceAccounts was measured against a simulated API server, memory 10 s after everything was held. What each
  further one takes is what a million without a role take more than none, by a million.
";
