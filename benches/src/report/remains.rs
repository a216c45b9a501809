//! What remains where a target is not met, and where the time goes, part by part.

mod floors;

use std::fmt::Write as _;

use crate::{
    perf::{compilation, parts},
    report::{rows::Unmet, unit::three_digits},
    results::{EMPTY, GO, OURS, Results, SDK},
    sections::profile,
};

/// Parts that a sentence names.
const NAMED: usize = 6;
/// Who owns symbols that are not a library's.
const OWN_CRATES: [&str; 2] = ["webhook", "pod_identity_core"];

/// A table of parts, by what was sent. None when it was not measured.
pub(crate) fn parts_table(results: &Results) -> Option<String> {
    let loads: Vec<(&str, Vec<(&str, f64)>)> = profile::LOADS
        .iter()
        .filter_map(|(load, ..)| Some((*load, of(results, load, &parts::ALL)?)))
        .collect();
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
    let _ = write!(text, " why it stays |\n| --- |{} --- |\n", " ---: |".repeat(loads.len()));
    for part in parts::ALL {
        let times: Vec<f64> = loads.iter().map(|(_, parts)| time(parts, part)).collect();
        if times.iter().any(|time| *time > 0.0) {
            let cells: Vec<String> = times.into_iter().map(one_decimal).collect();
            let _ = writeln!(text, "| {part} | {} | {} |", cells.join(" | "), parts::why(part));
        }
    }
    let sums: Vec<String> = loads.iter().map(|(_, parts)| one_decimal(sum(parts))).collect();
    let _ = writeln!(text, "| **all** | {} | |", sums.join(" | "));
    Some(text)
}

/// The parts of compilation, the largest first. None when it was not measured.
pub(crate) fn compilation_table(results: &Results) -> Option<String> {
    let mut parts = of(results, profile::COMPILATION, &compilation::ALL)?;
    parts.sort_by(|(_, a), (_, b)| b.total_cmp(a));
    let mut text = "| % | our policy | why it stays |\n| --- | ---: | --- |\n".to_owned();
    for (part, share) in parts {
        let _ = writeln!(text, "| {part} | {share:.1} | {} |", compilation::why(part));
    }
    Some(text)
}

/// A line for each target that is not met.
pub(crate) fn sentences(results: &Results, unmet: &[Unmet]) -> String {
    let mut text = String::new();
    for row in unmet {
        let size = if row.size.is_empty() { String::new() } else { format!(", {}", row.size.to_uppercase()) };
        let why = why(results, row).unwrap_or_else(|| "not taken apart.".to_owned());
        let ratio = row.between.map_or_else(String::new, |(from, to)| {
            let undecided = if row.undecided { ", so it may be met" } else { "" };
            format!(" The ratio is {} to {}{undecided}.", three_digits(from), three_digits(to))
        });
        let _ = writeln!(text, "- {}{}, {}: {why}{ratio}", row.what, size.replace("KB", " KB"), row.shown);
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
            let parts = of(results, &format!("kept.{size}"), &parts::ALL)?;
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
                floors::reached(results, row).unwrap_or_default()
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
        "guest.compile" | "policy-server-start.time" => {
            let parts = of(results, profile::COMPILATION, &compilation::ALL);
            let parts = parts.map_or_else(String::new, |parts| {
                format!("of the profile's samples, in per cent: {}. ", largest(&parts))
            });
            Some(format!("{parts}What was tried is in ARCHITECTURE.md."))
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
    let parts = of(results, &format!("{kind}.{}", row.size), &parts::ALL)?;
    let floors = match kind {
        "kept" => [floors::reached, floors::slowest, floors::left, floors::handler]
            .into_iter()
            .filter_map(|sentence| sentence(results, row))
            .collect(),
        // There a thread for each connection is not the least.
        _ => floors::new_connection(results, row).unwrap_or_default(),
    };
    Some(format!("of {} µs in the profile: {}.{floors}", one_decimal(sum(&parts)), largest(&parts)))
}

/// The time of each of these parts. None when it was not profiled.
fn of(results: &Results, name: &str, parts: &[&'static str]) -> Option<Vec<(&'static str, f64)>> {
    parts.iter().map(|part| Some((*part, results.figure(&profile::figure(name, part), OURS)?))).collect()
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
    let named = parts.iter().take(NAMED).map(|(part, time)| format!("{} {part}", one_decimal(*time)));
    named.collect::<Vec<_>>().join("; ")
}

/// Samples say no more than that.
fn one_decimal(figure: f64) -> String {
    format!("{figure:.1}")
}

fn mebibytes(bytes: f64) -> String {
    three_digits(bytes / f64::from(1 << 20))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        report::unit::Unit,
        results::{FLOOR, FLOOR_WITH_HANDLER, LIBRARIES, LIBRARIES_WITH_HANDLER, Record},
    };

    pub(super) fn results(figures: &[(&str, &str, f64)]) -> Results {
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

    pub(super) fn row(id: &'static str, size: &str, ours: f64, peer: Option<f64>) -> Unmet {
        Unmet {
            what: "what",
            id,
            size: size.to_owned(),
            ours,
            unit: if id == "https.rate" { Unit::PerSecond } else { Unit::Microseconds },
            shown: format!("{ours} x"),
            peer,
            least: Some(11.0),
            between: Some((6.0, 9.0)),
            undecided: false,
        }
    }

    #[test]
    fn a_sentence_names_the_largest_parts_and_the_floor() {
        let results = profiled(
            "kept.4kb",
            &[
                ("https.cpu.4kb", FLOOR, 12.0),
                ("https.cpu.4kb", LIBRARIES, 16.0),
                ("https.cpu.4kb", FLOOR_WITH_HANDLER, 20.0),
                ("https.cpu.4kb", LIBRARIES_WITH_HANDLER, 25.0),
                ("handler.process.4kb", OURS, 8.0),
            ],
        );
        let other = Unmet { undecided: true, ..row("other", "", 1.0, None) };
        assert_eq!(
            sentences(&results, &[row("https.cpu", "4kb", 40.0, Some(240.0)), other]),
            "- what, 4 KB, 40 x: of 136.0 µs in the profile: 16.0 kernel's network stack; 15.0 kernel's epoll, futex, \
             scheduling; 14.0 kernel's writing of the log line; 13.0 kernel's memory; 12.0 kernel's rest; 11.0 TLS \
             handshake (key exchange, signature, hashes). With a server that decides nothing the \
             ratio would be 20.0, and with our handler in it and nothing else 12.0; with hyper and tokio alone 15.0 and 9.60. \
             The target is 21.8 µs, 1.82 more than threads that wait in `read` take with our handler and nothing else. Where \
             nothing is decided, hyper and tokio take 4.00 µs more than threads that wait in `read`. Our handler takes 8.00 µs \
             in process, and between hyper and tokio it takes 9.00 µs more than nothing does. The ratio is 6.00 to 9.00.\n\
             - what, 1 x: not taken apart. The ratio is 6.00 to 9.00, so it may be met.\n"
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
             The ratio is 6.00 to 9.00.\n"
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
    fn compilation_is_taken_apart() {
        let ids = compilation::ALL.map(|part| profile::figure(profile::COMPILATION, part));
        // The first part takes 1 %, the last one 10.
        let shares = (1..=10).map(f64::from);
        let figures: Vec<(&str, &str, f64)> =
            ids.iter().zip(shares).map(|(id, share)| (id.as_str(), OURS, share)).collect();
        let results = results(&figures);
        let compile = row("guest.compile", "", 1.0, None);
        assert_eq!(
            why(&results, &compile).unwrap(),
            "of the profile's samples, in per cent: 10.0 the rest; 9.0 kernel; 8.0 copying and comparing bytes; 7.0 \
             allocator; 6.0 maps, lists and the rest of Rust's library; 5.0 register allocation. What was tried is in \
             ARCHITECTURE.md."
        );
        assert_eq!(why(&Results::default(), &compile).unwrap(), "What was tried is in ARCHITECTURE.md.");
        let table = compilation_table(&results).unwrap();
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!(lines.len(), 12);
        assert_eq!(
            [lines[0], lines[2], lines[3]],
            [
                "| % | our policy | why it stays |",
                "| the rest | 10.0 |  |",
                "| kernel | 9.0 | memory for what is compiled and for the code, and threads that wait for each other |",
            ]
        );
        assert_eq!(compilation_table(&Results::default()), None);
    }

    #[test]
    fn parts_that_take_nothing_are_left_out() {
        let table = parts_table(&profiled("new.20kb", &[])).unwrap();
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!(
            [lines[0], lines[1], lines[10], lines[18]],
            [
                "| µs a request | 20 KB, new connection | why it stays |",
                "| --- | ---: | --- |",
                "| tokio's scheduling | 8.0 | a task for each connection, until it is busy |",
                "| **all** | 136.0 | |"
            ]
        );
        assert_eq!(parts_table(&Results::default()), None);
    }
}
