//! What each part of the policy's module takes.

use std::fmt::Write as _;

use crate::{
    report::unit::thousands,
    results::{OURS, Results, median},
    sections::parts::{FIGURE, TOTAL},
};

/// A table, the largest part first; none when it was not measured.
pub(crate) fn table(results: &Results) -> Option<String> {
    let figures = results.sections.values().find_map(|record| record.figures.get(FIGURE))?;
    let mut parts: Vec<(&str, f64)> = figures
        .iter()
        .filter(|(part, _)| *part != TOTAL)
        .filter_map(|(part, samples)| Some((part.as_str(), median(samples)?)))
        .collect();
    parts.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(b.0)));
    let total = median(figures.get(TOTAL)?)?;
    let mut text = "| part | bytes | share |\n| --- | ---: | ---: |\n".to_owned();
    for (part, bytes) in parts {
        let _ = writeln!(text, "| {part} | {} | {:.1} % |", thousands(bytes), 100.0 * bytes / total);
    }
    let _ = writeln!(text, "| before wasm-opt | {} | 100 % |", thousands(total));
    if let Some(module) = results.figure("guest.module", OURS) {
        let share = 100.0 * module / total;
        let _ = writeln!(text, "| the module as it is shipped | {} | {share:.1} % |", thousands(module));
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::Record;

    #[test]
    fn the_largest_part_comes_first() {
        let mut record = Record::default();
        for (part, bytes) in [("core: json", 1000.0), ("core: pod", 3000.0), (TOTAL, 4000.0)] {
            record.add(FIGURE, part, bytes);
        }
        record.add("guest.module", OURS, 3500.0);
        let results = Results { complete: true, sections: [("guest".to_owned(), record)].into() };
        assert_eq!(
            table(&results).unwrap(),
            "| part | bytes | share |\n| --- | ---: | ---: |\n\
             | core: pod | 3,000 | 75.0 % |\n| core: json | 1,000 | 25.0 % |\n\
             | before wasm-opt | 4,000 | 100 % |\n| the module as it is shipped | 3,500 | 87.5 % |\n"
        );
        assert_eq!(table(&Results::default()), None);
    }
}
