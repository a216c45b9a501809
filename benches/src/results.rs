//! What was measured: a file of figures that the report is made from, so that sections can be measured one at a time.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::ErrorKind,
    path::Path,
};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

/// Samples of one figure, by whose they are: [`OURS`], [`GO`], …
pub(crate) type Samples = BTreeMap<String, Vec<f64>>;
/// Points of one chart, by line.
pub(crate) type Lines = BTreeMap<String, Vec<(f64, f64)>>;

pub(crate) const OURS: &str = "ours";
pub(crate) const GO: &str = "Go webhook";
pub(crate) const SDK: &str = "SDK-built peer";
/// The same, built as Kubewarden's template builds a policy: faster, and without what makes ours small.
pub(crate) const TEMPLATE: &str = "SDK-built peer, as the template builds it";
pub(crate) const EMPTY: &str = "empty policy";
/// A server that decides nothing: see [`crate::floor`].
pub(crate) const FLOOR: &str = "floor";
/// The same, served by the libraries that serve our webhook.
pub(crate) const LIBRARIES: &str = "hyper and tokio alone";
/// Both with our handler in them, and nothing else of our webhook's.
pub(crate) const FLOOR_WITH_HANDLER: &str = "floor with our handler";
pub(crate) const LIBRARIES_WITH_HANDLER: &str = "hyper and tokio with our handler";

/// Everything that was measured, by section.
#[derive(Debug, Default, Deserialize, PartialEq, Serialize)]
pub(crate) struct Results {
    /// Whether the run that wrote this went through all sections. If not, the next one takes up where it ended.
    pub(crate) complete: bool,
    pub(crate) sections: BTreeMap<String, Record>,
}

/// What one section measured.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub(crate) struct Record {
    /// The commit that was measured, with `+` when files differed from it.
    pub(crate) commit: String,
    /// When it ended, RFC 3339.
    pub(crate) finished: String,
    /// How long it took.
    pub(crate) seconds: u64,
    pub(crate) figures: BTreeMap<String, Samples>,
    pub(crate) charts: BTreeMap<String, Lines>,
    /// What was run, with placeholders for what differs between runs.
    pub(crate) commands: BTreeSet<String>,
    /// What could not be measured, and why.
    pub(crate) failures: Vec<String>,
}

impl Results {
    pub(crate) fn read(path: &Path) -> anyhow::Result<Self> {
        match fs::read(path) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .with_context(|| format!("cannot read `{}`: remove it to start afresh", path.display())),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error).with_context(|| format!("cannot read `{}`", path.display())),
        }
    }

    /// At once, so that a run that is ended leaves a file that can be read.
    pub(crate) fn write(&self, path: &Path) -> anyhow::Result<()> {
        let next = path.with_extension("next");
        fs::write(&next, serde_json::to_vec_pretty(self)?)
            .and_then(|()| fs::rename(&next, path))
            .with_context(|| format!("cannot write `{}`", path.display()))
    }

    /// How far its rounds are from the median, as a part of it.
    pub(crate) fn spread(&self, id: &str, whose: &str) -> Option<f64> {
        spread(self.rounds(id, whose)?)
    }

    /// A figure, round by round.
    fn rounds(&self, id: &str, whose: &str) -> Option<&[f64]> {
        self.sections.values().find_map(|record| record.figures.get(id)?.get(whose)).map(Vec::as_slice)
    }

    /// A figure of two, round by round. None when they were not measured in the same ones, or some measurement failed: then
    /// nobody knows which.
    pub(crate) fn pairs(&self, id: &str, first: &str, second: &str) -> Option<Vec<(f64, f64)>> {
        let record = self.sections.values().find(|record| record.figures.contains_key(id))?;
        let rounds = |whose| record.figures.get(id).and_then(|samples| samples.get(whose));
        let (first, second) = rounds(first).zip(rounds(second)).filter(|_| record.failures.is_empty())?;
        let pairs = first.iter().copied().zip(second.iter().copied());
        (first.len() == second.len()).then(|| pairs.collect())
    }

    /// The median of a figure, whichever section measured it.
    pub(crate) fn figure(&self, id: &str, whose: &str) -> Option<f64> {
        self.sections.values().find_map(|record| record.figure(id, whose))
    }
}

impl Record {
    pub(crate) fn add(&mut self, id: &str, whose: &str, sample: f64) {
        self.figures.entry(id.to_owned()).or_default().entry(whose.to_owned()).or_default().push(sample);
    }

    /// A point of a chart. One that is there with the same x gives way.
    pub(crate) fn point(&mut self, chart: &str, line: &str, x: f64, y: f64) {
        let points = self.charts.entry(chart.to_owned()).or_default().entry(line.to_owned()).or_default();
        points.retain(|point| point.0 != x);
        points.push((x, y));
    }

    pub(crate) fn command(&mut self, command: impl Into<String>) {
        self.commands.insert(command.into());
    }

    /// Notes a failure and goes on.
    pub(crate) fn fail(&mut self, what: &str, error: &anyhow::Error) {
        eprintln!("bench: {what}: {error:#}");
        let failure = format!("{what}: {error:#}");
        if !self.failures.contains(&failure) {
            self.failures.push(failure);
        }
    }

    /// This; without any figures, what was there before, and why there is nothing new.
    pub(crate) fn or_former(self, former: Option<&Self>) -> Self {
        match former {
            Some(former) if self.figures.is_empty() => Self { failures: self.failures, ..former.clone() },
            _ => self,
        }
    }

    pub(crate) fn figure(&self, id: &str, whose: &str) -> Option<f64> {
        median(self.figures.get(id)?.get(whose)?)
    }
}

/// How far samples are from their median at most, as a part of it. None when there is but one.
pub(crate) fn spread(samples: &[f64]) -> Option<f64> {
    let middle = median(samples).filter(|_| samples.len() > 1)?;
    let furthest = samples.iter().map(|sample| (sample - middle).abs()).fold(0.0, f64::max);
    Some(furthest / middle.abs()).filter(|spread| spread.is_finite())
}

/// The middle one; of two middle ones their mean.
pub(crate) fn median(samples: &[f64]) -> Option<f64> {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    let upper = sorted.get(sorted.len() / 2)?;
    let lower = sorted.get((sorted.len() - 1) / 2)?;
    Some(f64::midpoint(*lower, *upper))
}

/// A confidence interval of the median of 95 % at least, by order statistics: between two of the samples, whatever their distribution.
/// None of fewer than six, which do not say.
pub(crate) fn interval(samples: &[f64]) -> Option<(f64, f64)> {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    // How likely it is that so many are below the median, and that at most so many are: n flips of a coin.
    let mut exactly = sorted.iter().fold(1.0, |probability, _| probability / 2.0);
    let mut at_most = exactly;
    let mut ends = None;
    let (mut above, mut below) = (sorted.len() as f64, 0.0);
    for pair in sorted.iter().zip(sorted.iter().rev()).take(sorted.len() / 2) {
        if at_most > 0.025 {
            break;
        }
        ends = Some((*pair.0, *pair.1));
        below += 1.0;
        exactly *= above / below;
        above -= 1.0;
        at_most += exactly;
    }
    ends
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(
            [&[][..], &[3.0], &[4.0, 1.0], &[9.0, 1.0, 2.0]].map(median),
            [None, Some(3.0), Some(2.5), Some(2.0)]
        );
    }

    #[test]
    fn pairs_are_of_the_same_rounds() {
        let mut record = Record::default();
        for (whose, sample) in [(OURS, 1.0), (OURS, 2.0), (GO, 3.0), (GO, 4.0), (SDK, 5.0)] {
            record.add("a", whose, sample);
        }
        let pairs = |record: Record| {
            let results = Results { complete: true, sections: [("any".to_owned(), record)].into() };
            [GO, SDK, EMPTY].map(|whose| results.pairs("a", OURS, whose))
        };
        assert_eq!(pairs(record.clone()), [Some(vec![(1.0, 3.0), (2.0, 4.0)]), None, None]);
        record.fail("ours", &anyhow::anyhow!("no answer"));
        assert_eq!(pairs(record), [None, None, None]);
    }

    #[test]
    fn the_interval_leaves_a_fortieth_at_each_end() {
        // Samples 1, 2, …: its ends are their places, as sums of binomial coefficients give them.
        let ends = [5, 6, 8, 9, 11, 12, 15, 20, 24, 25].map(|count| {
            let samples: Vec<f64> = (1..=count).rev().map(f64::from).collect();
            interval(&samples)
        });
        assert_eq!(
            ends,
            [
                None,
                Some((1.0, 6.0)),
                Some((1.0, 8.0)),
                Some((2.0, 8.0)),
                Some((2.0, 10.0)),
                Some((3.0, 10.0)),
                Some((4.0, 12.0)),
                Some((6.0, 15.0)),
                Some((7.0, 18.0)),
                Some((8.0, 18.0)),
            ]
        );
        assert_eq!(interval(&[]), None);
    }

    #[test]
    fn the_spread_is_the_furthest_from_the_median() {
        assert_eq!(
            [&[][..], &[3.0], &[2.0, 2.0], &[9.0, 12.0, 10.0], &[0.0, 0.0]].map(spread),
            [None, None, Some(0.0), Some(0.2), None]
        );
    }

    #[test]
    fn without_figures_what_was_there_stays() {
        let mut former = Record { commit: "old".to_owned(), ..Record::default() };
        former.add("a", OURS, 1.0);
        let mut failed = Record { commit: "new".to_owned(), ..Record::default() };
        failed.fail("profile", &anyhow::anyhow!("no perf"));
        let kept = failed.clone().or_former(Some(&former));
        assert_eq!(
            (kept.commit.as_str(), kept.figure("a", OURS), kept.failures.len()),
            ("old", Some(1.0), 1)
        );
        assert_eq!(failed.clone().or_former(None), failed);
        let mut measured = Record::default();
        measured.add("a", OURS, 2.0);
        assert_eq!(measured.clone().or_former(Some(&former)), measured);
    }

    #[test]
    fn what_is_written_is_read() {
        let mut record = Record::default();
        record.add("https.cpu.4kb", OURS, 1.5);
        record.point("connections", OURS, 8.0, 2.0);
        record.point("connections", OURS, 8.0, 3.0);
        for _ in 0..2 {
            record.fail("nothing", &anyhow::anyhow!("inner").context("outer"));
        }
        let results = Results { complete: true, sections: [("https".to_owned(), record)].into() };
        let path = std::env::temp_dir().join(format!("bench-results-{}.json", std::process::id()));
        results.write(&path).unwrap();
        let read = Results::read(&path).unwrap();
        fs::remove_file(&path).unwrap();
        assert_eq!(read, results);
        assert_eq!((read.figure("https.cpu.4kb", OURS), read.figure("https.cpu.4kb", GO)), (Some(1.5), None));
        let record = read.sections.get("https").unwrap();
        assert_eq!(record.failures, ["nothing: outer: inner"]);
        assert_eq!(record.charts["connections"][OURS], [(8.0, 3.0)]);
        assert_eq!(Results::read(&path).unwrap(), Results::default());
    }
}
