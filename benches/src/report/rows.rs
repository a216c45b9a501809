//! The table: what is compared, and what is to be reached.

use std::fmt::Write as _;

use crate::{
    report::unit::{
        Unit::{self, Bytes, BytesEach, Count, Microseconds, Milliseconds, PerSecond, Seconds},
        with_interval,
    },
    results::{
        EMPTY, FLOOR, FLOOR_WITH_HANDLER, GO, LIBRARIES, LIBRARIES_WITH_HANDLER, OURS, Results, SDK,
        TEMPLATE, interval, median,
    },
};

/// Which peers are given.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peers {
    pub(crate) go_webhook: bool,
    pub(crate) policy_server: bool,
}

/// A line for each size of pods.
struct Row {
    what: &'static str,
    /// The figure's name, but for the size.
    id: &'static str,
    unit: Unit,
    peer: Option<&'static str>,
    cases: &'static [(Size, Target)],
}

/// What a reader is told. It ends the figure's name, too.
type Size = Option<&'static str>;

const NONE: Size = None;
const SMALL: Size = Some("4 KB");
const MEDIUM: Size = Some("20 KB");
const LARGE: Size = Some("200 KB");

#[derive(Clone, Copy)]
enum Target {
    /// The peer's is at least so many times ours; for what is better when larger, ours the peer's.
    Better(f64),
    /// Ours is at most so many times the peer's.
    Within(f64),
    /// Ours is at most that.
    AtMost(f64),
    Recorded,
}

use Target::{AtMost, Better, Recorded, Within};

#[rustfmt::skip]
const ROWS: &[Row] = &[
    row("handler in process, review's bytes in to answer's bytes out: CPU", "handler.process", Microseconds, Some(GO), &[(SMALL, Better(30.0)), (MEDIUM, Better(40.0)), (LARGE, Recorded)]),
    row("the same without our log line, which the Go webhook has none of", "handler.unlogged", Microseconds, None, &[(SMALL, Recorded), (MEDIUM, Recorded), (LARGE, Recorded)]),
    row("POST /mutate less GET /healthz, over HTTPS: server CPU", "handler.alike", Microseconds, Some(GO), &[(SMALL, Recorded), (MEDIUM, Recorded), (LARGE, Recorded)]),
    row("HTTPS keep-alive, 8 connections: server CPU per request", "https.cpu", Microseconds, Some(GO), &[(SMALL, Better(11.0)), (MEDIUM, Better(25.0)), (LARGE, Recorded)]),
    row("the same against a server that decides nothing", "https.cpu", Microseconds, Some(FLOOR), &[(SMALL, Recorded), (MEDIUM, Recorded), (LARGE, Recorded)]),
    row("the same against a server that decides nothing", "https.cpu", Microseconds, Some(LIBRARIES), &[(SMALL, Recorded), (MEDIUM, Recorded), (LARGE, Recorded)]),
    row("the same against a server of our handler and nothing else", "https.cpu", Microseconds, Some(FLOOR_WITH_HANDLER), &[(SMALL, Recorded), (MEDIUM, Recorded), (LARGE, Recorded)]),
    row("the same against a server of our handler and nothing else", "https.cpu", Microseconds, Some(LIBRARIES_WITH_HANDLER), &[(SMALL, Recorded), (MEDIUM, Recorded), (LARGE, Recorded)]),
    row("GET /healthz on these connections: server CPU", "https.healthz.cpu", Microseconds, Some(GO), &[(NONE, Recorded)]),
    row("HTTPS keep-alive: requests per second", "https.rate", PerSecond, Some(GO), &[(SMALL, Better(7.0)), (MEDIUM, Better(14.0)), (LARGE, Recorded)]),
    row("the same against a server that decides nothing", "https.rate", PerSecond, Some(FLOOR), &[(SMALL, Recorded), (MEDIUM, Recorded), (LARGE, Recorded)]),
    row("the same against a server that decides nothing", "https.rate", PerSecond, Some(LIBRARIES), &[(SMALL, Recorded), (MEDIUM, Recorded), (LARGE, Recorded)]),
    row("the same against a server of our handler and nothing else", "https.rate", PerSecond, Some(FLOOR_WITH_HANDLER), &[(SMALL, Recorded), (MEDIUM, Recorded), (LARGE, Recorded)]),
    row("the same against a server of our handler and nothing else", "https.rate", PerSecond, Some(LIBRARIES_WITH_HANDLER), &[(SMALL, Recorded), (MEDIUM, Recorded), (LARGE, Recorded)]),
    row("HTTPS keep-alive: p50", "https.p50", Microseconds, Some(GO), &[(SMALL, Recorded), (MEDIUM, Recorded), (LARGE, Recorded)]),
    row("HTTPS keep-alive: p99", "https.p99", Microseconds, Some(GO), &[(SMALL, Better(25.0)), (MEDIUM, Better(25.0)), (LARGE, Recorded)]),
    row("the same against a server that decides nothing", "https.p99", Microseconds, Some(FLOOR), &[(SMALL, Recorded), (MEDIUM, Recorded), (LARGE, Recorded)]),
    row("the same against a server of our handler and nothing else", "https.p99", Microseconds, Some(LIBRARIES_WITH_HANDLER), &[(SMALL, Recorded), (MEDIUM, Recorded), (LARGE, Recorded)]),
    row("HTTPS keep-alive: waiting for a processor, for each request", "https.waiting", Microseconds, Some(GO), &[(SMALL, Recorded), (MEDIUM, Recorded), (LARGE, Recorded)]),
    row("a new TLS connection for every request: server CPU", "https.new.cpu", Microseconds, Some(GO), &[(SMALL, Better(3.0)), (MEDIUM, Better(5.0)), (LARGE, Recorded)]),
    row("the same against a server that decides nothing", "https.new.cpu", Microseconds, Some(FLOOR), &[(SMALL, Recorded), (MEDIUM, Recorded), (LARGE, Recorded)]),
    row("the same against a server that decides nothing", "https.new.cpu", Microseconds, Some(LIBRARIES), &[(SMALL, Recorded), (MEDIUM, Recorded), (LARGE, Recorded)]),
    row("the same against a server of our handler and nothing else", "https.new.cpu", Microseconds, Some(FLOOR_WITH_HANDLER), &[(SMALL, Recorded), (MEDIUM, Recorded), (LARGE, Recorded)]),
    row("the same against a server of our handler and nothing else", "https.new.cpu", Microseconds, Some(LIBRARIES_WITH_HANDLER), &[(SMALL, Recorded), (MEDIUM, Recorded), (LARGE, Recorded)]),
    row("GET /healthz over new connections: server CPU", "https.healthz.new.cpu", Microseconds, Some(GO), &[(NONE, Recorded)]),
    row("100,000 ServiceAccounts: resident memory, settled", "memory.settled", Bytes, Some(GO), &[(NONE, Better(15.0))]),
    row("100,000 ServiceAccounts: resident memory, peak", "memory.peak", Bytes, Some(GO), &[(NONE, Better(12.0))]),
    row("100,000 ServiceAccounts: start to the first right answer", "startup.seconds", Seconds, Some(GO), &[(NONE, Better(2.5))]),
    row("100,000 ServiceAccounts: start to ready, everything held", "startup.ready", Seconds, None, &[(NONE, Recorded)]),
    row("100,000 ServiceAccounts: wrong answers before", "startup.wrong", Count, Some(GO), &[(NONE, AtMost(0.0))]),
    row("each further ServiceAccount without a role", "accounts.bare", BytesEach, Some(GO), &[(NONE, AtMost(24.0))]),
    row("program as it is given", "size.unstripped", Bytes, Some(GO), &[(NONE, Better(5.0))]),
    row("program, stripped, as the Go webhook's Dockerfile has it", "size.binary", Bytes, Some(GO), &[(NONE, Better(5.0))]),
    row("resident memory, idle", "memory.idle", Bytes, Some(GO), &[(NONE, Better(3.0))]),
    row("policy: module with metadata", "guest.module", Bytes, Some(SDK), &[(NONE, AtMost(102_400.0))]),
    row("the same against a peer of another build", "guest.module", Bytes, Some(TEMPLATE), &[(NONE, Recorded)]),
    row("policy: guest's share of a call", "guest.share", Microseconds, Some(SDK), &[(SMALL, Better(10.0)), (MEDIUM, Better(15.0)), (LARGE, Recorded)]),
    row("the same against a peer of another build", "guest.share", Microseconds, Some(TEMPLATE), &[(SMALL, Recorded), (MEDIUM, Recorded), (LARGE, Recorded)]),
    row("policy in policy-server: CPU per request", "policy-server.cpu", Microseconds, Some(SDK), &[(SMALL, Better(1.5)), (MEDIUM, Better(1.5))]),
    row("the same against a peer of another build", "policy-server.cpu", Microseconds, Some(TEMPLATE), &[(SMALL, Recorded), (MEDIUM, Recorded)]),
    row("policy in policy-server: CPU per request", "policy-server.cpu", Microseconds, Some(EMPTY), &[(SMALL, Within(1.6)), (MEDIUM, Within(1.6))]),
    row("policy in policy-server: a pod that is left alone", "policy-server.left-alone", Microseconds, Some(EMPTY), &[(SMALL, Within(1.1))]),
    row("policy in policy-server: a pod that cannot match", "policy-server.no-match", Microseconds, Some(EMPTY), &[(SMALL, Within(1.1))]),
    row("policy: host calls for a pod that is left alone or cannot match", "guest.calls", Count, None, &[(SMALL, AtMost(0.0))]),
    row("policy, guest alone: a pod that is left alone", "guest.left-alone", Microseconds, Some(EMPTY), &[(SMALL, Recorded)]),
    row("policy, guest alone: a pod that cannot match", "guest.no-match", Microseconds, Some(EMPTY), &[(SMALL, Recorded)]),
    row("policy, 10,000 mapping entries in the settings: guest's share", "guest.entries.share", Milliseconds, Some(SDK), &[(SMALL, AtMost(2.0))]),
    row("policy, 10,000 mapping entries: memory beyond the payload, in pages of 64 KiB", "guest.entries.memory", Bytes, None, &[(SMALL, AtMost(65_536.0))]),
    row("policy: compilation", "guest.compile", Milliseconds, Some(SDK), &[(NONE, Better(20.0))]),
    row("the same against a peer of another build", "guest.compile", Milliseconds, Some(TEMPLATE), &[(NONE, Recorded)]),
    row("the same against the empty policy", "guest.compile", Milliseconds, Some(EMPTY), &[(NONE, Recorded)]),
    row("policy-server's start with the policy, less its start without: time", "policy-server-start.time", Milliseconds, Some(SDK), &[(NONE, Better(20.0))]),
    row("the same against a peer of another build", "policy-server-start.time", Milliseconds, Some(TEMPLATE), &[(NONE, Recorded)]),
    row("policy-server's start with the policy, less its start without: CPU", "policy-server-start.cpu", Milliseconds, Some(SDK), &[(NONE, Recorded)]),
    row("the same against a peer of another build", "policy-server-start.cpu", Milliseconds, Some(TEMPLATE), &[(NONE, Recorded)]),
    row("policy-server's start with the policy, less its start without: memory, peak", "policy-server-start.memory", Bytes, Some(SDK), &[(NONE, Recorded)]),
    row("the same against a peer of another build", "policy-server-start.memory", Bytes, Some(TEMPLATE), &[(NONE, Recorded)]),
    row("policy: fuel", "guest.fuel", Count, Some(SDK), &[(SMALL, Recorded), (MEDIUM, Recorded), (LARGE, Recorded)]),
];

const fn row(
    what: &'static str,
    id: &'static str,
    unit: Unit,
    peer: Option<&'static str>,
    cases: &'static [(Size, Target)],
) -> Row {
    Row { what, id, unit, peer, cases }
}

/// Markdown.
pub(crate) fn table(results: &Results, peers: Peers) -> String {
    let mut text = "| what | pod | ours | peer | ratio | target | met | spread |\n\
                    | --- | --- | ---: | --- | ---: | --- | --- | --- |\n"
        .to_owned();
    for row in ROWS {
        for (size, target) in row.cases {
            let measured = row.measured(results, *size, *target);
            let shown =
                |figure: Option<f64>| figure.map_or_else(|| "–".to_owned(), |figure| row.unit.show(figure));
            let cells = [
                row.what.to_owned(),
                size.unwrap_or_default().to_owned(),
                shown(measured.ours),
                row.peer.map_or_else(String::new, |peer| format!("{} ({peer})", shown(measured.theirs))),
                measured.ratio.map_or_else(String::new, |ratio| with_interval(ratio, measured.between)),
                target.show(row.unit),
                measured.verdict(*target).unwrap_or_else(|| row.missing(peers)).to_owned(),
                row.spread(results, *size),
            ];
            let _ = writeln!(text, "| {} |", cells.join(" | "));
        }
    }
    text
}

/// A line of the table whose target is not reached.
pub(crate) struct Unmet {
    pub(crate) what: &'static str,
    pub(crate) id: &'static str,
    /// `4kb`; empty when there is one size only.
    pub(crate) size: String,
    pub(crate) ours: f64,
    pub(crate) unit: Unit,
    pub(crate) shown: String,
    pub(crate) peer: Option<f64>,
    /// How many times better it is to be.
    pub(crate) least: Option<f64>,
    /// Between which the ratio lies.
    pub(crate) between: Option<(f64, f64)>,
    /// Whether the target lies between them, too.
    pub(crate) undecided: bool,
}

impl Unmet {
    /// The figure's name.
    pub(crate) fn figure(&self) -> String {
        if self.size.is_empty() { self.id.to_owned() } else { format!("{}.{}", self.id, self.size) }
    }
}

/// All of them, in the table's order.
pub(crate) fn unmet(results: &Results) -> Vec<Unmet> {
    let mut unmet = Vec::new();
    for row in ROWS {
        for (size, target) in row.cases {
            let Measured { ours, theirs: peer, between, met, undecided, .. } =
                row.measured(results, *size, *target);
            if let (Some(ours), Some(false)) = (ours, met) {
                let shown = row.unit.show(ours);
                let least = match target {
                    Better(least) => Some(*least),
                    _ => None,
                };
                let (what, id, unit, size) = (row.what, row.id, row.unit, slug(*size));
                unmet.push(Unmet { what, id, size, ours, unit, shown, peer, least, between, undecided });
            }
        }
    }
    unmet
}

/// What a line of the table says.
struct Measured {
    ours: Option<f64>,
    theirs: Option<f64>,
    /// The median of the rounds' ratios; that of the medians, where the two were not measured in the same rounds.
    ratio: Option<f64>,
    /// Between which it lies.
    between: Option<(f64, f64)>,
    /// None where there is no target, or what it is held against was not measured.
    met: Option<bool>,
    /// Whether the target lies between as well.
    undecided: bool,
}

impl Measured {
    /// None where something was not measured.
    fn verdict(&self, target: Target) -> Option<&'static str> {
        match (self.met, self.undecided) {
            (Some(true), false) => Some("yes"),
            (Some(true), true) => Some("yes, within noise"),
            (Some(false), false) => Some("no"),
            (Some(false), true) => Some("no, within noise"),
            (None, _) if matches!(target, Recorded) => self.ours.map(|_| ""),
            (None, _) => None,
        }
    }
}

/// As figures' names have it.
fn slug(size: Size) -> String {
    size.unwrap_or_default().to_lowercase().replace(' ', "")
}

impl Row {
    /// How far rounds are from the median, ours and the peer's.
    fn spread(&self, results: &Results, size: Size) -> String {
        let spread = |whose: &str| results.spread(&self.figure(size), whose);
        let percent = |spread: f64| format!("±{:.0}", spread * 100.0);
        let spreads: Vec<String> =
            [spread(OURS), self.peer.and_then(spread)].into_iter().flatten().map(percent).collect();
        if spreads.is_empty() { String::new() } else { format!("{} %", spreads.join(" / ")) }
    }

    /// `https.cpu.4kb`, but `guest.calls` when there is one size only.
    fn figure(&self, size: Size) -> String {
        match size {
            Some(size) if self.cases.len() > 1 => {
                format!("{}.{}", self.id, slug(Some(size)))
            }
            _ => self.id.to_owned(),
        }
    }

    fn measured(&self, results: &Results, size: Size, target: Target) -> Measured {
        let figure = |whose: &str| results.figure(&self.figure(size), whose);
        let (ours, theirs) = (figure(OURS), self.peer.and_then(figure));
        let ratios = self.ratios(results, size, target);
        let ratio = median(&ratios).or_else(|| self.ratio(ours?, theirs?, target));
        let between = interval(&ratios);
        let undecided = between
            .is_some_and(|(from, to)| target.is_met(ours, Some(from)) != target.is_met(ours, Some(to)));
        Measured { ours, theirs, ratio, between, met: target.is_met(ours, ratio), undecided }
    }

    fn ratio(&self, ours: f64, theirs: f64, target: Target) -> Option<f64> {
        let ratio = match target {
            Within(_) => ours / theirs,
            _ => self.unit.times(ours, theirs),
        };
        // Both may be nothing.
        ratio.is_finite().then_some(ratio)
    }

    /// Round by round, when both were measured in the same ones.
    fn ratios(&self, results: &Results, size: Size, target: Target) -> Vec<f64> {
        let id = self.figure(size);
        let pairs = self.peer.and_then(|peer| results.pairs(&id, OURS, peer)).unwrap_or_default();
        let ratios = pairs.into_iter().map(|(ours, theirs)| self.ratio(ours, theirs, target));
        ratios.flatten().collect()
    }

    fn missing(&self, peers: Peers) -> &'static str {
        match self.peer {
            _ if self.id.starts_with("policy-server") && !peers.policy_server => {
                "no peer given: `POLICY_SERVER=…`"
            }
            Some(GO) if self.id == "handler.process" => "not built: see below",
            Some(GO) if !peers.go_webhook => "no peer given: `GO_WEBHOOK=…`",
            _ => "not measured",
        }
    }
}

impl Target {
    /// None where there is no target, or what it is held against was not measured.
    fn is_met(self, ours: Option<f64>, ratio: Option<f64>) -> Option<bool> {
        match self {
            Better(least) => ratio.map(|ratio| ratio >= least),
            Within(most) => ratio.map(|ratio| ratio <= most),
            AtMost(most) => ours.map(|ours| ours <= most),
            Recorded => None,
        }
    }

    fn show(self, unit: Unit) -> String {
        match self {
            Better(least) => format!("≥ {least}"),
            Within(most) => format!("≤ {most} times"),
            AtMost(most) => format!("≤ {}", unit.show(most)),
            Recorded => String::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::Record;

    const NO_PEERS: Peers = Peers { go_webhook: false, policy_server: false };

    fn line(record: Record, peers: Peers, start: &str) -> String {
        let results = Results { complete: true, sections: [("any".to_owned(), record)].into() };
        let table = table(&results, peers);
        table.lines().find(|line| line.starts_with(&format!("| {start}"))).unwrap().to_owned()
    }

    #[track_caller]
    fn check(figures: &[(&str, &str, f64)], start: &str, expected: &str) {
        let mut record = Record::default();
        for (id, whose, sample) in figures {
            record.add(id, whose, *sample);
        }
        let peers = Peers { go_webhook: true, policy_server: false };
        assert_eq!(line(record, peers, start), expected);
    }

    #[test]
    fn ratios_are_compared_with_targets() {
        check(
            &[("https.cpu.4kb", OURS, 20.0), ("https.cpu.4kb", GO, 210.0)],
            "HTTPS keep-alive, 8",
            "| HTTPS keep-alive, 8 connections: server CPU per request | 4 KB | 20.0 µs | 210 µs (Go webhook) | 10.5 | ≥ 11 | no |  |",
        );
        check(
            &[("https.rate.4kb", OURS, 56_000.0), ("https.rate.4kb", GO, 8000.0)],
            "HTTPS keep-alive: requests",
            "| HTTPS keep-alive: requests per second | 4 KB | 56,000/s | 8,000/s (Go webhook) | 7.00 | ≥ 7 | yes |  |",
        );
        check(
            &[("startup.wrong", OURS, 0.0), ("startup.wrong", GO, 812.0)],
            "100,000 ServiceAccounts: wrong",
            "| 100,000 ServiceAccounts: wrong answers before |  | 0 | 812 (Go webhook) |  | ≤ 0 | yes |  |",
        );
        check(
            &[("policy-server.no-match", OURS, 390.0), ("policy-server.no-match", EMPTY, 360.0)],
            "policy in policy-server: a pod that cannot",
            "| policy in policy-server: a pod that cannot match | 4 KB | 390 µs | 360 µs (empty policy) | 1.08 | ≤ 1.1 times | yes |  |",
        );
        check(
            &[("guest.compile", OURS, 9.0), ("guest.compile", OURS, 11.0), ("guest.compile", SDK, 300.0)],
            "policy: compilation",
            "| policy: compilation |  | 10.0 ms | 300 ms (SDK-built peer) | 30.0 | ≥ 20 | yes | ±10 % |",
        );
        check(
            &[
                ("policy-server-start.memory", OURS, 23_488_102.0),
                ("policy-server-start.memory", SDK, 366_790_000.0),
            ],
            "policy-server's start with the policy, less its start without: memory",
            "| policy-server's start with the policy, less its start without: memory, peak |  | 22.4 MiB | 350 MiB (SDK-built peer) | 15.6 |  |  |  |",
        );
        check(
            &[("guest.module", OURS, 153_423.0)],
            "policy: module",
            "| policy: module with metadata |  | 150 KiB | – (SDK-built peer) |  | ≤ 100 KiB | no |  |",
        );
    }

    #[test]
    fn what_is_missing_is_said() {
        let mut record = Record::default();
        record.add("https.cpu.4kb", OURS, 20.0);
        let last = |line: String| line.rsplit('|').nth(2).unwrap().trim().to_owned();
        let missing = |start| last(line(Record::default(), NO_PEERS, start));
        assert_eq!(last(line(record, NO_PEERS, "HTTPS keep-alive, 8")), "no peer given: `GO_WEBHOOK=…`");
        assert_eq!(missing("policy in policy-server: CPU"), "no peer given: `POLICY_SERVER=…`");
        assert_eq!(missing("policy-server's start with the policy"), "no peer given: `POLICY_SERVER=…`");
        assert_eq!(missing("policy: compilation"), "not measured");
        assert_eq!(missing("handler in process"), "not built: see below");
        assert_eq!(missing("the same without"), "not measured");
    }

    #[test]
    fn what_is_not_met_says_between_what_it_lies() {
        let mut record = Record::default();
        for (ours, theirs) in
            [(20.0, 210.0), (30.0, 240.0), (25.0, 275.0), (24.0, 240.0), (22.0, 220.0), (26.0, 260.0)]
        {
            record.add("https.cpu.4kb", OURS, ours);
            record.add("https.cpu.4kb", GO, theirs);
            record.add("https.rate.4kb", OURS, theirs);
            record.add("https.rate.4kb", GO, ours * 2.0);
            record.add("policy-server.cpu.4kb", OURS, theirs);
            record.add("policy-server.cpu.4kb", EMPTY, 140.0);
            record.add("https.cpu.20kb", OURS, 50.0);
            record.add("https.new.cpu.4kb", OURS, 10.0);
            record.add("https.new.cpu.4kb", GO, ours * 5.0 - 80.0);
            record.add("accounts.bare", OURS, 20.0);
            record.add("accounts.bare", GO, if ours < 30.0 { 120.0 } else { 100.0 });
        }
        // Not of the same rounds.
        record.add("https.cpu.20kb", GO, 60.0);
        let results = Results { complete: true, sections: [("https".to_owned(), record)].into() };
        let peers = Peers { go_webhook: true, policy_server: true };
        let unmet: Vec<_> =
            unmet(&results).into_iter().map(|row| (row.figure(), row.between, row.undecided)).collect();
        let expected = [
            ("https.cpu.4kb", Some((8.0, 11.0)), true),
            ("https.cpu.20kb", None, false),
            ("https.rate.4kb", Some((4.0, 5.5)), false),
            ("policy-server.cpu.4kb", Some((1.5, 275.0 / 140.0)), true),
        ];
        assert_eq!(unmet, expected.map(|(id, between, undecided)| (id.to_owned(), between, undecided)));
        let table = table(&results, peers);
        let cells = |start: &str| {
            let row = table.lines().find(|line| line.starts_with(&format!("| {start}"))).unwrap();
            let cells: Vec<&str> = row.split(" | ").collect();
            (cells[4].to_owned(), cells[6].to_owned())
        };
        let shown = |ratio: &str, met: &str| (ratio.to_owned(), met.to_owned());
        // The median of the ratios, where that of the figures would be 9.80.
        assert_eq!(cells("HTTPS keep-alive, 8"), shown("10.0 (8.00 to 11.0)", "no, within noise"));
        assert_eq!(cells("HTTPS keep-alive: requests"), shown("5.00 (4.00 to 5.50)", "no"));
        assert_eq!(cells("a new TLS connection"), shown("4.25 (2.00 to 7.00)", "yes, within noise"));
        assert_eq!(cells("each further"), shown("6.00 (5.00 to 6.00)", "yes"));
    }
}
