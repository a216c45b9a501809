//! The advice on sizing in the operations page, between two marks.

use std::fmt::Write as _;

use crate::{
    report::unit::{thousands, three_digits},
    results::{OURS, Results},
};

const BEGIN: &str = "<!-- benchmarks: begin -->\n";
const END: &str = "<!-- benchmarks: end -->";

/// The page with new advice. None when there is no place for it, or too little was measured.
pub(crate) fn renew(page: &str, results: &Results) -> Option<String> {
    let (before, rest) = page.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}{}{END}{after}", advice(results)?))
}

fn advice(results: &Results) -> Option<String> {
    let line = |chart: &str, line: &str| {
        results.sections.values().find_map(|record| record.charts.get(chart)?.get(line)).cloned()
    };
    let start = line("accounts.start", &format!("{OURS}, everything held"))?;
    let mut text = "Written by `make bench`, from what [BENCHMARKS.md](../BENCHMARKS.md) has. On other machines \
                    times differ. The table is of a simulated API server, which answers at once.\n\n\
                    | ServiceAccounts, a tenth of them with a role | resident memory | from start until all are held |\n\
                    | ---: | ---: | ---: |\n"
        .to_owned();
    for (count, memory) in line("accounts.memory", OURS)? {
        let seconds = start.iter().find(|(x, _)| *x == count)?.1;
        let (count, memory) = (thousands(count), three_digits(memory));
        let _ = writeln!(text, "| {count} | {memory} MiB | {} s |", three_digits(seconds));
    }
    let a_second = |id: &str| Some(thousands((1e6 / results.figure(id, OURS)? / 100.0).round() * 100.0));
    let _ = write!(
        text,
        "\nBy processor time a core is good for some {} reviews of 4 KB a second, {} of 20 KB, and {} of 4 KB when each comes over \
         a new connection.",
        a_second("https.cpu.4kb")?,
        a_second("https.cpu.20kb")?,
        a_second("https.new.cpu.4kb")?,
    );
    for (source, name) in [("settings", "in the settings"), ("ConfigMap", "in the ConfigMap")] {
        let ends = |chart: &str| {
            let points = line(chart, &format!("{OURS}, {source}"))?;
            let ((few, before), (many, then)) = (*points.first()?, *points.last()?);
            Some((thousands(few), three_digits(before), thousands(many), three_digits(then)))
        };
        let (few, before, many, then) = ends("entries.webhook")?;
        let (_, before_guest, _, then_guest) = ends("entries.guest")?;
        let _ = write!(
            text,
            "\nWith {many} mapping entries {name} a review of 4 KB takes the webhook {then} µs ({before} with {few}), \
             and a call of the policy {then_guest} µs ({before_guest} with {few})."
        );
    }
    Some(
        text + "\n\nRequest the memory of your row, and limit it to 48 MiB more, for bursts; request 20m CPU and set no limit for it \
                (a throttled webhook\nmakes every pod wait). Watch `process_resident_memory_bytes` and \
                `pod_identity_webhook_service_accounts`.\n",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::Record;

    #[test]
    fn only_what_is_between_the_marks_is_renewed() {
        let mut record = Record::default();
        record.point("accounts.memory", OURS, 1000.0, 10.7);
        record.point("accounts.start", "ours, everything held", 1000.0, 0.25);
        for (id, sample) in [("https.cpu.4kb", 20.0), ("https.cpu.20kb", 80.0), ("https.new.cpu.4kb", 200.0)]
        {
            record.add(id, OURS, sample);
        }
        for source in ["settings", "ConfigMap"] {
            record.point("entries.webhook", &format!("ours, {source}"), 10.0, 20.0);
            record.point("entries.webhook", &format!("ours, {source}"), 10_000.0, 21.0);
            record.point("entries.guest", &format!("ours, {source}"), 10.0, 50.0);
            record.point("entries.guest", &format!("ours, {source}"), 10_000.0, 900.0);
        }
        let results = Results { complete: true, sections: [("any".to_owned(), record)].into() };
        let page = format!("before\n{BEGIN}old\n{END}\nafter\n");
        let renewed = renew(&page, &results).unwrap();
        let advice = renewed.strip_prefix(&format!("before\n{BEGIN}")).unwrap();
        let advice = advice.strip_suffix(&format!("{END}\nafter\n")).unwrap();
        assert!(advice.contains("\n| 1,000 | 10.7 MiB | 0.25 s |\n"), "{advice}");
        assert!(
            advice.contains("some 50,000 reviews of 4 KB a second, 12,500 of 20 KB, and 5,000 of 4 KB"),
            "{advice}"
        );
        assert!(
            advice.contains(
                "With 10,000 mapping entries in the settings a review of 4 KB takes the webhook 21.0 µs (20.0 with 10), \
                 and a call of the policy 900 µs (50.0 with 10)."
            ),
            "{advice}"
        );
        assert_eq!(renew(&renewed, &results).as_deref(), Some(renewed.as_str()));

        assert_eq!(renew("no marks", &results), None);
        assert_eq!(renew(&page, &Results::default()), None);
    }
}
