//! How cost grows: a chart and a sentence for each thing that there may be more of.

use crate::{
    report::unit::{thousands, three_digits},
    results::{OURS, Results},
};

/// A line's name and its points.
pub(crate) type Line<'r> = (&'r str, &'r [(f64, f64)]);

/// One chart.
pub(crate) struct Growth {
    /// The name of the chart's points.
    pub(crate) id: &'static str,
    pub(crate) title: &'static str,
    pub(crate) x: &'static str,
    /// The unit is the last word.
    pub(crate) y: &'static str,
}

#[rustfmt::skip]
pub(crate) const ALL: [Growth; 6] = [
    Growth { id: "accounts.memory", title: "Webhook: resident memory", x: "ServiceAccounts", y: "resident memory, MiB" },
    Growth { id: "accounts.start", title: "Webhook: start to the first right answer", x: "ServiceAccounts", y: "time, s" },
    Growth { id: "entries.webhook", title: "Webhook: CPU for a request, 4 KB pod", x: "mapping entries", y: "CPU, µs" },
    Growth { id: "entries.guest", title: "Policy: time of a call, 4 KB pod", x: "mapping entries", y: "time, µs" },
    Growth { id: "connections.rate", title: "Webhook: requests per second, 4 KB pod", x: "connections", y: "requests per second, /s" },
    Growth { id: "connections.p99", title: "Webhook: time of a request, p99, 4 KB pod", x: "connections", y: "p99, ms" },
];

impl Growth {
    /// None when it was not measured.
    pub(crate) fn lines<'r>(&self, results: &'r Results) -> Option<Vec<Line<'r>>> {
        let lines = results.sections.values().find_map(|record| record.charts.get(self.id))?;
        let mut lines: Vec<Line<'r>> =
            lines.iter().map(|(name, points)| (name.as_str(), points.as_slice())).collect();
        // Ours first, in the same colour everywhere.
        lines.sort_by_key(|(name, _)| (!name.starts_with(OURS), *name));
        Some(lines)
    }

    /// The name of the chart's file.
    pub(crate) fn file(&self) -> String {
        format!("{}.svg", self.id.replace('.', "-"))
    }

    pub(crate) fn sentence(&self, lines: &[Line<'_>]) -> String {
        let unit = self.y.rsplit(' ').next().unwrap_or_default();
        let parts = lines.iter().filter_map(|(name, points)| {
            let (first, last) = (points.first()?, points.last()?);
            let show = |y: f64| {
                if unit == "/s" { thousands(y) + unit } else { format!("{} {unit}", three_digits(y)) }
            };
            let times = three_digits(last.1 / first.1);
            Some(format!(
                "{name}: {} with {}, {} with {} ({times} times)",
                show(first.1),
                thousands(first.0),
                show(last.1),
                thousands(last.0)
            ))
        });
        format!("**{}**, by {}. {}.", self.title, self.x, parts.collect::<Vec<_>>().join("; "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::{GO, Record};

    #[test]
    fn a_sentence_says_how_much_more() {
        let mut record = Record::default();
        record.point("accounts.memory", OURS, 1000.0, 4.0);
        record.point("accounts.memory", OURS, 1_000_000.0, 46.0);
        record.point("accounts.memory", GO, 1000.0, 30.0);
        let results = Results { complete: true, sections: [("scale".to_owned(), record)].into() };
        let [growth, other, ..] = &ALL;
        assert_eq!(
            growth.sentence(&growth.lines(&results).unwrap()),
            "**Webhook: resident memory**, by ServiceAccounts. ours: 4.00 MiB with 1,000, 46.0 MiB with 1,000,000 (11.5 times); \
             Go webhook: 30.0 MiB with 1,000, 30.0 MiB with 1,000 (1.00 times)."
        );
        assert_eq!(other.lines(&results), None);
    }
}
