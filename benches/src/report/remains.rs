//! What remains where a target is not met, and where the time goes, part by part.

use std::fmt::{self, Write as _};

use crate::{
    perf::parts,
    report::rows::{Unmet, three_digits},
    results::{EMPTY, FLOOR, FLOOR_WITH_HANDLER, GO, LIBRARIES, LIBRARIES_WITH_HANDLER, OURS, Results, SDK},
    sections::profile,
};

/// Parts that a sentence names.
const NAMED: usize = 6;
/// Who owns symbols that are not a library's.
const OWN_CRATES: [&str; 2] = ["webhook", "pod_identity_core"];

/// A table of parts, by what was sent. None when it was not measured.
pub(crate) fn parts_table(results: &Results) -> Option<String> {
    let loads: Vec<(&str, Vec<(&str, f64)>)> =
        profile::LOADS.iter().filter_map(|(load, ..)| Some((*load, of(results, load)?))).collect();
    if loads.is_empty() {
        return None;
    }
    let heading = |load: &str| match load.split_once('.') {
        Some(("kept", "healthz")) => "GET /healthz".to_owned(),
        Some(("new", "healthz")) => "GET /healthz, new connection".to_owned(),
        Some((kind, size)) => {
            let size = size.to_uppercase().replace("KB", " KB");
            if kind == "new" { size + ", new connection" } else { size }
        }
        None => load.to_owned(),
    };
    let mut text = "| µs a request |".to_owned();
    for (load, _) in &loads {
        let _ = write!(text, " {} |", heading(load));
    }
    let _ = write!(text, "\n| --- |{}\n", " ---: |".repeat(loads.len()));
    for part in parts::ALL {
        let times: Vec<f64> = loads.iter().map(|(_, parts)| time(parts, part)).collect();
        if times.iter().any(|time| *time > 0.0) {
            let cells: Vec<String> = times.into_iter().map(microseconds).collect();
            let _ = writeln!(text, "| {part} | {} |", cells.join(" | "));
        }
    }
    let sums: Vec<String> = loads.iter().map(|(_, parts)| microseconds(sum(parts))).collect();
    let _ = writeln!(text, "| **all** | {} |", sums.join(" | "));
    Some(text)
}

/// A line for each target that is not met.
pub(crate) fn sentences(results: &Results, unmet: &[Unmet]) -> String {
    let mut text = String::new();
    for row in unmet {
        let size = if row.size.is_empty() { String::new() } else { format!(", {}", row.size.to_uppercase()) };
        let why = why(results, row).unwrap_or_else(|| "not taken apart.".to_owned());
        let rounds = range(&row.ratios).map_or_else(String::new, |(least, most)| {
            format!(" In single rounds the ratio was {} to {}.", three_digits(least), three_digits(most))
        });
        let _ = writeln!(text, "- {}{}, {}: {why}{rounds}", row.what, size.replace("KB", " KB"), row.shown);
    }
    text
}

/// From figures alone: what is said is true of whatever was measured.
fn why(results: &Results, row: &Unmet) -> Option<String> {
    let ours = |id: &str| results.figure(id, OURS);
    let (id, size) = (row.id, &row.size);
    match id {
        "https.cpu" => over_https(results, row, "kept"),
        "https.new.cpu" => over_https(results, row, "new"),
        "handler.process" => {
            let parts = of(results, &format!("kept.{size}"))?;
            let inside: Vec<_> =
                parts.into_iter().filter(|(part, _)| parts::IN_THE_HANDLER.contains(part)).collect();
            let log = row.ours - ours(&format!("handler.unlogged.{size}"))?;
            // Noise may be larger than it.
            let log = if log > 0.0 {
                format!("{} µs of it are the log line. ", three_digits(log))
            } else {
                String::new()
            };
            Some(format!("{log}Over HTTPS the same work was profiled, in µs: {}.", largest(&inside)))
        }
        "https.rate" => {
            let cpu = ours(&format!("https.cpu.{size}"))?;
            let wall = 1e6 / row.ours;
            Some(format!(
                "a request comes every {} µs, which are {} of two processors; the server takes {} of these, the load \
                 and idling the others.{}",
                three_digits(wall),
                three_digits(2.0 * wall),
                three_digits(cpu),
                floors(results, row, more_is_better).unwrap_or_default()
            ))
        }
        "https.p99" => {
            let of = |figure: &str, whose| results.figure(&format!("{figure}.{size}"), whose);
            let (waiting, cpu) = (of("https.waiting", OURS)?, of("https.cpu", OURS)?);
            let theirs = match (of("https.waiting", GO), of("https.cpu", GO)) {
                (Some(waiting), Some(cpu)) => {
                    format!(
                        "; the Go webhook's wait {} µs and run {}",
                        three_digits(waiting),
                        three_digits(cpu)
                    )
                }
                _ => String::new(),
            };
            Some(format!(
                "server and load fill the processors. For each request the server's threads wait {} µs for one, and \
                 run {}{theirs}. Half of the requests are answered within {} µs.",
                three_digits(waiting),
                three_digits(cpu),
                three_digits(of("https.p50", OURS)?)
            ))
        }
        "memory.settled" | "memory.idle" => {
            let file = ours(&format!("{id}.file"))?;
            Some(format!(
                "{} MiB are pages of the program and its libraries, {} MiB its own.",
                mebibytes(file),
                mebibytes(row.ours - file)
            ))
        }
        "size.binary" | "size.unstripped" => {
            let figures = results.sections.values().flat_map(|record| record.figures.keys());
            let owners: Vec<&str> = figures.filter_map(|id| id.strip_prefix("size.of: ")).collect();
            let mut sizes: Vec<(&str, f64)> = owners
                .into_iter()
                .filter_map(|owner| Some((owner, ours(&format!("size.of: {owner}"))?)))
                .collect();
            sizes.sort_by(|(_, a), (_, b)| b.total_cmp(a));
            let named: Vec<String> = sizes
                .iter()
                .map(|(owner, size)| format!("{owner} {}", three_digits(size / 1024.0)))
                .collect();
            let own: f64 =
                sizes.iter().filter(|(owner, _)| OWN_CRATES.contains(owner)).map(|(_, size)| size).sum();
            let without = match row.peer {
                Some(peer) if own > 0.0 => {
                    let times = three_digits(peer / (row.ours - own));
                    format!(" Libraries alone, without any of our code, would be {times} times.")
                }
                _ => String::new(),
            };
            (!named.is_empty()).then(|| {
                format!(
                    "by the symbols of a build without the profile, in KiB: {}.{without} What aws-lc could be built without, \
                     and what that costs, is in ARCHITECTURE.md.",
                    named.join(", ")
                )
            })
        }
        "guest.module" => Some("its parts are under “What the policy consists of”.".to_owned()),
        "guest.share" => {
            let each = |share: f64, whose: &str| {
                let fuel = |whose| results.figure(&format!("guest.fuel.{size}"), whose);
                let fuel = fuel(whose)? - fuel(EMPTY)?;
                let nanoseconds = three_digits(share * 1000.0 / fuel);
                Some(format!("{} instructions at {nanoseconds} ns", three_digits(fuel)))
            };
            Some(format!(
                "{} more than the empty policy; the SDK-built peer {}.",
                each(row.ours, OURS)?,
                each(row.peer?, SDK)?
            ))
        }
        "guest.compile" => {
            let each = |compile: f64, whose| {
                let size = results.figure("guest.module", whose)?;
                let bytes = three_digits(size / 1024.0);
                Some(format!("{bytes} KiB at {} µs a byte", three_digits(compile * 1000.0 / size)))
            };
            let mut text = format!("{}; the SDK-built peer {}", each(row.ours, OURS)?, each(row.peer?, SDK)?);
            if let Some(empty) = results.figure(row.id, EMPTY) {
                let _ = write!(text, "; the empty policy {}", each(empty, EMPTY)?);
                let for_a_byte = empty / results.figure("guest.module", EMPTY)?;
                let most = row.peer? / row.least? / for_a_byte / 1024.0;
                let _ = write!(
                    text,
                    ", at which the target takes a module of at most {} KiB",
                    three_digits(most)
                );
            }
            Some(text + ". What takes Cranelift how long, and what was tried, is in ARCHITECTURE.md.")
        }
        "policy-server.cpu" | "policy-server.left-alone" | "policy-server.no-match" => {
            let figure = |id: &str, whose| match size.is_empty()
                || id.starts_with("guest.left")
                || id.starts_with("guest.no")
            {
                true => results.figure(id, whose),
                false => results.figure(&format!("{id}.{size}"), whose).or_else(|| results.figure(id, whose)),
            };
            let empty = figure(id, EMPTY)?;
            let guest = match id {
                "policy-server.cpu" => figure("guest.share", OURS)?,
                _ => {
                    let id = id.replace("policy-server", "guest");
                    figure(&id, OURS)? - figure(&id, EMPTY)?
                }
            };
            Some(format!(
                "policy-server takes {} µs of it around the empty policy, and the guest alone {} µs; {} µs are what \
                 policy-server does with its answer, and what differs between runs. With a guest that takes nothing it would \
                 be {} times the empty policy.",
                three_digits(empty),
                three_digits(guest),
                three_digits(row.ours - empty - guest),
                three_digits((row.ours - guest) / empty)
            ))
        }
        _ => None,
    }
}

fn over_https(results: &Results, row: &Unmet, kind: &str) -> Option<String> {
    let parts = of(results, &format!("{kind}.{}", row.size))?;
    let floors = match kind {
        "kept" => {
            let sentences = [floors(results, row, less_is_better), left(results, row), rest(results, row)];
            sentences.into_iter().flatten().collect()
        }
        // There a thread for each connection is not the least.
        _ => new_connection(results, row).unwrap_or_default(),
    };
    Some(format!("of {} µs in the profile: {}.{floors}", microseconds(sum(&parts)), largest(&parts)))
}

/// What the handler takes by itself and among the libraries, and what is neither theirs nor the handler's.
fn rest(results: &Results, row: &Unmet) -> Option<String> {
    let figure = |whose| results.figure(&row.figure(), whose);
    let (alone, deciding) = (figure(LIBRARIES)?, figure(LIBRARIES_WITH_HANDLER)?);
    let handler = results.figure(&format!("handler.process.{}", row.size), OURS)?;
    let rest = row.ours - deciding;
    let mut text = format!(
        " Our handler takes {} µs in process, and between hyper and tokio it takes {} µs more than nothing does.",
        three_digits(handler),
        three_digits(deciding - alone)
    );
    // Noise may be larger than it.
    if rest > 0.0 {
        let _ = write!(
            text,
            " {} µs are everything else that a request gets (limits on time, room and turns; metrics).",
            three_digits(rest)
        );
    }
    Some(text)
}

/// What a new connection takes whatever is decided, and with nothing around the handler but libraries.
fn new_connection(results: &Results, row: &Unmet) -> Option<String> {
    let healthz = results.figure("https.healthz.new.cpu", OURS)?;
    let times = three_digits(row.peer? / healthz);
    let mut text =
        format!(" GET /healthz alone takes {} µs, which would be {times} times", three_digits(healthz));
    let reached = |whose| Reached::of(results, row, whose, less_is_better);
    if let Some((nothing, deciding)) = reached(LIBRARIES).zip(reached(LIBRARIES_WITH_HANDLER)) {
        let _ = write!(
            text,
            "; with hyper and tokio alone the ratio would be {nothing}, and with our handler in them {deciding}"
        );
        if is_out_of_reach(row, [&deciding]) {
            text.push_str(", so the target is out of their reach");
        }
    }
    Some(text + ".")
}

/// What is left to win around the handler. `ratio` is of a floor's figure to the peer's.
fn floors(results: &Results, row: &Unmet, ratio: Ratio) -> Option<String> {
    let reached = |whose| Reached::of(results, row, whose, ratio);
    let (nothing, deciding) = (reached(FLOOR)?, reached(FLOOR_WITH_HANDLER)?);
    let mut text = format!(
        " With a server that decides nothing the ratio would be {nothing}, and with our handler in it and nothing else \
         {deciding}"
    );
    if let Some((nothing, with_libraries)) = reached(LIBRARIES).zip(reached(LIBRARIES_WITH_HANDLER)) {
        let _ = write!(text, "; with hyper and tokio alone {nothing} and {with_libraries}");
        if is_out_of_reach(row, [&deciding, &with_libraries]) {
            text.push_str(". So the target is out of reach with this TLS and this handler");
        } else if is_out_of_reach(row, [&with_libraries]) {
            text.push_str(", so the target is out of their reach");
        }
    }
    Some(text + ".")
}

/// What the target leaves for everything but TLS, the operating system and the handler.
fn left(results: &Results, row: &Unmet) -> Option<String> {
    let most = row.peer? / row.least?;
    let left = most - results.figure(&row.figure(), FLOOR_WITH_HANDLER)?;
    Some(format!(
        " The target is {} µs, {} {} than the server of our handler and nothing else takes.",
        three_digits(most),
        three_digits(left.abs()),
        if left < 0.0 { "less" } else { "more" }
    ))
}

/// How many times better than the peer's a figure is.
type Ratio = fn(figure: f64, peer: f64) -> f64;

fn less_is_better(takes: f64, peer: f64) -> f64 {
    peer / takes
}

fn more_is_better(rate: f64, peer: f64) -> f64 {
    rate / peer
}

/// Whether neither ours nor these servers reached the target in any round. Not to reach it in the median may be noise.
fn is_out_of_reach<const N: usize>(row: &Unmet, servers: [&Reached; N]) -> bool {
    let mut rounds = servers.iter().map(|server| server.rounds).chain([range(&row.ratios)]);
    rounds.all(|rounds| rounds.zip(row.least).is_some_and(|((_, most), least)| most < least))
}

/// How many times better than the peer one of the floors is.
struct Reached {
    median: f64,
    /// The least and the most of single rounds, when the peer was measured in the same ones.
    rounds: Option<(f64, f64)>,
}

impl Reached {
    fn of(results: &Results, row: &Unmet, whose: &str, ratio: Ratio) -> Option<Self> {
        let id = row.figure();
        let (ours, theirs) = (results.rounds(&id, whose)?, results.rounds(&id, GO).unwrap_or_default());
        let pairs = ours.iter().zip(theirs).filter(|_| ours.len() == theirs.len());
        let ratios: Vec<f64> = pairs.map(|(figure, peer)| ratio(*figure, *peer)).collect();
        Some(Self { median: ratio(results.figure(&id, whose)?, row.peer?), rounds: range(&ratios) })
    }
}

impl fmt::Display for Reached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&three_digits(self.median))?;
        match self.rounds {
            Some((least, most)) => {
                write!(f, " ({} to {} in single rounds)", three_digits(least), three_digits(most))
            }
            None => Ok(()),
        }
    }
}

/// The least and the most of several.
fn range(ratios: &[f64]) -> Option<(f64, f64)> {
    let ends = ratios.iter().copied().reduce(f64::min).zip(ratios.iter().copied().reduce(f64::max));
    ends.filter(|_| ratios.len() > 1)
}

/// Every part's time. None when the load was not profiled.
fn of(results: &Results, load: &str) -> Option<Vec<(&'static str, f64)>> {
    let times = parts::ALL.map(|part| Some((part, results.figure(&profile::figure(load, part), OURS)?)));
    times.into_iter().collect()
}

fn time(parts: &[(&str, f64)], part: &str) -> f64 {
    parts.iter().find(|(name, _)| *name == part).map_or(0.0, |(_, time)| *time)
}

fn sum(parts: &[(&str, f64)]) -> f64 {
    parts.iter().map(|(_, time)| time).sum()
}

fn largest(parts: &[(&str, f64)]) -> String {
    let mut parts = parts.to_vec();
    parts.sort_by(|(_, a), (_, b)| b.total_cmp(a));
    let named = parts.iter().take(NAMED).map(|(part, time)| format!("{} {part}", microseconds(*time)));
    named.collect::<Vec<_>>().join("; ")
}

/// Samples say no more than that.
fn microseconds(time: f64) -> String {
    format!("{time:.1}")
}

fn mebibytes(bytes: f64) -> String {
    three_digits(bytes / f64::from(1 << 20))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::Record;

    fn results(figures: &[(&str, &str, f64)]) -> Results {
        let mut record = Record::default();
        for (id, whose, sample) in figures {
            record.add(id, whose, *sample);
        }
        Results { complete: true, sections: [("any".to_owned(), record)].into() }
    }

    fn profiled(load: &str, more: &[(&str, &str, f64)]) -> Results {
        let ids: Vec<String> = parts::ALL.iter().map(|part| profile::figure(load, part)).collect();
        // The first part takes 16 µs, the last one 1.
        let times = (1..=16).rev().map(f64::from);
        let mut figures: Vec<(&str, &str, f64)> =
            ids.iter().zip(times).map(|(id, time)| (id.as_str(), OURS, time)).collect();
        figures.extend(more);
        results(&figures)
    }

    fn row(id: &'static str, size: &str, ours: f64, peer: Option<f64>) -> Unmet {
        Unmet {
            what: "what",
            id,
            size: size.to_owned(),
            ours,
            shown: format!("{ours} x"),
            peer,
            least: Some(11.0),
            ratios: vec![6.0, 9.0, 7.0],
        }
    }

    #[test]
    fn a_sentence_names_the_largest_parts_and_the_floor() {
        let results = profiled(
            "kept.4kb",
            &[
                ("https.cpu.4kb", GO, 230.0),
                ("https.cpu.4kb", GO, 250.0),
                ("https.cpu.4kb", FLOOR, 12.0),
                ("https.cpu.4kb", LIBRARIES, 16.0),
                ("https.cpu.4kb", FLOOR_WITH_HANDLER, 19.0),
                ("https.cpu.4kb", FLOOR_WITH_HANDLER, 21.0),
                ("https.cpu.4kb", LIBRARIES_WITH_HANDLER, 23.0),
                ("https.cpu.4kb", LIBRARIES_WITH_HANDLER, 27.0),
                ("handler.process.4kb", OURS, 8.0),
            ],
        );
        assert_eq!(
            sentences(&results, &[row("https.cpu", "4kb", 40.0, Some(240.0)), row("other", "", 1.0, None)]),
            "- what, 4 KB, 40 x: of 136.0 µs in the profile: 16.0 kernel's network stack; 15.0 kernel's epoll, futex, \
             scheduling; 14.0 kernel's writing of the log line; 13.0 kernel's memory; 12.0 kernel's rest; 11.0 TLS \
             handshake (key exchange, signature, hashes). With a server that decides nothing the \
             ratio would be 20.0, and with our handler in it and nothing else 12.0 (11.9 to 12.1 in single rounds); with hyper \
             and tokio alone 15.0 and 9.60 (9.26 to 10.0 in single rounds), so the target is out of their reach. The target is \
             21.8 µs, 1.82 more than the server of our handler and nothing else takes. Our handler takes 8.00 µs in process, \
             and between hyper and tokio it takes 9.00 µs more than nothing does. 15.0 µs are everything else that a request \
             gets (limits on time, room and turns; metrics). In single rounds the ratio was 6.00 to 9.00.\n\
             - what, 1 x: not taken apart. In single rounds the ratio was 6.00 to 9.00.\n"
        );
    }

    #[test]
    fn a_sentence_names_what_a_new_connection_takes() {
        let results = profiled(
            "new.4kb",
            &[
                ("https.healthz.new.cpu", OURS, 250.0),
                ("https.new.cpu.4kb", GO, 600.0),
                ("https.new.cpu.4kb", LIBRARIES, 240.0),
                ("https.new.cpu.4kb", LIBRARIES_WITH_HANDLER, 300.0),
            ],
        );
        let sentence = sentences(&results, &[row("https.new.cpu", "4kb", 300.0, Some(600.0))]);
        assert_eq!(
            sentence,
            "- what, 4 KB, 300 x: of 136.0 µs in the profile: 16.0 kernel's network stack; 15.0 kernel's epoll, futex, \
             scheduling; 14.0 kernel's writing of the log line; 13.0 kernel's memory; 12.0 kernel's rest; 11.0 TLS \
             handshake (key exchange, signature, hashes). GET /healthz alone takes 250 µs, which would be 2.40 times; \
             with hyper and tokio alone the ratio would be 2.50, and with our handler in them 2.00. \
             In single rounds the ratio was 6.00 to 9.00.\n"
        );
    }

    #[test]
    fn sentences_are_made_of_figures() {
        let results = results(&[
            ("https.cpu.4kb", OURS, 30.0),
            ("https.rate.4kb", FLOOR, 50_000.0),
            ("https.rate.4kb", FLOOR_WITH_HANDLER, 40_000.0),
            ("handler.process.4kb", OURS, 10.0),
            ("memory.idle.file", OURS, 2_097_152.0),
            ("size.of: a", OURS, 1024.0),
            ("size.of: b", OURS, 3072.0),
            ("size.of: webhook", OURS, 2048.0),
            ("guest.fuel.4kb", OURS, 1500.0),
            ("guest.fuel.4kb", EMPTY, 500.0),
            ("guest.fuel.4kb", SDK, 2500.0),
            ("guest.module", OURS, 1024.0),
            ("guest.module", SDK, 2048.0),
            ("guest.module", EMPTY, 512.0),
            ("guest.compile", EMPTY, 0.512),
            ("guest.share.20kb", OURS, 100.0),
            ("policy-server.cpu.20kb", EMPTY, 1500.0),
        ]);
        let why = |id, size, ours, peer| why(&results, &row(id, size, ours, peer)).unwrap_or_default();
        assert_eq!(
            why("https.rate", "4kb", 20_000.0, Some(10_000.0)),
            "a request comes every 50.0 µs, which are 100 of two processors; the server takes 30.0 of these, the load and \
             idling the others. With a server that decides nothing the ratio would be 5.00, and with our handler in it and \
             nothing else 4.00."
        );
        assert_eq!(
            why("memory.idle", "", 3_145_728.0, None),
            "2.00 MiB are pages of the program and its libraries, 1.00 MiB its own."
        );
        assert_eq!(
            why("guest.share", "4kb", 2.0, Some(8.0)),
            "1,000 instructions at 2.00 ns more than the empty policy; the SDK-built peer 2,000 instructions at 4.00 ns."
        );
        assert_eq!(
            why("guest.compile", "", 1.024, Some(4.096)),
            "1.00 KiB at 1.00 µs a byte; the SDK-built peer 2.00 KiB at 2.00 µs a byte; the empty policy 0.50 KiB at \
             1.00 µs a byte, at which the target takes a module of at most 0.36 KiB. What takes Cranelift how long, and what \
             was tried, is in ARCHITECTURE.md."
        );
        assert_eq!(
            why("policy-server.cpu", "20kb", 2000.0, None),
            "policy-server takes 1,500 µs of it around the empty policy, and the guest alone 100 µs; 400 µs are what \
             policy-server does with its answer, and what differs between runs. With a guest that takes nothing it would be \
             1.27 times the empty policy."
        );
        assert_eq!(
            why("size.binary", "", 8192.0, Some(12_288.0)),
            "by the symbols of a build without the profile, in KiB: b 3.00, webhook 2.00, a 1.00. Libraries alone, without \
             any of our code, would be 2.00 times. What aws-lc could be built without, and what that costs, is in \
             ARCHITECTURE.md."
        );
        // Not measured.
        assert_eq!(why("https.p99", "4kb", 1.0, None), "");
    }

    #[test]
    fn out_of_reach_is_what_no_round_reached() {
        let new = |ours: [f64; 2], theirs: [f64; 2]| {
            let results = results(&[
                ("https.healthz.new.cpu", OURS, 20.0),
                ("https.new.cpu.4kb", GO, theirs[0]),
                ("https.new.cpu.4kb", GO, theirs[1]),
                ("https.new.cpu.4kb", LIBRARIES, 10.0),
                ("https.new.cpu.4kb", LIBRARIES_WITH_HANDLER, 20.0),
                ("https.new.cpu.4kb", LIBRARIES_WITH_HANDLER, 22.0),
            ]);
            new_connection(
                &results,
                &Unmet { ratios: ours.to_vec(), ..row("https.new.cpu", "4kb", 40.0, Some(210.0)) },
            )
        };
        let said = |rounds, claim| {
            Some(format!(
                " GET /healthz alone takes 20.0 µs, which would be 10.5 times; with hyper and tokio alone the ratio would be \
                 21.0, and with our handler in them 10.0 ({rounds} in single rounds){claim}."
            ))
        };
        let claim = ", so the target is out of their reach";
        assert_eq!(new([6.0, 9.0], [200.0, 220.0]), said("10.0 to 10.0", claim));
        assert_eq!(new([6.0, 11.0], [200.0, 220.0]), said("10.0 to 10.0", ""), "ours reached it");
        assert_eq!(new([6.0, 9.0], [180.0, 242.0]), said("9.00 to 11.0", ""), "they reached it");
    }

    #[test]
    fn what_the_floors_reached_is_said_of_all_or_of_the_libraries() {
        let rates = |floor: [f64; 2], libraries: [f64; 2]| {
            let mut figures = vec![
                ("https.rate.4kb", FLOOR, 3000.0),
                ("https.rate.4kb", LIBRARIES, 2000.0),
                ("https.rate.4kb", GO, 100.0),
                ("https.rate.4kb", GO, 100.0),
            ];
            figures.extend(floor.map(|rate| ("https.rate.4kb", FLOOR_WITH_HANDLER, rate)));
            figures.extend(libraries.map(|rate| ("https.rate.4kb", LIBRARIES_WITH_HANDLER, rate)));
            floors(&results(&figures), &row("https.rate", "4kb", 400.0, Some(100.0)), more_is_better)
        };
        let said = |floor, libraries, claim| {
            Some(format!(
                " With a server that decides nothing the ratio would be 30.0, and with our handler in it and nothing else \
                 {floor} in single rounds); with hyper and tokio alone 20.0 and {libraries} in single rounds){claim}."
            ))
        };
        assert_eq!(
            rates([800.0, 1000.0], [700.0, 900.0]),
            said(
                "9.00 (8.00 to 10.0",
                "8.00 (7.00 to 9.00",
                ". So the target is out of reach with this TLS and this handler"
            )
        );
        assert_eq!(
            rates([800.0, 1200.0], [700.0, 900.0]),
            said("10.0 (8.00 to 12.0", "8.00 (7.00 to 9.00", ", so the target is out of their reach")
        );
        assert_eq!(
            rates([800.0, 1000.0], [700.0, 1100.0]),
            said("9.00 (8.00 to 10.0", "9.00 (7.00 to 11.0", ""),
            "a round of the libraries reached it"
        );
    }

    #[test]
    fn rounds_are_compared_with_the_same_ones_of_the_peer() {
        let shown = |figures: &[f64], peers: &[f64]| {
            let all: Vec<(&str, &str, f64)> =
                (figures.iter().map(|figure| ("https.cpu.4kb", FLOOR, *figure)))
                    .chain(peers.iter().map(|peer| ("https.cpu.4kb", GO, *peer)))
                    .collect();
            let row = row("https.cpu", "4kb", 40.0, Some(200.0));
            Reached::of(&results(&all), &row, FLOOR, less_is_better).unwrap().to_string()
        };
        assert_eq!(
            [
                shown(&[20.0, 25.0, 22.0], &[190.0, 200.0, 220.0]),
                shown(&[20.0, 25.0, 22.0], &[200.0, 200.0]),
                shown(&[20.0], &[200.0]),
            ],
            ["9.09 (8.00 to 10.0 in single rounds)", "9.09", "10.0"]
        );
    }

    #[test]
    fn what_the_target_leaves_may_be_less_than_nothing() {
        let results = results(&[("https.cpu.4kb", FLOOR_WITH_HANDLER, 21.0)]);
        assert_eq!(
            left(&results, &row("https.cpu", "4kb", 40.0, Some(220.0))).unwrap(),
            " The target is 20.0 µs, 1.00 less than the server of our handler and nothing else takes."
        );
    }

    #[test]
    fn parts_that_take_nothing_are_left_out() {
        let table = parts_table(&profiled("new.20kb", &[])).unwrap();
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!(
            [lines[0], lines[1], lines[2], lines[18]],
            [
                "| µs a request | 20 KB, new connection |",
                "| --- | ---: |",
                "| kernel's network stack | 16.0 |",
                "| **all** | 136.0 |"
            ]
        );
        assert_eq!(parts_table(&Results::default()), None);
    }
}
